/* Frechet distance between two sets of feature vectors. */
#ifndef BD_METRIC_FRECHET_H
#define BD_METRIC_FRECHET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Mean and covariance of a stream of feature rows. */
typedef struct bd_moments bd_moments;

/* bd_moments_create -- for rows of d features.
 *   errors   BD_E_SHAPE: d < 1; BD_E_MEMORY
 *   memory   caller frees with bd_moments_destroy; holds d*d + 2d + 64d doubles */
BD_MUST_CHECK bd_status bd_moments_create(bd_moments **out, int d);
void bd_moments_destroy(bd_moments *m); /* NULL allowed */

/* bd_moments_add -- append rows [n,d]. Rows are taken in fixed blocks of 64 whatever the calls:
 * the bits depend on the sequence of rows, not on how it was cut. Another order of rows changes
 * rounding only (about 1e-14 relative).
 *   source   Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1
 *   errors   BD_E_NUMERIC: a feature is not finite, with its row and column
 *   tested   tests/test_frechet.c */
BD_MUST_CHECK bd_status bd_moments_add(bd_moments *m, const float *rows, size_t n);

/* bd_moments_get -- mean [d] and covariance [d,d] with divisor n-1; either may be NULL.
 *   errors   BD_E_ARG: fewer than 2 rows */
BD_MUST_CHECK bd_status bd_moments_get(bd_moments *m, double *mean, double *cov);
int64_t bd_moments_count(const bd_moments *m);
int bd_moments_dim(const bd_moments *m);

/* bd_frechet_distance -- |mu_a - mu_b|^2 + tr A + tr B - 2 tr (A B)^(1/2), squared as FID is.
 * The trace is the sum of sqrt(max(0, eigenvalues of A^(1/2) B A^(1/2))): always real, also for
 * singular A, B.
 *   source   Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500, eq. 6
 *   units    squared feature; rounding may leave a tiny negative value for equal sets, it is not
 *            hidden
 *   errors   BD_E_SHAPE: different d; BD_E_ARG: fewer than 2 rows; BD_E_NUMERIC: LAPACK found no
 *            eigenvalues; BD_E_MEMORY
 *   memory   borrows both; scratch of 4 d*d doubles
 *   tested   tests/test_frechet.c */
BD_MUST_CHECK bd_status bd_frechet_distance(double *out, bd_moments *a, bd_moments *b);

/* The same in two parts, for many sets against one reference. mean [d], cov [d,d]. */
typedef struct bd_frechet bd_frechet;
BD_MUST_CHECK bd_status bd_frechet_create(bd_frechet **out, const double *mean, const double *cov,
                                          int d);
void bd_frechet_destroy(bd_frechet *f); /* NULL allowed */
/* not for two threads at once: f holds the scratch */
BD_MUST_CHECK bd_status bd_frechet_to(double *out, bd_frechet *f, const double *mean,
                                      const double *cov);

#endif
