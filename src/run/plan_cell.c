#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "nn/model.h"
#include "run/plan_parts.h"

static bd_status add_data(int *place, bd_dag *d, const bd_recipe *r, const char *split,
                          int64_t limit) {
    bd_stage s = {.kind = BD_KIND_data};
    bd_stage_canonical(&s.recipe, s.kind, r);
    snprintf(s.recipe.data_split, sizeof s.recipe.data_split, "%s", split);
    s.recipe.data_limit = limit;
    return bd_plan_add(place, d, &s);
}

/* The held-out pictures that a chain of prior image or stamped starts from. */
static bd_status add_pictures(int *place, bd_dag *d, const bd_recipe *r) {
    return add_data(place, d, r, "test", 0);
}

/* A folder that is not there yet is planned without its sum. */
static bd_status hash_model(char hex[65], bd_dag *d, const char *folder) {
    if (strcmp(d->model_folder, folder) != 0 || !d->model_sha256[0]) {
        d->model_sha256[0] = '\0';
        snprintf(d->model_folder, sizeof d->model_folder, "%s", folder);
        bd_status st = bd_file_is_dir(folder) ? bd_model_sha256(d->model_sha256, folder) : BD_OK;
        if (st == BD_E_MISSING) d->model_sha256[0] = '\0';
        if (st && st != BD_E_MISSING) return bd_error_prefix(st, "model.folder");
    }
    strcpy(hex, d->model_sha256);
    return BD_OK;
}

/* The model before any fine-tuning: trained here, or taken from a folder. */
static bd_status add_pretrain(int *place, bd_dag *d, const bd_recipe *r, int data) {
    bd_stage s = {.kind = r->model_folder[0] ? BD_KIND_import : BD_KIND_pretrain};
    if (s.kind == BD_KIND_import) BD_TRY(hash_model(s.file_sha256, d, r->model_folder));
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "data", data);
    return bd_plan_add(place, d, &s);
}

/* Of two trainings that differ only in when they stop, the longer goes on from the end of the shorter. */
static bool goes_on_from(const bd_stage *s, const bd_stage *earlier, const bd_dag *d) {
    if (earlier->kind != s->kind || earlier->recipe.finetune_stop >= s->recipe.finetune_stop)
        return false;
    if (strcmp(earlier->device, d->device) != 0 || strcmp(earlier->precision, d->precision) != 0)
        return false;
    for (int i = 0; i < s->n_in; i++)
        if (bd_stage_input(earlier, s->in[i].role) != s->in[i].stage) return false;
    char a[BD_TEXT_SIZE], b[BD_TEXT_SIZE];
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        bd_recipe_get(a, &s->recipe, f);
        bd_recipe_get(b, &earlier->recipe, f);
        if (strcmp(a, b) != 0 && strcmp(f->name, "finetune.stop") != 0) return false;
    }
    return true;
}

static void add_earlier(const bd_dag *d, bd_stage *s) {
    int best = -1;
    for (int i = 0; i < d->n_stages; i++)
        if (goes_on_from(s, &d->stage[i], d) &&
            (best < 0 || d->stage[i].recipe.finetune_stop > d->stage[best].recipe.finetune_stop))
            best = i;
    if (best < 0) return;
    bd_plan_input(s, "earlier", best);
    s->in[s->n_in - 1].shortcut = true;
}

static bd_status add_finetune(int *place, bd_dag *d, const bd_recipe *r, int data, int pretrain) {
    bd_stage s = {.kind = BD_KIND_finetune};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "data", data);
    if (pretrain >= 0) bd_plan_input(&s, "start", pretrain);
    add_earlier(d, &s);
    return bd_plan_add(place, d, &s);
}

