/* Backward formulas: the derivative of each forward formula, written out by hand. L is the scalar loss, dy = dL/dy. */
#include <math.h>
#include <string.h>

#include "ref/ref_index.h"

static void zero(const ref_tensor *t) {
    if (t->data) memset(t->data, 0, ref_count(t) * sizeof *t->data);
}

/* y[n,i,j,o] contains x[n,h,q,k] w[o,k,u,v] once for every (u,v) that reaches (h,q): scatter dy * w. */
void ref_conv2d_bwd_data(const ref_args *a) {
    const ref_tensor *dy = &a->in[0], *w = &a->in[1], *dx = &a->out[0];
    const bd_conv_attr *c = &a->node->attr.conv;
    zero(dx);
    EACH (dy, n, i, j, o)
        for (int u = 0; u < c->kh; u++)
            for (int v = 0; v < c->kw; v++) {
                int h = i * c->stride + u - c->pad_top, q = j * c->stride + v - c->pad_left;
                if (h < 0 || h >= dx->dim[1] || q < 0 || q >= dx->dim[2]) continue;
                for (int k = 0; k < dx->dim[3]; k++)
                    *at(dx, n, h, q, k) += *at(dy, n, i, j, o) * *at(w, o, k, u, v);
            }
}

void ref_conv2d_bwd_weight(const ref_args *a) {
    const ref_tensor *x = &a->in[0], *dy = &a->in[1], *dw = &a->out[0], *db = &a->out[1];
    const bd_conv_attr *c = &a->node->attr.conv;
    if (dw->data)
        EACH (dw, o, k, u, v) {
            double s = 0;
            for (int n = 0; n < dy->dim[0]; n++)
                EACH_PIXEL (dy, i, j) {
                    int h = i * c->stride + u - c->pad_top, q = j * c->stride + v - c->pad_left;
                    if (h < 0 || h >= x->dim[1] || q < 0 || q >= x->dim[2]) continue;
                    s += *at(dy, n, i, j, o) * *at(x, n, h, q, k);
                }
            *at(dw, o, k, u, v) = s;
        }
    zero(db);
    if (db->data)
        EACH (dy, n, i, j, o) db->data[o] += *at(dy, n, i, j, o);
}

/* With u = x + v, z = xhat gamma + beta, xhat = (u - mean) rstd, e = dL/dz:
 *   dgamma = sum e xhat, dbeta = sum e, dL/dxhat = e gamma = f
 *   dL/du = rstd (f - avg(f) - xhat avg(f xhat)), averages over the group: mean and rstd depend on every u. */
void ref_group_norm_bwd(const ref_args *a) {
    const ref_tensor *dy = &a->in[0], *x = &a->in[1], *mean = &a->in[2], *rstd = &a->in[3];
    const ref_tensor *gamma = &a->in[4], *beta = &a->in[5], *v = &a->in[6];
    const ref_tensor *dx = &a->out[0], *dgamma = &a->out[1], *dbeta = &a->out[2];
    const bd_norm_attr *t = &a->node->attr.norm;
    int per = x->dim[3] / t->groups;
    double count = (double)per * x->dim[1] * x->dim[2];
    zero(dgamma);
    zero(dbeta);
    for (int n = 0; n < x->dim[0]; n++)
        for (int g = 0; g < t->groups; g++) {
            double mu = *at(mean, n, 0, 0, g), r = *at(rstd, n, 0, 0, g), avg_f = 0, avg_fx = 0;
            for (int pass = 0; pass < 2; pass++)
                for (int c = g * per; c < (g + 1) * per; c++)
                    EACH_PIXEL (x, i, j) {
                        double u = *at(x, n, i, j, c) + (v->data ? *at(v, n, 0, 0, c) : 0);
                        double xhat = (u - mu) * r, z = xhat * gamma->data[c] + beta->data[c];
                        double sig = 1 / (1 + exp(-z));
                        double e = *at(dy, n, i, j, c) * (t->silu ? sig * (1 + z * (1 - sig)) : 1);
                        double f = e * gamma->data[c];
                        if (pass == 0) {
                            if (dgamma->data) dgamma->data[c] += e * xhat;
                            if (dbeta->data) dbeta->data[c] += e;
                            avg_f += f / count;
                            avg_fx += f * xhat / count;
                        } else if (dx->data) {
                            *at(dx, n, i, j, c) = r * (f - avg_f - xhat * avg_fx);
                        }
                    }
        }
}

/* o_s = sum_t p_st v_t:  dp_st = do_s . v_t,  dv_t = sum_s p_st do_s
 * softmax: dscore_st = p_st (dp_st - sum_t' p_st' dp_st'),  score_st = q_s . k_t / sqrt(d) */
