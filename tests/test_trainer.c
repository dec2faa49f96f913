/* Oracles: the float64 reference as a backend; bitwise equality over workers, interruptions and
 * checkpoint intervals; closed forms of counts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/attack.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "data/split.h"
#include "ref_backend.h"
#include "tiny.h"
#include "train/trainer.h"

#define DIR_NAME "build/tmp/test_trainer"

enum { PIXELS = TINY_S * TINY_S, T = 50 };

typedef struct {
    bd_dataset data;
    bd_pool *pool;
    float coef[T][4], trigger[PIXELS], target[PIXELS];
    uint8_t flags[TINY_N];
    bd_params params;
    bd_train_spec spec;
} fixture;

static volatile sig_atomic_t stop;

static void fresh_dir(void) {
    assert_int_equal(bd_file_remove_tree(DIR_NAME), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_NAME), BD_OK);
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    tiny_dataset(&f->data);
    bd_schedule schedule;
    assert_int_equal(bd_schedule_scaled(&schedule, T), BD_OK);
    bd_attack_table(f->coef, &bd_attack_baddiffusion, &schedule);
    bd_schedule_clear(&schedule);
    tiny_attack(f->trigger, f->target, f->flags);
    assert_int_equal(bd_pool_create(&f->pool, 1), BD_OK);
    tiny_params(&f->params, 1);
    f->spec = (bd_train_spec){
        .backend = &bd_backend_cpu,
        .pool = f->pool,
        .unet = &tiny_unet,
        .data = &f->data,
        .flip = true,
        .T = T,
        .coef = f->coef,
        .flags = f->flags,
        .trigger = f->trigger,
        .target = f->target,
        .loop = {.seed = 5,
                 .batch = 8,
                 .tile = 2,
                 .steps = 6,
                 .lr = 2e-3,
                 .warmup = 2,
                 .clip = 1,
                 .dir = DIR_NAME,
                 .stop = &stop},
    };
    stop = 0;
    fresh_dir();
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_pool_destroy(f->pool);
    bd_params_clear(&f->params);
    bd_dataset_clear(&f->data);
    free(f);
    return bd_file_remove_tree(DIR_NAME) ? -1 : 0;
}

/* Train from the same fresh weights. */
static bd_status train(bd_loop_result *r, fixture *f, const bd_train_spec *spec) {
    assert_int_equal(bd_params_init(&f->params, 1), BD_OK);
    bd_loop_result unused;
    return bd_train(r ? r : &unused, &f->params, spec);
}

/* A copy of the trained values; the caller frees it. */
static float *values(const fixture *f) {
    float *copy = malloc(f->params.bytes);
    assert_non_null(copy);
    memcpy(copy, f->params.data, f->params.bytes);
    return copy;
}

static double *losses(size_t *n) { return tiny_column(DIR_NAME, "loss", n); }

/* log.csv up to the last comma of each line: all but the time. */
static char *log_text(void) {
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, DIR_NAME "/log.csv", 0), BD_OK);
    char *text = data, *to = text;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t keep = (size_t)(strrchr(line, ',') - line);
        memmove(to, line, keep);
        to += keep;
        *to++ = '\n';
    }
    *to = '\0';
    return text;
}

/* --- the numbers --- */

static void test_loss_falls(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    spec.loop.steps = 150;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    size_t n;
    double *loss = losses(&n);
    double first = 0, last = 0;
    for (size_t i = 0; i < 15; i++) {
        first += loss[i] / 15;
        last += loss[n - 1 - i] / 15;
    }
    free(loss);
    if (!(last < 0.7 * first))
        fail_msg("mean loss %g of 15 steps at first, %g at last", first, last);
}

/* Control of the above: without a learning rate nothing moves, bit for bit. */
static void test_rate_zero_leaves_the_weights(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    spec.loop.lr = 0;
    float *before = values(f);
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    assert_memory_equal(before, f->params.data, f->params.bytes);
    free(before);
}

