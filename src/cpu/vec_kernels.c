/* Vector kernels, compiled once per instruction set with BD_ISA = avx512 | avx2 | base (see vec.h).
 * Loops over LANES floats with explicit fma; the compiler turns each into one or two vector instructions.
 * speed: docs/speed.md */
#include "cpu/vec.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mathfn.h"
#include "cpu/reg.h"

enum { LANES = 16, CHUNK = 64 /* pixels summed in float before they go to a double */ };

static inline float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline float sigmoid(float x) { return 1.0f / (1.0f + bd_expf(-x)); }

/* --- elementwise --- */

static void add(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void scale(float *y, const float *x, float k, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = k * x[i];
}

static void silu(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] * sigmoid(x[i]);
}

/* d/dx x s(x) = s + x s (1 - s) */
static inline float silu_slope(float x) {
    float s = sigmoid(x);
    return fma_(x * s, 1.0f - s, s);
}

static void silu_bwd(float *dx, const float *dy, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * silu_slope(x[i]);
}

static void relu(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays NaN */
}

static void relu_bwd(float *dx, const float *dy, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
}

static void scaled_diff(float *y, const float *a, const float *b, float k, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = k * (a[i] - b[i]);
}

static void linear(float *restrict y, const float *const *x, const float *k, int terms, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = k[0] * x[0][i];
    for (int j = 1; j < terms; j++) {
        const float *a = x[j];
        const float c = k[j];
        for (size_t i = 0; i < n; i++) y[i] = fma_(c, a[i], y[i]);
    }
}

static void round_bf16(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bd_float_to_bits(x[i]);
        uint32_t r = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
        uint32_t nan = (u & 0xffff0000u) | 0x00400000u;
        x[i] = bd_float_from_bits((u & 0x7fffffffu) > 0x7f800000u ? nan : r);
    }
}

static void clamp(float *y, float lo, float hi, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = y[i] < lo ? lo : y[i]; /* NaN stays NaN */
        y[i] = v > hi ? hi : v;
    }
}

static void adam(float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                 size_t n, const bd_vec_adam *s) {
    const bd_vec_adam a = *s;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * a.scale;
        float mi = fma_(a.c1, d, a.b1 * m[i]);
        float vi = fma_(a.c2 * d, d, a.b2 * v[i]);
        m[i] = mi;
        v[i] = vi;
        p[i] -= a.k1 * mi / fma_(__builtin_sqrtf(vi), a.k2, a.eps);
    }
}

/* --- reductions --- */

/* Pairwise sum of LANES floats in double. */
static double lane_sum(const float *acc) {
    double s[LANES];
    for (int l = 0; l < LANES; l++) s[l] = acc[l];
    for (int step = LANES / 2; step; step /= 2)
        for (int l = 0; l < step; l++) s[l] += s[l + step];
    return s[0];
}

/* sum (a - b)^2, b may be NULL: one float accumulator a lane over CHUNK vectors, chunks added in double. */
static inline double square_sum(const float *a, const float *b, size_t n) {
    double total = 0;
    size_t i = 0;
    while (i + LANES <= n) {
        float acc[LANES] = {0};
        for (int k = 0; k < CHUNK && i + LANES <= n; k++, i += LANES)
            for (int l = 0; l < LANES; l++) {
                float d = b ? a[i + (size_t)l] - b[i + (size_t)l] : a[i + (size_t)l];
                acc[l] = fma_(d, d, acc[l]);
            }
        total += lane_sum(acc);
    }
    for (; i < n; i++) {
        float d = b ? a[i] - b[i] : a[i];
        total += (double)d * d;
    }
    return total;
}

static double sum_sq_diff(const float *a, const float *b, size_t n) { return square_sum(a, b, n); }
static double sum_sq(const float *a, size_t n) { return square_sum(a, NULL, n); }

