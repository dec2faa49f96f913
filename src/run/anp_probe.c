#include "run/anp_probe.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/attack.h"
#include "attack/prior.h"
#include "base/rng.h"
#include "data/split.h"
#include "defense/anp.h"
#include "defense/input.h"
#include "metric/auroc.h"
#include "metric/hits.h"
#include "run/device.h"
#include "run/settings.h"

static size_t image_size(const bd_anp_probe *p) {
    size_t S = (size_t)p->model.unet.sample_size;
    return S * S * (size_t)p->model.unet.in_channels;
}

/* --- parts --- */

static bd_status load_target(bd_anp_probe *p) {
    char path[1200];
    int dim[4];
    double level;
    BD_TRY(bd_stage_in_file(path, sizeof path, p->x, "target", "target.safetensors"));
    BD_TRY(bd_floats_load(&p->target, dim, path, "target"));
    BD_REQUIRE(dim[0] == p->model.unet.sample_size && dim[2] == p->model.unet.in_channels,
               BD_E_SHAPE, "the target is %dx%dx%d, samples are %dx%dx%d", dim[0], dim[1], dim[2],
               p->model.unet.sample_size, p->model.unet.sample_size, p->model.unet.in_channels);
    BD_TRY(bd_flat_grey(&level, &p->variance, p->target, image_size(p)));
    BD_REQUIRE(p->variance > 0, BD_E_ARG,
               "the target is flat: a hit cannot be told from a grey image");
    return BD_OK;
}

static bd_status make_attack(bd_anp_probe *p) {
    const bd_recipe *r = p->x->recipe;
    const bd_attack *attack;
    size_t bytes = image_size(p) * sizeof(float), T = (size_t)p->schedule.T;
    int S = p->model.unet.sample_size, C = p->model.unet.in_channels;
    p->trigger = malloc(bytes);
    p->tau = malloc(bytes);
    p->coef_clean = calloc(T, sizeof *p->coef_clean);
    p->coef_backdoor = calloc(T, sizeof *p->coef_backdoor);
    p->poisoned = malloc((size_t)p->data->n);
    BD_REQUIRE(p->trigger && p->tau && p->coef_clean && p->coef_backdoor && p->poisoned,
               BD_E_MEMORY, "out of memory for trigger, target and %d timesteps", p->schedule.T);
    memset(p->poisoned, BD_ROW_POISONED, (size_t)p->data->n);
    BD_TRY(bd_recipe_trigger(p->trigger, r, r->attack_trigger, S, C));
    BD_TRY(bd_recipe_target(p->tau, r, S, C));
    BD_TRY(bd_attack_find(&attack, r->attack_name));
    bd_attack_table(p->coef_clean, &bd_attack_none, &p->schedule);
    bd_attack_table(p->coef_backdoor, attack, &p->schedule);
    return BD_OK;
}

static bd_status make_sampler(bd_anp_probe *p) {
    bd_sampler_spec spec;
    BD_TRY(bd_recipe_sampler(&spec, p->x->recipe));
    BD_TRY(bd_sampler_plan_create(&p->plan, &spec, &p->schedule));
    bd_sampler_engine_spec engine = {.backend = p->x->backend,
                                     .pool = p->x->runner->pool,
                                     .unet = &p->model.unet,
                                     .tile = bd_stage_sample_tile(p->x->stage),
                                     .history = p->plan.history};
    return bd_sampler_engine_create(&p->sampler, &engine);
}

bd_train_spec bd_anp_probe_train(const bd_anp_probe *p) {
    const bd_recipe *r = p->x->recipe;
    return (bd_train_spec){.backend = p->x->backend,
                           .pool = p->x->runner->pool,
                           .unet = &p->model.unet,
                           .data = p->data,
                           .flip = !strcmp(r->data_flip, "on"),
                           .T = p->schedule.T,
                           .coef = (const float(*)[4])p->coef_clean,
                           .loop = bd_recipe_loop(r, BD_KIND_anp)};
}

static bd_status make_meters(bd_anp_probe *p) {
    int n = (int)p->x->recipe->sample_n;
    bd_train_spec spec = bd_anp_probe_train(p);
    BD_REQUIRE(n <= p->data->n, BD_E_ARG, "anp.n = %d, but the data set has %d images", n,
               p->data->n);
    spec.loop.tile = bd_stage_sample_tile(p->x->stage);
    BD_TRY(bd_loss_meter_create(&p->clean, &spec, n));
    spec.coef = (const float(*)[4])p->coef_backdoor;
    spec.flags = p->poisoned;
    spec.trigger = p->trigger;
    spec.target = p->tau;
    return bd_loss_meter_create(&p->backdoor, &spec, n);
}

static bd_status make_room(bd_anp_probe *p) {
    int n = (int)p->x->recipe->sample_n, S = p->model.unet.sample_size,
        C = p->model.unet.in_channels;
    p->samples = (bd_pixels){n, S, S, C, malloc((size_t)n * image_size(p))};
    p->mse = calloc((size_t)n, sizeof *p->mse);
    p->ssim = calloc((size_t)n, sizeof *p->ssim);
    p->deviation = calloc((size_t)n, sizeof *p->deviation);
    BD_REQUIRE(p->samples.pixels && p->mse && p->ssim && p->deviation, BD_E_MEMORY,
               "out of memory for %d samples", n);
    return bd_params_like(&p->folded, &p->model.params);
}

bd_status bd_anp_probe_init(bd_anp_probe *p, bd_stage_run *x) {
    *p = (bd_anp_probe){.x = x};
    BD_TRY(bd_stage_data(&p->data, x, "data"));
    BD_TRY(bd_stage_model(&p->model, x, "model"));
    BD_TRY(bd_model_schedule(&p->schedule, &p->model.scheduler));
    BD_TRY(load_target(p));
    BD_TRY(make_attack(p));
    BD_TRY(make_sampler(p));
    BD_TRY(make_meters(p));
    return make_room(p);
}

