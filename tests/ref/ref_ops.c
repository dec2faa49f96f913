/* Forward formulas. Every function is written from the comment of its op in graph/ops.def and of nothing else. */
#include "ref/ref_ops.h"

#include <math.h>

#include "ref/ref_index.h"

#define BD_REF_TILE(name) [BD_OP_##name] = ref_##name,
#define BD_REF_STEP(name)
#define BD_OP(name, n_in, n_out, scope) BD_REF_##scope(name)
const ref_fn ref_table[BD_OP_COUNT] = {
#include "graph/ops.def"
};
#undef BD_REF_TILE
#undef BD_REF_STEP

#define BD_REF_TILE(name)
#define BD_REF_STEP(name) [BD_OP_##name] = ref_##name,
const ref_step_fn ref_step_table[BD_OP_COUNT] = {
#include "graph/ops.def"
};
#undef BD_OP
#undef BD_REF_TILE
#undef BD_REF_STEP

size_t ref_count(const ref_tensor *t) {
    if (!t->data) return 0;
    return (size_t)t->dim[0] * (size_t)t->dim[1] * (size_t)t->dim[2] * (size_t)t->dim[3];
}

void ref_cast(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++) a->out[0].data[i] = a->in[0].data[i];
}

void ref_conv2d(const ref_args *a) {
    const ref_tensor *x = &a->in[0], *w = &a->in[1], *b = &a->in[2], *z = &a->in[3],
                     *y = &a->out[0];
    const bd_conv_attr *c = &a->node->attr.conv;
    EACH (y, n, i, j, o) {
        double s = b->data ? b->data[o] : 0;
        if (z->data) s += *at(z, n, i, j, o);
        for (int u = 0; u < c->kh; u++)
            for (int v = 0; v < c->kw; v++)
                for (int k = 0; k < x->dim[3]; k++) {
                    int h = i * c->stride + u - c->pad_top, q = j * c->stride + v - c->pad_left;
                    if (h < 0 || h >= x->dim[1] || q < 0 || q >= x->dim[2]) continue;
                    s += *at(x, n, h, q, k) * *at(w, o, k, u, v);
                }
        *at(y, n, i, j, o) = s;
    }
}

void ref_group_norm(const ref_args *a) {
    const ref_tensor *x = &a->in[0], *gamma = &a->in[1], *beta = &a->in[2], *v = &a->in[3];
    const ref_tensor *y = &a->out[0], *mean = &a->out[1], *rstd = &a->out[2];
    const bd_norm_attr *t = &a->node->attr.norm;
    int per = x->dim[3] / t->groups;
    double count = (double)per * x->dim[1] * x->dim[2];
    for (int n = 0; n < x->dim[0]; n++)
        for (int g = 0; g < t->groups; g++) {
            double mu = 0, var = 0;
            for (int c = g * per; c < (g + 1) * per; c++)
                EACH_PIXEL (x, i, j) mu += *at(x, n, i, j, c) + (v->data ? *at(v, n, 0, 0, c) : 0);
            mu /= count;
            for (int c = g * per; c < (g + 1) * per; c++)
                EACH_PIXEL (x, i, j) {
                    double d = *at(x, n, i, j, c) + (v->data ? *at(v, n, 0, 0, c) : 0) - mu;
                    var += d * d;
                }
            double r = 1 / sqrt(var / count + (double)t->eps);
            for (int c = g * per; c < (g + 1) * per; c++)
                EACH_PIXEL (x, i, j) {
                    double u = *at(x, n, i, j, c) + (v->data ? *at(v, n, 0, 0, c) : 0);
                    double z = (u - mu) * r * gamma->data[c] + beta->data[c];
                    *at(y, n, i, j, c) = t->silu ? z / (1 + exp(-z)) : z;
                }
            if (mean->data) *at(mean, n, 0, 0, g) = mu;
            if (rstd->data) *at(rstd, n, 0, 0, g) = r;
        }
}

void ref_attention(const ref_args *a) {
    const ref_tensor *q = &a->in[0], *k = &a->in[1], *v = &a->in[2], *o = &a->out[0],
                     *p = &a->out[1];
    int heads = a->node->attr.attention.heads, C = q->dim[3], d = C / heads,
        S = q->dim[1] * q->dim[2];
    for (int n = 0; n < q->dim[0]; n++)
        for (int h = 0; h < heads; h++)
            for (int s = 0; s < S; s++) {
                double top = -INFINITY, sum = 0, score;
                for (int t = 0; t < S; t++) {
                    score = 0;
                    for (int c = h * d; c < (h + 1) * d; c++)
                        score += *token(q, n, s, c) * *token(k, n, t, c);
                    *at(p, n, h, s, t) = score / sqrt((double)d);
                    top = fmax(top, *at(p, n, h, s, t));
                }
                for (int t = 0; t < S; t++) sum += exp(*at(p, n, h, s, t) - top);
                for (int t = 0; t < S; t++)
                    *at(p, n, h, s, t) = exp(*at(p, n, h, s, t) - top) / sum;
                for (int c = h * d; c < (h + 1) * d; c++) {
                    double r = 0;
                    for (int t = 0; t < S; t++) r += *at(p, n, h, s, t) * *token(v, n, t, c);
                    *token(o, n, s, c) = r;
                }
            }
}

void ref_add(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++)
        a->out[0].data[i] = a->in[0].data[i] + a->in[1].data[i];
}

