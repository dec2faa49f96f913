/* Oracles: the formulas in float64, their derivative held against finite differences; the two ways of the kernels
 * against each other, bit for bit; sums over a group that are zero by algebra. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_check.h"
#include "cuda_compare.h"
#include "ref/check.h"

static const bd_type types[] = {BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16};
static const char *const type_names[] = {"f32", "bf16", "f16"};
enum { TYPES = 3, MAX_X = 130000, MAX_V = 2100 };
static const double f32_unit = 0x1p-24;

typedef struct {
    int n, hw, c, groups;
} shape;
/* Group widths 1 to 5, 8, 12, 16, 31, 32, 36, 65; channels that fill vectors of 16 bytes, and others; pixels of less
 * than one class each, of whole and of broken classes, of two ranges with a short second one. Those of the networks:
 * 32 groups at 4x4, 8x8, 16x16, and a slice of 32x32. */
static const shape shapes[] = {
    {1, 1, 1, 1},     {2, 1, 8, 4},     {3, 5, 3, 3},     {2, 7, 6, 2},     {1, 9, 5, 1},
    {1, 12, 12, 3},   {2, 16, 32, 32},  {2, 16, 64, 32},  {1, 16, 24, 8},   {1, 36, 40, 8},
    {2, 16, 128, 32}, {2, 16, 384, 32}, {2, 64, 256, 32}, {1, 16, 512, 32}, {1, 4, 1024, 32},
    {1, 49, 62, 2},   {1, 16, 130, 2},  {2, 256, 64, 16}, {1, 1024, 32, 8}, {1, 1100, 16, 4},
    {1, 128, 72, 2}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static size_t x_count(const shape *s) { return (size_t)s->n * (size_t)(s->hw * s->c); }
static size_t v_count(const shape *s) { return (size_t)s->n * (size_t)s->c; }
static size_t g_count(const shape *s) { return (size_t)s->n * (size_t)s->groups; }

static double x[MAX_X], dy[MAX_X], v[MAX_V], gamma_[MAX_V], beta[MAX_V], mean[MAX_V], rstd[MAX_V];
static double old_gamma[MAX_V], old_beta[MAX_V];

static void fill(const shape *s, uint64_t seed) {
    assert_true(x_count(s) <= MAX_X && v_count(s) <= MAX_V && s->c <= MAX_V);
    ref_fill(x, x_count(s), seed);
    ref_fill(dy, x_count(s), seed + 1);
    ref_fill(v, v_count(s), seed + 2);
    ref_fill(gamma_, (size_t)s->c, seed + 3);
    ref_fill(beta, (size_t)s->c, seed + 4);
    ref_fill(old_gamma, (size_t)s->c, seed + 5);
    ref_fill(old_beta, (size_t)s->c, seed + 6);
}

typedef struct {
    bool silu, add_v, in_place, accumulate, no_dx;
    size_t shared; /* bytes a block may have; 0: the device's */
    double eps;
} mode;
enum { STREAMING = 1 }; /* a byte of shared memory: nothing fits */

/* ---- forward */

typedef struct {
    double y[MAX_X], mean[MAX_V], rstd[MAX_V];
    bool kept; /* the scratch was left alone: one kernel did it */
} forward;

static float *get_scratch(const shape *s, size_t *count) {
    *count = bd_k_group_norm_scratch(s->n, s->hw, s->c, s->groups) / sizeof(float);
    return cuda_out(BD_TYPE_F32, *count);
}

/* Elements of the scratch that were written. */
static size_t written(const float *scratch, size_t count) {
    double *all = calloc(count + 1, sizeof *all);
    assert_non_null(all);
    cuda_get(all, scratch);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += !isnan(all[i]);
    free(all);
    return n;
}

static void run_forward(forward *out, bd_type type, const shape *s, const mode *m) {
    cuda_begin();
    size_t count;
    float *scratch = get_scratch(s, &count), *dmean = cuda_out(BD_TYPE_F32, g_count(s)),
          *drstd = cuda_out(BD_TYPE_F32, g_count(s));
    const float *dgamma = cuda_in(BD_TYPE_F32, gamma_, (size_t)s->c),
                *dbeta = cuda_in(BD_TYPE_F32, beta, (size_t)s->c);
    const void *dv = m->add_v ? cuda_in(type, v, v_count(s)) : NULL;
    void *dx = m->in_place ? cuda_io(type, x, x_count(s)) : cuda_in(type, x, x_count(s));
    void *y = m->in_place ? dx : cuda_out(type, x_count(s));
    bd_cuda_group_norm_shared(m->shared);
    CUDA_RUN(group_norm, .y = y, .mean = dmean, .rstd = drstd, .x = dx, .gamma = dgamma,
             .beta = dbeta, .v = dv, .scratch = scratch, .type = type, .n = s->n, .hw = s->hw,
             .c = s->c, .groups = s->groups, .eps = (float)m->eps, .silu = m->silu);
    bd_cuda_group_norm_shared(0);
    cuda_get(out->y, y);
    cuda_get(out->mean, dmean);
    cuda_get(out->rstd, drstd);
    out->kept = written(scratch, count) == 0;
    cuda_end();
}

static double sigmoid(double u) { return 1 / (1 + exp(-u)); }
static double added(const shape *s, const mode *m, int image, int channel) {
    return m->add_v ? v[image * s->c + channel] : 0;
}

/* The formulas of graph/ops.def; mean and rstd are left in double. */
static void right_forward(double *y, const shape *s, const mode *m) {
    int width = s->c / s->groups;
    for (int i = 0; i < s->n; i++)
        for (int g = 0; g < s->groups; g++) {
            const double *xi = x + (size_t)i * (size_t)(s->hw * s->c);
            double sum = 0, squares = 0, count = (double)s->hw * width;
            for (int p = 0; p < s->hw; p++)
                for (int c = g * width; c < (g + 1) * width; c++)
                    sum += xi[p * s->c + c] + added(s, m, i, c);
            double mu = sum / count;
            for (int p = 0; p < s->hw; p++)
                for (int c = g * width; c < (g + 1) * width; c++) {
                    double d = xi[p * s->c + c] + added(s, m, i, c) - mu;
                    squares += d * d;
                }
            double r = 1 / sqrt(squares / count + m->eps);
            mean[i * s->groups + g] = mu;
            rstd[i * s->groups + g] = r;
            for (int p = 0; p < s->hw; p++)
                for (int c = g * width; c < (g + 1) * width; c++) {
                    size_t at = (size_t)i * (size_t)(s->hw * s->c) + (size_t)(p * s->c + c);
                    double u = (x[at] + added(s, m, i, c) - mu) * r * gamma_[c] + beta[c];
                    y[at] = m->silu ? u * sigmoid(u) : u;
                }
        }
}

/* A thread adds 17 pixels at most, trees have 7 + 5 levels, a lane of the last one up to 3: fewer than 40 roundings of
 * numbers up to the largest |x + v| of a group in the mean; each reaches y through rstd gamma. For 16-bit storage the
 * sigmoid is wrong by 1.1e-5, 1.2e-5 with the roundings of its arithmetic. */
enum { OPS = 40 };
static const double sigmoid_error = 1.2e-5;

static void near_forward(const char *name, const forward *got, bd_type type, const shape *s,
                         const mode *m) {
    static double want[MAX_X], bound[MAX_X], mean_bound[MAX_V], rstd_bound[MAX_V];
    right_forward(want, s, m);
    double top = 4 * ref_max_abs(x, x_count(s));
    for (size_t i = 0; i < g_count(s); i++) {
        mean_bound[i] = OPS * f32_unit * top;
        rstd_bound[i] = OPS * f32_unit * rstd[i] * (1 + top * rstd[i] * 0x1p-10);
    }
    for (size_t i = 0; i < x_count(s); i++) {
        size_t c = i % (size_t)s->c, image = i / (size_t)(s->hw * s->c);
        size_t g = image * (size_t)s->groups + c / (size_t)(s->c / s->groups);
        double size = top * rstd[g] * fabs(gamma_[c]) + fabs(beta[c]) + fabs(want[i]);
        bound[i] = compare_bound(type, want[i], OPS, size) +
                   (m->silu && type != BD_TYPE_F32 ? sigmoid_error * fabs(want[i]) : 0);
    }
    compare_within(name, got->y, want, bound, x_count(s), s->hw * s->c == s->groups);
    compare_within(name, got->mean, mean, mean_bound, g_count(s), 0);
    compare_within(name, got->rstd, rstd, rstd_bound, g_count(s), 0);
}

static void label(char *out, size_t n, const char *what, int type, const shape *s, const mode *m) {
    (void)snprintf(out, n, "%s %s [%d,%d,%d]/%d%s%s%s", what, type_names[type], s->n, s->hw, s->c,
                   s->groups, m->silu ? " silu" : "", m->add_v ? " v" : "",
                   m->shared ? " streaming" : "");
}

static void forward_is_near_float64(void **state) {
    (void)state;
    static forward got;
    char name[128];
    for (int i = 0; i < SHAPES; i++)
        for (int t = 0; t < TYPES; t++) {
            const shape *s = &shapes[i];
            mode m = {.silu = (i + t) % 2, .add_v = (i + t) / 2 % 2, .eps = 1e-5};
            fill(s, 1 + (uint64_t)i);
            run_forward(&got, types[t], s, &m);
            label(name, sizeof name, "forward", t, s, &m);
            near_forward(name, &got, types[t], s, &m);
        }
}

/* ---- backward */

typedef struct {
    double dx[MAX_X], dgamma[MAX_V], dbeta[MAX_V];
    bool kept;
} backward;

/* mean and rstd as right_forward left them, rounded to float32 here as the kernel gets them. */
static void run_backward(backward *out, bd_type type, const shape *s, const mode *m) {
    cuda_begin();
    size_t count;
    float *scratch = get_scratch(s, &count);
    const float *dmean = cuda_in(BD_TYPE_F32, mean, g_count(s)),
                *drstd = cuda_in(BD_TYPE_F32, rstd, g_count(s));
    const float *gamma = cuda_in(BD_TYPE_F32, gamma_, (size_t)s->c),
                *b = cuda_in(BD_TYPE_F32, beta, (size_t)s->c);
    const void *dv = m->add_v ? cuda_in(type, v, v_count(s)) : NULL;
    const void *din = cuda_in(type, x, x_count(s));
    void *ddy = m->in_place ? cuda_io(type, dy, x_count(s)) : cuda_in(type, dy, x_count(s));
    void *dx = m->no_dx ? NULL : m->in_place ? ddy : cuda_out(type, x_count(s));
    size_t c = (size_t)s->c;
    float *dgamma = m->accumulate ? cuda_io(BD_TYPE_F32, old_gamma, c) : cuda_out(BD_TYPE_F32, c);
    float *dbeta = m->accumulate ? cuda_io(BD_TYPE_F32, old_beta, c) : cuda_out(BD_TYPE_F32, c);
    bd_cuda_group_norm_shared(m->shared);
    CUDA_RUN(group_norm_bwd, .dx = dx, .dgamma = dgamma, .dbeta = dbeta, .dy = ddy, .x = din,
             .mean = dmean, .rstd = drstd, .gamma = gamma, .beta = b, .v = dv, .scratch = scratch,
             .type = type, .n = s->n, .hw = s->hw, .c = s->c, .groups = s->groups,
             .eps = (float)m->eps, .silu = m->silu, .accumulate = m->accumulate);
    bd_cuda_group_norm_shared(0);
    if (dx) cuda_get(out->dx, dx);
    cuda_get(out->dgamma, dgamma);
    cuda_get(out->dbeta, dbeta);
    out->kept = written(scratch, count) == 2 * v_count(s); /* sums of (image, channel) */
    cuda_end();
}

/* dx, dgamma, dbeta and, in `size`, what their terms add up to without signs: for the bounds. */
static void right_backward(backward *out, backward *size, const shape *s, const mode *m) {
    int width = s->c / s->groups;
    for (int c = 0; c < s->c; c++) {
        out->dgamma[c] = m->accumulate ? old_gamma[c] : 0;
        out->dbeta[c] = m->accumulate ? old_beta[c] : 0;
        size->dgamma[c] = fabs(out->dgamma[c]);
        size->dbeta[c] = fabs(out->dbeta[c]);
    }
    for (int i = 0; i < s->n * s->groups; i++) {
        size_t first = (size_t)(i / s->groups) * (size_t)(s->hw * s->c);
        int c0 = i % s->groups * width;
        double m1 = 0, m2 = 0, size1 = 0, size2 = 0, count = (double)s->hw * width;
        for (int pass = 0; pass < 2; pass++) {
            for (int p = 0; p < s->hw; p++)
                for (int c = c0; c < c0 + width; c++) {
                    size_t at = first + (size_t)(p * s->c + c);
                    double xhat = (x[at] + added(s, m, i / s->groups, c) - mean[i]) * rstd[i];
                    double u = gamma_[c] * xhat + beta[c], a = sigmoid(u);
                    double dz = m->silu ? dy[at] * (a + u * a * (1 - a)) : dy[at];
                    double big = m->silu ? fabs(dy[at]) * a * (1 + fabs(u)) : fabs(dy[at]);
                    if (pass == 0) {
                        m1 += gamma_[c] * dz / count;
                        m2 += gamma_[c] * dz * xhat / count;
                        size1 += fabs(gamma_[c]) * big / count;
                        size2 += fabs(gamma_[c] * xhat) * big / count;
                        out->dgamma[c] += dz * xhat;
                        out->dbeta[c] += dz;
                        size->dgamma[c] += big * (fabs(xhat) + 1);
                        size->dbeta[c] += big;
                    } else {
                        out->dx[at] = rstd[i] * (gamma_[c] * dz - m1 - xhat * m2);
                        size->dx[at] =
                            rstd[i] * (fabs(gamma_[c]) * big + size1 + (fabs(xhat) + 1) * size2);
                    }
                }
        }
    }
}

/* As OPS: sums of pixels, a tree of 7 levels, ranges, channels of a group and, for dgamma and dbeta, images. 16 bits:
 * the slope of SiLU has the sigmoid three times, so that its error counts twice the sizes in which u is left out. */
static void near_backward(const char *name, const backward *got, bd_type type, const shape *s,
                          const mode *m) {
    static backward want, size;
    static double bound[MAX_X], bound_gamma[MAX_V], bound_beta[MAX_V];
    right_backward(&want, &size, s, m);
    double loose = m->silu && type != BD_TYPE_F32 ? 2 * sigmoid_error : 0;
    for (size_t i = 0; i < x_count(s); i++)
        bound[i] = compare_bound(type, want.dx[i], OPS, size.dx[i]) + loose * size.dx[i];
    for (int c = 0; c < s->c; c++) {
        bound_gamma[c] = (OPS * f32_unit + loose) * size.dgamma[c];
        bound_beta[c] = (OPS * f32_unit + loose) * size.dbeta[c];
    }
    /* one element a group: dx is zero */
    if (!m->no_dx)
        compare_within(name, got->dx, want.dx, bound, x_count(s), s->hw * s->c == s->groups);
    compare_within(name, got->dgamma, want.dgamma, bound_gamma, (size_t)s->c,
                   s->hw * s->c == s->groups);
    compare_within(name, got->dbeta, want.dbeta, bound_beta, (size_t)s->c, 0);
}

/* Inputs as the type stores them, and statistics of these: what backward starts from. */
static void prepare(bd_type type, const shape *s, const mode *m, uint64_t seed) {
    static double y[MAX_X];
    fill(s, seed);
    for (size_t i = 0; i < x_count(s); i++) x[i] = cuda_round(x[i], type);
    for (size_t i = 0; i < v_count(s); i++) v[i] = cuda_round(v[i], type);
    right_forward(y, s, m);
}

static void backward_is_near_float64(void **state) {
    (void)state;
    static backward got;
    char name[128];
    for (int i = 0; i < SHAPES; i++)
        for (int t = 0; t < TYPES; t++) {
            const shape *s = &shapes[i];
            mode m = {.silu = (i + t) % 2,
                      .add_v = (i + t) / 2 % 2,
                      .accumulate = i % 3 == 0,
                      .no_dx = i % 5 == 4,
                      .eps = 1e-5};
            prepare(types[t], s, &m, 40 + (uint64_t)i);
            run_backward(&got, types[t], s, &m);
            label(name, sizeof name, "backward", t, s, &m);
            near_backward(name, &got, types[t], s, &m);
        }
}

/* The oracle itself: d/dx of sum dy y by central differences in float64, h = 1e-5: h^2 and 1e-16 / h are below 1e-9 for
 * numbers of size one. */
static void the_oracle_is_a_derivative(void **state) {
    (void)state;
    static double y[MAX_X];
    static backward want, size;
    const shape s = {2, 6, 8, 2};
    const mode m = {.silu = true, .add_v = true, .eps = 1e-5};
    fill(&s, 90);
    right_forward(y, &s, &m);
    right_backward(&want, &size, &s, &m);
    for (size_t i = 0; i < x_count(&s); i++) {
        double slope = 0, kept = x[i];
        for (int sign = -1; sign <= 1; sign += 2) {
            x[i] = kept + sign * 1e-5;
            right_forward(y, &s, &m);
            for (size_t j = 0; j < x_count(&s); j++) slope += sign * dy[j] * y[j] / 2e-5;
        }
        x[i] = kept;
        assert_true(fabs(slope - want.dx[i]) < 1e-7);
    }
}

/* Of dx, the sum over a group and the sum times xhat are zero: dx is orthogonal to what the norm takes out. Each of
 * `count` terms is off by 8 roundings of numbers up to `top`. eps is small: with var + eps in place of var the second
 * sum is eps / var of sum xhat^2 m2. */
static void dx_is_orthogonal_to_what_is_removed(void **state) {
    (void)state;
    static backward got;
    const shape s = {2, 64, 32, 8};
    const mode m = {.silu = true, .eps = 1e-12};
    prepare(BD_TYPE_F32, &s, &m, 91);
    run_backward(&got, BD_TYPE_F32, &s, &m);
    double top = ref_max_abs(got.dx, x_count(&s)), count = s.hw * 4, limit = 8 * f32_unit * top;
    double worst = 0, all = 0;
    for (int i = 0; i < s.n * s.groups; i++) {
        double sum = 0, sum_x = 0, size = 0;
        for (int p = 0; p < s.hw; p++)
            for (int c = i % s.groups * 4; c < i % s.groups * 4 + 4; c++) {
                size_t at = (size_t)(i / s.groups * s.hw + p) * (size_t)s.c + (size_t)c;
                sum += got.dx[at];
                sum_x += got.dx[at] * (x[at] - mean[i]) * rstd[i];
                size += fabs(got.dx[at]);
            }
        worst = fmax(worst, fmax(fabs(sum), fabs(sum_x)) / count);
        all += size / count / (s.n * s.groups);
    }
    assert_true(worst <= limit);
    assert_true(all > 1000 * limit); /* nothing that is zero anyway */
}

/* ---- the two ways, and other things that change no bit */

static void same_forward(const char *name, const forward *a, const forward *b, const shape *s) {
    compare_same(name, a->y, b->y, x_count(s));
    compare_same(name, a->mean, b->mean, g_count(s));
    compare_same(name, a->rstd, b->rstd, g_count(s));
}

static void same_backward(const char *name, const backward *a, const backward *b, const shape *s,
                          bool dx) {
    if (dx) compare_same(name, a->dx, b->dx, x_count(s));
    compare_same(name, a->dgamma, b->dgamma, (size_t)s->c);
    compare_same(name, a->dbeta, b->dbeta, (size_t)s->c);
}

/* Shared memory of none, of a narrow chunk, of as much as there is. The last shape has two ranges, its chunk three
 * vectors: classes of a warp cannot be added by shuffles there. */
static void the_ways_agree_bit_for_bit(void **state) {
    (void)state;
    static forward f[3];
    static backward b[3];
    static const shape these[] = {{2, 16, 128, 32}, {1, 60, 24, 8},  {1, 256, 64, 16},
                                  {2, 9, 6, 2},     {1, 64, 96, 32}, {1, 1100, 24, 8}};
    char name[128];
    for (size_t i = 0; i < sizeof these / sizeof these[0]; i++)
        for (int t = 0; t < TYPES; t++) {
            const shape *s = &these[i];
            /* 32 bytes a pixel of one tensor, and 4 KB for sums */
            const size_t some = (size_t)s->hw * 64 + 4096;
            for (int k = 0; k < 3; k++) {
                mode m = {.silu = t != 1, .add_v = i % 2, .eps = 1e-5};
                m.shared = k == 0 ? 0 : k == 1 ? STREAMING : some;
                label(name, sizeof name, "ways", t, s, &m);
                prepare(types[t], s, &m, 100 + i);
                run_forward(&f[k], types[t], s, &m);
                run_backward(&b[k], types[t], s, &m);
                if (k) same_forward(name, &f[0], &f[k], s);
                if (k) same_backward(name, &b[0], &b[k], s, true);
            }
            assert_true(f[0].kept && b[0].kept);
            assert_false(f[1].kept || b[1].kept);
        }
}

/* 32 pixels of 8192 x 16 x 2 bytes do not fit an H100's 227 KB, and are eight ranges. */
static void a_large_image_streams(void **state) {
    (void)state;
    static forward f;
    static backward b;
    const shape s = {1, 8100, 16, 4};
    const mode m = {.silu = true, .add_v = true, .eps = 1e-5};
    prepare(BD_TYPE_BF16, &s, &m, 120);
    run_forward(&f, BD_TYPE_BF16, &s, &m);
    assert_false(f.kept);
    near_forward("large", &f, BD_TYPE_BF16, &s, &m);
    prepare(BD_TYPE_BF16, &s, &m, 120);
    run_backward(&b, BD_TYPE_BF16, &s, &m);
    assert_false(b.kept);
    near_backward("large", &b, BD_TYPE_BF16, &s, &m);
}

/* More than 64 ranges of 1024 pixels: they become longer. */
static void a_huge_image_has_longer_ranges(void **state) {
    (void)state;
    static forward f;
    static backward b;
    const shape s = {1, 66000, 1, 1};
    const mode m = {.eps = 1e-5};
    assert_true(bd_k_norm_range(s.hw) > BD_K_NORM_RANGE);
    assert_int_equal(bd_k_norm_ranges(s.hw), BD_K_NORM_RANGES);
    prepare(BD_TYPE_F32, &s, &m, 121);
    run_forward(&f, BD_TYPE_F32, &s, &m);
    near_forward("huge", &f, BD_TYPE_F32, &s, &m);
    prepare(BD_TYPE_F32, &s, &m, 121);
    run_backward(&b, BD_TYPE_F32, &s, &m);
    near_backward("huge", &b, BD_TYPE_F32, &s, &m);
}

static void in_place_changes_nothing(void **state) {
    (void)state;
    static forward f[2];
    static backward b[2];
    const shape s = {2, 40, 32, 8};
    for (int t = 0; t < TYPES; t++)
        for (int way = 0; way < 2; way++) {
            for (int k = 0; k < 2; k++) {
                mode m = {.silu = true, .in_place = k, .shared = way ? STREAMING : 0, .eps = 1e-5};
                prepare(types[t], &s, &m, 130);
                run_forward(&f[k], types[t], &s, &m);
                run_backward(&b[k], types[t], &s, &m);
            }
            same_forward("in place", &f[0], &f[1], &s);
            same_backward("in place", &b[0], &b[1], &s, true);
        }
}

static void dx_may_be_left_out(void **state) {
    (void)state;
    static backward b[2];
    const shape s = {3, 40, 32, 8};
    for (int k = 0; k < 2; k++) {
        mode m = {.silu = true, .accumulate = true, .no_dx = k, .eps = 1e-5};
        prepare(BD_TYPE_BF16, &s, &m, 131);
        run_backward(&b[k], BD_TYPE_BF16, &s, &m);
    }
    assert_true(b[0].kept);
    same_backward("without dx", &b[0], &b[1], &s, false);
}

/* ---- numbers that are hard */

/* Mean 1000, spread 1. float32 holds the mean to 3e-5 and x to 3e-5, of a spread of one; y is held to four times both.
 * rstd: the deviations are right to 1e-4 each at worst and average out. E[x^2] - m^2 in float32 misses by far. */
static void a_large_mean_costs_nothing(void **state) {
    (void)state;
    static forward got;
    static double want[MAX_X], bound[MAX_X];
    const shape s = {2, 256, 32, 8};
    for (int t = 0; t < TYPES; t += 2) /* f32 and f16: bf16 stores no such spread */
        for (int way = 0; way < 2; way++) {
            const mode m = {.shared = way ? STREAMING : 0, .eps = 1e-5};
            fill(&s, 140);
            for (size_t i = 0; i < x_count(&s); i++) x[i] = cuda_round(1000 + x[i], types[t]);
            run_forward(&got, types[t], &s, &m);
            right_forward(want, &s, &m);
            for (size_t i = 0; i < x_count(&s); i++)
                bound[i] =
                    compare_bound(types[t], want[i], 8 * 1000, fabs(gamma_[i % (size_t)s.c]));
            compare_within("large mean", got.y, want, bound, x_count(&s), 0);
            for (size_t i = 0; i < g_count(&s); i++) {
                assert_true(fabs(got.mean[i] - mean[i]) <= 4 * f32_unit * 1000);
                assert_true(fabs(got.rstd[i] / rstd[i] - 1) <= 2e-6);
            }
            float sum = 0, squares = 0; /* group 0 of image 0 */
            for (int i = 0; i < s.hw * 4; i++) {
                float f = (float)x[i / 4 * s.c + i % 4];
                sum += f;
                squares += f * f;
            }
            float count = (float)(s.hw * 4), m1 = sum / count;
            double naive = 1 / sqrt(fabs((double)(squares / count - m1 * m1)) + m.eps);
            assert_true(fabs(naive / rstd[0] - 1) > 2e-5);
        }
}

/* An outlier in each place: as a thread's first pixel it is what the thread's sums are relative to. One among 1024
 * numbers of spread 1: rstd stays right to the roundings of a sum. */
static void outliers_do_not_spoil_the_statistics(void **state) {
    (void)state;
    static forward got;
    static double want[MAX_X];
    const shape s = {1, 256, 16, 4};
    const mode m = {.eps = 1e-5};
    for (int at = 0; at < 256; at += 51) {
        fill(&s, 150);
        x[at * s.c + 5] = 30000;
        run_forward(&got, BD_TYPE_F32, &s, &m);
        right_forward(want, &s, &m);
        for (int g = 0; g < s.groups; g++)
            assert_true(fabs(got.rstd[g] / rstd[g] - 1) <= 20 * f32_unit);
    }
}

/* A constant group: variance 0, y = beta, exactly, as all sums are of zeros; and no NaN out of a square root of less
 * than nothing. */
static void a_constant_group_gives_beta(void **state) {
    (void)state;
    static forward got;
    const shape s = {1, 64, 16, 4};
    const mode m = {.eps = 1e-5};
    fill(&s, 160);
    for (size_t i = 0; i < x_count(&s); i++) x[i] = cuda_round(0.7, BD_TYPE_F32);
    run_forward(&got, BD_TYPE_F32, &s, &m);
    for (size_t i = 0; i < x_count(&s); i++) assert_true(got.y[i] == beta[i % (size_t)s.c]);
    for (int g = 0; g < s.groups; g++) assert_true(got.mean[g] == x[0]);
}

static void nan_spoils_its_group_alone(void **state) {
    (void)state;
    static forward f;
    static backward b;
    const shape s = {2, 40, 32, 8};
    for (int t = 0; t < TYPES; t++)
        for (int way = 0; way < 2; way++) {
            const mode m = {.silu = true, .shared = way ? STREAMING : 0, .eps = 1e-5};
            prepare(types[t], &s, &m, 170);
            x[17 * s.c + 13] = NAN; /* image 0, group 3 */
            run_forward(&f, types[t], &s, &m);
            run_backward(&b, types[t], &s, &m);
            for (size_t i = 0; i < x_count(&s); i++) {
                bool spoilt = i < x_count(&s) / 2 && i % (size_t)s.c / 4 == 3;
                assert_int_equal(isnan(f.y[i]) != 0, spoilt);
                assert_int_equal(isnan(b.dx[i]) != 0, spoilt);
            }
            for (int c = 0; c < s.c; c++) assert_int_equal(isnan(b.dgamma[c]) != 0, c == 13);
        }
}

/* u from -100 to 100 through SiLU in 16 bits: large ones pass or vanish, none overflows. gamma = 100 makes them. */
static void silu_at_its_ends(void **state) {
    (void)state;
    static forward got;
    static backward b;
    const shape s = {1, 64, 16, 4};
    const mode m = {.silu = true, .eps = 1e-5};
    for (int t = 0; t < TYPES; t++) {
        prepare(types[t], &s, &m, 180);
        for (int c = 0; c < s.c; c++) gamma_[c] = 80;
        run_forward(&got, types[t], &s, &m);
        near_forward("ends", &got, types[t], &s, &m);
        run_backward(&b, types[t], &s, &m);
        for (size_t i = 0; i < x_count(&s); i++) assert_true(isfinite(b.dx[i]));
    }
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    cuda_begin();
    bd_k_group_norm ok = {.type = BD_TYPE_F32, .n = 1, .hw = 4, .c = 8, .groups = 2, .eps = 1e-5f};
    double numbers[64] = {0};
    ok.x = cuda_in(BD_TYPE_F32, numbers, 32);
    ok.gamma = ok.beta = ok.x;
    ok.y = cuda_out(BD_TYPE_F32, 32);
    ok.mean = cuda_out(BD_TYPE_F32, 2);
    ok.rstd = cuda_out(BD_TYPE_F32, 2);
    ok.scratch = cuda_out(BD_TYPE_F32, 64);
    assert_int_equal(cuda_check_call(CUDA_K_group_norm, &ok), 0);
    for (int k = 0; k < 6; k++) {
        bd_k_group_norm a = ok;
        if (k == 0) a.groups = 3;
        if (k == 1) a.groups = 0;
        if (k == 2) a.hw = 0;
        if (k == 3) a.type = BD_TYPE_U8;
        if (k == 4) a.hw = 1 << 20, a.c = 1 << 13; /* offsets in an image are ints */
        if (k == 5) a.n = 0;
        bd_k_group_norm_bwd b = {
            .type = a.type, .n = a.n, .hw = a.hw, .c = a.c, .groups = a.groups};
        assert_int_not_equal(cuda_check_call(CUDA_K_group_norm, &a), 0);
        assert_int_not_equal(cuda_check_call(CUDA_K_group_norm_bwd, &b), 0);
    }
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_near_float64),
        cmocka_unit_test(backward_is_near_float64),
        cmocka_unit_test(the_oracle_is_a_derivative),
        cmocka_unit_test(dx_is_orthogonal_to_what_is_removed),
        cmocka_unit_test(the_ways_agree_bit_for_bit),
        cmocka_unit_test(a_large_image_streams),
        cmocka_unit_test(a_huge_image_has_longer_ranges),
        cmocka_unit_test(in_place_changes_nothing),
        cmocka_unit_test(dx_may_be_left_out),
        cmocka_unit_test(a_large_mean_costs_nothing),
        cmocka_unit_test(outliers_do_not_spoil_the_statistics),
        cmocka_unit_test(a_constant_group_gives_beta),
        cmocka_unit_test(nan_spoils_its_group_alone),
        cmocka_unit_test(silu_at_its_ends),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("cuda_group_norm", tests, NULL, NULL);
}
