// One number out of a block of threads, by a tree that depends on the number of threads alone.
#ifndef BD_KERNELS_REDUCE_CUH
#define BD_KERNELS_REDUCE_CUH

#include "kernel.h"

// join over all threads' v, for every thread; blockDim.x is a power of two, shared holds one element a thread. Begins
// and ends with a barrier: the same shared memory serves the next call.
template <class T, class F> __device__ __forceinline__ T bd_block_reduce(T v, T *shared, F join) {
    __syncthreads();
    shared[threadIdx.x] = v;
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + half]);
    }
    __syncthreads();
    return shared[0];
}
template <class T> __device__ __forceinline__ T bd_block_sum(T v, T *shared) {
    return bd_block_reduce(v, shared, [](T a, T b) { return a + b; });
}

#endif
