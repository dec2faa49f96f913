/* The engine of the CPU backend: lower, plan, allocate, replay.
 * A batch is cut into tiles; each worker runs whole tiles with its own arena, so nothing depends on how many
 * workers there are. Gradients of tiles are added in tile order: a worker waits for its tile's turn. */
#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cpu/internal.h"

enum { ALIGN = 64, NORM_BLOCK = 4096, ADAM_BLOCK = 1 << 15 };

static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }
/* Floats at a byte offset of a block. */
static float *floats(void *block, size_t offset) {
    void *p = (char *)block + offset;
    return p;
}

static bd_conv_shape conv_shape(const bd_graph *g, const bd_node *n) {
    bd_conv_tensors t = bd_node_conv(n);
    const bd_tensor *x = bd_graph_tensor(g, t.x), *y = bd_graph_tensor(g, t.y);
    return (bd_conv_shape){x->dim[0], x->dim[1], x->dim[2], x->dim[3],
                           y->dim[1], y->dim[2], y->dim[3], n->attr.conv};
}

/* Weights stay packed between uses; a weight gradient that is summed over tiles stays packed too. Any other
 * conversion happens in the op's workspace: packed copy first, scratch behind it. */
static bool packs_in_workspace(const bd_engine *e, const bd_node *n) {
    if (n->op == BD_OP_conv2d_bwd_weight)
        return n->out[0] < 0 || bd_graph_tensor(e->g, n->out[0])->kind != BD_TENSOR_GRAD;
    return bd_graph_tensor(e->g, n->in[1])->kind != BD_TENSOR_PARAM;
}

static void make_conv(bd_engine *e, int i, size_t *workspace) {
    const bd_node *n = bd_graph_node(e->g, i);
    bd_conv_shape s = conv_shape(e->g, n);
    bd_conv_dir dir = n->op == BD_OP_conv2d            ? BD_CONV_FWD
                      : n->op == BD_OP_conv2d_bwd_data ? BD_CONV_BWD_DATA
                                                       : BD_CONV_BWD_WEIGHT;
    bd_conv_init(&e->conv[i], dir, &s);
    size_t packed = round_up(bd_conv_packed_bytes(&e->conv[i]));
    *workspace = round_up(bd_conv_scratch_bytes(&e->conv[i]));
    if (packs_in_workspace(e, n))
        *workspace += packed;
    else if (n->op == BD_OP_conv2d_bwd_weight) {
        e->packed_by[n->out[0]] = i;
        e->bytes[n->out[0]] = packed;
    } else {
        e->packed_at[i] = e->packed_bytes;
        e->packed_bytes += packed;
    }
}

static void make_workspaces(bd_engine *e, size_t *workspace) {
    for (int i = 0; i < bd_graph_node_count(e->g); i++) {
        const bd_node *n = bd_graph_node(e->g, i);
        if (bd_op_is_conv(n->op))
            make_conv(e, i, &workspace[i]);
        else
            workspace[i] = cpu_ops[n->op].workspace ? cpu_ops[n->op].workspace(e->g, n) : 0;
    }
}

static void lay_out_leaves(bd_engine *e) {
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        size_t *total = NULL;
        switch (t->kind) {
        case BD_TENSOR_PARAM: /* parameters lie without gaps: one Adam pass over all of them */
            e->place[i] = e->params_bytes;
            e->params_bytes += bd_tensor_count(t) * sizeof(float);
            continue;
        case BD_TENSOR_GRAD: total = &e->grads_bytes; break;
        case BD_TENSOR_CONST: total = &e->consts_bytes; break;
        case BD_TENSOR_INPUT:
        case BD_TENSOR_STATE: total = &e->leaves_bytes; break;
        case BD_TENSOR_ACT: continue;
        }
        e->place[i] = *total;
        *total += round_up(e->bytes[i]);
    }
    e->n_params = e->params_bytes / sizeof(float);
}

static bool trains(const bd_engine *e) { return e->grads_bytes > 0; }

