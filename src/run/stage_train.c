/* pretrain and finetune: one training job, different start values. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "base/file.h"
#include "data/split.h"
#include "run/cost.h"
#include "run/device.h"
#include "run/settings.h"
#include "run/stages.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

/* All that a training stage holds. */
typedef struct {
    const bd_dataset *data;
    bd_model model; /* what is trained and saved */
    bd_schedule schedule;
    bd_split split;
    float *trigger, *target; /* [S,S,C], NULL when nothing is poisoned */
    float (*coef)[4];
} job;

static void job_clear(job *j) {
    bd_model_clear(&j->model);
    bd_schedule_clear(&j->schedule);
    bd_split_clear(&j->split);
    free(j->trigger);
    free(j->target);
    free(j->coef);
}

/* Fresh weights for the recipe's network. */
static bd_status fresh_model(job *j, const bd_stage_run *x, uint64_t seed) {
    const bd_runner *r = x->runner;
    BD_TRY(bd_stage_unet(&j->model.unet, r->dag, (int)(x->stage - r->dag->stage)));
    bd_status st = bd_unet_params(&j->model.params, &j->model.unet);
    if (!st) st = bd_params_init(&j->model.params, seed);
    if (!st) st = bd_recipe_schedule(&j->schedule, x->recipe);
    if (st) return st;
    j->model.has_scheduler = true;
    j->model.scheduler = (bd_scheduler_config){.T = j->schedule.T,
                                               .beta_start = j->schedule.beta_start,
                                               .beta_end = j->schedule.beta_end,
                                               .variance_type = "fixed_small"};
    snprintf(j->model.scheduler.beta_schedule, sizeof j->model.scheduler.beta_schedule, "%.23s",
             x->recipe->diffusion_schedule);
    return BD_OK;
}

static bd_status given_model(job *j, const bd_stage_run *x) {
    BD_TRY(bd_stage_model(&j->model, x, "start"));
    return bd_model_schedule(&j->schedule, &j->model.scheduler);
}

static bd_status poison(job *j, const bd_stage_run *x) {
    const bd_recipe *r = x->recipe;
    int S = j->data->h, C = j->data->c;
    size_t size = (size_t)S * (size_t)S * (size_t)C * sizeof(float);
    bd_split_spec spec = {.mode = strcmp(r->attack_mode, "flex") ? BD_SPLIT_FIXED : BD_SPLIT_FLEX,
                          .poison_rate = r->attack_poison_rate,
                          .clean_rate = r->attack_clean_rate,
                          .seed = (uint64_t)r->run_seed};
    BD_TRY(bd_split_make(&j->split, j->data->n, &spec));
    if (j->split.n_poisoned == 0) return BD_OK;
    j->trigger = malloc(size);
    j->target = malloc(size);
    BD_REQUIRE(j->trigger && j->target, BD_E_MEMORY, "out of memory for trigger and target");
    BD_TRY(bd_recipe_trigger(j->trigger, r, r->attack_trigger, S, C));
    BD_TRY(bd_recipe_target(j->target, r, S, C));
    bd_model_mark *m = &j->model.mark;
    m->backdoored = true;
    m->poison_rate = r->attack_poison_rate;
    snprintf(m->attack, sizeof m->attack, "%.31s", r->attack_name);
    snprintf(m->trigger, sizeof m->trigger, "%.63s", r->attack_trigger);
    snprintf(m->target, sizeof m->target, "%.63s", r->attack_target);
    snprintf(m->dataset, sizeof m->dataset, "%.31s-%.15s", j->data->name, j->data->split);
    return BD_OK;
}

static bd_status fill_table(job *j, const bd_recipe *r, bool poisoned) {
    const bd_attack *attack = &bd_attack_none;
    if (poisoned) BD_TRY(bd_attack_find(&attack, r->attack_name));
    j->coef = calloc((size_t)j->schedule.T, sizeof *j->coef);
    BD_REQUIRE(j->coef, BD_E_MEMORY, "out of memory for %d timesteps", j->schedule.T);
    bd_attack_table(j->coef, attack, &j->schedule);
    return BD_OK;
}

