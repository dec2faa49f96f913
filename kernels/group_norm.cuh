// What the two directions of group norm share: how the work is cut, sums in a fixed tree, SiLU.
//
// x [N,HW,C] is cut into images, ranges of pixels (kernels.h) and chunks of channels. A thread owns V neighbouring
// channels, 16 bytes where C allows it, and of each range the pixels of one class, class k being pixels k, k + S, k +
// 2S ... for S classes. Every sum goes pixels of a class, classes of a range as a balanced tree, ranges and channels of
// a group: this order depends on HW, C, G and the type alone. How wide a chunk is, and whether it stays in shared
// memory between the sums and their use, is a matter of speed and of the device: the bits are the same.
#ifndef BD_KERNELS_GROUP_NORM_CUH
#define BD_KERNELS_GROUP_NORM_CUH

#include "silu.cuh"
#include "vector.cuh"

// GN_BATCH: 16-byte loads that a thread has under way at a time.
enum { GN_THREADS = 512, GN_BATCH = 4 };

// Classes of a range: a power of two, `most` or fewer, at least four pixels a class while there is more than one.
static inline int gn_classes(int hw, int most) {
    int s = 1;
    while (s < most && hw / (2 * s) >= 4) s *= 2;
    return s;
}

// A cut: blocks of lanes x classes threads, rounded up to whole warps; lane l of a chunk owns V channels.
struct gn_cut {
    int lanes, chunks;
    int classes, range, ranges;
    int threads;
    size_t shared; // bytes
};

// The cut for blocks that keep nothing: the rows of a chunk are 128 bytes where C allows it.
static inline gn_cut gn_cut_streaming(int hw, int vectors, int most) {
    gn_cut k = {};
    k.classes = gn_classes(hw, most);
    k.range = bd_k_norm_range(hw);
    k.ranges = bd_k_norm_ranges(hw);
    k.lanes = GN_THREADS / k.classes;
    if (k.lanes > 32) k.lanes = 32;
    if (k.lanes > vectors) k.lanes = vectors;
    k.chunks = (vectors + k.lanes - 1) / k.lanes;
    k.threads = (k.lanes * k.classes + BD_K_WARP - 1) / BD_K_WARP * BD_K_WARP;
    return k;
}

// The cut for blocks that keep their chunk in shared memory: whole groups and whole vectors, the smallest chunk with
// rows of 64 bytes and 128 threads, so that several blocks fit a multiprocessor; a smaller one where that does not fit,
// down to rows of 32 bytes, a sector of the L2 cache. False: nothing fits. bytes(cut) says what a cut needs.
template <class Bytes>
static bool gn_cut_kept(gn_cut *out, int hw, int c, int groups, int v, int most, size_t element,
                        size_t limit, const Bytes &bytes) {
    gn_cut k = {};
    k.classes = gn_classes(hw, most);
    k.range = bd_k_norm_range(hw);
    k.ranges = bd_k_norm_ranges(hw);
    const int width = c / groups;
    int step = width; // channels: a multiple of the group's width and of v
    while (step % v) step += width;
    bool found = false;
    for (int chunk = step; chunk <= c && chunk / v * k.classes <= GN_THREADS; chunk += step) {
        const bool whole = chunk == c, row64 = chunk * element >= 64;
        if (c % chunk || (!whole && chunk * element < 32)) continue;
        k.lanes = chunk / v;
        k.chunks = c / chunk;
        k.threads = (k.lanes * k.classes + BD_K_WARP - 1) / BD_K_WARP * BD_K_WARP;
        k.shared = bytes(k);
        if (k.shared > limit) continue;
        *out = k;
        found = true;
        if (row64 && k.lanes * k.classes >= 128) break;
    }
    return found;
}

// What a block may ask for; see bd_cuda_group_norm_shared.
size_t gn_shared_limit();

static inline size_t gn_round16(size_t n) { return (n + 15) / 16 * 16; }

// n[0] x n[1] x n[2] blocks in one dimension, or 0 when that is more than a grid has.
static inline unsigned gn_grid(int n, int ranges, int chunks) {
    const size_t blocks =
        static_cast<size_t>(n) * static_cast<size_t>(ranges) * static_cast<size_t>(chunks);
    return blocks <= 0x7fffffffu ? static_cast<unsigned>(blocks) : 0;
}

// Offsets inside an image are ints.
template <class A> static bool gn_valid(const A *a) {
    return a->n > 0 && a->hw > 0 && a->c > 0 && a->groups > 0 && a->c % a->groups == 0 &&
           a->hw <= 0x7fffffff / a->c;
}

#define GN_TRY(expr)           \
    do {                       \
        const int e_ = (expr); \
        if (e_) return e_;     \
    } while (0)

// Pixels of class k in a range of `length`.
__device__ __forceinline__ int gn_class_count(int length, int classes, int k) {
    return k < length ? (length - k + classes - 1) / classes : 0;
}

// The same sum in all lanes of a warp: neighbours first, a balanced tree. `span` lanes (a power of two) take part.
__device__ __forceinline__ float gn_warp_sum(float x, int span = BD_K_WARP) {
    for (int o = 1; o < span; o *= 2) x += __shfl_xor_sync(0xffffffffu, x, o);
    return x;
}

// 1 / (1 + e^-u). In float32 storage exactly as elsewhere. For 16-bit storage in half as many instructions, without a
// division and without a branch, because arithmetic would otherwise take longer than the memory: relative error
// below 1.1e-5, a fortieth of half a unit in the last place of half.
template <class T> __device__ __forceinline__ float gn_sigmoid(float u) {
    // e^-u = 2^n 2^f, |f| <= 1/2; 2^f by our own minimax fit, error 2.7e-6. NaN: the caller multiplies by u.
    const float x = fminf(fmaxf(u, -80.0f), 80.0f);
    const float t = fmaf(x, -0x1.715476p+0f, BD_ROUND_MAGIC);
    const float n = t - BD_ROUND_MAGIC;
    const float f = fmaf(x, -0x1.715476p+0f, -n);
    float p = 0x1.39e654p-7f;
    p = fmaf(p, f, 0x1.ca1abap-5f);
    p = fmaf(p, f, 0x1.ec060cp-3f);
    p = fmaf(p, f, 0x1.62e0d0p-1f);
    p = fmaf(p, f, 0x1.ffffe8p-1f);
    // The shift leaves n alone of the bits of t.
    const float d = 1.0f + bd_float_from_bits(bd_float_to_bits(p) + (bd_float_to_bits(t) << 23));
    // 1/d: an estimate from the bits, off by 5.1 %, and two steps of Newton: 0.26 %, 6.6e-6.
    float y = bd_float_from_bits(0x7ef31000u - bd_float_to_bits(d));
    y = y * fmaf(-d, y, 2.0f);
    return y * fmaf(-d, y, 2.0f);
}
template <> __device__ __forceinline__ float gn_sigmoid<float>(float u) { return bd_sigmoidf(u); }

#endif