/* Sums over the pixels p0 .. p1 - 1 of `chunks` chunks, each added up in float on its own (side by side, so that one
 * addition need not wait for the one before), then in order in double: of x, or of (x - shift)^2. w channels from j on.
 * Inlined with a constant w, chunks and squares: the loop over lanes becomes vectors. */
static inline __attribute__((always_inline)) void chunk_sums(double *sum, const float *x,
                                                             const float *shift, int p0, int p1,
                                                             int j, int c, const int w,
                                                             const int chunks, const bool squares) {
    float acc[4][LANES] = {{0}};
    const size_t ch = (size_t)c, chunk = CHUNK * ch;
    x += (size_t)p0 * ch + (size_t)j;
    for (int p = p0; p < p1; p++, x += ch)
        for (int k = 0; k < chunks; k++)
            for (int l = 0; l < w; l++) {
                float d = x[(size_t)k * chunk + (size_t)l];
                if (squares) d -= shift[j + l];
                acc[k][l] = squares ? fma_(d, d, acc[k][l]) : acc[k][l] + d;
            }
    for (int k = 0; k < chunks; k++)
        for (int l = 0; l < w; l++) sum[j + l] += acc[k][l];
}

/* sum[c] = sum over hw of x[hw,c], or of (x[hw,c] - shift[c])^2 */
static inline __attribute__((always_inline)) void channel_moments(double *sum, const float *x,
                                                                  const float *shift, int hw, int c,
                                                                  const bool squares) {
    for (int j = 0; j < c; j++) sum[j] = 0;
    for (int j = 0; j < c; j += LANES) {
        int p = 0, w = c - j < LANES ? c - j : LANES;
        for (; w == LANES && p + 4 * CHUNK <= hw; p += 4 * CHUNK)
            chunk_sums(sum, x, shift, p, p + CHUNK, j, c, LANES, 4, squares);
        for (; p < hw; p += CHUNK) {
            int end = p + CHUNK < hw ? p + CHUNK : hw;
            if (w == LANES)
                chunk_sums(sum, x, shift, p, end, j, c, LANES, 1, squares);
            else
                chunk_sums(sum, x, shift, p, end, j, c, w, 1, squares);
        }
    }
}

static void channel_sums(double *sum, const float *x, int hw, int c) {
    channel_moments(sum, x, NULL, hw, c, false);
}

static void sum_hw(float *y, const float *x, float k, int n, int hw, int c, double *scratch) {
    for (int i = 0; i < n; i++) {
        channel_sums(scratch, x + (size_t)i * (size_t)hw * (size_t)c, hw, c);
        for (int j = 0; j < c; j++) y[(size_t)i * (size_t)c + (size_t)j] = (float)(k * scratch[j]);
    }
}

static void add_channel(float *y, const float *x, const float *v, int n, int hw, int c) {
    for (int i = 0; i < n; i++, v += c)
        for (int p = 0; p < hw; p++, x += c, y += c)
            for (int j = 0; j < c; j++) y[j] = x[j] + v[j];
}

/* --- group norm --- */

static void channel_squares(double *sq, const float *x, const float *shift, int hw, int c) {
    channel_moments(sq, x, shift, hw, c, true);
}

/* Mean and 1/sqrt(var + eps) of each group of one image; shift[c] = mean - v[c] as scratch. */
static void group_stats(float *mean, float *rstd, const float *x, const float *v,
                        const bd_vec_norm *s, double *sum, float *shift) {
    int per = s->c / s->groups;
    double count = (double)s->hw * per;
    channel_sums(sum, x, s->hw, s->c);
    for (int g = 0; g < s->groups; g++) {
        double m = 0;
        for (int j = g * per; j < (g + 1) * per; j++) m += sum[j] + (v ? (double)s->hw * v[j] : 0);
        mean[g] = (float)(m / count);
        for (int j = g * per; j < (g + 1) * per; j++) shift[j] = mean[g] - (v ? v[j] : 0);
    }
    channel_squares(sum, x, shift, s->hw, s->c);
    for (int g = 0; g < s->groups; g++) {
        double q = 0;
        for (int j = g * per; j < (g + 1) * per; j++) q += sum[j];
        rstd[g] = (float)(1.0 / sqrt(q / count + (double)s->eps));
    }
}

