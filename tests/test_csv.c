/* Oracles: RFC 4180 examples; round trips; strtod; damaged files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "io/csv.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_csv"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static bd_status load(bd_csv **c, const char *text) {
    mutate_write(DIR_ "/t.csv", text, strlen(text));
    return bd_csv_load(c, DIR_ "/t.csv");
}

static void a_table_loads(void **state) {
    (void)state;
    bd_csv *c;
    assert_int_equal(load(&c, "# made by a test\n#second, comment\n"
                              "rate,\"mse, mean\",note\r\n"
                              "0.1, 2e-3 ,\"a \"\"quoted\"\"\nword\"\n"
                              "\n"
                              "0.2,,#no comment"),
                     BD_OK);
    assert_int_equal(bd_csv_rows(c), 2);
    assert_int_equal(bd_csv_cols(c), 3);
    assert_string_equal(bd_csv_header(c, 1), "mse, mean");
    assert_int_equal(bd_csv_find(c, "note"), 2);
    assert_int_equal(bd_csv_find(c, "nope"), -1);
    assert_string_equal(bd_csv_get(c, 0, 1), " 2e-3 ");
    assert_string_equal(bd_csv_get(c, 0, 2), "a \"quoted\"\nword");
    assert_string_equal(bd_csv_get(c, 1, 0), "0.2");
    assert_string_equal(bd_csv_get(c, 1, 1), "");
    assert_string_equal(bd_csv_get(c, 1, 2), "#no comment");
    assert_null(bd_csv_get(c, 2, 0));
    assert_null(bd_csv_get(c, 0, 3));
    assert_null(bd_csv_header(c, 3));
    bd_csv_destroy(c);
    bd_csv_destroy(NULL);
}

static void refused(const char *text, const char *reason) {
    bd_csv *c;
    bd_status st = load(&c, text);
    if (st != BD_E_FORMAT || !strstr(bd_error(), reason))
        fail_msg("%s: status %d, \"%s\", expected \"%s\"", text, st, st ? bd_error() : "", reason);
    assert_null(c);
}

static void wrong_tables_name_the_line(void **state) {
    (void)state;
    refused("", "t.csv:0: no header line");
    refused("# only\n# comments\n", "t.csv:2: no header line");
    refused("a,b\n1,2\n3\n", "t.csv:3: 1 fields, the header has 2");
    refused("# c\na,b\n\n1,2,3\n", "t.csv:4: 3 fields, the header has 2");
    refused("a,b\n\"1\n\n\",2\n3\n", "t.csv:5: 1 fields"); /* a quoted line break counts */
    refused("a,b\n1,\"2\n3,4\n", "t.csv:2: a quote");
    refused("a,b\n1,2\"\n", "t.csv:2: a quote");
    refused("a,b\n1,\"2\"x\n", "t.csv:2: a quote");
    refused("a,b,a\n1,2,3\n", "column \"a\" is there twice");
    mutate_write(DIR_ "/t.csv", "a,b\n1,\0\n", 8);
    bd_csv *c;
    assert_int_equal(bd_csv_load(&c, DIR_ "/t.csv"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "t.csv:2: NUL byte"));
    assert_int_equal(bd_csv_load(&c, DIR_ "/none.csv"), BD_E_MISSING);
}

