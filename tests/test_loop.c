/* Oracles: a plain one-image-at-a-time training loop in this file, closed forms, bitwise resume.
 * The device is a stand-in defined here (least squares), so that the loop itself is tested. */
#include <errno.h>
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
#include "base/log.h"
#include "io/csv.h"
#include "nn/lr.h"
#include "train/loop.h"
#include "train/loss_scale.h"

#define DIR_NAME "build/tmp/test_loop"

enum { D = 3, N = 10, TILE = 2 };

/* --- a device that fits w to the mean of the images: loss_i = mean_k (w_k - a_ik)^2 --- */

static float image[N][D];

struct bd_engine {
    int index, weight, loss, n_tensors;
    float w[D], g[D], m[D], v[D];
};

static bd_status fake_fingerprint(const bd_backend *self, char *out, size_t size) {
    (void)self;
    snprintf(out, size, "stand-in 1");
    return BD_OK;
}

static bd_status fake_create(bd_engine **out, const bd_backend *self, const bd_graph *g,
                             bd_pool *pool) {
    (void)self;
    (void)pool;
    bd_engine *e = calloc(1, sizeof *e);
    if (!e) return bd_fail(BD_E_MEMORY, "stand-in");
    e->index = bd_graph_find(g, "index");
    e->weight = bd_graph_find(g, "weight");
    e->loss = bd_graph_find(g, "loss");
    e->n_tensors = bd_graph_tensor_count(g);
    *out = e;
    return BD_OK;
}

static void fake_destroy(bd_engine *e) { free(e); }

static float *slot(bd_engine *e, bd_slot s) {
    float *const at[] = {[BD_SLOT_PARAM] = e->w,
                         [BD_SLOT_GRAD] = e->g,
                         [BD_SLOT_ADAM_M] = e->m,
                         [BD_SLOT_ADAM_V] = e->v};
    return at[s];
}

static bd_status fake_set(bd_engine *e, bd_slot s, int param, const float *src) {
    (void)param;
    memcpy(slot(e, s), src, sizeof e->w);
    return BD_OK;
}

static bd_status fake_get(bd_engine *e, bd_slot s, int param, float *dst) {
    (void)param;
    memcpy(dst, slot(e, s), sizeof e->w);
    return BD_OK;
}

static bd_status fake_run(bd_engine *e, const bd_run *r, bool accumulate) {
    if (!accumulate) memset(e->g, 0, sizeof e->g);
    for (int tile = 0; tile < r->n_tiles; tile++) {
        int32_t index[TILE] = {0};
        float weight[TILE] = {0};
        double loss[TILE] = {0};
        void *data[16] = {0};
        data[e->index] = index;
        data[e->weight] = weight;
        data[e->loss] = loss;
        bd_view view = {.data = data};
        BD_TRY(r->before(r->ctx, tile, 0, &view));
        for (int i = 0; i < TILE; i++)
            for (int k = 0; k < D; k++) {
                double d = (double)e->w[k] - image[index[i]][k];
                loss[i] += d * d / D;
                e->g[k] += (float)(weight[i] * 2 * d / D);
            }
        BD_TRY(r->after(r->ctx, tile, 0, &view));
    }
    return BD_OK;
}

static bool nan_gradient;

static bd_status fake_norm(bd_engine *e, double *norm) {
    double sum = nan_gradient ? NAN : 0;
    for (int k = 0; k < D; k++) sum += (double)e->g[k] * e->g[k];
    *norm = sqrt(sum);
    return isfinite(sum) ? BD_OK : bd_fail(BD_E_NUMERIC, "gradient");
}

static bd_status fake_adam(bd_engine *e, const bd_adam *a, double norm) {
    double scale = a->clip > 0 ? fmin(1, a->clip / (norm + 1e-6)) : 1;
    double c1 = 1 - pow(a->beta1, (double)a->k), c2 = 1 - pow(a->beta2, (double)a->k);
    for (int k = 0; k < D; k++) {
        double g = e->g[k] * scale;
        e->m[k] = (float)(a->beta1 * e->m[k] + (1 - a->beta1) * g);
        e->v[k] = (float)(a->beta2 * e->v[k] + (1 - a->beta2) * g * g);
        e->w[k] -= (float)(a->lr / c1 * e->m[k] / (sqrt(e->v[k]) / sqrt(c2) + a->eps));
    }
    return BD_OK;
}

