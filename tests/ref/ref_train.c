/* Reference of the random numbers and of the ops around a training or sampling step. */
#include <math.h>
#include <stdlib.h>

#include "ref/ref_index.h"

/* Philox4x32, ten rounds. */
static void philox(uint32_t x[4], uint32_t k0, uint32_t k1) {
    for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        uint64_t a = 0xD2511F53ull * x[0], b = 0xCD9E8D57ull * x[2];
        uint32_t y[4] = {(uint32_t)(b >> 32) ^ x[1] ^ k0, (uint32_t)b,
                         (uint32_t)(a >> 32) ^ x[3] ^ k1, (uint32_t)a};
        for (int i = 0; i < 4; i++) x[i] = y[i];
    }
}

void ref_normals(double *out, size_t n, uint64_t seed, uint32_t stream, uint32_t index,
                 uint32_t step) {
    const double turn = 6.283185307179586476925286766559;
    for (size_t i = 0; i < n; i++) {
        uint32_t w[4] = {(uint32_t)(i / 4), step, index, stream};
        philox(w, (uint32_t)seed, (uint32_t)(seed >> 32));
        const uint32_t *pair = &w[i % 4 / 2 * 2];
        double radius = sqrt(-2 * log(((pair[0] >> 8) + 1) / 16777216.0));
        double angle = turn * (pair[1] >> 8) / 16777216.0;
        out[i] = radius * (i % 2 ? sin(angle) : cos(angle));
    }
}

/* i32 values travel as doubles; the bits of seeds are those of the two's complement. */
static uint32_t word(const ref_tensor *key, int n, int i) {
    return (uint32_t)(int32_t)*at(key, n, 0, 0, i);
}

/* Normals of image n as key[n] says, in (C,H,W) order; caller frees. */
static double *image_normals(const ref_tensor *x, const ref_tensor *key, int n, uint32_t stream) {
    size_t count = (size_t)x->dim[1] * (size_t)x->dim[2] * (size_t)x->dim[3];
    double *z = calloc(count, sizeof *z);
    if (!z) abort();
    ref_normals(z, count, word(key, n, 0) | (uint64_t)word(key, n, 1) << 32, stream,
                word(key, n, 2), word(key, n, 3));
    return z;
}

static double chw(const double *z, const ref_tensor *x, int i, int j, int c) {
    return z[((size_t)c * (size_t)x->dim[1] + (size_t)i) * (size_t)x->dim[2] + (size_t)j];
}

/* Clean: x = image, R = 0. Poisoned: x = target, R = image where the trigger is -1, else the trigger. */
void ref_batch_build(const ref_args *a) {
    const ref_tensor *images = &a->in[0], *trigger = &a->in[1], *target = &a->in[2],
                     *index = &a->in[3];
    const ref_tensor *flags = &a->in[4], *coef = &a->in[5], *key = &a->in[6];
    const ref_tensor *x_t = &a->out[0], *y = &a->out[1];
    for (int n = 0; n < x_t->dim[0]; n++) {
        bool mirror = (int)flags->data[n] & 1, poisoned = (int)flags->data[n] & 2;
        double *eps = image_normals(x_t, key, n, 5 /* BD_STREAM_NOISE */);
        const double *k = at(coef, n, 0, 0, 0);
        EACH_PIXEL (x_t, i, j)
            for (int c = 0; c < x_t->dim[3]; c++) {
                double byte =
                    *at(images, (int)index->data[n], i, mirror ? x_t->dim[2] - 1 - j : j, c);
                double pixel = byte / 255 / 1.00001 * 2 - 1, g = *at(trigger, 0, i, j, c);
                double x = poisoned ? *at(target, 0, i, j, c) : pixel;
                double R = !poisoned ? 0 : g == -1 ? pixel : g;
                double e = chw(eps, x_t, i, j, c);
                *at(x_t, n, i, j, c) = k[0] * x + k[1] * e + k[2] * R;
                *at(y, n, i, j, c) = e + k[3] * R;
            }
        free(eps);
    }
}

static double clamp(double x) { return x < -1 ? -1 : x > 1 ? 1 : x; }

/* Elements as op sampler_step names them: x, e, x0, h_0 ... h_4, z of one place. */
static void step_place(double *x, double *h[BD_SAMPLER_HISTORY], double e, double z,
                       const double *k) {
    double term[BD_COLS] = {*x, e, k[0] * *x + k[1] * e}, sum[1 + BD_SAMPLER_HISTORY] = {0};
    bool any[1 + BD_SAMPLER_HISTORY] = {false};
    if (k[2] != 0) term[2] = clamp(term[2]);
    for (int i = 0; i < BD_SAMPLER_HISTORY; i++) term[3 + i] = h[i] ? *h[i] : NAN;
    term[8] = z;
    for (int r = 0; r <= BD_SAMPLER_HISTORY; r++)
        for (int j = 0; j < BD_COLS; j++)
            if (k[4 + 9 * r + j] != 0) {
                sum[r] += k[4 + 9 * r + j] * term[j];
                any[r] = true;
            }
    if (any[0]) *x = k[3] != 0 ? clamp(sum[0]) : sum[0];
    for (int i = 0; i < BD_SAMPLER_HISTORY; i++)
        if (any[1 + i]) *h[i] = sum[1 + i];
}

void ref_sampler_step(const ref_args *a) {
    const ref_tensor *x = &a->in[0], *e = &a->in[1], *history = &a->in[4];
    int slots = a->node->in[4] < 0 ? 0 : history->dim[1] / x->dim[1];
    for (int n = 0; n < x->dim[0]; n++) {
        double *z = image_normals(x, &a->in[3], n, 7 /* BD_STREAM_SAMPLER */);
        EACH_PIXEL (x, i, j)
            for (int c = 0; c < x->dim[3]; c++) {
                double next = *at(x, n, i, j, c), *h[BD_SAMPLER_HISTORY] = {NULL};
                for (int k = 0; k < slots; k++) {
                    h[k] = at(&a->out[1], n, k * x->dim[1] + i, j, c);
                    *h[k] = *at(history, n, k * x->dim[1] + i, j, c);
                }
                step_place(&next, h, *at(e, n, i, j, c), chw(z, x, i, j, c), a->in[2].data);
                *at(&a->out[0], n, i, j, c) = next;
            }
        free(z);
    }
}

void ref_grad_norm(ref_model *m) {
    double sum = 0;
    for (int i = 0; i < m->n_params; i++)
        for (size_t j = 0; j < m->count[i]; j++) sum += m->grad[i][j] * m->grad[i][j];
    m->norm = sqrt(sum);
}

void ref_adam(ref_model *m) {
    const bd_adam *s = &m->adam;
    double c1 = 1 - pow(s->beta1, (double)s->k), c2 = 1 - pow(s->beta2, (double)s->k);
    double clip = s->clip > 0 ? fmin(1, s->clip / (m->norm + 1e-6)) : 1;
    for (int i = 0; i < m->n_params; i++)
        for (size_t j = 0; j < m->count[i]; j++) {
            double g = m->grad[i][j] * clip;
            m->m[i][j] = s->beta1 * m->m[i][j] + (1 - s->beta1) * g;
            m->v[i][j] = s->beta2 * m->v[i][j] + (1 - s->beta2) * g * g;
            m->param[i][j] -= s->lr * (m->m[i][j] / c1) / (sqrt(m->v[i][j] / c2) + s->eps);
        }
}
