#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metric/bootstrap.h"
#include "metric/frechet.h"
#include "metric/name.h"
#include "run/stages.h"

/* Features [n,d] of an input. */
typedef struct {
    float *data;
    int n, d;
} rows;

static bd_status load(rows *out, const bd_stage_run *x, const char *role) {
    char path[1200];
    int dim[4];
    BD_TRY(bd_stage_in_file(path, sizeof path, x, role, "features.safetensors"));
    BD_TRY(bd_floats_load(&out->data, dim, path, "features"));
    out->n = dim[0];
    out->d = dim[1];
    return BD_OK;
}

static bd_status distance(double *out, const rows *a, const rows *b) {
    BD_REQUIRE(a->d == b->d, BD_E_SHAPE, "features of %d and of %d numbers", a->d, b->d);
    return bd_frechet_rows(out, a->data, (size_t)a->n, b->data, (size_t)b->n, a->d);
}

static bd_status add_ratio(bd_stage_run *x, const rows *a, const rows *control, const rows *floor,
                           const rows *ref) {
    bd_fcd_ratio r;
    bd_fcd_features f = {.a = a->data,
                         .b = control->data,
                         .floor = floor->data,
                         .ref = ref->data,
                         .n = a->n,
                         .n_ref = ref->n,
                         .d = a->d};
    BD_REQUIRE(a->n == control->n && a->n == floor->n, BD_E_SHAPE,
               "fcd needs equally many samples (%d), control samples (%d) and held-out images (%d)",
               a->n, control->n, floor->n);
    BD_TRY(bd_fcd_ratio_bootstrap(&r, &f, (int)x->recipe->metric_replicates,
                                  x->recipe->metric_confidence, (uint64_t)x->recipe->run_seed));
    BD_TRY(bd_results_number(x->results, "fcd_control", r.fcd_b, "squared feature",
                             "fcd of the clean samples of the same model fine-tuned at rate 0"));
    BD_TRY(bd_results_number(x->results, "fcd_ratio", r.ratio, "1",
                             "(fcd - floor) / (control - floor)"));
    BD_TRY(bd_results_number(x->results, "fcd_ratio_lo", r.lo, "1",
                             "lower end of its bootstrap interval"));
    return bd_results_number(x->results, "fcd_ratio_hi", r.hi, "1",
                             "upper end of its bootstrap interval");
}

static bd_status measure(bd_stage_run *x, rows set[4]) {
    rows *a = &set[0], *control = &set[1], *floor = &set[2], *ref = &set[3];
    char name[96], weights[16];
    double fcd, fcd_floor;
    const bd_stage *features = &x->runner->dag->stage[bd_stage_input(x->stage, "features")];
    BD_TRY(load(a, x, "features"));
    BD_TRY(load(floor, x, "floor"));
    BD_TRY(load(ref, x, "reference"));
    BD_TRY(distance(&fcd, a, ref));
    BD_TRY(distance(&fcd_floor, floor, ref));
    snprintf(weights, sizeof weights, "%.8s", features->file_sha256);
    BD_TRY(bd_metric_name(name, sizeof name, "fcd", a->n, weights));
    BD_TRY(bd_results_number(
        x->results, name, fcd, "squared feature",
        "Frechet distance of the clean samples to the training images, in features of the "
        "classifier whose file begins with that SHA-256"));
    BD_TRY(bd_results_number(x->results, "fcd_floor", fcd_floor, "squared feature",
                             "the same for as many held-out real images"));
    if (bd_stage_input(x->stage, "control") < 0) return BD_OK;
    BD_TRY(load(control, x, "control"));
    return add_ratio(x, a, control, floor, ref);
}

bd_status bd_stage_run_fcd(bd_stage_run *x) {
    rows set[4] = {0};
    bd_status st = measure(x, set);
    for (int i = 0; i < 4; i++) free(set[i].data);
    return st;
}
