/* Oracles: plain loops in float64, bit equality between instruction sets, and guards around every output.
 * Sizes run over remainders of the vector length; pointers are not aligned. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/conv_kernels.h"
#include "cpu/vec.h"
#include "ref/check.h"

#if defined(__x86_64__)
extern const bd_vec bd_vec_avx2, bd_vec_avx512;
#else
extern const bd_vec bd_vec_base;
#endif

enum { GUARD = 24, MAX_N = 8000, BUFFERS = 8 };
static const float mark = 1.2345e20f;

/* Buffers with guards; b[i] begins one float after an aligned address. */
static float raw[BUFFERS][MAX_N + 2 * GUARD + 1];
static float *b[BUFFERS];
static double scratch[MAX_N];

static void reset(uint64_t seed) {
    for (int i = 0; i < BUFFERS; i++) {
        b[i] = raw[i] + GUARD + 1;
        ref_fill_f32(b[i], MAX_N, seed * 64 + (uint64_t)i);
    }
}

/* Mark all of buffer i but its first n elements. */
static void guard(int i, size_t n) {
    for (float *p = raw[i]; p < raw[i] + MAX_N + 2 * GUARD + 1; p++)
        if (p < b[i] || p >= b[i] + n) *p = mark;
}

static void guard_holds(const char *what, int i, size_t n) {
    for (float *p = raw[i]; p < raw[i] + MAX_N + 2 * GUARD + 1; p++)
        if ((p < b[i] || p >= b[i] + n) && *p != mark)
            fail_msg("%s wrote at %td, behind %zu elements", what, p - b[i], n);
}

/* One call of a kernel: inputs in buffers 2 .., outputs in 0 (n0 elements) and 1 (n1). */
typedef struct {
    int n, h, w, c, groups;
} size;

typedef struct {
    const char *name;
    void (*call)(const bd_vec *v, const size *s);
    size_t (*n0)(const size *s), (*n1)(const size *s);
} kernel;

static size_t all(const size *s) {
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}
static size_t per_image(const size *s) { return (size_t)s->n * (size_t)s->c; }
static size_t per_group(const size *s) { return (size_t)s->n * (size_t)s->groups; }
static size_t channel(const size *s) { return (size_t)s->c; }
static size_t four(const size *s) { return 4 * all(s); }
static size_t none(const size *s) { return 0 * (size_t)s->n; }
static bd_vec_norm norm_of(const size *s, bool silu) {
    return (bd_vec_norm){s->n, s->h * s->w, s->c, s->groups, 1e-5f, silu};
}

