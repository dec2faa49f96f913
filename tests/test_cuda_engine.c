/* Oracles: the CPU backend (training, sampling), PyTorch's gradients (tests/golden/parity), bitwise equality over
 * repetitions, interruptions, recorded and unrecorded steps. On a device or on the emulator; what only the emulator
 * can do (failing calls, a small memory) is skipped on a device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/attack.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "emu/emu_api.h"
#include "emu/sim_blas.h"
#include "emu/sim_dnn.h"
#include "nn/parity.h"
#include "tiny.h"
#include "train/sampling.h"
#include "train/trainer.h"

/* Not there in a program for a device. */
#pragma weak emu_set_order

#define DIR_NAME "build/tmp/test_cuda_engine"
#define CASES "tests/golden/parity/"

enum { PIXELS = TINY_S * TINY_S, T = 50, STEPS = 6 };

typedef struct {
    bd_dataset data;
    bd_pool *pool;
    bd_backend cuda;
    float coef[T][4], trigger[PIXELS], target[PIXELS];
    uint8_t flags[TINY_N];
    bd_params params;
    bd_schedule schedule;
    bd_train_spec spec;
} fixture;

static volatile sig_atomic_t stop;

static bool emulated(void) {
    const bd_cuda_platform *p = bd_cuda_platform_get();
    return p && !strcmp(p->name, "emulator");
}

static void fresh_dir(void) {
    assert_int_equal(bd_file_remove_tree(DIR_NAME), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_NAME), BD_OK);
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    fresh_dir();
    assert_int_equal(setenv("BADDIFF_PLANS", DIR_NAME "/plans", 1), 0);
    tiny_dataset(&f->data);
    assert_int_equal(bd_schedule_scaled(&f->schedule, T), BD_OK);
    bd_attack_table(f->coef, &bd_attack_baddiffusion, &f->schedule);
    tiny_attack(f->trigger, f->target, f->flags);
    assert_int_equal(bd_pool_create(&f->pool, 1), BD_OK);
    tiny_params(&f->params, 1);
    f->spec = (bd_train_spec){
        .backend = &f->cuda,
        .pool = f->pool,
        .unet = &tiny_unet,
        .data = &f->data,
        .flip = true,
        .T = T,
        .coef = f->coef,
        .flags = f->flags,
        .trigger = f->trigger,
        .target = f->target,
        .loop = {.seed = 5,
                 .batch = 16, /* of 24 images: every second step is half padding */
                 .tile = 16,
                 .steps = STEPS,
                 .lr = 2e-3,
                 .warmup = 2,
                 .clip = 1,
                 .dir = DIR_NAME,
                 .stop = &stop},
    };
    stop = 0;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_pool_destroy(f->pool);
    bd_params_clear(&f->params);
    bd_schedule_clear(&f->schedule);
    bd_dataset_clear(&f->data);
    free(f);
    return bd_file_remove_tree(DIR_NAME) ? -1 : 0;
}

/* The device, or a skip where there is none. */
static void need(fixture *f, bd_precision p) {
    if (bd_cuda_backend_init(&f->cuda, 0, p) == BD_OK) return;
    print_message("%s\n", bd_error());
    if (bd_cuda_devices() > 0) fail();
    skip();
}

static void need_emulator(void) {
    if (emulated()) return;
    print_message("only the emulator can do this\n");
    skip();
}

/* Train from the same fresh weights. */
static bd_status train(bd_loop_result *r, fixture *f, const bd_train_spec *spec) {
    assert_int_equal(bd_params_init(&f->params, 1), BD_OK);
    bd_loop_result unused;
    return bd_train(r ? r : &unused, &f->params, spec);
}

static void trained(fixture *f, const bd_train_spec *spec) {
    if (train(NULL, f, spec)) fail_msg("%s", bd_error());
}

static float *values(const fixture *f) {
    float *copy = malloc(f->params.bytes);
    assert_non_null(copy);
    memcpy(copy, f->params.data, f->params.bytes);
    return copy;
}

static double *column(const char *name, size_t *n) { return tiny_column(DIR_NAME, name, n); }

/* --- training --- */