static const bd_backend fake = {
    .name = "stand-in",
    .fingerprint = fake_fingerprint,
    .engine_create = fake_create,
    .engine_destroy = fake_destroy,
    .slot_set = fake_set,
    .slot_get = fake_get,
    .run = fake_run,
    .grad_norm = fake_norm,
    .adam = fake_adam,
};

/* --- a job on it: images in order, every fourth one poisoned --- */

typedef struct {
    bd_graph *g;
    bd_params params;
    bd_loop_job job;
    int index, weight;
    volatile sig_atomic_t stop;
    int64_t stop_at; /* set `stop` while step stop_at runs; -1 = never  */
    int64_t fail_at; /* fail in step fail_at, as if killed; -1 = never  */
    int64_t nan_at;  /* an image is NaN in step nan_at; -1 = never      */
} fixture;

static bd_status fill(void *ctx, const bd_batch_place *at, const bd_view *v, uint8_t *poisoned) {
    fixture *f = ctx;
    int32_t *index = bd_view_data(v, f->index);
    float *weight = bd_view_data(v, f->weight);
    for (int i = 0; i < at->rows; i++) {
        bool real = i < at->count;
        index[i] = real ? (int32_t)at->first + i : 0;
        weight[i] = real ? at->weight : 0;
        if (real) poisoned[i] = index[i] % 4 == 0;
    }
    image[0][0] = at->step == f->nan_at ? NAN : 0.5f;
    if (at->step == f->stop_at) f->stop = 1;
    return at->step == f->fail_at ? bd_fail(BD_E_IO, "killed") : BD_OK;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++)
            image[i][k] = 0.5f + (float)((i * 7 + k * 3) % 11) / 4.0f - 1.0f;
    image[0][0] = 0.5f;
    if (bd_graph_create(&f->g, "least squares")) return -1;
    bd_graph_param(f->g, "norm.weight", 1, 1, 1, D);
    f->index = bd_graph_input(f->g, "index", BD_TYPE_I32, TILE, 1, 1, 1);
    f->weight = bd_graph_input(f->g, "weight", BD_TYPE_F32, TILE, 1, 1, 1);
    int loss = bd_graph_input(f->g, "loss", BD_TYPE_F64, TILE, 1, 1, 1);
    if (bd_params_from_graph(&f->params, f->g)) return -1;
    f->job = (bd_loop_job){.phase = "train",
                           .backend = &fake,
                           .graph = f->g,
                           .loss = loss,
                           .n = N,
                           .settings = "a",
                           .params = &f->params,
                           .fill = fill,
                           .ctx = f};
    f->stop_at = f->fail_at = f->nan_at = -1;
    nan_gradient = false;
    *state = f;
    if (bd_file_remove_tree(DIR_NAME)) return -1;
    return bd_file_mkdirs(DIR_NAME) ? -1 : 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_io_set(NULL);
    bd_log_set_sink(NULL, NULL);
    bd_params_clear(&f->params);
    bd_graph_destroy(f->g);
    free(f);
    return bd_file_remove_tree(DIR_NAME) ? -1 : 0;
}

static bd_loop_options options(fixture *f) {
    return (bd_loop_options){.seed = 1,
                             .batch = 8,
                             .micro_batch = 4,
                             .tile = TILE,
                             .steps = 9,
                             .lr = 0.05,
                             .warmup = 3,
                             .clip = 0.5,
                             .dir = DIR_NAME,
                             .stop = &f->stop};
}

/* Train from w = 0 and put the result in w. */
static bd_status train(float w[D], bd_loop_result *r, fixture *f, const bd_loop_options *o) {
    memset(f->params.data, 0, f->params.bytes);
    bd_loop_result unused;
    bd_status st = bd_loop_run(r ? r : &unused, &f->job, o);
    memcpy(w, f->params.data + f->params.at[0].first, D * sizeof *w);
    return st;
}

