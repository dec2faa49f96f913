#include "ref/ref_run.h"

#include <stdlib.h>
#include <string.h>

void ref_to_double(double *out, const bd_tensor *t, const void *src) {
    for (size_t i = 0; i < bd_tensor_count(t); i++) switch (t->type) {
        case BD_TYPE_F32: out[i] = ((const float *)src)[i]; break;
        case BD_TYPE_F64: out[i] = ((const double *)src)[i]; break;
        case BD_TYPE_I32: out[i] = ((const int32_t *)src)[i]; break;
        case BD_TYPE_U8: out[i] = ((const uint8_t *)src)[i]; break;
        case BD_TYPE_BF16:
        case BD_TYPE_F16: abort(); /* lowering alone makes them */
        }
}

static double *zeros(size_t n) {
    double *p = calloc(n ? n : 1, sizeof *p);
    if (!p) abort();
    return p;
}

ref_run *ref_run_create(const bd_graph *g) {
    ref_run *r = calloc(1, sizeof *r);
    if (!r) abort();
    r->g = g;
    r->n_tensors = bd_graph_tensor_count(g);
    r->data = calloc((size_t)r->n_tensors + 1, sizeof *r->data);
    r->sum = calloc((size_t)r->n_tensors + 1, sizeof *r->sum);
    if (!r->data || !r->sum) abort();
    for (int i = 0; i < r->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        r->data[i] = zeros(bd_tensor_count(t));
        if (t->kind == BD_TENSOR_GRAD) r->sum[i] = zeros(bd_tensor_count(t));
    }
    return r;
}

void ref_run_destroy(ref_run *r) {
    if (!r) return;
    for (int i = 0; i < r->n_tensors; i++) {
        free(r->data[i]);
        free(r->sum[i]);
    }
    free(r->data);
    free(r->sum);
    free(r);
}

void ref_run_load(ref_run *r, int tensor, const void *src) {
    ref_to_double(r->data[tensor], bd_graph_tensor(r->g, tensor), src);
}

static ref_tensor tensor(const ref_run *r, int id) {
    ref_tensor t = {{0, 0, 0, 0}, NULL};
    if (id < 0) return t;
    memcpy(t.dim, bd_graph_tensor(r->g, id)->dim, sizeof t.dim);
    t.data = r->data[id];
    return t;
}

static void run_node(const ref_run *r, int i) {
    ref_args a = {.node = bd_graph_node(r->g, i)};
    for (int j = 0; j < BD_NODE_IN_MAX; j++) a.in[j] = tensor(r, a.node->in[j]);
    for (int j = 0; j < BD_NODE_OUT_MAX; j++) a.out[j] = tensor(r, a.node->out[j]);
    ref_table[a.node->op](&a);
}

void ref_run_tile(ref_run *r) {
    for (int i = 0; i < bd_graph_node_count(r->g); i++) run_node(r, i);
    for (int t = 0; t < r->n_tensors; t++) {
        if (!r->sum[t]) continue;
        size_t n = bd_tensor_count(bd_graph_tensor(r->g, t));
        for (size_t j = 0; j < n; j++) r->sum[t][j] += r->data[t][j];
    }
}

double ref_run_loss(ref_run *r, int loss) {
    for (int i = 0; i < bd_graph_node_count(r->g); i++) {
        const bd_node *n = bd_graph_node(r->g, i);
        run_node(r, i);
        if (n->out[0] != loss) continue;
        double sum = 0;
        for (int k = 0; k < bd_graph_tensor(r->g, loss)->dim[0]; k++)
            sum += r->data[n->in[2]][k] * r->data[loss][k];
        return sum;
    }
    abort(); /* no node writes it: a mistake of the test */
}
