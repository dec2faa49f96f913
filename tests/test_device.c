/* Oracle: what a recipe says. This program is linked without a device (or with whatever the machine has): the CPU is
 * always there, and what is not there is told, not replaced. tests/test_cuda_device.c has the rest, on the emulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda/cuda.h"
#include "device_cases.h"
#include "run/device.h"

static void without_a_device(void) {
    if (bd_cuda_devices() == 0) return;
    print_message("this machine has a CUDA device\n");
    skip();
}

static void auto_is_the_cpu_where_there_is_no_device(void **state) {
    (void)state;
    without_a_device();
    settles_to("auto", "f32", "cpu", "f32");
    settles_to("auto", "auto", "cpu", "f32");
    settles_to("cpu", "auto", "cpu", "f32");
}

/* Planning takes a named device at its word: a login node has none. */
static void a_named_device_stays(void **state) {
    (void)state;
    without_a_device();
    settles_to("cuda", "bf16", "cuda:0", "bf16");
    settles_to("cuda:3", "fp16", "cuda:3", "fp16");
    settles_to("cuda:3", "auto", "cuda:3", "bf16");
}

static void precisions_of_the_cpu(void **state) {
    (void)state;
    without_a_device();
    settles_to("cpu", "bf16", "cpu", "bf16");
    settles_to("auto", "bf16", "cpu", "bf16");
    refused("cpu", "fp16", "run.device is cpu");
    refused("auto", "tf32", "there is none here");
    refused("cpu", "f64", "must be f32");
}

static void opening_what_is_not_there_fails(void **state) {
    (void)state;
    bd_backend b;
    without_a_device();
    assert_int_equal(bd_device_open(&b, "cuda:0", "f32"), BD_E_DEVICE);
    assert_int_equal(bd_device_open(&b, "gpu", "f32"), BD_E_ARG);
    assert_int_equal(bd_device_open(&b, "cpu", "fp16"), BD_E_ARG);
    assert_int_equal(bd_device_open(&b, "cpu", "bf16"), BD_OK);
    assert_int_equal(b.precision, BD_PRECISION_BF16);
    assert_int_equal(bd_device_open(&b, "cpu", "f32"), BD_OK);
    assert_string_equal(b.name, "cpu");
    assert_int_equal(bd_device_open(&b, "auto", "f32"), BD_OK);
    assert_string_equal(b.name, "cpu");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_is_the_cpu_where_there_is_no_device),
        cmocka_unit_test(a_named_device_stays),
        cmocka_unit_test(precisions_of_the_cpu),
        cmocka_unit_test(opening_what_is_not_there_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
