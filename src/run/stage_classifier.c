#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "run/cost.h"
#include "run/device.h"
#include "run/settings.h"
#include "run/stages.h"
#include "train/checkpoint.h"
#include "train/features.h"
#include "train/trainer.h"

/* The weights with what one should know of them in the file itself. */
static bd_status save(const bd_stage_run *x, const bd_params *params, const bd_dataset *data,
                      double accuracy) {
    char path[1200], text[32];
    bd_format_double(text, accuracy);
    const char *const meta[][2] = {{"model", "baddiff classifier"},
                                   {"trained_on", data->name},
                                   {"trained_on_sha256", data->sha256},
                                   {"stage", x->stage->id},
                                   {"test_accuracy", text}};
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "classifier.safetensors"));
    return bd_params_save(params, path, meta, sizeof meta / sizeof meta[0]);
}

static bd_status train(bd_stage_run *x, bd_params *params, const bd_classifier_config *config,
                       const bd_dataset *data, const bd_dataset *test) {
    bd_classifier_train_spec spec = {.backend = x->backend,
                                     .pool = x->runner->pool,
                                     .classifier = config,
                                     .data = data,
                                     .flip = !strcmp(x->recipe->data_flip, "on"),
                                     .loop = bd_recipe_loop(x->recipe, BD_KIND_classifier)};
    spec.loop.tile = bd_stage_tile(x->stage, spec.loop.tile, spec.loop.batch);
    spec.loop.dir = x->dir;
    spec.loop.checkpoint_seconds = (double)x->cell->run_checkpoint_seconds;
    spec.loop.stop = x->runner->stop;
    bd_loop_result result;
    double accuracy;
    BD_TRY(bd_params_init(params, spec.loop.seed));
    BD_TRY(bd_classifier_train(&result, params, &spec));
    bd_features_spec features = {x->backend, x->runner->pool, config, params};
    BD_TRY(bd_classifier_accuracy(&accuracy, test->images, test->labels, test->n, &features));
    BD_TRY(bd_results_count(x->results, "steps", result.steps, "updates", "optimiser steps"));
    BD_TRY(bd_results_number(x->results, "accuracy", accuracy, "1",
                             "share of test images put in the right class"));
    BD_TRY(bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage)));
    BD_TRY(save(x, params, data, accuracy));
    return bd_checkpoint_remove(x->dir);
}

bd_status bd_stage_run_classifier(bd_stage_run *x) {
    const bd_dataset *data, *test;
    bd_classifier_config config = BD_CLASSIFIER_DEFAULT;
    bd_params params = {0};
    BD_TRY(bd_stage_data(&data, x, "data"));
    BD_TRY(bd_stage_data(&test, x, "test"));
    BD_REQUIRE(data->classes > 0, BD_E_ARG,
               "data set %s in %s has no labels to train a classifier with: use a folder with one "
               "folder a class",
               data->name, data->dir);
    config.sample_size = data->h;
    config.channels = data->c;
    config.classes = data->classes;
    BD_TRY(bd_classifier_params(&params, &config));
    bd_status st = train(x, &params, &config, data, test);
    bd_params_clear(&params);
    return st;
}