static void k_add(const bd_vec *v, const size *s) { v->add(b[0], b[2], b[3], all(s)); }
static void k_scale(const bd_vec *v, const size *s) { v->scale(b[0], b[2], 0.7f, all(s)); }
static void k_silu(const bd_vec *v, const size *s) { v->silu(b[0], b[2], all(s)); }
static void k_silu_bwd(const bd_vec *v, const size *s) { v->silu_bwd(b[0], b[2], b[3], all(s)); }
static void k_relu(const bd_vec *v, const size *s) { v->relu(b[0], b[2], all(s)); }
static void k_relu_bwd(const bd_vec *v, const size *s) { v->relu_bwd(b[0], b[2], b[3], all(s)); }
static bd_vec_window window_of(const size *s) { /* the output has the input's size */
    return (bd_vec_window){s->n, s->h, s->w, s->c, s->h, s->w, 3, 1, 1};
}
static void k_max_pool(const bd_vec *v, const size *s) {
    bd_vec_window t = window_of(s);
    v->max_pool(b[0], b[2], &t);
}
static void k_avg_pool(const bd_vec *v, const size *s) {
    bd_vec_window t = window_of(s);
    v->avg_pool(b[0], b[2], &t);
}
static void k_diff(const bd_vec *v, const size *s) {
    v->scaled_diff(b[0], b[2], b[3], 0.3f, all(s));
}
static void k_linear1(const bd_vec *v, const size *s) {
    v->linear(b[0], (const float *const[]){b[2]}, (const float[]){0.3f}, 1, all(s));
}
static void k_linear3(const bd_vec *v, const size *s) {
    v->linear(b[0], (const float *const[]){b[2], b[3], b[4]}, (const float[]){0.3f, -0.9f, 0.1f}, 3,
              all(s));
}
static void k_clamp(const bd_vec *v, const size *s) {
    memcpy(b[0], b[2], all(s) * sizeof(float));
    v->clamp(b[0], -1, 1, all(s));
}
static void k_add_channel(const bd_vec *v, const size *s) {
    v->add_channel(b[0], b[2], b[3], s->n, s->h * s->w, s->c);
}
static void k_sum_hw(const bd_vec *v, const size *s) {
    v->sum_hw(b[0], b[2], 0.25f, s->n, s->h * s->w, s->c, scratch);
}
static void k_up(const bd_vec *v, const size *s) {
    v->upsample2(b[0], b[2], s->n, s->h, s->w, s->c);
}
static void k_up_bwd(const bd_vec *v, const size *s) {
    v->upsample2_bwd(b[0], b[2], s->n, s->h, s->w, s->c);
}
static void k_norm(const bd_vec *v, const size *s) {
    bd_vec_norm t = norm_of(s, true);
    v->group_norm(b[0], b[1], b[7], b[2], b[3], b[4], NULL, &t, scratch);
}
static void k_norm_v(const bd_vec *v, const size *s) {
    bd_vec_norm t = norm_of(s, false);
    v->group_norm(b[0], b[7], b[1], b[2], b[3], b[4], b[5], &t, scratch);
}
/* Mean and rstd need not belong to x: the formula is what is compared. */
static void k_norm_bwd(const bd_vec *v, const size *s) {
    bd_vec_norm t = norm_of(s, true);
    v->group_norm_bwd(b[0], b[1], b[7], b[2], b[3], b[4], b[5], b[6], b[4], NULL, &t, scratch);
}
static void k_norm_bwd_v(const bd_vec *v, const size *s) {
    bd_vec_norm t = norm_of(s, false);
    v->group_norm_bwd(b[0], b[7], b[1], b[2], b[3], b[4], b[5], b[6], b[4], b[4], &t, scratch);
}
static void k_transpose(const bd_vec *v, const size *s) {
    v->transpose(b[0], s->n * s->h, b[2], s->w * s->c, s->n * s->h, s->w * s->c);
}
static void k_softmax(const bd_vec *v, const size *s) {
    memcpy(b[0], b[2], all(s) * sizeof(float));
    v->softmax(b[0], s->n * s->h, s->w * s->c, 2.5f);
}
static void k_softmax_bwd(const bd_vec *v, const size *s) {
    memcpy(b[0], b[2], all(s) * sizeof(float));
    v->softmax_bwd(b[0], b[3], s->n * s->h, s->w * s->c, 0.5f);
}
static void k_sums(const bd_vec *v, const size *s) {
    double sum[2] = {v->sum_sq(b[2], all(s)), v->sum_sq_diff(b[2], b[3], all(s))};
    memcpy(b[0], sum, sizeof sum);
}
static size_t two_doubles(const size *s) { return none(s) + 4; }
static void k_adam(const bd_vec *v, const size *s) {
    memcpy(b[0], b[2], all(s) * sizeof(float));
    memcpy(b[1], b[3], all(s) * sizeof(float));
    for (size_t i = 0; i < all(s); i++) b[7][i] = fabsf(b[4][i]);
    const bd_vec_adam a = {.scale = 0.5f,
                           .b1 = 0.9f,
                           .c1 = 0.1f,
                           .b2 = 0.999f,
                           .c2 = 0.001f,
                           .k1 = 1e-3f,
                           .k2 = 1.5f,
                           .eps = 1e-8f};
    v->adam(b[0], b[1], b[7], b[5], all(s), &a);
}

