/* What a stage of kind anp measures, epoch by epoch: epochs.csv in its folder, and the columns of result files. */
#ifndef BD_RUN_ANP_ROWS_H
#define BD_RUN_ANP_ROWS_H

#include <stdint.h>

#include "base/status.h"
#include "run/table.h"

/* One measurement. Epoch 0 is the model as it was. */
typedef struct {
    int64_t epoch, updates; /* optimiser steps up to here                                       */
    double mse, ssim;       /* means of the samples from plain noise against the target          */
    double hit, hit_lo, hit_hi; /* share of them that are hits, and its interval               */
    double deviation; /* mean over the samples of the standard deviation of their pixels   */
    double loss_clean, loss_backdoor; /* of training images and noise that are always the same  */
} bd_anp_row;

typedef struct {
    int n;
    bd_anp_row *at; /* ascending epochs */
} bd_anp_rows;

/* bd_anp_rows_load -- none where the file is not there; caller frees with bd_anp_rows_clear.
 *   errors   BD_E_FORMAT: not such a file */
BD_MUST_CHECK bd_status bd_anp_rows_load(bd_anp_rows *out, const char *path);
BD_MUST_CHECK bd_status bd_anp_rows_save(const bd_anp_rows *r, const char *path);
void bd_anp_rows_clear(bd_anp_rows *r); /* an all-zero struct is fine */

/* bd_anp_rows_add -- behind the others; those of the same and of later epochs go. */
BD_MUST_CHECK bd_status bd_anp_rows_add(bd_anp_rows *r, const bd_anp_row *row);

/* bd_anp_row_set -- the row's fields in the last row of a table, under names that say n and the kind of SSIM. */
BD_MUST_CHECK bd_status bd_anp_row_set(bd_table *t, int group, const bd_anp_row *row, int64_t n,
                                       const char *ssim_area);

#endif
