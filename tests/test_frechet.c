/* Oracles: pytorch-fid and an eigh route on hash features; closed forms for Gaussians; two-pass sums. */
#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "hash_numbers.h"
#include "metric/frechet.h"

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.17g, want %.17g, off by %g", got, want, got - want);
    }
}

static bd_moments *moments_of(const float *rows, int n, int d) {
    bd_moments *m = NULL;
    assert_int_equal(bd_moments_create(&m, d), BD_OK);
    assert_int_equal(bd_moments_add(m, rows, (size_t)n), BD_OK);
    return m;
}

static double distance(const float *a, int n_a, const float *b, int n_b, int d) {
    bd_moments *p = moments_of(a, n_a, d), *q = moments_of(b, n_b, d);
    double out = NAN;
    double rows = NAN;
    assert_int_equal(bd_frechet_distance(&out, p, q), BD_OK);
    assert_int_equal(bd_frechet_rows(&rows, a, (size_t)n_a, b, (size_t)n_b, d), BD_OK);
    assert_true(rows == out);
    bd_moments_destroy(p);
    bd_moments_destroy(q);
    return out;
}

static double distance_of(const double *mean_a, const double *cov_a, const double *mean_b,
                          const double *cov_b, int d) {
    bd_frechet *f = NULL;
    double out = NAN;
    assert_int_equal(bd_frechet_create(&f, mean_a, cov_a, d), BD_OK);
    assert_int_equal(bd_frechet_to(&out, f, mean_b, cov_b), BD_OK);
    bd_frechet_destroy(f);
    return out;
}

static void golden_case(const json_t *golden, const char *key, double route, double original) {
    enum { D = 6 };
    float a[50 * D], b[50 * D];
    const json_t *entry = json_object_get(golden, key);
    int n_a = (int)json_integer_value(json_object_get(entry, "n1"));
    int n_b = (int)json_integer_value(json_object_get(entry, "n2"));
    assert_true(n_a >= 4 && n_a <= 50 && n_b >= 4 && n_b <= 50);
    for (int i = 0; i < n_a * D; i++) a[i] = (float)hash_number("frechet_a", (size_t)i);
    for (int i = 0; i < n_b * D; i++) {
        b[i] = (float)(0.8 * hash_number("frechet_b", (size_t)i) + 0.1);
    }
    double got = distance(a, n_a, b, n_b, D);
    assert_near(got, json_real_value(json_object_get(entry, "eigh_value")), route);
    assert_near(got, json_real_value(json_object_get(entry, "value")), original);
}

static void distances_match_golden(void **state) {
    (void)state;
    json_t *golden = json_load_file("tests/golden/metrics_golden.json", 0, NULL);
    assert_non_null(golden);
    /* features rounded to float32, 3e-8 each, move the distance by 1e-8 */
    golden_case(golden, "frechet_full", 5e-8, 5e-8);
    /* eigenvalues that should be 0 are 1e-17: their roots, 3e-9 each, differ between routes */
    golden_case(golden, "frechet_rankdef", 1e-7, 2e-7);
    golden_case(golden, "frechet_both_rankdef", 1e-7, 2e-7);
    json_decref(golden);
}

static void diagonal_gaussians_have_a_closed_form(void **state) {
    enum { D = 5 };
    double mean_a[D] = {0}, mean_b[D] = {1, 0, 0, 2, 0}, cov_a[D * D] = {0}, cov_b[D * D] = {0};
    const double a[D] = {1, 4, 9, 0, 0.25}, b[D] = {4, 4, 1, 16, 0};
    double want = 5; /* 1 + 4 from the means */
    (void)state;
    for (int i = 0; i < D; i++) {
        cov_a[i * D + i] = a[i];
        cov_b[i * D + i] = b[i];
        want += (sqrt(a[i]) - sqrt(b[i])) * (sqrt(a[i]) - sqrt(b[i]));
    }
    assert_near(distance_of(mean_a, cov_a, mean_b, cov_b, D), want, 1e-13);
    assert_near(distance_of(mean_b, cov_b, mean_a, cov_a, D), want, 1e-13);
}

/* 2x2, not commuting: tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det A det B)), by Cayley-Hamilton. */
static void correlated_gaussians_have_a_closed_form(void **state) {
    const double mean[2] = {0.5, -0.5}, a[4] = {2, 0.9, 0.9, 1}, b[4] = {1, -0.6, -0.6, 3};
    double trace_ab = a[0] * b[0] + 2 * a[1] * b[1] + a[3] * b[3];
    double det = (a[0] * a[3] - a[1] * a[1]) * (b[0] * b[3] - b[1] * b[1]);
    double want = 2 + 1 + 1 + 3 - 2 * sqrt(trace_ab + 2 * sqrt(det));
    (void)state;
    assert_near(distance_of(mean, a, mean, b, 2), want, 1e-13);
    /* Control: treating the matrices as if they commuted with the axes is far off. */
    double diagonal = pow(sqrt(2) - 1, 2) + pow(1 - sqrt(3), 2);
    assert_true(fabs(want - diagonal) > 0.1);
}

