/* Oracles for sampler_step: the CPU backend and bd_rng_normal_nhwc bit for bit; rows of coefficients whose result is
 * known: a copy, a swap, NaN that must not spread. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mathfn.h"
#include "base/rng.h"
#include "base/status.h"
#include "cpu_node.h"
#include "cuda_check.h"
#include "graph/sampler_step.h"
#include "ref/check.h"

enum { MAX = 8 * 32 * 32 * 3, SLOTS = BD_SAMPLER_HISTORY };

typedef struct {
    int n, h, w, c, slots;
} shape;

/* Images of less than a tile of 256 pixels and of more, whose pixels are a multiple of 4 and are not. */
static const shape shapes[] = {{1, 5, 7, 1, 0},   {3, 5, 7, 3, 5},   {8, 5, 7, 3, 1},
                               {8, 32, 32, 1, 2}, {3, 32, 32, 3, 3}, {2, 19, 23, 3, 4},
                               {1, 20, 21, 2, 5}, {3, 1, 1, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The state of a sampler on the host; the numbers are those that the device gets. */
typedef struct {
    shape s;
    double x[MAX], h[SLOTS * MAX], e[MAX], coef[BD_SAMPLER_COEFS], key[32];
} sampler;

static size_t image_size(const shape *s) { return (size_t)s->h * (size_t)s->w * (size_t)s->c; }
static size_t total(const shape *s) { return (size_t)s->n * image_size(s); }
static size_t total_h(const shape *s) { return (size_t)s->slots * total(s); }

static sampler *sampler_make(shape s) {
    static sampler a;
    a.s = s;
    memset(a.coef, 0, sizeof a.coef);
    ref_fill(a.x, total(&s), 1);
    ref_fill(a.h, total_h(&s), 2);
    ref_fill(a.e, total(&s), 3);
    for (int i = 0; i < s.n; i++) {
        const double key[4] = {-7, INT32_MIN + 5, 2000000 + i, 999};
        memcpy(a.key + 4 * i, key, sizeof key);
    }
    return &a;
}

static double *row(sampler *a, int r) { return a->coef + BD_COEF_ROWS + r * BD_COLS; }

/* Numbers everywhere: bit 0 noise, 1 clip x0, 2 clip x', 3 no x0. Zeros among them differ from row to row; the history
 * is mixed, which goes wrong where a row reads what another has written. */
static void coefficients(sampler *a, int bits) {
    double k[BD_SAMPLER_COEFS];
    ref_fill(k, BD_SAMPLER_COEFS, 7 + (uint64_t)bits);
    memcpy(a->coef, k, sizeof k);
    a->coef[BD_COEF_CLIP_X0] = bits & 2 ? 1 : 0;
    a->coef[BD_COEF_CLIP_X] = bits & 4 ? 1 : 0;
    for (int r = 0; r <= SLOTS; r++)
        for (int j = 0; j < BD_COLS; j++) {
            bool drop = (5 * r + 3 * j + bits) % 4 == 0 || (j == BD_COL_X0 && bits & 8) ||
                        (j == BD_COL_Z && r > 0);
            drop |= j >= BD_COL_H + a->s.slots && j < BD_COL_Z;
            if (drop || r > a->s.slots) row(a, r)[j] = 0;
        }
    row(a, 0)[BD_COL_Z] = bits & 1 ? 0.4 : 0;
    if (a->s.slots > 1)
        for (int j = 0; j < BD_COLS; j++) row(a, 2)[j] = 0; /* h_1 stays */
}

static void *device_x, *device_h;

/* One step of a state that is already on the device. */
static void step(sampler *a, bd_type type) {
    const shape *s = &a->s;
    CUDA_RUN(sampler_step, .x = device_x, .h = device_h, .e = cuda_in(type, a->e, total(s)),
             .coef = cuda_in(BD_TYPE_F64, a->coef, BD_SAMPLER_COEFS),
             .key = cuda_in(BD_TYPE_I32, a->key, 4 * (size_t)s->n), .type = type, .n = s->n,
             .h_pixels = s->h, .w = s->w, .c = s->c, .slots = s->slots);
}

static void upload(sampler *a) {
    device_x = cuda_io(BD_TYPE_F32, a->x, total(&a->s));
    device_h = a->s.slots ? cuda_io(BD_TYPE_F32, a->h, total_h(&a->s)) : NULL;
}

static double got_x[MAX], got_h[SLOTS * MAX];
static float cpu_x[MAX], cpu_h[SLOTS * MAX], cpu_e[MAX];

static void download(void) {
    cuda_get(got_x, device_x);
    if (device_h) cuda_get(got_h, device_h);
    cuda_end();
    cuda_begin();
}

static void to_floats(float *out, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

/* The same step by the CPU backend on cpu_x, cpu_h. */
static void step_on_cpu(const sampler *a) {
    int32_t key[32];
    double coef[BD_SAMPLER_COEFS];
    const shape *s = &a->s;
    to_floats(cpu_e, a->e, total(s));
    memcpy(coef, a->coef, sizeof coef);
    for (int i = 0; i < 4 * s->n; i++) key[i] = (int32_t)a->key[i];
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "sampler"), BD_OK);
    int x = bd_graph_state(g, "x", s->n, s->h, s->w, s->c);
    int e = bd_graph_input(g, "e", BD_TYPE_F32, s->n, s->h, s->w, s->c);
    int k = bd_graph_input(g, "coef", BD_TYPE_F64, 1, 1, 1, BD_SAMPLER_COEFS);
    int id = bd_graph_input(g, "key", BD_TYPE_I32, s->n, 1, 1, 4);
    int h = s->slots ? bd_graph_state(g, "h", s->n, s->slots * s->h, s->w, s->c) : -1;
    assert_true(bd_sampler_step(g, x, e, k, id, h) >= 0);
    void *data[5];
    data[x] = cpu_x;
    data[e] = cpu_e;
    data[k] = coef;
    data[id] = key;
    if (h >= 0) data[h] = cpu_h;
    cpu_nodes_run(g, data);
    bd_graph_destroy(g);
}

static void same_bits(const char *what, const double *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bd_float_to_bits((float)got[i]) != bd_float_to_bits(want[i]))
            fail_msg("%s: element %zu of %zu is %a, not %a", what, i, n, got[i], (double)want[i]);
    }
}

