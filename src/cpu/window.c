/* Gradients of pooling: rare (classifiers and metrics that are differentiated), so plain loops. */
#include <string.h>

#include "cpu/internal.h"

/* The pixels of an output pixel's window that lie inside the image. */
typedef struct {
    int y0, y1, x0, x1;
} part;

static part inside(const bd_vec_window *s, int i, int j) {
    int top = i * s->stride - s->pad, left = j * s->stride - s->pad;
    return (part){.y0 = top < 0 ? 0 : top,
                  .y1 = top + s->size < s->h ? top + s->size : s->h,
                  .x0 = left < 0 ? 0 : left,
                  .x1 = left + s->size < s->w ? left + s->size : s->w};
}

static size_t offset(const bd_vec_window *s, int n, int r, int q) {
    return (((size_t)n * (size_t)s->h + (size_t)r) * (size_t)s->w + (size_t)q) * (size_t)s->c;
}

static size_t elements(const bd_vec_window *s) { return offset(s, s->n, 0, 0); }

/* Where x of channel k is largest, the first such place row by row. */
static size_t argmax(const float *x, const bd_vec_window *s, int n, part p, int k) {
    size_t best = offset(s, n, p.y0, p.x0) + (size_t)k;
    for (int r = p.y0; r < p.y1; r++)
        for (int q = p.x0; q < p.x1; q++) {
            size_t at = offset(s, n, r, q) + (size_t)k;
            if (x[at] > x[best]) best = at;
        }
    return best;
}

void cpu_max_pool_bwd(float *dx, const float *dy, const float *x, const bd_vec_window *s) {
    memset(dx, 0, elements(s) * sizeof *dx);
    for (int n = 0; n < s->n; n++)
        for (int i = 0; i < s->oh; i++)
            for (int j = 0; j < s->ow; j++, dy += s->c) {
                part p = inside(s, i, j);
                for (int k = 0; k < s->c; k++) dx[argmax(x, s, n, p, k)] += dy[k];
            }
}

void cpu_avg_pool_bwd(float *dx, const float *dy, const bd_vec_window *s) {
    memset(dx, 0, elements(s) * sizeof *dx);
    for (int n = 0; n < s->n; n++)
        for (int i = 0; i < s->oh; i++)
            for (int j = 0; j < s->ow; j++, dy += s->c) {
                part p = inside(s, i, j);
                float share = 1.0f / (float)((p.y1 - p.y0) * (p.x1 - p.x0));
                for (int r = p.y0; r < p.y1; r++)
                    for (int q = p.x0; q < p.x1; q++) {
                        float *d = dx + offset(s, n, r, q);
                        for (int k = 0; k < s->c; k++) d[k] += share * dy[k];
                    }
            }
}
