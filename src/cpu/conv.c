/* Convolutions as matrix products, with or without gathering pixels first; the choice of the method. */
#include "cpu/conv.h"

#include <string.h>

/* Floats of gathered rows worked on at once, and least and most of the pixels. */
enum { GATHERED = 64 << 10, PIXELS_MIN = 24, PIXELS = 256, PIXELS_WEIGHT = 96 };
/* Channels that a block of a gradient's rows and columns holds: with PIXELS_WEIGHT pixels it stays in the cache. */
enum { BLOCK_ROWS = 48 };

static int least(int a, int b) { return a < b ? a : b; }
static int taps(const bd_conv *c) { return c->s.attr.kh * c->s.attr.kw; }
static int pixels(const bd_conv *c) { return c->s.n * c->s.oh * c->s.ow; }

static bool same_size(const bd_conv_attr *a, int k) {
    return a->kh == k && a->kw == k && a->stride == 1;
}

/* Winograd wants vectors of the channels it sums over, and pieces that are not mostly padding. */
static bool winograd_pays(bd_conv_dir dir, const bd_conv_shape *s) {
    const bd_conv_attr *a = &s->attr;
    int h = bd_round_up(s->oh, BD_WINO_OUT), w = bd_round_up(s->ow, BD_WINO_OUT);
    return same_size(a, 3) && a->pad_top <= 2 && a->pad_left <= 2 &&
           (dir == BD_CONV_BWD_DATA ? s->o : s->i) >= 8 && 2 * s->oh * s->ow >= h * w;
}

