/* Oracles: rows and columns written out by hand; moments of the noise; bit equality. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/corrupt.h"

enum { MAX = 256 * 256 * 3 };

static float x[MAX], y[MAX];

static void fill(int S, int C) {
    for (int i = 0; i < S * S * C; i++) x[i] = y[i] = (float)(i % 97) / 97;
}

/* Black on rows top .. bottom and columns left .. right, both inclusive, and nothing else touched. */
static void assert_black(bd_corrupt kind, int S, int C, const int rows[2], const int columns[2]) {
    fill(S, C);
    assert_int_equal(bd_corrupt_apply(x, kind, S, C, 1, 0), BD_OK);
    for (int i = 0; i < S * S * C; i++) {
        int row = i / (S * C), column = i / C % S;
        bool inside =
            row >= rows[0] && row <= rows[1] && column >= columns[0] && column <= columns[1];
        if (x[i] != (inside ? -1.0f : y[i])) fail_msg("S = %d, element %d: %g", S, i, (double)x[i]);
    }
}

/* 32: h = 16, box 16-5 .. 16+5-1, line 16-1 .. 16+0-1; 64: h = 32, 32-10 .. 41, 32-3 .. 32+1-1; 256: h = 128,
 * 128-42 .. 169, 128-12 .. 128+6-1. */
static void masks_are_where_the_paper_has_them(void **state) {
    static const struct {
        int S, box[2], line[2];
    } cases[] = {{32, {11, 20}, {15, 15}}, {64, {22, 41}, {29, 32}}, {256, {86, 169}, {116, 133}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int C = 1; C <= 3; C += 2) {
            int S = cases[i].S, all[2] = {0, S - 1};
            assert_black(BD_CORRUPT_BOX, S, C, cases[i].box, cases[i].box);
            assert_black(BD_CORRUPT_LINE, S, C, all, cases[i].line);
        }
}

/* 0.3 standard normals: n = 196,608 elements, so the mean within 5 * 0.3/sqrt(n) = 0.0034 of 0 and the standard
 * deviation within 5 * 0.3/sqrt(2n) = 0.0024 of 0.3. */
static void denoise_adds_the_noise_it_says(void **state) {
    double sum = 0, squares = 0;
    (void)state;
    fill(256, 3);
    assert_int_equal(bd_corrupt_apply(x, BD_CORRUPT_DENOISE, 256, 3, 1, 0), BD_OK);
    for (int i = 0; i < MAX; i++) {
        double d = (double)x[i] - (double)y[i];
        sum += d;
        squares += d * d;
    }
    double mean = sum / MAX, sd = sqrt(squares / MAX - mean * mean);
    assert_true(fabs(mean) < 0.0034);
    assert_true(fabs(sd - 0.3) < 0.0024);
}

static void noise_is_of_seed_and_sample_alone(void **state) {
    static float first[32 * 32];
    (void)state;
    const struct {
        uint64_t seed;
        int64_t sample;
        bool same;
    } cases[] = {{7, 3, true}, {7, 4, false}, {8, 3, false}};
    fill(32, 1);
    assert_int_equal(bd_corrupt_apply(x, BD_CORRUPT_DENOISE, 32, 1, 7, 3), BD_OK);
    memcpy(first, x, sizeof first);
    for (int i = 0; i < 3; i++) {
        fill(32, 1);
        assert_int_equal(
            bd_corrupt_apply(x, BD_CORRUPT_DENOISE, 32, 1, cases[i].seed, cases[i].sample), BD_OK);
        int differ = 0;
        for (int k = 0; k < 32 * 32; k++) differ += x[k] != first[k];
        assert_true(cases[i].same ? differ == 0 : differ > 1000);
    }
}

static void what_cannot_be_done_is_refused(void **state) {
    bd_corrupt kind;
    (void)state;
    fill(16, 1);
    assert_int_equal(bd_corrupt_apply(x, BD_CORRUPT_NONE, 16, 1, 1, 0), BD_OK);
    assert_memory_equal(x, y, 16 * 16 * sizeof *x);
    assert_int_equal(bd_corrupt_apply(x, BD_CORRUPT_LINE, 16, 1, 1, 0), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "line: pictures of 16x16"));
    assert_memory_equal(x, y, 16 * 16 * sizeof *x);
    for (int i = 0; i < BD_CORRUPT_COUNT; i++) {
        assert_int_equal(bd_corrupt_parse(&kind, bd_corrupt_name((bd_corrupt)i)), BD_OK);
        assert_int_equal(kind, i);
    }
    assert_int_equal(bd_corrupt_parse(&kind, "blur"), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "none, denoise, box or line"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_are_where_the_paper_has_them),
        cmocka_unit_test(denoise_adds_the_noise_it_says),
        cmocka_unit_test(noise_is_of_seed_and_sample_alone),
        cmocka_unit_test(what_cannot_be_done_is_refused),
    };
    return cmocka_run_group_tests_name("corrupt", tests, NULL, NULL);
}
