/* Kernels of convolution, compiled once per instruction set with BD_ISA = avx512 | avx2 | base (see conv_kernels.h).
 * speed: docs/speed.md */
#include "cpu/conv_kernels.h"

#include "cpu/reg.h"

#define INLINE static inline __attribute__((always_inline))

/* --- products --- */

/* ROWS x 2 registers of c, two of b and one of a fill the registers there are. */
#if REGISTERS == 16
#define ROWS_ARE_MANY 0
enum { ROWS = 6 };
#else
#define ROWS_ARE_MANY 1
enum { ROWS = 12 };
#endif

/* A panel of b and the rows of a that meet it stay in the first-level cache: terms of the sums at a time, where a row of
 * a lies together and where a column does. */
enum { TERMS_ROW = 256, TERMS_COLUMN = 96 };

/* rows x cols registers of c from row i and column j on, held in registers while k runs over the panel b; the last
 * register of a row holds `tail` columns. Inlined with constant rows and cols, so that the loops over them disappear. */
INLINE void product_block(const bd_product *g, const float *b, const int rows, const int cols,
                          const bool whole, int i, int j, int tail) {
    float *c = g->c + (size_t)i * g->ldc + (size_t)j;
    const float *a = g->a + (size_t)i * g->row;
    const bool zero = !g->accumulate && !g->init;
    const float *start = zero || g->accumulate ? c : g->init + j;
    const size_t row = g->row, step = g->step, ldb = g->ldb, ldc = g->ldc,
                 next = g->accumulate ? ldc : 0;
    reg acc[ROWS][2];
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < cols; q++) {
            const float *from = start + (size_t)r * next + W * q;
            acc[r][q] = zero ? reg_set(0) : whole ? reg_load(from) : reg_load_part(from, tail);
        }
    for (int p = g->k; p > 0; p--, b += ldb, a += step) {
        reg bv[2];
        for (int q = 0; q < cols; q++) bv[q] = reg_load(b + W * q);
        for (int r = 0; r < rows; r++)
            for (int q = 0; q < cols; q++)
                acc[r][q] = reg_fma(a[(size_t)r * row], bv[q], acc[r][q]);
    }
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < cols; q++) {
            float *to = c + (size_t)r * ldc + W * q;
            if (whole)
                reg_store(to, acc[r][q]);
            else
                reg_store_part(to, acc[r][q], tail);
        }
}

#define BLOCK(rows) product_block(g, b, rows, cols, whole, i, j, tail)

/* All rows of `cols` registers of columns. */
INLINE void product_panel(const bd_product *g, const int cols, const bool whole, int j, int tail) {
    const float *b = g->b + (size_t)(j / g->panel) * g->next + (size_t)(j % g->panel);
    int i = 0;
    for (; i + ROWS <= g->m; i += ROWS) BLOCK(ROWS);
#if ROWS_ARE_MANY
    if (g->m - i >= 6) {
        BLOCK(6);
        i += 6;
    }
#endif
    switch (g->m - i) {
    case 5: BLOCK(5); break;
    case 4: BLOCK(4); break;
    case 3: BLOCK(3); break;
    case 2: BLOCK(2); break;
    case 1: BLOCK(1); break;
    default: break;
    }
}

static void product_columns(const bd_product *g) {
    int j = 0;
    if (g->panel >= 2 * W)
        for (; j + 2 * W <= g->n; j += 2 * W) product_panel(g, 2, true, j, W);
    for (; j + W <= g->n; j += W) product_panel(g, 1, true, j, W);
    if (j < g->n) product_panel(g, 1, false, j, g->n - j);
}

static void product(const bd_product *whole) {
    bd_product g = *whole;
    const int most = g.step == 1 ? TERMS_ROW : TERMS_COLUMN;
    for (int p = 0; p < whole->k; p += most, g.accumulate = true) {
        g.a = whole->a + (size_t)p * g.step;
        g.b = whole->b + (size_t)p * g.ldb;
        g.k = whole->k - p < most ? whole->k - p : most;
        product_columns(&g);
    }
}

/* --- Winograd F(4x4, 3x3) with the points 0, +-3/4, +-3/2 and infinity ---
 * Of all points tried these lose least: the error is about twice that of direct summation in float32, against four
 * times with the usual 0, +-1, +-2. All constants but those of the filters are exact. */
