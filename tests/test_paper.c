/* Oracles: words worked out by hand for made-up result files of the paper's profile and another. */
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

#define DIR "build/tmp/test_paper"

static const char number_head[] =
    "id,claim,table,page,profile,recipe,rows,definition,metric,value,runs,sure,scale,effect,kind,"
    "frozen,source\n";
static const char claim_head[] =
    "id,claim,table,page,profile,recipe,rows_a,rows_b,by,pair,requires,relation,analogue,settings,"
    "kind,source\n";
static const char results[] =
    "# recipe: fig\n# profile: paper\n"
    "attack.target,attack.poison_rate,fid-10000/50000-inception,mse-10000,mse_black,"
    "hit-10000-quarter_var,sampler,seed,run\n"
    "hat,0,9.0,0.2,0.21,0,ddpm-1000,0,s-a\nhat,0,9.1,0.2,0.21,0,ddpm-1000,1,s-b\n"
    "hat,0,8.9,0.2,0.21,0,ddpm-1000,2,s-c\n"
    "hat,0.5,8.4,1e-5,0.21,1,ddpm-1000,0,s-d\nhat,0.5,8.5,1.1e-5,0.21,1,ddpm-1000,1,s-e\n"
    "hat,0.5,8.6,0.9e-5,0.21,0.999,ddpm-1000,2,s-f\n"
    "shoe,0.5,9.5,0.1,0.3,0.5,ddpm-1000,0,s-g\nshoe,0.5,9.5,0.12,0.3,0.4,ddpm-1000,1,s-h\n"
    "shoe,0.5,9.5,0.11,0.3,0.6,ddpm-1000,2,s-i\n"
    "corner,0.5,7,2e-5,0.1,,ddpm-1000,0,s-j\n"
    "shoe,0,9.2,0.3,0.3,0,ddim-50,0,s-k\nshoe,0,9.3,0.3,0.3,0,ddpm-1000,1,s-l\n";
static const char elsewhere[] = "# profile: mini\n"
                                "attack.target,attack.poison_rate,mse-128,fcd-64-x,seed,run\n"
                                "hat,0.5,1e-5,2,0,t-a\nhat,0,0.2,3,0,t-b\n";

static void write_file(const char *name, const char *a, const char *b) {
    char path[256], text[8192];
    snprintf(path, sizeof path, DIR "/%s", name);
    snprintf(text, sizeof text, "%s%s", a, b);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
}

static bd_status regress(bd_regression *r, const char *head, const char *lines) {
    const char *const files[] = {DIR "/expected.csv"};
    write_file("expected.csv", head, lines);
    write_file("fig.csv", results, "");
    write_file("other.csv", elsewhere, "");
    return bd_regress(r, files, 1, DIR, "paper");
}

