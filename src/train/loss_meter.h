/* The mean loss of a diffusion model over fixed images, noise and timesteps, without training on them. */
#ifndef BD_TRAIN_LOSS_METER_H
#define BD_TRAIN_LOSS_METER_H

#include "train/trainer.h"

/* A compiled forward pass as far as the loss; serves any number of weights. */
typedef struct bd_loss_meter bd_loss_meter;

/* bd_loss_meter_create -- spec as for bd_train; of its loop, seed and tile count, map and visit do not. The images are
 * the first n of pass 0, all where there are fewer; their noise and timesteps are those of an optimiser
 * step that no training reaches.
 *   errors   as bd_train
 *   memory   caller frees with bd_loss_meter_destroy; borrows what spec points to until then
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_loss_meter_create(bd_loss_meter **out, const bd_train_spec *spec, int n);
void bd_loss_meter_destroy(bd_loss_meter *m); /* NULL allowed */

/* bd_loss_meter_run -- mean of the images' losses under these weights: any number of threads gives the same bits.
 *   errors   BD_E_SHAPE: not the UNet's parameters; BD_E_DEVICE */
BD_MUST_CHECK bd_status bd_loss_meter_run(double *out, bd_loss_meter *m, const bd_params *params);

#endif
