#include "io/st_header.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

typedef struct {
    char *text;
    size_t n, at;
    const char *path;
    bd_st_header *out;
    size_t room, room_meta;
} parser;

/* The header begins at byte 8 of the file. */
static bd_status refuse(const parser *p, size_t at, const char *reason) {
    return bd_fail(BD_E_FORMAT, "%s: offset %zu: %s", p->path, at + 8, reason);
}

static void skip_space(parser *p) {
    while (p->at < p->n && strchr(" \t\r\n", p->text[p->at]) && p->text[p->at]) p->at++;
}

static bool take(parser *p, char c) {
    skip_space(p);
    if (p->at >= p->n || p->text[p->at] != c) return false;
    p->at++;
    return true;
}

static bd_status expect(parser *p, char c) {
    if (take(p, c)) return BD_OK;
    return bd_fail(BD_E_FORMAT, "%s: offset %zu: '%c' expected in the header", p->path, p->at + 8,
                   c);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hex digits at p->at; -1 when they are not there. */
static int take_hex4(parser *p) {
    int v = 0;
    if (p->n - p->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_value(p->text[p->at + (size_t)i]);
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    p->at += 4;
    return v;
}

static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The escape after a backslash; *c is its code point. */
static bd_status take_escape(parser *p, uint32_t *c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t at = p->at;
    if (p->at >= p->n) return refuse(p, at, "string does not end");
    char e = p->text[p->at++];
    const char *hit = e ? strchr(from, e) : NULL;
    if (hit) {
        *c = (unsigned char)to[hit - from];
        return BD_OK;
    }
    int v = e == 'u' ? take_hex4(p) : -1;
    if (v < 0) return refuse(p, at, "unknown escape in a string");
    if (v >= 0xD800 && v <= 0xDBFF) {
        bool second = p->n - p->at >= 2 && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u';
        if (second) p->at += 2;
        int w = second ? take_hex4(p) : -1;
        if (w < 0xDC00 || w > 0xDFFF) return refuse(p, at, "half a surrogate pair in a string");
        *c = 0x10000u + ((uint32_t)(v - 0xD800) << 10) + (uint32_t)(w - 0xDC00);
        return BD_OK;
    }
    if (v == 0 || (v >= 0xDC00 && v <= 0xDFFF))
        return refuse(p, at, "NUL or half a surrogate pair in a string");
    *c = (uint32_t)v;
    return BD_OK;
}

/* A string, unescaped in place: no escape is shorter than the bytes it stands for, and the closing quote makes
 * room for the NUL. */
static bd_status take_string(parser *p, const char **out) {
    BD_TRY(expect(p, '"'));
    size_t start = p->at;
    char *write = p->text + p->at;
    *out = write;
    while (p->at < p->n) {
        unsigned char b = (unsigned char)p->text[p->at];
        if (b == '"') {
            p->at++;
            *write = '\0';
            return BD_OK;
        }
        if (b < 0x20) return refuse(p, p->at, "control character in a string");
        if (b == '\\') {
            uint32_t c = 0;
            p->at++;
            BD_TRY(take_escape(p, &c));
            write += put_utf8(write, c);
            continue;
        }
        size_t len = bd_utf8_length((const unsigned char *)p->text + p->at, p->n - p->at);
        if (!len) return refuse(p, p->at, "string is not UTF-8");
        memmove(write, p->text + p->at, len);
        write += len;
        p->at += len;
    }
    return refuse(p, start, "string does not end");
}

static bd_status take_integer(parser *p, uint64_t *out) {
    skip_space(p);
    size_t start = p->at;
    uint64_t v = 0;
    while (p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9') {
        uint64_t digit = (uint64_t)(p->text[p->at] - '0');
        if (v > (INT64_MAX - digit) / 10) return refuse(p, start, "integer too large");
        v = v * 10 + digit;
        p->at++;
    }
    if (p->at == start) return refuse(p, start, "integer >= 0 expected");
    if (p->text[start] == '0' && p->at - start > 1)
        return refuse(p, start, "integer with a leading zero");
    *out = v;
    return BD_OK;
}

/* [a, b, ...] of at most max integers. */
static bd_status take_integers(parser *p, uint64_t *out, int *n, int max, const char *too_many) {
    *n = 0;
    BD_TRY(expect(p, '['));
    if (take(p, ']')) return BD_OK;
    do {
        if (*n == max) return refuse(p, p->at, too_many);
        BD_TRY(take_integer(p, &out[*n]));
        (*n)++;
    } while (take(p, ','));
    return expect(p, ']');
}

static bd_status take_dtype(parser *p, bd_dtype *out) {
    static const bd_dtype known[] = {BD_F32, BD_F64, BD_F16, BD_BF16, BD_I64, BD_I32, BD_U8};
    skip_space(p);
    size_t at = p->at;
    const char *text;
    BD_TRY(take_string(p, &text));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(text, bd_dtype_name(known[i])) == 0) {
            *out = known[i];
            return BD_OK;
        }
    }
    return bd_fail(BD_E_FORMAT,
                   "%s: offset %zu: element type \"%.20s\" is none of F32 F64 F16 BF16 I64 I32 U8",
                   p->path, at + 8, text);
}

