/* 3x3 convolutions through Winograd's F(4x4, 3x3): transform pieces of 6 x 6 pixels, 36 matrix products over the channels,
 * transform back: 36 multiplications where direct summation takes 144. The gradient of the input is the same with the filter
 * turned round; that of the weights sums over pieces what the two transformed sides multiply to.
 *   source   Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; points: conv_kernels.c */
#include <string.h>

#include "cpu/conv.h"

/* Floats of transformed pieces worked on at once: they stay in the second-level cache. */
enum { BUDGET = 96 << 10, PIECES_MIN = 64, WEIGHT_BUDGET = 4 << 20, CHANNELS = 48 };

typedef struct {
    bd_wino in, out;
    int pieces;
} sides;

/* The image that is read in pieces of 6 x 6 and the one in pieces of 4 x 4. */
static sides find_sides(const bd_conv *c) {
    const bd_conv_sweep g = bd_conv_find_sweep(c);
    sides d = {.in = {.h = g.h, .w = g.w, .c = g.c, .top = g.top, .left = g.left},
               .out = {.h = g.oh, .w = g.ow, .c = g.o}};
    d.in.down = d.out.down = (d.out.h + BD_WINO_OUT - 1) / BD_WINO_OUT;
    d.in.across = d.out.across = (d.out.w + BD_WINO_OUT - 1) / BD_WINO_OUT;
    d.pieces = c->s.n * d.in.down * d.in.across;
    return d;
}

static size_t floats(int points, int pieces, int channels) {
    return (size_t)points * (size_t)pieces * (size_t)channels;
}

/* Equal parts of n, no larger than `most`, each a multiple of `unit`. */
static int equal_parts(int n, int most, int unit) {
    int parts = (n + most - 1) / most;
    return bd_round_up((n + parts - 1) / parts, unit);
}

/* Floats from one point to the next: an odd number of cache lines, so that the 36 of a piece do not fall on a few sets of
 * the cache. */
static size_t point_floats(int count, int block) {
    const size_t line = 16, lines = (floats(1, count, block) + line - 1) / line;
    return (lines | 1) * line;
}

/* All points of the blocks that `channels` are cut into. */
static size_t pieces_floats(int count, int channels, int block) {
    size_t blocks = (size_t)((channels + block - 1) / block);
    return blocks * BD_WINO_POINTS * point_floats(count, block);
}

/* A row of a piece that lies outside the image. */
static size_t zero_floats(const bd_conv *c) {
    return point_floats(BD_WINO_IN, c->s.i > c->s.o ? c->s.i : c->s.o);
}

static void init_weight(bd_conv *c, int pieces) {
    const bd_conv_shape *s = &c->s;
    const int unit = 2 * c->kernels->width;
    c->block_i = equal_parts(s->i, CHANNELS, 16);
    c->block_o = s->o <= c->kernels->width ? c->kernels->width : equal_parts(s->o, 32, unit);
    int width_i = bd_round_up(s->i, c->block_i), width_o = bd_round_up(s->o, c->block_o);
    int most = WEIGHT_BUDGET / BD_WINO_POINTS / (width_i + width_o);
    if (floats(BD_WINO_POINTS, s->i, s->o) <= BUDGET)
        most = BUDGET / BD_WINO_POINTS / (width_i + width_o);
    if (most < PIECES_MIN) most = PIECES_MIN;
    c->block = pieces <= most ? pieces : equal_parts(pieces, most, 4);
    const size_t blocks =
        c->block >= pieces ? 1 : (size_t)(width_i / c->block_i) * (size_t)(width_o / c->block_o);
    c->packed_floats = floats(9, s->i, s->o);
    c->scratch_floats = zero_floats(c) + pieces_floats(c->block, s->i, c->block_i) +
                        pieces_floats(c->block, s->o, c->block_o) +
                        blocks * BD_WINO_POINTS * point_floats(c->block_i, c->block_o);
}

void bd_wino_init(bd_conv *c) {
    sides d = find_sides(c);
    if (c->dir == BD_CONV_BWD_WEIGHT) {
        init_weight(c, d.pieces);
        return;
    }
    int out = bd_round_up(d.out.c, c->kernels->width);
    int most = BUDGET / BD_WINO_POINTS / (d.in.c + out);
    if (most < PIECES_MIN) most = PIECES_MIN;
    c->block = d.pieces <= most ? d.pieces : equal_parts(d.pieces, most, 12);
    c->packed_floats =
        BD_WINO_POINTS * point_floats(d.in.c, bd_round_up(d.out.c, bd_panel(c->kernels)));
    c->scratch_floats = zero_floats(c) + pieces_floats(c->block, d.in.c, d.in.c) +
                        pieces_floats(c->block, out, out);
}

/* U [36][panels][in][panel] */
void bd_wino_pack(const bd_conv *c, float *packed, const float *plain) {
    const bool fwd = c->dir == BD_CONV_FWD;
    const int panel = bd_panel(c->kernels), o = c->s.o, i = c->s.i;
    const int in = fwd ? i : o, out = fwd ? o : i;
    const size_t filter_o = 9 * (size_t)i, filter_i = 9;
    const size_t point = point_floats(in, bd_round_up(out, panel));
    if (out % panel) memset(packed, 0, c->packed_floats * sizeof *packed);
    for (int j = 0; j < out; j += panel)
        for (int k = 0; k < in; k++) {
            float *u = packed + floats(1, in, j) + (size_t)k * (size_t)panel;
            int n = out - j < panel ? out - j : panel;
            if (fwd)
                c->kernels->wino_filter(u, point,
                                        plain + (size_t)j * filter_o + (size_t)k * filter_i, 3, 1,
                                        filter_o, n);
            else /* turned round */
                c->kernels->wino_filter(u, point,
                                        plain + (size_t)k * filter_o + (size_t)j * filter_i + 8, -3,
                                        -1, filter_i, n);
        }
}

