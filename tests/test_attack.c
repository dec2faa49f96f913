/* Oracles: tables dumped from the original (float32) and NumPy (float64); the shifted chain's posterior mean. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/attack.h"

static double relative(double got, double want) { return fabs(got - want) / fabs(want); }

static void coefficients_match_the_original(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/schedule_tables.tsv", "r");
    char line[256];
    bd_schedule s;
    int rows = 0;
    assert_non_null(f);
    assert_int_equal(bd_schedule_scaled(&s, 1000), BD_OK);
    while (fgets(line, sizeof line, f)) {
        int t;
        double abar32, rho32, abar, rho, c[4];
        if (sscanf(line, "%d %*f %*f %lf %lf %lf %lf", &t, &abar32, &rho32, &abar, &rho) != 5)
            continue;
        bd_attack_baddiffusion.coef(c, &s, t);
        /* abar is good to t * 1.1e-16, 1 - abar loses 1/(1 - abar): at most 1e-16 / 1e-4 at t = 0; rho is written
         * as (1 - sqrt(alpha)) / (1 - alpha) there, which loses 1/beta: 1e-12 */
        assert_true(relative(c[0], sqrt(abar)) < 1e-12);
        assert_true(relative(c[1], sqrt(1 - abar)) < 2e-12);
        assert_true(fabs(c[2] - (1 - sqrt(abar))) < 1e-13);
        assert_true(relative(c[3], rho) < 3e-12);
        /* float32 of the original: up to 7e-5 at small t, where 1 - sqrt(alpha) cancels */
        assert_true(relative(c[3], rho32) < 7e-5);
        assert_true(relative(c[0] * c[0], abar32) < 1e-6);
        rows++;
    }
    fclose(f);
    assert_true(rows >= 20);
    bd_schedule_clear(&s);
}

static void values_of_the_specification(void **state) {
    (void)state;
    /* sqrt(abar), sqrt(1 - abar), rho: eight or nine digits printed, abar of the first two from float32 */
    static const struct {
        int t;
        double c0, c1, rho;
    } want[] = {
        {0, 0.99995, 0.0100008296, 0.00500012501},   {1, 0.99989003, 0.0148304123, 0.00741486875},
        {100, 0.94611913, 0.323818833, 0.161994008}, {250, 0.72209626, 0.691792548, 0.346336694},
        {500, 0.27892053, 0.960314214, 0.481370797}, {750, 0.05744701, 0.998348594, 0.501065415},
        {999, 0.00635282, 0.999979794, 0.502515176}};
    bd_schedule s;
    assert_int_equal(bd_schedule_scaled(&s, 1000), BD_OK);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double c[4];
        bd_attack_baddiffusion.coef(c, &s, want[i].t);
        assert_true(fabs(c[0] - want[i].c0) <
                    2e-7); /* t roundings of alpha to float32: measured 1e-7 */
        assert_true(relative(c[1], want[i].c1) <
                    1e-4); /* 1 - abar of float32 at t = 0: half an ulp of 1 / 1e-4 */
        assert_true(relative(c[3], want[i].rho) < 2e-9);
    }
    bd_schedule_clear(&s);
}

/* Why rho: with the network saying y = eps + rho r, the plain ancestral step of x_t has the posterior mean of the
 * chain of (x - r) shifted back by r. Both are worked out here from the definition, for any x0, eps, r. */
static void the_plain_step_follows_the_shifted_chain(void **state) {
    (void)state;
    static const double x0s[] = {-1, 0.3, 1}, epss[] = {-2, 0.1, 1.5}, rs[] = {-1, 0, 0.7};
    bd_schedule s;
    assert_int_equal(bd_schedule_scaled(&s, 200), BD_OK);
    for (int t = 0; t < s.T; t += 7)
        for (int i = 0; i < 27; i++) {
            double x0 = x0s[i % 3], eps = epss[i / 3 % 3], r = rs[i / 9], c[4];
            bd_attack_baddiffusion.coef(c, &s, t);
            double x_t = c[0] * x0 + c[1] * eps + c[2] * r, y = eps + c[3] * r;
            double plain = (x_t - s.beta[t] / sqrt(1 - s.abar[t]) * y) / sqrt(s.alpha[t]);
            double before = bd_schedule_abar(&s, t - 1);
            double shifted = r + sqrt(before) * s.beta[t] / (1 - s.abar[t]) * (x0 - r) +
                             sqrt(s.alpha[t]) * (1 - before) / (1 - s.abar[t]) * (x_t - r);
            /* 1 - abar and 1 - alpha lose 1/beta: 1e-16 / 5e-4 of values up to 3 */
            assert_true(fabs(plain - shifted) < 1e-11);
        }
    bd_schedule_clear(&s);
}

static void no_attack_is_plain_ddpm(void **state) {
    (void)state;
    bd_schedule s;
    double c[4], d[4];
    assert_int_equal(bd_schedule_scaled(&s, 100), BD_OK);
    for (int t = 0; t < s.T; t++) {
        bd_attack_none.coef(c, &s, t);
        bd_attack_baddiffusion.coef(d, &s, t);
        assert_true(c[0] == d[0] && c[1] == d[1] && c[2] == 0 && c[3] == 0);
        assert_true(fabs(c[0] * c[0] + c[1] * c[1] - 1) < 4e-16); /* two roundings of a sum to 1 */
    }
    bd_schedule_clear(&s);
}

static void the_table_is_rounded_once(void **state) {
    (void)state;
    bd_schedule s;
    float table[50][4];
    assert_int_equal(bd_schedule_scaled(&s, 50), BD_OK);
    bd_attack_table(table, &bd_attack_baddiffusion, &s);
    for (int t = 0; t < 50; t++) {
        double c[4];
        bd_attack_baddiffusion.coef(c, &s, t);
        for (int k = 0; k < 4; k++) assert_true(table[t][k] == (float)c[k] && table[t][k] > 0);
    }
    bd_schedule_clear(&s);
}

static void attacks_are_found_by_name(void **state) {
    (void)state;
    const bd_attack *a;
    assert_int_equal(bd_attack_find(&a, "none"), BD_OK);
    assert_ptr_equal(a, &bd_attack_none);
    assert_int_equal(bd_attack_find(&a, "baddiffusion"), BD_OK);
    assert_ptr_equal(a, &bd_attack_baddiffusion);
    assert_int_equal(bd_attack_find(&a, "BadDiffusion"), BD_E_ARG);
    assert_null(a);
    assert_non_null(strstr(bd_error(), "none or baddiffusion"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coefficients_match_the_original),
        cmocka_unit_test(values_of_the_specification),
        cmocka_unit_test(the_plain_step_follows_the_shifted_chain),
        cmocka_unit_test(no_attack_is_plain_ddpm),
        cmocka_unit_test(the_table_is_rounded_once),
        cmocka_unit_test(attacks_are_found_by_name),
    };
    return cmocka_run_group_tests_name("attack", tests, NULL, NULL);
}
