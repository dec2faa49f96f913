/* Builders of single operations: shape rules, then one appended node. */
#include <string.h>

#include "graph/internal.h"

#define DIMS "[%d,%d,%d,%d]"
#define DIM_ARGS(t) (t)->dim[0], (t)->dim[1], (t)->dim[2], (t)->dim[3]

/* A shape failure inside op `op`: recorded once, the chain continues with -1. */
#define SHAPE(cond, op, ...)                                                        \
    do {                                                                            \
        if (!(cond)) return bd_graph_set_error(g, BD_E_SHAPE, op ": " __VA_ARGS__); \
    } while (0)

static bool absent(const bd_graph *g, const int *ids, int n) {
    if (g->status) return true;
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= g->n_tensors) return true;
    return false;
}

/* The inputs of a call: an id of -1 means that an earlier call failed (or the caller passed nonsense). */
#define INPUTS(...)                                                                            \
    do {                                                                                       \
        const int ids_[] = {__VA_ARGS__};                                                      \
        if (absent(g, ids_, (int)(sizeof ids_ / sizeof ids_[0])))                              \
            return g->status                                                                   \
                       ? -1                                                                    \
                       : bd_graph_set_error(g, BD_E_ARG, "%s: an input is missing", __func__); \
    } while (0)

/* Name of the first of the tensors that does not hold float32; NULL when all do. */
static const char *not_f32(const bd_graph *g, const int *ids, int n) {
    for (int i = 0; i < n; i++)
        if (g->tensors[ids[i]].type != BD_TYPE_F32) return g->tensors[ids[i]].name;
    return NULL;
}

#define FLOATS(op, ...)                                                                      \
    do {                                                                                     \
        const int floats_[] = {__VA_ARGS__};                                                 \
        const char *other_ = not_f32(g, floats_, (int)(sizeof floats_ / sizeof floats_[0])); \
        SHAPE(!other_, op, "%s must be f32", other_);                                        \
    } while (0)

static const bd_tensor *at(const bd_graph *g, int id) { return &g->tensors[id]; }

