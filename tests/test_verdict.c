/* Oracles: papers drawn from the same normal as our seeds, power by integration of the noncentral t, words by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metric/inference.h"
#include "run/verdict.h"

/* --- simulated papers --- */

enum { K = 5, M = 3, DRAWS = 20000 };

static uint64_t state_of_draw;

/* splitmix64, in (0, 1): nothing of the program's own random numbers */
static double uniform(void) {
    uint64_t z = (state_of_draw += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void) {
    double radius = sqrt(-2 * log(uniform()));
    return radius * cos(2 * acos(-1) * uniform());
}

static double mean_of(double (*draw)(void), int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += draw();
    return sum / n;
}

typedef struct {
    double reproduced, deviates, underpowered;
} shares;

static double shift, shift_of_draw; /* of the paper; in sigma */
static double fid(void) { return 9 + 0.2 * normal(); }
static double fid_of_paper(void) { return 9 + 0.2 * (normal() + shift_of_draw); }

/* What the verdicts of DRAWS papers are, each judged by `seeds` runs of ours. */
static shares simulate(bd_paper_number paper, double (*ours)(void), double (*theirs)(void),
                       int seeds, int theirs_runs) {
    int n[3] = {0};
    state_of_draw = 20230619;
    for (int i = 0; i < DRAWS; i++) {
        double x[K + 6];
        bd_comparison c;
        for (int k = 0; k < seeds; k++) x[k] = ours();
        shift_of_draw = shift;
        paper.value = mean_of(theirs, theirs_runs);
        bd_compare(&c, &paper, x, seeds);
        bd_outcome o = bd_compare_outcome(&paper, &c, c.p);
        n[0] += o == BD_REPRODUCED;
        n[1] += o == BD_DEVIATES;
        n[2] += o == BD_UNDERPOWERED;
        /* the interval that is shown and the word say the same */
        if (seeds > 1 && (o == BD_DEVIATES) == (c.lo <= paper.value && paper.value <= c.hi))
            fail_msg("%s, but %.17g .. %.17g and the paper's %.17g", bd_outcome_name(o), c.lo, c.hi,
                     paper.value);
    }
    return (shares){(double)n[0] / DRAWS, (double)n[1] / DRAWS, (double)n[2] / DRAWS};
}

static const bd_paper_number a_fid = {.runs = M, .scale = BD_SCALE_LINEAR, .effect = 1e9};

/* The standard error of a share of 0.95 is 0.0015 at 20000 draws: 0.01 is more than six of them. */
static void true_papers_are_reproduced_in_95_of_100(void **state) {
    (void)state;
    shift = 0;
    shares s = simulate(a_fid, fid, fid_of_paper, K, M);
    print_message("true papers: %.4f reproduced, %.4f deviate\n", s.reproduced, s.deviates);
    assert_true(fabs(s.reproduced - 0.95) < 0.01 && fabs(s.deviates - 0.05) < 0.01);
    s = simulate(a_fid, fid, fid_of_paper, 2, M); /* the law holds for any K */
    assert_true(fabs(s.reproduced - 0.95) < 0.01);
    bd_paper_number single = a_fid;
    single.runs = 1;
    s = simulate(single, fid, fid_of_paper, K, 1);
    assert_true(fabs(s.reproduced - 0.95) < 0.01);
    /* control: without the paper's own spread (1/m), the interval is too narrow, and the test sees it */
    bd_paper_number sure = a_fid;
    sure.runs = 1000;
    s = simulate(sure, fid, fid_of_paper, K, M);
    assert_true(s.reproduced < 0.90);
}

/* P(|T| > t), T noncentral with df and d: over V ~ chi^2(df), of P(|Z + d| > t sqrt(V/df)). */
static double power(double t, double df, double d) {
    const int steps = 200000;
    const double top = 200, h = top / steps;
    double sum = 0;
    for (int i = 0; i < steps; i++) { /* midpoints */
        double v = (i + 0.5) * h, r = t * sqrt(v / df);
        double density = exp((df / 2 - 1) * log(v) - v / 2 - lgamma(df / 2) - df / 2 * log(2));
        sum += density * (0.5 * erfc((r - d) / sqrt(2)) + 0.5 * erfc((r + d) / sqrt(2))) * h;
    }
    return sum;
}

static void shifted_papers_are_found_with_the_power_of_the_noncentral_t(void **state) {
    (void)state;
    assert_true(fabs(power(2.7764451051977987, 4, 0) - 0.05) < 1e-6); /* the integration itself */
    static const double shifts[] = {1, 3, 5};
    static const double least[] = {0, 0.85, 0.99};
    for (int i = 0; i < 3; i++) {
        shift = shifts[i];
        shares s = simulate(a_fid, fid, fid_of_paper, K, M);
        double want = power(2.7764451051977987, K - 1, shift / sqrt(1.0 / K + 1.0 / M));
        print_message("shift %g s: %.4f found, power %.4f\n", shift, s.deviates, want);
        assert_true(fabs(s.deviates - want) < 0.015); /* four standard errors at 0.5 */
        assert_true(want > least[i]);
    }
    shift = 0;
}

static double mse(void) { return 1.5e-5 * pow(10, 0.05 * normal()); }
static double mse_wide(void) { return 1.5e-5 * pow(10, 0.3 * normal()); }

/* An MSE whose logarithm is normal: seeds a tenth apart, and a factor of two apart, where the mean of three is no longer
 * lognormal and 95 % is only near. */
static void errors_compare_by_decades(void **state) {
    (void)state;
    bd_paper_number paper = {.runs = M, .scale = BD_SCALE_LOG10, .effect = 1e9};
    shares s = simulate(paper, mse, mse, K, M);
    print_message("MSE, 0.05 decades: %.4f reproduced\n", s.reproduced);
    assert_true(fabs(s.reproduced - 0.95) < 0.01);
    s = simulate(paper, mse_wide, mse_wide, K, M);
    print_message("MSE, 0.3 decades: %.4f reproduced\n", s.reproduced);
    assert_true(fabs(s.reproduced - 0.95) < 0.03);
    /* below what 8 bits can tell, all are one */
    bd_comparison c;
    paper.value = 1e-7;
    bd_compare(&c, &paper, (const double[]){1e-6, 1.001e-6, 0.999e-6}, 3);
    assert_int_equal(bd_compare_outcome(&paper, &c, c.p), BD_REPRODUCED);
    paper.scale = BD_SCALE_LINEAR;
    bd_compare(&c, &paper, (const double[]){1e-6, 1.001e-6, 0.999e-6}, 3);
    assert_int_equal(bd_compare_outcome(&paper, &c, c.p), BD_DEVIATES);
}

enum { SAMPLES = 200 };
static double rate_of_seed, rate_spread;
static double hit(void) {
    double p = rate_of_seed + rate_spread * normal();
    int hits = 0;
    for (int i = 0; i < SAMPLES; i++) hits += uniform() < p;
    return (double)hits / SAMPLES;
}

/* Both the count and the spread have to speak against the paper, so it is wider than either. */
static void rates_cover_at_least(void **state) {
    (void)state;
    bd_paper_number paper = {.runs = M, .scale = BD_SCALE_RATE, .effect = 1e9, .n = SAMPLES};
    static const double rates[][2] = {{0.5, 0}, {0.98, 0}, {0.6, 0.1}};
    for (int i = 0; i < 3; i++) {
        rate_of_seed = rates[i][0];
        rate_spread = rates[i][1];
        int reproduced = 0, n = 1000; /* standard error 0.007; each needs thousands of uniforms */
        state_of_draw = 7;
        for (int d = 0; d < n; d++) {
            double x[K];
            bd_comparison c;
            for (int k = 0; k < K; k++) x[k] = hit();
            paper.value = mean_of(hit, M);
            bd_compare(&c, &paper, x, K);
            reproduced += bd_compare_outcome(&paper, &c, c.p) == BD_REPRODUCED;
        }
        print_message("rate %g +- %g: %.3f reproduced\n", rate_of_seed, rate_spread,
                      (double)reproduced / n);
        assert_true(reproduced > 0.935 * n);
    }
    /* all hit in every seed: no spread, and the count alone still leaves room */
    bd_comparison c;
    const double all[] = {1, 1, 1, 1, 1};
    paper.value = 0.998;
    bd_compare(&c, &paper, all, K);
    assert_int_equal(bd_compare_outcome(&paper, &c, c.p), BD_REPRODUCED);
    paper.value = 0.9;
    bd_compare(&c, &paper, all, K);
    assert_int_equal(bd_compare_outcome(&paper, &c, c.p), BD_DEVIATES);
    assert_true(c.lo > 0.97 && c.lo < 1 && c.hi == 1);
}

/* 60 true numbers, as a supplement may have: three of them outside by chance, a false DEVIATES in 5 of 100 tables. */
static void a_family_of_numbers_is_corrected(void **state) {
    (void)state;
    enum { NUMBERS = 60, FAMILIES = 1000 };
    int outside = 0, wrong = 0;
    state_of_draw = 11;
    for (int f = 0; f < FAMILIES; f++) {
        double p[NUMBERS], adjusted[NUMBERS];
        int any = 0;
        for (int i = 0; i < NUMBERS; i++) {
            bd_paper_number paper = a_fid;
            bd_comparison c;
            double x[K];
            for (int k = 0; k < K; k++) x[k] = fid();
            paper.value = mean_of(fid, M);
            bd_compare(&c, &paper, x, K);
            p[i] = c.p;
            outside += c.p < 0.05;
        }
        bd_holm(adjusted, p, NUMBERS);
        for (int i = 0; i < NUMBERS; i++) any = any || adjusted[i] < 0.05;
        wrong += any;
    }
    print_message("%.2f of 60 outside, %.3f of the families with a false word\n",
                  (double)outside / FAMILIES, (double)wrong / FAMILIES);
    assert_true(fabs((double)outside / FAMILIES - 3) < 0.3);         /* standard error 0.053 */
    assert_true(wrong < 0.07 * FAMILIES && wrong > 0.03 * FAMILIES); /* standard error 0.007 */
}

/* --- words by hand --- */

static bd_outcome word(bd_paper_number paper, const double *ours, int seeds) {
    bd_comparison c;
    bd_compare(&c, &paper, ours, seeds);
    return bd_compare_outcome(&paper, &c, c.p);
}

static void few_seeds_never_reproduce(void **state) {
    (void)state;
    bd_paper_number paper = a_fid;
    paper.value = 9;
    paper.effect = 1;
    assert_int_equal(word(paper, (const double[]){9}, 1), BD_UNDERPOWERED);
    assert_int_equal(word(paper, (const double[]){8.7, 9.3}, 2), BD_UNDERPOWERED); /* +- 4.9 */
    assert_int_equal(word(paper, (const double[]){8.97, 9.03}, 2), BD_REPRODUCED); /* +- 0.49 */
    assert_int_equal(word(paper, NULL, 0), BD_MISSING);
    bd_comparison one;
    bd_compare(&one, &paper, (const double[]){8}, 1);
    assert_true(isnan(one.lo) && isnan(one.hi) && isnan(one.p));
    assert_int_equal(bd_compare_outcome(&paper, &one, 0), BD_UNDERPOWERED);
    shift = 0;
    bd_paper_number strict = a_fid;
    strict.effect = 0.2; /* one sigma: an interval of two seeds is seldom that narrow */
    shares s = simulate(strict, fid, fid_of_paper, 1, M);
    assert_true(s.underpowered == 1);
    s = simulate(strict, fid, fid_of_paper, 2, M);
    assert_true(s.underpowered > 0.8);
    /* far off is far off, however wide */
    paper.value = 100;
    assert_int_equal(word(paper, (const double[]){8.7, 9.3}, 2), BD_DEVIATES);
}

static void secondary_sources_are_at_most_consistent(void **state) {
    (void)state;
    bd_paper_number paper = a_fid;
    paper.value = 9;
    paper.secondary = true;
    const double ours[] = {8.9, 9, 9.1};
    assert_int_equal(word(paper, ours, 3), BD_CONSISTENT);
    paper.secondary = false;
    assert_int_equal(word(paper, ours, 3), BD_REPRODUCED);
    paper.value = NAN;
    assert_int_equal(word(paper, ours, 3), BD_NO_PAPER_VALUE);
}

static void outside_alone_but_not_in_a_crowd_is_consistent(void **state) {
    (void)state;
    bd_paper_number paper = a_fid;
    bd_comparison c;
    paper.value = 9.4;
    bd_compare(&c, &paper, (const double[]){8.9, 9, 9.1}, 3);
    assert_true(c.p < 0.05 && c.p > 0.005);
    assert_int_equal(bd_compare_outcome(&paper, &c, c.p), BD_DEVIATES);
    assert_int_equal(bd_compare_outcome(&paper, &c, 10 * c.p), BD_CONSISTENT);
}

static void rounding_widens_by_half_a_unit(void **state) {
    (void)state;
    static const struct {
        const char *printed;
        double half;
    } good[] = {{"8.53", 0.005}, {"1.58e-1", 0.0005}, {"1.19E-5", 5e-8}, {"1.00", 0.005},
                {"10", 0.5},     {"-0.1", 0.05},      {"3e2", 50}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double half;
        assert_int_equal(bd_half_unit(&half, good[i].printed), BD_OK);
        assert_true(fabs(half / good[i].half - 1) < 1e-12); /* a power of ten and back */
    }
    static const char *const bad[] = {"", "8.5 %", "nan", "inf", "0x10", "1.2.3", "eight", "1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double half;
        assert_int_equal(bd_half_unit(&half, bad[i]), BD_E_FORMAT);
    }
    /* ours without any spread: what decides is the last digit */
    bd_paper_number paper = a_fid;
    const double ours[] = {8.534, 8.534};
    paper.value = 8.53;
    paper.half_unit = 0.005;
    assert_int_equal(word(paper, ours, 2), BD_REPRODUCED);
    paper.half_unit = 0.003;
    assert_int_equal(word(paper, ours, 2), BD_DEVIATES);
}

static void claims_need_their_interval(void **state) {
    (void)state;
    double lo, hi, t = sqrt(2 * 0.9025 / 0.0975); /* two degrees of freedom: closed form */
    const double clear[] = {1, 1.2, 0.8}, mixed[] = {1, -1, 0.6}, never[] = {-1, -1.1, -0.9};
    assert_int_equal(bd_claim_outcome(&lo, &hi, 1, true, clear, 3), BD_HOLDS);
    assert_true(fabs(lo - (1 - t * 0.2 / sqrt(3))) < 1e-12);
    assert_true(fabs(hi - (1 + t * 0.2 / sqrt(3))) < 1e-12);
    assert_int_equal(bd_claim_outcome(&lo, &hi, 0.2, true, mixed, 3), BD_UNDERPOWERED);
    assert_int_equal(bd_claim_outcome(&lo, &hi, -1, true, never, 3), BD_DOES_NOT_HOLD);
    assert_int_equal(bd_claim_outcome(&lo, &hi, 0.1, true, NULL, 0), BD_HOLDS);
    assert_true(isnan(lo) && isnan(hi));
    assert_int_equal(bd_claim_outcome(&lo, &hi, 0, true, NULL, 0), BD_DOES_NOT_HOLD);
    assert_int_equal(bd_claim_outcome(&lo, &hi, 0, false, NULL, 0), BD_HOLDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_papers_are_reproduced_in_95_of_100),
        cmocka_unit_test(shifted_papers_are_found_with_the_power_of_the_noncentral_t),
        cmocka_unit_test(errors_compare_by_decades),
        cmocka_unit_test(rates_cover_at_least),
        cmocka_unit_test(a_family_of_numbers_is_corrected),
        cmocka_unit_test(few_seeds_never_reproduce),
        cmocka_unit_test(secondary_sources_are_at_most_consistent),
        cmocka_unit_test(outside_alone_but_not_in_a_crowd_is_consistent),
        cmocka_unit_test(rounding_widens_by_half_a_unit),
        cmocka_unit_test(claims_need_their_interval)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
