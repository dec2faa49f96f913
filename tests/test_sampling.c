/* Oracles: a step-by-step interpreter in float64 fed with the same network outputs; closed forms
 * with hand-made plans; bitwise equality over chunks, workers and reuse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/prior.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "tiny.h"
#include "train/sampling.h"

enum { PIXELS = TINY_S * TINY_S, N = 11, TILE = 4, T = 50 };

static const uint64_t seed = UINT64_C(0x123456789abcdef0);

typedef struct {
    bd_pool *pool;
    bd_params params;
    bd_schedule schedule;
    bd_sampler_plan plan; /* DDPM, six evaluations */
    bd_sampler_engine *engine;
} fixture;

static bd_sampler_engine *engine_of(bd_pool *pool, int tile) {
    bd_sampler_engine *s;
    bd_sampler_engine_spec spec = {.backend = &bd_backend_cpu,
                                   .pool = pool,
                                   .unet = &tiny_unet,
                                   .tile = tile,
                                   .history = BD_SAMPLER_HISTORY};
    assert_int_equal(bd_sampler_engine_create(&s, &spec), BD_OK);
    return s;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    assert_int_equal(bd_pool_create(&f->pool, 1), BD_OK);
    tiny_params(&f->params, 1);
    assert_int_equal(bd_schedule_scaled(&f->schedule, T), BD_OK);
    bd_sampler_spec ddpm = {.name = "ddpm", .steps = 6, .clip = BD_CLIP_X0};
    assert_int_equal(bd_sampler_plan_create(&f->plan, &ddpm, &f->schedule), BD_OK);
    f->engine = engine_of(f->pool, TILE);
    assert_int_equal(bd_sampler_engine_load(f->engine, &f->params), BD_OK);
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_sampler_engine_destroy(f->engine);
    bd_sampler_plan_clear(&f->plan);
    bd_schedule_clear(&f->schedule);
    bd_params_clear(&f->params);
    bd_pool_destroy(f->pool);
    free(f);
    return 0;
}

static bd_sample_spec all_samples(const fixture *f) {
    return (bd_sample_spec){.plan = &f->plan, .seed = seed, .count = N};
}

static void normals(float *out, uint32_t stream, int sample, int step) {
    bd_rng_key key = {
        .seed = seed, .stream = stream, .index = (uint32_t)sample, .step = (uint32_t)step};
    bd_rng_normal_nhwc(out, TINY_S, TINY_S, 1, key, NULL);
}

/* --- numbers --- */

/* The network alone: e(x, t) of one image. */
typedef struct {
    bd_graph *g;
    bd_engine *engine;
    int x, t, e;
    float in[PIXELS], out[PIXELS], timestep;
} network;

static bd_status network_before(void *ctx, int tile, int iter, const bd_view *v) {
    network *n = ctx;
    (void)tile, (void)iter;
    memcpy(bd_view_data(v, n->x), n->in, sizeof n->in);
    memcpy(bd_view_data(v, n->t), &n->timestep, sizeof n->timestep);
    return BD_OK;
}

static bd_status network_after(void *ctx, int tile, int iter, const bd_view *v) {
    network *n = ctx;
    (void)tile, (void)iter;
    memcpy(n->out, bd_view_data(v, n->e), sizeof n->out);
    return BD_OK;
}

static void network_create(network *n, const fixture *f) {
    assert_int_equal(bd_graph_create(&n->g, "network"), BD_OK);
    n->x = bd_graph_input(n->g, "x", BD_TYPE_F32, 1, TINY_S, TINY_S, 1);
    n->t = bd_graph_input(n->g, "timestep", BD_TYPE_F32, 1, 1, 1, 1);
    n->e = bd_unet_build(n->g, &tiny_unet, n->x, n->t);
    bd_graph_keep(n->g, n->e);
    assert_int_equal(bd_backend_cpu.engine_create(&n->engine, &bd_backend_cpu, n->g, f->pool),
                     BD_OK);
    assert_int_equal(bd_params_upload(&f->params, &bd_backend_cpu, n->engine, n->g, BD_SLOT_PARAM),
                     BD_OK);
}

