#include "run/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "data/target.h"
#include "diffusion/sampler.h"
#include "data/trigger.h"
#include "metric/fid.h"
#include "nn/model.h"
#include "run/device.h"

static const int numerics[] = {
#define BD_KIND(name, version, help) version,
#include "run/kinds.def"
#undef BD_KIND
};

const char *bd_cell_role_name(bd_cell_role role) {
    static const char *const names[] = {"attack", "rate0", "pretrained", "gallery", "classifier"};
    return names[role];
}

int bd_stage_input(const bd_stage *s, const char *role) {
    for (int i = 0; i < s->n_in; i++)
        if (!strcmp(s->in[i].role, role)) return s->in[i].stage;
    return -1;
}

static void reset(bd_recipe *r, const char *name) {
    const bd_field *f;
    if (bd_field_find(&f, name) == BD_OK) bd_recipe_reset(r, f);
}

static bool is(const char *value, const char *word) { return strcmp(value, word) == 0; }

static bool unpoisoned(const bd_recipe *r) {
    return r->attack_poison_rate == 0 || is(r->attack_name, "none");
}

/* --- the fields that matter --- */

static void copy_field(bd_recipe *to, const bd_recipe *from, const bd_field *f) {
    char text[BD_TEXT_SIZE];
    bd_recipe_get(text, from, f);
    /* it was read from a recipe by the same rule */
    bd_status st = bd_recipe_set(to, f, text);
    (void)st;
}

static void no_attack(bd_recipe *r) {
    bd_recipe_reset_section(r, "attack");
    r->attack_poison_rate = 0;
}

static bool target_uses_trigger(const bd_recipe *r) {
    return is(r->attack_target, "noshift") || is(r->attack_target, "shift");
}

static void canonical_finetune(bd_recipe *r) {
    if (is(r->finetune_from, "scratch")) {
        r->finetune_steps *= r->finetune_scratch_factor; /* 0 stays 0: by epochs */
        r->finetune_epochs *= r->finetune_scratch_factor;
    } else {
        bd_recipe_reset_section(r, "model"); /* comes with the pretrained model */
        bd_recipe_reset_section(r, "diffusion");
    }
    reset(r, "finetune.scratch_factor");
    if (r->finetune_steps > 0) reset(r, "finetune.epochs");
    if (unpoisoned(r)) {
        no_attack(r);
        return;
    }
    if (is(r->attack_mode, "fixed")) reset(r, "attack.clean_rate");
    if (!bd_trigger_uses_art(r->attack_trigger) && !bd_target_uses_art(r->attack_target))
        reset(r, "attack.art");
}

/* The attack belongs to an imported model only where that is the model under test. */
static void canonical_import(bd_recipe *r, const bd_recipe *cell) {
    if (!is(cell->finetune_from, "given") || unpoisoned(cell)) no_attack(r);
}

static void canonical_sample(bd_recipe *r) {
    const char *p = r->sample_prior;
    bool trigger = is(p, "trigger") || is(p, "trigger-zero") || is(p, "stamped") || is(p, "moved");
    bool other = is(p, "other");
    if (!trigger) reset(r, "attack.trigger");
    if (!other) reset(r, "sample.other");
    if (!(trigger && bd_trigger_uses_art(r->attack_trigger)) &&
        !(other && bd_trigger_uses_art(r->sample_other)))
        reset(r, "attack.art");
    if (!is(r->sample_sampler, "ddim")) reset(r, "sample.eta");
    if (!is(r->sample_sampler, "ddpm")) reset(r, "sample.variance");
    if (bd_sampler_max_order(r->sample_sampler)) return;
    reset(r, "sample.order");
    reset(r, "sample.final");
}

static void canonical_target(bd_recipe *r) {
    bool trigger = target_uses_trigger(r);
    if (!trigger) reset(r, "attack.trigger");
    if (!(trigger && bd_trigger_uses_art(r->attack_trigger)) &&
        !bd_target_uses_art(r->attack_target))
        reset(r, "attack.art");
}

void bd_stage_canonical(bd_recipe *out, bd_stage_kind kind, const bd_recipe *cell) {
    bd_recipe_defaults(out);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        if (f->kinds & (1u << kind)) copy_field(out, cell, f);
    }
    if (kind == BD_KIND_pretrain && out->pretrain_steps > 0) reset(out, "pretrain.epochs");
    if (kind == BD_KIND_import) canonical_import(out, cell);
    if (kind == BD_KIND_finetune) canonical_finetune(out);
    if (kind == BD_KIND_sample) canonical_sample(out);
    if (kind == BD_KIND_target) canonical_target(out);
}

/* --- ids --- */