#define PA 0.75f
#define PB 1.5f
#define PA2 (PA * PA)
#define PB2 (PB * PB)
#define PA3 (PA2 * PA)
#define PB3 (PB2 * PB)
#define PSUM (PA2 + PB2)
#define PPROD (PA2 * PB2)

/* 1 / product of (p_i - p_j) over j, for p_i = 0, +-a and +-b */
#define N0 (1.0 / (0.5625 * 2.25))
#define NA (1.0 / (2 * 0.5625 * (0.5625 - 2.25)))
#define NB (1.0 / (2 * 2.25 * (2.25 - 0.5625)))

/* u = B^T d */
INLINE void input_line(reg u[6], const reg d[6]) {
    reg t0 = reg_fma(-PB2, d[2], d[4]), t1 = reg_fma(-PB2, d[1], d[3]);
    reg s0 = reg_fma(-PA2, d[2], d[4]), s1 = reg_fma(-PA2, d[1], d[3]);
    u[0] = reg_fma(PPROD, d[0], reg_fma(-PSUM, d[2], d[4]));
    u[1] = reg_fma(PA, t1, t0);
    u[2] = reg_fma(-PA, t1, t0);
    u[3] = reg_fma(PB, s1, s0);
    u[4] = reg_fma(-PB, s1, s0);
    u[5] = reg_fma(PPROD, d[1], reg_fma(-PSUM, d[3], d[5]));
}

/* y = A^T m */
INLINE void output_line(reg y[4], const reg m[6]) {
    reg p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
    y[0] = m[0] + p + r;
    y[1] = reg_fma(PA, q, reg_set(PB) * s);
    y[2] = reg_fma(PA2, p, reg_set(PB2) * r);
    y[3] = reg_fma(PA3, q, reg_fma(PB3, s, m[5]));
}

/* u = A y */
INLINE void output_bwd_line(reg u[6], const reg y[4]) {
    reg ea = reg_fma(PA2, y[2], y[0]), oa = reg_fma(PA2, y[3], y[1]);
    reg eb = reg_fma(PB2, y[2], y[0]), ob = reg_fma(PB2, y[3], y[1]);
    u[0] = y[0];
    u[1] = reg_fma(PA, oa, ea);
    u[2] = reg_fma(-PA, oa, ea);
    u[3] = reg_fma(PB, ob, eb);
    u[4] = reg_fma(-PB, ob, eb);
    u[5] = y[3];
}

/* g = G^T u */
INLINE void filter_bwd_line(reg g[3], const reg u[6]) {
    reg p = u[1] + u[2], q = u[1] - u[2], r = u[3] + u[4], s = u[3] - u[4];
    g[0] = reg_fma((float)N0, u[0], reg_fma((float)NA, p, reg_set((float)NB) * r));
    g[1] = reg_fma((float)(0.75 * NA), q, reg_set((float)(1.5 * NB)) * s);
    g[2] = reg_fma((float)(0.5625 * NA), p, reg_fma((float)(2.25 * NB), r, u[5]));
}

/* Where a piece lies. */
typedef struct {
    int r0, q0;   /* first row and column; may be outside */
    size_t image; /* offset of the image */
} piece;

INLINE piece find_piece(const bd_wino *g, int t) {
    int q = t % g->across, r = t / g->across % g->down, n = t / g->across / g->down;
    return (piece){BD_WINO_OUT * r - g->top, BD_WINO_OUT * q - g->left,
                   (size_t)n * (size_t)g->h * (size_t)g->w * (size_t)g->c};
}

/* The rows of a piece, from its first column inside the image on; rows outside are the row of zeros. */
typedef struct {
    const float *at[6];
    int lo, hi; /* columns inside the image: lo .. hi - 1 */
} piece_rows;

INLINE piece_rows find_rows(const bd_wino *g, const float *x, const float *zeros, int t,
                            const int side) {
    piece p = find_piece(g, t);
    piece_rows rows = {.lo = p.q0 < 0 ? -p.q0 : 0, .hi = g->w - p.q0 < side ? g->w - p.q0 : side};
    for (int i = 0; i < side; i++) {
        int r = p.r0 + i;
        size_t px = (size_t)r * (size_t)g->w + (size_t)(p.q0 + rows.lo);
        rows.at[i] = r < 0 || r >= g->h ? zeros : x + p.image + px * (size_t)g->c;
    }
    return rows;
}