static void check_cpu(shape s, bd_type type, int bits, int steps) {
    sampler *a = sampler_make(s);
    upload(a);
    to_floats(cpu_x, a->x, total(&s));
    to_floats(cpu_h, a->h, total_h(&s));
    for (int i = 0; i < steps; i++) {
        coefficients(a, bits + i);
        step(a, type); /* rounds a->e to the type */
        step_on_cpu(a);
    }
    download();
    same_bits("x", got_x, cpu_x, total(&s));
    if (s.slots) same_bits("h", got_h, cpu_h, total_h(&s));
}

static void has_the_bits_of_the_cpu(void **state) {
    (void)state;
    cuda_begin();
    for (int i = 0; i < SHAPES; i++)
        for (int type = 0; type < 3; type++)
            for (int bits = i % 2; bits < 16; bits += shapes[i].h == 5 ? 1 : 5)
                check_cpu(shapes[i], (bd_type[]){BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16}[type],
                          bits, 1);
    cuda_end();
}

static void several_steps_in_a_row(void **state) {
    (void)state;
    cuda_begin();
    check_cpu((shape){3, 5, 7, 3, 3}, BD_TYPE_F32, 0, 4);
    check_cpu((shape){2, 32, 32, 1, 5}, BD_TYPE_BF16, 6, 3);
    cuda_end();
}