/* The model to be sampled, and the pretrained one it comes from. */
static bd_status add_model(int *model, int *pretrain, bd_dag *d, const bd_recipe *r, int data) {
    *pretrain = -1;
    if (!bd_is(r->finetune_from, "scratch")) BD_TRY(add_pretrain(pretrain, d, r, data));
    if (bd_is(r->finetune_from, "none") || bd_is(r->finetune_from, "given"))
        return *model = *pretrain, BD_OK;
    return add_finetune(model, d, r, data, *pretrain);
}

static bd_status add_sample(int *place, bd_dag *d, const bd_recipe *r, int model) {
    bd_stage s = {.kind = BD_KIND_sample};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "model", model);
    if (bd_is(r->sample_prior, "stamped") || bd_is(r->sample_prior, "image")) {
        int pictures;
        BD_TRY(add_pictures(&pictures, d, r));
        bd_plan_input(&s, "pictures", pictures);
    }
    return bd_plan_add(place, d, &s);
}

static bd_status add_clean(int *place, bd_dag *d, const bd_recipe *r, int model) {
    bd_recipe *c = malloc(sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "out of memory for a plan");
    *c = *r;
    strcpy(c->sample_sampler, r->clean_sampler);
    strcpy(c->sample_prior, "noise");
    strcpy(c->sample_spacing, "own");
    strcpy(c->sample_final, "sigma_min");
    c->sample_order = 0;
    c->sample_steps = r->clean_steps;
    c->sample_eta = r->clean_eta;
    c->sample_n = r->clean_n;
    bd_status st = add_sample(place, d, c, model);
    free(c);
    return st;
}

static bd_status add_noise(int *place, bd_dag *d, const bd_recipe *r, int model) {
    bd_recipe *c = malloc(sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "out of memory for a plan");
    *c = *r;
    strcpy(c->sample_prior, "noise");
    c->sample_n = r->sample_n_noise;
    bd_status st = add_sample(place, d, c, model);
    free(c);
    return st;
}

static bd_status add_score(int *place, bd_dag *d, const bd_recipe *r, int samples, int target) {
    bd_stage s = {.kind = BD_KIND_score};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "samples", samples);
    bd_plan_input(&s, "target", target);
    return bd_plan_add(place, d, &s);
}

static bd_status add_target(int *place, bd_dag *d, const bd_recipe *r, int data) {
    bd_stage s = {.kind = BD_KIND_target};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "data", data);
    return bd_plan_add(place, d, &s);
}

static bd_status hash_classifier(bd_dag *d, const char *path) {
    if (!strcmp(d->classifier, path) && d->classifier_sha256[0]) return BD_OK;
    bd_status st = bd_sha256_file(d->classifier_sha256, path);
    if (st == BD_E_MISSING)
        return bd_fail(
            st,
            "metric.classifier: %s is not there; 'baddiff run classifier' trains it (then copy "
            "runs/classifier-*/classifier.safetensors there), metric.fcd = off does without",
            path);
    if (st) return st;
    snprintf(d->classifier, sizeof d->classifier, "%s", path);
    return BD_OK;
}

/* n: how many images from the start, 0 = all */
static bd_status add_features(int *place, bd_dag *d, const bd_recipe *r, int images, int64_t n) {
    bd_stage s = {.kind = BD_KIND_features};
    BD_TRY(hash_classifier(d, r->metric_classifier));
    bd_stage_canonical(&s.recipe, s.kind, r);
    s.recipe.metric_n_reference = n;
    strcpy(s.recipe.metric_classifier, r->metric_classifier);
    strcpy(s.file_sha256, d->classifier_sha256);
    bd_plan_input(&s, "images", images);
    return bd_plan_add(place, d, &s);
}

/* The control of a cell: the same with no poison. */
void bd_plan_rate0(bd_recipe *r) { bd_plan_no_attack(r); }

void bd_plan_pretrained(bd_recipe *r) {
    bd_plan_no_attack(r);
    bd_recipe_reset_section(r, "finetune");
    strcpy(r->finetune_from, "none");
}

