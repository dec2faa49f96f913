/* The vector kernels of the CPU backend, compiled once per instruction set from vec_kernels.c.
 * All variants give the same bits: fixed lane counts, explicit fma, no libm. Every reduction has a fixed
 * tree that depends on the sizes only. Activations are [N,HW,C] float32. */
#ifndef BD_CPU_VEC_H
#define BD_CPU_VEC_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int n, hw, c, groups;
    float eps;
    bool silu;
} bd_vec_norm;

/* g' = scale g;  m = b1 m + c1 g';  v = b2 v + c2 g'^2;  p -= k1 m / (sqrt(v) k2 + eps), where
 * c = 1 - b (taken in double), k1 = lr/(1-b1^k), k2 = 1/sqrt(1-b2^k). */
typedef struct {
    float scale, b1, c1, b2, c2, k1, k2, eps;
} bd_vec_adam;

/* Pooling of [N,H,W,C] to [N,OH,OW,C]; ops.def says how. */
typedef struct {
    int n, h, w, c, oh, ow, size, stride, pad;
} bd_vec_window;

typedef struct {
    const char *isa;

    /* y = act((x + v - mean) rstd gamma + beta); mean, rstd [N,G] out; v [N,C] or NULL; y may be x */
    void (*group_norm)(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                       const float *beta, const float *v, const bd_vec_norm *s,
                       double *scratch /* 3 C */);
    /* dx (may be dy), dgamma, dbeta [C] */
    void (*group_norm_bwd)(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                           const float *mean, const float *rstd, const float *gamma,
                           const float *beta, const float *v, const bd_vec_norm *s,
                           double *scratch /* 6 C */);

    void (*add)(float *y, const float *a, const float *b, size_t n);
    void (*scale)(float *y, const float *x, float k, size_t n);
    void (*silu)(float *y, const float *x, size_t n);
    void (*silu_bwd)(float *dx, const float *dy, const float *x, size_t n);
    void (*relu)(float *y, const float *x, size_t n);
    void (*relu_bwd)(float *dx, const float *dy, const float *y, size_t n);
    void (*add_channel)(float *y, const float *x, const float *v, int n, int hw, int c);
    /* y[n,c] = k * sum over hw */
    void (*sum_hw)(float *y, const float *x, float k, int n, int hw, int c,
                   double *scratch /* C */);
    void (*max_pool)(float *y, const float *x, const bd_vec_window *s);
    void (*avg_pool)(float *y, const float *x, const bd_vec_window *s);
    void (*upsample2)(float *y, const float *x, int n, int h, int w, int c);
    void (*upsample2_bwd)(float *dx, const float *dy, int n, int h, int w, int c); /* h, w of dx */

    /* y[i,j] = x[i,j] with leading dimensions */
    void (*copy)(float *y, int ldy, const float *x, int ldx, size_t rows, int cols);
    void (*transpose)(float *y, int ldy, const float *x, int ldx, int rows,
                      int cols); /* y[j,i] = x[i,j] */
    /* rows of p: softmax(scale * p) in place */
    void (*softmax)(float *p, int rows, int cols, float scale);
    /* ds = scale * p * (dp - sum_j p dp) in place of dp */
    void (*softmax_bwd)(float *dp, const float *p, int rows, int cols, float scale);

    double (*sum_sq_diff)(const float *a, const float *b, size_t n); /* sum (a-b)^2 */
    double (*sum_sq)(const float *a, size_t n);
    void (*scaled_diff)(float *y, const float *a, const float *b, float k, size_t n); /* k (a-b) */
    /* y = sum over `terms` >= 1 of k[j] x[j], one multiply-add after the other; y is none of the x */
    void (*linear)(float *y, const float *const *x, const float *k, int terms, size_t n);
    void (*round_bf16)(float *x, size_t n); /* to the nearest bf16, ties to even; NaN stays NaN */
    void (*clamp)(float *y, float lo, float hi, size_t n);

    /* p, m, v updated in place; see bd_adam */
    void (*adam)(float *p, float *m, float *v, const float *g, size_t n, const bd_vec_adam *s);
} bd_vec;

/* bd_vec_best -- the widest variant that this machine runs; NULL on an x86 without AVX2 and FMA. */
const bd_vec *bd_vec_best(void);

#endif
