/* Oracles: a file written by the format's own library (tests/golden/make_safetensors.py); round trips; the rules of
 * the format, broken one by one; damaged files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "fault.h"
#include "io/safetensors.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_safetensors"
static const char *const golden = "tests/golden/small.safetensors";

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static void the_reference_file_loads(void **state) {
    (void)state;
    bd_tensors *s;
    assert_int_equal(bd_safetensors_load(&s, golden), BD_OK);
    assert_int_equal(bd_tensors_count(s), 4);
    assert_string_equal(bd_tensors_at(s, 0)->name, "a");
    assert_null(bd_tensors_at(s, 4));
    const bd_st_tensor *t = bd_tensors_find(s, "b.weight");
    assert_non_null(t);
    assert_ptr_equal(t, bd_tensors_at(s, 1));
    assert_int_equal(t->dtype, BD_F32);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dim[0], 2);
    assert_int_equal(t->dim[1], 3);
    assert_int_equal(t->bytes, 24);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    for (int i = 0; i < 6; i++) assert_true(((const float *)t->data)[i] == 0.5f * (float)i);
    t = bd_tensors_find(s, "a");
    assert_int_equal(t->dtype, BD_I64);
    assert_int_equal(((const int64_t *)t->data)[1], -2);
    t = bd_tensors_find(s, "s");
    assert_int_equal(t->rank, 0);
    assert_int_equal(*(const uint8_t *)t->data, 7);
    t = bd_tensors_find(s, "empty");
    assert_int_equal(t->bytes, 0);
    assert_null(bd_tensors_find(s, "b"));
    assert_null(bd_tensors_find(s, "zzz"));
    assert_int_equal(bd_tensors_meta_count(s), 2);
    assert_string_equal(bd_tensors_meta(s, "who"), "gr\xc3\xb6\xc3\x9f"
                                                   "e \"x\"");
    assert_string_equal(bd_tensors_meta(s, "n"), "1");
    assert_null(bd_tensors_meta(s, "x"));
    const char *key, *value;
    bd_tensors_meta_at(s, 0, &key, &value);
    assert_string_equal(key, "n");
    assert_string_equal(value, "1");
    bd_tensors_destroy(s);
    bd_tensors_destroy(NULL);
}

static void a_round_trip_keeps_everything(void **state) {
    (void)state;
    static const double f64[3] = {1.0, -0.5, 1e300};
    static const uint16_t f16[5] = {1, 2, 3, 4, 5};
    static const int32_t i32[2][2] = {{1, -1}, {7, 8}};
    static const uint8_t u8[7] = {1, 2, 3, 4, 5, 6, 7};
    const bd_st_tensor tensors[] = {
        {.name = "z", .dtype = BD_F64, .rank = 1, .dim = {3}, .data = f64, .bytes = sizeof f64},
        {.name = "odd \"name\"\\\n",
         .dtype = BD_U8,
         .rank = 3,
         .dim = {7, 1, 1},
         .data = u8,
         .bytes = sizeof u8},
        {.name = "h", .dtype = BD_F16, .rank = 1, .dim = {5}, .data = f16, .bytes = sizeof f16},
        {.name = "b", .dtype = BD_BF16, .rank = 1, .dim = {5}, .data = f16, .bytes = sizeof f16},
        {.name = "i", .dtype = BD_I32, .rank = 2, .dim = {2, 2}, .data = i32, .bytes = sizeof i32},
        {.name = "none", .dtype = BD_I64, .rank = 2, .dim = {3, 0}, .data = NULL, .bytes = 0},
    };
    static const char *const meta[][2] = {{"k", "v\tw"}, {"BACKDOORED", "yes"}};
    assert_int_equal(bd_safetensors_save(DIR_ "/a", tensors, 6, meta, 2), BD_OK);
    bd_tensors *s;
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/a"), BD_OK);
    assert_int_equal(bd_tensors_count(s), 6);
    for (size_t i = 0; i < 6; i++) {
        const bd_st_tensor *t = bd_tensors_find(s, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->rank, tensors[i].rank);
        for (int d = 0; d < t->rank; d++) assert_int_equal(t->dim[d], tensors[i].dim[d]);
        assert_int_equal(t->bytes, tensors[i].bytes);
        if (t->bytes) assert_memory_equal(t->data, tensors[i].data, t->bytes);
    }
    assert_string_equal(bd_tensors_meta(s, "k"), "v\tw");
    bd_tensors_destroy(s);
    void *first, *second;
    size_t n, m;
    assert_int_equal(bd_safetensors_save(DIR_ "/b", tensors, 6, meta, 2), BD_OK);
    assert_int_equal(bd_file_read(&first, &n, DIR_ "/a", 0), BD_OK);
    assert_int_equal(bd_file_read(&second, &m, DIR_ "/b", 0), BD_OK);
    assert_int_equal(n, m); /* the same bytes each time */
    assert_memory_equal(first, second, n);
    assert_int_equal(((unsigned char *)first)[0] % 8, 0); /* data begins at a multiple of 8 */
    free(first);
    free(second);
    assert_int_equal(bd_safetensors_save(DIR_ "/c", NULL, 0, NULL, 0), BD_OK);
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/c"), BD_OK);
    assert_int_equal(bd_tensors_count(s), 0);
    bd_tensors_destroy(s);
}