static bd_status allocate(bd_engine *e) {
    size_t tensors = (size_t)bd_graph_tensor_count(e->g) + 1,
           nodes = (size_t)bd_graph_node_count(e->g) + 1;
    bool ok = (e->params = bd_alloc_pages(e->params_bytes + ALIGN)) &&
              (e->consts = bd_alloc_pages(e->consts_bytes + ALIGN)) &&
              (e->packed = bd_alloc_pages(e->packed_bytes + ALIGN)) &&
              (!e->rounds || (e->rounded = bd_alloc_pages(e->params_bytes + ALIGN)));
    if (ok && trains(e))
        ok = (e->grad_sum = bd_alloc_pages(e->grads_bytes)) &&
             (e->grad_plain = bd_alloc_pages(e->params_bytes)) &&
             (e->adam_m = bd_alloc_pages(e->params_bytes)) &&
             (e->adam_v = bd_alloc_pages(e->params_bytes));
    for (int w = 0; ok && w < e->workers; w++) {
        cpu_worker *k = &e->worker[w];
        ok = (k->data = calloc(tensors, sizeof *k->data)) &&
             (k->workspace = calloc(nodes, sizeof *k->workspace)) &&
             (k->conv = calloc(nodes, sizeof *k->conv)) &&
             (k->arena = bd_alloc_pages(e->plan.arena_bytes + ALIGN)) &&
             (k->leaves = bd_alloc_pages(e->leaves_bytes + ALIGN)) &&
             (!trains(e) || (k->grads = bd_alloc_pages(e->grads_bytes)));
    }
    bd_memory m;
    bd_backend_cpu.engine_memory(e, &m);
    BD_REQUIRE(ok, BD_E_MEMORY,
               "cpu: out of memory: this network needs %.1f GiB with %d threads; use fewer threads",
               (double)m.total / (1 << 30), e->workers);
    return BD_OK;
}

static void bind_tensors(bd_engine *e, cpu_worker *k) {
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        switch (bd_graph_tensor(e->g, i)->kind) {
        case BD_TENSOR_PARAM: k->data[i] = e->params + e->place[i]; break;
        case BD_TENSOR_GRAD: k->data[i] = k->grads + e->place[i]; break;
        case BD_TENSOR_CONST: k->data[i] = e->consts + e->place[i]; break;
        case BD_TENSOR_INPUT:
        case BD_TENSOR_STATE: k->data[i] = k->leaves + e->place[i]; break;
        case BD_TENSOR_ACT:
            k->data[i] = e->plan.tensors[i].bytes ? k->arena + e->plan.tensors[i].offset : NULL;
            break;
        }
    }
    for (int i = 0; i < bd_graph_node_count(e->g); i++)
        k->workspace[i] = k->arena + e->plan.workspaces[i].offset;
}

static void bind_conv(const bd_engine *e, cpu_worker *k, int i) {
    const bd_node *n = bd_graph_node(e->g, i);
    const bool weight = n->op == BD_OP_conv2d_bwd_weight;
    char *scratch = k->workspace[i], *packed = scratch;
    if (packs_in_workspace(e, n))
        scratch += round_up(bd_conv_packed_bytes(&e->conv[i]));
    else
        packed = weight ? k->data[n->out[0]] : e->packed + e->packed_at[i];
    bd_conv_tensors t = bd_node_conv(n);
    int z = n->op == BD_OP_conv2d ? n->in[3] : -1;
    k->conv[i] = (bd_conv_buffers){.x = k->data[t.x],
                                   .w = weight && n->out[0] < 0 ? NULL : floats(packed, 0),
                                   .b = t.b < 0 ? NULL : k->data[t.b],
                                   .y = k->data[t.y],
                                   .scratch = floats(scratch, 0),
                                   .z = z < 0 ? NULL : k->data[z]};
}

static void bind_worker(bd_engine *e, cpu_worker *k) {
    bind_tensors(e, k);
    for (int i = 0; i < bd_graph_node_count(e->g); i++)
        if (bd_op_is_conv(bd_graph_node(e->g, i)->op)) bind_conv(e, k, i);
}

static bd_status check_graph(const bd_engine *e) {
    BD_REQUIRE(e->vec, BD_E_DEVICE,
               "cpu: this processor has no AVX2 and FMA, which the CPU backend needs");
    for (int i = 0; i < bd_graph_node_count(e->g); i++)
        BD_REQUIRE(
            bd_op_is_conv(bd_graph_node(e->g, i)->op) || cpu_ops[bd_graph_node(e->g, i)->op].run,
            BD_E_ARG, "cpu: op %s cannot stand in a graph", bd_op_name(bd_graph_node(e->g, i)->op));
    return BD_OK;
}

/* Where a device would keep 16 bits, the CPU keeps float32 that 16 bits can hold (round_outputs). */
static bd_type stored_type(const bd_tensor *t) {
    return t->type == BD_TYPE_BF16 ? BD_TYPE_F32 : t->type;
}