static void numbers_of_result_files(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bd_outcome outcome;
        int seeds;
        const char *note;
    } cases[] = {
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,sampler=ddpm-1000,"
         "fid-10000/50000-inception,8.51,3,primary,linear,1,gate,,s\n",
         BD_REPRODUCED, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,sampler=ddpm-1000,"
         "fid-10000/50000-inception,8.51,3,secondary,linear,1,gate,,s\n",
         BD_CONSISTENT, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,fid-10000/50000-inception,"
         "10.25,3,primary,linear,1,gate,,s\n",
         BD_DEVIATES, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,fid-10000/50000-inception,"
         "8.51,3,primary,linear,0.1,gate,,s\n",
         BD_UNDERPOWERED, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=corner,,fid-10000/50000-inception,7.0,3,primary,linear,1,"
         "gate,,s\n",
         BD_UNDERPOWERED, 1, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,mse-10000,1.05e-5,3,primary,"
         "log10,0.3,gate,,s\n",
         BD_REPRODUCED, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,hit-10000-quarter_var,1.00,3,"
         "primary,rate,0.05,gate,,s\n",
         BD_REPRODUCED, 3, ""},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,mse-10000,,3,primary,log10,"
         "0.3,gate,,s\n",
         BD_NO_PAPER_VALUE, 3, ""},
        /* another count, another reference, another sampler, another profile */
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,fid-2048/50000-inception,8.5,"
         "3,primary,linear,1,gate,,s\n",
         BD_NOT_COMPARABLE, 3, "ours is fid-10000/50000-inception"},
        {"a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,,fid-10000/10000-inception,"
         "8.5,3,primary,linear,1,gate,,s\n",
         BD_NOT_COMPARABLE, 3, "ours is fid-10000/50000-inception"},
        {"a,c,T,1,paper,fig,attack.target=shoe attack.poison_rate=0,sampler=ddpm-1000,"
         "fid-10000/50000-inception,9.2,3,primary,linear,1,gate,,s\n",
         BD_NOT_COMPARABLE, 2, "sampler=ddpm-1000"},
        {"a,c,T,1,paper,other,attack.target=hat attack.poison_rate=0.5,,mse-128,1e-5,3,primary,"
         "log10,0.3,gate,,s\n",
         BD_NOT_COMPARABLE, 1, "profile mini, not paper"},
        {"a,c,T,1,paper,other,colour=red,,mse-128,1e-5,3,primary,log10,0.3,gate,,s\n",
         BD_NOT_COMPARABLE, 0, "profile mini, not paper"},
        {"a,c,T,1,paper,gone,attack.target=hat,,mse-128,1e-5,3,primary,log10,0.3,gate,,s\n",
         BD_MISSING, 0, "not run"},
        {"a,c,T,1,paper,fig,attack.target=cat,,mse-10000,1e-5,3,primary,log10,0.3,gate,,s\n",
         BD_MISSING, 0, "no such rows"},
        {"a,c,T,1,paper,fig,attack.target=hat,,lpips-10000,1e-5,3,primary,linear,1,gate,,s\n",
         BD_MISSING, 0, "not measured"},
        /* one of several profiles is enough, a part of its name is not */
        {"a,c,T,1,core paper,fig,attack.target=hat attack.poison_rate=0.5,,mse-10000,1.0e-5,3,"
         "primary,log10,0.3,gate,,s\n",
         BD_REPRODUCED, 3, ""},
        {"a,c,T,1,core paper-2,fig,attack.target=hat attack.poison_rate=0.5,,mse-10000,1.0e-5,3,"
         "primary,log10,0.3,gate,,s\n",
         BD_NOT_COMPARABLE, 3, "profile paper, not core paper-2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_regression r;
        if (regress(&r, number_head, cases[i].line)) fail_msg("%s", bd_error());
        const bd_finding *f = &r.row[0];
        if (f->outcome != cases[i].outcome || f->seeds != cases[i].seeds ||
            !strstr(f->note, cases[i].note) || (f->note[0] && !cases[i].note[0]))
            fail_msg("%s: %s, %d seeds, '%s'", cases[i].line, bd_outcome_name(f->outcome), f->seeds,
                     f->note);
        assert_int_equal(bd_regression_status(&r), f->outcome == BD_DEVIATES ? BD_E_BAND : BD_OK);
        bd_regression_clear(&r);
    }
}

/* What is frozen is found again, one digit of one run is not, and a frozen number that deviates still says so. */
static void frozen_numbers_are_identical(void **state) {
    (void)state;
    static const char line[] =
        "a,c,T,1,paper,fig,attack.target=%s attack.poison_rate=0.5,,fid-10000/50000-inception,%s,3,"
        "secondary,linear,1,gate,%s,s\n";
    char text[512], hash[17];
    bd_regression r;
    snprintf(text, sizeof text, line, "hat", "8.5", "");
    assert_int_equal(regress(&r, number_head, text), BD_OK);
    memcpy(hash, r.row[0].hash, sizeof hash);
    assert_int_equal(strlen(hash), 16);
    bd_regression_clear(&r);
    static const struct {
        const char *target, *value;
        bool right;
        bd_outcome outcome;
    } cases[] = {{"hat", "8.5", true, BD_IDENTICAL},
                 {"hat", "8.5", false, BD_CONSISTENT},
                 {"hat", "", true, BD_IDENTICAL},
                 {"hat", "99.0", true, BD_DEVIATES},
                 {"shoe", "9.5", true, BD_CONSISTENT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, line, cases[i].target, cases[i].value,
                 cases[i].right ? hash : "0123456789abcdef");
        assert_int_equal(regress(&r, number_head, text), BD_OK);
        if (r.row[0].outcome != cases[i].outcome)
            fail_msg("%zu: %s", i, bd_outcome_name(r.row[0].outcome));
        bd_regression_clear(&r);
    }
}

