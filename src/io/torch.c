#include "io/torch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/file.h"
#include "io/torch_impl.h"

/* pickle of protocol 2 with LONG1 of ten bytes: torch.serialization.MAGIC_NUMBER */
static const unsigned char magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                      0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
static const int64_t legacy_protocol = 1001;

static bool is_zip(const unsigned char *start, size_t n) {
    return n >= 4 && memcmp(start, "PK\3\4", 4) == 0;
}

static bool is_legacy(const unsigned char *start, size_t n) {
    return n >= 2 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5;
}

bool bd_torch_is(const unsigned char *start, size_t n) {
    return is_zip(start, n) || is_legacy(start, n);
}

/* --- zip --- */

typedef struct {
    zip_t *zip;
    const char *path;
    char stem[256]; /* name of the archive's folder, with its slash */
    uint64_t file_bytes, taken;
    unsigned char *buffer; /* of the last storage */
} archive;

static bd_status open_archive(archive *a, const void *bytes, size_t n) {
    zip_error_t e;
    zip_error_init(&e);
    zip_source_t *source = zip_source_buffer_create(bytes, n, 0, &e);
    if (source) a->zip = zip_open_from_source(source, ZIP_RDONLY, &e);
    if (source && !a->zip) zip_source_free(source);
    bd_status st =
        a->zip
            ? BD_OK
            : bd_fail(
                  BD_E_FORMAT,
                  "%s: no zip archive that can be read: %s; copy the file again from where it came",
                  a->path, zip_error_strerror(&e));
    zip_error_fini(&e);
    return st;
}

/* The folder whose data.pkl it is; there must be one. */
static bd_status find_stem(archive *a) {
    static const char pkl[] = "/data.pkl";
    size_t found = 0;
    zip_int64_t n = zip_get_num_entries(a->zip, 0);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(a->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        const char *slash = name ? strchr(name, '/') : NULL;
        if (!slash || strcmp(slash, pkl) != 0) continue;
        found++;
        BD_REQUIRE((size_t)(slash - name) + 2 < sizeof a->stem, BD_E_FORMAT,
                   "%s: the folder in it has a name of %zu bytes", a->path, (size_t)(slash - name));
        memcpy(a->stem, name, (size_t)(slash - name) + 1);
        a->stem[slash - name + 1] = '\0';
    }
    BD_REQUIRE(found == 1, BD_E_FORMAT,
               "%s: a zip archive with %zu data.pkl in it; torch.save writes one", a->path, found);
    return BD_OK;
}

/* One entry, whole, into *out (freed by the caller, one NUL byte more); *out = NULL: not there. torch.save compresses
 * nothing, so what an entry holds is no larger than the file. */
static bd_status read_entry(unsigned char **out, uint64_t *size, archive *a, const char *name) {
    char full[sizeof a->stem + 64];
    zip_stat_t info;
    *out = NULL;
    *size = 0;
    int k = snprintf(full, sizeof full, "%s%s", a->stem, name);
    BD_REQUIRE(k > 0 && (size_t)k < sizeof full, BD_E_FORMAT,
               "%s: entry %.60s... has too long a name", a->path, name);
    zip_int64_t i = zip_name_locate(a->zip, full, ZIP_FL_ENC_RAW);
    if (i < 0) return BD_OK;
    zip_stat_init(&info);
    const zip_uint64_t known = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    BD_REQUIRE(zip_stat_index(a->zip, (zip_uint64_t)i, 0, &info) == 0 &&
                   (info.valid & known) == known,
               BD_E_FORMAT, "%s: %s: the archive does not say how large it is", a->path, name);
    BD_REQUIRE(info.comp_method == ZIP_CM_STORE && info.size == info.comp_size, BD_E_FORMAT,
               "%s: %s is compressed, which torch.save never does; unzip and zip -0 it", a->path,
               name);
    BD_REQUIRE(info.size <= a->file_bytes - a->taken, BD_E_FORMAT,
               "%s: %s: entries of more bytes than the file has", a->path, name);
    a->taken += info.size;
    *out = malloc((size_t)info.size + 1);
    BD_REQUIRE(*out, BD_E_MEMORY, "%s: out of memory for %" PRIu64 " bytes", a->path, info.size);
    zip_file_t *f = zip_fopen_index(a->zip, (zip_uint64_t)i, 0);
    /* the read past the end makes libzip compare the checksum */
    bool whole = f && zip_fread(f, *out, info.size) == (zip_int64_t)info.size &&
                 zip_fread(f, *out + info.size, 1) == 0;
    if (f) zip_fclose(f);
    if (!whole) {
        free(*out);
        *out = NULL;
        return bd_fail(BD_E_FORMAT,
                       "%s: %s is damaged: its bytes do not give its checksum; copy the file again "
                       "from where it came",
                       a->path, name);
    }
    *size = info.size;
    (*out)[info.size] = '\0';
    return BD_OK;
}

