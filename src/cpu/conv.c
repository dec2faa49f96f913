/* Convolutions as matrix products, with or without gathering pixels first; the choice of the method. */
#include "cpu/conv.h"

#include <stdint.h>
#include <string.h>

/* Floats of gathered rows, and of the two sides of a product of pixels, worked on at once. */
enum { GATHERED = 64 << 10, ROWS_MIN = 24, PIXELS = 256 };

static size_t image_floats(int n, int h, int w, int c) {
    return (size_t)n * (size_t)h * (size_t)w * (size_t)c;
}

static int taps(const bd_conv *c) { return c->s.attr.kh * c->s.attr.kw; }
static int depth(const bd_conv *c) { return taps(c) * c->s.i; } /* of a gathered row */
static int pixels(const bd_conv *c) { return c->s.n * c->s.oh * c->s.ow; }
static int least(int a, int b) { return a < b ? a : b; }

static bool same_size(const bd_conv_attr *a, int k) {
    return a->kh == k && a->kw == k && a->stride == 1;
}

/* Winograd wants vectors of channels, and pieces that are not mostly padding. */
static bool winograd_pays(const bd_conv_shape *s) {
    const bd_conv_attr *a = &s->attr;
    int h = bd_round_up(s->oh, BD_WINO_OUT), w = bd_round_up(s->ow, BD_WINO_OUT);
    return same_size(a, 3) && a->pad_top <= 2 && a->pad_left <= 2 && s->i >= 8 && s->o >= 8 &&
           2 * s->oh * s->ow >= h * w;
}

