/* Training jobs: a diffusion model (clean or poisoned) and the small classifier. */
#ifndef BD_TRAIN_TRAINER_H
#define BD_TRAIN_TRAINER_H

#include "data/dataset.h"
#include "nn/classifier.h"
#include "nn/params.h"
#include "nn/unet.h"
#include "train/loop.h"

/* A diffusion training job; pretraining and fine-tuning differ in the start values only. */
typedef struct {
    const bd_backend *backend;
    bd_pool *pool;
    const bd_unet_config *unet;
    const bd_dataset *data;
    bool flip; /* mirror each image with probability 1/2, drawn anew each epoch */
    int T;     /* timesteps                                                     */
    /* [T] {sqrt(abar), sqrt(1-abar), 1-sqrt(abar), rho} of each timestep: bd_attack_table */
    const float (*coef)[4];
    const uint8_t *flags; /* [data->n] BD_ROW_* of data/split.h; NULL = all images, all clean */
    /* [H,W,C] each; not read when flags is NULL */
    const float *trigger, *target;
    bd_loop_options loop;
    const bd_loop_map *map; /* NULL = params are the UNet's own; else what makes the UNet's */
    bd_loop_visit visit;
} bd_train_spec;

/* bd_train -- train params: start values in, trained values out; those of the spec's UNet.
 *   source   Ho et al. 2020, algorithm 1; Chou et al. 2023 (BadDiffusion), algorithm 1
 *   errors   as bd_loop_run; BD_E_SHAPE: data, UNet, trigger or parameters do not fit together
 *   tested   tests/test_trainer.c */
BD_MUST_CHECK bd_status bd_train(bd_loop_result *out, bd_params *params, const bd_train_spec *spec);

/* A classifier training job; loop.seed also draws flips and order. */
typedef struct {
    const bd_backend *backend;
    bd_pool *pool;
    const bd_classifier_config *classifier;
    const bd_dataset *data; /* with labels */
    bool flip;
    bd_loop_options loop;
} bd_classifier_train_spec;

BD_MUST_CHECK bd_status bd_classifier_train(bd_loop_result *out, bd_params *params,
                                            const bd_classifier_train_spec *spec);

#endif
