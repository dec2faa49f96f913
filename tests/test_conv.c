/* Oracles: direct convolution in float64; bit equality between variants of the kernels and between sizes of blocks;
 * guards around every buffer; for accuracy, float32 chains of fused multiply-adds and a textbook Winograd. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conv_textbook.h"
#include "cpu/conv.h"
#include "ref/check.h"

#if defined(__x86_64__)
extern const bd_conv_kernels bd_conv_kernels_avx2, bd_conv_kernels_avx512;
#endif
extern const bd_conv_kernels bd_conv_kernels_plain4, bd_conv_kernels_plain16;

/* --- shapes --- */

static const char *const dir_names[] = {"forward", "gradient of data", "gradient of weights"};
enum { DIRS = 3, METHODS = 3, CHANNELS_MAX = 70, SIDE_MAX = 37, RANDOM_SHAPES = 210 };

static size_t taps(const bd_conv_shape *s) { return (size_t)s->attr.kh * (size_t)s->attr.kw; }
static size_t w_floats(const bd_conv_shape *s) { return taps(s) * (size_t)s->i * (size_t)s->o; }
static size_t pixels(const bd_conv_shape *s) {
    return (size_t)s->n * (size_t)s->oh * (size_t)s->ow;
}
static size_t y_floats(const bd_conv_shape *s) { return pixels(s) * (size_t)s->o; }
static size_t x_floats(const bd_conv_shape *s) {
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->i;
}

/* Gradient of the weights: that of the bias follows. */
static size_t out_floats(const bd_conv_shape *s, bd_conv_dir dir) {
    return dir == BD_CONV_FWD        ? y_floats(s)
           : dir == BD_CONV_BWD_DATA ? x_floats(s)
                                     : w_floats(s) + (size_t)s->o;
}

/* false: the filter does not fit */
static bool set_output(bd_conv_shape *s) {
    const bd_conv_attr *a = &s->attr;
    int h = s->h + a->pad_top + a->pad_bottom - a->kh,
        w = s->w + a->pad_left + a->pad_right - a->kw;
    s->oh = h / a->stride + 1;
    s->ow = w / a->stride + 1;
    return h >= 0 && w >= 0;
}

static int pick(uint32_t *state, int n) {
    *state = *state * 1664525u + 1013904223u;
    return (int)(*state >> 16) % n;
}

static void pick_attr(bd_conv_attr *a, uint32_t *r) {
    static const int filters[][3] = {{3, 3, 1}, {3, 3, 1}, {3, 3, 1}, {1, 1, 1}, {1, 1, 1},
                                     {1, 7, 1}, {7, 1, 1}, {5, 5, 1}, {3, 3, 2}, {1, 1, 2}};
    const int *f = filters[pick(r, 10)];
    *a = (bd_conv_attr){.kh = f[0], .kw = f[1], .stride = f[2]};
    int same = pick(r, 2), pad = pick(r, 4);
    a->pad_top = a->pad_bottom = same ? f[0] / 2 : pad;
    a->pad_left = a->pad_right = same ? f[1] / 2 : pad;
    if (!same && pad == 3) { /* one-sided */
        a->pad_top = pick(r, 3);
        a->pad_bottom = pick(r, 3);
        a->pad_left = pick(r, 3);
        a->pad_right = pick(r, 3);
    }
}

/* Every number of channels up to 70 and of rows up to 37 occurs; the rest is drawn. */
static bd_conv_shape random_shape(int k) {
    uint32_t r = (uint32_t)k * 2654435761u + 12345;
    bd_conv_shape s = {.i = 1 + k % CHANNELS_MAX, .o = 1 + (k * 29 + 11) % CHANNELS_MAX};
    do {
        s.h = 1 + k % SIDE_MAX;
        s.w = 1 + pick(&r, SIDE_MAX);
        s.n = 1 + pick(&r, 5);
        pick_attr(&s.attr, &r);
    } while (!set_output(&s));
    if (pixels(&s) * w_floats(&s) > 4000000) s.n = 1;
    return s;
}

/* Cases that chance need not draw: a single piece and less, sides around multiples of 4, channels around the blocks'
 * 32 and 48, padding beyond the image, and for each method and direction more than one block (see `covered`). */
