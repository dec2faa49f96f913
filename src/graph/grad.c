/* Reverse-mode differentiation: appends the gradient operations of a loss to the same graph.
 *   source   Griewank & Walther 2008, "Evaluating Derivatives", ch. 3 (reverse mode)
 * Each op's rule hands gradients of its inputs to `contribute`, which adds contributions of several
 * consumers in the order in which they are produced, so the sum has a fixed order. */
#include <stdlib.h>

#include "graph/internal.h"

typedef struct {
    bd_graph *g;
    int n;        /* tensors that existed before the backward pass */
    int *grad;    /* by tensor id: id of the gradient gathered so far, -1 = none */
    bool *needed; /* by tensor id: lies between a parameter (or wrt) and the loss */
    int *left;    /* by tensor id: contributions still to come */
} tape;

static int like(tape *t, int id, const char *name) {
    const bd_tensor *x = &t->g->tensors[id];
    return bd_graph_act(t->g, name, BD_TYPE_F32, x->dim[0], x->dim[1], x->dim[2], x->dim[3]);
}

static bool wants(const tape *t, int id) { return id >= 0 && id < t->n && t->needed[id]; }

/* Where the gradient of `id` from one consumer shall be written: straight into the GRAD tensor when it
 * is a parameter with one consumer, else a new activation. */
static int slot(tape *t, int id, const char *name) {
    if (!wants(t, id)) return -1;
    if (t->g->tensors[id].kind == BD_TENSOR_PARAM && t->left[id] == 1 && t->grad[id] < 0)
        return t->g->grad_of[id];
    return like(t, id, name);
}

/* Take `d` (made by slot) as one contribution to the gradient of `id`. */
static void contribute(tape *t, int id, int d) {
    if (!wants(t, id) || d < 0) return;
    t->left[id]--;
    if (t->grad[id] < 0) {
        t->grad[id] = d;
        return;
    }
    bool last = t->left[id] == 0 && t->g->tensors[id].kind == BD_TENSOR_PARAM;
    int sum = last ? t->g->grad_of[id] : like(t, id, "grad.sum");
    bd_node n = bd_node_make(BD_OP_add, BD_LIST(t->grad[id], d), BD_LIST(sum));
    bd_graph_append(t->g, &n);
    t->grad[id] = sum;
}

static void append(tape *t, const bd_node *like_attr, bd_op op, const int *in, int n_in,
                   const int *out, int n_out) {
    bd_node n = bd_node_make(op, in, n_in, out, n_out);
    if (like_attr) n.attr = like_attr->attr;
    bd_graph_append(t->g, &n);
}

static void conv2d_rule(tape *t, const bd_node *n, int dy) {
    int x = n->in[0], w = n->in[1], b = n->in[2];
    if (wants(t, w) || wants(t, b)) {
        int dw = slot(t, w, "grad.weight"), db = slot(t, b, "grad.bias");
        append(t, n, BD_OP_conv2d_bwd_weight, BD_LIST(x, dy), BD_LIST(dw, db));
        contribute(t, w, dw);
        contribute(t, b, db);
    }
    if (wants(t, x)) {
        int dx = slot(t, x, "grad.conv2d");
        append(t, n, BD_OP_conv2d_bwd_data, BD_LIST(dy, w), BD_LIST(dx));
        contribute(t, x, dx);
    }
}

static void group_norm_rule(tape *t, const bd_node *n, int dy) {
    int x = n->in[0], gamma = n->in[1], beta = n->in[2];
    int dx = slot(t, x, "grad.group_norm"), dg = slot(t, gamma, "grad.gamma"),
        db = slot(t, beta, "grad.beta");
    append(t, n, BD_OP_group_norm_bwd, BD_LIST(dy, x, n->out[1], n->out[2], gamma, beta),
           BD_LIST(dx, dg, db));
    contribute(t, x, dx);
    contribute(t, gamma, dg);
    contribute(t, beta, db);
}

static void attention_rule(tape *t, const bd_node *n, int dy) {
    int d[3];
    for (int i = 0; i < 3; i++) d[i] = slot(t, n->in[i], "grad.attention");
    append(t, n, BD_OP_attention_bwd, BD_LIST(dy, n->in[0], n->in[1], n->in[2], n->out[1]),
           BD_LIST(d[0], d[1], d[2]));
    for (int i = 0; i < 3; i++) contribute(t, n->in[i], d[i]);
}

/* A gradient that is dy itself. A parameter needs its own GRAD storage, so it gets a copy. */
static void pass(tape *t, int id, int dy) {
    if (!wants(t, id)) return;
    if (t->g->tensors[id].kind != BD_TENSOR_PARAM) {
        contribute(t, id, dy);
        return;
    }
    int d = slot(t, id, "grad.copy");
    bd_node n = bd_node_make(BD_OP_scale, BD_LIST(dy), BD_LIST(d));
    n.attr.scalar.value = 1;
    bd_graph_append(t->g, &n);
    contribute(t, id, d);
}

