// Upsampling and pooling: upsample2, max_pool, avg_pool and their derivatives, all NHWC.
// One thread makes 16 bytes of neighbouring channels (one channel where sizes or places do not allow that), so that
// reads and writes are coalesced along channels. upsample2 reads each element once and writes it four times; its
// derivative reads four and writes one. The derivatives of pooling gather from the windows that cover a pixel instead
// of scattering: no atomics, and the order of the sum is fixed.
// Expected on an H100 at 3.0 TB/s: upsample2 of [128,16,16,256] bf16, 16.8 MB read and 67 MB written, 28 us. Pooling is
// for classifiers and metrics: windows are read again by each thread, from the cache. Not yet measured.
#include "vector.cuh"

// All kernels below: grid bd_map_blocks, block BD_MAP_BLOCK; c a multiple of V; a thread's element i is channel i % c
// and those behind it of pixel i / c.

// x [rows,w,c] -> y [rows,2,2w,c]; rows = n h
template <int V, class T>
__global__ void upsample2_kernel(T *y, const T *x, size_t rows, size_t w, size_t c) {
    bd_each<V>(rows * w * c, [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const size_t pixel = i / c, channel = i - pixel * c, row = pixel / w,
                     column = pixel - row * w;
        T *out = y + (4 * row * w + 2 * column) * c + channel;
        float v[W];
        bd_load_vec<W>(v, x + i);
        bd_store_vec<W>(out, v);
        bd_store_vec<W>(out + c, v);
        bd_store_vec<W>(out + 2 * w * c, v);
        bd_store_vec<W>(out + 2 * w * c + c, v);
    });
}

template <int V, class T> static int upsample2(const bd_k_upsample2 *a, void *stream) {
    const size_t rows = static_cast<size_t>(a->n) * static_cast<size_t>(a->h),
                 w = static_cast<size_t>(a->w), c = static_cast<size_t>(a->c);
    return BD_LAUNCH((upsample2_kernel<V, T>), bd_map_blocks(rows * w * c / V), BD_MAP_BLOCK,
                     stream, static_cast<T *>(a->y), static_cast<const T *>(a->x), rows, w, c);
}

int bd_cuda_upsample2(const bd_k_upsample2 *a, void *stream) {
    int st = BD_K_INVALID;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->y, a->x), T, V, st = upsample2<V, T>(a, stream));
    return st;
}

// dy [rows,2,2w,c] -> dx [rows,w,c]; rows = n h
template <int V, class T>
__global__ void upsample2_bwd_kernel(T *dx, const T *dy, size_t rows, size_t w, size_t c) {
    bd_each<V>(rows * w * c, [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const size_t pixel = i / c, channel = i - pixel * c, row = pixel / w,
                     column = pixel - row * w;
        const T *in = dy + (4 * row * w + 2 * column) * c + channel;
        float above[W], below[W];
        bd_load_vec<W>(above, in);
        bd_load_vec<W>(below, in + 2 * w * c);
        bd_add_vec<W>(above, in + c);
        bd_add_vec<W>(below, in + 2 * w * c + c);
        for (int j = 0; j < W; j++) above[j] += below[j];
        bd_store_vec<W>(dx + i, above);
    });
}

template <int V, class T> static int upsample2_bwd(const bd_k_upsample2_bwd *a, void *stream) {
    const size_t rows = static_cast<size_t>(a->n) * static_cast<size_t>(a->h),
                 w = static_cast<size_t>(a->w), c = static_cast<size_t>(a->c);
    return BD_LAUNCH((upsample2_bwd_kernel<V, T>), bd_map_blocks(rows * w * c / V), BD_MAP_BLOCK,
                     stream, static_cast<T *>(a->dx), static_cast<const T *>(a->dy), rows, w, c);
}

int bd_cuda_upsample2_bwd(const bd_k_upsample2_bwd *a, void *stream) {
    int st = BD_K_INVALID;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->dx, a->dy), T, V,
                   st = upsample2_bwd<V, T>(a, stream));
    return st;
}

// ---- pooling

struct window {
    int n, h, w, c, oh, ow, size, stride, pad;
    // Elements of x and of y.
    __host__ __device__ size_t in() const { return static_cast<size_t>(n) * h * w * c; }
    __host__ __device__ size_t out() const { return static_cast<size_t>(n) * oh * ow * c; }
};

template <class Args> static window window_of(const Args *a) {
    return {a->n, a->h, a->w, a->c, a->oh, a->ow, a->size, a->stride, a->pad};
}

