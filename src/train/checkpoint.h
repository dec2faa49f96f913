/* The state of a training run in one file: parameters, Adam moments, and where it stands. */
#ifndef BD_TRAIN_CHECKPOINT_H
#define BD_TRAIN_CHECKPOINT_H

#include <stdint.h>

#include "base/status.h"
#include "nn/params.h"
#include "train/loss_scale.h"

/* Where a run stands. Counters count from the start of the run over all sittings. */
typedef struct {
    int64_t step;        /* optimiser steps done     */
    int64_t micro_steps; /* micro-batches done       */
    int64_t images, poisoned;
    int64_t log_bytes; /* length of log.csv        */
    double loss;       /* of the last step         */
    double seconds;
    bd_loss_scale scale; /* all 0 in a run without; then it is not in the file either */
} bd_checkpoint_state;

/* bd_checkpoint_save -- write DIR/checkpoint-<step>.safetensors, whole and durable or not at all,
 * then remove all but this one and the one before it. Tensors param.NAME, adam_m.NAME,
 * adam_v.NAME; the state, the settings and a SHA-256 of everything are in the metadata.
 *   errors   BD_E_IO: the checkpoints that were there before stay
 *   tested   tests/test_checkpoint.c */
BD_MUST_CHECK bd_status bd_checkpoint_save(const char *dir, const char *settings,
                                           const bd_checkpoint_state *state,
                                           const bd_params *params, const bd_params *m,
                                           const bd_params *v);

/* bd_checkpoint_load -- the newest checkpoint in DIR whose checksum verifies. One that does not is
 * left where it is, named in a warning, and the one before it is tried. params, m and v must have
 * the model's shapes.
 *   errors   BD_E_MISSING: there is none, start afresh; BD_E_ARG: it was written under other
 *            settings; BD_E_FORMAT: there are some and none verifies
 *   tested   tests/test_checkpoint.c */
BD_MUST_CHECK bd_status bd_checkpoint_load(bd_checkpoint_state *state, bd_params *params,
                                           bd_params *m, bd_params *v, const char *dir,
                                           const char *settings);

/* bd_checkpoint_take -- begin DIR with the newest checkpoint of another run's folder: that run, taken further. A DIR
 * with a checkpoint of its own is left as it is.
 *   errors   BD_E_MISSING: `from` has none; BD_E_IO
 *   tested   tests/test_checkpoint.c */
BD_MUST_CHECK bd_status bd_checkpoint_take(const char *dir, const char *from);

/* bd_checkpoint_remove -- all checkpoints in DIR, for a stage that is finished. */
BD_MUST_CHECK bd_status bd_checkpoint_remove(const char *dir);

#endif
