/* Oracles: loops in float64 that scatter where the kernels gather; the CPU backend, bit for bit; float32 results
 * rounded once by arithmetic in double; the same kernel with pointers that only its scalar path takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"
#include "cuda_check.h"
#include "cuda_compare.h"
#include "ref/check.h"

enum { MAX_N = 20000 };
static const bd_type types[] = {BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16};
static const char *const type_names[] = {"f32", "bf16", "f16"};
enum { TYPES = 3 };

static size_t bytes_of(bd_type t) { return t == BD_TYPE_F32 ? 4 : 2; }

/* Pooling: the window. Upsampling: oh = 2 h, ow = 2 w. */
typedef bd_vec_window shape;
static size_t small_count(const shape *s) {
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}
static size_t out_count(const shape *s) {
    return (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->c;
}
static size_t at(int n, int r, int q, int k, int h, int w, int c) {
    return (((size_t)n * (size_t)h + (size_t)r) * (size_t)w + (size_t)q) * (size_t)c + (size_t)k;
}
static size_t at_in(const shape *s, int n, int r, int q, int k) {
    return at(n, r, q, k, s->h, s->w, s->c);
}
static size_t at_out(const shape *s, int n, int i, int j, int k) {
    return at(n, i, j, k, s->oh, s->ow, s->c);
}

/* ---- the kernels: forward from x, backward from dy (and x) */

typedef struct {
    bd_type type;
    void *y;
    const void *a, *x;
    const shape *s;
} call;

static void run_upsample2(const call *c) {
    CUDA_RUN(upsample2, .y = c->y, .x = c->a, .type = c->type, .n = c->s->n, .h = c->s->h,
             .w = c->s->w, .c = c->s->c);
}
static void run_upsample2_bwd(const call *c) {
    CUDA_RUN(upsample2_bwd, .dx = c->y, .dy = c->a, .type = c->type, .n = c->s->n, .h = c->s->h,
             .w = c->s->w, .c = c->s->c);
}
#define WINDOW(s)                                                                     \
    .n = (s)->n, .h = (s)->h, .w = (s)->w, .c = (s)->c, .oh = (s)->oh, .ow = (s)->ow, \
    .size = (s)->size, .stride = (s)->stride, .pad = (s)->pad
static void run_max_pool(const call *c) {
    CUDA_RUN(max_pool, .y = c->y, .x = c->a, .type = c->type, WINDOW(c->s));
}
static void run_avg_pool(const call *c) {
    CUDA_RUN(avg_pool, .y = c->y, .x = c->a, .type = c->type, WINDOW(c->s));
}
static void run_max_pool_bwd(const call *c) {
    CUDA_RUN(max_pool_bwd, .dx = c->y, .dy = c->a, .x = c->x, .type = c->type, WINDOW(c->s));
}
static void run_avg_pool_bwd(const call *c) {
    CUDA_RUN(avg_pool_bwd, .dx = c->y, .dy = c->a, .type = c->type, WINDOW(c->s));
}

/* f(element of x, element of y) for every pair that a window joins; pixels outside the image are skipped. */
static void each_pair(const shape *s, void (*f)(size_t in, size_t out, int pixels)) {
    for (int n = 0; n < s->n; n++)
        for (int i = 0; i < s->oh; i++)
            for (int j = 0; j < s->ow; j++)
                for (int k = 0; k < s->c; k++)
                    for (int pass = 0, pixels = 0; pass < 2; pass++)
                        for (int v = 0; v < s->size * s->size; v++) {
                            int r = i * s->stride - s->pad + v / s->size,
                                q = j * s->stride - s->pad + v % s->size;
                            if (r < 0 || q < 0 || r >= s->h || q >= s->w) continue;
                            if (pass == 0)
                                pixels++;
                            else
                                f(at_in(s, n, r, q, k), at_out(s, n, i, j, k), pixels);
                        }
}

static double a[MAX_N], x[MAX_N], y[MAX_N], want[MAX_N], bound[MAX_N], size_of_sum[MAX_N],
    largest[MAX_N];
static size_t winner[MAX_N];

static void o_upsample2(const shape *s) {
    for (int n = 0; n < s->n; n++)
        for (int r = 0; r < s->oh; r++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++)
                    want[at_out(s, n, r, q, k)] = a[at_in(s, n, r / 2, q / 2, k)];
}
static void o_upsample2_bwd(const shape *s) {
    for (int n = 0; n < s->n; n++)
        for (int r = 0; r < s->oh; r++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    double d = a[at_out(s, n, r, q, k)];
                    want[at_in(s, n, r / 2, q / 2, k)] += d;
                    size_of_sum[at_in(s, n, r / 2, q / 2, k)] += fabs(d);
                }
}
static void find_largest(size_t in, size_t out, int pixels) {
    (void)pixels;
    if (x[in] > largest[out]) {
        largest[out] = x[in];
        winner[out] = in;
    }
}
static void largest_of(const shape *s, const double *of) {
    if (of != x) memcpy(x, of, small_count(s) * sizeof *x);
    for (size_t i = 0; i < out_count(s); i++) largest[i] = -INFINITY;
    each_pair(s, find_largest);
}
static void o_max_pool(const shape *s) {
    largest_of(s, a);
    memcpy(want, largest, out_count(s) * sizeof *want);
}
static void o_max_pool_bwd(const shape *s) {
    largest_of(s, x);
    for (size_t i = 0; i < out_count(s); i++) {
        want[winner[i]] += a[i];
        size_of_sum[winner[i]] += fabs(a[i]);
    }
}
static void add_share(size_t in, size_t out, int pixels) {
    want[out] += a[in] / pixels;
    size_of_sum[out] += fabs(a[in]) / pixels;
}
static void o_avg_pool(const shape *s) { each_pair(s, add_share); }
static void give_share(size_t in, size_t out, int pixels) {
    want[in] += a[out] / pixels;
    size_of_sum[in] += fabs(a[out]) / pixels;
}
static void o_avg_pool_bwd(const shape *s) { each_pair(s, give_share); }

/* The CPU backend on float copies of a and x, into out. */
static void c_upsample2(const bd_vec *v, float *out, const float *fa, const float *fx,
                        const shape *s) {
    (void)fx;
    v->upsample2(out, fa, s->n, s->h, s->w, s->c);
}
static void c_upsample2_bwd(const bd_vec *v, float *out, const float *fa, const float *fx,
                            const shape *s) {
    (void)fx;
    v->upsample2_bwd(out, fa, s->n, s->h, s->w, s->c);
}
static void c_max_pool(const bd_vec *v, float *out, const float *fa, const float *fx,
                       const shape *s) {
    (void)fx;
    v->max_pool(out, fa, s);
}
static void c_avg_pool(const bd_vec *v, float *out, const float *fa, const float *fx,
                       const shape *s) {
    (void)fx;
    v->avg_pool(out, fa, s);
}
static void c_max_pool_bwd(const bd_vec *v, float *out, const float *fa, const float *fx,
                           const shape *s) {
    (void)v;
    cpu_max_pool_bwd(out, fa, fx, s);
}
static void c_avg_pool_bwd(const bd_vec *v, float *out, const float *fa, const float *fx,
                           const shape *s) {
    (void)v;
    (void)fx;
    cpu_avg_pool_bwd(out, fa, s);
}

typedef struct {
    const char *name;
    int window, backward, reads_x;
    void (*run)(const call *c);
    void (*oracle)(const shape *s);
    void (*cpu)(const bd_vec *v, float *out, const float *fa, const float *fx, const shape *s);
    /* Roundings of float32, each of at most the sum of the magnitudes of what is added: one an addition (windows have
     * at most 25 pixels, a pixel lies in at most 25 windows), two for 1/count, one or, backward, one a window for the
     * product with it. */
    double ops;
} kernel;

static const kernel kernels[] = {
    {"upsample2", 0, 0, 0, run_upsample2, o_upsample2, c_upsample2, 0},
    {"upsample2_bwd", 0, 1, 0, run_upsample2_bwd, o_upsample2_bwd, c_upsample2_bwd, 3},
    {"max_pool", 1, 0, 0, run_max_pool, o_max_pool, c_max_pool, 0},
    {"max_pool_bwd", 1, 1, 1, run_max_pool_bwd, o_max_pool_bwd, c_max_pool_bwd, 25},
    {"avg_pool", 1, 0, 0, run_avg_pool, o_avg_pool, c_avg_pool, 28},
    {"avg_pool_bwd", 1, 1, 0, run_avg_pool_bwd, o_avg_pool_bwd, c_avg_pool_bwd, 28},
};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

#define POOL(n, h, w, c, size, stride, pad)                              \
    {                                                                    \
        n, h, w, c, ((h) + 2 * (pad) - (size)) / (stride) + 1,           \
            ((w) + 2 * (pad) - (size)) / (stride) + 1, size, stride, pad \
    }
#define TWICE(n, h, w, c) \
    { n, h, w, c, 2 * (h), 2 * (w), 2, 2, 0 }
static const shape shapes[] = {
    TWICE(1, 1, 1, 1),
    TWICE(2, 3, 5, 3),
    TWICE(1, 4, 4, 5),
    TWICE(3, 2, 1, 16),
    TWICE(2, 1, 7, 8),
    TWICE(1, 5, 3, 128),
    TWICE(2, 3, 2, 132),
    TWICE(3, 1, 1, 4),
    /* one pixel; no padding; overlap; padding on both sides; steps over pixels; odd ends; the whole image */
    POOL(1, 1, 1, 1, 1, 1, 0),
    POOL(2, 4, 6, 3, 2, 2, 0),
    POOL(2, 7, 5, 5, 3, 2, 0),
    POOL(1, 5, 7, 16, 3, 1, 1),
    POOL(2, 8, 8, 8, 3, 2, 1),
    POOL(1, 9, 6, 7, 2, 3, 1),
    POOL(3, 5, 5, 1, 5, 1, 2),
    POOL(1, 6, 6, 128, 3, 2, 1),
    POOL(2, 8, 8, 4, 8, 8, 0),
    POOL(1, 3, 3, 20, 2, 1, 1),
    POOL(2, 1, 1, 16, 3, 1, 1),
    POOL(1, 1, 9, 3, 3, 2, 1),
};
enum { SHAPES = sizeof shapes / sizeof shapes[0], FIRST_POOL = 8 };
static int fits(const kernel *k, int shape_index) {
    return k->window == (shape_index >= FIRST_POOL);
}

/* y = kernel(a, x); a and x are rounded to the type. odd: bits 0, 1, 2 put y, a, x one element off. */
static size_t execute(const kernel *k, bd_type type, const shape *s, int odd) {
    static double got[MAX_N + 1], in[2][MAX_N + 1];
    size_t small = small_count(s), large = out_count(s);
    size_t ny = k->backward ? small : large, na = k->backward ? large : small,
           size = bytes_of(type);
    size_t oy = odd & 1 ? 1 : 0, oa = odd & 2 ? 1 : 0, ox = odd & 4 ? 1 : 0;
    assert_true(ny < MAX_N && na < MAX_N);
    cuda_begin();
    memcpy(in[0] + oa, a, na * sizeof *a);
    memcpy(in[1] + ox, x, small * sizeof *x);
    char *da = cuda_in(type, in[0], na + oa),
         *dx = k->reads_x ? cuda_in(type, in[1], small + ox) : NULL;
    char *dy = cuda_out(type, ny + oy);
    call c = {.type = type, .s = s};
    c.y = dy + oy * size;
    c.a = da + oa * size;
    c.x = dx ? dx + ox * size : NULL;
    k->run(&c);
    cuda_get(got, dy);
    if (oy) assert_true(isnan(got[0])); /* untouched */
    memcpy(y, got + oy, ny * sizeof *y);
    memcpy(a, in[0] + oa, na * sizeof *a);
    memcpy(x, in[1] + ox, small * sizeof *x);
    cuda_end();
    return ny;
}

static void fill(uint64_t seed) {
    ref_fill(a, MAX_N, seed);
    ref_fill(x, MAX_N, seed + 100);
}

static void results_are_near_the_formulas(void **state) {
    (void)state;
    for (int k = 0; k < KERNELS; k++)
        for (int i = 0; i < SHAPES; i++)
            for (int t = 0; t < TYPES && fits(&kernels[k], i); t++) {
                fill(10 * (uint64_t)i + (uint64_t)k);
                size_t n = execute(&kernels[k], types[t], &shapes[i], 0);
                memset(want, 0, sizeof want);
                memset(size_of_sum, 0, sizeof size_of_sum);
                kernels[k].oracle(&shapes[i]);
                for (size_t j = 0; j < n; j++)
                    bound[j] = compare_bound(types[t], want[j], kernels[k].ops, size_of_sum[j]);
                char label[80];
                (void)snprintf(label, sizeof label, "%s %s, shape %d", kernels[k].name,
                               type_names[t], i);
                /* most pixels are the largest of no window, and some lie in none */
                compare_within(label, y, want, bound, n, kernels[k].window && kernels[k].backward);
            }
}

static void float32_results_are_the_bits_of_the_cpu(void **state) {
    (void)state;
    static float fa[MAX_N], fx[MAX_N], fy[MAX_N];
    const bd_vec *v = bd_vec_best();
    if (!v) {
        print_message("skipped: the CPU backend has no vector kernels for this machine\n");
        skip();
    }
    for (int k = 0; k < KERNELS; k++)
        for (int i = 0; i < SHAPES; i++) {
            if (!fits(&kernels[k], i)) continue;
            fill(10 * (uint64_t)i + (uint64_t)k);
            for (int j = 0; j < MAX_N; j += 3) x[j] = floor(x[j]); /* ties: the first counts */
            a[5] = NAN;
            x[7] = NAN;
            a[8] = INFINITY;
            a[9] = -0.0;
            size_t n = execute(&kernels[k], BD_TYPE_F32, &shapes[i], 0);
            for (int j = 0; j < MAX_N; j++) {
                fa[j] = (float)a[j];
                fx[j] = (float)x[j];
            }
            kernels[k].cpu(v, fy, fa, fx, &shapes[i]);
            for (size_t j = 0; j < n; j++) want[j] = (double)fy[j];
            compare_same(kernels[k].name, y, want, n);
        }
}

static void sixteen_bit_results_are_float32_results_rounded_once(void **state) {
    (void)state;
    for (int k = 0; k < KERNELS; k++)
        for (int i = 0; i < SHAPES; i++)
            for (int t = 1; t < TYPES && fits(&kernels[k], i); t++) {
                fill(10 * (uint64_t)i + (uint64_t)k);
                size_t n = execute(&kernels[k], types[t], &shapes[i], 0);
                static double half[MAX_N];
                memcpy(half, y, n * sizeof *y);
                (void)execute(&kernels[k], BD_TYPE_F32, &shapes[i], 0); /* of the rounded a and x */
                for (size_t j = 0; j < n; j++) want[j] = cuda_round(y[j], types[t]);
                compare_same(kernels[k].name, half, want, n);
            }
}

static void the_scalar_path_gives_the_same_bits(void **state) {
    (void)state;
    for (int k = 0; k < KERNELS; k++)
        for (int i = 0; i < SHAPES; i++) {
            if (!fits(&kernels[k], i) || shapes[i].c % 8) continue;
            for (int t = 0; t < TYPES; t++) {
                fill(10 * (uint64_t)i + (uint64_t)k);
                size_t n = execute(&kernels[k], types[t], &shapes[i], 0);
                memcpy(want, y, n * sizeof *want);
                for (int odd = 1; odd < 8; odd++) {
                    (void)execute(&kernels[k], types[t], &shapes[i], odd);
                    compare_same(kernels[k].name, y, want, n);
                }
            }
        }
}

/* Sums of gradients are kept: what goes up comes down. sum(dx) = sum(dy) in numbers that float32 holds exactly. */
static void pooling_backward_keeps_the_sum(void **state) {
    (void)state;
    for (int i = FIRST_POOL; i < SHAPES; i++) {
        fill((uint64_t)i);
        for (int j = 0; j < MAX_N; j++) a[j] = (double)(j % 13 - 5);
        size_t n = execute(&kernels[3], BD_TYPE_F32, &shapes[i], 0);
        double down = 0, up = 0;
        for (size_t j = 0; j < n; j++) down += y[j];
        for (size_t j = 0; j < out_count(&shapes[i]); j++) up += a[j];
        assert_true(down == up);
    }
}

static void windows_that_miss_the_image_are_refused(void **state) {
    (void)state;
    enum { INVALID = 1 }; /* cudaErrorInvalidValue */
    static const shape bad[] = {
        {1, 2, 2, 1, 1, 1, 0, 1, 0}, {1, 2, 2, 1, 1, 1, 2, 0, 0}, {1, 2, 2, 1, 1, 1, 2, 1, 2},
        {1, 2, 2, 1, 3, 1, 1, 1, 0}, {1, 2, 2, 1, 1, 3, 1, 1, 0}, {1, 2, 2, 1, 1, 1, 1, 1, -1},
    };
    fill(1);
    cuda_begin();
    void *d = cuda_io(BD_TYPE_F32, a, 16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(CUDA_CALL(max_pool, .y = d, .x = d, .type = BD_TYPE_F32, WINDOW(&bad[i])),
                         INVALID);
        assert_int_equal(CUDA_CALL(avg_pool, .y = d, .x = d, .type = BD_TYPE_F32, WINDOW(&bad[i])),
                         INVALID);
        assert_int_equal(
            CUDA_CALL(max_pool_bwd, .dx = d, .dy = d, .x = d, .type = BD_TYPE_F32, WINDOW(&bad[i])),
            INVALID);
        assert_int_equal(
            CUDA_CALL(avg_pool_bwd, .dx = d, .dy = d, .type = BD_TYPE_F32, WINDOW(&bad[i])),
            INVALID);
    }
    assert_int_equal(
        CUDA_CALL(upsample2, .y = d, .x = d, .type = BD_TYPE_I32, .n = 1, .h = 1, .w = 1, .c = 1),
        INVALID);
    cuda_get(y, d);
    compare_same("untouched", y, a, 16);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_near_the_formulas),
        cmocka_unit_test(float32_results_are_the_bits_of_the_cpu),
        cmocka_unit_test(sixteen_bit_results_are_float32_results_rounded_once),
        cmocka_unit_test(the_scalar_path_gives_the_same_bits),
        cmocka_unit_test(pooling_backward_keeps_the_sum),
        cmocka_unit_test(windows_that_miss_the_image_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
