/* Pictures in memory, and reading one from a file of either format. */
#ifndef BD_IO_IMAGE_H
#define BD_IO_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    int w, h, c;     /* c = 1 grey, 3 RGB */
    uint8_t *pixels; /* [h][w][c] */
} bd_image;

/* bd_image_load -- a PNG or JPEG file, told apart by its first bytes; want_c as for bd_png_load.
 *   errors   those of bd_png_load and bd_jpeg_load; BD_E_FORMAT: neither of them
 *   memory   caller frees with bd_image_clear
 *   tested   tests/test_jpeg.c */
BD_MUST_CHECK bd_status bd_image_load(bd_image *out, const char *path, int want_c);
void bd_image_clear(bd_image *img);

/* bd_image_file -- is a file of this name a picture? 1: a PNG or JPEG, by its suffix in any case; -1: of a format that is
 * not read; 0: something else, and so is grid.png, the sheet that `baddiff sample` puts beside its images. */
int bd_image_file(const char *name);

/* bd_grey -- RGB to grey with the integer weights of Pillow's convert("L"):
 *     L = (19595 R + 38470 G + 7471 B + 32768) >> 16
 *   shapes   grey [n], rgb [n][3]; grey may be rgb: a grey pixel never overtakes the colour pixel it is made of
 *   tested   tests/test_png.c, tests/test_dataset.c */
void bd_grey(uint8_t *grey, const uint8_t *rgb, size_t n);
void bd_image_to_grey(bd_image *img); /* in place; a grey image stays as it is */

#endif
