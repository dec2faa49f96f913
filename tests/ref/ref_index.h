/* Subscripts of reference tensors, for the files of tests/ref only. */
#ifndef BD_REF_INDEX_H
#define BD_REF_INDEX_H

#include "ref/ref_ops.h"

static inline double *at(const ref_tensor *t, int n, int h, int w, int c) {
    return &t->data[(((size_t)n * (size_t)t->dim[1] + (size_t)h) * (size_t)t->dim[2] + (size_t)w) *
                        (size_t)t->dim[3] +
                    (size_t)c];
}

/* Channel c of pixel s (row by row) of image n. */
static inline double *token(const ref_tensor *t, int n, int s, int c) {
    return at(t, n, s / t->dim[2], s % t->dim[2], c);
}

/* All subscripts of t; all pixels of t. */
/* NOLINTBEGIN(bugprone-macro-parentheses): names of loop variables cannot stand in parentheses */
#define EACH_PIXEL(t, i, j)               \
    for (int i = 0; i < (t)->dim[1]; i++) \
        for (int j = 0; j < (t)->dim[2]; j++)
#define EACH(t, n, i, j, c)               \
    for (int n = 0; n < (t)->dim[0]; n++) \
        EACH_PIXEL (t, i, j)              \
            for (int c = 0; c < (t)->dim[3]; c++)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