static void test_equals_the_float64_reference(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    spec.loop.steps = 4;
    size_t n;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    double *loss = losses(&n);
    fresh_dir();
    spec.backend = &ref_backend;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    double *expected = losses(&n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_true(expected[i] > 0.1);
        /* float32 noise of about 1e-6, and Adam's first steps, which are +-lr whatever the size of
         * a gradient: a tiny one may take its sign from rounding */
        if (!(fabs(loss[i] - expected[i]) < 1e-4 * expected[i]))
            fail_msg("step %zu: loss %.9g, reference %.9g", i + 1, loss[i], expected[i]);
    }
    assert_true(expected[3] != expected[0]);
    free(loss);
    free(expected);
}

/* Two micro-batches of four are the batch of eight: noise goes by the place in the step. */
static void test_accumulation_equals_the_whole_batch(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    spec.loop.steps = 3;
    spec.loop.warmup = 0;
    spec.loop.lr_total = INT64_C(1) << 40; /* the schedule counts micro-batches; keep it flat */
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    size_t n;
    double *whole = losses(&n);
    fresh_dir();
    spec.loop.micro_batch = 4;
    bd_loop_result r;
    assert_int_equal(train(&r, f, &spec), BD_OK);
    assert_int_equal(r.micro_steps, 6);
    double *halves = losses(&n);
    for (size_t i = 0; i < n; i++) /* order of float32 sums, as above */
        if (!(fabs(halves[i] - whole[i]) < 1e-4 * whole[i]))
            fail_msg("step %zu: loss %.9g in halves, %.9g whole", i + 1, halves[i], whole[i]);
    assert_true(halves[0] == whole[0]); /* nothing but the gradient may differ */
    free(whole);
    free(halves);
}

static void test_counts_images_and_poison(void **state) {
    fixture *f = *state; /* passes of 24 images, 8 poisoned: two passes */
    bd_loop_result r;
    assert_int_equal(train(&r, f, &f->spec), BD_OK);
    assert_int_equal(r.images, 48);
    assert_int_equal(r.poisoned, 16);
    assert_int_equal(r.epochs, 2);
    fresh_dir();
    bd_train_spec clean = f->spec;
    clean.flags = NULL;
    clean.trigger = clean.target = NULL;
    assert_int_equal(train(&r, f, &clean), BD_OK);
    assert_int_equal(r.poisoned, 0);
    fresh_dir();
    for (int i = 0; i < TINY_N; i++) f->flags[i] = i < 10 ? BD_ROW_CLEAN : BD_ROW_UNUSED;
    assert_int_equal(train(&r, f, &f->spec), BD_OK); /* passes of 8 + 2 */
    assert_int_equal(r.images, 30);
    assert_int_equal(r.poisoned, 0);
}

/* Poison matters to the weights, and a clean job does not see trigger and target. */
static void test_clean_job_ignores_the_stamps(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    float *poisoned = values(f);
    fresh_dir();
    spec.flags = NULL;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    float *clean = values(f);
    assert_memory_not_equal(clean, poisoned, f->params.bytes);
    fresh_dir();
    spec.trigger = spec.target = NULL;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    assert_memory_equal(clean, f->params.data, f->params.bytes);
    free(poisoned);
    free(clean);
}

/* --- same bits --- */

static void test_workers_do_not_matter(void **state) {
    fixture *f = *state;
    assert_int_equal(train(NULL, f, &f->spec), BD_OK);
    float *one = values(f);
    char *expected = log_text();
    for (int workers = 2; workers <= 3; workers++) {
        fresh_dir();
        bd_pool *pool;
        assert_int_equal(bd_pool_create(&pool, workers), BD_OK);
        bd_train_spec spec = f->spec;
        spec.pool = pool;
        assert_int_equal(train(NULL, f, &spec), BD_OK);
        bd_pool_destroy(pool);
        assert_memory_equal(one, f->params.data, f->params.bytes);
        char *text = log_text();
        assert_string_equal(text, expected);
        free(text);
    }
    free(expected);
    free(one);
}

/* The CPU backend, but `stop` rises when update `stop_after` is made. */
static int64_t stop_after;
static bd_status adam_then_stop(bd_engine *e, const bd_adam *a, double norm) {
    if (a->k == stop_after) stop = 1;
    return bd_backend_cpu.adam(e, a, norm);
}

