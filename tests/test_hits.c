/* Oracles: closed forms, binomial sums, mpmath (incomplete beta), scipy 1.17 (intervals). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hash_numbers.h"
#include "metric/hits.h"

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.17g, want %.17g, off by %g", got, want, got - want);
    }
}

static void beta_cdf_matches_mpmath(void **state) {
    static const double row[][4] = {
        /* x, a, b, I: integrated with 30 digits */
        {0.5, 2, 3, 0.6875},
        {0.3, 0.5, 0.5, 0.36901011956554538},
        {0.999, 50, 2, 0.99876590960688292},
        {0.5, 5000, 5000, 0.5},
        {0.49, 5000, 5000, 0.022742032324574546},
        {1e-6, 1, 10000, 0.0099501712010844025},
        {0.9, 9000, 1000, 0.49645377924813968},
        {0.87, 9000, 1000, 1.0705484397226205e-20},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        double got = bd_beta_cdf(row[i][0], row[i][1], row[i][2]);
        /* log gamma is 8e4 at a = 1e4: its rounding, 1.5e-11, becomes relative in the exponential */
        assert_near(got / row[i][3], 1, row[i][1] + row[i][2] > 1000 ? 1e-10 : 1e-13);
    }
    assert_true(bd_beta_cdf(0, 2, 3) == 0);
    assert_true(bd_beta_cdf(1, 2, 3) == 1);
}

/* P(X >= k) of X ~ Binomial(n, p), term by term. */
static double binomial_upper(int k, int n, double p) {
    double sum = 0;
    for (int j = k; j <= n; j++) {
        double term = 1;
        for (int i = 0; i < j; i++) term *= p * (n - i) / (j - i);
        sum += term * pow(1 - p, n - j);
    }
    return sum;
}

static void beta_cdf_is_a_binomial_sum(void **state) {
    (void)state;
    for (int n = 1; n <= 40; n += 3) {
        for (int k = 1; k <= n; k += 2) {
            for (int i = 0; i < 7; i++) {
                double p = 0.05 + 0.15 * i;
                /* DLMF 8.17.5; n terms of a few ulp each */
                assert_near(bd_beta_cdf(p, k, n - k + 1), binomial_upper(k, n, p), 1e-13);
            }
        }
    }
}

static void quantile_inverts_the_cdf(void **state) {
    (void)state;
    for (int i = 0; i < 21; i++) {
        double p = 0.001 + 0.0499 * i;
        double x = bd_beta_quantile(p, 7, 122);
        assert_near(bd_beta_cdf(x, 7, 122), p, 1e-13);
        assert_near(bd_beta_quantile(p, 1, 1), p, 1e-15);       /* uniform */
        assert_near(bd_beta_quantile(p, 3, 1), cbrt(p), 1e-14); /* I = x^3 */
    }
}

static void all_or_nothing_has_a_closed_form(void **state) {
    double lo, hi;
    (void)state;
    for (int n = 1; n <= 10000; n = n * 3 + 1) {
        /* k = 0: (1 - hi)^n = alpha/2; lengthens with the rounding of log gamma */
        assert_int_equal(bd_clopper_pearson(&lo, &hi, 0, n, 0.95), BD_OK);
        assert_true(lo == 0);
        assert_near(hi, -expm1(log(0.025) / n), 1e-12);
        assert_int_equal(bd_clopper_pearson(&lo, &hi, n, n, 0.95), BD_OK);
        assert_true(hi == 1);
        assert_near(lo, exp(log(0.025) / n), 1e-12);
    }
}

