/* anp: climb the clean loss with scales and shifts, measure before and after every epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "run/anp_probe.h"
#include "run/cost.h"
#include "run/device.h"
#include "run/settings.h"
#include "train/anp.h"
#include "train/checkpoint.h"

enum { GRID = 4, KEPT = 8 }; /* samples of a picture's side, and kept for the sample sheet */

typedef struct {
    bd_stage_run *x;
    bd_anp_probe probe;
    bd_params affine;
    bd_anp_rows rows;
    int64_t epoch_steps;
    char rows_path[1200];
} job;

static void job_clear(job *j) {
    bd_anp_probe_clear(&j->probe);
    bd_params_clear(&j->affine);
    bd_anp_rows_clear(&j->rows);
}

static bd_status save_pictures(const job *j, int64_t epoch) {
    char name[48], path[1300];
    const bd_pixels *all = &j->probe.samples;
    bd_pixels kept = *all;
    if (kept.n > KEPT) kept.n = KEPT;
    snprintf(name, sizeof name, "epoch-%04" PRId64 ".png", epoch);
    BD_TRY(bd_path_join(path, sizeof path, j->x->dir, name));
    BD_TRY(bd_pixels_grid(path, all, GRID, GRID));
    bool last = epoch == j->x->recipe->anp_epochs;
    if (epoch != 0 && !last) return BD_OK;
    BD_TRY(bd_path_join(path, sizeof path, j->x->dir,
                        last ? "after.safetensors" : "before.safetensors"));
    return bd_pixels_save(path, &kept);
}

static const bd_anp_row *find_row(const job *j, int64_t epoch) {
    for (int i = 0; i < j->rows.n; i++)
        if (j->rows.at[i].epoch == epoch) return &j->rows.at[i];
    return NULL;
}

/* The row goes to disk last: what has a row is measured. Epoch 0 is always measured, for a fresh start takes nothing
 * from an older one. */
static bd_status measure(void *ctx, int64_t step, const bd_params *affine) {
    job *j = ctx;
    bd_anp_row row = {.epoch = step / j->epoch_steps, .updates = step};
    if (step > 0 && find_row(j, row.epoch)) return BD_OK;
    BD_TRY(bd_anp_probe_measure(&row, &j->probe, affine));
    BD_TRY(save_pictures(j, row.epoch));
    BD_TRY(bd_anp_rows_add(&j->rows, &row));
    BD_TRY(bd_anp_rows_save(&j->rows, j->rows_path));
    bd_log(BD_LOG_INFO,
           "%s: epoch %" PRId64 ": MSE %.4g, hits %.3g, deviation %.3g, clean loss %.4g",
           j->x->stage->name, row.epoch, row.mse, row.hit, row.deviation, row.loss_clean);
    return BD_OK;
}

static bd_status ascend(job *j) {
    const bd_recipe *r = j->x->recipe;
    bd_loop_shape shape;
    bd_loop_result result;
    bd_anp_spec spec = {.train = bd_anp_probe_train(&j->probe),
                        .net = &j->probe.model.params,
                        .budget = r->anp_budget};
    bd_loop_options *o = &spec.train.loop;
    BD_TRY(bd_anp_clip_parse(&spec.clip, r->anp_clip));
    o->tile = bd_stage_tile(j->x->stage, o->tile, o->batch);
    o->dir = j->x->dir;
    o->checkpoint_seconds = (double)j->x->cell->run_checkpoint_seconds;
    o->stop = j->x->runner->stop;
    BD_TRY(bd_loop_shape_init(&shape, o, j->probe.data->n));
    j->epoch_steps = r->anp_steps ? r->anp_steps : shape.steps_per_epoch;
    spec.train.visit = (bd_loop_visit){.fn = measure, .steps = j->epoch_steps, .ctx = j};
    BD_TRY(bd_anp_affine(&j->affine, spec.net));
    return bd_anp_train(&result, &j->affine, &spec);
}

static bd_status add_best(bd_results *r, const bd_anp_rows *rows) {
    const bd_anp_row *best = &rows->at[0];
    double ssim = best->ssim, hit = best->hit;
    for (int i = 1; i < rows->n; i++) {
        const bd_anp_row *row = &rows->at[i];
        if (row->mse < best->mse) best = row;
        if (row->ssim > ssim) ssim = row->ssim;
        if (row->hit > hit) hit = row->hit;
    }
    BD_TRY(bd_results_number(r, "mse_min", best->mse, "1", "least MSE of all epochs"));
    BD_TRY(bd_results_count(r, "mse_min_epoch", best->epoch, "epochs", "where that is"));
    BD_TRY(bd_results_number(
        r, "mse_min_deviation", best->deviation, "1",
        "deviation there: near 0, the samples are flat pictures and no sight of the target"));
    BD_TRY(bd_results_number(r, "ssim_max", ssim, "1", "largest SSIM of all epochs"));
    return bd_results_number(r, "hit_max", hit, "1", "highest hit rate of all epochs");
}

static bd_status add_inputs(bd_results *r, const bd_anp_probe *p) {
    double by_mean, by_variance;
    BD_TRY(bd_anp_probe_inputs(&by_mean, &by_variance, p));
    BD_TRY(
        bd_results_number(r, "auroc_input_mean", by_mean, "1",
                          "AUROC of |mean(x_T)| sqrt(D), triggered starts against plain ones: the "
                          "detector that needs no model"));
    return bd_results_number(r, "auroc_input_variance", by_variance, "1",
                             "the same of the variance of x_T");
}

static bd_status finish(job *j) {
    char path[1200], label[64];
    bd_sampler_spec spec;
    bd_stage_run *x = j->x;
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "affine.safetensors"));
    BD_TRY(bd_params_save(&j->affine, path, NULL, 0));
    BD_TRY(add_best(x->results, &j->rows));
    BD_TRY(add_inputs(x->results, &j->probe));
    BD_TRY(bd_recipe_sampler(&spec, x->recipe));
    BD_TRY(bd_sampler_label(label, sizeof label, &spec, j->probe.schedule.T));
    BD_TRY(bd_results_count(x->results, "n", j->probe.samples.n, "images",
                            "samples of each measurement, and images of each loss"));
    BD_TRY(bd_results_text(x->results, "sampler", label, "", "sampler, network calls, settings"));
    BD_TRY(bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage)));
    return strcmp(x->cell->run_keep, "all") ? bd_checkpoint_remove(x->dir) : BD_OK;
}

bd_status bd_stage_run_anp(bd_stage_run *x) {
    job j = {.x = x};
    bd_status st = bd_path_join(j.rows_path, sizeof j.rows_path, x->dir, "epochs.csv");
    if (!st) st = bd_anp_rows_load(&j.rows, j.rows_path);
    if (!st) st = bd_anp_probe_init(&j.probe, x);
    if (!st) st = ascend(&j);
    if (!st) st = finish(&j);
    job_clear(&j);
    return st;
}
