/* The project's own CUDA kernels as C calls: one argument struct a kernel, listed in cuda/kernels.def.
 * A call puts the kernel on a stream and returns; 0, or an error code for bd_cuda_platform.error_text. Pointers are
 * device memory unless noted, 16-byte aligned at the start of a tensor; counts may be any number. What an argument
 * calls "type" is BD_TYPE_F32, BF16 or F16; arithmetic is float32 (sums as noted), rounded once on the way out.
 *
 * Results are the same bits for the same arguments: no atomics on floats, every sum has a tree that depends on the
 * sizes alone, and kernels are compiled without contraction of a*b+c, so that the emulator of tests/emu gives the
 * device's bits. Formulas are those of graph/ops.def. */
#ifndef BD_CUDA_KERNELS_H
#define BD_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = k x (+ y when accumulate), element types may differ; y may be x when the types agree */
typedef struct {
    void *y;
    const void *x;
    bd_type ytype, xtype;
    size_t n;
    float k;
    bool accumulate;
} bd_k_scale;

/* y = a + b (+ y when accumulate); y may be a or b */
typedef struct {
    void *y;
    const void *a, *b;
    bd_type type;
    size_t n;
    bool accumulate;
} bd_k_add;

/* y[n,s,c] = x[n,s,c] + bias[c] + v[n,c] + z[n,s,c]; any of bias, v, z may be NULL; x, y, v, z of `type`, bias
 * float32; added in this order; y may be x or z */
typedef struct {
    void *y;
    const void *x;
    const float *bias;
    const void *v, *z;
    bd_type type;
    int n, hw, c;
} bd_k_add_channel;

/* y[r, yfirst + j] = x[r, xfirst + j] for j < count, r < rows; yc, xc: elements of a row. Any element size
 * (bytes) of 1, 2, 4, 8. */
typedef struct {
    void *y;
    const void *x;
    size_t rows;
    int yc, yfirst, xc, xfirst, count, size;
} bd_k_copy_channels;

/* x [N,H,W,C] -> y [N,2H,2W,C] */
typedef struct {
    void *y;
    const void *x;
    bd_type type;
    int n, h, w, c;
} bd_k_upsample2;
/* dy [N,2H,2W,C] -> dx [N,H,W,C]; of the four, (0,0) + (0,1) and (1,0) + (1,1) are added, then the two sums */
typedef struct {
    void *dx;
    const void *dy;
    bd_type type;
    int n, h, w, c;
} bd_k_upsample2_bwd;

/* y may be x */
typedef struct {
    void *y;
    const void *x;
    bd_type type;
    size_t n;
} bd_k_silu, bd_k_relu;
/* silu_bwd: x is the input; relu_bwd: x is the forward result. dx may be dy or x */
typedef struct {
    void *dx;
    const void *dy, *x;
    bd_type type;
    size_t n;
} bd_k_silu_bwd, bd_k_relu_bwd;

/* Pooling of x [N,H,W,C] to y [N,OH,OW,C] */
typedef struct {
    void *y;
    const void *x;
    bd_type type;
    int n, h, w, c, oh, ow, size, stride, pad;
} bd_k_max_pool, bd_k_avg_pool;
/* dy [N,OH,OW,C] -> dx [N,H,W,C]: each dx gathers from the windows that cover it, row by row; x is read by
 * max_pool_bwd only */
typedef struct {
    void *dx;
    const void *dy, *x;
    bd_type type;
    int n, h, w, c, oh, ow, size, stride, pad;
} bd_k_max_pool_bwd, bd_k_avg_pool_bwd;

/* y[g,c] = k * sum over r < rows of x[g,r,c] (+ y when accumulate). Segments of rows are summed first, then their
 * partial sums, in float32, each by a tree fixed by the counts of rows and channels. scratch: bd_k_sum_rows_scratch
 * bytes; no two of y, x, scratch overlap */
typedef struct {
    void *y;
    const void *x;
    float *scratch;
    bd_type ytype, xtype;
    int groups, c;
    size_t rows;
    float k;
    bool accumulate;
} bd_k_sum_rows;
enum { BD_K_SEGMENTS = 256, BD_K_SEGMENT_MIN = 64 };
/* Segments of `rows` rows: at most BD_K_SEGMENTS, each of at least BD_K_SEGMENT_MIN rows but the last. */
static inline size_t bd_k_segment_rows(size_t rows) {
    size_t per = (rows + BD_K_SEGMENTS - 1) / BD_K_SEGMENTS;
    return per < (size_t)BD_K_SEGMENT_MIN ? (size_t)BD_K_SEGMENT_MIN : per;
}
static inline size_t bd_k_segments(size_t rows) {
    size_t per = bd_k_segment_rows(rows);
    return rows ? (rows + per - 1) / per : 0;
}
static inline size_t bd_k_sum_rows_scratch(int groups, size_t rows, int c) {
    return (size_t)groups * bd_k_segments(rows) * (size_t)c * sizeof(float);
}

/* dx[n,s,c] = k dy[n,c] for s < hw */
typedef struct {
    void *dx;
    const void *dy;
    bd_type type;
    int n, hw, c;
    float k;
} bd_k_spread;

/* y = act((x + v - mean) rstd gamma + beta); v [N,C] of `type` or NULL; gamma, beta, mean, rstd float32; mean and
 * rstd [N,G] are written. y may be x. scratch: bd_k_group_norm_scratch bytes */
