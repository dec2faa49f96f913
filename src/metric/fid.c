#include "metric/fid.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "metric/weights.h"
#include "nn/inception.h"

/* One image a tile: larger ones are no quicker on a CPU (docs/speed.md). Rows are handed over by the chunk of so
 * many images a worker, which decides memory and how often progress is seen, and no bit. */
enum { PER_WORKER = 8, D = BD_INCEPTION_FEATURES };

struct bd_fid {
    const bd_backend *backend;
    bd_graph *g;
    bd_engine *engine;
    int x, features; /* tensor ids */
    int chunk;       /* images of one run */
    char sha256[65];
};

/* --- weights --- */

bool bd_fid_published(const char *sha256) {
    return strncmp(sha256, BD_FID_PUBLISHED, strlen(BD_FID_PUBLISHED)) == 0;
}

bd_status bd_fid_weights(char *path, size_t size, const char *given) {
    static const bd_weights published = {"inception", "inception/" BD_FID_WEIGHTS};
    return bd_weights_find(path, size, given, &published);
}

bd_status bd_fid_name(char *out, size_t size, int64_t n, int64_t n_reference, const char *sha256) {
    bool published = bd_fid_published(sha256);
    int used = snprintf(out, size, "fid-%" PRId64 "/%" PRId64 "-inception%s%.8s", n, n_reference,
                        published ? "" : ".", published ? "" : sha256);
    BD_REQUIRE(used >= 0 && (size_t)used < size, BD_E_ARG,
               "metric name: %d characters do not fit into %zu", used, size);
    return BD_OK;
}

/* --- the network --- */

static bd_status make_engine(bd_fid *f, bd_pool *pool, const char *weights) {
    bd_params params = {0};
    BD_TRY(bd_sha256_file(f->sha256, weights));
    BD_TRY(bd_graph_create(&f->g, "inception"));
    f->x = bd_graph_input(f->g, "x", BD_TYPE_F32, 1, BD_INCEPTION_SIZE, BD_INCEPTION_SIZE, 3);
    f->features = bd_inception_build(f->g, f->x).features;
    bd_graph_keep(f->g, f->features);
    BD_TRY(bd_graph_status(f->g));
    BD_TRY(bd_inception_params(&params));
    bd_status st = bd_inception_load(&params, weights);
    if (!st) st = f->backend->engine_create(&f->engine, f->backend, f->g, pool);
    if (!st) st = bd_params_upload(&params, f->backend, f->engine, f->g, BD_SLOT_PARAM);
    bd_params_clear(&params);
    return st;
}

bd_status bd_fid_create(bd_fid **out, const bd_backend *backend, bd_pool *pool,
                        const char *weights) {
    *out = NULL;
    bd_fid *f = calloc(1, sizeof *f);
    BD_REQUIRE(f, BD_E_MEMORY, "fid: out of memory");
    f->backend = backend;
    f->chunk = PER_WORKER * bd_pool_workers(pool);
    bd_status st = make_engine(f, pool, weights);
    if (st) {
        bd_fid_destroy(f);
        return st;
    }
    *out = f;
    return BD_OK;
}

void bd_fid_destroy(bd_fid *f) {
    if (!f) return;
    if (f->engine) f->backend->engine_destroy(f->engine);
    bd_graph_destroy(f->g);
    free(f);
}

const char *bd_fid_sha256(const bd_fid *f) { return f->sha256; }

bd_status bd_fid_cost(double *flops, double *memory, const bd_backend *backend, bd_pool *pool) {
    bd_graph *g;
    bd_engine *e = NULL;
    bd_memory m;
    *memory = 0;
    BD_TRY(bd_graph_create(&g, "inception"));
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, BD_INCEPTION_SIZE, BD_INCEPTION_SIZE, 3);
    bd_graph_keep(g, bd_inception_build(g, x).features);
    bd_status st = bd_graph_status(g);
    *flops = bd_graph_flops(g);
    if (!st && backend) st = backend->engine_create(&e, backend, g, pool);
    if (!st && e) {
        backend->engine_memory(e, &m);
        *memory = (double)m.total + 2.0 * D * D * sizeof(double); /* sums, and what comes of them */
        backend->engine_destroy(e);
    }
    bd_graph_destroy(g);
    return st;
}

/* --- features --- */

typedef struct {
    bd_fid *f;
    const bd_image_source *source;
    int first;   /* image of the chunk's first tile */
    float *rows; /* [f->chunk][D] */
} chunk;

