/* Oracles: closed forms of one, two and four degrees of freedom, printed tables, roots of the score equation, steps by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metric/hits.h"
#include "metric/inference.h"

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance))
        fail_msg("got %.17g, want %.17g, off by %g", got, want, got - want);
}

/* P(|T| >= t): df 1 is Cauchy; df 2: 1 - t/sqrt(2 + t^2); df 4 from the integral of its density. */
static void p_of_few_degrees_has_closed_forms(void **state) {
    const double pi = acos(-1);
    (void)state;
    for (int i = 0; i < 13; i++) {
        double t = 0.05 * pow(1.7, i); /* 0.05 to 29 */
        assert_near(bd_student_p(t, 1), 1 - 2 * atan(t) / pi, 1e-14);
        assert_near(bd_student_p(t, 2), 1 - t / sqrt(2 + t * t), 1e-14);
        double u = t / sqrt(4 + t * t);
        assert_near(bd_student_p(t, 4), 1 - u * (3 - u * u) / 2, 1e-14);
        assert_near(bd_student_p(-t, 4), bd_student_p(t, 4), 0);
    }
    assert_true(bd_student_p(0, 7) == 1);
    assert_true(bd_student_p(INFINITY, 7) == 0);
}

/* Fisher & Yates' table, to its three decimals and, for the ends, more digits of the same. */
static void quantiles_are_those_of_the_tables(void **state) {
    static const struct {
        double p, df, t;
    } row[] = {{0.975, 1, 12.706}, {0.975, 2, 4.303},   {0.975, 3, 3.182}, {0.975, 4, 2.776},
               {0.975, 9, 2.262},  {0.975, 30, 2.042},  {0.95, 4, 2.132},  {0.995, 4, 4.604},
               {0.9, 10, 1.372},   {0.975, 120, 1.980}, {0.75, 5, 0.727},  {0.6, 2, 0.289}};
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        assert_near(bd_student_quantile(row[i].p, row[i].df), row[i].t, 5.1e-4);
    assert_near(bd_student_quantile(0.975, 1), tan(0.475 * acos(-1)), 1e-11);
    assert_near(bd_student_quantile(0.975, 4), 2.7764451051977987, 1e-12);
    assert_near(bd_student_quantile(0.025, 4), -2.7764451051977987, 1e-12);
    assert_near(bd_student_quantile(0.5, 4), 0, 0);
    for (int i = 0; i < 14; i++) { /* it inverts the other */
        double p = 0.51 + 0.037 * i;
        assert_near(bd_student_p(bd_student_quantile(p, 6), 6), 2 * (1 - p), 1e-13);
    }
    /* many degrees: the normal distribution, whose next term is (z^3 + z) / 4 df */
    double z = bd_normal_quantile(0.975);
    assert_near(z, 1.959963984540054, 1e-14);
    assert_near(bd_student_quantile(0.975, 1e5), z + (z * z * z + z) / 4e5, 1e-9);
    assert_near(bd_normal_quantile(0.025), -z, 0);
}

/* Wilson's limits solve (p - k/n)^2 = z^2 p (1 - p) / n. */
static void wilson_solves_the_score_equation(void **state) {
    const double z = bd_normal_quantile(0.975);
    (void)state;
    for (int n = 1; n < 200; n += 11) {
        for (int k = 0; k <= n; k++) {
            double limit[2], rate = (double)k / n;
            bd_wilson(&limit[0], &limit[1], k, n, z);
            assert_true(0 <= limit[0] && limit[0] <= rate && rate <= limit[1] && limit[1] <= 1);
            for (int i = 0; i < 2; i++) {
                double p = limit[i], d = p - rate;
                assert_near(d * d, z * z * p * (1 - p) / n, 1e-14);
            }
        }
    }
    double lo, hi;
    bd_wilson(&lo, &hi, 0, 10, z);
    assert_true(lo == 0);
    assert_near(hi, z * z / (10 + z * z), 1e-15); /* closed form of k = 0 */
    bd_wilson(&lo, &hi, 10, 10, z);
    assert_true(hi == 1);
}

/* Newcombe's own table II, line (h) of method 10 and neighbours: 56/70 - 48/80 has 0.0524 to 0.3339; the level that makes the
 * lower end 0 is where the difference is just significant. */
static void newcombe_interval_touches_zero_at_its_p(void **state) {
    static const double row[][4] = {
        {56, 70, 48, 80}, {9, 10, 3, 10}, {10, 10, 0, 20}, {5, 56, 0, 29}};
    static const double lower95[] = {0.0524, 0.1705, 0.6791, -0.0381};
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        double a = row[i][0] / row[i][1], b = row[i][2] / row[i][3], la, ha, lb, hb;
        bd_wilson(&la, &ha, row[i][0], row[i][1], bd_normal_quantile(0.975));
        bd_wilson(&lb, &hb, row[i][2], row[i][3], bd_normal_quantile(0.975));
        assert_near(a - b - hypot(a - la, hb - b), lower95[i], 5.1e-5); /* printed to four digits */
        double p = bd_newcombe_p(a, row[i][1], b, row[i][3]);
        assert_true(p == bd_newcombe_p(b, row[i][3], a, row[i][1]));
        assert_int_equal(p<0.05, lower95[i]> 0);
        double z = bd_normal_quantile(1 - p / 2);
        bd_wilson(&la, &ha, row[i][0], row[i][1], z);
        bd_wilson(&lb, &hb, row[i][2], row[i][3], z);
        assert_near(a - b, hypot(a - la, hb - b), 1e-9);
    }
    assert_true(bd_newcombe_p(1, 500, 1, 300) == 1);
}

static void holm_by_hand(void **state) {
    (void)state;
    double out[5];
    /* sorted 0.005 0.01 0.03 0.04 0.6 times 5 4 3 2 1: 0.025 0.04 0.09 0.08 0.6, then running maxima */
    bd_holm(out, (const double[]){0.03, 0.6, 0.005, 0.04, 0.01}, 5);
    const double want[] = {0.09, 0.6, 0.025, 0.09, 0.04};
    for (int i = 0; i < 5; i++) assert_near(out[i], want[i], 1e-15);
    bd_holm(out, (const double[]){0.02}, 1); /* one question: as it is */
    assert_true(out[0] == 0.02);
    bd_holm(out, (const double[]){0.02, 0.02, 0.5}, 3); /* a tie shares the larger factor */
    assert_near(out[0], 0.06, 1e-15);
    assert_near(out[1], 0.06, 1e-15);
    bd_holm(out, (const double[]){0.9, 0.8}, 2);
    assert_true(out[0] == 1 && out[1] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(p_of_few_degrees_has_closed_forms),
                                       cmocka_unit_test(quantiles_are_those_of_the_tables),
                                       cmocka_unit_test(wilson_solves_the_score_equation),
                                       cmocka_unit_test(newcombe_interval_touches_zero_at_its_p),
                                       cmocka_unit_test(holm_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
