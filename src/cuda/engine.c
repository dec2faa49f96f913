/* The engine of the CUDA backend: lower, plan, allocate, and move parameters in and out. Replay is in run.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/internal.h"

/* Parameters begin at multiples of so many floats: 16-byte aligned in 16 bits too. The gaps hold zeros throughout. */
enum { PARAM_ALIGN = 64 };

/* --- layout --- */

static void lay_out(bd_engine *e) {
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        size_t *total = NULL;
        switch (t->kind) {
        case BD_TENSOR_PARAM:
            e->place[i] = e->params_bytes;
            e->params_bytes +=
                (bd_tensor_count(t) + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN * sizeof(float);
            continue;
        case BD_TENSOR_CONST: total = &e->consts_bytes; break;
        case BD_TENSOR_STATE: total = &e->states_bytes; break;
        case BD_TENSOR_INPUT: total = &e->inputs_bytes; break;
        case BD_TENSOR_GRAD: e->trains = true; continue; /* placed as its parameter */
        case BD_TENSOR_ACT: continue;
        }
        e->place[i] = *total;
        *total += cuda_round(e->bytes[i]);
    }
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        if (t->kind == BD_TENSOR_GRAD) e->place[i] = e->place[t->param];
    }
    e->n_flat = e->params_bytes / sizeof(float);
    e->step_at = e->inputs_bytes;
    e->inputs_bytes += cuda_round(sizeof(bd_k_step));
}

static size_t half_bytes(const bd_engine *e) {
    return e->half == BD_TYPE_F32 ? 0 : e->n_flat * bd_type_size(e->half);
}
static size_t norm_bytes(const bd_engine *e) {
    return cuda_round(sizeof(double)) + (e->trains ? bd_k_grad_norm_scratch(e->n_flat) : 0);
}

void cuda_engine_memory(const bd_engine *e, bd_memory *m) {
    m->params = e->params_bytes + half_bytes(e) + e->consts_bytes;
    m->optimizer = e->trains ? 3 * e->params_bytes + norm_bytes(e) : 0;
    m->arena = e->plan.arena_bytes + e->states_bytes + e->inputs_bytes;
    m->total = m->params + m->optimizer + m->arena;
}

/* --- memory --- */

static bd_status preflight(const bd_engine *e) {
    size_t free_bytes, total;
    bd_memory m;
    cuda_engine_memory(e, &m);
    BD_TRY(cuda_check(e->p, e->p->memory_info(&free_bytes, &total), "asking for free memory"));
    const double gib = 1 << 30;
    BD_REQUIRE(m.total <= free_bytes, BD_E_MEMORY,
               "cuda:%d: this network needs %.2f GiB at this batch (weights %.2f, optimiser %.2f, "
               "activations %.2f), the device has %.2f of %.2f GiB free; set a smaller micro_batch "
               "in training, a smaller batch in sampling, or precision = bf16",
               e->ctx->device, (double)m.total / gib, (double)m.params / gib,
               (double)m.optimizer / gib, (double)m.arena / gib, (double)free_bytes / gib,
               (double)total / gib);
    return BD_OK;
}

static bd_status device_block(const bd_engine *e, char **out, size_t n) {
    void *p = NULL;
    int code = e->p->device_alloc(&p, cuda_round(n ? n : 1));
    if (code)
        return bd_fail(BD_E_MEMORY, "cuda:%d: %.2f GiB of device memory: %s", e->ctx->device,
                       (double)n / (1 << 30), e->p->error_text(code));
    *out = p;
    return BD_OK;
}

static bd_status host_block(const bd_engine *e, char **out, size_t n) {
    void *p = NULL;
    int code = e->p->host_alloc(&p, cuda_round(n ? n : 1));
    if (code)
        return bd_fail(BD_E_MEMORY, "cuda: %.2f GiB of page-locked memory: %s",
                       (double)n / (1 << 30), e->p->error_text(code));
    memset(p, 0, cuda_round(n ? n : 1));
    *out = p;
    return BD_OK;
}

static bd_status zeroed(const bd_engine *e, char **out, size_t n) {
    BD_TRY(device_block(e, out, n));
    return cuda_check(e->p, e->p->fill(*out, 0, cuda_round(n ? n : 1), e->ctx->stream),
                      "clearing memory");
}