static void intervals_match_scipy(void **state) {
    static const struct {
        int k, n;
        double confidence, lo, hi;
    } row[] = {
        {5, 10, 0.95, 0.1870860284474045, 0.8129139715525955},
        {115, 128, 0.95, 0.8325876836312874, 0.9448045044185359},
        {1, 10000, 0.95, 2.531777563270631e-06, 0.0005570369979869689},
        {9999, 10000, 0.95, 0.999442963002013, 0.9999974682224367},
        {64, 128, 0.99, 0.3840767906031263, 0.6159232093968737},
        {14, 100, 0.9, 0.08666757759134402, 0.21017392531316054},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        double lo, hi;
        assert_int_equal(bd_clopper_pearson(&lo, &hi, row[i].k, row[i].n, row[i].confidence),
                         BD_OK);
        assert_near(lo, row[i].lo, 1e-12); /* both invert a cdf known to 1e-11 relative */
        assert_near(hi, row[i].hi, 1e-12);
    }
    double lo, hi;
    assert_int_equal(bd_clopper_pearson(&lo, &hi, -1, 10, 0.95), BD_E_ARG);
    assert_int_equal(bd_clopper_pearson(&lo, &hi, 11, 10, 0.95), BD_E_ARG);
    assert_int_equal(bd_clopper_pearson(&lo, &hi, 0, 0, 0.95), BD_E_ARG);
    assert_int_equal(bd_clopper_pearson(&lo, &hi, 1, 10, 95), BD_E_ARG);
}

/* The exact interval covers at least as often as it says, for every rate. */
static void interval_covers(void **state) {
    enum { TRIALS = 20 };
    double lo[TRIALS + 1], hi[TRIALS + 1];
    (void)state;
    for (int k = 0; k <= TRIALS; k++) {
        assert_int_equal(bd_clopper_pearson(&lo[k], &hi[k], k, TRIALS, 0.9), BD_OK);
    }
    for (int i = 1; i < 100; i++) {
        double p = i / 100.0, covered = 0;
        for (int k = 0; k <= TRIALS; k++) {
            double probability = binomial_upper(k, TRIALS, p) - binomial_upper(k + 1, TRIALS, p);
            if (lo[k] <= p && p <= hi[k]) covered += probability;
        }
        assert_true(covered >= 0.9);
    }
}

static void hits_lie_strictly_below_the_threshold(void **state) {
    const double mse[] = {0, 0.25, 0.125, 0.5, 0.2499999};
    bd_hit_rate h;
    (void)state;
    assert_int_equal(bd_hits_count(&h, mse, 5, 0.25, 0.95), BD_OK);
    assert_int_equal(h.hits, 3);
    assert_int_equal(h.n, 5);
    assert_true(h.rate == 0.6 && h.threshold == 0.25 && h.confidence == 0.95);
    assert_true(h.lo < 0.6 && h.hi > 0.6);
    const double bad[] = {0, (double)NAN};
    assert_int_equal(bd_hits_count(&h, bad, 2, 0.25, 0.95), BD_E_NUMERIC);
    assert_int_equal(bd_hits_count(&h, mse, 0, 0.25, 0.95), BD_E_ARG);
    assert_int_equal(bd_hits_count(&h, mse, 5, 0, 0.95), BD_E_ARG);
    assert_int_equal(bd_hits_count(&h, mse, 5, (double)NAN, 0.95), BD_E_ARG);
}

/* A grey square of 100 pixels, 0.5 on 0.3, on 32x32: mean 0.3 + 0.2 q, variance 0.04 q (1-q), q = 100/1024. */
static void flat_grey_of_a_square_has_a_closed_form(void **state) {
    float target[1024];
    double level, var, q = 100.0 / 1024;
    (void)state;
    for (int i = 0; i < 1024; i++) target[i] = i / 32 < 10 && i % 32 < 10 ? 0.5f : 0.3f;
    assert_int_equal(bd_flat_grey(&level, &var, target, 1024), BD_OK);
    assert_near(level, 0.3 + 0.2 * q, 1e-7); /* 0.3f is off by 1.2e-8 */
    assert_near(var, 0.04 * q * (1 - q), 1e-8);
    /* no other level is better */
    bd_image_set set = {.n = 1, .h = 32, .w = 32, .c = 1, .f32 = target};
    for (int k = -5; k <= 5; k++) {
        float other[1024];
        double mse;
        for (int i = 0; i < 1024; i++) other[i] = (float)(level + 0.01 * k);
        bd_image_set flat = {.n = 1, .h = 32, .w = 32, .c = 1, .f32 = other};
        assert_int_equal(bd_mse_each(&mse, &flat, &set), BD_OK);
        assert_near(mse, var + 1e-4 * k * k, 1e-8); /* Steiner; float32 levels */
    }
    assert_int_equal(bd_flat_grey(&level, &var, target, 0), BD_E_SHAPE);
}

