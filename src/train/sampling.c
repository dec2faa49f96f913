/* Sampling: a tile of samples goes through all network evaluations of the plan on one worker. */
#include "train/sampling.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "metric/image.h"

struct bd_sampler_engine {
    const bd_backend *backend;
    bd_graph *graph;
    bd_engine *engine;
    int tile, h, w, c, history;
    int x, timestep, coef, key; /* tensors */
    bool loaded;
};

static size_t image_size(const bd_sampler_engine *s) {
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

/* --- the engine --- */

static bd_status graph_build(bd_sampler_engine *s, const bd_unet_config *unet) {
    BD_TRY(bd_graph_create(&s->graph, "sampler"));
    bd_graph *g = s->graph;
    s->x = bd_graph_state(g, "x", s->tile, s->h, s->w, s->c);
    s->timestep = bd_graph_input(g, "timestep", BD_TYPE_F32, s->tile, 1, 1, 1);
    s->coef = bd_graph_input(g, "coef", BD_TYPE_F64, 1, 1, 1, BD_SAMPLER_COEFS);
    s->key = bd_graph_input(g, "key", BD_TYPE_I32, s->tile, 1, 1, 4);
    int slots =
        s->history ? bd_graph_state(g, "history", s->tile, s->history * s->h, s->w, s->c) : -1;
    int e = bd_unet_build(g, unet, s->x, s->timestep);
    bd_sampler_step(g, s->x, e, s->coef, s->key, slots);
    return bd_graph_status(g);
}

bd_status bd_sampler_engine_create(bd_sampler_engine **out, const bd_sampler_engine_spec *spec) {
    *out = NULL;
    BD_REQUIRE(bd_backend_tile_ok(spec->backend, spec->tile), BD_E_ARG,
               "sampling: tile = %d; must be 1, 2, 4 or 8", spec->tile);
    BD_REQUIRE(spec->unet->in_channels == spec->unet->out_channels, BD_E_SHAPE,
               "sampling: the UNet takes %d channels and gives %d", spec->unet->in_channels,
               spec->unet->out_channels);
    bd_sampler_engine *s = calloc(1, sizeof *s);
    BD_REQUIRE(s, BD_E_MEMORY, "sampling: out of memory");
    s->backend = spec->backend;
    s->tile = spec->tile;
    s->h = s->w = spec->unet->sample_size;
    s->c = spec->unet->in_channels;
    s->history = spec->history;
    bd_status st;
    BD_TRY_TO(failed, st, graph_build(s, spec->unet));
    BD_TRY_TO(failed, st, s->backend->engine_create(&s->engine, s->backend, s->graph, spec->pool));
    *out = s;
    return BD_OK;
failed:
    bd_sampler_engine_destroy(s);
    return st;
}

void bd_sampler_engine_destroy(bd_sampler_engine *s) {
    if (!s) return;
    if (s->engine) s->backend->engine_destroy(s->engine);
    bd_graph_destroy(s->graph);
    free(s);
}

void bd_sampler_engine_memory(const bd_sampler_engine *s, bd_memory *out) {
    s->backend->engine_memory(s->engine, out);
}

double bd_sampler_engine_flops(const bd_sampler_engine *s) {
    return bd_graph_flops(s->graph) / s->tile;
}

bd_status bd_sampler_engine_load(bd_sampler_engine *s, const bd_params *params) {
    s->loaded = false;
    BD_TRY(bd_params_upload(params, s->backend, s->engine, s->graph, BD_SLOT_PARAM));
    s->loaded = true;
    return BD_OK;
}

/* --- one call --- */

typedef struct {
    bd_sampler_engine *s;
    const bd_sample_spec *spec;
    float *x; /* [count,H,W,C] */
    int tiles;
    pthread_mutex_t lock; /* guards what is below */
    int64_t evals;        /* tile evaluations done */
    double start, reported;
} sampling;

/* samples of a tile that were asked for; the rest is padding */
static int tile_count(const sampling *a, int tile) {
    int left = a->spec->count - tile * a->s->tile;
    return left < a->s->tile ? left : a->s->tile;
}

/* x_T of a tile; rows of padding stay 0 and are never looked at */
static bd_status tile_prior(const sampling *a, int tile, float *x) {
    const bd_sampler_engine *s = a->s;
    size_t size = image_size(s);
    int count = tile_count(a, tile);
    float *scratch = malloc(size * sizeof *scratch);
    BD_REQUIRE(scratch, BD_E_MEMORY, "sampling: out of memory");
    bd_status st = BD_OK;
    for (int i = 0; i < count && !st; i++) {
        int64_t sample = a->spec->first + (int64_t)tile * s->tile + i;
        float *row = x + (size_t)i * size;
        bd_rng_key key = {
            .seed = a->spec->seed, .stream = BD_STREAM_PRIOR, .index = (uint32_t)sample};
        bd_rng_normal_nhwc(row, s->h, s->w, s->c, key, scratch);
        if (a->spec->prior) st = a->spec->prior(a->spec->prior_ctx, row, sample);
        float scale = (float)a->spec->plan->start_scale;
        for (size_t k = 0; k < size && scale != 1; k++) row[k] *= scale;
    }
    free(scratch);
    memset(x + (size_t)count * size, 0, (size_t)(s->tile - count) * size * sizeof *x);
    return st;
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const sampling *a = ctx;
    const bd_sampler_engine *s = a->s;
    const bd_sampler_eval *eval = &a->spec->plan->eval[iter];
    if (a->spec->stop && *a->spec->stop) return bd_fail(BD_E_INTERRUPT, "sampling: stopped");
    if (iter == 0) BD_TRY(tile_prior(a, tile, bd_view_data(v, s->x)));
    memcpy(bd_view_data(v, s->coef), eval->coef, sizeof eval->coef);
    float *timestep = bd_view_data(v, s->timestep);
    int32_t *key = bd_view_data(v, s->key);
    for (int i = 0; i < s->tile; i++) {
        uint32_t sample = (uint32_t)(a->spec->first + (int64_t)tile * s->tile + i);
        uint32_t words[4] = {(uint32_t)a->spec->seed, (uint32_t)(a->spec->seed >> 32), sample,
                             (uint32_t)(a->spec->plan->skipped + iter)};
        memcpy(key + (size_t)i * 4, words, sizeof words);
        timestep[i] = (float)eval->timestep;
    }
    return BD_OK;
}

/* Count an evaluation; whoever comes by after a quarter of a second reports. */
static void report(sampling *a) {
    pthread_mutex_lock(&a->lock);
    a->evals++;
    double now = bd_clock_seconds();
    int64_t all = (int64_t)a->tiles * a->spec->plan->n;
    bool due = now - a->reported >= 0.25 || a->evals == all;
    if (due) a->reported = now;
    double done = (double)a->evals / (double)all * a->spec->count;
    pthread_mutex_unlock(&a->lock);
    if (!due) return;
    bd_progress_report(&(bd_progress){
        .phase = "sample",
        .done = (int64_t)done,
        .total = a->spec->count,
        .images_per_second = now > a->start ? done / (now - a->start) : 0,
        .note = "",
    });
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    sampling *a = ctx;
    if (iter == a->spec->plan->n - 1) {
        size_t size = image_size(a->s), first = (size_t)tile * (size_t)a->s->tile;
        memcpy(a->x + first * size, bd_view_data(v, a->s->x),
               (size_t)tile_count(a, tile) * size * sizeof *a->x);
    }
    report(a);
    return BD_OK;
}

static bd_status check_spec(const bd_sampler_engine *s, const bd_sample_spec *spec) {
    BD_REQUIRE(s->loaded, BD_E_ARG, "sampling: no parameters on the device");
    BD_REQUIRE(spec->plan->n >= 1, BD_E_ARG, "sampling: the plan has no step");
    BD_REQUIRE(spec->plan->history <= s->history, BD_E_ARG,
               "sampling: the plan keeps %d images of history, the engine was made for %d",
               spec->plan->history, s->history);
    BD_REQUIRE(spec->count >= 1 && spec->first >= 0, BD_E_ARG,
               "sampling: first = %" PRId64 ", count = %d", spec->first, spec->count);
    /* the sample number is one 32-bit word of the counter; above, noise would come again */
    BD_REQUIRE(spec->first + spec->count <= (int64_t)UINT32_MAX - 8, BD_E_ARG,
               "sampling: sample numbers beyond 2^32 (first = %" PRId64 ")", spec->first);
    return BD_OK;
}

/* NaN or infinity anywhere: name the first sample that has one. */
static bd_status check_finite(const float *x, size_t size, const bd_sample_spec *spec) {
    for (size_t i = 0; i < (size_t)spec->count * size; i++)
        if (!isfinite(x[i]))
            return bd_fail(BD_E_NUMERIC,
                           "sampling: sample %" PRId64
                           " is not finite; the model or its clip setting "
                           "is broken",
                           spec->first + (int64_t)(i / size));
    return BD_OK;
}

static bd_status to_bytes(uint8_t *images, const float *x, size_t n, size_t size) {
    float *unit = malloc(size * sizeof *unit);
    BD_REQUIRE(unit, BD_E_MEMORY, "sampling: out of memory");
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        st = bd_image_unit(unit, x + i * size, size);
        if (!st) st = bd_image_quantise(images + i * size, unit, size);
    }
    free(unit);
    return st;
}

bd_status bd_sample(float *x, uint8_t *images, bd_sampler_engine *s, const bd_sample_spec *spec) {
    BD_TRY(check_spec(s, spec));
    size_t size = image_size(s), n = (size_t)spec->count;
    float *own = x ? NULL : malloc(n * size * sizeof *own);
    BD_REQUIRE(x || own, BD_E_MEMORY, "sampling: out of memory for %d samples", spec->count);
    sampling a = {.s = s,
                  .spec = spec,
                  .x = x ? x : own,
                  .tiles = (spec->count + s->tile - 1) / s->tile,
                  .lock = PTHREAD_MUTEX_INITIALIZER};
    a.start = a.reported = bd_clock_seconds();
    bd_run run = {
        .n_tiles = a.tiles, .n_iter = spec->plan->n, .before = before, .after = after, .ctx = &a};
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, s->backend->run(s->engine, &run, false));
    BD_TRY_TO(done, st, check_finite(a.x, size, spec));
    if (images) BD_TRY_TO(done, st, to_bytes(images, a.x, n, size));
done:
    free(own);
    return st;
}
