#include "io/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

struct bd_gunzip {
    z_stream z;
    size_t at; /* unpacked bytes given so far */
    const char *path;
};

bool bd_gzip_is(const void *bytes, size_t n) {
    const unsigned char *b = bytes;
    return n >= 2 && b[0] == 0x1f && b[1] == 0x8b;
}

bd_status bd_gunzip_create(bd_gunzip **out, const void *bytes, size_t n, const char *path) {
    *out = NULL;
    BD_REQUIRE(n <= UINT32_MAX, BD_E_FORMAT, "%s: packed file of %zu bytes, at most %u", path, n,
               UINT32_MAX);
    bd_gunzip *g = calloc(1, sizeof *g);
    BD_REQUIRE(g, BD_E_MEMORY, "%s: out of memory", path);
    g->path = path;
    g->z.next_in = (z_const Bytef *)bytes;
    g->z.avail_in = (uInt)n;
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        free(g);
        return bd_fail(BD_E_MEMORY, "%s: zlib did not start: out of memory", path);
    }
    *out = g;
    return BD_OK;
}

void bd_gunzip_destroy(bd_gunzip *g) {
    if (!g) return;
    inflateEnd(&g->z);
    free(g);
}

static bd_status damaged(const bd_gunzip *g, int code) {
    return bd_fail(BD_E_FORMAT, "%s: offset %lu: damaged or truncated gzip data (%s)", g->path,
                   g->z.total_in, g->z.msg ? g->z.msg : zError(code));
}

bd_status bd_gunzip_read(bd_gunzip *g, void *out, size_t n) {
    g->z.next_out = out;
    while (n) {
        uInt step = n > 1u << 30 ? 1u << 30 : (uInt)n;
        g->z.avail_out = step;
        int code = inflate(&g->z, Z_NO_FLUSH);
        n -= step - g->z.avail_out;
        g->at += step - g->z.avail_out;
        if (n == 0) break;
        BD_REQUIRE(code != Z_STREAM_END, BD_E_FORMAT,
                   "%s: unpacked offset %zu: truncated, %zu more bytes expected", g->path, g->at,
                   n);
        BD_REQUIRE(code != Z_MEM_ERROR, BD_E_MEMORY, "%s: out of memory", g->path);
        if (code != Z_OK) return damaged(g, code);
    }
    return BD_OK;
}

/* One more byte asked for must give the end of the stream. */
bd_status bd_gunzip_finish(bd_gunzip *g) {
    unsigned char extra;
    g->z.next_out = &extra;
    g->z.avail_out = 1;
    int code = inflate(&g->z, Z_FINISH);
    g->z.next_out = NULL;
    BD_REQUIRE(g->z.avail_out == 1, BD_E_FORMAT, "%s: more than the %zu unpacked bytes expected",
               g->path, g->at);
    if (code != Z_STREAM_END) return damaged(g, code);
    BD_REQUIRE(g->z.avail_in == 0, BD_E_FORMAT, "%s: offset %lu: %u bytes after the gzip data",
               g->path, g->z.total_in, g->z.avail_in);
    return BD_OK;
}
