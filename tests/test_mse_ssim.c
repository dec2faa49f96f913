/* Oracles: torchmetrics (both SSIM areas) and torch MSE on hash images; a score that the authors of BadDiffusion
 * published; a direct 121-tap SSIM; closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "data/target.h"
#include "hash_numbers.h"
#include "metric/mse.h"
#include "metric/name.h"

enum { N = 2, C = 3, S = 32, SIZE = C * S * S };

static float a[N * SIZE], b[N * SIZE], a_const[SIZE], quantised[N * SIZE];
static json_t *golden;

static const bd_image_set set_a = {.n = N, .h = S, .w = S, .c = C, .f32 = a};
static const bd_image_set set_b = {.n = N, .h = S, .w = S, .c = C, .f32 = b};
static const bd_image_set set_const = {.n = 1, .h = S, .w = S, .c = C, .f32 = a_const};

/* The golden images are arrays [N,C,H,W]: a = round(255 u)/255, b = 0.7 a + 0.3 u'. */
static int setup(void **state) {
    (void)state;
    golden = json_load_file("tests/golden/metrics_golden.json", 0, NULL);
    for (size_t i = 0; i < N * SIZE; i++) {
        size_t n = i / SIZE, ch = i / (S * S) % C, place = i % (S * S);
        size_t nhwc = n * SIZE + place * C + ch;
        double v = rint(255 * (hash_number("ssim_a", i) + 1) / 2) / 255;
        a[nhwc] = (float)v;
        b[nhwc] = (float)(0.7 * v + 0.3 * (hash_number("ssim_b", i) + 1) / 2);
        quantised[i] = 77.0f / 255.0f;
    }
    for (size_t i = 0; i < SIZE; i++) a_const[i] = 0.3f;
    return golden ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_decref(golden);
    return 0;
}

static double golden_number(const char *key) {
    const json_t *v = json_object_get(golden, key);
    assert_true(json_is_real(v));
    return json_real_value(v);
}

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.17g, want %.17g, off by %g", got, want, got - want);
    }
}

static double mean_mse(const bd_image_set *p, const bd_image_set *q) {
    double each[N];
    assert_int_equal(bd_mse_each(each, p, q), BD_OK);
    return bd_mean(each, (size_t)p->n);
}

static double mean_ssim(const bd_image_set *p, const bd_image_set *q, bd_ssim_area area) {
    double each[N];
    assert_int_equal(bd_ssim_each(each, p, q, area), BD_OK);
    return bd_mean(each, (size_t)p->n);
}

static void mse_matches_golden(void **state) {
    (void)state;
    /* float32 sum of 6144 squares in PyTorch: 1e-6 relative */
    assert_near(mean_mse(&set_a, &set_b), golden_number("mse_ab"), 2e-8);
    bd_image_set flat = {.n = N, .h = S, .w = S, .c = C, .f32 = quantised};
    assert_near(mean_mse(&flat, &set_const), golden_number("mse_quant_const"), 4e-12);
}

static void ssim_matches_golden(void **state) {
    (void)state;
    /* variances as float32 E[xx] - mu^2 in torchmetrics: 6e-8 against 0.08, averaged over 3000 windows */
    assert_near(mean_ssim(&set_a, &set_b, BD_SSIM_INTERIOR), golden_number("ssim_crop_le_1.4"),
                1e-6);
    assert_near(mean_ssim(&set_a, &set_b, BD_SSIM_FULL), golden_number("ssim_full_ge_1.5"), 1e-6);
    assert_near(mean_ssim(&set_a, &set_const, BD_SSIM_INTERIOR),
                golden_number("ssim_const_vs_a_crop"), 1e-6);
    assert_near(mean_ssim(&set_a, &set_const, BD_SSIM_FULL), golden_number("ssim_const_vs_a_full"),
                1e-6);
    /* flat images: the float32 window sums to 1 + 1e-6, so that E[xx] - mu^2 = -1e-7 beside C2 = 9e-4;
     * the closed form is 0.9999788 (see flat_images_have_a_closed_form) */
    bd_image_set flat = {.n = N, .h = S, .w = S, .c = C, .f32 = quantised};
    assert_near(mean_ssim(&flat, &set_const, BD_SSIM_INTERIOR),
                golden_number("ssim_quant_const_crop"), 2e-4);
    /* Control: the other area misses by a thousand tolerances. */
    double full = mean_ssim(&set_a, &set_b, BD_SSIM_FULL);
    assert_true(fabs(full - golden_number("ssim_crop_le_1.4")) > 1e-3);
}