/* Losses and gradient norms of a run on the CPU and of one on the device; tol: relative */
static void compare_with_cpu(fixture *f, bd_precision p, int micro, double tol) {
    need(f, p);
    static const char *const columns[] = {"loss", "grad_norm"};
    double *want[2], *got;
    size_t n, m;
    bd_train_spec spec = f->spec;
    spec.loop.micro_batch = micro;
    spec.loop.tile = 2;
    spec.backend = &bd_backend_cpu;
    trained(f, &spec);
    for (int i = 0; i < 2; i++) want[i] = column(columns[i], &n);
    fresh_dir();
    spec.backend = &f->cuda;
    spec.loop.tile = bd_backend_tile(&f->cuda, 2, micro ? micro : spec.loop.batch);
    trained(f, &spec);
    for (int i = 0; i < 2; i++) {
        got = column(columns[i], &m);
        assert_int_equal(n, STEPS);
        assert_int_equal(m, STEPS);
        for (size_t k = 0; k < n; k++) {
            assert_true(want[i][k] > 0.01);
            if (!(fabs(got[k] - want[i][k]) <= tol * want[i][k]))
                fail_msg("%s of step %zu: %.9g, on the CPU %.9g", columns[i], k + 1, got[k],
                         want[i][k]);
        }
        assert_true(want[i][0] != want[i][STEPS - 1]);
        free(want[i]);
        free(got);
    }
}

/* float32 noise of about 1e-6, and Adam's first steps, which are +-lr whatever the size of a gradient: a tiny one may
 * take its sign from rounding. */
static void training_equals_the_cpu(void **state) {
    compare_with_cpu(*state, BD_PRECISION_F32, 0, 1e-4);
}
static void micro_batches_equal_the_cpu(void **state) {
    compare_with_cpu(*state, BD_PRECISION_F32, 8, 1e-4);
}
/* Units in the last place are 2^-8 and 2^-11; norms and losses average over thousands of them. */
static void training_in_bf16_is_near_the_cpu(void **state) {
    compare_with_cpu(*state, BD_PRECISION_BF16, 0, 2e-2);
}
static void training_in_fp16_is_near_the_cpu(void **state) {
    compare_with_cpu(*state, BD_PRECISION_FP16, 8, 4e-3);
}

/* Every parameter's gradient, against PyTorch in double. */
static void gradients_equal_pytorch(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_F32);
    static const char *const name[] = {"heads", "cifarlike", "uneven", "tiles"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char dir[128];
        bd_parity p;
        snprintf(dir, sizeof dir, CASES "%s", name[i]);
        if (bd_parity_network(&p, dir, &f->cuda, f->pool)) fail_msg("%s", bd_error());
        /* as on the CPU: float32 over twenty layers, see test_parity.c */
        if (!(bd_parity_worst(&p) <= 1e-4))
            fail_msg("%s: output %.3g, loss %.3g, %s %.3g", name[i], p.output, p.loss,
                     p.grad[0].name, p.grad[0].error);
        assert_true(p.n_grads > 40);
        bd_parity_clear(&p);
    }
}

/* The first step of an engine runs unrecorded, later ones from a recording: another start must not matter. */
static void the_same_bits_every_time(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_BF16);
    trained(f, &f->spec);
    float *first = values(f);
    for (int order = 0; order < (emulated() ? EMU_ORDERS : 2); order++) {
        fresh_dir();
        if (emulated()) emu_set_order(order);
        trained(f, &f->spec);
        assert_memory_equal(first, f->params.data, f->params.bytes);
    }
    if (emulated()) emu_set_order(EMU_FORWARD);
    bd_train_spec other = f->spec; /* control: another seed gives other bits */
    other.loop.seed = 6;
    fresh_dir();
    trained(f, &other);
    assert_true(memcmp(first, f->params.data, f->params.bytes) != 0);
    free(first);
}

static int64_t stop_after;
static bd_status (*own_step)(bd_engine *, const bd_run *, bool, const bd_adam *, double *);
static bd_status step_then_stop(bd_engine *e, const bd_run *r, bool accumulate, const bd_adam *a,
                                double *norm) {
    if (a->k == stop_after) stop = 1;
    return own_step(e, r, accumulate, a, norm);
}

