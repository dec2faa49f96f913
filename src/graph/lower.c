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

bd_status bd_graph_lower(bd_graph **out, const bd_graph *g, unsigned can) {
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
    *out = to;
    return BD_OK;
}
