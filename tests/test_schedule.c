/* Oracles: tables dumped from PyTorch (float32) and NumPy (float64) for T = 1000; closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/schedule.h"

typedef struct {
    int t;
    double beta_f32, alpha_f32, abar_f32, abar_f64;
} golden_row;

/* The thinned table; returns the number of rows. */
static int read_golden(golden_row *row, int max) {
    FILE *f = fopen("tests/golden/schedule_tables.tsv", "r");
    char line[256];
    int n = 0;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_string_equal(line, "t\tbeta_f32\talpha_f32\tabar_f32\tRcoef_f32\tabar_f64\tRcoef_f64\n");
    while (n < max && fgets(line, sizeof line, f)) {
        golden_row *r = &row[n++];
        assert_int_equal(sscanf(line, "%d %lf %lf %lf %*f %lf", &r->t, &r->beta_f32, &r->alpha_f32,
                                &r->abar_f32, &r->abar_f64),
                         5);
    }
    fclose(f);
    return n;
}

static double relative(double got, double want) { return fabs(got - want) / fabs(want); }

static void paper_schedule_matches_golden(void **state) {
    golden_row row[64];
    bd_schedule s;
    (void)state;
    int n = read_golden(row, 64);
    assert_true(n >= 20);
    assert_int_equal(bd_schedule_scaled(&s, 1000), BD_OK);
    for (int i = 0; i < n; i++) {
        int t = row[i].t;
        /* float32 linspace is rounded to half an ulp (6e-8) and may be off by one more; printed with 9 digits */
        assert_true(relative(s.beta[t], row[i].beta_f32) < 2e-7);
        assert_true(relative(s.alpha[t], row[i].alpha_f32) < 2e-7);
        /* t products of alphas that are each off by 3e-8: a random walk to 999, measured 3e-7 at t = 999 */
        assert_true(relative(s.abar[t], row[i].abar_f32) < 1e-6);
        /* t products in double, in another order: t * 1.1e-16 */
        assert_true(relative(s.abar[t], row[i].abar_f64) < 2e-13);
    }
    bd_schedule_clear(&s);
}

static void ends_are_exact_and_abar_falls(void **state) {
    static const int lengths[] = {21, 50, 200, 1000, 4000};
    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        int T = lengths[k];
        bd_schedule s;
        assert_int_equal(bd_schedule_scaled(&s, T), BD_OK);
        assert_int_equal(s.T, T);
        assert_true(s.beta[0] == s.beta_start);
        /* start + (end - start) is not exactly end in floating point: a few ulp */
        assert_true(relative(s.beta[T - 1], s.beta_end) < 1e-15);
        assert_true(relative(s.beta_end, 1000.0 / T * 0.02) < 1e-15);
        assert_true(relative(s.beta_start, 1000.0 / T * 1e-4) < 1e-15);
        for (int t = 1; t < T; t++) {
            assert_true(s.beta[t] > s.beta[t - 1]);
            assert_true(s.abar[t] < s.abar[t - 1] && s.abar[t] > 0);
        }
        bd_schedule_clear(&s);
    }
}

/* log abar(T-1) = -(sum of beta) - O(sum of beta^2), and the sum does not depend on T. */
static void short_schedule_ends_like_the_long_one(void **state) {
    bd_schedule a, b;
    (void)state;
    assert_int_equal(bd_schedule_scaled(&a, 1000), BD_OK);
    assert_int_equal(bd_schedule_scaled(&b, 200), BD_OK);
    double sum_a = 0, sum_b = 0;
    for (int t = 0; t < a.T; t++) sum_a += a.beta[t];
    for (int t = 0; t < b.T; t++) sum_b += b.beta[t];
    assert_true(relative(sum_b, sum_a) < 1e-12); /* rounding of 1000 sums */
    assert_true(relative(sum_a, 1000 * (1e-4 + 0.02) / 2) < 1e-12);
    /* second order: (sum beta^2)/2 = 0.067 at T = 1000, five times as much at T = 200: 0.27 more */
    assert_true(log(b.abar[199]) < log(a.abar[999]));
    assert_true(log(b.abar[199]) > log(a.abar[999]) - 0.35);
    /* Control: without the factor 1000/T the end of T = 200 is nowhere near. */
    bd_schedule c;
    assert_int_equal(bd_schedule_linear(&c, 200, 1e-4, 0.02), BD_OK);
    assert_true(log(c.abar[199]) > log(a.abar[999]) + 5);
    bd_schedule_clear(&a);
    bd_schedule_clear(&b);
    bd_schedule_clear(&c);
}

