#include "io/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "io/jpeg.h"
#include "io/png.h"

static const uint8_t png_magic[] = {0x89, 'P', 'N', 'G'}, jpeg_magic[] = {0xff, 0xd8, 0xff};

bd_status bd_image_load(bd_image *out, const char *path, int want_c) {
    *out = (bd_image){0};
    bd_reader *r;
    uint64_t size;
    uint8_t head[sizeof png_magic] = {0};
    BD_TRY(bd_reader_open(&r, &size, path));
    bd_status st = bd_reader_read(r, head, size < sizeof head ? (size_t)size : sizeof head);
    bd_reader_close(r);
    if (st) return st;
    if (memcmp(head, png_magic, sizeof png_magic) == 0) return bd_png_load(out, path, want_c);
    if (memcmp(head, jpeg_magic, sizeof jpeg_magic) == 0) return bd_jpeg_load(out, path, want_c);
    return bd_fail(BD_E_FORMAT, "%s: offset 0: neither a PNG nor a JPEG file", path);
}

int bd_image_file(const char *name) {
    static const char *const ours[] = {".png", ".jpg", ".jpeg"};
    static const char *const others[] = {".bmp", ".gif",  ".webp", ".tif", ".tiff", ".ppm",
                                         ".pgm", ".avif", ".heic", ".jp2", ".jxl"};
    const char *dot = strrchr(name, '.');
    if (!dot || strcmp(name, "grid.png") == 0) return 0;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(dot, ours[i]) == 0) return 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(dot, others[i]) == 0) return -1;
    return 0;
}

void bd_image_clear(bd_image *img) {
    free(img->pixels);
    *img = (bd_image){0};
}

void bd_grey(uint8_t *grey, const uint8_t *rgb, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rgb + 3 * i;
        grey[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    }
}

void bd_image_to_grey(bd_image *img) {
    if (img->c == 3) bd_grey(img->pixels, img->pixels, (size_t)img->w * (size_t)img->h);
    img->c = 1;
}
