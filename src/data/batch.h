/* What each image of a training batch is: row, mirror, poison, timestep, random key, weight. */
#ifndef BD_DATA_BATCH_H
#define BD_DATA_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    uint64_t seed;
    int n;                  /* rows of the data set                                               */
    const uint8_t *flags;   /* [n] BD_ROW_* of data/split.h; NULL = all clean                     */
    const int32_t *labels;  /* [n]; NULL = no labels asked for                                    */
    bool flip;              /* mirror with probability 1/2, drawn anew each epoch                 */
    int T;                  /* timesteps; 0 = none: the image itself, coef {1, 0, 0, 0}           */
    const float (*coef)[4]; /* [T] as op batch_build wants them; NULL when T is 0                 */
} bd_batcher_spec;

/* Deterministic epochs. Every answer is a function of (spec, place) only; epoch e visits each used row
 * once, in the order of stream SHUFFLE, index e. Safe to share between threads. */
typedef struct bd_batcher bd_batcher;

/* Where in the training run some images of one micro-batch lie. An optimiser step lies in one epoch. */
typedef struct {
    int64_t epoch; /* from 0                                                                     */
    int64_t first; /* position in the epoch of the first image                                   */
    int64_t step;  /* optimiser step, from 0                                                     */
    int place;     /* place of the first image in the optimiser step, micro-batches counted on   */
    int rows;      /* rows to fill                                                               */
    int count;     /* images among them; the rows - count last ones are padding                  */
    float weight;  /* of each image's loss; padding gets 0                                       */
} bd_batch_place;

/* Vectors of `rows` entries to fill; NULL ones are left out. */
typedef struct {
    int32_t *index;  /* [rows]     row of the data set; padding repeats the last image          */
    int32_t *flags;  /* [rows]     bit 0 mirror, bit 1 poisoned                                 */
    int32_t *key;    /* [rows][4]  seed low, seed high, place in the step, optimiser step       */
    int32_t *label;  /* [rows]                                                                  */
    float *timestep; /* [rows]     0 .. T-1                                                     */
    float *coef;     /* [rows][4]                                                               */
    float *weight;   /* [rows]                                                                  */
} bd_batch_rows;

enum { BD_BATCH_MIRROR = 1, BD_BATCH_POISONED = 2 };

/* bd_batcher_create
 *   errors   BD_E_ARG: n or T out of range, or every row unused; BD_E_MEMORY
 *   memory   borrows flags, labels and coef until bd_batcher_destroy
 *   tested   tests/test_batch.c */
BD_MUST_CHECK bd_status bd_batcher_create(bd_batcher **out, const bd_batcher_spec *spec);
void bd_batcher_destroy(bd_batcher *b); /* NULL allowed */

int64_t bd_batcher_images(const bd_batcher *b); /* images of one epoch: rows that are used */

/* bd_batcher_fill -- the images at `at`. The first call in an epoch shuffles it (milliseconds); the
 * others cost about a hundred nanoseconds a row. Nothing is allocated.
 *   units    timesteps are uniform on 0 .. T-1, one a place and step
 *   errors   BD_E_ARG: a place outside the epoch, or out->label without labels
 *   tested   tests/test_batch.c */
BD_MUST_CHECK bd_status bd_batcher_fill(const bd_batch_rows *out, bd_batcher *b,
                                        const bd_batch_place *at);

#endif