/* The plainest loop: pass by pass, micro-batch by micro-batch, image by image. */
static void plain_train(double w[D], const bd_loop_options *o, int64_t total) {
    double g[D] = {0}, m[D] = {0}, v[D] = {0};
    int accumulate = o->batch / o->micro_batch;
    int64_t k = 0, micro = 0;
    memset(w, 0, D * sizeof *w);
    while (k < o->steps)
        for (int first = 0, group = 1; first < N && k < o->steps;
             first += o->micro_batch, micro++) {
            int count = N - first < o->micro_batch ? N - first : o->micro_batch;
            for (int i = first; i < first + count; i++)
                for (int d = 0; d < D; d++)
                    g[d] += 2 * (w[d] - image[i][d]) / D / count / accumulate;
            if (group++ % accumulate != 0 && first + count < N) continue;
            k++;
            double norm = sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
            double scale = fmin(1, o->clip / (norm + 1e-6));
            double rate = o->lr * bd_lr_factor(micro, o->warmup, total);
            for (int d = 0; d < D; d++) {
                m[d] = 0.9 * m[d] + 0.1 * g[d] * scale;
                v[d] = 0.999 * v[d] + 0.001 * g[d] * scale * g[d] * scale;
                w[d] -= rate / (1 - pow(0.9, (double)k)) * m[d] /
                        (sqrt(v[d]) / sqrt(1 - pow(0.999, (double)k)) + 1e-8);
                g[d] = 0;
            }
        }
}

/* log.csv without its last column: the bytes that must be reproducible. */
static char *log_text(void) {
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, DIR_NAME "/log.csv", 0), BD_OK);
    char *in = data, *out = malloc(n + 1), *to = out;
    assert_non_null(out);
    while (*in) {
        char *end = strchr(in, '\n');
        assert_non_null(end);
        *end = '\0';
        char *comma = strrchr(in, ',');
        assert_non_null(comma);
        memcpy(to, in, (size_t)(comma - in));
        to += comma - in;
        *to++ = '\n';
        in = end + 1;
    }
    *to = '\0';
    free(data);
    return out;
}

static void fresh_dir(void) {
    assert_int_equal(bd_file_remove_tree(DIR_NAME), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_NAME), BD_OK);
}

/* --- shape --- */

static void test_shape_of_ten_images_in_micro_batches_of_four(void **state) {
    bd_loop_options o = options(*state);
    bd_loop_shape s;
    assert_int_equal(bd_loop_shape_init(&s, &o, N), BD_OK);
    assert_int_equal(s.accumulate, 2);
    assert_int_equal(s.micros_per_epoch, 3); /* 4 + 4 + 2 images */
    assert_int_equal(s.steps_per_epoch, 2);  /* two micro-batches, then one */
    const int64_t micros[] = {0, 2, 3, 5, 6, 8};
    for (int k = 0; k < 6; k++) assert_int_equal(bd_loop_shape_micros(&s, k), micros[k]);
    o.steps = 0;
    o.epochs = 7;
    assert_int_equal(bd_loop_shape_steps(&s, &o), 14);
}

