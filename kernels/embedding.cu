// time_embedding: sines and cosines of a timestep. Angles, sines and cosines are taken in double and rounded once.
// One thread a frequency: 8192 for 128 images of 128 channels, 2 us on an H100 and hardly more than the launch. Not yet
// measured.
#include "kernel.h"

// grid and block cover n * half; timestep [n] -> y [n, 2 half]
template <class T>
__global__ void time_embedding_kernel(T *y, const float *timestep, unsigned n, unsigned half,
                                      int freq_shift, bool flip_sin_to_cos) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * half) return;
    const unsigned image = i / half, k = i - image * half;
    const double rate = exp(-log(10000.0) * k / (static_cast<int>(half) - freq_shift));
    const double angle = timestep[image] * rate;
    T *row = y + static_cast<size_t>(image) * 2 * half;
    bd_store(row + (flip_sin_to_cos ? half + k : k), static_cast<float>(sin(angle)));
    bd_store(row + (flip_sin_to_cos ? k : half + k), static_cast<float>(cos(angle)));
}

int bd_cuda_time_embedding(const bd_k_time_embedding *a, void *stream) {
    if (a->n < 1 || a->c < 2 || a->c % 2 || a->freq_shift < 0 || a->freq_shift >= a->c / 2 ||
        a->n > 0x7fffffff / a->c)
        return BD_K_INVALID;
    const unsigned n = static_cast<unsigned>(a->n), half = static_cast<unsigned>(a->c / 2);
    const unsigned block = 128;
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T,
                 st = BD_LAUNCH((time_embedding_kernel<T>), bd_blocks(n * half, block), block,
                                stream, static_cast<T *>(a->y), a->timestep, n, half, a->freq_shift,
                                a->flip_sin_to_cos));
    return st;
}
