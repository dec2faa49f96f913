/* What a plan costs before anything of it runs. */
#ifndef BD_RUN_COST_H
#define BD_RUN_COST_H

#include "graph/backend.h"
#include "nn/unet.h"
#include "diffusion/schedule.h"
#include "run/plan.h"
#include "train/loop.h"

typedef struct {
    double tflop;  /* convolutions and attention, multiply-adds x 2 */
    double memory; /* bytes of a network or of a data set, 0 = few   */
    double disk;   /* bytes that stay in the stage's folder         */
    bool done;     /* finished before                               */
} bd_cost;

/* bd_dag_costs -- one entry a stage; how long they take says bd_dag_prices (run/price.h).
 *   shapes   cost [d->n_stages]
 *   errors   those of the network builders
 *   memory   compiles one graph of each kind and network on the backend, and frees it
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_dag_costs(bd_cost *cost, const bd_dag *d, const char *runs,
                                     const bd_backend *backend, int threads);

/* bd_assumed_rate -- TFLOP a second of a stage's network where nothing was measured: 100 GFLOP/s a thread of a CPU
 * (docs/speed.md, AVX2), 10 TFLOP/s of a device. */
double bd_assumed_rate(const bd_stage *s, int threads);

/* bd_stage_tflop -- the work of one stage, without compiling anything. */
BD_MUST_CHECK bd_status bd_stage_tflop(double *out, const bd_dag *d, int stage);

/* bd_stage_model_root -- the stage where the weights of a stage's model were drawn, whose [model] and
 * [diffusion] describe it; -1: the stage has no model. */
int bd_stage_model_root(const bd_dag *d, int stage);

/* bd_stage_schedule -- the noise schedule of a stage's model; caller frees with bd_schedule_clear.
 *   errors   as bd_stage_unet */
BD_MUST_CHECK bd_status bd_stage_schedule(bd_schedule *out, const bd_dag *d, int stage);

/* bd_stage_unet -- the network of a stage's model; of an import, what its folder says where that is there.
 *   errors   BD_E_ARG: it has none, or those of bd_recipe_unet */
BD_MUST_CHECK bd_status bd_stage_unet(bd_unet_config *out, const bd_dag *d, int stage);

/* bd_stage_micros -- micro-batches that a training stage makes itself: not those of an earlier part that it goes on from. */
int64_t bd_stage_micros(const bd_dag *d, const bd_stage *s, const bd_loop_shape *shape);

#endif
