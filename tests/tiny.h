/* A UNet and a data set so small that training and sampling them takes milliseconds. */
#ifndef BD_TESTS_TINY_H
#define BD_TESTS_TINY_H

#include "data/dataset.h"
#include "nn/unet.h"

enum { TINY_S = 8, TINY_N = 24 };

/* 8x8x1; channels 8 and 16, attention at 4x4, 4 groups. */
extern const bd_unet_config tiny_unet;

/* tiny_params -- fresh weights of tiny_unet; a test fails when it cannot be done. */
void tiny_params(bd_params *out, uint64_t seed);

/* tiny_dataset -- TINY_N images of two classes: bright bars, upright (0) or lying (1), at a place
 * that depends on the image. Caller frees with bd_dataset_clear. */
void tiny_dataset(bd_dataset *out);

/* tiny_attack -- a grey box in a corner as trigger, a pattern as target, and every third image poisoned.
 * trigger, target [TINY_S * TINY_S], flags [TINY_N] */
void tiny_attack(float *trigger, float *target, uint8_t *flags);

/* tiny_column -- a column of DIR/log.csv, NaN where it is empty; *n rows. The caller frees it. */
double *tiny_column(const char *dir, const char *name, size_t *n);

#endif