static void hash_line(bd_sha256 *h, const char *a, const char *b, const char *c) {
    const char *parts[] = {a, " ", b, "=", c, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        bd_sha256_update(h, parts[i], strlen(parts[i]));
}

const char *bd_stage_file(bd_stage_kind kind) {
    return kind == BD_KIND_moments ? "inception" : kind == BD_KIND_import ? "model" : "classifier";
}

/* The other kinds compute in double on the host, whatever the device. */
static bool has_network(bd_stage_kind kind) {
    return kind == BD_KIND_pretrain || kind == BD_KIND_finetune || kind == BD_KIND_sample ||
           kind == BD_KIND_features || kind == BD_KIND_classifier || kind == BD_KIND_moments;
}

/* Networks that measure do it in float32, whatever the ones that are measured compute in. */
static bool measures(bd_stage_kind kind) {
    return kind == BD_KIND_features || kind == BD_KIND_classifier || kind == BD_KIND_moments;
}

static void hash_backend(bd_sha256 *h, const bd_stage *s) {
    char name[32] = "host";
    if (has_network(s->kind)) bd_device_kind(name, sizeof name, s->device, s->precision);
    hash_line(h, "backend", "name", name);
}

static bd_status make_id(bd_stage *s, const bd_dag *d) {
    bd_sha256 *h;
    char text[BD_TEXT_SIZE];
    BD_TRY(bd_sha256_create(&h));
    snprintf(text, sizeof text, "%d", numerics[s->kind]);
    hash_line(h, "kind", bd_stage_kind_name(s->kind), text);
    hash_backend(h, s);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        if (!(f->kinds & (1u << s->kind))) continue;
        bd_recipe_get(text, &s->recipe, f);
        if (f->neutral[0] && !strcmp(text, f->neutral)) continue;
        hash_line(h, "field", f->name, text);
    }
    if (s->file_sha256[0]) hash_line(h, "file", bd_stage_file(s->kind), s->file_sha256);
    for (int i = 0; i < s->n_in; i++)
        hash_line(h, "input", s->in[i].role, d->stage[s->in[i].stage].id);
    bd_sha256_finish(h, s->id);
    snprintf(s->name, sizeof s->name, "%s-%.12s", bd_stage_kind_name(s->kind), s->id);
    return BD_OK;
}

static bd_status grow(void **array, int *room, int n, size_t item) {
    if (n < *room) return BD_OK;
    int want = *room ? 2 * *room : 32;
    void *p = realloc(*array, (size_t)want * item);
    BD_REQUIRE(p, BD_E_MEMORY, "out of memory for a plan of %d parts", want);
    *array = p;
    *room = want;
    return BD_OK;
}

/* Adds s unless its id is there; *place gets where it is. */
static bd_status add(int *place, bd_dag *d, bd_stage *s) {
    s->cell = d->n_cells;
    if (has_network(s->kind)) {
        strcpy(s->device, d->device);
        strcpy(s->precision, measures(s->kind) ? "f32" : d->precision);
    }
    BD_TRY(make_id(s, d));
    for (int i = 0; i < d->n_stages; i++)
        if (!strcmp(d->stage[i].id, s->id)) return *place = i, BD_OK;
    BD_TRY(grow((void **)&d->stage, &d->stage_room, d->n_stages, sizeof *d->stage));
    d->stage[d->n_stages] = *s;
    *place = d->n_stages++;
    return BD_OK;
}

static void input(bd_stage *s, const char *role, int stage) {
    s->in[s->n_in].role = role;
    s->in[s->n_in++].stage = stage;
}

/* --- the stages of a cell --- */

static bd_status add_data(int *place, bd_dag *d, const bd_recipe *r, const char *split,
                          int64_t limit) {
    bd_stage s = {.kind = BD_KIND_data};
    bd_stage_canonical(&s.recipe, s.kind, r);
    snprintf(s.recipe.data_split, sizeof s.recipe.data_split, "%s", split);
    s.recipe.data_limit = limit;
    return add(place, d, &s);
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
    input(&s, "data", data);
    return add(place, d, &s);
}

static bd_status add_finetune(int *place, bd_dag *d, const bd_recipe *r, int data, int pretrain) {
    bd_stage s = {.kind = BD_KIND_finetune};
    bd_stage_canonical(&s.recipe, s.kind, r);
    input(&s, "data", data);
    if (pretrain >= 0) input(&s, "start", pretrain);
    return add(place, d, &s);
}

/* The model to be sampled, and the pretrained one it comes from. */
static bd_status add_model(int *model, int *pretrain, bd_dag *d, const bd_recipe *r, int data) {
    *pretrain = -1;
    if (!is(r->finetune_from, "scratch")) BD_TRY(add_pretrain(pretrain, d, r, data));
    if (is(r->finetune_from, "none") || is(r->finetune_from, "given"))
        return *model = *pretrain, BD_OK;
    return add_finetune(model, d, r, data, *pretrain);
}