static const kernel kernels[] = {
    {"add", k_add, all, none},
    {"scale", k_scale, all, none},
    {"silu", k_silu, all, none},
    {"silu_bwd", k_silu_bwd, all, none},
    {"relu", k_relu, all, none},
    {"relu_bwd", k_relu_bwd, all, none},
    {"max_pool", k_max_pool, all, none},
    {"avg_pool", k_avg_pool, all, none},
    {"scaled_diff", k_diff, all, none},
    {"linear of 1", k_linear1, all, none},
    {"linear of 3", k_linear3, all, none},
    {"clamp", k_clamp, all, none},
    {"add_channel", k_add_channel, all, none},
    {"sum_hw", k_sum_hw, per_image, none},
    {"upsample2", k_up, four, none},
    {"upsample2_bwd", k_up_bwd, all, none},
    {"group_norm", k_norm, all, per_group},
    {"group_norm with v", k_norm_v, all, per_group},
    {"group_norm_bwd", k_norm_bwd, all, channel},
    {"group_norm_bwd with v", k_norm_bwd_v, all, channel},
    {"transpose", k_transpose, all, none},
    {"softmax", k_softmax, all, none},
    {"softmax_bwd", k_softmax_bwd, all, none},
    {"sum_sq, sum_sq_diff", k_sums, two_doubles, none},
    {"adam", k_adam, all, all},
};

static const size sizes[] = {
    {1, 1, 1, 1, 1},   {2, 1, 1, 7, 7},  {1, 2, 2, 16, 8}, {2, 3, 5, 17, 1},  {3, 2, 3, 15, 5},
    {1, 8, 8, 16, 4},  {2, 4, 4, 32, 8}, {1, 9, 8, 10, 2}, {2, 2, 2, 48, 16}, {1, 5, 7, 33, 3},
    {1, 12, 11, 9, 3}, {7, 5, 3, 6, 2},  {13, 9, 6, 1, 1}, {5, 40, 37, 1, 1}, {12, 16, 32, 1, 1},
};

static void outputs_stay_inside(void **state) {
    (void)state;
    const bd_vec *v = bd_vec_best();
    assert_non_null(v);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
            const size *s = &sizes[i];
            if (kernels[k].n0(s) > MAX_N) continue;
            reset(i);
            guard(0, 0);
            guard(1, 0);
            kernels[k].call(v, s);
            guard_holds(kernels[k].name, 0, kernels[k].n0(s));
            guard_holds(kernels[k].name, 1, kernels[k].n1(s));
            for (size_t j = 0; j < kernels[k].n0(s); j++)
                if (b[0][j] == mark) fail_msg("%s left element %zu out", kernels[k].name, j);
        }
}

static void instruction_sets_give_equal_bits(void **state) {
    (void)state;
#if defined(__x86_64__)
    if (bd_vec_best() != &bd_vec_avx512) {
        print_message("this machine has no AVX-512\n");
        skip();
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
            const size *s = &sizes[i];
            static float first[2][MAX_N];
            size_t n[2] = {kernels[k].n0(s), kernels[k].n1(s)};
            if (n[0] > MAX_N) continue;
            reset(i);
            kernels[k].call(&bd_vec_avx2, s);
            for (int o = 0; o < 2; o++) memcpy(first[o], b[o], n[o] * sizeof(float));
            reset(i);
            kernels[k].call(&bd_vec_avx512, s);
            for (int o = 0; o < 2; o++)
                if (memcmp(first[o], b[o], n[o] * sizeof(float)) != 0)
                    fail_msg("%s of %d x %dx%d x %d: output %d differs", kernels[k].name, s->n,
                             s->h, s->w, s->c, o);
        }
#else
    assert_ptr_equal(bd_vec_best(), &bd_vec_base);
    print_message("one instruction set only\n");
    skip();
#endif
}