static bd_status allocate_device(bd_engine *e) {
    BD_TRY(zeroed(e, &e->params, e->params_bytes));
    if (half_bytes(e)) BD_TRY(zeroed(e, &e->half_params, half_bytes(e)));
    if (e->trains) {
        BD_TRY(zeroed(e, &e->grads, e->params_bytes));
        BD_TRY(zeroed(e, &e->adam_m, e->params_bytes));
        BD_TRY(zeroed(e, &e->adam_v, e->params_bytes));
    }
    BD_TRY(zeroed(e, &e->consts, e->consts_bytes));
    BD_TRY(zeroed(e, &e->states, e->states_bytes));
    BD_TRY(zeroed(e, &e->inputs, e->inputs_bytes));
    BD_TRY(device_block(e, &e->norm, norm_bytes(e)));
    return device_block(e, &e->arena, e->plan.arena_bytes);
}

/* Host copies of what a driver may read, in the types of its own graph. */
static bd_status allocate_host(bd_engine *e) {
    size_t raw = sizeof(double);
    BD_TRY(host_block(e, &e->inputs_host, e->inputs_bytes));
    BD_TRY(host_block(e, &e->states_host, e->states_bytes));
    for (int i = 0; i < CUDA_RING; i++) {
        BD_TRY(host_block(e, &e->ring[i], e->inputs_bytes));
        BD_TRY(cuda_check(e->p, e->p->event_create(&e->sent[i]), "making an event"));
    }
    for (int i = 0; i < bd_graph_tensor_count(e->source); i++) {
        const bd_tensor *t = bd_graph_tensor(e->source, i);
        if (t->kind != BD_TENSOR_ACT || !t->keep) continue;
        e->kept_host[i] = calloc(bd_tensor_count(t) + 1, bd_type_size(t->type));
        BD_REQUIRE(e->kept_host[i], BD_E_MEMORY, "cuda: out of memory");
        if (e->bytes[i] > raw) raw = e->bytes[i];
    }
    return host_block(e, &e->raw, raw);
}

static char *base_of(const bd_engine *e, bd_tensor_kind kind) {
    switch (kind) {
    case BD_TENSOR_PARAM: return e->params;
    case BD_TENSOR_GRAD: return e->grads;
    case BD_TENSOR_CONST: return e->consts;
    case BD_TENSOR_STATE: return e->states;
    case BD_TENSOR_INPUT: return e->inputs;
    case BD_TENSOR_ACT: break;
    }
    return NULL;
}

static bd_status bind(bd_engine *e) {
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        if (t->kind != BD_TENSOR_ACT)
            e->data[i] = base_of(e, t->kind) + e->place[i];
        else if (e->plan.tensors[i].bytes)
            e->data[i] = e->arena + e->plan.tensors[i].offset;
    }
    for (int i = 0; i < bd_graph_node_count(e->g); i++) {
        const bd_node *n = bd_graph_node(e->g, i);
        e->workspace[i] = e->arena + e->plan.workspaces[i].offset;
        if (bd_op_is_conv(n->op)) BD_TRY(cuda_bind_conv(e, n, &e->node[i], e->workspace[i]));
    }
    return BD_OK;
}

/* --- making and ending --- */

static bd_status tables(bd_engine *e) {
    const size_t tensors = (size_t)bd_graph_tensor_count(e->g) + 1,
                 nodes = (size_t)bd_graph_node_count(e->g) + 1;
    e->node = calloc(nodes, sizeof *e->node);
    e->workspace = calloc(nodes, sizeof *e->workspace);
    e->place = calloc(tensors, sizeof *e->place);
    e->bytes = calloc(tensors, sizeof *e->bytes);
    e->data = calloc(tensors, sizeof *e->data);
    e->kept_host = calloc(tensors, sizeof *e->kept_host);
    e->fetched = calloc(tensors, sizeof *e->fetched);
    BD_REQUIRE(e->node && e->workspace && e->place && e->bytes && e->data && e->kept_host &&
                   e->fetched,
               BD_E_MEMORY, "cuda: out of memory");
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        e->bytes[i] = bd_tensor_count(t) * bd_type_size(t->type);
    }
    return BD_OK;
}

static bd_status make_plan(bd_engine *e) {
    size_t *workspace = calloc((size_t)bd_graph_node_count(e->g) + 1, sizeof *workspace);
    BD_REQUIRE(workspace, BD_E_MEMORY, "cuda: out of memory");
    bd_status st = BD_OK;
    for (int i = 0; i < bd_graph_node_count(e->g) && !st; i++) {
        const bd_node *n = bd_graph_node(e->g, i);
        if (!cuda_ops[n->op].run)
            st = bd_fail(BD_E_ARG, "cuda: op %s cannot stand in a graph", bd_op_name(n->op));
        else if (cuda_ops[n->op].prepare)
            st = cuda_ops[n->op].prepare(e, n, &e->node[i], &workspace[i]);
    }
    lay_out(e);
    if (!st) st = bd_plan_create(&e->plan, e->g, e->bytes, workspace);
    free(workspace);
    return st;
}

