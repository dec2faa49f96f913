/* One register of floats, for the files of src/cpu that are compiled once an instruction set: W lanes, loads and stores
 * without alignment, and multiply-adds that round once. + - * of two registers act lane by lane. */
#ifndef BD_CPU_REG_H
#define BD_CPU_REG_H

#include <string.h>

/* The table of a variant is called <what>_<BD_ISA>. */
#ifndef BD_ISA
#define BD_ISA base
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#ifdef BD_REG_WIDTH /* that many lanes, whatever the machine has: for tests of the wider variants */
#define BD_REG_PLAIN BD_REG_WIDTH
#elif !defined(__AVX512F__) && !defined(__AVX2__)
#define BD_REG_PLAIN 4
#endif

#if defined(BD_REG_PLAIN)
#define REGISTERS 32
enum { W = BD_REG_PLAIN };
typedef float reg __attribute__((vector_size(W * sizeof(float))));
static inline reg reg_load(const float *p) {
    reg v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void reg_store(float *p, reg v) { memcpy(p, &v, sizeof v); }
static inline reg reg_set(float a) {
    reg v = {0};
    for (int l = 0; l < W; l++) v[l] = a;
    return v;
}
static inline reg reg_fmadd(reg a, reg b, reg c) {
    for (int l = 0; l < W; l++) c[l] = __builtin_fmaf(a[l], b[l], c[l]);
    return c;
}
#else
#include <immintrin.h>
#if defined(__AVX512F__)
#define REGISTERS 32
enum { W = 16 };
typedef __m512 reg;
#define REG_CALL(name) _mm512_##name##_ps
#else
#define REGISTERS 16
enum { W = 8 };
typedef __m256 reg;
#define REG_CALL(name) _mm256_##name##_ps
#endif
static inline reg reg_load(const float *p) { return REG_CALL(loadu)(p); }
static inline void reg_store(float *p, reg v) { REG_CALL(storeu)(p, v); }
static inline reg reg_set(float a) { return REG_CALL(set1)(a); }
static inline reg reg_fmadd(reg a, reg b, reg c) { return REG_CALL(fmadd)(a, b, c); }
#endif
/* a b + c, rounded once, as reg_fmadd does */
static inline reg reg_fma(float a, reg b, reg c) { return reg_fmadd(reg_set(a), b, c); }

/* The first n lanes, n < W; the others are zero, or stay as they are in memory. */
#if defined(BD_REG_PLAIN)
static inline reg reg_load_part(const float *p, int n) {
    float t[W] = {0};
    memcpy(t, p, (size_t)n * sizeof *t);
    return reg_load(t);
}
static inline void reg_store_part(float *p, reg v, int n) {
    float t[W];
    reg_store(t, v);
    memcpy(p, t, (size_t)n * sizeof *t);
}
#elif defined(__AVX512F__)
static inline __mmask16 reg_mask(int n) { return (__mmask16)((1u << n) - 1); }
static inline reg reg_load_part(const float *p, int n) {
    return _mm512_maskz_loadu_ps(reg_mask(n), p);
}
static inline void reg_store_part(float *p, reg v, int n) {
    _mm512_mask_storeu_ps(p, reg_mask(n), v);
}
#else
static inline __m256i reg_mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline reg reg_load_part(const float *p, int n) {
    return _mm256_maskload_ps(p, reg_mask(n));
}
static inline void reg_store_part(float *p, reg v, int n) {
    _mm256_maskstore_ps(p, reg_mask(n), v);
}
#endif

#endif
