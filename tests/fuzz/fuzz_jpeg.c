/* JPEG images, as they are and turned to grey. */
#include "fuzz.h"
#include "io/jpeg.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    static const int channels[] = {0, 1};
    for (int i = 0; i < 2; i++) {
        bd_image x;
        BD_TRY(bd_jpeg_load(&x, path, channels[i]));
        fuzz_touch(x.pixels, (size_t)x.h * (size_t)x.w * (size_t)x.c);
        bd_image_clear(&x);
    }
    return BD_OK;
}