static void interruptions_do_not_matter(void **state) {
    fixture *f = *state;
    static const bd_precision precision[] = {BD_PRECISION_F32, BD_PRECISION_FP16};
    for (int i = 0; i < 2; i++) {
        need(f, precision[i]);
        bd_backend interrupted = f->cuda;
        own_step = interrupted.step;
        interrupted.step = step_then_stop;
        bd_train_spec spec = f->spec;
        spec.backend = &interrupted;
        stop_after = -1;
        fresh_dir();
        trained(f, &spec);
        float *whole = values(f);
        for (int64_t k = 1; k < STEPS; k++) {
            fresh_dir();
            stop_after = k;
            assert_int_equal(train(NULL, f, &spec), BD_E_INTERRUPT);
            stop = 0;
            stop_after = -1;
            bd_loop_result r;
            assert_int_equal(train(&r, f, &spec), BD_OK);
            assert_int_equal(r.resumed_at, k);
            assert_memory_equal(whole, f->params.data, f->params.bytes);
        }
        free(whole);
    }
}

/* A trigger far outside the range makes gradients that overflow at a loss scale of 65536: those steps are skipped, the
 * scale falls until one goes through, and the learning rate waits for it. */
static void overflow_in_fp16_lowers_the_scale(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_FP16);
    for (int i = 0; i < PIXELS; i++) f->trigger[i] = 3000;
    bd_train_spec spec = f->spec;
    spec.loop.steps = 20;
    trained(f, &spec);
    size_t n;
    double *norm = column("grad_norm", &n), *rate = column("lr", &n);
    size_t skipped = 0;
    while (skipped < n && !isfinite(norm[skipped])) skipped++;
    assert_in_range(skipped, 1, 16);
    for (size_t i = 0; i < skipped; i++) assert_true(rate[i + 1] == rate[0]);
    assert_true(rate[skipped + 1] > rate[0]);
    for (size_t i = skipped; i < n; i++) assert_true(isfinite(norm[i]) && norm[i] > 0);
    for (size_t i = 0; i < f->params.bytes / sizeof(float); i++)
        assert_true(isfinite(((const float *)f->params.data)[i]));
    free(norm);
    free(rate);
}

/* Control: without a scale the same gradient ends the run, and says at which step. */
static void a_gradient_that_is_not_finite_ends_the_run(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_F32);
    f->target[5] = INFINITY;
    assert_int_equal(train(NULL, f, &f->spec), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "step 1 of"));
}

/* --- sampling --- */

static bd_sampler_engine *engine_of(const fixture *f, const bd_backend *b, int tile) {
    bd_sampler_engine *s;
    bd_sampler_engine_spec spec = {.backend = b,
                                   .pool = f->pool,
                                   .unet = &tiny_unet,
                                   .tile = tile,
                                   .history = BD_SAMPLER_HISTORY};
    if (bd_sampler_engine_create(&s, &spec)) fail_msg("%s", bd_error());
    assert_int_equal(bd_sampler_engine_load(s, &f->params), BD_OK);
    return s;
}

enum { SAMPLES = 6 };

static void draw(float *x, const fixture *f, const bd_backend *b, int tile,
                 const bd_sampler_plan *plan, int64_t first) {
    bd_sampler_engine *s = engine_of(f, b, tile);
    bd_sample_spec spec = {.plan = plan, .seed = 11, .first = first, .count = SAMPLES};
    if (bd_sample(x, NULL, s, &spec)) fail_msg("%s", bd_error());
    bd_sampler_engine_destroy(s);
}

static void sampling_equals_the_cpu(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_F32);
    static const char *const name[] = {"ddpm", "ddim", "dpmsolver++", "pndm", "heun"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        bd_sampler_plan plan;
        bd_sampler_spec spec = {.name = name[i], .steps = 6, .clip = BD_CLIP_X0};
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &f->schedule), BD_OK);
        static float want[SAMPLES * PIXELS], got[SAMPLES * PIXELS];
        draw(want, f, &bd_backend_cpu, 2, &plan, 40);
        draw(got, f, &f->cuda, 4, &plan, 40); /* a full tile and a half one */
        for (int k = 0; k < SAMPLES * PIXELS;
             k++) /* 1e-6 of e, which the first x0 divides by sqrt(abar_T) = 1/160 */
            if (!(fabs((double)got[k] - (double)want[k]) <= 2e-4 * fmax(1, fabs((double)want[k]))))
                fail_msg("%s: element %d is %.9g, on the CPU %.9g", name[i], k, (double)got[k],
                         (double)want[k]);
        bd_sampler_plan_clear(&plan);
    }
}

