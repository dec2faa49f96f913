// Kernels for the emulator's own test: some right, most wrong in one way each. None is part of the program.
#include "emu_cases.h"

#include "kernel.h"

// ---- right ones

// grid blocks, block 128; y[b] = sum of 128 of x, by shuffles and shared memory
static __global__ void case_sum_kernel(float *y, const float *x) {
    BD_SHARED(float, part, 4);
    float v = x[blockIdx.x * 128 + threadIdx.x];
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = (part[0] + part[1]) + (part[2] + part[3]);
}

// as above by a tree in dynamic shared memory
static __global__ void case_tree_kernel(float *y, const float *x) {
    BD_SHARED_DYNAMIC(float, s);
    unsigned t = threadIdx.x;
    s[t] = x[blockIdx.x * 128 + t];
    for (unsigned half = 64; half; half /= 2) {
        __syncthreads();
        if (t < half) s[t] += s[t + half];
    }
    if (t == 0) y[blockIdx.x] = s[0];
}

static __global__ void case_scale_kernel(float *y, const float *x, float k, int n) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) y[i] = k * x[i];
}

// what each kind of shuffle gives lane i of 32, with a width of 8; halves of the warp go different ways
static __global__ void case_shuffle_kernel(int *y) {
    int i = static_cast<int>(threadIdx.x);
    y[i] = __shfl_sync(0xffffffffu, i, 3, 8);
    y[32 + i] = __shfl_xor_sync(0xffffffffu, i, 5, 8);
    y[64 + i] = __shfl_down_sync(0xffffffffu, i, 3, 8);
    y[96 + i] = __shfl_up_sync(0xffffffffu, i, 3, 8);
    double d = 1.0 / 3.0 + i;
    y[128 + i] = __shfl_sync(0xffffffffu, d, 31 - i) == 1.0 / 3.0 + (31 - i);
    if (i < 16)
        y[160 + i] = __shfl_xor_sync(0x0000ffffu, i, 1);
    else
        y[160 + i] = __shfl_xor_sync(0xffff0000u, i, 2);
    __syncwarp();
}

// what a thread finds in memory that nobody wrote: NaN in shared memory, static and dynamic
static __global__ void case_fresh_kernel(float *y) {
    BD_SHARED(float, a, 32);
    BD_SHARED_DYNAMIC(float, b);
    y[blockIdx.x * 32 + threadIdx.x] =
        a[threadIdx.x] != a[threadIdx.x] && b[threadIdx.x] != b[threadIdx.x];
    a[threadIdx.x] = b[threadIdx.x] = 1.0f; // the next block must not see it
}

// where each thread is: y[place in a grid of 2x3x2 blocks of 8x4x2 threads]
static __global__ void case_place_kernel(int *y) {
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    y[block * (blockDim.x * blockDim.y * blockDim.z) + thread] +=
        static_cast<int>(block * 1000 + thread);
}

// ---- wrong ones

// no barrier between writing and reading
static __global__ void case_no_barrier_kernel(float *y, const float *x) {
    BD_SHARED(float, s, 128);
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[(threadIdx.x + 1) % 128];
}

// each thread adds to the same element without a barrier: the order of additions is that of the threads
static __global__ void case_race_kernel(float *y, const float *x) { *y += x[threadIdx.x]; }

static __global__ void case_read_out_kernel(float *y, const float *x, int n) {
    y[threadIdx.x] = x[n + static_cast<int>(threadIdx.x)];
}
static __global__ void case_write_out_kernel(float *y, int n) {
    if (threadIdx.x == 0) y[n] = 1.0f;
}
static __global__ void case_shared_out_kernel(float *y) {
    BD_SHARED(float, s, 32);
    s[threadIdx.x + 1] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}

