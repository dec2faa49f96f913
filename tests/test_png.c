/* Oracles: Pillow's pixels of one file of each kind (tests/golden/make_png.py); round trips; damaged files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/file.h"
#include "base/sha256.h"
#include "fault.h"
#include "io/png.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_png"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static const struct {
    const char *name;
    int channels; /* with want_c = 0 */
    const char *rgb, *grey;
} kinds[] = {
    {"grey8", 1, "9e8425fa619b4b702664d3d4cc54d47655b3a104e0a9e1436bb72a6cc52a7632",
     "55389f8599f9646751f9f3f488923521944ee8a56d5c5427d643d49df594bb2a"},
    {"rgb8", 3, "b03f4e9d920e83c53f0ab3d4b723d8ac47e0b678199a9b9074011d884028c11d",
     "1a221f45659675ccc478002d81e00cfa054340a1f0016dd9184fabb2af09881b"},
    {"rgba8", 3, "b03f4e9d920e83c53f0ab3d4b723d8ac47e0b678199a9b9074011d884028c11d",
     "1a221f45659675ccc478002d81e00cfa054340a1f0016dd9184fabb2af09881b"},
    {"greyalpha8", 1, "9e8425fa619b4b702664d3d4cc54d47655b3a104e0a9e1436bb72a6cc52a7632",
     "55389f8599f9646751f9f3f488923521944ee8a56d5c5427d643d49df594bb2a"},
    {"palette", 3, "630d88c884d99e81c72276db39b2cc67321dd821851297efa64af7301ba41d6f",
     "03f58fa929b89f612fe9ed9802b12756bef53fac710c76eb4a36c86517d7a140"},
    {"palette_trns", 3, "630d88c884d99e81c72276db39b2cc67321dd821851297efa64af7301ba41d6f",
     "03f58fa929b89f612fe9ed9802b12756bef53fac710c76eb4a36c86517d7a140"},
    {"grey1", 1, "8d7a7a19aa48b01c4bcf13713a041e22cd453e0496fca2ce38c316c5b73abc11",
     "5cb165ac3cf9aa61b43d8c1f1b6a97c997ecca9f57288def32ada590b36273e9"},
    {"rgb16", 3, "b03f4e9d920e83c53f0ab3d4b723d8ac47e0b678199a9b9074011d884028c11d",
     "1a221f45659675ccc478002d81e00cfa054340a1f0016dd9184fabb2af09881b"},
    {"interlaced", 3, "b03f4e9d920e83c53f0ab3d4b723d8ac47e0b678199a9b9074011d884028c11d",
     "1a221f45659675ccc478002d81e00cfa054340a1f0016dd9184fabb2af09881b"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void expect(const char *path, int want_c, int channels, const char *sha256) {
    bd_image img;
    char hex[65];
    assert_int_equal(bd_png_load(&img, path, want_c), BD_OK);
    assert_int_equal(img.w, 13);
    assert_int_equal(img.h, 9);
    assert_int_equal(img.c, channels);
    assert_int_equal(bd_sha256_buffer(hex, img.pixels, (size_t)(13 * 9 * channels)), BD_OK);
    if (strcmp(hex, sha256) != 0)
        fail_msg("%s as %d channels: other pixels than Pillow's", path, channels);
    bd_image_clear(&img);
}

static void every_kind_decodes_as_pillow_does(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/golden/png/%s.png", kinds[i].name);
        expect(path, 3, 3, kinds[i].rgb);
        expect(path, 1, 1, kinds[i].grey);
        expect(path, 0, kinds[i].channels, kinds[i].channels == 3 ? kinds[i].rgb : kinds[i].grey);
    }
}

static void a_round_trip_keeps_every_pixel(void **state) {
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {1, 1, 3}, {32, 32, 1}, {33, 17, 3}, {200, 3, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bd_image img = {.w = sizes[i][0], .h = sizes[i][1], .c = sizes[i][2]}, back;
        size_t n = (size_t)img.w * (size_t)img.h * (size_t)img.c;
        img.pixels = malloc(n);
        assert_non_null(img.pixels);
        for (size_t k = 0; k < n; k++) img.pixels[k] = (uint8_t)(k * k >> 3);
        assert_int_equal(bd_png_save(DIR_ "/a.png", &img), BD_OK);
        assert_int_equal(bd_png_save(DIR_ "/b.png", &img), BD_OK);
        assert_int_equal(bd_png_load(&back, DIR_ "/a.png", 0), BD_OK);
        assert_true(back.w == img.w && back.h == img.h && back.c == img.c);
        assert_memory_equal(back.pixels, img.pixels, n);
        char one[65], two[65];
        assert_int_equal(bd_sha256_file(one, DIR_ "/a.png"), BD_OK);
        assert_int_equal(bd_sha256_file(two, DIR_ "/b.png"), BD_OK);
        assert_string_equal(one, two);
        bd_image_clear(&img);
        bd_image_clear(&back);
    }
}

static void silly_images_are_refused(void **state) {
    (void)state;
    uint8_t p[4] = {0};
    bd_image img;
    assert_int_equal(bd_png_save(DIR_ "/a.png", &(bd_image){.w = 0, .h = 1, .c = 1, .pixels = p}),
                     BD_E_SHAPE);
    assert_int_equal(bd_png_save(DIR_ "/a.png", &(bd_image){.w = 1, .h = 1, .c = 4, .pixels = p}),
                     BD_E_SHAPE);
    assert_int_equal(
        bd_png_save(DIR_ "/a.png", &(bd_image){.w = 16385, .h = 1, .c = 1, .pixels = p}),
        BD_E_SHAPE);
    assert_false(bd_file_exists(DIR_ "/a.png"));
    assert_int_equal(bd_png_load(&img, "tests/golden/png/rgb8.png", 2), BD_E_ARG);
    assert_int_equal(bd_png_load(&img, DIR_ "/none.png", 3), BD_E_MISSING);
    mutate_write(DIR_ "/text.png", "hello, world", 12);
    assert_int_equal(bd_png_load(&img, DIR_ "/text.png", 3), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "not a PNG file"));
}

