/* Storage of a graph: tensors, nodes, leaves, look-ups. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"

const char *bd_op_name(bd_op op) {
    static const char *const names[] = {
#define BD_OP(name, n_in, n_out, scope) #name,
#include "graph/ops.def"
#undef BD_OP
    };
    return op < BD_OP_COUNT ? names[op] : "unknown";
}

size_t bd_type_size(bd_type t) {
    switch (t) {
    case BD_TYPE_F32: return 4;
    case BD_TYPE_F64: return 8;
    case BD_TYPE_I32: return 4;
    case BD_TYPE_U8: return 1;
    case BD_TYPE_BF16:
    case BD_TYPE_F16: return 2;
    }
    return 0;
}

bd_status bd_graph_create(bd_graph **out, const char *name) {
    *out = NULL;
    bd_graph *g = calloc(1, sizeof *g);
    BD_REQUIRE(g, BD_E_MEMORY, "graph %s: out of memory", name);
    g->arena = bd_arena_create();
    g->name = g->arena ? bd_arena_strdup(g->arena, name) : NULL;
    if (!g->name) {
        bd_graph_destroy(g);
        return bd_fail(BD_E_MEMORY, "graph %s: out of memory", name);
    }
    *out = g;
    return BD_OK;
}

void bd_graph_destroy(bd_graph *g) {
    if (!g) return;
    bd_arena_destroy(g->arena);
    free(g->tensors);
    free(g->nodes);
    free(g->grad_of);
    free(g);
}

int bd_graph_set_error(bd_graph *g, bd_status code, const char *fmt, ...) {
    if (g->status) return -1;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    g->status = code;
    g->error = bd_arena_strdup(g->arena, text);
    return -1;
}

bd_status bd_graph_status(const bd_graph *g) {
    if (!g->status) return BD_OK;
    return bd_fail(g->status, "graph %s: %s", g->name, g->error ? g->error : "out of memory");
}

int bd_graph_tensor_count(const bd_graph *g) { return g->n_tensors; }
int bd_graph_node_count(const bd_graph *g) { return g->n_nodes; }
const bd_tensor *bd_graph_tensor(const bd_graph *g, int id) { return &g->tensors[id]; }
const bd_node *bd_graph_node(const bd_graph *g, int i) { return &g->nodes[i]; }

int bd_graph_find(const bd_graph *g, const char *name) {
    for (int i = 0; i < g->n_tensors; i++)
        if (strcmp(g->tensors[i].name, name) == 0) return i;
    return -1;
}

size_t bd_tensor_count(const bd_tensor *t) {
    return (size_t)t->dim[0] * (size_t)t->dim[1] * (size_t)t->dim[2] * (size_t)t->dim[3];
}

/* Grow an array to hold one more element; doubles, so appending stays linear. */
static bool reserve(void **items, int *cap, int n, size_t size) {
    if (n < *cap) return true;
    int want = *cap ? *cap * 2 : 64;
    void *p = realloc(*items, (size_t)want * size);
    if (!p) return false;
    *items = p;
    *cap = want;
    return true;
}

int bd_graph_leaf(bd_graph *g, const char *name, bd_tensor_kind kind, bd_type type,
                  const int dim[4]) {
    if (g->status) return -1;
    for (int i = 0; i < 4; i++)
        if (dim[i] < 1)
            return bd_graph_set_error(g, BD_E_SHAPE, "tensor %s: dimension %d is %d, must be >= 1",
                                      name, i, dim[i]);
    const int d[4] = {dim[0], dim[1], dim[2],
                      dim[3]}; /* dim may lie in g->tensors, which may move */
    if (!reserve((void **)&g->tensors, &g->cap_tensors, g->n_tensors, sizeof *g->tensors))
        return bd_graph_set_error(g, BD_E_MEMORY, "tensor %s: out of memory", name);
    bd_tensor *t = &g->tensors[g->n_tensors];
    *t = (bd_tensor){
        .name = bd_arena_strdup(g->arena, name), .kind = kind, .type = type, .param = -1};
    memcpy(t->dim, d, sizeof t->dim);
    if (!t->name) return bd_graph_set_error(g, BD_E_MEMORY, "tensor %s: out of memory", name);
    return g->n_tensors++;
}

static int named_leaf(bd_graph *g, const char *name, bd_tensor_kind kind, bd_type type,
                      const int dim[4]) {
    if (!g->status && bd_graph_find(g, name) >= 0)
        return bd_graph_set_error(g, BD_E_ARG, "two tensors are named %s", name);
    return bd_graph_leaf(g, name, kind, type, dim);
}