static __global__ void case_early_exit_kernel(float *y) {
    if (blockIdx.x == 1 && threadIdx.x >= 40) return;
    __syncthreads();
    y[threadIdx.x] = 1.0f;
}
static __global__ void case_two_barriers_kernel(float *y) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1.0f;
}
static __global__ void case_half_shuffle_kernel(float *y) {
    float v = 1.0f;
    if (threadIdx.x < 16) v = __shfl_down_sync(0xffffffffu, v, 1);
    y[threadIdx.x] = v;
}
static __global__ void case_other_mask_kernel(float *y) {
    y[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0f, 0); // lanes 16 to 31 are not in the mask
}
static __global__ void case_barrier_kernel(float *y) {
    y[threadIdx.x] = 1.0f;
    if (threadIdx.x == 5) __syncthreads();
}
static __global__ void case_wait_kernel(float *y) {
    y[threadIdx.x] = 1.0f;
    __syncthreads();
}

int emu_case(emu_case_name which, float *y, const float *x, int n, void *stream) {
    int *i = reinterpret_cast<int *>(y);
    switch (which) {
    case CASE_SUM: return BD_LAUNCH_SYNC(case_sum_kernel, n / 128, 128, stream, y, x);
    case CASE_TREE:
        return BD_LAUNCH_SHARED(case_tree_kernel, n / 128, 128, 128 * sizeof(float), stream, y, x);
    case CASE_SCALE:
        return BD_LAUNCH(case_scale_kernel, bd_blocks(static_cast<size_t>(n), 64), 64, stream, y, x,
                         3.0f, n);
    case CASE_SHUFFLE: return BD_LAUNCH_SYNC(case_shuffle_kernel, 1, 32, stream, i);
    case CASE_FRESH: return BD_LAUNCH_SHARED(case_fresh_kernel, 3, 32, 128, stream, y);
    case CASE_PLACE: return BD_LAUNCH(case_place_kernel, dim3(2, 3, 2), dim3(8, 4, 2), stream, i);
    case CASE_PLACE_SYNC:
        return BD_LAUNCH_SYNC(case_place_kernel, dim3(2, 3, 2), dim3(8, 4, 2), stream, i);
    case CASE_NO_BARRIER: return BD_LAUNCH_SYNC(case_no_barrier_kernel, 1, 128, stream, y, x);
    case CASE_RACE: return BD_LAUNCH(case_race_kernel, 1, 128, stream, y, x);
    case CASE_READ_OUT: return BD_LAUNCH(case_read_out_kernel, 1, 32, stream, y, x, n);
    case CASE_WRITE_OUT: return BD_LAUNCH(case_write_out_kernel, 1, 32, stream, y, n);
    case CASE_SHARED_OUT: return BD_LAUNCH_SYNC(case_shared_out_kernel, 1, 32, stream, y);
    case CASE_EARLY_EXIT: return BD_LAUNCH_SYNC(case_early_exit_kernel, 2, 64, stream, y);
    case CASE_TWO_BARRIERS: return BD_LAUNCH_SYNC(case_two_barriers_kernel, 1, 64, stream, y);
    case CASE_HALF_SHUFFLE: return BD_LAUNCH_SYNC(case_half_shuffle_kernel, 1, 32, stream, y);
    case CASE_OTHER_MASK: return BD_LAUNCH_SYNC(case_other_mask_kernel, 1, 32, stream, y);
    case CASE_BARRIER_IN_PLAIN: return BD_LAUNCH(case_barrier_kernel, 3, 32, stream, y);
    case CASE_WAIT: return BD_LAUNCH_SYNC(case_wait_kernel, 1, n, stream, y);
    case CASE_GRID: return BD_LAUNCH(case_scale_kernel, dim3(1, 65536), 32, stream, y, x, 1.0f, 0);
    case CASE_SHARED_MUCH:
        return BD_LAUNCH_SHARED(case_tree_kernel, 1, 128, 227 * 1024 + 1, stream, y, x);
    }
    return BD_K_INVALID;
}

unsigned emu_case_bits(float x, bool bf16) {
    bd_bf16 b;
    bd_half h;
    bd_store(&b, x);
    bd_store(&h, x);
    return bf16 ? b.bits : h.bits;
}

float emu_case_value(unsigned bits, bool bf16) {
    const bd_bf16 b = {static_cast<uint16_t>(bits)};
    const bd_half h = {static_cast<uint16_t>(bits)};
    return bf16 ? bd_load(b) : bd_load(h);
}
