#include "io/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/st_header.h"
#include "io/tensors_impl.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian; this file copies it as it is"
#endif

/* Limit of the format's own reader. */
static const uint64_t header_max = 100000000;

static int by_position(const void *a, const void *b) {
    const bd_st_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The tensors must fill data_bytes from 0 to the end without hole or overlap. */
static bd_status check_layout(const bd_st_header *h, uint64_t data_start, uint64_t data_bytes,
                              const char *path) {
    uint64_t at = 0;
    for (size_t i = 0; i < h->n; i++) {
        const bd_st_entry *e = &h->entries[i];
        uint64_t bytes;
        BD_REQUIRE(bd_shape_bytes(&bytes, e->dim, e->rank, e->dtype), BD_E_FORMAT,
                   "%s: tensor \"%.100s\": its shape overflows 64 bits", path, e->name);
        BD_REQUIRE(bytes == e->end - e->begin, BD_E_FORMAT,
                   "%s: tensor \"%.100s\": shape and type need %" PRIu64
                   " bytes, data_offsets give %" PRIu64,
                   path, e->name, bytes, e->end - e->begin);
        BD_REQUIRE(e->begin == at, BD_E_FORMAT,
                   "%s: offset %" PRIu64 ": tensor \"%.100s\" leaves a hole or overlaps", path,
                   data_start + at, e->name);
        BD_REQUIRE(e->end <= data_bytes, BD_E_FORMAT,
                   "%s: truncated: tensor \"%.100s\" ends at data byte %" PRIu64
                   ", the file has %" PRIu64,
                   path, e->name, e->end, data_bytes);
        at = e->end;
    }
    BD_REQUIRE(at == data_bytes, BD_E_FORMAT,
               "%s: offset %" PRIu64 ": %" PRIu64 " bytes after the last tensor", path,
               data_start + at, data_bytes - at);
    return BD_OK;
}

static bd_status read_header(bd_st_header *h, bd_tensors *s, bd_reader *r, uint64_t size,
                             uint64_t *data_start, const char *path) {
    unsigned char prefix[8];
    BD_REQUIRE(size >= 8, BD_E_FORMAT, "%s: offset %" PRIu64 ": truncated, no safetensors header",
               path, size);
    BD_TRY(bd_reader_read(r, prefix, sizeof prefix));
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | prefix[i];
    BD_REQUIRE(n <= header_max, BD_E_FORMAT,
               "%s: offset 0: no weights file, or damaged: header of %" PRIu64
               " bytes, at most %" PRIu64 ": is this a safetensors file?",
               path, n, header_max);
    BD_REQUIRE(n <= size - 8, BD_E_FORMAT,
               "%s: offset %" PRIu64 ": truncated inside the header of %" PRIu64 " bytes", path,
               size, n);
    s->text = malloc((size_t)n + 1);
    BD_REQUIRE(s->text, BD_E_MEMORY, "%s: out of memory for a header of %" PRIu64 " bytes", path,
               n);
    BD_TRY(bd_reader_read(r, s->text, (size_t)n));
    s->text[n] = '\0';
    *data_start = 8 + n;
    return bd_st_header_parse(h, s->text, (size_t)n, path);
}

/* Layout was checked: every size here is bounded by the size of the file. */
static bd_status read_tensors(bd_tensors *s, const bd_st_header *h, bd_reader *r,
                              const char *path) {
    size_t total = 0;
    for (size_t i = 0; i < h->n; i++)
        total += bd_tensors_align((size_t)(h->entries[i].end - h->entries[i].begin));
    BD_TRY(bd_tensors_reserve(s, h->n, total, path));
    unsigned char *at = s->data;
    for (size_t i = 0; i < h->n; i++) {
        const bd_st_entry *e = &h->entries[i];
        bd_st_tensor *t = &s->tensors[i];
        *t = (bd_st_tensor){.name = e->name, .dtype = e->dtype, .rank = e->rank, .data = at};
        memcpy(t->dim, e->dim, sizeof t->dim);
        t->bytes = (size_t)(e->end - e->begin);
        BD_TRY(bd_reader_read(r, at, t->bytes));
        at += bd_tensors_align(t->bytes);
    }
    return BD_OK;
}

/* The metadata outlives the header. */
static void take_metadata(bd_tensors *s, bd_st_header *h) {
    s->meta = h->meta;
    s->n_meta = h->n_meta;
    h->meta = NULL;
    h->n_meta = 0;
}

bd_status bd_safetensors_load(bd_tensors **out, const char *path) {
    *out = NULL;
    bd_reader *r = NULL;
    uint64_t size = 0, data_start = 0;
    bd_st_header h = {0};
    bd_status st;
    bd_tensors *s = calloc(1, sizeof *s);
    if (!s) BD_FAIL_TO(done, st, BD_E_MEMORY, "%s: out of memory", path);
    s->format = "safetensors";
    BD_TRY_TO(done, st, bd_reader_open(&r, &size, path));
    BD_TRY_TO(done, st, read_header(&h, s, r, size, &data_start, path));
    if (h.n) qsort(h.entries, h.n, sizeof *h.entries, by_position);
    BD_TRY_TO(done, st, check_layout(&h, data_start, size - data_start, path));
    BD_TRY_TO(done, st, read_tensors(s, &h, r, path));
    take_metadata(s, &h);
    BD_TRY_TO(done, st, bd_tensors_index(s, path));
done:
    bd_reader_close(r);
    bd_st_header_clear(&h);
    if (st)
        bd_tensors_destroy(s);
    else
        *out = s;
    return st == BD_E_FORMAT ? bd_error_advise(st, "copy the file again from where it came") : st;
}

/* ---- saving ---- */

static void put_string(FILE *f, const char *s) {
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

static bd_status check_tensor(const bd_st_tensor *t, const char *path) {
    uint64_t bytes;
    BD_REQUIRE(t->rank >= 0 && t->rank <= BD_MAX_RANK &&
                   bd_shape_bytes(&bytes, t->dim, t->rank, t->dtype) && bytes == t->bytes,
               BD_E_SHAPE, "%s: tensor \"%.100s\": its shape does not fit its %zu bytes", path,
               t->name, t->bytes);
    return BD_OK;
}

static void put_header(FILE *f, const bd_st_tensor *tensors, size_t n, const char *const (*meta)[2],
                       size_t n_meta) {
    const char *sep = "";
    fputc('{', f);
    if (n_meta) {
        fputs("\"__metadata__\":{", f);
        for (size_t i = 0; i < n_meta; i++) {
            fputs(i ? "," : "", f);
            put_string(f, meta[i][0]);
            fputc(':', f);
            put_string(f, meta[i][1]);
        }
        fputc('}', f);
        sep = ",";
    }
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const bd_st_tensor *t = &tensors[i];
        fputs(sep, f);
        sep = ",";
        put_string(f, t->name);
        fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", bd_dtype_name(t->dtype));
        for (int d = 0; d < t->rank; d++) fprintf(f, "%s%" PRId64, d ? "," : "", t->dim[d]);
        fprintf(f, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + t->bytes);
        at += t->bytes;
    }
    fputc('}', f);
}

/* The header as text, padded with spaces so that the data begins at a multiple of 8. */
static bd_status make_header(char **text, size_t *n_text, const char *path,
                             const bd_st_tensor *tensors, size_t n, const char *const (*meta)[2],
                             size_t n_meta) {
    *text = NULL;
    FILE *f = open_memstream(text, n_text);
    BD_REQUIRE(f, BD_E_MEMORY, "%s: out of memory for the header", path);
    put_header(f, tensors, n, meta, n_meta);
    for (long at = ftell(f); at >= 0 && at % 8; at++) fputc(' ', f);
    int bad = ferror(f);
    bad |= fclose(f);
    BD_REQUIRE(!bad && *text, BD_E_MEMORY, "%s: out of memory for the header", path);
    return BD_OK;
}

/* What is written must be readable: the header goes through the loader's own parser (which also finds names that
 * are not UTF-8), and names are compared. */
static bd_status check_header(const char *text, size_t n, const char *path) {
    bd_st_header h = {0};
    bd_status st;
    bd_tensors *s = calloc(1, sizeof *s);
    if (s) s->text = malloc(n + 1);
    if (!s || !s->text) BD_FAIL_TO(done, st, BD_E_MEMORY, "%s: out of memory for the header", path);
    memcpy(s->text, text, n + 1);
    BD_TRY_TO(done, st, bd_st_header_parse(&h, s->text, n, path));
    BD_TRY_TO(done, st, bd_tensors_reserve(s, h.n, 0, path));
    for (size_t i = 0; i < h.n; i++) s->tensors[i].name = h.entries[i].name;
    take_metadata(s, &h);
    st = bd_tensors_index(s, path);
done:
    bd_st_header_clear(&h);
    bd_tensors_destroy(s);
    return st ? bd_error_prefix(st, "not written") : BD_OK;
}

static bd_status write_parts(bd_writer *w, const char *text, size_t n_text,
                             const bd_st_tensor *tensors, size_t n) {
    unsigned char prefix[8];
    uint64_t total = 8 + n_text;
    for (size_t i = 0; i < n; i++) total += tensors[i].bytes;
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)n_text >> 8 * i);
    BD_TRY(bd_writer_reserve(w, total));
    BD_TRY(bd_writer_write(w, prefix, sizeof prefix));
    BD_TRY(bd_writer_write(w, text, n_text));
    for (size_t i = 0; i < n; i++) BD_TRY(bd_writer_write(w, tensors[i].data, tensors[i].bytes));
    return BD_OK;
}

bd_status bd_safetensors_save(const char *path, const bd_st_tensor *tensors, size_t n,
                              const char *const (*meta)[2], size_t n_meta) {
    for (size_t i = 0; i < n; i++) BD_TRY(check_tensor(&tensors[i], path));
    char *text;
    size_t n_text;
    bd_writer *w = NULL;
    bd_status st;
    BD_TRY_TO(done, st, make_header(&text, &n_text, path, tensors, n, meta, n_meta));
    BD_TRY_TO(done, st, check_header(text, n_text, path));
    BD_TRY_TO(done, st, bd_writer_create(&w, path));
    BD_TRY_TO(done, st, write_parts(w, text, n_text, tensors, n));
    st = bd_writer_commit(w);
    w = NULL;
done:
    bd_writer_abort(w);
    free(text);
    return st;
}