void bd_anp_probe_clear(bd_anp_probe *p) {
    bd_loss_meter_destroy(p->clean);
    bd_loss_meter_destroy(p->backdoor);
    bd_sampler_engine_destroy(p->sampler);
    bd_sampler_plan_clear(&p->plan);
    bd_schedule_clear(&p->schedule);
    bd_params_clear(&p->folded);
    bd_model_clear(&p->model);
    bd_pixels_clear(&p->samples);
    void *const all[] = {p->trigger, p->tau, p->coef_clean, p->coef_backdoor, p->poisoned,
                         p->target,  p->mse, p->ssim,       p->deviation};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* --- one measurement --- */

static double pixel_deviation(const uint8_t *pixels, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += pixels[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (pixels[i] - mean) * (pixels[i] - mean);
    return sqrt(squares / (double)n) / 255;
}

static bd_status score(bd_anp_row *row, bd_anp_probe *p) {
    const bd_pixels *s = &p->samples;
    size_t n = (size_t)s->n;
    bd_image_set samples = {.n = s->n, .h = s->h, .w = s->w, .c = s->c, .u8 = s->pixels};
    bd_image_set target = {.n = 1, .h = s->h, .w = s->w, .c = s->c, .f32 = p->target};
    bd_ssim_area area;
    bd_hit_rate h;
    BD_TRY(bd_ssim_area_parse(&area, p->x->recipe->metric_ssim));
    BD_TRY(bd_mse_each(p->mse, &samples, &target));
    BD_TRY(bd_ssim_each(p->ssim, &samples, &target, area));
    BD_TRY(bd_hits_count(&h, p->mse, s->n, p->variance / 4, p->x->recipe->metric_confidence));
    for (size_t i = 0; i < n; i++)
        p->deviation[i] = pixel_deviation(s->pixels + i * image_size(p), image_size(p));
    row->mse = bd_mean(p->mse, n);
    row->ssim = bd_mean(p->ssim, n);
    row->hit = h.rate;
    row->hit_lo = h.lo;
    row->hit_hi = h.hi;
    row->deviation = bd_mean(p->deviation, n);
    return BD_OK;
}

bd_status bd_anp_probe_measure(bd_anp_row *row, bd_anp_probe *p, const bd_params *affine) {
    bd_sample_spec spec = {.plan = &p->plan,
                           .seed = (uint64_t)p->x->recipe->run_seed,
                           .count = p->samples.n,
                           .stop = p->x->runner->stop};
    BD_TRY(bd_anp_fold(&p->folded, &p->model.params, affine));
    BD_TRY(bd_loss_meter_run(&row->loss_clean, p->clean, &p->folded));
    BD_TRY(bd_loss_meter_run(&row->loss_backdoor, p->backdoor, &p->folded));
    BD_TRY(bd_sampler_engine_load(p->sampler, &p->folded));
    BD_TRY(bd_sample(NULL, p->samples.pixels, p->sampler, &spec));
    return score(row, p);
}

/* --- the trivial detector --- */

/* Scores of starting point i: as bd_sample makes it. */
static bd_status score_start(bd_input_score *out, const bd_anp_probe *p, bd_prior *prior, int i,
                             float *x) {
    int S = p->model.unet.sample_size, C = p->model.unet.in_channels;
    bd_rng_key key = {
        .seed = (uint64_t)p->x->recipe->run_seed, .stream = BD_STREAM_PRIOR, .index = (uint32_t)i};
    bd_rng_normal_nhwc(x, S, S, C, key, x + image_size(p));
    BD_TRY(bd_prior_apply(prior, x, i));
    *out = bd_input_score_make(x, image_size(p));
    return BD_OK;
}

/* mean, variance [2][n]: triggered, then plain */
static bd_status score_starts(double *mean, double *variance, const bd_anp_probe *p, float *x) {
    static const bd_prior_kind kind[] = {BD_PRIOR_TRIGGER, BD_PRIOR_NOISE};
    int n = p->samples.n;
    for (int k = 0; k < 2; k++) {
        bd_prior *prior;
        bd_prior_spec spec = {.kind = kind[k],
                              .S = p->model.unet.sample_size,
                              .C = p->model.unet.in_channels,
                              .trigger = p->trigger};
        BD_TRY(bd_prior_create(&prior, &spec));
        bd_status st = BD_OK;
        for (int i = 0; i < n && !st; i++) {
            bd_input_score s;
            st = score_start(&s, p, prior, i, x);
            mean[k * n + i] = st ? 0 : s.mean;
            variance[k * n + i] = st ? 0 : s.variance;
        }
        bd_prior_destroy(prior);
        BD_TRY(st);
    }
    return BD_OK;
}

bd_status bd_anp_probe_inputs(double *by_mean, double *by_variance, const bd_anp_probe *p) {
    size_t n = (size_t)p->samples.n;
    double *mean = calloc(2 * n, sizeof *mean), *variance = calloc(2 * n, sizeof *variance);
    float *x = malloc(2 * image_size(p) * sizeof *x);
    bd_status st = BD_OK;
    if (!mean || !variance || !x)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "out of memory for %zu starting points", 2 * n);
    BD_TRY_TO(done, st, score_starts(mean, variance, p, x));
    BD_TRY_TO(done, st, bd_auroc(by_mean, mean, n, mean + n, n));
    BD_TRY_TO(done, st, bd_auroc(by_variance, variance, n, variance + n, n));
done:
    free(variance);
    free(mean);
    free(x);
    return st;
}
