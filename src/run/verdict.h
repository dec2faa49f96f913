/* Words for what results say of a number or claim, and how they are found; nothing here reads a file
 * (docs/verdicts.md). */
#ifndef BD_RUN_VERDICT_H
#define BD_RUN_VERDICT_H

#include <stdbool.h>

#include "base/status.h"

typedef enum {
    /* of a band */
    BD_PASS,
    BD_FAIL,
    BD_UNDERPOWERED, /* of numbers and claims too: neither shown nor refuted */
    BD_REPORTED,
    BD_MISSING, /* of numbers too: not run */
    /* of a number of the paper */
    BD_IDENTICAL,
    BD_REPRODUCED,
    BD_CONSISTENT,
    BD_DEVIATES,
    BD_NOT_COMPARABLE,
    BD_NO_PAPER_VALUE,
    /* of a claim */
    BD_HOLDS,
    BD_DOES_NOT_HOLD,
    BD_NOT_TESTED
} bd_outcome;

const char *bd_outcome_name(bd_outcome o); /* "NOT COMPARABLE" */

/* On which scale numbers are compared. */
typedef enum {
    BD_SCALE_LINEAR,
    BD_SCALE_LOG10, /* of an MSE; below BD_MSE_FLOOR all are one */
    BD_SCALE_RATE   /* shares of n samples */
} bd_scale;

/* MSE that rounding to 8 bits alone makes: 1/(12 * 255^2). */
#define BD_MSE_FLOOR (1.0 / (12 * 255.0 * 255.0))

/* A number as the paper has it. */
typedef struct {
    double value;     /* NaN: it is not known                                              */
    double half_unit; /* it was rounded to a multiple of twice that                         */
    int runs;         /* the mean of that many                                              */
    bool secondary;   /* read elsewhere than in the paper                                   */
    bd_scale scale;
    double
        effect; /* widest interval (half of it) that still tells something; units, decades, share */
    double n;   /* samples a run, of a rate */
} bd_paper_number;

typedef struct {
    int seeds;
    double ours;   /* their mean                                                   */
    double lo, hi; /* where the paper's number is expected (95 %); NaN: fewer than 2 seeds */
    double half;   /* half its width, on the scale                                 */
    double
        p; /* chance of a difference this large or larger; NaN: no interval or no paper's number */
} bd_comparison;

/* bd_compare -- the prediction interval of a mean of m further runs, given ours [seeds], widened by rounding:
 *     mean +- t(K-1, 0.975) s sqrt(1/K + 1/m);  of a rate, what is wider of this and Newcombe's interval.
 *   source   Hahn 1969, J. Am. Stat. Assoc. 64:878, eq. 7 (mean of m future observations); Newcombe 1998
 *   shapes   ours [seeds], seeds >= 0
 *   tested   tests/test_verdict.c */
void bd_compare(bd_comparison *out, const bd_paper_number *paper, const double *ours, int seeds);

/* bd_compare_outcome -- the word; p_adjusted: p after Holm's correction over all numbers that are compared. DEVIATES needs
 * p_adjusted < 0.05. UNDERPOWERED: fewer than 2 seeds, or the interval is wider than the effect. Otherwise CONSISTENT when the
 * number is secondary, or outside its own interval and not after the correction; else REPRODUCED.
 *   tested   tests/test_verdict.c */
bd_outcome bd_compare_outcome(const bd_paper_number *paper, const bd_comparison *c,
                              double p_adjusted);

/* bd_half_unit -- half a unit of the last digit printed: 0.005 of "8.53", 5e-08 of "1.19e-5", 0.5 of "10".
 *   errors   BD_E_FORMAT: not a number
 *   tested   tests/test_verdict.c */
BD_MUST_CHECK bd_status bd_half_unit(double *out, const char *printed);

/* bd_claim_outcome -- of a relation that holds by `margin` on all seeds together and by margins [seeds] on each:
 * their t interval decides (HOLDS, DOES NOT HOLD, UNDERPOWERED where it has both), of one seed the number alone.
 * strict: 0 does not hold. lo, hi: the interval about margin, NaN for fewer than 2 seeds.
 *   tested   tests/test_verdict.c */
bd_outcome bd_claim_outcome(double *lo, double *hi, double margin, bool strict,
                            const double *margins, int seeds);

#endif