static void test_sizes_that_do_not_divide_are_refused(void **state) {
    bd_loop_options o = options(*state);
    bd_loop_shape s;
    const int bad[][3] = {{8, 3, 2}, {8, 6, 2}, {7, 7, 2}, {8, 4, 3}, {0, 0, 1}, {8, 16, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.batch = bad[i][0];
        o.micro_batch = bad[i][1];
        o.tile = bad[i][2];
        assert_int_equal(bd_loop_shape_init(&s, &o, N), BD_E_ARG);
    }
    o = options(*state);
    assert_int_equal(bd_loop_shape_init(&s, &o, 0), BD_E_ARG);
}

static void test_bad_options_are_refused(void **state) {
    fixture *f = *state;
    float w[D];
    bd_loop_options o = options(f);
    o.steps = 0;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    o = options(f);
    o.lr = NAN;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    o = options(f);
    o.warmup = -1;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    o = options(f);
    o.dir = DIR_NAME "/missing";
    assert_int_equal(train(w, NULL, f, &o), BD_E_MISSING);
}

/* Halved by a step that is not finite, doubled by 2000 finite ones in a row; exact, for they are powers of two. */
static void test_loss_scale(void **state) {
    (void)state;
    bd_loss_scale s;
    bd_loss_scale_init(&s);
    assert_true(s.scale == 65536 && s.good == 0 && s.skipped == 0);
    for (int i = 0; i < 1999; i++) bd_loss_scale_step(&s, true);
    assert_true(s.scale == 65536 && s.good == 1999);
    bd_loss_scale_step(&s, false);
    assert_true(s.scale == 32768 && s.good == 0 && s.skipped == 1);
    for (int i = 0; i < 2000; i++) bd_loss_scale_step(&s, true);
    assert_true(s.scale == 65536 && s.good == 0 && s.skipped == 1);
}

/* --- the arithmetic of training --- */

static void check_against_plain(fixture *f, int batch, int micro_batch, int64_t total) {
    bd_loop_options o = options(f);
    o.batch = batch;
    o.micro_batch = micro_batch;
    o.steps = 25;
    bd_loop_result r;
    float w[D];
    double expected[D];
    fresh_dir();
    assert_int_equal(train(w, &r, f, &o), BD_OK);
    plain_train(expected, &o, total);
    for (int d = 0; d < D; d++) {
        assert_true(fabs(expected[d]) > 1e-3); /* the oracle moved */
        /* float32 weights and moments, 25 updates of at most 0.05 */
        assert_true(fabs(w[d] - expected[d]) < 1e-5);
    }
    assert_int_equal(r.steps, 25);
    assert_int_equal(r.micro_steps, total);
}

static void test_equals_the_plain_loop(void **state) {
    check_against_plain(*state, 4, 4, 25); /* passes of 4 + 4 + 2: the last batch is short */
    check_against_plain(*state, 8, 4, 38); /* accumulation; the last group is short        */
    check_against_plain(*state, 8, 8, 25);
    check_against_plain(*state, 12, 2, 125); /* a group never fills                        */
}

static void test_first_update_has_rate_zero(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    o.micro_batch = o.batch = 4;
    o.steps = 1;
    float w[D];
    assert_int_equal(train(w, NULL, f, &o), BD_OK);
    for (int d = 0; d < D; d++) assert_true(w[d] == 0);
    fresh_dir();
    o.steps = 2;
    assert_int_equal(train(w, NULL, f, &o), BD_OK);
    assert_true(w[0] != 0); /* the second has not */
}

/* --- log --- */

static double field(const bd_csv *c, size_t row, const char *name) {
    return strtod(bd_csv_get(c, row, (size_t)bd_csv_find(c, name)), NULL);
}

static void test_log_says_what_happened(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float w[D];
    bd_loop_result r;
    assert_int_equal(train(w, &r, f, &o), BD_OK);
    bd_csv *c;
    assert_int_equal(bd_csv_load(&c, DIR_NAME "/log.csv"), BD_OK);
    assert_int_equal(bd_csv_rows(c), 9);
    assert_string_equal(bd_csv_header(c, bd_csv_cols(c) - 1), "seconds");
    /* step 1: w = 0, images 0..7, of which 0 and 4 are poisoned; undivided by accumulation */
    double sum[2] = {0};
    for (int i = 0; i < 8; i++)
        for (int d = 0; d < D; d++) sum[i % 4 == 0] += (double)image[i][d] * image[i][d] / D;
    assert_true(fabs(field(c, 0, "loss") - (sum[0] + sum[1]) / 8) < 1e-12);
    assert_true(fabs(field(c, 0, "loss_clean") - sum[0] / 6) < 1e-12);
    assert_true(fabs(field(c, 0, "loss_poison") - sum[1] / 2) < 1e-12);
    /* passes of 8 + 2 images, images 0, 4 and 8 poisoned */
    for (size_t k = 0; k < 9; k++) {
        assert_int_equal(field(c, k, "step"), k + 1);
        assert_int_equal(field(c, k, "epoch"), k / 2);
        assert_int_equal(field(c, k, "images"), k / 2 * 10 + (k % 2 ? 10 : 8));
        assert_int_equal(field(c, k, "poisoned"), k / 2 * 3 + (k % 2 ? 3 : 2));
        int64_t last = (int64_t)(k / 2) * 3 + (k % 2 ? 2 : 1); /* the step's last micro-batch */
        assert_true(field(c, k, "lr") == 0.05 * bd_lr_factor(last, 3, 14));
    }
    assert_int_equal(r.images, 48);
    assert_int_equal(r.poisoned, 14);
    assert_int_equal(r.epochs, 4);
    assert_true(r.loss == field(c, 8, "loss"));
    bd_csv_destroy(c);
}

static void test_a_step_without_poisoned_images_leaves_the_field_empty(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    o.batch = o.micro_batch = 2; /* step 2: images 2 and 3 */
    float w[D];
    assert_int_equal(train(w, NULL, f, &o), BD_OK);
    bd_csv *c;
    assert_int_equal(bd_csv_load(&c, DIR_NAME "/log.csv"), BD_OK);
    assert_string_equal(bd_csv_get(c, 1, (size_t)bd_csv_find(c, "loss_poison")), "");
    assert_string_not_equal(bd_csv_get(c, 0, (size_t)bd_csv_find(c, "loss_poison")), "");
    bd_csv_destroy(c);
}

/* --- resume --- */

static void test_stopped_after_any_step_and_resumed_is_the_same(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    char *expected = log_text();
    for (int64_t k = 0; k < o.steps - 1; k++) {
        fresh_dir();
        f->stop_at = k;
        assert_int_equal(train(w, NULL, f, &o), BD_E_INTERRUPT);
        f->stop = 0;
        f->stop_at = -1;
        bd_loop_result r;
        assert_int_equal(train(w, &r, f, &o), BD_OK);
        assert_int_equal(r.resumed_at, k + 1);
        assert_int_equal(r.images, 48);
        assert_memory_equal(w, whole, sizeof w);
        char *text = log_text();
        assert_string_equal(text, expected);
        free(text);
    }
    free(expected);
}

static void test_stopped_after_every_step_is_the_same(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    char *expected = log_text();
    fresh_dir();
    bd_status st;
    int sittings = 0;
    do {
        f->stop = 0;
        f->stop_at = sittings++;
        st = train(w, NULL, f, &o);
    } while (st == BD_E_INTERRUPT);
    assert_int_equal(st, BD_OK);
    assert_int_equal(sittings, o.steps);
    assert_memory_equal(w, whole, sizeof w);
    char *text = log_text();
    assert_string_equal(text, expected);
    free(text);
    free(expected);
}

/* The process dies in step k: nothing is saved, the log is ahead of the checkpoint. */
static void test_killed_in_any_step_and_resumed_is_the_same(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    char *expected = log_text();
    o.checkpoint_steps = 3; /* when checkpoints are made must not matter */
    for (int64_t k = 0; k < o.steps; k++) {
        fresh_dir();
        f->fail_at = k;
        assert_int_equal(train(w, NULL, f, &o), BD_E_IO);
        f->fail_at = -1;
        bd_loop_result r;
        assert_int_equal(train(w, &r, f, &o), BD_OK);
        assert_int_equal(r.resumed_at, k / 3 * 3);
        assert_memory_equal(w, whole, sizeof w);
        char *text = log_text();
        assert_string_equal(text, expected);
        free(text);
    }
    free(expected);
}

static void test_a_finished_run_returns_at_once(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    f->fail_at = 0; /* any step would fail */
    bd_loop_result r;
    assert_int_equal(train(w, &r, f, &o), BD_OK);
    assert_int_equal(r.resumed_at, o.steps);
    assert_memory_equal(w, whole, sizeof w);
}

static void test_other_settings_are_refused(void **state) {
    fixture *f = *state;
    float w[D];
    bd_loop_options first = options(f);
    f->stop_at = 3;
    assert_int_equal(train(w, NULL, f, &first), BD_E_INTERRUPT);
    f->stop = 0;
    f->stop_at = -1;

    bd_loop_options o = first;
    o.lr = nextafter(o.lr, 1);
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "other settings"));
    o = first;
    o.seed++;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    o = first;
    o.clip = 0;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    o = first;
    o.micro_batch = 8;
    assert_int_equal(train(w, NULL, f, &o), BD_E_ARG);
    f->job.settings = "b";
    assert_int_equal(train(w, NULL, f, &first), BD_E_ARG);

    f->job.settings = "a"; /* what does not touch the bits may change */
    first.checkpoint_steps = 2;
    assert_int_equal(train(w, NULL, f, &first), BD_OK);
}