/* y = act(a (x - b) + beta) over LANES channels from j on. Inlined with a constant act. */
static inline __attribute__((always_inline)) void norm_apply(float *y, const float *x,
                                                             const float *a, const float *b,
                                                             const float *beta, int hw, int c,
                                                             const bool act) {
    enum { PARTS = LANES / W };
    reg aj[PARTS], bj[PARTS], betaj[PARTS];
    for (int q = 0; q < PARTS; q++) {
        aj[q] = reg_load(a + q * W);
        bj[q] = reg_load(b + q * W);
        betaj[q] = reg_load(beta + q * W);
    }
    for (int p = 0; p < hw; p++, x += c, y += c) {
        for (int q = 0; q < PARTS; q++)
            reg_store(y + q * W, reg_fmadd(reg_load(x + q * W) - bj[q], aj[q], betaj[q]));
        for (int l = 0; act && l < LANES; l++) y[l] *= sigmoid(y[l]);
    }
}

static void norm_image(float *y, const float *x, const float *a, const float *b, const float *beta,
                       const bd_vec_norm *s) {
    int j = 0;
    for (; j + LANES <= s->c; j += LANES)
        if (s->silu)
            norm_apply(y + j, x + j, a + j, b + j, beta + j, s->hw, s->c, true);
        else
            norm_apply(y + j, x + j, a + j, b + j, beta + j, s->hw, s->c, false);
    for (; j < s->c; j++)
        for (size_t p = 0; p < (size_t)s->hw; p++) {
            size_t at = p * (size_t)s->c + (size_t)j;
            float u = fma_(x[at] - b[j], a[j], beta[j]);
            y[at] = s->silu ? u * sigmoid(u) : u;
        }
}

static void group_norm(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                       const float *beta, const float *v, const bd_vec_norm *s, double *scratch) {
    int c = s->c, per = c / s->groups;
    assert(per > 0); /* the graph's shape rule */
    size_t image = (size_t)s->hw * (size_t)c;
    void *floats = scratch + c;
    float *a = floats, *b = a + c; /* y = a (x - b) + beta: no cancellation at a large mean */
    for (int n = 0; n < s->n; n++) {
        const float *vn = v ? v + (size_t)n * (size_t)c : NULL;
        group_stats(mean, rstd, x, vn, s, scratch, b);
        for (int j = 0; j < c; j++) a[j] = rstd[j / per] * gamma[j];
        norm_image(y, x, a, b, beta, s);
        x += image;
        y += image;
        mean += s->groups;
        rstd += s->groups;
    }
}

/* dz = dy act'(u) into dx, and per channel sum dz, sum dz xhat over one image.
 * xhat = (x - o) r (r = rstd, o = mean - v), u = gamma xhat + beta. */
typedef struct {
    double *sum_dz, *sum_dzx;
    float *dx;
    const float *dy, *x, *r, *o, *gamma, *beta;
    int hw, c;
    bool act;
} norm_bwd;

/* Pixels p0..p1 of the channels j0..j0+w. Inlined with a constant w or act: the loop over lanes becomes vectors. */
static inline __attribute__((always_inline)) void
norm_bwd_block(const norm_bwd *k, int p0, int p1, int j0, const int w, const bool act) {
    float acc[LANES] = {0}, accx[LANES] = {0};
    const float *r = k->r + j0, *o = k->o + j0, *gamma = k->gamma + j0, *beta = k->beta + j0;
    for (int p = p0; p < p1; p++) {
        size_t at = (size_t)p * (size_t)k->c + (size_t)j0;
        const float *x = k->x + at, *dy = k->dy + at;
        float *dx = k->dx + at;
        for (int l = 0; l < w; l++) {
            float xh = (x[l] - o[l]) * r[l], dz = dy[l];
            if (act) dz *= silu_slope(fma_(gamma[l], xh, beta[l]));
            dx[l] = dz;
            acc[l] += dz;
            accx[l] = fma_(dz, xh, accx[l]);
        }
    }
    for (int l = 0; l < w; l++) {
        k->sum_dz[j0 + l] += acc[l];
        k->sum_dzx[j0 + l] += accx[l];
    }
}