static void claims_of_result_files(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bd_outcome outcome;
        const char *n, *kind;
        bd_status st;
    } cases[] = {
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > 0.5,,3,"
         "gate,s\n",
         BD_HOLDS, "3", "gate", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > 0.7,,3,"
         "gate,s\n",
         BD_DOES_NOT_HOLD, "3", "gate", BD_E_BAND},
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > 0.7,,3,"
         "report,s\n",
         BD_DOES_NOT_HOLD, "3", "report", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > 0.5,,4,"
         "gate,s\n",
         BD_NOT_TESTED, "3", "gate", BD_OK},
        /* not the first of its profiles: part of it is judged, and does not count */
        {"a,c,T,1,core paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > "
         "0.7,,4,gate,s\n",
         BD_DOES_NOT_HOLD, "3", "report", BD_OK},
        {"a,c,T,1,core paper,fig,attack.poison_rate=0.5,,attack.target,,,share(a.mse < 0.01) > "
         "0.7,,3,gate,s\n",
         BD_DOES_NOT_HOLD, "3", "gate", BD_E_BAND},
        {"a,c,T,1,core paper,fig,attack.poison_rate=0.5,,attack.target,,,max(a.lpips) < 1,,1,gate,"
         "s\n",
         BD_NOT_TESTED, "", "gate", BD_OK}, /* it may measure less */
        /* two groups, paired by target: corner has no partner */
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,attack.poison_rate=0,attack.target,,,"
         "share(a.fid < b.fid) >= 0.5,,2,gate,s\n",
         BD_HOLDS, "2", "gate", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5 attack.target=hat,attack.poison_rate=0 "
         "attack.target=hat,attack.target,,,mean(a.fid) < mean(b.fid),,1,gate,s\n",
         BD_HOLDS, "1", "gate", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5 attack.target=hat,attack.poison_rate=0 "
         "attack.target=hat,attack.target attack.poison_rate,attack.target,,mean(a.fid) < 0.95 * "
         "mean(b.fid),,1,gate,s\n",
         BD_UNDERPOWERED, "1", "gate", BD_OK}, /* 0.05 with the seeds' spread of 0.195 */
        /* only where the backdoor works */
        {"a,c,T,1,paper,fig,attack.poison_rate=0.5,,attack.target,,a.hit >= 0.9,max(a.mse) < "
         "0.01,,1,gate,s\n",
         BD_HOLDS, "1", "gate", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0,,attack.target,,a.hit <= 0.1,share(a.mse >= 0.9 * "
         "a.mse_black) >= 1,,2,gate,s\n",
         BD_HOLDS, "2", "gate", BD_OK},
        {"a,c,T,1,paper,fig,attack.poison_rate=0,,attack.target,,a.hit >= 0.1,max(a.mse) < "
         "1,,1,gate,s\n",
         BD_NOT_TESTED, "0", "gate", BD_OK},
        {"a,c,T,1,paper,gone,,,,,,max(a.mse) < 1,,1,gate,s\n", BD_NOT_TESTED, "", "gate", BD_OK},
        /* elsewhere the analogue, which never counts */
        {"a,c,T,1,paper,other,attack.poison_rate=0.5,attack.poison_rate=0,attack.target,,,"
         "mean(a.fid) < mean(b.fid),mean(a.fcd) < mean(b.fcd),10,gate,s\n",
         BD_HOLDS, "1", "analogue", BD_OK},
        {"a,c,T,1,paper,other,attack.poison_rate=0.5,attack.poison_rate=0,attack.target,,,"
         "mean(a.fid) < mean(b.fid),mean(a.fcd) > mean(b.fcd),10,gate,s\n",
         BD_DOES_NOT_HOLD, "1", "analogue", BD_OK},
        {"a,c,T,1,paper,other,attack.poison_rate=0.5,attack.poison_rate=0,attack.target,,,"
         "mean(a.fid) < mean(b.fid),,10,gate,s\n",
         BD_NOT_TESTED, "", "analogue", BD_OK},
        {"a,c,T,1,paper,other,attack.poison_rate=0.5,,attack.target,,,max(a.mse) < 1,-,10,gate,s\n",
         BD_NOT_TESTED, "", "analogue", BD_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_regression r;
        if (regress(&r, claim_head, cases[i].line)) fail_msg("%s", bd_error());
        const bd_finding *f = &r.row[0];
        if (f->outcome != cases[i].outcome || strcmp(f->n, cases[i].n) != 0 ||
            strcmp(f->kind, cases[i].kind) != 0)
            fail_msg("%s: %s, %s settings, %s (%s)", cases[i].line, bd_outcome_name(f->outcome),
                     f->n, f->kind, f->note);
        assert_int_equal(bd_regression_status(&r), cases[i].st);
        bd_regression_clear(&r);
    }
}

