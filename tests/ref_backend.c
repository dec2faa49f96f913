#include "ref_backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_run.h"

enum { SLOTS = 4 };

struct bd_engine {
    const bd_graph *g;
    ref_run *run;
    int n;
    void **host;         /* by tensor id: INPUT, STATE and kept ACT in their own types; else NULL */
    float **slot[SLOTS]; /* by slot and tensor id of a PARAM */
};

static void *zeros(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

static bd_status fingerprint(const bd_backend *self, char *out, size_t size) {
    (void)self;
    snprintf(out, size, "float64 reference");
    return BD_OK;
}

static bool is_shared_with_driver(const bd_tensor *t) {
    return t->kind == BD_TENSOR_INPUT || t->kind == BD_TENSOR_STATE || t->keep;
}

static bd_status create(bd_engine **out, const bd_backend *self, const bd_graph *g, bd_pool *pool) {
    (void)self;
    (void)pool;
    bd_engine *e = zeros(1, sizeof *e);
    e->g = g;
    e->run = ref_run_create(g);
    e->n = bd_graph_tensor_count(g);
    e->host = zeros((size_t)e->n, sizeof *e->host);
    for (int s = 0; s < SLOTS; s++) e->slot[s] = zeros((size_t)e->n, sizeof *e->slot[s]);
    for (int i = 0; i < e->n; i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        size_t count = bd_tensor_count(t);
        if (is_shared_with_driver(t)) e->host[i] = zeros(count, bd_type_size(t->type));
        for (int s = 0; s < SLOTS && t->kind == BD_TENSOR_PARAM; s++)
            e->slot[s][i] = zeros(count, sizeof(float));
    }
    *out = e;
    return BD_OK;
}

static void destroy(bd_engine *e) {
    if (!e) return;
    for (int i = 0; i < e->n; i++) {
        free(e->host[i]);
        for (int s = 0; s < SLOTS; s++) free(e->slot[s][i]);
    }
    for (int s = 0; s < SLOTS; s++) free(e->slot[s]);
    free(e->host);
    ref_run_destroy(e->run);
    free(e);
}

static void memory(const bd_engine *e, bd_memory *out) {
    (void)e;
    *out = (bd_memory){0};
}

static size_t count_of(const bd_engine *e, int tensor) {
    return bd_tensor_count(bd_graph_tensor(e->g, tensor));
}

static bd_status slot_set(bd_engine *e, bd_slot slot, int param, const float *src) {
    memcpy(e->slot[slot][param], src, count_of(e, param) * sizeof *src);
    return BD_OK;
}

static bd_status slot_get(bd_engine *e, bd_slot slot, int param, float *dst) {
    int grad = bd_graph_grad(e->g, param);
    if (slot == BD_SLOT_GRAD && grad >= 0) { /* kept in float64, as the sum over the tiles */
        for (size_t i = 0; i < count_of(e, param); i++) dst[i] = (float)e->run->sum[grad][i];
        return BD_OK;
    }
    memcpy(dst, e->slot[slot][param], count_of(e, param) * sizeof *dst);
    return BD_OK;
}

static bd_status const_set(bd_engine *e, int tensor, const void *src) {
    ref_run_load(e->run, tensor, src);
    return BD_OK;
}

/* Results of a tile to where the driver reads them; a state is its own float32 from now on. */
static void store(bd_engine *e, int tensor) {
    const bd_tensor *t = bd_graph_tensor(e->g, tensor);
    const double *from = e->run->data[tensor];
    for (size_t i = 0; i < bd_tensor_count(t); i++) {
        if (t->type == BD_TYPE_F64) ((double *)e->host[tensor])[i] = from[i];
        if (t->type == BD_TYPE_F32) ((float *)e->host[tensor])[i] = (float)from[i];
    }
}

static bd_status run_once(bd_engine *e, const bd_run *r, int tile, int iter) {
    bd_view view = {.data = e->host};
    if (r->before) BD_TRY(r->before(r->ctx, tile, iter, &view));
    for (int i = 0; i < e->n; i++) {
        bd_tensor_kind kind = bd_graph_tensor(e->g, i)->kind;
        if (kind == BD_TENSOR_INPUT || kind == BD_TENSOR_STATE) ref_run_load(e->run, i, e->host[i]);
    }
    ref_run_tile(e->run);
    for (int i = 0; i < e->n; i++)
        if (e->host[i] && bd_graph_tensor(e->g, i)->kind != BD_TENSOR_INPUT) store(e, i);
    return r->after ? r->after(r->ctx, tile, iter, &view) : BD_OK;
}

static bd_status run(bd_engine *e, const bd_run *r, bool accumulate) {
    for (int i = 0; i < e->n; i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        if (t->kind == BD_TENSOR_PARAM) ref_run_load(e->run, i, e->slot[BD_SLOT_PARAM][i]);
        if (t->kind == BD_TENSOR_GRAD && !accumulate)
            memset(e->run->sum[i], 0, bd_tensor_count(t) * sizeof(double));
    }
    for (int tile = 0; tile < r->n_tiles; tile++)
        for (int iter = 0; iter < r->n_iter; iter++) BD_TRY(run_once(e, r, tile, iter));
    return BD_OK;
}

static bd_status grad_norm(bd_engine *e, double *norm) {
    double sum = 0;
    for (int i = 0; i < e->n; i++)
        for (size_t k = 0; e->run->sum[i] && k < count_of(e, i); k++)
            sum += e->run->sum[i][k] * e->run->sum[i][k];
    *norm = sqrt(sum);
    BD_REQUIRE(isfinite(sum), BD_E_NUMERIC, "gradient norm is %g", sum);
    return BD_OK;
}

static bd_status adam(bd_engine *e, const bd_adam *a, double norm) {
    double scale = a->clip > 0 ? fmin(1, a->clip / (norm + 1e-6)) : 1;
    double c1 = 1 - pow(a->beta1, (double)a->k), c2 = 1 - pow(a->beta2, (double)a->k);
    for (int i = 0; i < e->n; i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        if (t->kind != BD_TENSOR_GRAD) continue;
        float *p = e->slot[BD_SLOT_PARAM][t->param], *m = e->slot[BD_SLOT_ADAM_M][t->param],
              *v = e->slot[BD_SLOT_ADAM_V][t->param];
        for (size_t k = 0; k < bd_tensor_count(t); k++) {
            double g = e->run->sum[i][k] * scale;
            m[k] = (float)(a->beta1 * m[k] + (1 - a->beta1) * g);
            v[k] = (float)(a->beta2 * v[k] + (1 - a->beta2) * g * g);
            p[k] = (float)(p[k] - a->lr / c1 * m[k] / (sqrt(v[k]) / sqrt(c2) + a->eps));
        }
    }
    return BD_OK;
}

const bd_backend ref_backend = {
    .name = "reference",
    .fingerprint = fingerprint,
    .engine_create = create,
    .engine_destroy = destroy,
    .engine_memory = memory,
    .slot_set = slot_set,
    .slot_get = slot_get,
    .const_set = const_set,
    .run = run,
    .grad_norm = grad_norm,
    .adam = adam,
};
