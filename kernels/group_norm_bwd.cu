// Group norm, backward, NHWC. With xhat = (x + v - mean) rstd, u = gamma xhat + beta, dz = dy act'(u):
//     dbeta = sum dz    dgamma = sum dz xhat    over images and pixels
//     dx = rstd (gamma dz - m1 - xhat m2)       m1, m2 = means of gamma dz, gamma dz xhat over a group of an image
//
// Sums of each (image, channel) come first; they give m1 and m2, and a last small kernel adds up the images. The same
// two ways as forward, with the same bits:
//   kept      one kernel; x and dy of the chunk stay in shared memory between the sums and dx.
//   streaming sums of ranges, m1 and m2, dx (from the last block to the first: what the L2 cache still holds). Also
//             where dx is not wanted, without the last.
// dz is computed twice: keeping it would take four bytes an element of shared memory, or round it.
//
// Expected on an H100 (3.0 TB/s), bf16, 128 images of 32x32x128: 101 MB, 34 us; with SiLU about 60 instructions an
// element, 35 us of issue slots: a little more than the memory's time. Streaming 64 images of 256x256x128: 5.4 GB, 1.8
// ms. Not yet measured.
#include "group_norm.cuh"

// 8 pixels a thread at 32x32: a block of two tensors leaves room for one or two more, so each has many threads.
enum { CLASSES = 128, BATCH = 2 };

// --- what a lane knows of its V channels

template <int V> struct lane_norm {
    float o[V], r[V], gamma[V], beta[V]; // xhat = (x - o) r
};

template <class T, int V>
__device__ __forceinline__ void lane_init(lane_norm<V> *k, const bd_k_group_norm_bwd &a, int image,
                                          int channel) {
    const int width = a.c / a.groups;
    int g = channel / width, at = channel - g * width;
    const size_t stats = static_cast<size_t>(image) * a.groups;
    float v[V];
#pragma unroll
    for (int j = 0; j < V; j++) v[j] = 0.0f;
    if (a.v)
        bd_load_vec<V>(v, static_cast<const T *>(a.v) + static_cast<size_t>(image) * a.c + channel);
#pragma unroll
    for (int j = 0; j < V; j++) {
        k->r[j] = a.rstd[stats + g];
        k->o[j] = a.mean[stats + g] - v[j];
        k->gamma[j] = a.gamma[channel + j];
        k->beta[j] = a.beta[channel + j];
        if (++at == width) at = 0, g++;
    }
}

// dz and xhat of channel j
template <class T, int V, bool SILU>
__device__ __forceinline__ float slope(float *xhat, const lane_norm<V> &k, int j, float x,
                                       float dy) {
    *xhat = (x - k.o[j]) * k.r[j];
    if (!SILU) return dy;
    const float u = fmaf(k.gamma[j], *xhat, k.beta[j]), s = gn_sigmoid<T>(u);
    return dy * fmaf(u * s, 1.0f - s, s);
}

// --- sums

template <int V> struct class_sums { float dz[V], dzx[V]; };

// The pixels first, first + step ... below last; x, dy: channel 0 of the lane in pixel 0. KEEP: also into the slabs.
template <class T, int V, bool SILU, bool KEEP>
__device__ __forceinline__ void
sum_class(class_sums<V> *s, const lane_norm<V> &k, const T *x, const T *dy, int c, int first,
          int last, int step, bd_pack<T, V> *keep_x, bd_pack<T, V> *keep_dy, int lanes) {
    for (int p0 = first; p0 < last; p0 += BATCH * step) {
        bd_pack<T, V> px[BATCH], pdy[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            const int p = p0 + b * step;
            if (p >= last) continue;
            px[b] = *reinterpret_cast<const bd_pack<T, V> *>(x + p * c);
            pdy[b] = *reinterpret_cast<const bd_pack<T, V> *>(dy + p * c);
        }
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            const int p = p0 + b * step;
            if (p >= last) continue;
            if (KEEP) keep_x[p * lanes] = px[b], keep_dy[p * lanes] = pdy[b];
#pragma unroll
            for (int j = 0; j < V; j++) {
                float xhat;
                const float dz =
                    slope<T, V, SILU>(&xhat, k, j, bd_load(px[b].at[j]), bd_load(pdy[b].at[j]));
                s->dz[j] += dz;
                s->dzx[j] = fmaf(dz, xhat, s->dzx[j]);
            }
        }
    }
}