static void norm_bwd_sums(const norm_bwd *k) {
    for (int j = 0; j < k->c; j++) k->sum_dz[j] = k->sum_dzx[j] = 0;
    for (int p0 = 0; p0 < k->hw; p0 += CHUNK) {
        int p1 = p0 + CHUNK < k->hw ? p0 + CHUNK : k->hw, j = 0;
        for (; j + LANES <= k->c; j += LANES)
            if (k->act)
                norm_bwd_block(k, p0, p1, j, LANES, true);
            else
                norm_bwd_block(k, p0, p1, j, LANES, false);
        if (j < k->c) norm_bwd_block(k, p0, p1, j, k->c - j, k->act);
    }
}

/* dx = r dx + k1 (x - o) + k0 over the channels j .. j + W - 1 */
static inline void norm_bwd_apply(const norm_bwd *k, const float *k1, const float *k0, int j) {
    const reg r = reg_load(k->r + j), o = reg_load(k->o + j), c1 = reg_load(k1 + j),
              c0 = reg_load(k0 + j);
    const float *x = k->x + j;
    float *dx = k->dx + j;
    for (int p = 0; p < k->hw; p++, x += k->c, dx += k->c)
        reg_store(dx, reg_fmadd(r, reg_load(dx), reg_fmadd(c1, reg_load(x) - o, c0)));
}

static void norm_bwd_rest(const norm_bwd *k, const float *k1, const float *k0, int j) {
    for (; j < k->c; j++)
        for (size_t p = 0; p < (size_t)k->hw; p++) {
            size_t at = p * (size_t)k->c + (size_t)j;
            k->dx[at] = fma_(k->r[j], k->dx[at], fma_(k1[j], k->x[at] - k->o[j], k0[j]));
        }
}

static void group_norm_bwd(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                           const float *mean, const float *rstd, const float *gamma,
                           const float *beta, const float *v, const bd_vec_norm *s,
                           double *scratch) {
    int c = s->c, per = c / s->groups;
    assert(per > 0); /* the graph's shape rule */
    size_t image = (size_t)s->hw * (size_t)c;
    double *sum_dz = scratch, *sum_dzx = scratch + c, *dg = scratch + 2 * c, *db = scratch + 3 * c;
    void *floats = scratch + 4 * c;
    float *r = floats, *o = r + c, *k1 = o + c, *k0 = k1 + c;
    for (int j = 0; j < c; j++) dg[j] = db[j] = 0;
    for (int n = 0; n < s->n; n++) {
        const float *vn = v ? v + (size_t)n * (size_t)c : NULL;
        for (int j = 0; j < c; j++) {
            r[j] = rstd[j / per];
            o[j] = mean[j / per] - (vn ? vn[j] : 0);
        }
        const norm_bwd k = {sum_dz, sum_dzx, dx, dy, x, r, o, gamma, beta, s->hw, c, s->silu};
        norm_bwd_sums(&k);
        double count = (double)s->hw * per;
        for (int g = 0; g < s->groups; g++) {
            double m = 0, mx = 0;
            for (int j = g * per; j < (g + 1) * per; j++) {
                m += sum_dz[j] * gamma[j];
                mx += sum_dzx[j] * gamma[j];
            }
            /* dx = rstd (gamma dz - m/count - xhat mx/count), xhat = r (x - o) */
            for (int j = g * per; j < (g + 1) * per; j++) {
                k1[j] = (float)(-(double)r[j] * r[j] * mx / count);
                k0[j] = (float)(-(double)r[j] * m / count);
                dg[j] += sum_dzx[j];
                db[j] += sum_dz[j];
                r[j] *= gamma[j];
            }
        }
        int j = 0;
        for (; j + W <= c; j += W) norm_bwd_apply(&k, k1, k0, j);
        norm_bwd_rest(&k, k1, k0, j);
        x += image;
        dx += image;
        dy += image;
        mean += s->groups;
        rstd += s->groups;
    }
    for (int j = 0; j < c; j++) {
        if (dgamma) dgamma[j] = (float)dg[j];
        if (dbeta) dbeta[j] = (float)db[j];
    }
}

