#include "conv_textbook.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* poly of that degree, times (x - root) */
static void multiply_by_root(double *poly, int degree, double root) {
    for (int k = degree + 1; k > 0; k--) poly[k] = poly[k - 1] - root * poly[k];
    poly[0] *= -root;
}

textbook_points textbook_points_of(double a, double b) {
    const double p[5] = {0, a, -a, b, -b};
    textbook_points t = {.g[5][2] = 1, .at[3][5] = 1, .bt[5][0] = 1};
    for (int i = 0; i < 5; i++) {
        double n = 1;
        t.bt[i][0] = 1;
        for (int j = 0, degree = 0; j < 5; j++) {
            if (i == j) continue;
            multiply_by_root(t.bt[i], degree++, p[j]);
            n *= p[i] - p[j];
        }
        multiply_by_root(t.bt[5], i, p[i]);
        for (int j = 0; j < 3; j++) t.g[i][j] = pow(p[i], j) / n;
        for (int j = 0; j < 4; j++) t.at[j][i] = pow(p[i], j);
    }
    return t;
}

static void *zeroed(int n) {
    void *p = calloc((size_t)n, sizeof(float));
    if (!p) abort();
    return p;
}

/* rows x cols, or its transpose by exchanged strides */
typedef struct {
    const double *m;
    int rows, cols, row, col;
} matrix;

static matrix straight(const double *m, int rows, int cols) {
    return (matrix){m, rows, cols, cols, 1};
}
static matrix turned(const double *m, int rows, int cols) {
    return (matrix){m, cols, rows, 1, cols};
}

static double rounded(double x, bool single) { return single ? (float)x : x; }

/* to [n,rows] = (m from)^T, from [cols,n]; single: constants, and each multiply-add, are rounded to float32. */
static void one_side(double *to, matrix m, const double *from, int n, bool single) {
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m.rows; i++) {
            double sum = 0;
            for (int k = 0; k < m.cols; k++) {
                double constant = rounded(m.m[i * m.row + k * m.col], single);
                sum = rounded(constant * from[k * n + j] + sum, single);
            }
            to[j * m.rows + i] = sum;
        }
}

/* to = m from m^T */
static void both_sides(double *to, matrix m, const double *from, bool single) {
    double half[36] = {0};
    one_side(half, m, from, m.cols, single);
    one_side(to, m, half, m.rows, single);
}

/* A piece's place: image, and first row and column of the 4 x 4 pixels. */
typedef struct {
    int n, row, col;
} place;

static place place_of(int piece, int h) {
    const int side = h / 4;
    return (place){piece / side / side, piece / side % side * 4, piece % side * 4};
}

/* One transformed piece of x, [36][c], which begins `pad` pixels above and left of its place. */
static void transform_piece(float *to, matrix m, const float *x, place p, int h, int c, int pad) {
    for (int k = 0; k < c; k++) {
        double d[36], u[36];
        for (int i = 0; i < m.cols; i++)
            for (int j = 0; j < m.cols; j++) {
                int row = p.row + i - pad, col = p.col + j - pad;
                bool in = row >= 0 && row < h && col >= 0 && col < h;
                d[i * m.cols + j] = in ? x[((p.n * h + row) * h + col) * c + k] : 0;
            }
        both_sides(u, m, d, true);
        for (int f = 0; f < 36; f++) to[f * c + k] = (float)u[f];
    }
}

static void transform_filters(float *u, const float *w, int c, const textbook_points *t) {
    double g[9], to[36];
    for (int k = 0; k < c * c; k++) {
        for (int s = 0; s < 9; s++) g[s] = w[s * c * c + k];
        both_sides(to, straight(t->g[0], 6, 3), g, false);
        for (int f = 0; f < 36; f++) u[f * c * c + k] = (float)to[f];
    }
}

void textbook_image(float *y, const float *x, const float *w, int n, int h, int c,
                    const textbook_points *t) {
    float *u = zeroed(36 * c * c), *v = zeroed(36 * c), *m = zeroed(36 * c);
    double to[16], from[36];
    transform_filters(u, w, c, t);
    for (int piece = 0; piece < n * h * h / 16; piece++) {
        const place p = place_of(piece, h);
        transform_piece(v, straight(t->bt[0], 6, 6), x, p, h, c, 1);
        memset(m, 0, (size_t)(36 * c) * sizeof *m);
        for (int f = 0; f < 36; f++)
            for (int i = 0; i < c; i++)
                for (int o = 0; o < c; o++)
                    m[f * c + o] = fmaf(v[f * c + i], u[(f * c + i) * c + o], m[f * c + o]);
        for (int o = 0; o < c; o++) {
            for (int f = 0; f < 36; f++) from[f] = m[f * c + o];
            both_sides(to, straight(t->at[0], 4, 6), from, true);
            for (int s = 0; s < 16; s++)
                y[((p.n * h + p.row + s / 4) * h + p.col + s % 4) * c + o] = (float)to[s];
        }
    }
    free(u);
    free(v);
    free(m);
}

void textbook_weight(float *dw, const float *x, const float *dy, int n, int h, int c,
                     const textbook_points *t) {
    float *sum = zeroed(36 * c * c), *v = zeroed(36 * c), *m = zeroed(36 * c);
    double g[9], from[36];
    for (int piece = 0; piece < n * h * h / 16; piece++) {
        const place p = place_of(piece, h);
        transform_piece(v, straight(t->bt[0], 6, 6), x, p, h, c, 1);
        transform_piece(m, turned(t->at[0], 4, 6), dy, p, h, c, 0);
        for (int f = 0; f < 36; f++)
            for (int i = 0; i < c; i++)
                for (int o = 0; o < c; o++) {
                    float *to = &sum[(f * c + i) * c + o];
                    *to = fmaf(v[f * c + i], m[f * c + o], *to);
                }
    }
    for (int k = 0; k < c * c; k++) {
        for (int f = 0; f < 36; f++) from[f] = sum[f * c * c + k];
        both_sides(g, turned(t->g[0], 6, 3), from, true);
        for (int s = 0; s < 9; s++) dw[s * c * c + k] = (float)g[s];
    }
    free(sum);
    free(v);
    free(m);
}
