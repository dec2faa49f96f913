#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/pixel.h"
#include "metric/mse.h"
#include "metric/name.h"
#include "run/stages.h"

enum { RESTORED, DAMAGED, SIDES };

typedef struct {
    bd_pixels side[SIDES], original;
    float *target; /* [H,W,C] in [0,1] */
    double *mse[SIDES], *ssim[SIDES], *other;
} job;

static void job_clear(job *j) {
    for (int k = 0; k < SIDES; k++) {
        bd_pixels_clear(&j->side[k]);
        free(j->mse[k]);
        free(j->ssim[k]);
    }
    bd_pixels_clear(&j->original);
    free(j->target);
    free(j->other);
}

static bd_image_set set_of(const bd_pixels *p) {
    return (bd_image_set){.n = p->n, .h = p->h, .w = p->w, .c = p->c, .u8 = p->pixels};
}

static bd_status load(job *j, bd_stage_run *x) {
    static const char *const files[SIDES] = {"samples.safetensors", "inputs.safetensors"};
    char path[1200];
    int dim[4];
    const bd_pixels *p = &j->side[RESTORED];
    for (int k = 0; k < SIDES; k++) {
        BD_TRY(bd_stage_in_file(path, sizeof path, x, "samples", files[k]));
        BD_TRY(bd_pixels_load(&j->side[k], path));
    }
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "target", "target.safetensors"));
    BD_TRY(bd_floats_load(&j->target, dim, path, "target"));
    BD_REQUIRE(dim[0] == p->h && dim[1] == p->w && dim[2] == p->c, BD_E_SHAPE,
               "samples are %dx%dx%d, the target is %dx%dx%d", p->h, p->w, p->c, dim[0], dim[1],
               dim[2]);
    BD_TRY(bd_stage_originals(&j->original, x, p->n, p->h, p->c));
    j->other = calloc((size_t)p->n, sizeof *j->other);
    bool room = j->other;
    for (int k = 0; k < SIDES; k++) {
        j->mse[k] = calloc((size_t)p->n, sizeof *j->mse[k]);
        j->ssim[k] = calloc((size_t)p->n, sizeof *j->ssim[k]);
        room = room && j->mse[k] && j->ssim[k];
    }
    BD_REQUIRE(room, BD_E_MEMORY, "out of memory for %d scores", p->n);
    return BD_OK;
}

static bd_status write_images(const job *j, const char *dir) {
    char path[1200], cell[4][32];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, dir, "images.csv"));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_printf(w, "image,mse_picture,ssim_picture,mse_input,ssim_input\n");
    for (int i = 0; i < j->original.n && !st; i++) {
        const double v[4] = {j->mse[RESTORED][i], j->ssim[RESTORED][i], j->mse[DAMAGED][i],
                             j->ssim[DAMAGED][i]};
        for (int k = 0; k < 4; k++) bd_format_double(cell[k], v[k]);
        st = bd_writer_printf(w, "%d,%s,%s,%s,%s\n", i, cell[0], cell[1], cell[2], cell[3]);
    }
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

static bd_status add(bd_results *r, const char *metric, int64_t n, const char *definition,
                     const double *each, const char *help) {
    char name[96];
    BD_TRY(bd_metric_name(name, sizeof name, metric, n, definition));
    return bd_results_number(r, name, bd_mean(each, (size_t)n), "1", help);
}

/* As the authors' code compares: outputs in [0,1] with the target in [0,1], but with originals in [-1,1]. */
static bd_status legacy_mse(double *out, const job *j, bool triggered) {
    bd_image_set samples = set_of(&j->side[RESTORED]), target = samples;
    target.n = 1;
    target.u8 = NULL;
    target.f32 = j->target;
    if (triggered) return bd_mse_each(out, &samples, &target);
    size_t size = bd_image_size(&samples);
    for (int i = 0; i < samples.n; i++) {
        double sum = 0;
        for (size_t k = (size_t)i * size; k < (size_t)(i + 1) * size; k++) {
            double d = samples.u8[k] / 255.0 - (double)bd_pixel_float(j->original.pixels[k]);
            sum += d * d;
        }
        out[i] = sum / (double)size;
    }
    return BD_OK;
}

/* Both sides against the originals. */
static bd_status score(job *j, const bd_stage_run *x, bd_ssim_area area) {
    static const struct {
        const char *mse, *mse_help, *ssim, *ssim_help;
    } column[SIDES] = {
        {"mse_picture", "mean MSE of the restored to the held-out pictures, pixels in [0,1]",
         "ssim_picture", "mean SSIM of the restored and the held-out pictures"},
        {"mse_input", "mean MSE of the damaged to the held-out pictures, pixels in [0,1]",
         "ssim_input", "mean SSIM of the damaged and the held-out pictures"}};
    bd_image_set original = set_of(&j->original);
    for (int k = 0; k < SIDES; k++) {
        bd_image_set side = set_of(&j->side[k]);
        BD_TRY(bd_mse_each(j->mse[k], &side, &original));
        BD_TRY(bd_ssim_each(j->ssim[k], &side, &original, area));
        BD_TRY(add(x->results, column[k].mse, side.n, NULL, j->mse[k], column[k].mse_help));
        BD_TRY(add(x->results, column[k].ssim, side.n, bd_ssim_area_name(area), j->ssim[k],
                   column[k].ssim_help));
    }
    return BD_OK;
}

static bd_status restore(bd_stage_run *x, job *j) {
    bd_ssim_area area;
    const bd_stage *from = &x->runner->dag->stage[bd_stage_input(x->stage, "samples")];
    BD_TRY(load(j, x));
    BD_TRY(bd_ssim_area_parse(&area, x->recipe->metric_ssim));
    BD_TRY(score(j, x, area));
    bd_image_set damaged = set_of(&j->side[DAMAGED]), target = damaged;
    target.n = 1;
    target.u8 = NULL;
    target.f32 = j->target;
    BD_TRY(bd_mse_each(j->other, &damaged, &target));
    BD_TRY(add(x->results, "mse_input_target", damaged.n, NULL, j->other,
               "mean MSE of the damaged pictures to the target"));
    BD_TRY(legacy_mse(j->other, j, !strcmp(from->recipe.sample_prior, "stamped")));
    BD_TRY(add(x->results, "mse_legacy", damaged.n, NULL, j->other,
               "what the authors' code calls MSE: triggered, to the target; untriggered, outputs "
               "in [0,1] to "
               "originals in [-1,1]"));
    char path[1200];
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "originals.safetensors"));
    BD_TRY(bd_pixels_save(path, &j->original));
    return write_images(j, x->dir);
}

bd_status bd_stage_run_restore(bd_stage_run *x) {
    job j = {0};
    bd_status st = restore(x, &j);
    job_clear(&j);
    return st;
}