/* The clean samples' features of the same cell at poison rate 0. */
static bd_status add_control_features(int *place, bd_dag *d, const bd_recipe *r, int data) {
    bd_recipe *c = malloc(sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "out of memory for a plan");
    *c = *r;
    bd_plan_rate0(c);
    int model, pretrain, clean;
    bd_status st = add_model(&model, &pretrain, d, c, data);
    if (!st) st = add_clean(&clean, d, c, model);
    if (!st) st = add_features(place, d, c, clean, 0);
    free(c);
    return st;
}

static bd_status add_fcd(int *place, bd_dag *d, const bd_cell *c, int data, int clean) {
    const bd_recipe *r = &c->recipe;
    int train, test, features, floor, reference, control = -1;
    BD_TRY(add_data(&train, d, r, "train", r->data_limit));
    BD_TRY(add_data(&test, d, r, "test", 0));
    BD_TRY(add_features(&features, d, r, clean, 0));
    if (c->role == BD_CELL_ATTACK && !bd_is(r->recipe_controls, "none"))
        BD_TRY(add_control_features(&control, d, r, data));
    BD_TRY(add_features(&floor, d, r, test, r->clean_n));
    BD_TRY(add_features(&reference, d, r, train, r->metric_n_reference));
    bd_stage s = {.kind = BD_KIND_fcd};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "features", features);
    if (control >= 0) bd_plan_input(&s, "control", control);
    bd_plan_input(&s, "floor", floor);
    bd_plan_input(&s, "reference", reference);
    return bd_plan_add(place, d, &s);
}

/* Which weights fid will use. Those that are not there yet are planned with as the published ones, whatever else is
 * fetched later makes other stages; a run without them stops before it starts. */
static bd_status hash_inception(bd_dag *d, const char *given) {
    char path[1400];
    if (!strcmp(d->inception, given) && d->inception_sha256[0]) return BD_OK;
    bd_status st = bd_fid_weights(path, sizeof path, given);
    if (st == BD_E_MISSING && !given[0]) {
        bd_log(BD_LOG_WARN, "metric.fid: %s", bd_error());
        strcpy(d->inception_sha256, BD_FID_PUBLISHED);
    } else {
        if (!st) st = bd_sha256_file(d->inception_sha256, path);
        if (st) return bd_error_prefix(st, "metric.fid");
        if (bd_fid_published(d->inception_sha256)) strcpy(d->inception_sha256, BD_FID_PUBLISHED);
    }
    snprintf(d->inception, sizeof d->inception, "%s", given);
    return BD_OK;
}

/* n: how many images from the start, 0 = all */
static bd_status add_moments(int *place, bd_dag *d, const bd_recipe *r, int images, int64_t n) {
    bd_stage s = {.kind = BD_KIND_moments};
    BD_TRY(hash_inception(d, r->metric_inception));
    bd_stage_canonical(&s.recipe, s.kind, r);
    s.recipe.metric_n_reference = n;
    strcpy(s.recipe.metric_inception, r->metric_inception);
    strcpy(s.file_sha256, d->inception_sha256);
    bd_plan_input(&s, "images", images);
    return bd_plan_add(place, d, &s);
}

static bd_status add_fid(int *place, bd_dag *d, const bd_recipe *r, int clean) {
    int real, samples, reference;
    bd_stage s = {.kind = BD_KIND_fid};
    BD_TRY(add_data(&real, d, r, r->metric_fid_split, 0));
    BD_TRY(add_moments(&samples, d, r, clean, 0));
    BD_TRY(add_moments(&reference, d, r, real, r->metric_n_reference));
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "images", samples);
    bd_plan_input(&s, "reference", reference);
    return bd_plan_add(place, d, &s);
}