// Classes that lie in one warp are added by shuffles, where lanes divide a warp: the tree's first levels.
static __host__ __device__ __forceinline__ int classes_of_warp(const gn_cut &cut) {
    if (BD_K_WARP % cut.lanes) return 1;
    const int n = BD_K_WARP / cut.lanes;
    return n < cut.classes ? n : cut.classes;
}

// What is left of the tree: floats for each channel and sum, an odd number.
static __host__ __device__ __forceinline__ int class_pitch(const gn_cut &cut) {
    return cut.classes / classes_of_warp(cut) + 1;
}

// Sums of a range, from those of its classes, into dz[channel of the chunk], dzx[...]; all threads of the block.
// `channels` of the chunk are there. Ends with a barrier.
template <int V>
__device__ __forceinline__ void range_sums(float *dz, float *dzx, class_sums<V> &s, float *shared,
                                           const gn_cut &cut, int channels) {
    const int lane = threadIdx.x % cut.lanes, row = threadIdx.x / cut.lanes;
    const int together = classes_of_warp(cut), pitch = class_pitch(cut),
              left = cut.classes / together;
    float *shared_x = shared + cut.lanes * V * pitch;
    for (int o = 1; o < together; o *= 2)
#pragma unroll
        for (int j = 0; j < V; j++) {
            s.dz[j] += __shfl_xor_sync(0xffffffffu, s.dz[j], o * cut.lanes);
            s.dzx[j] += __shfl_xor_sync(0xffffffffu, s.dzx[j], o * cut.lanes);
        }
    if (row < cut.classes && row % together == 0)
#pragma unroll
        for (int j = 0; j < V; j++) {
            const int to = (lane * V + j) * pitch + row / together;
            shared[to] = s.dz[j];
            shared_x[to] = s.dzx[j];
        }
    __syncthreads();
    // A warp takes a channel; its lanes begin with neighbours where there are more than 32.
    const int own = (left + BD_K_WARP - 1) / BD_K_WARP, span = left < BD_K_WARP ? left : BD_K_WARP;
    for (int i = threadIdx.x / BD_K_WARP; i < 2 * channels; i += blockDim.x / BD_K_WARP) {
        const bool second = i >= channels;
        const int channel = second ? i - channels : i, at = threadIdx.x % BD_K_WARP;
        const float *from = (second ? shared_x : shared) + channel * pitch + at * own;
        float sum = 0.0f;
        if (at < span) {
            sum = from[0];
            if (own == 2) sum += from[1];
            if (own == 4) sum = (sum + from[1]) + (from[2] + from[3]);
        }
        sum = gn_warp_sum(sum, span);
        if (at == 0) (second ? dzx : dz)[channel] = sum;
    }
    __syncthreads();
}

// Sums of each channel of a group over its ranges, out to `all` ([2][C] of an image), and m1, m2; one warp, the same
// values in all lanes. part: the ranges' sums of the group's first channel, those of dzx `x_at` floats on, ranges
// `stride` floats apart.
__device__ __forceinline__ void group_sums(float *m1, float *m2, float *all, const float *part,
                                           int x_at, int stride, int ranges,
                                           const bd_k_group_norm_bwd &a, int g) {
    const int width = a.c / a.groups, first = g * width;
    float sum = 0.0f, sum_x = 0.0f;
    for (int j = threadIdx.x % BD_K_WARP; j < width; j += BD_K_WARP) {
        float dz = 0.0f, dzx = 0.0f;
        for (int r = 0; r < ranges; r++) {
            dz += part[r * stride + j];
            dzx += part[r * stride + x_at + j];
        }
        all[first + j] = dz;
        all[a.c + first + j] = dzx;
        sum = fmaf(a.gamma[first + j], dz, sum);
        sum_x = fmaf(a.gamma[first + j], dzx, sum_x);
    }
    const float count = static_cast<float>(a.hw) * static_cast<float>(width);
    *m1 = gn_warp_sum(sum) / count;
    *m2 = gn_warp_sum(sum_x) / count;
}

// --- dx

