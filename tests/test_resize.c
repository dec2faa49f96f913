/* Oracles: bytes made with Pillow (tests/golden/make_resize.py); exact inputs; values of the specification. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "base/pixel.h"
#include "data/resize.h"

/* The picture of tests/golden/make_resize.py. */
static void picture(uint8_t *out, int w, int h, int c) {
    uint32_t x = (uint32_t)(w * 65536 + h * 256 + c);
    for (int i = 0; i < w * h * c; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

static void bytes_are_those_of_pillow(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/resize.tsv", "r");
    assert_non_null(f);
    char line[256], want[65], got[65];
    int w, h, c, ow, oh, rows = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%d %d %d %d %d %64s", &w, &h, &c, &ow, &oh, want), 6);
        uint8_t *src = malloc((size_t)w * h * c), *dst = malloc((size_t)ow * oh * c);
        assert_non_null(src);
        assert_non_null(dst);
        picture(src, w, h, c);
        assert_int_equal(bd_resize(dst, ow, oh, src, w, h, c), BD_OK);
        assert_int_equal(bd_sha256_buffer(got, dst, (size_t)ow * oh * c), BD_OK);
        if (strcmp(got, want) != 0)
            fail_msg("%dx%dx%d -> %dx%d differs from Pillow", w, h, c, ow, oh);
        free(src);
        free(dst);
        rows++;
    }
    fclose(f);
    assert_true(rows >= 15);
}

static void flat_pictures_stay_flat(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 3, 10, 28, 29, 31};
    uint8_t src[31 * 31], dst[31 * 31];
    for (int level = 0; level < 256; level += 51)
        for (size_t i = 0; i < 7; i++)
            for (size_t j = 0; j < 7; j++) {
                int in = sizes[i], out = sizes[j];
                memset(src, level, sizeof src);
                memset(dst, 77, sizeof dst);
                assert_int_equal(bd_resize(dst, out, out, src, in, in, 1), BD_OK);
                for (int k = 0; k < out * out; k++) assert_int_equal(dst[k], level);
            }
}

static void halving_a_step_gives_known_bytes(void **state) {
    (void)state;
    /* 4 -> 2: triangle of half-width 2 around 1 and 3, cut at the edges: (3, 3, 1)/7 and (1, 3, 3)/7 */
    const uint8_t src[4] = {0, 0, 210, 210};
    uint8_t dst[2];
    assert_int_equal(bd_resize(dst, 2, 1, src, 4, 1, 1), BD_OK);
    assert_int_equal(dst[0], 30);
    assert_int_equal(dst[1], 180);
}

static void short_side_rule(void **state) {
    (void)state;
    static const int cases[][5] = {/* w h n -> w h */
                                   {999, 997, 14, 14, 14}, {999, 997, 997, 999, 997},
                                   {512, 512, 20, 20, 20}, {100, 300, 10, 10, 30},
                                   {300, 100, 10, 30, 10}, {178, 218, 64, 64, 78}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int w, h;
        bd_resize_short_side(&w, &h, cases[i][0], cases[i][1], cases[i][2]);
        assert_int_equal(w, cases[i][3]);
        assert_int_equal(h, cases[i][4]);
    }
}

static void refuses_impossible_sizes(void **state) {
    (void)state;
    uint8_t byte = 0;
    assert_int_equal(bd_resize(&byte, 0, 1, &byte, 1, 1, 1), BD_E_ARG);
    assert_int_equal(bd_resize(&byte, 1, 1, &byte, 1, -1, 1), BD_E_ARG);
    assert_int_equal(bd_resize(&byte, 1, 1, &byte, 20000, 1, 1), BD_E_ARG);
    assert_int_equal(bd_resize(&byte, 1, 1, &byte, 1, 1, 5), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "5 channels"));
}

static void byte_to_float_rule(void **state) {
    (void)state;
    /* printed to eight decimals in the specification: half a unit of the last place */
    static const struct {
        uint8_t p;
        double v;
    } want[] = {{127, -0.00393152}, {128, 0.00391161}, {254, 0.99213696}, {255, 0.99997997}};
    assert_true(bd_pixel_float(0) == -1.0f);
    assert_true(bd_pixel_float(255) < 1.0f);
    for (size_t i = 0; i < 4; i++) assert_true(fabs(bd_pixel_float(want[i].p) - want[i].v) < 1e-8);
    for (int p = 1; p < 256; p++)
        assert_true(bd_pixel_float((uint8_t)p) > bd_pixel_float((uint8_t)(p - 1)));
    /* only byte 255 passes the transparency threshold, only 0 is the background */
    assert_true(bd_pixel_float(254) < 0.999f && bd_pixel_float(255) >= 0.999f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_pillow),
        cmocka_unit_test(flat_pictures_stay_flat),
        cmocka_unit_test(halving_a_step_gives_known_bytes),
        cmocka_unit_test(short_side_rule),
        cmocka_unit_test(refuses_impossible_sizes),
        cmocka_unit_test(byte_to_float_rule),
    };
    return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