int bd_graph_param(bd_graph *g, const char *name, int d0, int d1, int d2, int d3) {
    return named_leaf(g, name, BD_TENSOR_PARAM, BD_TYPE_F32, (int[4]){d0, d1, d2, d3});
}

int bd_graph_input(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c) {
    return named_leaf(g, name, BD_TENSOR_INPUT, type, (int[4]){n, h, w, c});
}

int bd_graph_const(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c) {
    return named_leaf(g, name, BD_TENSOR_CONST, type, (int[4]){n, h, w, c});
}

int bd_graph_state(bd_graph *g, const char *name, int n, int h, int w, int c) {
    return named_leaf(g, name, BD_TENSOR_STATE, BD_TYPE_F32, (int[4]){n, h, w, c});
}

int bd_graph_act(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c) {
    return bd_graph_leaf(g, name, BD_TENSOR_ACT, type, (int[4]){n, h, w, c});
}

void bd_graph_keep(bd_graph *g, int id) {
    if (id >= 0 && id < g->n_tensors) g->tensors[id].keep = true;
}

bd_node bd_node_make(bd_op op, const int *in, int n_in, const int *out, int n_out) {
    bd_node n;
    memset(&n, 0, sizeof n);
    n.op = op;
    for (int i = 0; i < BD_NODE_IN_MAX; i++) n.in[i] = i < n_in ? in[i] : -1;
    for (int i = 0; i < BD_NODE_OUT_MAX; i++) n.out[i] = i < n_out ? out[i] : -1;
    return n;
}

int bd_graph_append(bd_graph *g, const bd_node *n) {
    if (g->status) return -1;
    if (!reserve((void **)&g->nodes, &g->cap_nodes, g->n_nodes, sizeof *g->nodes))
        return bd_graph_set_error(g, BD_E_MEMORY, "op %s: out of memory", bd_op_name(n->op));
    g->nodes[g->n_nodes] = *n;
    return g->n_nodes++;
}

int bd_graph_grad(const bd_graph *g, int param) {
    return g->grad_of && param >= 0 && param < g->n_grad_of ? g->grad_of[param] : -1;
}

bool bd_op_is_conv(bd_op op) {
    return op == BD_OP_conv2d || op == BD_OP_conv2d_bwd_data || op == BD_OP_conv2d_bwd_weight;
}

bd_conv_tensors bd_node_conv(const bd_node *n) {
    switch (n->op) {
    case BD_OP_conv2d: return (bd_conv_tensors){n->in[0], n->in[1], n->in[2], n->out[0]};
    case BD_OP_conv2d_bwd_data: return (bd_conv_tensors){n->out[0], n->in[1], -1, n->in[0]};
    default: return (bd_conv_tensors){n->in[0], n->out[0], n->out[1], n->in[1]};
    }
}

double bd_node_flops(const bd_graph *g, const bd_node *n) {
    /* an op without inputs or outputs looks at neither */
    const bd_tensor *a = &g->tensors[n->in[0] >= 0 ? n->in[0] : 0];
    const bd_tensor *o = &g->tensors[n->out[0] >= 0 ? n->out[0] : 0];
    switch (n->op) {
    case BD_OP_conv2d: {
        const bd_tensor *w = &g->tensors[n->in[1]];
        return 2.0 * (double)bd_tensor_count(o) * w->dim[1] * w->dim[2] * w->dim[3];
    }
    case BD_OP_conv2d_bwd_data: {
        const bd_tensor *w = &g->tensors[n->in[1]];
        return 2.0 * (double)bd_tensor_count(a) * w->dim[1] * w->dim[2] * w->dim[3];
    }
    case BD_OP_conv2d_bwd_weight: {
        const bd_tensor *dy = &g->tensors[n->in[1]];
        return 2.0 * (double)bd_tensor_count(dy) * o->dim[1] * o->dim[2] * o->dim[3];
    }
    case BD_OP_attention: return 4.0 * (double)bd_tensor_count(a) * a->dim[1] * a->dim[2];
    case BD_OP_attention_bwd: return 8.0 * (double)bd_tensor_count(a) * a->dim[1] * a->dim[2];
    default: return 0;
    }
}

double bd_graph_flops(const bd_graph *g) {
    double sum = 0;
    for (int i = 0; i < g->n_nodes; i++) sum += bd_node_flops(g, &g->nodes[i]);
    return sum;
}
