// Sums over rows (gradients of biases, means over pixels) and their counterpart, one row spread over many.
// sum_rows is two launches of one kernel: segments of rows to partial sums, partial sums to the result. In a block, a
// fixed number of lanes take a row each in turn, neighbouring threads neighbouring channels; a tree in shared memory
// adds the lanes. Segments depend on the number of rows, lanes on both counts: the tree is that of the sizes,
// whatever the element type or the path. Bound by memory: x is read once, partial sums are 256 rows at most.
// Expected on an H100 at 3.0 TB/s: the bias of [131072,128] bf16, 33.5 MB, 11 us and a few for the second launch;
// spread to the same size 11 us. Not yet measured.
#include "vector.cuh"

// Lanes of a block that sums `rows` rows of c channels: a power of two; the fewer channels, the more, but not twice the
// rows.
enum { MIN_LANES = 32, MAX_LANES = 256, MAX_THREADS = 1024 };
static unsigned lanes_for(size_t rows, size_t c) {
    unsigned lanes = MAX_LANES;
    while (lanes > MIN_LANES && (lanes * c > 4096 || lanes >= 2 * rows)) lanes /= 2;
    return lanes;
}

struct sum_shape {
    size_t rows, per, c; // rows of a group, rows of a segment, channels
    unsigned segments;   // of a group
    unsigned columns;    // threads of a block side by side
    unsigned blocks;     // side by side
};

// x [groups,rows,c] -> y [groups,segments,c]; grid groups * segments * blocks, block lanes * columns
template <int V, class Y, class X>
__global__ void __launch_bounds__(MAX_THREADS)
    sum_rows_kernel(Y *y, const X *x, sum_shape s, float k, bool accumulate) {
    BD_SHARED(float, shared, V *MAX_THREADS);
    const unsigned lane = threadIdx.x / s.columns, column = threadIdx.x - lane * s.columns;
    const unsigned lanes = blockDim.x / s.columns;
    const size_t part = blockIdx.x / s.blocks; // group * segments + segment
    const size_t group = part / s.segments, segment = part - group * s.segments;
    const size_t channel = ((blockIdx.x - part * s.blocks) * s.columns + column) * V;
    const size_t end = (segment + 1) * s.per < s.rows ? (segment + 1) * s.per : s.rows;
    float sum[V];
    for (int j = 0; j < V; j++) sum[j] = 0.0f;
    if (channel < s.c) {
        const X *p = x + group * s.rows * s.c + channel;
        BD_UNROLL(4)
        for (size_t r = segment * s.per + lane; r < end; r += lanes)
            bd_add_vec<V>(sum, p + r * s.c);
    }
    for (int j = 0; j < V; j++) shared[j * MAX_THREADS + threadIdx.x] = sum[j];
    for (unsigned half = lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half)
            for (int j = 0; j < V; j++) {
                sum[j] += shared[j * MAX_THREADS + threadIdx.x + half * s.columns];
                shared[j * MAX_THREADS + threadIdx.x] = sum[j];
            }
    }
    if (lane > 0 || channel >= s.c) return;
    Y *out = y + part * s.c + channel;
    for (int j = 0; j < V; j++) sum[j] *= k;
    if (accumulate) bd_add_vec<V>(sum, out);
    bd_store_vec<V>(out, sum);
}

// Sums of segments of `per` rows.
template <int V, class Y, class X>
static int sum_segments(Y *y, const X *x, int groups, size_t rows, size_t per, size_t c, float k,
                        bool accumulate, void *stream) {
    const unsigned lanes = lanes_for(per, c);
    const size_t vectors = (c + V - 1) / V, widest = MAX_THREADS / lanes;
    const size_t columns = vectors < widest ? vectors : widest,
                 blocks = (vectors + columns - 1) / columns;
    const size_t segments = (rows + per - 1) / per,
                 grid = static_cast<size_t>(groups) * segments * blocks;
    if (grid > 0x7fffffffu) return BD_K_INVALID;
    const sum_shape s = {rows,
                         per,
                         c,
                         static_cast<unsigned>(segments),
                         static_cast<unsigned>(columns),
                         static_cast<unsigned>(blocks)};
    return BD_LAUNCH_SYNC((sum_rows_kernel<V, Y, X>), static_cast<unsigned>(grid),
                          lanes * static_cast<unsigned>(columns), stream, y, x, s, k, accumulate);
}

