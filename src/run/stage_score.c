#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metric/hits.h"
#include "metric/name.h"
#include "run/stages.h"

typedef struct {
    bd_pixels samples;
    float *target; /* [H,W,C] in [0,1] */
    double *mse, *ssim;
} job;

static void job_clear(job *j) {
    bd_pixels_clear(&j->samples);
    free(j->target);
    free(j->mse);
    free(j->ssim);
}

static bd_status load(job *j, const bd_stage_run *x) {
    char path[1200];
    int dim[4];
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "samples", "samples.safetensors"));
    BD_TRY(bd_pixels_load(&j->samples, path));
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "target", "target.safetensors"));
    BD_TRY(bd_floats_load(&j->target, dim, path, "target"));
    BD_REQUIRE(dim[0] == j->samples.h && dim[1] == j->samples.w && dim[2] == j->samples.c,
               BD_E_SHAPE, "samples are %dx%dx%d, the target is %dx%dx%d", j->samples.h,
               j->samples.w, j->samples.c, dim[0], dim[1], dim[2]);
    j->mse = calloc((size_t)j->samples.n, sizeof *j->mse);
    j->ssim = calloc((size_t)j->samples.n, sizeof *j->ssim);
    BD_REQUIRE(j->mse && j->ssim, BD_E_MEMORY, "out of memory for %d scores", j->samples.n);
    return BD_OK;
}

/* One line an image: which ones hit is worth looking at. */
static bd_status write_images(const job *j, const char *dir, double threshold) {
    char path[1200], mse[32], ssim[32];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, dir, "images.csv"));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_printf(w, "image,mse,ssim,hit\n");
    for (int i = 0; i < j->samples.n && !st; i++) {
        bd_format_double(mse, j->mse[i]);
        bd_format_double(ssim, j->ssim[i]);
        st = bd_writer_printf(w, "%d,%s,%s,%d\n", i, mse, ssim, j->mse[i] < threshold);
    }
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

static bd_status add(bd_results *r, const char *metric, int64_t n, const char *definition,
                     double value, const char *help) {
    char name[96];
    BD_TRY(bd_metric_name(name, sizeof name, metric, n, definition));
    return bd_results_number(r, name, value, "1", help);
}

static bd_status add_hits(bd_stage_run *x, const job *j, double threshold) {
    bd_hit_rate h;
    int64_t n = j->samples.n;
    BD_TRY(bd_hits_count(&h, j->mse, n, threshold, x->recipe->metric_confidence));
    BD_TRY(add(x->results, "hit", n, "quarter_var", h.rate,
               "hit rate: share of samples with MSE < Var(target)/4"));
    BD_TRY(bd_results_number(x->results, "hit_lo", h.lo, "1",
                             "lower end of its Clopper-Pearson interval"));
    BD_TRY(bd_results_number(x->results, "hit_hi", h.hi, "1",
                             "upper end of its Clopper-Pearson interval"));
    if (x->recipe->metric_asr <= 0) return BD_OK;
    char definition[48], number[32];
    bd_format_double(number, x->recipe->metric_asr);
    snprintf(definition, sizeof definition, "mse%s", number);
    for (char *p = definition; *p; p++)
        if (*p == '-') *p = '_'; /* 1e-05: a dash ends a part of a name */
    BD_TRY(bd_hits_count(&h, j->mse, n, x->recipe->metric_asr, x->recipe->metric_confidence));
    return add(x->results, "asr", n, definition, h.rate,
               "share of samples with MSE below the named threshold");
}

static bd_status score(bd_stage_run *x, job *j) {
    BD_TRY(load(j, x));
    bd_image_set samples = {.n = j->samples.n,
                            .h = j->samples.h,
                            .w = j->samples.w,
                            .c = j->samples.c,
                            .u8 = j->samples.pixels};
    bd_image_set target = {
        .n = 1, .h = samples.h, .w = samples.w, .c = samples.c, .f32 = j->target};
    bd_ssim_area area;
    double level, variance;
    size_t n = (size_t)samples.n;
    BD_TRY(bd_ssim_area_parse(&area, x->recipe->metric_ssim));
    BD_TRY(bd_mse_each(j->mse, &samples, &target));
    BD_TRY(bd_ssim_each(j->ssim, &samples, &target, area));
    BD_TRY(bd_flat_grey(&level, &variance, j->target, bd_image_size(&target)));
    BD_REQUIRE(variance > 0, BD_E_ARG,
               "the target is flat: a hit cannot be told from a grey image");
    BD_TRY(add(x->results, "mse", samples.n, NULL, bd_mean(j->mse, n),
               "mean MSE of the samples to the target, pixels in [0,1]"));
    BD_TRY(add(x->results, "ssim", samples.n, bd_ssim_area_name(area), bd_mean(j->ssim, n),
               "mean SSIM of the samples and the target"));
    BD_TRY(add_hits(x, j, variance / 4));
    return write_images(j, x->dir, variance / 4);
}

bd_status bd_stage_run_score(bd_stage_run *x) {
    job j = {0};
    bd_status st = score(x, &j);
    job_clear(&j);
    return st;
}
