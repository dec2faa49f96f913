/* The training loop. Workers run tiles and put each image's loss into a slot of its own; the
 * calling thread sums the slots in image order, so that nothing written here depends on who ran
 * what when. */
#include "train/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "nn/lr.h"
#include "train/checkpoint.h"
#include "train/loop_log.h"
#include "train/mapped.h"

enum { PATH_MAX_BYTES = 4096, FINGERPRINT_MAX = 2048, SETTINGS_MAX = 4096 };

/* Below this the gradient itself overflows, whatever the scale. */
static const double loss_scale_min = 1.0 / 16777216;
static const double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_eps = 1e-8;

typedef struct {
    const bd_loop_job *job;
    const bd_loop_options *o;
    bd_loop_shape shape;
    int64_t steps, leave; /* of the run; after how many of them it ends */
    char settings[65];
    bd_engine *engine;
    bd_params m, v;   /* Adam's moments                              */
    bd_mapped mapped; /* where the job has a map                     */
    bd_loop_log log;
    double *loss;      /* [batch], by place in the optimiser step */
    uint8_t *poisoned; /* [batch], 0 or 1 */
    bd_checkpoint_state at;
    int64_t saved_step; /* of the newest checkpoint on disk; -1 = none */
    double saved_time;  /* clock at that moment                        */
    double sitting;     /* clock when this sitting began               */
    double before;      /* seconds of earlier sittings                 */
    int64_t images_before;
    int micro; /* micro-batch of the optimiser step at.step being run */
} loop;

/* --- shape --- */

/* micro-batches of one optimiser step */
static int step_micros(const bd_loop_shape *s, int64_t step) {
    return (int)(bd_loop_shape_micros(s, step + 1) - bd_loop_shape_micros(s, step));
}

/* images of one micro-batch, which is the first+micro-th of its epoch */
static int micro_images(const bd_loop_shape *s, int64_t step, int micro) {
    int64_t number = step % s->steps_per_epoch * s->accumulate + micro;
    int64_t left = s->n - number * s->micro_batch;
    return left < s->micro_batch ? (int)left : s->micro_batch;
}

static void place_init(bd_batch_place *p, const bd_loop_shape *s, int64_t step, int micro,
                       int tile) {
    int64_t number = step % s->steps_per_epoch * s->accumulate + micro;
    int images = micro_images(s, step, micro), left = images - tile * s->tile;
    *p = (bd_batch_place){
        .epoch = step / s->steps_per_epoch,
        .first = number * s->micro_batch + (int64_t)tile * s->tile,
        .step = step,
        .place = micro * s->micro_batch + tile * s->tile,
        .rows = s->tile,
        .count = left < s->tile ? left : s->tile,
        .weight = (float)(1.0 / ((double)images * s->accumulate)),
    };
}

/* --- one optimiser step --- */

static bd_status tile_before(void *ctx, int tile, int iter, const bd_view *v) {
    loop *l = ctx;
    (void)iter;
    bd_batch_place at;
    place_init(&at, &l->shape, l->at.step, l->micro, tile);
    return l->job->fill(l->job->ctx, &at, v, l->poisoned + at.place);
}

static bd_status tile_after(void *ctx, int tile, int iter, const bd_view *v) {
    loop *l = ctx;
    (void)iter;
    bd_batch_place at;
    place_init(&at, &l->shape, l->at.step, l->micro, tile);
    memcpy(l->loss + at.place, bd_view_data(v, l->job->loss), (size_t)at.count * sizeof(double));
    return BD_OK;
}

/* Sums of one optimiser step, in image order. */
static void step_sum(bd_loop_row *row, const loop *l) {
    double sum[2] = {0, 0};
    int64_t n[2] = {0, 0};
    int micros = step_micros(&l->shape, l->at.step);
    for (int micro = 0; micro < micros; micro++) {
        int first = micro * l->shape.micro_batch;
        int images = micro_images(&l->shape, l->at.step, micro);
        for (int i = first; i < first + images; i++) {
            int kind = l->poisoned[i] != 0;
            sum[kind] += l->loss[i];
            n[kind]++;
        }
    }
    row->images = n[0] + n[1];
    row->poisoned = n[1];
    row->loss = (sum[0] + sum[1]) / (double)row->images;
    row->loss_clean = n[0] ? sum[0] / (double)n[0] : NAN;
    row->loss_poison = n[1] ? sum[1] / (double)n[1] : NAN;
}

