// What every kernel file begins with. The same file is compiled by nvcc for a device and, as plain C++, for the
// emulator of tests/emu (BD_EMULATOR): so no inline PTX, no textures, no cooperative groups, and these macros where
// the two differ.
//
//   BD_LAUNCH(kernel, grid, block, stream, args...)       a kernel whose threads do not wait for each other:
//                                                         __syncthreads and shuffles are errors in it
//   BD_LAUNCH_SYNC(kernel, grid, block, stream, args...)  a kernel with barriers or shuffles
//   BD_LAUNCH_SHARED(kernel, grid, block, bytes, stream, args...)  the same with dynamic shared memory; more than
//                                                         48 KB is asked for from the device
//     each is an expression: 0 or an error code. A template with commas goes in parentheses: (k<float, 4>)
//   BD_SHARED(type, name, count)      in a kernel: static shared array `type *name`
//   BD_SHARED_DYNAMIC(type, name)     in a kernel: the dynamic shared memory as `type *name`
//
// grid and block are dim3 or int; blocks are multiples of 32 threads, at most 1024.
#ifndef BD_KERNELS_KERNEL_H
#define BD_KERNELS_KERNEL_H

#ifdef BD_EMULATOR
#include "emu.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define BD_SHARED(type, name, count)       \
    __shared__ type name##_storage[count]; \
    type *name = name##_storage
#define BD_SHARED_DYNAMIC(type, name)                                  \
    extern __shared__ __align__(16) unsigned char bd_dynamic_shared[]; \
    type *name = reinterpret_cast<type *>(bd_dynamic_shared)

#define BD_LAUNCH_BYTES(kernel, grid, block, bytes, stream, ...)                           \
    (kernel<<<(grid), (block), (bytes), static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__), \
     static_cast<int>(cudaGetLastError()))
#define BD_LAUNCH(kernel, grid, block, stream, ...) \
    BD_LAUNCH_BYTES(kernel, grid, block, 0, stream, __VA_ARGS__)
#define BD_LAUNCH_SYNC BD_LAUNCH
// NOTE: the attribute is set at each launch; it is a table look-up in the runtime, and is not recorded in a graph.
#define BD_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...) \
    (bd_allow_shared(kernel, bytes)                               \
         ? bd_allow_shared(kernel, bytes)                         \
         : BD_LAUNCH_BYTES(kernel, grid, block, bytes, stream, __VA_ARGS__))
template <class F> static inline int bd_allow_shared(F *kernel, size_t bytes) {
    if (bytes <= 48 * 1024) return 0;
    cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(bytes));
    if (e != cudaSuccess)
        (void)cudaGetLastError(); // returned here; the next launch must not report it again
    return static_cast<int>(e);
}

typedef __nv_bfloat16 bd_bf16;
typedef __half bd_half;
__device__ __forceinline__ float bd_load(float x) { return x; }
__device__ __forceinline__ float bd_load(bd_bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float bd_load(bd_half x) { return __half2float(x); }
__device__ __forceinline__ void bd_store(float *p, float x) { *p = x; }
__device__ __forceinline__ void bd_store(bd_bf16 *p, float x) { *p = __float2bfloat16_rn(x); }
__device__ __forceinline__ void bd_store(bd_half *p, float x) { *p = __float2half_rn(x); }
#endif

#include "cuda/kernels.h"

// The code of a bad argument: cudaErrorInvalidValue.
enum { BD_K_INVALID = 1, BD_K_WARP = 32 };

// Blocks of `block` threads for n elements, at most 2^31 - 1; kernels stride over the rest.
static inline unsigned bd_blocks(size_t n, unsigned block) {
    size_t blocks = (n + block - 1) / block;
    return blocks < 0x7fffffffu ? static_cast<unsigned>(blocks ? blocks : 1) : 0x7fffffffu;
}

// call(T) for the C++ type of a bd_type; T is a null pointer of that type. Expression statement helper:
//   int st = BD_K_INVALID;
//   BD_WITH_TYPE(a->type, T, st = BD_LAUNCH((add_kernel<T>), ...));
#define BD_WITH_TYPE(type, T, ...)           \
    do {                                     \
        if ((type) == BD_TYPE_F32) {         \
            typedef float T;                 \
            __VA_ARGS__;                     \
        } else if ((type) == BD_TYPE_BF16) { \
            typedef bd_bf16 T;               \
            __VA_ARGS__;                     \
        } else if ((type) == BD_TYPE_F16) {  \
            typedef bd_half T;               \
            __VA_ARGS__;                     \
        }                                    \
    } while (0)

#endif
