/* Oracles: files built byte by byte from the format's description; zlib's own gzip; damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/file.h"
#include "io/idx.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_idx"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

enum { IMAGES = 3, ROWS = 4, COLS = 5, IMAGE_BYTES = 16 + IMAGES * ROWS * COLS };

static void make_images(unsigned char out[IMAGE_BYTES]) {
    static const unsigned char header[16] = {0, 0, 8, 3,    0, 0, 0, IMAGES,
                                             0, 0, 0, ROWS, 0, 0, 0, COLS};
    memcpy(out, header, 16);
    for (int i = 16; i < IMAGE_BYTES; i++) out[i] = (unsigned char)(i * 7);
}

static void pack(const char *path, const void *data, size_t n) {
    gzFile f = gzopen(path, "wb9");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, (unsigned)n), n);
    assert_int_equal(gzclose(f), Z_OK);
}

static void expect_images(const char *path) {
    unsigned char want[IMAGE_BYTES];
    bd_idx x;
    make_images(want);
    assert_int_equal(bd_idx_load(&x, path), BD_OK);
    assert_int_equal(x.rank, 3);
    assert_int_equal(x.dim[0], IMAGES);
    assert_int_equal(x.dim[1], ROWS);
    assert_int_equal(x.dim[2], COLS);
    assert_int_equal(x.bytes, IMAGE_BYTES - 16);
    assert_memory_equal(x.data, want + 16, x.bytes);
    bd_idx_clear(&x);
    assert_null(x.data);
    bd_idx_clear(&x);
}

static void plain_and_packed_files_load(void **state) {
    (void)state;
    unsigned char bytes[IMAGE_BYTES];
    make_images(bytes);
    mutate_write(DIR_ "/a", bytes, sizeof bytes);
    expect_images(DIR_ "/a");
    pack(DIR_ "/a.gz", bytes, sizeof bytes);
    expect_images(DIR_ "/a.gz");
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 9, 0, 1, 2};
    bd_idx x;
    mutate_write(DIR_ "/l", labels, sizeof labels);
    assert_int_equal(bd_idx_load(&x, DIR_ "/l"), BD_OK);
    assert_int_equal(x.rank, 1);
    assert_int_equal(x.dim[0], 4);
    assert_memory_equal(x.data, labels + 8, 4);
    bd_idx_clear(&x);
}

static void refused(const void *bytes, size_t n, const char *reason) {
    for (int gzip = 0; gzip < 2; gzip++) {
        bd_idx x;
        const char *path = gzip ? DIR_ "/bad.gz" : DIR_ "/bad";
        if (gzip)
            pack(path, bytes, n);
        else
            mutate_write(path, bytes, n);
        bd_status st = bd_idx_load(&x, path);
        if (st != BD_E_FORMAT || strncmp(bd_error(), path, strlen(path)) != 0 ||
            (!gzip && !strstr(bd_error(), reason)))
            fail_msg("%s: status %d, \"%s\", expected \"%s\"", path, st, st ? bd_error() : "",
                     reason);
        assert_null(x.data);
    }
}

static void each_rule_is_kept(void **state) {
    (void)state;
    refused("", 0, "no IDX header");
    refused("\0\0\x8", 3, "no IDX header");
    refused("\1\0\x8\1\0\0\0\1x", 9, "not an IDX file");
    refused("\0\0\xd\1\0\0\0\1xxxx", 12, "element type 0x0d");
    refused("\0\0\x8\0\0\0\0\1x", 9, "0 dimensions");
    refused("\0\0\x8\5\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1x", 25, "5 dimensions");
    refused("\0\0\x8\2\0\0\0\1\0\0", 10, "inside the IDX header");
    refused("\0\0\x8\1\0\0\0\0", 8, "dimension 0");
    refused("\0\0\x8\1\xff\xff\xff\xff", 8, "dimension 4294967295");
    refused("\0\0\x8\4\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff", 20,
            "overflow");
    refused("\0\0\x8\3\x7f\xff\xff\xff\x7f\xff\xff\xff\0\0\0\1", 16, "truncated");
    refused("\0\0\x8\1\0\0\0\2x", 9, "2 bytes of data expected, 1 there");
    refused("\0\0\x8\1\0\0\0\2xyz", 11, "offset 10: 1 bytes after the end");
    bd_idx x;
    assert_int_equal(bd_idx_load(&x, DIR_ "/none"), BD_E_MISSING);
}

/* 64 MB of zeros in 64 KB: refused before memory is taken. */
static void bombs_do_not_go_off(void **state) {
    (void)state;
    enum { side = 8192 };
    static unsigned char zeros[side];
    static const unsigned char header[] = {0, 0, 8, 2, 0, 0, 0x20, 0, 0, 0, 0x20, 0};
    gzFile f = gzopen(DIR_ "/bomb.gz", "wb1");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, header, sizeof header), sizeof header);
    for (int i = 0; i < side; i++) assert_int_equal(gzwrite(f, zeros, side), side);
    assert_int_equal(gzclose(f), Z_OK);
    bd_idx x;
    assert_int_equal(bd_idx_load(&x, DIR_ "/bomb.gz"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "unpack it first"));
}

static bd_status load_and_look(const char *path) {
    bd_idx x;
    bd_status st = bd_idx_load(&x, path);
    if (st) {
        assert_null(x.data);
        return st;
    }
    size_t n = 1;
    for (int i = 0; i < x.rank; i++) n *= (size_t)x.dim[i];
    assert_int_equal(n, x.bytes);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) sum += x.data[i];
    assert_true(sum < 1u << 20);
    bd_idx_clear(&x);
    return BD_OK;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    unsigned char bytes[IMAGE_BYTES];
    make_images(bytes);
    mutate_case c = {.path = DIR_ "/m",
                     .good = bytes,
                     .n = sizeof bytes,
                     .refusal = BD_E_FORMAT,
                     .load = load_and_look};
    mutate_truncate(&c, 0);
    assert_true(mutate_flip(&c) >=
                8 * 16 - 8); /* every bit of the header; rank 3 -> 1 or 2 fails by size */
    mutate_random(&c, 5000);
    pack(DIR_ "/good.gz", bytes, sizeof bytes);
    void *packed;
    assert_int_equal(bd_file_read(&packed, &c.n, DIR_ "/good.gz", 0), BD_OK);
    c.good = packed;
    mutate_truncate(&c, 0);
    /* gzip checks all but parts of its own 10-byte header: time, flags of compression, system */
    assert_true(mutate_flip(&c) >= 8 * (c.n - 6) - 8);
    mutate_random(&c, 5000);
    free(packed);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(plain_and_packed_files_load),
        TEST(each_rule_is_kept),
        TEST(bombs_do_not_go_off),
        TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
