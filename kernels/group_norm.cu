// Group norm, forward, NHWC, with an optional addend for each (image, channel) and optional SiLU:
//     y = act((x + v - mean) rstd gamma + beta)
//
// Two ways, chosen by what fits into shared memory, with the same bits (group_norm.cuh):
//   kept      one kernel; a block reads its chunk of an image once, keeps it in shared memory, and writes y.
//   streaming three kernels: sums of ranges, mean and rstd, y. x is read twice; the last kernel walks backwards, so
//             that it begins with what the L2 cache still holds.
//
// Statistics: a thread sums x - s and (x - s)^2, s being its first pixel. As sum (x - s)^2 <= n M2 for any s among n
// numbers with sum of squares M2 about their mean, no more than a factor n = 16 (HW / 4096 beyond HW = 65536) is
// lost to cancellation, whatever the mean. From there on only means and M2 are combined, about the common mean m:
// M2 = sum M2_i + n_i (m_i - m)^2.
//
// Expected on an H100 (3.0 TB/s), bf16, 128 images of 32x32x128: 67 MB, 22 us; with SiLU about 27 instructions an
// element, 16 us of issue slots, beside it. Streaming 64 images of 256x256x128: 3.2 GB, 1.1 ms. Not yet measured.
#include "group_norm.cuh"

enum { CLASSES = 64 };

static size_t shared_set; // by tests

extern "C" void bd_cuda_group_norm_shared(size_t bytes) { shared_set = bytes; }

size_t gn_shared_limit() {
    if (shared_set) return shared_set;
#ifdef BD_EMULATOR
    return 227 * 1024; // an H100
#else
    int device = 0, bytes = 0;
    if (cudaGetDevice(&device) == cudaSuccess &&
        cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) ==
            cudaSuccess)
        return static_cast<size_t>(bytes);
    return 48 * 1024;
#endif
}

// --- statistics

// V channels of one class of a range.
template <int V> struct class_sums { float shift[V], s[V], q[V]; };

// The pixels first, first + step ... below last; x: channel 0 of the lane in pixel 0. KEEP: also into slab, the lane's
// place in pixel 0 of the chunk.
template <class T, int V, bool KEEP>
__device__ __forceinline__ void sum_class(class_sums<V> *k, const T *x, int c, int first, int last,
                                          int step, bd_pack<T, V> *slab, int lanes) {
#pragma unroll
    for (int j = 0; j < V; j++) k->shift[j] = k->s[j] = k->q[j] = 0.0f;
    if (first < last) bd_load_vec<V>(k->shift, x + first * c);
    for (int p0 = first; p0 < last; p0 += GN_BATCH * step) {
        bd_pack<T, V> pack[GN_BATCH];
#pragma unroll
        for (int b = 0; b < GN_BATCH; b++) {
            const int p = p0 + b * step;
            if (p < last) pack[b] = *reinterpret_cast<const bd_pack<T, V> *>(x + p * c);
        }
#pragma unroll
        for (int b = 0; b < GN_BATCH; b++) {
            const int p = p0 + b * step;
            if (p >= last) continue;
            if (KEEP) slab[p * lanes] = pack[b];
#pragma unroll
            for (int j = 0; j < V; j++) {
                const float d = bd_load(pack[b].at[j]) - k->shift[j];
                k->s[j] += d;
                k->q[j] = fmaf(d, d, k->q[j]);
            }
        }
    }
}

// Mean and M2 of each unit of U channels, n pixels a channel; v: the lane's addends. Unit i of the lane goes to
// mean[i * stride], m2[i * stride].
template <int V, int U>
__device__ __forceinline__ void unit_stats(float *mean, float *m2, int stride,
                                           const class_sums<V> &k, const float *v, int n) {
    const float inv = n > 0 ? 1.0f / static_cast<float>(n) : 0.0f;
#pragma unroll
    for (int i = 0; i < V; i += U) {
        float m[U], sum = 0.0f, q = 0.0f, far = 0.0f;
#pragma unroll
        for (int j = 0; j < U; j++) {
            const float d = k.s[i + j] * inv;
            const float own = fmaf(-k.s[i + j], d, k.q[i + j]);
            m[j] = k.shift[i + j] + d + v[i + j];
            q += own < 0.0f ? 0.0f : own;
            sum += m[j] - m[0];
        }
        const float unit = fmaf(sum, 1.0f / U, m[0]);
#pragma unroll
        for (int j = 0; j < U; j++) far = fmaf(m[j] - unit, m[j] - unit, far);
        mean[i / U * stride] = unit;
        m2[i / U * stride] = fmaf(static_cast<float>(n), far, q);
    }
}

