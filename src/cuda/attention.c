/* Attention: products of all images at once, a head after the other, with our softmax between them.
 *   p = softmax(q k^T / sqrt(d)),  o = p v
 *   dv = p^T do,  dp = do v^T,  ds = softmax'(dp),  dq = ds k,  dk = ds^T q */
#include <math.h>

#include "cuda/internal.h"

typedef struct {
    int n, s, c, heads, d;
} shape;

static shape shape_of(const bd_graph *g, const bd_node *n, int q) {
    const bd_tensor *t = bd_graph_tensor(g, n->in[q]);
    int heads = n->attr.attention.heads;
    return (shape){t->dim[0], cuda_hw(t), t->dim[3], heads, t->dim[3] / heads};
}

static int power_of_two(size_t n) {
    int p = 1;
    while (p < 16 && n % ((size_t)p * 2) == 0) p *= 2;
    return p;
}

/* A product between token tensors [N,S,C], of which a head is a stretch of d channels, and [N,heads,S,S]. */
static bd_blas_matmul product(const bd_engine *e, const shape *s) {
    size_t size = bd_type_size(e->half);
    int head = power_of_two((size_t)s->d * size),
        p = power_of_two((size_t)s->s * (size_t)s->s * size);
    int align = s->heads == 1 ? 16 : head < p ? head : p;
    return (bd_blas_matmul){.batch = s->n,
                            .type = e->half,
                            .ctype = e->half,
                            .align = align,
                            .tf32 = e->precision == BD_PRECISION_TF32,
                            .alpha = 1};
}

/* [S,S] = a b^T of two token tensors */
static bd_status scores_plan(const bd_blas_plan **out, bd_engine *e, const shape *s, float alpha) {
    bd_blas_matmul m = product(e, s);
    m.m = m.n = s->s;
    m.k = s->d;
    m.trans_b = true;
    m.lda = m.ldb = s->c;
    m.ldc = s->s;
    m.stride_a = m.stride_b = (long long)s->s * s->c;
    m.stride_c = (long long)s->heads * s->s * s->s;
    m.alpha = alpha;
    return bd_blas_plan_get(out, e->ctx->blas, &m);
}

/* tokens = p b or p^T b */
static bd_status tokens_plan(const bd_blas_plan **out, bd_engine *e, const shape *s, bool trans) {
    bd_blas_matmul m = product(e, s);
    m.m = m.k = s->s;
    m.n = s->d;
    m.trans_a = trans;
    m.lda = s->s;
    m.ldb = m.ldc = s->c;
    m.stride_a = (long long)s->heads * s->s * s->s;
    m.stride_b = m.stride_c = (long long)s->s * s->c;
    return bd_blas_plan_get(out, e->ctx->blas, &m);
}

static float scale(const shape *s) { return (float)(1.0 / sqrt(s->d)); }

bd_status cuda_prepare_attention(bd_engine *e, const bd_node *n, cuda_node *k, size_t *workspace) {
    shape s = shape_of(e->g, n, 0);
    *workspace = 0;
    BD_TRY(scores_plan(&k->product[0], e, &s, scale(&s)));
    return tokens_plan(&k->product[1], e, &s, false);
}

bd_status cuda_prepare_attention_bwd(bd_engine *e, const bd_node *n, cuda_node *k,
                                     size_t *workspace) {
    shape s = shape_of(e->g, n, 1);
    *workspace = (size_t)s.n * (size_t)s.heads * (size_t)s.s * (size_t)s.s * bd_type_size(e->half);
    BD_TRY(scores_plan(&k->product[0], e, &s, 1));
    BD_TRY(tokens_plan(&k->product[1], e, &s, false));
    return tokens_plan(&k->product[2], e, &s, true);
}

/* Where a head begins in a token tensor and in [N,heads,S,S]; NULL stays NULL. */
static void *head_of(const bd_engine *e, void *tokens, const shape *s, int h) {
    return tokens ? (char *)tokens + (size_t)h * (size_t)s->d * bd_type_size(e->half) : NULL;
}
static void *scores_of(const bd_engine *e, void *p, const shape *s, int h) {
    return (char *)p + (size_t)h * (size_t)s->s * (size_t)s->s * bd_type_size(e->half);
}

static bd_status multiply(const cuda_call *c, int plan, void *y, void *a, void *b) {
    if (!y) return BD_OK;
    const bd_engine *e = c->e;
    return bd_blas_run(e->ctx->blas, e->node[c->i].product[plan], y, a, b, e->ctx->stream);
}

static size_t score_rows(const shape *s) { return (size_t)s->n * (size_t)s->heads * (size_t)s->s; }

bd_status cuda_run_attention(const cuda_call *c) {
    const bd_engine *e = c->e;
    shape s = shape_of(e->g, c->n, 0);
    void *o = cuda_out_data(c, 0), *p = cuda_out_data(c, 1), *q = cuda_in_data(c, 0),
         *k = cuda_in_data(c, 1), *v = cuda_in_data(c, 2);
    for (int h = 0; h < s.heads; h++)
        BD_TRY(multiply(c, 0, scores_of(e, p, &s, h), head_of(e, q, &s, h), head_of(e, k, &s, h)));
    BD_TRY(CUDA_K(c, softmax, .p = p, .type = e->half, .rows = score_rows(&s), .cols = s.s,
                  .scale = 1));
    for (int h = 0; h < s.heads; h++)
        BD_TRY(multiply(c, 1, head_of(e, o, &s, h), scores_of(e, p, &s, h), head_of(e, v, &s, h)));
    return BD_OK;
}

bd_status cuda_run_attention_bwd(const cuda_call *c) {
    const bd_engine *e = c->e;
    shape s = shape_of(e->g, c->n, 1);
    void *dout = cuda_in_data(c, 0), *q = cuda_in_data(c, 1), *k = cuda_in_data(c, 2),
         *v = cuda_in_data(c, 3), *p = cuda_in_data(c, 4), *ds = c->workspace;
    void *dq = cuda_out_data(c, 0), *dk = cuda_out_data(c, 1), *dv = cuda_out_data(c, 2);
    for (int h = 0; h < s.heads; h++) {
        void *dh = head_of(e, dout, &s, h);
        BD_TRY(multiply(c, 2, head_of(e, dv, &s, h), scores_of(e, p, &s, h), dh));
        BD_TRY(multiply(c, 0, scores_of(e, ds, &s, h), dh, head_of(e, v, &s, h)));
    }
    BD_TRY(CUDA_K(c, softmax_bwd, .dp = ds, .p = p, .type = e->half, .rows = score_rows(&s),
                  .cols = s.s, .scale = scale(&s)));
    for (int h = 0; h < s.heads; h++) {
        void *dsh = scores_of(e, ds, &s, h);
        BD_TRY(multiply(c, 1, head_of(e, dq, &s, h), dsh, head_of(e, k, &s, h)));
        BD_TRY(multiply(c, 2, head_of(e, dk, &s, h), dsh, head_of(e, q, &s, h)));
    }
    return BD_OK;
}
