/* Oracles: convolution, scale and shift as plain double loops; finite differences on the float64 reference backend;
 * closed forms of one step of Adam; the original's counts; bitwise equality over workers and interruptions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/attack.h"
#include "base/file.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "ref_backend.h"
#include "tiny.h"
#include "train/anp.h"
#include "train/loss_meter.h"
#include "train/trainer_impl.h"

#define DIR_NAME "build/tmp/test_anp"

enum { T = 50, PIXELS = TINY_S * TINY_S, IMAGES = 6 };

typedef struct {
    bd_dataset data;
    bd_pool *pool;
    float clean[T][4], bad[T][4], trigger[PIXELS], target[PIXELS];
    uint8_t flags[TINY_N];
    bd_params net, affine;
    bd_anp_spec spec;
} fixture;

static volatile sig_atomic_t stop;

static void fresh_dir(void) {
    assert_int_equal(bd_file_remove_tree(DIR_NAME), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_NAME), BD_OK);
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    tiny_dataset(&f->data);
    bd_schedule schedule;
    assert_int_equal(bd_schedule_scaled(&schedule, T), BD_OK);
    bd_attack_table(f->clean, &bd_attack_none, &schedule);
    bd_attack_table(f->bad, &bd_attack_baddiffusion, &schedule);
    bd_schedule_clear(&schedule);
    tiny_attack(f->trigger, f->target, f->flags);
    assert_int_equal(bd_pool_create(&f->pool, 1), BD_OK);
    tiny_params(&f->net, 1);
    assert_int_equal(bd_anp_affine(&f->affine, &f->net), BD_OK);
    f->spec = (bd_anp_spec){
        .train = {.backend = &bd_backend_cpu,
                  .pool = f->pool,
                  .unet = &tiny_unet,
                  .data = &f->data,
                  .flip = true,
                  .T = T,
                  .coef = f->clean,
                  .loop = {.seed = 5,
                           .batch = 8,
                           .tile = 2,
                           .steps = 6,
                           .lr = 2e-3,
                           .constant = true,
                           .clip = 1,
                           .dir = DIR_NAME,
                           .stop = &stop}},
        .net = &f->net,
        .budget = 4,
    };
    stop = 0;
    fresh_dir();
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_pool_destroy(f->pool);
    bd_params_clear(&f->net);
    bd_params_clear(&f->affine);
    bd_dataset_clear(&f->data);
    free(f);
    return bd_file_remove_tree(DIR_NAME) ? -1 : 0;
}

static void identity(bd_params *affine) {
    memset(affine->data, 0, affine->bytes);
    for (int i = 0; i < affine->n; i += 2)
        for (size_t o = 0; o < affine->at[i].count; o++) affine->data[affine->at[i].first + o] = 1;
}

/* Scales around 1, shifts around 0, none of them alike. */
static void scatter(bd_params *affine, float width) {
    identity(affine);
    for (int i = 0; i < affine->n; i++) {
        float z[64];
        assert_true(affine->at[i].count <= 64);
        bd_rng_normal(z, affine->at[i].count,
                      (bd_rng_key){.seed = 9, .stream = BD_STREAM_INIT, .index = (uint32_t)i});
        for (size_t o = 0; o < affine->at[i].count; o++)
            affine->data[affine->at[i].first + o] += width * z[o];
    }
}

/* --- the fold --- */

/* Numbers of the original: convolutions of google/ddpm-cifar10-32 and google/ddpm-ema-celebahq-256, and their output
 * channels in all. */