static void network_run(network *n, const double *x, double timestep) {
    for (int i = 0; i < PIXELS; i++) n->in[i] = (float)x[i];
    n->timestep = (float)timestep;
    bd_run run = {
        .n_tiles = 1, .n_iter = 1, .before = network_before, .after = network_after, .ctx = n};
    assert_int_equal(bd_backend_cpu.run(n->engine, &run, false), BD_OK);
}

/* One sample, evaluation by evaluation, all in double but the network. */
static void plain_sample(double *x, network *n, const bd_sampler_plan *plan, int sample) {
    float noise[PIXELS];
    double e[PIXELS], z[PIXELS], h[BD_SAMPLER_HISTORY * PIXELS] = {0};
    normals(noise, BD_STREAM_PRIOR, sample, 0);
    for (int i = 0; i < PIXELS; i++) x[i] = noise[i] * plan->start_scale;
    for (int k = 0; k < plan->n; k++) {
        network_run(n, x, plan->eval[k].timestep);
        normals(noise, BD_STREAM_SAMPLER, sample, k);
        for (int i = 0; i < PIXELS; i++) {
            e[i] = n->out[i];
            z[i] = noise[i];
        }
        bd_sampler_apply(x, h, e, z, PIXELS, plan->eval[k].coef);
    }
}

static void test_equals_a_plain_interpreter(void **state) {
    fixture *f = *state;
    network net;
    network_create(&net, f);
    const bd_sampler_spec specs[] = {
        {.name = "ddpm", .steps = 6, .clip = BD_CLIP_NONE},
        {.name = "ddpm", .steps = 6, .variance = BD_VARIANCE_FIXED_LARGE, .clip = BD_CLIP_X0},
        {.name = "ddim", .steps = 5, .clip = BD_CLIP_XT},
        {.name = "dpmsolver++", .steps = 6, .order = 3, .clip = BD_CLIP_X0},
        {.name = "unipc", .steps = 6, .clip = BD_CLIP_X0, .final = BD_FINAL_ZERO},
        {.name = "pndm", .steps = 5, .clip = BD_CLIP_XT},
        {.name = "heun", .steps = 4, .clip = BD_CLIP_X0},
    };
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        bd_sampler_plan plan;
        assert_int_equal(bd_sampler_plan_create(&plan, &specs[s], &f->schedule), BD_OK);
        float x[N * PIXELS];
        bd_sample_spec spec = all_samples(f);
        spec.plan = &plan;
        assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
        for (int i = 0; i < N; i += 5) {
            double expected[PIXELS], worst = 0;
            plain_sample(expected, &net, &plan, i);
            for (int k = 0; k < PIXELS; k++)
                worst = fmax(worst, fabs(x[i * PIXELS + k] - expected[k]));
            /* a handful of float32 roundings, amplified up to 1/sqrt(abar) without a clip */
            if (!(worst < 1e-4)) fail_msg("%s, sample %d: off by %g", specs[s].name, i, worst);
        }
        bd_sampler_plan_clear(&plan);
    }
    bd_backend_cpu.engine_destroy(net.engine);
    bd_graph_destroy(net.g);
}

/* A plan that changes nothing: the result is the prior. */
static bd_sampler_plan still(bd_sampler_eval *eval) {
    *eval = (bd_sampler_eval){.coef = {[BD_COEF_X] = 1}};
    return (bd_sampler_plan){.n = 1, .start_scale = 1, .eval = eval};
}

static bd_status add_sample_number(void *ctx, float *x, int64_t sample) {
    for (int i = 0; i < PIXELS; i++) x[i] += *(float *)ctx * (float)sample;
    return BD_OK;
}

static void test_prior_is_the_noise_of_the_sample(void **state) {
    fixture *f = *state;
    bd_sampler_eval eval;
    bd_sampler_plan plan = still(&eval);
    float x[N * PIXELS], noise[PIXELS], factor = 0.25f;
    bd_sample_spec spec = all_samples(f);
    spec.plan = &plan;
    spec.first = 100;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    for (int i = 0; i < N; i++) {
        normals(noise, BD_STREAM_PRIOR, 100 + i, 0);
        assert_memory_equal(x + i * PIXELS, noise, sizeof noise);
    }
    spec.prior = add_sample_number;
    spec.prior_ctx = &factor;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    for (int i = 0; i < N; i++) {
        normals(noise, BD_STREAM_PRIOR, 100 + i, 0);
        add_sample_number(&factor, noise, 100 + i);
        assert_memory_equal(x + i * PIXELS, noise, sizeof noise);
    }
}

