/* Elementary functions that give the same bits on every machine: no libm, no branch, every fused
 * multiply-add written out. Loops over them vectorise (gcc -O3, clang -O2, with AVX2+FMA, AVX-512 or NEON),
 * and a scalar call, AVX2, AVX-512 and CUDA device code agree bit for bit. Compile with -ffp-contract=off
 * (nvcc: --fmad=false).
 *
 * Without a hardware FMA __builtin_fmaf is a call of the C library's fmaf, which rounds the same way: slow,
 * equal bits. Hot files are therefore compiled for several instruction sets (see base/rng.c).
 *
 * The polynomials are our own minimax fits with coefficients rounded to float one after the other.
 *   tested   tests/test_mathfn.c against libm in double */
#ifndef BD_BASE_MATHFN_H
#define BD_BASE_MATHFN_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
/* The same functions on a device. fmaf is one instruction there, whatever --fmad says of a*b+c. */
#define BD_INLINE static __host__ __device__ __forceinline__
#define BD_FMAF(a, b, c) fmaf(a, b, c)
#else
#define BD_INLINE static inline __attribute__((always_inline))
#define BD_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#endif

BD_INLINE float bd_float_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

BD_INLINE uint32_t bd_float_to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Adding 1.5 * 2^23 rounds a float of magnitude < 2^22 to the nearest integer and leaves that integer in the
 * low bits of the sum. */
#define BD_ROUND_MAGIC 12582912.0f

/* bd_expf -- e^x over the whole range of float.
 *   Error at most 1.02 ulp (every float tried). 0 below -104, infinity above 88.73, subnormal results rounded,
 *   NaN gives NaN.
 *   e^x = 2^n e^r with |r| <= ln(2)/2 and e^r = 1 + r + r^2 q(r), |error| < 2^-28. */
BD_INLINE float bd_expf(float x) {
    /* Written so that NaN passes both comparisons unchanged. */
    x = x > 89.0f ? 89.0f : x;
    x = x < -105.0f ? -105.0f : x;
    float t = BD_FMAF(x, 0x1.715476p+0f, BD_ROUND_MAGIC);
    float n = t - BD_ROUND_MAGIC;
    float r = BD_FMAF(n, -0x1.63p-1f, x);
    r = BD_FMAF(n, 0x1.bd0106p-13f, r);
    float q = 0x1.6a4154p-10f;
    q = BD_FMAF(q, r, 0x1.1239c6p-7f);
    q = BD_FMAF(q, r, 0x1.5558bcp-5f);
    q = BD_FMAF(q, r, 0x1.555492p-3f);
    q = BD_FMAF(q, r, 0x1.fffffcp-2f);
    float p = BD_FMAF(r * r, q, r) + 1.0f;
    /* 2^n in two factors, each a normal number, so that overflow and subnormals come out of one rounding.
     * Integer arithmetic is modulo 2^32: garbage, but defined, when x is NaN. */
    uint32_t k = bd_float_to_bits(t) - 0x4b400000u; /* n in two's complement */
    uint32_t k1 = (k >> 1) | (k & 0x80000000u);     /* n / 2, rounded down */
    uint32_t k2 = k - k1;
    float s1 = bd_float_from_bits((k1 + 127u) << 23);
    float s2 = bd_float_from_bits((k2 + 127u) << 23);
    return p * s1 * s2;
}

/* bd_logf -- natural logarithm of a positive normal float (others give an unspecified finite value).
 *   Error at most 0.86 ulp (every float tried).
 *   x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): log x = e ln 2 + f - f^2/2 + f^3 q(f). */
BD_INLINE float bd_logf(float x) {
    const uint32_t sqrt_half = 0x3f3504f3u;
    uint32_t i = bd_float_to_bits(x) - sqrt_half;
    float e = (float)((int32_t)i >> 23);
    float f = bd_float_from_bits((i & 0x007fffffu) + sqrt_half) - 1.0f;
    float q = -0x1.38c9dep-4f;
    q = BD_FMAF(q, f, 0x1.055ec6p-3f);
    q = BD_FMAF(q, f, -0x1.0d8242p-3f);
    q = BD_FMAF(q, f, 0x1.22d92ep-3f);
    q = BD_FMAF(q, f, -0x1.54728ap-3f);
    q = BD_FMAF(q, f, 0x1.99a01cp-3f);
    q = BD_FMAF(q, f, -0x1.000226p-2f);
    q = BD_FMAF(q, f, 0x1.555554p-2f);
    float f2 = f * f;
    float tail = BD_FMAF(f2 * f, q, e * -0x1.bd0106p-13f);
    tail = BD_FMAF(-0.5f, f2, tail);
    return BD_FMAF(e, 0x1.63p-1f, f + tail);
}

/* bd_sincos_2pi -- sin(2 pi u) and cos(2 pi u) for u in [0, 1]; absolute error below 2^-23.
 *   The angle is reduced to r in [-1/8, 1/8] turns (exactly) and a quadrant. */
BD_INLINE void bd_sincos_2pi(float u, float *sin_out, float *cos_out) {
    float t = BD_FMAF(u, 4.0f, BD_ROUND_MAGIC);
    uint32_t quadrant = bd_float_to_bits(t);
    float r = BD_FMAF(t - BD_ROUND_MAGIC, -0.25f, u);
    float r2 = r * r;
    float a = -0x1.2da156p+6f;
    a = BD_FMAF(a, r2, 0x1.465eeap+6f);
    a = BD_FMAF(a, r2, -0x1.4abbbap+5f);
    /* 2 pi minus the float nearest to it, and a bit of the fit */
    a = BD_FMAF(a, r2, -0x1.a32c8ap-23f);
    float s = BD_FMAF(r, 0x1.921fb6p+2f, r * a);
    float b = 0x1.d4f632p+5f;
    b = BD_FMAF(b, r2, -0x1.55b2b4p+6f);
    b = BD_FMAF(b, r2, 0x1.03c1b0p+6f);
    b = BD_FMAF(b, r2, -0x1.3bd3ccp+4f);
    float c = BD_FMAF(b, r2, 1.0f);
    /* Odd quadrants swap the two; quadrants 2, 3 negate the sine, 1, 2 the cosine. */
    uint32_t sb = bd_float_to_bits(s), cb = bd_float_to_bits(c);
    uint32_t swap = 0u - (quadrant & 1u);
    uint32_t exchange = (sb ^ cb) & swap;
    sb ^= exchange;
    cb ^= exchange;
    *sin_out = bd_float_from_bits(sb ^ ((quadrant & 2u) << 30));
    *cos_out = bd_float_from_bits(cb ^ (((quadrant + 1u) & 2u) << 30));
}

#endif