/* Sample i is a function of (seed, i), whatever the tile's other places hold. */
static void samples_do_not_depend_on_their_neighbours(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_BF16);
    bd_sampler_plan plan;
    bd_sampler_spec spec = {.name = "ddpm", .steps = 4};
    static float a[SAMPLES * PIXELS], b[SAMPLES * PIXELS];
    assert_int_equal(bd_sampler_plan_create(&plan, &spec, &f->schedule), BD_OK);
    draw(a, f, &f->cuda, 4, &plan, 0);
    draw(b, f, &f->cuda, 4, &plan, 4);
    assert_memory_equal(a + (size_t)4 * PIXELS, b, 2 * PIXELS * sizeof *a);
    assert_true(a[0] != b[0] || a[1] != b[1]);
    bd_sampler_plan_clear(&plan);
}

/* --- what goes wrong --- */

static void too_little_memory_is_told_before_the_run(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_F32);
    need_emulator();
    emu_set_memory((size_t)40 << 20); /* the libraries' workspace takes 32 MiB */
    bd_train_spec spec = f->spec;
    spec.loop.batch = spec.loop.tile = 4096;
    bd_status st = train(NULL, f, &spec);
    emu_set_memory((size_t)16 << 30);
    assert_int_equal(st, BD_E_MEMORY);
    assert_non_null(strstr(bd_error(), "micro_batch"));
}

/* Each call of the platform fails in turn: the error comes back, and nothing stays allocated. Those that fail while the
 * engine is taken down come after the result, which is then right. */
static void every_failing_call_is_told(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_BF16);
    need_emulator();
    bd_train_spec spec = f->spec;
    spec.loop.steps = 2;
    spec.loop.dir = NULL;
    trained(f, &spec); /* plans are made */
    float *right = values(f);
    long before = emu_calls();
    trained(f, &spec);
    long calls = emu_calls() - before;
    size_t alive = emu_allocations();
    int failed = 0;
    /* every call of the first 40 and of the last 20, every 97th of those between */
    for (long n = 1; n <= calls; n += n <= 40 || n > calls - 20 ? 1 : 97) {
        emu_fail_after(n);
        bd_status st = train(NULL, f, &spec);
        emu_fail_after(0);
        emu_forget_error();
        if (st == BD_OK) assert_memory_equal(right, f->params.data, f->params.bytes);
        if (st == BD_OK ? n <= calls - 2 : st != BD_E_DEVICE && st != BD_E_MEMORY)
            fail_msg("call %ld of %ld failed and the run returned %d (%s)", n, calls, st,
                     bd_error());
        if (emu_allocations() != alive)
            fail_msg("call %ld of %ld failed: %zu allocations are left of %zu", n, calls,
                     emu_allocations(), alive);
        failed++;
    }
    print_message("# %d of %ld calls of a training run failed in turn\n", failed, calls);
    trained(f, &spec); /* and after all that it still works */
    assert_memory_equal(right, f->params.data, f->params.bytes);
    free(right);
}

static void the_unusable_is_refused(void **state) {
    fixture *f = *state;
    need(f, BD_PRECISION_F32);
    bd_backend b;
    assert_int_equal(bd_cuda_backend_init(&b, 99, BD_PRECISION_F32), BD_E_DEVICE);
    assert_non_null(strstr(bd_error(), "cuda:99"));
    bd_train_spec spec = f->spec;
    bd_backend cpu = bd_backend_cpu;
    cpu.precision = BD_PRECISION_FP16;
    spec.backend = &cpu;
    spec.loop.tile = 2;
    assert_int_equal(train(NULL, f, &spec), BD_E_ARG);
}

int main(void) {
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(training_equals_the_cpu),
        WITH(micro_batches_equal_the_cpu),
        WITH(training_in_bf16_is_near_the_cpu),
        WITH(training_in_fp16_is_near_the_cpu),
        WITH(gradients_equal_pytorch),
        WITH(the_same_bits_every_time),
        WITH(interruptions_do_not_matter),
        WITH(overflow_in_fp16_lowers_the_scale),
        WITH(a_gradient_that_is_not_finite_ends_the_run),
        WITH(sampling_equals_the_cpu),
        WITH(samples_do_not_depend_on_their_neighbours),
        WITH(too_little_memory_is_told_before_the_run),
        WITH(every_failing_call_is_told),
        WITH(the_unusable_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