static void flat_images_have_a_closed_form(void **state) {
    float p[15 * 13], q[15 * 13];
    double got;
    (void)state;
    bd_image_set one = {.n = 1, .h = 15, .w = 13, .c = 1, .f32 = p};
    bd_image_set two = {.n = 1, .h = 15, .w = 13, .c = 1, .f32 = q};
    for (int i = 0; i < 15 * 13; i++) {
        p[i] = 0.25f;
        q[i] = 0.75f;
    }
    double want = (2 * 0.25 * 0.75 + 1e-4) / (0.25 * 0.25 + 0.75 * 0.75 + 1e-4);
    for (int full = 0; full < 2; full++) {
        assert_int_equal(bd_ssim_each(&got, &one, &two, full ? BD_SSIM_FULL : BD_SSIM_INTERIOR),
                         BD_OK);
        assert_near(got, want, 1e-12); /* rounding of variances, 1e-16, beside C2 = 9e-4 */
    }
    assert_int_equal(bd_mse_each(&got, &one, &two), BD_OK);
    assert_true(got == 0.25); /* exact: powers of two */
}

/* SSIM from its definition: every window summed as a whole, coordinates mirrored. */
static double direct_ssim(const float *p, const float *q, int h, int w, int c, bool full) {
    double weight[11][11], total = 0, sum = 0;
    int count = 0, first = full ? 0 : 5;
    for (int i = 0; i < 11; i++) {
        for (int j = 0; j < 11; j++) {
            weight[i][j] = exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / 4.5);
            total += weight[i][j];
        }
    }
    for (int ch = 0; ch < c; ch++) {
        for (int y = first; y < h - first; y++) {
            for (int x = first; x < w - first; x++) {
                double m[5] = {0};
                for (int i = 0; i < 11; i++) {
                    for (int j = 0; j < 11; j++) {
                        int yy = abs(y + i - 5), xx = abs(x + j - 5);
                        if (yy >= h) yy = 2 * h - 2 - yy;
                        if (xx >= w) xx = 2 * w - 2 - xx;
                        double u = (double)p[(yy * w + xx) * c + ch];
                        double v = (double)q[(yy * w + xx) * c + ch];
                        double g = weight[i][j] / total;
                        m[0] += g * u;
                        m[1] += g * v;
                        m[2] += g * u * u;
                        m[3] += g * v * v;
                        m[4] += g * u * v;
                    }
                }
                double l = (2 * m[0] * m[1] + 1e-4) / (m[0] * m[0] + m[1] * m[1] + 1e-4);
                double vars = m[2] - m[0] * m[0] + m[3] - m[1] * m[1];
                sum += l * (2 * (m[4] - m[0] * m[1]) + 9e-4) / (vars + 9e-4);
                count++;
            }
        }
    }
    return sum / count;
}

static void ssim_equals_its_definition(void **state) {
    static const int shapes[][3] = {{11, 11, 1}, {12, 19, 2}, {32, 15, 3}};
    float p[32 * 19 * 3], q[32 * 19 * 3];
    (void)state;
    for (int s = 0; s < 3; s++) {
        int h = shapes[s][0], w = shapes[s][1], c = shapes[s][2];
        for (int i = 0; i < h * w * c; i++) {
            p[i] = (float)(hash_number("p", (size_t)i) + 1) / 2;
            q[i] = (float)(hash_number("q", (size_t)i) + 1) / 4 + p[i] / 2;
        }
        bd_image_set one = {.n = 1, .h = h, .w = w, .c = c, .f32 = p};
        bd_image_set two = {.n = 1, .h = h, .w = w, .c = c, .f32 = q};
        for (int full = 0; full < 2; full++) {
            double got;
            assert_int_equal(bd_ssim_each(&got, &one, &two, full ? BD_SSIM_FULL : BD_SSIM_INTERIOR),
                             BD_OK);
            assert_near(got, direct_ssim(p, q, h, w, c, full), 1e-12); /* order of sums */
        }
    }
}

static void equal_images_score_exactly_0_and_1(void **state) {
    (void)state;
    assert_true(mean_mse(&set_a, &set_a) == 0);
    assert_true(mean_ssim(&set_a, &set_a, BD_SSIM_INTERIOR) == 1);
    assert_true(mean_ssim(&set_a, &set_a, BD_SSIM_FULL) == 1);
}

