#include "run/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sha256.h"
#include "run/device.h"
#include "run/plan_parts.h"

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
/* --- ids --- */

static void hash_line(bd_sha256 *h, const char *a, const char *b, const char *c) {
    const char *parts[] = {a, " ", b, "=", c, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        bd_sha256_update(h, parts[i], strlen(parts[i]));
}

const char *bd_stage_file(bd_stage_kind kind) {
    switch (kind) {
    case BD_KIND_moments: return "inception";
    case BD_KIND_import: return "model";
    case BD_KIND_lpips: return "lpips";
    default: return "classifier";
    }
}

/* Networks that measure do it in float32, whatever the ones that are measured compute in: folded into weights of 16
 * bits, a perturbation of 1e-4 would be rounded away. */
static bool measures(bd_stage_kind kind) {
    return kind == BD_KIND_features || kind == BD_KIND_classifier || kind == BD_KIND_moments ||
           kind == BD_KIND_lpips || kind == BD_KIND_anp;
}

bool bd_plan_has_network(bd_stage_kind kind) {
    return kind == BD_KIND_pretrain || kind == BD_KIND_finetune || kind == BD_KIND_sample ||
           measures(kind);
}

static void hash_backend(bd_sha256 *h, const bd_stage *s) {
    char name[32] = "host";
    if (bd_plan_has_network(s->kind)) bd_device_kind(name, sizeof name, s->device, s->precision);
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
        if (!s->in[i].shortcut) hash_line(h, "input", s->in[i].role, d->stage[s->in[i].stage].id);
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
bd_status bd_plan_add(int *place, bd_dag *d, bd_stage *s) {
    s->cell = d->n_cells;
    if (bd_plan_has_network(s->kind)) {
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

/* --- cells --- */

/* Trigger, target and art are what samples start from and are scored against, also where the training
 * knew nothing of them. */
static void keep_scene(bd_recipe *r, const bd_recipe *cell) {
    strcpy(r->attack_trigger, cell->attack_trigger);
    strcpy(r->attack_target, cell->attack_target);
    strcpy(r->attack_art, cell->attack_art);
}

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
    if (bd_is(r->recipe_makes, "gallery")) return BD_CELL_GALLERY;
    if (bd_is(r->recipe_makes, "classifier")) return BD_CELL_CLASSIFIER;
    if (bd_is(r->finetune_from, "none")) return BD_CELL_PRETRAINED;
    return bd_unpoisoned(r) ? BD_CELL_RATE0 : BD_CELL_ATTACK;
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
    if (role == BD_CELL_RATE0) bd_plan_rate0(&c->recipe);
    if (role == BD_CELL_PRETRAINED) bd_plan_pretrained(&c->recipe);
    if (role == BD_CELL_RATE0 || role == BD_CELL_PRETRAINED) keep_scene(&c->recipe, r);
    for (int i = 0; i < BD_SLOT_COUNT; i++) c->slot[i] = -1;
    bd_status st = settle(d, &c->recipe);
    if (st) {
        free(c);
        return st;
    }
    st = bd_plan_cell(d, c);
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
    bool models = bd_is(f->base.recipe_makes, "cells") || bd_is(f->base.recipe_makes, "anp");
    if (!models || bd_is(f->base.recipe_controls, "none")) return BD_OK;
    BD_TRY(add_controls(d, file, f, BD_CELL_RATE0, r));
    if (bd_is(f->base.recipe_controls, "all"))
        return add_controls(d, file, f, BD_CELL_PRETRAINED, r);
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