static bd_status fetch_entry(void *ctx, const unsigned char **data, const bd_pickle *p,
                             const bd_pickle_storage *s) {
    archive *a = ctx;
    char name[80];
    uint64_t size;
    const bd_pickle_node *key = &p->node[s->key];
    BD_REQUIRE(key->text.count < 64, BD_E_FORMAT, "%s: a storage with a name of %u bytes", a->path,
               key->text.count);
    snprintf(name, sizeof name, "data/%.*s", (int)key->text.count,
             (const char *)p->bytes + key->text.first);
    free(a->buffer);
    a->buffer = NULL;
    BD_TRY(read_entry(&a->buffer, &size, a, name));
    BD_REQUIRE(a->buffer, BD_E_FORMAT, "%s: %s is missing in the archive", a->path, name);
    uint64_t want = (uint64_t)s->of * bd_dtype_size(s->dtype);
    BD_REQUIRE(size == want, BD_E_FORMAT, "%s: %s has %" PRIu64 " bytes, its tensors need %" PRIu64,
               a->path, name, size, want);
    *data = a->buffer;
    return BD_OK;
}

static bd_status check_byte_order(archive *a) {
    unsigned char *order;
    uint64_t n;
    BD_TRY(read_entry(&order, &n, a, "byteorder"));
    bool fine = !order || strcmp((const char *)order, "little") == 0;
    free(order);
    BD_REQUIRE(fine, BD_E_FORMAT, "%s: not saved on a little-endian machine; save it on one",
               a->path);
    return BD_OK;
}

static bd_status load_zip(bd_tensors *s, const void *bytes, size_t n, const char *path) {
    archive a = {.path = path, .file_bytes = n};
    unsigned char *pkl = NULL;
    uint64_t size = 0;
    bd_pickle p = {0};
    bd_status st;
    s->format = "PyTorch, zip layout";
    BD_TRY_TO(done, st, open_archive(&a, bytes, n));
    BD_TRY_TO(done, st, find_stem(&a));
    BD_TRY_TO(done, st, check_byte_order(&a));
    BD_TRY_TO(done, st, read_entry(&pkl, &size, &a, "data.pkl"));
    if (!pkl) BD_FAIL_TO(done, st, BD_E_FORMAT, "%s: data.pkl is missing in the archive", path);
    BD_TRY_TO(done, st, bd_pickle_parse(&p, path, "data.pkl: ", 0, pkl, (size_t)size));
    const bd_torch_source source = {.file_bytes = n, .ctx = &a, .fetch = fetch_entry};
    st = bd_torch_state(s, &p, &source);
done:
    bd_pickle_clear(&p);
    free(pkl);
    free(a.buffer);
    if (a.zip) zip_discard(a.zip);
    return st;
}

/* --- legacy --- */

typedef struct {
    const char *key; /* in the file, n bytes */
    size_t n;
    const unsigned char *data;
} raw_storage;

typedef struct {
    const char *path;
    const unsigned char *bytes;
    size_t n, at;
    raw_storage *storage; /* sorted by key */
    size_t n_storage;
} legacy;

static bd_status next_pickle(bd_pickle *p, legacy *f) {
    BD_TRY(bd_pickle_parse(p, f->path, "", f->at, f->bytes + f->at, f->n - f->at));
    f->at += p->used;
    return BD_OK;
}

