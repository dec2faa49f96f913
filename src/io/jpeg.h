/* JPEG images through libjpeg-turbo, with limits. */
#ifndef BD_IO_JPEG_H
#define BD_IO_JPEG_H

#include "io/image.h"

/* bd_jpeg_load -- decode to 8-bit grey (want_c = 1) or RGB (want_c = 3); want_c = 0 keeps what the file has.
 * The accurate integer transform and smooth upsampling, as Pillow decodes; orientation tags are not applied, as there;
 * RGB -> grey as bd_grey. Damage that libjpeg would paint over (a file that ends early) is an error here.
 *   errors   BD_E_MISSING; BD_E_IO; BD_E_FORMAT with file and reason: not a JPEG, damaged, truncated, CMYK, more than
 *            200 scans, larger than 16384 x 16384, than 256 MiB of pixels or than its length can hold
 *   memory   caller frees with bd_image_clear
 *   tested   tests/test_jpeg.c */
BD_MUST_CHECK bd_status bd_jpeg_load(bd_image *out, const char *path, int want_c);

#endif
