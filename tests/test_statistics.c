/* Oracles: bd_frechet_distance (itself tested in test_frechet.c), bit equality after a file; files broken at every
 * place of their numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "hash_numbers.h"
#include "io/safetensors.h"
#include "metric/statistics.h"

#define TMP "build/tmp/test_statistics"

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

static bd_statistics of(const float *rows, int n, int d) {
    bd_moments *m;
    bd_statistics s;
    ok(bd_moments_create(&m, d));
    ok(bd_moments_add(m, rows, (size_t)n));
    ok(bd_statistics_from(&s, m));
    bd_moments_destroy(m);
    assert_int_equal(s.n, n);
    assert_int_equal(s.d, d);
    return s;
}

static double distance(const float *a, int na, const float *b, int nb, int d) {
    bd_statistics p = of(a, na, d), q = of(b, nb, d);
    double out = (double)NAN;
    ok(bd_statistics_distance(&out, &p, &q));
    bd_statistics_clear(&p);
    bd_statistics_clear(&q);
    return out;
}

enum { D = 200, FEW = 30, MANY = 600 };
static float rows[2][MANY * D];

/* Feature j has a size of about 1/(1 + j/8): a spectrum that falls, as that of real features. */
static void fill_rows(void) {
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < MANY * D; i++)
            rows[s][i] =
                (float)((hash_number(s ? "q" : "p", (size_t)i) + 0.1 * s) * 8 / (8 + i % D));
}

static void equals_the_distance_of_moments(void **state) {
    (void)state;
    fill_rows();
    bd_moments *a, *b;
    double want;
    ok(bd_moments_create(&a, D));
    ok(bd_moments_create(&b, D));
    ok(bd_moments_add(a, rows[0], MANY));
    ok(bd_moments_add(b, rows[1], MANY));
    ok(bd_frechet_distance(&want, a, b));
    bd_moments_destroy(a);
    bd_moments_destroy(b);
    double got = distance(rows[0], MANY, rows[1], MANY, D);
    assert_true(got > 0.1 && got == want);
    bd_statistics p = of(rows[0], FEW, 3), q = of(rows[1], FEW, 4);
    assert_int_equal(bd_statistics_distance(&got, &p, &q), BD_E_SHAPE);
    bd_statistics_clear(&p);
    bd_statistics_clear(&q);
}

/* Fewer rows than features, singular covariances: still 0 for a set and itself in any order, to the rounding of
 * traces of size 10; and a set that spans other directions is not near. */
static void order_of_a_few_rows_does_not_matter(void **state) {
    (void)state;
    static float turned[FEW * D];
    fill_rows();
    for (size_t i = 0; i < FEW; i++)
        memcpy(turned + i * D, rows[0] + (FEW - 1 - i) * D, D * sizeof *turned);
    double self = distance(rows[0], FEW, rows[0], FEW, D),
           order = distance(rows[0], FEW, turned, FEW, D);
    assert_true(fabs(self) <= 1e-10 && fabs(order) <= 1e-10);
    double one = distance(rows[0], FEW, rows[1], FEW, D),
           two = distance(turned, FEW, rows[1], FEW, D);
    assert_true(one > 1);
    assert_true(fabs(one - two) <= 1e-9);
}

/* --- files --- */

static void a_file_keeps_every_bit(void **state) {
    (void)state;
    bd_statistics s = of(rows[1], FEW, 7), back;
    ok(bd_file_mkdirs(TMP));
    ok(bd_statistics_save(&s, TMP "/s.safetensors", "what it is"));
    for (int named = 0; named < 2; named++) {
        ok(bd_statistics_load(&back, TMP "/s.safetensors", named ? "what it is" : NULL));
        assert_int_equal(back.d, 7);
        assert_int_equal(back.n, FEW);
        assert_memory_equal(back.mean, s.mean, 7 * sizeof(double));
        assert_memory_equal(back.cov, s.cov, 49 * sizeof(double));
        bd_statistics_clear(&back);
    }
    assert_int_equal(bd_statistics_load(&back, TMP "/s.safetensors", "something"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "what it is"));
    assert_int_equal(bd_statistics_load(&back, TMP "/none.safetensors", NULL), BD_E_MISSING);
    bd_statistics_clear(&s);
}

/* No byte of the numbers can change unseen, no file be cut, and no other file be taken for one. */
static void damage_is_seen(void **state) {
    (void)state;
    bd_statistics s = of(rows[1], FEW, 3), back;
    void *data;
    size_t n;
    ok(bd_statistics_save(&s, TMP "/whole.safetensors", "d"));
    ok(bd_file_read(&data, &n, TMP "/whole.safetensors", 0));
    uint8_t *bytes = data;
    for (size_t i = n - (3 + 6) * sizeof(double); i < n; i++) {
        bytes[i] ^= 1;
        ok(bd_file_write(TMP "/bad.safetensors", bytes, n));
        if (bd_statistics_load(&back, TMP "/bad.safetensors", "d") != BD_E_FORMAT)
            fail_msg("byte %zu of %zu changed unseen", i, n);
        bytes[i] ^= 1;
    }
    for (size_t cut = 0; cut < n; cut += 7) {
        ok(bd_file_write(TMP "/bad.safetensors", bytes, cut));
        assert_int_equal(bd_statistics_load(&back, TMP "/bad.safetensors", "d"), BD_E_FORMAT);
    }
    free(data);
    const bd_st_tensor t = {
        .name = "mean", .dtype = BD_F64, .rank = 1, .dim = {3}, .data = s.mean, .bytes = 24};
    ok(bd_safetensors_save(TMP "/bad.safetensors", &t, 1, NULL, 0));
    assert_int_equal(bd_statistics_load(&back, TMP "/bad.safetensors", NULL), BD_E_FORMAT);
    bd_statistics_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_distance_of_moments),
        cmocka_unit_test(order_of_a_few_rows_does_not_matter),
        cmocka_unit_test(a_file_keeps_every_bit),
        cmocka_unit_test(damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
