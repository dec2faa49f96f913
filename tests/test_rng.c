/* Oracles: published Random123 known answers; a scalar re-computation from one Philox call; a golden hash that must
 * not depend on compiler or instruction set; exact moments and distributions of the normal and uniform laws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mathfn.h"
#include "base/rng.h"
#include "base/sha256.h"

/* Random123 1.09, tests/kat_vectors, philox4x32 10. */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } table[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint32_t out[4];
        bd_philox4x32(out, table[i].ctr, table[i].key);
        assert_memory_equal(out, table[i].out, sizeof out);
    }
}

static const bd_rng_key some = {
    .seed = 0x0123456789abcdef, .stream = BD_STREAM_NOISE, .index = 77, .step = 1234};

/* The layout promised in base/rng.h, from single Philox calls. */
static uint32_t word(bd_rng_key k, size_t i) {
    const uint32_t ctr[4] = {(uint32_t)(i / 4), k.step, k.index, k.stream};
    const uint32_t key[2] = {(uint32_t)k.seed, (uint32_t)(k.seed >> 32)};
    uint32_t out[4];
    bd_philox4x32(out, ctr, key);
    return out[i % 4];
}

static void words_follow_the_layout(void **state) {
    (void)state;
    uint32_t got[400];
    for (size_t first = 0; first < 140; first += first < 9 ? 1 : 13)
        for (size_t n = 0; n <= 300; n += n < 9 ? 1 : 31) {
            memset(got, 0xee, sizeof got);
            bd_rng_bits(got, n, some, first);
            for (size_t i = 0; i < n; i++) assert_int_equal(got[i], word(some, first + i));
            assert_int_equal(got[n], 0xeeeeeeee); /* nothing behind the end */
        }
}

/* Baseline code, one pair at a time, against whatever instruction set bd_rng_normal chose: bit for bit. */
static void normals_follow_the_formula(void **state) {
    (void)state;
    static float z[1001];
    for (size_t n = 1; n <= 1000; n = n * 3 + 1) {
        z[n] = -99.0f;
        bd_rng_normal(z, n, some);
        assert_true(z[n] == -99.0f);
        for (size_t i = 0; i < n; i++) {
            float u = (float)((word(some, i & ~(size_t)1) >> 8) + 1) * 0x1p-24f;
            float turn = (float)(word(some, i | 1) >> 8) * 0x1p-24f, s, c;
            bd_sincos_2pi(turn, &s, &c);
            float want = sqrtf(-2.0f * bd_logf(u)) * (i & 1 ? s : c);
            assert_int_equal(bd_float_to_bits(z[i]), bd_float_to_bits(want));
            double exact = sqrt(-2.0 * log((double)u)) *
                           (i & 1 ? sin(2 * M_PI * (double)turn) : cos(2 * M_PI * (double)turn));
            /* radius <= 5.77 times the 2^-23 of sin and cos, plus three roundings of 2^-24 relative */
            assert_true(fabs((double)z[i] - exact) < 5.77 * (0x1p-23 + 3 * 0x1p-24));
        }
    }
}

enum { MANY = 1 << 18 };

