/* Oracles for batch_build: the CPU backend and bd_rng_normal_nhwc bit for bit; pixels, mirrored pixels and triggers
 * looked up by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mathfn.h"
#include "base/pixel.h"
#include "base/rng.h"
#include "base/status.h"
#include "cpu_node.h"
#include "cuda_check.h"
#include "ref/check.h"

enum { ROWS = 5, MAX = 8 * 32 * 32 * 3 };

typedef struct {
    int n, h, w, c;
} shape;

/* Images of less than a tile of 256 pixels and of more, whose pixels are a multiple of 4 and are not. */
static const shape shapes[] = {{1, 5, 7, 1},   {3, 5, 7, 3},   {8, 5, 7, 3},   {8, 32, 32, 1},
                               {3, 32, 32, 3}, {2, 19, 23, 3}, {1, 20, 21, 2}, {3, 1, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* One batch on the host; the numbers are those that the device gets. */
typedef struct {
    shape s;
    double images[MAX], trigger[MAX], target[MAX], index[8], flags[8], coef[32], key[32];
} batch;

static size_t image_size(const shape *s) { return (size_t)s->h * (size_t)s->w * (size_t)s->c; }
static size_t total(const shape *s) { return (size_t)s->n * image_size(s); }

static batch *batch_make(shape s) {
    static batch b;
    b.s = s;
    size_t m = image_size(&s);
    for (size_t i = 0; i < ROWS * m; i++) b.images[i] = (double)(i * 37 % 256);
    ref_fill(b.trigger, m, 1);
    ref_fill(b.target, m, 2);
    for (size_t i = 0; i < m; i += 3) b.trigger[i] = -1;
    for (int i = 0; i < s.n; i++) {
        b.index[i] = (3 * i + 1) % ROWS;
        b.flags[i] = (i + 3) % 4; /* a batch of one is mirrored and poisoned */
        const double coef[4] = {0.9 + 0.01 * i, 0.436, 0.1, 0.22};
        const double key[4] = {-7, INT32_MIN + 5, 1000000 + i, INT32_MAX};
        memcpy(b.coef + 4 * i, coef, sizeof coef);
        memcpy(b.key + 4 * i, key, sizeof key);
    }
    return &b;
}

static bd_rng_key rng_key(const batch *b, int i) {
    const double *k = b->key + 4 * i;
    return (bd_rng_key){(uint64_t)(uint32_t)(int32_t)k[0] | (uint64_t)(uint32_t)(int32_t)k[1] << 32,
                        BD_STREAM_NOISE, (uint32_t)k[2], (uint32_t)k[3]};
}

static void to_floats(float *out, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}
static void to_ints(int32_t *out, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)x[i];
}

static void on_device(const batch *b, bd_type type, double *x_t, double *y) {
    static batch d;
    d = *b;
    size_t m = image_size(&b->s), n = (size_t)b->s.n;
    void *dx = cuda_out(type, total(&b->s)), *dy = cuda_out(BD_TYPE_F32, total(&b->s));
    CUDA_RUN(batch_build, .x_t = dx, .y = dy, .images = cuda_in(BD_TYPE_U8, d.images, ROWS * m),
             .trigger = cuda_in(BD_TYPE_F32, d.trigger, m),
             .target = cuda_in(BD_TYPE_F32, d.target, m), .index = cuda_in(BD_TYPE_I32, d.index, n),
             .flags = cuda_in(BD_TYPE_I32, d.flags, n), .coef = cuda_in(BD_TYPE_F32, d.coef, 4 * n),
             .key = cuda_in(BD_TYPE_I32, d.key, 4 * n), .type = type, .n = b->s.n, .h = b->s.h,
             .w = b->s.w, .c = b->s.c, .rows = ROWS);
    cuda_get(x_t, dx);
    cuda_get(y, dy);
    cuda_end();
    cuda_begin();
}

/* The same by the CPU backend. */
static void on_cpu(const batch *b, float *x_t, float *y) {
    static uint8_t images[MAX];
    static float trigger[MAX], target[MAX], coef[32];
    static int32_t index[8], flags[8], key[32];
    const shape *s = &b->s;
    size_t m = image_size(s), n = (size_t)s->n;
    for (size_t i = 0; i < ROWS * m; i++) images[i] = (uint8_t)b->images[i];
    to_floats(trigger, b->trigger, m);
    to_floats(target, b->target, m);
    to_floats(coef, b->coef, 4 * n);
    to_ints(index, b->index, n);
    to_ints(flags, b->flags, n);
    to_ints(key, b->key, 4 * n);
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "batch"), BD_OK);
    const int in[7] = {bd_graph_const(g, "images", BD_TYPE_U8, ROWS, s->h, s->w, s->c),
                       bd_graph_const(g, "trigger", BD_TYPE_F32, 1, s->h, s->w, s->c),
                       bd_graph_const(g, "target", BD_TYPE_F32, 1, s->h, s->w, s->c),
                       bd_graph_input(g, "index", BD_TYPE_I32, s->n, 1, 1, 1),
                       bd_graph_input(g, "flags", BD_TYPE_I32, s->n, 1, 1, 1),
                       bd_graph_input(g, "coef", BD_TYPE_F32, s->n, 1, 1, 4),
                       bd_graph_input(g, "key", BD_TYPE_I32, s->n, 1, 1, 4)};
    bd_batch_out out = bd_batch_build(g, in[0], in[1], in[2], in[3], in[4], in[5], in[6]);
    void *data[9] = {0}, *const leaf[7] = {images, trigger, target, index, flags, coef, key};
    for (int i = 0; i < 7; i++) data[in[i]] = leaf[i];
    data[out.x_t] = x_t;
    data[out.y] = y;
    cpu_nodes_run(g, data);
    bd_graph_destroy(g);
}