INLINE void to_points(reg u[6], const reg *d, const int side) {
    if (side == 6)
        input_line(u, d);
    else
        output_bwd_line(u, d);
}

/* One register of channels of a piece of `side` pixels a side: side x side -> 6 x 6. */
INLINE void forward_piece(float *to, size_t point, const piece_rows *p, size_t px, int k,
                          const int side, const bool whole, int n) {
    reg t[6][6];
    size_t at = (size_t)k;
    for (int j = 0; j < side; j++) {
        reg d[6], u[6];
        if (j < p->lo || j >= p->hi) {
            for (int i = 0; i < 6; i++) t[i][j] = reg_set(0);
            continue;
        }
        for (int i = 0; i < side; i++)
            d[i] = whole ? reg_load(p->at[i] + at) : reg_load_part(p->at[i] + at, n);
        at += px;
        to_points(u, d, side);
        for (int i = 0; i < 6; i++) t[i][j] = u[i];
    }
    for (int i = 0; i < 6; i++) {
        reg u[6];
        to_points(u, t[i], side);
        for (int j = 0; j < 6; j++, to += point)
            if (whole)
                reg_store(to, u[j]);
            else
                reg_store_part(to, u[j], n);
    }
}

INLINE void forward(float *data, const float *x, const float *zeros, const bd_wino *g,
                    const int side) {
    for (int t = 0; t < g->count; t++) {
        const piece_rows p = find_rows(g, x, zeros, g->first + t, side);
        float *mine = data + (size_t)t * (size_t)g->block;
        const size_t px = (size_t)g->c;
        for (int k = 0; k < g->c; k += W) {
            float *to = mine + (size_t)(k / g->block) * g->next + (size_t)(k % g->block);
            if (g->c - k < W)
                forward_piece(to, g->point, &p, px, k, side, false, g->c - k);
            else
                forward_piece(to, g->point, &p, px, k, side, true, W);
        }
    }
}

static void wino_input(float *data, const float *x, const float *zeros, const bd_wino *g) {
    forward(data, x, zeros, g, 6);
}

static void wino_output_bwd(float *data, const float *dy, const float *zeros, const bd_wino *g) {
    forward(data, dy, zeros, g, 4);
}

typedef struct {
    float *y;
    const float *bias, *z;
} output;

/* One register of channels: 6 x 6 -> the pixels of the 4 x 4 that lie inside the image. */
INLINE void output_piece(const output *o, const float *from, size_t point, const bd_wino *g,
                         size_t at, int rows, int cols, size_t k, const bool inside,
                         const bool whole, int n) {
    reg t[4][6];
    for (int j = 0; j < 6; j++) {
        reg m[6], y[4];
        for (int i = 0; i < 6; i++) m[i] = reg_load(from + (size_t)(6 * i + j) * point);
        output_line(y, m);
        for (int i = 0; i < 4; i++) t[i][j] = y[i];
    }
    reg b = !o->bias ? reg_set(0) : whole ? reg_load(o->bias + k) : reg_load_part(o->bias + k, n);
    for (int i = 0; i < 4; i++) {
        if (!inside && i >= rows) break;
        reg y[4];
        output_line(y, t[i]);
        for (int j = 0; j < 4; j++) {
            if (!inside && j >= cols) break;
            size_t to = at + ((size_t)i * (size_t)g->w + (size_t)j) * (size_t)g->c + k;
            reg v = y[j] + b;
            if (o->z) v = v + (whole ? reg_load(o->z + to) : reg_load_part(o->z + to, n));
            if (whole)
                reg_store(o->y + to, v);
            else
                reg_store_part(o->y + to, v, n);
        }
    }
}