/* --- resampling --- */

static void upsample2(float *y, const float *x, int n, int h, int w, int c) {
    size_t px = (size_t)c * sizeof(float), row = 2 * (size_t)w * (size_t)c;
    for (int i = 0; i < n * h; i++, y += 2 * row) {
        for (int j = 0; j < w; j++, x += c) {
            memcpy(y + (size_t)(2 * j) * (size_t)c, x, px);
            memcpy(y + (size_t)(2 * j + 1) * (size_t)c, x, px);
        }
        memcpy(y + row, y, row * sizeof(float));
    }
}

static void upsample2_bwd(float *dx, const float *dy, int n, int h, int w, int c) {
    size_t row = 2 * (size_t)w * (size_t)c;
    for (int i = 0; i < n * h; i++, dy += 2 * row)
        for (int j = 0; j < w; j++, dx += c) {
            const float *a = dy + (size_t)(2 * j) * (size_t)c, *b = a + row;
            for (int k = 0; k < c; k++) dx[k] = (a[k] + a[k + c]) + (b[k] + b[k + c]);
        }
}

/* --- pooling --- */

/* The part of a window that begins at `first` which lies inside 0 .. n-1. */
static inline int inside_from(int first) { return first < 0 ? 0 : first; }
static inline int inside_to(int first, int size, int n) {
    return first + size < n ? first + size : n;
}

/* y = max(y, x) over c channels; a NaN stays. */
static inline void raise(float *restrict y, const float *restrict x, int c) {
    for (int k = 0; k < c; k++) y[k] = x[k] > y[k] || x[k] != x[k] ? x[k] : y[k];
}

static inline void accumulate(float *restrict y, const float *restrict x, int c) {
    for (int k = 0; k < c; k++) y[k] += x[k];
}

/* One output pixel: the window's pixels in rows y0 .. y1-1 and columns x0 .. x1-1, row by row. */
static inline void pool_pixel(float *restrict y, const float *restrict image,
                              const bd_vec_window *s, int i, int j, bool mean) {
    int top = i * s->stride - s->pad, left = j * s->stride - s->pad;
    int y0 = inside_from(top), y1 = inside_to(top, s->size, s->h);
    int x0 = inside_from(left), x1 = inside_to(left, s->size, s->w);
    for (int r = y0; r < y1; r++)
        for (int q = x0; q < x1; q++) {
            const float *x = image + ((size_t)r * (size_t)s->w + (size_t)q) * (size_t)s->c;
            if (r == y0 && q == x0)
                memcpy(y, x, (size_t)s->c * sizeof *y);
            else if (mean)
                accumulate(y, x, s->c);
            else
                raise(y, x, s->c);
        }
    if (!mean) return;
    float k = 1.0f / (float)((y1 - y0) * (x1 - x0));
    for (int l = 0; l < s->c; l++) y[l] *= k;
}

static inline void pool(float *y, const float *x, const bd_vec_window *s, bool mean) {
    size_t image = (size_t)s->h * (size_t)s->w * (size_t)s->c;
    for (int n = 0; n < s->n; n++, x += image)
        for (int i = 0; i < s->oh; i++)
            for (int j = 0; j < s->ow; j++, y += s->c) pool_pixel(y, x, s, i, j, mean);
}

