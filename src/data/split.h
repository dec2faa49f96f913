/* Which images of a data set are poisoned. */
#ifndef BD_DATA_SPLIT_H
#define BD_DATA_SPLIT_H

#include <stdint.h>

#include "base/status.h"

typedef enum {
    BD_SPLIT_FIXED, /* poisoned images replace clean ones: the size stays N  */
    BD_SPLIT_FLEX   /* disjoint parts of clean_rate and poison_rate          */
} bd_split_mode;

/* What a row of the data set is in training. */
enum { BD_ROW_CLEAN = 0, BD_ROW_POISONED = 1, BD_ROW_UNUSED = 2 };

typedef struct {
    bd_split_mode mode;
    double poison_rate; /* 0 .. 1                                           */
    double clean_rate;  /* FLEX: above 0, at most 1; ignored by FIXED       */
    uint64_t seed;
} bd_split_spec;

typedef struct {
    int n; /* rows of the data set                */
    int n_clean, n_poisoned;
    uint8_t *flags; /* [n] BD_ROW_*                        */
} bd_split;

/* bd_split_make -- draw the poisoned rows: the first trunc(N poison_rate) of a permutation that is a
 * function of the seed alone, so that a higher rate poisons the same rows and more. A rate too small
 * for one image is rate 0.
 *   source   IBM/BadDiffusion dataset.py (DatasetLoader: MODE_FIXED, MODE_FLEX), with a seed
 *   errors   BD_E_ARG: n < 1, a rate out of range, or clean and poisoned parts that do not fit
 *            (the text has the counts); BD_E_MEMORY
 *   memory   caller frees with bd_split_clear
 *   tested   tests/test_split.c */
BD_MUST_CHECK bd_status bd_split_make(bd_split *out, int n, const bd_split_spec *spec);
void bd_split_clear(bd_split *s); /* an all-zero struct is fine */

#endif
