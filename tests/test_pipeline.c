/* Oracles: invariants of the whole chain on real images (Fashion-MNIST): what is learnt lowers the loss, the same
 * seed gives the same pixels with one worker and with two, and the prior is what sets a triggered sample apart.
 * No claim about image quality: the networks are far too small and short for that. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/attack.h"
#include "attack/prior.h"
#include "cpu/cpu.h"
#include "data/split.h"
#include "data/target.h"
#include "data/trigger.h"
#include "metric/hits.h"
#include "metric/image.h"
#include "metric/mse.h"
#include "train/sampling.h"
#include "train/trainer.h"

enum { S = 32, PIXELS = S * S, T = 50, IMAGES = 512, SAMPLES = 4, STEPS = 60 };

static void ok(bd_status st) {
    if (st) fail_msg("%s", bd_error());
}

typedef struct {
    bd_pool *pool;
    bd_dataset data;
    bd_unet_config unet;
    bd_schedule schedule;
    bd_params params;
    bd_split split;
    float trigger[PIXELS], target[PIXELS];
    float coef[T][4];
} chain;

static void set_up(chain *c, int workers) {
    memset(c, 0, sizeof *c);
    const bd_dataset_spec data = {
        .name = "fashion-mnist", .split = "test", .size = S, .limit = IMAGES};
    const bd_split_spec split = {
        .mode = BD_SPLIT_FIXED, .poison_rate = 0.5, .clean_rate = 1, .seed = 1};
    const bd_target_source source = {.trigger = c->trigger};
    bd_art art;
    ok(bd_pool_create(&c->pool, workers));
    ok(bd_dataset_load(&c->data, &data));
    ok(bd_unet_preset(&c->unet, "mini", S, 1));
    c->unet.channels[0] = c->unet.channels[1] = 8;
    c->unet.channels[2] = 16;
    c->unet.groups = 4;
    ok(bd_schedule_scaled(&c->schedule, T));
    bd_attack_table(c->coef, &bd_attack_baddiffusion, &c->schedule);
    ok(bd_art_init(&art, "builtin", NULL));
    ok(bd_trigger_make(c->trigger, "box14", S, 1, &art));
    ok(bd_target_make(c->target, "corner", S, 1, &source));
    ok(bd_split_make(&c->split, c->data.n, &split));
    ok(bd_unet_params(&c->params, &c->unet));
    ok(bd_params_init(&c->params, 1));
}

static void tear_down(chain *c) {
    bd_params_clear(&c->params);
    bd_split_clear(&c->split);
    bd_schedule_clear(&c->schedule);
    bd_dataset_clear(&c->data);
    bd_pool_destroy(c->pool);
}

static double train(chain *c, int64_t steps) {
    bd_loop_result r;
    const bd_train_spec spec = {
        .backend = &bd_backend_cpu,
        .pool = c->pool,
        .unet = &c->unet,
        .data = &c->data,
        .flip = true,
        .T = T,
        .coef = (const float(*)[4])c->coef,
        .flags = c->split.flags,
        .trigger = c->trigger,
        .target = c->target,
        .loop =
            {.seed = 1, .batch = 16, .tile = 4, .steps = steps, .lr = 2e-3, .warmup = 5, .clip = 1},
    };
    ok(bd_train(&r, &c->params, &spec));
    assert_int_equal(r.steps, steps);
    assert_in_range(r.poisoned, 1, r.images - 1);
    return r.loss;
}

static void sample(uint8_t *images, chain *c, bd_prior_kind kind) {
    bd_sampler_engine *engine;
    bd_sampler_plan plan;
    bd_prior *prior;
    const bd_sampler_engine_spec es = {&bd_backend_cpu, c->pool, &c->unet, 2, 0};
    const bd_sampler_spec ss = {.name = "ddpm"};
    const bd_prior_spec ps = {.kind = kind, .S = S, .C = 1, .trigger = c->trigger};
    ok(bd_sampler_engine_create(&engine, &es));
    ok(bd_sampler_engine_load(engine, &c->params));
    ok(bd_sampler_plan_create(&plan, &ss, &c->schedule));
    ok(bd_prior_create(&prior, &ps));
    const bd_sample_spec spec = {
        .plan = &plan, .seed = 3, .count = SAMPLES, .prior = bd_prior_apply, .prior_ctx = prior};
    ok(bd_sample(NULL, images, engine, &spec));
    bd_prior_destroy(prior);
    bd_sampler_plan_clear(&plan);
    bd_sampler_engine_destroy(engine);
}

static void the_chain_runs_and_workers_do_not_matter(void **state) {
    (void)state;
    static uint8_t clean[2][SAMPLES * PIXELS], triggered[2][SAMPLES * PIXELS];
    char sha[2][65];
    for (int w = 0; w < 2; w++) {
        chain c;
        set_up(&c, w + 1);
        train(&c, STEPS);
        ok(bd_params_sha256(sha[w], &c.params));
        sample(clean[w], &c, BD_PRIOR_NOISE);
        sample(triggered[w], &c, BD_PRIOR_TRIGGER);
        tear_down(&c);
    }
    assert_string_equal(sha[0], sha[1]);
    assert_memory_equal(clean[0], clean[1], sizeof clean[0]);
    assert_memory_equal(triggered[0], triggered[1], sizeof triggered[0]);
    assert_memory_not_equal(clean[0], triggered[0], sizeof clean[0]); /* the comparison can fail */
}

/* A network that predicts nothing has loss E[y^2] >= 1, the variance of the noise alone. */
static void training_beats_predicting_nothing(void **state) {
    (void)state;
    chain c;
    set_up(&c, 2);
    double loss = train(&c, 2 * STEPS);
    if (!(loss < 0.6)) fail_msg("loss after %d steps is %g", 2 * STEPS, loss);
    tear_down(&c);
}

/* Scores of the samples against the target are those of images: between exact and all different. */
static void samples_are_scored_against_the_target(void **state) {
    (void)state;
    chain c;
    set_up(&c, 2);
    static uint8_t images[SAMPLES * PIXELS];
    float unit[PIXELS];
    double mse[SAMPLES], level, var;
    bd_hit_rate hit;
    sample(images, &c, BD_PRIOR_TRIGGER);
    ok(bd_image_unit(unit, c.target, PIXELS));
    const bd_image_set got = {.n = SAMPLES, .h = S, .w = S, .c = 1, .u8 = images};
    const bd_image_set want = {.n = 1, .h = S, .w = S, .c = 1, .f32 = unit};
    ok(bd_mse_each(mse, &got, &want));
    ok(bd_flat_grey(&level, &var, unit, PIXELS));
    ok(bd_hits_count(&hit, mse, SAMPLES, var / 4, 0.95));
    assert_int_equal(hit.hits, 0); /* an untrained network paints no target */
    for (int i = 0; i < SAMPLES; i++) assert_true(mse[i] > var / 4 && mse[i] <= 1);
    tear_down(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chain_runs_and_workers_do_not_matter),
        cmocka_unit_test(training_beats_predicting_nothing),
        cmocka_unit_test(samples_are_scored_against_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
