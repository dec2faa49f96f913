/* Oracles: margins worked out by hand, messages that name the place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "run/relation.h"

/* Three settings. Columns in the order in which each relation names them. */
static void margins(void **state) {
    (void)state;
    static const double one[] = {0.001, 0.02, 0.003};              /* a.mse              */
    static const double two[] = {8, 10, 9, 9, 10, 8};              /* a.fid b.fid        */
    static const double dyadic[] = {0.5, 0.25, 4, 1, 0.125, 0.25}; /* exact in any order */
    static const struct {
        const char *text;
        const double *x;
        double left, right, margin;
        bool strict;
    } cases[] = {
        {"share(a.mse < 0.01) > 0.5", one, 2.0 / 3, 0.5, 2.0 / 3 - 0.5, true},
        {"share( a.mse<0.01 )>=1", one, 2.0 / 3, 1, 2.0 / 3 - 1, false},
        {"max(a.mse) <= 0.02", one, 0.02, 0.02, 0, false},
        {"min(a.mse) > 0.001", one, 0.001, 0.001, 0, true},
        {"mean(a.fid) < mean(b.fid)", two, 9, 9, 0, true},
        {"share(a.fid < b.fid) > 0.3", two, 1.0 / 3, 0.3, 1.0 / 3 - 0.3, true},
        {"share(a.fid <= b.fid) > 0.3", two, 2.0 / 3, 0.3, 2.0 / 3 - 0.3, true},
        /* by order of mention: b is 8 9 10 */
        {"share(b.fid > 1.2 * a.fid) > 0", two, 1.0 / 3, 0, 1.0 / 3, true},
        {"mean(a.x) > 2 * max(b.y)", dyadic, 1.5416666666666667, 2, 1.5416666666666667 - 2, true},
        {"2 < 0.5 * max(a.mse)", one, 2, 0.01, 0.01 - 2, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_relation r = {.n_vars = 0};
        double left, right;
        if (bd_relation_parse(&r, cases[i].text)) fail_msg("%s", bd_error());
        double margin = bd_relation_margin(&left, &right, &r, cases[i].x, 3);
        if (fabs(left - cases[i].left) > 1e-15 || fabs(right - cases[i].right) > 1e-15 ||
            fabs(margin - cases[i].margin) > 1e-15)
            fail_msg("%s: %g, %g, %g", cases[i].text, left, right, margin);
        assert_int_equal(bd_relation_strict(&r), cases[i].strict);
    }
}

static void columns_are_named_once(void **state) {
    (void)state;
    bd_relation r = {.n_vars = 0};
    bd_term requires;
    assert_int_equal(bd_relation_parse(&r, "share(a.mse >= 0.9 * a.mse_black) < mean(b.mse)"),
                     BD_OK);
    assert_int_equal(r.n_vars, 3);
    assert_int_equal(r.var[2].side, 'b');
    assert_string_equal(r.var[1].column, "mse_black");
    assert_int_equal(bd_relation_condition(&requires, &r, "b.mse<=1e-3"), BD_OK);
    assert_int_equal(r.n_vars, 3);
    assert_int_equal(bd_relation_condition(&requires, &r, "a.sample.eta > 0"), BD_OK);
    assert_int_equal(r.n_vars, 4);
    assert_true(bd_relation_condition_holds(&requires, (const double[]){0, 0, 0, 0.5}));
    assert_false(bd_relation_condition_holds(&requires, (const double[]){0, 0, 0, 0}));
}

static void wrong_relations(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"", "its end"},
        {"mean(a.mse)", "its end"},
        {"mean(a.mse) = 3", "'= 3'"},
        {"mean(a.mse) < ", "its end"},
        {"mean(a.mse) < 3 4", "'4'"},
        {"mean(a.mse < 3", "'< 3'"},
        {"mean(a.mse < 3) < 1", "'< 3) < 1'"},
        {"median(a.mse) < 3", "'median"},
        {"mean(c.mse) < 3", "'c.mse"},
        {"mean(a.) < 3", "') < 3'"},
        {"mean(mse) < 3", "'mse)"},
        {"share(a.mse) > 0.5", "') > 0.5'"},
        {"share(1 < 2) > 0.5", "a column"},
        {"mean(a.mse) < 0x10", "'0x10'"},
        {"mean(a.mse) < inf", "'inf'"},
        {"mean(a.mse) < 1.2.3", "'.3'"},
        {"1 < 2", "two numbers"},
        {"share(a.a<a.b) < share(a.c<a.d) and 1", "'and 1'"},
        {"mean(a.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) < 1", "name of a column"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_relation r = {.n_vars = 0};
        assert_int_equal(bd_relation_parse(&r, wrong[i][0]), BD_E_FORMAT);
        if (!strstr(bd_error(), wrong[i][1])) fail_msg("'%s': %s", wrong[i][0], bd_error());
    }
    bd_relation r = {.n_vars = 0};
    bd_term t;
    assert_int_equal(bd_relation_parse(&r, "share(a.a<b.b) < share(a.c<a.d)"), BD_OK);
    assert_int_equal(bd_relation_condition(&t, &r, "a.e < b.f"), BD_OK);
    assert_int_equal(bd_relation_condition(&t, &r, "a.g < b.h"), BD_OK); /* eight */
    assert_int_equal(bd_relation_condition(&t, &r, "a.i < 1"), BD_E_FORMAT);
    assert_int_equal(bd_relation_condition(&t, &r, "a.a < 1 or"), BD_E_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(margins),
                                       cmocka_unit_test(columns_are_named_once),
                                       cmocka_unit_test(wrong_relations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