static bd_status build(bd_engine *e) {
    BD_TRY(check_graph(e));
    const size_t tensors = (size_t)bd_graph_tensor_count(e->g) + 1,
                 nodes = (size_t)bd_graph_node_count(e->g) + 1;
    size_t *workspace = calloc(nodes, sizeof *workspace);
    e->conv = calloc(nodes, sizeof *e->conv);
    e->packed_at = calloc(nodes, sizeof *e->packed_at);
    e->place = calloc(tensors, sizeof *e->place);
    e->bytes = calloc(tensors, sizeof *e->bytes);
    e->packed_by = calloc(tensors, sizeof *e->packed_by);
    e->worker = calloc((size_t)e->workers, sizeof *e->worker);
    bd_status st = BD_OK;
    if (!workspace || !e->conv || !e->packed_at || !e->place || !e->bytes || !e->packed_by ||
        !e->worker)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "cpu: out of memory");
    for (int i = 0; i < bd_graph_tensor_count(e->g); i++) {
        const bd_tensor *t = bd_graph_tensor(e->g, i);
        e->bytes[i] = bd_tensor_count(t) * bd_type_size(stored_type(t));
        e->packed_by[i] = -1;
    }
    make_workspaces(e, workspace);
    lay_out_leaves(e);
    BD_TRY_TO(done, st, bd_plan_create(&e->plan, e->g, e->bytes, workspace));
    BD_TRY_TO(done, st, allocate(e));
    for (int w = 0; w < e->workers; w++) bind_worker(e, &e->worker[w]);
done:
    free(workspace);
    return st;
}

static void engine_destroy(bd_engine *e) {
    if (!e) return;
    for (int w = 0; e->worker && w < e->workers; w++) {
        cpu_worker *k = &e->worker[w];
        free(k->data);
        free(k->workspace);
        free(k->conv);
        bd_free_pages(k->arena, e->plan.arena_bytes + ALIGN);
        bd_free_pages(k->leaves, e->leaves_bytes + ALIGN);
        bd_free_pages(k->grads, e->grads_bytes);
    }
    bd_free_pages(e->params, e->params_bytes + ALIGN);
    bd_free_pages(e->rounded, e->params_bytes + ALIGN);
    bd_free_pages(e->consts, e->consts_bytes + ALIGN);
    bd_free_pages(e->packed, e->packed_bytes + ALIGN);
    bd_free_pages(e->grad_sum, e->grads_bytes);
    bd_free_pages(e->grad_plain, e->params_bytes);
    bd_free_pages(e->adam_m, e->params_bytes);
    bd_free_pages(e->adam_v, e->params_bytes);
    bd_plan_clear(&e->plan);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->moved);
    free(e->conv);
    free(e->packed_at);
    free(e->place);
    free(e->bytes);
    free(e->packed_by);
    free(e->worker);
    bd_graph_destroy(e->g);
    free(e);
}

static bd_status engine_create(bd_engine **out, const bd_backend *self, const bd_graph *g,
                               bd_pool *pool) {
    *out = NULL;
    BD_REQUIRE(self->precision == BD_PRECISION_F32 || self->precision == BD_PRECISION_BF16,
               BD_E_ARG, "cpu: precision %s is for CUDA devices; the CPU computes in f32 or bf16",
               bd_precision_name(self->precision));
    bd_engine *e = calloc(1, sizeof *e);
    BD_REQUIRE(e, BD_E_MEMORY, "cpu: out of memory");
    *e = (bd_engine){.pool = pool,
                     .vec = bd_vec_best(),
                     .kernels = bd_conv_kernels_best(),
                     .workers = bd_pool_workers(pool),
                     .dirty = true};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->moved, NULL);
    e->rounds = self->precision == BD_PRECISION_BF16;
    bd_status st = bd_graph_lower(&e->g, g, BD_CAN_NORM_CHANNEL | BD_CAN_CONV_ADD,
                                  e->rounds ? BD_TYPE_BF16 : BD_TYPE_F32);
    if (!st) st = build(e);
    if (st) {
        engine_destroy(e);
        return st;
    }
    *out = e;
    return BD_OK;
}

static void engine_memory(const bd_engine *e, bd_memory *m) {
    m->params = e->params_bytes * (e->rounds ? 2 : 1) + e->packed_bytes + e->consts_bytes;
    m->optimizer = trains(e) ? e->grads_bytes + 3 * e->params_bytes : 0;
    m->arena = e->plan.arena_bytes + e->leaves_bytes;
    m->total = m->params + m->optimizer + (size_t)e->workers * (m->arena + e->grads_bytes);
}

