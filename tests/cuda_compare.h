/* Comparisons of kernel results as doubles; each fails the running test. */
#ifndef BD_CUDA_COMPARE_H
#define BD_CUDA_COMPARE_H

#include <stddef.h>

#include "graph/type.h"

/* compare_same -- the same numbers, signs of zeros included; a NaN equals a NaN. */
void compare_same(const char *label, const double *got, const double *want, size_t n);

/* compare_within -- |got - want| <= bound (> 0), element by element; no NaN, and no mostly zero oracle unless
 * zero_ok. */
void compare_within(const char *label, const double *got, const double *want, const double *bound,
                    size_t n, int zero_ok);

/* compare_bound -- what a result may differ by: float32 arithmetic wrong by `ops` roundings of numbers up to
 * `magnitude`, then one rounding of `want` to the type. */
double compare_bound(bd_type type, double want, double ops, double magnitude);

#endif