/* A correct file of the given size whose compressed data holds nothing. */
static size_t make_header(unsigned char out[64], uint32_t w, uint32_t h) {
    static const unsigned char start[] = {0x89, 'P', 'N', 'G', 13,  10,  26,  10,
                                          0,    0,   0,   13,  'I', 'H', 'D', 'R'};
    const unsigned char size[13] = {(unsigned char)(w >> 24),
                                    (unsigned char)(w >> 16),
                                    (unsigned char)(w >> 8),
                                    (unsigned char)w,
                                    (unsigned char)(h >> 24),
                                    (unsigned char)(h >> 16),
                                    (unsigned char)(h >> 8),
                                    (unsigned char)h,
                                    8,
                                    2,
                                    0,
                                    0,
                                    0};
    memcpy(out, start, 16);
    memcpy(out + 16, size, 13);
    uLong crc = crc32(crc32(0, NULL, 0), out + 12, 17);
    for (int i = 0; i < 4; i++) out[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    static const unsigned char data[] = {0, 0, 0, 0, 'I', 'D', 'A', 'T', 0x35, 0xaf, 0x06, 0x1e};
    memcpy(out + 33, data, sizeof data);
    return 33 + sizeof data;
}

static void forged_sizes_allocate_nothing(void **state) {
    (void)state;
    static const uint32_t sizes[][2] = {
        {16385, 1}, {1, 16385}, {16384, 16384}, {0x7fffffff, 0x7fffffff}, {0, 5}, {5000, 5000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char file[64];
        bd_image img;
        mutate_write(DIR_ "/bad.png", file, make_header(file, sizes[i][0], sizes[i][1]));
        assert_int_equal(bd_png_load(&img, DIR_ "/bad.png", 0), BD_E_FORMAT);
        assert_null(img.pixels);
    }
    assert_non_null(strstr(
        bd_error(), "more than 48 MiB of pixels")); /* the last one: within both sides' limits */
}

static bd_status load_and_look(const char *path) {
    bd_image img;
    bd_status st = bd_png_load(&img, path, 0);
    if (st) {
        assert_null(img.pixels);
        return st;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < (size_t)img.w * (size_t)img.h * (size_t)img.c; i++) sum += img.pixels[i];
    assert_true(sum < 1u << 28);
    bd_image_clear(&img);
    return BD_OK;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/golden/png/%s.png", kinds[i].name);
        mutate_case c = {.path = DIR_ "/m.png", .refusal = BD_E_FORMAT, .load = load_and_look};
        void *data;
        assert_int_equal(bd_file_read(&data, &c.n, path, 0), BD_OK);
        c.good = data;
        mutate_truncate(&c, 0);
        assert_int_equal(mutate_flip(&c), 8 * c.n); /* every chunk carries a CRC */
        mutate_random(&c, 1000);
        free(data);
    }
}

static void a_failed_save_keeps_the_old_file(void **state) {
    (void)state;
    uint8_t old_p[1] = {7}, new_p[1] = {8};
    static const fault_kind faults[] = {FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC, FAULT_CLOSE,
                                        FAULT_RENAME};
    for (size_t i = 0; i < 5; i++) {
        bd_image img;
        assert_int_equal(
            bd_png_save(DIR_ "/a.png", &(bd_image){.w = 1, .h = 1, .c = 1, .pixels = old_p}),
            BD_OK);
        fault_arm(faults[i], 1, true, ENOSPC);
        assert_int_equal(
            bd_png_save(DIR_ "/a.png", &(bd_image){.w = 1, .h = 1, .c = 1, .pixels = new_p}),
            BD_E_IO);
        assert_true(fault_disarm() > 0);
        assert_non_null(strstr(bd_error(), DIR_ "/a.png"));
        assert_int_equal(bd_png_load(&img, DIR_ "/a.png", 0), BD_OK);
        assert_int_equal(img.pixels[0], 7);
        bd_image_clear(&img);
    }
    /* A write that fails in the middle of libpng's work, not at its end. */
    enum { side = 400 };
    bd_image big = {.w = side, .h = side, .c = 3, .pixels = malloc(3 * side * side)};
    assert_non_null(big.pixels);
    uint32_t noise = 1;
    for (int i = 0; i < 3 * side * side; i++)
        big.pixels[i] = (uint8_t)((noise = noise * 1664525u + 1013904223u) >> 24);
    fault_arm(FAULT_WRITE, 2, true, ENOSPC);
    assert_int_equal(bd_png_save(DIR_ "/a.png", &big), BD_E_IO);
    assert_true(fault_disarm() > 0);
    assert_non_null(strstr(bd_error(), "bytes free"));
    bd_image_clear(&big);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(every_kind_decodes_as_pillow_does), TEST(a_round_trip_keeps_every_pixel),
        TEST(silly_images_are_refused),          TEST(forged_sizes_allocate_nothing),
        TEST(damaged_files_are_refused),         TEST(a_failed_save_keeps_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
