/* Oracles: networks, losses and gradients computed by PyTorch and diffusers in double (tests/golden/parity, made by
 * make_cases.py); a spoilt weight, target or gradient must be seen. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/model.h"
#include "io/safetensors.h"
#include "nn/parity.h"
#include "ref_backend.h"

#define CASES "tests/golden/parity/"
#define TMP "build/tmp/test_parity"

/* float32 over some twenty layers; timesteps near 1000 cost the sine's argument 6e-5 in PyTorch's
 * float32 embedding, which the output sees damped. */
#define TOLERANCE 1e-4

static bd_pool *pool;

static int setup(void **state) {
    (void)state;
    return bd_pool_create(&pool, 2) || bd_file_mkdirs(TMP) ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    bd_pool_destroy(pool);
    return 0;
}

static void test_cases(void **state) {
    const bd_backend *b = *state;
    static const char *const name[] = {"heads", "cifarlike", "uneven", "tiles"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char dir[128];
        bd_parity p;
        snprintf(dir, sizeof dir, CASES "%s", name[i]);
        if (bd_parity_network(&p, dir, b, pool)) fail_msg("%s", bd_error());
        if (!(bd_parity_worst(&p) <= TOLERANCE))
            fail_msg("%s on %s: output %.3g, loss %.3g, %s %.3g", name[i], b->name, p.output,
                     p.loss, p.grad[0].name, p.grad[0].error);
        assert_true(p.n_grads > 40);
        assert_true(p.loss_value > 0.1);
        for (int k = 1; k < p.n_grads; k++) assert_true(p.grad[k - 1].error >= p.grad[k].error);
        bd_parity_clear(&p);
    }
}

/* --- spoilt cases --- */

static void copy_file(const char *dir, const char *name) {
    char from[256], to[256];
    void *data;
    size_t n;
    snprintf(from, sizeof from, "%s/%s", dir, name);
    snprintf(to, sizeof to, TMP "/%s", name);
    if (bd_file_read(&data, &n, from, 0) || bd_file_write(to, data, n)) fail_msg("%s", bd_error());
    free(data);
}

/* The "tiles" case with element `i` of one tensor of one file changed by `by` (without: a plain copy). */
static void spoil(const char *file, const char *tensor, size_t i, float by) {
    static const char *const files[] = {"config.json", "diffusion_pytorch_model.safetensors",
                                        "case.safetensors"};
    for (int k = 0; k < 3; k++) copy_file(CASES "tiles", files[k]);
    if (!file) return;
    char path[256];
    snprintf(path, sizeof path, TMP "/%s", file);
    bd_tensors *s;
    if (bd_safetensors_load(&s, path)) fail_msg("%s", bd_error());
    size_t n = bd_tensors_count(s);
    bd_st_tensor *t = calloc(n, sizeof *t);
    float *copy = NULL;
    for (size_t k = 0; k < n; k++) {
        t[k] = *bd_tensors_at(s, k);
        if (strcmp(t[k].name, tensor) != 0) continue;
        copy = malloc(t[k].bytes);
        memcpy(copy, t[k].data, t[k].bytes);
        copy[i] += by;
        t[k].data = copy;
    }
    assert_non_null(copy);
    if (bd_safetensors_save(path, t, n, NULL, 0)) fail_msg("%s", bd_error());
    free(copy);
    free(t);
    bd_tensors_destroy(s);
}

static double worst_of_spoilt(const bd_backend *b) {
    bd_parity p;
    if (bd_parity_network(&p, TMP, b, pool)) fail_msg("%s", bd_error());
    double worst = bd_parity_worst(&p);
    bd_parity_clear(&p);
    return worst;
}

