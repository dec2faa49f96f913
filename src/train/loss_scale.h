/* Dynamic scaling of the loss for training in fp16, whose small gradients would vanish. */
#ifndef BD_TRAIN_LOSS_SCALE_H
#define BD_TRAIN_LOSS_SCALE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double scale;    /* the loss is multiplied by it; 0 = no scaling */
    int64_t good;    /* finite steps since it last changed           */
    int64_t skipped; /* steps without an update, in all              */
} bd_loss_scale;

/* bd_loss_scale_init -- 65536. */
void bd_loss_scale_init(bd_loss_scale *s);

/* bd_loss_scale_step -- after a step: halved and the step skipped when its gradient was not finite, doubled after
 * 2000 finite steps in a row.
 *   source   torch.amp.GradScaler (growth 2, backoff 0.5, interval 2000), which the original trains with
 *   errors   none; below 1 it is halved like anywhere else
 *   tested   tests/test_loop.c */
void bd_loss_scale_step(bd_loss_scale *s, bool finite);

#endif
