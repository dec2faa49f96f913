// Losses and their gradients: mse, mse_bwd, cross_entropy, cross_entropy_bwd. The losses are summed in double, one
// block of threads an image.
// Expected on an H100 at 3.0 TB/s, prediction in bf16: 128 images of 32x32x3, 2.4 MB, mse 3 us and its gradient 3 us,
// which is latency; 64 images of 256x256x3, 75 MB, mse 50 us (64 blocks keep half of the processors), its gradient 35
// us. Not yet measured.
#include "reduce.cuh"
#include "vector.cuh"

enum { MSE_BLOCK = 512, DIFF_BLOCK = 256, DIFF_TURNS = 4, CLASS_BLOCK = 128 };

// out[0..3] = elements i .. i+3 of n, 0 behind the end.
template <bool Wide, class T>
__device__ __forceinline__ void load_four(float *out, const T *p, size_t i, size_t n) {
    if constexpr (Wide)
        bd_load_vec<4>(out, p + i);
    else
        for (int j = 0; j < 4; j++) out[j] = i + j < n ? bd_load(p[i + j]) : 0;
}

// grid n, block MSE_BLOCK; pred, target [n,size] -> loss [n]
template <bool Wide, class T>
__global__ void mse_kernel(double *loss, const T *pred, const float *target, size_t size) {
    BD_SHARED(double, shared, MSE_BLOCK);
    pred += blockIdx.x * size;
    target += blockIdx.x * size;
    double sum = 0;
    for (size_t i = 4 * threadIdx.x; i < size; i += 4 * MSE_BLOCK) {
        float a[4], b[4];
        load_four<Wide>(a, pred, i, size);
        load_four<Wide>(b, target, i, size);
        for (int j = 0; j < 4; j++) {
            const double d = static_cast<double>(a[j]) - static_cast<double>(b[j]);
            sum += d * d;
        }
    }
    sum = bd_block_sum(sum, shared);
    if (threadIdx.x == 0) loss[blockIdx.x] = sum / static_cast<double>(size);
}

int bd_cuda_mse(const bd_k_mse *a, void *stream) {
    if (a->n < 1 || a->size < 1) return BD_K_INVALID;
    const bool wide =
        a->size % 4 == 0 && bd_aligned(static_cast<const float *>(a->pred), a->target);
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T, const T *pred = static_cast<const T *>(a->pred);
                 st = wide ? BD_LAUNCH_SYNC((mse_kernel<true, T>), a->n, MSE_BLOCK, stream, a->loss,
                                            pred, a->target, a->size)
                           : BD_LAUNCH_SYNC((mse_kernel<false, T>), a->n, MSE_BLOCK, stream,
                                            a->loss, pred, a->target, a->size));
    return st;
}

// grid n * blocks, block DIFF_BLOCK; pred, target [n,size] -> dpred; weight [n]
template <int V, class T>
__global__ void mse_bwd_kernel(T *dpred, const T *pred, const float *target, const float *weight,
                               const float *loss_scale, size_t size, unsigned blocks) {
    const unsigned n = blockIdx.x / blocks, part = blockIdx.x - n * blocks;
    const double scale = loss_scale ? *loss_scale : 1;
    const float k = static_cast<float>(2.0 * weight[n] / static_cast<double>(size) * scale);
    const size_t base = n * size, stride = static_cast<size_t>(blocks) * DIFF_BLOCK * V;
    for (size_t i = (part * DIFF_BLOCK + threadIdx.x) * static_cast<size_t>(V); i < size;
         i += stride) {
        float a[V], b[V];
        bd_load_vec<V>(a, pred + base + i);
        bd_load_vec<V>(b, target + base + i);
        for (int j = 0; j < V; j++) a[j] = k * (a[j] - b[j]);
        bd_store_vec<V>(dpred + base + i, a);
    }
}

