/* Oracles: reference numbers of every stage (tests/golden/inception_golden.json: an implementation in PyTorch, with
 * batch norms of their own, the same hash weights); the list of tensors of the published file; closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "cpu/cpu.h"
#include "hash_inception.h"
#include "inception_golden.h"
#include "io/safetensors.h"
#include "nn/inception.h"

#define TMP "build/tmp/test_inception"
#define WEIGHTS TMP "/weights.safetensors"

enum { N = INCEPTION_N, S = INCEPTION_S, SIZE = BD_INCEPTION_SIZE, INPUT = INCEPTION_INPUT };

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

static int group_setup(void **state) {
    (void)state;
    hash_inception_save(TMP, WEIGHTS, 1);
    return 0;
}

/* --- golden --- */

static void stages_equal_the_reference(void **state) {
    (void)state;
    inception_equals_the_reference(&bd_backend_cpu, WEIGHTS);
}

/* --- the table --- */

/* Every tensor of the published file belongs to the network, or is known to be ignored; the counts are those of
 * the original. */
static void parameters_are_those_of_the_file(void **state) {
    (void)state;
    bd_params p;
    bd_st_tensor t[HASH_INCEPTION_TENSORS];
    ok(bd_inception_params(&p));
    assert_int_equal(p.n, 2 * 94);
    hash_inception_make(t, 1);
    size_t weights = 0, norms = 0;
    for (int i = 0; i < HASH_INCEPTION_TENSORS; i++) {
        int at = bd_params_find(&p, t[i].name);
        if (strstr(t[i].name, ".bn.weight")) norms += t[i].bytes / sizeof(float);
        if (at < 0) continue;
        weights += p.at[at].count;
        for (int k = 0; k < 4; k++) assert_int_equal(p.at[at].dim[k], t[i].dim[k]);
    }
    assert_int_equal(weights + norms, p.count);      /* one bias a channel */
    assert_int_equal(weights + 2 * norms, 21785568); /* the backbone's published size */
    hash_inception_free(t);
    bd_params_clear(&p);
}

static void size_of_the_work(void **state) {
    (void)state;
    bd_graph *g;
    ok(bd_graph_create(&g, "inception"));
    bd_inception_build(g, bd_graph_input(g, "x", BD_TYPE_F32, 1, SIZE, SIZE, 3));
    ok(bd_graph_status(g));
    /* 5.7 G multiply-adds is the figure of the paper's network */
    assert_true(fabs(bd_graph_flops(g) / 2e9 - 5.7) < 0.05);
    bd_graph_destroy(g);
    ok(bd_graph_create(&g, "inception")); /* a wrong input is an error of the graph, nothing else */
    bd_inception_build(g, bd_graph_input(g, "x", BD_TYPE_F32, 1, 32, 32, 3));
    assert_int_equal(bd_graph_status(g), BD_E_SHAPE);
    bd_graph_destroy(g);
}

/* --- bad files --- */

static void refused(bd_st_tensor *t, size_t n, const char *word) {
    bd_params p;
    ok(bd_inception_params(&p));
    ok(bd_safetensors_save(TMP "/bad.safetensors", t, n, NULL, 0));
    bd_status st = bd_inception_load(&p, TMP "/bad.safetensors");
    bd_params_clear(&p);
    if (st != BD_E_FORMAT || !strstr(bd_error(), word) || !strstr(bd_error(), "bad.safetensors"))
        fail_msg("%s: status %d: %s", word, st, bd_error());
}

static void wrong_weights_are_named(void **state) {
    (void)state;
    enum { FIVE = 5, VAR = 4, ALL = HASH_INCEPTION_TENSORS };
    bd_st_tensor t[ALL + 1];
    hash_inception_make(t, 1);
    assert_non_null(strstr(t[VAR].name, "running_var"));
    refused(t, FIVE, "Conv2d_2a_3x3.conv.weight");
    float *var = (float *)(size_t)t[VAR].data, keep = var[3];
    var[3] = -0.5F;
    refused(t, FIVE, "running_var: value 3");
    var[3] = NAN;
    refused(t, FIVE, "running_var: value 3");
    var[3] = keep;
    t[1].dim[0] = 16;
    t[1].bytes /= 2;
    refused(t, FIVE, "bn.weight");
    t[1].dim[0] = 32;
    t[1].bytes *= 2;
    t[ALL] = t[ALL - 1];
    t[ALL].name = "AuxLogits.conv0.bn.bias";
    refused(t, ALL + 1, "AuxLogits");
    t[ALL].name = "Conv2d_1a_3x3.bn.num_batches_tracked"; /* in newer files: ignored */
    bd_params p;
    ok(bd_inception_params(&p));
    ok(bd_safetensors_save(TMP "/more.safetensors", t, ALL + 1, NULL, 0));
    ok(bd_inception_load(&p, TMP "/more.safetensors"));
    assert_int_equal(bd_inception_load(&p, TMP "/none.pth"), BD_E_MISSING);
    bd_params_clear(&p);
    hash_inception_free(t);
}

/* --- input --- */

static void input_equals_the_reference(void **state) {
    (void)state;
    static float images[N * S * S * 3], x[N * INPUT];
    inception_pictures(images);
    for (size_t i = 0; i < N; i++)
        ok(bd_inception_input(x + i * INPUT, images + i * S * S * 3, S, S, 3));
    for (size_t i = 0; i < N * INPUT; i++) x[i] = (x[i] + 1) / 2;
    json_t *doc = inception_golden();
    /* a few roundings of numbers below 1 */
    double e = inception_error(x, (int[4]){N, SIZE, SIZE, 3}, json_object_get(doc, "resize"));
    json_decref(doc);
    assert_true(e <= 1e-6);
}

/* Sizes up and down: a plane stays a plane (linear interpolation is exact on it) away from the edges, where
 * pixels repeat; without smoothing, a smaller picture takes single pixels. */
static void input_of_other_sizes(void **state) {
    (void)state;
    static const int sizes[][2] = {{28, 28}, {64, 64}, {299, 299}, {256, 300}, {1, 1}, {640, 2}};
    static float pixels[640 * 300 * 3], x[INPUT];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int h = sizes[s][0], w = sizes[s][1];
        for (int c = 1; c <= 3; c += 2) {
            for (int i = 0; i < h * w * c; i++)
                pixels[i] =
                    (float)(i / c / w) / 1300 + (float)(i / c % w) / 700 + (float)(i % c) / 97;
            ok(bd_inception_input(x, pixels, h, w, c));
            for (int i = 0; i < INPUT; i++) {
                double r = fmin(fmax((i / 3 / SIZE + 0.5) * h / SIZE - 0.5, 0), h - 1);
                double q = fmin(fmax((i / 3 % SIZE + 0.5) * w / SIZE - 0.5, 0), w - 1);
                double want = r / 1300 + q / 700 + (c == 3 ? i % 3 / 97.0 : 0);
                if (!(fabs((x[i] + 1.0) / 2 - want) <= 1e-6))
                    fail_msg("%dx%dx%d, element %d: %g, should be %g", h, w, c, i, (x[i] + 1.0) / 2,
                             want);
            }
        }
    }
    assert_int_equal(bd_inception_input(x, pixels, 8, 8, 2), BD_E_SHAPE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_equal_the_reference),
        cmocka_unit_test(parameters_are_those_of_the_file),
        cmocka_unit_test(size_of_the_work),
        cmocka_unit_test(wrong_weights_are_named),
        cmocka_unit_test(input_equals_the_reference),
        cmocka_unit_test(input_of_other_sizes),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