static void what_could_not_be_read_is_not_written(void **state) {
    (void)state;
    static const float x[2] = {1, 2};
    bd_st_tensor two[2] = {
        {.name = "a", .dtype = BD_F32, .rank = 1, .dim = {2}, .data = x, .bytes = 8}};
    two[1] = two[0];
    assert_int_equal(bd_safetensors_save(DIR_ "/a", two, 2, NULL, 0), BD_E_FORMAT);
    two[1].name = "\xff";
    assert_int_equal(bd_safetensors_save(DIR_ "/a", two, 2, NULL, 0), BD_E_FORMAT);
    two[1].name = "b";
    two[1].dim[0] = 3;
    assert_int_equal(bd_safetensors_save(DIR_ "/a", two, 2, NULL, 0), BD_E_SHAPE);
    two[1].dim[0] = INT64_MAX;
    assert_int_equal(bd_safetensors_save(DIR_ "/a", two, 2, NULL, 0), BD_E_SHAPE);
    static const char *const meta[][2] = {{"k", "1"}, {"k", "2"}};
    assert_int_equal(bd_safetensors_save(DIR_ "/a", two, 1, meta, 2), BD_E_FORMAT);
    assert_false(bd_file_exists(DIR_ "/a"));
}

/* Writes header and n_data bytes of data, expects a refusal that names the path and holds `reason`. */
static void refused(const char *header, size_t n_data, const char *reason) {
    unsigned char file[4096] = {0};
    size_t n = strlen(header);
    file[0] = (unsigned char)n;
    file[1] = (unsigned char)(n >> 8);
    assert_true(8 + n + n_data <= sizeof file);
    for (size_t i = 0; i < n; i++) file[8 + i] = (unsigned char)header[i];
    mutate_write(DIR_ "/bad", file, 8 + n + n_data);
    bd_tensors *s;
    bd_status st = bd_safetensors_load(&s, DIR_ "/bad");
    if (!reason) {
        assert_int_equal(st, BD_OK);
        bd_tensors_destroy(s);
        return;
    }
    if (st != BD_E_FORMAT || !strstr(bd_error(), reason) || !strstr(bd_error(), DIR_ "/bad"))
        fail_msg("%s: status %d, \"%s\", expected \"%s\"", header, st, st ? bd_error() : "",
                 reason);
}