/* The error text of a step whose numbers went bad: what, where, and a way out. */
static bd_status step_not_finite(const loop *l, const char *what, double lr) {
    char kept[128] = "no checkpoint was written yet";
    if (l->saved_step >= 0)
        snprintf(kept, sizeof kept, "the checkpoint of step %" PRId64 " is kept", l->saved_step);
    char recent[160];
    bd_loop_log_recent(&l->log, recent, sizeof recent);
    return bd_fail(BD_E_NUMERIC,
                   "%s: step %" PRId64 " of %" PRId64
                   ": %s is not finite (learning rate %.3g; losses"
                   " before: %s); %s; lower the learning rate or warm up longer",
                   l->job->phase, l->at.step + 1, l->steps, what, lr, recent, kept);
}

/* A skipped step leaves the schedule where it was. */
static double step_rate(const loop *l) {
    if (l->o->constant) return l->o->lr;
    int64_t last = bd_loop_shape_micros(&l->shape, l->at.step + 1 - l->at.scale.skipped) - 1;
    int64_t total = l->o->lr_total ? l->o->lr_total : bd_loop_shape_micros(&l->shape, l->steps);
    return l->o->lr * bd_lr_factor(last, l->o->warmup, total);
}

/* Gradients of all micro-batches, and the update behind the last one. */
static bd_status step_update(loop *l, const bd_adam *adam, double *norm) {
    const bd_backend *b = l->job->backend;
    int micros = step_micros(&l->shape, l->at.step);
    for (l->micro = 0; l->micro < micros; l->micro++) {
        int images = micro_images(&l->shape, l->at.step, l->micro);
        bd_run run = {.n_tiles = (images + l->shape.tile - 1) / l->shape.tile,
                      .n_iter = 1,
                      .before = tile_before,
                      .after = tile_after,
                      .ctx = l,
                      .loss_scale = (float)l->at.scale.scale};
        if (l->micro == micros - 1 && !l->job->map)
            return bd_backend_step(b, l->engine, &run, l->micro > 0, adam, norm);
        BD_TRY(b->run(l->engine, &run, l->micro > 0));
    }
    return bd_mapped_step(&l->mapped, l->job, l->engine, adam, &l->m, &l->v, norm);
}

/* A step whose gradient is not finite ends the run, but in fp16, where the loss scale gives way. */
static bd_status step_checked(loop *l, bd_status st, const bd_loop_row *row) {
    if (st && st != BD_E_NUMERIC) return st;
    if (!isfinite(row->loss)) return step_not_finite(l, "the loss", row->lr);
    bool scaled = l->at.scale.scale > 0;
    if (st && (!scaled || l->at.scale.scale < loss_scale_min))
        return step_not_finite(l, "the gradient", row->lr);
    if (scaled) bd_loss_scale_step(&l->at.scale, st == BD_OK);
    return BD_OK;
}

static bd_status step_run(loop *l, bd_loop_row *row) {
    *row = (bd_loop_row){.lr = step_rate(l), .grad_norm = NAN};
    bd_adam adam = {.lr = row->lr,
                    .beta1 = adam_beta1,
                    .beta2 = adam_beta2,
                    .eps = adam_eps,
                    .clip = l->o->clip,
                    .k = l->at.step + 1 - l->at.scale.skipped,
                    .loss_scale = (float)l->at.scale.scale};
    bd_status st = step_update(l, &adam, &row->grad_norm);
    if (!st || st == BD_E_NUMERIC) step_sum(row, l);
    BD_TRY(step_checked(l, st, row));

    l->at.micro_steps += step_micros(&l->shape, l->at.step);
    l->at.images += row->images;
    l->at.poisoned += row->poisoned;
    l->at.loss = row->loss;
    l->at.seconds = l->before + bd_clock_seconds() - l->sitting;
    row->epoch = l->at.step / l->shape.steps_per_epoch;
    row->step = ++l->at.step;
    row->images = l->at.images;
    row->poisoned = l->at.poisoned;
    row->seconds = l->at.seconds;
    return BD_OK;
}

/* --- checkpoints --- */

static bd_status params_pull(loop *l) {
    const bd_backend *b = l->job->backend;
    if (l->job->map) return BD_OK;
    BD_TRY(bd_params_download(l->job->params, b, l->engine, l->job->graph, BD_SLOT_PARAM));
    BD_TRY(bd_params_download(&l->m, b, l->engine, l->job->graph, BD_SLOT_ADAM_M));
    return bd_params_download(&l->v, b, l->engine, l->job->graph, BD_SLOT_ADAM_V);
}

static bd_status params_push(loop *l) {
    const bd_backend *b = l->job->backend;
    if (l->job->map) return bd_mapped_push(&l->mapped, l->job, l->engine);
    BD_TRY(bd_params_upload(l->job->params, b, l->engine, l->job->graph, BD_SLOT_PARAM));
    BD_TRY(bd_params_upload(&l->m, b, l->engine, l->job->graph, BD_SLOT_ADAM_M));
    return bd_params_upload(&l->v, b, l->engine, l->job->graph, BD_SLOT_ADAM_V);
}