template <int V, class T> static int mse_bwd(const bd_k_mse_bwd *a, void *stream) {
    const size_t blocks = (a->size - 1) / (DIFF_BLOCK * DIFF_TURNS * V) + 1;
    if (blocks > 0x7fffffffu / static_cast<size_t>(a->n)) return BD_K_INVALID;
    return BD_LAUNCH((mse_bwd_kernel<V, T>), static_cast<unsigned>(a->n * blocks), DIFF_BLOCK,
                     stream, static_cast<T *>(a->dpred), static_cast<const T *>(a->pred), a->target,
                     a->weight, a->loss_scale, a->size, static_cast<unsigned>(blocks));
}

int bd_cuda_mse_bwd(const bd_k_mse_bwd *a, void *stream) {
    if (a->n < 1 || a->size < 1) return BD_K_INVALID;
    const bool wide =
        a->size % 4 == 0 && bd_aligned(static_cast<const float *>(a->dpred),
                                       static_cast<const float *>(a->pred), a->target);
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T, st = wide ? mse_bwd<4, T>(a, stream) : mse_bwd<1, T>(a, stream));
    return st;
}

// grid n, block CLASS_BLOCK; logits [n,classes], label [n] -> loss [n], prob [n,classes]
template <class T>
__global__ void cross_entropy_kernel(double *loss, float *prob, const T *logits,
                                     const int32_t *label, int classes) {
    BD_SHARED(double, shared, CLASS_BLOCK);
    const size_t row = static_cast<size_t>(blockIdx.x) * classes;
    double top = -INFINITY, sum = 0;
    for (int j = threadIdx.x; j < classes; j += CLASS_BLOCK)
        top = max(top, static_cast<double>(bd_load(logits[row + j])));
    top = bd_block_reduce(top, shared, [](double a, double b) { return max(a, b); });
    for (int j = threadIdx.x; j < classes; j += CLASS_BLOCK)
        sum += exp(bd_load(logits[row + j]) - top);
    sum = bd_block_sum(sum, shared);
    for (int j = threadIdx.x; j < classes; j += CLASS_BLOCK)
        prob[row + j] = static_cast<float>(exp(bd_load(logits[row + j]) - top) / sum);
    if (threadIdx.x) return;
    const int right = label[blockIdx.x];
    loss[blockIdx.x] =
        right >= 0 && right < classes ? log(sum) - (bd_load(logits[row + right]) - top) : NAN;
}

int bd_cuda_cross_entropy(const bd_k_cross_entropy *a, void *stream) {
    if (a->n < 1 || a->k < 1) return BD_K_INVALID;
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T,
                 st = BD_LAUNCH_SYNC((cross_entropy_kernel<T>), a->n, CLASS_BLOCK, stream, a->loss,
                                     a->prob, static_cast<const T *>(a->logits), a->label, a->k));
    return st;
}

// grid and block cover count = n * classes; prob [n,classes], label, weight [n] -> dlogits. A label that is none gives
// NaN here too: the optimiser then leaves the parameters alone.
template <class T>
__global__ void cross_entropy_bwd_kernel(T *dlogits, const float *prob, const int32_t *label,
                                         const float *weight, const float *loss_scale, int classes,
                                         size_t count) {
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const size_t n = i / classes;
    const int right = label[n], j = static_cast<int>(i - n * classes);
    const float d = right >= 0 && right < classes ? prob[i] - (j == right ? 1.0f : 0.0f) : NAN;
    bd_store(dlogits + i, (loss_scale ? *loss_scale * weight[n] : weight[n]) * d);
}

int bd_cuda_cross_entropy_bwd(const bd_k_cross_entropy_bwd *a, void *stream) {
    if (a->n < 1 || a->k < 1) return BD_K_INVALID;
    const size_t count = static_cast<size_t>(a->n) * static_cast<size_t>(a->k);
    int st = BD_K_INVALID;
    BD_WITH_TYPE(a->type, T,
                 st = BD_LAUNCH((cross_entropy_bwd_kernel<T>), bd_blocks(count, CLASS_BLOCK),
                                CLASS_BLOCK, stream, static_cast<T *>(a->dlogits), a->prob,
                                a->label, a->weight, a->loss_scale, a->k, count));
    return st;
}
