// SiLU and its derivative in float32: the operations of src/cpu/vec_kernels.c in the same order, hence the same bits.
#ifndef BD_KERNELS_SILU_CUH
#define BD_KERNELS_SILU_CUH

#include "base/mathfn.h"
#include "kernel.h"

__device__ __forceinline__ float bd_sigmoidf(float x) { return 1.0f / (1.0f + bd_expf(-x)); }
__device__ __forceinline__ float bd_siluf(float x) { return x * bd_sigmoidf(x); }

// d/dx x s(x) = s + x s (1 - s)
__device__ __forceinline__ float bd_silu_slopef(float x) {
    const float s = bd_sigmoidf(x);
    return BD_FMAF(x * s, 1.0f - s, s);
}

#endif
