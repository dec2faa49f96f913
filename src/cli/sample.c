#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack/prior.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "data/trigger.h"
#include "io/png.h"
#include "nn/model.h"
#include "run/device.h"
#include "run/settings.h"
#include "run/pixels.h"
#include "train/sampling.h"

typedef struct {
    const char *model, *sampler, *trigger, *clip, *variance, *spacing, *final, *art, *out, *device,
        *precision;
    int n, steps, order, tile, batch, threads;
    double eta;
    uint64_t seed;
} sample_options;

typedef struct {
    bd_model model;
    bd_schedule schedule;
    bd_sampler_plan plan;
    float *g;
    bd_prior *prior;
    bd_pool *pool;
    bd_backend backend;
    bd_sampler_engine *engine;
    bd_pixels out;
} job;

static void job_clear(job *j) {
    bd_sampler_engine_destroy(j->engine);
    bd_pool_destroy(j->pool);
    bd_prior_destroy(j->prior);
    bd_sampler_plan_clear(&j->plan);
    bd_schedule_clear(&j->schedule);
    bd_model_clear(&j->model);
    bd_pixels_clear(&j->out);
    free(j->g);
}

static bd_status load_model(job *j, const char *dir) {
    BD_TRY(bd_model_load(&j->model, dir));
    const bd_unet_config *u = &j->model.unet;
    BD_REQUIRE(u->in_channels == u->out_channels && (u->in_channels == 1 || u->in_channels == 3),
               BD_E_ARG,
               "%s: it takes %d channels and gives %d; what takes and gives 1 or 3 can be "
               "sampled",
               dir, u->in_channels, u->out_channels);
    BD_REQUIRE(j->model.has_scheduler, BD_E_MISSING,
               "%s: no scheduler_config.json, so the noise schedule is unknown", dir);
    if (j->model.mark.backdoored)
        bd_log(BD_LOG_WARN, "%s is BACKDOORED: trigger %s, target %s, poison rate %g", dir,
               j->model.mark.trigger, j->model.mark.target, j->model.mark.poison_rate);
    return bd_model_schedule(&j->schedule, &j->model.scheduler);
}

static bd_status make_plan(job *j, const sample_options *o) {
    bd_sampler_spec spec = {
        .name = o->sampler, .steps = o->steps, .order = o->order, .eta = o->eta};
    const char *clip = j->model.scheduler.clip_sample ? "x0" : "none";
    BD_TRY(bd_spacing_parse(&spec.spacing, o->spacing));
    BD_TRY(bd_final_parse(&spec.final, o->final));
    BD_TRY(bd_clip_parse(&spec.clip, o->clip ? o->clip : clip));
    BD_TRY(bd_variance_parse(&spec.variance,
                             o->variance ? o->variance : j->model.scheduler.variance_type));
    return bd_sampler_plan_create(&j->plan, &spec, &j->schedule);
}

static bd_status make_prior(job *j, const sample_options *o) {
    int S = j->model.unet.sample_size, C = j->model.unet.in_channels;
    bd_art art;
    bd_prior_spec spec = {.kind = o->trigger ? BD_PRIOR_TRIGGER : BD_PRIOR_NOISE, .S = S, .C = C};
    if (o->trigger) {
        j->g = malloc((size_t)S * (size_t)S * (size_t)C * sizeof *j->g);
        BD_REQUIRE(j->g, BD_E_MEMORY, "out of memory for the trigger");
        BD_TRY(bd_art_init(&art, o->art, NULL));
        BD_TRY(bd_trigger_make(j->g, o->trigger, S, C, &art));
        spec.trigger = j->g;
    }
    return bd_prior_create(&j->prior, &spec);
}

static bd_status draw(job *j, const sample_options *o) {
    int threads, S = j->model.unet.sample_size, C = j->model.unet.in_channels;
    BD_TRY(bd_cli_threads(&threads, o->threads));
    BD_TRY(bd_pool_create(&j->pool, threads));
    BD_TRY(bd_device_open(&j->backend, o->device, o->precision));
    int batch = bd_backend_tile(&j->backend, o->tile, o->batch < o->n ? o->batch : o->n);
    bd_sampler_engine_spec engine = {&j->backend, j->pool, &j->model.unet, batch, j->plan.history};
    BD_TRY(bd_sampler_engine_create(&j->engine, &engine));
    BD_TRY(bd_sampler_engine_load(j->engine, &j->model.params));
    j->out = (bd_pixels){o->n, S, S, C, malloc((size_t)o->n * (size_t)S * (size_t)S * (size_t)C)};
    BD_REQUIRE(j->out.pixels, BD_E_MEMORY, "out of memory for %d samples", o->n);
    bd_sample_spec spec = {.plan = &j->plan,
                           .seed = o->seed,
                           .count = o->n,
                           .prior = bd_prior_apply,
                           .prior_ctx = j->prior,
                           .stop = &bd_cli_stop};
    return bd_sample(NULL, j->out.pixels, j->engine, &spec);
}