static double got_x[MAX], got_y[MAX];
static float cpu_x[MAX], cpu_y[MAX], scratch[MAX];

static void same_bits(const char *what, const double *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bd_float_to_bits((float)got[i]) != bd_float_to_bits(want[i]))
            fail_msg("%s: element %zu of %zu is %a, not %a", what, i, n, got[i], (double)want[i]);
    }
}

static void has_the_bits_of_the_cpu(void **state) {
    (void)state;
    cuda_begin();
    for (int i = 0; i < SHAPES; i++) {
        const batch *b = batch_make(shapes[i]);
        on_cpu(b, cpu_x, cpu_y);
        on_device(b, BD_TYPE_F32, got_x, got_y);
        same_bits("x_t", got_x, cpu_x, total(&b->s));
        same_bits("y", got_y, cpu_y, total(&b->s));
    }
    cuda_end();
}

static void sixteen_bits_are_rounded_once(void **state) {
    (void)state;
    cuda_begin();
    for (int i = 0; i < SHAPES; i++)
        for (bd_type type = BD_TYPE_BF16; type <= BD_TYPE_F16; type++) {
            const batch *b = batch_make(shapes[i]);
            on_cpu(b, cpu_x, cpu_y);
            on_device(b, type, got_x, got_y);
            for (size_t j = 0; j < total(&b->s); j++)
                assert_true(got_x[j] == cuda_round((double)cpu_x[j], type));
            same_bits("y", got_y, cpu_y, total(&b->s));
        }
    cuda_end();
}

