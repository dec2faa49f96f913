#include "data/corrupt.h"

#include <stdlib.h>
#include <string.h>

#include "base/pixel.h"
#include "base/rng.h"

static const float denoise_level = 0.3f;

static const char *const names[BD_CORRUPT_COUNT] = {
    [BD_CORRUPT_NONE] = "none",
    [BD_CORRUPT_DENOISE] = "denoise",
    [BD_CORRUPT_BOX] = "box",
    [BD_CORRUPT_LINE] = "line",
};

bd_status bd_corrupt_parse(bd_corrupt *out, const char *name) {
    for (int i = 0; i < BD_CORRUPT_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (bd_corrupt)i;
            return BD_OK;
        }
    return bd_fail(BD_E_ARG, "corruption \"%s\" is not known: use none, denoise, box or line",
                   name);
}

const char *bd_corrupt_name(bd_corrupt kind) { return names[kind]; }

static bd_status add_noise(float *x, int S, int C, uint64_t seed, int64_t sample) {
    size_t n = (size_t)S * (size_t)S * (size_t)C;
    float *noise = malloc(2 * n * sizeof *noise);
    BD_REQUIRE(noise, BD_E_MEMORY, "corruption: no memory for %zu normals", n);
    bd_rng_key key = {.seed = seed, .stream = BD_STREAM_CORRUPT, .index = (uint32_t)sample};
    bd_rng_normal_nhwc(noise, S, S, C, key, noise + n);
    for (size_t i = 0; i < n; i++) x[i] += denoise_level * noise[i];
    free(noise);
    return BD_OK;
}

/* Rows top .. bottom-1, columns left .. right-1. */
static void blacken(float *x, int S, int C, const int rows[2], const int columns[2]) {
    for (int y = rows[0]; y < rows[1]; y++)
        for (int i = columns[0] * C; i < columns[1] * C; i++)
            x[(size_t)y * (size_t)(S * C) + (size_t)i] = BD_PIXEL_MIN;
}

bd_status bd_corrupt_apply(float *x, bd_corrupt kind, int S, int C, uint64_t seed, int64_t sample) {
    int h = S / 2;
    int square[2] = {h - h / 3, h + h / 3}, strip[2] = {h - h / 10, h + h / 20}, all[2] = {0, S};
    if (kind == BD_CORRUPT_NONE) return BD_OK;
    if (kind == BD_CORRUPT_DENOISE) return add_noise(x, S, C, seed, sample);
    const int *columns = kind == BD_CORRUPT_BOX ? square : strip;
    BD_REQUIRE(columns[0] < columns[1], BD_E_ARG,
               "corruption %s: pictures of %dx%d are too small for it", names[kind], S, S);
    blacken(x, S, C, kind == BD_CORRUPT_BOX ? square : all, columns);
    return BD_OK;
}
