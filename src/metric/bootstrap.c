#include "metric/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "metric/frechet.h"

/* What a replicate needs. */
typedef struct {
    const bd_fcd_features *f;
    bd_frechet *ref;
    bd_moments *moments;
    double *mean, *cov;
    uint32_t *pick; /* [n] rows of a replicate */
} work;

/* Which draw of a replicate: place "step" of the random key. */
enum { DRAW_SAMPLES = 0, DRAW_FLOOR = 1 };

/* Distance of the picked rows of x to the reference; all rows in order when pick is NULL. */
static bd_status distance(double *out, work *w, const float *x, const uint32_t *pick) {
    bd_moments_reset(w->moments);
    for (int i = 0; i < w->f->n; i++) {
        size_t row = pick ? pick[i] : (size_t)i;
        BD_TRY(bd_moments_add(w->moments, x + row * (size_t)w->f->d, 1));
    }
    BD_TRY(bd_moments_get(w->moments, w->mean, w->cov));
    return bd_frechet_to(out, w->ref, w->mean, w->cov);
}

/* (a - floor) / (b - floor); unbounded when the control is no farther than the floor. */
static double ratio(double a, double b, double floor_) {
    return b > floor_ ? (a - floor_) / (b - floor_) : INFINITY;
}

static bd_status replicate(double *out, work *w, uint64_t seed, int index) {
    bd_rng_key key = {.seed = seed, .stream = BD_STREAM_BOOTSTRAP, .index = (uint32_t)index};
    const bd_fcd_features *f = w->f;
    uint32_t n = (uint32_t)f->n;
    double a, b, floor_;
    key.step = DRAW_SAMPLES;
    for (uint32_t i = 0; i < n; i++) w->pick[i] = bd_rng_below(key, i, n);
    BD_TRY(distance(&a, w, f->a, w->pick));
    BD_TRY(distance(&b, w, f->b, w->pick));
    key.step = DRAW_FLOOR;
    for (uint32_t i = 0; i < n; i++) w->pick[i] = bd_rng_below(key, i, n);
    BD_TRY(distance(&floor_, w, f->floor, w->pick));
    *out = ratio(a, b, floor_);
    return BD_OK;
}

static int ascending(const void *p, const void *q) {
    double a = *(const double *)p, b = *(const double *)q;
    return (a > b) - (a < b);
}

static bd_status work_create(work *w, const bd_fcd_features *f) {
    size_t d = (size_t)f->d;
    *w = (work){.f = f};
    BD_TRY(bd_moments_create(&w->moments, f->d));
    w->mean = malloc((d + d * d) * sizeof *w->mean);
    w->pick = malloc((size_t)f->n * sizeof *w->pick);
    BD_REQUIRE(w->mean && w->pick, BD_E_MEMORY, "bootstrap: no memory for %d features", f->d);
    w->cov = w->mean + d;
    BD_TRY(bd_moments_add(w->moments, f->ref, (size_t)f->n_ref));
    BD_TRY(bd_moments_get(w->moments, w->mean, w->cov));
    return bd_frechet_create(&w->ref, w->mean, w->cov, f->d);
}

static void work_clear(work *w) {
    bd_frechet_destroy(w->ref);
    bd_moments_destroy(w->moments);
    free(w->mean);
    free(w->pick);
}

bd_status bd_fcd_ratio_bootstrap(bd_fcd_ratio *out, const bd_fcd_features *f, int replicates,
                                 double confidence, uint64_t seed) {
    BD_REQUIRE(f->n >= 2 && f->n_ref >= 2 && f->d >= 1, BD_E_SHAPE,
               "bootstrap: n = %d, n_ref = %d, d = %d, but two rows of a feature are the least",
               f->n, f->n_ref, f->d);
    BD_REQUIRE(confidence > 0 && confidence < 1, BD_E_ARG,
               "bootstrap: confidence %g is not inside (0,1); 0.95 stands for 95 %%", confidence);
    /* place of the lower end among the sorted replicates, from 1; the slack is for 1 - confidence */
    int rank = (int)floor((replicates + 1.0) * (1 - confidence) / 2 + 1e-9);
    BD_REQUIRE(rank >= 1, BD_E_ARG,
               "bootstrap: %d replicates say nothing at confidence %g; take %.0f or more",
               replicates, confidence, ceil(2 / (1 - confidence) - 1 - 1e-9));
    *out = (bd_fcd_ratio){.n = f->n, .replicates = replicates, .confidence = confidence};

    work w;
    double *sorted = NULL;
    bd_status st;
    BD_TRY_TO(done, st, work_create(&w, f));
    BD_TRY_TO(done, st, distance(&out->fcd_a, &w, f->a, NULL));
    BD_TRY_TO(done, st, distance(&out->fcd_b, &w, f->b, NULL));
    BD_TRY_TO(done, st, distance(&out->fcd_floor, &w, f->floor, NULL));
    out->ratio = ratio(out->fcd_a, out->fcd_b, out->fcd_floor);
    sorted = malloc((size_t)replicates * sizeof *sorted);
    if (!sorted)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "bootstrap: no memory for %d replicates", replicates);
    for (int i = 0; i < replicates; i++) {
        BD_TRY_TO(done, st, replicate(&sorted[i], &w, seed, i));
        out->unbounded += isinf(sorted[i]) != 0;
    }
    qsort(sorted, (size_t)replicates, sizeof *sorted, ascending);
    out->lo = sorted[rank - 1];
    out->hi = sorted[replicates - rank];
done:
    work_clear(&w);
    free(sorted);
    return st;
}

bd_verdict bd_verdict_at_most(double lo, double hi, double bound) {
    if (hi <= bound) return BD_VERDICT_PASS;
    return lo > bound ? BD_VERDICT_FAIL : BD_VERDICT_UNDERPOWERED;
}

const char *bd_verdict_name(bd_verdict v) {
    static const char *const names[] = {
        [BD_VERDICT_PASS] = "PASS",
        [BD_VERDICT_FAIL] = "FAIL",
        [BD_VERDICT_UNDERPOWERED] = "UNDERPOWERED",
    };
    return names[v];
}
