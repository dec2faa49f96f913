/* Few runs, a published number: quantiles, intervals and corrections for many comparisons. */
#ifndef BD_METRIC_INFERENCE_H
#define BD_METRIC_INFERENCE_H

#include "base/status.h"

/* bd_student_p -- chance that |T| is at least |t|, T of Student's distribution with df > 0 degrees of freedom.
 *     I_x(df/2, 1/2), x = df / (df + t^2)
 *   source   Abramowitz & Stegun 26.7.1
 *   tested   tests/test_inference.c */
double bd_student_p(double t, double df);

/* bd_student_quantile -- t with P(T <= t) = p, 0 < p < 1; 12.706 at p = 0.975, df = 1.
 *   tested   tests/test_inference.c */
double bd_student_quantile(double p, double df);

/* bd_normal_p -- chance that a standard normal number lies at least |z| from 0. */
double bd_normal_p(double z);
/* bd_normal_quantile -- z with P(Z <= z) = p, 0 < p < 1. */
double bd_normal_quantile(double p);

/* bd_wilson -- score interval of a proportion; z standard errors, 1.96 for 95 %.
 *   source   Wilson 1927, J. Am. Stat. Assoc. 22:209
 *   units    0 <= successes <= trials, trials > 0; both may be fractions
 *   tested   tests/test_inference.c */
void bd_wilson(double *lo, double *hi, double successes, double trials, double z);

/* bd_newcombe_p -- chance of two proportions as far apart as a and b of n_a and n_b trials, if they are of one
 * rate: the level at which Newcombe's interval of a - b, built on two Wilson intervals, just reaches 0.
 *   source   Newcombe 1998, Stat. Med. 17:873, method 10
 *   tested   tests/test_inference.c */
double bd_newcombe_p(double a, double n_a, double b, double n_b);

/* bd_holm -- p[n] as they count when n questions are asked at once: the chance that any true one is called false is
 * at most the level they are compared with, however they depend on each other.
 *   source   Holm 1979, Scand. J. Stat. 6:65
 *   shapes   p, adjusted [n]; no NaN
 *   memory   adjusted is not p
 *   tested   tests/test_inference.c */
void bd_holm(double *adjusted, const double *p, int n);

#endif