static bd_status build(bd_engine *e, const bd_graph *g, const bd_backend *self) {
    BD_TRY(cuda_context_get(&e->ctx, self->device));
    e->p = e->ctx->p;
    BD_TRY(bd_graph_lower(&e->g, g, BD_CAN_NORM_CHANNEL | BD_CAN_CONV_ADD, e->half));
    BD_TRY(tables(e));
    BD_TRY(make_plan(e));
    BD_TRY(preflight(e));
    BD_TRY(allocate_device(e));
    BD_TRY(allocate_host(e));
    return bind(e);
}

void cuda_engine_destroy(bd_engine *e) {
    if (!e) return;
    if (e->p) {
        (void)e->p->device_set(e->ctx->device);
        (void)e->p->stream_sync(e->ctx->stream);
        for (int i = 0; i < CUDA_VARIANTS; i++) (void)e->p->graph_destroy(e->variant[i].graph);
        char *const device[] = {e->params, e->half_params, e->grads,  e->adam_m, e->adam_v,
                                e->consts, e->states,      e->inputs, e->norm,   e->arena};
        for (size_t i = 0; i < sizeof device / sizeof *device; i++)
            if (device[i]) (void)e->p->device_free(device[i]);
        char *const host[] = {e->inputs_host, e->states_host, e->raw};
        for (size_t i = 0; i < sizeof host / sizeof *host; i++)
            if (host[i]) (void)e->p->host_free(host[i]);
        for (int i = 0; i < CUDA_RING; i++) {
            if (e->ring[i]) (void)e->p->host_free(e->ring[i]);
            if (e->sent[i]) (void)e->p->event_destroy(e->sent[i]);
        }
    }
    for (int i = 0; e->node && i < bd_graph_node_count(e->g); i++)
        for (int k = 0; k < 2; k++) bd_dnn_unbind(e->ctx->dnn, e->node[i].bound[k]);
    for (int i = 0; e->kept_host && i < bd_graph_tensor_count(e->g); i++) free(e->kept_host[i]);
    bd_plan_clear(&e->plan);
    free(e->node);
    free(e->workspace);
    free(e->place);
    free(e->bytes);
    free(e->data);
    free(e->kept_host);
    free(e->fetched);
    bd_graph_destroy(e->g);
    free(e);
}

static bd_status engine_create(bd_engine **out, const bd_backend *self, const bd_graph *g,
                               bd_pool *pool) {
    (void)pool;
    *out = NULL;
    bd_engine *e = calloc(1, sizeof *e);
    BD_REQUIRE(e, BD_E_MEMORY, "cuda: out of memory");
    e->source = g;
    e->precision = self->precision;
    e->half = self->precision == BD_PRECISION_BF16   ? BD_TYPE_BF16
              : self->precision == BD_PRECISION_FP16 ? BD_TYPE_F16
                                                     : BD_TYPE_F32;
    bd_status st = build(e, g, self);
    if (st) {
        cuda_engine_destroy(e);
        return st;
    }
    *out = e;
    return BD_OK;
}

/* --- parameters --- */

/* Filters [O,I,KH,KW] of the checkpoint to [O,KH,KW,I] of the device, or back. Vectors are unchanged by it. */
static void permute(float *to, const float *from, const bd_tensor *t, bool out) {
    size_t o = (size_t)t->dim[0], i = (size_t)t->dim[1], k = (size_t)t->dim[2] * (size_t)t->dim[3];
    for (size_t a = 0; a < o; a++)
        for (size_t b = 0; b < i; b++)
            for (size_t p = 0; p < k; p++) {
                size_t host = (a * i + b) * k + p, device = (a * k + p) * i + b;
                to[out ? host : device] = from[out ? device : host];
            }
}

static bd_status slot_data(const bd_engine *e, bd_slot slot, int id, char **out) {
    BD_REQUIRE(id >= 0 && id < bd_graph_tensor_count(e->source) &&
                   bd_graph_tensor(e->g, id)->kind == BD_TENSOR_PARAM,
               BD_E_ARG, "cuda: tensor %d is no parameter", id);
    char *base = slot == BD_SLOT_PARAM    ? e->params
                 : slot == BD_SLOT_GRAD   ? e->grads
                 : slot == BD_SLOT_ADAM_M ? e->adam_m
                                          : e->adam_v;
    BD_REQUIRE(base, BD_E_ARG, "cuda: this engine does not train, it has no gradients and moments");
    *out = base + e->place[id];
    return cuda_check(e->p, e->p->device_set(e->ctx->device), "choosing the device");
}

