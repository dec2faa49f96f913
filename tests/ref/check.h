/* What the tests of operations share: repeatable inputs and comparisons that cannot pass by accident. */
#ifndef BD_REF_CHECK_H
#define BD_REF_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ref_fill -- n numbers of roughly unit variance in (-1.8, 1.8), a function of the seed only; float-exact. */
void ref_fill(double *out, size_t n, uint64_t seed);
void ref_fill_f32(float *out, size_t n, uint64_t seed);

/* ref_near -- is every |got - want| <= tol? Prints the worst element when not.
 * Fails on NaN or infinity on either side, and on a mostly zero oracle (fewer than a quarter of the elements
 * differ from 0) unless zero_ok says that the zeros are by construction. */
bool ref_near(const char *label, const double *got, const double *want, size_t n, double tol,
              bool zero_ok);

double ref_max_abs(const double *x, size_t n);

#endif
