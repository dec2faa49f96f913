/* Lowering pass: one rewrite a capability, each a walk over the nodes in order. */
#include "graph/lower.h"

#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"

static bd_status copy_grads(bd_graph *to, const bd_graph *g) {
    if (!g->grad_of) return BD_OK;
    to->grad_of = malloc((size_t)g->n_grad_of * sizeof *to->grad_of);
    BD_REQUIRE(to->grad_of, BD_E_MEMORY, "graph %s: out of memory", g->name);
    memcpy(to->grad_of, g->grad_of, (size_t)g->n_grad_of * sizeof *to->grad_of);
    to->n_grad_of = g->n_grad_of;
    return BD_OK;
}

static bd_status copy_tensors(bd_graph *to, const bd_graph *g) {
    for (int i = 0; i < g->n_tensors; i++) {
        const bd_tensor *t = &g->tensors[i];
        int id = bd_graph_leaf(to, t->name, t->kind, t->type, t->dim);
        if (id < 0) return bd_graph_status(to);
        to->tensors[id].keep = t->keep;
        to->tensors[id].param = t->param;
    }
    return BD_OK;
}

/* The place where a norm takes the tensor that it normalises, and where it takes v; -1 for other ops. */
static int norm_x(bd_op op) {
    return op == BD_OP_group_norm ? 0 : op == BD_OP_group_norm_bwd ? 1 : -1;
}
static int norm_v(bd_op op) { return op == BD_OP_group_norm ? 3 : 6; }

/* Is `u` read by norms alone, as the tensor to normalise, none of which adds something already? */
static bool only_normalised(const bd_graph *g, int u) {
    if (g->tensors[u].keep || g->tensors[u].kind != BD_TENSOR_ACT) return false;
    for (int i = 0; i < g->n_nodes; i++) {
        const bd_node *n = &g->nodes[i];
        for (int j = 0; j < BD_NODE_IN_MAX; j++)
            if (n->in[j] == u && (j != norm_x(n->op) || n->in[norm_v(n->op)] >= 0)) return false;
    }
    return true;
}

/* norm(add_channel(x, v)) becomes norm(x, v); the sum is never stored. */
static void merge_norm_channel(bd_graph *g) {
    int kept = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const bd_node a = g->nodes[i];
        if (a.op != BD_OP_add_channel || !only_normalised(g, a.out[0])) {
            g->nodes[kept++] = a;
            continue;
        }
        for (int k = i + 1; k < g->n_nodes; k++) {
            bd_node *n = &g->nodes[k];
            int x = norm_x(n->op);
            if (x < 0 || n->in[x] != a.out[0]) continue;
            n->in[x] = a.in[0];
            n->in[norm_v(n->op)] = a.in[1];
        }
    }
    g->n_nodes = kept;
}

/* --- a sum behind a convolution --- */

/* The only node that reads `u`, or -1 when there are none or several. */
static int only_reader(const bd_graph *g, int u) {
    int reader = -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int j = 0; j < BD_NODE_IN_MAX; j++) {
            if (g->nodes[i].in[j] != u) continue;
            if (reader >= 0) return -1;
            reader = i;
        }
    return reader;
}

/* The node of a convolution whose result the sum `add` alone reads; -1: none. */
static int merges(const bd_graph *g, const bd_node *add, int at, int side) {
    int u = add->in[side];
    if (g->tensors[u].keep || g->tensors[u].kind != BD_TENSOR_ACT || only_reader(g, u) != at)
        return -1;
    for (int i = 0; i < at; i++)
        if (g->nodes[i].op == BD_OP_conv2d && g->nodes[i].out[0] == u)
            return g->nodes[i].in[3] < 0 ? i : -1;
    return -1;
}

/* add(conv(x, w, b), z) becomes conv(x, w, b, z), at the place of the sum. */
static void merge_conv_add(bd_graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const bd_node add = g->nodes[i];
        if (add.op != BD_OP_add || add.in[0] == add.in[1]) continue;
        for (int side = 0; side < 2; side++) {
            int conv = merges(g, &add, i, side);
            if (conv < 0) continue;
            bd_node n = g->nodes[conv];
            n.in[3] = add.in[1 - side];
            n.out[0] = add.out[0];
            memmove(&g->nodes[conv], &g->nodes[conv + 1], (size_t)(i - conv - 1) * sizeof n);
            memmove(&g->nodes[i - 1], &g->nodes[i], (size_t)(g->n_nodes - i) * sizeof n);
            g->n_nodes--;
            g->nodes[--i] = n;
            break;
        }
    }
}

/* --- element types --- */

/* Inputs that an op reads as activations, as bits; the others keep the type they have. */
static unsigned typed_inputs(bd_op op) {
    switch (op) {
    case BD_OP_conv2d: return 1 << 0 | 1 << 3;
    case BD_OP_conv2d_bwd_data: return 1 << 0;
    case BD_OP_conv2d_bwd_weight: return 1 << 0 | 1 << 1;
    case BD_OP_attention: return 1 << 0 | 1 << 1 | 1 << 2;
    case BD_OP_attention_bwd: return 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
    case BD_OP_group_norm: return 1 << 0 | 1 << 3;
    case BD_OP_group_norm_bwd: return 1 << 0 | 1 << 1 | 1 << 6;
    case BD_OP_batch_build:
    case BD_OP_time_embedding:
    case BD_OP_cross_entropy:
    case BD_OP_cross_entropy_bwd:
    case BD_OP_sampler_step:
    case BD_OP_cast: return 0;
    case BD_OP_mse:
    case BD_OP_mse_bwd: return 1 << 0;
    default: return 1 << 0 | 1 << 1;
    }
}

