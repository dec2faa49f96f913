/* Oracle: reference numbers of every stage of Inception-v3 (inception_golden.h), on the CUDA backend: a device's, or the
 * emulator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cuda/cuda.h"
#include "hash_inception.h"
#include "inception_golden.h"

#define TMP "build/tmp/test_cuda_inception"
#define WEIGHTS TMP "/weights.safetensors"

static void stages_equal_the_reference(void **state) {
    bd_backend b;
    (void)state;
    if (bd_cuda_backend_init(&b, 0, BD_PRECISION_F32)) {
        print_message("%s\n", bd_error());
        if (bd_cuda_devices() > 0) fail();
        skip();
    }
    hash_inception_save(TMP, WEIGHTS, 1);
    inception_equals_the_reference(&b, WEIGHTS);
}

int main(void) {
    if (setenv("BADDIFF_PLANS", TMP "/plans", 1)) return 1; /* not the user's */
    const struct CMUnitTest tests[] = {cmocka_unit_test(stages_equal_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
