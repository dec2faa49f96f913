/* Oracles: sums in float64 and numbers whose sum is exact (norm); the CPU backend's Adam bit for bit, and the formulas
 * of Kingma & Ba in float64. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/vec.h"
#include "cuda_check.h"
#include "ref/check.h"

enum { B = BD_K_NORM_BLOCK, MAX = 3 * B + 7, STEPS = 4 };
static const size_t sizes[] = {1, 3, 4, 35, B - 1, B, B + 1, MAX};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const double lr = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

static bd_k_step step_make(int k, double clip, double loss_scale) {
    return (bd_k_step){.b1 = (float)beta1,
                       .c1 = (float)(1 - beta1),
                       .b2 = (float)beta2,
                       .c2 = (float)(1 - beta2),
                       .k1 = (float)(lr / (1 - pow(beta1, k))),
                       .k2 = (float)(1 / sqrt(1 - pow(beta2, k))),
                       .eps = (float)eps,
                       .loss_scale = (float)loss_scale,
                       .clip = clip};
}

/* --- norm --- */

/* `offset` elements behind an aligned address. */
static double norm_of(const double *x, size_t n, size_t offset, double loss_scale) {
    static double g[MAX + 4];
    double norm;
    for (size_t i = 0; i < n; i++) g[i + offset] = x[i];
    cuda_begin();
    const bd_k_step step = step_make(1, 1, loss_scale);
    void *out = cuda_out(BD_TYPE_F64, 1);
    const float *dg = cuda_in(BD_TYPE_F32, g, n + offset);
    CUDA_RUN(grad_norm, .norm = out,
             .partial = cuda_out(BD_TYPE_F64, bd_k_grad_norm_scratch(n) / 8), .g = dg + offset,
             .step = cuda_in_bytes(&step, sizeof step), .n = n);
    cuda_get(&norm, out);
    cuda_end();
    return norm;
}

static double x[MAX];

static void norm_is_the_root_of_the_sum(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        double sum = 0;
        ref_fill(x, MAX, 3);
        for (size_t j = 0; j < sizes[i]; j++) sum += x[j] * x[j];
        double want = sqrt(sum) / 1000;
        double got = norm_of(x, sizes[i], 0, 1000);
        /* Each of n additions of positive numbers rounds by 2^-53, in both sums; the root halves that. */
        assert_true(ref_near("norm", &got, &want, 1,
                             want * (double)sizes[i] * 0x1p-53 + 1e-15 * want, false));
        double moved = norm_of(x, sizes[i], 1, 1000);
        assert_true(moved == got); /* the tree does not depend on the address */
        x[sizes[i] - 1] += 0.5;    /* control: the last element counts */
        assert_true(norm_of(x, sizes[i], 0, 1000) != got);
    }
}

static void exact_numbers_give_exact_norms(void **state) {
    (void)state;
    for (size_t i = 0; i < MAX; i++) x[i] = i % 2 ? -3 : 4;
    assert_true(norm_of(x, 2, 0, 1) == 5);
    assert_true(norm_of(x, 2 * 1024, 0, 0.5) == 320);
    for (size_t i = 0; i < MAX; i++) x[i] = 3e38; /* squares beyond float32 */
    float huge = 3e38f;
    assert_true(norm_of(x, 4, 0, 1) == 2 * (double)huge);
}

static void infinity_and_nan_are_not_finite(void **state) {
    (void)state;
    static const double bad[] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 3; i++) {
        ref_fill(x, MAX, 4);
        x[B + 5] = bad[i];
        assert_false(isfinite(norm_of(x, MAX, 0, 65536)));
    }
}

/* More partial sums than the second stage has threads, once. */
static void many_blocks(void **state) {
    (void)state;
    const bd_cuda_platform *p = cuda_begin();
    const size_t n = (size_t)1030 * B;
    const bd_k_step step = step_make(1, 1, 1);
    float *g = malloc(n * sizeof *g);
    assert_non_null(g);
    for (size_t i = 0; i < n; i++) g[i] = 1;
    void *dg = NULL, *norm = cuda_out(BD_TYPE_F64, 1);
    assert_int_equal(p->device_alloc(&dg, n * sizeof *g), 0);
    assert_int_equal(p->copy(dg, g, n * sizeof *g, NULL), 0);
    assert_int_equal(p->stream_sync(NULL), 0);
    free(g);
    assert_int_equal(CUDA_CALL(grad_norm, .norm = norm,
                               .partial = cuda_out(BD_TYPE_F64, bd_k_grad_norm_scratch(n) / 8),
                               .g = dg, .step = cuda_in_bytes(&step, sizeof step), .n = n),
                     0);
    double got;
    cuda_get(&got, norm);
    assert_true(got == sqrt((double)n));
    assert_int_equal(p->device_free(dg), 0);
    cuda_end();
}

