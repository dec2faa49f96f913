#include "run/pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "base/clock.h"
#include "train/sampling.h"
#include "train/trainer.h"

/* Seconds of one timing where steps are short; the median of several counts, for a shared machine pauses. Of steps that
 * are longer than long_step one is timed. */
static const double window = 0.15, long_step = 0.6;
enum { TIMINGS = 3, STEPS_MOST = 64, T = 100 };

bool bd_workload_same(const bd_workload *a, const bd_workload *b) {
    const bd_unet_config *u = &a->unet, *v = &b->unet;
    return a->training == b->training && a->tile == b->tile && a->batch == b->batch &&
           a->micro_batch == b->micro_batch && a->history == b->history &&
           !strcmp(a->device, b->device) && !strcmp(a->precision, b->precision) &&
           u->sample_size == v->sample_size && u->in_channels == v->in_channels &&
           u->blocks == v->blocks && u->layers == v->layers && u->groups == v->groups &&
           u->head_dim == v->head_dim && u->mid_attention == v->mid_attention &&
           !memcmp(u->channels, v->channels, sizeof u->channels) &&
           !memcmp(u->down_attention, v->down_attention, sizeof u->down_attention);
}

static int steps_of_a_window(double step) {
    double n = window / (step > 1e-6 ? step : 1e-6);
    return n < 1 ? 1 : n > STEPS_MOST ? STEPS_MOST : (int)n;
}

/* What both phases have in common: k steps behind the first one. */
typedef struct {
    bd_status (*run)(double *seconds, void *ctx,
                     int steps); /* of all the steps, without the setup */
    void *ctx;
} stepper;

/* first: seconds of a run of one step */
static bd_status time_steps(double *step, double first, const stepper *s) {
    double t[TIMINGS], seconds;
    int k = steps_of_a_window(first), n = first > long_step ? 1 : TIMINGS;
    for (int i = 0; i < n; i++) {
        BD_TRY(s->run(&seconds, s->ctx, 1 + k));
        t[i] = (seconds - first) / k;
        if (t[i] <= 0) t[i] = seconds / (1 + k);
        k = steps_of_a_window(t[i]);
    }
    *step = bd_clock_median(t, (size_t)n);
    return BD_OK;
}

/* --- training --- */

typedef struct {
    bd_train_spec spec;
    bd_params params;
    bd_dataset data;
    bd_schedule schedule;
    float (*coef)[4];
} training;

static void training_clear(training *j) {
    bd_params_clear(&j->params);
    bd_schedule_clear(&j->schedule);
    free(j->data.images);
    free(j->coef);
}

/* Any bytes do but zeros, which run faster. */
static bd_status made_up_images(bd_dataset *d, const bd_workload *w) {
    int S = w->unet.sample_size, C = w->unet.in_channels;
    size_t n = (size_t)w->batch * (size_t)S * (size_t)S * (size_t)C;
    *d = (bd_dataset){.name = "calibration", .n = w->batch, .h = S, .w = S, .c = C};
    d->images = malloc(n);
    BD_REQUIRE(d->images, BD_E_MEMORY, "out of memory for %d images", w->batch);
    for (size_t i = 0; i < n; i++) d->images[i] = (uint8_t)(i * 37 % 251);
    return BD_OK;
}

static bd_status run_training(double *seconds, void *ctx, int steps) {
    training *j = ctx;
    bd_loop_result r;
    j->spec.loop.steps = steps;
    BD_TRY(bd_train(&r, &j->params, &j->spec));
    *seconds = r.seconds;
    return BD_OK;
}

static bd_status prepare_training(training *j, const bd_workload *w, const bd_backend *backend,
                                  bd_pool *pool) {
    BD_TRY(made_up_images(&j->data, w));
    BD_TRY(bd_schedule_linear(&j->schedule, T, 1e-3, 0.2));
    BD_TRY(bd_unet_params(&j->params, &w->unet));
    BD_TRY(bd_params_init(&j->params, 0));
    j->coef = calloc(T, sizeof *j->coef);
    BD_REQUIRE(j->coef, BD_E_MEMORY, "out of memory for %d timesteps", T);
    bd_attack_table(j->coef, &bd_attack_none, &j->schedule);
    j->spec = (bd_train_spec){.backend = backend,
                              .pool = pool,
                              .unet = &w->unet,
                              .data = &j->data,
                              .flip = true,
                              .T = T,
                              .coef = (const float(*)[4])j->coef,
                              .loop = {.batch = w->batch,
                                       .micro_batch = w->micro_batch,
                                       .tile = w->tile,
                                       .lr = 1e-6,
                                       .clip = 1}};
    return BD_OK;
}

