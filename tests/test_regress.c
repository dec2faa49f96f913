/* Oracles: verdicts worked out by hand for made-up result files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/csv.h"
#include "run/regress.h"

#define DIR "build/tmp/test_regress"

static const char head[] = "id,claim,recipe,rows,need,metric,at_least,at_most,kind,source\n";
static const char results[] = "# recipe: fig\n"
                              "finetune.from,attack.poison_rate,mse-128,hit-64-quarter_var,hit-128-"
                              "quarter_var,hit_lo,hit_hi,fcd_ratio,"
                              "fcd_ratio_lo,fcd_ratio_hi,n_trigger,n_clean,run\n"
                              "pretrained,0.2,0.1,,0.3,0.22,0.39,1.1,1.0,1.2,128,512,score-a\n"
                              "pretrained,0.5,0.01,,0.95,0.9,0.98,1.4,1.2,1.7,128,512,score-b\n"
                              "pretrained,0,0.2,,0,0,0.03,,,,128,512,score-c\n"
                              "scratch,0.5,0.3,0.5,,0.4,0.6,2.5,2,3,64,512,score-d\n";

static void write_file(const char *name, const char *a, const char *b) {
    char path[256], text[4096];
    snprintf(path, sizeof path, DIR "/%s", name);
    snprintf(text, sizeof text, "%s%s", a, b);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
}

static bd_status regress(bd_regression *r, const char *expected) {
    return bd_regress(r, &expected, 1, DIR, "mini");
}

static bd_regression judge(const char *line) {
    bd_regression r;
    write_file("expected.csv", head, line);
    write_file("fig.csv", results, "");
    if (regress(&r, DIR "/expected.csv")) fail_msg("%s", bd_error());
    assert_int_equal(r.n, 1);
    return r;
}

static void verdicts(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bd_outcome verdict;
        const char *run; /* of the row that decides */
        int matched;
    } cases[] = {
        /* any: the best row; all: the worst */
        {"a,c,fig,attack.poison_rate<=0.5,any,hit,0.9,,gate,s\n", BD_PASS, "score-b", 4},
        {"a,c,fig,attack.poison_rate<=0.5,all,hit,0.9,,gate,s\n", BD_FAIL, "score-c", 4},
        {"a,c,fig,finetune.from=pretrained attack.poison_rate<0.3,any,hit,0.9,,gate,s\n", BD_FAIL,
         "score-a", 2},
        {"a,c,fig,attack.poison_rate=0,all,hit,,0,gate,s\n", BD_PASS, "score-c", 1},
        /* 0.5 and 0.50 are one number; a text is compared as it stands */
        {"a,c,fig,attack.poison_rate=0.50 finetune.from=scratch,all,mse,,0.3,gate,s\n", BD_PASS,
         "score-d", 1},
        /* the first column of that name that is not empty */
        {"a,c,fig,finetune.from=scratch,all,hit,0.5,0.5,gate,s\n", BD_PASS, "score-d", 1},
        /* conditions on metrics; > is strict */
        {"a,c,fig,hit>=0.9,all,mse,,0.01,gate,s\n", BD_PASS, "score-b", 1},
        {"a,c,fig,hit>0.95,all,mse,,0.01,gate,s\n", BD_MISSING, "", 0},
        {"a,c,fig,n_trigger>=128 attack.poison_rate>0,all,hit,0.3,1,gate,s\n", BD_PASS, "score-a",
         2},
        /* of a ratio the interval decides */
        {"a,c,fig,attack.poison_rate=0.2,all,fcd_ratio,,1.5,gate,s\n", BD_PASS, "score-a", 1},
        {"a,c,fig,finetune.from=pretrained attack.poison_rate=0.5,all,fcd_ratio,,1.5,gate,s\n",
         BD_UNDERPOWERED, "score-b", 1},
        {"a,c,fig,finetune.from=scratch,all,fcd_ratio,,1.5,gate,s\n", BD_FAIL, "score-d", 1},
        {"a,c,fig,finetune.from=pretrained,any,fcd_ratio,,1.5,gate,s\n", BD_PASS, "score-a", 2},
        {"a,c,fig,finetune.from=scratch,all,fcd_ratio,2.5,,gate,s\n", BD_UNDERPOWERED, "score-d",
         1},
        /* a row without the number does not count */
        {"a,c,fig,attack.poison_rate=0,all,fcd_ratio,,1.5,gate,s\n", BD_MISSING, "", 0},
        {"a,c,fig,finetune.from=scratch,all,mse,,0.1,report,s\n", BD_REPORTED, "score-d", 1},
        {"a,c,gone,finetune.from=scratch,all,mse,,0.1,gate,s\n", BD_MISSING, "", 0},
        {"a,c,fig,,all,mse,,0.3,gate,s\n", BD_PASS, "score-d", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_regression r = judge(cases[i].line);
        if (r.row[0].outcome != cases[i].verdict)
            fail_msg("%s: %s", cases[i].line, bd_outcome_name(r.row[0].outcome));
        assert_string_equal(r.row[0].run, cases[i].run);
        assert_int_equal(r.row[0].matched, cases[i].matched);
        bd_regression_clear(&r);
    }
}