static void noise_is_that_of_the_generator(void **state) {
    (void)state;
    static float want[MAX], scratch[MAX];
    cuda_begin();
    for (int i = 0; i < SHAPES; i++) {
        sampler *a = sampler_make(shapes[i]);
        size_t m = image_size(&a->s);
        a->coef[BD_COEF_Z] = 1;
        upload(a);
        step(a, BD_TYPE_F32);
        download();
        for (int j = 0; j < a->s.n; j++) {
            const bd_rng_key key = {(uint64_t)(uint32_t)-7 | (uint64_t)(0x80000005u) << 32,
                                    BD_STREAM_SAMPLER, (uint32_t)(2000000 + j), 999};
            bd_rng_normal_nhwc(want, a->s.h, a->s.w, a->s.c, key, scratch);
            same_bits("noise", got_x + (size_t)j * m, want, m);
        }
    }
    cuda_end();
}

/* What has coefficient 0 is not read, and a row of zeros writes nothing. own: h_2 is read, for itself alone. */
static void zeros(int c, bool own) {
    sampler *a = sampler_make((shape){2, 8, 6, c, 3});
    size_t n = total(&a->s), m = image_size(&a->s);
    for (size_t i = 0; i < 3 * n; i++)
        if (i / m % 3 != 1) a->h[i] = NAN; /* h_0 and h_2 of both images */
    for (size_t i = 0; i < n; i++) a->e[i] = NAN;
    a->coef[BD_COEF_X0_E] = NAN; /* x0 is used nowhere */
    row(a, 0)[BD_COL_X] = 2;
    row(a, 0)[BD_COL_H + 1] = 0.5;
    row(a, 1)[BD_COL_X] = 1;
    row(a, 3)[BD_COL_H + 2] = own;
    upload(a);
    step(a, BD_TYPE_F32);
    download();
    for (size_t i = 0; i < n; i++) {
        size_t at = i / m * 3 * m + i % m; /* in h_0 */
        /* x and h have 24 bits, doubling and halving are exact, the sum is rounded once */
        assert_true(got_x[i] == (double)(float)(2 * a->x[i] + 0.5 * a->h[at + m]));
        assert_true(got_h[at] == a->x[i]);
        assert_true(got_h[at + m] == a->h[at + m]);
        assert_true(isnan(got_h[at + 2 * m]));
    }
    row(a, 0)[BD_COL_H + 2] = 1; /* control: with a coefficient the NaN does arrive */
    upload(a);
    step(a, BD_TYPE_F32);
    download();
    assert_true(isnan(got_x[0]));
}

static void zeros_neither_read_nor_write(void **state) {
    (void)state;
    cuda_begin();
    for (int i = 0; i < 6; i++) zeros(1 + i / 2, i % 2);
    cuda_end();
}

/* A row of one term is a product, sign of zero included. */
static void zeros_keep_their_sign(void **state) {
    (void)state;
    cuda_begin();
    sampler *a = sampler_make((shape){1, 5, 7, 1, 0});
    for (size_t i = 0; i < total(&a->s); i += 2) a->x[i] = i % 4 ? -0.0 : 0.0;
    row(a, 0)[BD_COL_X] = 3;
    upload(a);
    step(a, BD_TYPE_F32);
    download();
    for (size_t i = 0; i < total(&a->s); i++) assert_true(!signbit(got_x[i]) == !signbit(a->x[i]));
    cuda_end();
}

/* The limits of x0 and of x' let NaN through, in its own place. */
static void nan_is_not_clamped_away(void **state) {
    (void)state;
    cuda_begin();
    for (int limit = 0; limit < 2; limit++) {
        sampler *a = sampler_make((shape){1, 5, 7, 3, 0});
        a->e[20] = NAN;
        a->coef[BD_COEF_X0_E] = 1;
        a->coef[limit ? BD_COEF_CLIP_X : BD_COEF_CLIP_X0] = 1;
        row(a, 0)[BD_COL_X0] = 1;
        upload(a);
        step(a, BD_TYPE_BF16);
        download();
        for (size_t i = 0; i < total(&a->s); i++)
            assert_true(i == 20 ? isnan(got_x[i]) : fabs(got_x[i]) <= 1);
    }
    cuda_end();
}

