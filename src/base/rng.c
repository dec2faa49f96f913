#include "base/rng.h"

#include <string.h>

#include "base/philox.h"

/* The generators work on LANES counters at once. The loops below are written so that the compiler vectorises
 * them; each is compiled for the baseline, AVX2 and AVX-512, and all three give the same bits (integers, and
 * base/mathfn.h). */
enum { LANES = 16, BLOCK_WORDS = 4 * LANES };

/* Structure of arrays: word w of counter j is w[w][j]. */
typedef struct {
    uint32_t w[4][LANES];
} lanes;

void bd_philox4x32(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]) {
    uint32_t x[4] = {ctr[0], ctr[1], ctr[2], ctr[3]};
    bd_philox_block(x, key[0], key[1]);
    memcpy(out, x, sizeof x);
}

/* Blocks first .. first+LANES-1 of the key's sequence. */
BD_INLINE void philox_lanes(lanes *x, bd_rng_key k, uint32_t first) {
    uint32_t k0 = (uint32_t)k.seed, k1 = (uint32_t)(k.seed >> 32);
    for (uint32_t j = 0; j < LANES; j++) {
        x->w[0][j] = first + j;
        x->w[1][j] = k.step;
        x->w[2][j] = k.index;
        x->w[3][j] = k.stream;
    }
    for (int round = 0; round < BD_PHILOX_ROUNDS; round++) {
        for (int j = 0; j < LANES; j++)
            bd_philox_round(&x->w[0][j], &x->w[1][j], &x->w[2][j], &x->w[3][j], k0, k1);
        k0 += BD_PHILOX_W0;
        k1 += BD_PHILOX_W1;
    }
}

BD_INLINE void bits_block(uint32_t *out, bd_rng_key k, uint32_t block) {
    lanes x;
    philox_lanes(&x, k, block);
    for (int j = 0; j < LANES; j++) {
        out[4 * j] = x.w[0][j];
        out[4 * j + 1] = x.w[1][j];
        out[4 * j + 2] = x.w[2][j];
        out[4 * j + 3] = x.w[3][j];
    }
}

BD_INLINE void normal_block(float *out, bd_rng_key k, uint32_t block) {
    lanes x;
    float z[4][LANES];
    philox_lanes(&x, k, block);
    for (int j = 0; j < LANES; j++) {
        bd_box_muller(&z[0][j], &z[1][j], x.w[0][j], x.w[1][j]);
        bd_box_muller(&z[2][j], &z[3][j], x.w[2][j], x.w[3][j]);
    }
    for (int j = 0; j < LANES; j++) {
        out[4 * j] = z[0][j];
        out[4 * j + 1] = z[1][j];
        out[4 * j + 2] = z[2][j];
        out[4 * j + 3] = z[3][j];
    }
}

/* n_blocks groups of BLOCK_WORDS outputs, starting with counter `block`. */
BD_INLINE void bits_body(uint32_t *out, size_t n_blocks, bd_rng_key k, uint32_t block) {
    for (size_t i = 0; i < n_blocks; i++)
        bits_block(out + i * BLOCK_WORDS, k, block + (uint32_t)(i * LANES));
}

BD_INLINE void normal_body(float *out, size_t n_blocks, bd_rng_key k, uint32_t block) {
    for (size_t i = 0; i < n_blocks; i++)
        normal_block(out + i * BLOCK_WORDS, k, block + (uint32_t)(i * LANES));
}

static void bits_base(uint32_t *out, size_t n, bd_rng_key k, uint32_t block) {
    bits_body(out, n, k, block);
}
static void normal_base(float *out, size_t n, bd_rng_key k, uint32_t block) {
    normal_body(out, n, k, block);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))

AVX2 static void bits_avx2(uint32_t *out, size_t n, bd_rng_key k, uint32_t block) {
    bits_body(out, n, k, block);
}
AVX2 static void normal_avx2(float *out, size_t n, bd_rng_key k, uint32_t block) {
    normal_body(out, n, k, block);
}
AVX512 static void bits_avx512(uint32_t *out, size_t n, bd_rng_key k, uint32_t block) {
    bits_body(out, n, k, block);
}
AVX512 static void normal_avx512(float *out, size_t n, bd_rng_key k, uint32_t block) {
    normal_body(out, n, k, block);
}
#endif

