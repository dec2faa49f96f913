/* What the tests of CUDA kernels share: buffers of any type, and runs that check more than the result. On the
 * emulator or a device, whichever the program was linked with.
 *
 *     static void doubles(void **state) {
 *         cuda_begin();                                    (skips the test where there is no device)
 *         double x[N], want[N], got[N];
 *         ref_fill(x, N, 1);
 *         void *dx = cuda_in(BD_TYPE_BF16, x, N);          (x holds the rounded numbers afterwards)
 *         void *dy = cuda_out(BD_TYPE_F32, N);             (NaN until written)
 *         CUDA_RUN(scale, .y = dy, .x = dx, .ytype = BD_TYPE_F32, .xtype = BD_TYPE_BF16, .n = N, .k = 2.0f);
 *         cuda_get(got, dy);
 *         ...
 *         cuda_end();
 *     }
 */
#ifndef BD_CUDA_CHECK_H
#define BD_CUDA_CHECK_H

#include <stddef.h>

#include "cuda/platform.h"

/* cuda_begin -- skip() the running test with a printed reason when there is no platform or no device; free what an
 * earlier test left. cuda_end -- free every buffer; fails on damage. */
const bd_cuda_platform *cuda_begin(void);
void cuda_end(void);

/* Device buffers of n numbers, rounded to nearest even in `type` (any bd_type). Each has guard elements behind it.
 * cuda_in: CUDA_RUN fails when it changes; x is replaced by what was stored, so that oracles see the same inputs.
 * cuda_io: may change. cuda_out: NaN (all bits set) before a run. */
void *cuda_in(bd_type type, double *x, size_t n);
void *cuda_io(bd_type type, double *x, size_t n);
void *cuda_out(bd_type type, size_t n);
/* The same of raw bytes, for structures. */
void *cuda_in_bytes(const void *x, size_t bytes);
/* cuda_get -- all numbers of a buffer; cuda_get_bytes -- all bytes. */
void cuda_get(double *out, const void *buffer);
void cuda_get_bytes(void *out, const void *buffer);

/* CUDA_RUN(name, fields...) -- run kernel `name` with bd_k_<name>{fields}, once for each thread order of the emulator
 * (twice on a device), every time from the same contents of all buffers. Fails when the call reports an error, when
 * two runs differ in a bit of any buffer, when guard elements changed, or an input did. */
#define CUDA_RUN(name, ...) cuda_check_run(CUDA_K_##name, &(const bd_k_##name){__VA_ARGS__})
/* CUDA_CALL -- one run without these checks; the kernel's code. For refusals. */
#define CUDA_CALL(name, ...) cuda_check_call(CUDA_K_##name, &(const bd_k_##name){__VA_ARGS__})

typedef enum {
#define BD_KERNEL(name) CUDA_K_##name,
#include "cuda/kernels.def"
#undef BD_KERNEL
    CUDA_KERNELS
} cuda_kernel;
void cuda_check_run(cuda_kernel k, const void *args);
int cuda_check_call(cuda_kernel k, const void *args);

/* cuda_round -- the nearest number of the type, ties to even, overflow to infinity; by arithmetic in double, apart
 * from any conversion of the device. */
double cuda_round(double x, bd_type type);

/* cuda_unit -- the largest relative error of one rounding to the type: 2^-p for p bits of mantissa, 1 implicit.
 * float32 2^-24, bf16 2^-8, fp16 2^-11 (for results of 2^-14 and more). Tolerances are small multiples of it. */
double cuda_unit(bd_type type);

#endif
