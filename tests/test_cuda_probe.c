/* Oracles: counts by hand, and that nothing is left behind. How fast a device is, is not tested: rates must be numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda/cuda.h"
#include "cuda/probe.h"
#include "emu/emu_api.h"
#include "emu/sim_blas.h"

enum { SIDE = 48 };

static void need_device(void) {
    if (bd_cuda_devices() > 0) return;
    print_message("%s\n", bd_error());
    skip();
}

static void need_emulator(void) {
    need_device();
    if (!strcmp(bd_cuda_platform_get()->name, "emulator")) return;
    print_message("only the emulator can do this\n");
    skip();
}

static void every_ceiling_is_a_rate(void **state) {
    (void)state;
    need_device();
    bd_cuda_ceilings c;
    size_t products = sim_blas_count_products();
    if (bd_cuda_ceilings_measure(&c, 0, SIDE)) fail_msg("%s", bd_error());
    assert_int_equal(c.side, SIDE);
    assert_int_equal(c.copy_bytes, 16 * SIDE * SIDE);
    assert_true(isfinite(c.copy) && c.copy > 0);
    for (int i = 0; i <= BD_PRECISION_FP16; i++)
        if (!isfinite(c.product[i]) || c.product[i] <= 0) {
            /* bf16 and TF32 may be missing on an old device; the emulated one has all. */
            assert_true(sim_blas_count_products() == products);
            assert_true(i == BD_PRECISION_BF16 || i == BD_PRECISION_TF32);
        }
    if (!strcmp(bd_cuda_platform_get()->name, "emulator")) /* warm-ups and all */
        assert_true(sim_blas_count_products() - products >= 4 * 11);
}

static void odd_sides_are_refused(void **state) {
    (void)state;
    bd_cuda_ceilings c;
    static const int sides[] = {-16, 0, 15, 24};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        assert_int_equal(bd_cuda_ceilings_measure(&c, 0, sides[i]), BD_E_ARG);
}

static void a_device_that_is_not_there_is_refused(void **state) {
    (void)state;
    need_device();
    bd_cuda_ceilings c;
    char *text;
    assert_int_equal(bd_cuda_ceilings_measure(&c, 900, SIDE), BD_E_DEVICE);
    assert_int_equal(bd_cuda_device_text(&text, 900), BD_E_DEVICE);
    assert_null(text);
}

/* The call that fails is each in turn; what was allocated is free again. */
static void every_failing_call_is_reported(void **state) {
    (void)state;
    need_emulator();
    bd_cuda_ceilings c;
    assert_int_equal(bd_cuda_ceilings_measure(&c, 0, SIDE), BD_OK);
    size_t alive = emu_allocations();
    long before = emu_calls();
    assert_int_equal(bd_cuda_ceilings_measure(&c, 0, SIDE), BD_OK);
    long calls = emu_calls() - before;
    assert_true(calls > 100);
    for (long n = 1; n <= calls; n += n < 20 ? 1 : 7) {
        emu_fail_after(n);
        bd_status st = bd_cuda_ceilings_measure(&c, 0, SIDE);
        emu_fail_after(0);
        emu_forget_error();
        if (st != BD_E_DEVICE && st != BD_E_MEMORY && n < calls)
            fail_msg("call %ld of %ld failed, and the status is %d", n, calls, st);
        assert_int_equal(emu_allocations(), alive);
    }
}

static void too_little_memory_is_said(void **state) {
    (void)state;
    need_emulator();
    bd_cuda_ceilings c;
    size_t alive = emu_allocations();
    emu_set_memory((size_t)40 << 20); /* the products' workspace takes 32 MiB */
    bd_status st = bd_cuda_ceilings_measure(&c, 0, 1024);
    emu_set_memory((size_t)16 << 30);
    emu_forget_error();
    assert_int_equal(st, BD_E_MEMORY);
    assert_non_null(strstr(bd_error(), "GiB of device memory"));
    assert_int_equal(emu_allocations(), alive);
}

static void the_library_writes_the_device_down(void **state) {
    (void)state;
    need_device();
    char *text;
    if (bd_cuda_device_text(&text, 0)) fail_msg("%s", bd_error());
    assert_int_equal(text[0], '{');
    assert_non_null(strstr(text, "\"deviceVer\":"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ceiling_is_a_rate),
        cmocka_unit_test(odd_sides_are_refused),
        cmocka_unit_test(a_device_that_is_not_there_is_refused),
        cmocka_unit_test(every_failing_call_is_reported),
        cmocka_unit_test(too_little_memory_is_said),
        cmocka_unit_test(the_library_writes_the_device_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
