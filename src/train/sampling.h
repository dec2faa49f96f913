/* Images out of a diffusion model. */
#ifndef BD_TRAIN_SAMPLING_H
#define BD_TRAIN_SAMPLING_H

#include <signal.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "diffusion/sampler.h"
#include "graph/backend.h"
#include "nn/params.h"
#include "nn/unet.h"

/* A compiled UNet with the sampler update behind it; serves any number of calls with other
 * parameters, plans, priors and seeds. */
typedef struct bd_sampler_engine bd_sampler_engine;

typedef struct {
    const bd_backend *backend;
    bd_pool *pool;
    const bd_unet_config *unet; /* copied */
    int tile;    /* samples of one tile (bd_backend_tile_ok); part of what the bits depend on */
    int history; /* slots that the plans need at most, 0 .. BD_SAMPLER_HISTORY         */
} bd_sampler_engine_spec;

/* memory   caller frees with bd_sampler_engine_destroy; borrows backend and pool until then */
BD_MUST_CHECK bd_status bd_sampler_engine_create(bd_sampler_engine **out,
                                                 const bd_sampler_engine_spec *spec);
void bd_sampler_engine_destroy(bd_sampler_engine *s); /* NULL allowed */
void bd_sampler_engine_memory(const bd_sampler_engine *s, bd_memory *out);
/* bd_sampler_engine_flops -- of one network evaluation of one sample. */
double bd_sampler_engine_flops(const bd_sampler_engine *s);

/* bd_sampler_engine_load -- put a model's weights on the device; they stay until the next load.
 *   errors   BD_E_SHAPE: not the parameters of this UNet */
BD_MUST_CHECK bd_status bd_sampler_engine_load(bd_sampler_engine *s, const bd_params *params);

/* Makes x_T of one sample: x [H,W,C] comes in as the standard normals of (seed, PRIOR, sample).
 * Called on a worker; depends on (ctx, sample, x) only. attack/prior.h has one. */
typedef bd_status (*bd_prior_fn)(void *ctx, float *x, int64_t sample);

typedef struct {
    const bd_sampler_plan *plan;
    uint64_t seed;
    int64_t first; /* number of the first sample */
    int count;
    bd_prior_fn prior; /* NULL = x_T is the noise */
    void *prior_ctx;
    const volatile sig_atomic_t *stop; /* polled once a network evaluation; NULL = never stops */
} bd_sample_spec;

/* bd_sample -- samples first .. first+count-1. Sample i is a function of (model, plan, seed, prior,
 * i): not of first, count, the number of workers or which call made it. A chain that a plan begins later
 * draws the noise that the whole chain draws there.
 *   shapes   x [count,H,W,C] or NULL, the sampler's last x, nominally in [-1,1], not clamped;
 *            images [count,H,W,C] or NULL, rint(255 clamp(x/2 + 1/2, 0, 1)), halves to even
 *   errors   BD_E_ARG: no parameters loaded, or a wrong number; BD_E_NUMERIC: a sample is not
 *            finite; BD_E_INTERRUPT: stopped, nothing of this call is to be used
 *   memory   borrows all; one image of scratch a tile
 *   tested   tests/test_sampling.c */
BD_MUST_CHECK bd_status bd_sample(float *x, uint8_t *images, bd_sampler_engine *s,
                                  const bd_sample_spec *spec);

#endif