/* --- slots --- */

static bd_status slot_data(const bd_engine *e, bd_slot slot, int id, float **out) {
    BD_REQUIRE(id >= 0 && id < bd_graph_tensor_count(e->g) &&
                   bd_graph_tensor(e->g, id)->kind == BD_TENSOR_PARAM,
               BD_E_ARG, "cpu: tensor %d is no parameter", id);
    char *base = slot == BD_SLOT_PARAM    ? e->params
                 : slot == BD_SLOT_GRAD   ? e->grad_plain
                 : slot == BD_SLOT_ADAM_M ? e->adam_m
                                          : e->adam_v;
    BD_REQUIRE(base, BD_E_ARG, "cpu: this engine does not train, it has no gradients and moments");
    *out = floats(base, e->place[id]);
    return BD_OK;
}

static bd_status slot_set(bd_engine *e, bd_slot slot, int id, const float *src) {
    float *p;
    BD_TRY(slot_data(e, slot, id, &p));
    memcpy(p, src, e->bytes[id]);
    if (slot == BD_SLOT_PARAM) e->dirty = true;
    return BD_OK;
}

static bd_status slot_get(bd_engine *e, bd_slot slot, int id, float *dst) {
    float *p;
    BD_TRY(slot_data(e, slot, id, &p));
    memcpy(dst, p, e->bytes[id]);
    return BD_OK;
}

static bd_status const_set(bd_engine *e, int id, const void *src) {
    BD_REQUIRE(id >= 0 && id < bd_graph_tensor_count(e->g) &&
                   bd_graph_tensor(e->g, id)->kind == BD_TENSOR_CONST,
               BD_E_ARG, "cpu: tensor %d is no constant", id);
    memcpy(e->consts + e->place[id], src, e->bytes[id]);
    return BD_OK;
}

/* --- replay --- */

static bd_status pack_task(void *ctx, int task, int worker) {
    bd_engine *e = ctx;
    (void)worker;
    const bd_node *n = bd_graph_node(e->g, task);
    if (bd_op_is_conv(n->op) && n->op != BD_OP_conv2d_bwd_weight && !packs_in_workspace(e, n))
        bd_conv_pack(&e->conv[task], floats(e->packed, e->packed_at[task]),
                     floats(e->rounds ? e->rounded : e->params, e->place[n->in[1]]));
    return BD_OK;
}

static void run_conv_node(const bd_engine *e, const cpu_worker *k, int i) {
    const bd_node *n = bd_graph_node(e->g, i);
    const bd_conv_buffers *b = &k->conv[i];
    const bool convert = packs_in_workspace(e, n), weight = n->op == BD_OP_conv2d_bwd_weight;
    if (convert && !weight) bd_conv_pack(&e->conv[i], b->w, k->data[n->in[1]]);
    bd_conv_run(&e->conv[i], b);
    if (convert && weight && b->w) bd_conv_unpack(&e->conv[i], k->data[n->out[0]], b->w);
}

/* bf16: the numbers a device would have stored. */
static void round_outputs(const bd_engine *e, const cpu_worker *k, const bd_node *n) {
    for (int j = 0; j < BD_NODE_OUT_MAX; j++) {
        const bd_tensor *t = n->out[j] < 0 ? NULL : bd_graph_tensor(e->g, n->out[j]);
        if (t && t->type == BD_TYPE_BF16)
            e->vec->round_bf16(k->data[n->out[j]], bd_tensor_count(t));
    }
}

static bd_status run_node(const bd_engine *e, const cpu_worker *k, int i) {
    const bd_node *n = bd_graph_node(e->g, i);
    if (bd_op_is_conv(n->op)) {
        run_conv_node(e, k, i);
    } else {
        cpu_call c = {e->g, n, e->vec, e->kernels, k->data, k->workspace[i]};
        BD_TRY(cpu_ops[n->op].run(&c));
    }
    if (e->rounds) round_outputs(e, k, n);
    return BD_OK;
}

typedef struct {
    bd_engine *e;
    const bd_run *r;
    bool accumulate;
} run_ctx;

static bd_status run_iterations(const run_ctx *x, const cpu_worker *k, int tile) {
    const bd_view view = {.data = k->data};
    int nodes = bd_graph_node_count(x->e->g);
    for (int it = 0; it < x->r->n_iter; it++) {
        if (x->r->before) BD_TRY(x->r->before(x->r->ctx, tile, it, &view));
        for (int i = 0; i < nodes; i++) BD_TRY(run_node(x->e, k, i));
        if (x->r->after) BD_TRY(x->r->after(x->r->ctx, tile, it, &view));
    }
    return BD_OK;
}

