/* Mean and covariance of the features of a set of images: all that a Frechet distance needs to know of it. */
#ifndef BD_METRIC_STATISTICS_H
#define BD_METRIC_STATISTICS_H

#include <stdint.h>

#include "metric/frechet.h"

typedef struct {
    int d;              /* features                                             */
    int64_t n;          /* images                                               */
    double *mean, *cov; /* [d]; [d,d], symmetric, divisor n-1; one allocation  */
} bd_statistics;

/* bd_statistics_from -- the rows that m has seen.
 *   errors   BD_E_ARG: fewer than 2; BD_E_MEMORY
 *   memory   caller frees with bd_statistics_clear
 *   tested   tests/test_statistics.c */
BD_MUST_CHECK bd_status bd_statistics_from(bd_statistics *out, const bd_moments *m);
void bd_statistics_clear(bd_statistics *s); /* an all-zero struct is fine */

/* bd_statistics_save -- a safetensors file, written atomically: mean F64 [d], covariance F64 [d (d+1) / 2] (row i
 * from its diagonal on), and in the metadata n, definition and the SHA-256 of both tensors. definition: one line
 * that says whose statistics they are and what they depend on.
 *   errors   BD_E_IO, BD_E_MISSING: no such folder */
BD_MUST_CHECK bd_status bd_statistics_save(const bd_statistics *s, const char *path,
                                           const char *definition);

/* bd_statistics_load -- read them back, bit for bit.
 *   errors   BD_E_MISSING: not there; BD_E_FORMAT: damaged (the sum does not fit, nothing is believed), or of
 *            another definition (NULL: any will do); the text says which
 *   memory   caller frees with bd_statistics_clear
 *   tested   tests/test_statistics.c */
BD_MUST_CHECK bd_status bd_statistics_load(bd_statistics *out, const char *path,
                                           const char *definition);

/* bd_statistics_distance -- the Frechet distance of two sets (bd_frechet_distance).
 *   errors   BD_E_SHAPE: different d; those of bd_frechet_create and bd_frechet_to
 *   memory   borrows both; scratch of 3 d*d doubles
 *   tested   tests/test_statistics.c */
BD_MUST_CHECK bd_status bd_statistics_distance(double *out, const bd_statistics *a,
                                               const bd_statistics *b);

#endif
