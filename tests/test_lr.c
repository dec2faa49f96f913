/* Oracles: learning rates of the reference training (PyTorch); closed form at the corners. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "nn/lr.h"

static void test_reference(void **state) {
    (void)state;
    json_t *doc = json_load_file("tests/golden/lr_golden.json", 0, NULL);
    assert_non_null(doc);
    const json_t *rates = json_object_get(doc, "lr_cifar_2e-4_total23450");
    assert_int_equal(json_object_size(rates), 10);
    const char *step;
    json_t *rate;
    json_object_foreach((json_t *)(uintptr_t)rates, step, rate) {
        double want = json_number_value(rate);
        double got = 2e-4 * bd_lr_factor(strtoll(step, NULL, 10), 500, 23450);
        /* near the end 1 + cos is a difference of numbers of size 1: 2e-16 of the base rate */
        if (!(fabs(got - want) <= 1e-12 * want + 2e-4 * 4e-16))
            fail_msg("step %s: rate %.17g, reference %.17g", step, got, want);
    }
    json_decref(doc);
}

static void test_corners(void **state) {
    (void)state;
    assert_true(bd_lr_factor(0, 10, 100) == 0.0);
    assert_true(bd_lr_factor(5, 10, 100) == 0.5);
    assert_true(bd_lr_factor(10, 10, 100) == 1.0);
    assert_true(bd_lr_factor(0, 0, 100) == 1.0);
    assert_true(fabs(bd_lr_factor(55, 10, 100) - 0.5) < 1e-15);
    assert_true(bd_lr_factor(100, 10, 100) == 0.0);
    assert_true(bd_lr_factor(7, 10, 5) == 0.7); /* warm-up longer than the run */
    assert_true(bd_lr_factor(10, 10, 10) == 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference),
                                       cmocka_unit_test(test_corners)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