// y of one segment a group, whatever their types.
template <class Y, class X>
static int sum_all(const bd_k_sum_rows *a, const X *x, size_t rows, void *stream) {
    constexpr int V = 16 / (sizeof(Y) < sizeof(X) ? sizeof(Y) : sizeof(X));
    const size_t c = static_cast<size_t>(a->c);
    Y *y = static_cast<Y *>(a->y);
    return c % V == 0 && bd_aligned(y, x)
               ? sum_segments<V>(y, x, a->groups, rows, rows, c, a->k, a->accumulate, stream)
               : sum_segments<1>(y, x, a->groups, rows, rows, c, a->k, a->accumulate, stream);
}

template <class X> static int sum_partial(const bd_k_sum_rows *a, void *stream) {
    const size_t c = static_cast<size_t>(a->c), per = bd_k_segment_rows(a->rows);
    const X *x = static_cast<const X *>(a->x);
    return c % bd_width<X>::N == 0 && bd_aligned(x, a->scratch)
               ? sum_segments<bd_width<X>::N>(a->scratch, x, a->groups, a->rows, per, c, 1.0f,
                                              false, stream)
               : sum_segments<1>(a->scratch, x, a->groups, a->rows, per, c, 1.0f, false, stream);
}

int bd_cuda_sum_rows(const bd_k_sum_rows *a, void *stream) {
    const size_t segments = bd_k_segments(a->rows);
    int st = BD_K_INVALID;
    if (a->groups < 1 || a->rows < 1 || a->c < 1) return st;
    if (segments == 1) {
        BD_WITH_TYPE(
            a->ytype, Y,
            BD_WITH_TYPE(a->xtype, X,
                         st = (sum_all<Y>(a, static_cast<const X *>(a->x), a->rows, stream))));
        return st;
    }
    BD_WITH_TYPE(a->xtype, X, st = sum_partial<X>(a, stream));
    if (st) return st;
    st = BD_K_INVALID;
    BD_WITH_TYPE(a->ytype, Y,
                 st = sum_all<Y>(a, static_cast<const float *>(a->scratch), segments, stream));
    return st;
}

// dy [n,c] -> dx [n,hw,c] = k dy; grid bd_map_blocks, block BD_MAP_BLOCK; c a multiple of V
template <int V, class T>
__global__ void spread_kernel(T *dx, const T *dy, size_t rows, size_t hw, size_t c, float k) {
    bd_each<V>(rows * c, [=](auto width, size_t i) {
        constexpr int W = decltype(width)::N;
        const size_t row = i / c, channel = i - row * c;
        float v[W];
        bd_load_vec<W>(v, dy + row / hw * c + channel);
        for (int j = 0; j < W; j++) v[j] = k * v[j];
        bd_store_vec<W>(dx + i, v);
    });
}

template <int V, class T> static int spread(const bd_k_spread *a, void *stream) {
    const size_t hw = static_cast<size_t>(a->hw), c = static_cast<size_t>(a->c),
                 rows = static_cast<size_t>(a->n) * hw;
    return BD_LAUNCH((spread_kernel<V, T>), bd_map_blocks(rows * c / V), BD_MAP_BLOCK, stream,
                     static_cast<T *>(a->dx), static_cast<const T *>(a->dy), rows, hw, c, a->k);
}

int bd_cuda_spread(const bd_k_spread *a, void *stream) {
    int st = BD_K_INVALID;
    BD_WITH_VECTOR(a->type, a->c, bd_aligned(a->dx, a->dy), T, V, st = spread<V, T>(a, stream));
    return st;
}
