/* Inception-v3 with weights made of a hash of their names: what its reference numbers were computed with. */
#ifndef TESTS_HASH_INCEPTION_H
#define TESTS_HASH_INCEPTION_H

#include "io/tensors.h"

enum { HASH_INCEPTION_TENSORS = 472 };

/* The tensors of the published file by tests/golden/keys_inception_fid.tsv, hash values; variances times `variance`.
 * At 1, as the reference numbers have it, each layer damps what tells images from each other by about 0.6; at 0.3 it
 * comes through. Ends the test when a file or memory fails. */
void hash_inception_make(bd_st_tensor tensors[HASH_INCEPTION_TENSORS], double variance);
void hash_inception_free(bd_st_tensor tensors[HASH_INCEPTION_TENSORS]);

/* They as a safetensors file, in a folder that is made. */
void hash_inception_save(const char *dir, const char *path, double variance);

#endif