static const bd_conv_shape chosen[] = {
    {.n = 1, .h = 4, .w = 4, .i = 8, .o = 8, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 3, .w = 3, .i = 8, .o = 8, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 2, .h = 2, .w = 4, .i = 9, .o = 17, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 5, .h = 1, .w = 2, .i = 10, .o = 12, .attr = {3, 3, 1, 2, 2, 2, 2}},
    {.n = 2, .h = 13, .w = 15, .i = 47, .o = 31, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 16, .w = 17, .i = 48, .o = 32, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 14, .w = 19, .i = 49, .o = 33, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 8, .w = 8, .i = 97, .o = 65, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 9, .w = 10, .i = 8, .o = 16, .attr = {3, 3, 1, 0, 2, 2, 0}},
    {.n = 2, .h = 10, .w = 9, .i = 16, .o = 8, .attr = {3, 3, 1, 2, 0, 0, 2}},
    {.n = 1, .h = 8, .w = 9, .i = 12, .o = 11, .attr = {3, 3, 1, 0, 1, 5, 4}},
    {.n = 2, .h = 9, .w = 8, .i = 12, .o = 11, .attr = {3, 3, 1, 4, 5, 0, 1}},
    {.n = 1, .h = 5, .w = 5, .i = 7, .o = 9, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 1, .h = 11, .w = 7, .i = 8, .o = 1, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 2, .h = 6, .w = 12, .i = 2, .o = 9, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 3, .h = 7, .w = 6, .i = 3, .o = 5, .attr = {3, 3, 2, 0, 0, 1, 1}},
    {.n = 2, .h = 1, .w = 1, .i = 3, .o = 4, .attr = {1, 1, 2, 1, 1, 1, 1}}, /* nothing inside */
    {.n = 5, .h = SIDE_MAX, .w = SIDE_MAX, .i = 8, .o = 8, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 4, .h = SIDE_MAX, .w = SIDE_MAX, .i = 19, .o = 21, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 3, .h = SIDE_MAX, .w = 30, .i = 24, .o = 20, .attr = {5, 5, 1, 2, 2, 2, 2}},
    {.n = 3, .h = SIDE_MAX, .w = SIDE_MAX, .i = 16, .o = 32, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 5, .h = SIDE_MAX, .w = SIDE_MAX, .i = 8, .o = 350, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 3, .h = SIDE_MAX, .w = 20, .i = 33, .o = 30, .attr = {1, 1, 1, 0, 0, 0, 0}},
    {.n = 5, .h = SIDE_MAX, .w = SIDE_MAX, .i = 3, .o = 8, .attr = {3, 3, 1, 1, 1, 1, 1}},
};
enum { CHOSEN = sizeof chosen / sizeof *chosen, SHAPES = CHOSEN + RANDOM_SHAPES };

static bd_conv_shape shape_at(int k) {
    if (k >= CHOSEN) return random_shape(k - CHOSEN);
    bd_conv_shape s = chosen[k];
    assert_true(set_output(&s));
    return s;
}

/* --- numbers --- */

typedef struct {
    bd_conv_shape s;
    float *x, *w, *b, *z, *dy;
    float *wt; /* w as [KH,KW,I,O], for the oracles */
} problem;

