/* Convolutions: a 1x1 filter that moves by one pixel is a matrix product (cuBLASLt), the others go to cuDNN. Bias and
 * a fused sum follow in one kernel over the result; the gradient of a bias is a sum over all pixels. */
#include "cuda/internal.h"

static int pixels(const bd_tensor *t) { return t->dim[0] * cuda_hw(t); }

/* Filter gradients are 16-bit where images are, and become float32 on the way into the sum. */
static bool via_half(const bd_engine *e, const bd_node *n) {
    return n->op == BD_OP_conv2d_bwd_weight && n->out[0] >= 0 && e->half != BD_TYPE_F32;
}

/* Convolution as a product of [pixels, I] and [O, I]. */
static bd_status prepare_product(bd_engine *e, const bd_node *n, cuda_node *k) {
    bd_conv_tensors t = bd_node_conv(n);
    const bd_tensor *x = bd_graph_tensor(e->g, t.x), *y = bd_graph_tensor(e->g, t.y);
    int rows = pixels(x), i = x->dim[3], o = y->dim[3];
    bd_blas_matmul s = {.batch = 1,
                        .type = e->half,
                        .ctype = e->half,
                        .align = 16,
                        .alpha = 1,
                        .tf32 = e->precision == BD_PRECISION_TF32};
    if (n->op == BD_OP_conv2d) { /* y = x w^T */
        s.m = rows, s.n = o, s.k = i;
        s.trans_b = true;
        s.lda = i, s.ldb = i, s.ldc = o;
    } else if (n->op == BD_OP_conv2d_bwd_data) { /* dx = dy w */
        s.m = rows, s.n = i, s.k = o;
        s.lda = o, s.ldb = i, s.ldc = i;
    } else { /* dw = dy^T x */
        s.m = o, s.n = i, s.k = rows;
        s.trans_a = true;
        s.lda = o, s.ldb = i, s.ldc = i;
    }
    BD_TRY(bd_blas_plan_get(&k->product[0], e->ctx->blas, &s));
    if (n->op != BD_OP_conv2d_bwd_weight || via_half(e, n)) return BD_OK;
    s.beta = 1;
    return bd_blas_plan_get(&k->product[1], e->ctx->blas, &s);
}

static bd_status prepare_dnn(bd_engine *e, const bd_node *n, cuda_node *k, size_t *workspace) {
    bd_dnn_conv s = bd_dnn_conv_of(e->g, n);
    s.type = e->half;
    s.tf32 = e->precision == BD_PRECISION_TF32;
    BD_TRY(bd_dnn_plan_get(&k->plan[0], e->ctx->dnn, &s));
    *workspace = cuda_round(bd_dnn_plan_workspace(k->plan[0]));
    if (n->op != BD_OP_conv2d_bwd_weight || via_half(e, n)) return BD_OK;
    s.accumulate = true;
    BD_TRY(bd_dnn_plan_get(&k->plan[1], e->ctx->dnn, &s));
    size_t adding = cuda_round(bd_dnn_plan_workspace(k->plan[1]));
    if (adding > *workspace) *workspace = adding;
    return BD_OK;
}

/* The workspace in turn: the library's, the 16-bit filter gradient, the bias gradient's partial sums. */
bd_status cuda_prepare_conv(bd_engine *e, const bd_node *n, cuda_node *k, size_t *workspace) {
    bd_conv_tensors t = bd_node_conv(n);
    const bd_tensor *y = bd_graph_tensor(e->g, t.y);
    *workspace = 0;
    if (t.w >= 0) {
        const bd_tensor *w = bd_graph_tensor(e->g, t.w);
        BD_REQUIRE(n->op == BD_OP_conv2d_bwd_weight || w->kind == BD_TENSOR_PARAM, BD_E_ARG,
                   "cuda: the filters %s of a convolution are not a parameter", w->name);
        BD_TRY(bd_dnn_is_product(&n->attr.conv) ? prepare_product(e, n, k)
                                                : prepare_dnn(e, n, k, workspace));
        k->scratch = *workspace;
        if (via_half(e, n)) *workspace += cuda_round(bd_tensor_count(w) * bd_type_size(e->half));
    }
    if (n->op == BD_OP_conv2d_bwd_weight && t.b >= 0)
        *workspace += bd_k_sum_rows_scratch(1, (size_t)pixels(y), y->dim[3]);
    return BD_OK;
}

