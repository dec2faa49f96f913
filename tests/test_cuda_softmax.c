/* Oracles: the formulas in float64, the derivative held against finite differences; closed forms; sums of rows. */
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
enum { TYPES = 3, MAX = 20000 };
static const double f32_unit = 0x1p-24;

/* Lengths on both sides of a warp, of a warp's registers, of a block; those of attention: 16, 64, 256, 1024, 4096. */
static const struct {
    size_t rows;
    int cols;
} shapes[] = {{1, 1},    {3, 2},    {5, 7},    {9, 16},   {4, 31},   {6, 32},   {5, 33},
              {7, 64},   {3, 65},   {2, 100},  {9, 256},  {2, 257},  {3, 1000}, {4, 1024},
              {2, 1025}, {1, 1031}, {2, 1536}, {3, 4096}, {1, 4099}, {1, 9001}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static double p[MAX], dp[MAX], got[MAX], want[MAX], bound[MAX];

static void run_softmax(bd_type type, size_t rows, int cols, double scale) {
    size_t n = rows * (size_t)cols;
    cuda_begin();
    void *q = cuda_io(type, p, n);
    CUDA_RUN(softmax, .p = q, .type = type, .rows = rows, .cols = cols, .scale = (float)scale);
    cuda_get(got, q);
    cuda_end();
}

static void run_softmax_bwd(bd_type type, size_t rows, int cols, double scale) {
    size_t n = rows * (size_t)cols;
    cuda_begin();
    const void *q = cuda_in(type, p, n);
    void *d = cuda_io(type, dp, n);
    CUDA_RUN(softmax_bwd, .dp = d, .p = q, .type = type, .rows = rows, .cols = cols,
             .scale = (float)scale);
    cuda_get(got, d);
    cuda_end();
}

static void right_softmax(double *out, const double *in, int cols, double scale) {
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < cols; j++) top = fmax(top, scale * in[j]);
    for (int j = 0; j < cols; j++) sum += exp(scale * in[j] - top);
    for (int j = 0; j < cols; j++) out[j] = exp(scale * in[j] - top) / sum;
}

/* scale x and top are rounded: half a unit of numbers up to |scale x| each becomes that much of a relative error of e^;
 * e^ itself is right to 1.02 units; the sum has at most cols / 32 numbers a lane and a tree of 8 levels, all positive;
 * three more roundings. */
static double forward_ops(double exponent, int cols) { return 3 * exponent + 6 + cols / 32.0 + 8; }

static void forward_is_near_float64(void **state) {
    (void)state;
    const double scale = 0.75; /* exact in float32 */
    for (int i = 0; i < SHAPES; i++)
        for (int t = 0; t < TYPES; t++) {
            size_t cols = (size_t)shapes[i].cols, n = shapes[i].rows * cols;
            assert_true(n <= MAX);
            ref_fill(p, n, 1 + (uint64_t)i);
            for (size_t j = 0; j < n; j++) p[j] *= 6;
            run_softmax(types[t], shapes[i].rows, shapes[i].cols, scale);
            double exponent = 2 * scale * ref_max_abs(p, n);
            for (size_t r = 0; r < n; r += cols)
                right_softmax(want + r, p + r, shapes[i].cols, scale);
            for (size_t j = 0; j < n; j++)
                bound[j] =
                    compare_bound(types[t], want[j], forward_ops(exponent, (int)cols), want[j]);
            char name[64];
            (void)snprintf(name, sizeof name, "softmax %s [%zu,%zu]", type_names[t], shapes[i].rows,
                           cols);
            compare_within(name, got, want, bound, n, 0);
        }
}

/* dp = scale p (dp - dot): the dot's products and sum are off by at most cols / 32 + 8 + 1 roundings of the sum of
 * magnitudes, then three roundings. */
static void backward_is_near_float64(void **state) {
    (void)state;
    const double scale = 0.1875;
    for (int i = 0; i < SHAPES; i++)
        for (int t = 0; t < TYPES; t++) {
            int cols = shapes[i].cols;
            size_t n = shapes[i].rows * (size_t)cols;
            ref_fill(want, n, 51 + (uint64_t)i);
            ref_fill(dp, n, 71 + (uint64_t)i);
            for (size_t r = 0; r < n; r += (size_t)cols) right_softmax(p + r, want + r, cols, 2);
            static double before[MAX];
            for (size_t j = 0; j < n; j++) {
                /* not quite probabilities: a single number would have the gradient 0, and a factor would be lost */
                p[j] = cuda_round(0.875 * p[j], types[t]);
                before[j] = cuda_round(dp[j], types[t]);
            }
            run_softmax_bwd(types[t], shapes[i].rows, cols, scale);
            for (size_t r = 0; r < n; r += (size_t)cols) {
                double dot = 0, size = 0;
                for (int j = 0; j < cols; j++) {
                    dot += p[r + (size_t)j] * before[r + (size_t)j];
                    size += fabs(p[r + (size_t)j] * before[r + (size_t)j]);
                }
                for (size_t j = r; j < r + (size_t)cols; j++) {
                    want[j] = scale * p[j] * (before[j] - dot);
                    bound[j] = compare_bound(types[t], want[j], cols / 32.0 + 12,
                                             scale * p[j] * (fabs(before[j]) + size));
                }
            }
            char name[64];
            (void)snprintf(name, sizeof name, "softmax_bwd %s [%zu,%d]", type_names[t],
                           shapes[i].rows, cols);
            compare_within(name, got, want, bound, n, 0);
        }
}