static void test_every_convolution_gets_one(void **state) {
    (void)state;
    const struct {
        const char *preset;
        int convs;
        size_t channels;
    } known[] = {{"cifar10", 65, 14467}, {"celebahq", 96, 29187}};
    for (size_t i = 0; i < 2; i++) {
        bd_unet_config c;
        bd_params net, affine;
        assert_int_equal(bd_unet_preset(&c, known[i].preset, 0, 0), BD_OK);
        assert_int_equal(bd_unet_params(&net, &c), BD_OK);
        assert_int_equal(bd_anp_affine(&affine, &net), BD_OK);
        assert_int_equal(affine.n, 2 * known[i].convs);
        assert_int_equal(affine.count, 2 * known[i].channels);
        assert_string_equal(affine.at[0].name, "conv_in.bn.weight");
        assert_string_equal(affine.at[1].name, "conv_in.bn.bias");
        bd_params_clear(&affine);
        bd_params_clear(&net);
    }
}

static void test_one_and_zero_change_no_bit(void **state) {
    fixture *f = *state;
    bd_params folded;
    assert_int_equal(bd_params_like(&folded, &f->net), BD_OK);
    assert_int_equal(bd_anp_fold(&folded, &f->net, &f->affine), BD_OK);
    assert_memory_equal(folded.data, f->net.data, f->net.bytes);
    f->affine.data[f->affine.at[2].first] = 1.0009765625f; /* and any other scale does */
    assert_int_equal(bd_anp_fold(&folded, &f->net, &f->affine), BD_OK);
    assert_memory_not_equal(folded.data, f->net.data, f->net.bytes);
    bd_params_clear(&folded);
}

static void test_tables_must_belong_together(void **state) {
    fixture *f = *state;
    bd_params mini;
    bd_unet_config c;
    assert_int_equal(bd_unet_preset(&c, "mini", 0, 0), BD_OK);
    assert_int_equal(bd_unet_params(&mini, &c), BD_OK);
    assert_int_equal(bd_anp_fold(&mini, &f->net, &f->affine), BD_E_SHAPE);
    assert_int_equal(bd_anp_fold(&mini, &mini, &f->affine), BD_E_SHAPE);
    double norm;
    assert_int_equal(bd_anp_gradient(&f->affine, &norm, &mini, &mini, &f->affine), BD_E_SHAPE);
    bd_params_clear(&mini);
}

/* Two convolutions one behind the other, [H,W,1] -> [H,W,2] -> [H,W,1], with scale and shift behind each. */
enum { S = 5, MID = 2, AFFINE = 2 * MID + 2 };

typedef struct {
    double w1[MID][9], b1[MID], w2[MID][9], b2, x[S * S], y[S * S];
} two_convs;

static double pixel(const double *x, int i, int j) {
    return i < 0 || j < 0 || i >= S || j >= S ? 0 : x[i * S + j];
}

/* Mean squared error to y; a = gamma1[2], beta1[2], gamma2, beta2. */
static double direct_loss(const two_convs *n, const double a[AFFINE]) {
    double mid[MID][S * S], sum = 0;
    for (int c = 0; c < MID; c++)
        for (int p = 0; p < S * S; p++) {
            double v = n->b1[c];
            for (int k = 0; k < 9; k++)
                v += n->w1[c][k] * pixel(n->x, p / S + k / 3 - 1, p % S + k % 3 - 1);
            v = a[c] * v + a[MID + c];
            mid[c][p] = v / (1 + exp(-v));
        }
    for (int p = 0; p < S * S; p++) {
        double v = n->b2;
        for (int c = 0; c < MID; c++)
            for (int k = 0; k < 9; k++)
                v += n->w2[c][k] * pixel(mid[c], p / S + k / 3 - 1, p % S + k % 3 - 1);
        double d = a[4] * v + a[5] - n->y[p];
        sum += d * d / (S * S);
    }
    return sum;
}

static const bd_conv_attr conv3 = {
    .kh = 3, .kw = 3, .stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};

typedef struct {
    const two_convs *n;
    int x, y, weight, loss;
    double got;
} two_convs_run;

static bd_status two_before(void *ctx, int tile, int iter, const bd_view *v) {
    const two_convs_run *r = ctx;
    (void)tile;
    (void)iter;
    for (int p = 0; p < S * S; p++) {
        ((float *)bd_view_data(v, r->x))[p] = (float)r->n->x[p];
        ((float *)bd_view_data(v, r->y))[p] = (float)r->n->y[p];
    }
    *(float *)bd_view_data(v, r->weight) = 1;
    return BD_OK;
}

