/* Replay on a device. A step is one graph launch: the driver's numbers of the step go to the device in one copy before
 * it, from a ring of page-locked blocks, so that the host can be some steps ahead; results come back when asked for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cuda/internal.h"

static bd_status sync(const bd_engine *e) {
    return cuda_check(e->p, e->p->stream_sync(e->ctx->stream), "waiting for the device");
}

static bd_status copy(const bd_engine *e, void *dst, const void *src, size_t n, const char *what) {
    return cuda_check(e->p, e->p->copy(dst, src, n, e->ctx->stream), what);
}

/* --- what a driver sees --- */

/* An activation in 16 bits as the float32 of the driver's graph. */
static void widen(float *to, const uint16_t *from, size_t n, bd_type type) {
    for (size_t i = 0; i < n; i++) {
        uint32_t h = from[i], sign = (h & 0x8000u) << 16, bits;
        if (type == BD_TYPE_BF16) {
            bits = h << 16;
        } else if ((h & 0x7c00u) == 0x7c00u) {
            bits = sign | 0x7f800000u | (h & 0x3ffu) << 13;
        } else if (h & 0x7c00u) {
            bits = sign | (((h & 0x7fffu) << 13) + (112u << 23));
        } else {
            float f = (float)(h & 0x3ffu) * 0x1p-24f;
            memcpy(&bits, &f, sizeof bits);
            bits |= sign;
        }
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static bd_status fetch_kept(bd_engine *e, int id) {
    const bd_tensor *t = bd_graph_tensor(e->g, id);
    BD_TRY(copy(e, e->raw, e->data[id], e->bytes[id], "reading a result"));
    BD_TRY(sync(e));
    void *raw = e->raw, *host = e->kept_host[id];
    if (t->type == bd_graph_tensor(e->source, id)->type)
        memcpy(host, raw, e->bytes[id]);
    else
        widen(host, raw, bd_tensor_count(t), t->type);
    return BD_OK;
}

static bd_status fetch_state(bd_engine *e, int id) {
    BD_TRY(copy(e, e->states_host + e->place[id], e->data[id], e->bytes[id], "reading a state"));
    return sync(e);
}

/* A driver that reads after a failed copy gets old numbers; the run ends with the failure right after. */
static void *fetch(const bd_view *v, int id) {
    bd_engine *e = v->ctx;
    const bd_tensor *t = bd_graph_tensor(e->source, id);
    bd_status st = BD_OK;
    bool first = !e->fetched[id];
    e->fetched[id] = true;
    switch (t->kind) {
    case BD_TENSOR_INPUT: e->inputs_touched |= e->in_before; return e->inputs_host + e->place[id];
    case BD_TENSOR_STATE:
        if (e->in_before && !e->states_touched) st = sync(e); /* an earlier copy out of it */
        if (!e->in_before && first) st = fetch_state(e, id);
        e->states_touched |= e->in_before;
        break;
    case BD_TENSOR_ACT:
        if (!e->kept_host[id]) return NULL;
        if (first) st = fetch_kept(e, id);
        break;
    default: return NULL;
    }
    if (st && !e->failed) e->failed = st;
    return t->kind == BD_TENSOR_STATE ? e->states_host + e->place[id] : e->kept_host[id];
}

static bd_status call_driver(bd_engine *e, const bd_run *r, int tile, int iter, bool before) {
    bd_status (*fn)(void *, int, int, const bd_view *) = before ? r->before : r->after;
    if (!fn) return BD_OK;
    const bd_view v = {.data = NULL, .fetch = fetch, .ctx = e};
    memset(e->fetched, 0, (size_t)bd_graph_tensor_count(e->g) * sizeof *e->fetched);
    e->in_before = before;
    e->failed = BD_OK;
    bd_status st = fn(r->ctx, tile, iter, &v);
    return e->failed ? e->failed : st;
}

/* --- to the device --- */

/* States that `before` wrote. */
static bd_status send_states(bd_engine *e) {
    e->states_touched = false;
    for (int i = 0; i < bd_graph_tensor_count(e->source); i++)
        if (e->fetched[i] && bd_graph_tensor(e->source, i)->kind == BD_TENSOR_STATE)
            BD_TRY(
                copy(e, e->data[i], e->states_host + e->place[i], e->bytes[i], "sending a state"));
    return BD_OK;
}

static bd_status send_inputs(bd_engine *e) {
    int slot = e->next;
    e->next = (slot + 1) % CUDA_RING;
    BD_TRY(cuda_check(e->p, e->p->event_sync(e->sent[slot]), "waiting for a copy"));
    memcpy(e->ring[slot], e->inputs_host, e->inputs_bytes);
    BD_TRY(copy(e, e->inputs, e->ring[slot], e->inputs_bytes, "sending a step's numbers"));
    return cuda_check(e->p, e->p->event_record(e->sent[slot], e->ctx->stream),
                      "recording an event");
}

static float scale_of(float loss_scale) { return loss_scale > 0 ? loss_scale : 1; }

/* Adam's numbers among the inputs; the driver's graph does not know them. */
static void set_step(bd_engine *e, float loss_scale, const bd_adam *a) {
    bd_k_step *s = cuda_step(e, e->inputs_host);
    *s = (bd_k_step){.loss_scale = scale_of(loss_scale)};
    if (!a) return;
    s->b1 = (float)a->beta1;
    s->c1 = (float)(1 - a->beta1);
    s->b2 = (float)a->beta2;
    s->c2 = (float)(1 - a->beta2);
    s->k1 = (float)(a->lr / (1 - pow(a->beta1, (double)a->k)));
    s->k2 = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->k)));
    s->eps = (float)a->eps;
    s->clip = a->clip;
}