/* cov -> H cov H, mean -> H mean for the reflection H = I - 2 v v^T. */
static void reflect(double *mean, double *cov, const double *v, int d) {
    for (int pass = 0; pass < 2; pass++) { /* rows, then columns */
        for (int j = 0; j < d; j++) {
            double dot = 0;
            for (int i = 0; i < d; i++) dot += v[i] * cov[pass ? j * d + i : i * d + j];
            for (int i = 0; i < d; i++) cov[pass ? j * d + i : i * d + j] -= 2 * v[i] * dot;
        }
    }
    double dot = 0;
    for (int i = 0; i < d; i++) dot += v[i] * mean[i];
    for (int i = 0; i < d; i++) mean[i] -= 2 * v[i] * dot;
}

static void rotation_changes_nothing(void **state) {
    enum { D = 16, ROWS = 40 };
    float rows[2][ROWS * D];
    double mean[2][D], cov[2][D * D], v[D], norm = 0;
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < ROWS * D; i++) {
            rows[s][i] = (float)((s + i % D) * hash_number(s ? "q" : "p", (size_t)i) + s * (i % D));
        }
        bd_moments *m = moments_of(rows[s], ROWS, D);
        assert_int_equal(bd_moments_get(m, mean[s], cov[s]), BD_OK);
        bd_moments_destroy(m);
    }
    double before = distance_of(mean[0], cov[0], mean[1], cov[1], D);
    for (int i = 0; i < D; i++) v[i] = hash_number("v", (size_t)i);
    for (int i = 0; i < D; i++) norm += v[i] * v[i];
    for (int i = 0; i < D; i++) v[i] /= sqrt(norm);
    for (int s = 0; s < 2; s++) reflect(mean[s], cov[s], v, D);
    double after = distance_of(mean[0], cov[0], mean[1], cov[1], D);
    assert_true(before > 100);
    assert_near(after / before, 1, 1e-13); /* rounding of 16-term sums */
    /* Control: rotating one of the two does change it. */
    reflect(mean[0], cov[0], v, D);
    assert_true(fabs(distance_of(mean[0], cov[0], mean[1], cov[1], D) / before - 1) > 1e-3);
}

static void scaling_has_a_closed_form(void **state) {
    enum { D = 7, ROWS = 100 };
    float a[ROWS * D], b[ROWS * D];
    double mean[D], cov[D * D], want = 0;
    (void)state;
    for (int i = 0; i < ROWS * D; i++) {
        a[i] = (float)hash_number("rows", (size_t)i) + 1;
        b[i] = 2 * a[i];
    }
    bd_moments *m = moments_of(a, ROWS, D);
    assert_int_equal(bd_moments_count(m), ROWS);
    assert_int_equal(bd_moments_dim(m), D);
    assert_int_equal(bd_moments_get(m, mean, cov), BD_OK);
    bd_moments_destroy(m);
    for (int i = 0; i < D; i++) want += mean[i] * mean[i] + cov[i * D + i]; /* (2 - 1)^2 of both */
    assert_near(distance(a, ROWS, b, ROWS, D), want, 1e-12);
    assert_near(distance(a, ROWS, a, ROWS, D), 0, 1e-13);
}

/* Far from zero: the squares are 2^40, where E[xx] - mu^2 would keep a thousandth of the variance. */
static void covariance_survives_an_offset(void **state) {
    enum { D = 3, ROWS = 200 };
    float rows[ROWS * D];
    double mean[D], cov[D * D], centre[D] = {0};
    (void)state;
    for (int i = 0; i < ROWS * D; i++) {
        rows[i] = 1048576 + (float)rint(8 * hash_number("offset", (size_t)i)) / 8;
    }
    bd_moments *m = moments_of(rows, ROWS, D);
    assert_int_equal(bd_moments_get(m, mean, cov), BD_OK);
    bd_moments_destroy(m);
    for (int i = 0; i < ROWS * D; i++) centre[i % D] += ((double)rows[i] - 1048576) / ROWS;
    for (int p = 0; p < D; p++) {
        assert_near(mean[p] - 1048576, centre[p], 1e-9); /* an ulp of 2^20 is 2e-10 */
        for (int q = 0; q < D; q++) {
            double sum = 0;
            for (int i = 0; i < ROWS; i++) {
                sum += ((double)rows[i * D + p] - 1048576 - centre[p]) *
                       ((double)rows[i * D + q] - 1048576 - centre[q]);
            }
            assert_near(cov[p * D + q], sum / (ROWS - 1), 1e-9);
            assert_true(cov[p * D + q] == cov[q * D + p]);
        }
        assert_true(cov[p * D + p] > 0.2);
    }
}

