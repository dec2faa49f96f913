/* Oracle: the float64 reference of every operation, through whole graphs (op_cases.h), on the CUDA backend: own kernels
 * and the libraries, on a device or on the emulator, in every precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda/cuda.h"
#include "emu/emu_api.h"
#include "emu/sim_blas.h"
#include "emu/sim_dnn.h"
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

/* Kernels of kernels.def by the names that the emulator saw; those of an optimiser step run in test_cuda_engine.c. */
static bool ran(const char *name) {
    size_t len = strlen(name);
    for (int i = 0; i < emu_kernels(); i++) {
        const char *k = emu_kernel_name(i);
        if (!strncmp(k, name, len) && k[len] == '_' && strncmp(k + len, "_bwd", 4) != 0)
            return true;
    }
    return false;
}

static void every_kernel_was_executed(void **state) {
    (void)state;
    static const char *const names[] = {
#define BD_KERNEL(name) #name,
#include "cuda/kernels.def"
#undef BD_KERNEL
    };
    const bd_cuda_platform *p = bd_cuda_platform_get();
    if (getenv("CASE") || !p || strcmp(p->name, "emulator") != 0) {
        print_message("only a whole run on the emulator is counted\n");
        skip();
    }
    int kernels = 0, n = sizeof names / sizeof *names;
    unsigned long long launches = 0, blocks = 0;
    for (int i = 0; i < n; i++) {
        bool step = !strcmp(names[i], "grad_norm") || !strcmp(names[i], "adam");
        if (!step && !ran(names[i])) fail_msg("kernel %s was not executed", names[i]);
        kernels += ran(names[i]);
    }
    for (int i = 0; i < emu_kernels(); i++) {
        unsigned long long l = 0, b = 0;
        if (emu_count(emu_kernel_name(i), &l, &b)) launches += l, blocks += b;
    }
    print_message(
        "# executed on the emulated device: %d of %d kernels in %llu launches of %llu blocks, %zu "
        "convolution plans, %zu convolutions, %zu matrix products\n",
        kernels, n, launches, blocks, sim_dnn_count_plans(), sim_dnn_count_runs(),
        sim_blas_count_products());
}

int main(void) {
    if (setenv("BADDIFF_PLANS", "build/tmp/test_cuda_ops/plans", 1)) return 1; /* not the user's */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_activation_in_f32), cmocka_unit_test(results_in_f32),
        cmocka_unit_test(results_in_tf32),         cmocka_unit_test(every_activation_in_bf16),
        cmocka_unit_test(results_in_bf16),         cmocka_unit_test(results_in_fp16),
        cmocka_unit_test(every_op_has_a_case),     cmocka_unit_test(every_kernel_was_executed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
