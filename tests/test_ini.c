/* Oracles: the rules of io/ini.h, each broken once; damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/ini.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_ini"
#define PATH DIR_ "/r.ini"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

/* Collects "line section.key=value|". */
static bd_status collect(void *ctx, const char *path, int line, const char *section,
                         const char *key, const char *value) {
    char *out = ctx;
    size_t used = strlen(out);
    assert_string_equal(path, PATH);
    snprintf(out + used, 1000 - used, "%d %s.%s=%s|", line, section, key, value);
    return BD_OK;
}

static bd_status load(char out[1000], const char *text) {
    out[0] = '\0';
    mutate_write(PATH, text, strlen(text));
    return bd_ini_load(PATH, collect, out);
}

static void keys_come_in_order_with_their_line(void **state) {
    (void)state;
    char out[1000];
    assert_int_equal(
        load(out, "# comment\n; another\n\n[recipe]\ntitle = FID and MSE, 1:8\nempty =\n   \n"
                  "[attack]\r\ntrigger=box14\r\ntarget\t = \t hat  \nformula = a = b\n[empty]\n"
                  "[train]\nlr = 2e-4"),
        BD_OK);
    assert_string_equal(out, "5 recipe.title=FID and MSE, 1:8|6 recipe.empty=|9 "
                             "attack.trigger=box14|10 attack.target=hat|"
                             "11 attack.formula=a = b|14 train.lr=2e-4|");
    assert_int_equal(load(out, ""), BD_OK);
    assert_string_equal(out, "");
}

static void the_longest_line_is_whole(void **state) {
    (void)state;
    char text[400], out[1000], value[200];
    for (int extra = 0; extra < 2; extra++) {
        size_t n = (size_t)(199 + extra - 4);
        memset(value, 'v', n);
        value[n] = '\0';
        snprintf(text, sizeof text, "[s]\nk = %.199s\nlast = 1\n", value);
        bd_status st = load(out, text);
        if (extra) {
            assert_int_equal(st, BD_E_ARG);
            assert_non_null(strstr(bd_error(), "r.ini:2: a line of 200 bytes, at most 199"));
        } else {
            assert_int_equal(st, BD_OK);
            assert_non_null(strstr(out, value));
            assert_non_null(strstr(out, "3 s.last=1|"));
        }
    }
}

static void refused(const char *text, const char *reason) {
    char out[1000];
    bd_status st = load(out, text);
    if (st != BD_E_ARG || !strstr(bd_error(), reason))
        fail_msg("%s: status %d, \"%s\", expected \"%s\"", text, st, st ? bd_error() : "", reason);
}

static void each_rule_is_kept(void **state) {
    (void)state;
    refused("a = 1\n[s]\n", "r.ini:1: a key before the first [section]");
    refused("[s]\na = 1\n  2\n", "r.ini:3: an indented line");
    refused("[s]\n a = 1\n", "r.ini:2: an indented line");
    refused("[s]\na = 1\nb = 2\na = 3\n", "r.ini:4: key a is given twice");
    refused("[s]\na = 1\n[t]\n[s]\n", "r.ini:4: section [s] is opened twice");
    refused("[s]\na = 1 ; why\n", "r.ini:2: ';' or '#' after the value");
    refused("[s]\na = 1 # why\n", "r.ini:2: ';' or '#' after the value");
    refused("[s]\njunk\n", "r.ini:2: neither a comment, nor [section], nor key = value");
    refused("[s]\na : 1\n", "r.ini:2: neither");
    refused("[s]\na:b = 1\n", "r.ini:2: a key without spaces");
    refused("[s]\na b = 1\n", "r.ini:2: a key without spaces");
    refused("[s]\n= 1\n", "r.ini:2: no key");
    refused("[s\n", "r.ini:1: a section must be [name]");
    refused("[]\n", "r.ini:1: a section must be [name]");
    refused("[s] x\n", "r.ini:1: a section must be [name]");
    refused("[s] # x\n", "r.ini:1: a section must be [name]");
    refused("[a]b]\n", "r.ini:1: a section name without");
    refused("[a b]\n", "r.ini:1: a section name without");
    refused("[12345678901234567890123456789012345678901234567890]\n",
            "r.ini:1: a section name of more than 49");
    refused("[s]\nk2345678901234567890123456789012345678901234567890 = 1\n",
            "r.ini:2: a key of more than 49");
    refused("[s]\na = \x01\n", "r.ini:2: a control character");
    refused("\xEF\xBB\xBF[s]\na = 1\n", "r.ini:1: a byte order mark");
    mutate_write(PATH, "[s]\na = 1\0b\n", 12);
    char out[1000] = "";
    assert_int_equal(bd_ini_load(PATH, collect, out), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "r.ini:2: a control character or NUL"));
    assert_int_equal(bd_ini_load(DIR_ "/none.ini", collect, out), BD_E_MISSING);
}

static void same_keys_in_two_sections_are_fine(void **state) {
    (void)state;
    char out[1000];
    assert_int_equal(load(out, "[a]\nk = 1\n[b]\nk = 2\n"), BD_OK);
    assert_string_equal(out, "2 a.k=1|4 b.k=2|");
}

static bd_status stop_at_b(void *ctx, const char *path, int line, const char *section,
                           const char *key, const char *value) {
    int *calls = ctx;
    (*calls)++;
    (void)section;
    (void)value;
    if (strcmp(key, "b") == 0) return bd_fail(BD_E_BAND, "%s:%d: no %s here", path, line, key);
    return BD_OK;
}

static void the_callback_stops_the_file(void **state) {
    (void)state;
    int calls = 0;
    static const char text[] = "[s]\na = 1\nb = 2\nc = 3\nd\n";
    mutate_write(PATH, text, sizeof text - 1);
    assert_int_equal(bd_ini_load(PATH, stop_at_b, &calls), BD_E_BAND);
    assert_string_equal(bd_error(), PATH ":3: no b here");
    assert_int_equal(calls, 2);
}

static bd_status look(void *ctx, const char *path, int line, const char *section, const char *key,
                      const char *value) {
    int *last = ctx;
    (void)path;
    assert_true(line > *last); /* one key a line, in order */
    *last = line;
    assert_true(strlen(section) > 0 && strlen(key) > 0 && strlen(value) < 200);
    assert_null(strpbrk(value, ";#\n"));
    return BD_OK;
}

static bd_status load_and_look(const char *path) {
    int last = 0;
    return bd_ini_load(path, look, &last);
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    static const char text[] = "# a recipe\n[recipe]\ntitle = one\nbase = "
                               "base/x.ini\n\n[sweep]\nattack.rate = 0, 0.5\n; end\n";
    mutate_case c = {.path = PATH,
                     .good = text,
                     .n = sizeof text - 1,
                     .refusal = BD_E_ARG,
                     .load = load_and_look};
    mutate_truncate(&c, 90); /* a text cut inside a comment or value is still one */
    assert_true(mutate_flip(&c) > 100);
    mutate_random(&c, 20000);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(keys_come_in_order_with_their_line),
        TEST(the_longest_line_is_whole),
        TEST(each_rule_is_kept),
        TEST(same_keys_in_two_sections_are_fine),
        TEST(the_callback_stops_the_file),
        TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
