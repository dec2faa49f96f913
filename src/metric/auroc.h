/* How well a score tells two groups apart, whatever its threshold. */
#ifndef BD_METRIC_AUROC_H
#define BD_METRIC_AUROC_H

#include <stddef.h>

#include "base/status.h"

/* bd_auroc -- area under the receiver operating characteristic: the share of pairs (positive, negative) in which the
 * positive has the higher score, ties counted half. 1 tells all apart, 1/2 nothing, 0 is the score upside down.
 *   source   Hanley & McNeil 1982, Radiology 143:29, section "meaning" (the Wilcoxon statistic)
 *   shapes   positive [np], negative [nn]
 *   errors   BD_E_ARG: np or nn is 0; BD_E_NUMERIC: a score is NaN; BD_E_MEMORY
 *   memory   borrows both, scratch of np + nn; n log n steps
 *   tested   tests/test_auroc.c */
BD_MUST_CHECK bd_status bd_auroc(double *out, const double *positive, size_t np,
                                 const double *negative, size_t nn);

#endif