/* dx = op(dy [, extra]) for the ops whose backward has one output. */
static void unary_rule(tape *t, const bd_node *n, bd_op op, int x, int dy, int extra) {
    if (!wants(t, x)) return;
    int dx = slot(t, x, "grad");
    append(t, n, op, BD_LIST(dy, extra), BD_LIST(dx));
    contribute(t, x, dx);
}

static void concat_rule(tape *t, const bd_node *n, int dy) {
    int first = 0;
    for (int i = 0; i < 2; i++) {
        int x = n->in[i], c = t->g->tensors[x].dim[3];
        if (wants(t, x)) {
            int dx = slot(t, x, "grad.concat");
            bd_node s = bd_node_make(BD_OP_slice, BD_LIST(dy), BD_LIST(dx));
            s.attr.slice.first = first;
            bd_graph_append(t->g, &s);
            contribute(t, x, dx);
        }
        first += c;
    }
}

static void mean_hw_rule(tape *t, const bd_node *n, int dy) {
    bd_node like_x = *n;
    const bd_tensor *x = &t->g->tensors[n->in[0]];
    like_x.attr.spatial = (bd_spatial_attr){x->dim[1], x->dim[2]};
    unary_rule(t, &like_x, BD_OP_mean_hw_bwd, n->in[0], dy, -1);
}

static void node_rule(tape *t, const bd_node *n, int dy) {
    switch (n->op) {
    case BD_OP_conv2d: conv2d_rule(t, n, dy); break;
    case BD_OP_group_norm: group_norm_rule(t, n, dy); break;
    case BD_OP_attention: attention_rule(t, n, dy); break;
    case BD_OP_add:
        pass(t, n->in[0], dy);
        pass(t, n->in[1], dy);
        break;
    case BD_OP_add_channel:
        pass(t, n->in[0], dy);
        unary_rule(t, NULL, BD_OP_sum_hw, n->in[1], dy, -1);
        break;
    case BD_OP_scale: unary_rule(t, n, BD_OP_scale, n->in[0], dy, -1); break;
    case BD_OP_concat: concat_rule(t, n, dy); break;
    case BD_OP_upsample2: unary_rule(t, NULL, BD_OP_upsample2_bwd, n->in[0], dy, -1); break;
    case BD_OP_silu: unary_rule(t, NULL, BD_OP_silu_bwd, n->in[0], dy, n->in[0]); break;
    case BD_OP_relu: unary_rule(t, NULL, BD_OP_relu_bwd, n->in[0], dy, n->out[0]); break;
    case BD_OP_max_pool: unary_rule(t, n, BD_OP_max_pool_bwd, n->in[0], dy, n->in[0]); break;
    case BD_OP_avg_pool: unary_rule(t, n, BD_OP_avg_pool_bwd, n->in[0], dy, -1); break;
    case BD_OP_mean_hw: mean_hw_rule(t, n, dy); break;
    default: bd_graph_set_error(t->g, BD_E_ARG, "op %s has no backward rule", bd_op_name(n->op));
    }
}

/* Mark what lies between the parameters (or wrt) and the loss, and count each tensor's consumers there. */
static void mark(tape *t, int loss, int last, const int *wrt, int n_wrt) {
    bd_graph *g = t->g;
    bool *reaches = calloc((size_t)t->n, sizeof *reaches);
    if (!reaches) {
        bd_graph_set_error(g, BD_E_MEMORY, "backward: out of memory");
        return;
    }
    for (int i = 0; i < t->n; i++) t->needed[i] = g->tensors[i].kind == BD_TENSOR_PARAM;
    for (int i = 0; i < n_wrt; i++) t->needed[wrt[i]] = true;
    for (int i = 0; i <= last; i++)
        for (int j = 0; j < BD_NODE_IN_MAX; j++)
            if (g->nodes[i].in[j] >= 0 && t->needed[g->nodes[i].in[j]])
                for (int k = 0; k < BD_NODE_OUT_MAX; k++)
                    if (g->nodes[i].out[k] >= 0) t->needed[g->nodes[i].out[k]] = true;
    reaches[loss] = true;
    for (int i = last; i >= 0; i--) {
        const bd_node *n = &g->nodes[i];
        if (n->out[0] < 0 || !reaches[n->out[0]]) continue;
        for (int j = 0; j < BD_NODE_IN_MAX; j++)
            if (n->in[j] >= 0) {
                reaches[n->in[j]] = true;
                t->left[n->in[j]]++;
            }
    }
    for (int i = 0; i < t->n; i++) t->needed[i] = t->needed[i] && reaches[i];
    free(reaches);
}

