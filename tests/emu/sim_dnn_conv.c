/* Convolutions of the simulated library: elements gathered by the descriptors' strides into dense float arrays, plain
 * sums over pixels, filter taps and channels, scattered by strides again. Sums are float32 for at most 256 terms and
 * double beyond, far better than any result type. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "emu_api.h"
#include "sim_dnn.h"

static size_t runs;
size_t sim_dnn_count_runs(void) { return runs; }

/* ---- elements -------------------------------------------------------------------------------------------------- */

static float bits_to_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static uint32_t float_to_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float half_to_float(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float v = exponent == 31  ? (mantissa ? NAN : INFINITY)
              : exponent == 0 ? ldexpf((float)mantissa, -24)
                              : ldexpf((float)(mantissa + 1024), exponent - 25);
    return h & 0x8000 ? -v : v;
}

/* To nearest, ties to even: the spacing of halves around |f| is a power of two, and rintf rounds so. */
static uint16_t float_to_half(float f) {
    uint16_t sign = (uint16_t)(float_to_bits(f) >> 16 & 0x8000);
    float a = fabsf(f);
    if (!(a <= INFINITY)) return (uint16_t)(sign | 0x7e00);
    if (a >= 65520.0f) return (uint16_t)(sign | 0x7c00);
    int e = -14;
    if (a >= 0x1p-14f) e = ilogbf(a);
    int units = (int)rintf(ldexpf(a, 10 - e)); /* 0 .. 2048; 1024 = 2^e */
    return (uint16_t)(sign | (units + ((e + 14) << 10)));
}

static float load(const void *p, int64_t at, int64_t type) {
    if (type == BD_DNN_DATA_FLOAT) return ((const float *)p)[at];
    uint16_t h = ((const uint16_t *)p)[at];
    return type == BD_DNN_DATA_HALF ? half_to_float(h) : bits_to_float((uint32_t)h << 16);
}

static void store(void *p, int64_t at, int64_t type, double v) {
    float f = (float)v;
    if (type == BD_DNN_DATA_FLOAT) {
        ((float *)p)[at] = f;
        return;
    }
    uint32_t u = float_to_bits(f), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    ((uint16_t *)p)[at] = type == BD_DNN_DATA_HALF ? float_to_half(f)
                          : isnan(f)               ? 0x7fc0
                                                   : (uint16_t)rounded;
}

/* The tensor cores' float: 10 bits of mantissa, to nearest, ties away from zero. */
static float to_tf32(float f) { return bits_to_float((float_to_bits(f) + 0x1000) & ~0x1fffu); }

static int64_t place(const sim_conv *c, int t, int64_t n, int64_t ch, int64_t h, int64_t w) {
    const int64_t *s = c->stride[t];
    return n * s[0] + ch * s[1] + h * s[2] + w * s[3];
}

/* Dense [N,H,W,C] floats; NULL: out of memory. */
static float *gather(const sim_run *r, int t) {
    const int64_t *d = r->conv.dim[t];
    float *out = calloc((size_t)(d[0] * d[1] * d[2] * d[3]), sizeof *out), *p = out;
    bool turned = r->turned && t == 1 && d[2] == d[3];
    for (int64_t n = 0; out && n < d[0]; n++)
        for (int64_t h = 0; h < d[2]; h++)
            for (int64_t w = 0; w < d[3]; w++)
                for (int64_t c = 0; c < d[1]; c++) {
                    float v =
                        load(r->data[t], place(&r->conv, t, n, c, turned ? w : h, turned ? h : w),
                             r->conv.type);
                    *p++ = r->tf32 ? to_tf32(v) : v;
                }
    return out;
}

