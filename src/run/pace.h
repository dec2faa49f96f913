/* How long a step of a network takes on this machine: a few steps are run and timed, and kept in a file. */
#ifndef BD_RUN_PACE_H
#define BD_RUN_PACE_H

#include <signal.h>
#include <stdbool.h>

#include "base/pool.h"
#include "diffusion/sampler.h"
#include "graph/backend.h"
#include "nn/unet.h"

#define BD_PACE_FILE "calibration.csv"

/* What decides how long a step takes. A step is an optimiser step of `batch` images, or in sampling one network
 * evaluation of the `batch` images that run at the same time. */
typedef struct {
    bd_unet_config unet;
    bool training;
    int tile, batch, micro_batch; /* micro_batch: 0 = batch; sampling: 0 */
    int history;                  /* slots of the sampler; training: 0   */
    char device[16], precision[8];
} bd_workload;

bool bd_workload_same(const bd_workload *a, const bd_workload *b);

typedef struct {
    double setup; /* seconds before the first step: compiling, first touch */
    double step;  /* seconds of a step                                     */
} bd_pace;

/* bd_pace_measure -- run the workload as a stage would, on made-up images and weights: about 5 steps and, where they
 * are short, a second.
 *   errors   those of bd_train and bd_sample; BD_E_INTERRUPT: *stop
 *   tested   tests/test_price.sh */
BD_MUST_CHECK bd_status bd_pace_measure(bd_pace *out, const bd_workload *w,
                                        const bd_backend *backend, bd_pool *pool,
                                        const volatile sig_atomic_t *stop);

/* Paces by machine, numerics fingerprint, workload and threads. */
typedef struct bd_pace_table bd_pace_table;

/* bd_pace_table_load -- RUNS/calibration.csv; a file that is not there, or not such a file, gives an empty table (the
 * latter with a warning: it will be written anew).
 *   memory   caller frees with bd_pace_table_destroy; machine (bd_machine_label) is copied */
BD_MUST_CHECK bd_status bd_pace_table_load(bd_pace_table **out, const char *runs,
                                           const char *machine);
void bd_pace_table_destroy(bd_pace_table *t); /* NULL allowed */
/* bd_pace_table_find -- false: not measured on this machine yet. */
bool bd_pace_table_find(bd_pace *out, const bd_pace_table *t, const bd_workload *w,
                        const char *fingerprint, int threads);
BD_MUST_CHECK bd_status bd_pace_table_add(bd_pace_table *t, const bd_workload *w,
                                          const char *fingerprint, int threads, const bd_pace *p);
/* bd_pace_table_save -- write the file, whole or not at all, when something was added; makes the folder. */
BD_MUST_CHECK bd_status bd_pace_table_save(const bd_pace_table *t);

#endif
