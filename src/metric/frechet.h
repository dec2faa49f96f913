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
 *   memory   caller frees with bd_moments_destroy; holds d*d + 66 d doubles */
BD_MUST_CHECK bd_status bd_moments_create(bd_moments **out, int d);
void bd_moments_destroy(bd_moments *m); /* NULL allowed */

/* bd_moments_add -- append rows [n,d]. Rows are taken in fixed blocks of 64 whatever the calls:
 * the bits depend on the sequence of rows, not on how it was cut. Another order of rows changes
 * rounding only (about 1e-14 relative).
 *   source   Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance"
 *   errors   BD_E_NUMERIC: a feature is not finite, with its row and column
 *   tested   tests/test_frechet.c */
BD_MUST_CHECK bd_status bd_moments_add(bd_moments *m, const float *rows, size_t n);

void bd_moments_reset(bd_moments *m); /* forget all rows */

/* bd_moments_get -- mean [d] and covariance [d,d] with divisor n-1; more rows may follow.
 *   errors   BD_E_ARG: fewer than 2 rows; BD_E_MEMORY */
BD_MUST_CHECK bd_status bd_moments_get(const bd_moments *m, double *mean, double *cov);
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
BD_MUST_CHECK bd_status bd_frechet_distance(double *out, const bd_moments *a, const bd_moments *b);

/* bd_frechet_rows -- the distance of two sets of rows, a [na,d] and b [nb,d].
 *   errors   as bd_moments_add and bd_frechet_distance
 *   tested   tests/test_frechet.c */
BD_MUST_CHECK bd_status bd_frechet_rows(double *out, const float *a, size_t na, const float *b,
                                        size_t nb, int d);

/* The same in two parts, for many sets against one reference. mean [d], cov [d,d] symmetric. */
typedef struct bd_frechet bd_frechet;

/* bd_frechet_create -- the reference; copies what it needs.
 *   errors   BD_E_NUMERIC: not finite, or LAPACK found no eigenvalues; BD_E_MEMORY
 *   memory   caller frees with bd_frechet_destroy; holds 3 d*d + 2d doubles */
BD_MUST_CHECK bd_status bd_frechet_create(bd_frechet **out, const double *mean, const double *cov,
                                          int d);
void bd_frechet_destroy(bd_frechet *f); /* NULL allowed */

/* bd_frechet_to -- the distance of one set. f holds the scratch: one thread at a time. */
BD_MUST_CHECK bd_status bd_frechet_to(double *out, bd_frechet *f, const double *mean,
                                      const double *cov);

/* bd_frechet_library -- the linear algebra behind it, with its version and processor kernel: on
 * these and the input the bits depend. It is used with one thread. Static text. */
const char *bd_frechet_library(void);

#endif