static bd_status add_sample(int *place, bd_dag *d, const bd_recipe *r, int model) {
    bd_stage s = {.kind = BD_KIND_sample};
    bd_stage_canonical(&s.recipe, s.kind, r);
    input(&s, "model", model);
    if (is(r->sample_prior, "stamped") || is(r->sample_prior, "image")) {
        int pictures; /* held out: not trained on */
        BD_TRY(add_data(&pictures, d, r, "test", 0));
        input(&s, "pictures", pictures);
    }
    return add(place, d, &s);
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
    input(&s, "samples", samples);
    input(&s, "target", target);
    return add(place, d, &s);
}

static bd_status add_target(int *place, bd_dag *d, const bd_recipe *r, int data) {
    bd_stage s = {.kind = BD_KIND_target};
    bd_stage_canonical(&s.recipe, s.kind, r);
    input(&s, "data", data);
    return add(place, d, &s);
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
    input(&s, "images", images);
    return add(place, d, &s);
}

/* The control of a cell: the same with no poison. */
static void make_rate0(bd_recipe *r) { no_attack(r); }

static void make_pretrained(bd_recipe *r) {
    no_attack(r);
    bd_recipe_reset_section(r, "finetune");
    strcpy(r->finetune_from, "none");
}

/* Trigger, target and art are what samples start from and are scored against, also where the training
 * knew nothing of them. */
static void keep_scene(bd_recipe *r, const bd_recipe *cell) {
    strcpy(r->attack_trigger, cell->attack_trigger);
    strcpy(r->attack_target, cell->attack_target);
    strcpy(r->attack_art, cell->attack_art);
}

/* The clean samples' features of the same cell at poison rate 0. */
static bd_status add_control_features(int *place, bd_dag *d, const bd_recipe *r, int data) {
    bd_recipe *c = malloc(sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "out of memory for a plan");
    *c = *r;
    make_rate0(c);
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
    if (c->role == BD_CELL_ATTACK && !is(r->recipe_controls, "none"))
        BD_TRY(add_control_features(&control, d, r, data));
    BD_TRY(add_features(&floor, d, r, test, r->clean_n));
    BD_TRY(add_features(&reference, d, r, train, r->metric_n_reference));
    bd_stage s = {.kind = BD_KIND_fcd};
    bd_stage_canonical(&s.recipe, s.kind, r);
    input(&s, "features", features);
    if (control >= 0) input(&s, "control", control);
    input(&s, "floor", floor);
    input(&s, "reference", reference);
    return add(place, d, &s);
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
    input(&s, "images", images);
    return add(place, d, &s);
}

static bd_status add_fid(int *place, bd_dag *d, const bd_recipe *r, int clean) {
    int real, samples, reference;
    bd_stage s = {.kind = BD_KIND_fid};
    BD_TRY(add_data(&real, d, r, r->metric_fid_split, 0));
    BD_TRY(add_moments(&samples, d, r, clean, 0));
    BD_TRY(add_moments(&reference, d, r, real, r->metric_n_reference));
    bd_stage_canonical(&s.recipe, s.kind, r);
    input(&s, "images", samples);
    input(&s, "reference", reference);
    return add(place, d, &s);
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
    if (is(r->metric_fcd, "on"))
        BD_TRY(add_fcd(&slot[BD_SLOT_FCD], d, c, data, slot[BD_SLOT_CLEAN]));
    if (is(r->metric_fid, "on")) BD_TRY(add_fid(&slot[BD_SLOT_FID], d, r, slot[BD_SLOT_CLEAN]));
    return BD_OK;
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
    input(&s, "data", c->slot[BD_SLOT_DATA]);
    input(&s, "test", test);
    return add(&c->slot[BD_SLOT_CLASSIFIER], d, &s);
}

/* --- cells --- */

/* A cell's id: all its settings that mean something for its role, by way of its stages. */
static bd_status cell_id(bd_cell *c, const bd_dag *d) {
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    hash_line(h, "cell", "role", bd_cell_role_name(c->role));
    if (c->role == BD_CELL_GALLERY) hash_line(h, "cell", "trigger", c->recipe.attack_trigger);
    for (int i = 0; i < BD_SLOT_COUNT; i++) {
        char slot[16];
        snprintf(slot, sizeof slot, "%d", i);
        if (c->slot[i] >= 0) hash_line(h, "slot", slot, d->stage[c->slot[i]].id);
    }
    bd_sha256_finish(h, c->id);
    return BD_OK;
}

static bd_cell_role role_of(const bd_recipe *r) {
    if (is(r->recipe_makes, "gallery")) return BD_CELL_GALLERY;
    if (is(r->recipe_makes, "classifier")) return BD_CELL_CLASSIFIER;
    if (is(r->finetune_from, "none")) return BD_CELL_PRETRAINED;
    return unpoisoned(r) ? BD_CELL_RATE0 : BD_CELL_ATTACK;
}