static void max_pool(float *y, const float *x, const bd_vec_window *s) { pool(y, x, s, false); }
static void avg_pool(float *y, const float *x, const bd_vec_window *s) { pool(y, x, s, true); }

/* --- matrices of attention --- */

/* Rows of some ten to some hundred floats: a call of memcpy for each would cost more than the copy. */
static void copy(float *restrict y, int ldy, const float *restrict x, int ldx, size_t rows,
                 int cols) {
    for (size_t i = 0; i < rows; i++, y += ldy, x += ldx) {
        int j = 0;
        for (; j + W <= cols; j += W) reg_store(y + j, reg_load(x + j));
        for (; j < cols; j++) y[j] = x[j];
    }
}

static void transpose(float *y, int ldy, const float *x, int ldx, int rows, int cols) {
    for (int i0 = 0; i0 < rows; i0 += LANES)
        for (int j = 0; j < cols; j++)
            for (int i = i0; i < rows && i < i0 + LANES; i++)
                y[(size_t)j * (size_t)ldy + (size_t)i] = x[(size_t)i * (size_t)ldx + (size_t)j];
}

/* Largest element, in LANES running maxima. */
static float row_max(const float *p, int n) {
    float best = p[0];
    int i = 0;
    if (n >= LANES) {
        float m[LANES];
        for (int l = 0; l < LANES; l++) m[l] = p[l];
        for (i = LANES; i + LANES <= n; i += LANES)
            for (int l = 0; l < LANES; l++) m[l] = p[i + l] > m[l] ? p[i + l] : m[l];
        for (int l = 0; l < LANES; l++) best = m[l] > best ? m[l] : best;
    }
    for (; i < n; i++) best = p[i] > best ? p[i] : best;
    return best;
}

/* sum_j p[j] (q ? q[j] : 1) in LANES chains, then pairwise. */
static float row_dot(const float *p, const float *q, int n) {
    float acc[LANES] = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            acc[l] = q ? fma_(p[i + l], q[i + l], acc[l]) : acc[l] + p[i + l];
    double s = lane_sum(acc);
    for (; i < n; i++) s += q ? (double)p[i] * q[i] : (double)p[i];
    return (float)s;
}

static void softmax(float *p, int rows, int cols, float k) {
    for (int r = 0; r < rows; r++, p += cols) {
        float top = row_max(p, cols);
        for (int j = 0; j < cols; j++) p[j] = bd_expf(k * (p[j] - top));
        float inv = 1.0f / row_dot(p, NULL, cols);
        for (int j = 0; j < cols; j++) p[j] *= inv;
    }
}

static void softmax_bwd(float *dp, const float *p, int rows, int cols, float k) {
    for (int r = 0; r < rows; r++, p += cols, dp += cols) {
        float dot = row_dot(p, dp, cols);
        for (int j = 0; j < cols; j++) dp[j] = k * p[j] * (dp[j] - dot);
    }
}

extern const bd_vec JOIN(bd_vec_, BD_ISA);
const bd_vec JOIN(bd_vec_, BD_ISA) = {
    .isa = TEXT(BD_ISA),
    .group_norm = group_norm,
    .group_norm_bwd = group_norm_bwd,
    .add = add,
    .scale = scale,
    .silu = silu,
    .silu_bwd = silu_bwd,
    .relu = relu,
    .relu_bwd = relu_bwd,
    .add_channel = add_channel,
    .sum_hw = sum_hw,
    .max_pool = max_pool,
    .avg_pool = avg_pool,
    .upsample2 = upsample2,
    .upsample2_bwd = upsample2_bwd,
    .copy = copy,
    .transpose = transpose,
    .softmax = softmax,
    .softmax_bwd = softmax_bwd,
    .sum_sq_diff = sum_sq_diff,
    .sum_sq = sum_sq,
    .scaled_diff = scaled_diff,
    .linear = linear,
    .round_bf16 = round_bf16,
    .clamp = clamp,
    .adam = adam,
};
