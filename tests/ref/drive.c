#include "ref/drive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/check.h"

static void *must(void *p) {
    if (!p) abort();
    return p;
}

static bool named(const bd_tensor *t, const char *prefix) {
    return strncmp(t->name, prefix, strlen(prefix)) == 0;
}

/* The number behind the colon of a name. */
static int suffix(const bd_tensor *t) {
    const char *colon = strchr(t->name, ':');
    return colon ? (int)strtol(colon + 1, NULL, 10) : 1;
}

static void integers(const bd_tensor *t, int tile, int iter, int32_t *dst) {
    size_t n = bd_tensor_count(t);
    for (size_t i = 0; i < n; i++) {
        int j = (int)i + 3 * tile;
        if (named(t, "key")) { /* both halves of the seed set, as large as they get */
            const int32_t word[4] = {-7, INT32_MIN + 5, j / 4, 11 + iter};
            dst[i] = word[i % 4];
        } else if (named(t, "flags")) {
            dst[i] = j % 4;
        } else {
            dst[i] = (5 * j + 2) % suffix(t);
        }
    }
}

/* Linear combinations of a sampler with the magnitudes of a DDPM step. The history is shifted, which goes wrong
 * where a row reads what another has written, is left alone in odd iterations, and ends in x0 and in e. */
static void sampler_coefficients(const bd_tensor *t, int iter, double *dst) {
    int bits = suffix(t);
    memset(dst, 0, bd_tensor_count(t) * sizeof *dst);
    dst[BD_COEF_X0_X] = 1.25 + 0.125 * iter;
    dst[BD_COEF_X0_E] = -0.8;
    dst[BD_COEF_CLIP_X0] = bits & 2 ? 1 : 0;
    dst[BD_COEF_CLIP_X] = bits & 4 ? 1 : 0;
    dst[BD_COEF_X] = 0.3;
    dst[BD_COEF_E] = 0.0625;
    dst[BD_COEF_X0] = bits & 16 ? 0 : 0.7;
    dst[BD_COEF_Z] = bits & 1 ? 0.4 : 0;
    if (!(bits & 8)) return;
    for (int k = 0; k < 3; k++) dst[BD_COEF_H + k] = 0.25 - 0.3 * k;
    if (iter % 2) return;
    double *row = dst + BD_COEF_ROWS + BD_COLS; /* of h_0 */
    row[BD_COL_X0] = bits & 16 ? 0 : 1;
    row[BD_COL_E] = bits & 16 ? 1 : 0;
    row[BD_COLS + BD_COL_H] = 1;
    row[2 * BD_COLS + BD_COL_H + 1] = 0.5;
    row[2 * BD_COLS + BD_COL_X] = -0.25;
}

static void floats(const bd_tensor *t, int tensor, int tile, int iter, float *dst) {
    size_t n = bd_tensor_count(t);
    ref_fill_f32(dst, n, (uint64_t)tensor * 100003 + (uint64_t)tile * 101 + (uint64_t)iter);
    float scale = 1;
    if (t->kind == BD_TENSOR_PARAM && t->dim[1] * t->dim[2] * t->dim[3] > 1 && t->dim[0] > 1)
        scale = 1 / sqrtf((float)(t->dim[1] * t->dim[2] * t->dim[3]));
    for (size_t i = 0; i < n; i++) {
        int j = (int)i + tile;
        if (named(t, "timestep"))
            dst[i] = (float)(j % 3 == 0 ? j : 999 - 7 * j);
        else if (named(t, "weight"))
            dst[i] = i % 4 == 3 ? 0.0f : 0.25f;
        else if (named(t, "coef"))
            dst[i] = (float[]){0.9f, 0.436f, 0.1f, 0.22f}[i % 4] + 0.01f * (float)j;
        else if (named(t, "trigger"))
            dst[i] = i % 3 == 0 ? -1.0f : dst[i] * 0.5f;
        else if (named(t, "gamma"))
            dst[i] = 1 + 0.3f * dst[i];
        else
            dst[i] *= scale;
    }
}

void ref_value(const bd_graph *g, int tensor, int tile, int iter, void *dst) {
    const bd_tensor *t = bd_graph_tensor(g, tensor);
    switch (t->type) {
    case BD_TYPE_F32: floats(t, tensor, tile, iter, dst); break;
    case BD_TYPE_I32: integers(t, tile, iter, dst); break;
    case BD_TYPE_F64: sampler_coefficients(t, iter, dst); break;
    case BD_TYPE_U8:
        for (size_t i = 0; i < bd_tensor_count(t); i++)
            ((uint8_t *)dst)[i] = (uint8_t)(i * 37 % 256);
        break;
    case BD_TYPE_BF16:
    case BD_TYPE_F16: abort(); /* a builder makes no such leaf */
    }
}

