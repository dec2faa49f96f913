/* Oracles: counting all pairs; closed forms; symmetries. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "metric/auroc.h"

static double auroc(const double *p, size_t np, const double *n, size_t nn) {
    double a = NAN;
    assert_int_equal(bd_auroc(&a, p, np, n, nn), BD_OK);
    return a;
}

/* Scores in coarse steps, so that many tie. */
static void draw(double *x, size_t n, uint32_t index, double shift, double step) {
    float z[64];
    assert_true(n <= 64);
    bd_rng_normal(z, n, (bd_rng_key){.seed = 3, .stream = BD_STREAM_NOISE, .index = index});
    for (size_t i = 0; i < n; i++) x[i] = step * rint((z[i] + shift) / step);
}

static void test_counts_pairs(void **state) {
    (void)state;
    double p[64], n[64];
    for (uint32_t k = 0; k < 40; k++) {
        size_t np = 1 + k % 64, nn = 1 + 37 * k % 64;
        draw(p, np, 2 * k, 0.1 * k - 1, k % 2 ? 0.5 : 1e-3);
        draw(n, nn, 2 * k + 1, 0, k % 2 ? 0.5 : 1e-3);
        double won = 0;
        for (size_t i = 0; i < np; i++)
            for (size_t j = 0; j < nn; j++) won += p[i] > n[j] ? 1 : p[i] == n[j] ? 0.5 : 0;
        /* both sides are a multiple of 1/2 divided by the same number of pairs */
        assert_true(auroc(p, np, n, nn) == won / ((double)np * (double)nn));
    }
}

static void test_extremes(void **state) {
    (void)state;
    const double low[] = {-INFINITY, 1, 2}, high[] = {3, 4, 5, INFINITY}, same[] = {7, 7};
    assert_true(auroc(high, 4, low, 3) == 1);
    assert_true(auroc(low, 3, high, 4) == 0);
    assert_true(auroc(same, 2, same, 2) == 0.5);
    const double p[] = {1, 3}, n[] = {2, 3};
    assert_true(auroc(p, 2, n, 2) == (0 + 0 + 1 + 0.5) / 4);
}

static void test_a_monotone_score_keeps_it(void **state) {
    (void)state;
    double p[40], n[50], fp[40], fn[50];
    draw(p, 40, 1, 0.5, 0.25);
    draw(n, 50, 2, 0, 0.25);
    for (int i = 0; i < 40; i++) fp[i] = exp(p[i]);
    for (int i = 0; i < 50; i++) fn[i] = exp(n[i]);
    double a = auroc(p, 40, n, 50);
    assert_true(a > 0.5 && a < 1);
    assert_true(auroc(fp, 40, fn, 50) == a);
    assert_float_equal(auroc(n, 50, p, 40), 1 - a, 1e-15); /* one rounding of each */
}

static void test_nothing_to_compare_is_refused(void **state) {
    (void)state;
    double a, x[] = {1, NAN};
    assert_int_equal(bd_auroc(&a, x, 0, x, 1), BD_E_ARG);
    assert_int_equal(bd_auroc(&a, x, 1, x, 0), BD_E_ARG);
    assert_int_equal(bd_auroc(&a, x, 1, x, 2), BD_E_NUMERIC);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_pairs),
                                       cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_a_monotone_score_keeps_it),
                                       cmocka_unit_test(test_nothing_to_compare_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