#define T(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void each_rule_is_kept(void **state) {
    (void)state;
    refused("{\"a\":" T("F32", "[2]", "[0,8]") "}", 8, NULL);
    refused("{\"a\":" T("F32", "[2]", "[0,8]") "}   ", 8, NULL); /* padding */
    refused("{\"b\":" T("U8", "[2]", "[1,3]") ",\"a\":" T("U8", "[1]", "[0,1]") "}", 3,
            NULL); /* any order */
    refused("{\"\\u00e9\\ud83d\\ude00\":" T("U8", "[0]", "[0,0]") "}", 0, NULL);
    refused("{\"a\":" T("F32", "[2]", "[0,8]") "}", 7, "truncated");
    refused("{\"a\":" T("F32", "[2]", "[0,8]") "}", 9, "1 bytes after the last tensor");
    refused("{\"a\":" T("F32", "[3]", "[0,8]") "}", 8, "need 12 bytes, data_offsets give 8");
    refused("{\"a\":" T("U8", "[1]", "[1,2]") "}", 2, "leaves a hole or overlaps");
    refused("{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3,
            "leaves a hole or overlaps");
    refused("{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2,
            "is there twice");
    refused("{\"a\":" T("U8", "[1]", "[0,1]") ",\"\\u0061\":" T("U8", "[1]", "[1,2]") "}", 2,
            "is there twice");
    refused("{\"a\":" T("F32", "[4611686018427387904,4]", "[0,0]") "}", 0, "overflows");
    refused("{\"a\":" T("F32", "[9223372036854775808]", "[0,0]") "}", 0, "integer too large");
    refused("{\"a\":" T("U8", "[9223372036854775807]", "[0,9223372036854775807]") "}", 0,
            "truncated");
    refused("{\"a\":" T("U8", "[-1]", "[0,1]") "}", 1, "integer >= 0 expected");
    refused("{\"a\":" T("U8", "[01]", "[0,1]") "}", 1, "leading zero");
    refused("{\"a\":" T("U8", "[1.0]", "[0,1]") "}", 1, "']' expected");
    refused("{\"a\":" T("U8", "[1]", "[1,0]") "}", 1, "must be [begin, end]");
    refused("{\"a\":" T("U8", "[1]", "[0]") "}", 1, "must be [begin, end]");
    refused("{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "more than 8 dimensions");
    refused("{\"a\":" T("C64", "[1]", "[0,8]") "}", 8, "\"C64\" is none of");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "without dtype, shape or data_offsets");
    refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1, "given twice");
    refused("{\"a\":{\"type\":\"U8\"}}", 1, "unknown key");
    refused("{\"a\":[1]}", 1, "'{' expected");
    refused("{\"__metadata__\":{\"a\":1}}", 0, "'\"' expected");
    refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "is there twice");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "given twice");
    refused("{\"__metadata__\":{}}", 0, NULL);
    refused("{\"a\\u0000b\":" T("U8", "[1]", "[0,1]") "}", 1, "NUL");
    refused("{\"\\ud800\":" T("U8", "[1]", "[0,1]") "}", 1, "surrogate");
    refused("{\"\xff\":" T("U8", "[1]", "[0,1]") "}", 1, "not UTF-8");
    refused("{\"\xc0\x80\":" T("U8", "[1]", "[0,1]") "}", 1, "not UTF-8");
    refused("{\"a\nb\":" T("U8", "[1]", "[0,1]") "}", 1, "control character");
    refused("{\"a\\x\":" T("U8", "[1]", "[0,1]") "}", 1, "unknown escape");
    refused("{\"a", 0, "does not end");
    refused("{\"a\\", 0, "does not end");
    refused(" {}", 0, "must begin with '{'");
    refused("{},", 0, "text after the end");
    refused("{} {}", 0, "text after the end");
    refused("", 0, "must begin with '{'");
}

