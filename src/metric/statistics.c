#include "metric/statistics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "io/safetensors.h"

static bd_status create(bd_statistics *out, int d) {
    size_t n = (size_t)d;
    double *memory = malloc((n + n * n) * sizeof *memory);
    BD_REQUIRE(memory, BD_E_MEMORY, "statistics: no memory for %d features", d);
    *out = (bd_statistics){.d = d, .mean = memory, .cov = memory + n};
    return BD_OK;
}

bd_status bd_statistics_from(bd_statistics *out, const bd_moments *m) {
    *out = (bd_statistics){0};
    BD_TRY(create(out, bd_moments_dim(m)));
    out->n = bd_moments_count(m);
    bd_status st = bd_moments_get(m, out->mean, out->cov);
    if (st) bd_statistics_clear(out);
    return st;
}

void bd_statistics_clear(bd_statistics *s) {
    free(s->mean);
    *s = (bd_statistics){0};
}

static size_t triangle(int d) { return (size_t)d * ((size_t)d + 1) / 2; }

static bd_status sum_of(char hex[65], const double *mean, const double *packed, int d) {
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    bd_sha256_update(h, mean, (size_t)d * sizeof *mean);
    bd_sha256_update(h, packed, triangle(d) * sizeof *packed);
    bd_sha256_finish(h, hex);
    return BD_OK;
}

static bd_status save_packed(const bd_statistics *s, const double *packed, const char *path,
                             const char *definition) {
    char sum[65], n[32];
    BD_TRY(sum_of(sum, s->mean, packed, s->d));
    snprintf(n, sizeof n, "%" PRId64, s->n);
    const bd_st_tensor tensors[] = {{.name = "mean",
                                     .dtype = BD_F64,
                                     .rank = 1,
                                     .dim = {s->d},
                                     .data = s->mean,
                                     .bytes = (size_t)s->d * sizeof(double)},
                                    {.name = "covariance",
                                     .dtype = BD_F64,
                                     .rank = 1,
                                     .dim = {(int64_t)triangle(s->d)},
                                     .data = packed,
                                     .bytes = triangle(s->d) * sizeof(double)}};
    const char *const meta[][2] = {{"definition", definition}, {"n", n}, {"sha256", sum}};
    return bd_safetensors_save(path, tensors, 2, meta, 3);
}

bd_status bd_statistics_save(const bd_statistics *s, const char *path, const char *definition) {
    size_t d = (size_t)s->d;
    double *packed = malloc(triangle(s->d) * sizeof *packed), *to = packed;
    BD_REQUIRE(packed, BD_E_MEMORY, "statistics: no memory for %d features", s->d);
    for (size_t i = 0; i < d; to += d - i, i++)
        memcpy(to, s->cov + i * d + i, (d - i) * sizeof *to);
    bd_status st = save_packed(s, packed, path, definition);
    free(packed);
    return st;
}

/* The tensors and texts of the file, checked; *n: images. */
static bd_status check_file(const bd_st_tensor **mean, const bd_st_tensor **cov, int64_t *n,
                            const bd_tensors *f, const char *path, const char *definition) {
    const char *has = bd_tensors_meta(f, "definition"), *count = bd_tensors_meta(f, "n"),
               *sum = bd_tensors_meta(f, "sha256");
    char hex[65];
    *mean = bd_tensors_find(f, "mean");
    *cov = bd_tensors_find(f, "covariance");
    bool sound = has && count && sum && *mean && *cov && (*mean)->dtype == BD_F64 &&
                 (*cov)->dtype == BD_F64 && (*mean)->rank == 1 && (*cov)->rank == 1 &&
                 (*mean)->dim[0] >= 1 && (*mean)->dim[0] <= 16384 &&
                 (*cov)->dim[0] == (int64_t)triangle((int)(*mean)->dim[0]);
    BD_REQUIRE(sound, BD_E_FORMAT, "%s: no statistics of features", path);
    BD_REQUIRE(!definition || !strcmp(has, definition), BD_E_FORMAT,
               "%s: statistics of something else (%s)", path, has);
    BD_TRY(sum_of(hex, (*mean)->data, (*cov)->data, (int)(*mean)->dim[0]));
    char *end;
    *n = strtoll(count, &end, 10);
    BD_REQUIRE(!strcmp(hex, sum) && !*end && *n >= 2, BD_E_FORMAT,
               "%s: damaged, its numbers do not have the sum that it states", path);
    return BD_OK;
}

static bd_status unpack(bd_statistics *out, const bd_tensors *f, const char *path,
                        const char *definition) {
    const bd_st_tensor *mean, *cov;
    int64_t n;
    BD_TRY(check_file(&mean, &cov, &n, f, path, definition));
    BD_TRY(create(out, (int)mean->dim[0]));
    out->n = n;
    memcpy(out->mean, mean->data, mean->bytes);
    const double *from = cov->data;
    size_t d = (size_t)out->d;
    for (size_t i = 0; i < d; i++)
        for (size_t j = i; j < d; j++) out->cov[i * d + j] = out->cov[j * d + i] = *from++;
    return BD_OK;
}

bd_status bd_statistics_load(bd_statistics *out, const char *path, const char *definition) {
    *out = (bd_statistics){0};
    bd_tensors *f;
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = unpack(out, f, path, definition);
    bd_tensors_destroy(f);
    return st;
}

bd_status bd_statistics_distance(double *out, const bd_statistics *a, const bd_statistics *b) {
    BD_REQUIRE(a->d == b->d, BD_E_SHAPE, "frechet: %d features against %d", a->d, b->d);
    bd_frechet *f;
    BD_TRY(bd_frechet_create(&f, a->mean, a->cov, a->d));
    bd_status st = bd_frechet_to(out, f, b->mean, b->cov);
    bd_frechet_destroy(f);
    return st;
}