/* The kernels together: the gradient of sum dp softmax(scale x) by central differences in float64; h = 1e-5: errors of
 * 1e-9, far below those of p in float32 (20 roundings of numbers below 4). */
static void backward_is_the_derivative_of_forward(void **state) {
    (void)state;
    enum { COLS = 40 };
    const double scale = 0.5;
    double x[COLS], y[COLS], slopes[COLS], given[COLS];
    ref_fill(x, COLS, 5);
    ref_fill(given, COLS, 6);
    for (int j = 0; j < COLS; j++) {
        x[j] = cuda_round(x[j], BD_TYPE_F32);
        given[j] = dp[j] = cuda_round(given[j], BD_TYPE_F32);
    }
    for (int j = 0; j < COLS; j++) {
        double kept = x[j];
        slopes[j] = 0;
        for (int sign = -1; sign <= 1; sign += 2) {
            x[j] = kept + sign * 1e-5;
            right_softmax(y, x, COLS, scale);
            for (int k = 0; k < COLS; k++) slopes[j] += sign * given[k] * y[k] / 2e-5;
        }
        x[j] = kept;
        bound[j] = 20 * f32_unit * 4;
    }
    memcpy(p, x, sizeof x);
    run_softmax(BD_TYPE_F32, 1, COLS, scale);
    memcpy(p, got, sizeof x);
    run_softmax_bwd(BD_TYPE_F32, 1, COLS, scale);
    compare_within("derivative", got, slopes, bound, COLS, 0);
    assert_true(ref_max_abs(slopes, COLS) > 1000 * bound[0]);
}

/* Equal scores: 1 / cols, exact for powers of two; and one score far above the rest: 1 and 0, exact, with scores whose
 * e^ would overflow. Scores that all lie far below zero are no different. */
static void closed_forms(void **state) {
    (void)state;
    static const int lengths[] = {16, 256, 1024, 4096, 16384};
    for (int t = 0; t < TYPES; t++)
        for (int i = 0; i < 5; i++) {
            int cols = lengths[i];
            for (int j = 0; j < cols; j++) p[j] = -300;
            run_softmax(types[t], 1, cols, 1);
            for (int j = 0; j < cols; j++) assert_true(got[j] == 1.0 / cols);
            for (int j = 0; j < cols; j++) p[j] = j == cols - 3 ? 500 : -500;
            run_softmax(types[t], 1, cols, 1);
            for (int j = 0; j < cols; j++) assert_true(got[j] == (j == cols - 3));
        }
}

/* A negative scale turns the order round: the maximum is that of scale p. */
static void a_negative_scale_is_one_too(void **state) {
    (void)state;
    for (int j = 0; j < 64; j++) p[j] = j == 5 ? -200 : 200;
    run_softmax(BD_TYPE_F32, 1, 64, -1);
    for (int j = 0; j < 64; j++) assert_true(got[j] == (j == 5));
}

/* NaN makes its row NaN; infinity, whose difference from itself is NaN, does too; no other row is touched. */
static void nan_spoils_its_row_alone(void **state) {
    (void)state;
    static const int lengths[] = {17, 64, 1032, 5000};
    for (int t = 0; t < TYPES; t++)
        for (int i = 0; i < 4; i++)
            for (int infinite = 0; infinite < 2; infinite++) {
                int cols = lengths[i];
                ref_fill(p, 3 * (size_t)cols, 9);
                p[cols + 2] = infinite ? INFINITY : NAN;
                run_softmax(types[t], 3, cols, 1);
                for (int j = 0; j < 3 * cols; j++)
                    assert_int_equal(isnan(got[j]) != 0, j / cols == 1);
            }
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    double numbers[8] = {0};
    cuda_begin();
    void *q = cuda_io(BD_TYPE_F32, numbers, 8);
    assert_int_equal(CUDA_CALL(softmax, .p = q, .type = BD_TYPE_F32, .rows = 2, .cols = 4), 0);
    assert_int_not_equal(CUDA_CALL(softmax, .p = q, .type = BD_TYPE_U8, .rows = 2, .cols = 4), 0);
    assert_int_not_equal(CUDA_CALL(softmax, .p = q, .type = BD_TYPE_F32, .rows = 2, .cols = 0), 0);
    assert_int_not_equal(
        CUDA_CALL(softmax_bwd, .dp = q, .p = q, .type = BD_TYPE_F32, .rows = 2, .cols = -1), 0);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_near_float64),
        cmocka_unit_test(backward_is_near_float64),
        cmocka_unit_test(backward_is_the_derivative_of_forward),
        cmocka_unit_test(closed_forms),
        cmocka_unit_test(a_negative_scale_is_one_too),
        cmocka_unit_test(nan_spoils_its_row_alone),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("cuda_softmax", tests, NULL, NULL);
}
