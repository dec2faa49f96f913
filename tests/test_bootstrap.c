/* Oracles: replicates built row by row with bd_frechet_distance; Gaussians whose ratio is known; closed cases. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "metric/bootstrap.h"
#include "metric/frechet.h"

enum { D = 4, MAX_N = 800, REF_N = 4000 };

static float store_a[MAX_N * D], store_b[MAX_N * D], store_floor[MAX_N * D], store_ref[REF_N * D];

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.17g, want %.17g, off by %g", got, want, got - want);
    }
}

/* Four sets of normals; a and b share theirs and are moved by shift_a, shift_b in every feature. */
static bd_fcd_features gaussians(int n, float shift_a, float shift_b, uint64_t seed) {
    bd_rng_key key = {.seed = seed, .stream = BD_STREAM_NOISE};
    size_t count = (size_t)n * D;
    bd_rng_normal(store_a, count, key);
    key.index = 1;
    bd_rng_normal(store_floor, count, key);
    key.index = 2;
    bd_rng_normal(store_ref, REF_N * D, key);
    for (size_t i = 0; i < count; i++) {
        store_b[i] = store_a[i] + shift_b;
        store_a[i] += shift_a;
    }
    return (bd_fcd_features){.a = store_a,
                             .b = store_b,
                             .floor = store_floor,
                             .ref = store_ref,
                             .n = n,
                             .n_ref = REF_N,
                             .d = D};
}

static bd_fcd_ratio bootstrap(const bd_fcd_features *f, int replicates, uint64_t seed) {
    bd_fcd_ratio out;
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, f, replicates, 0.95, seed), BD_OK);
    return out;
}

static double plain_distance(const float *rows, const uint32_t *pick, const bd_fcd_features *f) {
    bd_moments *m = NULL, *ref = NULL;
    double out;
    assert_int_equal(bd_moments_create(&m, f->d), BD_OK);
    assert_int_equal(bd_moments_create(&ref, f->d), BD_OK);
    for (int i = 0; i < f->n; i++) {
        size_t row = pick ? pick[i] : (size_t)i;
        assert_int_equal(bd_moments_add(m, rows + row * (size_t)f->d, 1), BD_OK);
    }
    assert_int_equal(bd_moments_add(ref, f->ref, (size_t)f->n_ref), BD_OK);
    assert_int_equal(bd_frechet_distance(&out, ref, m), BD_OK);
    bd_moments_destroy(m);
    bd_moments_destroy(ref);
    return out;
}

/* 39 replicates at 95 % leave exactly the smallest and the largest as ends. */
static void interval_equals_the_plain_procedure(void **state) {
    enum { SAMPLES = 50, REPLICATES = 39 };
    (void)state;
    bd_fcd_features f = gaussians(SAMPLES, 0.7f, 0.5f, 3);
    bd_fcd_ratio got = bootstrap(&f, REPLICATES, 11);
    double lo = INFINITY, hi = -INFINITY;
    for (int r = 0; r < REPLICATES; r++) {
        uint32_t pick[2][SAMPLES];
        for (uint32_t s = 0; s < 2; s++) {
            bd_rng_key key = {
                .seed = 11, .stream = BD_STREAM_BOOTSTRAP, .index = (uint32_t)r, .step = s};
            for (uint32_t i = 0; i < SAMPLES; i++) pick[s][i] = bd_rng_below(key, i, SAMPLES);
        }
        double floor_ = plain_distance(f.floor, pick[1], &f);
        double ratio = (plain_distance(f.a, pick[0], &f) - floor_) /
                       (plain_distance(f.b, pick[0], &f) - floor_);
        lo = fmin(lo, ratio);
        hi = fmax(hi, ratio);
    }
    assert_near(got.lo, lo, 1e-12); /* the same sums, in the same order but for the reference */
    assert_near(got.hi, hi, 1e-12);
    assert_near(got.fcd_a, plain_distance(f.a, NULL, &f), 1e-13);
    assert_near(got.fcd_b, plain_distance(f.b, NULL, &f), 1e-13);
    assert_near(got.fcd_floor, plain_distance(f.floor, NULL, &f), 1e-13);
    assert_near(got.ratio, (got.fcd_a - got.fcd_floor) / (got.fcd_b - got.fcd_floor), 1e-15);
    assert_int_equal(got.n, SAMPLES);
    assert_int_equal(got.replicates, REPLICATES);
    assert_int_equal(got.unbounded, 0);
    assert_true(got.lo < got.ratio && got.ratio < got.hi);
}

static void same_seed_same_bits(void **state) {
    (void)state;
    bd_fcd_features f = gaussians(100, 0.6f, 0.5f, 1);
    bd_fcd_ratio one = bootstrap(&f, 100, 5), two = bootstrap(&f, 100, 5);
    bd_fcd_ratio other = bootstrap(&f, 100, 6);
    assert_true(one.lo == two.lo && one.hi == two.hi && one.ratio == two.ratio);
    assert_true(one.lo != other.lo && one.hi != other.hi && one.ratio == other.ratio);
}

