/* Oracles: the float64 reference; a task that can be learned, with an untrained
 * control; bitwise equality over cuts and workers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "ref/ref_run.h"
#include "tiny.h"
#include "train/features.h"
#include "train/trainer.h"

enum { PIXELS = TINY_S * TINY_S, F = BD_CLASSIFIER_FEATURES, K = 2 };

static const bd_classifier_config config = {.sample_size = TINY_S, .channels = 1, .classes = K};

typedef struct {
    bd_dataset data;
    bd_pool *pool;
    bd_params params;
    bd_features_spec spec;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    tiny_dataset(&f->data);
    assert_int_equal(bd_pool_create(&f->pool, 1), BD_OK);
    assert_int_equal(bd_classifier_params(&f->params, &config), BD_OK);
    assert_int_equal(bd_params_init(&f->params, 3), BD_OK);
    f->spec = (bd_features_spec){
        .backend = &bd_backend_cpu, .pool = f->pool, .config = &config, .params = &f->params};
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_pool_destroy(f->pool);
    bd_params_clear(&f->params);
    bd_dataset_clear(&f->data);
    free(f);
    return 0;
}

static bd_classifier_train_spec training(const fixture *f) {
    return (bd_classifier_train_spec){
        .backend = &bd_backend_cpu,
        .pool = f->pool,
        .classifier = &config,
        .data = &f->data,
        .loop = {.seed = 2, .batch = 8, .tile = 4, .epochs = 20, .lr = 3e-3, .warmup = 3},
    };
}

static double accuracy(const fixture *f, const int32_t *labels) {
    double value;
    assert_int_equal(bd_classifier_accuracy(&value, f->data.images, labels, TINY_N, &f->spec),
                     BD_OK);
    return value;
}

static void test_classifier_learns(void **state) {
    fixture *f = *state;
    double before = accuracy(f, f->data.labels);
    bd_classifier_train_spec spec = training(f);
    bd_loop_result r;
    assert_int_equal(bd_classifier_train(&r, &f->params, &spec), BD_OK);
    assert_int_equal(r.images, 20 * TINY_N);
    assert_true(before <= 0.75); /* control: untrained it does not know them apart */
    assert_true(accuracy(f, f->data.labels) == 1.0);
    assert_true(r.loss < 0.1); /* log 2 = 0.69 is knowing nothing */

    int32_t flipped[TINY_N]; /* accuracy counts: all labels wrong, then a quarter */
    for (int i = 0; i < TINY_N; i++) flipped[i] = !f->data.labels[i];
    assert_true(accuracy(f, flipped) == 0.0);
    for (int i = 0; i < TINY_N; i++) flipped[i] = f->data.labels[i] ^ (i % 4 == 0);
    assert_true(accuracy(f, flipped) == 0.75);
}

/* All images through the float64 network, pixels put in by the formula of training. */
static ref_run *reference(bd_graph *g, const fixture *f, bd_classifier_out *net) {
    int x = bd_graph_input(g, "x", BD_TYPE_F32, TINY_N, TINY_S, TINY_S, 1);
    *net = bd_classifier_build(g, &config, x);
    assert_int_equal(bd_graph_status(g), BD_OK);
    ref_run *r = ref_run_create(g);
    for (int i = 0; i < TINY_N * PIXELS; i++)
        r->data[x][i] = f->data.images[i] / 255.0 / 1.00001 * 2 - 1;
    for (int i = 0; i < f->params.n; i++) {
        int tensor = bd_graph_find(g, f->params.at[i].name);
        assert_true(tensor >= 0);
        ref_run_load(r, tensor, f->params.data + f->params.at[i].first);
    }
    ref_run_tile(r);
    return r;
}

static void assert_near(const float *x, const double *expected, int n) {
    int nonzero = 0;
    for (int i = 0; i < n; i++) {
        /* values of about 1 behind a handful of layers of float32 */
        if (!(fabs(x[i] - expected[i]) < 1e-4))
            fail_msg("element %d: %g, should be %g", i, (double)x[i], expected[i]);
        nonzero += fabs(expected[i]) > 1e-2;
    }
    assert_true(nonzero > n / 2);
}

