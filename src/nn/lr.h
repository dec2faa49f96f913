/* Learning-rate schedule: linear warm-up, then a cosine to zero. */
#ifndef BD_NN_LR_H
#define BD_NN_LR_H

#include <stdint.h>

/* bd_lr_factor -- what the base rate is multiplied by at schedule step s.
 *     s / warmup                                                       for s < warmup
 *     max(0, (1 + cos(pi (s - warmup) / max(1, total - warmup))) / 2)  from there on
 * The first update of a run is made at s = 0: rate 0 when there is a warm-up.
 *   source   diffusers' get_cosine_schedule_with_warmup (half a cosine period)
 *   units    s, warmup, total count micro-batches
 *   tested   tests/test_lr.c */
double bd_lr_factor(int64_t s, int64_t warmup, int64_t total);

#endif
