/* Oracles: the lpips package on the same hash weights (tests/golden/lpips_golden.json, tests/peer/make_lpips.py),
 * layer by layer; closed forms of one pixel; bit equality between workers and orders. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "cpu/cpu.h"
#include "hash_lpips.h"
#include "hash_weights.h"
#include "io/safetensors.h"
#include "metric/lpips.h"
#include "nn/lpips.h"

#define TMP "build/tmp/test_lpips"
#define ALEXNET TMP "/alexnet.safetensors"
#define HEADS TMP "/heads.safetensors"

enum { MAX_SIDE = 64, MAX = MAX_SIDE * MAX_SIDE * 3 };

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

static bd_pool *pool;
static const bd_lpips_spec *spec(void) {
    static bd_lpips_spec s = {&bd_backend_cpu, NULL, ALEXNET, HEADS};
    s.pool = pool;
    return &s;
}

static int setup(void **state) {
    (void)state;
    ok(bd_file_mkdirs(TMP));
    hash_lpips_alexnet(ALEXNET);
    hash_lpips_heads(HEADS);
    ok(bd_pool_create(&pool, 1));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bd_pool_destroy(pool);
    return 0;
}

/* Bytes floor(256 u) / 255 of a name, [h][w][3]. */
static void image(float *out, const char *name, int k, int h, int w) {
    static float u[MAX];
    char text[32];
    snprintf(text, sizeof text, "%s%d", name, k);
    hash_values_around(u, (size_t)h * (size_t)w * 3, text, 0.5, 0.5);
    for (int i = 0; i < h * w * 3; i++) u[i] = floorf(256 * u[i]) / 255;
    nchw_to_nhwc(out, u, 1, 3, h, w);
}

/* The pair of a golden case. */
static void pair(float *a, float *b, const json_t *entry, int k, int h, int w) {
    float mix = (float)json_number_value(json_object_get(entry, "mix"));
    image(a, "lpips_a", k, h, w);
    image(b, "lpips_b", k, h, w);
    for (int i = 0; mix > 0 && i < h * w * 3; i++) b[i] = mix * a[i] + (1 - mix) * b[i];
}

static bd_image_set floats(const float *x, int n, int h, int w) {
    return (bd_image_set){.n = n, .h = h, .w = w, .c = 3, .f32 = x};
}

static double distance(const bd_image_set *a, const bd_image_set *b) {
    bd_image_source p = bd_image_source_of(a), q = bd_image_source_of(b);
    double out = (double)NAN;
    ok(bd_lpips_each(&out, spec(), &p, &q));
    return out;
}

static void distances_match_the_package(void **state) {
    (void)state;
    static float a[MAX], b[MAX];
    json_t *doc = json_load_file("tests/golden/lpips_golden.json", 0, NULL);
    const json_t *cases = json_object_get(doc, "cases");
    assert_true(json_array_size(cases) == 4);
    double worst = 0;
    for (int k = 0; k < 4; k++) {
        const json_t *entry = json_array_get(cases, (size_t)k);
        int h = (int)json_integer_value(json_object_get(entry, "h"));
        int w = (int)json_integer_value(json_object_get(entry, "w"));
        double want = json_real_value(json_object_get(entry, "value"));
        assert_true(h > 0 && h <= MAX_SIDE && w > 0 && w <= MAX_SIDE && want > 0.01);
        pair(a, b, entry, k, h, w);
        bd_image_set p = floats(a, 1, h, w), q = floats(b, 1, h, w);
        double got = distance(&p, &q);
        worst = fmax(worst, fabs(got / want - 1));
        /* float32 on both sides: 1e-6 in features of like size; the mixed pair's differences are a tenth */
        if (!(fabs(got / want - 1) <= 1e-5))
            fail_msg("case %d: %.9g, should be %.9g", k, got, want);
        assert_true(distance(&p, &p) == 0);
        assert_true(fabs(distance(&q, &p) - got) <= 1e-12);
    }
    print_message("largest relative difference %.2g\n", worst);
    json_decref(doc);
}

