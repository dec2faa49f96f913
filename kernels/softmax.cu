// Softmax of attention's scores and its backward, in place, a row at a time.
// A row of up to 256 numbers (16x16 tokens, the most in the paper's networks) stays in the registers of one warp: one read and one write. Longer ones are read again
// for each of the three steps (the largest, the sum, the result) by a block. The sum of a row is a lane's own numbers
// in order, then a tree over the lanes: a function of the row's length alone.
//
// Expected at 3 TB/s, not yet measured: CIFAR-10's 16x16 scores at batch 128 in bf16, 17 MB each way: 11 us, and
// backward, with two reads, 17 us.
#include "base/mathfn.h"
#include "kernel.h"
#include "reduce.cuh"

enum { ROWS_BLOCK = 128, LONG_BLOCK = 256 };

template <class F> __device__ __forceinline__ float warp_reduce(float v, F join) {
    for (int lane = BD_K_WARP / 2; lane > 0; lane /= 2)
        v = join(v, __shfl_xor_sync(0xffffffffu, v, lane));
    return v;
}
struct join_sum {
    __device__ float operator()(float a, float b) const { return a + b; }
};
// NaN wins, so that it is not lost
struct join_max {
    __device__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

// grid rows / 4, block 128: a warp a row; p [rows,cols], cols <= 32 PER
template <int PER, class T>
__global__ void softmax_kernel(T *p, size_t rows, int cols, float scale) {
    const size_t row =
        blockIdx.x * static_cast<size_t>(ROWS_BLOCK / BD_K_WARP) + threadIdx.x / BD_K_WARP;
    const int lane = static_cast<int>(threadIdx.x) % BD_K_WARP;
    if (row >= rows) return;
    p += row * static_cast<size_t>(cols);
    float x[PER], top = -INFINITY, sum = 0;
    for (int k = 0; k < PER; k++) {
        const int j = k * BD_K_WARP + lane;
        x[k] = j < cols ? bd_load(p[j]) * scale : -INFINITY;
        top = join_max()(x[k], top);
    }
    top = warp_reduce(top, join_max());
    for (int k = 0; k < PER; k++) {
        x[k] = bd_expf(x[k] - top);
        if (k * BD_K_WARP + lane < cols) sum += x[k];
    }
    sum = warp_reduce(sum, join_sum());
    for (int k = 0; k < PER; k++) {
        const int j = k * BD_K_WARP + lane;
        if (j < cols) bd_store(&p[j], x[k] / sum);
    }
}

// grid rows, block 256
template <class T> __global__ void softmax_long_kernel(T *p, int cols, float scale) {
    BD_SHARED(float, shared, LONG_BLOCK);
    const int first = static_cast<int>(threadIdx.x);
    p += blockIdx.x * static_cast<size_t>(cols);
    float top = -INFINITY, sum = 0;
    for (int j = first; j < cols; j += LONG_BLOCK) top = join_max()(bd_load(p[j]) * scale, top);
    top = bd_block_reduce(top, shared, join_max());
    for (int j = first; j < cols; j += LONG_BLOCK) sum += bd_expf(bd_load(p[j]) * scale - top);
    sum = bd_block_sum(sum, shared);
    for (int j = first; j < cols; j += LONG_BLOCK)
        bd_store(&p[j], bd_expf(bd_load(p[j]) * scale - top) / sum);
}

// as softmax_kernel; dp, p [rows,cols]
template <int PER, class T>
__global__ void softmax_bwd_kernel(T *dp, const T *p, size_t rows, int cols, float scale) {
    const size_t row =
        blockIdx.x * static_cast<size_t>(ROWS_BLOCK / BD_K_WARP) + threadIdx.x / BD_K_WARP;
    const int lane = static_cast<int>(threadIdx.x) % BD_K_WARP;
    if (row >= rows) return;
    p += row * static_cast<size_t>(cols);
    dp += row * static_cast<size_t>(cols);
    float q[PER], d[PER], sum = 0;
    for (int k = 0; k < PER; k++) {
        const int j = k * BD_K_WARP + lane;
        q[k] = j < cols ? bd_load(p[j]) : 0;
        d[k] = j < cols ? bd_load(dp[j]) : 0;
        sum = BD_FMAF(q[k], d[k], sum);
    }
    sum = warp_reduce(sum, join_sum());
    for (int k = 0; k < PER; k++) {
        const int j = k * BD_K_WARP + lane;
        if (j < cols) bd_store(&dp[j], scale * q[k] * (d[k] - sum));
    }
}

// grid rows, block 256
template <class T>
__global__ void softmax_bwd_long_kernel(T *dp, const T *p, int cols, float scale) {
    BD_SHARED(float, shared, LONG_BLOCK);
    const int first = static_cast<int>(threadIdx.x);
    p += blockIdx.x * static_cast<size_t>(cols);
    dp += blockIdx.x * static_cast<size_t>(cols);
    float sum = 0;
    for (int j = first; j < cols; j += LONG_BLOCK)
        sum = BD_FMAF(bd_load(p[j]), bd_load(dp[j]), sum);
    sum = bd_block_sum(sum, shared);
    for (int j = first; j < cols; j += LONG_BLOCK)
        bd_store(&dp[j], scale * bd_load(p[j]) * (bd_load(dp[j]) - sum));
}

static bool fits(size_t rows, int cols) { return rows >= 1 && cols >= 1 && rows <= 0x7fffffffu; }
static unsigned warp_blocks(size_t rows) {
    return static_cast<unsigned>((rows + ROWS_BLOCK / BD_K_WARP - 1) / (ROWS_BLOCK / BD_K_WARP));
}

// call with PER numbers a lane, the fewest that hold the row; `otherwise` for longer rows
#define WITH_LANES(cols, PER, call, otherwise) \
    do {                                       \
        if ((cols) <= BD_K_WARP) {             \
            constexpr int PER = 1;             \
            call;                              \
        } else if ((cols) <= 2 * BD_K_WARP) {  \
            constexpr int PER = 2;             \
            call;                              \
        } else if ((cols) <= 8 * BD_K_WARP) {  \
            constexpr int PER = 8;             \
            call;                              \
        } else {                               \
            otherwise;                         \
        }                                      \
    } while (0)

template <class T> static int softmax(const bd_k_softmax *a, void *stream) {
    T *p = static_cast<T *>(a->p);
    int st = BD_K_INVALID;
    WITH_LANES(a->cols, PER,
               st = BD_LAUNCH_SYNC((softmax_kernel<PER, T>), warp_blocks(a->rows), ROWS_BLOCK,
                                   stream, p, a->rows, a->cols, a->scale),
               st = BD_LAUNCH_SYNC((softmax_long_kernel<T>), static_cast<unsigned>(a->rows),
                                   LONG_BLOCK, stream, p, a->cols, a->scale));
    return st;
}

template <class T> static int softmax_bwd(const bd_k_softmax_bwd *a, void *stream) {
    T *dp = static_cast<T *>(a->dp);
    const T *p = static_cast<const T *>(a->p);
    int st = BD_K_INVALID;
    WITH_LANES(a->cols, PER,
               st = BD_LAUNCH_SYNC((softmax_bwd_kernel<PER, T>), warp_blocks(a->rows), ROWS_BLOCK,
                                   stream, dp, p, a->rows, a->cols, a->scale),
               st = BD_LAUNCH_SYNC((softmax_bwd_long_kernel<T>), static_cast<unsigned>(a->rows),
                                   LONG_BLOCK, stream, dp, p, a->cols, a->scale));
    return st;
}

int bd_cuda_softmax(const bd_k_softmax *a, void *stream) {
    int st = BD_K_INVALID;
    if (fits(a->rows, a->cols)) BD_WITH_TYPE(a->type, T, st = softmax<T>(a, stream));
    return st;
}

int bd_cuda_softmax_bwd(const bd_k_softmax_bwd *a, void *stream) {
    int st = BD_K_INVALID;
    if (fits(a->rows, a->cols)) BD_WITH_TYPE(a->type, T, st = softmax_bwd<T>(a, stream));
    return st;
}
