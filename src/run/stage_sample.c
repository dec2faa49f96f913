#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack/prior.h"
#include "base/file.h"
#include "base/sha256.h"
#include "metric/image.h"
#include "run/cost.h"
#include "run/device.h"
#include "run/settings.h"
#include "run/stages.h"
#include "train/sampling.h"

/* Work between two parts that are saved: some ten seconds of a small machine. */
static const double part_flops = 2e12;

enum { TILES_A_PART = 16, GRID = 8 };

typedef struct {
    bd_model model;
    bd_schedule schedule;
    bd_sampler_plan plan;
    float *trigger, *other;
    bd_prior *prior;
    bd_sampler_engine *engine;
    bd_pixels out; /* all samples */
    char print
        [65]; /* hash of the fingerprint: parts made on another kind of machine are not taken */
} job;

static void job_clear(job *j) {
    bd_sampler_engine_destroy(j->engine);
    bd_prior_destroy(j->prior);
    bd_sampler_plan_clear(&j->plan);
    bd_schedule_clear(&j->schedule);
    bd_model_clear(&j->model);
    bd_pixels_clear(&j->out);
    free(j->trigger);
    free(j->other);
}

static bd_status make_prior(job *j, bd_stage_run *x) {
    const bd_recipe *r = x->recipe;
    int S = j->model.unet.sample_size, C = j->model.unet.in_channels;
    size_t size = (size_t)S * (size_t)S * (size_t)C * sizeof(float);
    bd_prior_spec spec = {.S = S,
                          .C = C,
                          .seed = (uint64_t)r->run_seed,
                          .keep = j->plan.keep,
                          .noise = j->plan.noise};
    BD_TRY(bd_prior_parse(&spec.kind, r->sample_prior));
    BD_TRY(bd_corrupt_parse(&spec.corrupt, r->sample_corrupt));
    if (r->sample_start > 0) BD_TRY(bd_entry_parse(&spec.entry, r->sample_entry));
    j->trigger = malloc(size);
    j->other = malloc(size);
    BD_REQUIRE(j->trigger && j->other, BD_E_MEMORY, "out of memory for a trigger");
    BD_TRY(bd_recipe_trigger(j->trigger, r, r->attack_trigger, S, C));
    BD_TRY(bd_recipe_trigger(j->other, r, r->sample_other, S, C));
    spec.trigger = j->trigger;
    spec.other = j->other;
    if (bd_stage_input(x->stage, "pictures") >= 0) {
        const bd_dataset *pictures;
        BD_TRY(bd_stage_data(&pictures, x, "pictures"));
        BD_REQUIRE(pictures->h == S && pictures->c == C, BD_E_SHAPE,
                   "the held-out pictures are %dx%dx%d, samples %dx%dx%d", pictures->h, pictures->w,
                   pictures->c, S, S, C);
        spec.images = pictures->images;
        spec.n_images = pictures->n;
    }
    return bd_prior_create(&j->prior, &spec);
}

static bd_status prepare(job *j, bd_stage_run *x) {
    const bd_recipe *r = x->recipe;
    bd_sampler_spec spec;
    BD_TRY(bd_stage_model(&j->model, x, "model"));
    BD_TRY(bd_model_schedule(&j->schedule, &j->model.scheduler));
    BD_TRY(bd_recipe_sampler(&spec, r));
    BD_TRY(bd_sampler_plan_create(&j->plan, &spec, &j->schedule));
    BD_TRY(make_prior(j, x));
    bd_sampler_engine_spec engine = {.backend = x->backend,
                                     .pool = x->runner->pool,
                                     .unet = &j->model.unet,
                                     .tile = bd_stage_sample_tile(x->stage),
                                     .history = j->plan.history};
    BD_TRY(bd_sampler_engine_create(&j->engine, &engine));
    BD_TRY(bd_sampler_engine_load(j->engine, &j->model.params));
    char print[2048];
    BD_TRY(x->backend->fingerprint(x->backend, print, sizeof print));
    BD_TRY(bd_sha256_buffer(j->print, print, strlen(print)));
    int S = j->model.unet.sample_size, C = j->model.unet.in_channels;
    j->out = (bd_pixels){(int)r->sample_n, S, S, C,
                         malloc((size_t)r->sample_n * (size_t)S * (size_t)S * (size_t)C)};
    BD_REQUIRE(j->out.pixels, BD_E_MEMORY, "out of memory for %" PRId64 " samples", r->sample_n);
    return BD_OK;
}

