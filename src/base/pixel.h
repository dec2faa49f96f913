/* The value range of images: -1 black, +1 white, and the byte-to-float rule of the original. */
#ifndef BD_BASE_PIXEL_H
#define BD_BASE_PIXEL_H

#include <stdint.h>

#include "base/mathfn.h"

/* Range of pixel values and the backdoor's background level 0.3 (max - min) + min. */
#define BD_PIXEL_MIN (-1.0f)
#define BD_PIXEL_MAX 1.0f
#define BD_PIXEL_GREY_FLOOR (-0.4f)

/* bd_pixel_float -- (p/255)/1.00001*2 - 1 in float32: 0 -> -1 exactly, 255 -> 0.99997997, never 1.
 *   source   BadDiffusion's normaliser (the divisor is max - min + 1e-5)
 *   units    p a byte; result in [-1, 0.99997997]
 *   tested   tests/test_resize.c */
BD_INLINE float bd_pixel_float(uint8_t p) { return ((float)p / 255.0f) / 1.00001f * 2.0f - 1.0f; }

#endif