static bd_status take_tensor(parser *p, bd_st_entry *e) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    int seen = 0, count;
    uint64_t values[BD_MAX_RANK] = {0};
    BD_TRY(expect(p, '{'));
    do {
        const char *key;
        skip_space(p);
        size_t at = p->at;
        BD_TRY(take_string(p, &key));
        BD_TRY(expect(p, ':'));
        int which = strcmp(key, "dtype") == 0          ? DTYPE
                    : strcmp(key, "shape") == 0        ? SHAPE
                    : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                       : 0;
        if (!which) return refuse(p, at, "unknown key of a tensor (dtype, shape, data_offsets)");
        if (seen & which) return refuse(p, at, "key given twice for a tensor");
        seen |= which;
        if (which == DTYPE) {
            BD_TRY(take_dtype(p, &e->dtype));
        } else if (which == SHAPE) {
            BD_TRY(take_integers(p, values, &e->rank, BD_MAX_RANK,
                                 "shape with more than 8 dimensions"));
            for (int i = 0; i < e->rank; i++) e->dim[i] = (int64_t)values[i];
        } else {
            BD_TRY(take_integers(p, values, &count, 2, "data_offsets with more than 2 numbers"));
            if (count != 2 || values[0] > values[1])
                return refuse(p, at, "data_offsets must be [begin, end]");
            e->begin = values[0];
            e->end = values[1];
        }
    } while (take(p, ','));
    BD_TRY(expect(p, '}'));
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return refuse(p, p->at, "tensor without dtype, shape or data_offsets");
    return BD_OK;
}

static bd_status grow(void **array, size_t *room, size_t used, size_t element, const parser *p) {
    if (used < *room) return BD_OK;
    size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(*array, more * element);
    BD_REQUIRE(grown, BD_E_MEMORY, "%s: out of memory for the header", p->path);
    *array = grown;
    *room = more;
    return BD_OK;
}

static bd_status take_metadata(parser *p) {
    bd_st_header *h = p->out;
    BD_TRY(expect(p, '{'));
    if (take(p, '}')) return BD_OK;
    do {
        if (h->n_meta == BD_TENSORS_MAX)
            return refuse(p, p->at, "more than 65536 metadata entries");
        void *array = h->meta;
        bd_status st = grow(&array, &p->room_meta, h->n_meta, sizeof *h->meta, p);
        h->meta = array;
        BD_TRY(st);
        bd_st_meta *m = &h->meta[h->n_meta];
        BD_TRY(take_string(p, &m->key));
        BD_TRY(expect(p, ':'));
        BD_TRY(take_string(p, &m->value));
        h->n_meta++;
    } while (take(p, ','));
    return expect(p, '}');
}

static bd_status take_member(parser *p, bool *has_metadata) {
    bd_st_header *h = p->out;
    const char *name;
    skip_space(p);
    size_t at = p->at;
    BD_TRY(take_string(p, &name));
    BD_TRY(expect(p, ':'));
    if (strcmp(name, "__metadata__") == 0) {
        if (*has_metadata) return refuse(p, at, "__metadata__ given twice");
        *has_metadata = true;
        return take_metadata(p);
    }
    if (h->n == BD_TENSORS_MAX) return refuse(p, at, "more than 65536 tensors");
    void *array = h->entries;
    bd_status st = grow(&array, &p->room, h->n, sizeof *h->entries, p);
    h->entries = array;
    BD_TRY(st);
    bd_st_entry *e = &h->entries[h->n];
    *e = (bd_st_entry){.name = name};
    BD_TRY(take_tensor(p, e));
    h->n++;
    return BD_OK;
}

bd_status bd_st_header_parse(bd_st_header *out, char *text, size_t n, const char *path) {
    *out = (bd_st_header){0};
    parser p = {.text = text, .n = n, .path = path, .out = out};
    if (n == 0 || text[0] != '{') return refuse(&p, 0, "the header must begin with '{'");
    BD_TRY(expect(&p, '{'));
    bool has_metadata = false;
    if (!take(&p, '}')) {
        do BD_TRY(take_member(&p, &has_metadata));
        while (take(&p, ','));
        BD_TRY(expect(&p, '}'));
    }
    skip_space(&p);
    if (p.at != n) return refuse(&p, p.at, "text after the end of the header");
    return BD_OK;
}

void bd_st_header_clear(bd_st_header *h) {
    free(h->entries);
    free(h->meta);
    *h = (bd_st_header){0};
}
