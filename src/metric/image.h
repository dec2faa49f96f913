/* Sets of images as metrics see them: pixels in [0,1], or bytes that stand for byte/255. */
#ifndef BD_METRIC_IMAGE_H
#define BD_METRIC_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A borrowed view of [N,H,W,C]; exactly one of u8 and f32 is set. */
typedef struct {
    int n, h, w, c;
    const uint8_t *u8; /* byte p stands for p/255 */
    const float *f32;  /* in [0,1]                */
} bd_image_set;

size_t bd_image_size(const bd_image_set *s); /* elements of one image, h*w*c */

/* bd_image_set_check -- BD_E_SHAPE unless s is a usable set with n >= 1; `what` names it in
 * the text. */
BD_MUST_CHECK bd_status bd_image_set_check(const bd_image_set *s, const char *what);

/* bd_image_get -- image i as floats in [0,1]; out has bd_image_size elements. */
void bd_image_get(float *out, const bd_image_set *s, int i);

/* bd_image_unit -- out = clamp(x/2 + 0.5, 0, 1): a sample, target or trigger in [-1,1] as a
 * picture.
 *   shapes   out, x [n]; out may be x
 *   errors   BD_E_NUMERIC: a NaN, with its place */
BD_MUST_CHECK bd_status bd_image_unit(float *out, const float *x, size_t n);

/* bd_image_quantise -- u8 = rint(255 v), half to even, in float32: what a PNG keeps of v in [0,1].
 *   errors   BD_E_NUMERIC: v is NaN or outside [0,1], with its place
 *   tested   tests/test_mse_ssim.c */
BD_MUST_CHECK bd_status bd_image_quantise(uint8_t *out, const float *v, size_t n);

#endif
