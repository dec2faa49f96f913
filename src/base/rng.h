/* Counter-based random numbers: a pure function of (seed, stream, index, step, position). */
#ifndef BD_BASE_RNG_H
#define BD_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    BD_STREAM_INIT = 0,      /* index = parameter number                       */
    BD_STREAM_SPLIT = 1,     /* poisoned/clean split                           */
    BD_STREAM_SHUFFLE = 2,   /* index = epoch                                  */
    BD_STREAM_FLIP = 3,      /* index = epoch, position = place in the epoch   */
    BD_STREAM_TIMESTEP = 4,  /* index = place in the batch, step = optimiser step */
    BD_STREAM_NOISE = 5,     /* index = place in the batch, step = optimiser step */
    BD_STREAM_PRIOR = 6,     /* index = sample number                          */
    BD_STREAM_SAMPLER = 7,   /* index = sample number, step = sampler step     */
    BD_STREAM_BOOTSTRAP = 8, /* index = replicate                             */
    BD_STREAM_CORRUPT = 9    /* index = sample number                         */
} bd_stream;

typedef struct {
    uint64_t seed;
    uint32_t stream, index, step;
} bd_rng_key;

/* bd_philox4x32 -- ten rounds of Philox4x32.
 *   source   Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC'11)
 *   tested   tests/test_rng.c against the published Random123 known answers */
void bd_philox4x32(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]);

/* Word k of a key is word k%4 of the block with counter
 * {block = k/4, step, index, stream} and Philox key {seed low, seed high}. */

/* bd_rng_bits -- words first .. first+n-1 of the key's sequence. */
void bd_rng_bits(uint32_t *out, size_t n, bd_rng_key k, size_t first);

/* bd_rng_below -- one integer in 0..bound-1 from word `position` (and its successors when the
 * multiply-shift rejection asks for another, so neighbouring positions may share a word then); bound >= 1. */
uint32_t bd_rng_below(bd_rng_key k, uint32_t position, uint32_t bound);

/* bd_rng_uniform -- n floats in [0,1), 24-bit exact scaling, words first .. */
void bd_rng_uniform(float *out, size_t n, bd_rng_key k);

/* bd_rng_normal -- n standard normals, Box-Muller over word pairs with the polynomials of
 * base/mathfn.h: normals 2i, 2i+1 come from words a = 2i, b = 2i+1. Same bits on every machine.
 *     u = ((a >> 8) + 1) / 2^24 in (0, 1],  v = (b >> 8) / 2^24,  r = sqrt(-2 log u)
 *     normal 2i = r cos(2 pi v),  normal 2i+1 = r sin(2 pi v);  magnitude at most 5.77
 *   source   Box & Muller 1958, "A note on the generation of random normal deviates"
 *   tested   tests/test_rng.c */
void bd_rng_normal(float *out, size_t n, bd_rng_key k);

/* bd_rng_normal_nhwc -- the H*W*C normals of one image, drawn in logical order (C, H, W) and stored
 * as [H,W,C]: the image does not depend on the memory layout. scratch: C*H*W floats, unused when C = 1. */
void bd_rng_normal_nhwc(float *out, int h, int w, int c, bd_rng_key k, float *scratch);

/* bd_rng_permutation -- Fisher-Yates permutation of 0..n-1; unbiased. */
void bd_rng_permutation(uint32_t *perm, uint32_t n, bd_rng_key k);

#endif
