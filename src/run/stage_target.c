#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/png.h"
#include "metric/hits.h"
#include "run/stages.h"

static bd_status add_scores(bd_results *r, const bd_reference_scores *s) {
    BD_TRY(bd_results_number(r, "mse_black", s->black.mse, "1",
                             "MSE of the all-black image to the target"));
    BD_TRY(bd_results_number(r, "mse_flat", s->flat.mse, "1",
                             "MSE of the best flat grey image to the target, Var(target); a hit is "
                             "MSE < a quarter of it"));
    BD_TRY(bd_results_number(r, "mse_mean", s->mean.mse, "1",
                             "MSE of the mean training image to the target"));
    BD_TRY(bd_results_number(r, "mse_nearest", s->nearest.mse, "1",
                             "MSE of the training image nearest to the target"));
    BD_TRY(bd_results_number(r, "ssim_black", s->black.ssim, "1",
                             "SSIM of the all-black image and the target"));
    BD_TRY(bd_results_number(r, "ssim_flat", s->flat.ssim, "1",
                             "SSIM of the best flat grey image and the target"));
    BD_TRY(bd_results_number(r, "ssim_mean", s->mean.ssim, "1",
                             "SSIM of the mean training image and the target"));
    return bd_results_number(r, "ssim_nearest", s->nearest.ssim, "1",
                             "SSIM of the training image nearest to the target");
}

static bd_status write_picture(const char *dir, const char *name, const float *unit, int S, int C) {
    char path[1200];
    size_t n = (size_t)S * (size_t)S * (size_t)C;
    bd_image img = {.w = S, .h = S, .c = C, .pixels = malloc(n)};
    BD_REQUIRE(img.pixels, BD_E_MEMORY, "out of memory for %s", name);
    bd_status st = bd_image_quantise(img.pixels, unit, n);
    if (!st) st = bd_path_join(path, sizeof path, dir, name);
    if (!st) st = bd_png_save(path, &img);
    free(img.pixels);
    return st;
}

/* target.safetensors holds [S,S,C] in [0,1], not rounded to bytes: what samples are compared with. */
static bd_status make(bd_stage_run *x, float *tau, const bd_dataset *data) {
    int S = data->h, C = data->c;
    char path[1200];
    bd_ssim_area area;
    bd_reference_scores scores;
    bd_image_set target = {.n = 1, .h = S, .w = S, .c = C, .f32 = tau};
    bd_image_set images = {.n = data->n, .h = S, .w = S, .c = C, .u8 = data->images};
    BD_TRY(bd_ssim_area_parse(&area, x->recipe->metric_ssim));
    BD_TRY(bd_recipe_target(tau, x->recipe, S, C));
    BD_TRY(bd_image_unit(tau, tau, (size_t)S * (size_t)S * (size_t)C));
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "target.safetensors"));
    BD_TRY(bd_floats_save(path, "target", tau, (int[4]){S, S, C, 1}, 3));
    BD_TRY(write_picture(x->dir, "target.png", tau, S, C));
    BD_TRY(bd_reference_scores_make(&scores, &target, &images, area));
    return add_scores(x->results, &scores);
}

bd_status bd_stage_run_target(bd_stage_run *x) {
    const bd_dataset *data;
    BD_TRY(bd_stage_data(&data, x, "data"));
    float *tau = malloc((size_t)data->h * (size_t)data->w * (size_t)data->c * sizeof *tau);
    BD_REQUIRE(tau, BD_E_MEMORY, "out of memory for a target");
    bd_status st = make(x, tau, data);
    free(tau);
    return st;
}