/* --- Adam --- */

typedef struct {
    double p[MAX], m[MAX], v[MAX], half[MAX];
} result;

typedef struct {
    size_t n;
    double clip, loss_scale;
    bd_type half; /* BD_TYPE_F32: none */
    size_t offset;
} adam_case;

static double gradient[STEPS][MAX];
static result got, want;

static void fill(size_t n) {
    for (int k = 0; k < STEPS; k++) ref_fill(gradient[k], n, 10 + (uint64_t)k);
}

static double plain_norm(const double *g, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += g[i] * g[i];
    return sqrt(sum);
}

static void shift(double *out, const double *in, size_t n, size_t offset) {
    for (size_t i = 0; i < n; i++) out[i + offset] = in[i];
}

/* STEPS updates on the device, or as many as have a finite norm; norm: NULL = that of the gradient. */
static void adam_on_device(const adam_case *c, const double *norm) {
    static double p[MAX + 4], m[MAX + 4], v[MAX + 4], g[MAX + 4];
    size_t whole = c->n + c->offset;
    ref_fill(p, whole, 20);
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    cuda_begin();
    float *dp = cuda_io(BD_TYPE_F32, p, whole), *dm = cuda_io(BD_TYPE_F32, m, whole),
          *dv = cuda_io(BD_TYPE_F32, v, whole);
    uint16_t *dh = c->half == BD_TYPE_F32 ? NULL : cuda_out(c->half, whole);
    for (int k = 0; k < STEPS; k++) {
        double of_g = norm ? *norm : plain_norm(gradient[k], c->n);
        const bd_k_step step = step_make(k + 1, c->clip, c->loss_scale);
        shift(g, gradient[k], c->n, c->offset);
        for (size_t i = 0; i < whole; i++) g[i] *= c->loss_scale;
        CUDA_RUN(adam, .p = dp + c->offset, .m = dm + c->offset, .v = dv + c->offset,
                 .half = dh ? dh + c->offset : NULL,
                 .g = (float *)cuda_in(BD_TYPE_F32, g, whole) + c->offset,
                 .norm = cuda_in(BD_TYPE_F64, &of_g, 1), .step = cuda_in_bytes(&step, sizeof step),
                 .half_type = c->half, .n = c->n);
    }
    double *const to[4] = {got.p, got.m, got.v, got.half}, *all = p;
    void *const from[4] = {dp, dm, dv, dh};
    for (int i = 0; i < 4 && from[i]; i++) {
        cuda_get(all, from[i]);
        memcpy(to[i], all + c->offset, c->n * sizeof *all);
    }
    cuda_end();
}

/* The same by the CPU backend's kernel. */
static void adam_on_cpu(const adam_case *c) {
    static float p[MAX], m[MAX], v[MAX], g[MAX];
    double start[MAX + 4];
    ref_fill(start, c->n + c->offset, 20);
    for (size_t i = 0; i < c->n; i++) p[i] = (float)start[i + c->offset], m[i] = v[i] = 0;
    for (int k = 0; k < STEPS; k++) {
        const bd_k_step s = step_make(k + 1, c->clip, 1);
        double limit = c->clip / (plain_norm(gradient[k], c->n) + 1e-6);
        const bd_vec_adam a = {.scale = (float)(c->clip > 0 && limit < 1 ? limit : 1),
                               .b1 = s.b1,
                               .c1 = s.c1,
                               .b2 = s.b2,
                               .c2 = s.c2,
                               .k1 = s.k1,
                               .k2 = s.k2,
                               .eps = s.eps};
        for (size_t i = 0; i < c->n; i++) g[i] = (float)gradient[k][i];
        bd_vec_best()->adam(p, m, v, g, c->n, &a);
    }
    for (size_t i = 0; i < c->n; i++) want.p[i] = p[i], want.m[i] = m[i], want.v[i] = v[i];
}