static bool is_product(const bd_conv_attr *a) {
    return same_size(a, 1) && !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

/* Packed weights of a product: k rows in panels of n columns. */
static size_t panels(const bd_conv *c, int k, int n) {
    return (size_t)k * (size_t)bd_round_up(n, bd_conv_panel(c));
}

static void init_product(bd_conv *c) {
    const bool gather = c->method == BD_CONV_GATHER;
    const int rows = bd_round_up(GATHERED / depth(c), 12);
    c->block = gather ? rows < ROWS_MIN ? ROWS_MIN : rows : PIXELS;
    c->scratch_floats = gather ? (size_t)least(c->block, pixels(c)) * (size_t)depth(c) : 0;
    switch (c->dir) {
    case BD_CONV_FWD: c->packed_floats = panels(c, depth(c), c->s.o); break;
    case BD_CONV_BWD_DATA: c->packed_floats = panels(c, c->s.o, depth(c)); break;
    case BD_CONV_BWD_WEIGHT: c->packed_floats = (size_t)depth(c) * (size_t)c->s.o; break;
    }
}

void bd_conv_init_with(bd_conv *c, bd_conv_dir dir, const bd_conv_shape *s,
                       const bd_conv_kernels *kernels) {
    *c = (bd_conv){.dir = dir, .s = *s, .kernels = kernels, .vec = bd_vec_best()};
    c->method = winograd_pays(s)       ? BD_CONV_WINOGRAD
                : is_product(&s->attr) ? BD_CONV_PRODUCT
                                       : BD_CONV_GATHER;
    if (c->method == BD_CONV_WINOGRAD)
        bd_wino_init(c);
    else
        init_product(c);
    if (dir == BD_CONV_BWD_WEIGHT && c->scratch_floats < 2 * (size_t)s->o)
        c->scratch_floats = 2 * (size_t)s->o; /* sums of the bias's gradient, in double */
}

void bd_conv_init(bd_conv *c, bd_conv_dir dir, const bd_conv_shape *s) {
    bd_conv_init_with(c, dir, s, bd_conv_kernels_best());
}

const char *bd_conv_name(const bd_conv *c) {
    static const char *const names[] = {"winograd", "product", "gather"};
    return names[c->method];
}

size_t bd_conv_packed_bytes(const bd_conv *c) { return c->packed_floats * sizeof(float); }
size_t bd_conv_scratch_bytes(const bd_conv *c) { return c->scratch_floats * sizeof(float); }

/* --- weights --- */

/* Element (o, k) of the weights, where k counts (row, column, input channel) as gathered rows do. */
static size_t plain_at(const bd_conv *c, int o, int k) {
    int i = k % c->s.i, tap = k / c->s.i;
    return ((size_t)o * (size_t)c->s.i + (size_t)i) * (size_t)taps(c) + (size_t)tap;
}

/* FWD: rows k, columns o; BWD_DATA: rows o, columns k. */
void bd_conv_pack(const bd_conv *c, float *packed, const float *plain) {
    if (c->method == BD_CONV_WINOGRAD) {
        bd_wino_pack(c, packed, plain);
        return;
    }
    const bool fwd = c->dir == BD_CONV_FWD;
    const int rows = fwd ? depth(c) : c->s.o, cols = fwd ? c->s.o : depth(c);
    const int panel = bd_conv_panel(c);
    for (int j0 = 0; j0 < cols; j0 += panel)
        for (int p = 0; p < rows; p++)
            for (int j = j0; j < j0 + panel; j++)
                *packed++ = j >= cols ? 0
                            : fwd     ? plain[plain_at(c, j, p)]
                                      : plain[plain_at(c, p, j)];
}

void bd_conv_unpack(const bd_conv *c, float *plain, const float *packed) {
    for (int k = 0; k < depth(c); k++)
        for (int o = 0; o < c->s.o; o++) plain[plain_at(c, o, k)] = *packed++;
}

/* --- gathered rows --- */

/* The pixels under the filter at one output pixel: `kw` of a row at a time. */
typedef struct {
    int n, r, q; /* image; row and column of the filter's first tap */
} place;

static place find_place(const bd_conv *c, int pixel) {
    const bd_conv_shape *s = &c->s;
    int col = pixel % s->ow, row = pixel / s->ow % s->oh;
    return (place){pixel / s->ow / s->oh, row * s->attr.stride - s->attr.pad_top,
                   col * s->attr.stride - s->attr.pad_left};
}

/* Taps first .. first + count - 1 of a row of the filter lie inside the image, at offset `at`; count 0: none. */
typedef struct {
    int first, count;
    size_t at;
} run_of_taps;

static run_of_taps find_run(const bd_conv *c, place p, int tap_row) {
    const bd_conv_shape *s = &c->s;
    int r = p.r + tap_row, first = p.q < 0 ? -p.q : 0, end = least(s->attr.kw, s->w - p.q);
    if (r < 0 || r >= s->h || end <= first) return (run_of_taps){0, 0, 0};
    size_t px = ((size_t)p.n * (size_t)s->h + (size_t)r) * (size_t)s->w + (size_t)(p.q + first);
    return (run_of_taps){first, end - first, px * (size_t)s->i};
}

static void gather(const bd_conv *c, float *rows, const float *x, int first, int count) {
    const size_t ch = (size_t)c->s.i, kw = (size_t)c->s.attr.kw;
    for (int t = 0; t < count; t++) {
        place p = find_place(c, first + t);
        for (int k = 0; k < c->s.attr.kh; k++, rows += kw * ch) {
            run_of_taps run = find_run(c, p, k);
            size_t before = (size_t)run.first * ch, n = (size_t)run.count * ch;
            memset(rows, 0, before * sizeof *rows);
            if (n) memcpy(rows + before, x + run.at, n * sizeof *rows);
            memset(rows + before + n, 0, (kw * ch - before - n) * sizeof *rows);
        }
    }
}

static void scatter_add(const bd_conv *c, float *dx, const float *rows, int first, int count) {
    const size_t ch = (size_t)c->s.i, kw = (size_t)c->s.attr.kw;
    for (int t = 0; t < count; t++) {
        place p = find_place(c, first + t);
        for (int k = 0; k < c->s.attr.kh; k++, rows += kw * ch) {
            run_of_taps run = find_run(c, p, k);
            float *to = dx + run.at;
            c->vec->add(to, to, rows + (size_t)run.first * ch, (size_t)run.count * ch);
        }
    }
}

/* --- products --- */

/* c [m,n] (+)= a b with packed b */
static bd_product packed_product(const bd_conv *c, const float *b, int n, int k) {
    const int panel = bd_conv_panel(c);
    return (bd_product){.b = b,
                        .row = (size_t)k,
                        .step = 1,
                        .ldc = (size_t)n,
                        .ldb = (size_t)panel,
                        .next = (size_t)k * (size_t)panel,
                        .n = n,
                        .k = k,
                        .panel = panel};
}

/* y = z + b, where the product begins */
static void begin_with(const bd_conv *c, float *y, const float *z, const float *b) {
    const size_t o = (size_t)c->s.o, n = (size_t)pixels(c);
    if (!b) memcpy(y, z, n * o * sizeof *y);
    for (size_t p = 0; b && p < n; p++) c->vec->add(y + p * o, z + p * o, b, o);
}

static void run_fwd(const bd_conv *c, const bd_conv_buffers *b) {
    bd_product p = packed_product(c, b->w, c->s.o, depth(c));
    p.init = b->b;
    p.accumulate = b->z != NULL;
    if (b->z) begin_with(c, b->y, b->z, b->b);
    for (int at = 0; at < pixels(c); at += c->block) {
        p.m = least(c->block, pixels(c) - at);
        p.c = b->y + (size_t)at * (size_t)c->s.o;
        p.a = b->x + (size_t)at * (size_t)c->s.i;
        if (c->method == BD_CONV_GATHER) {
            gather(c, b->scratch, b->x, at, p.m);
            p.a = b->scratch;
        }
        c->kernels->product(&p);
    }
}

static void run_bwd_data(const bd_conv *c, const bd_conv_buffers *b) {
    const bool spread = c->method == BD_CONV_GATHER;
    bd_product p = packed_product(c, b->w, depth(c), c->s.o);
    if (spread) memset(b->x, 0, image_floats(c->s.n, c->s.h, c->s.w, c->s.i) * sizeof(float));
    for (int at = 0; at < pixels(c); at += c->block) {
        p.m = least(c->block, pixels(c) - at);
        p.a = b->y + (size_t)at * (size_t)c->s.o;
        p.c = spread ? b->scratch : b->x + (size_t)at * (size_t)c->s.i;
        c->kernels->product(&p);
        if (spread) scatter_add(c, b->x, b->scratch, at, p.m);
    }
}

static void run_bwd_weight(const bd_conv *c, const bd_conv_buffers *b) {
    bd_product p = {.c = b->w,
                    .ldc = (size_t)c->s.o,
                    .row = 1,
                    .step = (size_t)depth(c),
                    .ldb = (size_t)c->s.o,
                    .m = depth(c),
                    .n = c->s.o,
                    .panel = 1 << 30};
    for (int at = 0; at < pixels(c); at += c->block, p.accumulate = true) {
        p.k = least(c->block, pixels(c) - at);
        p.b = b->y + (size_t)at * (size_t)c->s.o;
        p.a = b->x + (size_t)at * (size_t)c->s.i;
        if (c->method == BD_CONV_GATHER) {
            gather(c, b->scratch, b->x, at, p.k);
            p.a = b->scratch;
        }
        c->kernels->product(&p);
    }
}

void bd_conv_run(const bd_conv *c, const bd_conv_buffers *b) {
    if (c->dir == BD_CONV_BWD_WEIGHT && b->b) {
        void *sums = b->scratch;
        c->vec->sum_hw(b->b, b->y, 1, 1, pixels(c), c->s.o, sums);
    }
    if (c->dir == BD_CONV_BWD_WEIGHT && !b->w) return;
    if (c->method == BD_CONV_WINOGRAD)
        bd_wino_run(c, b);
    else if (c->dir == BD_CONV_FWD)
        run_fwd(c, b);
    else if (c->dir == BD_CONV_BWD_DATA)
        run_bwd_data(c, b);
    else
        run_bwd_weight(c, b);
}