static void test_spoilt_cases_fail(void **state) {
    const bd_backend *b = *state;
    const char *weights = "diffusion_pytorch_model.safetensors", *file = "case.safetensors";
    spoil(NULL, NULL, 0, 0);
    assert_true(worst_of_spoilt(b) <= TOLERANCE);
    spoil(weights, "mid_block.attentions.0.to_q.weight", 3, 0.1F);
    assert_true(worst_of_spoilt(b) > TOLERANCE);
    spoil(weights, "conv_out.bias", 0, 0.01F);
    assert_true(worst_of_spoilt(b) > TOLERANCE);
    spoil(file, "target", 175, 0.1F); /* the last pixel of the last image, in the filled-up tile */
    assert_true(worst_of_spoilt(b) > TOLERANCE);
    spoil(file, "output", 175, 0.1F);
    assert_true(worst_of_spoilt(b) > TOLERANCE);
    spoil(file, "grad.conv_norm_out.bias", 7, 0.01F);
    assert_true(worst_of_spoilt(b) > TOLERANCE);
    spoil(file, "loss", 0, 0.001F);
    assert_true(worst_of_spoilt(b) > TOLERANCE);
}

static void test_nan_is_not_agreement(void **state) {
    const bd_backend *b = *state;
    spoil("case.safetensors", "output", 3, NAN);
    assert_true(isnan(worst_of_spoilt(b)));
}

static void test_incomplete_cases_are_refused(void **state) {
    const bd_backend *b = *state;
    bd_parity p;
    spoil(NULL, NULL, 0, 0);
    bd_tensors *s;
    assert_int_equal(bd_safetensors_load(&s, TMP "/case.safetensors"), BD_OK);
    size_t n = bd_tensors_count(s);
    bd_st_tensor *t = calloc(n, sizeof *t);
    for (size_t drop = 0; drop < n; drop += 7) {
        size_t kept = 0;
        for (size_t k = 0; k < n; k++)
            if (k != drop) t[kept++] = *bd_tensors_at(s, k);
        assert_int_equal(bd_safetensors_save(TMP "/case.safetensors", t, kept, NULL, 0), BD_OK);
        assert_int_equal(bd_parity_network(&p, TMP, b, pool), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), bd_tensors_at(s, drop)->name));
    }
    free(t);
    bd_tensors_destroy(s);
    assert_int_equal(bd_parity_network(&p, TMP "/none", b, pool), BD_E_MISSING);
}

static void test_relative_error(void **state) {
    (void)state;
    const float r[] = {3, 4}, a[] = {3, 4.5F}, zero[] = {0, 0};
    assert_true(bd_relative_error(r, r, 2, 0) == 0);
    assert_true(bd_relative_error(a, r, 2, 0) == 0.1);
    assert_true(bd_relative_error(a, r, 2, 10) == 0.05);
    assert_true(bd_relative_error(zero, zero, 2, 0) == 0);
    assert_true(isinf(bd_relative_error(a, zero, 2, 0)));
}

static void test_tile(void **state) {
    (void)state;
    static const int want[][2] = {{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {8, 8}, {9, 8}, {100, 8}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(bd_parity_tile(want[i][0]), want[i][1]);
}

#define ON(test, name, backend) \
    { name, test, NULL, NULL, (void *)(uintptr_t) & (backend) } /* cmocka's state is not const */

int main(void) {
    const struct CMUnitTest tests[] = {
        ON(test_cases, "cases on the reference", ref_backend),
        ON(test_spoilt_cases_fail, "spoilt cases on the reference", ref_backend),
        ON(test_nan_is_not_agreement, "NaN on the reference", ref_backend),
        ON(test_incomplete_cases_are_refused, "incomplete cases are refused", ref_backend),
        ON(test_cases, "cases on the CPU", bd_backend_cpu),
        ON(test_spoilt_cases_fail, "spoilt cases on the CPU", bd_backend_cpu),
        ON(test_nan_is_not_agreement, "NaN on the CPU", bd_backend_cpu),
        cmocka_unit_test(test_relative_error),
        cmocka_unit_test(test_tile),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
