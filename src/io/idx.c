#include "io/idx.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/gzip.h"

/* What a small gzip file may unpack to: enough for the MNIST family (47 MB), too little for a bomb. */
#define GZIP_MAX ((size_t)60 << 20)

enum { TYPE_UBYTE = 0x08, HEADER_MAX = 4 + 4 * 4 };

/* Reads the header in bytes[0..n-1]; *header its length. */
static bd_status parse_header(bd_idx *x, size_t *header, const unsigned char *bytes, size_t n,
                              const char *path) {
    BD_REQUIRE(n >= 4, BD_E_FORMAT, "%s: offset %zu: truncated, no IDX header", path, n);
    BD_REQUIRE(bytes[0] == 0 && bytes[1] == 0, BD_E_FORMAT,
               "%s: offset 0: not an IDX file (magic %02x%02x%02x%02x)", path, bytes[0], bytes[1],
               bytes[2], bytes[3]);
    BD_REQUIRE(bytes[2] == TYPE_UBYTE, BD_E_FORMAT,
               "%s: offset 2: element type 0x%02x, only 0x08 (bytes) is read", path, bytes[2]);
    int rank = bytes[3];
    BD_REQUIRE(rank >= 1 && rank <= 4, BD_E_FORMAT, "%s: offset 3: %d dimensions, allowed 1..4",
               path, rank);
    *header = 4 + 4 * (size_t)rank;
    BD_REQUIRE(n >= *header, BD_E_FORMAT, "%s: offset %zu: truncated inside the IDX header", path,
               n);
    size_t total = 1;
    for (int i = 0; i < rank; i++) {
        const unsigned char *b = bytes + 4 + 4 * i;
        uint32_t d = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        BD_REQUIRE(d >= 1 && d <= INT32_MAX, BD_E_FORMAT,
                   "%s: offset %d: dimension %u, allowed 1..2147483647", path, 4 + 4 * i, d);
        BD_REQUIRE(!__builtin_mul_overflow(total, (size_t)d, &total), BD_E_FORMAT,
                   "%s: its dimensions overflow", path);
        x->dim[i] = (int)d;
    }
    x->rank = rank;
    x->bytes = total;
    return BD_OK;
}

/* The data is what follows the header in the buffer itself, moved to its front. Takes over raw. */
static bd_status load_plain(bd_idx *x, unsigned char *raw, size_t n, const char *path) {
    size_t header;
    bd_status st = parse_header(x, &header, raw, n, path);
    if (!st && n - header < x->bytes)
        st =
            bd_fail(BD_E_FORMAT, "%s: offset %zu: truncated, %zu bytes of data expected, %zu there",
                    path, n, x->bytes, n - header);
    if (!st && n - header > x->bytes)
        st = bd_fail(BD_E_FORMAT, "%s: offset %zu: %zu bytes after the end of the data", path,
                     header + x->bytes, n - header - x->bytes);
    if (st) {
        free(raw);
        return st;
    }
    memmove(raw, raw + header, x->bytes);
    x->data = raw;
    return BD_OK;
}

static bd_status unpack(bd_idx *x, bd_gunzip *z, const char *path) {
    unsigned char head[HEADER_MAX];
    size_t header;
    BD_TRY(bd_gunzip_read(z, head, 4));
    size_t want = head[3] >= 1 && head[3] <= 4 ? 4 * (size_t)head[3] : 0;
    BD_TRY(bd_gunzip_read(z, head + 4, want));
    BD_TRY(parse_header(x, &header, head, 4 + want, path));
    BD_REQUIRE(
        x->bytes <= GZIP_MAX, BD_E_FORMAT,
        "%s: unpacks to %zu bytes, packed files may hold at most %zu: unpack it first (gzip -d)",
        path, x->bytes, GZIP_MAX);
    x->data = malloc(x->bytes);
    BD_REQUIRE(x->data, BD_E_MEMORY, "%s: out of memory for %zu bytes", path, x->bytes);
    BD_TRY(bd_gunzip_read(z, x->data, x->bytes));
    return bd_gunzip_finish(z);
}

static bd_status load_gzip(bd_idx *x, const unsigned char *raw, size_t n, const char *path) {
    bd_gunzip *z;
    BD_TRY(bd_gunzip_create(&z, raw, n, path));
    bd_status st = unpack(x, z, path);
    bd_gunzip_destroy(z);
    return st;
}

bd_status bd_idx_load(bd_idx *out, const char *path) {
    *out = (bd_idx){0};
    void *data;
    size_t n;
    BD_TRY(bd_file_read(&data, &n, path, 0));
    unsigned char *raw = data;
    bd_status st;
    if (bd_gzip_is(raw, n)) {
        st = load_gzip(out, raw, n, path);
        free(raw);
    } else {
        st = load_plain(out, raw, n, path);
    }
    if (st) bd_idx_clear(out);
    return st;
}

void bd_idx_clear(bd_idx *x) {
    free(x->data);
    *x = (bd_idx){0};
}