static bd_status two_after(void *ctx, int tile, int iter, const bd_view *v) {
    two_convs_run *r = ctx;
    (void)tile;
    (void)iter;
    r->got = *(double *)bd_view_data(v, r->loss);
    return BD_OK;
}

static bd_graph *two_convs_graph(two_convs_run *r) {
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "two"), BD_OK);
    r->x = bd_graph_input(g, "x", BD_TYPE_F32, 1, S, S, 1);
    r->y = bd_graph_input(g, "y", BD_TYPE_F32, 1, S, S, 1);
    r->weight = bd_graph_input(g, "weight", BD_TYPE_F32, 1, 1, 1, 1);
    int w1 = bd_graph_param(g, "conv1.weight", MID, 1, 3, 3),
        b1 = bd_graph_param(g, "conv1.bias", 1, 1, 1, MID),
        w2 = bd_graph_param(g, "conv2.weight", 1, MID, 3, 3),
        b2 = bd_graph_param(g, "conv2.bias", 1, 1, 1, 1);
    int h = bd_silu(g, bd_conv2d(g, r->x, w1, b1, conv3));
    r->loss = bd_mse(g, bd_conv2d(g, h, w2, b2, conv3), r->y, r->weight);
    bd_graph_keep(g, r->loss);
    assert_int_equal(bd_graph_backward(g, r->loss, NULL, 0, NULL), BD_OK);
    return g;
}

/* Values that float32 holds exactly, so that both sides compute with the same numbers. */
static void two_convs_fill(two_convs *n, bd_params *net) {
    uint32_t word[sizeof *n / sizeof(double)];
    double *all = (double *)n; /* nothing but doubles */
    size_t count = sizeof *n / sizeof(double);
    bd_rng_bits(word, count, (bd_rng_key){.seed = 4, .stream = BD_STREAM_INIT}, 0);
    for (size_t i = 0; i < count; i++) all[i] = (double)(word[i] % 257) / 128 - 1;
    float *w1 = net->data + net->at[0].first, *b1 = net->data + net->at[1].first,
          *w2 = net->data + net->at[2].first;
    for (int c = 0; c < MID; c++) {
        for (int k = 0; k < 9; k++) {
            w1[c * 9 + k] = (float)n->w1[c][k];
            w2[c * 9 + k] = (float)n->w2[c][k];
        }
        b1[c] = (float)n->b1[c];
    }
    net->data[net->at[3].first] = (float)n->b2;
}

/* The folded network on the float64 backend computes what scale and shift behind each convolution do, and the chain rule
 * through the fold gives their gradient: central differences of the plain loops. */
