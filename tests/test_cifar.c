/* Oracles: records written here by the published layout, with a pixel value that names its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/cifar.h"
#include "mutate.h"

#define ROOT "build/tmp/test_cifar"

enum { N = 3, RECORD = 3073 };

/* The byte of image i, channel c, row y, column x. */
static uint8_t value(int i, int c, int y, int x) {
    return (uint8_t)(17 * i + 91 * c + 7 * y + 3 * x);
}

static void records(uint8_t b[N * RECORD]) {
    for (int i = 0; i < N; i++) {
        *b++ = (uint8_t)(9 - i);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++) *b++ = value(i, c, y, x);
    }
}

static void write_gzip(const char *path, const uint8_t *b, size_t n) {
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, b, (unsigned)n), n);
    assert_int_equal(gzclose(f), Z_OK);
}

static void planes_become_pixels(void **state) {
    (void)state;
    uint8_t b[N * RECORD];
    records(b);
    mutate_write(ROOT "/plain.bin", b, sizeof b);
    write_gzip(ROOT "/packed.bin.gz", b, sizeof b);
    static const char *const paths[] = {ROOT "/plain.bin", ROOT "/packed.bin.gz"};
    for (int k = 0; k < 2; k++) {
        bd_cifar f;
        assert_int_equal(bd_cifar_load(&f, paths[k], N), BD_OK);
        assert_int_equal(f.n, N);
        const uint8_t *p = f.pixels;
        for (int i = 0; i < N; i++) {
            assert_int_equal(f.labels[i], 9 - i);
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++)
                    for (int c = 0; c < 3; c++) assert_int_equal(*p++, value(i, c, y, x));
        }
        bd_cifar_clear(&f);
    }
}

static void another_length_is_refused(void **state) {
    (void)state;
    uint8_t b[N * RECORD];
    bd_cifar f;
    records(b);
    mutate_write(ROOT "/length.bin", b, sizeof b);
    assert_int_equal(bd_cifar_load(&f, ROOT "/length.bin", N + 1), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "truncated"));
    assert_int_equal(bd_cifar_load(&f, ROOT "/length.bin", N - 1), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "after the last record"));
    write_gzip(ROOT "/length.bin.gz", b, sizeof b);
    assert_int_equal(bd_cifar_load(&f, ROOT "/length.bin.gz", N + 1), BD_E_FORMAT);
    assert_int_equal(bd_cifar_load(&f, ROOT "/length.bin.gz", N - 1), BD_E_FORMAT);
    assert_null(f.pixels);
}

static void a_label_above_nine_is_refused(void **state) {
    (void)state;
    uint8_t b[N * RECORD];
    bd_cifar f;
    records(b);
    b[2 * RECORD] = 10;
    mutate_write(ROOT "/label.bin", b, sizeof b);
    assert_int_equal(bd_cifar_load(&f, ROOT "/label.bin", N), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "label 10 of image 2"));
    assert_non_null(strstr(bd_error(), "offset 6146"));
}

static bd_status load_any(const char *path) {
    bd_cifar f;
    bd_status st = bd_cifar_load(&f, path, N);
    bd_cifar_clear(&f);
    return st;
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    uint8_t b[N * RECORD];
    void *packed;
    mutate_case c = {.path = ROOT "/damaged.bin", .refusal = BD_E_FORMAT, .load = load_any};
    records(b);
    mutate_limit_memory();
    c.good = b;
    c.n = sizeof b;
    mutate_truncate(&c, 0);
    write_gzip(ROOT "/good.bin.gz", b, sizeof b);
    assert_int_equal(bd_file_read(&packed, &c.n, ROOT "/good.bin.gz", 0), BD_OK);
    c.good = packed;
    mutate_truncate(&c, 0);
    mutate_random(&c, 500);
    free(packed);
}

static int setup(void **state) {
    (void)state;
    return bd_file_mkdirs(ROOT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_become_pixels),
        cmocka_unit_test(another_length_is_refused),
        cmocka_unit_test(a_label_above_nine_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests_name("cifar", tests, setup, NULL);
}