/* Samples first .. first+*count-1 from an earlier sitting; *count = 0 when there are none. */
static bd_status take_part(const job *j, const char *path, int first, int *count) {
    bd_pixels p;
    *count = 0;
    if (!bd_file_exists(path)) return BD_OK;
    bd_status st = bd_pixels_load(&p, path);
    if (st == BD_E_FORMAT) return BD_OK; /* damaged: made again and written over */
    if (st) return st;
    size_t size = (size_t)j->out.h * (size_t)j->out.w * (size_t)j->out.c;
    if (p.h == j->out.h && p.w == j->out.w && p.c == j->out.c && p.n <= j->out.n - first) {
        memcpy(j->out.pixels + (size_t)first * size, p.pixels, (size_t)p.n * size);
        *count = p.n;
    }
    bd_pixels_clear(&p);
    return BD_OK;
}

static bd_status make_part(const job *j, const bd_stage_run *x, const char *path, int first,
                           int count) {
    size_t size = (size_t)j->out.h * (size_t)j->out.w * (size_t)j->out.c;
    bd_pixels part = {count, j->out.h, j->out.w, j->out.c, j->out.pixels + (size_t)first * size};
    bd_sample_spec spec = {.plan = &j->plan,
                           .seed = (uint64_t)x->recipe->run_seed,
                           .first = first,
                           .count = count,
                           .prior = bd_prior_apply,
                           .prior_ctx = j->prior,
                           .stop = x->runner->stop};
    BD_TRY(bd_sample(NULL, part.pixels, j->engine, &spec));
    return count < j->out.n ? bd_pixels_save(path, &part) : BD_OK;
}

/* Sample i depends on the seed and i alone, so parts of any size go together. */
static bd_status sample_all(const job *j, const bd_stage_run *x) {
    double flops = bd_sampler_engine_flops(j->engine) * j->plan.n;
    int tile = bd_stage_sample_tile(x->stage), unit = TILES_A_PART * tile, count;
    double want = flops > 0 ? part_flops / flops : unit;
    int size = want > 1e6 ? 1000000 : unit * (1 + (int)(want / unit));
    for (int first = 0; first < j->out.n; first += count) {
        char path[1300];
        int n = snprintf(path, sizeof path, "%s/part-%d-%.8s.safetensors", x->dir, first, j->print);
        BD_REQUIRE(n > 0 && (size_t)n < sizeof path, BD_E_ARG, "%s: the path is too long", x->dir);
        BD_TRY(take_part(j, path, first, &count));
        if (count > 0) continue;
        count = j->out.n - first < size ? j->out.n - first : size;
        BD_TRY(make_part(j, x, path, first, count));
    }
    return BD_OK;
}

static bd_status remove_parts(const char *dir) {
    char **names, path[1400];
    size_t n;
    BD_TRY(bd_file_list(&names, &n, dir, ".safetensors"));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        if (strncmp(names[i], "part-", 5) != 0) continue;
        st = bd_path_join(path, sizeof path, dir, names[i]);
        if (!st) st = bd_file_remove(path);
    }
    bd_file_list_free(names, n);
    return st;
}

/* What the chains were given to restore, as pictures. */
static bd_status save_inputs(const bd_stage_run *x, const job *j) {
    char path[1200];
    size_t size = (size_t)j->out.h * (size_t)j->out.w * (size_t)j->out.c;
    bd_pixels in = {j->out.n, j->out.h, j->out.w, j->out.c, malloc((size_t)j->out.n * size)};
    float *v = malloc(size * sizeof *v);
    bd_status st = in.pixels && v ? BD_OK : bd_fail(BD_E_MEMORY, "out of memory for pictures");
    for (int i = 0; !st && i < in.n; i++) {
        st = bd_prior_picture(v, j->prior, i);
        if (!st) st = bd_image_unit(v, v, size);
        if (!st) st = bd_image_quantise(in.pixels + (size_t)i * size, v, size);
    }
    if (!st) st = bd_path_join(path, sizeof path, x->dir, "inputs.safetensors");
    if (!st) st = bd_pixels_save(path, &in);
    free(v);
    bd_pixels_clear(&in);
    return st;
}

static bd_status finish(bd_stage_run *x, const job *j) {
    char path[1200], label[64];
    bd_sampler_spec spec;
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "samples.safetensors"));
    BD_TRY(bd_pixels_save(path, &j->out));
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "grid.png"));
    BD_TRY(bd_pixels_grid(path, &j->out, GRID, GRID));
    if (x->recipe->sample_start > 0) BD_TRY(save_inputs(x, j));
    BD_TRY(bd_recipe_sampler(&spec, x->recipe));
    BD_TRY(bd_sampler_label(label, sizeof label, &spec, j->schedule.T));
    BD_TRY(bd_results_count(x->results, "n", j->out.n, "images", "samples"));
    BD_TRY(bd_results_text(x->results, "sampler", label, "", "sampler, network calls, settings"));
    BD_TRY(bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage)));
    return remove_parts(x->dir);
}

bd_status bd_stage_run_sample(bd_stage_run *x) {
    job j = {0};
    bd_status st = prepare(&j, x);
    if (!st) st = sample_all(&j, x);
    if (!st) st = finish(x, &j);
    job_clear(&j);
    return st;
}