static bd_status save(const job *j, const char *dir) {
    char path[4096];
    int side = 1;
    size_t size = (size_t)j->out.h * (size_t)j->out.w * (size_t)j->out.c;
    BD_TRY(bd_file_mkdirs(dir));
    for (int i = 0; i < j->out.n; i++) {
        bd_image img = {j->out.w, j->out.h, j->out.c, j->out.pixels + (size_t)i * size};
        int n = snprintf(path, sizeof path, "%s/%06d.png", dir, i);
        BD_REQUIRE(n > 0 && (size_t)n < sizeof path, BD_E_ARG, "--out: the path is too long");
        BD_TRY(bd_png_save(path, &img));
    }
    while (side < 16 && side * side < j->out.n) side++;
    BD_TRY(bd_path_join(path, sizeof path, dir, "grid.png"));
    BD_TRY(bd_pixels_grid(path, &j->out, side, side));
    bd_log(BD_LOG_INFO, "%s: %d pictures, and grid.png with the first %d of them", dir, j->out.n,
           j->out.n < side * side ? j->out.n : side * side);
    return BD_OK;
}

/* Metrics read whole folders: an old picture among new ones would be counted. */
static bd_status no_old_pictures(const char *dir) {
    char **names;
    size_t n;
    if (!bd_file_is_dir(dir)) return BD_OK;
    BD_TRY(bd_file_list(&names, &n, dir, ""));
    size_t old = 0;
    for (size_t i = 0; i < n; i++) old += bd_image_file(names[i]) != 0;
    bd_file_list_free(names, n);
    BD_REQUIRE(old == 0, BD_E_ARG,
               "--out %s holds %zu pictures already: empty it or name a new folder", dir, old);
    return BD_OK;
}

static bd_status sample(const sample_options *o) {
    job j = {0};
    BD_TRY(no_old_pictures(o->out));
    bd_status st = load_model(&j, o->model);
    if (!st) st = make_plan(&j, o);
    if (!st) st = make_prior(&j, o);
    if (!st) st = draw(&j, o);
    if (!st) st = save(&j, o->out);
    job_clear(&j);
    return st;
}

int bd_cli_sample(int argc, char **argv) {
    sample_options o = {.sampler = "ddpm",
                        .spacing = "own",
                        .final = "sigma_min",
                        .art = "builtin",
                        .device = "auto",
                        .precision = "f32",
                        .n = 16,
                        .tile = 8,
                        .batch = 256};
    const bd_opt opts[] = {
        {'m', "model", BD_OPT_TEXT, "DIR", &o.model, 0, 0, "model folder (diffusers layout)"},
        {'o', "out", BD_OPT_TEXT, "DIR", &o.out, 0, 0,
         "folder for 000000.png ... and grid.png; no PNGs in it"},
        {'n', "n", BD_OPT_INT, "N", &o.n, 1, 10000000, "samples"},
        {0, "sampler", BD_OPT_TEXT, "NAME", &o.sampler, 0, 0, bd_sampler_names()},
        {0, "steps", BD_OPT_INT, "K", &o.steps, 0, 100000,
         "steps (heun calls the network twice in each, pndm 9 times more); 0 = the sampler's own"},
        {0, "order", BD_OPT_INT, "K", &o.order, 0, 3,
         "dpmsolver, dpmsolver++, unipc: 1 to 3; deis: 1 or 2; 0 = 2"},
        {0, "spacing", BD_OPT_TEXT, "NAME", &o.spacing, 0, 0,
         "timesteps: own (the sampler's), leading, linspace or trailing"},
        {0, "final", BD_OPT_TEXT, "NAME", &o.final, 0, 0,
         "where samplers with an order end: sigma_min (timestep 0) or zero"},
        {0, "eta", BD_OPT_DOUBLE, "X", &o.eta, 0, 10, "ddim: share of noise"},
        {0, "variance", BD_OPT_TEXT, "NAME", &o.variance, 0, 0,
         "ddpm: fixed_small or fixed_large; without it the model's"},
        {0, "seed", BD_OPT_U64, "S", &o.seed, 0, 0, "sample i depends on the seed and i alone"},
        {0, "trigger", BD_OPT_TEXT, "NAME", &o.trigger, 0, 0, "start from noise + this trigger"},
        {0, "art", BD_OPT_TEXT, "NAME", &o.art, 0, 0, "pictures of triggers: builtin or original"},
        {0, "clip", BD_OPT_TEXT, "none|x0|xt", &o.clip, 0, 0,
         "clamp the predicted x0, or x itself, to [-1,1]; without it the model's clip_sample"},
        {0, "tile", BD_OPT_INT, "N", &o.tile, 1, 8,
         "images computed together on a CPU: 1, 2, 4 or 8; part of the result"},
        {0, "batch", BD_OPT_INT, "N", &o.batch, 1, 65536,
         "images computed together on a CUDA device; part of the result"},
        {0, "device", BD_OPT_TEXT, "NAME", &o.device, 0, 0,
         "where the networks run: auto (a CUDA device if there is one), cpu, cuda, cuda:K"},
        {0, "precision", BD_OPT_TEXT, "NAME", &o.precision, 0, 0,
         "f32; on a CUDA device also tf32, bf16, fp16"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {"sample --model DIR --out DIR [options]",
                        "Draws images from a diffusion model.",
                        opts,
                        sizeof opts / sizeof opts[0],
                        0,
                        0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    if (!o.model || !o.out) return bd_cli_usage("sample", "needs --model and --out");
    if (o.tile != 1 && o.tile != 2 && o.tile != 4 && o.tile != 8)
        return bd_cli_usage("sample", "--tile %d: 1, 2, 4 or 8", o.tile);
    bd_status st = sample(&o);
    if (st == BD_E_INTERRUPT) { /* there is no stage that could go on */
        bd_log(BD_LOG_ERROR, "sample: stopped; nothing was written");
        return 1;
    }
    return st ? bd_cli_fail(st) : 0;
}
