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
        cmocka_unit_test(every_op_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