/* As hash_inception, of both files. */
static bd_status hash_lpips(bd_dag *d, const char *folder) {
    if (!strcmp(d->lpips, folder) && d->lpips_sha256[0]) return BD_OK;
    bd_status st = bd_lpips_sha256(d->lpips_sha256, folder);
    if (st == BD_E_MISSING && !folder[0]) {
        bd_log(BD_LOG_WARN, "metric.lpips: %s", bd_error());
        strcpy(d->lpips_sha256, BD_LPIPS_PUBLISHED);
    } else if (st) {
        return bd_error_prefix(st, "metric.lpips");
    }
    snprintf(d->lpips, sizeof d->lpips, "%s", folder);
    return BD_OK;
}

static bd_status add_lpips(bd_dag *d, bd_cell *c) {
    const bd_recipe *r = &c->recipe;
    bd_stage s = {.kind = BD_KIND_lpips};
    int pictures;
    BD_TRY(hash_lpips(d, r->metric_lpips_folder));
    bd_stage_canonical(&s.recipe, s.kind, r);
    strcpy(s.recipe.metric_lpips_folder, r->metric_lpips_folder);
    strcpy(s.file_sha256, d->lpips_sha256);
    bd_plan_input(&s, "samples", c->slot[BD_SLOT_TRIGGER]);
    bd_plan_input(&s, "target", c->slot[BD_SLOT_TARGET]);
    if (bd_restores(r)) {
        BD_TRY(add_pictures(&pictures, d, r));
        bd_plan_input(&s, "pictures", pictures);
    }
    return bd_plan_add(&c->slot[BD_SLOT_LPIPS], d, &s);
}

static bd_status add_restore(bd_dag *d, bd_cell *c) {
    bd_stage s = {.kind = BD_KIND_restore};
    int pictures;
    BD_TRY(add_pictures(&pictures, d, &c->recipe));
    bd_stage_canonical(&s.recipe, s.kind, &c->recipe);
    bd_plan_input(&s, "samples", c->slot[BD_SLOT_TRIGGER]);
    bd_plan_input(&s, "target", c->slot[BD_SLOT_TARGET]);
    bd_plan_input(&s, "pictures", pictures);
    return bd_plan_add(&c->slot[BD_SLOT_RESTORE], d, &s);
}

/* A cell that restores pictures: no samples from plain noise, they belong to the recipes that draw. */
static bd_status restore_cell(bd_dag *d, bd_cell *c) {
    const bd_recipe *r = &c->recipe;
    int *slot = c->slot;
    BD_TRY(add_data(&slot[BD_SLOT_DATA], d, r, r->data_split, r->data_limit));
    int data = slot[BD_SLOT_DATA];
    BD_TRY(add_model(&slot[BD_SLOT_MODEL], &slot[BD_SLOT_PRETRAIN], d, r, data));
    BD_TRY(add_sample(&slot[BD_SLOT_TRIGGER], d, r, slot[BD_SLOT_MODEL]));
    BD_TRY(add_target(&slot[BD_SLOT_TARGET], d, r, data));
    BD_TRY(add_score(&slot[BD_SLOT_SCORE], d, r, slot[BD_SLOT_TRIGGER], slot[BD_SLOT_TARGET]));
    BD_TRY(add_restore(d, c));
    return bd_is(r->metric_lpips, "on") ? add_lpips(d, c) : BD_OK;
}