/* Leading dimensions larger than the rows. The chain of 2k products of variance 1 has partial sums of about
 * sqrt(2k), so its 2k roundings add up to about 2^-24 k; a factor of 4 covers the worst of 500 elements,
 * and the second term an element that is large itself. */
static void product_and_transpose_with_strides(void **state) {
    (void)state;
    const bd_vec *v = bd_vec_best();
    static const int shapes[][3] = {{1, 1, 1},    {6, 32, 8},  {7, 33, 5},
                                    {13, 47, 17}, {5, 16, 64}, {64, 8, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        int ldc = n + 3, lda = k + 2, ldb = n + 5;
        reset(i + 100);
        for (size_t j = 0; j < MAX_N; j++) b[0][j] = mark;
        bd_product p = {.c = b[0],
                        .a = b[2],
                        .b = b[3],
                        .ldc = (size_t)ldc,
                        .row = (size_t)lda,
                        .step = 1,
                        .ldb = (size_t)ldb,
                        .m = m,
                        .n = n,
                        .k = k,
                        .panel = 1 << 20};
        bd_conv_kernels_best()->product(&p);
        p.accumulate = true;
        bd_conv_kernels_best()->product(&p); /* twice the product */
        for (int r = 0; r < m; r++)
            for (int c = 0; c < ldc; c++) {
                double want = 0, got = b[0][r * ldc + c];
                if (c >= n) {
                    assert_true(got == mark);
                    continue;
                }
                for (int t = 0; t < k; t++) want += 2.0 * b[2][r * lda + t] * b[3][t * ldb + c];
                if (!(fabs(got - want) <= 0x1p-24 * (4 * (k + 4) + sqrt(2 * k) * fabs(want))))
                    fail_msg("[%d,%d] of %d x %d x %d: %.9g, reference %.9g", r, c, m, n, k, got,
                             want);
            }
        for (size_t j = 0; j < MAX_N; j++) b[0][j] = mark;
        v->transpose(b[0], m + 4, b[2], n + 1, m, n);
        for (int c = 0; c < n; c++)
            for (int r = 0; r < m + 4; r++)
                assert_true(b[0][c * (m + 4) + r] == (r < m ? b[2][r * (n + 1) + c] : mark));
    }
}

/* The ops that the planner lets write over an input (src/graph/plan.c). */
typedef struct {
    const char *name;
    int input; /* buffer that may be y */
    void (*call)(const bd_vec *v, const size *s, float *y);
} in_place;

static void p_add(const bd_vec *v, const size *s, float *y) { v->add(y, b[2], b[3], all(s)); }
static void p_scale(const bd_vec *v, const size *s, float *y) { v->scale(y, b[2], 0.3f, all(s)); }
static void p_silu(const bd_vec *v, const size *s, float *y) { v->silu(y, b[2], all(s)); }
static void p_silu_bwd(const bd_vec *v, const size *s, float *y) {
    v->silu_bwd(y, b[2], b[3], all(s));
}
static void p_relu(const bd_vec *v, const size *s, float *y) { v->relu(y, b[2], all(s)); }
static void p_relu_bwd(const bd_vec *v, const size *s, float *y) {
    v->relu_bwd(y, b[2], b[3], all(s));
}
static void p_add_channel(const bd_vec *v, const size *s, float *y) {
    v->add_channel(y, b[2], b[3], s->n, s->h * s->w, s->c);
}
static void p_norm(const bd_vec *v, const size *s, float *y) {
    bd_vec_norm t = norm_of(s, true);
    v->group_norm(y, b[6], b[7], b[2], b[3], b[4], b[5], &t, scratch);
}
static void p_norm_bwd(const bd_vec *v, const size *s, float *y) {
    bd_vec_norm t = norm_of(s, true);
    v->group_norm_bwd(y, b[6], b[7], b[2], b[3], b[4], b[5], b[4], b[5], NULL, &t, scratch);
}

static void in_place_gives_the_same_bits(void **state) {
    (void)state;
    static const in_place ops[] = {
        {"add over a", 2, p_add},
        {"add over b", 3, p_add},
        {"scale", 2, p_scale},
        {"silu", 2, p_silu},
        {"silu_bwd over dy", 2, p_silu_bwd},
        {"silu_bwd over x", 3, p_silu_bwd},
        {"relu", 2, p_relu},
        {"relu_bwd over dy", 2, p_relu_bwd},
        {"relu_bwd over y", 3, p_relu_bwd},
        {"add_channel", 2, p_add_channel},
        {"group_norm", 2, p_norm},
        {"group_norm_bwd", 2, p_norm_bwd},
    };
    const bd_vec *v = bd_vec_best();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            static float apart[MAX_N];
            size_t bytes = all(&sizes[i]) * sizeof(float);
            reset(i);
            ops[k].call(v, &sizes[i], b[0]);
            memcpy(apart, b[0], bytes);
            reset(i);
            ops[k].call(v, &sizes[i], b[ops[k].input]);
            if (memcmp(apart, b[ops[k].input], bytes) != 0) fail_msg("%s differs", ops[k].name);
        }
}

