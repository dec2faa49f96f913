/* What single stages do, in numbers: steps, images, files. */
#include <string.h>

#include "metric/fid.h"
#include "run/device.h"
#include "run/price_parts.h"
#include "run/settings.h"

/* Seconds on one core of an AMD EPYC with AVX2 (3 GHz), as runs of smoke and mini and single timings showed them. */
static const double a_stage = 0.006;            /* folder, manifest, result, DONE: fsync     */
static const double a_raw_image = 3.6e-6;       /* IDX, CIFAR: unpack, fit, sum; of 32 x 32  */
static const double a_picture = 8e-4;           /* PNG, JPEG: decode, fit (docs/data.md)     */
static const double a_compared_pixel = 5.5e-8;  /* MSE and SSIM of a sample                  */
static const double a_looked_at_pixel = 1.6e-8; /* the data set on a target, its mean        */
static const double a_replicate = 1.1e-3;       /* three Frechet distances of 64 features    */
static const double an_fcd = 0.07;              /* reading features, two such distances      */
static const double a_fid = 4;                  /* one of 2048 features                      */
static const double a_weights_byte = 4.5e-9;    /* read, check, write                        */

/* Files and folders of a stage, about. */
enum { FILES = 7, FILES_MODEL = 13, BLOCK = 4096, TEXTS = 3000 };
static const double a_log_row = 106, an_image_row = 56;
static const double fid_matrices = 5.0 * 2048 * 2048 * 8;
static const double program = 40e6; /* bytes in memory of program and libraries */

static const bd_recipe *cell_of(const bd_dag *d, int stage) {
    return &d->cell[d->stage[stage].cell].recipe;
}

/* The data set that a stage reads, or -1. */
static int data_of(const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    if (s->kind == BD_KIND_data) return stage;
    if (s->kind == BD_KIND_import) return -1; /* knows it by name only */
    for (int i = 0; i < s->n_in; i++)
        if (d->stage[s->in[i].stage].kind == BD_KIND_data) return s->in[i].stage;
    return -1;
}

static double pixels_of(const bd_recipe *data) {
    return (double)(data->data_size * data->data_size * data->data_channels);
}

/* --- steps --- */

static bd_status training_steps(bd_workload *w, double *steps, const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    bd_loop_options o = bd_recipe_loop(&s->recipe, s->kind);
    bd_loop_shape shape;
    int64_t images = bd_recipe_images(&d->stage[bd_stage_input(s, "data")].recipe);
    if (images < 1) return BD_OK;
    int micro = o.micro_batch ? o.micro_batch : o.batch;
    o.tile = bd_stage_tile(s, o.tile, micro);
    BD_TRY(bd_loop_shape_init(&shape, &o, images));
    w->training = true;
    w->tile = o.tile;
    w->batch = o.batch;
    w->micro_batch = o.micro_batch;
    /* not those of the loop: the last batch of a pass is short */
    *steps = (double)bd_stage_micros(d, s, &shape) / shape.accumulate;
    return BD_OK;
}

static bd_status sampling_steps(bd_workload *w, double *steps, const bd_dag *d, int stage,
                                int threads) {
    const bd_stage *s = &d->stage[stage];
    bd_sampler_spec spec;
    bd_sampler_plan plan = {0};
    bd_schedule schedule = {0};
    BD_TRY(bd_recipe_sampler(&spec, &s->recipe));
    BD_TRY(bd_stage_schedule(&schedule, d, stage));
    bd_status st = bd_sampler_plan_create(&plan, &spec, &schedule);
    int64_t tile = bd_stage_sample_tile(s), tiles = (s->recipe.sample_n + tile - 1) / tile;
    int64_t at_once = !bd_device_is_cpu(s->device) ? 1 : tiles < threads ? tiles : threads;
    w->tile = (int)tile;
    w->batch = (int)(tile * at_once);
    w->history = plan.history;
    int64_t rounds = (tiles + at_once - 1) / at_once;
    *steps = (double)rounds * plan.n;
    bd_sampler_plan_clear(&plan);
    bd_schedule_clear(&schedule);
    return st;
}

bd_status bd_price_workload(bd_workload *w, double *steps, const bd_dag *d, int stage,
                            int threads) {
    const bd_stage *s = &d->stage[stage];
    *w = (bd_workload){0};
    *steps = 0;
    if (s->kind != BD_KIND_pretrain && s->kind != BD_KIND_finetune && s->kind != BD_KIND_sample)
        return BD_OK;
    BD_TRY(bd_stage_unet(&w->unet, d, stage));
    strcpy(w->device, s->device);
    strcpy(w->precision, s->precision);
    return s->kind == BD_KIND_sample ? sampling_steps(w, steps, d, stage, threads)
                                     : training_steps(w, steps, d, stage);
}