static void test_equals_scale_and_shift_in_plain_loops(void **state) {
    (void)state;
    two_convs n = {0};
    two_convs_run r = {.n = &n};
    bd_graph *g = two_convs_graph(&r);
    bd_params net, folded, grad, affine;
    assert_int_equal(bd_params_from_graph(&net, g), BD_OK);
    two_convs_fill(&n, &net);
    assert_int_equal(bd_params_like(&folded, &net), BD_OK);
    assert_int_equal(bd_anp_affine(&affine, &net), BD_OK);
    assert_int_equal(bd_params_like(&grad, &affine), BD_OK);
    const double a[AFFINE] = {1.25, -0.5, 0.25, -0.75, 0.5, 0.125};
    const int table[AFFINE][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {3, 0}};
    for (int i = 0; i < AFFINE; i++)
        affine.data[affine.at[table[i][0]].first + (size_t)table[i][1]] = (float)a[i];
    assert_int_equal(bd_anp_fold(&folded, &net, &affine), BD_OK);

    bd_engine *e;
    bd_run run = {.n_tiles = 1, .n_iter = 1, .before = two_before, .after = two_after, .ctx = &r};
    assert_int_equal(ref_backend.engine_create(&e, &ref_backend, g, NULL), BD_OK);
    assert_int_equal(bd_params_upload(&folded, &ref_backend, e, g, BD_SLOT_PARAM), BD_OK);
    assert_int_equal(ref_backend.run(e, &run, false), BD_OK);
    double want = direct_loss(&n, a);
    /* folded weights are rounded to float32, 6e-8 each */
    assert_float_equal(r.got, want, 1e-6 * want);

    bd_params dfolded;
    double conv;
    assert_int_equal(bd_params_like(&dfolded, &net), BD_OK);
    assert_int_equal(bd_params_download(&dfolded, &ref_backend, e, g, BD_SLOT_GRAD), BD_OK);
    assert_int_equal(bd_anp_gradient(&grad, &conv, &dfolded, &net, &affine), BD_OK);
    for (int i = 0; i < AFFINE; i++) {
        double up[AFFINE], down[AFFINE], h = 1e-5;
        memcpy(up, a, sizeof a);
        memcpy(down, a, sizeof a);
        up[i] += h;
        down[i] -= h;
        double slope = (direct_loss(&n, up) - direct_loss(&n, down)) / (2 * h);
        double got = grad.data[grad.at[table[i][0]].first + (size_t)table[i][1]];
        /* rounding of weights and gradients to float32; the differences' own error is below 1e-8 */
        if (!(fabs(got - slope) <= 1e-5 * (1 + fabs(slope))))
            fail_msg("gradient %d: %.9g, by differences %.9g", i, got, slope);
    }
    ref_backend.engine_destroy(e);
    bd_params *const all[] = {&net, &folded, &grad, &affine, &dfolded};
    for (size_t i = 0; i < 5; i++) bd_params_clear(all[i]);
    bd_graph_destroy(g);
}

/* --- the whole UNet --- */

static double loss_at(bd_loss_meter *m, fixture *f, const bd_params *affine) {
    bd_params folded;
    double loss = NAN;
    assert_int_equal(bd_params_like(&folded, &f->net), BD_OK);
    assert_int_equal(bd_anp_fold(&folded, &f->net, affine), BD_OK);
    assert_int_equal(bd_loss_meter_run(&loss, m, &folded), BD_OK);
    bd_params_clear(&folded);
    return loss;
}

static bd_status fill_tile(void *ctx, int tile, int iter, const bd_view *v) {
    uint8_t poisoned[IMAGES];
    (void)iter;
    bd_batch_place at = {.first = 2 * tile,
                         .step = UINT32_MAX,
                         .place = 2 * tile,
                         .rows = 2,
                         .count = 2,
                         .weight = 1.0f / IMAGES};
    return bd_train_job_fill(ctx, &at, v, poisoned);
}

/* Gradient of what a loss meter of IMAGES images measures. */
static void gradient_at(bd_params *grad, double *conv, fixture *f, const bd_backend *b) {
    bd_train_spec spec = f->spec.train;
    bd_train_job j;
    bd_engine *e;
    bd_params folded, dfolded;
    spec.backend = b;
    assert_int_equal(bd_train_job_diffusion(&j, &spec), BD_OK);
    assert_int_equal(bd_graph_backward(j.graph, j.t.loss, NULL, 0, NULL), BD_OK);
    assert_int_equal(b->engine_create(&e, b, j.graph, f->pool), BD_OK);
    assert_int_equal(bd_train_job_set_up(&j, e), BD_OK);
    assert_int_equal(bd_params_like(&folded, &f->net), BD_OK);
    assert_int_equal(bd_params_like(&dfolded, &f->net), BD_OK);
    assert_int_equal(bd_anp_fold(&folded, &f->net, &f->affine), BD_OK);
    assert_int_equal(bd_params_upload(&folded, b, e, j.graph, BD_SLOT_PARAM), BD_OK);
    bd_run run = {.n_tiles = IMAGES / 2, .n_iter = 1, .before = fill_tile, .ctx = &j};
    assert_int_equal(b->run(e, &run, false), BD_OK);
    assert_int_equal(bd_params_download(&dfolded, b, e, j.graph, BD_SLOT_GRAD), BD_OK);
    assert_int_equal(bd_anp_gradient(grad, conv, &dfolded, &f->net, &f->affine), BD_OK);
    b->engine_destroy(e);
    bd_train_job_clear(&j);
    bd_params_clear(&folded);
    bd_params_clear(&dfolded);
}

