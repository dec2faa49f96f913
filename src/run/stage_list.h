/* stages.csv beside the result files: what was planned, what is finished, where and from what. */
#ifndef BD_RUN_STAGE_LIST_H
#define BD_RUN_STAGE_LIST_H

#include "run/plan.h"

/* bd_stage_list_save -- DIR/stages.csv: a row a stage of the plan, inputs before users, with its work and, where it is
 * finished, what DONE and manifest.ini say of how it was made (docs/results.md).
 *   errors   BD_E_FORMAT, BD_E_ARG: a stage's DONE, manifest.ini or result.csv is damaged; BD_E_IO
 *   tested   tests/test_report.sh */
BD_MUST_CHECK bd_status bd_stage_list_save(const bd_dag *d, const char *runs, const char *dir);

#endif
