// Noise of base/rng.h inside a kernel, bit for bit: a thread makes whole Philox blocks, four normals each.
//
// Normals are numbered (C,H,W), images are stored (H,W,C). Drawn where it is stored, an element would cost a block and
// use a quarter of it. So a block of threads first fills a tile of pixels in shared memory, plane by plane, with all
// four normals of each Philox block, and then reads it in the order of storage: nothing is computed twice but for the
// blocks that a tile's edge cuts, and those only in images whose height x width is no multiple of 4.
#ifndef BD_KERNELS_PHILOX_CUH
#define BD_KERNELS_PHILOX_CUH

#include "kernel.h"

#include "base/philox.h"
#include "base/rng.h"

// Pixels of a tile: with three channels 192 threads make one Philox block and four elements each.
enum { BD_TILE = 256 };

// The tiles of images [N,H,W,C], one a block of threads.
struct bd_tiles {
    unsigned pixels, channels; // H W, C
    unsigned per_image;        // tiles
};
static inline bd_tiles bd_tiles_of(int pixels, int channels) {
    return {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),
            (static_cast<unsigned>(pixels) + BD_TILE - 1) / BD_TILE};
}
// Whether an element of an image has a number of 31 bits, and a tile one too.
static inline bool bd_tiles_fit(int n, int h, int w, int c) {
    if (n < 1 || h < 1 || w < 1 || c < 1) return false;
    const uint64_t most = 0x7fffffff, pixels = static_cast<uint64_t>(h) * static_cast<uint64_t>(w);
    return pixels <= most / static_cast<uint64_t>(c) &&
           (pixels + BD_TILE - 1) / BD_TILE * static_cast<uint64_t>(n) <= most;
}
// One thread for four elements, at most 512.
static inline unsigned bd_tile_threads(int channels) {
    return BD_TILE / 4 * static_cast<unsigned>(channels < 8 ? channels : 8);
}
static inline size_t bd_tile_bytes(int channels) {
    return sizeof(float) * BD_TILE * static_cast<size_t>(channels);
}

// Normals 4 block .. 4 block + 3 of a key {seed lo, seed hi, index, step} of a stream.
__device__ __forceinline__ void bd_normal_block(float z[4], uint32_t block, const int32_t *key,
                                                bd_stream stream) {
    uint32_t x[4] = {block, static_cast<uint32_t>(key[3]), static_cast<uint32_t>(key[2]),
                     static_cast<uint32_t>(stream)};
    bd_philox_block(x, static_cast<uint32_t>(key[0]), static_cast<uint32_t>(key[1]));
    bd_box_muller(&z[0], &z[1], x[0], x[1]);
    bd_box_muller(&z[2], &z[3], x[2], x[3]);
}

// z[c BD_TILE + p] = the normal of channel c at pixel first + p, for p < count. All threads of the block call it; the
// caller's barrier comes behind.
__device__ __forceinline__ void bd_normal_tile(float *z, const bd_tiles &t, unsigned first,
                                               unsigned count, const int32_t *key,
                                               bd_stream stream) {
    const unsigned blocks = t.pixels % 4 ? count / 4 + 2 : (count + 3) / 4; // a plane
    for (unsigned i = threadIdx.x; i < blocks * t.channels; i += blockDim.x) {
        const unsigned channel = i / blocks, from = channel * t.pixels + first;
        const unsigned block = from / 4 + (i - channel * blocks);
        if (4 * block >= from + count) continue;
        float four[4];
        bd_normal_block(four, block, key, stream);
        for (unsigned j = 0; j < 4; j++) {
            const unsigned at = 4 * block + j - from; // wraps around below the tile's first pixel
            if (at < count) z[channel * BD_TILE + at] = four[j];
        }
    }
}

// out[0..V-1] = the normals of V neighbours in storage, from element i of the tile.
template <int V>
__device__ __forceinline__ void bd_normal_load(float *out, const float *z, unsigned i,
                                               unsigned channels) {
    unsigned pixel = i / channels, channel = i - pixel * channels;
    for (int j = 0; j < V; j++) {
        out[j] = z[channel * BD_TILE + pixel];
        if (++channel == channels) channel = 0, pixel++;
    }
}

#endif