/* Shared noise is resampled together: a model that equals its control has ratio 1 without doubt. */
static void equal_sets_have_ratio_1(void **state) {
    (void)state;
    bd_fcd_features f = gaussians(100, 0.5f, 0.5f, 2);
    bd_fcd_ratio got = bootstrap(&f, 100, 5);
    assert_true(got.ratio == 1 && got.lo == 1 && got.hi == 1);
    /* Control: sets that do not share their noise leave doubt. */
    f.b = f.floor;
    f.floor = f.ref;
    for (size_t i = 0; i < 100 * D; i++) store_floor[i] += 0.5f;
    got = bootstrap(&f, 100, 5);
    assert_true(got.lo < 0.95 && got.hi > 1.05);
}

/* Unit Gaussians moved by u and v: the distances are D u^2 and D v^2, so the ratio is (u/v)^2. */
static void interval_covers_the_true_ratio(void **state) {
    enum { REPEATS = 60 };
    int covered = 0;
    (void)state;
    for (uint64_t seed = 0; seed < REPEATS; seed++) {
        bd_fcd_features f = gaussians(200, 0.9f, 0.6f, seed);
        bd_fcd_ratio got = bootstrap(&f, 99, seed);
        covered += got.lo <= 2.25 && 2.25 <= got.hi;
    }
    /* Binomial(60, 0.95) has P(X < 50) = 1e-4. The seeds are fixed: this never flickers. */
    if (covered < 50) fail_msg("%d of %d intervals hold the true ratio", covered, REPEATS);
}

static void interval_narrows_like_one_over_root_n(void **state) {
    (void)state;
    bd_fcd_features f = gaussians(200, 0.9f, 0.6f, 4);
    bd_fcd_ratio few = bootstrap(&f, 199, 1);
    f = gaussians(800, 0.9f, 0.6f, 4);
    bd_fcd_ratio many = bootstrap(&f, 199, 1);
    double shrink = (few.hi - few.lo) / (many.hi - many.lo);
    /* 2, known to 15 %: two widths of 199 replicates and two samples */
    assert_true(shrink > 1.5 && shrink < 2.7);
}

static void control_at_the_floor_is_unbounded(void **state) {
    (void)state;
    bd_fcd_features f = gaussians(60, 0.5f, 0, 7); /* b is as good as real images */
    bd_fcd_ratio got = bootstrap(&f, 99, 1);
    assert_true(got.unbounded > 10);
    assert_true(isinf(got.hi) && got.hi > 0);
    assert_int_equal(bd_verdict_at_most(got.lo < 1 ? got.lo : 1, got.hi, 1.5),
                     BD_VERDICT_UNDERPOWERED);
    f.b = f.floor; /* exactly the floor */
    got = bootstrap(&f, 99, 1);
    assert_true(isinf(got.ratio) && got.ratio > 0);
}

static void verdicts(void **state) {
    (void)state;
    assert_int_equal(bd_verdict_at_most(0.9, 1.5, 1.5), BD_VERDICT_PASS);
    assert_int_equal(bd_verdict_at_most(1.6, 1.9, 1.5), BD_VERDICT_FAIL);
    assert_int_equal(bd_verdict_at_most(1.4, 1.6, 1.5), BD_VERDICT_UNDERPOWERED);
    assert_int_equal(bd_verdict_at_most(1.5, 1.6, 1.5), BD_VERDICT_UNDERPOWERED);
    assert_int_equal(bd_verdict_at_most((double)NAN, (double)NAN, 1.5), BD_VERDICT_UNDERPOWERED);
    assert_int_equal(bd_verdict_at_most((double)INFINITY, (double)INFINITY, 1.5), BD_VERDICT_FAIL);
    assert_string_equal(bd_verdict_name(BD_VERDICT_PASS), "PASS");
    assert_string_equal(bd_verdict_name(BD_VERDICT_FAIL), "FAIL");
    assert_string_equal(bd_verdict_name(BD_VERDICT_UNDERPOWERED), "UNDERPOWERED");
}

static void bad_input_is_refused(void **state) {
    bd_fcd_ratio out;
    (void)state;
    bd_fcd_features f = gaussians(20, 0.5f, 0.5f, 2);
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 38, 0.95, 1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "take 39 or more"));
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 18, 0.9, 1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "take 19 or more"));
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 19, 0.9, 1), BD_OK);
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 100, 1, 1), BD_E_ARG);
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 100, 95, 1), BD_E_ARG);
    f.n = 1;
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 100, 0.95, 1), BD_E_SHAPE);
    f.n = 20;
    store_a[5] = NAN;
    assert_int_equal(bd_fcd_ratio_bootstrap(&out, &f, 100, 0.95, 1), BD_E_NUMERIC);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_equals_the_plain_procedure),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(equal_sets_have_ratio_1),
        cmocka_unit_test(interval_covers_the_true_ratio),
        cmocka_unit_test(interval_narrows_like_one_over_root_n),
        cmocka_unit_test(control_at_the_floor_is_unbounded),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