static size_t bytes_of(const bd_tensor *t) { return bd_tensor_count(t) * bd_type_size(t->type); }

static bd_status set_shared(ref_drive *d, int i) {
    const bd_tensor *t = bd_graph_tensor(d->g, i);
    if (t->kind != BD_TENSOR_PARAM && t->kind != BD_TENSOR_CONST) return BD_OK;
    void *value = must(malloc(bytes_of(t)));
    ref_value(d->g, i, 0, 0, value);
    bd_status st = t->kind == BD_TENSOR_PARAM
                       ? d->backend->slot_set(d->engine, BD_SLOT_PARAM, i, value)
                       : d->backend->const_set(d->engine, i, value);
    free(value);
    return st;
}

bd_status ref_drive_create(ref_drive **out, const bd_backend *backend, const bd_graph *g,
                           int workers, int max_tiles) {
    ref_drive *d = must(calloc(1, sizeof *d));
    *out = d;
    d->g = g;
    d->backend = backend;
    d->n_tensors = bd_graph_tensor_count(g);
    BD_TRY(bd_pool_create(&d->pool, workers));
    BD_TRY(backend->engine_create(&d->engine, backend, g, d->pool));
    d->n_tiles = max_tiles;
    d->out = must(calloc((size_t)max_tiles * (size_t)d->n_tensors, sizeof *d->out));
    for (int i = 0; i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        bool visible = t->kind == BD_TENSOR_INPUT || t->kind == BD_TENSOR_STATE ||
                       (t->kind == BD_TENSOR_ACT && t->keep);
        for (int k = 0; visible && k < max_tiles; k++)
            d->out[k * d->n_tensors + i] = must(calloc(1, bytes_of(t)));
        BD_TRY(set_shared(d, i));
    }
    return BD_OK;
}

void ref_drive_destroy(ref_drive *d) {
    if (!d) return;
    if (d->engine) d->backend->engine_destroy(d->engine);
    bd_pool_destroy(d->pool);
    for (int i = 0; d->out && i < d->n_tiles * d->n_tensors; i++) free(d->out[i]);
    free(d->out);
    free(d);
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const ref_drive *d = ctx;
    for (int i = 0; i < d->n_tensors; i++) {
        bd_tensor_kind kind = bd_graph_tensor(d->g, i)->kind;
        bool due = kind == BD_TENSOR_INPUT || (kind == BD_TENSOR_STATE && iter == 0);
        if (due && bd_view_data(v, i))
            ref_value(d->g, i, d->first_tile + tile, iter, bd_view_data(v, i));
    }
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    const ref_drive *d = ctx;
    if (iter != d->n_iter - 1) return BD_OK;
    for (int i = 0; i < d->n_tensors; i++) {
        void *out = d->out[tile * d->n_tensors + i];
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        if (!out) continue;
        if (bd_view_data(v, i))
            memcpy(out, bd_view_data(v, i), bytes_of(t));
        else if (t->kind == BD_TENSOR_ACT)
            return bd_fail(BD_E_DEVICE, "kept tensor %d (%s) has no storage", i, t->name);
    }
    return BD_OK;
}

bd_status ref_drive_run(ref_drive *d, int n_tiles, int n_iter, bool accumulate) {
    BD_REQUIRE(n_tiles <= d->n_tiles, BD_E_ARG, "made for %d tiles, not %d", d->n_tiles, n_tiles);
    d->n_iter = n_iter;
    const bd_run r = {n_tiles, n_iter, before, after, d, 0};
    return d->backend->run(d->engine, &r, accumulate);
}

static void load(ref_run *r, int tensor, int tile, int iter) {
    void *value = must(malloc(bytes_of(bd_graph_tensor(r->g, tensor))));
    ref_value(r->g, tensor, tile, iter, value);
    ref_run_load(r, tensor, value);
    free(value);
}

ref_run *ref_drive_truth(const bd_graph *g, int first_tile, int tile, int n_iter) {
    ref_run *r = ref_run_create(g);
    for (int k = 0; k <= tile; k++)
        for (int iter = 0; iter < n_iter; iter++) {
            for (int i = 0; i < r->n_tensors; i++) {
                bd_tensor_kind kind = bd_graph_tensor(g, i)->kind;
                if (kind == BD_TENSOR_PARAM || kind == BD_TENSOR_CONST) load(r, i, 0, 0);
                if (kind == BD_TENSOR_INPUT) load(r, i, first_tile + k, iter);
                if (kind == BD_TENSOR_STATE && iter == 0) load(r, i, first_tile + k, 0);
            }
            ref_run_tile(r);
        }
    return r;
}
