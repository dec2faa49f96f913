/* Sets of 8-bit images and blocks of floats, in memory and in safetensors files. */
#ifndef BD_RUN_PIXELS_H
#define BD_RUN_PIXELS_H

#include <stdint.h>

#include "base/status.h"

/* Images [n,h,w,c] in a safetensors file, tensor "images". */
typedef struct {
    int n, h, w, c;
    uint8_t *pixels;
} bd_pixels;

/* The same, borrowed. */
typedef struct {
    int n, size, c;
    const uint8_t *pixels;
} bd_image_view;

BD_MUST_CHECK bd_status bd_pixels_save(const char *path, const bd_pixels *p);
BD_MUST_CHECK bd_status bd_pixels_load(bd_pixels *out, const char *path);
void bd_pixels_clear(bd_pixels *p);

/* bd_pixels_grid -- the first rows*cols images (fewer if there are not so many) as one PNG, one black
 * pixel between them, in the order of reading. */
BD_MUST_CHECK bd_status bd_pixels_grid(const char *path, const bd_pixels *p, int rows, int cols);

/* bd_floats_save / load -- one float32 tensor of rank 1 to 4 in a safetensors file; the loaded block is
 * the caller's to free. dim has 4 entries, those past the rank 1. */
BD_MUST_CHECK bd_status bd_floats_save(const char *path, const char *name, const float *data,
                                       const int dim[4], int rank);
BD_MUST_CHECK bd_status bd_floats_load(float **data, int dim[4], const char *path,
                                       const char *name);

#endif