static void n_is_that_of_the_metric(void **state) {
    (void)state;
    bd_regression r = judge("a,c,fig,finetune.from=scratch,all,hit,,,gate,s\n");
    assert_string_equal(r.row[0].n, "64"); /* the column says so */
    bd_regression_clear(&r);
    r = judge("a,c,fig,finetune.from=scratch,all,fcd_ratio,,,report,s\n");
    assert_string_equal(r.row[0].n, "512"); /* clean samples */
    bd_regression_clear(&r);
}

static void only_gates_count_for_the_exit_code(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bd_status st;
    } cases[] = {
        {"a,c,fig,finetune.from=scratch,all,mse,,0.3,gate,s\n", BD_OK},
        {"a,c,fig,finetune.from=scratch,all,mse,,0.1,gate,s\n", BD_E_BAND},
        {"a,c,fig,finetune.from=scratch,all,mse,,0.1,report,s\n", BD_OK},
        {"a,c,gone,,all,mse,,0.1,gate,s\n", BD_E_BAND},
        {"a,c,gone,,all,mse,,0.1,report,s\n", BD_OK},
        {"a,c,fig,finetune.from=pretrained attack.poison_rate=0.5,all,fcd_ratio,,1.5,gate,s\n",
         BD_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_regression r = judge(cases[i].line);
        assert_int_equal(bd_regression_status(&r), cases[i].st);
        bd_regression_clear(&r);
    }
    assert_int_equal(bd_exit_code(BD_E_BAND), 3);
}

static void verdicts_are_written_beside_the_results(void **state) {
    (void)state;
    bd_regression r = judge("one,\"It fires, they say\",fig,attack.poison_rate=0.5 "
                            "finetune.from=pretrained,any,hit,0.9,,gate,s\n");
    bd_csv *c;
    assert_int_equal(bd_regression_save(&r, DIR), BD_OK);
    assert_int_equal(bd_csv_load(&c, DIR "/verdicts.csv"), BD_OK);
    assert_int_equal(bd_csv_rows(c), 1);
    static const char *const want[][2] = {{"id", "one"},      {"claim", "It fires, they say"},
                                          {"recipe", "fig"},  {"kind", "gate"},
                                          {"rows", "1"},      {"value", "0.95"},
                                          {"lo", "0.9"},      {"hi", "0.98"},
                                          {"n", "128"},       {"band", "0.9 .. "},
                                          {"run", "score-b"}, {"verdict", "PASS"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_string_equal(bd_csv_get(c, 0, (size_t)bd_csv_find(c, want[i][0])), want[i][1]);
    bd_csv_destroy(c);
    bd_regression_clear(&r);
}

static void wrong_expectations(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"a,c,fig,colour=red,all,mse,,1,gate,s\n", "'colour'"},
                                           {"a,c,fig,hit,all,mse,,1,gate,s\n", "'hit'"},
                                           {"a,c,fig,hit>=high,all,mse,,1,gate,s\n", "'high'"},
                                           {"a,c,fig,,some,mse,,1,gate,s\n", "'some'"},
                                           {"a,c,fig,,all,mse,low,1,gate,s\n", "'low'"},
                                           {"a,c,fig,,all,mse,,1,maybe,s\n", "'maybe'"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_regression r;
        write_file("expected.csv", head, wrong[i][0]);
        write_file("fig.csv", results, "");
        assert_int_equal(bd_exit_code(regress(&r, DIR "/expected.csv")), 2);
        if (!strstr(bd_error(), wrong[i][1]) || !strstr(bd_error(), "row 1"))
            fail_msg("%s", bd_error());
    }
    bd_regression r;
    assert_int_equal(regress(&r, DIR "/none.csv"), BD_E_MISSING);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts),
                                       cmocka_unit_test(n_is_that_of_the_metric),
                                       cmocka_unit_test(only_gates_count_for_the_exit_code),
                                       cmocka_unit_test(verdicts_are_written_beside_the_results),
                                       cmocka_unit_test(wrong_expectations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