/* Sums of n squares of size up to 9: floats over 64 vectors, then double: 2^-24 * 8 relative. */
static void sums_of_squares(void **state) {
    (void)state;
    const bd_vec *v = bd_vec_best();
    reset(3);
    for (size_t n = 0; n < MAX_N; n = n * 3 / 2 + 1) {
        double want[2] = {0, 0}, got[2] = {v->sum_sq(b[2], n), v->sum_sq_diff(b[2], b[3], n)};
        for (size_t i = 0; i < n; i++) {
            double d = (double)b[2][i] - b[3][i];
            want[0] += (double)b[2][i] * b[2][i];
            want[1] += d * d;
        }
        for (int i = 0; i < 2; i++) assert_true(fabs(got[i] - want[i]) <= 0x1p-21 * want[i]);
    }
}

static void extremes_stay_defined(void **state) {
    (void)state;
    const bd_vec *v = bd_vec_best();
    float x[20], y[20], p[20];
    for (int i = 0; i < 20; i++) x[i] = (float)(i - 10) * 50;
    v->silu(y, x, 20);
    for (int i = 0; i < 20; i++)
        assert_true(fabs(y[i] - x[i] / (1 + exp(-(double)x[i]))) <= 0x1p-22 * fabs(x[i]));
    for (int i = 0; i < 20; i++) p[i] = (float)(i % 7) * 1e6f - 3e6f; /* far beyond exp's range */
    v->softmax(p, 2, 10, 1);
    for (int r = 0; r < 2; r++) {
        double sum = 0;
        for (int i = 0; i < 10; i++) sum += p[10 * r + i];
        assert_true(fabs(sum - 1) <= 0x1p-22);
    }
    x[7] = NAN; /* a network that broke must not look sound behind its rectifiers and pools */
    v->relu(y, x, 20);
    for (int i = 0; i < 20; i++) assert_true(i == 7 ? isnan(y[i]) : y[i] == (x[i] > 0 ? x[i] : 0));
    const bd_vec_window line = {1, 1, 20, 1, 1, 20, 3, 1, 1};
    v->max_pool(y, x, &line);
    for (int i = 0; i < 20; i++) assert_true(isnan(y[i]) == (i >= 6 && i <= 8));
    x[7] = 0;
    for (int i = 0; i < 20; i++) p[i] = i == 5 ? NAN : x[i];
    v->clamp(p, -1, 1, 20);
    for (int i = 0; i < 20; i++)
        assert_true(i == 5 ? isnan(p[i]) : p[i] == (x[i] < -1 ? -1 : x[i] > 1 ? 1 : x[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_stay_inside),
        cmocka_unit_test(instruction_sets_give_equal_bits),
        cmocka_unit_test(product_and_transpose_with_strides),
        cmocka_unit_test(in_place_gives_the_same_bits),
        cmocka_unit_test(sums_of_squares),
        cmocka_unit_test(extremes_stay_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
