/* Reference numbers of whole networks: tests/golden/unet_golden.json (PyTorch, weights by hash). */
#ifndef TESTS_GOLDEN_NET_H
#define TESTS_GOLDEN_NET_H

#include <jansson.h>
#include <stddef.h>

#include "nn/unet.h"

/* The file; NULL when it cannot be read. Caller frees with json_decref. */
json_t *golden_net_load(void);

/* The configuration of "tinyA", "tinyB" or "cifar"; a test fails when it cannot be read. */
void golden_net_config(bd_unet_config *c, const json_t *doc, const char *net);

/* A lower bound of |a - r| / max(|r|, floor), where of r only sum, sum of absolute values, L2 norm, the
 * first and the last few values are known. In NCHW or checkpoint order. NaN when a holds one. */
double golden_net_error(const float *a, size_t n, const json_t *stats, double floor);

/* Exactly that error against a .f32 file of n values; NaN when the file is not of that size. */
double golden_net_file_error(const float *a, size_t n, const char *path);

#endif
