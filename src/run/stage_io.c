/* What stages read and write: data sets, models, image sets, float tensors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/target.h"
#include "data/trigger.h"
#include "io/png.h"
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

/* --- models --- */

bd_status bd_stage_model_dir(char *out, size_t size, const char *dir) {
    BD_TRY(bd_path_join(out, size, dir, "model"));
    if (bd_file_is_dir(out)) return BD_OK;
    BD_TRY(bd_path_join(out, size, dir, "model-BACKDOORED"));
    BD_REQUIRE(bd_file_is_dir(out), BD_E_MISSING,
               "%s: no model in it; remove the folder, and the stage is made again", dir);
    return BD_OK;
}

bd_status bd_stage_model(bd_model *out, const bd_stage_run *x, const char *role) {
    char dir[1100], model[1200];
    BD_TRY(bd_stage_in_dir(dir, sizeof dir, x, role));
    BD_TRY(bd_stage_model_dir(model, sizeof model, dir));
    BD_TRY(bd_model_load(out, model));
    if (out->has_scheduler) return BD_OK;
    bd_model_clear(out);
    return bd_fail(BD_E_MISSING, "%s: no scheduler_config.json", model);
}

/* --- images --- */

bd_status bd_pixels_save(const char *path, const bd_pixels *p) {
    bd_st_tensor t = {.name = "images",
                      .dtype = BD_U8,
                      .rank = 4,
                      .dim = {p->n, p->h, p->w, p->c},
                      .data = p->pixels,
                      .bytes = (size_t)p->n * (size_t)p->h * (size_t)p->w * (size_t)p->c};
    return bd_safetensors_save(path, &t, 1, NULL, 0);
}

static bd_status take_pixels(bd_pixels *out, const bd_safetensors *f, const char *path) {
    const bd_st_tensor *t = bd_safetensors_find(f, "images");
    BD_REQUIRE(t && t->dtype == BD_U8 && t->rank == 4, BD_E_FORMAT,
               "%s: no tensor 'images' of rank 4 and type U8", path);
    for (int i = 0; i < 4; i++)
        BD_REQUIRE(t->dim[i] >= 1 && t->dim[i] <= 100000000, BD_E_FORMAT,
                   "%s: images of %" PRId64 " in one dimension", path, t->dim[i]);
    *out = (bd_pixels){(int)t->dim[0], (int)t->dim[1], (int)t->dim[2], (int)t->dim[3],
                       malloc(t->bytes)};
    BD_REQUIRE(out->pixels, BD_E_MEMORY, "out of memory for %s", path);
    memcpy(out->pixels, t->data, t->bytes);
    return BD_OK;
}

bd_status bd_pixels_load(bd_pixels *out, const char *path) {
    bd_safetensors *f;
    memset(out, 0, sizeof *out);
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = take_pixels(out, f, path);
    bd_safetensors_destroy(f);
    return st;
}

void bd_pixels_clear(bd_pixels *p) {
    free(p->pixels);
    memset(p, 0, sizeof *p);
}

bd_status bd_pixels_grid(const char *path, const bd_pixels *p, int rows, int cols) {
    bd_image g = {.w = cols * (p->w + 1) - 1, .h = rows * (p->h + 1) - 1, .c = p->c};
    g.pixels = calloc((size_t)g.w * (size_t)g.h, (size_t)g.c);
    BD_REQUIRE(g.pixels, BD_E_MEMORY, "out of memory for %s", path);
    size_t line = (size_t)p->w * (size_t)p->c;
    for (int i = 0; i < rows * cols && i < p->n; i++) {
        int top = i / cols * (p->h + 1), left = i % cols * (p->w + 1);
        for (int y = 0; y < p->h; y++)
            memcpy(g.pixels + ((size_t)(top + y) * (size_t)g.w + (size_t)left) * (size_t)g.c,
                   p->pixels + ((size_t)i * (size_t)p->h + (size_t)y) * line, line);
    }
    bd_status st = bd_png_save(path, &g);
    bd_image_clear(&g);
    return st;
}

/* --- floats --- */

bd_status bd_floats_save(const char *path, const char *name, const float *data, const int dim[4],
                         int rank) {
    bd_st_tensor t = {
        .name = name, .dtype = BD_F32, .rank = rank, .data = data, .bytes = sizeof(float)};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
        t.bytes *= (size_t)dim[i];
    }
    return bd_safetensors_save(path, &t, 1, NULL, 0);
}

static bd_status take_floats(float **data, int dim[4], const bd_safetensors *f, const char *path,
                             const char *name) {
    const bd_st_tensor *t = bd_safetensors_find(f, name);
    BD_REQUIRE(t && t->dtype == BD_F32 && t->rank >= 1 && t->rank <= 4, BD_E_FORMAT,
               "%s: no tensor '%s' of type F32 and rank 1 to 4", path, name);
    for (int i = 0; i < 4; i++) {
        int64_t d = i < t->rank ? t->dim[i] : 1;
        BD_REQUIRE(d >= 1 && d <= 100000000, BD_E_FORMAT,
                   "%s: '%s' has %" PRId64 " in one dimension", path, name, d);
        dim[i] = (int)d;
    }
    *data = malloc(t->bytes);
    BD_REQUIRE(*data, BD_E_MEMORY, "out of memory for %s", path);
    memcpy(*data, t->data, t->bytes);
    return BD_OK;
}

bd_status bd_floats_load(float **data, int dim[4], const char *path, const char *name) {
    bd_safetensors *f;
    *data = NULL;
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = take_floats(data, dim, f, path, name);
    bd_safetensors_destroy(f);
    return st;
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
