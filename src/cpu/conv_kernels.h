/* The kernels of convolution, compiled once an instruction set from conv_kernels.c. Every sum is one chain of fused
 * multiply-adds whose order depends on the sizes of the convolution alone: not on the width of a register, on how a
 * product is cut into blocks, or on the number of threads. All variants give the same bits. */
#ifndef BD_CPU_CONV_KERNELS_H
#define BD_CPU_CONV_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/* c [m,n] = start + a b. Element (i, p) of a lies at a[i row + p step]. b comes in panels of `panel` columns, the width
 * of a register or an even multiple of it: element (p, j) lies at b[(j / panel) next + p ldb + j % panel]; the last panel is as wide
 * as the others, what it holds past column n is read and does not matter. Sums begin with c itself (accumulate), with
 * init [n], or with 0. */
typedef struct {
    float *c;
    const float *a, *b, *init; /* init: NULL = 0 */
    size_t ldc, row, step, ldb, next;
    int m, n, k, panel;
    bool accumulate;
} bd_product;

/* Winograd's minimal filtering F(4x4, 3x3): 6 x 6 products make 4 x 4 pixels of a 3 x 3 convolution. */
enum { BD_WINO_OUT = 4, BD_WINO_IN = 6, BD_WINO_POINTS = 36 };

/* Pieces of an image tensor [N,h,w,c], and their transforms: point f of piece t, channel k lies at
 * data[(k / block) next + f point + (t - first) block + k % block]. Piece t begins at row 4 r - top and column
 * 4 q - left, where t = (n down + r) across + q; pixels outside the image are zero, or are not written. */
typedef struct {
    int h, w, c, top, left;
    int down, across; /* pieces in an image */
    int first, count;
    int block;
    size_t point, next;
} bd_wino;

typedef struct {
    const char *isa;
    int width; /* floats a register */

    void (*product)(const bd_product *p);

    /* data = B^T piece B: input pieces, 6 x 6; zeros: 6 c of them */
    void (*wino_input)(float *data, const float *x, const float *zeros, const bd_wino *g);
    /* data = A piece A^T: pieces of the output's gradient, 4 x 4; zeros: 4 c of them */
    void (*wino_output_bwd)(float *data, const float *dy, const float *zeros, const bd_wino *g);
    /* piece = A^T data A + bias[c] + z; bias and z (same shape as y) may be NULL */
    void (*wino_output)(float *y, const float *data, const float *bias, const float *z,
                        const bd_wino *g);
    /* u[f at + j] = G w_j G^T for n filters; element (r, s) of filter j lies at w[r rs + s ss + j js] */
    void (*wino_filter)(float *u, size_t at, const float *w, ptrdiff_t rs, ptrdiff_t ss, size_t js,
                        int n);
    /* dw[(3 r + s) at + j] = (G^T u G)[r][s] for n filters, u [36][n] with `ldu` floats a point */
    void (*wino_filter_bwd)(float *dw, size_t at, const float *u, size_t ldu, int n);
} bd_conv_kernels;

static inline int bd_round_up(int n, int to) { return (n + to - 1) / to * to; }

/* The right side of a product packed: panels of bd_panel columns, one behind the other. */
static inline int bd_panel(const bd_conv_kernels *k) { return 2 * k->width; }
static inline size_t bd_panels_floats(const bd_conv_kernels *k, int rows, int cols) {
    return (size_t)rows * (size_t)bd_round_up(cols, bd_panel(k));
}
/* c [,n] = a [,terms] b [terms,n] with packed b, rows of a and c without gaps; c, a and m are still to be set. */
static inline bd_product bd_product_packed(const bd_conv_kernels *k, const float *b, int n,
                                           int terms) {
    const int panel = bd_panel(k);
    return (bd_product){.b = b,
                        .row = (size_t)terms,
                        .step = 1,
                        .ldc = (size_t)n,
                        .ldb = (size_t)panel,
                        .next = (size_t)terms * (size_t)panel,
                        .n = n,
                        .k = terms,
                        .panel = panel};
}

/* bd_conv_kernels_best -- the widest variant that this machine runs; NULL on an x86 without AVX2 and FMA. */
const bd_conv_kernels *bd_conv_kernels_best(void);

#endif