/* --- one step --- */

static double *norm_at(const bd_engine *e) {
    void *p = e->norm;
    return p;
}
static const bd_k_step *step_at(const bd_engine *e) { return cuda_step(e, e->inputs); }

static bd_status enqueue_norm(bd_engine *e) {
    void *partial = e->norm + cuda_round(sizeof(double)), *grads = e->grads;
    const bd_k_grad_norm k = {
        .norm = norm_at(e), .partial = partial, .g = grads, .step = step_at(e), .n = e->n_flat};
    return cuda_check(e->p, e->p->k.grad_norm(&k, e->ctx->stream), "grad_norm");
}

static bd_status enqueue_adam(bd_engine *e) {
    void *p = e->params, *m = e->adam_m, *v = e->adam_v, *g = e->grads;
    const bd_k_adam k = {.p = p,
                         .m = m,
                         .v = v,
                         .half = e->half_params,
                         .g = g,
                         .norm = norm_at(e),
                         .step = step_at(e),
                         .half_type = e->half,
                         .n = e->n_flat};
    return cuda_check(e->p, e->p->k.adam(&k, e->ctx->stream), "adam");
}

static bd_status enqueue_node(bd_engine *e, int i, bool accumulate) {
    const bd_node *n = bd_graph_node(e->g, i);
    const cuda_call c = {e, n, i, e->workspace[i], accumulate};
    return cuda_ops[n->op].run(&c);
}

static bd_status enqueue(bd_engine *e, bool accumulate, bool update) {
    for (int i = 0; i < bd_graph_node_count(e->g); i++) BD_TRY(enqueue_node(e, i, accumulate));
    if (!update) return BD_OK;
    BD_TRY(enqueue_norm(e));
    return enqueue_adam(e);
}

static bd_status record(bd_engine *e, void **graph, bool accumulate, bool update) {
    BD_TRY(cuda_check(e->p, e->p->capture_begin(e->ctx->stream), "beginning to record a step"));
    bd_status st = enqueue(e, accumulate, update);
    int code = e->p->capture_end(graph, e->ctx->stream);
    return st ? st : cuda_check(e->p, code, "recording a step");
}

/* The first step of its kind runs as it is, the second is recorded, it and all later ones are launched whole. */
static bd_status launch(bd_engine *e, bool accumulate, bool update) {
    cuda_variant *v = &e->variant[(accumulate ? 1 : 0) + (update ? 2 : 0)];
    if (!v->warm) {
        v->warm = true;
        return enqueue(e, accumulate, update);
    }
    if (!v->graph) BD_TRY(record(e, &v->graph, accumulate, update));
    return cuda_check(e->p, e->p->graph_launch(v->graph, e->ctx->stream), "launching a step");
}

/* --- runs --- */

static bd_status iteration(bd_engine *e, const bd_run *r, int tile, int iter, bool accumulate,
                           bool update) {
    BD_TRY(call_driver(e, r, tile, iter, true));
    if (e->states_touched) BD_TRY(send_states(e));
    BD_TRY(send_inputs(e));
    BD_TRY(launch(e, accumulate, update));
    return call_driver(e, r, tile, iter, false);
}

/* a: an update follows the last tile; NULL: none */
static bd_status run_tiles(bd_engine *e, const bd_run *r, bool accumulate, const bd_adam *a) {
    BD_TRY(cuda_check(e->p, e->p->device_set(e->ctx->device), "choosing the device"));
    set_step(e, r->loss_scale, a);
    bd_status st = BD_OK;
    for (int tile = 0; tile < r->n_tiles && !st; tile++)
        for (int it = 0; it < r->n_iter && !st; it++) {
            bool last = tile == r->n_tiles - 1 && it == r->n_iter - 1;
            st = iteration(e, r, tile, it, accumulate || tile > 0, last && a);
        }
    bd_status waited = sync(e); /* what was put on the stream borrows nothing any more */
    return st ? st : waited;
}