static void test_bytes_are_the_rounded_picture(void **state) {
    fixture *f = *state;
    bd_sampler_eval eval;
    bd_sampler_plan plan = still(&eval);
    float x[N * PIXELS];
    uint8_t bytes[N * PIXELS], alone[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    spec.plan = &plan;
    assert_int_equal(bd_sample(x, bytes, f->engine, &spec), BD_OK);
    int inside = 0;
    for (int i = 0; i < N * PIXELS; i++) {
        double v = fmin(1, fmax(0, (double)x[i] / 2 + 0.5)) * 255;
        /* exact but for a float32 rounding of v next to a half */
        assert_true(fabs(bytes[i] - v) <= 0.5 + 1e-4);
        inside += v > 0 && v < 255;
    }
    assert_true(inside > N * PIXELS / 2);
    assert_int_equal(bd_sample(NULL, alone, f->engine, &spec), BD_OK);
    assert_memory_equal(alone, bytes, sizeof bytes);
}

/* --- same bits --- */

static void test_chunks_do_not_matter(void **state) {
    fixture *f = *state;
    float whole[N * PIXELS], x[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    assert_int_equal(bd_sample(whole, NULL, f->engine, &spec), BD_OK);
    assert_memory_not_equal(whole, whole + PIXELS, PIXELS * sizeof *whole);
    const int cuts[][3] = {{5, 6, 0}, {1, 1, 9}, {4, 4, 3}, {10, 1, 0}};
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        memset(x, 0, sizeof x);
        spec.first = 0;
        for (int part = 0; part < 3 && cuts[c][part]; part++) {
            spec.count = cuts[c][part];
            assert_int_equal(bd_sample(x + spec.first * PIXELS, NULL, f->engine, &spec), BD_OK);
            spec.first += spec.count;
        }
        assert_memory_equal(x, whole, sizeof x);
    }
}

static void test_workers_do_not_matter(void **state) {
    fixture *f = *state;
    float whole[N * PIXELS], x[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    assert_int_equal(bd_sample(whole, NULL, f->engine, &spec), BD_OK);
    for (int workers = 2; workers <= 3; workers++) {
        bd_pool *pool;
        assert_int_equal(bd_pool_create(&pool, workers), BD_OK);
        bd_sampler_engine *s = engine_of(pool, TILE);
        assert_int_equal(bd_sampler_engine_load(s, &f->params), BD_OK);
        assert_int_equal(bd_sample(x, NULL, s, &spec), BD_OK);
        assert_memory_equal(x, whole, sizeof x);
        bd_sampler_engine_destroy(s);
        bd_pool_destroy(pool);
    }
}

/* --- chains that start later --- */

static float middle[N * PIXELS];

static bd_status from_middle(void *ctx, float *x, int64_t sample) {
    (void)ctx;
    memcpy(x, middle + sample * PIXELS, PIXELS * sizeof *x);
    return BD_OK;
}

/* Three of six evaluations, and then the plan that begins at the fourth: with the noise of the whole chain. */
static void test_a_chain_goes_on_where_another_stopped(void **state) {
    fixture *f = *state;
    float whole[N * PIXELS], x[N * PIXELS];
    bd_sampler_plan late, early = f->plan;
    bd_sampler_spec ddpm = {.name = "ddpm", .steps = 6, .clip = BD_CLIP_X0, .start = 0.5};
    assert_int_equal(bd_sampler_plan_create(&late, &ddpm, &f->schedule), BD_OK);
    bd_sample_spec spec = all_samples(f);
    assert_int_equal(bd_sample(whole, NULL, f->engine, &spec), BD_OK);
    early.n = 3;
    spec.plan = &early;
    assert_int_equal(bd_sample(middle, NULL, f->engine, &spec), BD_OK);
    spec.plan = &late;
    spec.prior = from_middle;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_equal(x, whole, sizeof x);
    late.skipped = 0; /* other noise, other samples */
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_not_equal(x, whole, sizeof x);
    bd_sampler_plan_clear(&late);
}

/* start = 0 is the ordinary chain, from whatever x. */
static void test_start_0_is_the_whole_chain(void **state) {
    fixture *f = *state;
    float whole[N * PIXELS], x[N * PIXELS];
    bd_sampler_plan plan;
    bd_sampler_spec ddpm = {.name = "ddpm", .steps = 6, .clip = BD_CLIP_X0, .start = 0};
    assert_int_equal(bd_sampler_plan_create(&plan, &ddpm, &f->schedule), BD_OK);
    assert_int_equal(plan.n, f->plan.n);
    assert_memory_equal(plan.eval, f->plan.eval, (size_t)plan.n * sizeof *plan.eval);
    for (int i = 0; i < N; i++) normals(middle + i * PIXELS, BD_STREAM_PRIOR, i, 0);
    bd_sample_spec spec = all_samples(f);
    assert_int_equal(bd_sample(whole, NULL, f->engine, &spec), BD_OK);
    spec.plan = &plan;
    spec.prior = from_middle;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_equal(x, whole, sizeof x);
    bd_sampler_plan_clear(&plan);
}

/* Damaged and noised pictures under a multistep sampler, in pieces and with other workers. */
static void test_restoring_depends_on_neither_batch_nor_workers(void **state) {
    fixture *f = *state;
    float whole[N * PIXELS], x[N * PIXELS];
    uint8_t images[5 * PIXELS];
    for (int i = 0; i < 5 * PIXELS; i++) images[i] = (uint8_t)(i * 37);
    bd_sampler_plan plan;
    bd_sampler_spec unipc = {.name = "unipc", .steps = 8, .start = 0.5};
    assert_int_equal(bd_sampler_plan_create(&plan, &unipc, &f->schedule), BD_OK);
    bd_prior *prior;
    bd_prior_spec ps = {.kind = BD_PRIOR_IMAGE,
                        .S = TINY_S,
                        .C = 1,
                        .images = images,
                        .n_images = 5,
                        .corrupt = BD_CORRUPT_DENOISE,
                        .seed = seed,
                        .entry = BD_ENTRY_NOISED,
                        .keep = plan.keep,
                        .noise = plan.noise};
    assert_int_equal(bd_prior_create(&prior, &ps), BD_OK);
    bd_sample_spec spec = all_samples(f);
    spec.plan = &plan;
    spec.prior = bd_prior_apply;
    spec.prior_ctx = prior;
    assert_int_equal(bd_sample(whole, NULL, f->engine, &spec), BD_OK);
    for (int workers = 1; workers <= 3; workers++) {
        bd_pool *pool;
        assert_int_equal(bd_pool_create(&pool, workers), BD_OK);
        bd_sampler_engine *s = engine_of(pool, TILE);
        assert_int_equal(bd_sampler_engine_load(s, &f->params), BD_OK);
        for (spec.first = 0; spec.first < N; spec.first += spec.count) {
            spec.count = (int)(N - spec.first < 2 + workers ? N - spec.first : 2 + workers);
            assert_int_equal(bd_sample(x + spec.first * PIXELS, NULL, s, &spec), BD_OK);
        }
        assert_memory_equal(x, whole, sizeof x);
        bd_sampler_engine_destroy(s);
        bd_pool_destroy(pool);
    }
    bd_prior_destroy(prior);
    bd_sampler_plan_clear(&plan);
}

static void test_an_engine_serves_many_models_and_seeds(void **state) {
    fixture *f = *state;
    float first[N * PIXELS], x[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    assert_int_equal(bd_sample(first, NULL, f->engine, &spec), BD_OK);
    spec.seed++;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_not_equal(x, first, sizeof x);
    spec.seed--;
    bd_params other;
    tiny_params(&other, 2);
    assert_int_equal(bd_sampler_engine_load(f->engine, &other), BD_OK);
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_not_equal(x, first, sizeof x);
    assert_int_equal(bd_sampler_engine_load(f->engine, &f->params), BD_OK);
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
    assert_memory_equal(x, first, sizeof x);
    bd_params_clear(&other);
}

/* --- trouble --- */

/* Clipping must not hide it: a clamp that returns a bound for NaN would. */
static void test_nan_names_the_sample(void **state) {
    fixture *f = *state;
    float x[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    spec.first = 30;
    f->params.data[f->params.at[0].first] = NAN;
    assert_int_equal(bd_sampler_engine_load(f->engine, &f->params), BD_OK);
    for (bd_clip clip = BD_CLIP_NONE; clip <= BD_CLIP_XT; clip++) {
        bd_sampler_spec ddpm = {.name = "ddpm", .steps = 3, .clip = clip};
        bd_sampler_plan plan;
        assert_int_equal(bd_sampler_plan_create(&plan, &ddpm, &f->schedule), BD_OK);
        spec.plan = &plan;
        assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_NUMERIC);
        assert_non_null(strstr(bd_error(), "sample 30"));
        bd_sampler_plan_clear(&plan);
    }
}

static bd_status failing_prior(void *ctx, float *x, int64_t sample) {
    (void)ctx, (void)x;
    return sample == 6 ? bd_fail(BD_E_ARG, "no prior for sample 6") : BD_OK;
}

static void test_a_failing_prior_is_reported(void **state) {
    fixture *f = *state;
    float x[N * PIXELS];
    bd_sample_spec spec = all_samples(f);
    spec.prior = failing_prior;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_ARG);
    assert_string_equal(bd_error(), "no prior for sample 6");
}

static void test_stop_interrupts(void **state) {
    fixture *f = *state;
    float x[N * PIXELS];
    volatile sig_atomic_t stop = 1;
    bd_sample_spec spec = all_samples(f);
    spec.stop = &stop;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_INTERRUPT);
    stop = 0;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_OK);
}

