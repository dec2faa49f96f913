/* Oracle: the float64 reference of every operation, through whole graphs (op_cases.h), on the CPU backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "op_cases.h"
#include "ref/ref_ops.h"

static bool seen[BD_OP_COUNT];

static void every_activation_equals_the_reference(void **state) {
    (void)state;
    assert_int_equal(op_cases_run(&bd_backend_cpu, true, seen), 0);
}

static void results_equal_the_reference_when_storage_is_shared(void **state) {
    (void)state;
    bool fused[BD_OP_COUNT] = {false};
    assert_int_equal(op_cases_run(&bd_backend_cpu, false, fused), 0);
}

static void results_in_bf16_come_near_the_reference(void **state) {
    (void)state;
    bd_backend b = bd_backend_cpu;
    bool more[BD_OP_COUNT] = {false};
    b.precision = BD_PRECISION_BF16;
    assert_int_equal(op_cases_run(&b, true, more), 0);
    assert_int_equal(op_cases_run(&b, false, more), 0);
}

static bd_status create_in_bf16(bd_engine **out, const bd_backend *self, const bd_graph *g,
                                bd_pool *pool) {
    bd_backend b = *self;
    b.precision = BD_PRECISION_BF16;
    return bd_backend_cpu.engine_create(out, &b, g, pool);
}

/* The bound of float32 is far below what bf16 loses. */
static void bf16_is_no_f32(void **state) {
    (void)state;
    bd_backend b = bd_backend_cpu;
    bool more[BD_OP_COUNT] = {false};
    b.engine_create = create_in_bf16;
    if (getenv("CASE")) skip();
    setenv("CASE", "conv2d/1", 1);
    print_message("one case is wrong here, as it should be:\n");
    assert_true(op_cases_run(&b, false, more) > 0);
    unsetenv("CASE");
}

/* Ops of scope STEP are no nodes; tests/test_ops_run.c has them. A cast is made by lowering alone. */
static void every_op_has_a_case(void **state) {
    (void)state;
    if (getenv("CASE")) {
        print_message("only one case was run\n");
        skip();
    }
    for (int i = 0; i < BD_OP_COUNT; i++)
        if (ref_table[i] && i != BD_OP_cast && !seen[i])
            fail_msg("op %s has no case", bd_op_name((bd_op)i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_activation_equals_the_reference),
        cmocka_unit_test(results_equal_the_reference_when_storage_is_shared),
        cmocka_unit_test(results_in_bf16_come_near_the_reference),
        cmocka_unit_test(bf16_is_no_f32),
        cmocka_unit_test(every_op_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