void ref_attention_bwd(const ref_args *a) {
    const ref_tensor *go = &a->in[0], *q = &a->in[1], *k = &a->in[2], *v = &a->in[3],
                     *p = &a->in[4];
    const ref_tensor *dq = &a->out[0], *dk = &a->out[1], *dv = &a->out[2];
    int heads = a->node->attr.attention.heads, d = q->dim[3] / heads, S = q->dim[1] * q->dim[2];
    double scale = 1 / sqrt((double)d);
    zero(dq);
    zero(dk);
    zero(dv);
    for (int n = 0; n < q->dim[0]; n++)
        for (int h = 0; h < heads; h++)
            for (int s = 0; s < S; s++) {
                double inner = 0;
                for (int t = 0; t < S; t++)
                    for (int c = h * d; c < (h + 1) * d; c++)
                        inner += *at(p, n, h, s, t) * *token(go, n, s, c) * *token(v, n, t, c);
                for (int t = 0; t < S; t++) {
                    double dp = 0, pst = *at(p, n, h, s, t);
                    for (int c = h * d; c < (h + 1) * d; c++)
                        dp += *token(go, n, s, c) * *token(v, n, t, c);
                    double ds = pst * (dp - inner) * scale;
                    for (int c = h * d; c < (h + 1) * d; c++) {
                        if (dq->data) *token(dq, n, s, c) += ds * *token(k, n, t, c);
                        if (dk->data) *token(dk, n, t, c) += ds * *token(q, n, s, c);
                        if (dv->data) *token(dv, n, t, c) += pst * *token(go, n, s, c);
                    }
                }
            }
}

void ref_upsample2_bwd(const ref_args *a) {
    const ref_tensor *dy = &a->in[0], *dx = &a->out[0];
    EACH (dx, n, i, j, c)
        *at(dx, n, i, j, c) = *at(dy, n, 2 * i, 2 * j, c) + *at(dy, n, 2 * i, 2 * j + 1, c) +
                              *at(dy, n, 2 * i + 1, 2 * j, c) + *at(dy, n, 2 * i + 1, 2 * j + 1, c);
}

/* d/dx x s(x) = s + x s (1 - s) */
void ref_silu_bwd(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++) {
        double x = a->in[1].data[i], s = 1 / (1 + exp(-x));
        a->out[0].data[i] = a->in[0].data[i] * (s + x * s * (1 - s));
    }
}

void ref_relu_bwd(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++)
        a->out[0].data[i] = a->in[1].data[i] > 0 ? a->in[0].data[i] : 0;
}

/* Both pools: y[n,i,j,c] depends on the x of its window; scatter dy over them. */
static void pool_bwd(const ref_args *a, const ref_tensor *x) {
    const ref_tensor *dy = &a->in[0], *dx = &a->out[0];
    const bd_window_attr *t = &a->node->attr.window;
    zero(dx);
    EACH (dy, n, i, j, c) {
        double top = -INFINITY;
        int count = 0, best_h = 0, best_q = 0;
        for (int pass = 0; pass < 2; pass++) /* look at the window, then hand out */
            for (int u = 0; u < t->size; u++)
                for (int v = 0; v < t->size; v++) {
                    int h = i * t->stride + u - t->pad, q = j * t->stride + v - t->pad;
                    if (h < 0 || h >= dx->dim[1] || q < 0 || q >= dx->dim[2]) continue;
                    if (pass == 1 && !x) *at(dx, n, h, q, c) += *at(dy, n, i, j, c) / count;
                    if (pass == 1) continue;
                    count++;
                    if (x && *at(x, n, h, q, c) > top) {
                        top = *at(x, n, h, q, c);
                        best_h = h;
                        best_q = q;
                    }
                }
        if (x) *at(dx, n, best_h, best_q, c) += *at(dy, n, i, j, c);
    }
}

void ref_max_pool_bwd(const ref_args *a) { pool_bwd(a, &a->in[1]); }
void ref_avg_pool_bwd(const ref_args *a) { pool_bwd(a, NULL); }

void ref_mean_hw_bwd(const ref_args *a) {
    EACH (&a->out[0], n, i, j, c)
        *at(&a->out[0], n, i, j, c) = *at(&a->in[0], n, 0, 0, c) /
                                      ((double)a->node->attr.spatial.h * a->node->attr.spatial.w);
}

void ref_mse_bwd(const ref_args *a) {
    const ref_tensor *p = &a->in[0], *t = &a->in[1];
    EACH (p, n, i, j, c)
        *at(&a->out[0], n, i, j, c) = a->in[2].data[n] * 2 *
                                      (*at(p, n, i, j, c) - *at(t, n, i, j, c)) /
                                      ((double)p->dim[1] * p->dim[2] * p->dim[3]);
}

void ref_cross_entropy_bwd(const ref_args *a) {
    EACH (&a->out[0], n, i, j, c)
        *at(&a->out[0], n, i, j, c) =
            a->in[2].data[n] * (*at(&a->in[0], n, i, j, c) - (c == (int)a->in[1].data[n] ? 1 : 0));
}