/* --- other time --- */

/* A stage reads the whole file, whatever data.limit says; each process reads it anew. */
static double reading(const bd_dag *d, int data) {
    if (data < 0) return 0;
    const bd_recipe *r = &d->stage[data].recipe;
    bd_dataset_spec spec = bd_recipe_data(r);
    bool files = strcmp(r->data_set, "celeba") == 0 || strcmp(r->data_set, "celebahq") == 0 ||
                 strcmp(r->data_set, "folder") == 0;
    int64_t n = 0;
    if (!files) spec.limit = 0;
    if (bd_dataset_count(&n, &spec)) n = 0;
    return (double)n * (files ? a_picture : a_raw_image * pixels_of(r) / (32 * 32));
}

static double comparing(const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    int samples = bd_stage_input(s, "samples");
    return samples < 0 ? 0
                       : (double)d->stage[samples].recipe.sample_n * pixels_of(cell_of(d, stage)) *
                             a_compared_pixel;
}

double bd_price_other(const bd_dag *d, int stage, const bd_cost *c) {
    const bd_stage *s = &d->stage[stage];
    int data = data_of(d, stage);
    double t = a_stage + reading(d, data);
    switch (s->kind) {
    case BD_KIND_import: return t + c->disk * a_weights_byte;
    case BD_KIND_score: return t + comparing(d, stage);
    case BD_KIND_fid: return t + a_fid;
    case BD_KIND_target:
        return data < 0 ? t
                        : t + (double)bd_recipe_images(&d->stage[data].recipe) *
                                  pixels_of(&d->stage[data].recipe) * a_looked_at_pixel;
    case BD_KIND_fcd:
        t += an_fcd;
        return bd_stage_input(s, "control") < 0
                   ? t
                   : t + (double)s->recipe.metric_replicates * a_replicate;
    default: return t;
    }
}

/* --- room --- */

/* Images in memory, and once more as a constant of the network that is trained on them. */
static double images_held(const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    int data = data_of(d, stage);
    bool twice =
        s->kind == BD_KIND_pretrain || s->kind == BD_KIND_finetune || s->kind == BD_KIND_classifier;
    if (data < 0) return 0;
    const bd_recipe *r = &d->stage[data].recipe;
    return (double)bd_recipe_images(r) * pixels_of(r) * (twice ? 2 : 1);
}

/* Three checkpoints at most, for a moment: the new one, the last and the one before; each of weights and moments. */
static void training_space(bd_price *p, const bd_dag *d, int stage, double weights) {
    bool keep = strcmp(cell_of(d, stage)->run_keep, "all") == 0;
    bd_workload w;
    double steps = 0;
    if (bd_price_workload(&w, &steps, d, stage, 1)) steps = 0;
    p->disk += steps * a_log_row + (keep ? 6 * weights : 0);
    p->scratch = (keep ? 3 : 9) * weights;
    p->files = FILES_MODEL + 3;
}

/* Samples, a sheet of 64 of them, and while they are made the parts. */
static void sampling_space(bd_price *p, const bd_stage *s, double samples) {
    double shown = s->recipe.sample_n < 64 ? 1 : 64 / (double)s->recipe.sample_n;
    p->disk += samples * shown;
    p->scratch = samples;
    p->memory += samples;
}

void bd_price_space(bd_price *p, const bd_dag *d, int stage, const bd_cost *c) {
    const bd_stage *s = &d->stage[stage];
    const bd_recipe *cell = cell_of(d, stage);
    double images = images_held(d, stage);
    double network = s->kind == BD_KIND_data ? 0 : c->memory;
    p->memory = program + network + images;
    p->disk = c->disk + TEXTS + BLOCK;
    p->files = FILES;
    switch (s->kind) {
    case BD_KIND_pretrain:
    case BD_KIND_finetune: training_space(p, d, stage, c->disk); break;
    case BD_KIND_sample: sampling_space(p, s, c->disk); break;
    case BD_KIND_import: p->files = FILES_MODEL; break;
    case BD_KIND_fid: p->memory += fid_matrices; break;
    case BD_KIND_data: p->disk += 64 * pixels_of(&s->recipe); break;
    case BD_KIND_target: p->disk += 5 * pixels_of(cell); break;
    case BD_KIND_score:
        p->disk += (double)d->stage[bd_stage_input(s, "samples")].recipe.sample_n * an_image_row;
        break;
    default: break;
    }
}
