/* Oracles: exact input; the distribution of noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "defense/input.h"

static void test_exact(void **state) {
    (void)state;
    const float x[] = {-3, -1, -1, -3};
    bd_input_score s = bd_input_score_make(x, 4);
    assert_true(s.mean == 4);     /* |-2| * 2 */
    assert_true(s.variance == 1); /* all are 1 away from -2 */
}

static void test_noise(void **state) {
    (void)state;
    enum { D = 1024, N = 400 };
    double mean = 0, mean2 = 0, variance = 0;
    for (uint32_t i = 0; i < N; i++) {
        float x[D];
        bd_rng_normal(x, D, (bd_rng_key){.seed = 1, .stream = BD_STREAM_PRIOR, .index = i});
        bd_input_score s = bd_input_score_make(x, D);
        mean += s.mean / N;
        mean2 += s.mean * s.mean / N;
        variance += s.variance / N;
    }
    /* |z|: mean sqrt(2/pi), standard deviation 0.603; z^2: mean 1, 1.41; five standard errors of N */
    assert_float_equal(mean, 0.7979, 5 * 0.603 / 20);
    assert_float_equal(mean2, 1, 5 * 1.415 / 20);
    assert_float_equal(variance, 1, 5 * sqrt(2.0 / D) / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