/* One pixel of two channels: (3,4) and (4,3) become (.6,.8) and (.8,.6); heads 1 and 2. */
static void a_layer_by_hand(void **state) {
    (void)state;
    const float a[] = {3, 4, 0, 0}, b[] = {4, 3, 5, 0}, head[] = {1, 2};
    assert_true(fabs(bd_lpips_layer(a, b, head, 1, 2) - 3 * 0.04) <= 1e-9);
    /* a pixel without features is at 0: the second adds 1 * 1; mean of both */
    assert_true(fabs(bd_lpips_layer(a, b, head, 2, 2) - (0.12 + 1) / 2) <= 1e-9);
    float x[6];
    bd_lpips_input(x, (const float[]){0, 0.5F, 1}, 1, 3);
    const double want[3] = {(-1 + .030) / .458, .088 / .448, (1 + .188) / .450};
    for (int i = 0; i < 3; i++) assert_true(fabs(x[i] - want[i]) <= 1e-6);
    bd_lpips_input(x, (const float[]){0, 0.5F}, 2, 1);
    assert_true(fabs(x[0] - want[0]) <= 1e-6 && fabs(x[4] - want[1]) <= 1e-6);
}

/* Pairs by order, or all against one; three workers give the bits of one. */
static void pairs_and_workers(void **state) {
    (void)state;
    enum { N = 5, H = 32, SIZE = H * H * 3 };
    static float a[N * SIZE], b[N * SIZE];
    double each[N], one[N], again[N];
    for (int i = 0; i < N; i++) {
        image(a + (size_t)i * SIZE, "first", i, H, H);
        image(b + (size_t)i * SIZE, "second", i, H, H);
    }
    bd_image_set sa = floats(a, N, H, H), sb = floats(b, N, H, H), single = floats(b, 1, H, H);
    bd_image_source p = bd_image_source_of(&sa), q = bd_image_source_of(&sb),
                    s = bd_image_source_of(&single);
    ok(bd_lpips_each(each, spec(), &p, &q));
    ok(bd_lpips_each(one, spec(), &p, &s));
    assert_true(each[0] == one[0] && each[1] != one[1]);
    bd_lpips_spec three = *spec();
    ok(bd_pool_create(&three.pool, 3));
    ok(bd_lpips_each(again, &three, &p, &q));
    bd_pool_destroy(three.pool);
    assert_memory_equal(each, again, sizeof each);
    for (int i = 0; i < N; i++) {
        bd_image_set x = floats(a + (size_t)i * SIZE, 1, H, H),
                     y = floats(b + (size_t)i * SIZE, 1, H, H);
        assert_true(distance(&x, &y) == each[i]);
    }
}

static void refused(bd_status want, const char *word, const bd_image_set *a, const bd_image_set *b,
                    const bd_lpips_spec *with) {
    bd_image_source p = bd_image_source_of(a), q = bd_image_source_of(b);
    double out[4];
    bd_status st = bd_lpips_each(out, with, &p, &q);
    if (st != want || !strstr(bd_error(), word))
        fail_msg("%s: status %d: %s", word, st, bd_error());
}

static void trouble_is_reported(void **state) {
    (void)state;
    static float x[4 * MAX];
    bd_image_set a = floats(x, 3, 32, 32), b = floats(x, 2, 32, 32), small = floats(x, 3, 30, 32),
                 wide = floats(x, 3, 32, 40), nan = floats(x, 3, 32, 32);
    refused(BD_E_SHAPE, "3 images against 2", &a, &b, spec());
    refused(BD_E_SHAPE, "30x32", &small, &small, spec());
    refused(BD_E_SHAPE, "32x40", &a, &wide, spec());
    bd_lpips_spec s = *spec();
    s.heads = ALEXNET;
    refused(BD_E_FORMAT, "lin0.model.1.weight", &a, &a, &s);
    s = *spec();
    s.alexnet = HEADS;
    refused(BD_E_FORMAT, "features.0.weight", &a, &a, &s);
    s.alexnet = TMP "/none.pth";
    refused(BD_E_MISSING, "none.pth", &a, &a, &s);
    x[5] = NAN;
    refused(BD_E_NUMERIC, "pair 0", &nan, &nan, spec());
    x[5] = 0;

    char name[96], alexnet[512], heads[512];
    ok(bd_lpips_name(name, sizeof name, 128, ALEXNET, HEADS));
    assert_int_equal(strncmp(name, "lpips-128-alex0.1.", 18), 0); /* not the published weights */
    ok(bd_lpips_weights(alexnet, heads, sizeof heads, ALEXNET, HEADS));
    assert_string_equal(heads, HEADS);
    bd_status st = bd_lpips_weights(alexnet, heads, sizeof heads, "", "");
    if (!st) return; /* they are here */
    assert_int_equal(st, BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "make fetch DATA=lpips"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_match_the_package),
        cmocka_unit_test(a_layer_by_hand),
        cmocka_unit_test(pairs_and_workers),
        cmocka_unit_test(trouble_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