/* Filters as the library reads them, or where it writes their gradient. */
static void *filters(const bd_engine *e, const bd_node *n, const cuda_node *k, void *workspace) {
    bd_conv_tensors t = bd_node_conv(n);
    if (via_half(e, n)) return (char *)workspace + k->scratch;
    if (n->op == BD_OP_conv2d_bwd_weight || e->half == BD_TYPE_F32) return e->data[t.w];
    return e->half_params + e->place[t.w] / sizeof(float) * bd_type_size(e->half);
}

bd_status cuda_bind_conv(bd_engine *e, const bd_node *n, cuda_node *k, void *workspace) {
    bd_conv_tensors t = bd_node_conv(n);
    for (int i = 0; i < 2; i++)
        if (k->plan[i])
            BD_TRY(bd_dnn_bind(&k->bound[i], e->ctx->dnn, k->plan[i], e->data[t.x],
                               filters(e, n, k, workspace), e->data[t.y], workspace));
    return BD_OK;
}

/* The convolution alone; adding: into what is there. */
static bd_status run_sum(const cuda_call *c, bool adding) {
    const bd_engine *e = c->e;
    const cuda_node *k = &e->node[c->i];
    bd_conv_tensors t = bd_node_conv(c->n);
    if (k->plan[0]) return bd_dnn_run(e->ctx->dnn, k->bound[adding]);
    void *w = filters(e, c->n, k, c->workspace), *x = e->data[t.x], *y = e->data[t.y];
    void *stream = e->ctx->stream;
    if (c->n->op == BD_OP_conv2d) return bd_blas_run(e->ctx->blas, k->product[0], y, x, w, stream);
    if (c->n->op == BD_OP_conv2d_bwd_data)
        return bd_blas_run(e->ctx->blas, k->product[0], x, y, w, stream);
    return bd_blas_run(e->ctx->blas, k->product[adding], w, y, x, stream);
}

static bd_status run_fwd(const cuda_call *c) {
    const bd_tensor *y = cuda_out(c, 0);
    BD_TRY(run_sum(c, false));
    if (c->n->in[2] < 0 && c->n->in[3] < 0) return BD_OK;
    return CUDA_K(c, add_channel, .y = cuda_out_data(c, 0), .x = cuda_out_data(c, 0),
                  .bias = cuda_in_data(c, 2), .z = cuda_in_data(c, 3), .type = y->type,
                  .n = y->dim[0], .hw = cuda_hw(y), .c = y->dim[3]);
}

static bd_status run_bwd_weight(const cuda_call *c) {
    const bd_engine *e = c->e;
    const bd_tensor *y = cuda_in(c, 1);
    size_t scratch = e->node[c->i].scratch;
    if (c->n->out[0] >= 0) {
        bool half = via_half(e, c->n);
        BD_TRY(run_sum(c, !half && cuda_adds(c, 0)));
        size_t n = bd_tensor_count(cuda_out(c, 0));
        if (half) {
            BD_TRY(CUDA_K(c, scale, .y = cuda_out_data(c, 0), .x = (char *)c->workspace + scratch,
                          .ytype = BD_TYPE_F32, .xtype = e->half, .n = n, .k = 1,
                          .accumulate = cuda_adds(c, 0)));
            scratch += cuda_round(n * bd_type_size(e->half));
        }
    }
    if (c->n->out[1] < 0) return BD_OK;
    void *partial = (char *)c->workspace + scratch;
    return CUDA_K(c, sum_rows, .y = cuda_out_data(c, 1), .x = cuda_in_data(c, 1),
                  .scratch = partial, .ytype = BD_TYPE_F32, .xtype = y->type, .groups = 1,
                  .c = y->dim[3], .rows = (size_t)pixels(y), .k = 1, .accumulate = cuda_adds(c, 1));
}

bd_status cuda_run_conv(const cuda_call *c) {
    if (c->n->op == BD_OP_conv2d) return run_fwd(c);
    if (c->n->op == BD_OP_conv2d_bwd_data) return run_sum(c, false);
    return run_bwd_weight(c);
}