static void test_features_equal_the_reference(void **state) {
    fixture *f = *state;
    float features[TINY_N * F], logits[TINY_N * K];
    assert_int_equal(bd_features(features, logits, f->data.images, TINY_N, &f->spec), BD_OK);
    bd_graph *g;
    bd_classifier_out net;
    assert_int_equal(bd_graph_create(&g, "reference"), BD_OK);
    ref_run *r = reference(g, f, &net);
    assert_near(features, r->data[net.features], TINY_N * F);
    assert_near(logits, r->data[net.logits], TINY_N * K);
    ref_run_destroy(r);
    bd_graph_destroy(g);
}

static void test_cuts_and_workers_do_not_matter(void **state) {
    fixture *f = *state;
    float whole[TINY_N * F], x[TINY_N * F];
    assert_int_equal(bd_features(whole, NULL, f->data.images, TINY_N, &f->spec), BD_OK);
    assert_memory_not_equal(whole, whole + F, F * sizeof *whole);
    const uint8_t *images = f->data.images;
    assert_int_equal(bd_features(x, NULL, images, 11, &f->spec), BD_OK);
    assert_int_equal(bd_features(x + 11 * F, NULL, images + 11 * PIXELS, 13, &f->spec), BD_OK);
    assert_memory_equal(x, whole, sizeof x);
    bd_features_spec spec = f->spec;
    assert_int_equal(bd_pool_create(&spec.pool, 3), BD_OK);
    assert_int_equal(bd_features(x, NULL, images, TINY_N, &spec), BD_OK);
    bd_pool_destroy(spec.pool);
    assert_memory_equal(x, whole, sizeof x);
}

static void test_trouble_is_reported(void **state) {
    fixture *f = *state;
    float x[TINY_N * F];
    assert_int_equal(bd_features(x, NULL, f->data.images, 0, &f->spec), BD_E_ARG);
    f->params.data[f->params.at[0].first] = NAN;
    assert_int_equal(bd_features(x, NULL, f->data.images, TINY_N, &f->spec), BD_E_NUMERIC);

    bd_classifier_train_spec spec = training(f);
    bd_loop_result r;
    bd_dataset wrong = f->data;
    wrong.classes = 5;
    spec.data = &wrong;
    assert_int_equal(bd_classifier_train(&r, &f->params, &spec), BD_E_SHAPE);
    wrong = f->data;
    wrong.labels = NULL;
    assert_int_equal(bd_classifier_train(&r, &f->params, &spec), BD_E_SHAPE);
    wrong = f->data;
    wrong.c = 3;
    assert_int_equal(bd_classifier_train(&r, &f->params, &spec), BD_E_SHAPE);
}

/* The committed weights name the right garment for more than 88 of 100 held-out images; fresh ones do not. */
static void test_committed_classifier(void **state) {
    fixture *f = *state;
    static const bd_classifier_config full = BD_CLASSIFIER_DEFAULT;
    bd_dataset_spec set = {.name = "fashion-mnist", .split = "test", .size = full.sample_size};
    bd_dataset d;
    bd_status st = bd_dataset_load(&d, &set);
    if (st == BD_E_MISSING) {
        print_message("skip: %s\n", bd_error());
        skip();
    }
    assert_int_equal(st, BD_OK);
    bd_params params;
    double accuracy;
    bd_features_spec spec = {&bd_backend_cpu, f->pool, &full, &params};
    assert_int_equal(bd_classifier_params(&params, &full), BD_OK);
    assert_int_equal(bd_params_init(&params, 3), BD_OK);
    assert_int_equal(bd_classifier_accuracy(&accuracy, d.images, d.labels, 1000, &spec), BD_OK);
    assert_true(accuracy < 0.5);
    assert_int_equal(bd_params_load(&params, "experiments/classifier/fashion-mnist.safetensors"),
                     BD_OK);
    assert_int_equal(bd_classifier_accuracy(&accuracy, d.images, d.labels, d.n, &spec), BD_OK);
    print_message("accuracy %.4f, n = %d\n", accuracy, d.n);
    assert_true(accuracy > 0.88);
    bd_params_clear(&params);
    bd_dataset_clear(&d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_classifier_learns),
        TEST(test_features_equal_the_reference),
        TEST(test_cuts_and_workers_do_not_matter),
        TEST(test_trouble_is_reported),
        TEST(test_committed_classifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
