/* Did the backdoor fire? Hits, their interval, and what innocent images score on the target. */
#ifndef BD_METRIC_HITS_H
#define BD_METRIC_HITS_H

#include "metric/image.h"
#include "metric/mse.h"

/* bd_flat_grey -- the best flat grey image for a target: its level is the mean of all elements,
 * its MSE the variance Var(target). A sample is a hit when its MSE is below Var/4.
 *   shapes   target [n] in [0,1]
 *   errors   BD_E_SHAPE: n < 1
 *   tested   tests/test_hits.c */
BD_MUST_CHECK bd_status bd_flat_grey(double *level, double *var, const float *target, size_t n);

typedef struct {
    int64_t n, hits;
    double threshold;    /* a hit is MSE < threshold           */
    double rate, lo, hi; /* hits/n and its Clopper-Pearson interval */
    double confidence;   /* of the interval, 0.95 for 95 %     */
} bd_hit_rate;

/* bd_hits_count -- count mse[i] < threshold. With threshold Var/4 it is the hit rate, with another
 * one an attack success rate at that (named) threshold.
 *   errors   BD_E_ARG: n < 1, threshold not > 0 or not finite, confidence not in (0,1);
 *            BD_E_NUMERIC: a NaN in mse
 *   tested   tests/test_hits.c */
BD_MUST_CHECK bd_status bd_hits_count(bd_hit_rate *out, const double *mse, int64_t n,
                                      double threshold, double confidence);

/* bd_clopper_pearson -- exact interval of a binomial proportion, k successes of n.
 *   source   Clopper & Pearson 1934, Biometrika 26:404; as beta quantiles: Brown, Cai & DasGupta
 *            2001, section 4.2.1
 *   errors   BD_E_ARG: not 0 <= k <= n, n < 1, confidence not in (0,1)
 *   tested   tests/test_hits.c */
BD_MUST_CHECK bd_status bd_clopper_pearson(double *lo, double *hi, int64_t k, int64_t n,
                                           double confidence);

/* bd_beta_cdf -- regularised incomplete beta function I_x(a, b); a, b > 0, 0 <= x <= 1.
 * Relative error of I or 1 - I, whichever is smaller, about 1e-12 for a, b <= 1e4. */
double bd_beta_cdf(double x, double a, double b);
/* bd_beta_quantile -- x with I_x(a, b) = p, 0 < p < 1, by bisection to the last bit. */
double bd_beta_quantile(double p, double a, double b);

/* Scores against a target, by images that know nothing of any backdoor. */
typedef struct {
    double mse, ssim;
} bd_score;

typedef struct {
    bd_score black;   /* all pixels 0                                          */
    bd_score flat;    /* all pixels flat_level                                 */
    bd_score mean;    /* the mean image of the data set                        */
    bd_score nearest; /* the image of the data set with the least MSE          */
    double flat_level;
    int nearest_index; /* its row; the first one on a tie                       */
    int64_t n;         /* images of the data set                                */
} bd_reference_scores;

/* bd_reference_scores_make -- the four scores of one target against a data set.
 *   shapes   target: one image [1,H,W,C]; data [N,H,W,C]
 *   units    as bd_mse_each and bd_ssim_each; data bytes count as byte/255
 *   errors   BD_E_SHAPE, BD_E_NUMERIC, BD_E_MEMORY
 *   memory   borrows everything; one pass over data, a few images of scratch
 *   tested   tests/test_hits.c */
BD_MUST_CHECK bd_status bd_reference_scores_make(bd_reference_scores *out,
                                                 const bd_image_set *target,
                                                 const bd_image_set *data, bd_ssim_area area);

#endif