static bd_status enter(float *x, const bd_image_set *one) {
    if (one->f32) return bd_inception_input(x, one->f32, one->h, one->w, one->c);
    float *pixels = malloc(bd_image_size(one) * sizeof *pixels);
    BD_REQUIRE(pixels, BD_E_MEMORY, "fid: out of memory for an image of %dx%d", one->h, one->w);
    bd_image_get(pixels, one, 0);
    bd_status st = bd_inception_input(x, pixels, one->h, one->w, one->c);
    free(pixels);
    return st;
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const chunk *c = ctx;
    bd_image_set one;
    void *owned;
    (void)iter;
    BD_TRY(c->source->get(&one, &owned, c->source->ctx, c->first + tile));
    bd_status st = enter(bd_view_data(v, c->f->x), &one);
    free(owned);
    return st;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    const chunk *c = ctx;
    const float *features = bd_view_data(v, c->f->features);
    (void)iter;
    for (int i = 0; i < D; i++)
        BD_REQUIRE(isfinite(features[i]), BD_E_NUMERIC,
                   "fid: feature %d of image %d is %g; the weights are broken", i, c->first + tile,
                   (double)features[i]);
    memcpy(c->rows + (size_t)tile * D, features, D * sizeof *features);
    return BD_OK;
}

static void report(int done, int total, double start) {
    double seconds = bd_clock_seconds() - start;
    bd_progress_report(&(bd_progress){.phase = "inception",
                                      .done = done,
                                      .total = total,
                                      .images_per_second = seconds > 0 ? done / seconds : 0,
                                      .note = ""});
}

static bd_status gather(bd_moments *m, chunk *c, const volatile sig_atomic_t *stop) {
    int n = c->source->n;
    double start = bd_clock_seconds();
    for (c->first = 0; c->first < n; c->first += c->f->chunk) {
        BD_REQUIRE(!stop || !*stop, BD_E_INTERRUPT, "inception: stopped after %d of %d images",
                   c->first, n);
        int k = n - c->first < c->f->chunk ? n - c->first : c->f->chunk;
        const bd_run r = {.n_tiles = k, .n_iter = 1, .before = before, .after = after, .ctx = c};
        BD_TRY(c->f->backend->run(c->f->engine, &r, false));
        BD_TRY(bd_moments_add(m, c->rows, (size_t)k));
        report(c->first + k, n, start);
    }
    return BD_OK;
}

bd_status bd_fid_statistics(bd_statistics *out, bd_fid *f, const bd_image_source *s,
                            const volatile sig_atomic_t *stop) {
    *out = (bd_statistics){0};
    BD_REQUIRE(s->n >= 2, BD_E_ARG, "fid: a set of %d images has no covariance", s->n);
    chunk c = {.f = f, .source = s, .rows = malloc((size_t)f->chunk * D * sizeof(float))};
    bd_moments *m = NULL;
    bd_status st = BD_OK;
    if (!c.rows) BD_FAIL_TO(done, st, BD_E_MEMORY, "fid: out of memory");
    BD_TRY_TO(done, st, bd_moments_create(&m, D));
    BD_TRY_TO(done, st, gather(m, &c, stop));
    st = bd_statistics_from(out, m);
done:
    bd_moments_destroy(m);
    free(c.rows);
    return st;
}

/* --- kept statistics --- */

/* LABEL-N-WEIGHTS.safetensors, other characters than file names should have replaced. */
static bd_status cache_path(char *path, size_t size, const char *dir, const char *label, int n,
                            const char *sha256) {
    char name[256];
    int used =
        snprintf(name, sizeof name, "%.160s-%d-inception-%.12s.safetensors", label, n, sha256);
    for (int i = 0; i < used; i++) {
        bool fine = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
                           name[i]) != NULL;
        if (!fine) name[i] = '_';
    }
    return bd_path_join(path, size, dir, name);
}

static void keep(const bd_statistics *s, const char *dir, const char *path,
                 const char *definition) {
    bd_status st = bd_file_mkdirs(dir);
    if (!st) st = bd_statistics_save(s, path, definition);
    if (st) bd_log(BD_LOG_WARN, "the statistics are not kept: %s", bd_error());
}

bd_status bd_fid_statistics_kept(bd_statistics *out, bd_fid *f, const bd_image_source *s,
                                 const char *dir, const char *label,
                                 const volatile sig_atomic_t *stop) {
    char path[1400], pixels[65], device[256], definition[800];
    *out = (bd_statistics){0};
    BD_TRY(cache_path(path, sizeof path, dir, label, s->n, f->sha256));
    BD_TRY(bd_image_source_sha256(pixels, s));
    BD_TRY(f->backend->fingerprint(f->backend, device, sizeof device));
    snprintf(definition, sizeof definition, "%.160s, %d images, pixels %s, inception %s, %s", label,
             s->n, pixels, f->sha256, device);
    bd_status st = bd_statistics_load(out, path, definition);
    if (!st) {
        bd_log(BD_LOG_INFO, "statistics of %s from %s", label, path);
        return BD_OK;
    }
    if (st != BD_E_MISSING && st != BD_E_FORMAT) return st;
    if (st == BD_E_FORMAT) bd_log(BD_LOG_WARN, "%s; it is made anew", bd_error());
    BD_TRY(bd_fid_statistics(out, f, s, stop));
    keep(out, dir, path, definition);
    return BD_OK;
}