typedef struct {
    void *y;
    float *mean, *rstd;
    const void *x;
    const float *gamma, *beta;
    const void *v;
    float *scratch;
    bd_type type;
    int n, hw, c, groups;
    float eps;
    bool silu;
} bd_k_group_norm;
/* dx or NULL, dgamma and dbeta float32 [C] (+= when accumulate); dx may be dy. scratch as above */
typedef struct {
    void *dx;
    float *dgamma, *dbeta;
    const void *dy, *x;
    const float *mean, *rstd, *gamma, *beta;
    const void *v;
    float *scratch;
    bd_type type;
    int n, hw, c, groups;
    float eps;
    bool silu, accumulate;
} bd_k_group_norm_bwd;
/* Both directions sum over ranges of pixels, then over the ranges: at most BD_K_NORM_RANGES, each of at least
 * BD_K_NORM_RANGE pixels but the last. */
enum { BD_K_NORM_RANGES = 64, BD_K_NORM_RANGE = 1024 };
static inline int bd_k_norm_range(int hw) {
    int per = hw / BD_K_NORM_RANGES + (hw % BD_K_NORM_RANGES != 0);
    return per < BD_K_NORM_RANGE ? BD_K_NORM_RANGE : per;
}
static inline int bd_k_norm_ranges(int hw) {
    int per = bd_k_norm_range(hw);
    return hw / per + (hw % per != 0);
}
/* Two sums a (range, image, channel), two an (image, channel), two an (image, group): enough for both directions. */
static inline size_t bd_k_group_norm_scratch(int n, int hw, int c, int groups) {
    size_t sums = ((size_t)bd_k_norm_ranges(hw) + 1) * (size_t)c + (size_t)groups;
    return (size_t)n * sums * 2 * sizeof(float);
}
/* bd_cuda_group_norm_shared -- the shared memory, in bytes, that a block of either direction may ask for; 0 (as it
 * begins): what the device has. Results do not depend on it: tests set it to reach every way of cutting the work. */
void bd_cuda_group_norm_shared(size_t bytes);

/* Rows of p: softmax(scale p) in place */
typedef struct {
    void *p;
    bd_type type;
    size_t rows;
    int cols;
    float scale;
} bd_k_softmax;
/* dp = scale p (dp - sum_j p dp) in place of dp */
typedef struct {
    void *dp;
    const void *p;
    bd_type type;
    size_t rows;
    int cols;
    float scale;
} bd_k_softmax_bwd;

/* y [N,C] from timestep [N]; angles in double */
typedef struct {
    void *y;
    const float *timestep;
    bd_type type;
    int n, c, freq_shift;
    bool flip_sin_to_cos;
} bd_k_time_embedding;

/* loss[n] = mean over size elements of (pred - target)^2; squares and sums in double, one block an image */
typedef struct {
    double *loss;
    const void *pred;
    const float *target;
    bd_type type; /* of pred */
    int n;
    size_t size;
} bd_k_mse;
/* dpred = loss_scale * weight[n] * 2 (pred - target) / size; loss_scale: device pointer, NULL = 1 */
typedef struct {
    void *dpred;
    const void *pred;
    const float *target, *weight, *loss_scale;
    bd_type type; /* of pred and dpred */
    int n;
    size_t size;
} bd_k_mse_bwd;

/* in double, one block an image; a label outside 0..k-1 gives NaN */
typedef struct {
    double *loss;
    float *prob;
    const void *logits;
    const int32_t *label;
    bd_type type; /* of logits */
    int n, k;
} bd_k_cross_entropy;
typedef struct {
    void *dlogits;
    const float *prob;
    const int32_t *label;
    const float *weight, *loss_scale;
    bd_type type; /* of dlogits */
    int n, k;
} bd_k_cross_entropy_bwd;

/* See op batch_build. An index outside 0..rows-1 gives NaN: the loss of that image tells. */
typedef struct {
    void *x_t;
    float *y;
    const uint8_t *images;
    const float *trigger, *target;
    const int32_t *index, *flags;
    const float *coef;
    const int32_t *key;
    bd_type type; /* of x_t */
    int n, h, w, c, rows;
} bd_k_batch_build;

/* See op sampler_step. x [N,H,W,C], h [N,slots*H,W,C] or NULL; coef: BD_SAMPLER_COEFS doubles, taken as float32 */
typedef struct {
    float *x, *h;
    const void *e;
    const double *coef;
    const int32_t *key;
    bd_type type; /* of e */
    int n, h_pixels, w, c, slots;
} bd_k_sampler_step;

/* What changes from one optimiser step to the next, in device memory: the host fills it before a step. Adam's
 * numbers are those of bd_vec_adam, with the clipping left to the kernel. loss_scale: what mse_bwd multiplied by. */
typedef struct {
    float b1, c1, b2, c2, k1, k2, eps, loss_scale;
    double clip;
} bd_k_step;

/* norm[0] = L2 norm of g / loss_scale (infinity or NaN when g has any). Blocks of BD_K_NORM_BLOCK, squares and sums
 * in double. partial: bd_k_grad_norm_scratch bytes */
typedef struct {
    double *norm, *partial;
    const float *g;
    const bd_k_step *step;
    size_t n;
} bd_k_grad_norm;
enum { BD_K_NORM_BLOCK = 4096 };
static inline size_t bd_k_grad_norm_scratch(size_t n) {
    return (n + BD_K_NORM_BLOCK - 1) / BD_K_NORM_BLOCK * sizeof(double);
}

/* Adam in place, as bd_vec_adam says, on g / loss_scale * min(1, clip/(norm+1e-6)); does nothing when *norm is not
 * finite. half: the parameters once more in 16 bits, or NULL */
typedef struct {
    float *p, *m, *v;
    void *half;
    const float *g;
    const double *norm;
    const bd_k_step *step;
    bd_type half_type;
    size_t n;
} bd_k_adam;

#define BD_KERNEL(name) int bd_cuda_##name(const bd_k_##name *a, void *stream);
#include "cuda/kernels.def"
#undef BD_KERNEL

#ifdef __cplusplus
}
#endif

#endif