// Element i of [n,h,w,c].
struct place {
    int n, row, column, channel;
};
static __device__ __forceinline__ place place_of(size_t i, int h, int w, int c) {
    const size_t pixel = i / static_cast<size_t>(c), row = pixel / static_cast<size_t>(w),
                 n = row / static_cast<size_t>(h);
    return {static_cast<int>(n), static_cast<int>(row - n * h), static_cast<int>(pixel - row * w),
            static_cast<int>(i - pixel * c)};
}

// Rows (or columns) from .. to-1 of the image that an output row's window covers. Never empty: a window begins in the
// image or, by at most half of its size, before it.
struct span {
    int from, to;
};
static __device__ __forceinline__ span covered(int out, int n, const window &s) {
    const int first = out * s.stride - s.pad;
    return {first < 0 ? 0 : first, first + s.size < n ? first + s.size : n};
}

// Output rows (or columns) from .. to-1 whose windows cover row `at` of the image.
static __device__ __forceinline__ span covering(int at, int outs, const window &s) {
    const int last = (at + s.pad) / s.stride,
              before = at + s.pad - s.size; // a window beginning here ends too early
    return {before < 0 ? 0 : before / s.stride + 1, last < outs ? last + 1 : outs};
}

static __device__ __forceinline__ size_t offset(int n, int row, int column, int channel, int h,
                                                int w, int c) {
    return ((static_cast<size_t>(n) * h + row) * w + column) * c + channel;
}

// x [n,h,w,c] -> y [n,oh,ow,c]
template <int V, class T> __global__ void max_pool_kernel(T *y, const T *x, window s) {
    bd_each<V>(s.out(), [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const place p = place_of(i, s.oh, s.ow, s.c);
        const span rows = covered(p.row, s.h, s), columns = covered(p.column, s.w, s);
        float best[W], v[W];
        bd_load_vec<W>(best, x + offset(p.n, rows.from, columns.from, p.channel, s.h, s.w, s.c));
        for (int r = rows.from; r < rows.to; r++)
            for (int q = columns.from; q < columns.to; q++) {
                bd_load_vec<W>(v, x + offset(p.n, r, q, p.channel, s.h, s.w, s.c));
                for (int j = 0; j < W; j++)
                    best[j] = v[j] > best[j] || v[j] != v[j] ? v[j] : best[j]; // NaN stays
            }
        bd_store_vec<W>(y + i, best);
    });
}

// x [n,h,w,c] -> y [n,oh,ow,c]
template <int V, class T> __global__ void avg_pool_kernel(T *y, const T *x, window s) {
    bd_each<V>(s.out(), [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const place p = place_of(i, s.oh, s.ow, s.c);
        const span rows = covered(p.row, s.h, s), columns = covered(p.column, s.w, s);
        float sum[W];
        for (int j = 0; j < W; j++) sum[j] = -0.0f; // the first x as it is, a zero with its sign
        for (int r = rows.from; r < rows.to; r++)
            for (int q = columns.from; q < columns.to; q++)
                bd_add_vec<W>(sum, x + offset(p.n, r, q, p.channel, s.h, s.w, s.c));
        const float share =
            1.0f / static_cast<float>((rows.to - rows.from) * (columns.to - columns.from));
        for (int j = 0; j < W; j++) sum[j] *= share;
        bd_store_vec<W>(y + i, sum);
    });
}

// dy [n,oh,ow,c], x [n,h,w,c] -> dx [n,h,w,c]: dy of each covering window whose first largest element is this one.
template <int V, class T>
__global__ void max_pool_bwd_kernel(T *dx, const T *dy, const T *x, window s) {
    bd_each<V>(s.in(), [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const place p = place_of(i, s.h, s.w, s.c);
        const span outs = covering(p.row, s.oh, s), across = covering(p.column, s.ow, s);
        float sum[W];
        for (int j = 0; j < W; j++) sum[j] = 0.0f;
        for (int a = outs.from; a < outs.to; a++)
            for (int b = across.from; b < across.to; b++) {
                const span rows = covered(a, s.h, s), columns = covered(b, s.w, s);
                float best[W], v[W], d[W];
                bool mine[W];
                bd_load_vec<W>(best,
                               x + offset(p.n, rows.from, columns.from, p.channel, s.h, s.w, s.c));
                for (int j = 0; j < W; j++)
                    mine[j] = rows.from == p.row && columns.from == p.column;
                for (int r = rows.from; r < rows.to; r++)
                    for (int q = columns.from; q < columns.to; q++) {
                        bd_load_vec<W>(v, x + offset(p.n, r, q, p.channel, s.h, s.w, s.c));
                        for (int j = 0; j < W; j++) {
                            const bool larger = v[j] > best[j];
                            mine[j] = larger ? r == p.row && q == p.column : mine[j];
                            best[j] = larger ? v[j] : best[j];
                        }
                    }
                bd_load_vec<W>(d, dy + offset(p.n, a, b, p.channel, s.oh, s.ow, s.c));
                for (int j = 0; j < W; j++) sum[j] = mine[j] ? sum[j] + d[j] : sum[j];
            }
        bd_store_vec<W>(dx + i, sum);
    });
}

