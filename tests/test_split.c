/* Oracles: counts of the specification; invariants (disjoint, nested, exact); binomial bounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/split.h"

static bd_split fixed(int n, double rate, uint64_t seed) {
    bd_split s;
    bd_split_spec spec = {.mode = BD_SPLIT_FIXED, .poison_rate = rate, .seed = seed};
    assert_int_equal(bd_split_make(&s, n, &spec), BD_OK);
    return s;
}

static int count(const bd_split *s, int kind) {
    int n = 0;
    for (int i = 0; i < s->n; i++) n += s->flags[i] == kind;
    return n;
}

static void counts_of_the_fixed_split(void **state) {
    (void)state;
    static const struct {
        double rate;
        int n, poisoned;
    } cases[] = {
        {0.1, 60000, 6000}, {0.05, 60000, 3000}, {0.2, 60000, 12000}, {0.007, 60000, 420},
        {0.1, 30000, 3000}, {0.1, 70000, 7000},  {0.9999, 1000, 999}, {0.5, 7, 3},
        {0, 60000, 0},      {1, 60000, 60000},   {0.1, 9, 0}}; /* too small for one image: clean */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_split s = fixed(cases[i].n, cases[i].rate, 1);
        assert_int_equal(s.n, cases[i].n);
        assert_int_equal(s.n_poisoned, cases[i].poisoned);
        assert_int_equal(s.n_clean, cases[i].n - cases[i].poisoned);
        assert_int_equal(count(&s, BD_ROW_POISONED), s.n_poisoned);
        assert_int_equal(count(&s, BD_ROW_CLEAN), s.n_clean);
        bd_split_clear(&s);
    }
}

static void the_seed_decides(void **state) {
    (void)state;
    bd_split a = fixed(1000, 0.3, 5), b = fixed(1000, 0.3, 5), c = fixed(1000, 0.3, 6);
    bd_split high = fixed(1000, 0.3, 5 + (UINT64_C(1) << 32));
    assert_memory_equal(a.flags, b.flags, 1000);
    assert_memory_not_equal(a.flags, c.flags, 1000);
    assert_memory_not_equal(a.flags, high.flags, 1000);
    bd_split_clear(&a);
    bd_split_clear(&b);
    bd_split_clear(&c);
    bd_split_clear(&high);
}

static void a_higher_rate_poisons_the_same_and_more(void **state) {
    (void)state;
    static const double rates[] = {0.05, 0.1, 0.2, 0.5, 0.9};
    for (int k = 1; k < 5; k++) {
        bd_split lo = fixed(2000, rates[k - 1], 3), hi = fixed(2000, rates[k], 3);
        for (int i = 0; i < 2000; i++)
            if (lo.flags[i] == BD_ROW_POISONED) assert_int_equal(hi.flags[i], BD_ROW_POISONED);
        bd_split_clear(&lo);
        bd_split_clear(&hi);
    }
}

static void every_row_is_equally_likely(void **state) {
    (void)state;
    enum { N = 50, SEEDS = 2000 };
    int hits[N] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bd_split s = fixed(N, 0.3, seed);
        for (int i = 0; i < N; i++) hits[i] += s.flags[i] == BD_ROW_POISONED;
        bd_split_clear(&s);
    }
    /* binomial(2000, 0.3): mean 600, sigma 20.5; five sigma over 50 rows fails once in 30,000 generators */
    for (int i = 0; i < N; i++) assert_true(abs(hits[i] - 600) < 5 * 20.5);
}

static void flex_parts_are_disjoint(void **state) {
    (void)state;
    bd_split s;
    bd_split_spec spec = {.mode = BD_SPLIT_FLEX, .poison_rate = 0.25, .clean_rate = 0.5, .seed = 9};
    assert_int_equal(bd_split_make(&s, 1001, &spec), BD_OK);
    assert_int_equal(s.n_poisoned, 250);
    assert_int_equal(s.n_clean, 500);
    assert_int_equal(count(&s, BD_ROW_POISONED), 250);
    assert_int_equal(count(&s, BD_ROW_CLEAN), 500);
    assert_int_equal(count(&s, BD_ROW_UNUSED), 251);
    bd_split f = fixed(1001, 0.25, 9); /* the same permutation */
    for (int i = 0; i < 1001; i++)
        assert_int_equal(f.flags[i] == BD_ROW_POISONED, s.flags[i] == BD_ROW_POISONED);
    bd_split_clear(&f);
    bd_split_clear(&s);
    spec.poison_rate = 0;
    spec.clean_rate = 1;
    assert_int_equal(bd_split_make(&s, 1001, &spec), BD_OK);
    assert_int_equal(s.n_clean, 1001);
    bd_split_clear(&s);
}

static void impossible_splits_say_why(void **state) {
    (void)state;
    static const struct {
        bd_split_mode mode;
        int n;
        double poison, clean;
        const char *text;
    } cases[] = {{BD_SPLIT_FIXED, 100, 1.01, 1, "poison rate 1.01"},
                 {BD_SPLIT_FIXED, 100, -0.1, 1, "poison rate -0.1"},
                 {BD_SPLIT_FIXED, 100, NAN, 1, "poison rate"},
                 {BD_SPLIT_FIXED, 0, 0.1, 1, "0 images"},
                 {BD_SPLIT_FLEX, 100, 0.1, 1, "exceed the 100 images"},
                 {BD_SPLIT_FLEX, 100, 0.1, 0, "clean rate 0"},
                 {BD_SPLIT_FLEX, 100, 0.1, 0.001, "none at all"},
                 {BD_SPLIT_FLEX, 100, 0.1, NAN, "clean rate"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_split s;
        bd_split_spec spec = {
            .mode = cases[i].mode, .poison_rate = cases[i].poison, .clean_rate = cases[i].clean};
        assert_int_equal(bd_split_make(&s, cases[i].n, &spec), BD_E_ARG);
        if (!strstr(bd_error(), cases[i].text)) fail_msg("case %zu says: %s", i, bd_error());
        assert_null(s.flags);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_the_fixed_split),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(a_higher_rate_poisons_the_same_and_more),
        cmocka_unit_test(every_row_is_equally_likely),
        cmocka_unit_test(flex_parts_are_disjoint),
        cmocka_unit_test(impossible_splits_say_why),
    };
    return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
