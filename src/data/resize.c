#include "data/resize.h"

#include <stdlib.h>

/* Weights of one dimension: output i is sum_k weight[i*taps + k] * in[first[i] + k], k < count[i]. */
typedef struct {
    int in, out, taps;
    int *first, *count;
    int32_t *weight;
} axis;

struct bd_resizer {
    int w, h, out_w, out_h, c;
    axis x, y;
};

enum { FIXED_BITS = 22, SIDE_MAX = 16384 };

static void axis_clear(axis *a) {
    free(a->first);
    free(a->count);
    free(a->weight);
}

/* Weights of output i, first in double, then in fixed point. `real` has room for a->taps doubles. */
static void axis_fill(axis *a, int i, double *real) {
    double scale = (double)a->in / a->out;
    double f = scale < 1.0 ? 1.0 : scale;
    double centre = (i + 0.5) * scale;
    int lo = (int)(centre - f + 0.5), hi = (int)(centre + f + 0.5);
    if (lo < 0) lo = 0;
    if (hi > a->in) hi = a->in;
    double sum = 0.0;
    for (int j = lo; j < hi; j++) {
        double d = (j - centre + 0.5) * (1.0 / f);
        double w = d < 0.0 ? 1.0 + d : 1.0 - d;
        real[j - lo] = w > 0.0 ? w : 0.0;
        sum += real[j - lo];
    }
    a->first[i] = lo;
    a->count[i] = hi - lo;
    for (int k = 0; k < hi - lo; k++) {
        double w = sum != 0.0 ? real[k] / sum : 0.0;
        a->weight[(size_t)i * a->taps + k] = (int32_t)(w * (1 << FIXED_BITS) + 0.5);
    }
}

static bd_status axis_init(axis *a, int in, int out) {
    double scale = (double)in / out, f = scale < 1.0 ? 1.0 : scale;
    a->in = in;
    a->out = out;
    a->taps = 2 * (int)(f + 1.0) + 1;
    a->first = calloc((size_t)out, sizeof *a->first);
    a->count = calloc((size_t)out, sizeof *a->count);
    a->weight = calloc((size_t)out * a->taps, sizeof *a->weight);
    double *real = calloc((size_t)a->taps, sizeof *real);
    if (!a->first || !a->count || !a->weight || !real) {
        free(real);
        return bd_fail(BD_E_MEMORY, "resize: no memory for the weights of %d -> %d", in, out);
    }
    for (int i = 0; i < out; i++) axis_fill(a, i, real);
    free(real);
    return BD_OK;
}

static void resizer_clear(bd_resizer *r) {
    axis_clear(&r->x);
    axis_clear(&r->y);
}

static bd_status resizer_init(bd_resizer *r, int w, int h, int out_w, int out_h, int c) {
    *r = (bd_resizer){.w = w, .h = h, .out_w = out_w, .out_h = out_h, .c = c};
    BD_REQUIRE(w >= 1 && h >= 1 && out_w >= 1 && out_h >= 1 && w <= SIDE_MAX && h <= SIDE_MAX &&
                   out_w <= SIDE_MAX && out_h <= SIDE_MAX,
               BD_E_ARG, "resize: %dx%d -> %dx%d: sides must be 1..%d", w, h, out_w, out_h,
               SIDE_MAX);
    BD_REQUIRE(c >= 1 && c <= 4, BD_E_ARG, "resize: %d channels, must be 1..4", c);
    bd_status st = axis_init(&r->x, w, out_w);
    if (!st) st = axis_init(&r->y, h, out_h);
    if (st) resizer_clear(r);
    return st;
}

bd_status bd_resizer_create(bd_resizer **out, int w, int h, int out_w, int out_h, int c) {
    *out = NULL;
    bd_resizer *r = malloc(sizeof *r);
    BD_REQUIRE(r, BD_E_MEMORY, "resize: no memory");
    bd_status st = resizer_init(r, w, h, out_w, out_h, c);
    if (st) {
        free(r);
        return st;
    }
    *out = r;
    return BD_OK;
}

void bd_resizer_destroy(bd_resizer *r) {
    if (!r) return;
    resizer_clear(r);
    free(r);
}

size_t bd_resizer_scratch(const bd_resizer *r) { return (size_t)r->out_w * r->h * r->c; }

/* Sum in fixed point -> byte. The sum is below 2^31: the weights add up to about 2^22 and a byte to
 * 2^8, so it may be shifted as it is. */
static uint8_t to_byte(int32_t sum) {
    int32_t v = sum >> FIXED_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Along rows: in [rows][a->in][c] -> out [rows][a->out][c]. */
static void pass_x(uint8_t *out, const uint8_t *in, const axis *a, int rows, int c) {
    for (int y = 0; y < rows; y++) {
        const uint8_t *line = in + (size_t)y * a->in * c;
        for (int i = 0; i < a->out; i++) {
            const int32_t *w = a->weight + (size_t)i * a->taps;
            const uint8_t *src = line + (size_t)a->first[i] * c;
            for (int ch = 0; ch < c; ch++) {
                int32_t sum = 1 << (FIXED_BITS - 1);
                for (int k = 0; k < a->count[i]; k++) sum += w[k] * src[(size_t)k * c + ch];
                *out++ = to_byte(sum);
            }
        }
    }
}

/* Along columns: in [a->in][width] -> out [a->out][width], width counts channels in. */
static void pass_y(uint8_t *out, const uint8_t *in, const axis *a, size_t width) {
    for (int i = 0; i < a->out; i++) {
        const int32_t *w = a->weight + (size_t)i * a->taps;
        const uint8_t *src = in + a->first[i] * width;
        for (size_t x = 0; x < width; x++) {
            int32_t sum = 1 << (FIXED_BITS - 1);
            for (int k = 0; k < a->count[i]; k++) sum += w[k] * src[k * width + x];
            *out++ = to_byte(sum);
        }
    }
}

void bd_resizer_run(uint8_t *dst, uint8_t *scratch, const bd_resizer *r, const uint8_t *src) {
    const uint8_t *wide = src;
    if (r->w != r->out_w) {
        uint8_t *to = r->h != r->out_h ? scratch : dst;
        pass_x(to, src, &r->x, r->h, r->c);
        wide = to;
    }
    size_t width = (size_t)r->out_w * r->c;
    if (r->h != r->out_h)
        pass_y(dst, wide, &r->y, width);
    else if (wide == src)
        for (size_t i = 0; i < width * r->out_h; i++) dst[i] = src[i];
}

void bd_resize_short_side(int *out_w, int *out_h, int w, int h, int n) {
    *out_w = w <= h ? n : (int)((double)n * w / h);
    *out_h = h <= w ? n : (int)((double)n * h / w);
}

bd_status bd_resize(uint8_t *dst, int out_w, int out_h, const uint8_t *src, int w, int h, int c) {
    bd_resizer r;
    BD_TRY(resizer_init(&r, w, h, out_w, out_h, c));
    uint8_t *scratch = malloc(bd_resizer_scratch(&r));
    if (!scratch) {
        resizer_clear(&r);
        return bd_fail(BD_E_MEMORY, "resize: no memory for a %dx%d strip", out_w, h);
    }
    bd_resizer_run(dst, scratch, &r, src);
    free(scratch);
    resizer_clear(&r);
    return BD_OK;
}