/* The device of the cell whose stages come next. */
static bd_status settle(bd_dag *d, bd_recipe *r) {
    BD_TRY(bd_device_settle(r));
    snprintf(d->device, sizeof d->device, "%.15s", r->run_device);
    snprintf(d->precision, sizeof d->precision, "%.7s", r->run_precision);
    return BD_OK;
}

/* The cell `r` in the given role, unless the plan has it already for this recipe. */
static bd_status add_cell(bd_dag *d, int file, const bd_recipe *r, bd_cell_role role) {
    bd_cell *c = calloc(1, sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "out of memory for a plan");
    c->file = file;
    c->role = role;
    c->recipe = *r;
    if (role == BD_CELL_RATE0) make_rate0(&c->recipe);
    if (role == BD_CELL_PRETRAINED) make_pretrained(&c->recipe);
    if (role == BD_CELL_RATE0 || role == BD_CELL_PRETRAINED) keep_scene(&c->recipe, r);
    for (int i = 0; i < BD_SLOT_COUNT; i++) c->slot[i] = -1;
    bd_status st = settle(d, &c->recipe);
    if (st) {
        free(c);
        return st;
    }
    st = role == BD_CELL_GALLERY      ? gallery_cell(d, c)
         : role == BD_CELL_CLASSIFIER ? classifier_cell(d, c)
                                      : model_cell(d, c);
    if (!st) st = cell_id(c, d);
    for (int i = 0; !st && i < d->n_cells; i++)
        if (d->cell[i].file == file && !strcmp(d->cell[i].id, c->id)) {
            free(c);
            return BD_OK;
        }
    if (!st) st = grow((void **)&d->cell, &d->cell_room, d->n_cells, sizeof *d->cell);
    if (!st) d->cell[d->n_cells++] = *c;
    free(c);
    return st;
}

static bd_status add_controls(bd_dag *d, int file, const bd_recipe_file *f, bd_cell_role role,
                              bd_recipe *r) {
    for (int64_t i = 0; i < bd_recipe_file_cells(f); i++) {
        BD_TRY(bd_recipe_file_cell(r, f, i));
        bd_cell_role own = role_of(r);
        if (own == BD_CELL_ATTACK || own == BD_CELL_RATE0) BD_TRY(add_cell(d, file, r, role));
    }
    return BD_OK;
}

static bd_status add_all(bd_dag *d, int file, const bd_recipe_file *f, bd_recipe *r) {
    for (int64_t i = 0; i < bd_recipe_file_cells(f); i++) {
        BD_TRY(bd_recipe_file_cell(r, f, i));
        BD_TRY(add_cell(d, file, r, role_of(r)));
    }
    if (!is(f->base.recipe_makes, "cells") || is(f->base.recipe_controls, "none")) return BD_OK;
    BD_TRY(add_controls(d, file, f, BD_CELL_RATE0, r));
    if (is(f->base.recipe_controls, "all")) return add_controls(d, file, f, BD_CELL_PRETRAINED, r);
    return BD_OK;
}

bd_status bd_dag_add(bd_dag *d, const bd_recipe_file *file) {
    BD_REQUIRE(bd_recipe_file_cells(file) <= 100000, BD_E_ARG, "%s: %" PRId64 " cells are too many",
               file->path, bd_recipe_file_cells(file));
    const bd_recipe_file **files = realloc(d->file, (size_t)(d->n_files + 1) * sizeof *files);
    bd_recipe *r = malloc(sizeof *r);
    if (files) d->file = files;
    if (!files || !r) {
        free(r);
        return bd_fail(BD_E_MEMORY, "out of memory for a plan");
    }
    d->file[d->n_files++] = file;
    bd_status st = add_all(d, d->n_files - 1, file, r);
    free(r);
    return st;
}

void bd_dag_clear(bd_dag *d) {
    free(d->stage);
    free(d->cell);
    free(d->file);
    memset(d, 0, sizeof *d);
}

bd_status bd_dag_find(int *out, const bd_dag *d, const char *name) {
    int found = -1;
    size_t len = strlen(name);
    for (int i = 0; i < d->n_stages; i++) {
        const bd_stage *s = &d->stage[i];
        if (strcmp(s->name, name) != 0 && (len < 4 || strncmp(s->id, name, len) != 0)) continue;
        BD_REQUIRE(found < 0, BD_E_ARG, "stage '%s': several ids start like that", name);
        found = i;
    }
    BD_REQUIRE(
        found >= 0, BD_E_ARG,
        "no stage '%s' in this plan; 'baddiff plan' lists them (did a setting change since?)",
        name);
    *out = found;
    return BD_OK;
}