// dy [n,oh,ow,c] -> dx [n,h,w,c]: each covering window gives its dy divided by its pixels inside the image.
template <int V, class T> __global__ void avg_pool_bwd_kernel(T *dx, const T *dy, window s) {
    bd_each<V>(s.in(), [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const place p = place_of(i, s.h, s.w, s.c);
        const span outs = covering(p.row, s.oh, s), across = covering(p.column, s.ow, s);
        float sum[W], d[W];
        for (int j = 0; j < W; j++) sum[j] = 0.0f;
        for (int a = outs.from; a < outs.to; a++)
            for (int b = across.from; b < across.to; b++) {
                const span rows = covered(a, s.h, s), columns = covered(b, s.w, s);
                const float share =
                    1.0f / static_cast<float>((rows.to - rows.from) * (columns.to - columns.from));
                bd_load_vec<W>(d, dy + offset(p.n, a, b, p.channel, s.oh, s.ow, s.c));
                for (int j = 0; j < W; j++) sum[j] += share * d[j];
            }
        bd_store_vec<W>(dx + i, sum);
    });
}

template <int V, class T> static int max_pool(const bd_k_max_pool *a, void *stream) {
    const window s = window_of(a);
    return BD_LAUNCH((max_pool_kernel<V, T>), bd_map_blocks(s.out() / V), BD_MAP_BLOCK, stream,
                     static_cast<T *>(a->y), static_cast<const T *>(a->x), s);
}
template <int V, class T> static int avg_pool(const bd_k_avg_pool *a, void *stream) {
    const window s = window_of(a);
    return BD_LAUNCH((avg_pool_kernel<V, T>), bd_map_blocks(s.out() / V), BD_MAP_BLOCK, stream,
                     static_cast<T *>(a->y), static_cast<const T *>(a->x), s);
}
template <int V, class T> static int max_pool_bwd(const bd_k_max_pool_bwd *a, void *stream) {
    const window s = window_of(a);
    return BD_LAUNCH((max_pool_bwd_kernel<V, T>), bd_map_blocks(s.in() / V), BD_MAP_BLOCK, stream,
                     static_cast<T *>(a->dx), static_cast<const T *>(a->dy),
                     static_cast<const T *>(a->x), s);
}
template <int V, class T> static int avg_pool_bwd(const bd_k_avg_pool_bwd *a, void *stream) {
    const window s = window_of(a);
    return BD_LAUNCH((avg_pool_bwd_kernel<V, T>), bd_map_blocks(s.in() / V), BD_MAP_BLOCK, stream,
                     static_cast<T *>(a->dx), static_cast<const T *>(a->dy), s);
}

// What graph/build.c allows: a window covers at least one pixel of the image.
template <class Args> static bool window_ok(const Args *a) {
    return a->size >= 1 && a->stride >= 1 && a->pad >= 0 && 2 * a->pad <= a->size && a->h >= 1 &&
           a->w >= 1 && (a->oh - 1) * a->stride - a->pad < a->h &&
           (a->ow - 1) * a->stride - a->pad < a->w;
}

int bd_cuda_max_pool(const bd_k_max_pool *a, void *stream) {
    int st = BD_K_INVALID;
    if (!window_ok(a)) return st;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->y, a->x), T, V, st = max_pool<V, T>(a, stream));
    return st;
}

int bd_cuda_avg_pool(const bd_k_avg_pool *a, void *stream) {
    int st = BD_K_INVALID;
    if (!window_ok(a)) return st;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->y, a->x), T, V, st = avg_pool<V, T>(a, stream));
    return st;
}

int bd_cuda_max_pool_bwd(const bd_k_max_pool_bwd *a, void *stream) {
    int st = BD_K_INVALID;
    if (!window_ok(a)) return st;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->dx, a->dy, a->x), T, V,
                   st = max_pool_bwd<V, T>(a, stream));
    return st;
}

int bd_cuda_avg_pool_bwd(const bd_k_avg_pool_bwd *a, void *stream) {
    int st = BD_K_INVALID;
    if (!window_ok(a)) return st;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->dx, a->dy), T, V,
                   st = avg_pool_bwd<V, T>(a, stream));
    return st;
}