static void bits_blocks(uint32_t *out, size_t n_blocks, bd_rng_key k, uint32_t block) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        bits_avx512(out, n_blocks, k, block);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        bits_avx2(out, n_blocks, k, block);
        return;
    }
#endif
    bits_base(out, n_blocks, k, block);
}

static void normal_blocks(float *out, size_t n_blocks, bd_rng_key k, uint32_t block) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        normal_avx512(out, n_blocks, k, block);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        normal_avx2(out, n_blocks, k, block);
        return;
    }
#endif
    normal_base(out, n_blocks, k, block);
}

void bd_rng_bits(uint32_t *out, size_t n, bd_rng_key k, size_t first) {
    uint32_t part[BLOCK_WORDS];
    size_t skip = first % 4; /* words of the first block that are not wanted */
    uint32_t block = (uint32_t)(first / 4);
    if (skip && n) {
        size_t take = BLOCK_WORDS - skip < n ? BLOCK_WORDS - skip : n;
        bits_blocks(part, 1, k, block);
        memcpy(out, part + skip, take * sizeof *out);
        out += take;
        n -= take;
        block += LANES;
    }
    size_t whole = n / BLOCK_WORDS;
    bits_blocks(out, whole, k, block);
    size_t rest = n - whole * BLOCK_WORDS;
    if (rest) {
        bits_blocks(part, 1, k, block + (uint32_t)(whole * LANES));
        memcpy(out + whole * BLOCK_WORDS, part, rest * sizeof *out);
    }
}

/* Lemire 2019, "Fast random integer generation in an interval", algorithm 5: unbiased.
 * *word is the next word of the key's sequence to use and is moved on. */
static uint32_t draw_below(bd_rng_key k, uint64_t *word, uint32_t bound) {
    const uint32_t key[2] = {(uint32_t)k.seed, (uint32_t)(k.seed >> 32)};
    const uint32_t reject_below = (0u - bound) % bound;
    for (;;) {
        uint32_t block[4];
        const uint32_t ctr[4] = {(uint32_t)(*word / 4), k.step, k.index, k.stream};
        bd_philox4x32(block, ctr, key);
        uint64_t product = (uint64_t)block[*word % 4] * bound;
        (*word)++;
        if ((uint32_t)product >= reject_below) return (uint32_t)(product >> 32);
    }
}

uint32_t bd_rng_below(bd_rng_key k, uint32_t position, uint32_t bound) {
    uint64_t word = position;
    return draw_below(k, &word, bound);
}

void bd_rng_uniform(float *out, size_t n, bd_rng_key k) {
    uint32_t words[BLOCK_WORDS];
    for (size_t i = 0; i < n; i += BLOCK_WORDS) {
        size_t m = n - i < BLOCK_WORDS ? n - i : BLOCK_WORDS;
        bits_blocks(words, 1, k, (uint32_t)(i / 4));
        for (size_t j = 0; j < m; j++) out[i + j] = (float)(int32_t)(words[j] >> 8) * 0x1p-24f;
    }
}

void bd_rng_normal(float *out, size_t n, bd_rng_key k) {
    size_t whole = n / BLOCK_WORDS;
    normal_blocks(out, whole, k, 0);
    size_t rest = n - whole * BLOCK_WORDS;
    if (rest) {
        float part[BLOCK_WORDS];
        normal_blocks(part, 1, k, (uint32_t)(whole * LANES));
        memcpy(out + whole * BLOCK_WORDS, part, rest * sizeof *out);
    }
}

void bd_rng_normal_nhwc(float *out, int h, int w, int c, bd_rng_key k, float *scratch) {
    size_t pixels = (size_t)h * (size_t)w, channels = (size_t)c;
    if (channels == 1) {
        bd_rng_normal(out, pixels, k);
        return;
    }
    bd_rng_normal(scratch, pixels * channels, k);
    for (size_t p = 0; p < pixels; p++)
        for (size_t j = 0; j < channels; j++) out[p * channels + j] = scratch[j * pixels + p];
}

void bd_rng_permutation(uint32_t *perm, uint32_t n, bd_rng_key k) {
    uint64_t word = 0;
    for (uint32_t i = 0; i < n; i++) perm[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = draw_below(k, &word, i);
        uint32_t t = perm[i - 1];
        perm[i - 1] = perm[j];
        perm[j] = t;
    }
}
