/* Oracles: the formulas of graph/ops.def in float64; numbers whose result is exact; the CPU backend's kernels bit for
 * bit where float32 arithmetic is defined. */
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

enum { MAX = 8 * 32 * 32 * 3, IMAGES = 8 };
static const bd_type types[3] = {BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16};

typedef struct {
    int n;
    size_t size;
} shape;
/* 5x7 and 32x32 pixels of 1 and 3 channels; one of more than one block of the gradient */
static const shape shapes[] = {{1, 35},   {3, 35},   {8, 105},  {3, 1024},
                               {8, 1024}, {8, 3072}, {2, 8196}, {1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double pred[MAX], target[MAX], weight[IMAGES], got[MAX], want[MAX];

static void fill(const shape *s, uint64_t seed) {
    ref_fill(pred, (size_t)s->n * s->size, seed);
    ref_fill(target, (size_t)s->n * s->size, seed + 1);
    for (int i = 0; i < s->n; i++) weight[i] = i % 4 == 3 ? 0 : (float)(1.0 / (i + 3));
}

/* --- mse --- */

static void mse(double *loss, const shape *s, bd_type type, size_t offset) {
    static double p[MAX + 1], t[MAX + 1];
    size_t all = (size_t)s->n * s->size;
    memcpy(p + offset, pred, all * sizeof *p);
    memcpy(t + offset, target, all * sizeof *t);
    cuda_begin();
    char *dp = cuda_in(type, p, all + offset);
    float *dt = cuda_in(BD_TYPE_F32, t, all + offset);
    double *dl = cuda_out(BD_TYPE_F64, (size_t)s->n);
    CUDA_RUN(mse, .loss = dl, .pred = dp + offset * bd_type_size(type), .target = dt + offset,
             .type = type, .n = s->n, .size = s->size);
    memcpy(pred, p + offset, all * sizeof *p);
    cuda_get(loss, dl);
    cuda_end();
}

static void mse_is_the_mean_of_squares(void **state) {
    (void)state;
    double loss[IMAGES], moved[IMAGES];
    for (int i = 0; i < SHAPES * 3; i++) {
        const shape *s = &shapes[i / 3];
        fill(s, (uint64_t)i);
        mse(loss, s, types[i % 3], 0);
        for (int n = 0; n < s->n; n++) {
            double sum = 0;
            for (size_t j = (size_t)n * s->size; j < (size_t)(n + 1) * s->size; j++)
                sum += (pred[j] - target[j]) * (pred[j] - target[j]);
            want[n] = sum / (double)s->size;
        }
        /* Differences of such floats are exact in double; each of size squares and additions of positive numbers rounds
         * by 2^-53, on both sides. */
        double tol = 4 * (double)s->size * 0x1p-53 * fmax(ref_max_abs(want, (size_t)s->n), 1);
        assert_true(ref_near("loss", loss, want, (size_t)s->n, tol, false));
        mse(moved, s, types[i % 3], 1);
        assert_memory_equal(moved, loss, (size_t)s->n * sizeof *loss); /* whatever the address */
        pred[(size_t)s->n * s->size - 1] += 1; /* control: the last element counts */
        mse(moved, s, types[i % 3], 0);
        assert_true(moved[s->n - 1] != loss[s->n - 1]);
    }
}

static void mse_of_exact_numbers_is_exact(void **state) {
    (void)state;
    double loss[IMAGES];
    const shape s = {8, 1024};
    for (size_t i = 0; i < 8 * 1024; i++) {
        pred[i] = (double)(i / 1024) + (double)(i % 2);
        target[i] = -1;
    }
    mse(loss, &s, BD_TYPE_BF16, 0);
    for (int n = 0; n < 8; n++)
        assert_true(loss[n] == ((n + 1) * (n + 1) + (n + 2) * (n + 2)) / 2.0);
}

/* A NaN or an infinity shows in the loss of its image alone. */
static void mse_keeps_images_apart(void **state) {
    (void)state;
    double clean[IMAGES], loss[IMAGES];
    static const double bad[] = {NAN, INFINITY};
    for (int k = 0; k < 2; k++) {
        fill(&shapes[2], 5);
        mse(clean, &shapes[2], BD_TYPE_F16, 0);
        pred[3 * 105 + 104] = bad[k];
        mse(loss, &shapes[2], BD_TYPE_F16, 0);
        for (int n = 0; n < 8; n++) assert_true(n == 3 ? !isfinite(loss[n]) : loss[n] == clean[n]);
    }
}

static void mse_bwd(const shape *s, bd_type type, double *scale) {
    size_t all = (size_t)s->n * s->size;
    cuda_begin();
    void *d = cuda_out(type, all);
    CUDA_RUN(mse_bwd, .dpred = d, .pred = cuda_in(type, pred, all),
             .target = cuda_in(BD_TYPE_F32, target, all),
             .weight = cuda_in(BD_TYPE_F32, weight, (size_t)s->n),
             .loss_scale = scale ? cuda_in(BD_TYPE_F32, scale, 1) : NULL, .type = type, .n = s->n,
             .size = s->size);
    cuda_get(got, d);
    cuda_end();
}

static void mse_bwd_has_the_bits_of_the_cpu(void **state) {
    (void)state;
    static float a[MAX], b[MAX], y[MAX];
    double scales[] = {1024, 0.125};
    for (int i = 0; i < SHAPES * 3; i++)
        for (int k = 0; k < 3; k++) {
            const shape *s = &shapes[i / 3];
            size_t all = (size_t)s->n * s->size;
            double scale = k ? scales[k - 1] : 1;
            fill(s, (uint64_t)i);
            mse_bwd(s, types[i % 3], k ? &scale : NULL);
            for (size_t j = 0; j < all; j++) a[j] = (float)pred[j], b[j] = (float)target[j];
            for (int n = 0; n < s->n; n++) {
                size_t at = (size_t)n * s->size;
                bd_vec_best()->scaled_diff(y + at, a + at, b + at,
                                           (float)(2 * weight[n] / (double)s->size), s->size);
            }
            /* A power of two changes no bit of a float32 far from its limits; 16 bits are rounded once. */
            for (size_t j = 0; j < all; j++)
                assert_true(got[j] == cuda_round((double)y[j] * scale, types[i % 3]));
        }
}

static void mse_bwd_is_the_derivative(void **state) {
    (void)state;
    double scale = 1000;
    const shape s = {3, 105};
    fill(&s, 9);
    mse_bwd(&s, BD_TYPE_F32, &scale);
    for (size_t i = 0; i < 3 * 105; i++)
        want[i] = 1000 * weight[i / 105] * 2 * (pred[i] - target[i]) / 105;
    /* three roundings: the factor, the difference, the product */
    assert_true(
        ref_near("dpred", got, want, 3 * 105, 3 * 0x1p-24 * ref_max_abs(want, 3 * 105), false));
}

/* --- cross entropy --- */

enum { CLASSES = 1000 };
static const int classes[] = {1, 2, 10, 43, 128, 129, CLASSES};
static double logits[3 * CLASSES], prob[3 * CLASSES], loss[3], label[3];

static void cross_entropy(int k, bd_type type) {
    cuda_begin();
    size_t all = 3 * (size_t)k;
    double *dl = cuda_out(BD_TYPE_F64, 3);
    float *dp = cuda_out(BD_TYPE_F32, all);
    CUDA_RUN(cross_entropy, .loss = dl, .prob = dp, .logits = cuda_in(type, logits, all),
             .label = cuda_in(BD_TYPE_I32, label, 3), .type = type, .n = 3, .k = k);
    cuda_get(loss, dl);
    cuda_get(prob, dp);
    cuda_end();
}

static void make_logits(int k, double spread) {
    ref_fill(logits, 3 * (size_t)k, (uint64_t)k);
    for (int i = 0; i < 3 * k; i++) logits[i] *= spread;
    for (int i = 0; i < 3; i++) label[i] = (7 * i + k - 1) % k;
}

static void cross_entropy_in_double(int k, double *l, double *p) {
    for (int i = 0; i < 3; i++) {
        const double *x = logits + i * k;
        double top = x[0];
        for (int j = 1; j < k; j++) top = fmax(top, x[j]);
        double sum = exp(x[0] - top);
        for (int j = 1; j < k; j++) sum += exp(x[j] - top);
        for (int j = 0; j < k; j++) p[i * k + j] = exp(x[j] - top) / sum;
        l[i] = log(sum) - (x[(int)label[i]] - top);
    }
}

static void cross_entropy_is_minus_log_softmax(void **state) {
    (void)state;
    double l[3];
    static const double spreads[] = {
        1, 5, 1e4}; /* the last overflows exp unless the maximum is taken away */
    for (int i = 0; i < 7 * 3 * 3; i++) {
        int k = classes[i / 9];
        bool zeros = k == 1 || i % 3 == 2; /* certain of its class, rightly or not */
        make_logits(k, spreads[i % 3]);
        cross_entropy(k, types[i / 3 % 3]);
        cross_entropy_in_double(k, l, want);
        /* exp, log and k additions in double, some 2^-53 each, relative to numbers of at most 4e4 */
        assert_true(ref_near("loss", loss, l, 3, 0x1p-50 * (k + spreads[i % 3]), zeros));
        /* a probability, at most 1, is rounded to float32: 2^-25, and a little from double */
        assert_true(ref_near("prob", prob, want, 3 * (size_t)k, 0x1p-25 + 1e-12, zeros));
    }
    make_logits(10, 1);
    cross_entropy(10, BD_TYPE_F32);
    cross_entropy_in_double(10, l, want);
    label[1] = (int)(label[1] + 1) % 10; /* control: the label matters */
    cross_entropy_in_double(10, l, want);
    assert_true(fabs(loss[1] - l[1]) > 1e-3);
}

static void equal_logits_give_equal_shares(void **state) {
    (void)state;
    for (int i = 0; i < 3 * 128; i++) logits[i] = 3;
    label[0] = 0, label[1] = 64, label[2] = 127;
    cross_entropy(128, BD_TYPE_BF16);
    for (int i = 0; i < 3 * 128; i++) assert_true(prob[i] == 1.0 / 128);
    /* log in double, an ulp of 4.85 */
    for (int i = 0; i < 3; i++) assert_true(fabs(loss[i] - log(128)) <= 0x1p-50);
}

static void cross_entropy_bwd(int k, bd_type type, double *scale) {
    size_t all = 3 * (size_t)k;
    cuda_begin();
    void *d = cuda_out(type, all);
    CUDA_RUN(cross_entropy_bwd, .dlogits = d, .prob = cuda_in(BD_TYPE_F32, prob, all),
             .label = cuda_in(BD_TYPE_I32, label, 3), .weight = cuda_in(BD_TYPE_F32, weight, 3),
             .loss_scale = scale ? cuda_in(BD_TYPE_F32, scale, 1) : NULL, .type = type, .n = 3,
             .k = k);
    cuda_get(got, d);
    cuda_end();
}

static void cross_entropy_bwd_is_prob_minus_onehot(void **state) {
    (void)state;
    double scale = 256;
    weight[0] = 0.25, weight[1] = 1.0 / 3, weight[2] = 0;
    for (int i = 0; i < 7 * 3 * 2; i++) {
        int k = classes[i / 6];
        bd_type type = types[i / 2 % 3];
        make_logits(k, 1);
        cross_entropy(k, BD_TYPE_F32);
        cross_entropy_bwd(k, type, i % 2 ? &scale : NULL);
        for (int j = 0; j < 3 * k; j++) {
            /* the CPU backend's expression, in float32, and one rounding more for 16 bits */
            float p = (float)prob[j] - (j % k == (int)label[j / k] ? 1.0f : 0.0f);
            float d = (float)weight[j / k] * p;
            assert_true(got[j] == cuda_round((double)d * (i % 2 ? scale : 1), type));
        }
    }
}

static void a_label_that_is_none_gives_nan_there_alone(void **state) {
    (void)state;
    static const double none[] = {-1, 10, INT32_MAX, INT32_MIN};
    double clean[3];
    weight[0] = weight[1] = weight[2] = 0.25;
    for (int i = 0; i < 4; i++) {
        make_logits(10, 1);
        cross_entropy(10, BD_TYPE_F32);
        memcpy(clean, loss, sizeof clean);
        label[1] = none[i];
        cross_entropy(10, BD_TYPE_F32);
        cross_entropy_bwd(10, BD_TYPE_BF16, NULL);
        for (int n = 0; n < 3; n++) assert_true(n == 1 ? isnan(loss[n]) : loss[n] == clean[n]);
        for (int j = 0; j < 30; j++) assert_true(isnan(got[j]) == (j / 10 == 1));
    }
}

/* --- time embedding --- */

static void time_embedding_is_sines_and_cosines(void **state) {
    (void)state;
    double t[IMAGES] = {0, 1, 2.5, 17, 500, 750.25, 999, 1000};
    static const int channels[] = {2, 6, 128, 256};
    for (int i = 0; i < 4 * 3 * 4; i++) {
        int c = channels[i / 12], half = c / 2, shift = i & 1 && half > 1, flip = i >> 1 & 1;
        bd_type type = types[i / 4 % 3];
        cuda_begin();
        void *y = cuda_out(type, 8 * (size_t)c);
        CUDA_RUN(time_embedding, .y = y, .timestep = cuda_in(BD_TYPE_F32, t, 8), .type = type,
                 .n = 8, .c = c, .freq_shift = shift, .flip_sin_to_cos = flip);
        cuda_get(got, y);
        cuda_end();
        for (int j = 0; j < 8 * c; j++) {
            double angle = t[j / c] * pow(10000, -(double)(j % half) / (half - shift));
            want[j] = (j % c < half) != flip ? sin(angle) : cos(angle);
        }
        /* Of numbers up to 1: float32 rounds by 2^-25, 16 bits by half a unit more; angles up to 1000 are good to
         * 1e-12. */
        double tol = 0x1p-25 + 1e-12 + (type == BD_TYPE_F32 ? 0 : cuda_unit(type) / 2);
        assert_true(ref_near("embedding", got, want, (size_t)(8 * c), tol, false));
    }
}

static void impossible_arguments_are_refused(void **state) {
    (void)state;
    cuda_begin();
    assert_int_equal(CUDA_CALL(mse, .n = 0, .size = 4), 1);
    assert_int_equal(CUDA_CALL(mse, .n = 1, .size = 4, .type = BD_TYPE_F64), 1);
    assert_int_equal(CUDA_CALL(mse_bwd, .n = 1, .size = 0), 1);
    assert_int_equal(CUDA_CALL(mse_bwd, .n = INT32_MAX, .size = 1 << 20), 1);
    assert_int_equal(CUDA_CALL(cross_entropy, .n = 1, .k = 0), 1);
    assert_int_equal(CUDA_CALL(cross_entropy_bwd, .n = 1, .k = 1, .type = BD_TYPE_I32), 1);
    assert_int_equal(CUDA_CALL(time_embedding, .n = 1, .c = 5), 1);
    assert_int_equal(CUDA_CALL(time_embedding, .n = 1, .c = 2, .freq_shift = 1), 1);
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mse_is_the_mean_of_squares),
        cmocka_unit_test(mse_of_exact_numbers_is_exact),
        cmocka_unit_test(mse_keeps_images_apart),
        cmocka_unit_test(mse_bwd_has_the_bits_of_the_cpu),
        cmocka_unit_test(mse_bwd_is_the_derivative),
        cmocka_unit_test(cross_entropy_is_minus_log_softmax),
        cmocka_unit_test(equal_logits_give_equal_shares),
        cmocka_unit_test(cross_entropy_bwd_is_prob_minus_onehot),
        cmocka_unit_test(a_label_that_is_none_gives_nan_there_alone),
        cmocka_unit_test(time_embedding_is_sines_and_cosines),
        cmocka_unit_test(impossible_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
