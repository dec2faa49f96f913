#include "io/cifar.h"

#include <stdlib.h>

#include "base/file.h"
#include "io/gzip.h"

enum { PLANE = BD_CIFAR_SIDE * BD_CIFAR_SIDE, RECORD = 1 + 3 * PLANE };

static bd_status unpack(void **out, const void *raw, size_t n, size_t want, const char *path) {
    bd_gunzip *z;
    *out = NULL;
    BD_TRY(bd_gunzip_create(&z, raw, n, path));
    uint8_t *data = malloc(want);
    bd_status st =
        data ? BD_OK : bd_fail(BD_E_MEMORY, "%s: out of memory for %zu bytes", path, want);
    if (!st) st = bd_gunzip_read(z, data, want);
    if (!st) st = bd_gunzip_finish(z);
    bd_gunzip_destroy(z);
    if (st)
        free(data);
    else
        *out = data;
    return st;
}

/* The plain records: `want` bytes. */
static bd_status read_records(uint8_t **out, const char *path, size_t want) {
    void *raw, *plain;
    size_t n;
    BD_TRY(bd_file_read(&raw, &n, path, 0));
    if (bd_gzip_is(raw, n)) {
        bd_status st = unpack(&plain, raw, n, want, path);
        free(raw);
        *out = plain;
        return st;
    }
    *out = raw;
    if (n == want) return BD_OK;
    free(raw);
    *out = NULL;
    return bd_fail(BD_E_FORMAT,
                   "%s: offset %zu: %s: %zu bytes, %zu expected (%zu records of %d bytes)", path,
                   n < want ? n : want, n < want ? "truncated" : "bytes after the last record", n,
                   want, want / RECORD, RECORD);
}

/* One image from planes to pixels. */
static void interleave(uint8_t *to, const uint8_t *planes) {
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) *to++ = planes[c * PLANE + i];
}

static bd_status take(bd_cifar *out, const uint8_t *records, int n, const char *path) {
    out->n = n;
    out->pixels = malloc((size_t)n * 3 * PLANE);
    out->labels = malloc((size_t)n);
    BD_REQUIRE(out->pixels && out->labels, BD_E_MEMORY, "%s: out of memory for %d images", path, n);
    for (int i = 0; i < n; i++) {
        const uint8_t *r = records + (size_t)i * RECORD;
        BD_REQUIRE(
            r[0] < BD_CIFAR_CLASSES, BD_E_FORMAT,
            "%s: offset %zu: label %d of image %d is not in 0..%d: not a file of CIFAR-10 in "
            "its binary version",
            path, (size_t)i * RECORD, r[0], i, BD_CIFAR_CLASSES - 1);
        out->labels[i] = r[0];
        interleave(out->pixels + (size_t)i * 3 * PLANE, r + 1);
    }
    return BD_OK;
}

bd_status bd_cifar_load(bd_cifar *out, const char *path, int n) {
    *out = (bd_cifar){0};
    BD_REQUIRE(n >= 1, BD_E_ARG, "%s: %d records asked for", path, n);
    uint8_t *records;
    BD_TRY(read_records(&records, path, (size_t)n * RECORD));
    bd_status st = take(out, records, n, path);
    free(records);
    if (st) bd_cifar_clear(out);
    return st;
}

void bd_cifar_clear(bd_cifar *c) {
    free(c->pixels);
    free(c->labels);
    *c = (bd_cifar){0};
}