/* Wait until all lower tiles have added their gradients. */
static bool await_turn(bd_engine *e, int tile) {
    pthread_mutex_lock(&e->lock);
    while (e->turn != tile && !e->failed) pthread_cond_wait(&e->moved, &e->lock);
    bool ok = e->turn == tile;
    pthread_mutex_unlock(&e->lock);
    return ok;
}

static void pass_turn(bd_engine *e, bool ok) {
    pthread_mutex_lock(&e->lock);
    if (ok)
        e->turn++;
    else
        e->failed = true;
    pthread_cond_broadcast(&e->moved);
    pthread_mutex_unlock(&e->lock);
}

static bd_status tile_task(void *ctx, int tile, int worker) {
    run_ctx *x = ctx;
    bd_engine *e = x->e;
    const cpu_worker *k = &e->worker[worker];
    bd_status st = run_iterations(x, k, tile);
    if (!trains(e)) return st;
    if (!st && !await_turn(e, tile)) st = bd_fail(BD_E_DEVICE, "cpu: an earlier tile failed");
    if (!st) {
        float *sum = floats(e->grad_sum, 0), *mine = floats(k->grads, 0);
        if (tile == 0 && !x->accumulate)
            memcpy(sum, mine, e->grads_bytes);
        else
            e->vec->add(sum, sum, mine, e->grads_bytes / sizeof(float));
    }
    pass_turn(e, st == BD_OK);
    return st;
}

static bd_status unpack_task(void *ctx, int id, int worker) {
    bd_engine *e = ctx;
    (void)worker;
    const bd_tensor *t = bd_graph_tensor(e->g, id);
    if (t->kind != BD_TENSOR_GRAD) return BD_OK;
    float *plain = floats(e->grad_plain, e->place[t->param]);
    char *sum = e->grad_sum + e->place[id];
    if (e->packed_by[id] >= 0)
        bd_conv_unpack(&e->conv[e->packed_by[id]], plain, floats(sum, 0));
    else
        memcpy(plain, sum, e->bytes[id]);
    return BD_OK;
}

/* Bring the packed weights up to date. */
static bd_status pack(bd_engine *e) {
    if (!e->dirty) return BD_OK;
    if (e->rounds) {
        memcpy(e->rounded, e->params, e->params_bytes);
        e->vec->round_bf16(floats(e->rounded, 0), e->n_params);
    }
    BD_TRY(bd_pool_run(e->pool, bd_graph_node_count(e->g), pack_task, e));
    e->dirty = false;
    return BD_OK;
}

static bd_status run(bd_engine *e, const bd_run *r, bool accumulate) {
    BD_TRY(pack(e));
    e->turn = 0;
    e->failed = false;
    run_ctx x = {e, r, accumulate};
    BD_TRY(bd_pool_run(e->pool, r->n_tiles, tile_task, &x));
    return trains(e) ? bd_pool_run(e->pool, bd_graph_tensor_count(e->g), unpack_task, e) : BD_OK;
}

/* --- optimiser --- */

static bd_status grad_norm(bd_engine *e, double *norm) {
    BD_REQUIRE(trains(e), BD_E_ARG, "cpu: this engine has no gradients");
    double sum = 0;
    for (size_t i = 0; i < e->n_params; i += NORM_BLOCK) {
        size_t n = e->n_params - i < NORM_BLOCK ? e->n_params - i : NORM_BLOCK;
        sum += e->vec->sum_sq(floats(e->grad_plain, 0) + i, n);
    }
    *norm = sqrt(sum);
    BD_REQUIRE(isfinite(*norm), BD_E_NUMERIC, "the gradient is not finite (norm %g)", *norm);
    return BD_OK;
}

typedef struct {
    bd_engine *e;
    const bd_adam *a;
    double norm;
} adam_ctx;

