/* Damage to pictures that a diffusion model is then asked to restore. */
#ifndef BD_DATA_CORRUPT_H
#define BD_DATA_CORRUPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
    BD_CORRUPT_NONE,
    BD_CORRUPT_DENOISE, /* 0.3 standard normals on every element                            */
    BD_CORRUPT_BOX,     /* rows and columns h - h/3 .. h + h/3 - 1 black, h = S/2            */
    BD_CORRUPT_LINE,    /* all rows of columns h - h/10 .. h + h/20 - 1 black                */
    BD_CORRUPT_COUNT
} bd_corrupt;

/* bd_corrupt_apply -- damage one picture. Divisions round down. Black is -1: the original takes the least element of
 * the batch, which is -1 whenever a picture of it has a black element; a result that depends on who shares the batch is
 * not wanted here. The noise is a function of (seed, CORRUPT, sample); it is not clamped.
 *   source   IBM/VillanDiffusion, VillanDiffusion.py (measure_inpaints) and dataset.py (get_inpainted_by_type)
 *   shapes   x [S][S][C]
 *   units    -1 black .. +1 white
 *   errors   BD_E_ARG: S so small that the box or the line has no pixel; BD_E_MEMORY
 *   tested   tests/test_corrupt.c */
BD_MUST_CHECK bd_status bd_corrupt_apply(float *x, bd_corrupt kind, int S, int C, uint64_t seed,
                                         int64_t sample);

/* bd_corrupt_parse -- kind of a name.
 *   errors   BD_E_ARG: unknown; the text lists the names */
BD_MUST_CHECK bd_status bd_corrupt_parse(bd_corrupt *out, const char *name);
const char *bd_corrupt_name(bd_corrupt kind);

#endif