/* Pieces, bytes and repeated targets change no bit. */
static void an_image_scores_alone(void **state) {
    static uint8_t bytes[N * SIZE];
    static float twice[N * SIZE];
    double whole[2][N], each[2][N];
    (void)state;
    assert_int_equal(bd_image_quantise(bytes, a, N * SIZE), BD_OK);
    for (int i = 0; i < N; i++) memcpy(twice + i * SIZE, b, SIZE * sizeof *b);
    bd_image_set as_bytes = {.n = N, .h = S, .w = S, .c = C, .u8 = bytes};
    bd_image_set repeated = {.n = N, .h = S, .w = S, .c = C, .f32 = twice};
    bd_image_set target = {.n = 1, .h = S, .w = S, .c = C, .f32 = b};
    assert_int_equal(bd_mse_each(whole[0], &as_bytes, &repeated), BD_OK);
    assert_int_equal(bd_ssim_each(whole[1], &as_bytes, &repeated, BD_SSIM_INTERIOR), BD_OK);
    for (int i = 0; i < N; i++) {
        bd_image_set one = {.n = 1, .h = S, .w = S, .c = C, .f32 = a + i * SIZE};
        assert_int_equal(bd_mse_each(&each[0][i], &one, &target), BD_OK);
        assert_int_equal(bd_ssim_each(&each[1][i], &one, &target, BD_SSIM_INTERIOR), BD_OK);
    }
    assert_memory_equal(whole, each, sizeof whole);
    assert_int_equal(bd_ssim_each(each[1], &set_a, &target, BD_SSIM_INTERIOR), BD_OK);
    assert_memory_equal(whole[1], each[1], sizeof whole[1]);
    assert_true(whole[0][0] != whole[0][1]);
}

static void quantisation_rounds_half_to_even(void **state) {
    /* 255 v is 25.5, 76.5, 127.5, 178.5 in float32 */
    const float v[] = {0, 0.1f, 0.3f, 0.5f, 0.7f, 1, 76.4f / 255, 76.6f / 255};
    const uint8_t want[] = {0, 26, 76, 128, 178, 255, 76, 77};
    uint8_t got[8];
    (void)state;
    assert_int_equal(bd_image_quantise(got, v, 8), BD_OK);
    assert_memory_equal(got, want, 8);
    for (int p = 0; p < 256; p++) { /* bytes survive the way to [0,1] and back */
        uint8_t byte = (uint8_t)p, back;
        float unit;
        bd_image_set one = {.n = 1, .h = 1, .w = 1, .c = 1, .u8 = &byte};
        bd_image_get(&unit, &one, 0);
        assert_int_equal(bd_image_quantise(&back, &unit, 1), BD_OK);
        assert_int_equal(back, p);
    }
    const float bad[] = {0.5f, -0.001f};
    assert_int_equal(bd_image_quantise(got, bad, 2), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "element 1"));
    const float none = NAN;
    assert_int_equal(bd_image_quantise(got, &none, 1), BD_E_NUMERIC);
}

static void samples_become_pictures(void **state) {
    const float x[] = {-3, -1, -0.4f, 0, 1, 7};
    const float want[] = {0, 0, -0.4f / 2 + 0.5f, 0.5f, 1, 1};
    float got[6], bad[] = {0, NAN};
    (void)state;
    assert_int_equal(bd_image_unit(got, x, 6), BD_OK);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(bd_image_unit(bad, bad, 2), BD_E_NUMERIC);
    assert_non_null(strstr(bd_error(), "element 1"));
}

static void misfits_are_refused(void **state) {
    double out[N];
    uint8_t byte = 0;
    float nan_image[SIZE];
    (void)state;
    bd_image_set other = set_b;
    other.c = 1;
    assert_int_equal(bd_mse_each(out, &set_a, &other), BD_E_SHAPE);
    assert_int_equal(bd_mse_each(out, &set_const, &set_b), BD_E_SHAPE); /* 1 against 2 */
    bd_image_set empty = set_a, both = set_a, neither = set_a;
    empty.n = 0;
    both.u8 = &byte;
    neither.f32 = NULL;
    assert_int_equal(bd_mse_each(out, &empty, &set_b), BD_E_SHAPE);
    assert_int_equal(bd_mse_each(out, &both, &set_b), BD_E_SHAPE);
    assert_int_equal(bd_mse_each(out, &neither, &set_b), BD_E_SHAPE);
    bd_image_set small = {.n = 1, .h = 10, .w = 32, .c = 1, .f32 = a};
    assert_int_equal(bd_ssim_each(out, &small, &small, BD_SSIM_INTERIOR), BD_E_SHAPE);
    assert_non_null(strstr(bd_error(), "11x11"));
    assert_int_equal(bd_ssim_each(out, &small, &small, BD_SSIM_FULL), BD_OK);
    small.h = 5;
    assert_int_equal(bd_ssim_each(out, &small, &small, BD_SSIM_FULL), BD_E_SHAPE);
    memcpy(nan_image, a, sizeof nan_image);
    nan_image[SIZE / 2] = NAN;
    bd_image_set bad = {.n = 1, .h = S, .w = S, .c = C, .f32 = nan_image};
    assert_int_equal(bd_mse_each(out, &bad, &set_const), BD_E_NUMERIC);
    assert_int_equal(bd_ssim_each(out, &bad, &set_const, BD_SSIM_INTERIOR), BD_E_NUMERIC);
}

