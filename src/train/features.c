/* The classifier run forward over a set of images. */
#include "train/features.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pixel.h"

/* Images of one tile: a constant, so that features do not depend on how they are asked for. */
enum { TILE = 8 };

typedef struct {
    const bd_features_spec *spec;
    const uint8_t *images;
    float *features, *logits; /* results; either may be NULL */
    int n;
    size_t image_size;
    int x;                 /* INPUT: the images */
    bd_classifier_out net; /* kept outputs      */
} job;

static int tile_count(const job *j, int tile) {
    int left = j->n - tile * TILE;
    return left < TILE ? left : TILE;
}

/* Rows of padding are grey (0): their results are never looked at. */
static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const job *j = ctx;
    (void)iter;
    float *x = bd_view_data(v, j->x);
    const uint8_t *bytes = j->images + (size_t)tile * TILE * j->image_size;
    size_t n = (size_t)tile_count(j, tile) * j->image_size, all = TILE * j->image_size;
    for (size_t i = 0; i < n; i++) x[i] = bd_pixel_float(bytes[i]);
    memset(x + n, 0, (all - n) * sizeof *x);
    return BD_OK;
}

static bd_status take(float *out, const job *j, int tile, const float *values, int width) {
    size_t n = (size_t)tile_count(j, tile) * (size_t)width;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return bd_fail(BD_E_NUMERIC, "classifier: image %zu gives %f; its weights are broken",
                           (size_t)tile * TILE + i / (size_t)width, (double)values[i]);
    if (out) memcpy(out + (size_t)tile * TILE * (size_t)width, values, n * sizeof *values);
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    const job *j = ctx;
    (void)iter;
    BD_TRY(take(j->features, j, tile, bd_view_data(v, j->net.features), BD_CLASSIFIER_FEATURES));
    return take(j->logits, j, tile, bd_view_data(v, j->net.logits), j->spec->config->classes);
}

static bd_status build(bd_graph *g, job *j) {
    const bd_classifier_config *c = j->spec->config;
    j->x = bd_graph_input(g, "x", BD_TYPE_F32, TILE, c->sample_size, c->sample_size, c->channels);
    j->net = bd_classifier_build(g, c, j->x);
    BD_TRY(bd_graph_status(g));
    bd_graph_keep(g, j->net.features);
    bd_graph_keep(g, j->net.logits);
    return BD_OK;
}

bd_status bd_features(float *features, float *logits, const uint8_t *images, int n,
                      const bd_features_spec *spec) {
    BD_REQUIRE(n >= 1, BD_E_ARG, "classifier: %d images", n);
    const bd_classifier_config *c = spec->config;
    const bd_backend *b = spec->backend;
    job j = {.spec = spec, .images = images, .features = features, .logits = logits, .n = n};
    j.image_size = (size_t)c->sample_size * (size_t)c->sample_size * (size_t)c->channels;
    bd_graph *g = NULL;
    bd_engine *engine = NULL;
    bd_run run = {
        .n_tiles = (n + TILE - 1) / TILE, .n_iter = 1, .before = before, .after = after, .ctx = &j};
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_graph_create(&g, "features"));
    BD_TRY_TO(done, st, build(g, &j));
    BD_TRY_TO(done, st, b->engine_create(&engine, b, g, spec->pool));
    BD_TRY_TO(done, st, bd_params_upload(spec->params, b, engine, g, BD_SLOT_PARAM));
    st = b->run(engine, &run, false);
done:
    if (engine) b->engine_destroy(engine);
    bd_graph_destroy(g);
    return st;
}

static int best_class(const float *logits, int classes) {
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (logits[k] > logits[best]) best = k;
    return best;
}

bd_status bd_classifier_accuracy(double *out, const uint8_t *images, const int32_t *labels, int n,
                                 const bd_features_spec *spec) {
    BD_REQUIRE(n >= 1, BD_E_ARG, "classifier: %d images", n);
    int classes = spec->config->classes;
    float *logits = malloc((size_t)n * (size_t)classes * sizeof *logits);
    BD_REQUIRE(logits, BD_E_MEMORY, "classifier: out of memory for %d images", n);
    bd_status st = bd_features(NULL, logits, images, n, spec);
    if (!st) {
        int64_t right = 0;
        for (int i = 0; i < n; i++)
            right += best_class(logits + (size_t)i * (size_t)classes, classes) == labels[i];
        *out = (double)right / n;
    }
    free(logits);
    return st;
}