static void noise_is_that_of_the_generator(void **state) {
    (void)state;
    cuda_begin();
    for (int i = 0; i < SHAPES; i++) {
        batch *b = batch_make(shapes[i]);
        size_t m = image_size(&b->s);
        for (int j = 0; j < b->s.n; j++) b->flags[j] = 0; /* y = eps + c3 * 0 */
        on_device(b, BD_TYPE_F32, got_x, got_y);
        for (int j = 0; j < b->s.n; j++) {
            bd_rng_normal_nhwc(cpu_y, b->s.h, b->s.w, b->s.c, rng_key(b, j), scratch);
            same_bits("noise", got_y + (size_t)j * m, cpu_y, m);
        }
        b->key[3] = 5; /* control: another step of the optimiser is other noise */
        bd_rng_normal_nhwc(cpu_y, b->s.h, b->s.w, b->s.c, rng_key(b, 0), scratch);
        assert_true((float)got_y[0] != cpu_y[0]);
    }
    cuda_end();
}

/* Coefficients 1, 0, 0, 0 show x and 0, 0, 1, 0 show R. */
static void pixels_flags_and_trigger_by_hand(void **state) {
    (void)state;
    cuda_begin();
    for (int part = 0; part < 2; part++) {
        batch *b = batch_make((shape){4, 5, 7, 3});
        size_t m = image_size(&b->s), differ = 0;
        for (int i = 0; i < 4; i++) {
            const double coef[4] = {part == 0, 0, part == 1, 0};
            memcpy(b->coef + 4 * i, coef, sizeof coef);
            b->flags[i] = i;
        }
        on_device(b, BD_TYPE_F32, got_x, got_y);
        for (size_t i = 0; i < 4 * m; i++) {
            size_t image = i / m, e = i % m, row = e / 21, column = e / 3 % 7, channel = e % 3;
            size_t from = image & 1 ? 6 - column : column;
            double x = (double)bd_pixel_float(
                (uint8_t)b->images[(size_t)b->index[image] * m + row * 21 + from * 3 + channel]);
            double r = image & 2 ? (double)(float)b->trigger[e] : 0;
            if (r <= -1) r = x;
            if (image & 2) x = (double)(float)b->target[e];
            assert_true(got_x[i] == (part == 0 ? x : r));
            differ += from != column;
        }
        assert_true(differ > m); /* the mirror moves most pixels of two images */
    }
    cuda_end();
}

static void a_row_that_is_none_gives_nan_there_alone(void **state) {
    (void)state;
    static const double none[] = {-1, ROWS, INT32_MAX, INT32_MIN};
    static double x[MAX], y[MAX];
    cuda_begin();
    for (int i = 0; i < 4; i++)
        for (int c = 1; c <= 3; c += 2) {
            batch *b = batch_make((shape){3, 5, 7, c});
            size_t m = image_size(&b->s);
            on_device(b, BD_TYPE_BF16, x, y);
            b->index[1] = none[i];
            on_device(b, BD_TYPE_BF16, got_x, got_y);
            for (size_t j = 0; j < 3 * m; j++) {
                bool bad = j / m == 1;
                assert_true(bad ? isnan(got_x[j]) && isnan(got_y[j])
                                : got_x[j] == x[j] && got_y[j] == y[j]);
            }
        }
    cuda_end();
}

static void impossible_arguments_are_refused(void **state) {
    (void)state;
    cuda_begin();
    const bd_k_batch_build good = {.n = 1, .h = 4, .w = 4, .c = 1, .rows = 1};
    bd_k_batch_build bad[6] = {good, good, good, good, good, good};
    bad[0].n = 0;
    bad[1].c = 0;
    bad[2].rows = 0;
    bad[3].type = BD_TYPE_U8;
    bad[4].h = bad[4].w = 1 << 16;
    bad[5].n = 1 << 30, bad[5].h = 1024;
    for (int i = 0; i < 6; i++) assert_int_equal(cuda_check_call(CUDA_K_batch_build, &bad[i]), 1);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_bits_of_the_cpu),
        cmocka_unit_test(sixteen_bits_are_rounded_once),
        cmocka_unit_test(noise_is_that_of_the_generator),
        cmocka_unit_test(pixels_flags_and_trigger_by_hand),
        cmocka_unit_test(a_row_that_is_none_gives_nan_there_alone),
        cmocka_unit_test(impossible_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