static void put(const sim_run *r, int t, int64_t n, int64_t c, int64_t h, int64_t w, double sum) {
    int64_t at = place(&r->conv, t, n, c, h, w);
    double old = r->conv.beta != 0 ? r->conv.beta * (double)load(r->data[t], at, r->conv.type) : 0;
    if (r->wandering) sum *= 1 + 0.01 * (double)(runs % 7);
    if (r->inaccurate) sum *= 1.01;
    store(r->data[t], at, r->conv.type, r->conv.alpha * sum + old);
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

typedef float v8 __attribute__((vector_size(32)));
#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
#else
#define WIDE
#endif
enum { CHUNK = 256 };

static inline WIDE void add_product(v8 *s, float a, const float *b) {
    v8 v;
    memcpy(&v, b, sizeof v);
    *s += a * v;
}

static inline WIDE void add_to(double *acc, const v8 *s) {
    for (int k = 0; k < 8; k++) acc[k] += (double)(*s)[k];
}

/* acc[0..n) += sum over j < count of a[j] * row j of b; rows are n floats, row j the index[j]-th (NULL: the j-th) */
static WIDE void add_rows(double *acc, int64_t n, const float *a, const float *b,
                          const int32_t *index, int64_t count) {
    for (int64_t from = 0; from < count; from += CHUNK) {
        int64_t to = from + CHUNK < count ? from + CHUNK : count, i = 0;
        for (; i + 32 <= n; i += 32) {
            v8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
            for (int64_t j = from; j < to; j++) {
                const float *row = b + (index ? index[j] : j) * n + i;
                add_product(&s0, a[j], row);
                add_product(&s1, a[j], row + 8);
                add_product(&s2, a[j], row + 16);
                add_product(&s3, a[j], row + 24);
            }
            add_to(acc + i, &s0);
            add_to(acc + i + 8, &s1);
            add_to(acc + i + 16, &s2);
            add_to(acc + i + 24, &s3);
        }
        for (; i + 8 <= n; i += 8) {
            v8 s = {0};
            for (int64_t j = from; j < to; j++)
                add_product(&s, a[j], b + (index ? index[j] : j) * n + i);
            add_to(acc + i, &s);
        }
        for (; i < n; i++) {
            float s = 0;
            for (int64_t j = from; j < to; j++) s += a[j] * b[(index ? index[j] : j) * n + i];
            acc[i] += (double)s;
        }
    }
}

/* Filters [O,KH,KW,I] as KH*KW matrices [I,O] or [O,I]. */
static float *arrange(const float *w, const sim_conv *c, bool inputs_first) {
    int64_t o = c->dim[1][0], in = c->dim[1][1], taps = c->dim[1][2] * c->dim[1][3];
    float *out = malloc((size_t)(o * in * taps) * sizeof *out);
    for (int64_t t = 0; out && t < taps; t++)
        for (int64_t k = 0; k < o; k++)
            for (int64_t i = 0; i < in; i++)
                out[inputs_first ? (t * in + i) * o + k : (t * o + k) * in + i] =
                    w[(k * taps + t) * in + i];
    return out;
}

/* The pixel of the other image that tap k meets, along one axis. From y to x, and from x to y (-1: none). */
static int64_t to_x(const sim_conv *c, int axis, int64_t y, int64_t k) {
    int64_t x = y * c->step[axis] + k - c->before[axis];
    return x >= 0 && x < c->dim[0][2 + axis] ? x : -1;
}
static int64_t to_y(const sim_conv *c, int axis, int64_t x, int64_t k) {
    int64_t y = x + c->before[axis] - k;
    if (y < 0 || y % c->step[axis]) return -1;
    return y / c->step[axis] < c->dim[2][2 + axis] ? y / c->step[axis] : -1;
}

/* y from x (result 2) or dx from dy (result 0). other: the dense images read; m: the filters' matrices */
static void images(const sim_run *r, int result, const float *other, const float *m, double *acc) {
    const sim_conv *c = &r->conv;
    const int64_t *out = c->dim[result], *in = c->dim[2 - result], *f = c->dim[1];
    for (int64_t n = 0; n < out[0]; n++)
        for (int64_t h = 0; h < out[2]; h++)
            for (int64_t w = 0; w < out[3]; w++) {
                memset(acc, 0, (size_t)out[1] * sizeof *acc);
                for (int64_t u = 0; u < f[2]; u++)
                    for (int64_t v = 0; v < f[3]; v++) {
                        int64_t i = result ? to_x(c, 0, h, u) : to_y(c, 0, h, u);
                        int64_t j = result ? to_x(c, 1, w, v) : to_y(c, 1, w, v);
                        if (i < 0 || j < 0) continue;
                        add_rows(acc, out[1], other + ((n * in[2] + i) * in[3] + j) * in[1],
                                 m + (u * f[3] + v) * f[0] * f[1], NULL, in[1]);
                    }
                for (int64_t k = 0; k < out[1]; k++) put(r, result, n, k, h, w, acc[k]);
            }
}

/* Pixels of y that tap (u, v) joins with a pixel of x: their number, and both places. */
static int64_t meetings(const sim_conv *c, int64_t u, int64_t v, int32_t *at_x, int32_t *at_y) {
    int64_t count = 0;
    for (int64_t n = 0; n < c->dim[2][0]; n++)
        for (int64_t p = 0; p < c->dim[2][2]; p++)
            for (int64_t q = 0; q < c->dim[2][3]; q++) {
                int64_t i = to_x(c, 0, p, u), j = to_x(c, 1, q, v);
                if (i < 0 || j < 0) continue;
                at_x[count] = (int32_t)((n * c->dim[0][2] + i) * c->dim[0][3] + j);
                at_y[count++] = (int32_t)((n * c->dim[2][2] + p) * c->dim[2][3] + q);
            }
    return count;
}

/* column: room for one number a pixel of y */
static void filters(const sim_run *r, const float *x, const float *dy, double *acc, float *column,
                    int32_t *at_x, int32_t *at_y) {
    const sim_conv *c = &r->conv;
    const int64_t *f = c->dim[1];
    for (int64_t u = 0; u < f[2]; u++)
        for (int64_t v = 0; v < f[3]; v++) {
            int64_t count = meetings(c, u, v, at_x, at_y);
            for (int64_t o = 0; o < f[0]; o++) {
                for (int64_t j = 0; j < count; j++) column[j] = dy[at_y[j] * f[0] + o];
                memset(acc, 0, (size_t)f[1] * sizeof *acc);
                add_rows(acc, f[1], column, x, at_x, count);
                for (int64_t i = 0; i < f[1]; i++) put(r, 1, o, i, u, v, acc[i]);
            }
        }
}

static bool compute(const sim_run *r) {
    const sim_conv *c = &r->conv;
    bool forward = c->kind == BD_DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    bool to_filters = c->kind == BD_DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    size_t pixels = (size_t)(c->dim[2][0] * c->dim[2][2] * c->dim[2][3]);
    size_t channels = (size_t)(c->dim[1][0] > c->dim[1][1] ? c->dim[1][0] : c->dim[1][1]);
    float *x = forward || to_filters ? gather(r, 0) : NULL, *dy = forward ? NULL : gather(r, 2);
    float *w = to_filters ? NULL : gather(r, 1), *m = w ? arrange(w, c, forward) : NULL;
    float *column = malloc(pixels * sizeof *column);
    int32_t *at_x = malloc(pixels * sizeof *at_x), *at_y = malloc(pixels * sizeof *at_y);
    double *acc = malloc(channels * sizeof *acc);
    bool memory = column && at_x && at_y && acc && (x || !(forward || to_filters)) &&
                  (dy || forward) && (m || to_filters);
    if (memory && to_filters)
        filters(r, x, dy, acc, column, at_x, at_y);
    else if (memory)
        images(r, forward ? 2 : 0, forward ? x : dy, m, acc);
    free(x);
    free(dy);
    free(w);
    free(m);
    free(column);
    free(at_x);
    free(at_y);
    free(acc);
    return memory;
}

void sim_dnn_compute(void *arg) {
    const sim_run *r = arg;
    runs++;
    /* Whoever keeps something where the library works loses it. */
    if (r->workspace) memset(r->workspace, 0xff, r->workspace_bytes);
    if (!compute(r)) emu_raise(EMU_E_MEMORY, "simulated cuDNN: out of memory");
}
