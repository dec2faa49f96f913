/* The update of a job whose trained values are not the network's weights but make them (bd_loop_map); for src/train/
 * only. */
#ifndef BD_TRAIN_MAPPED_H
#define BD_TRAIN_MAPPED_H

#include "train/loop.h"

/* What such a job holds on the host beside its trained values. All zero: the job has no map. */
typedef struct {
    bd_params net, net_grad; /* weights and their gradient, shaped as the graph's */
    bd_params grad;          /* gradient of the trained values                    */
} bd_mapped;

/* memory   caller frees with bd_mapped_clear; all-zero without a map */
BD_MUST_CHECK bd_status bd_mapped_init(bd_mapped *x, const bd_loop_job *job);
void bd_mapped_clear(bd_mapped *x);

/* bd_mapped_push -- make the network's weights and put them on the device. */
BD_MUST_CHECK bd_status bd_mapped_push(bd_mapped *x, const bd_loop_job *job, bd_engine *e);

/* bd_mapped_step -- one Adam step of the trained values with moments m and v on the gradients that the engine
 * holds, then bd_mapped_push.
 *   source   as bd_adam, in the order of operations of the CPU's kernel
 *   errors   BD_E_NUMERIC: the gradient is not finite, values and moments are as before; *norm says what it is
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_mapped_step(bd_mapped *x, const bd_loop_job *job, bd_engine *e,
                                       const bd_adam *adam, bd_params *m, bd_params *v,
                                       double *norm);

#endif