/* Magic number, protocol and the dict that says how the machine was. */
static bd_status read_preamble(legacy *f) {
    bd_pickle p = {0};
    bd_status st;
    if (f->n < sizeof magic + 1 || memcmp(f->bytes, magic, sizeof magic) != 0)
        return bd_fail(BD_E_FORMAT,
                       "%s: offset 0: a pickle, but not one of torch.save's; save the model with "
                       "torch.save(model.state_dict(), ...)",
                       f->path);
    f->at = sizeof magic + 1;
    BD_TRY_TO(done, st, next_pickle(&p, f));
    if (p.node[p.root].kind != BD_PK_INT || p.node[p.root].number != legacy_protocol)
        BD_FAIL_TO(done, st, BD_E_FORMAT, "%s: not the layout 1001 of torch.save", f->path);
    bd_pickle_clear(&p);
    BD_TRY_TO(done, st, next_pickle(&p, f));
    bool little = false;
    if (p.node[p.root].kind == BD_PK_DICT)
        for (uint32_t c = p.node[p.root].items.first; c != BD_PK_NIL;) {
            uint32_t v = p.cell[c].next;
            const bd_pickle_node *value = &p.node[p.cell[v].node];
            if (bd_pickle_is(&p, p.cell[c].node, "little_endian"))
                little = value->kind == BD_PK_BOOL && value->number;
            c = p.cell[v].next;
        }
    if (!little)
        BD_FAIL_TO(done, st, BD_E_FORMAT,
                   "%s: not saved on a little-endian machine; save it on one", f->path);
done:
    bd_pickle_clear(&p);
    return st;
}

static int by_text(const char *a, size_t na, const char *b, size_t nb) {
    int c = memcmp(a, b, na < nb ? na : nb);
    return c ? c : (na > nb) - (na < nb);
}

static int by_key(const void *a, const void *b) {
    const raw_storage *x = a, *y = b;
    return by_text(x->key, x->n, y->key, y->n);
}

static raw_storage *find_storage(const legacy *f, const bd_pickle *p, uint32_t node) {
    const bd_pickle_node *k = &p->node[node];
    const raw_storage want = {.key = (const char *)p->bytes + k->text.first, .n = k->text.count};
    return f->n_storage ? bsearch(&want, f->storage, f->n_storage, sizeof want, by_key) : NULL;
}

typedef struct {
    bd_dtype dtype;
    int64_t of;
    bool known;
} declared;

/* What the object says of each storage, in the order of f->storage. */
static bd_status declare(declared *d, const legacy *f, const bd_pickle *object) {
    for (uint32_t i = 0; i < object->n_node; i++) {
        if (object->node[i].kind != BD_PK_STORAGE) continue;
        bd_pickle_storage s;
        BD_TRY(bd_pickle_get_storage(&s, object, i));
        const raw_storage *r = find_storage(f, object, s.key);
        if (!r)
            return bd_pickle_fail(object, object->node[i].at, "a storage that is not in the file");
        declared *e = &d[r - f->storage];
        if (e->known && (e->dtype != s.dtype || e->of != s.of))
            return bd_pickle_fail(object, object->node[i].at, "a storage with two types or sizes");
        *e = (declared){.dtype = s.dtype, .of = s.of, .known = true};
    }
    return BD_OK;
}

/* One storage: its number of elements in 8 bytes, then they. */
static bd_status locate(legacy *f, raw_storage *r, const declared *d) {
    uint64_t count = 0, bytes;
    BD_REQUIRE(d->known, BD_E_FORMAT, "%s: offset %zu: a storage that no tensor has", f->path,
               f->at);
    BD_REQUIRE(
        f->n - f->at >= 8, BD_E_FORMAT,
        "%s: offset %zu: truncated, storages are missing; copy the file again from where it came",
        f->path, f->at);
    for (int i = 7; i >= 0; i--) count = count << 8 | f->bytes[f->at + (size_t)i];
    BD_REQUIRE(count == (uint64_t)d->of, BD_E_FORMAT,
               "%s: offset %zu: a storage of %" PRIu64 " elements, its tensors say %" PRId64,
               f->path, f->at, count, d->of);
    f->at += 8;
    bytes = count * bd_dtype_size(d->dtype); /* count is at most INT64_MAX / 16 */
    BD_REQUIRE(bytes <= f->n - f->at, BD_E_FORMAT,
               "%s: offset %zu: truncated inside a storage of %" PRIu64
               " bytes; copy the file again from where it came",
               f->path, f->at, bytes);
    r->data = f->bytes + f->at;
    f->at += (size_t)bytes;
    return BD_OK;
}

