/* Attention on the CPU: products of one head of one image after the other. */
#include <math.h>

#include "cpu/internal.h"

/* A matrix by rows: element (i, j) at x[i row + j step]. */
typedef struct {
    const float *x;
    size_t row, step;
} matrix;

/* b [k,n] in panels */
static void pack(const cpu_call *call, float *to, matrix b, int n, int k) {
    const int width = bd_panel(call->kernels);
    if (b.step == 1) bd_to_blocks(call->vec, to, b.x, (int)b.row, k, n, width);
    for (int j = 0; b.step > 1 && j < n; j += width)
        call->vec->transpose(to + (size_t)j * (size_t)k, width, b.x + (size_t)j * b.step,
                             (int)b.step, n - j < width ? n - j : width, k);
}

/* c [m,n] = a [m,k] b [k,n]; to: room for b in panels */
static void multiply(const cpu_call *call, float *c, size_t ldc, matrix a, matrix b, int m, int n,
                     int k, float *to) {
    pack(call, to, b, n, k);
    bd_product p = bd_product_packed(call->kernels, to, n, k);
    p.c = c;
    p.ldc = ldc;
    p.a = a.x;
    p.row = a.row;
    p.step = a.step;
    p.m = m;
    call->kernels->product(&p);
}

static matrix transposed(matrix a) { return (matrix){a.x, a.step, a.row}; }

/* Sizes of a head. */
typedef struct {
    int s, d, ch; /* tokens, channels of the head, of all heads */
} head;

static size_t panels_of_head(int s, int d) {
    const bd_conv_kernels *k = bd_conv_kernels_best();
    size_t tokens = bd_panels_floats(k, d, s), channels = bd_panels_floats(k, s, d);
    return tokens > channels ? tokens : channels;
}

size_t cpu_attention_workspace(const bd_graph *g, const bd_node *n) {
    const bd_tensor *x = bd_graph_tensor(g, n->in[0]);
    return panels_of_head(cpu_pixels(x), x->dim[3] / n->attr.attention.heads) * sizeof(float);
}

bd_status cpu_attention(const cpu_call *c) {
    const bd_tensor *x = cpu_in(c, 0);
    int s = cpu_pixels(x), ch = x->dim[3], heads = c->n->attr.attention.heads, d = ch / heads;
    float scale = (float)(1.0 / sqrt(d));
    for (int i = 0; i < x->dim[0] * heads; i++) {
        size_t at = (size_t)(i / heads) * cpu_image_floats(x) + (size_t)(i % heads * d);
        float *p = (float *)cpu_out_data(c, 1) + (size_t)i * (size_t)s * (size_t)s;
        const matrix q = {(float *)cpu_in_data(c, 0) + at, (size_t)ch, 1},
                     k = {(float *)cpu_in_data(c, 1) + at, (size_t)ch, 1},
                     v = {(float *)cpu_in_data(c, 2) + at, (size_t)ch, 1};
        multiply(c, p, (size_t)s, q, transposed(k), s, s, d, c->workspace);
        c->vec->softmax(p, s, s, scale);
        multiply(c, (float *)cpu_out_data(c, 0) + at, (size_t)ch, (matrix){p, (size_t)s, 1}, v, s,
                 d, s, c->workspace);
    }
    return BD_OK;
}

/* dp [S,S] and a matrix in panels */
size_t cpu_attention_bwd_workspace(const bd_graph *g, const bd_node *n) {
    const bd_tensor *q = bd_graph_tensor(g, n->in[1]);
    int s = cpu_pixels(q);
    return ((size_t)s * (size_t)s + panels_of_head(s, q->dim[3] / n->attr.attention.heads)) *
           sizeof(float);
}

/* dv = p^T do;  dp = do v^T;  ds = softmax'(dp);  dq = ds k;  dk = ds^T q */
static void head_bwd(const cpu_call *c, size_t at, const float *probability, head h) {
    const size_t ch = (size_t)h.ch, s = (size_t)h.s;
    float *dp = c->workspace, *room = dp + s * s;
    const matrix dout = {(float *)cpu_in_data(c, 0) + at, ch, 1},
                 q = {(float *)cpu_in_data(c, 1) + at, ch, 1},
                 k = {(float *)cpu_in_data(c, 2) + at, ch, 1},
                 v = {(float *)cpu_in_data(c, 3) + at, ch, 1}, p = {probability, s, 1},
                 ds = {dp, s, 1};
    float *dq = cpu_out_data(c, 0), *dk = cpu_out_data(c, 1), *dv = cpu_out_data(c, 2);
    if (dv) multiply(c, dv + at, ch, transposed(p), dout, h.s, h.d, h.s, room);
    multiply(c, dp, s, dout, transposed(v), h.s, h.s, h.d, room);
    c->vec->softmax_bwd(dp, probability, h.s, h.s, (float)(1.0 / sqrt(h.d)));
    if (dq) multiply(c, dq + at, ch, ds, k, h.s, h.d, h.s, room);
    if (dk) multiply(c, dk + at, ch, transposed(ds), q, h.s, h.d, h.s, room);
}

bd_status cpu_attention_bwd(const cpu_call *c) {
    const bd_tensor *q = cpu_in(c, 1);
    int s = cpu_pixels(q), ch = q->dim[3], heads = c->n->attr.attention.heads;
    for (int i = 0; i < q->dim[0] * heads; i++) {
        size_t at = (size_t)(i / heads) * cpu_image_floats(q) + (size_t)(i % heads * (ch / heads));
        head_bwd(c, at, (float *)cpu_in_data(c, 4) + (size_t)i * (size_t)s * (size_t)s,
                 (head){s, ch / heads, ch});
    }
    return BD_OK;
}