/* Slope along each of some scales and shifts, by central differences of the float64 loss. */
static void test_gradient_by_finite_differences(void **state) {
    fixture *f = *state;
    bd_loss_meter *m;
    bd_params grad;
    double conv;
    bd_train_spec spec = f->spec.train;
    spec.backend = &ref_backend;
    scatter(&f->affine, 0.1f);
    assert_int_equal(bd_params_like(&grad, &f->affine), BD_OK);
    gradient_at(&grad, &conv, f, &ref_backend);
    assert_int_equal(bd_loss_meter_create(&m, &spec, IMAGES), BD_OK);
    const int checked[] = {0, 1, 2, 5, f->affine.n / 2, f->affine.n - 2, f->affine.n - 1};
    int seen = 0;
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++) {
        size_t at = f->affine.at[checked[i]].first;
        float old = f->affine.data[at], h = 1.0f / 256;
        f->affine.data[at] = old + h;
        double up = loss_at(m, f, &f->affine);
        f->affine.data[at] = old - h;
        double slope = (up - loss_at(m, f, &f->affine)) / (2.0 * h);
        f->affine.data[at] = old;
        double got = grad.data[at];
        seen += fabs(slope) > 1e-3;
        /* curvature h^2/6 and folded weights rounded to float32 over h: both below 1e-4 of the loss, which is about 1 */
        if (!(fabs(got - slope) <= 2e-4 + 1e-3 * fabs(slope)))
            fail_msg("%s: %.9g, by differences %.9g", f->affine.at[checked[i]].name, got, slope);
    }
    assert_true(seen >= 4);
    bd_loss_meter_destroy(m);
    bd_params_clear(&grad);
}

static void test_cpu_equals_the_reference(void **state) {
    fixture *f = *state;
    bd_params a, b;
    double conv_a, conv_b, off = 0, all = 0;
    scatter(&f->affine, 0.1f);
    assert_int_equal(bd_params_like(&a, &f->affine), BD_OK);
    assert_int_equal(bd_params_like(&b, &f->affine), BD_OK);
    gradient_at(&a, &conv_a, f, &bd_backend_cpu);
    gradient_at(&b, &conv_b, f, &ref_backend);
    for (size_t i = 0; i < a.bytes / sizeof(float); i++) {
        off += pow((double)a.data[i] - b.data[i], 2);
        all += pow(b.data[i], 2);
    }
    /* float32 against float64 through a UNet */
    assert_true(all > 0 && sqrt(off) <= 1e-4 * sqrt(all));
    assert_float_equal(conv_a, conv_b, 1e-4 * conv_b);
    bd_params_clear(&a);
    bd_params_clear(&b);
}

/* --- bounds and clipping --- */

static void test_clamp(void **state) {
    fixture *f = *state;
    float *x = f->affine.data + f->affine.at[0].first;
    x[0] = -7, x[1] = 0.25f, x[2] = 9;
    bd_anp_clamp(&f->affine, 0); /* no bound */
    assert_true(x[0] == -7 && x[2] == 9);
    bd_anp_clamp(&f->affine, 0.5);
    assert_true(x[0] == -0.5f && x[1] == 0.25f && x[2] == 0.5f);
    /* as in the original: a budget below 1 cuts untouched scales too */
    assert_true(f->affine.data[f->affine.at[2].first] == 0.5f);
}