/* Outputs that are float32 (or another type of their own) whatever the inputs are. */
static bool own_type(bd_op op, int out) {
    switch (op) {
    case BD_OP_conv2d_bwd_weight:
    case BD_OP_time_embedding:
    case BD_OP_mse:
    case BD_OP_cross_entropy:
    case BD_OP_sampler_step: return true;
    case BD_OP_group_norm:
    case BD_OP_group_norm_bwd:
    case BD_OP_batch_build: return out > 0;
    default: return false;
    }
}

/* Does the op compute in 16 bits whatever it is given? */
static bool wants_half(bd_op op) {
    return bd_op_is_conv(op) || op == BD_OP_attention || op == BD_OP_attention_bwd ||
           op == BD_OP_batch_build || op == BD_OP_cross_entropy_bwd;
}

typedef struct {
    bd_graph *g;
    bd_type half;
    int *cast[2]; /* by tensor id of the graph before: its copy in float32 and in 16 bits, or -1 */
} typing;

/* The type that a node computes in. */
static bd_type node_type(const typing *t, const bd_node *n) {
    if (wants_half(n->op)) return t->half;
    /* a sum that is a gradient of a weight, or a state */
    if (n->out[0] >= 0 && t->g->tensors[n->out[0]].kind != BD_TENSOR_ACT && !own_type(n->op, 0))
        return BD_TYPE_F32;
    for (int j = 0; j < BD_NODE_IN_MAX; j++)
        if (typed_inputs(n->op) >> j & 1 && n->in[j] >= 0 &&
            t->g->tensors[n->in[j]].type == t->half)
            return t->half;
    return BD_TYPE_F32;
}

/* Tensor u in `type`, which it is not: a cast, put in front of the next node unless there is one already. */
static int cast_to(typing *t, int u, bd_type type) {
    int which = type != BD_TYPE_F32;
    if (t->cast[which][u] >= 0) return t->cast[which][u];
    const bd_tensor *x = &t->g->tensors[u];
    int y = bd_graph_act(t->g, x->name, type, x->dim[0], x->dim[1], x->dim[2], x->dim[3]);
    const bd_node n = bd_node_make(BD_OP_cast, BD_LIST(u), BD_LIST(y));
    bd_graph_append(t->g, &n);
    return t->cast[which][u] = y;
}

static void type_node(typing *t, bd_node n) {
    bd_type type = node_type(t, &n);
    for (int j = 0; j < BD_NODE_IN_MAX; j++) {
        if (!(typed_inputs(n.op) >> j & 1) || n.in[j] < 0) continue;
        if (t->g->tensors[n.in[j]].type != type) n.in[j] = cast_to(t, n.in[j], type);
    }
    for (int k = 0; k < BD_NODE_OUT_MAX; k++) {
        if (n.out[k] < 0) continue;
        if (!own_type(n.op, k) && t->g->tensors[n.out[k]].kind == BD_TENSOR_ACT)
            t->g->tensors[n.out[k]].type = type;
        t->cast[0][n.out[k]] = t->cast[1][n.out[k]] = -1; /* a state has changed */
    }
    bd_graph_append(t->g, &n);
}

/* Give activations their types, from first to last, with casts where two types meet. */
static bd_status assign_types(bd_graph *g, bd_type half) {
    typing t = {.g = g, .half = half};
    int n_nodes = g->n_nodes, n_tensors = g->n_tensors;
    bd_node *nodes = malloc((size_t)(n_nodes ? n_nodes : 1) * sizeof *nodes);
    for (int i = 0; i < 2; i++)
        t.cast[i] = malloc((size_t)(n_tensors ? n_tensors : 1) * sizeof *t.cast[i]);
    bd_status st = BD_OK;
    if (!nodes || !t.cast[0] || !t.cast[1])
        BD_FAIL_TO(done, st, BD_E_MEMORY, "graph %s: out of memory", g->name);
    for (int i = 0; i < n_tensors; i++) t.cast[0][i] = t.cast[1][i] = -1;
    for (int i = 0; i < n_nodes; i++) nodes[i] = g->nodes[i];
    g->n_nodes = 0;
    for (int i = 0; i < n_nodes; i++) type_node(&t, nodes[i]);
    st = bd_graph_status(g);
done:
    free(nodes);
    free(t.cast[0]);
    free(t.cast[1]);
    return st;
}

bd_status bd_graph_lower(bd_graph **out, const bd_graph *g, unsigned can, bd_type half) {
    *out = NULL;
    BD_TRY(bd_graph_status(g));
    bd_graph *to;
    BD_TRY(bd_graph_create(&to, g->name));
    bd_status st = copy_tensors(to, g);
    if (!st) st = copy_grads(to, g);
    for (int i = 0; !st && i < g->n_nodes; i++)
        if (bd_graph_append(to, &g->nodes[i]) < 0) st = bd_graph_status(to);
    if (st) {
        bd_graph_destroy(to);
        return st;
    }
    if (can & BD_CAN_NORM_CHANNEL) merge_norm_channel(to);
    if (can & BD_CAN_CONV_ADD) merge_conv_add(to);
    if (half != BD_TYPE_F32) st = assign_types(to, half);
    if (st) {
        bd_graph_destroy(to);
        return st;
    }
    *out = to;
    return BD_OK;
}