static void forged_sizes_allocate_nothing(void **state) {
    (void)state;
    bd_tensors *s;
    static const unsigned char huge[2][8] = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
                                             {0x00, 0xe1, 0xf5, 0x05, 0, 0, 0, 0}};
    mutate_write(DIR_ "/bad", huge[0], 8);
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/bad"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "is this a safetensors file?"));
    mutate_write(DIR_ "/bad", huge[1], 8); /* the largest header allowed, not there */
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/bad"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "truncated inside the header"));
    mutate_write(DIR_ "/bad", huge[0], 3);
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/bad"), BD_E_FORMAT);
    assert_int_equal(bd_safetensors_load(&s, DIR_ "/none"), BD_E_MISSING);
    assert_int_equal(bd_safetensors_load(&s, DIR_), BD_E_FORMAT);
    assert_null(s);
}

/* Touches all that was promised. */
static bd_status load_and_look(const char *path) {
    bd_tensors *s;
    bd_status st = bd_safetensors_load(&s, path);
    if (st) {
        assert_null(s);
        return st;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < bd_tensors_count(s); i++) {
        const bd_st_tensor *t = bd_tensors_at(s, i);
        size_t bytes = bd_dtype_size(t->dtype);
        for (int d = 0; d < t->rank; d++) bytes *= (size_t)t->dim[d];
        assert_int_equal(bytes, t->bytes);
        for (size_t b = 0; b < t->bytes; b++) sum += ((const unsigned char *)t->data)[b];
        assert_ptr_equal(bd_tensors_find(s, t->name), t);
    }
    assert_true(sum < 1u << 20);
    bd_tensors_destroy(s);
    return BD_OK;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    mutate_case c = {.path = DIR_ "/m", .refusal = BD_E_FORMAT, .load = load_and_look};
    void *data;
    assert_int_equal(bd_file_read(&data, &c.n, golden, 0), BD_OK);
    c.good = data;
    mutate_truncate(&c, 0);
    size_t noticed = mutate_flip(&c);
    assert_true(noticed >
                8 * c.n /
                    2); /* most bits are structure; data, names and metadata may change freely */
    mutate_random(&c, 20000);
    free(data);
}

static void a_failed_save_keeps_the_old_file(void **state) {
    (void)state;
    static const float old_x[1] = {1}, new_x[2] = {2, 3};
    const bd_st_tensor before = {
        .name = "a", .dtype = BD_F32, .rank = 1, .dim = {1}, .data = old_x, .bytes = 4};
    const bd_st_tensor after = {
        .name = "a", .dtype = BD_F32, .rank = 1, .dim = {2}, .data = new_x, .bytes = 8};
    static const fault_kind kinds[] = {FAULT_OPEN,  FAULT_WRITE,  FAULT_FSYNC,
                                       FAULT_CLOSE, FAULT_RENAME, FAULT_FALLOCATE};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(bd_safetensors_save(DIR_ "/f", &before, 1, NULL, 0), BD_OK);
        fault_arm(kinds[i], 1, false, ENOSPC);
        assert_int_equal(bd_safetensors_save(DIR_ "/f", &after, 1, NULL, 0), BD_E_IO);
        assert_int_equal(fault_disarm(), 1);
        bd_tensors *s;
        assert_int_equal(bd_safetensors_load(&s, DIR_ "/f"), BD_OK);
        assert_int_equal(bd_tensors_find(s, "a")->dim[0], 1);
        bd_tensors_destroy(s);
    }
    bd_tensors *s;
    for (int k = 1; k <= 3; k++) {
        fault_arm(FAULT_READ, k, false, EIO);
        assert_int_equal(bd_safetensors_load(&s, DIR_ "/f"), BD_E_IO);
        assert_int_equal(fault_disarm(), 1);
        assert_null(s);
    }
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(the_reference_file_loads),
        TEST(a_round_trip_keeps_everything),
        TEST(what_could_not_be_read_is_not_written),
        TEST(each_rule_is_kept),
        TEST(forged_sizes_allocate_nothing),
        TEST(damaged_files_are_refused),
        TEST(a_failed_save_keeps_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
