/* PNG images through libpng's full API, with limits. */
#ifndef BD_IO_PNG_H
#define BD_IO_PNG_H

#include "io/image.h"

/* bd_png_load -- decode to 8-bit grey (want_c = 1) or RGB (want_c = 3); want_c = 0 keeps what the file has.
 * Alpha is dropped and the colour stored under it kept (as Pillow's convert("RGB") does); 16 bit -> 8 bit by the high byte;
 * palettes are expanded; RGB -> grey as bd_grey.
 *   errors   BD_E_MISSING; BD_E_IO; BD_E_FORMAT with file, offset and reason: not a PNG, damaged, truncated, larger
 *            than 16384 x 16384 or than 48 MiB of pixels
 *   memory   caller frees with bd_image_clear */
BD_MUST_CHECK bd_status bd_png_load(bd_image *out, const char *path, int want_c);

/* bd_png_save -- write atomically; deterministic bytes for one libpng/zlib version (no time, no text). */
BD_MUST_CHECK bd_status bd_png_save(const char *path, const bd_image *img);

#endif