// means: {m1, m2} of the groups from g0 on
template <int V>
__device__ __forceinline__ void lane_means(float *k0, float *k1, const lane_norm<V> &k,
                                           const float *means, int g0, int width, int channel) {
    int g = channel / width, at = channel - g * width;
    g -= g0;
#pragma unroll
    for (int j = 0; j < V; j++) {
        k0[j] = -k.r[j] * means[2 * g];
        k1[j] = -k.r[j] * means[2 * g + 1];
        if (++at == width) at = 0, g++;
    }
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void lane_apply(T *dx, const lane_norm<V> &k, const float *k0,
                                           const float *k1, const bd_pack<T, V> &x,
                                           const bd_pack<T, V> &dy) {
    float out[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        float xhat;
        const float dz = slope<T, V, SILU>(&xhat, k, j, bd_load(x.at[j]), bd_load(dy.at[j]));
        out[j] = fmaf(k.r[j] * k.gamma[j], dz, fmaf(k1[j], xhat, k0[j]));
    }
    bd_store_vec<V>(dx, out);
}

// What a block of lanes x classes threads works on, from its number.
struct place {
    int chunk, image, range, lane, row;
    __device__ __forceinline__ place(const gn_cut &cut, unsigned block) {
        chunk = block % cut.chunks;
        block /= cut.chunks;
        range = block % cut.ranges;
        image = block / cut.ranges;
        lane = threadIdx.x % cut.lanes;
        row = threadIdx.x / cut.lanes;
    }
};

// scratch: sums [N][2][C], then {m1, m2} [N][G], then sums of ranges [N][ranges][2][C]
__device__ __forceinline__ float *image_sums(const bd_k_group_norm_bwd &a, int image) {
    return a.scratch + static_cast<size_t>(image) * 2 * a.c;
}
__device__ __forceinline__ float *image_means(const bd_k_group_norm_bwd &a, int image) {
    return image_sums(a, a.n) + static_cast<size_t>(image) * 2 * a.groups;
}
__device__ __forceinline__ float *image_parts(const bd_k_group_norm_bwd &a, const gn_cut &cut,
                                              int image) {
    return image_means(a, a.n) + static_cast<size_t>(image) * cut.ranges * 2 * a.c;
}

// --- kept: shared memory holds x and dy of the chunk [HW][lanes], the classes' sums, the ranges', the groups' means

template <class T, int V>
static __host__ __device__ __forceinline__ size_t slab_bytes(const bd_k_group_norm_bwd &a,
                                                             const gn_cut &k) {
    return (static_cast<size_t>(a.hw) * k.lanes * sizeof(bd_pack<T, V>) + 15) / 16 * 16;
}

template <class T, int V> static size_t kept_bytes(const bd_k_group_norm_bwd &a, const gn_cut &k) {
    const size_t channels = static_cast<size_t>(k.lanes) * V;
    const size_t floats = 2 * channels * static_cast<size_t>(class_pitch(k) + k.ranges) +
                          2 * static_cast<size_t>(a.groups / k.chunks);
    return 2 * slab_bytes<T, V>(a, k) + floats * sizeof(float);
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void kept_block(const bd_k_group_norm_bwd &a, const gn_cut &cut,
                                           unsigned char *shared) {
    const int width = a.c / a.groups, channels = cut.lanes * V, groups = a.groups / cut.chunks;
    const int lane = threadIdx.x % cut.lanes, row = threadIdx.x / cut.lanes;
    const int image = blockIdx.x / cut.chunks, chunk = blockIdx.x % cut.chunks;
    auto *keep_x = reinterpret_cast<bd_pack<T, V> *>(shared) + lane;
    auto *keep_dy = reinterpret_cast<bd_pack<T, V> *>(shared + slab_bytes<T, V>(a, cut)) + lane;
    float *sums = reinterpret_cast<float *>(shared + 2 * slab_bytes<T, V>(a, cut));
    float *part = sums + 2 * channels * class_pitch(cut), *means = part + 2 * channels * cut.ranges;
    const int channel = chunk * channels + lane * V;
    const bool active = row < cut.classes;
    const size_t from = static_cast<size_t>(image) * a.hw * a.c + channel;

    lane_norm<V> k;
    lane_init<T, V>(&k, a, image, channel);
    for (int r = 0; r < cut.ranges; r++) {
        const int first = r * cut.range, last = min(first + cut.range, a.hw);
        class_sums<V> s = {};
        if (active)
            sum_class<T, V, SILU, true>(&s, k, static_cast<const T *>(a.x) + from,
                                        static_cast<const T *>(a.dy) + from, a.c, first + row, last,
                                        cut.classes, keep_x, keep_dy, cut.lanes);
        range_sums<V>(part + r * 2 * channels, part + (r * 2 + 1) * channels, s, sums, cut,
                      channels);
    }
    for (int g = threadIdx.x / BD_K_WARP; g < groups; g += blockDim.x / BD_K_WARP) {
        float m1, m2;
        group_sums(&m1, &m2, image_sums(a, image), part + g * width, channels, 2 * channels,
                   cut.ranges, a, chunk * groups + g);
        if (threadIdx.x % BD_K_WARP == 0) means[2 * g] = m1, means[2 * g + 1] = m2;
    }
    __syncthreads();
    if (!active) return;
    float k0[V], k1[V];
    lane_means<V>(k0, k1, k, means, chunk * groups, width, channel);
    T *dx = static_cast<T *>(a.dx) + from;
#pragma unroll 1
    for (int p = row; p < a.hw; p += cut.classes)
        lane_apply<T, V, SILU>(dx + p * a.c, k, k0, k1, keep_x[p * cut.lanes],
                               keep_dy[p * cut.lanes]);
}

// grid N x chunks (chunks of an image are neighbours); block lanes x classes
template <class T, int V>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_bwd_kept_kernel(bd_k_group_norm_bwd a, gn_cut cut) {
    BD_SHARED_DYNAMIC(unsigned char, shared);
    if (a.silu)
        kept_block<T, V, true>(a, cut, shared);
    else
        kept_block<T, V, false>(a, cut, shared);
}

// --- streaming

// Sums of each (image, range, channel). grid N x ranges x chunks, block lanes x classes, shared the classes' sums
template <class T, int V>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_bwd_sums_kernel(bd_k_group_norm_bwd a, gn_cut cut) {
    BD_SHARED_DYNAMIC(float, sums);
    const place at(cut, blockIdx.x);
    const int chunk0 = at.chunk * cut.lanes * V, channel = chunk0 + at.lane * V;
    const int first = at.range * cut.range, last = min(first + cut.range, a.hw);
    class_sums<V> s = {};
    if (at.row < cut.classes && channel < a.c) {
        lane_norm<V> k;
        lane_init<T, V>(&k, a, at.image, channel);
        const size_t from = static_cast<size_t>(at.image) * a.hw * a.c + channel;
        const T *x = static_cast<const T *>(a.x) + from, *dy = static_cast<const T *>(a.dy) + from;
        if (a.silu)
            sum_class<T, V, true, false>(&s, k, x, dy, a.c, first + at.row, last, cut.classes,
                                         nullptr, nullptr, 0);
        else
            sum_class<T, V, false, false>(&s, k, x, dy, a.c, first + at.row, last, cut.classes,
                                          nullptr, nullptr, 0);
    }
    float *out = image_parts(a, cut, at.image) + static_cast<size_t>(at.range) * 2 * a.c + chunk0;
    range_sums<V>(out, out + a.c, s, sums, cut, min(cut.lanes * V, a.c - chunk0));
}

// Sums of an (image, channel), means of an (image, group). A warp for each (image, group)
static __global__ void group_norm_bwd_means_kernel(bd_k_group_norm_bwd a, gn_cut cut) {
    const size_t i = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / BD_K_WARP;
    if (i >= static_cast<size_t>(a.n) * a.groups) return;
    const int image = static_cast<int>(i / a.groups), g = static_cast<int>(i % a.groups);
    float m1, m2;
    group_sums(&m1, &m2, image_sums(a, image), image_parts(a, cut, image) + g * (a.c / a.groups),
               a.c, 2 * a.c, cut.ranges, a, g);
    if (threadIdx.x % BD_K_WARP) return;
    image_means(a, image)[2 * g] = m1;
    image_means(a, image)[2 * g + 1] = m2;
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void apply_block(const bd_k_group_norm_bwd &a, const gn_cut &cut,
                                            const place &at, int channel) {
    lane_norm<V> k;
    float k0[V], k1[V];
    lane_init<T, V>(&k, a, at.image, channel);
    lane_means<V>(k0, k1, k, image_means(a, at.image), 0, a.c / a.groups, channel);
    const size_t from = static_cast<size_t>(at.image) * a.hw * a.c + channel;
    const T *x = static_cast<const T *>(a.x) + from, *dy = static_cast<const T *>(a.dy) + from;
    T *dx = static_cast<T *>(a.dx) + from;
    const int first = at.range * cut.range, last = min(first + cut.range, a.hw);
    for (int p0 = first + at.row; p0 < last; p0 += BATCH * cut.classes) {
        bd_pack<T, V> px[BATCH], pdy[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            const int p = p0 + b * cut.classes;
            if (p >= last) continue;
            px[b] = *reinterpret_cast<const bd_pack<T, V> *>(x + p * a.c);
            pdy[b] = *reinterpret_cast<const bd_pack<T, V> *>(dy + p * a.c);
        }
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            const int p = p0 + b * cut.classes;
            if (p < last) lane_apply<T, V, SILU>(dx + p * a.c, k, k0, k1, px[b], pdy[b]);
        }
    }
}

// grid and block as for the sums, from the last block to the first
template <class T, int V>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_bwd_apply_kernel(bd_k_group_norm_bwd a, gn_cut cut) {
    const place at(cut, gridDim.x - 1 - blockIdx.x);
    const int channel = (at.chunk * cut.lanes + at.lane) * V;
    if (at.row >= cut.classes || channel >= a.c) return;
    if (a.silu)
        apply_block<T, V, true>(a, cut, at, channel);
    else
        apply_block<T, V, false>(a, cut, at, channel);
}

// --- sums over images

enum { IMAGE_ROWS = 16 };

// dgamma, dbeta: 16 threads a channel take every 16th image each, then their sums in order. grid C / 32 and 2, block
// 512
static __global__ void group_norm_bwd_images_kernel(bd_k_group_norm_bwd a) {
    BD_SHARED(float, part, IMAGE_ROWS *BD_K_WARP);
    const int lane = threadIdx.x % BD_K_WARP, row = threadIdx.x / BD_K_WARP;
    const int channel = blockIdx.x * BD_K_WARP + lane;
    float *out = blockIdx.y ? a.dgamma : a.dbeta;
    if (!out) return; // the whole block
    float sum = 0.0f;
    if (channel < a.c)
#pragma unroll 4
        for (int i = row; i < a.n; i += IMAGE_ROWS)
            sum += image_sums(a, i)[blockIdx.y * a.c + channel];
    part[threadIdx.x] = sum;
    __syncthreads();
    if (row || channel >= a.c) return;
    for (int r = 1; r < IMAGE_ROWS; r++) sum += part[r * BD_K_WARP + lane];
    out[channel] = a.accumulate ? out[channel] + sum : sum;
}

// --- host

template <class T, int V> static int run_sums(const bd_k_group_norm_bwd &a, void *stream) {
    gn_cut cut;
    auto bytes = [&a](const gn_cut &k) { return kept_bytes<T, V>(a, k); };
    if (a.dx &&
        gn_cut_kept(&cut, a.hw, a.c, a.groups, V, CLASSES, sizeof(T), gn_shared_limit(), bytes)) {
        const unsigned grid = gn_grid(a.n, 1, cut.chunks);
        if (!grid) return BD_K_INVALID;
        return BD_LAUNCH_SHARED((group_norm_bwd_kept_kernel<T, V>), grid, cut.threads, cut.shared,
                                stream, a, cut);
    }
    cut = gn_cut_streaming(a.hw, a.c / V, CLASSES);
    const unsigned grid = gn_grid(a.n, cut.ranges, cut.chunks), warps = 4;
    if (!grid) return BD_K_INVALID;
    const size_t shared = 2 * static_cast<size_t>(cut.lanes * V) * class_pitch(cut) * sizeof(float);
    GN_TRY(BD_LAUNCH_SHARED((group_norm_bwd_sums_kernel<T, V>), grid, cut.threads, shared, stream,
                            a, cut));
    const unsigned blocks = bd_blocks(static_cast<size_t>(a.n) * a.groups, warps);
    GN_TRY(BD_LAUNCH_SYNC(group_norm_bwd_means_kernel, blocks, warps * BD_K_WARP, stream, a, cut));
    if (!a.dx) return 0;
    return BD_LAUNCH((group_norm_bwd_apply_kernel<T, V>), grid, cut.threads, stream, a, cut);
}

template <class T> static int run(const bd_k_group_norm_bwd &a, void *stream) {
    constexpr int V = bd_width<T>::N;
    GN_TRY(a.c % V ? (run_sums<T, 1>(a, stream)) : (run_sums<T, V>(a, stream)));
    const dim3 grid(bd_blocks(static_cast<size_t>(a.c), BD_K_WARP), 2);
    return BD_LAUNCH_SYNC(group_norm_bwd_images_kernel, grid, IMAGE_ROWS * BD_K_WARP, stream, a);
}

extern "C" int bd_cuda_group_norm_bwd(const bd_k_group_norm_bwd *a, void *stream) {
    if (!gn_valid(a)) return BD_K_INVALID;
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T, st = run<T>(*a, stream));
    return st;
}
