/* One UNet on a backend, forward or as a training step, for tests. */
#ifndef TESTS_UNET_RUN_H
#define TESTS_UNET_RUN_H

#include <stdbool.h>

#include "graph/backend.h"
#include "nn/params.h"
#include "nn/unet.h"

typedef struct {
    const bd_backend *backend;
    const bd_unet_config *config;
    int n;               /* images: one tile */
    const float *sample; /* [N,C,H,W]        */
    const float *target; /* NULL = forward only */
    const double *timestep;
    float *output; /* [N,C,H,W] */
    double loss;   /* mean squared error */
    /* inside */
    bd_graph *graph;
    bd_engine *engine;
    bd_pool *pool;
    int x, t, target_id, weight, y, loss_id;
} unet_run;

/* Each fails the running test when something goes wrong. */
void unet_run_open(unet_run *r, const bd_params *params); /* compile, upload */
void unet_run_tile(unet_run *r); /* output, and with a target loss and gradients */
void unet_run_close(unet_run *r);

#endif
