#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/hits.h"
#include "metric/pair.h"

/* MSE and SSIM of one float image against the target. */
static bd_status score(bd_score *out, const float *image, const bd_image_set *target,
                       bd_ssim_area area) {
    bd_image_set one = {.n = 1, .h = target->h, .w = target->w, .c = target->c, .f32 = image};
    BD_TRY(bd_mse_each(&out->mse, &one, target));
    return bd_ssim_each(&out->ssim, &one, target, area);
}

static bd_status score_level(bd_score *out, float *image, double level, const bd_image_set *target,
                             bd_ssim_area area) {
    size_t size = bd_image_size(target);
    for (size_t i = 0; i < size; i++) image[i] = (float)level;
    return score(out, image, target, area);
}

bd_status bd_reference_scores_make(bd_reference_scores *out, const bd_image_set *target,
                                   const bd_image_set *data, bd_ssim_area area) {
    BD_TRY(bd_pair_check(data, target, "reference scores"));
    BD_REQUIRE(target->n == 1, BD_E_SHAPE, "reference scores: %d targets, one is wanted",
               target->n);
    size_t size = bd_image_size(target);
    *out = (bd_reference_scores){.n = data->n, .nearest_index = -1};
    bd_status st = BD_OK;
    double *sum = calloc(size, sizeof *sum), var = 0, least = INFINITY;
    float *goal = malloc(size * sizeof *goal), *image = malloc(size * sizeof *image);
    if (!sum || !goal || !image) {
        BD_FAIL_TO(done, st, BD_E_MEMORY, "reference scores: no memory");
    }

    bd_image_get(goal, target, 0);
    for (int i = 0; i < data->n; i++) {
        bd_image_get(image, data, i);
        for (size_t k = 0; k < size; k++) sum[k] += (double)image[k];
        double mse = bd_mse_pair(image, goal, size);
        if (mse < least) {
            least = mse;
            out->nearest_index = i;
        }
    }
    if (out->nearest_index < 0) {
        BD_FAIL_TO(done, st, BD_E_NUMERIC, "reference scores: no image or target is finite");
    }
    bd_image_get(image, data, out->nearest_index);
    BD_TRY_TO(done, st, score(&out->nearest, image, target, area));
    for (size_t k = 0; k < size; k++) image[k] = (float)(sum[k] / data->n);
    BD_TRY_TO(done, st, score(&out->mean, image, target, area));
    BD_TRY_TO(done, st, bd_flat_grey(&out->flat_level, &var, goal, size));
    BD_TRY_TO(done, st, score_level(&out->flat, image, out->flat_level, target, area));
    BD_TRY_TO(done, st, score_level(&out->black, image, 0, target, area));
done:
    free(sum);
    free(goal);
    free(image);
    return st;
}
