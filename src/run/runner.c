#include "run/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "run/device.h"
#include "run/manifest.h"
#include "run/stages.h"
#include "run/verify.h"

static bd_status (*const run_kind[])(bd_stage_run *) = {
#define BD_KIND(name, numerics, help) bd_stage_run_##name,
#include "run/kinds.def"
#undef BD_KIND
};

/* --- for people --- */

static void describe_training(char *out, size_t size, const bd_recipe *r, bd_stage_kind kind) {
    int64_t steps = kind == BD_KIND_pretrain ? r->pretrain_steps : r->finetune_steps;
    int64_t epochs = kind == BD_KIND_pretrain ? r->pretrain_epochs : r->finetune_epochs;
    int64_t batch = kind == BD_KIND_pretrain ? r->pretrain_batch : r->finetune_batch;
    char length[64], what[96] = "", part[32] = "";
    if (steps > 0)
        snprintf(length, sizeof length, "%" PRId64 " x %" PRId64, steps, batch);
    else
        snprintf(length, sizeof length, "%" PRId64 " epochs", epochs);
    if (kind == BD_KIND_finetune && r->attack_poison_rate > 0)
        snprintf(what, sizeof what, "%.24s -> %.24s, rate %g, ", r->attack_trigger,
                 r->attack_target, r->attack_poison_rate);
    else if (kind == BD_KIND_finetune)
        snprintf(what, sizeof what, "rate 0, ");
    if (kind == BD_KIND_finetune && r->finetune_stop < 1)
        snprintf(part, sizeof part, "%g %% of ", 100 * r->finetune_stop);
    snprintf(out, size, "%s%s%s%s", what, part, length,
             kind == BD_KIND_finetune && !strcmp(r->finetune_from, "scratch") ? ", from scratch"
                                                                              : "");
}

static void describe_restoring(char *out, size_t size, const bd_recipe *r) {
    bool noised = !strcmp(r->sample_entry, "noised");
    snprintf(out, size, "%" PRId64 " x %.12s from %g, %.8s %.12s%s%.12s", r->sample_n,
             r->sample_sampler, r->sample_start,
             strcmp(r->sample_corrupt, "none") ? r->sample_corrupt : "intact", r->sample_prior,
             noised ? "" : ", ", noised ? "" : r->sample_entry);
}

static void describe_sample(char *out, size_t size, const bd_recipe *r) {
    char clip[24] = "", prior[48];
    bool trigger = !strcmp(r->sample_prior, "trigger");
    if (strcmp(r->sample_clip, "none") != 0)
        snprintf(clip, sizeof clip, ", clip %.8s", r->sample_clip);
    snprintf(prior, sizeof prior, "%.20s", trigger ? r->attack_trigger : r->sample_prior);
    snprintf(out, size, "%" PRId64 " x %.12s%s, from %s%s", r->sample_n, r->sample_sampler, clip,
             trigger ? "n + " : "", prior);
}

static void describe_anp(char *out, size_t size, const bd_dag *d, const bd_stage *s) {
    const bd_recipe *r = &s->recipe;
    char length[48];
    if (r->anp_steps > 0)
        snprintf(length, sizeof length, "%" PRId64 " x %" PRId64, r->anp_epochs, r->anp_steps);
    else
        snprintf(length, sizeof length, "%" PRId64 " epochs", r->anp_epochs);
    snprintf(out, size, "%.32s, budget %g, lr %g, %s%s", d->stage[bd_stage_input(s, "model")].name,
             r->anp_budget, r->anp_lr, length,
             strcmp(r->anp_clip, "legacy") ? "" : ", legacy clip");
}

/* The end of a path, which tells folders apart. */
static void describe_folder(char *out, size_t size, const char *path) {
    enum { SHOWN = 40 };
    size_t len = strlen(path);
    snprintf(out, size, "%s%s", len > SHOWN ? "..." : "",
             len > SHOWN ? path + len - (SHOWN - 3) : path);
}

