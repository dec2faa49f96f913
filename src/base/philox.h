/* The arithmetic of base/rng.h for one counter: Philox4x32-10 and Box-Muller. Here so that rng.c and the CUDA
 * kernels share it; everybody else calls base/rng.h.
 *   tested   tests/test_rng.c, and on the kernels' side tests/test_cuda_batch.c */
#ifndef BD_BASE_PHILOX_H
#define BD_BASE_PHILOX_H

#include <math.h>
#include <stdint.h>

#include "base/mathfn.h"

enum { BD_PHILOX_ROUNDS = 10 };

/* What is added to the two words of the key after each round. */
#define BD_PHILOX_W0 0x9E3779B9u
#define BD_PHILOX_W1 0xBB67AE85u

/* One round. The four words of the counter may lie anywhere: rng.c holds many counters as an array a word. */
BD_INLINE void bd_philox_round(uint32_t *x0, uint32_t *x1, uint32_t *x2, uint32_t *x3, uint32_t k0,
                               uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * *x0;
    uint64_t p1 = (uint64_t)0xCD9E8D57u * *x2;
    *x0 = (uint32_t)(p1 >> 32) ^ *x1 ^ k0;
    *x1 = (uint32_t)p1;
    *x2 = (uint32_t)(p0 >> 32) ^ *x3 ^ k1;
    *x3 = (uint32_t)p0;
}

/* The block of a counter, in its place. */
BD_INLINE void bd_philox_block(uint32_t x[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < BD_PHILOX_ROUNDS; round++) {
        bd_philox_round(&x[0], &x[1], &x[2], &x[3], k0, k1);
        k0 += BD_PHILOX_W0;
        k1 += BD_PHILOX_W1;
    }
}

/* Two normals of two words. The radius takes (word >> 8) + 1 in units of 2^-24, a number in (0, 1] that float holds
 * exactly, so the logarithm never sees 0; the angle takes word >> 8 in units of 2^-24 of a turn.
 * The largest normal is sqrt(2 * 24 * ln 2) = 5.77. */
BD_INLINE void bd_box_muller(float *cosine, float *sine, uint32_t word0, uint32_t word1) {
    float u = (float)(int32_t)((word0 >> 8) + 1u) * 0x1p-24f;
    float turn = (float)(int32_t)(word1 >> 8) * 0x1p-24f;
    float radius = sqrtf(-2.0f * bd_logf(u));
    float s, c;
    bd_sincos_2pi(turn, &s, &c);
    *cosine = radius * c;
    *sine = radius * s;
}

#endif
