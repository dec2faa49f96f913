/* Backdoor targets: what a triggered model shall paint. The background is grey, -0.4, not black. */
#ifndef BD_DATA_TARGET_H
#define BD_DATA_TARGET_H

#include "base/status.h"
#include "data/art.h"

/* What targets are made of; each is needed by the targets named beside it only. */
typedef struct {
    const float
        *trigger;      /* [S][S][C]  noshift, shift                                             */
    const bd_art *art; /* hat, cat                                                              */
    const char
        *data_dir; /* shoe: folder of Fashion-MNIST as bd_dataset_spec.dir; NULL = found    */
} bd_target_source;

/* bd_target_make -- the target `name` at size S; last step of all: elements <= -0.4 become -0.4.
 *   noshift  the trigger itself
 *   shift    the trigger rolled 3 rows up and 5 columns left, with wrap-around
 *   corner   0.0 on rows 0..9 x columns 0..9, at every S
 *   shoe     Fashion-MNIST train image 0, an ankle boot
 *   hat cat  the picture, resized to S x S
 *   source   Chou et al. 2023, arXiv:2212.05400, table 1; IBM/BadDiffusion dataset.py (Backdoor.get_target)
 *   shapes   tau [S][S][C], C = 1 or 3
 *   units    -0.4 .. 0.99997997
 *   errors   BD_E_ARG: unknown name, C, S too small, or its source is NULL; those of bd_art_image and
 *            bd_dataset_load
 *   memory   borrows everything
 *   tested   tests/test_target.c */
BD_MUST_CHECK bd_status bd_target_make(float *tau, const char *name, int S, int C,
                                       const bd_target_source *source);

int bd_target_uses_art(const char *name);
const char *bd_target_names(void); /* "noshift, shift, ..." for messages and help */

#endif
