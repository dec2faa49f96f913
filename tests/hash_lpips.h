/* LPIPS with weights made of a hash of their names: what its reference numbers were computed with. A test fails when a
 * file cannot be written. */
#ifndef TESTS_HASH_LPIPS_H
#define TESTS_HASH_LPIPS_H

#include "io/safetensors.h"
#include "nn/lpips.h"

/* AlexNet's features, and a layer of the classifier that nobody wants; the linear heads. */
void hash_lpips_alexnet(const char *path);
void hash_lpips_heads(const char *path);

/* The tensors of the heads, with room of the caller's. */
void hash_lpips_make_heads(bd_st_tensor t[BD_LPIPS_LAYERS], char names[BD_LPIPS_LAYERS][32],
                           float data[BD_LPIPS_LAYERS][BD_LPIPS_CHANNELS]);

#endif
