/* How sure is a ratio of Frechet distances? */
#ifndef BD_METRIC_BOOTSTRAP_H
#define BD_METRIC_BOOTSTRAP_H

#include <stdint.h>

#include "base/status.h"

/* Features of images, rows of d floats. */
typedef struct {
    const float *a;     /* [n,d] of the model in question                      */
    const float *b;     /* [n,d] of the control, row i from the same noise as a's */
    const float *floor; /* [n,d] of n held-out real images                     */
    const float *ref;   /* [n_ref,d] of the reference images, not resampled    */
    int n, n_ref, d;
} bd_fcd_features;

typedef struct {
    double fcd_a, fcd_b, fcd_floor; /* distances to ref                    */
    double ratio;                   /* (fcd_a - floor) / (fcd_b - floor)   */
    double lo, hi, confidence;      /* percentile interval of the ratio    */
    int n, replicates;
    int unbounded; /* replicates with fcd_b <= floor; their ratio counts as +infinity */
} bd_fcd_ratio;

/* bd_fcd_ratio_bootstrap -- the ratio and its bootstrap percentile interval. A replicate draws n
 * rows with replacement, the same rows of a and b (they share their noise) and others of floor;
 * the reference stays. One n for all three, because the bias of a Frechet distance depends on n
 * and has to cancel.
 *   source   Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3
 *   units    none; the draw is a pure function of (seed, replicate): stream BOOTSTRAP, index =
 *            replicate
 *   errors   BD_E_SHAPE: n or n_ref < 2, d < 1; BD_E_ARG: confidence not in (0,1), or fewer
 *            replicates than 2/(1-confidence) - 1, so that no order statistic is left for an end;
 *            BD_E_NUMERIC; BD_E_MEMORY
 *   memory   borrows f; scratch of n rows of numbers and a few d*d
 *   tested   tests/test_bootstrap.c */
BD_MUST_CHECK bd_status bd_fcd_ratio_bootstrap(bd_fcd_ratio *out, const bd_fcd_features *f,
                                               int replicates, double confidence, uint64_t seed);

typedef enum { BD_VERDICT_PASS, BD_VERDICT_FAIL, BD_VERDICT_UNDERPOWERED } bd_verdict;

/* bd_verdict_at_most -- is a quantity <= bound? PASS: hi <= bound; FAIL: lo > bound; otherwise the
 * interval straddles the bound (or is not a number): UNDERPOWERED. */
bd_verdict bd_verdict_at_most(double lo, double hi, double bound);
const char *bd_verdict_name(bd_verdict v);

#endif