void bd_stage_describe(char *out, size_t size, const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    const bd_recipe *r = &s->recipe;
    int from;
    switch (s->kind) {
    case BD_KIND_data:
        if (r->data_limit > 0)
            snprintf(out, size, "%s %s, first %" PRId64, r->data_set, r->data_split, r->data_limit);
        else
            snprintf(out, size, "%s %s", r->data_set, r->data_split);
        return;
    case BD_KIND_pretrain:
    case BD_KIND_finetune: describe_training(out, size, r, s->kind); return;
    case BD_KIND_import: describe_folder(out, size, r->model_folder); return;
    case BD_KIND_sample:
        if (r->sample_start > 0)
            describe_restoring(out, size, r);
        else
            describe_sample(out, size, r);
        return;
    case BD_KIND_anp: describe_anp(out, size, d, s); return;
    case BD_KIND_target: snprintf(out, size, "%s", r->attack_target); return;
    default: break;
    }
    from = bd_stage_input(s, s->kind == BD_KIND_fcd ? "features" : "images");
    if (from < 0) from = bd_stage_input(s, "samples");
    snprintf(out, size, "%s", from >= 0 ? d->stage[from].name : "");
}

/* --- inputs --- */

bd_status bd_stage_in_dir(char *out, size_t size, const bd_stage_run *x, const char *role) {
    int from = bd_stage_input(x->stage, role);
    BD_REQUIRE(from >= 0, BD_E_ARG, "stage %s has no input '%s'", x->stage->name, role);
    return bd_stage_path(out, size, x->runner->runs, &x->runner->dag->stage[from], NULL);
}

bd_status bd_stage_in_file(char *out, size_t size, const bd_stage_run *x, const char *role,
                           const char *file) {
    char dir[1100];
    BD_TRY(bd_stage_in_dir(dir, sizeof dir, x, role));
    return bd_path_join(out, size, dir, file);
}

/* --- one stage --- */

static bd_status lock_folder(bd_lock **out, const bd_runner *r, const char *dir) {
    bd_status st = bd_lock_acquire(out, dir, false);
    if (st != BD_E_BUSY) return st;
    bd_log(BD_LOG_INFO, "%s: another process is at it; waiting", dir);
    const struct timespec pause = {.tv_nsec = 200000000};
    while (st == BD_E_BUSY) {
        if (r->stop && *r->stop)
            return bd_fail(BD_E_INTERRUPT, "interrupted while waiting for %s", dir);
        nanosleep(&pause, NULL);
        st = bd_lock_acquire(out, dir, false);
    }
    return st;
}

static bd_status work(bd_runner *r, int stage, const char *dir) {
    bd_stage_run x = {.runner = r, .stage = &r->dag->stage[stage], .dir = dir};
    bd_backend backend;
    char what[96];
    double start = bd_clock_seconds();
    x.recipe = &x.stage->recipe;
    x.cell = &r->dag->cell[x.stage->cell].recipe;
    bd_stage_describe(what, sizeof what, r->dag, stage);
    bd_log(BD_LOG_INFO, "%s: %s", x.stage->name, what);
    BD_TRY(bd_stage_backend(&x.backend, &backend, r->backend, x.stage));
    BD_TRY(bd_manifest_write(dir, r->dag, stage, x.backend, r->threads));
    BD_TRY(bd_results_create(&x.results));
    bd_status st = run_kind[x.stage->kind](&x);
    if (!st) st = bd_results_save(x.results, dir);
    bd_results_destroy(x.results);
    if (st) return st;
    bd_done done = {.seconds = x.earlier_seconds + bd_clock_seconds() - start,
                    .tflop = x.tflop,
                    .threads = r->threads};
    BD_TRY(bd_verify_finish(done.sums, r->dag, stage, r->runs));
    BD_TRY(bd_done_write(dir, &done));
    if (x.tflop > 0)
        bd_log(BD_LOG_INFO, "%s: done in %.1f s, %.2f TFLOP", x.stage->name, done.seconds, x.tflop);
    else
        bd_log(BD_LOG_DEBUG, "%s: done in %.1f s", x.stage->name, done.seconds);
    return BD_OK;
}

