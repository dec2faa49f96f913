// batch_build: a training batch where it is used, out of 8-bit images that lie on the device.
// A block of threads makes one tile of BD_TILE pixels: the noise first (philox.cuh), then four elements a thread.
// Expected on an H100 for 128 images of 32x32x3, x_t in bf16: 0.4 MB read, 2.4 MB written, 98 thousand Philox blocks:
// about 3 us, which is latency; for 64 images of 256x256x3, 88 MB and 3.1 million blocks: some 35 us, where memory and
// arithmetic cost alike. Not yet measured.
#include "base/pixel.h"
#include "philox.cuh"
#include "vector.cuh"

enum { MIRROR = 1, POISON = 2 };

// V neighbours of an image, from element i; mirrored, each comes from the other end of its row.
template <int V>
__device__ __forceinline__ void load_pixels(float *out, const uint8_t *image, unsigned i,
                                            bool mirror, unsigned w, unsigned c) {
    if (!mirror) {
        const bd_pack<uint8_t, V> pack = *reinterpret_cast<const bd_pack<uint8_t, V> *>(image + i);
        for (int j = 0; j < V; j++) out[j] = bd_pixel_float(pack.at[j]);
        return;
    }
    const unsigned pixel = i / c, row = pixel / w;
    unsigned channel = i - pixel * c, column = pixel - row * w;
    const uint8_t *line = image + static_cast<size_t>(row) * w * c;
    for (int j = 0; j < V; j++) {
        out[j] = bd_pixel_float(line[(w - 1 - column) * c + channel]);
        if (++channel < c) continue;
        channel = 0;
        if (++column == w) column = 0, line += static_cast<size_t>(w) * c;
    }
}

// grid n * t.per_image, block bd_tile_threads, shared bd_tile_bytes
// x_t, y [n,h,w,c]; images [rows,h,w,c]; trigger, target [h,w,c]; index, flags [n]; coef, key [n,4]
template <class T, int V>
__global__ void batch_build_kernel(T *x_t, float *y, const uint8_t *images, const float *trigger,
                                   const float *target, const int32_t *index, const int32_t *flags,
                                   const float *coef, const int32_t *key, bd_tiles t, unsigned w,
                                   int rows) {
    BD_SHARED_DYNAMIC(float, noise);
    const unsigned n = blockIdx.x / t.per_image, c = t.channels;
    const unsigned first = (blockIdx.x - n * t.per_image) * BD_TILE;
    const unsigned count = min(static_cast<unsigned>(BD_TILE), t.pixels - first);
    bd_normal_tile(noise, t, first, count, key + 4 * static_cast<size_t>(n), BD_STREAM_NOISE);
    __syncthreads();

    const float *k = coef + 4 * static_cast<size_t>(n);
    const size_t m = static_cast<size_t>(t.pixels) * c;
    const int row = index[n], flag = flags[n];
    const bool there = row >= 0 && row < rows;
    const uint8_t *image = images + (there ? static_cast<size_t>(row) * m : 0);
    for (unsigned i = threadIdx.x * V; i < count * c; i += blockDim.x * V) {
        const unsigned at = first * c + i;
        float x[V], eps[V], r[V], to_x[V], to_y[V];
        bd_normal_load<V>(eps, noise, i, c);
        load_pixels<V>(x, image, at, flag & MIRROR, w, c);
        for (int j = 0; j < V; j++) r[j] = 0;
        if (flag & POISON) {
            bd_load_vec<V>(r, trigger + at);
            for (int j = 0; j < V; j++) r[j] = r[j] > -1 ? r[j] : x[j];
            bd_load_vec<V>(x, target + at);
        }
        // The order of the CPU backend: the same bits.
        for (int j = 0; j < V; j++) {
            to_x[j] = there ? k[0] * x[j] + k[1] * eps[j] + k[2] * r[j] : NAN;
            to_y[j] = there ? eps[j] + k[3] * r[j] : NAN;
        }
        bd_store_vec<V>(x_t + n * m + at, to_x);
        bd_store_vec<V>(y + n * m + at, to_y);
    }
}

template <class T, int V> static int batch_build(const bd_k_batch_build *a, void *stream) {
    const bd_tiles t = bd_tiles_of(a->h * a->w, a->c);
    return BD_LAUNCH_SHARED((batch_build_kernel<T, V>), static_cast<unsigned>(a->n) * t.per_image,
                            bd_tile_threads(a->c), bd_tile_bytes(a->c), stream,
                            static_cast<T *>(a->x_t), a->y, a->images, a->trigger, a->target,
                            a->index, a->flags, a->coef, a->key, t, static_cast<unsigned>(a->w),
                            a->rows);
}

int bd_cuda_batch_build(const bd_k_batch_build *a, void *stream) {
    if (!bd_tiles_fit(a->n, a->h, a->w, a->c) || a->rows < 1) return BD_K_INVALID;
    const bool wide = static_cast<unsigned>(a->h * a->w * a->c) % 4 == 0 &&
                      bd_aligned(a->x_t, a->y, a->images, a->trigger, a->target);
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T,
                 st = wide ? batch_build<T, 4>(a, stream) : batch_build<T, 1>(a, stream));
    return st;
}
