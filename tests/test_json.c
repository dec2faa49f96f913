/* Oracles: the contract in io/json.h; round trips; damaged files. */
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
#include "io/json.h"
#include "mutate.h"

#include <errno.h>

#define DIR_ "build/tmp/test_json"
#define PATH DIR_ "/t.json"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static bd_status load(bd_json *j, const char *text) {
    mutate_write(PATH, text, strlen(text));
    return bd_json_load(j, PATH, 0);
}

static void values_are_read_by_type(void **state) {
    (void)state;
    bd_json j, sub, list, item;
    int64_t i;
    double d;
    bool b;
    const char *s;
    size_t n;
    assert_int_equal(
        load(&j, "{\"n\": 5, \"x\": 0.25, \"yes\": true, \"name\": \"UNet\", \"none\": null,"
                 " \"sub\": {\"list\": [1, 2.5, \"c\", [4]]}}"),
        BD_OK);
    assert_int_equal(bd_json_get_int(&i, &j, "n", 1, 5), BD_OK);
    assert_int_equal(i, 5);
    assert_int_equal(bd_json_get_double(&d, &j, "n"), BD_OK);
    assert_true(d == 5.0);
    assert_int_equal(bd_json_get_double(&d, &j, "x"), BD_OK);
    assert_true(d == 0.25);
    assert_int_equal(bd_json_get_bool(&b, &j, "yes"), BD_OK);
    assert_true(b);
    assert_int_equal(bd_json_get_string(&s, &j, "name"), BD_OK);
    assert_string_equal(s, "UNet");
    assert_true(bd_json_has(&j, "sub"));
    assert_false(bd_json_has(&j, "none"));
    assert_false(bd_json_has(&j, "nope"));
    assert_int_equal(bd_json_get_object(&sub, &j, "sub"), BD_OK);
    assert_int_equal(bd_json_get_array(&list, &n, &sub, "list"), BD_OK);
    assert_int_equal(n, 4);
    assert_int_equal(bd_json_item_int(&i, &list, 0, 0, 9), BD_OK);
    assert_int_equal(i, 1);
    assert_int_equal(bd_json_item_double(&d, &list, 1), BD_OK);
    assert_true(d == 2.5);
    assert_int_equal(bd_json_item_string(&s, &list, 2), BD_OK);
    assert_string_equal(s, "c");
    assert_int_equal(bd_json_item(&item, &list, 3), BD_OK);
    assert_int_equal(bd_json_item_int(&i, &item, 0, 0, 9), BD_OK);
    assert_int_equal(i, 4);
    bd_json_destroy(&j);
    bd_json_destroy(&j);
}

static void errors_name_file_and_place(void **state) {
    (void)state;
    bd_json j, sub, list;
    int64_t i;
    double d;
    bool b;
    const char *s;
    size_t n;
    assert_int_equal(load(&j, "{\"sub\": {\"list\": [1, 2.5], \"t\": \"x\"}, \"n\": 7}"), BD_OK);
    assert_int_equal(bd_json_get_object(&sub, &j, "sub"), BD_OK);
    assert_int_equal(bd_json_get_array(&list, &n, &sub, "list"), BD_OK);
    assert_int_equal(bd_json_item_int(&i, &list, 1, 0, 9), BD_E_FORMAT);
    assert_string_equal(bd_error(), PATH ": sub.list[1]: an integer expected, a real number found");
    assert_int_equal(bd_json_item_int(&i, &list, 2, 0, 9), BD_E_FORMAT);
    assert_string_equal(bd_error(), PATH ": sub.list[2]: an integer expected, nothing found");
    assert_int_equal(bd_json_get_int(&i, &j, "n", 0, 6), BD_E_FORMAT);
    assert_string_equal(bd_error(), PATH ": n: 7 is outside 0..6");
    assert_int_equal(bd_json_get_string(&s, &j, "nope"), BD_E_FORMAT);
    assert_string_equal(bd_error(), PATH ": nope: a string expected, nothing found");
    assert_int_equal(bd_json_get_double(&d, &sub, "t"), BD_E_FORMAT);
    assert_int_equal(bd_json_get_bool(&b, &sub, "t"), BD_E_FORMAT);
    assert_int_equal(bd_json_get_object(&sub, &j, "n"), BD_E_FORMAT);
    assert_int_equal(bd_json_get_array(&list, &n, &j, "n"), BD_E_FORMAT);
    assert_int_equal(bd_json_item_double(&d, &j, 0), BD_E_FORMAT); /* not an array */
    bd_json_destroy(&j);
}

