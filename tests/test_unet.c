/* Oracles: outputs, gradients and Adam steps of the original UNet in PyTorch, weights by hash (unet_golden.json);
 * the float64 reference of the operations is held against the same numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "diffusion/schedule.h"
#include "golden_net.h"
#include "hash_weights.h"
#include "nn/parity.h"
#include "ref_backend.h"
#include "unet_run.h"

/* Both sides compute in float32, over some thirty layers of sums of a few hundred terms each. */
#define TOLERANCE 1e-4

enum { VALUES_MAX = 3 * 32 * 32 };

static json_t *golden;

static int setup(void **state) {
    (void)state;
    golden = golden_net_load();
    return golden ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_decref(golden);
    return 0;
}

static void check(const char *backend, const char *what, double error) {
    if (!(error <= TOLERANCE)) fail_msg("%s: %s: error %.3g", backend, what, error);
}

static void params_open(bd_params *p, const bd_unet_config *c) {
    assert_int_equal(bd_unet_params(p, c), BD_OK);
    hash_weights(p);
}

/* --- forward --- */

static void forward(const bd_backend *b, const char *net) {
    const json_t *entry = json_object_get(golden, net);
    const json_t *t = json_object_get(entry, "timesteps");
    bd_unet_config c;
    bd_params p;
    golden_net_config(&c, golden, net);
    params_open(&p, &c);
    assert_int_equal(p.count, json_integer_value(json_object_get(entry, "nparams")));
    float sample[VALUES_MAX], output[VALUES_MAX];
    double timestep[2] = {0};
    unet_run r = {.backend = b,
                  .config = &c,
                  .sample = sample,
                  .output = output,
                  .timestep = timestep,
                  .n = (int)json_array_size(t)};
    for (int i = 0; i < r.n; i++)
        timestep[i] = (double)json_integer_value(json_array_get(t, (size_t)i));
    size_t n = (size_t)r.n * (size_t)c.in_channels * (size_t)c.sample_size * (size_t)c.sample_size;
    assert_true(n <= VALUES_MAX);
    hash_values(sample, n, "input", 2);
    unet_run_open(&r, &p);
    unet_run_tile(&r);
    unet_run_close(&r);
    bd_params_clear(&p);
    char path[128];
    snprintf(path, sizeof path, "tests/golden/unet_%s_out.f32", net);
    check(b->name, net, golden_net_file_error(output, n, path));
    check(b->name, net, golden_net_error(output, n, json_object_get(entry, "out"), 0));
    output[n / 2] += 0.01F; /* the comparison sees one wrong pixel */
    assert_true(golden_net_file_error(output, n, path) > TOLERANCE);
}

static void test_tiny_a(void **state) { forward(*state, "tinyA"); }
static void test_tiny_b(void **state) { forward(*state, "tinyB"); }
static void test_cifar(void **state) { forward(*state, "cifar"); }

/* --- three steps of training --- */

enum { TRAIN_N = 2, TRAIN_IMAGE = 3 * 8 * 8, TRAIN_VALUES = TRAIN_N * TRAIN_IMAGE };

typedef struct {
    float x_t[TRAIN_VALUES], y[TRAIN_VALUES], output[TRAIN_VALUES];
    double timestep[TRAIN_N];
} train_data;

/* x_t = sqrt(abar) x + sqrt(1-abar) eps + (1-sqrt(abar)) R,  y = eps + rho R; image 1 is clean */
static void train_data_make(train_data *d) {
    float x[TRAIN_VALUES], eps[TRAIN_VALUES], R[TRAIN_IMAGE];
    hash_values(x, TRAIN_VALUES, "target", 1);
    hash_values(eps, TRAIN_VALUES, "noise", 1.5);
    hash_values(R, TRAIN_IMAGE, "R", 1);
    bd_schedule s;
    assert_int_equal(bd_schedule_linear(&s, 1000, 1e-4, 0.02), BD_OK);
    const json_t *t = json_object_get(json_object_get(golden, "train_tinyA"), "t");
    for (int k = 0; k < TRAIN_N; k++) {
        int step = (int)json_integer_value(json_array_get(t, (size_t)k));
        double a = sqrt(s.abar[step]), b = sqrt(1 - s.abar[step]);
        double rho = (1 - sqrt(s.alpha[step])) * b / (1 - s.alpha[step]);
        d->timestep[k] = step;
        for (int i = 0; i < TRAIN_IMAGE; i++) {
            int j = k * TRAIN_IMAGE + i;
            double r = k == 0 ? R[i] : 0;
            d->x_t[j] = (float)(a * x[j] + b * eps[j] + (1 - a) * r);
            d->y[j] = (float)(eps[j] + rho * r);
        }
    }
    bd_schedule_clear(&s);
}

