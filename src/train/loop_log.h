/* log.csv and the progress line of a training run; for src/train/ only. */
#ifndef BD_TRAIN_LOOP_LOG_H
#define BD_TRAIN_LOOP_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

enum { BD_LOOP_LOG_RECENT = 5 };

typedef struct {
    bd_append *file;                   /* NULL = no log is kept */
    double recent[BD_LOOP_LOG_RECENT]; /* losses of the last steps, a ring */
    int64_t rows;                      /* of this sitting                  */
} bd_loop_log;

/* One optimiser step. loss_clean or loss_poison is NaN when the step had no such image. */
typedef struct {
    int64_t step;  /* from 1 */
    int64_t epoch; /* from 0 */
    double loss, loss_clean, loss_poison, grad_norm, lr;
    int64_t images, poisoned; /* seen so far, this step included */
    double seconds;
} bd_loop_row;

/* bd_loop_log_open -- DIR/log.csv cut back to `bytes`, or begun anew with its header when 0. */
BD_MUST_CHECK bd_status bd_loop_log_open(bd_loop_log *l, const char *dir, int64_t bytes);
BD_MUST_CHECK bd_status bd_loop_log_add(bd_loop_log *l, const bd_loop_row *row);
BD_MUST_CHECK bd_status bd_loop_log_sync(bd_loop_log *l,
                                         int64_t *bytes); /* 0 bytes without a log */
BD_MUST_CHECK bd_status bd_loop_log_close(bd_loop_log *l);

/* bd_loop_log_recent -- "0.031, 0.029, 0.030": the last losses, oldest first, for an error text. */
void bd_loop_log_recent(const bd_loop_log *l, char *out, size_t size);

#endif