// out[0], out[1] = mean and M2 of a range of `length` pixels from those of its classes; one warp.
__device__ __forceinline__ void range_stats(float *out, const float *mean, const float *m2,
                                            int classes, int length, int unit) {
    const int lane = threadIdx.x % BD_K_WARP;
    const float base = mean[0];
    float sum = 0.0f, far = 0.0f;
    for (int k = lane; k < classes; k += BD_K_WARP)
        sum = fmaf(static_cast<float>(gn_class_count(length, classes, k)), mean[k] - base, sum);
    const float m = base + gn_warp_sum(sum) / static_cast<float>(length);
    for (int k = lane; k < classes; k += BD_K_WARP) {
        const float d = mean[k] - m;
        far += fmaf(static_cast<float>(gn_class_count(length, classes, k) * unit), d * d, m2[k]);
    }
    far = gn_warp_sum(far);
    if (lane) return;
    out[0] = m;
    out[1] = far;
}

// Mean and rstd of a group from the {mean, M2} of its units, `units` of each range, ranges `stride` floats apart; one
// warp, the same values in all lanes.
__device__ __forceinline__ void group_stats(float *mean, float *rstd, const float *part, int units,
                                            int stride, const gn_cut &cut, int hw, int width,
                                            float eps) {
    const int unit = width / units, items = units * cut.ranges;
    const float base = part[0], count = static_cast<float>(hw) * static_cast<float>(width);
    float sum = 0.0f, far = 0.0f;
    for (int i = threadIdx.x % BD_K_WARP; i < items; i += BD_K_WARP) {
        const int r = i / units, length = min(cut.range, hw - r * cut.range);
        sum = fmaf(static_cast<float>(length * unit), part[r * stride + i % units * 2] - base, sum);
    }
    *mean = base + gn_warp_sum(sum) / count;
    for (int i = threadIdx.x % BD_K_WARP; i < items; i += BD_K_WARP) {
        const int r = i / units, length = min(cut.range, hw - r * cut.range);
        const float *p = part + r * stride + i % units * 2;
        const float d = p[0] - *mean;
        far += fmaf(static_cast<float>(length * unit), d * d, p[1]);
    }
    *rstd = 1.0f / sqrtf(gn_warp_sum(far) / count + eps);
}

// --- normalising

// y = act(a (x - b) + beta) of a lane's channels
template <int V> struct lane_map { float a[V], b[V], beta[V]; };

