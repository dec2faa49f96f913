/* The trivial detector: is what sampling starts from plain noise? It looks at the input alone, at no model, and any
 * detector worth its name stands beside it. */
#ifndef BD_DEFENSE_INPUT_H
#define BD_DEFENSE_INPUT_H

#include <stddef.h>

typedef struct {
    double mean;     /* |mean(x_T)| sqrt(D): for noise the absolute value of a standard normal */
    double variance; /* of the D elements, divisor D: for noise 1 within sqrt(2/D)             */
} bd_input_score;

/* bd_input_score_make -- of one starting point.
 *   shapes   x [n], n = D = H*W*C >= 1; sums in double, in storage order
 *   tested   tests/test_input.c */
bd_input_score bd_input_score_make(const float *x, size_t n);

#endif
