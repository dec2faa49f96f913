/* Triggers g: what is stamped on poisoned images. The background is exactly -1. */
#ifndef BD_DATA_TRIGGER_H
#define BD_DATA_TRIGGER_H

#include <stddef.h>

#include "base/status.h"
#include "data/art.h"

/* bd_trigger_make -- the trigger `name` at size S.
 *   none                 -1 everywhere
 *   box18 14 11 8 4      grey (0.0) n x n square on rows and columns S-n-2 .. S-3
 *   stop18 14 11 8 4     the sign, n pixels, in the same place
 *   glasses              the glasses, trunc(0.625 S) pixels, centred
 * Pictures: the shorter side is resized to n, bytes go to floats (base/pixel.h), and every element
 * >= 0.999 (byte 255) becomes -1, channel by channel.
 *   source   Chou et al. 2023, arXiv:2212.05400, table 1; IBM/BadDiffusion dataset.py (Backdoor.get_trigger)
 *   shapes   g [S][S][C], C = 1 or 3
 *   units    -1 black .. +1 white
 *   errors   BD_E_ARG: unknown name, C, or S too small for the trigger; those of bd_art_image
 *   memory   borrows everything; art may be NULL for none and boxes
 *   tested   tests/test_trigger.c */
BD_MUST_CHECK bd_status bd_trigger_make(float *g, const char *name, int S, int C,
                                        const bd_art *art);

/* bd_trigger_uses_art -- whether `name` depends on the art: a manifest leaves it out otherwise. */
int bd_trigger_uses_art(const char *name);
const char *bd_trigger_names(void); /* "none, box18, ..." for messages and help */

/* bd_trigger_stamp -- r = g where g > -1, else y; each channel for itself. r may be y.
 *   source   r = M (.) g + (1 - M) (.) x of the paper, M as the released code builds it
 *   shapes   all [count] */
void bd_trigger_stamp(float *r, const float *y, const float *g, size_t count);

/* bd_trigger_move -- the trigger in the opposite corner: its bounding box is mirrored through the
 * centre, its content is not. out must not overlap g.
 *   errors   BD_E_ARG: g is empty or already centred (within one pixel), so moving changes nothing */
BD_MUST_CHECK bd_status bd_trigger_move(float *out, const float *g, int S, int C);

#endif
