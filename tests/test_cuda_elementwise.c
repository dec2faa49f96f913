/* Oracles: formulas in float64; the CPU backend's vector kernels, bit for bit; float32 results rounded once by
 * arithmetic in double; the same kernel with pointers that only its scalar path takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/vec.h"
#include "cuda_check.h"
#include "cuda_compare.h"
#include "ref/check.h"

enum { MAX_N = 5000 };
static const bd_type types[] = {BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16};
static const char *const type_names[] = {"f32", "bf16", "f16"};
enum { TYPES = 3 };
/* Around the vectors of 4 and 8, the block of 256 threads and its 2048 halves. */
static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 255, 257, 1000, 2047, 2051, 4096};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static size_t bytes_of(bd_type t) { return t == BD_TYPE_F32 ? 4 : 2; }

/* ---- the kernels of one or two inputs of one type */

typedef struct {
    bd_type type;
    void *y;
    const void *a, *b;
    size_t n;
} call;

static const float factor = 0.37f;
static void run_scale(const call *c) {
    CUDA_RUN(scale, .y = c->y, .x = c->a, .ytype = c->type, .xtype = c->type, .n = c->n,
             .k = factor);
}
static void run_add(const call *c) {
    CUDA_RUN(add, .y = c->y, .a = c->a, .b = c->b, .type = c->type, .n = c->n);
}
static void run_silu(const call *c) {
    CUDA_RUN(silu, .y = c->y, .x = c->a, .type = c->type, .n = c->n);
}
static void run_silu_bwd(const call *c) {
    CUDA_RUN(silu_bwd, .dx = c->y, .dy = c->a, .x = c->b, .type = c->type, .n = c->n);
}
static void run_relu(const call *c) {
    CUDA_RUN(relu, .y = c->y, .x = c->a, .type = c->type, .n = c->n);
}
static void run_relu_bwd(const call *c) {
    CUDA_RUN(relu_bwd, .dx = c->y, .dy = c->a, .x = c->b, .type = c->type, .n = c->n);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_scale(double a, double b) { return (void)b, (double)factor * a; }
static double f_add(double a, double b) { return a + b; }
static double f_silu(double a, double b) { return (void)b, a * sigmoid(a); }
static double f_silu_bwd(double dy, double x) {
    double s = sigmoid(x);
    return dy * (s + x * s * (1 - s));
}
static double f_relu(double a, double b) { return (void)b, a > 0 ? a : 0; }
static double f_relu_bwd(double dy, double y) { return y > 0 ? dy : 0; }

static void cpu_scale(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    (void)b;
    v->scale(y, a, factor, n);
}
static void cpu_add(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    v->add(y, a, b, n);
}
static void cpu_silu(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    (void)b;
    v->silu(y, a, n);
}
static void cpu_silu_bwd(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    v->silu_bwd(y, a, b, n);
}
static void cpu_relu(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    (void)b;
    v->relu(y, a, n);
}
static void cpu_relu_bwd(const bd_vec *v, float *y, const float *a, const float *b, size_t n) {
    v->relu_bwd(y, a, b, n);
}

typedef struct {
    const char *name;
    int inputs;
    void (*run)(const call *c);
    double (*formula)(double a, double b);
    /* Roundings in float32: of the result (relative), or of |dy| (1 + |x|) for the slope of SiLU, whose two terms
     * cancel near -1.28.
     * SiLU: e^x is good to 1.02 ulp = 2.04 roundings; sum, quotient, product: 3 more.
     * Slope s + x s (1-s): s is wrong by 4.04 of itself, 1-s by 4.04 s and one of its own, so x s (1-s) by less than
     * |x| (5.04/4 + 4.04 + 1/4); the last sum and the product with dy make 2. Below 7 of (1 + |x|). */
    double ops;
    int relative;
    void (*cpu)(const bd_vec *v, float *y, const float *a, const float *b, size_t n);
} kernel;

static const kernel kernels[] = {
    {"scale", 1, run_scale, f_scale, 1, 1, cpu_scale},
    {"add", 2, run_add, f_add, 1, 1, cpu_add},
    {"silu", 1, run_silu, f_silu, 5.04, 1, cpu_silu},
    {"silu_bwd", 2, run_silu_bwd, f_silu_bwd, 7, 0, cpu_silu_bwd},
    {"relu", 1, run_relu, f_relu, 0, 1, cpu_relu},
    {"relu_bwd", 2, run_relu_bwd, f_relu_bwd, 0, 1, cpu_relu_bwd},
};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

/* Where the result goes, and which pointers are one element away from an aligned one. */
typedef enum { APART, OVER_A, OVER_B } place;
enum { ODD_Y = 1, ODD_A = 2, ODD_B = 4 };

/* y = kernel(a, b) on n numbers; a and b are rounded to the type. */
static void execute(const kernel *k, bd_type type, place where, int odd, double *y, double *a,
                    double *b, size_t n) {
    static double got[MAX_N + 1], in[2][MAX_N + 1];
    size_t ya = odd & ODD_Y ? 1 : 0, aa = odd & ODD_A ? 1 : 0, ba = odd & ODD_B ? 1 : 0;
    cuda_begin();
    memcpy(in[0] + aa, a, n * sizeof *a);
    memcpy(in[1] + ba, b, n * sizeof *b);
    char *da = where == OVER_A ? cuda_io(type, in[0], n + aa) : cuda_in(type, in[0], n + aa);
    char *db = k->inputs < 2     ? NULL
               : where == OVER_B ? cuda_io(type, in[1], n + ba)
                                 : cuda_in(type, in[1], n + ba);
    char *dy = where == OVER_A ? da : where == OVER_B ? db : cuda_out(type, n + ya);
    size_t size = bytes_of(type);
    call c = {.type = type, .n = n};
    c.y = dy + ya * size;
    c.a = da + aa * size;
    c.b = db ? db + ba * size : NULL;
    k->run(&c);
    cuda_get(got, dy);
    memcpy(y, got + ya, n * sizeof *y);
    if (ya) assert_true(isnan(got[0])); /* untouched */
    memcpy(a, in[0] + aa, n * sizeof *a);
    memcpy(b, in[1] + ba, n * sizeof *b);
    cuda_end();
}

static void fill(double *a, double *b, size_t n, uint64_t seed) {
    ref_fill(a, n, seed);
    ref_fill(b, n, seed + 1000);
    for (size_t i = 0; i < n; i++)
        a[i] *= 3; /* both sides of the kinks, and where SiLU saturates */
}

static double a[MAX_N], b[MAX_N], y[MAX_N], want[MAX_N], bound[MAX_N], other[MAX_N];

static void results_are_near_the_formulas(void **state) {
    (void)state;
    for (int k = 0; k < KERNELS; k++)
        for (int t = 0; t < TYPES; t++)
            for (int s = 0; s < COUNTS; s++) {
                size_t n = counts[s];
                const kernel *f = &kernels[k];
                fill(a, b, n, (uint64_t)s + 100 * (uint64_t)k);
                execute(f, types[t], APART, 0, y, a, b, n);
                for (size_t i = 0; i < n; i++) {
                    want[i] = f->formula(a[i], b[i]);
                    double size = f->relative ? fabs(want[i]) : fabs(a[i]) * (1 + fabs(b[i]));
                    bound[i] = compare_bound(types[t], want[i], f->ops, size);
                }
                char label[64];
                (void)snprintf(label, sizeof label, "%s %s n=%zu", f->name, type_names[t], n);
                /* half of relu's results are zeros; of a few numbers all may be */
                compare_within(label, y, want, bound, n,
                               f->formula == f_relu || f->formula == f_relu_bwd);
            }
}

/* Also for numbers that the formulas leave to IEEE 754. */
static void float32_results_are_the_bits_of_the_cpu(void **state) {
    (void)state;
    static const double special[] = {0.0,    -0.0,  NAN,    INFINITY, -INFINITY, 88.0, -88.0, 104.5,
                                     -104.5, 1e-40, -1e-40, 3e38,     -3e38,     16.7, -16.7};
    enum { SPECIAL = sizeof special / sizeof special[0], N = 3000 };
    const bd_vec *v = bd_vec_best();
    if (!v) {
        print_message("skipped: the CPU backend has no vector kernels for this machine\n");
        skip();
    }
    static float fa[N], fb[N], fy[N];
    for (int k = 0; k < KERNELS; k++) {
        fill(a, b, N, (uint64_t)k);
        for (int i = 0; i < SPECIAL * SPECIAL; i++) {
            a[i] = special[i / SPECIAL];
            b[i] = special[i % SPECIAL];
        }
        execute(&kernels[k], BD_TYPE_F32, APART, 0, y, a, b, N);
        for (int i = 0; i < N; i++) {
            fa[i] = (float)a[i];
            fb[i] = (float)b[i];
        }
        kernels[k].cpu(v, fy, fa, fb, N);
        for (int i = 0; i < N; i++) want[i] = (double)fy[i];
        compare_same(kernels[k].name, y, want, N);
    }
}

static void sixteen_bit_results_are_float32_results_rounded_once(void **state) {
    (void)state;
    enum { N = 2051 };
    for (int k = 0; k < KERNELS; k++)
        for (int t = 1; t < TYPES; t++) {
            fill(a, b, N, (uint64_t)k);
            execute(&kernels[k], types[t], APART, 0, y, a, b, N);
            execute(&kernels[k], BD_TYPE_F32, APART, 0, want, a, b, N); /* of the rounded a and b */
            for (int i = 0; i < N; i++) want[i] = cuda_round(want[i], types[t]);
            compare_same(kernels[k].name, y, want, N);
        }
}

static void results_may_replace_an_input(void **state) {
    (void)state;
    enum { N = 2051 };
    for (int k = 0; k < KERNELS; k++)
        for (int t = 0; t < TYPES; t++)
            for (place where = OVER_A; where <= (kernels[k].inputs == 2 ? OVER_B : OVER_A);
                 where++) {
                fill(a, b, N, (uint64_t)k);
                execute(&kernels[k], types[t], APART, 0, want, a, b, N);
                execute(&kernels[k], types[t], where, 0, y, a, b, N);
                compare_same(kernels[k].name, y, want, N);
            }
}

static void the_scalar_path_gives_the_same_bits(void **state) {
    (void)state;
    enum { N = 517 };
    for (int k = 0; k < KERNELS; k++)
        for (int t = 0; t < TYPES; t++) {
            fill(a, b, N, (uint64_t)k);
            execute(&kernels[k], types[t], APART, 0, want, a, b, N);
            for (int odd = 1; odd < 8; odd++) {
                execute(&kernels[k], types[t], APART, odd, y, a, b, N);
                compare_same(kernels[k].name, y, want, N);
            }
        }
}

/* More elements than the largest grid has threads: 4096 blocks of 256. */
static void more_elements_than_threads(void **state) {
    (void)state;
    enum { N = 4096 * 256 + 77 };
    double *x = malloc((N + 1) * sizeof *x), *got = malloc((N + 1) * sizeof *got);
    assert_true(x && got);
    for (int i = 0; i <= N; i++) x[i] = i % 8191;
    cuda_begin();
    char *dx = cuda_in(BD_TYPE_F32, x, N + 1), *dy = cuda_out(BD_TYPE_F32, N + 1);
    CUDA_RUN(scale, .y = dy + 4, .x = dx + 4, .ytype = BD_TYPE_F32, .xtype = BD_TYPE_F32, .n = N,
             .k = 2.0f);
    cuda_get(got, dy);
    cuda_end();
    x[0] = NAN; /* not written */
    for (int i = 1; i <= N; i++) x[i] *= 2;
    compare_same("scale", got, x, N + 1);
    free(x);
    free(got);
}

/* ---- what one kernel has for itself */

static void scale_converts_and_accumulates(void **state) {
    (void)state;
    enum { N = 1003 };
    for (int from = 0; from < TYPES; from++)
        for (int to = 0; to < TYPES; to++)
            for (int add = 0; add < 2; add++) {
                fill(a, b, N, (uint64_t)from * 10 + (uint64_t)to);
                cuda_begin();
                void *dx = cuda_in(types[from], a, N);
                void *dy = add ? cuda_io(types[to], b, N) : cuda_out(types[to], N);
                CUDA_RUN(scale, .y = dy, .x = dx, .ytype = types[to], .xtype = types[from], .n = N,
                         .k = factor, .accumulate = add != 0);
                cuda_get(y, dy);
                cuda_end();
                /* Exact: the double nearest to a product or sum of two floats, rounded to float, is the float nearest
                 * to it (53 >= 2 * 24 + 2). */
                for (int i = 0; i < N; i++) {
                    want[i] = cuda_round((double)factor * a[i], BD_TYPE_F32);
                    if (add) want[i] = cuda_round(want[i] + b[i], BD_TYPE_F32);
                    want[i] = cuda_round(want[i], types[to]);
                }
                compare_same("scale", y, want, N);
            }
}

static void add_accumulates(void **state) {
    (void)state;
    enum { N = 1003 };
    for (int t = 0; t < TYPES; t++) {
        fill(a, b, N, 5);
        ref_fill(other, N, 6);
        cuda_begin();
        void *da = cuda_in(types[t], a, N), *db = cuda_in(types[t], b, N),
             *dy = cuda_io(types[t], other, N);
        CUDA_RUN(add, .y = dy, .a = da, .b = db, .type = types[t], .n = N, .accumulate = true);
        cuda_get(y, dy);
        cuda_end();
        for (int i = 0; i < N; i++)
            want[i] = cuda_round(
                cuda_round(cuda_round(a[i] + b[i], BD_TYPE_F32) + other[i], BD_TYPE_F32), types[t]);
        compare_same("add", y, want, N);
    }
}

static void an_element_added_to_itself(void **state) {
    (void)state;
    enum { N = 100 };
    fill(a, b, N, 7);
    cuda_begin();
    void *d = cuda_io(BD_TYPE_F32, a, N);
    CUDA_RUN(add, .y = d, .a = d, .b = d, .type = BD_TYPE_F32, .n = N, .accumulate = true);
    cuda_get(y, d);
    cuda_end();
    for (int i = 0; i < N; i++) want[i] = cuda_round(3 * a[i], BD_TYPE_F32);
    compare_same("add", y, want, N);
}

typedef struct {
    int n, hw, c;
} shape;
static const shape shapes[] = {{1, 1, 1}, {1, 1, 8},  {2, 3, 1}, {3, 5, 3},   {2, 7, 5},
                               {5, 1, 4}, {1, 9, 16}, {2, 4, 7}, {3, 2, 128}, {2, 1, 260}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
enum { BIAS = 1, ROW = 2, REST = 4 };

/* x + bias + v + z of what `with` says, into x or z when `over` is that bit (1: x), exactly as ordered. */
static void check_add_channel(bd_type type, const shape *s, int with, int over, size_t odd) {
    size_t n = (size_t)s->n, c = (size_t)s->c, row = (size_t)s->hw * c, all = n * row,
           size = bytes_of(type);
    static double bias[MAX_N], v[MAX_N], z[MAX_N];
    assert_true(all + 1 <= MAX_N && n * c <= MAX_N);
    ref_fill(a, all + odd, 1);
    ref_fill(bias, c, 2);
    ref_fill(v, n * c, 3);
    ref_fill(z, all, 4);
    cuda_begin();
    char *dx = over == 1 ? cuda_io(type, a, all + odd) : cuda_in(type, a, all + odd);
    const float *db = with & BIAS ? cuda_in(BD_TYPE_F32, bias, c) : NULL;
    void *dv = with & ROW ? cuda_in(type, v, n * c) : NULL;
    char *dz = !(with & REST) ? NULL : over == REST ? cuda_io(type, z, all) : cuda_in(type, z, all);
    char *dy = over == 1 ? dx : over == REST ? dz : cuda_out(type, all);
    CUDA_RUN(add_channel, .y = over == 1 ? dx + odd * size : dy, .x = dx + odd * size, .bias = db,
             .v = dv, .z = dz, .type = type, .n = s->n, .hw = s->hw, .c = s->c);
    cuda_get(y, dy);
    cuda_end();
    for (size_t i = 0; i < all; i++) {
        double sum = a[i + odd];
        if (with & BIAS) sum = cuda_round(sum + bias[i % c], BD_TYPE_F32);
        if (with & ROW) sum = cuda_round(sum + v[i / row * c + i % c], BD_TYPE_F32);
        if (with & REST) sum = cuda_round(sum + z[i], BD_TYPE_F32);
        want[i] = cuda_round(sum, type);
    }
    char label[96];
    (void)snprintf(label, sizeof label, "add_channel type %d [%d,%d,%d] with %d over %d", (int)type,
                   s->n, s->hw, s->c, with, over);
    compare_same(label, y + (over == 1 ? odd : 0), want, all);
}

static void add_channel_adds_what_is_there_in_order(void **state) {
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (int s = 0; s < SHAPES; s++)
            for (int with = 0; with < 8; with++) {
                check_add_channel(types[t], &shapes[s], with, 0, 0);
                check_add_channel(types[t], &shapes[s], with, 0, 1);
                check_add_channel(types[t], &shapes[s], with, 1, 0);
                if (with & REST) check_add_channel(types[t], &shapes[s], with, REST, 0);
            }
}

static void add_channel_gives_the_bits_of_the_cpu(void **state) {
    (void)state;
    const bd_vec *vec = bd_vec_best();
    if (!vec) {
        print_message("skipped: the CPU backend has no vector kernels for this machine\n");
        skip();
        return;
    }
    static float fx[MAX_N], fv[MAX_N], fy[MAX_N];
    for (int s = 0; s < SHAPES; s++) {
        const shape *p = &shapes[s];
        size_t rows = (size_t)p->n * (size_t)p->c, all = rows * (size_t)p->hw;
        fill(a, b, all, 9);
        cuda_begin();
        void *dx = cuda_in(BD_TYPE_F32, a, all), *dv = cuda_in(BD_TYPE_F32, b, rows),
             *dy = cuda_out(BD_TYPE_F32, all);
        CUDA_RUN(add_channel, .y = dy, .x = dx, .v = dv, .type = BD_TYPE_F32, .n = p->n,
                 .hw = p->hw, .c = p->c);
        cuda_get(y, dy);
        cuda_end();
        for (size_t i = 0; i < all; i++) fx[i] = (float)a[i];
        for (size_t i = 0; i < rows; i++) fv[i] = (float)b[i];
        vec->add_channel(fy, fx, fv, p->n, p->hw, p->c);
        for (size_t i = 0; i < all; i++) want[i] = (double)fy[i];
        compare_same("add_channel", y, want, all);
    }
}

/* Every unit from 1 to 16 bytes: rows, places and lengths that are multiples of `step` elements, and of no more. */
static void copy_channels_copies_these_and_no_others(void **state) {
    (void)state;
    static const int rows[] = {1, 3, 10};
    for (int size = 1; size <= 8; size *= 2)
        for (int step = 1; step <= 16; step *= 2)
            for (int r = 0; r < 3; r++)
                for (int which = 0; which < 3; which++) {
                    /* into the middle of wider rows; out of the middle; from wide to wide */
                    int count = 3 * step, yc = which == 1 ? count : 7 * step,
                        xc = which == 0 ? count : 5 * step;
                    int yfirst = which == 1 ? 0 : 2 * step, xfirst = which == 0 ? 0 : step;
                    size_t ny = (size_t)rows[r] * (size_t)yc * (size_t)size,
                           nx = (size_t)rows[r] * (size_t)xc * (size_t)size;
                    double *x = malloc(nx * sizeof *x), *to = malloc(ny * sizeof *to),
                           *got = malloc(ny * sizeof *got);
                    assert_true(x && to && got);
                    for (size_t i = 0; i < nx; i++) x[i] = (double)((i * 37 + 11) % 251);
                    for (size_t i = 0; i < ny; i++) to[i] = 255;
                    cuda_begin();
                    void *dx = cuda_in(BD_TYPE_U8, x, nx), *dy = cuda_io(BD_TYPE_U8, to, ny);
                    CUDA_RUN(copy_channels, .y = dy, .x = dx, .rows = (size_t)rows[r], .yc = yc,
                             .yfirst = yfirst, .xc = xc, .xfirst = xfirst, .count = count,
                             .size = size);
                    cuda_get(got, dy);
                    cuda_end();
                    for (int i = 0; i < rows[r]; i++)
                        for (int j = 0; j < count * size; j++)
                            to[(i * yc + yfirst) * size + j] = x[(i * xc + xfirst) * size + j];
                    compare_same("copy_channels", got, to, ny);
                    free(x);
                    free(to);
                    free(got);
                }
}

/* ---- edges */

static void no_elements_are_no_work(void **state) {
    (void)state;
    fill(a, b, 8, 1);
    cuda_begin();
    void *da = cuda_in(BD_TYPE_F32, a, 8), *db = cuda_in(BD_TYPE_F32, b, 8),
         *dy = cuda_out(BD_TYPE_F32, 8);
    for (int k = 0; k < KERNELS; k++) kernels[k].run(&(call){BD_TYPE_F32, dy, da, db, 0});
    CUDA_RUN(copy_channels, .y = dy, .x = da, .rows = 0, .yc = 4, .xc = 4, .count = 4, .size = 4);
    CUDA_RUN(add_channel, .y = dy, .x = da, .type = BD_TYPE_F32, .n = 0, .hw = 1, .c = 4);
    cuda_get(y, dy);
    for (int i = 0; i < 8; i++) assert_true(isnan(y[i]));
    cuda_end();
}

static void unknown_types_and_sizes_are_refused(void **state) {
    (void)state;
    fill(a, b, 8, 1);
    cuda_begin();
    void *d = cuda_io(BD_TYPE_F32, a, 8);
    enum { INVALID = 1 }; /* cudaErrorInvalidValue */
    assert_int_equal(
        CUDA_CALL(scale, .y = d, .x = d, .ytype = BD_TYPE_F32, .xtype = BD_TYPE_I32, .n = 8),
        INVALID);
    assert_int_equal(
        CUDA_CALL(scale, .y = d, .x = d, .ytype = BD_TYPE_F64, .xtype = BD_TYPE_F32, .n = 8),
        INVALID);
    assert_int_equal(CUDA_CALL(add, .y = d, .a = d, .b = d, .type = BD_TYPE_U8, .n = 8), INVALID);
    assert_int_equal(CUDA_CALL(silu, .y = d, .x = d, .type = BD_TYPE_F64, .n = 4), INVALID);
    assert_int_equal(CUDA_CALL(relu_bwd, .dx = d, .dy = d, .x = d, .type = BD_TYPE_I32, .n = 8),
                     INVALID);
    assert_int_equal(
        CUDA_CALL(add_channel, .y = d, .x = d, .type = BD_TYPE_I32, .n = 1, .hw = 1, .c = 8),
        INVALID);
    assert_int_equal(CUDA_CALL(copy_channels, .y = d, .x = d, .rows = 1, .yc = 1, .xc = 1,
                               .count = 1, .size = 3),
                     INVALID);
    cuda_get(y, d);
    compare_same("untouched", y, a, 8);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_near_the_formulas),
        cmocka_unit_test(float32_results_are_the_bits_of_the_cpu),
        cmocka_unit_test(sixteen_bit_results_are_float32_results_rounded_once),
        cmocka_unit_test(results_may_replace_an_input),
        cmocka_unit_test(the_scalar_path_gives_the_same_bits),
        cmocka_unit_test(more_elements_than_threads),
        cmocka_unit_test(scale_converts_and_accumulates),
        cmocka_unit_test(add_accumulates),
        cmocka_unit_test(an_element_added_to_itself),
        cmocka_unit_test(add_channel_adds_what_is_there_in_order),
        cmocka_unit_test(add_channel_gives_the_bits_of_the_cpu),
        cmocka_unit_test(copy_channels_copies_these_and_no_others),
        cmocka_unit_test(no_elements_are_no_work),
        cmocka_unit_test(unknown_types_and_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