static bd_status adam_task(void *ctx, int task, int worker) {
    adam_ctx *x = ctx;
    (void)worker;
    const bd_adam *a = x->a;
    size_t at = (size_t)task * ADAM_BLOCK;
    size_t n = x->e->n_params - at < ADAM_BLOCK ? x->e->n_params - at : ADAM_BLOCK;
    double gscale = a->clip > 0 && a->clip / (x->norm + 1e-6) < 1 ? a->clip / (x->norm + 1e-6) : 1;
    const bd_vec_adam v = {
        .scale = (float)gscale,
        .b1 = (float)a->beta1,
        .c1 = (float)(1 - a->beta1),
        .b2 = (float)a->beta2,
        .c2 = (float)(1 - a->beta2),
        .k1 = (float)(a->lr / (1 - pow(a->beta1, (double)a->k))),
        .k2 = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->k))),
        .eps = (float)a->eps,
    };
    bd_engine *e = x->e;
    e->vec->adam(floats(e->params, 0) + at, floats(e->adam_m, 0) + at, floats(e->adam_v, 0) + at,
                 floats(e->grad_plain, 0) + at, n, &v);
    return BD_OK;
}

static bd_status adam(bd_engine *e, const bd_adam *a, double norm) {
    BD_REQUIRE(trains(e) && a->k >= 1, BD_E_ARG,
               "cpu: adam needs gradients and an update number >= 1");
    adam_ctx x = {e, a, norm};
    e->dirty = true;
    return bd_pool_run(e->pool, (int)((e->n_params + ADAM_BLOCK - 1) / ADAM_BLOCK), adam_task, &x);
}

/* Every sum of the CPU backend has one order, and every variant of its kernels gives the same bits: what a result
 * depends on is this code, and exp, log, pow, sin and cos of the C library. */
static bd_status fingerprint(const bd_backend *self, char *out, size_t size) {
    int n = snprintf(out, size, "cpu %s, kernels 2, glibc %s", bd_precision_name(self->precision),
                     gnu_get_libc_version());
    BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG,
               "cpu: %zu bytes are too few for the fingerprint", size);
    return BD_OK;
}

/* --- profile --- */

typedef struct {
    const bd_engine *e;
    int node;
    double *t; /* by worker, of this repetition */
} profile_ctx;

static bd_status profile_task(void *ctx, int task, int worker) {
    const profile_ctx *x = ctx;
    (void)task;
    double start = bd_clock_seconds();
    bd_status st = run_node(x->e, &x->e->worker[worker], x->node);
    x->t[worker] = bd_clock_seconds() - start;
    return st;
}

/* The median; t [repeat][workers]. The first run, which may find its code and data far away, is not kept. */
static bd_status time_node(double *median, double *t, bd_engine *e, int node, bd_profile_by by,
                           int repeat) {
    const int workers = by == BD_PROFILE_ALL ? e->workers : 1;
    for (int r = -1; r < repeat; r++) {
        profile_ctx x = {e, node, t + (size_t)(r < 0 ? 0 : r) * (size_t)workers};
        BD_TRY(by == BD_PROFILE_ALL ? bd_pool_each(e->pool, profile_task, &x)
                                    : profile_task(&x, 0, 0));
    }
    *median = bd_clock_median(t, (size_t)repeat * (size_t)workers);
    return BD_OK;
}

static bd_status profile(bd_engine *e, bd_profile_by by, int repeat, bd_op_profile **out, int *n) {
    BD_REQUIRE(repeat >= 1, BD_E_ARG, "profile: repeat must be >= 1");
    BD_TRY(pack(e));
    *n = bd_graph_node_count(e->g);
    const size_t times = (size_t)repeat * (size_t)(by == BD_PROFILE_ALL ? e->workers : 1);
    double *t = calloc(times, sizeof *t);
    bd_op_profile *rows = calloc((size_t)*n + 1, sizeof *rows);
    bd_status st = BD_OK;
    if (!t || !rows) BD_FAIL_TO(done, st, BD_E_MEMORY, "profile: out of memory");
    for (int i = 0; i < *n; i++) {
        double seconds;
        BD_TRY_TO(done, st, time_node(&seconds, t, e, i, by, repeat));
        rows[i] = bd_op_profile_of(e->g, i, e->bytes, seconds);
        snprintf(rows[i].impl, sizeof rows[i].impl, "%s",
                 bd_op_is_conv(rows[i].op) ? bd_conv_name(&e->conv[i]) : e->vec->isa);
    }
done:
    free(t);
    if (st) {
        free(rows);
        rows = NULL;
    }
    *out = rows;
    return st;
}

const bd_backend bd_backend_cpu = {
    .name = "cpu",
    .fingerprint = fingerprint,
    .engine_create = engine_create,
    .engine_destroy = engine_destroy,
    .engine_memory = engine_memory,
    .slot_set = slot_set,
    .slot_get = slot_get,
    .const_set = const_set,
    .run = run,
    .grad_norm = grad_norm,
    .adam = adam,
    .profile = profile,
};