static bd_status measure_training(bd_pace *out, const bd_workload *w, const bd_backend *backend,
                                  bd_pool *pool, const volatile sig_atomic_t *stop) {
    training j = {0};
    double start = bd_clock_seconds(), first;
    bd_status st = prepare_training(&j, w, backend, pool);
    j.spec.loop.stop = stop;
    if (!st) st = run_training(&first, &j, 1);
    double all = bd_clock_seconds() - start;
    if (!st) st = time_steps(&out->step, first, &(stepper){run_training, &j});
    out->setup = all > out->step ? all - out->step : 0;
    training_clear(&j);
    return st;
}

/* --- sampling --- */

typedef struct {
    bd_sampler_engine *engine;
    bd_sampler_plan plan;
    bd_sampler_eval *eval; /* [STEPS_MOST + 1], all the plan's first */
    bd_params params;
    bd_schedule schedule;
    uint8_t *images;
    int count;
    const volatile sig_atomic_t *stop;
} sampling;

static void sampling_clear(sampling *j) {
    bd_sampler_engine_destroy(j->engine);
    bd_sampler_plan_clear(&j->plan);
    bd_params_clear(&j->params);
    bd_schedule_clear(&j->schedule);
    free(j->images);
    free(j->eval);
}

/* The first evaluation again and again: x stays noise, and finite. */
static bd_status run_sampling(double *seconds, void *ctx, int steps) {
    sampling *j = ctx;
    bd_sampler_plan p = {.n = steps, .history = j->plan.history, .start_scale = 1, .eval = j->eval};
    bd_sample_spec spec = {.plan = &p, .count = j->count, .stop = j->stop};
    double start = bd_clock_seconds();
    BD_TRY(bd_sample(NULL, j->images, j->engine, &spec));
    *seconds = bd_clock_seconds() - start;
    return BD_OK;
}

static bd_status prepare_sampling(sampling *j, const bd_workload *w, const bd_backend *backend,
                                  bd_pool *pool) {
    int S = w->unet.sample_size, C = w->unet.in_channels;
    bd_sampler_spec ddpm = {.name = "ddpm"};
    BD_TRY(bd_schedule_linear(&j->schedule, T, 1e-3, 0.2));
    BD_TRY(bd_sampler_plan_create(&j->plan, &ddpm, &j->schedule));
    BD_TRY(bd_unet_params(&j->params, &w->unet));
    BD_TRY(bd_params_init(&j->params, 0));
    j->count = w->batch;
    j->images = malloc((size_t)w->batch * (size_t)S * (size_t)S * (size_t)C);
    j->eval = calloc(STEPS_MOST + 1, sizeof *j->eval);
    BD_REQUIRE(j->images && j->eval, BD_E_MEMORY, "out of memory for %d samples", w->batch);
    for (int i = 0; i <= STEPS_MOST; i++) j->eval[i] = j->plan.eval[0];
    bd_sampler_engine_spec spec = {
        .backend = backend, .pool = pool, .unet = &w->unet, .tile = w->tile, .history = w->history};
    BD_TRY(bd_sampler_engine_create(&j->engine, &spec));
    return bd_sampler_engine_load(j->engine, &j->params);
}

static bd_status measure_sampling(bd_pace *out, const bd_workload *w, const bd_backend *backend,
                                  bd_pool *pool, const volatile sig_atomic_t *stop) {
    sampling j = {.stop = stop};
    double start = bd_clock_seconds(), first;
    bd_status st = prepare_sampling(&j, w, backend, pool);
    if (!st) st = run_sampling(&first, &j, 1);
    double all = bd_clock_seconds() - start;
    if (!st) st = time_steps(&out->step, first, &(stepper){run_sampling, &j});
    out->setup = all > out->step ? all - out->step : 0;
    sampling_clear(&j);
    return st;
}

bd_status bd_pace_measure(bd_pace *out, const bd_workload *w, const bd_backend *backend,
                          bd_pool *pool, const volatile sig_atomic_t *stop) {
    *out = (bd_pace){0};
    return w->training ? measure_training(out, w, backend, pool, stop)
                       : measure_sampling(out, w, backend, pool, stop);
}