/* The log goes to disk first: a checkpoint never points past its end. */
static bd_status save(loop *l) {
    BD_TRY(params_pull(l));
    if (!l->o->dir || l->saved_step == l->at.step) return BD_OK;
    BD_TRY(bd_loop_log_sync(&l->log, &l->at.log_bytes));
    BD_TRY(bd_checkpoint_save(l->o->dir, l->settings, &l->at, l->job->params, &l->m, &l->v));
    l->saved_step = l->at.step;
    l->saved_time = bd_clock_seconds();
    return BD_OK;
}

static bool save_due(const loop *l) {
    const bd_loop_options *o = l->o;
    if (o->checkpoint_steps > 0 && l->at.step % o->checkpoint_steps == 0) return true;
    return o->checkpoint_seconds > 0 && bd_clock_seconds() - l->saved_time >= o->checkpoint_seconds;
}

/* All that the bits of a run depend on, as one hash. */
static bd_status settings_hash(loop *l) {
    char fingerprint[FINGERPRINT_MAX], text[SETTINGS_MAX];
    BD_TRY(l->job->backend->fingerprint(l->job->backend, fingerprint, sizeof fingerprint));
    const bd_loop_options *o = l->o;
    int n = snprintf(text, sizeof text,
                     "loop 1\n%s\n%s\nseed %" PRIu64 "\nbatch %d %d %d\nn %" PRId64
                     "\nsteps %" PRId64 "\nlr %.17g %" PRId64 " %" PRId64 "\nclip %.17g\n%s%s",
                     fingerprint, l->job->settings, o->seed, o->batch, l->shape.micro_batch,
                     o->tile, l->shape.n, l->steps, o->lr, o->warmup, o->lr_total, o->clip,
                     o->constant ? "constant\n" : "", l->job->map ? l->job->map->settings : "");
    BD_REQUIRE(n >= 0 && n < (int)sizeof text, BD_E_ARG,
               "%s: settings text is longer than %d bytes", l->job->phase, SETTINGS_MAX);
    return bd_sha256_buffer(l->settings, text, (size_t)n);
}

/* Take up where an earlier sitting stopped, if there was one. */
static bd_status resume(loop *l) {
    if (!l->o->dir) return BD_OK;
    bd_status st = bd_checkpoint_load(&l->at, l->job->params, &l->m, &l->v, l->o->dir, l->settings);
    if (st == BD_E_MISSING) return bd_loop_log_open(&l->log, l->o->dir, 0);
    BD_TRY(st);
    BD_REQUIRE(l->at.step <= l->leave, BD_E_FORMAT,
               "%s: the checkpoint in %s is of step %" PRId64 ", but the run has %" PRId64 " steps",
               l->job->phase, l->o->dir, l->at.step, l->leave);
    l->saved_step = l->at.step;
    l->before = l->at.seconds;
    l->images_before = l->at.images;
    bd_log(BD_LOG_INFO, "%s: taken up at step %" PRId64 " of %" PRId64, l->job->phase, l->at.step,
           l->steps);
    return bd_loop_log_open(&l->log, l->o->dir, l->at.log_bytes);
}

/* --- the run --- */

static bd_status check_options(const loop *l) {
    const bd_loop_options *o = l->o;
    BD_REQUIRE(l->steps >= 1, BD_E_ARG,
               "%s: no steps to do (steps = %" PRId64 ", epochs = %" PRId64 ")", l->job->phase,
               o->steps, o->epochs);
    BD_REQUIRE(o->share >= 0 && o->share <= 1 && l->leave >= 1, BD_E_ARG,
               "%s: share = %g of %" PRId64 " steps is none", l->job->phase, o->share, l->steps);
    BD_REQUIRE(isfinite(o->lr) && o->lr >= 0, BD_E_ARG, "%s: lr = %g", l->job->phase, o->lr);
    BD_REQUIRE(isfinite(o->clip) && o->clip >= 0, BD_E_ARG, "%s: clip = %g", l->job->phase,
               o->clip);
    BD_REQUIRE(o->warmup >= 0 && o->lr_total >= 0 && o->checkpoint_steps >= 0 &&
                   o->checkpoint_seconds >= 0,
               BD_E_ARG, "%s: a count or time is negative", l->job->phase);
    BD_REQUIRE(bd_backend_tile_ok(l->job->backend, o->tile), BD_E_ARG,
               "%s: tile = %d; must be 1, 2, 4 or 8", l->job->phase, o->tile);
    BD_REQUIRE(!o->dir || bd_file_is_dir(o->dir), BD_E_MISSING, "%s: no folder %s", l->job->phase,
               o->dir);
    return BD_OK;
}

