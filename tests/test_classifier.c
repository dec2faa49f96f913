/* Oracles: shapes and counts worked out by hand; finite differences of the loss in float64. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hash_weights.h"
#include "nn/classifier.h"
#include "ref/ref_run.h"

static void test_shapes(void **state) {
    (void)state;
    bd_graph *g;
    bd_classifier_config c = BD_CLASSIFIER_DEFAULT;
    assert_int_equal(bd_graph_create(&g, "classifier"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 4, 32, 32, 1);
    bd_classifier_out out = bd_classifier_build(g, &c, x);
    assert_int_equal(bd_graph_status(g), BD_OK);
    static const int features[4] = {4, 1, 1, BD_CLASSIFIER_FEATURES}, logits[4] = {4, 1, 1, 10};
    assert_memory_equal(bd_graph_tensor(g, out.features)->dim, features, sizeof features);
    assert_memory_equal(bd_graph_tensor(g, out.logits)->dim, logits, sizeof logits);
    /* 2 k^2 I O H W of each convolution, 2 I O of the linear layer */
    double flops =
        2.0 * 9 * (1 * 16 * 1024 + 16 * 32 * 256 + 32 * 32 * 256 + 32 * 64 * 64 + 64 * 64 * 64) +
        2.0 * 64 * 10;
    assert_true(bd_graph_flops(g) == 4 * flops);
    assert_true(flops < 30e6);
    bd_params p;
    assert_int_equal(bd_params_from_graph(&p, g), BD_OK);
    size_t weights = 9 * (1 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 640;
    size_t biases = 16 + 32 + 32 + 64 + 64 + 10, norms = 2 * (16 + 32 + 32 + 64 + 64);
    assert_int_equal(p.count, weights + biases + norms);
    assert_int_equal(bd_params_init(&p, 1), BD_OK);
    bd_params_clear(&p);
    bd_graph_destroy(g);
}

static void test_bad_config(void **state) {
    (void)state;
    static const bd_classifier_config bad[] = {{.sample_size = 30, .channels = 1, .classes = 10},
                                               {.sample_size = 32, .channels = 0, .classes = 10},
                                               {.sample_size = 32, .channels = 1, .classes = 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bd_params p;
        assert_int_equal(bd_classifier_params(&p, &bad[i]), i == 1 ? BD_E_SHAPE : BD_E_ARG);
    }
}

/* Gradients of the cross entropy along single weights of each layer, central differences. */
static void test_gradients(void **state) {
    (void)state;
    bd_graph *g;
    bd_classifier_config c = {.sample_size = 8, .channels = 2, .classes = 3};
    assert_int_equal(bd_graph_create(&g, "classifier"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 2, 8, 8, 2), prob;
    int label = bd_graph_input(g, "label", BD_TYPE_I32, 2, 1, 1, 1);
    int weight = bd_graph_input(g, "weight", BD_TYPE_F32, 2, 1, 1, 1);
    bd_classifier_out out = bd_classifier_build(g, &c, x);
    int loss = bd_cross_entropy(g, out.logits, label, weight, &prob);
    assert_int_equal(bd_graph_status(g), BD_OK);
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    bd_params p;
    assert_int_equal(bd_params_from_graph(&p, g), BD_OK);
    hash_weights(&p);
    ref_run *r = ref_run_create(g);
    float images[2 * 8 * 8 * 2];
    hash_values(images, sizeof images / sizeof *images, "input", 1);
    ref_run_load(r, x, images);
    ref_run_load(r, label, (int32_t[]){2, 0});
    ref_run_load(r, weight, (float[]){0.5F, 0.5F});
    for (int i = 0; i < p.n; i++)
        ref_run_load(r, bd_graph_find(g, p.at[i].name), p.data + p.at[i].first);
    ref_run_tile(r);
    for (int i = 0; i < p.n; i++) {
        int id = bd_graph_find(g, p.at[i].name);
        size_t k = p.at[i].count / 2;
        double *w = r->data[id] + k, at = *w, h = 1e-5;
        *w = at + h;
        double above = ref_run_loss(r, loss);
        *w = at - h;
        double below = ref_run_loss(r, loss);
        *w = at;
        double want = (above - below) / (2 * h), got = r->sum[bd_graph_grad(g, id)][k];
        /* h^2 of the third derivative and 1e-16/h of rounding, both near 1e-10 */
        if (!(fabs(got - want) <= 1e-8 + 1e-6 * fabs(want)))
            fail_msg("%s: gradient %.10g, difference quotient %.10g", p.at[i].name, got, want);
    }
    ref_run_destroy(r);
    bd_params_clear(&p);
    bd_graph_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_bad_config),
                                       cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
