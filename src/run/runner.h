/* Running the stages of a plan. */
#ifndef BD_RUN_RUNNER_H
#define BD_RUN_RUNNER_H

#include <signal.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "graph/backend.h"
#include "run/plan.h"

enum { BD_RUNNER_DATASETS = 2 };

typedef struct {
    const bd_dag *dag;
    const char *runs; /* folder of the stages */
    const bd_backend
        *backend; /* of stages on the CPU; the others open their device (run/device.h) */
    bd_pool *pool;
    int threads; /* for the record only */
    const volatile sig_atomic_t *stop;
    /* the data sets used last; start all-zero */
    struct {
        char id[65];
        bd_dataset data;
    } loaded[BD_RUNNER_DATASETS];
    int next;
} bd_runner;

/* bd_runner_run -- run every stage that is not finished, or (only >= 0) one stage and the inputs it
 * lacks. A stage that fails is reported, those that need it are left out, the others still run.
 *   errors   that of the first stage that failed; BD_E_INTERRUPT: stopped, state saved
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_runner_run(bd_runner *r, int only);
/* bd_dag_needed -- which stages a run has to look at: all (only < 0), or one and the inputs it lacks.
 *   shapes   needed [d->n_stages] */
void bd_dag_needed(bool *needed, const bd_dag *d, const char *runs, int only);
void bd_runner_clear(bd_runner *r); /* frees what it loaded, nothing it was given */

/* bd_stage_describe -- "box14 -> hat, rate 0.5, from pretrained" ... for people. */
void bd_stage_describe(char *out, size_t size, const bd_dag *d, int stage);

#endif