bd_status cuda_engine_run(bd_engine *e, const bd_run *r, bool accumulate) {
    return run_tiles(e, r, accumulate, NULL);
}

static bd_status read_norm(bd_engine *e, double *norm) {
    BD_TRY(copy(e, e->raw, e->norm, sizeof *norm, "reading the norm"));
    BD_TRY(sync(e));
    memcpy(norm, e->raw, sizeof *norm);
    BD_REQUIRE(isfinite(*norm), BD_E_NUMERIC, "the gradient is not finite (norm %g)", *norm);
    return BD_OK;
}

bd_status cuda_grad_norm(bd_engine *e, double *norm) {
    BD_REQUIRE(e->trains, BD_E_ARG, "cuda: this engine has no gradients");
    BD_TRY(enqueue_norm(e));
    return read_norm(e, norm);
}

static bd_status check_adam(const bd_engine *e, const bd_adam *a) {
    BD_REQUIRE(e->trains && a->k >= 1, BD_E_ARG,
               "cuda: adam needs gradients and an update number >= 1");
    return BD_OK;
}

bd_status cuda_adam(bd_engine *e, const bd_adam *a, double norm) {
    BD_TRY(check_adam(e, a));
    set_step(e, a->loss_scale, a);
    BD_TRY(send_inputs(e));
    memcpy(e->raw, &norm, sizeof norm);
    BD_TRY(copy(e, e->norm, e->raw, sizeof norm, "sending the norm"));
    BD_TRY(enqueue_adam(e));
    return sync(e);
}

bd_status cuda_train_step(bd_engine *e, const bd_run *r, bool accumulate, const bd_adam *a,
                          double *norm) {
    BD_TRY(check_adam(e, a));
    BD_REQUIRE(scale_of(r->loss_scale) == scale_of(a->loss_scale), BD_E_ARG,
               "cuda: the step divides by another loss scale than the run multiplies by");
    BD_TRY(run_tiles(e, r, accumulate, a));
    return read_norm(e, norm);
}

/* --- profile --- */

static bd_status time_node(bd_engine *e, int i, void *const event[2], double *seconds) {
    float ms;
    BD_TRY(cuda_check(e->p, e->p->event_record(event[0], e->ctx->stream), "timing"));
    BD_TRY(enqueue_node(e, i, false));
    BD_TRY(cuda_check(e->p, e->p->event_record(event[1], e->ctx->stream), "timing"));
    BD_TRY(cuda_check(e->p, e->p->event_sync(event[1]), "timing"));
    BD_TRY(cuda_check(e->p, e->p->event_ms(&ms, event[0], event[1]), "timing"));
    *seconds = (double)ms * 1e-3;
    return BD_OK;
}

static bd_op_profile profile_row(const bd_engine *e, int i, double seconds) {
    bd_op_profile row = bd_op_profile_of(e->g, i, e->bytes, seconds);
    const char *impl = e->node[i].plan[0]      ? bd_dnn_plan_text(e->node[i].plan[0])
                       : e->node[i].product[0] ? "cublaslt"
                                               : "kernel";
    strncpy(row.impl, impl, sizeof row.impl - 1);
    return row;
}

bd_status cuda_profile(bd_engine *e, bd_profile_by by, int repeat, bd_op_profile **out, int *n) {
    (void)by;
    BD_REQUIRE(repeat >= 1, BD_E_ARG, "profile: repeat must be >= 1");
    void *event[2] = {NULL, NULL};
    *out = NULL;
    *n = bd_graph_node_count(e->g);
    double *t = calloc((size_t)repeat, sizeof *t);
    bd_op_profile *rows = calloc((size_t)*n + 1, sizeof *rows);
    bd_status st = BD_OK;
    if (!t || !rows) BD_FAIL_TO(done, st, BD_E_MEMORY, "profile: out of memory");
    for (int k = 0; k < 2; k++)
        BD_TRY_TO(done, st, cuda_check(e->p, e->p->event_create(&event[k]), "timing"));
    BD_TRY_TO(done, st, send_inputs(e));
    for (int i = 0; i < *n; i++) {
        for (int r = 0; r < repeat; r++) BD_TRY_TO(done, st, time_node(e, i, event, &t[r]));
        rows[i] = profile_row(e, i, bd_clock_median(t, (size_t)repeat));
    }
    *out = rows;
    rows = NULL;
done:
    for (int k = 0; k < 2; k++)
        if (event[k]) (void)e->p->event_destroy(event[k]);
    free(t);
    free(rows);
    return st;
}