static void constant_beta_gives_powers(void **state) {
    bd_schedule s;
    (void)state;
    assert_int_equal(bd_schedule_linear(&s, 40, 0.5, 0.5), BD_OK);
    for (int t = 0; t < 40; t++) assert_true(s.abar[t] == ldexp(1, -(t + 1))); /* exact */
    assert_true(bd_schedule_abar(&s, -1) == 1);
    assert_true(bd_schedule_abar(&s, -25) == 1);
    assert_true(bd_schedule_abar(&s, 3) == 0.0625);
    bd_schedule_clear(&s);
    assert_null(s.beta);
    bd_schedule_clear(&s);
}

static void bad_values_are_refused(void **state) {
    bd_schedule s;
    (void)state;
    assert_int_equal(bd_schedule_scaled(&s, 20), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "T = 20"));
    assert_int_equal(bd_schedule_linear(&s, 1, 0.1, 0.2), BD_E_ARG);
    assert_int_equal(bd_schedule_linear(&s, 10, 0, 0.2), BD_E_ARG);
    assert_int_equal(bd_schedule_linear(&s, 10, 0.2, 0.1), BD_E_ARG);
    assert_int_equal(bd_schedule_linear(&s, 10, 0.1, 1), BD_E_ARG);
    assert_int_equal(bd_schedule_linear(&s, 10, 0.1, (double)NAN), BD_E_ARG);
}

/* float32 numbers of diffusers 0.42.1: DDPMScheduler(beta_schedule=...), T = 1000 */
static void other_kinds_match_diffusers(void **state) {
    static const struct {
        const char *kind;
        int t;
        double beta, abar;
    } want[] = {{"scaled_linear", 0, 9.999999747378752e-05, 0.9998999834060669},
                {"scaled_linear", 1, 0.00010264836600981653, 0.9997973442077637},
                {"scaled_linear", 500, 0.005742072593420744, 0.3312746286392212},
                {"scaled_linear", 998, 0.019962811842560768, 0.000748379563447088},
                {"scaled_linear", 999, 0.020000001415610313, 0.0007334119873121381},
                {"squaredcos_cap_v2", 0, 4.128422369831242e-05, 0.9999586939811707},
                {"squaredcos_cap_v2", 1, 4.614175122696906e-05, 0.9999125599861145},
                {"squaredcos_cap_v2", 500, 0.003155691549181938, 0.4922850430011749},
                {"squaredcos_cap_v2", 998, 0.7499994039535522, 2.428766265438753e-06},
                {"squaredcos_cap_v2", 999, 0.9990000128746033, 2.4287349909002387e-09}};
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        bd_schedule s;
        assert_int_equal(bd_schedule_create(&s, want[i].kind, 1000, 1e-4, 0.02), BD_OK);
        int t = want[i].t;
        /* a float32 linspace of roots, squared: twice 1.2e-7 */
        if (!(relative(s.beta[t], want[i].beta) < 3e-7))
            fail_msg("%s: beta[%d] = %.9g", want[i].kind, t, s.beta[t]);
        /* as for the linear one; 1 - 0.999 has lost three digits of float32's seven: 6e-8 / 1e-3 */
        if (!(relative(s.abar[t], want[i].abar) < (s.beta[t] > 0.99 ? 1e-4 : 3e-6)))
            fail_msg("%s: abar[%d] = %.9g", want[i].kind, t, s.abar[t]);
        bd_schedule_clear(&s);
    }
}

static void a_kind_is_a_choice(void **state) {
    bd_schedule a, b;
    (void)state;
    assert_int_equal(bd_schedule_linear(&a, 50, 1e-3, 0.1), BD_OK);
    assert_int_equal(bd_schedule_create(&b, "linear", 50, 1e-3, 0.1), BD_OK);
    assert_memory_equal(a.beta, b.beta, 3 * 50 * sizeof *a.beta);
    bd_schedule_clear(&b);
    assert_int_equal(bd_schedule_from_betas(&b, a.beta, 50), BD_OK);
    assert_memory_equal(a.beta, b.beta, 3 * 50 * sizeof *a.beta);
    assert_true(b.beta_start == a.beta[0] && b.beta_end == a.beta[49]);
    bd_schedule_clear(&b);
    assert_true(bd_schedule_kind("scaled_linear") && !bd_schedule_kind("sigmoid"));
    assert_int_equal(bd_schedule_create(&b, "sigmoid", 50, 1e-3, 0.1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "sigmoid"));
    a.beta[7] = 1;
    assert_int_equal(bd_schedule_from_betas(&b, a.beta, 50), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "beta[7]"));
    bd_schedule_clear(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_schedule_matches_golden),
        cmocka_unit_test(ends_are_exact_and_abar_falls),
        cmocka_unit_test(short_schedule_ends_like_the_long_one),
        cmocka_unit_test(constant_beta_gives_powers),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(other_kinds_match_diffusers),
        cmocka_unit_test(a_kind_is_a_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