static void test_interruption_does_not_matter(void **state) {
    fixture *f = *state;
    bd_backend interrupted = bd_backend_cpu;
    interrupted.adam = adam_then_stop;
    bd_train_spec spec = f->spec;
    spec.backend = &interrupted;
    spec.loop.micro_batch = 4;
    stop_after = -1;
    assert_int_equal(train(NULL, f, &spec), BD_OK);
    float *whole = values(f);
    char *expected = log_text();
    for (int64_t k = 1; k < spec.loop.steps; k++) {
        fresh_dir();
        stop_after = k;
        assert_int_equal(train(NULL, f, &spec), BD_E_INTERRUPT);
        stop = 0;
        stop_after = -1;
        bd_loop_result r;
        assert_int_equal(train(&r, f, &spec), BD_OK);
        assert_int_equal(r.resumed_at, k);
        assert_memory_equal(whole, f->params.data, f->params.bytes);
        char *text = log_text();
        assert_string_equal(text, expected);
        free(text);
    }
    free(expected);
    free(whole);
}

/* --- what is refused --- */

static void test_checkpoint_of_another_job_is_refused(void **state) {
    fixture *f = *state;
    assert_int_equal(train(NULL, f, &f->spec), BD_OK);
    assert_int_equal(train(NULL, f, &f->spec), BD_OK); /* the same job: taken up */

    bd_train_spec spec = f->spec;
    spec.flip = false;
    assert_int_equal(train(NULL, f, &spec), BD_E_ARG);
    spec = f->spec;
    spec.flags = NULL;
    assert_int_equal(train(NULL, f, &spec), BD_E_ARG);
    bd_unet_config other = tiny_unet;
    other.eps = 1e-6;
    spec = f->spec;
    spec.unet = &other;
    assert_int_equal(train(NULL, f, &spec), BD_E_ARG);
    f->trigger[0] = 0.25f;
    assert_int_equal(train(NULL, f, &f->spec), BD_E_ARG);
    f->trigger[0] = -1;
    f->target[0] = 0.25f;
    assert_int_equal(train(NULL, f, &f->spec), BD_E_ARG);
    f->target[0] = 0.5f;
    f->coef[3][2] *= 1.5f;
    assert_int_equal(train(NULL, f, &f->spec), BD_E_ARG);
    f->coef[3][2] /= 1.5f;
    assert_int_equal(bd_params_init(&f->params, 2), BD_OK); /* other start values */
    bd_loop_result r;
    assert_int_equal(bd_train(&r, &f->params, &f->spec), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "other settings"));
}

static void test_nan_stops(void **state) {
    fixture *f = *state;
    f->params.data[f->params.at[0].first] = NAN;
    bd_loop_result r;
    assert_int_equal(bd_train(&r, &f->params, &f->spec), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "step 1 of 6"));
    assert_int_equal(r.steps, 0);
}

static void test_shapes_must_fit(void **state) {
    fixture *f = *state;
    bd_train_spec spec = f->spec;
    bd_dataset wrong = f->data;
    wrong.h = TINY_S / 2;
    spec.data = &wrong;
    assert_int_equal(train(NULL, f, &spec), BD_E_SHAPE);
    spec = f->spec;
    spec.target = NULL;
    assert_int_equal(train(NULL, f, &spec), BD_E_ARG);
    bd_unet_config wide = tiny_unet;
    wide.channels[1] = 32;
    spec = f->spec;
    spec.unet = &wide;
    assert_int_equal(train(NULL, f, &spec), BD_E_SHAPE); /* the weights are not of this UNet */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_loss_falls),
        TEST(test_rate_zero_leaves_the_weights),
        TEST(test_equals_the_float64_reference),
        TEST(test_accumulation_equals_the_whole_batch),
        TEST(test_counts_images_and_poison),
        TEST(test_clean_job_ignores_the_stamps),
        TEST(test_workers_do_not_matter),
        TEST(test_interruption_does_not_matter),
        TEST(test_checkpoint_of_another_job_is_refused),
        TEST(test_nan_stops),
        TEST(test_shapes_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