/* One channel, w = (3, 4), b = 1, gamma = 2, and gradients that make a right triangle. */
static void test_legacy_norm_by_hand(void **state) {
    (void)state;
    bd_graph *g;
    bd_params net, dfolded, affine, grad;
    assert_int_equal(bd_graph_create(&g, "hand"), BD_OK);
    bd_graph_param(g, "conv.weight", 1, 2, 1, 1);
    bd_graph_param(g, "conv.bias", 1, 1, 1, 1);
    assert_int_equal(bd_params_from_graph(&net, g), BD_OK);
    bd_graph_destroy(g);
    assert_int_equal(bd_params_like(&dfolded, &net), BD_OK);
    assert_int_equal(bd_anp_affine(&affine, &net), BD_OK);
    assert_int_equal(bd_params_like(&grad, &affine), BD_OK);
    net.data[0] = 3, net.data[1] = 4, net.data[net.at[1].first] = 1;
    dfolded.data[0] = 2, dfolded.data[1] = 1, dfolded.data[net.at[1].first] = 2;
    affine.data[0] = 2;
    double conv;
    assert_int_equal(bd_anp_gradient(&grad, &conv, &dfolded, &net, &affine), BD_OK);
    assert_true(grad.data[0] == 2 * 3 + 1 * 4 + 2 * 1); /* dgamma = 12 */
    assert_true(grad.data[grad.at[1].first] == 2);      /* dbeta       */
    assert_float_equal(conv, 6, 1e-12);                 /* 2 (2, 1, 2) */
    assert_float_equal(bd_anp_legacy_norm(0, conv, 1), 65536.0 * 6, 1e-6);
    assert_float_equal(bd_anp_legacy_norm(0, conv, 2000), 65536.0 * 6, 1e-6);
    assert_float_equal(bd_anp_legacy_norm(0, conv, 2001), 131072.0 * 6, 1e-6);
    assert_float_equal(bd_anp_legacy_norm(3, 4.0 / 65536, 1), 5, 1e-12);
    bd_params *const all[] = {&net, &dfolded, &grad, &affine};
    for (size_t i = 0; i < 4; i++) bd_params_clear(all[i]);
}

/* The largest move of a first step, and the norm that it was clipped by. */
static double first_step(double *norm, fixture *f, bd_anp_clip clip) {
    bd_anp_spec spec = f->spec;
    bd_loop_result r;
    size_t rows;
    spec.train.loop.steps = 1;
    spec.clip = clip;
    identity(&f->affine);
    fresh_dir();
    assert_int_equal(bd_anp_train(&r, &f->affine, &spec), BD_OK);
    double *logged = tiny_column(DIR_NAME, "grad_norm", &rows), most = 0;
    assert_int_equal(rows, 1);
    *norm = logged[0];
    free(logged);
    for (int i = 0; i < f->affine.n; i++)
        for (size_t o = 0; o < f->affine.at[i].count; o++) {
            double start = i % 2 ? 0 : 1;
            most = fmax(most, fabs(f->affine.data[f->affine.at[i].first + o] - start));
        }
    return most;
}

/* A first step of Adam is lr g / (|g| + eps) with g as clipped. By its own norm a gradient is far above eps = 1e-8 and
 * the step lr = 2e-3. By the original's it is cut to g / (65536 |g_conv|): no element is above 1/65536 of |g| / |g_conv|. */
static void test_legacy_clipping_shortens_the_step(void **state) {
    fixture *f = *state;
    double own, legacy;
    double most = first_step(&own, f, BD_ANP_CLIP_CLEAN);
    assert_float_equal(most, 2e-3, 1e-6); /* a float32 near 1 has steps of 6e-8 */
    double less = first_step(&legacy, f, BD_ANP_CLIP_LEGACY);
    double bound = own / legacy; /* of every clipped element */
    assert_true(legacy > 65536 * 0.05 && bound < 1e-3);
    assert_true(less <= 2e-3 * bound / (bound + 1e-8) + 1e-6);
    assert_true(less < most);
}

/* --- the ascent --- */