static void *zeroed(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

/* Element [tap][i][o] of the weights as they are stored outside, [O,I,KH,KW]. */
static size_t plain_at(const bd_conv_shape *s, size_t tap, size_t i, size_t o) {
    return (o * (size_t)s->i + i) * taps(s) + tap;
}

static void by_tap(const problem *p) {
    float *to = p->wt;
    for (size_t t = 0; t < taps(&p->s); t++)
        for (size_t i = 0; i < (size_t)p->s.i; i++)
            for (size_t o = 0; o < (size_t)p->s.o; o++) *to++ = p->w[plain_at(&p->s, t, i, o)];
}

static problem new_problem(bd_conv_shape s, uint64_t seed) {
    float *x = zeroed(x_floats(&s) + 2 * w_floats(&s) + (size_t)s.o + 2 * y_floats(&s), sizeof *x);
    float *w = x + x_floats(&s), *b = w + w_floats(&s), *z = b + s.o, *dy = z + y_floats(&s);
    problem p = {s, x, w, b, z, dy, dy + y_floats(&s)};
    ref_fill_f32(x, (size_t)(p.wt - x), seed);
    by_tap(&p);
    return p;
}

static void free_problem(problem *p) { free(p->x); }

/* All three directions without bias and z; gradient of the weights as [KH,KW,I,O]. */
typedef struct {
    double *y, *dx, *dw, *db;
} sums64;

typedef struct {
    float *y, *dx, *dw;
} sums32;

/* Offsets of a pixel of x, one of y and the tap of the filter that joins them. */
typedef struct {
    size_t x, y, w;
} join;

static void join64(void *to, const problem *p, join j) {
    const sums64 *t = to;
    const float *w = p->wt + j.w, *dy = p->dy + j.y;
    double *y = t->y + j.y, *dw = t->dw + j.w;
    for (int i = 0; i < p->s.i; i++, w += p->s.o, dw += p->s.o) {
        double x = p->x[j.x + (size_t)i], dx = 0;
        for (int o = 0; o < p->s.o; o++) {
            y[o] += x * w[o];
            dw[o] += x * dy[o];
            dx += (double)w[o] * dy[o];
        }
        t->dx[j.x + (size_t)i] += dx;
    }
}

/* Each sum is one chain. */
static void join32(void *to, const problem *p, join j) {
    const sums32 *t = to;
    const float *w = p->wt + j.w, *dy = p->dy + j.y;
    float *y = t->y + j.y, *dw = t->dw + j.w;
    for (int i = 0; i < p->s.i; i++, w += p->s.o, dw += p->s.o) {
        float x = p->x[j.x + (size_t)i], *dx = t->dx + j.x + i;
        for (int o = 0; o < p->s.o; o++) {
            y[o] = fmaf(x, w[o], y[o]);
            dw[o] = fmaf(x, dy[o], dw[o]);
            *dx = fmaf(w[o], dy[o], *dx);
        }
    }
}

static void each_join(const problem *p, void (*f)(void *, const problem *, join), void *to) {
    const bd_conv_shape *s = &p->s;
    const size_t filter = (size_t)s->i * (size_t)s->o;
    for (int q = 0; q < (int)pixels(s); q++) {
        int row = q / s->ow % s->oh * s->attr.stride - s->attr.pad_top,
            col = q % s->ow * s->attr.stride - s->attr.pad_left;
        for (int t = 0; t < (int)taps(s); t++) {
            int r = row + t / s->attr.kw, c = col + t % s->attr.kw;
            if (r < 0 || r >= s->h || c < 0 || c >= s->w) continue;
            size_t x = ((size_t)(q / s->ow / s->oh * s->h + r) * (size_t)s->w + (size_t)c);
            f(to, p, (join){x * (size_t)s->i, (size_t)q * (size_t)s->o, (size_t)t * filter});
        }
    }
}

static sums64 new_truth(const problem *p) {
    const bd_conv_shape *s = &p->s;
    double *y = zeroed(y_floats(s) + x_floats(s) + w_floats(s) + (size_t)s->o, sizeof *y);
    sums64 t = {y, y + y_floats(s), y + y_floats(s) + x_floats(s), NULL};
    t.db = t.dw + w_floats(s);
    each_join(p, join64, &t);
    for (size_t k = 0; k < y_floats(s); k++) t.db[k % (size_t)s->o] += p->dy[k];
    return t;
}

/* What a run shall give, laid out as it is. */
static double *new_wanted(const problem *p, const sums64 *t, bd_conv_dir dir, bool b, bool z) {
    const bd_conv_shape *s = &p->s;
    const size_t n = out_floats(s, dir), no = (size_t)s->o;
    double *want = zeroed(n, sizeof *want), *dw = t->dw;
    if (dir == BD_CONV_FWD)
        for (size_t k = 0; k < n; k++)
            want[k] = t->y[k] + (b ? p->b[k % no] : 0) + (z ? p->z[k] : 0);
    if (dir == BD_CONV_BWD_DATA) memcpy(want, t->dx, n * sizeof *want);
    if (dir != BD_CONV_BWD_WEIGHT) return want;
    for (size_t tap = 0; tap < taps(s); tap++)
        for (size_t i = 0; i < (size_t)s->i; i++)
            for (size_t o = 0; o < no; o++) want[plain_at(s, tap, i, o)] = *dw++;
    memcpy(want + w_floats(s), t->db, no * sizeof *want);
    return want;
}

/* --- runs between guards --- */

/* The sanitizer's own red zones see reads as well, if no guard keeps them away. */
#if defined(__SANITIZE_ADDRESS__)
enum { GUARD = 0 };
#else
enum { GUARD = 24 };
#endif

/* A NaN that nothing computes: a read of what was not written, or lies outside, shows in the result. */
static const uint32_t poison = 0x7fc5a5a5;

typedef struct {
    float *raw, *at;
    const float *from; /* NULL: an output */
    size_t before, n;
} buffer;

/* n floats, `shift` behind an aligned address. */
static buffer new_buffer(const float *from, size_t n, size_t shift) {
    buffer b = {.from = from, .before = GUARD + shift, .n = n};
    const size_t all = b.before + n + GUARD;
    b.raw = zeroed(all, sizeof *b.raw);
    b.at = b.raw + b.before;
    for (size_t k = 0; k < all; k++) memcpy(b.raw + k, &poison, sizeof poison);
    if (from) memcpy(b.at, from, n * sizeof *from);
    return b;
}

static bool poisoned(const float *p, size_t n) {
    for (size_t k = 0; k < n; k++) {
        uint32_t bits;
        memcpy(&bits, p + k, sizeof bits);
        if (bits != poison) return false;
    }
    return true;
}

static bool intact(const buffer *b) {
    return poisoned(b->raw, b->before) && poisoned(b->at + b->n, GUARD) &&
           (!b->from || memcmp(b->at, b->from, b->n * sizeof *b->at) == 0);
}

/* 0 and NULL: as bd_conv_init chooses. */
typedef struct {
    const bd_conv_kernels *kernels;
    int block, registers_i, registers_o; /* registers of channels in block_i and block_o */
    bool bias, z, bias_alone;
} how;

/* All there is to cut into blocks: pieces or pixels of what is written, or of dy where the filter moves by more. */
static int pieces(const bd_conv *c) {
    const bd_conv_shape *s = &c->s;
    const bool x = c->dir == BD_CONV_BWD_DATA && s->attr.stride == 1;
    const int h = x ? s->h : s->oh, w = x ? s->w : s->ow;
    return c->method != BD_CONV_WINOGRAD ? s->n * h * w
                                         : s->n * (bd_round_up(h, 4) / 4) * (bd_round_up(w, 4) / 4);
}

static bd_conv prepare(const bd_conv_shape *s, bd_conv_dir dir, const how *h) {
    bd_conv c;
    bd_conv_init_with(&c, dir, s, h->kernels ? h->kernels : bd_conv_kernels_best());
    if (h->block && h->block < c.block) c.block = h->block;
    if (c.method != BD_CONV_WINOGRAD || dir != BD_CONV_BWD_WEIGHT) return c;
    if (h->registers_i) c.block_i = h->registers_i * c.kernels->width;
    if (h->registers_o) c.block_o = h->registers_o * c.kernels->width;
    /* Both sides, and with more than one block of pieces all products; ample, for how points are spaced. */
    size_t i = (size_t)bd_round_up(s->i, c.block_i), o = (size_t)bd_round_up(s->o, c.block_o);
    size_t most = BD_WINO_POINTS * ((size_t)(c.block + 9) * (i + o) + 2 * i * o);
    if ((h->block || h->registers_i || h->registers_o) && c.scratch_floats < most)
        c.scratch_floats = most;
    return c;
}

enum { X, Y, Z, B, PLAIN, PACKED, SCRATCH, BUFFERS };
static const char *const buffer_names[BUFFERS] = {"x", "y", "z", "b", "w", "packed", "scratch"};

/* Scratch also holds doubles, so that it moves by two floats. */
static void new_buffers(buffer *f, const problem *p, const bd_conv *c, const how *h) {
    const bd_conv_shape *s = &p->s;
    const bool weight = c->dir == BD_CONV_BWD_WEIGHT;
    f[X] = new_buffer(c->dir == BD_CONV_BWD_DATA ? NULL : p->x, x_floats(s), 1);
    f[Y] = new_buffer(c->dir == BD_CONV_FWD ? NULL : p->dy, y_floats(s), 1);
    f[Z] = new_buffer(p->z, h->z ? y_floats(s) : 0, 1);
    f[B] = new_buffer(weight ? NULL : p->b, (size_t)s->o, 1);
    f[PLAIN] = new_buffer(weight ? NULL : p->w, w_floats(s), 1);
    f[PACKED] = new_buffer(NULL, bd_conv_packed_bytes(c) / sizeof(float), 1);
    f[SCRATCH] = new_buffer(NULL, bd_conv_scratch_bytes(c) / sizeof(float), 2);
}

/* The output; *broken: the buffer that was written where it must not be, or NULL. */
static float *new_run(const problem *p, bd_conv_dir dir, const how *h, const char **broken) {
    const bool weight = dir == BD_CONV_BWD_WEIGHT;
    bd_conv c = prepare(&p->s, dir, h);
    buffer f[BUFFERS];
    new_buffers(f, p, &c, h);
    if (!weight) bd_conv_pack(&c, f[PACKED].at, f[PLAIN].at);
    buffer kept = new_buffer(f[PACKED].at, f[PACKED].n, 1);
    bd_conv_run(&c, &(bd_conv_buffers){.x = f[X].at,
                                       .w = h->bias_alone ? NULL : f[PACKED].at,
                                       .b = h->bias || h->bias_alone ? f[B].at : NULL,
                                       .y = f[Y].at,
                                       .scratch = f[SCRATCH].at,
                                       .z = h->z ? f[Z].at : NULL});
    if (!weight) f[PACKED].from = kept.at;
    if (weight && !h->bias_alone) bd_conv_unpack(&c, f[PLAIN].at, f[PACKED].at);
    *broken = NULL;
    for (int k = 0; k < BUFFERS; k++)
        if (!intact(&f[k])) *broken = buffer_names[k];

    const size_t n = out_floats(&p->s, dir);
    float *out = zeroed(n, sizeof *out);
    const buffer *from = &f[dir == BD_CONV_FWD ? Y : dir == BD_CONV_BWD_DATA ? X : PLAIN];
    memcpy(out, from->at, from->n * sizeof *out);
    if (weight) memcpy(out + from->n, f[B].at, f[B].n * sizeof *out);
    free(kept.raw);
    for (int k = 0; k < BUFFERS; k++) free(f[k].raw);
    return out;
}

static const char *describe(const bd_conv_shape *s, bd_conv_dir dir, const how *h) {
    static char text[200];
    bd_conv c = prepare(s, dir, h);
    snprintf(text, sizeof text, "%s, %s, %s: %dx%dx%dx%d -> %dx%dx%d, %dx%d/%d, pads %d %d %d %d",
             c.kernels->isa, bd_conv_name(&c), dir_names[dir], s->n, s->h, s->w, s->i, s->oh, s->ow,
             s->o, s->attr.kh, s->attr.kw, s->attr.stride, s->attr.pad_top, s->attr.pad_left,
             s->attr.pad_bottom, s->attr.pad_right);
    return text;
}

/* --- oracle --- */

/* The largest error in units of what is allowed. Sums of L terms in float32 are off by some units of 2^-24 of the
 * largest number, and by sqrt(L) more as roundings of random sign add up; 4 covers the worst of some hundred thousand
 * (tests/op_cases.c), and with it that Winograd's are twice as large (accuracy, below). */
static double excess(const float *got, const double *want, size_t n, size_t length) {
    double allowed = 0x1p-24 * (16 + 4 * sqrt((double)length)) * ref_max_abs(want, n), worst = 0;
    for (size_t k = 0; k < n; k++) {
        double e = fabs(got[k] - want[k]);
        if (!(e <= worst * allowed)) worst = allowed > 0 && isfinite(e) ? e / allowed : INFINITY;
    }
    return worst;
}

static double check(const problem *p, const sums64 *t, bd_conv_dir dir, const how *h) {
    const bd_conv_shape *s = &p->s;
    const char *broken;
    const size_t n = w_floats(s), no = (size_t)s->o, ni = (size_t)s->i;
    double *want = new_wanted(p, t, dir, h->bias, h->z), worst = 0;
    float *got = new_run(p, dir, h, &broken);
    if (broken)
        print_message("%s: wrote outside, or over its input: %s\n", describe(s, dir, h), broken);
    switch (dir) {
    case BD_CONV_FWD: worst = excess(got, want, y_floats(s), taps(s) * ni + 2); break;
    case BD_CONV_BWD_DATA: worst = excess(got, want, x_floats(s), taps(s) * no); break;
    case BD_CONV_BWD_WEIGHT:
        worst = h->bias_alone ? poisoned(got, n) ? 0 : INFINITY : excess(got, want, n, pixels(s));
        worst = fmax(worst, h->bias || h->bias_alone ? excess(got + n, want + n, no, pixels(s))
                            : poisoned(got + n, no)  ? 0
                                                     : INFINITY);
    }
    free(want);
    free(got);
    return broken ? INFINITY : worst;
}

/* What all shapes together must have had. */
typedef struct {
    bool i[CHANNELS_MAX + 1], o[CHANNELS_MAX + 1], side[SIDE_MAX + 1];
    int runs, blocks[METHODS][DIRS]; /* runs of more than one block */
    double worst[METHODS][DIRS];
} coverage;

static void check_all(const problem *p, const sums64 *t, coverage *cover) {
    static const how ways[] = {{.bias = true, .z = true}, {.bias = true}, {.z = true}, {0}};
    for (int d = 0; d < DIRS; d++)
        for (int k = 0; k < (d == BD_CONV_FWD ? 4 : d == BD_CONV_BWD_DATA ? 1 : 3); k++) {
            const how h =
                d != BD_CONV_BWD_WEIGHT ? ways[k] : (how){.bias = k == 0, .bias_alone = k == 2};
            bd_conv c = prepare(&p->s, (bd_conv_dir)d, &h);
            double worst = check(p, t, (bd_conv_dir)d, &h);
            if (!(worst <= 1))
                fail_msg("%s: %.3g times what rounding explains",
                         describe(&p->s, (bd_conv_dir)d, &h), worst);
            double *most = &cover->worst[c.method][d];
            *most = fmax(*most, worst);
            cover->blocks[c.method][d] += c.block < pieces(&c);
            cover->runs++;
        }
}

static void covered(const coverage *c) {
    for (int k = 1; k <= CHANNELS_MAX; k++) assert_true(c->i[k] && c->o[k]);
    for (int k = 1; k <= SIDE_MAX; k++) assert_true(c->side[k]);
    for (int m = 0; m < METHODS; m++)
        for (int d = 0; d < DIRS; d++) {
            bd_conv named = {.method = (bd_conv_method)m};
            print_message("%s, %s: at most %.2f of the tolerance\n", bd_conv_name(&named),
                          dir_names[d], c->worst[m][d]);
            if (!c->blocks[m][d])
                fail_msg("no shape has more than one block: add a larger one to `chosen`");
        }
    print_message("%d runs\n", c->runs);
}

static void equals_direct_convolution(void **state) {
    (void)state;
    static coverage cover;
    for (int k = 0; k < SHAPES; k++) {
        bd_conv_shape s = shape_at(k);
        problem p = new_problem(s, (uint64_t)k);
        sums64 t = new_truth(&p);
        check_all(&p, &t, &cover);
        if (s.i <= CHANNELS_MAX) cover.i[s.i] = true;
        if (s.o <= CHANNELS_MAX) cover.o[s.o] = true;
        cover.side[s.h] = cover.side[s.w] = true;
        free(t.y);
        free_problem(&p);
    }
    covered(&cover);
}

/* --- bits --- */

static bool same_bits(const problem *p, bd_conv_dir dir, const how *a, const how *b) {
    const char *broken[2];
    float *x = new_run(p, dir, a, &broken[0]), *y = new_run(p, dir, b, &broken[1]);
    bool same = !broken[0] && !broken[1] && memcmp(x, y, out_floats(&p->s, dir) * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

static void must_be_same_bits(const problem *p, const how *a, const how *b) {
    for (int d = 0; d < DIRS; d++)
        if (!same_bits(p, (bd_conv_dir)d, a, b))
            fail_msg("%s: other bits with %s, block %d, %d and %d registers",
                     describe(&p->s, (bd_conv_dir)d, a), b->kernels ? b->kernels->isa : "the same",
                     b->block, b->registers_i, b->registers_o);
}

/* A part of the shapes, those with much to compute left out. */
static void each_problem(void (*f)(const problem *p)) {
    for (int k = 0; k < CHOSEN + CHANNELS_MAX; k++) {
        bd_conv_shape s = shape_at(k);
        if (pixels(&s) * w_floats(&s) > 30000000) continue;
        problem p = new_problem(s, (uint64_t)k);
        f(&p);
        free_problem(&p);
    }
}

/* What the machine runs, and plain C with registers of 4 and 16 lanes. */
static int variants(const bd_conv_kernels **list) {
    int n = 0;
    list[n++] = bd_conv_kernels_best();
    list[n++] = &bd_conv_kernels_plain4;
    list[n++] = &bd_conv_kernels_plain16;
#if defined(__x86_64__)
    if (list[0] != &bd_conv_kernels_avx2) list[n++] = &bd_conv_kernels_avx2;
#endif
    return n;
}

static void compare_variants(const problem *p) {
    const bd_conv_kernels *list[4];
    const how first = {.bias = true, .z = p->s.n % 2};
    for (int v = variants(list) - 1; v > 0; v--) {
        how other = first;
        other.kernels = list[v];
        must_be_same_bits(p, &first, &other);
    }
}

static void variants_give_the_same_bits(void **state) {
    (void)state;
    const bd_conv_kernels *list[4];
    int n = variants(list);
    for (int v = 0; v < n; v++) print_message("%s%s", list[v]->isa, v < n - 1 ? ", " : "\n");
    each_problem(compare_variants);
}

static void compare_blocks(const problem *p) {
    static const how cuts[] = {
        {.block = 1, .bias = true},
        {.block = 5, .bias = true},
        {.block = 12, .registers_i = 2, .registers_o = 1, .bias = true},
        {.block = 28, .registers_i = 1, .registers_o = 4, .bias = true},
        {.registers_i = 4, .registers_o = 2, .bias = true},
    };
    const how first = {.bias = true};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) must_be_same_bits(p, &first, &cuts[k]);
}

static void blocks_do_not_change_bits(void **state) {
    (void)state;
    each_problem(compare_blocks);
}

/* --- the checks above find what is wrong --- */

static float wrong_factor;

static void product_wrong_in_one(const bd_product *p) {
    bd_conv_kernels_best()->product(p);
    p->c[0] *= wrong_factor;
}

static void product_onto_what_was_there(const bd_product *p) {
    bd_product q = *p;
    q.accumulate = true;
    bd_conv_kernels_best()->product(&q);
}

static void product_one_too_far(const bd_product *p) {
    bd_conv_kernels_best()->product(p);
    p->c[(size_t)(p->m - 1) * p->ldc + (size_t)p->n] = 0;
}

/* A shape for each method; the first element of each product goes into the result. */
static const bd_conv_shape controls[METHODS] = {
    {.n = 1, .h = 9, .w = 10, .i = 12, .o = 13, .attr = {3, 3, 1, 1, 1, 1, 1}},
    {.n = 2, .h = 6, .w = 5, .i = 12, .o = 13, .attr = {1, 1, 1, 0, 0, 0, 0}},
    {.n = 1, .h = 9, .w = 10, .i = 12, .o = 13, .attr = {3, 3, 2, 0, 0, 1, 1}},
};

static void each_control(void (*f)(const problem *p, const sums64 *t, bd_conv_dir dir)) {
    for (int m = 0; m < METHODS; m++) {
        bd_conv_shape s = controls[m];
        assert_true(set_output(&s));
        problem p = new_problem(s, 7);
        sums64 t = new_truth(&p);
        for (int d = 0; d < DIRS; d++) {
            assert_int_equal(prepare(&s, (bd_conv_dir)d, &(how){0}).method, m);
            assert_true(check(&p, &t, (bd_conv_dir)d, &(how){.bias = true}) <= 1);
            f(&p, &t, (bd_conv_dir)d);
        }
        free(t.y);
        free_problem(&p);
    }
}

static void change_one_input(const problem *p, const sums64 *t, bd_conv_dir dir) {
    float *in = dir == BD_CONV_BWD_WEIGHT ? &p->dy[5] : &p->w[17], kept = *in;
    *in += 1e-3f;
    assert_true(check(p, t, dir, &(how){.bias = true}) > 2);
    *in = kept;
}

static void a_wrong_weight_is_found(void **state) {
    (void)state;
    each_control(change_one_input);
}

/* By 1e-3 the oracle sees it, by a few units of the last place the comparison of bits does. */
static void change_product(const problem *p, const sums64 *t, bd_conv_dir dir) {
    bd_conv_kernels wrong = *bd_conv_kernels_best();
    const how h = {.kernels = &wrong, .bias = true}, sound = {.bias = true};
    wrong.product = product_wrong_in_one;
    wrong_factor = 1;
    assert_true(check(p, t, dir, &h) <= 1 && same_bits(p, dir, &sound, &h));
    wrong_factor = 1 + 1e-3f;
    assert_true(check(p, t, dir, &h) > 2);
    wrong_factor = 1 + 0x1p-21f;
    assert_false(same_bits(p, dir, &sound, &h));
}

static void a_wrong_product_is_found(void **state) {
    (void)state;
    each_control(change_product);
}

/* What was there is poison, unless the output is z. */
static void read_and_write_elsewhere(const problem *p, const sums64 *t, bd_conv_dir dir) {
    bd_conv_kernels wrong = *bd_conv_kernels_best();
    const how h = {.kernels = &wrong, .bias = true};
    wrong.product = product_onto_what_was_there;
    assert_false(check(p, t, dir, &h) <= 1);
    /* results of the other products are not at an end of their buffer; and a sanitizer would end the program */
    if (GUARD == 0 || prepare(&p->s, dir, &h).method != BD_CONV_PRODUCT) return;
    wrong.product = product_one_too_far;
    print_message("the next line is wanted: ");
    assert_false(check(p, t, dir, &h) <= 1);
}

static void reads_and_writes_elsewhere_are_found(void **state) {
    (void)state;
    each_control(read_and_write_elsewhere);
}

/* --- accuracy --- */

/* Standard normal numbers by Box and Muller, times scale. */
static void fill_normal(float *x, size_t n, uint64_t seed, double scale) {
    float *u = zeroed(2 * n, sizeof *u);
    ref_fill_f32(u, 2 * n, seed);
    for (size_t k = 0; k < n; k++) { /* u is even in (-1.75, 1.75) */
        double r = (u[2 * k] + 1.75) / 3.5, angle = 2 * 3.14159265358979 * u[2 * k + 1] / 3.5;
        x[k] = (float)(scale * sqrt(-2 * log(r + 0x1p-26)) * cos(angle));
    }
    free(u);
}

/* n images of h x h pixels, c channels on both sides. */
static problem normal_problem(int n, int h, int c) {
    bd_conv_shape s = {.n = n, .h = h, .w = h, .i = c, .o = c, .attr = {3, 3, 1, 1, 1, 1, 1}};
    assert_true(set_output(&s));
    problem p = new_problem(s, 1);
    fill_normal(p.x, x_floats(&s), 2, 1);
    fill_normal(p.dy, y_floats(&s), 3, 1);
    fill_normal(p.w, w_floats(&s), 4, 1 / sqrt(9.0 * c));
    by_tap(&p);
    return p;
}

/* Root of the mean square error, relative to that of what is wanted. */
static double error_of(const float *got, const double *want, size_t n) {
    double e = 0, all = 0;
    for (size_t k = 0; k < n; k++) {
        e += (got[k] - want[k]) * (got[k] - want[k]);
        all += want[k] * want[k];
    }
    return sqrt(e / all);
}

typedef struct {
    double of[DIRS];
} errors;

static errors chain_errors(const problem *p, const sums64 *t) {
    const size_t ny = y_floats(&p->s), nx = x_floats(&p->s), nw = w_floats(&p->s);
    float *y = zeroed(ny + nx + nw, sizeof *y);
    sums32 c = {y, y + ny, y + ny + nx};
    each_join(p, join32, &c);
    errors e = {{error_of(c.y, t->y, ny), error_of(c.dx, t->dx, nx), error_of(c.dw, t->dw, nw)}};
    free(y);
    return e;
}

static errors own_errors(const problem *p, const sums64 *t) {
    errors e;
    for (int d = 0; d < DIRS; d++) {
        const char *broken;
        const how h = {0};
        assert_int_equal(prepare(&p->s, (bd_conv_dir)d, &h).method, BD_CONV_WINOGRAD);
        double *want = new_wanted(p, t, (bd_conv_dir)d, false, false);
        float *got = new_run(p, (bd_conv_dir)d, &h, &broken);
        size_t n = d == BD_CONV_BWD_WEIGHT ? w_floats(&p->s) : out_floats(&p->s, (bd_conv_dir)d);
        e.of[d] = error_of(got, want, n);
        assert_null(broken);
        free(want);
        free(got);
    }
    return e;
}

static errors textbook_errors(const problem *p, const sums64 *t, double a, double b) {
    const size_t ny = y_floats(&p->s), nw = w_floats(&p->s);
    const int n = p->s.n, h = p->s.h, c = p->s.i;
    const textbook_points at = textbook_points_of(a, b);
    float *out = zeroed(ny + nw, sizeof *out), *turned_w = out + ny;
    errors e;
    textbook_image(out, p->x, p->wt, n, h, c, &at);
    e.of[BD_CONV_FWD] = error_of(out, t->y, ny);
    for (int s = 0; s < 9; s++) /* turned round, sides exchanged */
        for (int i = 0; i < c; i++)
            for (int o = 0; o < c; o++)
                turned_w[((8 - s) * c + o) * c + i] = p->wt[(s * c + i) * c + o];
    textbook_image(out, p->dy, turned_w, n, h, c, &at);
    e.of[BD_CONV_BWD_DATA] = error_of(out, t->dx, ny);
    textbook_weight(turned_w, p->x, p->dy, n, h, c, &at);
    e.of[BD_CONV_BWD_WEIGHT] = error_of(turned_w, t->dw, nw);
    free(out);
    return e;
}

/* What the points allow: forward and gradient of the data 2.5 times the error of a chain. The error of a chain grows
 * with the root of its length, which is the number of pixels for the gradient of the weights, where Winograd's chains
 * are a sixteenth as long and what its transforms lose does not grow: a bound for each size, a third above 1.37, 1.63
 * and 3.05 of the textbook's. The usual points 0, +-1, +-2 lose twice as much and exceed each bound. Against the textbook
 * itself, which multiplies by whole matrices, the sums of few terms in input_line and its like gain or lose little. */
static const struct {
    int n, h, c;
    double bound[DIRS];
} accuracy[] = {
    {4, 32, 16, {2.5, 2.5, 1.9}},
    {2, 16, 64, {2.5, 2.5, 2.3}},
    {1, 8, 256, {2.5, 2.5, 4.1}},
};

static void errors_are_near_those_of_a_chain(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof accuracy / sizeof *accuracy; k++) {
        problem p = normal_problem(accuracy[k].n, accuracy[k].h, accuracy[k].c);
        sums64 t = new_truth(&p);
        errors chain = chain_errors(&p, &t), own = own_errors(&p, &t),
               same = textbook_errors(&p, &t, 0.75, 1.5), usual = textbook_errors(&p, &t, 1, 2);
        for (int d = 0; d < DIRS; d++) {
            const double bound = accuracy[k].bound[d] * chain.of[d];
            print_message("%d channels, %s: %.1e in a chain, ours %.2f times that; textbook %.2f, "
                          "with the usual points %.2f\n",
                          p.s.i, dir_names[d], chain.of[d], own.of[d] / chain.of[d],
                          same.of[d] / chain.of[d], usual.of[d] / chain.of[d]);
            assert_true(own.of[d] <= bound && own.of[d] <= 1.1 * same.of[d]);
            assert_true(same.of[d] <= bound);
            assert_true(usual.of[d] > bound && usual.of[d] > 1.1 * same.of[d]);
        }
        free(t.y);
        free_problem(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_direct_convolution),
        cmocka_unit_test(variants_give_the_same_bits),
        cmocka_unit_test(blocks_do_not_change_bits),
        cmocka_unit_test(a_wrong_weight_is_found),
        cmocka_unit_test(a_wrong_product_is_found),
        cmocka_unit_test(reads_and_writes_elsewhere_are_found),
        cmocka_unit_test(errors_are_near_those_of_a_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
