/* Pictures of a recipe's cells; for src/run/ only. */
#ifndef BD_RUN_MONTAGE_H
#define BD_RUN_MONTAGE_H

#include "run/plan.h"

/* bd_cell_done -- are all its stages finished? */
bool bd_cell_done(const bd_dag *d, const bd_cell *c, const char *runs);

/* bd_montage -- DIR/grids/<recipe>.png, everything twice as large, in the order of the result file's rows.
 * Of models: a row a finished cell, eight clean samples, a gap, eight triggered ones. Of a gallery: a row
 * a trigger, the trigger first, then its targets. Nothing for a classifier, nor for models that
 * bd_montage_left_out speaks of: an older sheet is removed.
 *   tested   tests/test_smoke.sh, tests/test_plan.c */
BD_MUST_CHECK bd_status bd_montage(const bd_dag *d, int file, const char *runs, const char *dir);

/* bd_montage_left_out -- whether models of the recipe learnt pictures of people (bd_dataset_of_people): their samples
 * resemble them and are not shown. */
bool bd_montage_left_out(const bd_dag *d, int file);

#endif