static const json_t *stats_of(const char *group, const char *name) {
    char old[128];
    old_name(old, name);
    return json_object_get(json_object_get(golden, group), old);
}

/* Gradients after clipping to norm 1, each against the measure of `parity`. */
static void check_gradients(const unet_run *r, bd_params *grad, double norm) {
    double all = 0, scale = fmin(1, 1 / (norm + 1e-6));
    if (bd_params_download(grad, r->backend, r->engine, r->graph, BD_SLOT_GRAD))
        fail_msg("%s", bd_error());
    for (int i = 0; i < grad->n; i++) {
        const json_t *stats = stats_of("train_tinyA_grads_after_clip", grad->at[i].name);
        assert_non_null(stats);
        all += pow(json_number_value(json_object_get(stats, "l2")), 2);
    }
    check(r->backend->name, "norm of all gradients", fabs(sqrt(all) - norm * scale));
    for (int i = 0; i < grad->n; i++) {
        const bd_param *q = &grad->at[i];
        float *g = grad->data + q->first;
        for (size_t k = 0; k < q->count; k++) g[k] = (float)(g[k] * scale);
        check(r->backend->name, q->name,
              golden_net_error(g, q->count, stats_of("train_tinyA_grads_after_clip", q->name),
                               1e-4 * sqrt(all)));
    }
}

static void check_params(const unet_run *r, bd_params *p) {
    const json_t *want = json_object_get(json_object_get(golden, "train_tinyA"), "params_after3");
    assert_true(json_object_size(want) >= 5);
    if (bd_params_download(p, r->backend, r->engine, r->graph, BD_SLOT_PARAM))
        fail_msg("%s", bd_error());
    const char *name;
    json_t *stats;
    json_object_foreach((json_t *)(uintptr_t)want, name, stats) {
        int i = bd_params_find(p, name);
        assert_true(i >= 0);
        check(r->backend->name, name,
              golden_net_error(p->data + p->at[i].first, p->at[i].count, stats, 0));
    }
}

static void test_training(void **state) {
    const bd_backend *b = *state;
    static train_data d;
    bd_unet_config c;
    bd_params p, grad;
    train_data_make(&d);
    check("forward process", "x_t",
          golden_net_error(d.x_t, TRAIN_VALUES, json_object_get(golden, "train_tinyA_xt"), 0));
    check("forward process", "y",
          golden_net_error(d.y, TRAIN_VALUES, json_object_get(golden, "train_tinyA_target"), 0));
    golden_net_config(&c, golden, "tinyA");
    params_open(&p, &c);
    assert_int_equal(bd_unet_params(&grad, &c), BD_OK);
    unet_run r = {.backend = b,
                  .config = &c,
                  .n = TRAIN_N,
                  .sample = d.x_t,
                  .target = d.y,
                  .timestep = d.timestep,
                  .output = d.output};
    unet_run_open(&r, &p);
    const json_t *history = json_object_get(json_object_get(golden, "train_tinyA"), "history");
    assert_int_equal(json_array_size(history), 3);
    for (int k = 0; k < 3; k++) {
        const json_t *want = json_array_get(history, (size_t)k);
        double norm, loss = json_number_value(json_object_get(want, "loss"));
        double want_norm = json_number_value(json_object_get(want, "grad_norm"));
        unet_run_tile(&r);
        if (b->grad_norm(r.engine, &norm)) fail_msg("%s", bd_error());
        check(b->name, "loss", fabs(r.loss - loss) / loss);
        check(b->name, "gradient norm", fabs(norm - want_norm) / want_norm);
        if (k == 0) {
            check(b->name, "prediction",
                  golden_net_error(d.output, TRAIN_VALUES,
                                   json_object_get(golden, "train_tinyA_pred0"), 0));
            check_gradients(&r, &grad, norm);
        }
        bd_adam adam = {
            .lr = 2e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1, .k = k + 1};
        if (b->adam(r.engine, &adam, norm)) fail_msg("%s", bd_error());
    }
    check_params(&r, &p);
    unet_run_close(&r);
    bd_params_clear(&grad);
    bd_params_clear(&p);
}

#define ON(test, name, backend) \
    { name, test, NULL, NULL, (void *)(uintptr_t) & (backend) } /* cmocka's state is not const */

int main(void) {
    const struct CMUnitTest tests[] = {
        ON(test_tiny_a, "tiny_a on the reference", ref_backend),
        ON(test_tiny_b, "tiny_b on the reference", ref_backend),
        ON(test_training, "training on the reference", ref_backend),
        ON(test_tiny_a, "tiny_a on the CPU", bd_backend_cpu),
        ON(test_tiny_b, "tiny_b on the CPU", bd_backend_cpu),
        ON(test_cifar, "cifar on the CPU", bd_backend_cpu),
        ON(test_training, "training on the CPU", bd_backend_cpu),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
