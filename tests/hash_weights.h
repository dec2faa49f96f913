/* Weights and inputs made of a hash of their name: what the reference numbers of the networks were
 * computed with. */
#ifndef TESTS_HASH_WEIGHTS_H
#define TESTS_HASH_WEIGHTS_H

#include <stddef.h>

#include "nn/params.h"

/* scale * r_i of the name, i = 0 .. n-1, r in [-1,1) */
void hash_values(float *out, size_t n, const char *name, double scale);

/* middle + scale * r_i */
void hash_values_around(float *out, size_t n, const char *name, double middle, double scale);

/* All parameters by the rules for norms, weights and biases; hashed under their old names. */
void hash_weights(bd_params *p);

/* The old name of a parameter: query, key, value, proj_attn. */
void old_name(char out[128], const char *name);

/* Images [N,C,H,W] <-> [N,H,W,C]. */
void nchw_to_nhwc(float *out, const float *in, int n, int c, int h, int w);
void nhwc_to_nchw(float *out, const float *in, int n, int c, int h, int w);

#endif