static void fields_survive_the_round_trip(void **state) {
    (void)state;
    static const char *const fields[] = {
        "",        "plain", "with,comma", "with \"quotes\"",    "two\nlines", "\r", "#one",
        " space ", "\"",    "\"\"",       "gr\xc3\xbc\xc3\x9f", "#"};
    enum { N = sizeof fields / sizeof *fields };
    for (size_t cols = 1; cols <= 3; cols++) {
        bd_writer *w;
        bd_csv *c;
        assert_int_equal(bd_writer_create(&w, DIR_ "/r.csv"), BD_OK);
        assert_int_equal(bd_writer_printf(w, "%s",
                                          cols == 1   ? "a\n"
                                          : cols == 2 ? "a,b\n"
                                                      : "a,b,c\n"),
                         BD_OK);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(bd_csv_field(w, i % cols ? "," : "", fields[i]), BD_OK);
            if (i % cols == cols - 1) assert_int_equal(bd_writer_printf(w, "\n"), BD_OK);
        }
        assert_int_equal(bd_writer_commit(w), BD_OK);
        assert_int_equal(bd_csv_load(&c, DIR_ "/r.csv"), BD_OK);
        assert_int_equal(bd_csv_rows(c), N / cols);
        for (size_t i = 0; i < N / cols * cols; i++)
            assert_string_equal(bd_csv_get(c, i / cols, i % cols), fields[i]);
        bd_csv_destroy(c);
    }
}

static void doubles_are_short_and_exact(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } table[] = {{0.1, "0.1"},
                 {1e-5, "1e-05"},
                 {0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {NAN, "nan"},
                 {-NAN, "nan"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {1.0 / 3, "0.3333333333333333"},
                 {100, "100"},
                 {-1e15, "-1e+15"},
                 {5e-324, "5e-324"},
                 {123456, "123456"},
                 {0.1 + 0.2, "0.30000000000000004"}};
    char text[32];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bd_format_double(text, table[i].v);
        assert_string_equal(text, table[i].text);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t words[2];
        double v, back;
        bd_rng_bits(words, 2, (bd_rng_key){.index = i}, 0);
        memcpy(&v, words, sizeof v);
        if (isnan(v)) continue;
        bd_format_double(text, v);
        back = strtod(text, NULL);
        assert_memory_equal(&v, &back, sizeof v);
    }
}

static bd_status load_and_look(const char *path) {
    bd_csv *c;
    bd_status st = bd_csv_load(&c, path);
    if (st) {
        assert_null(c);
        return st;
    }
    size_t total = 0;
    for (size_t r = 0; r < bd_csv_rows(c); r++)
        for (size_t k = 0; k < bd_csv_cols(c); k++) total += strlen(bd_csv_get(c, r, k));
    assert_true(total < 1000);
    bd_csv_destroy(c);
    return BD_OK;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    static const char text[] =
        "# comment\nstep,loss,\"note, long\"\n1,0.5,\"x\"\"y\"\n2,0.25,\"two\nlines\"\n3,1e-3,\n";
    mutate_case c = {.path = DIR_ "/m.csv",
                     .good = text,
                     .n = sizeof text - 1,
                     .refusal = BD_E_FORMAT,
                     .load = load_and_look};
    mutate_truncate(&c,
                    40); /* a text cut at a line's end, or inside a row's last field, is a table */
    assert_true(mutate_flip(&c) > 50);
    mutate_random(&c, 10000);
}

/* One byte of the file becomes five here at the worst: the limit on the file bounds the memory. */
static void memory_is_bounded(void **state) {
    (void)state;
    size_t n = (size_t)12 << 20;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, '\n', n + 1);
    for (size_t i = 0; i < n; i += 2) text[i] = ',';
    text[0] = 'a';
    text[1] = ',';
    text[2] = 'b';
    text[3] = '\n';
    mutate_write(DIR_ "/big.csv", text, n);
    bd_csv *c;
    assert_int_equal(bd_csv_load(&c, DIR_ "/big.csv"), BD_OK);
    assert_int_equal(bd_csv_rows(c), n / 2 - 2);
    bd_csv_destroy(c);
    mutate_write(DIR_ "/big.csv", text, n + 1);
    assert_int_equal(bd_csv_load(&c, DIR_ "/big.csv"), BD_E_FORMAT);
    free(text);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mutate_limit_memory();
    const struct CMUnitTest tests[] = {
        TEST(a_table_loads),
        TEST(wrong_tables_name_the_line),
        TEST(fields_survive_the_round_trip),
        TEST(doubles_are_short_and_exact),
        TEST(damaged_files_are_refused),
        TEST(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
