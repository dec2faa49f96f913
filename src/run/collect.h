/* From finished stages to result files. */
#ifndef BD_RUN_COLLECT_H
#define BD_RUN_COLLECT_H

#include "graph/backend.h"
#include "run/plan.h"

typedef struct {
    int rows, cells; /* finished ones, and all of the recipe */
} bd_collected;

/* bd_collect -- write OUT/<recipe>.csv (docs/results.md) and the picture OUT/grids/<recipe>.png for recipe
 * `file` of a plan: one row, and one row of pictures (clean samples left, triggered ones right), for each
 * cell whose stages are all finished. Of neuron perturbations one row an epoch, with the samples before and after it,
 * and OUT/<recipe>-detection.csv. With no such cell nothing is written.
 *   errors   BD_E_FORMAT: a stage's result file is damaged; BD_E_IO
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_collect(bd_collected *out, const bd_dag *d, int file, const char *runs,
                                   const char *dir, const bd_backend *backend);

#endif
