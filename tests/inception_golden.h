/* Inception-v3 with hash weights on any backend, against reference numbers of every stage. */
#ifndef TESTS_INCEPTION_GOLDEN_H
#define TESTS_INCEPTION_GOLDEN_H

#include <jansson.h>

#include "graph/backend.h"
#include "nn/inception.h"

enum {
    INCEPTION_N = 2,
    INCEPTION_S = 32,
    INCEPTION_INPUT = BD_INCEPTION_SIZE * BD_INCEPTION_SIZE * 3
};

/* Two 32x32 pictures of bytes floor(256 u), [n][h][w][c] in [0,1]. */
void inception_pictures(float out[INCEPTION_N * INCEPTION_S * INCEPTION_S * 3]);

/* The reference numbers, tests/golden/inception_golden.json; caller's to json_decref. */
json_t *inception_golden(void);

/* Largest of the differences that the listed sum, norm and first values of [N,C,H,W] allow to see, as a share of
 * the norm. */
double inception_error(const float *nhwc, const int dim[4], const json_t *stats);

/* float32 sums of up to 3456 products in another order, batch norms folded or not: 1e-7 a stage was seen,
 * 2e-7 at the features; wrong pooling of one block shows at 1e-2 and more. */
#define INCEPTION_TOLERANCE 5e-6

/* inception_equals_the_reference -- every listed stage and the features, with the weights of hash_inception_save
 * (variance 1); a test fails when one is off by more than INCEPTION_TOLERANCE of its norm. */
void inception_equals_the_reference(const bd_backend *backend, const char *weights);

#endif
