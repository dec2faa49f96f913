// sampler_step: one update of a sampler, in place, as rows of coefficients say (graph/sampler_step.h).
// A block of threads takes a tile of BD_TILE pixels: noise first, where there is any (philox.cuh); then each thread
// reads what has a coefficient for its elements, and writes the rows that have terms.
// Expected on an H100 for 256 images of 32x32x3, e in bf16, DDPM (x, e, z): 1.6 MB of e, 3.1 MB of x each way, 197
// thousand Philox blocks: about 5 us; each slot of history that is read or written adds 1 us. Not yet measured.
#include "base/mathfn.h"
#include "graph/sampler_step.h"
#include "philox.cuh"
#include "vector.cuh"

enum { ROWS = 1 + BD_SAMPLER_HISTORY };

// The coefficients as the threads use them. Whether a term is there is decided in double.
struct step_coefs {
    float k[BD_SAMPLER_COEFS];
    unsigned terms[ROWS]; // bit j: column j has a coefficient
};

__device__ __forceinline__ void load_coefs(step_coefs *s, const double *coef) {
    for (unsigned i = threadIdx.x; i < BD_SAMPLER_COEFS; i += blockDim.x)
        s->k[i] = static_cast<float>(coef[i]);
    if (threadIdx.x >= ROWS) return;
    unsigned terms = 0;
    for (unsigned j = 0; j < BD_COLS; j++)
        if (coef[BD_COEF_ROWS + threadIdx.x * BD_COLS + j] != 0) terms |= 1u << j;
    s->terms[threadIdx.x] = terms;
}

template <int V> __device__ __forceinline__ void clamp(float *y) {
    for (int j = 0; j < V; j++) {
        const float v = y[j] < -1 ? -1 : y[j]; // NaN stays NaN
        y[j] = v > 1 ? 1 : v;
    }
}

// y = the terms of a row in the order of the columns, one multiply-add after the other. The start -0 makes the first
// one the product itself, sign of zero included.
template <int V>
__device__ __forceinline__ void linear(float *y, const float (*column)[V], const float *k,
                                       unsigned terms) {
    for (int j = 0; j < V; j++) y[j] = -0.0f;
    for (int i = 0; i < BD_COLS; i++)
        if (terms >> i & 1)
            for (int j = 0; j < V; j++) y[j] = fmaf(k[i], column[i][j], y[j]);
}

// grid n * t.per_image, block bd_tile_threads, shared bd_tile_bytes; x, e [n,h,w,c]; h [n,slots,h,w,c]; key [n,4]
template <class T, int V>
__global__ void sampler_step_kernel(float *x, float *h, const T *e, const double *coef,
                                    const int32_t *key, bd_tiles t, int slots) {
    BD_SHARED(step_coefs, s, 1);
    BD_SHARED_DYNAMIC(float, noise);
    const unsigned n = blockIdx.x / t.per_image, c = t.channels;
    const unsigned first = (blockIdx.x - n * t.per_image) * BD_TILE;
    const unsigned count = min(static_cast<unsigned>(BD_TILE), t.pixels - first);
    load_coefs(s, coef);
    if (coef[BD_COEF_Z] != 0)
        bd_normal_tile(noise, t, first, count, key + 4 * static_cast<size_t>(n), BD_STREAM_SAMPLER);
    __syncthreads();

    unsigned used = 0;
    for (int r = 0; r < ROWS; r++) used |= s->terms[r];
    if (used >> BD_COL_X0 & 1) used |= 1u << BD_COL_X | 1u << BD_COL_E;
    const bool clip_x0 = coef[BD_COEF_CLIP_X0] != 0, clip_x = coef[BD_COEF_CLIP_X] != 0;
    const size_t m = static_cast<size_t>(t.pixels) * c;
    for (unsigned i = threadIdx.x * V; i < count * c; i += blockDim.x * V) {
        const size_t at = first * c + i;
        float column[BD_COLS][V];
        float *slot = slots ? h + static_cast<size_t>(n) * slots * m + at : nullptr;
        if (used >> BD_COL_X & 1) bd_load_vec<V>(column[BD_COL_X], x + n * m + at);
        if (used >> BD_COL_E & 1) bd_load_vec<V>(column[BD_COL_E], e + n * m + at);
        if (used >> BD_COL_Z & 1) bd_normal_load<V>(column[BD_COL_Z], noise, i, c);
        for (int k = 0; k < BD_SAMPLER_HISTORY; k++)
            if (used >> (BD_COL_H + k) & 1) {
                if (k < slots)
                    bd_load_vec<V>(column[BD_COL_H + k], slot + k * m);
                else
                    for (int j = 0; j < V; j++) column[BD_COL_H + k][j] = NAN; // no such slot
            }
        if (used >> BD_COL_X0 & 1) {
            const float k[2] = {s->k[BD_COEF_X0_X], s->k[BD_COEF_X0_E]};
            for (int j = 0; j < V; j++)
                column[BD_COL_X0][j] = fmaf(k[1], column[BD_COL_E][j], k[0] * column[BD_COL_X][j]);
            if (clip_x0) clamp<V>(column[BD_COL_X0]);
        }
        for (int r = 0; r <= slots; r++) {
            if (!s->terms[r]) continue;
            float y[V];
            linear<V>(y, column, s->k + BD_COEF_ROWS + r * BD_COLS, s->terms[r]);
            if (r == 0 && clip_x) clamp<V>(y);
            bd_store_vec<V>(r == 0 ? x + n * m + at : slot + (r - 1) * m, y);
        }
    }
}

template <class T, int V> static int sampler_step(const bd_k_sampler_step *a, void *stream) {
    const bd_tiles t = bd_tiles_of(a->h_pixels * a->w, a->c);
    return BD_LAUNCH_SHARED((sampler_step_kernel<T, V>), static_cast<unsigned>(a->n) * t.per_image,
                            bd_tile_threads(a->c), bd_tile_bytes(a->c), stream, a->x, a->h,
                            static_cast<const T *>(a->e), a->coef, a->key, t, a->h ? a->slots : 0);
}

int bd_cuda_sampler_step(const bd_k_sampler_step *a, void *stream) {
    if (!bd_tiles_fit(a->n, a->h_pixels, a->w, a->c) || a->slots < 0 ||
        a->slots > BD_SAMPLER_HISTORY)
        return BD_K_INVALID;
    const bool wide = static_cast<unsigned>(a->h_pixels * a->w * a->c) % 4 == 0 &&
                      bd_aligned(a->x, a->h, static_cast<const float *>(a->e));
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T,
                 st = wide ? sampler_step<T, 4>(a, stream) : sampler_step<T, 1>(a, stream));
    return st;
}