static bool same_dims(const bd_tensor *a, const bd_tensor *b) {
    return memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

static bool is_vector(const bd_tensor *t, int c) {
    return t->dim[0] == 1 && t->dim[1] == 1 && t->dim[2] == 1 && t->dim[3] == c;
}

static bool is_per_image(const bd_tensor *t, int n, int c, bd_type type) {
    return t->dim[0] == n && t->dim[1] == 1 && t->dim[2] == 1 && t->dim[3] == c && t->type == type;
}

/* Append the node; returns its first output. */
static int emit(bd_graph *g, const bd_node *n) {
    return bd_graph_append(g, n) < 0 ? -1 : n->out[0];
}

int bd_conv2d(bd_graph *g, int x, int w, int b, bd_conv_attr a) {
    INPUTS(x, w, b < 0 ? x : b); /* b = -1: no bias */
    FLOATS("conv2d", x, w, b < 0 ? x : b);
    const bd_tensor *X = at(g, x), *W = at(g, w);
    SHAPE(W->dim[1] == X->dim[3], "conv2d", "input " DIMS " has %d channels, weight %s wants %d",
          DIM_ARGS(X), X->dim[3], W->name, W->dim[1]);
    SHAPE(W->dim[2] == a.kh && W->dim[3] == a.kw, "conv2d", "weight %s " DIMS " is not %dx%d",
          W->name, DIM_ARGS(W), a.kh, a.kw);
    SHAPE(a.stride >= 1 && a.pad_top >= 0 && a.pad_left >= 0 && a.pad_bottom >= 0 &&
              a.pad_right >= 0,
          "conv2d", "stride %d or a padding is out of range", a.stride);
    SHAPE(b < 0 || is_vector(at(g, b), W->dim[0]), "conv2d", "bias of %s must have %d elements",
          W->name, W->dim[0]);
    int hp = X->dim[1] + a.pad_top + a.pad_bottom, wp = X->dim[2] + a.pad_left + a.pad_right;
    SHAPE(hp >= a.kh && wp >= a.kw, "conv2d", "kernel %dx%d is larger than the padded input %dx%d",
          a.kh, a.kw, hp, wp);
    int y = bd_graph_act(g, "conv2d", BD_TYPE_F32, X->dim[0], (hp - a.kh) / a.stride + 1,
                         (wp - a.kw) / a.stride + 1, W->dim[0]);
    bd_node node = bd_node_make(BD_OP_conv2d, BD_LIST(x, w, b), BD_LIST(y));
    node.attr.conv = a;
    return emit(g, &node);
}

int bd_linear(bd_graph *g, int x, int w, int b) {
    return bd_conv2d(g, x, w, b, (bd_conv_attr){.kh = 1, .kw = 1, .stride = 1});
}

int bd_group_norm(bd_graph *g, int x, int gamma, int beta, bd_norm_attr a) {
    INPUTS(x, gamma, beta);
    FLOATS("group_norm", x, gamma, beta);
    const bd_tensor *X = at(g, x);
    int n = X->dim[0], c = X->dim[3];
    SHAPE(a.groups >= 1 && c % a.groups == 0, "group_norm", "C=%d is no multiple of G=%d", c,
          a.groups);
    SHAPE(a.eps > 0, "group_norm", "eps must be > 0");
    SHAPE(is_vector(at(g, gamma), c) && is_vector(at(g, beta), c), "group_norm",
          "%s must have C=%d elements", at(g, gamma)->name, c);
    int y = bd_graph_act(g, "group_norm", BD_TYPE_F32, n, X->dim[1], X->dim[2], c);
    int mean = bd_graph_act(g, "group_norm.mean", BD_TYPE_F32, n, 1, 1, a.groups);
    int rstd = bd_graph_act(g, "group_norm.rstd", BD_TYPE_F32, n, 1, 1, a.groups);
    bd_node node = bd_node_make(BD_OP_group_norm, BD_LIST(x, gamma, beta), BD_LIST(y, mean, rstd));
    node.attr.norm = a;
    return emit(g, &node);
}

int bd_attention(bd_graph *g, int q, int k, int v, int heads) {
    INPUTS(q, k, v);
    FLOATS("attention", q, k, v);
    const bd_tensor *Q = at(g, q);
    SHAPE(same_dims(Q, at(g, k)) && same_dims(Q, at(g, v)), "attention",
          "q " DIMS ", k and v must have the same shape", DIM_ARGS(Q));
    SHAPE(heads >= 1 && Q->dim[3] % heads == 0, "attention", "C=%d is no multiple of heads=%d",
          Q->dim[3], heads);
    int n = Q->dim[0], s = Q->dim[1] * Q->dim[2];
    int o = bd_graph_act(g, "attention", BD_TYPE_F32, n, Q->dim[1], Q->dim[2], Q->dim[3]);
    int p = bd_graph_act(g, "attention.p", BD_TYPE_F32, n, heads, s, s);
    bd_node node = bd_node_make(BD_OP_attention, BD_LIST(q, k, v), BD_LIST(o, p));
    node.attr.attention = (bd_attention_attr){heads};
    return emit(g, &node);
}

int bd_add(bd_graph *g, int a, int b) {
    INPUTS(a, b);
    FLOATS("add", a, b);
    const bd_tensor *A = at(g, a), *B = at(g, b);
    SHAPE(same_dims(A, B), "add", "shapes " DIMS " and " DIMS " differ", DIM_ARGS(A), DIM_ARGS(B));
    int y = bd_graph_act(g, "add", BD_TYPE_F32, A->dim[0], A->dim[1], A->dim[2], A->dim[3]);
    bd_node node = bd_node_make(BD_OP_add, BD_LIST(a, b), BD_LIST(y));
    return emit(g, &node);
}

int bd_add_channel(bd_graph *g, int x, int v) {
    INPUTS(x, v);
    FLOATS("add_channel", x, v);
    const bd_tensor *X = at(g, x), *V = at(g, v);
    SHAPE(is_per_image(V, X->dim[0], X->dim[3], BD_TYPE_F32), "add_channel",
          "x " DIMS " needs v [%d,1,1,%d], not " DIMS, DIM_ARGS(X), X->dim[0], X->dim[3],
          DIM_ARGS(V));
    int y = bd_graph_act(g, "add_channel", BD_TYPE_F32, X->dim[0], X->dim[1], X->dim[2], X->dim[3]);
    bd_node node = bd_node_make(BD_OP_add_channel, BD_LIST(x, v), BD_LIST(y));
    return emit(g, &node);
}

int bd_scale(bd_graph *g, int x, float value) {
    INPUTS(x);
    FLOATS("scale", x);
    const bd_tensor *X = at(g, x);
    int y = bd_graph_act(g, "scale", BD_TYPE_F32, X->dim[0], X->dim[1], X->dim[2], X->dim[3]);
    bd_node node = bd_node_make(BD_OP_scale, BD_LIST(x), BD_LIST(y));
    node.attr.scalar = (bd_scalar_attr){value};
    return emit(g, &node);
}

int bd_concat(bd_graph *g, int a, int b) {
    INPUTS(a, b);
    FLOATS("concat", a, b);
    const bd_tensor *A = at(g, a), *B = at(g, b);
    SHAPE(A->dim[0] == B->dim[0] && A->dim[1] == B->dim[1] && A->dim[2] == B->dim[2], "concat",
          DIMS " and " DIMS " differ outside the channels", DIM_ARGS(A), DIM_ARGS(B));
    int y = bd_graph_act(g, "concat", BD_TYPE_F32, A->dim[0], A->dim[1], A->dim[2],
                         A->dim[3] + B->dim[3]);
    bd_node node = bd_node_make(BD_OP_concat, BD_LIST(a, b), BD_LIST(y));
    return emit(g, &node);
}

int bd_slice(bd_graph *g, int x, int first, int count) {
    INPUTS(x);
    FLOATS("slice", x);
    const bd_tensor *X = at(g, x);
    SHAPE(first >= 0 && count >= 1 && first <= X->dim[3] - count, "slice",
          "channels %d..%d are outside 0..%d", first, first + count - 1, X->dim[3] - 1);
    int y = bd_graph_act(g, "slice", BD_TYPE_F32, X->dim[0], X->dim[1], X->dim[2], count);
    bd_node node = bd_node_make(BD_OP_slice, BD_LIST(x), BD_LIST(y));
    node.attr.slice = (bd_slice_attr){first};
    return emit(g, &node);
}

int bd_upsample2(bd_graph *g, int x) {
    INPUTS(x);
    FLOATS("upsample2", x);
    const bd_tensor *X = at(g, x);
    int y = bd_graph_act(g, "upsample2", BD_TYPE_F32, X->dim[0], 2 * X->dim[1], 2 * X->dim[2],
                         X->dim[3]);
    bd_node node = bd_node_make(BD_OP_upsample2, BD_LIST(x), BD_LIST(y));
    return emit(g, &node);
}

int bd_silu(bd_graph *g, int x) {
    INPUTS(x);
    FLOATS("silu", x);
    const bd_tensor *X = at(g, x);
    int y = bd_graph_act(g, "silu", BD_TYPE_F32, X->dim[0], X->dim[1], X->dim[2], X->dim[3]);
    bd_node node = bd_node_make(BD_OP_silu, BD_LIST(x), BD_LIST(y));
    return emit(g, &node);
}

int bd_relu(bd_graph *g, int x) {
    INPUTS(x);
    FLOATS("relu", x);
    const bd_tensor *X = at(g, x);
    int y = bd_graph_act(g, "relu", BD_TYPE_F32, X->dim[0], X->dim[1], X->dim[2], X->dim[3]);
    bd_node node = bd_node_make(BD_OP_relu, BD_LIST(x), BD_LIST(y));
    return emit(g, &node);
}

static int pool(bd_graph *g, bd_op op, int x, bd_window_attr a) {
    INPUTS(x);
    SHAPE(g->tensors[x].type == BD_TYPE_F32, "pool", "%s must be f32", at(g, x)->name);
    /* PyTorch's rule too: with less padding than half a window, each window sees the image */
    SHAPE(a.size >= 1 && a.stride >= 1 && a.pad >= 0 && 2 * a.pad <= a.size, "pool",
          "window %d, stride %d, padding %d: padding may be half a window at most", a.size,
          a.stride, a.pad);
    const bd_tensor *X = at(g, x);
    int h = X->dim[1] + 2 * a.pad - a.size, w = X->dim[2] + 2 * a.pad - a.size;
    SHAPE(h >= 0 && w >= 0, "pool", "window %d is larger than the padded input " DIMS, a.size,
          DIM_ARGS(X));
    int y = bd_graph_act(g, bd_op_name(op), BD_TYPE_F32, X->dim[0], h / a.stride + 1,
                         w / a.stride + 1, X->dim[3]);
    bd_node node = bd_node_make(op, BD_LIST(x), BD_LIST(y));
    node.attr.window = a;
    return emit(g, &node);
}

int bd_max_pool(bd_graph *g, int x, bd_window_attr a) { return pool(g, BD_OP_max_pool, x, a); }
int bd_avg_pool(bd_graph *g, int x, bd_window_attr a) { return pool(g, BD_OP_avg_pool, x, a); }

int bd_mean_hw(bd_graph *g, int x) {
    INPUTS(x);
    FLOATS("mean_hw", x);
    const bd_tensor *X = at(g, x);
    int y = bd_graph_act(g, "mean_hw", BD_TYPE_F32, X->dim[0], 1, 1, X->dim[3]);
    bd_node node = bd_node_make(BD_OP_mean_hw, BD_LIST(x), BD_LIST(y));
    return emit(g, &node);
}

int bd_time_embedding(bd_graph *g, int timestep, int channels, bd_time_attr a) {
    INPUTS(timestep);
    const bd_tensor *T = at(g, timestep);
    SHAPE(is_per_image(T, T->dim[0], 1, BD_TYPE_F32), "time_embedding",
          "timestep must be f32 [N,1,1,1], not " DIMS, DIM_ARGS(T));
    SHAPE(channels >= 2 && channels % 2 == 0, "time_embedding", "channels=%d must be even",
          channels);
    SHAPE(a.freq_shift >= 0 && channels / 2 > a.freq_shift, "time_embedding",
          "freq_shift=%d needs more than %d channels", a.freq_shift, channels);
    int y = bd_graph_act(g, "time_embedding", BD_TYPE_F32, T->dim[0], 1, 1, channels);
    bd_node node = bd_node_make(BD_OP_time_embedding, BD_LIST(timestep), BD_LIST(y));
    node.attr.time = a;
    return emit(g, &node);
}

int bd_mse(bd_graph *g, int pred, int target, int weight) {
    INPUTS(pred, target, weight);
    FLOATS("mse", pred, target);
    const bd_tensor *P = at(g, pred), *T = at(g, target);
    SHAPE(same_dims(P, T), "mse", "prediction " DIMS " and target " DIMS " differ", DIM_ARGS(P),
          DIM_ARGS(T));
    SHAPE(is_per_image(at(g, weight), P->dim[0], 1, BD_TYPE_F32), "mse", "weight must be f32 [%d]",
          P->dim[0]);
    int loss = bd_graph_act(g, "mse", BD_TYPE_F64, P->dim[0], 1, 1, 1);
    bd_node node = bd_node_make(BD_OP_mse, BD_LIST(pred, target, weight), BD_LIST(loss));
    return emit(g, &node);
}

int bd_cross_entropy(bd_graph *g, int logits, int label, int weight, int *prob) {
    INPUTS(logits, label, weight);
    FLOATS("cross_entropy", logits);
    const bd_tensor *L = at(g, logits);
    int n = L->dim[0];
    SHAPE(L->dim[1] == 1 && L->dim[2] == 1, "cross_entropy", "logits " DIMS " must be [N,1,1,K]",
          DIM_ARGS(L));
    SHAPE(is_per_image(at(g, label), n, 1, BD_TYPE_I32), "cross_entropy", "label must be i32 [%d]",
          n);
    SHAPE(is_per_image(at(g, weight), n, 1, BD_TYPE_F32), "cross_entropy",
          "weight must be f32 [%d]", n);
    int loss = bd_graph_act(g, "cross_entropy", BD_TYPE_F64, n, 1, 1, 1);
    int p = bd_graph_act(g, "cross_entropy.prob", BD_TYPE_F32, n, 1, 1, g->tensors[logits].dim[3]);
    if (prob) *prob = p;
    bd_node node =
        bd_node_make(BD_OP_cross_entropy, BD_LIST(logits, label, weight), BD_LIST(loss, p));
    return emit(g, &node);
}

static int check_batch(bd_graph *g, int images, int trigger, int target, int index, int flags,
                       int coef, int key) {
    INPUTS(images, trigger, target, index, flags, coef, key);
    FLOATS("batch_build", trigger, target);
    const bd_tensor *I = at(g, images);
    int n = at(g, index)->dim[0];
    const int one[4] = {1, I->dim[1], I->dim[2], I->dim[3]};
    SHAPE(I->type == BD_TYPE_U8, "batch_build", "images must be u8");
    SHAPE(memcmp(at(g, trigger)->dim, one, sizeof one) == 0 &&
              memcmp(at(g, target)->dim, one, sizeof one) == 0,
          "batch_build", "trigger and target must be [1,%d,%d,%d]", one[1], one[2], one[3]);
    SHAPE(is_per_image(at(g, index), n, 1, BD_TYPE_I32) &&
              is_per_image(at(g, flags), n, 1, BD_TYPE_I32) &&
              is_per_image(at(g, coef), n, 4, BD_TYPE_F32) &&
              is_per_image(at(g, key), n, 4, BD_TYPE_I32),
          "batch_build",
          "index, flags [n] i32, coef [n]x4 f32 and key [n]x4 i32 must agree in n=%d", n);
    return 0;
}

bd_batch_out bd_batch_build(bd_graph *g, int images, int trigger, int target, int index, int flags,
                            int coef, int key) {
    const bd_batch_out none = {-1, -1};
    if (check_batch(g, images, trigger, target, index, flags, coef, key) < 0) return none;
    int n = at(g, index)->dim[0];
    const int h = at(g, images)->dim[1], w = at(g, images)->dim[2], c = at(g, images)->dim[3];
    int x = bd_graph_act(g, "batch.x_t", BD_TYPE_F32, n, h, w, c);
    int y = bd_graph_act(g, "batch.y", BD_TYPE_F32, n, h, w, c);
    bd_node node =
        bd_node_make(BD_OP_batch_build, BD_LIST(images, trigger, target, index, flags, coef, key),
                     BD_LIST(x, y));
    if (emit(g, &node) < 0) return none;
    return (bd_batch_out){x, y};
}

int bd_sampler_step(bd_graph *g, int x, int e, int coef, int key, int h) {
    INPUTS(x, e, coef, key, h < 0 ? x : h); /* h = -1: no history */
    FLOATS("sampler_step", x, e, h < 0 ? x : h);
    const bd_tensor *X = at(g, x), *K = at(g, coef), *H = at(g, h < 0 ? x : h);
    SHAPE(X->kind == BD_TENSOR_STATE, "sampler_step", "x (%s) must be a state tensor", X->name);
    int slots = H->dim[1] / X->dim[1];
    SHAPE(H->kind == BD_TENSOR_STATE && H->dim[0] == X->dim[0] && H->dim[2] == X->dim[2] &&
              H->dim[3] == X->dim[3] && H->dim[1] == slots * X->dim[1] && slots >= 1 &&
              slots <= BD_SAMPLER_HISTORY,
          "sampler_step", "history " DIMS " must be a state of 1 to %d times x " DIMS, DIM_ARGS(H),
          BD_SAMPLER_HISTORY, DIM_ARGS(X));
    SHAPE(same_dims(X, at(g, e)), "sampler_step", "x " DIMS " and e " DIMS " differ", DIM_ARGS(X),
          DIM_ARGS(at(g, e)));
    SHAPE(is_vector(K, BD_SAMPLER_COEFS) && K->type == BD_TYPE_F64, "sampler_step",
          "coef must be f64 [1,1,1,%d]", BD_SAMPLER_COEFS);
    SHAPE(is_per_image(at(g, key), X->dim[0], 4, BD_TYPE_I32), "sampler_step",
          "key must be i32 [%d]x4", X->dim[0]);
    bd_node node = bd_node_make(BD_OP_sampler_step, BD_LIST(x, e, coef, key, h), BD_LIST(x, h));
    return emit(g, &node);
}