static int warnings;
static void count_warnings(bd_log_level level, const char *text, void *user) {
    (void)user;
    if (level == BD_LOG_WARN && strstr(text, "damaged")) warnings++;
}

static void test_a_damaged_checkpoint_is_passed_over(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    fresh_dir();
    o.checkpoint_steps = 2;
    f->fail_at = 7;
    assert_int_equal(train(w, NULL, f, &o), BD_E_IO);
    f->fail_at = -1;

    const char *newest = DIR_NAME "/checkpoint-000000000006.safetensors";
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, newest, 0), BD_OK);
    ((unsigned char *)data)[n - 1] ^= 1;
    assert_int_equal(bd_file_write(newest, data, n), BD_OK);
    free(data);

    warnings = 0;
    bd_log_set_sink(count_warnings, NULL);
    bd_loop_result r;
    assert_int_equal(train(w, &r, f, &o), BD_OK);
    assert_int_equal(warnings, 1);
    assert_int_equal(r.resumed_at, 4);
    assert_memory_equal(w, whole, sizeof w);
}

/* --- trouble --- */

static void test_nan_loss_stops_and_keeps_the_checkpoint(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    o.checkpoint_steps = 2;
    f->nan_at = 4;
    float whole[D], w[D];
    assert_int_equal(train(w, NULL, f, &o), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "step 5 of 9: the loss is not finite"));
    assert_non_null(strstr(bd_error(), "checkpoint of step 4 is kept"));
    assert_non_null(strstr(bd_error(), "learning rate"));
    f->nan_at = -1; /* the checkpoint is sound: going on gives what an untroubled run gives */
    assert_int_equal(train(w, NULL, f, &o), BD_OK);
    fresh_dir();
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    assert_memory_equal(w, whole, sizeof w);
}