enum { ROWS = 9, SIDE = 12, PIXELS = SIDE * SIDE };

static void reference_scores_are_those_of_their_images(void **state) {
    uint8_t data[ROWS * PIXELS];
    float target[PIXELS], mean[PIXELS];
    bd_reference_scores got;
    (void)state;
    for (int i = 0; i < PIXELS; i++) target[i] = (float)(hash_number("target", (size_t)i) + 1) / 2;
    for (int i = 0; i < ROWS * PIXELS; i++) {
        data[i] = (uint8_t)(127.5 * (hash_number("data", (size_t)i) + 1));
    }
    /* row 6 and, later, row 7 are the target itself, as near as bytes come */
    for (int i = 0; i < PIXELS; i++) {
        data[6 * PIXELS + i] = data[7 * PIXELS + i] = (uint8_t)(255 * target[i]);
    }
    bd_image_set one = {.n = 1, .h = SIDE, .w = SIDE, .c = 1, .f32 = target};
    bd_image_set all = {.n = ROWS, .h = SIDE, .w = SIDE, .c = 1, .u8 = data};
    assert_int_equal(bd_reference_scores_make(&got, &one, &all, BD_SSIM_INTERIOR), BD_OK);
    assert_int_equal(got.n, ROWS);
    assert_int_equal(got.nearest_index, 6); /* the first one of a tie */

    double mse[ROWS], ssim[ROWS], level, var, square = 0;
    assert_int_equal(bd_mse_each(mse, &all, &one), BD_OK);
    assert_int_equal(bd_ssim_each(ssim, &all, &one, BD_SSIM_INTERIOR), BD_OK);
    for (int i = 0; i < ROWS; i++) assert_true(mse[i] >= mse[6]);
    assert_true(got.nearest.mse == mse[6] && got.nearest.ssim == ssim[6]);
    assert_true(got.nearest.mse < 1.0 / (255 * 255) && got.nearest.ssim > 0.99);

    assert_int_equal(bd_flat_grey(&level, &var, target, PIXELS), BD_OK);
    assert_true(got.flat_level == level);
    assert_near(got.flat.mse, var, 1e-8); /* the level is rounded to float32 */
    for (int i = 0; i < PIXELS; i++) square += (double)target[i] * (double)target[i];
    assert_near(got.black.mse, square / PIXELS, 1e-15); /* the same sum */
    for (int i = 0; i < PIXELS; i++) {
        int sum = 0;
        for (int r = 0; r < ROWS; r++) sum += data[r * PIXELS + i];
        mean[i] = (float)(sum / 255.0 / ROWS);
    }
    bd_image_set mean_set = {.n = 1, .h = SIDE, .w = SIDE, .c = 1, .f32 = mean};
    double want;
    assert_int_equal(bd_mse_each(&want, &mean_set, &one), BD_OK);
    assert_near(got.mean.mse, want, 1e-8); /* bytes become float32 before they are summed */
    assert_int_equal(bd_ssim_each(&want, &mean_set, &one, BD_SSIM_INTERIOR), BD_OK);
    assert_near(got.mean.ssim, want, 1e-6);
    assert_true(got.mean.mse > 10 * got.nearest.mse);

    bd_image_set two = {.n = 2, .h = SIDE, .w = SIDE, .c = 1, .u8 = data};
    assert_int_equal(bd_reference_scores_make(&got, &two, &two, BD_SSIM_INTERIOR), BD_E_SHAPE);
    all.w = SIDE - 1;
    assert_int_equal(bd_reference_scores_make(&got, &one, &all, BD_SSIM_INTERIOR), BD_E_SHAPE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beta_cdf_matches_mpmath),
        cmocka_unit_test(beta_cdf_is_a_binomial_sum),
        cmocka_unit_test(quantile_inverts_the_cdf),
        cmocka_unit_test(all_or_nothing_has_a_closed_form),
        cmocka_unit_test(intervals_match_scipy),
        cmocka_unit_test(interval_covers),
        cmocka_unit_test(hits_lie_strictly_below_the_threshold),
        cmocka_unit_test(flat_grey_of_a_square_has_a_closed_form),
        cmocka_unit_test(reference_scores_are_those_of_their_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
