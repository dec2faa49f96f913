/* What stages read: data sets, models, triggers, targets. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/target.h"
#include "data/trigger.h"
#include "run/settings.h"
#include "run/stages.h"

/* --- data sets --- */

static bd_status same_bytes(const bd_dataset *data, const char *dir) {
    bd_csv *seen;
    BD_TRY(bd_results_load(&seen, dir));
    const char *sha = bd_results_find(seen, "sha256");
    bd_status st = BD_OK;
    if (!sha || strcmp(sha, data->sha256) != 0)
        st = bd_fail(
            BD_E_FORMAT,
            "data set %s %s in %s is not the one of %s: restore it, or remove the runs folder",
            data->name, data->split, data->dir, dir);
    bd_csv_destroy(seen);
    return st;
}

bd_status bd_stage_data(const bd_dataset **out, bd_stage_run *x, const char *role) {
    bd_runner *r = x->runner;
    int from = bd_stage_input(x->stage, role);
    BD_REQUIRE(from >= 0, BD_E_ARG, "stage %s has no input '%s'", x->stage->name, role);
    const bd_stage *s = &r->dag->stage[from];
    for (int i = 0; i < BD_RUNNER_DATASETS; i++)
        if (!strcmp(r->loaded[i].id, s->id)) return *out = &r->loaded[i].data, BD_OK;
    char dir[1100];
    int i = r->next;
    bd_dataset_spec spec = bd_recipe_data(&s->recipe);
    spec.pool = r->pool;
    BD_TRY(bd_stage_path(dir, sizeof dir, r->runs, s, NULL));
    bd_dataset_clear(&r->loaded[i].data);
    r->loaded[i].id[0] = '\0';
    BD_TRY(bd_dataset_load(&r->loaded[i].data, &spec));
    BD_TRY(same_bytes(&r->loaded[i].data, dir));
    strcpy(r->loaded[i].id, s->id);
    r->next = (i + 1) % BD_RUNNER_DATASETS;
    *out = &r->loaded[i].data;
    return BD_OK;
}

bd_status bd_stage_originals(bd_pixels *out, bd_stage_run *x, int n, int h, int c) {
    const bd_dataset *data;
    BD_TRY(bd_stage_data(&data, x, "pictures"));
    BD_REQUIRE(data->h == h && data->c == c, BD_E_SHAPE,
               "the held-out pictures are %dx%dx%d, samples %dx%dx%d", data->h, data->w, data->c, h,
               h, c);
    size_t size = (size_t)h * (size_t)h * (size_t)c;
    *out = (bd_pixels){n, h, h, c, malloc((size_t)n * size)};
    BD_REQUIRE(out->pixels, BD_E_MEMORY, "out of memory for %d pictures", n);
    for (int i = 0; i < n; i++)
        memcpy(out->pixels + (size_t)i * size, data->images + (size_t)(i % data->n) * size, size);
    return BD_OK;
}

/* --- models --- */

bd_status bd_stage_model(bd_model *out, const bd_stage_run *x, const char *role) {
    char dir[1100], model[1200];
    BD_TRY(bd_stage_in_dir(dir, sizeof dir, x, role));
    BD_TRY(bd_stage_model_dir(model, sizeof model, dir));
    BD_TRY(bd_model_load(out, model));
    if (out->has_scheduler) return BD_OK;
    bd_model_clear(out);
    return bd_fail(BD_E_MISSING, "%s: no scheduler_config.json", model);
}

/* --- trigger and target --- */

bd_status bd_recipe_trigger(float *g, const bd_recipe *r, const char *which, int S, int C) {
    bd_art art;
    BD_TRY(bd_art_init(&art, r->attack_art, NULL));
    return bd_trigger_make(g, which, S, C, &art);
}

bd_status bd_recipe_target(float *tau, const bd_recipe *r, int S, int C) {
    bd_art art;
    float *g = malloc((size_t)S * (size_t)S * (size_t)C * sizeof *g);
    BD_REQUIRE(g, BD_E_MEMORY, "out of memory for a trigger");
    bd_status st = bd_art_init(&art, r->attack_art, NULL);
    if (!st) st = bd_trigger_make(g, r->attack_trigger, S, C, &art);
    bd_target_source source = {.trigger = g, .art = &art};
    if (!st) st = bd_target_make(tau, r->attack_target, S, C, &source);
    free(g);
    return st;
}