static void adam_has_the_bits_of_the_cpu(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        /* off; below the norm; above it. The loss scale, a power of two, changes no bit. */
        const adam_case cases[] = {{sizes[i], 0, 1, BD_TYPE_F32, 0},
                                   {sizes[i], 1, 1, BD_TYPE_BF16, 0},
                                   {sizes[i], 0.1, 65536, BD_TYPE_F16, 0},
                                   {sizes[i], 1e9, 0.25, BD_TYPE_BF16, 1}};
        fill(sizes[i]);
        for (int j = 0; j < 4; j++) {
            adam_on_device(&cases[j], NULL);
            adam_on_cpu(&cases[j]);
            assert_memory_equal(got.p, want.p, sizes[i] * sizeof *got.p);
            assert_memory_equal(got.m, want.m, sizes[i] * sizeof *got.m);
            assert_memory_equal(got.v, want.v, sizes[i] * sizeof *got.v);
            for (size_t k = 0; cases[j].half != BD_TYPE_F32 && k < sizes[i]; k++)
                assert_true(got.half[k] == cuda_round(got.p[k], cases[j].half));
        }
    }
}

/* `clipped`: with the factor on the gradient; false is the negative control. */
static void adam_in_double(const adam_case *c, bool clipped) {
    double p[MAX], m[MAX] = {0}, v[MAX] = {0};
    ref_fill(p, c->n, 20);
    for (int k = 0; k < STEPS; k++) {
        double limit = c->clip / (plain_norm(gradient[k], c->n) + 1e-6);
        for (size_t i = 0; i < c->n; i++) {
            double g = gradient[k][i] * (clipped && limit < 1 ? limit : 1);
            m[i] = beta1 * m[i] + (1 - beta1) * g;
            v[i] = beta2 * v[i] + (1 - beta2) * g * g;
            p[i] -=
                lr / (1 - pow(beta1, k + 1)) * m[i] / (sqrt(v[i] / (1 - pow(beta2, k + 1))) + eps);
        }
    }
    memcpy(want.p, p, sizeof p);
    memcpy(want.m, m, sizeof m);
}

static void adam_follows_its_formulas(void **state) {
    (void)state;
    const adam_case c = {35, 1, 1024, BD_TYPE_F32, 0};
    fill(c.n);
    adam_on_device(&c, NULL);
    adam_in_double(&c, true);
    /* p, below 2, is rounded once an update, by 2^-24 at most; an update of about lr = 0.01 carries some eight relative
     * errors of 2^-24, among them those of beta and lr as floats: together below 1.1 * 2^-24. */
    assert_true(ref_near("p", got.p, want.p, c.n, STEPS * 1.1 * 0x1p-24, false));
    /* m, below 0.1, with five such errors an update */
    assert_true(ref_near("m", got.m, want.m, c.n, STEPS * 0.1 * 5 * 0x1p-24, false));
    adam_in_double(&c, false);
    double far = 0;
    for (size_t i = 0; i < c.n; i++) far = fmax(far, fabs(got.m[i] - want.m[i]));
    assert_true(far > 0.01); /* control: without clipping m is another */
}

static void a_norm_that_is_not_finite_stops_it(void **state) {
    (void)state;
    static const double norms[] = {INFINITY, NAN, -NAN, 1};
    double p[35];
    for (int i = 0; i < 4; i++) {
        const adam_case c = {35, 1, 65536, BD_TYPE_BF16, 0};
        fill(c.n);
        adam_on_device(&c, &norms[i]);
        ref_fill(p, c.n, 20);
        for (size_t j = 0; j < c.n; j++) {
            bool kept = got.p[j] == p[j] && got.m[j] == 0 && got.v[j] == 0 && isnan(got.half[j]);
            assert_true(kept == (i < 3)); /* control: with a norm of 1 it moves */
        }
    }
}

static void impossible_arguments_are_refused(void **state) {
    (void)state;
    cuda_begin();
    void *some = cuda_out(BD_TYPE_F32, 4);
    assert_int_equal(CUDA_CALL(grad_norm, .n = 0), 1);
    assert_int_equal(CUDA_CALL(adam, .n = 0), 1);
    assert_int_equal(CUDA_CALL(adam, .n = 4, .half = some, .half_type = BD_TYPE_F32), 1);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_is_the_root_of_the_sum),
        cmocka_unit_test(exact_numbers_give_exact_norms),
        cmocka_unit_test(infinity_and_nan_are_not_finite),
        cmocka_unit_test(many_blocks),
        cmocka_unit_test(adam_has_the_bits_of_the_cpu),
        cmocka_unit_test(adam_follows_its_formulas),
        cmocka_unit_test(a_norm_that_is_not_finite_stops_it),
        cmocka_unit_test(impossible_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