void ref_add_channel(const ref_args *a) {
    EACH (&a->out[0], n, i, j, c)
        *at(&a->out[0], n, i, j, c) = *at(&a->in[0], n, i, j, c) + *at(&a->in[1], n, 0, 0, c);
}

void ref_sum_hw(const ref_args *a) {
    for (int n = 0; n < a->in[0].dim[0]; n++)
        for (int c = 0; c < a->in[0].dim[3]; c++) {
            double s = 0;
            EACH_PIXEL (&a->in[0], i, j) s += *at(&a->in[0], n, i, j, c);
            *at(&a->out[0], n, 0, 0, c) = s;
        }
}

void ref_scale(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++)
        a->out[0].data[i] = a->in[0].data[i] * (double)a->node->attr.scalar.value;
}

void ref_concat(const ref_args *a) {
    int ca = a->in[0].dim[3];
    EACH (&a->out[0], n, i, j, c)
        *at(&a->out[0], n, i, j, c) =
            c < ca ? *at(&a->in[0], n, i, j, c) : *at(&a->in[1], n, i, j, c - ca);
}

void ref_slice(const ref_args *a) {
    EACH (&a->out[0], n, i, j, c)
        *at(&a->out[0], n, i, j, c) = *at(&a->in[0], n, i, j, c + a->node->attr.slice.first);
}

void ref_upsample2(const ref_args *a) {
    EACH (&a->out[0], n, i, j, c) *at(&a->out[0], n, i, j, c) = *at(&a->in[0], n, i / 2, j / 2, c);
}

void ref_silu(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++)
        a->out[0].data[i] = a->in[0].data[i] / (1 + exp(-a->in[0].data[i]));
}

void ref_relu(const ref_args *a) {
    for (size_t i = 0; i < ref_count(&a->out[0]); i++) {
        double x = a->in[0].data[i];
        a->out[0].data[i] = x > 0 ? x : 0;
    }
}

void ref_max_pool(const ref_args *a) {
    const ref_tensor *x = &a->in[0];
    const bd_window_attr *t = &a->node->attr.window;
    EACH (&a->out[0], n, i, j, c) {
        double top = -INFINITY;
        for (int u = 0; u < t->size; u++)
            for (int v = 0; v < t->size; v++) {
                int h = i * t->stride + u - t->pad, q = j * t->stride + v - t->pad;
                if (h < 0 || h >= x->dim[1] || q < 0 || q >= x->dim[2]) continue;
                top = fmax(top, *at(x, n, h, q, c));
            }
        *at(&a->out[0], n, i, j, c) = top;
    }
}

void ref_avg_pool(const ref_args *a) {
    const ref_tensor *x = &a->in[0];
    const bd_window_attr *t = &a->node->attr.window;
    EACH (&a->out[0], n, i, j, c) {
        double sum = 0;
        int count = 0;
        for (int u = 0; u < t->size; u++)
            for (int v = 0; v < t->size; v++) {
                int h = i * t->stride + u - t->pad, q = j * t->stride + v - t->pad;
                if (h < 0 || h >= x->dim[1] || q < 0 || q >= x->dim[2]) continue;
                sum += *at(x, n, h, q, c);
                count++;
            }
        *at(&a->out[0], n, i, j, c) = sum / count;
    }
}

void ref_mean_hw(const ref_args *a) {
    const ref_tensor *x = &a->in[0];
    for (int n = 0; n < x->dim[0]; n++)
        for (int c = 0; c < x->dim[3]; c++) {
            double s = 0;
            EACH_PIXEL (x, i, j) s += *at(x, n, i, j, c);
            *at(&a->out[0], n, 0, 0, c) = s / ((double)x->dim[1] * x->dim[2]);
        }
}

void ref_time_embedding(const ref_args *a) {
    const bd_time_attr *t = &a->node->attr.time;
    int half = a->out[0].dim[3] / 2;
    for (int n = 0; n < a->out[0].dim[0]; n++)
        for (int k = 0; k < half; k++) {
            double angle = a->in[0].data[n] * exp(-log(10000.0) * k / (half - t->freq_shift));
            *at(&a->out[0], n, 0, 0, k) = t->flip_sin_to_cos ? cos(angle) : sin(angle);
            *at(&a->out[0], n, 0, 0, half + k) = t->flip_sin_to_cos ? sin(angle) : cos(angle);
        }
}

void ref_mse(const ref_args *a) {
    const ref_tensor *p = &a->in[0], *t = &a->in[1];
    for (int n = 0; n < p->dim[0]; n++) a->out[0].data[n] = 0;
    EACH (p, n, i, j, c) {
        double d = *at(p, n, i, j, c) - *at(t, n, i, j, c);
        a->out[0].data[n] += d * d / ((double)p->dim[1] * p->dim[2] * p->dim[3]);
    }
}

void ref_cross_entropy(const ref_args *a) {
    const ref_tensor *x = &a->in[0];
    int K = x->dim[3];
    for (int n = 0; n < x->dim[0]; n++) {
        double top = -INFINITY, sum = 0;
        for (int c = 0; c < K; c++) top = fmax(top, *at(x, n, 0, 0, c));
        for (int c = 0; c < K; c++) sum += exp(*at(x, n, 0, 0, c) - top);
        /* cppcheck-suppress invalidFunctionArg ; K >= 1, so sum >= exp(0) */
        a->out[0].data[n] = top + log(sum) - *at(x, n, 0, 0, (int)a->in[1].data[n]);
        for (int c = 0; c < K; c++)
            *at(&a->out[1], n, 0, 0, c) = exp(*at(x, n, 0, 0, c) - top) / sum;
    }
}