enum { BIG_D = 33, BIG_ROWS = 1000 };
static float big[BIG_ROWS * BIG_D];

static int fill_big(void **state) {
    (void)state;
    for (int i = 0; i < BIG_ROWS * BIG_D; i++) {
        big[i] = (float)(hash_number("big", (size_t)i) * (1 + i % BIG_D) + 3);
    }
    return 0;
}

static void moments_do_not_depend_on_the_cut(void **state) {
    static double mean[2][BIG_D], cov[2][BIG_D * BIG_D];
    static const int cuts[] = {1, 7, 64, 65, 999};
    (void)state;
    bd_moments *whole = moments_of(big, BIG_ROWS, BIG_D);
    assert_int_equal(bd_moments_get(whole, mean[0], cov[0]), BD_OK);
    for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
        bd_moments_reset(whole); /* also: a used one is as good as new */
        for (int i = 0; i < BIG_ROWS; i += cuts[c]) {
            int n = i + cuts[c] < BIG_ROWS ? cuts[c] : BIG_ROWS - i;
            assert_int_equal(bd_moments_add(whole, big + i * BIG_D, (size_t)n), BD_OK);
            if (i > 300) assert_int_equal(bd_moments_get(whole, mean[1], cov[1]), BD_OK);
        }
        assert_memory_equal(mean[0], mean[1], sizeof mean[0]);
        assert_memory_equal(cov[0], cov[1], sizeof cov[0]);
    }
    bd_moments_destroy(whole);
}

static void order_changes_rounding_only(void **state) {
    static float reversed[BIG_ROWS * BIG_D], other[200 * BIG_D];
    (void)state;
    for (int i = 0; i < BIG_ROWS; i++) {
        memcpy(reversed + i * BIG_D, big + (BIG_ROWS - 1 - i) * BIG_D, BIG_D * sizeof *big);
    }
    for (int i = 0; i < 200 * BIG_D; i++) other[i] = (float)hash_number("other", (size_t)i);
    double a = distance(big, BIG_ROWS, other, 200, BIG_D);
    assert_near(distance(reversed, BIG_ROWS, other, 200, BIG_D) / a, 1, 1e-12);
    assert_near(distance(other, 200, big, BIG_ROWS, BIG_D) / a, 1, 1e-12); /* and it is symmetric */
}

static void *distance_in_thread(void *out) {
    *(double *)out = distance(big, BIG_ROWS / 2, big + BIG_ROWS / 2 * BIG_D, BIG_ROWS / 2, BIG_D);
    return NULL;
}

static void threads_do_not_change_bits(void **state) {
    double alone, together[4];
    pthread_t thread[4];
    (void)state;
    distance_in_thread(&alone);
    assert_int_equal(openblas_get_num_threads(), 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, distance_in_thread, &together[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_true(together[i] == alone);
    }
    assert_non_null(strstr(bd_frechet_library(), "OpenBLAS"));
}

static void bad_input_is_refused(void **state) {
    float rows[] = {1, 2, 3, 4, 5, NAN};
    double mean[2] = {0, 0}, cov[4] = {1, 0, 0, (double)NAN}, out;
    bd_moments *two = moments_of(rows, 2, 2), *three = NULL;
    bd_frechet *f = NULL;
    (void)state;
    assert_int_equal(bd_moments_add(two, rows + 4, 1), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "feature 1 of row 2"));
    assert_int_equal(bd_moments_create(&three, 0), BD_E_SHAPE);
    assert_int_equal(bd_moments_create(&three, 3), BD_OK);
    assert_int_equal(bd_frechet_distance(&out, two, three), BD_E_SHAPE);
    assert_int_equal(bd_moments_add(three, rows, 1), BD_OK);
    assert_int_equal(bd_frechet_distance(&out, three, three), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "2 rows, here are 1"));
    bd_moments_destroy(two);
    bd_moments_destroy(three);
    assert_int_equal(bd_frechet_create(&f, mean, cov, 2), BD_E_NUMERIC);
    assert_null(f);
    cov[3] = 1;
    assert_int_equal(bd_frechet_create(&f, mean, cov, 2), BD_OK);
    cov[1] = INFINITY;
    assert_int_equal(bd_frechet_to(&out, f, mean, cov), BD_E_NUMERIC);
    bd_frechet_destroy(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_match_golden),
        cmocka_unit_test(diagonal_gaussians_have_a_closed_form),
        cmocka_unit_test(correlated_gaussians_have_a_closed_form),
        cmocka_unit_test(rotation_changes_nothing),
        cmocka_unit_test(scaling_has_a_closed_form),
        cmocka_unit_test(covariance_survives_an_offset),
        cmocka_unit_test(moments_do_not_depend_on_the_cut),
        cmocka_unit_test(order_changes_rounding_only),
        cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, fill_big, NULL);
}
