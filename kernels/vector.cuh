// Elements 16 bytes at a time, and what elementwise kernels share. A thread with 16 bytes a load keeps four times as
// many bytes under way as one with 4. A tensor whose size or place does not allow them takes the scalar path with the
// same arithmetic: the bits do not depend on the path.
#ifndef BD_KERNELS_VECTOR_CUH
#define BD_KERNELS_VECTOR_CUH

#include "kernel.h"

// Before a loop without a fixed count whose loads should be under way together.
#ifdef BD_EMULATOR
#define BD_UNROLL(n)
#else
#define BD_UNROLL_TEXT(x) _Pragma(#x)
#define BD_UNROLL(n) BD_UNROLL_TEXT(unroll n)
#endif

// N neighbours of a tensor, moved by one load or store.
template <class T, int N> struct alignas(sizeof(T) * N) bd_pack { T at[N]; };

// Elements of T in 16 bytes.
template <class T> struct bd_width {
    enum { N = 16 / sizeof(T) };
};

// out[0..V-1] = p[0..V-1] as float32; the address is a multiple of 16 or of V elements, whichever is less.
template <int V, class T> __device__ __forceinline__ void bd_load_vec(float *out, const T *p) {
    constexpr int N = V * sizeof(T) <= 16 ? V : static_cast<int>(bd_width<T>::N);
    for (int i = 0; i < V; i += N) {
        const bd_pack<T, N> pack = *reinterpret_cast<const bd_pack<T, N> *>(p + i);
        for (int j = 0; j < N; j++) out[i + j] = bd_load(pack.at[j]);
    }
}

// p[0..V-1] = x[0..V-1], each rounded once.
template <int V, class T> __device__ __forceinline__ void bd_store_vec(T *p, const float *x) {
    constexpr int N = V * sizeof(T) <= 16 ? V : static_cast<int>(bd_width<T>::N);
    for (int i = 0; i < V; i += N) {
        bd_pack<T, N> pack;
        for (int j = 0; j < N; j++) bd_store(&pack.at[j], x[i + j]);
        *reinterpret_cast<bd_pack<T, N> *>(p + i) = pack;
    }
}

// x[0..V-1] += p[0..V-1]
template <int V, class T> __device__ __forceinline__ void bd_add_vec(float *x, const T *p) {
    float w[V];
    bd_load_vec<V>(w, p);
    for (int j = 0; j < V; j++) x[j] += w[j];
}

// Whether all of these can be read 16 bytes at a time. NULL can.
template <class... P> static inline bool bd_aligned(const P *...p) {
    return ((reinterpret_cast<uintptr_t>(p) | ... | 0) & 15) == 0;
}

// BD_WITH_TYPE with V besides T: how many elements a thread takes at a time. 16 bytes of them when all pointers are
// aligned and V divides c (which is 0 where a tail is allowed), else 1.
#define BD_WITH_VECTOR(type, c, aligned, T, V, ...)   \
    BD_WITH_TYPE(                                     \
        type, T,                                      \
        if ((aligned) && (c) % bd_width<T>::N == 0) { \
            constexpr int V = bd_width<T>::N;         \
            __VA_ARGS__;                              \
        } else {                                      \
            constexpr int V = 1;                      \
            __VA_ARGS__;                              \
        })

// Grid and block of an elementwise kernel: at most 4096 blocks of 256 threads, four times what an H100 holds, so that
// its end is even; threads stride over the rest.
enum { BD_MAP_BLOCK = 256, BD_MAP_GRID = 4096 };
static inline unsigned bd_map_blocks(size_t threads) {
    const unsigned blocks = bd_blocks(threads, BD_MAP_BLOCK);
    return blocks < BD_MAP_GRID ? blocks : static_cast<unsigned>(BD_MAP_GRID);
}

// This thread's part of n elements: f(width, i) for elements i .. i + width.N - 1, V of them at a time, and one at a
// time at the end. In place is fine when f reads no other element than those it writes.
template <int N_> struct bd_count {
    enum { N = N_ };
};
template <int V, class F> __device__ __forceinline__ void bd_each(size_t n, F f) {
    const size_t stride = static_cast<size_t>(gridDim.x) * blockDim.x;
    const size_t first = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (size_t i = first; i < n / V; i += stride) f(bd_count<V>(), i * V);
    if (V > 1)
        for (size_t i = n / V * V + first; i < n; i += stride) f(bd_count<1>(), i);
}

#endif