static void test_nan_gradient_stops(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    nan_gradient = true;
    float w[D];
    assert_int_equal(train(w, NULL, f, &o), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "the gradient is not finite"));
    assert_non_null(strstr(bd_error(), "step 1 of 9"));
}

static ssize_t full_disk(int fd, const void *buf, size_t n) {
    (void)fd, (void)buf, (void)n;
    errno = ENOSPC;
    return -1;
}

static void test_full_disk_keeps_the_checkpoint_before(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    fresh_dir();
    f->stop_at = 3;
    assert_int_equal(train(w, NULL, f, &o), BD_E_INTERRUPT);
    f->stop = 0;
    f->stop_at = -1;
    bd_io_table broken = bd_io_posix;
    broken.write = full_disk;
    bd_io_set(&broken);
    assert_int_equal(train(w, NULL, f, &o), BD_E_IO);
    bd_io_set(NULL);
    bd_loop_result r;
    assert_int_equal(train(w, &r, f, &o), BD_OK);
    assert_int_equal(r.resumed_at, 4);
    assert_memory_equal(w, whole, sizeof w);
}

static void test_no_folder_keeps_nothing_and_trains_the_same(void **state) {
    fixture *f = *state;
    bd_loop_options o = options(f);
    float whole[D], w[D];
    assert_int_equal(train(whole, NULL, f, &o), BD_OK);
    fresh_dir();
    o.dir = NULL;
    assert_int_equal(train(w, NULL, f, &o), BD_OK);
    assert_memory_equal(w, whole, sizeof w);
    char **names;
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, DIR_NAME, ""), BD_OK);
    assert_int_equal(n, 0);
    bd_file_list_free(names, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_loss_scale),
        TEST(test_shape_of_ten_images_in_micro_batches_of_four),
        TEST(test_sizes_that_do_not_divide_are_refused),
        TEST(test_bad_options_are_refused),
        TEST(test_equals_the_plain_loop),
        TEST(test_first_update_has_rate_zero),
        TEST(test_log_says_what_happened),
        TEST(test_a_step_without_poisoned_images_leaves_the_field_empty),
        TEST(test_stopped_after_any_step_and_resumed_is_the_same),
        TEST(test_stopped_after_every_step_is_the_same),
        TEST(test_killed_in_any_step_and_resumed_is_the_same),
        TEST(test_a_finished_run_returns_at_once),
        TEST(test_other_settings_are_refused),
        TEST(test_a_damaged_checkpoint_is_passed_over),
        TEST(test_nan_loss_stops_and_keeps_the_checkpoint),
        TEST(test_nan_gradient_stops),
        TEST(test_full_disk_keeps_the_checkpoint_before),
        TEST(test_no_folder_keeps_nothing_and_trains_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