static bd_status loop_init(loop *l, const bd_loop_job *job, const bd_loop_options *o) {
    *l = (loop){.job = job, .o = o, .saved_step = -1};
    BD_TRY(bd_loop_shape_init(&l->shape, o, job->n));
    l->steps = bd_loop_shape_steps(&l->shape, o);
    l->leave = bd_loop_shape_leave(&l->shape, o);
    if (job->backend->precision == BD_PRECISION_FP16) bd_loss_scale_init(&l->at.scale);
    BD_TRY(check_options(l));
    BD_TRY(settings_hash(l));
    l->loss = calloc((size_t)o->batch, sizeof *l->loss);
    l->poisoned = calloc((size_t)o->batch, sizeof *l->poisoned);
    BD_REQUIRE(l->loss && l->poisoned, BD_E_MEMORY, "%s: out of memory", job->phase);
    BD_TRY(bd_params_like(&l->m, job->params));
    BD_TRY(bd_params_like(&l->v, job->params));
    BD_TRY(bd_mapped_init(&l->mapped, job));
    BD_TRY(job->backend->engine_create(&l->engine, job->backend, job->graph, job->pool));
    if (job->set_up) BD_TRY(job->set_up(job->ctx, l->engine));
    BD_TRY(resume(l));
    l->sitting = l->saved_time = bd_clock_seconds();
    return params_push(l);
}

/* Frees everything; the log's last bytes may fail to reach the disk. */
static bd_status loop_clear(loop *l) {
    if (l->engine) l->job->backend->engine_destroy(l->engine);
    bd_params_clear(&l->m);
    bd_params_clear(&l->v);
    bd_mapped_clear(&l->mapped);
    free(l->loss);
    free(l->poisoned);
    return bd_loop_log_close(&l->log);
}

static void report(const loop *l, const bd_loop_row *row, double *last) {
    double now = bd_clock_seconds();
    if (now - *last < 0.25 && l->at.step < l->leave) return;
    *last = now;
    char note[64];
    snprintf(note, sizeof note, "loss %.4g | lr %.2g", row->loss, row->lr);
    double elapsed = now - l->sitting;
    bd_progress_report(&(bd_progress){
        .phase = l->job->phase,
        .done = l->at.step,
        .total = l->leave,
        .images_per_second = elapsed > 0 ? (double)(l->at.images - l->images_before) / elapsed : 0,
        .note = note,
    });
}

static bd_status stopped(loop *l) {
    BD_TRY(save(l));
    if (!l->o->dir)
        return bd_fail(BD_E_INTERRUPT,
                       "%s: stopped at step %" PRId64 " of %" PRId64 ", nothing kept",
                       l->job->phase, l->at.step, l->steps);
    return bd_fail(BD_E_INTERRUPT,
                   "%s: stopped at step %" PRId64 " of %" PRId64
                   ", saved in %s; the same command goes on from there",
                   l->job->phase, l->at.step, l->steps, l->o->dir);
}

static bd_status visit(loop *l) {
    const bd_loop_visit *v = &l->job->visit;
    if (v->steps == 0 || l->at.step % v->steps != 0) return BD_OK;
    BD_TRY(save(l)); /* whatever the visit takes, or is stopped in, the steps are not lost */
    return v->fn(v->ctx, l->at.step, l->job->params);
}

static bd_status loop_steps(loop *l) {
    double reported = 0;
    BD_TRY(visit(l));
    while (l->at.step < l->leave) {
        if (l->o->stop && *l->o->stop) return stopped(l);
        bd_loop_row row;
        BD_TRY(step_run(l, &row));
        BD_TRY(bd_loop_log_add(&l->log, &row));
        report(l, &row, &reported);
        if (save_due(l)) BD_TRY(save(l));
        BD_TRY(visit(l));
    }
    return save(l);
}

bd_status bd_loop_run(bd_loop_result *out, const bd_loop_job *job, const bd_loop_options *o) {
    loop l;
    bd_status st = loop_init(&l, job, o);
    int64_t resumed_at = l.at.step;
    if (!st) st = loop_steps(&l);
    *out = (bd_loop_result){
        .steps = l.at.step,
        .micro_steps = l.at.micro_steps,
        .epochs = l.shape.steps_per_epoch ? l.at.step / l.shape.steps_per_epoch : 0,
        .images = l.at.images,
        .poisoned = l.at.poisoned,
        .resumed_at = resumed_at,
        .loss = l.at.loss,
        .seconds = l.at.seconds,
    };
    bd_status closed = loop_clear(&l);
    return st ? st : closed;
}
