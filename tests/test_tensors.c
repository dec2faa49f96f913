/* Oracles: what was written; the rule for "module." in front of all names, and a file where it is not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/safetensors.h"
#include "io/tensors.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_tensors"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static const float values[3] = {1, 2, 3};

static bd_tensors *saved(const char *path, const char *first, const char *second) {
    const bd_st_tensor t[] = {
        {.name = first, .rank = 1, .dim = {3}, .data = values, .bytes = sizeof values},
        {.name = second, .rank = 1, .dim = {1}, .data = values, .bytes = sizeof values[0]}};
    const char *const meta[][2] = {{"who", "me"}};
    bd_tensors *s = NULL;
    if (bd_safetensors_save(path, t, 2, meta, 1) || bd_tensors_load(&s, path))
        fail_msg("%s", bd_error());
    return s;
}

static void the_suffix_of_a_file_does_not_matter(void **state) {
    (void)state;
    bd_tensors *s = saved(DIR_ "/weights.bin", "b", "a");
    assert_string_equal(bd_tensors_format(s), "safetensors");
    assert_int_equal(bd_tensors_count(s), 2);
    assert_string_equal(bd_tensors_at(s, 0)->name, "b");
    assert_ptr_equal(bd_tensors_find(s, "b"), bd_tensors_at(s, 0));
    assert_memory_equal(bd_tensors_find(s, "b")->data, values, sizeof values);
    assert_null(bd_tensors_find(s, "c"));
    assert_string_equal(bd_tensors_meta(s, "who"), "me");
    bd_tensors_destroy(s);
}

static void module_is_dropped_when_all_names_have_it(void **state) {
    (void)state;
    bd_tensors *s = saved(DIR_ "/m.safetensors", "module.b", "module.a");
    assert_non_null(bd_tensors_find(s, "a"));
    assert_non_null(bd_tensors_find(s, "b"));
    assert_null(bd_tensors_find(s, "module.a"));
    bd_tensors_destroy(s);
    s = saved(DIR_ "/m.safetensors", "module.b", "a");
    assert_non_null(bd_tensors_find(s, "module.b"));
    assert_null(bd_tensors_find(s, "b"));
    bd_tensors_destroy(s);
}

/* A header of 640 bytes begins with the bytes of a pickle, one of 316 with a '<': neither is what it looks like. */
static void a_header_length_may_look_like_another_format(void **state) {
    (void)state;
    static const char json[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    static const size_t lengths[] = {640, 896, 316, 65536 + 640, 'P' + 256 * 'K'};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        unsigned char *file = malloc(8 + n + 4);
        assert_non_null(file);
        memset(file, ' ', 8 + n);
        for (int k = 0; k < 8; k++) file[k] = (unsigned char)((uint64_t)n >> 8 * k);
        memcpy(file + 8, json, sizeof json - 1);
        memcpy(file + 8 + n, values, 4);
        mutate_write(DIR_ "/header", file, 8 + n + 4);
        free(file);
        bd_tensors *s;
        if (bd_tensors_load(&s, DIR_ "/header")) fail_msg("%zu: %s", n, bd_error());
        assert_string_equal(bd_tensors_format(s), "safetensors");
        bd_tensors_destroy(s);
    }
}

/* Every bit pattern of a half against its definition: (1 or 0).fraction * 2^(exponent - 15). */
static void every_half_is_its_value(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t bits = (uint16_t)h;
        const bd_st_tensor t = {.dtype = BD_F16, .rank = 1, .dim = {1}, .data = &bits, .bytes = 2};
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        float got = bd_st_float(&t, 0);
        if (exponent == 31) {
            assert_true(fraction ? isnan(got) : isinf(got));
            continue;
        }
        double want = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (h & 0x8000) want = -want;
        if ((double)got != want) fail_msg("half 0x%04x: %g, expected %g", h, (double)got, want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_suffix_of_a_file_does_not_matter),
        cmocka_unit_test(a_header_length_may_look_like_another_format),
        cmocka_unit_test(module_is_dropped_when_all_names_have_it),
        cmocka_unit_test(every_half_is_its_value),
    };
    return cmocka_run_group_tests(tests, fresh, NULL);
}
