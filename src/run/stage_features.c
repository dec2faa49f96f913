#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/cost.h"
#include "run/stages.h"
#include "train/features.h"

bd_status bd_stage_images(bd_pixels *owned, bd_image_view *view, bd_stage_run *x) {
    const bd_stage *from = &x->runner->dag->stage[bd_stage_input(x->stage, "images")];
    if (from->kind == BD_KIND_sample) {
        char path[1200];
        BD_TRY(bd_stage_in_file(path, sizeof path, x, "images", "samples.safetensors"));
        BD_TRY(bd_pixels_load(owned, path));
        *view = (bd_image_view){owned->n, owned->h, owned->c, owned->pixels};
        return BD_OK;
    }
    const bd_dataset *d;
    BD_TRY(bd_stage_data(&d, x, "images"));
    int64_t want = x->recipe->metric_n_reference;
    BD_REQUIRE(want <= d->n, BD_E_ARG, "%s %s has %d images, fewer than the %d asked for", d->name,
               d->split, d->n, (int)want);
    *view = (bd_image_view){want > 0 ? (int)want : d->n, d->h, d->c, d->images};
    return BD_OK;
}

static bd_status compute(bd_stage_run *x, const bd_image_view *v, float *features) {
    char path[1200];
    bd_classifier_config config = BD_CLASSIFIER_DEFAULT;
    bd_params params = {0};
    config.sample_size = v->size;
    config.channels = v->c;
    BD_TRY(bd_classifier_params(&params, &config));
    bd_status st = bd_params_load(&params, x->recipe->metric_classifier);
    bd_features_spec spec = {x->backend, x->runner->pool, &config, &params};
    if (!st) st = bd_features(features, NULL, v->pixels, v->n, &spec);
    bd_params_clear(&params);
    if (!st) st = bd_path_join(path, sizeof path, x->dir, "features.safetensors");
    if (!st)
        st = bd_floats_save(path, "features", features,
                            (int[4]){v->n, BD_CLASSIFIER_FEATURES, 1, 1}, 2);
    if (!st) st = bd_results_count(x->results, "n", v->n, "images", "images");
    return st;
}

bd_status bd_stage_run_features(bd_stage_run *x) {
    bd_pixels owned = {0};
    bd_image_view view = {0};
    bd_status st = bd_stage_images(&owned, &view, x);
    float *features =
        st ? NULL : malloc((size_t)view.n * BD_CLASSIFIER_FEATURES * sizeof *features);
    if (!st && !features)
        st = bd_fail(BD_E_MEMORY, "out of memory for the features of %d images", view.n);
    if (!st) st = compute(x, &view, features);
    if (!st)
        st = bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage));
    free(features);
    bd_pixels_clear(&owned);
    return st;
}
