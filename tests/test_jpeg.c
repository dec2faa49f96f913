/* Oracles: bytes that Pillow decodes (tests/golden/make_jpeg.py); every truncation and many damaged files of a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/image.h"
#include "io/jpeg.h"
#include "io/png.h"
#include "mutate.h"

#define GOLDEN "tests/golden/jpeg/"
#define ROOT "build/tmp/test_jpeg"

/* Debian 12's libjpeg-turbo 2.1.5 gives Pillow's bytes exactly. The format leaves the inverse transform and the chroma
 * filter to the decoder, so other versions may round a chroma sample otherwise: 1, which colour conversion makes 2. */
enum { LEVELS = 2 };

static void golden(bd_image *jpeg, bd_image *want, const char *name, int c) {
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s.jpg", name);
    assert_int_equal(bd_image_load(jpeg, path, c), BD_OK);
    snprintf(path, sizeof path, GOLDEN "%s.png", name);
    assert_int_equal(bd_image_load(want, path, c), BD_OK);
    assert_int_equal(jpeg->w, want->w);
    assert_int_equal(jpeg->h, want->h);
    assert_int_equal(jpeg->c, want->c);
}

static int worst_difference(const bd_image *a, const bd_image *b) {
    int worst = 0;
    for (int i = 0; i < a->w * a->h * a->c; i++) {
        int d = abs(a->pixels[i] - b->pixels[i]);
        if (d > worst) worst = d;
    }
    return worst;
}

static void pixels_are_those_of_pillow(void **state) {
    (void)state;
    static const char *const names[] = {"full", "half", "quarter", "progressive", "grey"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int c = 0; c <= 3; c += c ? 2 : 1) {
            bd_image jpeg, want;
            golden(&jpeg, &want, names[k], c);
            int worst = worst_difference(&jpeg, &want);
            if (worst > LEVELS) fail_msg("%s, %d channels: differs by %d", names[k], c, worst);
            jpeg.pixels[0] = (uint8_t)(jpeg.pixels[0] + 128); /* the comparison can fail */
            assert_true(worst_difference(&jpeg, &want) > LEVELS);
            bd_image_clear(&jpeg);
            bd_image_clear(&want);
        }
}

static void grey_becomes_colour_by_repeating(void **state) {
    (void)state;
    bd_image grey, rgb;
    assert_int_equal(bd_jpeg_load(&grey, GOLDEN "grey.jpg", 0), BD_OK);
    assert_int_equal(bd_jpeg_load(&rgb, GOLDEN "grey.jpg", 3), BD_OK);
    assert_int_equal(grey.c, 1);
    for (int i = 0; i < grey.w * grey.h; i++)
        for (int c = 0; c < 3; c++) assert_int_equal(rgb.pixels[3 * i + c], grey.pixels[i]);
    bd_image_clear(&grey);
    bd_image_clear(&rgb);
}

static void what_is_not_read_is_said(void **state) {
    (void)state;
    bd_image img;
    assert_int_equal(bd_image_load(&img, GOLDEN "cmyk.jpg", 3), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "cmyk.jpg"));
    assert_non_null(strstr(bd_error(), "CMYK"));
    assert_int_equal(bd_image_load(&img, ROOT "/nothing.jpg", 3), BD_E_MISSING);
    assert_int_equal(bd_image_load(&img, "tests/test_jpeg.c", 3), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "neither a PNG nor a JPEG"));
    assert_int_equal(bd_jpeg_load(&img, GOLDEN "full.png", 3), BD_E_FORMAT);
    assert_int_equal(bd_jpeg_load(&img, GOLDEN "full.jpg", 2), BD_E_ARG);
    assert_null(img.pixels);
}

/* A width or height that the file declares in its frame header. */
static void declare(uint8_t *b, size_t n, int w, int h) {
    for (size_t i = 2; i + 9 < n; i++)
        if (b[i] == 0xff && b[i + 1] == 0xc0) {
            b[i + 5] = (uint8_t)(h >> 8);
            b[i + 6] = (uint8_t)h;
            b[i + 7] = (uint8_t)(w >> 8);
            b[i + 8] = (uint8_t)w;
            return;
        }
    fail_msg("no frame header");
}

static void huge_declared_sizes_are_refused(void **state) {
    (void)state;
    static const int sides[][2] = {{65000, 17}, {33, 65000}, {16000, 16000}, {4000, 4000}, {0, 17}};
    void *data;
    size_t n;
    bd_image img;
    mutate_limit_memory();
    assert_int_equal(bd_file_read(&data, &n, GOLDEN "full.jpg", 0), BD_OK);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        declare(data, n, sides[i][0], sides[i][1]);
        mutate_write(ROOT "/huge.jpg", data, n);
        assert_int_equal(bd_image_load(&img, ROOT "/huge.jpg", 3), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), ROOT "/huge.jpg"));
    }
    free(data);
}

static bd_status load_any(const char *path) {
    bd_image img;
    bd_status st = bd_jpeg_load(&img, path, 3);
    bd_image_clear(&img);
    return st;
}

static void damaged(const char *path) {
    mutate_case c = {.path = ROOT "/damaged.jpg", .refusal = BD_E_FORMAT, .load = load_any};
    void *data;
    assert_int_equal(bd_file_read(&data, &c.n, path, 0), BD_OK);
    c.good = data;
    mutate_limit_memory();
    mutate_truncate(&c, 0);
    mutate_random(&c, 1000);
    free(data);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    damaged(GOLDEN "grey.jpg");
    damaged(GOLDEN "progressive.jpg");
}

static int setup(void **state) {
    (void)state;
    return bd_file_mkdirs(ROOT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_pillow),
        cmocka_unit_test(grey_becomes_colour_by_repeating),
        cmocka_unit_test(what_is_not_read_is_said),
        cmocka_unit_test(huge_declared_sizes_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests_name("jpeg", tests, setup, NULL);
}
