#include "metric/image.h"

#include <math.h>
#include <string.h>

size_t bd_image_size(const bd_image_set *s) { return (size_t)s->h * (size_t)s->w * (size_t)s->c; }

bd_status bd_image_set_check(const bd_image_set *s, const char *what) {
    BD_REQUIRE(s->n >= 1 && s->h >= 1 && s->w >= 1 && s->c >= 1, BD_E_SHAPE,
               "%s: a set of shape [%d,%d,%d,%d] holds no image", what, s->n, s->h, s->w, s->c);
    BD_REQUIRE(!s->u8 != !s->f32, BD_E_SHAPE,
               "%s: either bytes or floats have to be given, and not both", what);
    return BD_OK;
}

void bd_image_get(float *out, const bd_image_set *s, int i) {
    size_t size = bd_image_size(s), first = (size_t)i * size;
    if (s->f32) {
        memcpy(out, s->f32 + first, size * sizeof *out);
        return;
    }
    for (size_t k = 0; k < size; k++) out[k] = (float)s->u8[first + k] / 255.0f;
}

bd_status bd_image_unit(float *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] / 2 + 0.5f;
        BD_REQUIRE(!isnan(v), BD_E_NUMERIC, "image: element %zu is not a number", i);
        out[i] = v < 0 ? 0 : v > 1 ? 1 : v;
    }
    return BD_OK;
}

bd_status bd_image_quantise(uint8_t *out, const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        BD_REQUIRE(v[i] >= 0 && v[i] <= 1, BD_E_NUMERIC, "image: element %zu is %g, outside [0,1]",
                   i, (double)v[i]);
        out[i] = (uint8_t)rintf(255.0f * v[i]);
    }
    return BD_OK;
}