static bool is_product(const bd_conv_attr *a) {
    return same_size(a, 1) && !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

/* --- a filter that moves over an image --- */

bd_conv_sweep bd_conv_find_sweep(const bd_conv *c) {
    const bd_conv_shape *s = &c->s;
    const bd_conv_attr *a = &s->attr;
    bd_conv_sweep g = {.kh = a->kh, .kw = a->kw, .stride = a->stride};
    if (c->dir == BD_CONV_BWD_DATA && a->stride == 1) {
        g.h = s->oh, g.w = s->ow, g.c = s->o;
        g.oh = s->h, g.ow = s->w, g.o = s->i;
        g.top = a->kh - 1 - a->pad_top, g.left = a->kw - 1 - a->pad_left;
    } else {
        g.h = s->h, g.w = s->w, g.c = s->i;
        g.oh = s->oh, g.ow = s->ow, g.o = s->o;
        g.top = a->pad_top, g.left = a->pad_left;
    }
    return g;
}

static int row_floats(const bd_conv_sweep *g) {
    return g->kh * g->kw * g->c;
} /* of a gathered row */

/* The gradient of the input by adding up what each output pixel gives: where the filter moves by more than one. */
static bool spreads(const bd_conv *c) { return c->dir == BD_CONV_BWD_DATA && c->s.attr.stride > 1; }

/* --- layout --- */

static void init_product(bd_conv *c) {
    const bool gather = c->method == BD_CONV_GATHER, weight = c->dir == BD_CONV_BWD_WEIGHT;
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    const int k = row_floats(&g), most = weight ? PIXELS_WEIGHT : PIXELS;
    c->block = most;
    if (gather) {
        int fit = GATHERED / k < PIXELS_MIN ? PIXELS_MIN : GATHERED / k / 12 * 12;
        c->block = weight ? least(most, fit) : fit;
    }
    c->packed_floats =
        spreads(c) ? bd_panels_floats(c->kernels, g.o, k) : bd_panels_floats(c->kernels, k, g.o);
    c->scratch_floats = gather ? (size_t)c->block * (size_t)k : 0;
    if (!weight) return;
    c->packed_floats = (size_t)k * (size_t)g.o;
    c->scratch_floats += bd_panels_floats(c->kernels, c->block, g.o);
    if (!gather) c->scratch_floats += (size_t)c->block * (size_t)bd_round_up(k, BLOCK_ROWS);
}

void bd_conv_init_with(bd_conv *c, bd_conv_dir dir, const bd_conv_shape *s,
                       const bd_conv_kernels *kernels) {
    *c = (bd_conv){.dir = dir, .s = *s, .kernels = kernels, .vec = bd_vec_best()};
    c->method = winograd_pays(dir, s)  ? BD_CONV_WINOGRAD
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

static size_t plain_at(const bd_conv *c, int o, int i, int tap) {
    return ((size_t)o * (size_t)c->s.i + (size_t)i) * (size_t)taps(c) + (size_t)tap;
}

/* Where the weight lies that meets float k of a gathered row in column j of the result. */
static size_t weight_at(const bd_conv *c, const bd_conv_sweep *g, int k, int j) {
    int tap = k / g->c, ch = k % g->c;
    if (c->dir == BD_CONV_BWD_DATA && !spreads(c)) /* turned round */
        return plain_at(c, ch, j, taps(c) - 1 - tap);
    return plain_at(c, j, ch, tap);
}

void bd_conv_pack(const bd_conv *c, float *packed, const float *plain) {
    if (c->method == BD_CONV_WINOGRAD) {
        bd_wino_pack(c, packed, plain);
        return;
    }
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    const bool turn = spreads(c); /* rows are the output's channels */
    const int k = row_floats(&g), rows = turn ? g.o : k, cols = turn ? k : g.o,
              panel = bd_panel(c->kernels);
    for (int j0 = 0; j0 < cols; j0 += panel)
        for (int p = 0; p < rows; p++)
            for (int j = j0; j < j0 + panel; j++)
                *packed++ = j >= cols ? 0
                            : turn    ? plain[weight_at(c, &g, j, p)]
                                      : plain[weight_at(c, &g, p, j)];
}

void bd_conv_unpack(const bd_conv *c, float *plain, const float *packed) {
    const size_t i_all = (size_t)c->s.i, o_all = (size_t)c->s.o, t_all = (size_t)taps(c);
    for (size_t i = 0; i < i_all; i++)
        for (size_t o = 0; o < o_all; o++) {
            float *to = plain + (o * i_all + i) * t_all;
            const float *from = packed + i * o_all + o;
            for (size_t t = 0; t < t_all; t++) to[t] = from[t * i_all * o_all];
        }
}

/* --- gathered rows --- */

/* Of an output pixel: its image, and the row and column of the filter's first tap. */
typedef struct {
    int n, r, q;
} place;

static place find_place(const bd_conv_sweep *g, int pixel) {
    int col = pixel % g->ow, row = pixel / g->ow % g->oh;
    return (place){pixel / g->ow / g->oh, row * g->stride - g->top, col * g->stride - g->left};
}

/* Taps first .. first + count - 1 of a row of the filter lie inside the image, at offset `at`; count 0: none. */
typedef struct {
    int first, count;
    size_t at;
} tap_run;

static tap_run find_run(const bd_conv_sweep *g, place p, int tap_row) {
    int r = p.r + tap_row, first = p.q < 0 ? -p.q : 0, end = least(g->kw, g->w - p.q);
    if (r < 0 || r >= g->h || end <= first) return (tap_run){0, 0, 0};
    size_t px = ((size_t)p.n * (size_t)g->h + (size_t)r) * (size_t)g->w + (size_t)(p.q + first);
    return (tap_run){first, end - first, px * (size_t)g->c};
}

/* A few floats: no call. */
static inline void copy_few(float *restrict to, const float *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory"); /* or the compiler makes it a call again */
    }
}

static void gather(const bd_conv_sweep *g, float *rows, const float *x, int first, int count) {
    const size_t ch = (size_t)g->c, line = (size_t)g->kw * ch;
    const bool few = line < 16;
    for (int t = 0; t < count; t++) {
        place p = find_place(g, first + t);
        for (int k = 0; k < g->kh; k++, rows += line) {
            tap_run run = find_run(g, p, k);
            size_t before = (size_t)run.first * ch, n = (size_t)run.count * ch;
            if (n < line) memset(rows, 0, line * sizeof *rows);
            if (few)
                copy_few(rows + before, x + run.at, n);
            else if (n)
                memcpy(rows + before, x + run.at, n * sizeof *rows);
        }
    }
}

static void scatter_add(const bd_conv *c, const bd_conv_sweep *g, float *dx, const float *rows,
                        int first, int count) {
    const size_t ch = (size_t)g->c, line = (size_t)g->kw * ch;
    for (int t = 0; t < count; t++) {
        place p = find_place(g, first + t);
        for (int k = 0; k < g->kh; k++, rows += line) {
            tap_run run = find_run(g, p, k);
            float *to = dx + run.at;
            c->vec->add(to, to, rows + (size_t)run.first * ch, (size_t)run.count * ch);
        }
    }
}

/* --- products --- */

/* y = z + b, where the product begins */
static void begin_with(const bd_conv *c, float *y, const float *z, const float *b) {
    const size_t o = (size_t)c->s.o, n = (size_t)pixels(c);
    if (!b) memcpy(y, z, n * o * sizeof *y);
    for (size_t p = 0; b && p < n; p++) c->vec->add(y + p * o, z + p * o, b, o);
}

/* A sweep: y = filter over x, which begins with init, or with what y holds. */
static void run_sweep(const bd_conv *c, const bd_conv_buffers *b, const float *x, float *y,
                      const float *init, bool accumulate) {
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    const int all = c->s.n * g.oh * g.ow;
    bd_product p = bd_product_packed(c->kernels, b->w, g.o, row_floats(&g));
    p.init = init;
    p.accumulate = accumulate;
    for (int at = 0; at < all; at += c->block) {
        p.m = least(c->block, all - at);
        p.c = y + (size_t)at * (size_t)g.o;
        p.a = x + (size_t)at * (size_t)g.c;
        if (c->method == BD_CONV_GATHER) {
            gather(&g, b->scratch, x, at, p.m);
            p.a = b->scratch;
        }
        c->kernels->product(&p);
    }
}

static void run_spread(const bd_conv *c, const bd_conv_buffers *b) {
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    bd_product p = bd_product_packed(c->kernels, b->w, row_floats(&g), g.o);
    memset(b->x, 0, (size_t)c->s.n * (size_t)g.h * (size_t)g.w * (size_t)g.c * sizeof(float));
    p.c = b->scratch;
    for (int at = 0; at < pixels(c); at += c->block) {
        p.m = least(c->block, pixels(c) - at);
        p.a = b->y + (size_t)at * (size_t)g.o;
        c->kernels->product(&p);
        scatter_add(c, &g, b->x, b->scratch, at, p.m);
    }
}

void bd_to_blocks(const bd_vec *vec, float *to, const float *from, int ld, int rows, int cols,
                  int block) {
    for (int j = 0; j < cols; j += block)
        vec->copy(to + (size_t)j * (size_t)rows, block, from + j, ld, (size_t)rows,
                  least(block, cols - j));
}

/* dw [k,o] (+)= rows^T dy: rows in blocks of their floats where they are pixels of x, so that columns lie close. */
static void run_weight(const bd_conv *c, const bd_conv_buffers *b) {
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    const bool gathers = c->method == BD_CONV_GATHER;
    const int k = row_floats(&g), panel = bd_panel(c->kernels), all = pixels(c);
    const int block = gathers ? k : BLOCK_ROWS;
    float *rows = b->scratch, *dy = rows + (size_t)c->block * (size_t)bd_round_up(k, block);
    bd_product p = {.ldc = (size_t)g.o,
                    .row = 1,
                    .step = (size_t)block,
                    .ldb = (size_t)panel,
                    .n = g.o,
                    .panel = panel};
    for (int at = 0; at < all; at += c->block, p.accumulate = true) {
        p.k = least(c->block, all - at);
        p.b = dy;
        p.next = (size_t)p.k * (size_t)panel;
        bd_to_blocks(c->vec, dy, b->y + (size_t)at * (size_t)g.o, g.o, p.k, g.o, panel);
        if (gathers)
            gather(&g, rows, b->x, at, p.k);
        else
            bd_to_blocks(c->vec, rows, b->x + (size_t)at * (size_t)k, k, p.k, k, block);
        for (int i = 0; i < k; i += block) {
            p.m = least(block, k - i);
            p.a = rows + (size_t)i * (size_t)p.k;
            p.c = b->w + (size_t)i * (size_t)g.o;
            c->kernels->product(&p);
        }
    }
}

static void run_product(const bd_conv *c, const bd_conv_buffers *b) {
    if (c->dir == BD_CONV_BWD_WEIGHT)
        run_weight(c, b);
    else if (spreads(c))
        run_spread(c, b);
    else if (c->dir == BD_CONV_BWD_DATA)
        run_sweep(c, b, b->y, b->x, NULL, false);
    else {
        if (b->z) begin_with(c, b->y, b->z, b->b);
        run_sweep(c, b, b->x, b->y, b->b, b->z != NULL);
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
    else
        run_product(c, b);
}