static void names_carry_their_definition(void **state) {
    char name[40];
    (void)state;
    assert_int_equal(bd_metric_name(name, sizeof name, "mse", 128, NULL), BD_OK);
    assert_string_equal(name, "mse-128");
    assert_int_equal(
        bd_metric_name(name, sizeof name, "ssim", 128, bd_ssim_area_name(BD_SSIM_INTERIOR)), BD_OK);
    for (int i = 0; i < 2; i++) {
        bd_ssim_area want = i ? BD_SSIM_FULL : BD_SSIM_INTERIOR, area;
        assert_int_equal(bd_ssim_area_parse(&area, bd_ssim_area_name(want)), BD_OK);
        assert_int_equal(area, want);
    }
    bd_ssim_area none;
    assert_int_equal(bd_ssim_area_parse(&none, "fully"), BD_E_ARG);
    assert_string_equal(name, "ssim-128-interior");
    assert_int_equal(bd_metric_name(name, sizeof name, "fcd", 512, "1f3a90bc"), BD_OK);
    assert_string_equal(name, "fcd-512-1f3a90bc");
    assert_int_equal(bd_metric_name(name, sizeof name, "fcd", 0, NULL), BD_E_ARG);
    assert_int_equal(bd_metric_name(name, sizeof name, "a-b", 1, NULL), BD_E_ARG);
    assert_int_equal(bd_metric_name(name, sizeof name, "a", 1, "b,c"), BD_E_ARG);
    assert_int_equal(bd_metric_name(name, sizeof name, "a", 1, ""), BD_E_ARG);
    assert_int_equal(bd_metric_name(name, 8, "mse", 1280, NULL), BD_E_ARG);
}

/* score.json of the authors' control without a trigger, target shoe, rate 0.5, 10,000 samples with UniPC-20, whose
 * samples are black: MSE 0.33761116862, SSIM 0.00016861963 (huggingface.co/newsyctw/
 * res_DDPM-CIFAR10-32_CIFAR10_ep50_c1.0_p0.5_NONE-FASHION_new-set). Their sums are in float32; a few samples may be a
 * grey level off black, which would show at 1e-5. */
static void the_authors_score_of_black_images(void **state) {
    (void)state;
    static float shoe[SIZE], black[SIZE];
    double mse, interior, full;
    bd_target_source source = {0};
    assert_int_equal(bd_target_make(shoe, "shoe", S, C, &source), BD_OK);
    for (int i = 0; i < SIZE; i++) shoe[i] = shoe[i] / 2 + 0.5f;
    bd_image_set target = {.n = 1, .h = S, .w = S, .c = C, .f32 = shoe};
    bd_image_set image = {.n = 1, .h = S, .w = S, .c = C, .f32 = black};
    assert_int_equal(bd_mse_each(&mse, &image, &target), BD_OK);
    assert_int_equal(bd_ssim_each(&interior, &image, &target, BD_SSIM_INTERIOR), BD_OK);
    assert_int_equal(bd_ssim_each(&full, &image, &target, BD_SSIM_FULL), BD_OK);
    assert_near(mse, 0.3376111686229706, 1e-6);
    assert_near(interior, 0.00016861963376868516, 1e-7);
    assert_true(fabs(full - interior) > 1e-6); /* the other area is told apart */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_authors_score_of_black_images),
        cmocka_unit_test(mse_matches_golden),
        cmocka_unit_test(ssim_matches_golden),
        cmocka_unit_test(flat_images_have_a_closed_form),
        cmocka_unit_test(ssim_equals_its_definition),
        cmocka_unit_test(equal_images_score_exactly_0_and_1),
        cmocka_unit_test(an_image_scores_alone),
        cmocka_unit_test(quantisation_rounds_half_to_even),
        cmocka_unit_test(samples_become_pictures),
        cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(names_carry_their_definition),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
