/* Oracle: the float64 reference of every operation, through whole graphs (op_cases.h), on the CUDA backend: own kernels
 * and the libraries, on a device or on the emulator, in every precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cuda/cuda.h"
#include "op_cases.h"
#include "ref/ref_ops.h"

static bool seen[BD_OP_COUNT];

static void backend_of(bd_backend *b, bd_precision p) {
    if (bd_cuda_backend_init(b, 0, p)) {
        print_message("%s\n", bd_error());
        if (bd_cuda_devices() > 0) fail();
        skip();
    }
}

static void wrong_cases(bd_precision p, bool keep_all) {
    bd_backend b;
    backend_of(&b, p);
    assert_int_equal(op_cases_run(&b, keep_all, seen), 0);
}

static void every_activation_in_f32(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_F32, true);
}
static void results_in_f32(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_F32, false);
}
static void results_in_tf32(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_TF32, false);
}
static void every_activation_in_bf16(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_BF16, true);
}
static void results_in_bf16(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_BF16, false);
}
static void results_in_fp16(void **state) {
    (void)state;
    wrong_cases(BD_PRECISION_FP16, false);
}

/* Ops of scope STEP are no nodes; tests/test_cuda_engine.c has them. A cast is made by lowering, in 16 bits. */
static void every_op_has_a_case(void **state) {
    (void)state;
    if (getenv("CASE") || bd_cuda_devices() == 0) {
        print_message("not all cases were run\n");
        skip();
    }
    for (int i = 0; i < BD_OP_COUNT; i++)
        if (ref_table[i] && i != BD_OP_cast && !seen[i])
            fail_msg("op %s has no case", bd_op_name((bd_op)i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_activation_in_f32), cmocka_unit_test(results_in_f32),
        cmocka_unit_test(results_in_tf32),         cmocka_unit_test(every_activation_in_bf16),
        cmocka_unit_test(results_in_bf16),         cmocka_unit_test(results_in_fp16),
        cmocka_unit_test(every_op_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