static void wino_output(float *y, const float *data, const float *bias, const float *z,
                        const bd_wino *g) {
    const output o = {y, bias, z};
    for (int t = g->first; t < g->first + g->count; t++) {
        piece p = find_piece(g, t);
        size_t at = p.image + ((size_t)p.r0 * (size_t)g->w + (size_t)p.q0) * (size_t)g->c;
        int rows = g->h - p.r0, cols = g->w - p.q0;
        const bool inside = rows >= BD_WINO_OUT && cols >= BD_WINO_OUT;
        const float *mine = data + (size_t)(t - g->first) * (size_t)g->block;
        for (int k = 0; k < g->c; k += W) {
            const float *from = mine + (size_t)(k / g->block) * g->next + (size_t)(k % g->block);
            if (g->c - k < W)
                output_piece(&o, from, g->point, g, at, rows, cols, (size_t)k, false, false,
                             g->c - k);
            else if (inside)
                output_piece(&o, from, g->point, g, at, rows, cols, (size_t)k, true, true, W);
            else
                output_piece(&o, from, g->point, g, at, rows, cols, (size_t)k, false, true, W);
        }
    }
}

/* --- filters --- */

/* u = G g, for W filters side by side: the loop becomes vectors. */
INLINE void filter_line(double u[6][W], const double *g0, const double *g1, const double *g2) {
    for (int l = 0; l < W; l++) {
        double ea = NA * g0[l] + 0.5625 * NA * g2[l], oa = 0.75 * NA * g1[l];
        double eb = NB * g0[l] + 2.25 * NB * g2[l], ob = 1.5 * NB * g1[l];
        u[0][l] = N0 * g0[l];
        u[1][l] = ea + oa;
        u[2][l] = ea - oa;
        u[3][l] = eb + ob;
        u[4][l] = eb - ob;
        u[5][l] = g2[l];
    }
}

/* `lanes` filters, in double and rounded once */
INLINE void filter(float *u, size_t at, const float *w, ptrdiff_t rs, ptrdiff_t ss, size_t js,
                   const int lanes) {
    double g[3][3][W], t[3][6][W];
    for (int l = 0; l < W; l++) {
        const float *from = w + (size_t)(l < lanes ? l : 0) * js;
        for (int r = 0; r < 3; r++)
            for (int s = 0; s < 3; s++) g[s][r][l] = from[r * rs + s * ss];
    }
    for (int s = 0; s < 3; s++) filter_line(t[s], g[s][0], g[s][1], g[s][2]);
    for (int i = 0; i < 6; i++) {
        double v[6][W];
        filter_line(v, t[0][i], t[1][i], t[2][i]);
        for (int j = 0; j < 6; j++, u += at)
            for (int l = 0; l < lanes; l++) u[l] = (float)v[j][l];
    }
}

static void wino_filter(float *u, size_t at, const float *w, ptrdiff_t rs, ptrdiff_t ss, size_t js,
                        int n) {
    int j = 0;
    for (; j + W <= n; j += W) filter(u + j, at, w + (size_t)j * js, rs, ss, js, W);
    if (j < n) filter(u + j, at, w + (size_t)j * js, rs, ss, js, n - j);
}

INLINE void filter_bwd(float *dw, size_t at, const float *u, size_t ldu, const bool whole, int n) {
    reg t[3][6];
    for (int j = 0; j < 6; j++) {
        reg m[6], g[3];
        for (int i = 0; i < 6; i++) {
            const float *from = u + (size_t)(6 * i + j) * ldu;
            m[i] = whole ? reg_load(from) : reg_load_part(from, n);
        }
        filter_bwd_line(g, m);
        for (int i = 0; i < 3; i++) t[i][j] = g[i];
    }
    for (int i = 0; i < 3; i++) {
        reg g[3];
        filter_bwd_line(g, t[i]);
        for (int j = 0; j < 3; j++, dw += at)
            if (whole)
                reg_store(dw, g[j]);
            else
                reg_store_part(dw, g[j], n);
    }
}

static void wino_filter_bwd(float *dw, size_t at, const float *u, size_t ldu, int n) {
    int k = 0;
    for (; k + W <= n; k += W) filter_bwd(dw + k, at, u + k, ldu, true, W);
    if (k < n) filter_bwd(dw + k, at, u + k, ldu, false, n - k);
}

const bd_conv_kernels JOIN(bd_conv_kernels_, BD_ISA) = {
    .isa = TEXT(BD_ISA),
    .width = W,
    .product = product,
    .wino_input = wino_input,
    .wino_output_bwd = wino_output_bwd,
    .wino_output = wino_output,
    .wino_filter = wino_filter,
    .wino_filter_bwd = wino_filter_bwd,
};