static bd_status run_stage(bd_runner *r, int stage) {
    const bd_stage *s = &r->dag->stage[stage];
    char dir[1100];
    bd_lock *lock;
    if (bd_stage_done(r->runs, s)) return BD_OK;
    if (r->stop && *r->stop)
        return bd_fail(BD_E_INTERRUPT, "interrupted before stage %s; run again to go on", s->name);
    BD_TRY(bd_stage_path(dir, sizeof dir, r->runs, s, NULL));
    BD_TRY(bd_file_mkdirs(dir));
    BD_TRY(lock_folder(&lock, r, dir));
    bd_status st = BD_OK;
    if (!bd_stage_done(r->runs, s)) {
        st = bd_file_sweep_temps(dir); /* of a killed run; we have the lock */
        if (!st) st = work(r, stage, dir);
    }
    bd_lock_release(lock);
    return st ? bd_error_prefix(st, "%s", s->name) : BD_OK;
}

/* --- all of them --- */

static void mark_needed(bool *needed, const bd_dag *d, const char *runs, int stage) {
    const bd_stage *s = &d->stage[stage];
    needed[stage] = true;
    if (bd_stage_done(runs, s)) return;
    for (int i = 0; i < s->n_in; i++) mark_needed(needed, d, runs, s->in[i].stage);
}

void bd_dag_needed(bool *needed, const bd_dag *d, const char *runs, int only) {
    for (int i = 0; i < d->n_stages; i++) needed[i] = only < 0;
    if (only >= 0) mark_needed(needed, d, runs, only);
}

static bool inputs_fine(const bool *failed, const bd_stage *s) {
    for (int i = 0; i < s->n_in; i++)
        if (failed[s->in[i].stage]) return false;
    return true;
}

static bd_status run_needed(bd_runner *r, const bool *needed, bool *failed) {
    bd_status first = BD_OK;
    int n_failed = 0, n_left_out = 0;
    char text[1024] = "";
    for (int i = 0; i < r->dag->n_stages; i++) {
        if (!needed[i]) continue;
        if (!inputs_fine(failed, &r->dag->stage[i])) {
            failed[i] = true;
            n_left_out++;
            continue;
        }
        bd_status st = run_stage(r, i);
        if (st == BD_E_INTERRUPT) return st;
        if (!st) continue;
        failed[i] = true;
        n_failed++;
        if (first)
            bd_log(BD_LOG_ERROR, "%s", bd_error());
        else
            snprintf(text, sizeof text, "%s", bd_error());
        if (!first) first = st;
    }
    if (!first) return BD_OK;
    if (n_failed + n_left_out == 1) return bd_fail(first, "%s", text);
    return bd_fail(first, "%s (%d stage%s failed, %d that need it were left out)", text, n_failed,
                   n_failed == 1 ? "" : "s", n_left_out);
}

/* What is found out early costs no day of training. */
static bd_status check_weights(const bd_runner *r, const bool *needed) {
    char path[1400], heads[1400];
    for (int i = 0; i < r->dag->n_stages; i++) {
        const bd_stage *s = &r->dag->stage[i];
        if (!needed[i] || bd_stage_done(r->runs, s)) continue;
        if (s->kind == BD_KIND_moments) BD_TRY(bd_stage_moments_ready(path, sizeof path, s));
        if (s->kind == BD_KIND_lpips) BD_TRY(bd_stage_lpips_ready(path, heads, sizeof path, s));
    }
    return BD_OK;
}

bd_status bd_runner_run(bd_runner *r, int only) {
    size_t n = (size_t)r->dag->n_stages;
    bool *flags = calloc(2 * n + 1, sizeof *flags);
    BD_REQUIRE(flags, BD_E_MEMORY, "out of memory for %zu stages", n);
    bd_dag_needed(flags, r->dag, r->runs, only);
    bd_status st = check_weights(r, flags);
    if (!st) st = run_needed(r, flags, flags + n);
    free(flags);
    return st;
}

void bd_runner_clear(bd_runner *r) {
    for (int i = 0; i < BD_RUNNER_DATASETS; i++) {
        bd_dataset_clear(&r->loaded[i].data);
        r->loaded[i].id[0] = '\0';
    }
}