static bd_status model_cell(bd_dag *d, bd_cell *c) {
    const bd_recipe *r = &c->recipe;
    int *slot = c->slot;
    BD_TRY(add_data(&slot[BD_SLOT_DATA], d, r, r->data_split, r->data_limit));
    int data = slot[BD_SLOT_DATA];
    BD_TRY(add_model(&slot[BD_SLOT_MODEL], &slot[BD_SLOT_PRETRAIN], d, r, data));
    int model = slot[BD_SLOT_MODEL];
    BD_TRY(add_clean(&slot[BD_SLOT_CLEAN], d, r, model));
    BD_TRY(add_sample(&slot[BD_SLOT_TRIGGER], d, r, model));
    if (r->sample_n_noise > 0) BD_TRY(add_noise(&slot[BD_SLOT_NOISE], d, r, model));
    BD_TRY(add_target(&slot[BD_SLOT_TARGET], d, r, data));
    int target = slot[BD_SLOT_TARGET];
    BD_TRY(add_score(&slot[BD_SLOT_SCORE], d, r, slot[BD_SLOT_TRIGGER], target));
    BD_TRY(add_score(&slot[BD_SLOT_SCORE_CLEAN], d, r, slot[BD_SLOT_CLEAN], target));
    if (r->sample_n_noise > 0)
        BD_TRY(add_score(&slot[BD_SLOT_SCORE_NOISE], d, r, slot[BD_SLOT_NOISE], target));
    if (bd_is(r->metric_fcd, "on"))
        BD_TRY(add_fcd(&slot[BD_SLOT_FCD], d, c, data, slot[BD_SLOT_CLEAN]));
    if (bd_is(r->metric_fid, "on")) BD_TRY(add_fid(&slot[BD_SLOT_FID], d, r, slot[BD_SLOT_CLEAN]));
    return bd_is(r->metric_lpips, "on") ? add_lpips(d, c) : BD_OK;
}

static bd_status add_anp(int *place, bd_dag *d, const bd_recipe *r, int data, int model,
                         int target) {
    bd_stage s = {.kind = BD_KIND_anp};
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "model", model);
    bd_plan_input(&s, "data", data);
    bd_plan_input(&s, "target", target);
    return bd_plan_add(place, d, &s);
}

/* The model under test and what becomes of its samples when its neurons are perturbed. */
static bd_status anp_cell(bd_dag *d, bd_cell *c) {
    bd_recipe *r = &c->recipe;
    int *slot = c->slot;
    r->sample_n = r->anp_n;
    strcpy(r->sample_clip, r->anp_sample_clip);
    strcpy(r->sample_prior, "noise");
    BD_TRY(add_data(&slot[BD_SLOT_DATA], d, r, r->data_split, r->data_limit));
    int data = slot[BD_SLOT_DATA];
    BD_TRY(add_model(&slot[BD_SLOT_MODEL], &slot[BD_SLOT_PRETRAIN], d, r, data));
    BD_TRY(add_target(&slot[BD_SLOT_TARGET], d, r, data));
    return add_anp(&slot[BD_SLOT_ANP], d, r, data, slot[BD_SLOT_MODEL], slot[BD_SLOT_TARGET]);
}

static bd_status gallery_cell(bd_dag *d, bd_cell *c) {
    const bd_recipe *r = &c->recipe;
    BD_TRY(add_data(&c->slot[BD_SLOT_DATA], d, r, r->data_split, r->data_limit));
    return add_target(&c->slot[BD_SLOT_TARGET], d, r, c->slot[BD_SLOT_DATA]);
}

static bd_status classifier_cell(bd_dag *d, bd_cell *c) {
    const bd_recipe *r = &c->recipe;
    int test;
    bd_stage s = {.kind = BD_KIND_classifier};
    BD_TRY(add_data(&c->slot[BD_SLOT_DATA], d, r, r->data_split, r->data_limit));
    BD_TRY(add_data(&test, d, r, "test", 0));
    bd_stage_canonical(&s.recipe, s.kind, r);
    bd_plan_input(&s, "data", c->slot[BD_SLOT_DATA]);
    bd_plan_input(&s, "test", test);
    return bd_plan_add(&c->slot[BD_SLOT_CLASSIFIER], d, &s);
}

bd_status bd_plan_cell(bd_dag *d, bd_cell *c) {
    if (c->role == BD_CELL_GALLERY) return gallery_cell(d, c);
    if (c->role == BD_CELL_CLASSIFIER) return classifier_cell(d, c);
    if (bd_is(c->recipe.recipe_makes, "anp")) return anp_cell(d, c);
    return bd_restores(&c->recipe) ? restore_cell(d, c) : model_cell(d, c);
}