// mean, rstd: those of the image's group g0; channel: the lane's first
template <class T, int V>
__device__ __forceinline__ void lane_init(lane_map<V> *k, const bd_k_group_norm &a,
                                          const float *mean, const float *rstd, int g0,
                                          const float *v, int channel) {
    const int width = a.c / a.groups;
    int g = channel / width, at = channel - g * width;
    g -= g0;
#pragma unroll
    for (int j = 0; j < V; j++) {
        k->a[j] = rstd[g] * a.gamma[channel + j];
        k->b[j] = mean[g] - v[j];
        k->beta[j] = a.beta[channel + j];
        if (++at == width) at = 0, g++;
    }
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void lane_apply(T *y, const lane_map<V> &k, const bd_pack<T, V> &x) {
    float out[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        const float u = fmaf(bd_load(x.at[j]) - k.b[j], k.a[j], k.beta[j]);
        out[j] = SILU ? u * gn_sigmoid<T>(u) : u;
    }
    bd_store_vec<V>(y, out);
}

template <class T, int V>
__device__ __forceinline__ void load_addends(float *v, const void *all, size_t at) {
#pragma unroll
    for (int j = 0; j < V; j++) v[j] = 0.0f;
    if (all) bd_load_vec<V>(v, static_cast<const T *>(all) + at);
}

// --- kept: shared memory holds the chunk [HW][lanes], the classes' stats, the ranges', the groups'

template <class T, int V>
static size_t kept_bytes(const bd_k_group_norm &a, const gn_cut &k, int units) {
    const size_t floats =
        2 * static_cast<size_t>(units) * static_cast<size_t>(k.classes + 1 + k.ranges) +
        2 * static_cast<size_t>(a.groups / k.chunks);
    return gn_round16(static_cast<size_t>(a.hw) * k.lanes * sizeof(bd_pack<T, V>)) +
           floats * sizeof(float);
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void apply_slab(T *y, const lane_map<V> &k, const bd_pack<T, V> *slab,
                                           int row, int step, const bd_k_group_norm &a, int lanes) {
#pragma unroll 1
    for (int p = row; p < a.hw; p += step) lane_apply<T, V, SILU>(y + p * a.c, k, slab[p * lanes]);
}

// grid N x chunks (chunks of an image are neighbours); block lanes x classes
template <class T, int V, int U>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_kept_kernel(bd_k_group_norm a, gn_cut cut) {
    BD_SHARED_DYNAMIC(unsigned char, shared);
    const int width = a.c / a.groups, units = cut.lanes * V / U, groups = a.groups / cut.chunks;
    auto *slab = reinterpret_cast<bd_pack<T, V> *>(shared);
    const size_t slab_bytes =
        (static_cast<size_t>(a.hw) * cut.lanes * sizeof(bd_pack<T, V>) + 15) / 16 * 16;
    float *class_mean = reinterpret_cast<float *>(shared + slab_bytes);
    const int pitch = cut.classes + 1; // an odd pitch: no bank conflicts
    float *class_m2 = class_mean + units * pitch, *part = class_m2 + units * pitch;
    float *mean = part + 2 * units * cut.ranges, *rstd = mean + groups;

    const int chunk = blockIdx.x % cut.chunks, image = blockIdx.x / cut.chunks;
    const int lane = threadIdx.x % cut.lanes, row = threadIdx.x / cut.lanes;
    const int channel = (chunk * cut.lanes + lane) * V;
    const bool active = row < cut.classes;
    const int warp = threadIdx.x / BD_K_WARP, warps = blockDim.x / BD_K_WARP;
    const size_t at = static_cast<size_t>(image) * a.hw * a.c + channel;
    const size_t at_v = static_cast<size_t>(image) * a.c + channel;

    for (int r = 0; r < cut.ranges; r++) {
        const int first = r * cut.range, length = min(cut.range, a.hw - first);
        if (active) {
            class_sums<V> k;
            sum_class<T, V, true>(&k, static_cast<const T *>(a.x) + at, a.c, first + row,
                                  first + length, cut.classes, slab + lane, cut.lanes);
            float v[V];
            load_addends<T, V>(v, a.v, at_v);
            const int place = lane * (V / U) * pitch + row;
            unit_stats<V, U>(class_mean + place, class_m2 + place, pitch, k, v,
                             gn_class_count(length, cut.classes, row));
        }
        __syncthreads();
        for (int i = warp; i < units; i += warps)
            range_stats(part + 2 * (r * units + i), class_mean + i * pitch, class_m2 + i * pitch,
                        cut.classes, length, U);
        __syncthreads();
    }
    for (int g = warp; g < groups; g += warps) {
        float m, s;
        group_stats(&m, &s, part + 2 * g * (width / U), width / U, 2 * units, cut, a.hw, width,
                    a.eps);
        if (threadIdx.x % BD_K_WARP) continue;
        const size_t out = static_cast<size_t>(image) * a.groups + chunk * groups + g;
        a.mean[out] = mean[g] = m;
        a.rstd[out] = rstd[g] = s;
    }
    __syncthreads();
    if (!active) return;
    float v[V];
    load_addends<T, V>(v, a.v, at_v);
    lane_map<V> k;
    lane_init<T, V>(&k, a, mean, rstd, chunk * groups, v, channel);
    T *y = static_cast<T *>(a.y) + at;
    if (a.silu)
        apply_slab<T, V, true>(y, k, slab + lane, row, cut.classes, a, cut.lanes);
    else
        apply_slab<T, V, false>(y, k, slab + lane, row, cut.classes, a, cut.lanes);
}

// --- streaming

// What a block of lanes x classes threads works on, from its number.
template <int V> struct place {
    int image, range, lane, row, channel, first, last;
    bool active;
    __device__ __forceinline__ place(const bd_k_group_norm &a, const gn_cut &cut, unsigned block) {
        const int chunk = block % cut.chunks;
        block /= cut.chunks;
        range = block % cut.ranges;
        image = block / cut.ranges;
        lane = threadIdx.x % cut.lanes;
        row = threadIdx.x / cut.lanes;
        channel = (chunk * cut.lanes + lane) * V;
        first = range * cut.range;
        last = min(first + cut.range, a.hw);
        active = row < cut.classes && channel < a.c;
    }
};

// {mean, M2} of each (image, range, unit) into scratch. grid N x ranges x chunks, block lanes x classes, shared two
// floats a (unit, class)
template <class T, int V, int U>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_sums_kernel(bd_k_group_norm a, gn_cut cut) {
    BD_SHARED_DYNAMIC(float, class_mean);
    const place<V> at(a, cut, blockIdx.x);
    const int units = cut.lanes * V / U, pitch = cut.classes + 1, all = a.c / U;
    float *class_m2 = class_mean + units * pitch;
    if (at.active) {
        class_sums<V> k;
        const T *x =
            static_cast<const T *>(a.x) + static_cast<size_t>(at.image) * a.hw * a.c + at.channel;
        sum_class<T, V, false>(&k, x, a.c, at.first + at.row, at.last, cut.classes, nullptr, 0);
        float v[V];
        load_addends<T, V>(v, a.v, static_cast<size_t>(at.image) * a.c + at.channel);
        const int to = at.lane * (V / U) * pitch + at.row;
        unit_stats<V, U>(class_mean + to, class_m2 + to, pitch, k, v,
                         gn_class_count(at.last - at.first, cut.classes, at.row));
    }
    __syncthreads();
    const int unit0 = (at.channel / V - at.lane) * (V / U);
    float *out = a.scratch + (static_cast<size_t>(at.image) * cut.ranges + at.range) * all * 2;
    for (int i = threadIdx.x / BD_K_WARP; i < units && unit0 + i < all; i += blockDim.x / BD_K_WARP)
        range_stats(out + 2 * (unit0 + i), class_mean + i * pitch, class_m2 + i * pitch,
                    cut.classes, at.last - at.first, U);
}

// mean, rstd from scratch. A warp for each (image, group)
static __global__ void group_norm_stats_kernel(bd_k_group_norm a, gn_cut cut, int unit) {
    const size_t i = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / BD_K_WARP;
    if (i >= static_cast<size_t>(a.n) * a.groups) return;
    const size_t image = i / a.groups;
    const int g = static_cast<int>(i % a.groups), width = a.c / a.groups, all = a.c / unit;
    float m, s;
    group_stats(&m, &s, a.scratch + (image * cut.ranges * all + g * (width / unit)) * 2,
                width / unit, 2 * all, cut, a.hw, width, a.eps);
    if (threadIdx.x % BD_K_WARP) return;
    a.mean[i] = m;
    a.rstd[i] = s;
}

template <class T, int V, bool SILU>
__device__ __forceinline__ void apply_stream(T *y, const T *x, const lane_map<V> &k,
                                             const place<V> &at, int c, int step) {
    for (int p0 = at.first + at.row; p0 < at.last; p0 += GN_BATCH * step) {
        bd_pack<T, V> pack[GN_BATCH];
#pragma unroll
        for (int b = 0; b < GN_BATCH; b++) {
            const int p = p0 + b * step;
            if (p < at.last) pack[b] = *reinterpret_cast<const bd_pack<T, V> *>(x + p * c);
        }
#pragma unroll
        for (int b = 0; b < GN_BATCH; b++) {
            const int p = p0 + b * step;
            if (p < at.last) lane_apply<T, V, SILU>(y + p * c, k, pack[b]);
        }
    }
}

// grid and block as for the sums, from the last block to the first
template <class T, int V>
__global__ void __launch_bounds__(GN_THREADS, 1)
    group_norm_apply_kernel(bd_k_group_norm a, gn_cut cut) {
    const place<V> at(a, cut, gridDim.x - 1 - blockIdx.x);
    if (!at.active) return;
    float v[V];
    load_addends<T, V>(v, a.v, static_cast<size_t>(at.image) * a.c + at.channel);
    lane_map<V> k;
    const size_t stats = static_cast<size_t>(at.image) * a.groups;
    lane_init<T, V>(&k, a, a.mean + stats, a.rstd + stats, 0, v, at.channel);
    const size_t from = static_cast<size_t>(at.image) * a.hw * a.c + at.channel;
    T *y = static_cast<T *>(a.y) + from;
    const T *x = static_cast<const T *>(a.x) + from;
    if (a.silu)
        apply_stream<T, V, true>(y, x, k, at, a.c, cut.classes);
    else
        apply_stream<T, V, false>(y, x, k, at, a.c, cut.classes);
}

// --- host

template <class T, int V, int U> static int run(const bd_k_group_norm &a, void *stream) {
    gn_cut cut;
    auto bytes = [&a](const gn_cut &k) { return kept_bytes<T, V>(a, k, k.lanes * V / U); };
    if (gn_cut_kept(&cut, a.hw, a.c, a.groups, V, CLASSES, sizeof(T), gn_shared_limit(), bytes)) {
        const unsigned grid = gn_grid(a.n, 1, cut.chunks);
        if (!grid) return BD_K_INVALID;
        return BD_LAUNCH_SHARED((group_norm_kept_kernel<T, V, U>), grid, cut.threads, cut.shared,
                                stream, a, cut);
    }
    cut = gn_cut_streaming(a.hw, a.c / V, CLASSES);
    const unsigned grid = gn_grid(a.n, cut.ranges, cut.chunks), warps = 4;
    if (!grid) return BD_K_INVALID;
    const size_t shared =
        2 * static_cast<size_t>(cut.lanes * V / U) * (cut.classes + 1) * sizeof(float);
    GN_TRY(BD_LAUNCH_SHARED((group_norm_sums_kernel<T, V, U>), grid, cut.threads, shared, stream, a,
                            cut));
    const unsigned blocks = bd_blocks(static_cast<size_t>(a.n) * a.groups, warps);
    GN_TRY(BD_LAUNCH_SYNC(group_norm_stats_kernel, blocks, warps * BD_K_WARP, stream, a, cut,
                          static_cast<int>(U)));
    return BD_LAUNCH((group_norm_apply_kernel<T, V>), grid, cut.threads, stream, a, cut);
}

// Units are the largest power of two of neighbouring channels that a lane holds and that divides the groups.
template <class T> static int run_units(const bd_k_group_norm &a, void *stream) {
    constexpr int V = bd_width<T>::N;
    const int width = a.c / a.groups;
    if (a.c % V) return run<T, 1, 1>(a, stream);
    if constexpr (V == 8)
        if (width % 8 == 0) return run<T, V, 8>(a, stream);
    if (width % 4 == 0) return run<T, V, 4>(a, stream);
    if (width % 2 == 0) return run<T, V, 2>(a, stream);
    return run<T, V, 1>(a, stream);
}

extern "C" int bd_cuda_group_norm(const bd_k_group_norm *a, void *stream) {
    if (!gn_valid(a)) return BD_K_INVALID;
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T, st = run_units<T>(*a, stream));
    return st;
}