static double measured(fixture *f, const bd_params *affine) {
    bd_loss_meter *m;
    assert_int_equal(bd_loss_meter_create(&m, &f->spec.train, TINY_N), BD_OK);
    double loss = loss_at(m, f, affine);
    bd_loss_meter_destroy(m);
    return loss;
}

static void test_ascent_raises_the_clean_loss(void **state) {
    fixture *f = *state;
    bd_loop_result r;
    double before = measured(f, &f->affine);
    bd_anp_spec spec = f->spec;
    spec.train.loop.steps = 30;
    spec.train.loop.lr = 5e-3;
    assert_int_equal(bd_anp_train(&r, &f->affine, &spec), BD_OK);
    double after = measured(f, &f->affine);
    if (!(after > 1.2 * before)) fail_msg("clean loss %g before, %g after", before, after);
    size_t n;
    double *loss = tiny_column(DIR_NAME, "loss", &n);
    assert_int_equal(n, 30);
    assert_true(loss[29] > loss[0]);
    double *rate = tiny_column(DIR_NAME, "lr", &n);
    for (size_t i = 0; i < n; i++) assert_true(rate[i] == 5e-3); /* neither warm-up nor cosine */
    free(loss);
    free(rate);
}

static void test_rate_zero_moves_nothing(void **state) {
    fixture *f = *state;
    bd_loop_result r;
    bd_params start;
    bd_anp_spec spec = f->spec;
    assert_int_equal(bd_params_like(&start, &f->affine), BD_OK);
    memcpy(start.data, f->affine.data, start.bytes);
    spec.train.loop.lr = 0;
    assert_int_equal(bd_anp_train(&r, &f->affine, &spec), BD_OK);
    assert_memory_equal(f->affine.data, start.data, start.bytes);
    bd_params_clear(&start);
}

static void test_ascent_stays_within_the_budget(void **state) {
    fixture *f = *state;
    bd_loop_result r;
    bd_anp_spec spec = f->spec;
    spec.train.loop.lr = 0.1;
    spec.budget = 1.125;
    assert_int_equal(bd_anp_train(&r, &f->affine, &spec), BD_OK);
    int at_bound = 0;
    for (size_t i = 0; i < f->affine.bytes / sizeof(float); i++) {
        assert_true(fabsf(f->affine.data[i]) <= 1.125f);
        at_bound += fabsf(f->affine.data[i]) == 1.125f;
    }
    assert_true(at_bound > 0);
}

static void test_only_the_clean_loss_is_climbed(void **state) {
    fixture *f = *state;
    bd_loop_result r;
    bd_anp_spec spec = f->spec;
    spec.train.flags = f->flags;
    spec.train.trigger = f->trigger;
    spec.train.target = f->target;
    assert_int_equal(bd_anp_train(&r, &f->affine, &spec), BD_E_ARG);
}

/* --- same bits --- */

typedef struct {
    int64_t at[16];
    int n;
    int64_t stop_at; /* the visit that is interrupted; -1 = none */
} visits;

static bd_status visit(void *ctx, int64_t step, const bd_params *trained) {
    visits *v = ctx;
    (void)trained;
    if (step == v->stop_at) return bd_fail(BD_E_INTERRUPT, "stopped");
    assert_true(v->n < 16);
    v->at[v->n++] = step;
    return BD_OK;
}

static bd_status ascend(fixture *f, bd_pool *pool, visits *v) {
    bd_loop_result r;
    bd_anp_spec spec = f->spec;
    spec.train.pool = pool;
    spec.train.visit = (bd_loop_visit){.fn = visit, .steps = 2, .ctx = v};
    identity(&f->affine);
    return bd_anp_train(&r, &f->affine, &spec);
}