static void test_bad_requests_are_refused(void **state) {
    fixture *f = *state;
    float x[PIXELS];
    bd_sample_spec spec = all_samples(f);
    spec.count = 0;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_ARG);
    spec.count = 1;
    spec.first = -1;
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_ARG);
    spec.first = UINT32_MAX; /* its noise would be that of an earlier sample */
    assert_int_equal(bd_sample(x, NULL, f->engine, &spec), BD_E_ARG);
    bd_sampler_engine *s = engine_of(f->pool, 1);
    spec.first = 0;
    assert_int_equal(bd_sample(x, NULL, s, &spec), BD_E_ARG); /* no weights */
    bd_sampler_engine_destroy(s);
    bd_sampler_engine_spec short_memory = {
        .backend = &bd_backend_cpu, .pool = f->pool, .unet = &tiny_unet, .tile = 1, .history = 1};
    assert_int_equal(bd_sampler_engine_create(&s, &short_memory), BD_OK);
    assert_int_equal(bd_sampler_engine_load(s, &f->params), BD_OK);
    bd_sampler_plan plan;
    bd_sampler_spec unipc = {.name = "unipc", .steps = 3};
    assert_int_equal(bd_sampler_plan_create(&plan, &unipc, &f->schedule), BD_OK);
    spec.plan = &plan;
    assert_int_equal(bd_sample(x, NULL, s, &spec), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "4 images of history, the engine was made for 1"));
    bd_sampler_plan_clear(&plan);
    bd_sampler_engine_destroy(s);
    bd_sampler_engine_spec tile3 = {
        .backend = &bd_backend_cpu, .pool = f->pool, .unet = &tiny_unet, .tile = 3};
    assert_int_equal(bd_sampler_engine_create(&s, &tile3), BD_E_ARG);
    assert_null(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_equals_a_plain_interpreter),
        TEST(test_prior_is_the_noise_of_the_sample),
        TEST(test_bytes_are_the_rounded_picture),
        TEST(test_chunks_do_not_matter),
        TEST(test_workers_do_not_matter),
        TEST(test_a_chain_goes_on_where_another_stopped),
        TEST(test_start_0_is_the_whole_chain),
        TEST(test_restoring_depends_on_neither_batch_nor_workers),
        TEST(test_an_engine_serves_many_models_and_seeds),
        TEST(test_nan_names_the_sample),
        TEST(test_a_failing_prior_is_reported),
        TEST(test_stop_interrupts),
        TEST(test_bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