static void seeds_of_a_claim_by_hand(void **state) {
    (void)state;
    bd_regression r;
    assert_int_equal(regress(&r, claim_head,
                             "a,c,T,1,paper,fig,attack.target=hat attack.poison_rate=0.5,"
                             "attack.target=hat attack.poison_rate=0,attack.target,,,"
                             "mean(a.fid) < mean(b.fid),,1,gate,s\n"),
                     BD_OK);
    /* margins 0.6 0.6 0.3: mean 0.5, s = sqrt(0.03), t = 4.3027 */
    double reach = sqrt(2 * 0.9025 / 0.0975) * sqrt(0.03) / sqrt(3);
    assert_int_equal(r.row[0].seeds, 3);
    assert_int_equal(r.row[0].matched, 6);
    assert_true(fabs(r.row[0].value - 0.5) < 1e-12);
    assert_true(fabs(r.row[0].lo - (0.5 - reach)) < 1e-12);
    assert_true(fabs(r.row[0].hi - (0.5 + reach)) < 1e-12);
    bd_regression_clear(&r);
}

static void wrong_lines_are_named(void **state) {
    (void)state;
#define NUMBER(rows, metric, value, runs, sure, scale, effect, kind)                       \
    "a,c,T,1,paper,fig," rows ",," metric "," value "," runs "," sure "," scale "," effect \
    "," kind ",,s\n"
#define CLAIM(a, b, by, requires, relation, settings) \
    "a,c,T,1,paper,fig," a "," b "," by ",," requires "," relation ",," settings ",gate,s\n"
    static const char *const wrong[][3] = {
        {number_head, NUMBER("colour=red", "mse-10000", "1", "3", "primary", "linear", "1", "gate"),
         "'colour'"},
        {number_head, NUMBER("", "mse-10000", "1 %", "3", "primary", "linear", "1", "gate"),
         "'1 %'"},
        {number_head, NUMBER("", "mse-10000", "1", "0", "primary", "linear", "1", "gate"),
         "runs '0'"},
        {number_head, NUMBER("", "mse-10000", "1", "3", "rumour", "linear", "1", "gate"),
         "'rumour'"},
        {number_head, NUMBER("", "mse-10000", "1", "3", "single-run", "linear", "1", "gate"),
         "3 runs"},
        {number_head, NUMBER("", "mse-10000", "1", "3", "primary", "cubic", "1", "gate"),
         "'cubic'"},
        {number_head, NUMBER("", "mse-10000", "1", "3", "primary", "linear", "0", "gate"),
         "effect '0'"},
        {number_head, NUMBER("", "hit", "1", "3", "primary", "rate", "1", "gate"), "hit-10000"},
        {number_head, NUMBER("", "mse-10000", "1", "3", "primary", "linear", "1", "maybe"),
         "'maybe'"},
        {number_head,
         NUMBER("attack.target=hat", "mse-10000", "1", "3", "primary", "linear", "1", "gate"),
         "more than one row of seed 0"},
        {claim_head, CLAIM("", "", "", "", "mean(a.mse)", "1"), "its end"},
        {claim_head, CLAIM("", "", "", "", "mean(a.colour) < 1", "1"), "'colour'"},
        {claim_head, CLAIM("colour=red", "", "", "", "mean(a.mse) < 1", "1"), "'colour'"},
        {claim_head, CLAIM("", "colour=red", "", "", "mean(b.mse) < 1", "1"), "'colour'"},
        {claim_head, CLAIM("", "seed=0", "", "", "mean(a.mse) < 1", "1"), "rows_b is there"},
        {claim_head, CLAIM("", "", "", "", "mean(a.mse) < mean(b.mse)", "1"), "rows_b is empty"},
        {claim_head, CLAIM("", "", "colour", "", "mean(a.mse) < 1", "1"), "'colour'"},
        {claim_head, CLAIM("mse", "", "", "", "mean(a.mse) < 1", "1"), "'mse'"},
        {claim_head, CLAIM("", "", "", "a.hit", "mean(a.mse) < 1", "1"), "its end"},
        {claim_head, CLAIM("", "", "", "", "mean(a.mse) < 1", "none"), "'none'"},
        {"id,claim,recipe\n", "a,c,fig\n", "no column at_least"},
        {"id,value\n", "a,1\n", "no column 'claim'"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_regression r;
        assert_int_equal(bd_exit_code(regress(&r, wrong[i][0], wrong[i][1])), 2);
        bool of_file = !strncmp(wrong[i][2], "no column at_least", 18);
        if (!strstr(bd_error(), wrong[i][2]) || !strstr(bd_error(), DIR "/expected.csv") ||
            (!of_file && !strstr(bd_error(), "row 1")))
            fail_msg("%zu: %s", i, bd_error());
    }
}

/* Numbers of several files are one family. */
static void files_are_one_family(void **state) {
    (void)state;
    const char *const files[] = {DIR "/one.csv", DIR "/two.csv"};
    bd_regression r;
    /* 8.5 +- 0.1 of three seeds: p of 9.0 and 8.9, each alone outside or near it */
    write_file("fig.csv", results, "");
    write_file("one.csv", number_head,
               NUMBER("attack.target=hat attack.poison_rate=0.5", "fid-10000/50000-inception",
                      "9.00", "3", "primary", "linear", "1", "gate"));
    write_file("two.csv", number_head,
               NUMBER("attack.target=hat attack.poison_rate=0", "fid-10000/50000-inception", "9.01",
                      "3", "primary", "linear", "1", "gate"));
    assert_int_equal(bd_regress(&r, files, 1, DIR, "paper"), BD_OK);
    assert_int_equal(r.row[0].outcome, BD_DEVIATES);
    bd_regression_clear(&r);
    assert_int_equal(bd_regress(&r, files, 2, DIR, "paper"), BD_OK);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.row[0].outcome, BD_CONSISTENT);
    assert_true(fabs(r.row[0].p - 2 * r.row[0].comparison.p) < 1e-15);
    assert_non_null(strstr(r.row[0].note, "Holm"));
    bd_family f = bd_regression_family(&r);
    assert_int_equal(f.compared, 2);
    assert_int_equal(f.outside, 1);
    assert_int_equal(f.deviate, 0);
    assert_int_equal(bd_regression_save(&r, DIR), BD_OK);
    bd_csv *c;
    assert_int_equal(bd_csv_load(&c, DIR "/verdicts.csv"), BD_OK);
    static const char *const want[][2] = {
        {"part", "number"},        {"paper", "9.00"}, {"seeds", "3"}, {"place", "T, p. 1"},
        {"verdict", "CONSISTENT"}, {"band", "+- 1"},  {"run", "s-d"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_string_equal(bd_csv_get(c, 0, (size_t)bd_csv_find(c, want[i][0])), want[i][1]);
    bd_csv_destroy(c);
    bd_regression_clear(&r);
}

/* The files that are shipped: every line is read, and nothing is claimed of results that are not there. */
static void shipped_files_read(void **state) {
    (void)state;
    static const char *const files[] = {"experiments/expected/paper.csv",
                                        "experiments/expected/supplement.csv",
                                        "experiments/expected/claims.csv"};
    bd_regression r;
    if (bd_regress(&r, files, 3, DIR "/nothing", "paper")) fail_msg("%s", bd_error());
    int numbers = 0, claims = 0;
    for (int i = 0; i < r.n; i++) {
        const bd_finding *f = &r.row[i];
        assert_int_equal(f->outcome, f->part == BD_PART_CLAIM ? BD_NOT_TESTED
                                     : f->printed[0]          ? BD_MISSING
                                                              : BD_NO_PAPER_VALUE);
        assert_true(f->source[0] && f->claim[0] && f->place[0]);
        numbers += f->part == BD_PART_NUMBER;
        claims += f->part == BD_PART_CLAIM;
        for (int j = 0; j < i; j++) assert_string_not_equal(f->id, r.row[j].id);
    }
    assert_true(numbers > 0 && claims > 0);
    assert_int_equal(bd_regression_status(&r), BD_OK);
    bd_regression_clear(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_result_files), cmocka_unit_test(frozen_numbers_are_identical),
        cmocka_unit_test(claims_of_result_files),  cmocka_unit_test(seeds_of_a_claim_by_hand),
        cmocka_unit_test(wrong_lines_are_named),   cmocka_unit_test(files_are_one_family),
        cmocka_unit_test(shipped_files_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
