#include "inception_golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "hash_weights.h"

enum { N = INCEPTION_N, S = INCEPTION_S, SIZE = BD_INCEPTION_SIZE, INPUT = INCEPTION_INPUT };
enum { F = BD_INCEPTION_FEATURES };

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

void inception_pictures(float out[N * S * S * 3]) {
    static float u[N * 3 * S * S];
    hash_values_around(u, N * 3 * S * S, "fid_image", 0.5, 0.5);
    for (int i = 0; i < N * 3 * S * S; i++) u[i] = floorf(256 * u[i]) / 255;
    nchw_to_nhwc(out, u, N, 3, S, S);
}

json_t *inception_golden(void) {
    json_t *doc = json_load_file("tests/golden/inception_golden.json", 0, NULL);
    assert_non_null(doc);
    return doc;
}

static double listed(const json_t *stats, const char *key) {
    const json_t *v = json_object_get(stats, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

double inception_error(const float *nhwc, const int dim[4], const json_t *stats) {
    size_t n = (size_t)dim[0] * (size_t)dim[1] * (size_t)dim[2] * (size_t)dim[3];
    const json_t *first = json_object_get(stats, "first");
    float *a = malloc(n * sizeof *a);
    assert_non_null(a);
    nhwc_to_nchw(a, nhwc, dim[0], dim[3], dim[1], dim[2]);
    double sum = 0, square = 0, head = 0, l2 = listed(stats, "l2");
    for (size_t i = 0; i < n; i++) {
        sum += a[i];
        square += (double)a[i] * a[i];
    }
    assert_true(json_array_size(first) >= 4 && l2 > 0);
    for (size_t i = 0; i < json_array_size(first); i++)
        head = fmax(head, fabs(a[i] - json_number_value(json_array_get(first, i))));
    free(a);
    double total = fabs(sum - listed(stats, "sum")) / sqrt((double)n); /* |sum d| <= sqrt(n) |d| */
    return fmax(fmax(total, fabs(sqrt(square) - l2)), head) / l2;
}

typedef struct {
    int x;
    bd_inception_out net;
    float features[N * F];
    double error[BD_INCEPTION_STAGES]; /* NAN: not listed */
    bd_graph *g;
    json_t *doc;
} run;

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const run *r = ctx;
    static float images[N * S * S * 3];
    (void)tile, (void)iter;
    inception_pictures(images);
    for (size_t i = 0; i < N; i++)
        BD_TRY(bd_inception_input((float *)bd_view_data(v, r->x) + i * INPUT,
                                  images + i * S * S * 3, S, S, 3));
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    run *r = ctx;
    (void)tile, (void)iter;
    memcpy(r->features, bd_view_data(v, r->net.features), sizeof r->features);
    for (int i = 0; i < BD_INCEPTION_STAGES; i++) {
        const json_t *stats = json_object_get(r->doc, bd_inception_stage_name(i));
        r->error[i] = stats ? inception_error(bd_view_data(v, r->net.stage[i]),
                                              bd_graph_tensor(r->g, r->net.stage[i])->dim, stats)
                            : (double)NAN;
    }
    return BD_OK;
}

static void evaluate(run *r, const bd_backend *backend, const char *weights) {
    bd_pool *pool;
    bd_engine *engine;
    bd_params params;
    ok(bd_graph_create(&r->g, "inception"));
    r->x = bd_graph_input(r->g, "x", BD_TYPE_F32, N, SIZE, SIZE, 3);
    r->net = bd_inception_build(r->g, r->x);
    for (int i = 0; i < BD_INCEPTION_STAGES; i++) bd_graph_keep(r->g, r->net.stage[i]);
    bd_graph_keep(r->g, r->net.features);
    ok(bd_graph_status(r->g));
    ok(bd_inception_params(&params));
    ok(bd_inception_load(&params, weights));
    ok(bd_pool_create(&pool, 1));
    ok(backend->engine_create(&engine, backend, r->g, pool));
    ok(bd_params_upload(&params, backend, engine, r->g, BD_SLOT_PARAM));
    const bd_run once = {1, 1, before, after, r, 0};
    ok(backend->run(engine, &once, false));
    backend->engine_destroy(engine);
    bd_pool_destroy(pool);
    bd_params_clear(&params);
    bd_graph_destroy(r->g);
}

void inception_equals_the_reference(const bd_backend *backend, const char *weights) {
    static run r;
    r.doc = inception_golden();
    evaluate(&r, backend, weights);
    int seen = 0;
    double worst = 0;
    for (int i = 0; i < BD_INCEPTION_STAGES; i++) {
        if (isnan(r.error[i])) continue;
        seen++;
        worst = fmax(worst, r.error[i]);
        if (!(r.error[i] <= INCEPTION_TOLERANCE))
            fail_msg("%s is off by %g of its norm", bd_inception_stage_name(i), r.error[i]);
    }
    assert_int_equal(seen, 16);
    const json_t *pool = json_object_get(r.doc, "pool3_features");
    double e = inception_error(r.features, (int[4]){N, 1, 1, F}, pool);
    assert_true(e <= INCEPTION_TOLERANCE);
    void *want;
    size_t bytes;
    ok(bd_file_read(&want, &bytes, "tests/golden/inception_hashweights_feat.f32", 0));
    assert_int_equal(bytes, sizeof r.features);
    double diff = 0, norm = 0;
    for (int i = 0; i < N * F; i++) {
        double d = r.features[i] - ((float *)want)[i];
        diff += d * d;
        norm += (double)r.features[i] * r.features[i];
    }
    free(want);
    print_message("worst stage %.2g, features %.2g\n", worst, sqrt(diff / norm));
    assert_true(norm > 1 && sqrt(diff / norm) <= INCEPTION_TOLERANCE);
    /* control: one feature that is off by a thousandth of the norm is seen */
    r.features[0] += (float)(1e-3 * sqrt(norm));
    assert_true(inception_error(r.features, (int[4]){N, 1, 1, F}, pool) > INCEPTION_TOLERANCE);
    json_decref(r.doc);
}