/* Lay out transformed pieces of `count` from `first` on, channels in blocks. */
static void lay_out(bd_wino *g, int first, int count, int block) {
    g->first = first;
    g->count = count;
    g->block = block;
    g->point = point_floats(count, block);
    g->next = BD_WINO_POINTS * g->point;
}

static void run_image(const bd_conv *c, const float *x, const float *u, const float *bias,
                      const float *z, float *y, float *scratch) {
    sides d = find_sides(c);
    const int out = bd_round_up(d.out.c, c->kernels->width), panel = bd_panel(c->kernels);
    const size_t point = point_floats(d.in.c, bd_round_up(d.out.c, panel));
    float *zeros = scratch, *v = zeros + zero_floats(c),
          *m = v + pieces_floats(c->block, d.in.c, d.in.c);
    memset(zeros, 0, zero_floats(c) * sizeof *zeros);
    for (int t = 0; t < d.pieces; t += c->block) {
        int count = d.pieces - t < c->block ? d.pieces - t : c->block;
        lay_out(&d.in, t, count, d.in.c);
        lay_out(&d.out, t, count, out);
        c->kernels->wino_input(v, x, zeros, &d.in);
        bd_product p = bd_product_packed(c->kernels, NULL, out, d.in.c);
        p.m = count;
        for (size_t f = 0; f < BD_WINO_POINTS; f++) {
            p.c = m + f * d.out.point;
            p.a = v + f * d.in.point;
            p.b = u + f * point;
            c->kernels->product(&p);
        }
        c->kernels->wino_output(y, m, bias, z, &d.out);
    }
}

/* One block of channels on either side: du [36][block_i][block_o] (+)= v^T m */
static void weight_products(const bd_conv *c, float *du, const float *v, const float *m,
                            const sides *d, int i, int o, bool accumulate) {
    bd_product p = {.ldc = (size_t)c->block_o,
                    .row = 1,
                    .step = (size_t)c->block_i,
                    .ldb = (size_t)c->block_o,
                    .m = c->s.i - i < c->block_i ? c->s.i - i : c->block_i,
                    .n = c->s.o - o < c->block_o ? c->s.o - o : c->block_o,
                    .k = d->in.count,
                    .panel = c->block_o,
                    .accumulate = accumulate};
    for (size_t f = 0; f < BD_WINO_POINTS; f++) {
        p.c = du + f * point_floats(c->block_i, c->block_o);
        p.a = v + f * d->in.point;
        p.b = m + f * d->out.point;
        c->kernels->product(&p);
    }
}

static void weight_filters(const bd_conv *c, float *dw, const float *du, int i0, int o0) {
    const int rows = c->s.i - i0 < c->block_i ? c->s.i - i0 : c->block_i,
              cols = c->s.o - o0 < c->block_o ? c->s.o - o0 : c->block_o;
    const size_t point = floats(1, c->s.i, c->s.o), ldu = point_floats(c->block_i, c->block_o);
    for (int i = 0; i < rows; i++)
        c->kernels->wino_filter_bwd(dw + (size_t)(i0 + i) * (size_t)c->s.o + o0, point,
                                    du + (size_t)i * (size_t)c->block_o, ldu, cols);
}

static void run_weight(const bd_conv *c, const float *x, const float *dy, float *dw,
                       float *scratch) {
    sides d = find_sides(c);
    const bool once = c->block >= d.pieces;
    float *zeros = scratch, *v = zeros + zero_floats(c),
          *m = v + pieces_floats(c->block, c->s.i, c->block_i),
          *du = m + pieces_floats(c->block, c->s.o, c->block_o);
    const size_t block = BD_WINO_POINTS * point_floats(c->block_i, c->block_o);
    memset(zeros, 0, zero_floats(c) * sizeof *zeros);
    for (int t = 0; t < d.pieces; t += c->block) {
        int count = d.pieces - t < c->block ? d.pieces - t : c->block;
        bool last = t + count == d.pieces;
        lay_out(&d.in, t, count, c->block_i);
        lay_out(&d.out, t, count, c->block_o);
        c->kernels->wino_input(v, x, zeros, &d.in);
        c->kernels->wino_output_bwd(m, dy, zeros, &d.out);
        float *mine = du;
        for (int o = 0; o < c->s.o; o += c->block_o)
            for (int i = 0; i < c->s.i; i += c->block_i, mine += once ? 0 : block) {
                weight_products(c, mine, v + (size_t)(i / c->block_i) * d.in.next,
                                m + (size_t)(o / c->block_o) * d.out.next, &d, i, o, t > 0);
                if (last) weight_filters(c, dw, mine, i, o);
            }
    }
}

void bd_wino_run(const bd_conv *c, const bd_conv_buffers *b) {
    switch (c->dir) {
    case BD_CONV_FWD: run_image(c, b->x, b->w, b->b, b->z, b->y, b->scratch); break;
    case BD_CONV_BWD_DATA: run_image(c, b->y, b->w, NULL, NULL, b->x, b->scratch); break;
    case BD_CONV_BWD_WEIGHT: run_weight(c, b->x, b->y, b->w, b->scratch); break;
    }
}