static void test_workers_and_interruptions_do_not_matter(void **state) {
    fixture *f = *state;
    bd_pool *two;
    visits whole = {.stop_at = -1};
    assert_int_equal(bd_pool_create(&two, 2), BD_OK);
    assert_int_equal(ascend(f, f->pool, &whole), BD_OK);
    const int64_t expected[] = {0, 2, 4, 6};
    assert_int_equal(whole.n, 4);
    assert_memory_equal(whole.at, expected, sizeof expected);
    float *values = malloc(f->affine.bytes);
    assert_non_null(values);
    memcpy(values, f->affine.data, f->affine.bytes);
    fresh_dir();
    visits again = {.stop_at = -1};
    assert_int_equal(ascend(f, two, &again), BD_OK);
    assert_memory_equal(values, f->affine.data, f->affine.bytes);
    for (int64_t k = 0; k <= 6; k += 2) { /* interrupted in a visit, taken up there */
        fresh_dir();
        visits cut = {.stop_at = k};
        assert_int_equal(ascend(f, f->pool, &cut), BD_E_INTERRUPT);
        visits rest = {.stop_at = -1};
        assert_int_equal(ascend(f, two, &rest), BD_OK);
        assert_memory_equal(values, f->affine.data, f->affine.bytes);
        assert_int_equal(rest.at[0], k);
        assert_int_equal(rest.n, 4 - k / 2);
    }
    free(values);
    bd_pool_destroy(two);
}

static void test_checkpoints_of_other_ascents_are_refused(void **state) {
    fixture *f = *state;
    visits v = {.stop_at = -1};
    assert_int_equal(ascend(f, f->pool, &v), BD_OK);
    f->spec.budget = 2;
    assert_int_equal(ascend(f, f->pool, &v), BD_E_ARG);
    f->spec.budget = 4;
    f->spec.clip = BD_ANP_CLIP_LEGACY;
    assert_int_equal(ascend(f, f->pool, &v), BD_E_ARG);
    f->spec.clip = BD_ANP_CLIP_CLEAN;
    f->net.data[0] += 0.5f;
    assert_int_equal(ascend(f, f->pool, &v), BD_E_ARG);
}

/* --- the loss meter --- */

static void test_meter_tells_clean_from_backdoored(void **state) {
    fixture *f = *state;
    bd_train_spec bad = f->spec.train;
    uint8_t all[TINY_N];
    bd_loss_meter *m;
    memset(all, 1, sizeof all);
    bad.coef = f->bad;
    bad.flags = all;
    bad.trigger = f->trigger;
    bad.target = f->target;
    double clean = measured(f, &f->affine), backdoor, ref;
    assert_int_equal(bd_loss_meter_create(&m, &bad, TINY_N), BD_OK);
    assert_int_equal(bd_loss_meter_run(&backdoor, m, &f->net), BD_OK);
    bd_loss_meter_destroy(m);
    bad.backend = &ref_backend;
    assert_int_equal(bd_loss_meter_create(&m, &bad, 1000), BD_OK); /* no more than there are */
    assert_int_equal(bd_loss_meter_run(&ref, m, &f->net), BD_OK);
    bd_loss_meter_destroy(m);
    assert_float_equal(backdoor, ref, 1e-4 * ref); /* float32 against float64 */
    assert_true(fabs(clean - backdoor) > 0.01 * clean);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_convolution_gets_one),
        TEST(test_one_and_zero_change_no_bit),
        TEST(test_tables_must_belong_together),
        cmocka_unit_test(test_equals_scale_and_shift_in_plain_loops),
        TEST(test_gradient_by_finite_differences),
        TEST(test_cpu_equals_the_reference),
        TEST(test_clamp),
        cmocka_unit_test(test_legacy_norm_by_hand),
        TEST(test_legacy_clipping_shortens_the_step),
        TEST(test_ascent_raises_the_clean_loss),
        TEST(test_rate_zero_moves_nothing),
        TEST(test_ascent_stays_within_the_budget),
        TEST(test_only_the_clean_loss_is_climbed),
        TEST(test_workers_and_interruptions_do_not_matter),
        TEST(test_checkpoints_of_other_ascents_are_refused),
        TEST(test_meter_tells_clean_from_backdoored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
