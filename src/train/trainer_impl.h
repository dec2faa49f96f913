/* The tile graph of a diffusion training job; for src/train/ only. */
#ifndef BD_TRAIN_TRAINER_IMPL_H
#define BD_TRAIN_TRAINER_IMPL_H

#include "data/batch.h"
#include "train/trainer.h"

/* Tensors of a training tile; -1 where a job has none. */
typedef struct {
    int images, trigger, target;                          /* CONST */
    int index, flags, coef, key, timestep, label, weight; /* INPUT */
    int loss;
} bd_train_tensors;

typedef struct {
    bd_graph *graph;
    bd_train_tensors t;
    bd_batcher *batcher;
    const bd_backend *backend;
    const bd_dataset *data;
    const float *trigger, *target; /* NULL = nothing is poisoned */
} bd_train_job;

/* memory   the caller's struct; clear frees graph and batcher, an all-zero struct is fine */
void bd_train_job_clear(bd_train_job *j);

/* bd_train_job_diffusion -- a job of this spec with its graph, forward as far as the loss (t.loss), and its batcher.
 *   errors   BD_E_SHAPE, BD_E_ARG: parts of the spec do not fit together */
BD_MUST_CHECK bd_status bd_train_job_diffusion(bd_train_job *j, const bd_train_spec *spec);

/* bd_train_job_set_up, bd_train_job_fill -- bd_loop_job's functions; ctx is the job. */
BD_MUST_CHECK bd_status bd_train_job_set_up(void *ctx, bd_engine *engine);
BD_MUST_CHECK bd_status bd_train_job_fill(void *ctx, const bd_batch_place *at, const bd_view *v,
                                          uint8_t *poisoned);

#endif