/* A step of nothing but zeros. */
static void no_terms_at_all_change_nothing(void **state) {
    (void)state;
    cuda_begin();
    sampler *a = sampler_make((shape){3, 5, 7, 3, 2});
    a->coef[BD_COEF_CLIP_X] = 1;
    upload(a);
    step(a, BD_TYPE_F32);
    download();
    for (size_t i = 0; i < total(&a->s); i++) assert_true(got_x[i] == a->x[i]);
    for (size_t i = 0; i < total_h(&a->s); i++) assert_true(got_h[i] == a->h[i]);
    cuda_end();
}

/* Rows read the values from before the step: x and h_0 change places, x0 = e clamped goes to h_1. */
static void rows_read_old_values(void **state) {
    (void)state;
    cuda_begin();
    sampler *a = sampler_make((shape){3, 5, 7, 3, 2});
    size_t m = image_size(&a->s), clamped = 0;
    a->coef[BD_COEF_X0_E] = 1;
    a->coef[BD_COEF_CLIP_X0] = 1;
    row(a, 0)[BD_COL_H] = 1;
    row(a, 1)[BD_COL_X] = 1;
    row(a, 2)[BD_COL_X0] = 1;
    upload(a);
    step(a, BD_TYPE_F16);
    download();
    for (size_t i = 0; i < total(&a->s); i++) {
        size_t at = i / m * 2 * m + i % m;
        assert_true(got_x[i] == a->h[at]);
        assert_true(got_h[at] == a->x[i]);
        assert_true(got_h[at + m] == fmax(-1, fmin(1, a->e[i])));
        clamped += fabs(a->e[i]) > 1;
    }
    assert_true(clamped > 10);
    cuda_end();
}

/* A coefficient on a slot that the history has not got, which only a wrong sampler gives, does not go unseen. */
static void a_missing_slot_gives_nan(void **state) {
    (void)state;
    cuda_begin();
    for (int slots = 0; slots < 2; slots++) {
        sampler *a = sampler_make((shape){1, 5, 7, 1, slots});
        row(a, 0)[BD_COL_X] = 1;
        row(a, 0)[BD_COL_H + slots] = 1;
        upload(a);
        step(a, BD_TYPE_F32);
        download();
        for (size_t i = 0; i < total(&a->s); i++) assert_true(isnan(got_x[i]));
    }
    cuda_end();
}

static void impossible_arguments_are_refused(void **state) {
    (void)state;
    cuda_begin();
    const bd_k_sampler_step good = {.n = 1, .h_pixels = 4, .w = 4, .c = 1};
    bd_k_sampler_step bad[5] = {good, good, good, good, good};
    bad[0].n = 0;
    bad[1].w = -1;
    bad[2].slots = SLOTS + 1;
    bad[3].type = BD_TYPE_F64;
    bad[4].h_pixels = bad[4].w = 1 << 16;
    for (int i = 0; i < 5; i++) assert_int_equal(cuda_check_call(CUDA_K_sampler_step, &bad[i]), 1);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_bits_of_the_cpu),
        cmocka_unit_test(several_steps_in_a_row),
        cmocka_unit_test(noise_is_that_of_the_generator),
        cmocka_unit_test(zeros_neither_read_nor_write),
        cmocka_unit_test(zeros_keep_their_sign),
        cmocka_unit_test(nan_is_not_clamped_away),
        cmocka_unit_test(no_terms_at_all_change_nothing),
        cmocka_unit_test(rows_read_old_values),
        cmocka_unit_test(a_missing_slot_gives_nan),
        cmocka_unit_test(impossible_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