static void wrong_documents_are_refused(void **state) {
    (void)state;
    bd_json j;
    static const char *const texts[] = {"",
                                        "{",
                                        "{\"a\": 1,}",
                                        "{\"a\": 1, \"a\": 2}",
                                        "{\"a\": NaN}",
                                        "{} x",
                                        "{'a': 1}",
                                        "{\"a\": \"\xff\"}",
                                        "{\"a\": 1e999}",
                                        "5",
                                        "{\"a\": 99999999999999999999}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (load(&j, texts[i]) != BD_E_FORMAT) fail_msg("%s: loaded", texts[i]);
        assert_memory_equal(bd_error(), PATH ":", strlen(PATH ":"));
        assert_null(j.node);
    }
    assert_int_equal(bd_json_load(&j, DIR_ "/none", 0), BD_E_MISSING);
    mutate_write(PATH, "{\"a\": 12345}", 12);
    assert_int_equal(bd_json_load(&j, PATH, 11), BD_E_FORMAT);
    assert_int_equal(bd_json_load(&j, PATH, 12), BD_OK);
    bd_json_destroy(&j);
}

static void saving_is_stable(void **state) {
    (void)state;
    json_t *root =
        json_pack("{s:i, s:f, s:f, s:[i,i,i], s:[{s:s}, []], s:{}, s:b, s:n, s:s}", "zeta", 7,
                  "beta_start", 1e-4, "one", 1.0, "channels", 16, 32, 64, "blocks", "k", "v",
                  "none", "yes", 1, "null", "quote", "a\"b\n\xc3\xa9");
    assert_non_null(root);
    assert_int_equal(bd_json_save(PATH, root), BD_OK);
    void *text;
    size_t n;
    assert_int_equal(bd_file_read(&text, &n, PATH, 0), BD_OK);
    assert_string_equal(text, "{\n"
                              "  \"beta_start\": 0.0001,\n"
                              "  \"blocks\": [\n"
                              "    {\n"
                              "      \"k\": \"v\"\n"
                              "    },\n"
                              "    []\n"
                              "  ],\n"
                              "  \"channels\": [16, 32, 64],\n"
                              "  \"none\": {},\n"
                              "  \"null\": null,\n"
                              "  \"one\": 1.0,\n"
                              "  \"quote\": \"a\\\"b\\n\xc3\xa9\",\n"
                              "  \"yes\": true,\n"
                              "  \"zeta\": 7\n"
                              "}\n");
    free(text);
    bd_json j;
    assert_int_equal(bd_json_load(&j, PATH, 0), BD_OK);
    assert_true(json_equal(j.node, root));
    bd_json_destroy(&j);
    fault_arm(FAULT_WRITE, 1, false, ENOSPC);
    assert_int_equal(bd_json_save(PATH, root), BD_E_IO);
    assert_int_equal(fault_disarm(), 1);
    assert_int_equal(bd_json_load(&j, PATH, 0), BD_OK);
    assert_true(json_equal(j.node, root));
    bd_json_destroy(&j);
    json_decref(root);
}

static void deep_documents_are_not_saved(void **state) {
    (void)state;
    json_t *v = json_array();
    for (int i = 0; i < 150; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, v);
        v = outer;
    }
    assert_int_equal(bd_json_save(PATH, v), BD_E_ARG);
    assert_false(bd_file_exists(PATH));
    json_decref(v);
}

static bd_status load_and_look(const char *path) {
    bd_json j;
    bd_status st = bd_json_load(&j, path, 0);
    if (st) {
        assert_null(j.node);
        return st;
    }
    int64_t i = 3;
    bd_status got = bd_json_get_int(&i, &j, "n", 0, 9);
    assert_true(got == BD_E_FORMAT || (got == BD_OK && i >= 0 && i <= 9));
    bd_json_destroy(&j);
    return BD_OK;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    static const char text[] =
        "{\"n\": 5, \"list\": [1, 2.5e-3, \"\\u00e9\", {\"k\": null}], \"t\": true}\n";
    mutate_case c = {.path = PATH,
                     .good = text,
                     .n = sizeof text - 1,
                     .refusal = BD_E_FORMAT,
                     .load = load_and_look};
    mutate_truncate(&c, 1); /* all but the last newline */
    assert_true(mutate_flip(&c) > 200);
    mutate_random(&c, 10000);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(values_are_read_by_type),      TEST(errors_name_file_and_place),
        TEST(wrong_documents_are_refused),  TEST(saving_is_stable),
        TEST(deep_documents_are_not_saved), TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