static void golden_hash_of_many_normals(void **state) {
    (void)state;
    char hex[65];
    float *z = malloc(MANY * sizeof *z);
    assert_non_null(z);
    bd_rng_normal(z, MANY,
                  (bd_rng_key){.seed = 42, .stream = BD_STREAM_PRIOR, .index = 3, .step = 9});
    assert_int_equal(bd_sha256_buffer(hex, z, MANY * sizeof *z), BD_OK);
    free(z);
    assert_string_equal(hex, "731b2e727474ebec77f728febe8b5e4baf19cb638e1c13b16f58b81554084d2b");
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov distance times sqrt(n); sorts z. */
static double ks_normal(float *z, size_t n) {
    double d = 0.0;
    qsort(z, n, sizeof *z, compare_floats);
    for (size_t i = 0; i < n; i++) {
        double p = 0.5 * erfc(-(double)z[i] / sqrt(2.0));
        d = fmax(d, fmax(p - (double)i / (double)n, (double)(i + 1) / (double)n - p));
    }
    return d * sqrt((double)n);
}

static void normals_are_normal(void **state) {
    (void)state;
    float *z = malloc(MANY * sizeof *z);
    assert_non_null(z);
    bd_rng_normal(z, MANY, (bd_rng_key){.seed = 7, .stream = BD_STREAM_NOISE});
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0, n = MANY;
    for (size_t i = 0; i < MANY; i++) {
        double v = (double)z[i];
        m1 += v;
        m2 += v * v;
        m3 += v * v * v;
        m4 += v * v * v * v;
        if (i) lag += v * (double)z[i - 1];
    }
    /* Five standard errors: Var of z, z^2, z^3, z^4 is 1, 2, 15, 96. */
    assert_true(fabs(m1 / n) < 5 * sqrt(1 / n));
    assert_true(fabs(m2 / n - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(m3 / n) < 5 * sqrt(15 / n));
    assert_true(fabs(m4 / n - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(lag / n) < 5 * sqrt(1 / n));
    assert_true(ks_normal(z, MANY) < 2.23); /* P(K > 2.23) = 1e-4 */
    for (size_t i = 0; i < MANY; i++) z[i] = z[i] * 1.02f;
    assert_true(ks_normal(z, MANY) > 2.23); /* control: the test sees a scale wrong by 2 % */
    free(z);
}

/* Neighbouring keys must not be correlated. */
static void keys_are_independent(void **state) {
    (void)state;
    enum { n = 65536 };
    static float a[n], b[n];
    const bd_rng_key base = {.seed = 1, .stream = BD_STREAM_NOISE, .index = 5, .step = 6};
    bd_rng_key other[5] = {base, base, base, base, base};
    other[0].seed++;
    other[1].stream++;
    other[2].index++;
    other[3].step++;
    other[4].seed += UINT64_C(1) << 32;
    bd_rng_normal(a, n, base);
    for (int k = 0; k < 5; k++) {
        double dot = 0.0;
        bd_rng_normal(b, n, other[k]);
        for (int i = 0; i < n; i++) dot += (double)a[i] * (double)b[i];
        assert_true(fabs(dot) < 5 * sqrt(n)); /* five standard errors */
    }
}

static void uniforms_fill_the_interval(void **state) {
    (void)state;
    static float u[100003];
    const size_t n = sizeof u / sizeof *u;
    double cells[64] = {0}, chi2 = 0.0;
    bd_rng_uniform(u, n, some);
    for (size_t i = 0; i < n; i++) {
        assert_true(u[i] >= 0.0f && u[i] < 1.0f);
        assert_true(u[i] == (float)(word(some, i) >> 8) / 16777216.0f);
        cells[(int)(u[i] * 64.0f)]++;
    }
    for (int i = 0; i < 64; i++)
        chi2 += (cells[i] - (double)n / 64) * (cells[i] - (double)n / 64) / ((double)n / 64);
    assert_true(chi2 > 25 && chi2 < 125); /* 63 degrees of freedom: both tails below 1e-5 */
}

static void below_is_bounded_and_even(void **state) {
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 10, 1000, 60000, 0x80000001u, 0xffffffffu};
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++)
        for (uint32_t i = 0; i < 300; i++)
            assert_true(bd_rng_below(some, i, bounds[b]) < bounds[b]);
    enum { draws = 60000, sides = 6 };
    double cells[sides] = {0}, chi2 = 0.0;
    for (uint32_t i = 0; i < draws; i++) cells[bd_rng_below(some, i, sides)]++;
    for (int i = 0; i < sides; i++) chi2 += pow(cells[i] - draws / sides, 2) / (draws / sides);
    assert_true(chi2 < 25.7); /* 5 degrees of freedom, P = 1e-4 */
    /* With a bound of 3/4 * 2^32 a quarter of all words is rejected; multiply-shift without rejection would favour
     * every third number, and a bias to one side would show in the halves. */
    double low = 0, third[3] = {0};
    for (uint32_t i = 0; i < draws; i++) {
        uint32_t v = bd_rng_below(some, 4 * i, 0xC0000000u);
        low += v < 0x60000000u;
        third[v % 3]++;
    }
    assert_true(fabs(low - draws / 2) < 5 * sqrt(draws * 0.25)); /* five standard errors */
    for (int i = 0; i < 3; i++) assert_true(fabs(third[i] - draws / 3) < 5 * sqrt(draws * 2.0 / 9));
}

static void permutations_are_uniform(void **state) {
    (void)state;
    enum { trials = 24000 };
    double cells[256] = {0}, chi2 = 0.0;
    int kinds = 0;
    for (uint32_t t = 0; t < trials; t++) {
        uint32_t p[4];
        bd_rng_permutation(p, 4, (bd_rng_key){.seed = 3, .stream = BD_STREAM_SHUFFLE, .index = t});
        cells[p[0] | p[1] << 2 | p[2] << 4 | p[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        if (cells[i] == 0) continue;
        kinds++;
        chi2 += (cells[i] - trials / 24) * (cells[i] - trials / 24) / (trials / 24);
    }
    assert_int_equal(kinds, 24);
    assert_true(chi2 < 56.0); /* 23 degrees of freedom, P = 1e-4 */
    static uint32_t big[60000];
    static unsigned char there[60000];
    bd_rng_permutation(big, 60000, some);
    for (size_t i = 0; i < 60000; i++) {
        assert_true(big[i] < 60000);
        assert_false(there[big[i]]);
        there[big[i]] = 1;
    }
    bd_rng_permutation(big, 1, some);
    assert_int_equal(big[0], 0);
    bd_rng_permutation(big, 0, some);
}

static void images_do_not_depend_on_layout(void **state) {
    (void)state;
    enum { h = 5, w = 7, c = 3 };
    float plain[c * h * w], nhwc[h * w * c], scratch[c * h * w];
    bd_rng_normal(plain, c * h * w, some);
    bd_rng_normal_nhwc(nhwc, h, w, c, some, scratch);
    for (int k = 0; k < c; k++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                assert_true(nhwc[(y * w + x) * c + k] == plain[(k * h + y) * w + x]);
    bd_rng_normal_nhwc(nhwc, h, w, 1, some, NULL);
    assert_memory_equal(nhwc, plain, h * w * sizeof *plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(words_follow_the_layout),
        cmocka_unit_test(normals_follow_the_formula),
        cmocka_unit_test(golden_hash_of_many_normals),
        cmocka_unit_test(normals_are_normal),
        cmocka_unit_test(keys_are_independent),
        cmocka_unit_test(uniforms_fill_the_interval),
        cmocka_unit_test(below_is_bounded_and_even),
        cmocka_unit_test(permutations_are_uniform),
        cmocka_unit_test(images_do_not_depend_on_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
