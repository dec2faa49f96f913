/* Oracle: what a recipe says, where there is a CUDA device (a real one or the emulator's). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "device_cases.h"
#include "run/device.h"

static void need_device(void) {
    if (bd_cuda_devices() > 0) return;
    print_message("%s\n", bd_error());
    skip();
}

static void auto_is_the_device(void **state) {
    (void)state;
    need_device();
    settles_to("auto", "f32", "cuda:0", "f32");
    settles_to("auto", "tf32", "cuda:0", "tf32");
    settles_to("auto", "fp16", "cuda:0", "fp16");
    settles_to("cpu", "f32", "cpu", "f32");
}

static void stages_get_what_their_cell_asked_for(void **state) {
    (void)state;
    need_device();
    bd_stage s = {.device = "cuda:0", .precision = "fp16"}, host = {.kind = BD_KIND_score};
    bd_stage rounded = {.device = "cpu", .precision = "bf16"},
             plain = {.device = "cpu", .precision = "f32"};
    bd_backend own;
    const bd_backend *b;
    assert_int_equal(bd_stage_backend(&b, &own, &bd_backend_cpu, &s), BD_OK);
    assert_ptr_equal(b, &own);
    assert_string_equal(b->name, "cuda");
    assert_int_equal(b->precision, BD_PRECISION_FP16);
    assert_true(b->whole_batch);
    assert_int_equal(bd_stage_backend(&b, &own, &bd_backend_cpu, &host), BD_OK);
    assert_ptr_equal(b, &bd_backend_cpu);
    assert_int_equal(bd_stage_backend(&b, &own, &bd_backend_cpu, &plain), BD_OK);
    assert_ptr_equal(b, &bd_backend_cpu);
    assert_int_equal(bd_stage_backend(&b, &own, &bd_backend_cpu, &rounded), BD_OK);
    assert_ptr_equal(b, &own);
    assert_string_equal(b->name, "cpu");
    assert_int_equal(b->precision, BD_PRECISION_BF16);
    char text[256];
    assert_int_equal(bd_cuda_describe(text, sizeof text, 0), BD_OK);
    assert_non_null(strstr(text, "cudnn"));
}

static void a_device_beyond_the_last_is_named(void **state) {
    (void)state;
    need_device();
    bd_backend b;
    assert_int_equal(bd_device_open(&b, "cuda:900", "f32"), BD_E_DEVICE);
    assert_non_null(strstr(bd_error(), "cuda:900"));
}

int main(void) {
    if (setenv("BADDIFF_PLANS", "build/tmp/test_cuda_device/plans", 1))
        return 1; /* not the user's */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_is_the_device),
        cmocka_unit_test(stages_get_what_their_cell_asked_for),
        cmocka_unit_test(a_device_beyond_the_last_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