static void start(tape *t, const bd_node *n) {
    bd_op op = n->op == BD_OP_mse ? BD_OP_mse_bwd : BD_OP_cross_entropy_bwd;
    int x = n->op == BD_OP_mse ? n->in[0] : n->out[1];
    int d = slot(t, n->in[0], "grad.loss");
    append(t, n, op, BD_LIST(x, n->in[1], n->in[2]), BD_LIST(d));
    contribute(t, n->in[0], d);
}

static bd_status check_all(const tape *t, const int *wrt, int n_wrt, int *grad_of_wrt) {
    bd_graph *g = t->g;
    for (int i = 0; i < t->n; i++)
        BD_REQUIRE(g->tensors[i].kind != BD_TENSOR_PARAM || t->grad[i] >= 0, BD_E_ARG,
                   "graph %s: the loss does not depend on parameter %s", g->name,
                   g->tensors[i].name);
    for (int i = 0; i < n_wrt; i++) {
        BD_REQUIRE(t->grad[wrt[i]] >= 0, BD_E_ARG, "graph %s: the loss does not depend on %s",
                   g->name, g->tensors[wrt[i]].name);
        grad_of_wrt[i] = t->grad[wrt[i]];
        bd_graph_keep(g, grad_of_wrt[i]);
    }
    return BD_OK;
}

static bd_status make_grads(bd_graph *g, int n) {
    g->grad_of = malloc((size_t)n * sizeof *g->grad_of);
    BD_REQUIRE(g->grad_of, BD_E_MEMORY, "graph %s: out of memory", g->name);
    g->n_grad_of = n;
    for (int i = 0; i < n; i++) {
        g->grad_of[i] = -1;
        if (g->tensors[i].kind != BD_TENSOR_PARAM) continue;
        int id = bd_graph_leaf(g, "grad", BD_TENSOR_GRAD, BD_TYPE_F32, g->tensors[i].dim);
        if (id < 0) return bd_graph_status(g);
        g->tensors[id].param = i;
        g->grad_of[i] = id;
    }
    return BD_OK;
}

static int producer(const bd_graph *g, int tensor) {
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; k < BD_NODE_OUT_MAX; k++)
            if (g->nodes[i].out[k] == tensor) return i;
    return -1;
}

static bd_status differentiate(tape *t, int loss, int last, const int *wrt, int n_wrt,
                               int *grad_of_wrt) {
    bd_graph *g = t->g;
    for (int i = 0; i < t->n; i++) t->grad[i] = -1;
    BD_TRY(make_grads(g, t->n));
    mark(t, loss, last, wrt, n_wrt);
    bd_node seed = g->nodes[last];
    for (int i = 1; i < 3;
         i++) /* a rule for them would be needed, so a partial gradient would come out */
        BD_REQUIRE(!t->needed[seed.in[i]], BD_E_ARG,
                   "graph %s: the %s of the loss depends on a parameter or a wanted tensor (%s)",
                   g->name, i == 1 ? "target" : "weight", g->tensors[seed.in[i]].name);
    start(t, &seed);
    for (int i = last - 1; i >= 0 && !g->status; i--) {
        bd_node n = g->nodes[i]; /* a copy: appending may move the array */
        if (n.out[0] < t->n && t->grad[n.out[0]] >= 0) node_rule(t, &n, t->grad[n.out[0]]);
    }
    BD_TRY(bd_graph_status(g));
    return check_all(t, wrt, n_wrt, grad_of_wrt);
}

bd_status bd_graph_backward(bd_graph *g, int loss, const int *wrt, int n_wrt, int *grad_of_wrt) {
    BD_TRY(bd_graph_status(g));
    BD_REQUIRE(!g->grad_of, BD_E_ARG, "graph %s: backward was already built", g->name);
    BD_REQUIRE(loss >= 0 && loss < g->n_tensors, BD_E_ARG, "graph %s: no such loss tensor",
               g->name);
    int last = producer(g, loss);
    BD_REQUIRE(
        last >= 0 && (g->nodes[last].op == BD_OP_mse || g->nodes[last].op == BD_OP_cross_entropy),
        BD_E_ARG, "graph %s: %s is no loss (mse, cross_entropy)", g->name, g->tensors[loss].name);
    size_t n = (size_t)g->n_tensors;
    tape t = {.g = g,
              .n = g->n_tensors,
              .grad = malloc(n * sizeof(int)),
              .needed = calloc(n, sizeof(bool)),
              .left = calloc(n, sizeof(int))};
    bd_status st = t.grad && t.needed && t.left
                       ? differentiate(&t, loss, last, wrt, n_wrt, grad_of_wrt)
                       : bd_fail(BD_E_MEMORY, "graph %s: out of memory", g->name);
    free(t.grad);
    free(t.needed);
    free(t.left);
    return st;
}