static bd_status locate_all(legacy *f, const bd_pickle *object, const bd_pickle *keys) {
    const bd_pickle_node *list = &keys->node[keys->root];
    bd_status st = BD_OK;
    declared *d = NULL;
    if (list->kind != BD_PK_LIST) return bd_pickle_fail(keys, 0, "no list of storages");
    size_t n = list->items.count, i = 0;
    f->storage = calloc(n ? n : 1, sizeof *f->storage);
    d = calloc(n ? n : 1, sizeof *d);
    if (!f->storage || !d)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "%s: out of memory for %zu storages", f->path, n);
    f->n_storage = n;
    for (uint32_t c = list->items.first; c != BD_PK_NIL; c = keys->cell[c].next, i++) {
        const bd_pickle_node *k = &keys->node[keys->cell[c].node];
        if (k->kind != BD_PK_TEXT)
            BD_TRY_TO(done, st, bd_pickle_fail(keys, k->at, "the name of a storage is no text"));
        f->storage[i].key = (const char *)keys->bytes + k->text.first;
        f->storage[i].n = k->text.count;
    }
    if (n) qsort(f->storage, n, sizeof *f->storage, by_key);
    for (i = 1; i < n; i++)
        if (by_key(&f->storage[i - 1], &f->storage[i]) == 0)
            BD_TRY_TO(done, st, bd_pickle_fail(keys, 0, "a storage is there twice"));
    BD_TRY_TO(done, st, declare(d, f, object));
    /* the data come in the order of the list */
    for (uint32_t c = list->items.first; c != BD_PK_NIL; c = keys->cell[c].next) {
        raw_storage *r = find_storage(f, keys, keys->cell[c].node);
        BD_TRY_TO(done, st, locate(f, r, &d[r - f->storage]));
    }
    if (f->at != f->n)
        BD_FAIL_TO(done, st, BD_E_FORMAT, "%s: offset %zu: %zu bytes after the last storage",
                   f->path, f->at, f->n - f->at);
done:
    free(d);
    return st;
}

static bd_status fetch_raw(void *ctx, const unsigned char **data, const bd_pickle *p,
                           const bd_pickle_storage *s) {
    const legacy *f = ctx;
    const raw_storage *r = find_storage(f, p, s->key);
    BD_REQUIRE(r, BD_E_FORMAT, "%s: a storage is missing", f->path);
    *data = r->data;
    return BD_OK;
}

static bd_status load_legacy(bd_tensors *s, const void *bytes, size_t n, const char *path) {
    legacy f = {.path = path, .bytes = bytes, .n = n};
    bd_pickle object = {0}, keys = {0};
    bd_status st;
    s->format = "PyTorch, legacy layout";
    BD_TRY_TO(done, st, read_preamble(&f));
    BD_TRY_TO(done, st, next_pickle(&object, &f));
    BD_TRY_TO(done, st, next_pickle(&keys, &f));
    BD_TRY_TO(done, st, locate_all(&f, &object, &keys));
    const bd_torch_source source = {.file_bytes = n, .ctx = &f, .fetch = fetch_raw};
    st = bd_torch_state(s, &object, &source);
done:
    bd_pickle_clear(&object);
    bd_pickle_clear(&keys);
    free(f.storage);
    return st;
}

bd_status bd_torch_load(bd_tensors **out, const char *path) {
    void *bytes;
    size_t n;
    *out = NULL;
    BD_TRY(bd_file_read(&bytes, &n, path, 0));
    bd_status st = BD_OK;
    bd_tensors *s = calloc(1, sizeof *s);
    if (!s)
        st = bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    else if (is_zip(bytes, n))
        st = load_zip(s, bytes, n, path);
    else
        st = load_legacy(s, bytes, n, path);
    free(bytes);
    if (st)
        bd_tensors_destroy(s);
    else
        *out = s;
    return st;
}
