/* Bilinear resizing of 8-bit images with the exact bytes of Pillow. */
#ifndef BD_DATA_RESIZE_H
#define BD_DATA_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The weights of one (w, h) -> (out_w, out_h) resize of c-channel images; serves any number of
 * images and threads. */
typedef struct bd_resizer bd_resizer;

/* bd_resizer_create -- weights of a bilinear resize that antialiases when it shrinks.
 *     c_i = (i + 1/2) s,  s = in/out,  f = max(s, 1),  w_ij ~ max(0, 1 - |(j - c_i + 1/2)/f|)
 *   source   Pillow 9.4, Image.resize(BILINEAR): weights in 22-bit fixed point, horizontal pass
 *            first and rounded to bytes, then vertical; a pass whose size does not change is left out
 *   shapes   images [h][w][c] -> [out_h][out_w][c]
 *   errors   BD_E_ARG: a size outside 1..16384 or a channel count outside 1..4; BD_E_MEMORY
 *   memory   caller frees with bd_resizer_destroy
 *   tested   tests/test_resize.c */
BD_MUST_CHECK bd_status bd_resizer_create(bd_resizer **out, int w, int h, int out_w, int out_h,
                                          int c);
void bd_resizer_destroy(bd_resizer *r); /* NULL allowed */

/* bd_resizer_run -- resize one image. dst must not overlap src.
 *   shapes   dst [out_h][out_w][c]; scratch [bd_resizer_scratch bytes], one a thread; src [h][w][c]
 *   memory   borrows everything, allocates nothing */
void bd_resizer_run(uint8_t *dst, uint8_t *scratch, const bd_resizer *r, const uint8_t *src);
size_t bd_resizer_scratch(const bd_resizer *r); /* bytes, >= 1 */

/* bd_resize_short_side -- sizes after "resize so that the shorter side is n": the other side
 * becomes trunc(n long/short).
 *   tested   tests/test_resize.c */
void bd_resize_short_side(int *out_w, int *out_h, int w, int h, int n);

/* bd_resize -- one image in one call.
 *   errors   as bd_resizer_create */
BD_MUST_CHECK bd_status bd_resize(uint8_t *dst, int out_w, int out_h, const uint8_t *src, int w,
                                  int h, int c);

#endif