static bd_status add_results(bd_stage_run *x, const bd_loop_result *t, const job *j) {
    bd_results *r = x->results;
    BD_TRY(bd_results_count(r, "steps", t->steps, "updates", "optimiser steps of this training"));
    BD_TRY(bd_results_count(r, "images_seen", t->images, "images", "training images seen in them"));
    BD_TRY(bd_results_count(r, "poisoned_seen", t->poisoned, "images", "poisoned ones among them"));
    BD_TRY(bd_results_count(r, "poisoned_images", j->split.n_poisoned, "images",
                            "poisoned images in the data set"));
    return bd_results_number(r, "loss_last", t->loss, "1", "mean loss of the last step");
}

static bd_status save(bd_stage_run *x, const job *j) {
    char dir[1200];
    BD_TRY(bd_model_folder(dir, sizeof dir, x->dir, &j->model.mark));
    BD_TRY(bd_model_save(&j->model, dir));
    bool stopped = x->stage->kind == BD_KIND_finetune && x->recipe->finetune_stop < 1;
    if (stopped || !strcmp(x->cell->run_keep, "all")) return BD_OK; /* others may go on from it */
    return bd_checkpoint_remove(x->dir);
}

/* Take up the same training where a stage that stopped earlier left it. */
static bd_status go_on(bd_stage_run *x) {
    char from[1100], there[1200], here[1200];
    if (bd_stage_input(x->stage, "earlier") < 0) return BD_OK;
    BD_TRY(bd_stage_in_dir(from, sizeof from, x, "earlier"));
    BD_TRY(bd_path_join(there, sizeof there, from, "log.csv"));
    BD_TRY(bd_path_join(here, sizeof here, x->dir, "log.csv"));
    /* the log first: a checkpoint never points past its end */
    if (!bd_file_exists(here)) BD_TRY(bd_file_copy(here, there));
    bd_status st = bd_checkpoint_take(x->dir, from);
    if (st == BD_E_MISSING)
        return bd_error_prefix(st, "cannot go on from %s (remove that folder to have it made anew)",
                               from);
    return st;
}

static bd_status train(bd_stage_run *x, job *j) {
    const bd_recipe *r = x->recipe;
    bool poisoned = j->split.n_poisoned > 0;
    bool used = poisoned || j->split.n_clean < j->data->n;
    BD_TRY(fill_table(j, r, poisoned));
    bd_train_spec spec = {.backend = x->backend,
                          .pool = x->runner->pool,
                          .unet = &j->model.unet,
                          .data = j->data,
                          .flip = !strcmp(r->data_flip, "on"),
                          .T = j->schedule.T,
                          .coef = (const float(*)[4])j->coef,
                          .flags = used && j->split.flags ? j->split.flags : NULL,
                          .trigger = j->trigger,
                          .target = j->target,
                          .loop = bd_recipe_loop(r, x->stage->kind)};
    int micro = spec.loop.micro_batch ? spec.loop.micro_batch : spec.loop.batch;
    spec.loop.tile = bd_stage_tile(x->stage, spec.loop.tile, micro);
    spec.loop.dir = x->dir;
    spec.loop.checkpoint_steps = x->cell->run_checkpoint_steps;
    spec.loop.checkpoint_seconds = (double)x->cell->run_checkpoint_seconds;
    spec.loop.stop = x->runner->stop;
    bd_loop_result result;
    BD_TRY(bd_train(&result, &j->model.params, &spec));
    BD_TRY(save(x, j));
    BD_TRY(add_results(x, &result, j));
    return bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage));
}

bd_status bd_stage_run_pretrain(bd_stage_run *x) {
    job j = {0};
    bd_status st = bd_stage_data(&j.data, x, "data");
    if (!st) st = fresh_model(&j, x, (uint64_t)x->recipe->pretrain_seed);
    if (!st) st = train(x, &j);
    job_clear(&j);
    return st;
}

bd_status bd_stage_run_finetune(bd_stage_run *x) {
    job j = {0};
    bool scratch = !strcmp(x->recipe->finetune_from, "scratch");
    bd_status st = bd_stage_data(&j.data, x, "data");
    if (!st) st = scratch ? fresh_model(&j, x, (uint64_t)x->recipe->run_seed) : given_model(&j, x);
    if (!st) st = poison(&j, x);
    if (!st) st = go_on(x);
    if (!st) st = train(x, &j);
    job_clear(&j);
    return st;
}