static bd_status copy_now(const bd_engine *e, void *dst, const void *src, size_t n) {
    BD_TRY(cuda_check(e->p, e->p->copy(dst, src, n, e->ctx->stream), "copying parameters"));
    return cuda_check(e->p, e->p->stream_sync(e->ctx->stream), "copying parameters");
}

static bd_status slot_set(bd_engine *e, bd_slot slot, int id, const float *src) {
    char *at;
    BD_TRY(slot_data(e, slot, id, &at));
    const bd_tensor *t = bd_graph_tensor(e->g, id);
    float *own = malloc(e->bytes[id] + 1);
    BD_REQUIRE(own, BD_E_MEMORY, "cuda: out of memory");
    permute(own, src, t, false);
    bd_status st = copy_now(e, at, own, e->bytes[id]);
    free(own);
    if (st || slot != BD_SLOT_PARAM || !e->half_params) return st;
    size_t first = e->place[id] / sizeof(float);
    const bd_k_scale k = {.y = e->half_params + first * bd_type_size(e->half),
                          .x = at,
                          .ytype = e->half,
                          .xtype = BD_TYPE_F32,
                          .n = bd_tensor_count(t),
                          .k = 1};
    return cuda_check(e->p, e->p->k.scale(&k, e->ctx->stream), "rounding parameters");
}

static bd_status slot_get(bd_engine *e, bd_slot slot, int id, float *dst) {
    char *at;
    BD_TRY(slot_data(e, slot, id, &at));
    float *own = malloc(e->bytes[id] + 1);
    BD_REQUIRE(own, BD_E_MEMORY, "cuda: out of memory");
    bd_status st = copy_now(e, own, at, e->bytes[id]);
    if (!st) permute(dst, own, bd_graph_tensor(e->g, id), true);
    free(own);
    return st;
}

static bd_status const_set(bd_engine *e, int id, const void *src) {
    BD_REQUIRE(id >= 0 && id < bd_graph_tensor_count(e->source) &&
                   bd_graph_tensor(e->g, id)->kind == BD_TENSOR_CONST,
               BD_E_ARG, "cuda: tensor %d is no constant", id);
    BD_TRY(cuda_check(e->p, e->p->device_set(e->ctx->device), "choosing the device"));
    return copy_now(e, e->consts + e->place[id], src, e->bytes[id]);
}

/* --- the backend --- */

static bd_status fingerprint(const bd_backend *self, char *out, size_t size) {
    cuda_context *c;
    BD_TRY(cuda_context_get(&c, self->device));
    char libraries[CUDA_LIBRARIES_TEXT];
    cuda_libraries(libraries, sizeof libraries, c);
    int n = snprintf(out, size, "cuda %s, %s %d.%d %d SMs, runtime %d.%d, %s",
                     bd_precision_name(self->precision), c->info.name, c->info.major, c->info.minor,
                     c->info.sms, c->info.runtime / 1000, c->info.runtime % 1000 / 10, libraries);
    BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG,
               "cuda: %zu bytes are too few for the fingerprint", size);
    return BD_OK;
}

bd_status bd_cuda_backend_init(bd_backend *out, int device, bd_precision precision) {
    cuda_context *c;
    BD_TRY(cuda_context_get(&c, device));
    BD_REQUIRE(precision != BD_PRECISION_BF16 || c->info.major >= 8, BD_E_ARG,
               "precision bf16 needs compute capability 8.0, %s has %d.%d; use fp16", c->info.name,
               c->info.major, c->info.minor);
    *out = (bd_backend){
        .name = "cuda",
        .device = device,
        .precision = precision,
        .whole_batch = true,
        .fingerprint = fingerprint,
        .engine_create = engine_create,
        .engine_destroy = cuda_engine_destroy,
        .engine_memory = cuda_engine_memory,
        .slot_set = slot_set,
        .slot_get = slot_get,
        .const_set = const_set,
        .run = cuda_engine_run,
        .grad_norm = cuda_grad_norm,
        .adam = cuda_adam,
        .profile = cuda_profile,
        .step = cuda_train_step,
    };
    return BD_OK;
}
