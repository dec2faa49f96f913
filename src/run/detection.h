/* How well scores tell backdoored models from clean ones: a table beside the result file of a recipe that defends; for
 * src/run/ only. */
#ifndef BD_RUN_DETECTION_H
#define BD_RUN_DETECTION_H

#include "run/plan.h"
#include "run/table.h"

/* bd_detection_table -- rows for each group of finished cells that differ in nothing but the poison rate, how they
 * were trained, and the seed: first the trivial detector on the sampler's starting points, then the scores of the
 * neuron perturbation, its AUROC empty where there is no backdoored or no clean model. None for other recipes.
 *   errors   BD_E_FORMAT: a stage's result file is damaged; BD_E_IO
 *   tested   tests/test_anp.sh */
BD_MUST_CHECK bd_status bd_detection_table(bd_table *t, const bd_dag *d, int file,
                                           const char *runs);

#endif
