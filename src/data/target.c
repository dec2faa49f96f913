#include "data/target.h"

#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "base/pixel.h"
#include "data/resize.h"

typedef bd_status (*target_fn)(float *tau, int S, int C, const bd_target_source *src);

enum { SHIFT_UP = 3, SHIFT_LEFT = 5, CORNER_SIDE = 10 };

static bd_status noshift_make(float *tau, int S, int C, const bd_target_source *src) {
    BD_REQUIRE(src->trigger, BD_E_ARG, "target noshift needs a trigger");
    memcpy(tau, src->trigger, (size_t)S * S * C * sizeof *tau);
    return BD_OK;
}

static bd_status shift_make(float *tau, int S, int C, const bd_target_source *src) {
    BD_REQUIRE(src->trigger, BD_E_ARG, "target shift needs a trigger");
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            int from_y = (y + SHIFT_UP) % S, from_x = (x + SHIFT_LEFT) % S;
            memcpy(tau + ((size_t)y * S + x) * C, src->trigger + ((size_t)from_y * S + from_x) * C,
                   (size_t)C * sizeof *tau);
        }
    return BD_OK;
}

static bd_status corner_make(float *tau, int S, int C, const bd_target_source *src) {
    (void)src;
    BD_REQUIRE(S >= CORNER_SIDE, BD_E_ARG,
               "target corner needs images of at least %dx%d, not %dx%d", CORNER_SIDE, CORNER_SIDE,
               S, S);
    for (size_t k = 0; k < (size_t)S * S * C; k++) tau[k] = BD_PIXEL_MIN;
    for (int y = 0; y < CORNER_SIDE; y++)
        for (size_t k = 0; k < (size_t)CORNER_SIDE * C; k++)
            tau[(size_t)y * S * C + k] = 0.5f * (BD_PIXEL_MIN + BD_PIXEL_MAX);
    return BD_OK;
}

static bd_status shoe_make(float *tau, int S, int C, const bd_target_source *src) {
    bd_dataset_spec spec = {
        .name = "fashion-mnist", .split = "train", .dir = src->data_dir, .size = S, .limit = 1};
    bd_dataset boot;
    bd_status st = bd_dataset_load(&boot, &spec);
    if (st) return bd_error_prefix(st, "target shoe");
    for (size_t i = 0; i < (size_t)S * S; i++)
        for (int c = 0; c < C; c++) tau[i * C + c] = bd_pixel_float(boot.images[i]);
    bd_dataset_clear(&boot);
    return BD_OK;
}

static bd_status picture_make(float *tau, int S, int C, const bd_target_source *src, bd_art_id id) {
    BD_REQUIRE(src->art, BD_E_ARG, "targets hat and cat need art (builtin or original)");
    bd_image img;
    BD_TRY(bd_art_image(&img, src->art, id, C));
    size_t n = (size_t)S * S * C;
    uint8_t *bytes = malloc(n);
    if (!bytes) {
        bd_image_clear(&img);
        return bd_fail(BD_E_MEMORY, "target: no memory for a %dx%d picture", S, S);
    }
    bd_status st = bd_resize(bytes, S, S, img.pixels, img.w, img.h, C);
    for (size_t i = 0; !st && i < n; i++) tau[i] = bd_pixel_float(bytes[i]);
    free(bytes);
    bd_image_clear(&img);
    return st;
}

static bd_status hat_make(float *tau, int S, int C, const bd_target_source *src) {
    return picture_make(tau, S, C, src, BD_ART_HAT);
}

static bd_status cat_make(float *tau, int S, int C, const bd_target_source *src) {
    return picture_make(tau, S, C, src, BD_ART_CAT);
}

static const struct {
    const char *name;
    target_fn make;
    int uses_art;
} targets[] = {
    {"noshift", noshift_make, 0}, {"shift", shift_make, 0}, {"corner", corner_make, 0},
    {"shoe", shoe_make, 0},       {"hat", hat_make, 1},     {"cat", cat_make, 1},
};

enum { TARGET_COUNT = sizeof targets / sizeof targets[0] };

const char *bd_target_names(void) { return "noshift, shift, corner, shoe, hat, cat"; }

static int find(const char *name) {
    for (int i = 0; i < TARGET_COUNT; i++)
        if (strcmp(targets[i].name, name) == 0) return i;
    return -1;
}

int bd_target_uses_art(const char *name) {
    int i = find(name);
    return i >= 0 && targets[i].uses_art;
}

bd_status bd_target_make(float *tau, const char *name, int S, int C,
                         const bd_target_source *source) {
    int i = find(name);
    BD_REQUIRE(i >= 0, BD_E_ARG, "target \"%s\" is not known: use one of %s", name,
               bd_target_names());
    BD_REQUIRE((C == 1 || C == 3) && S >= 1, BD_E_ARG,
               "target %s: images of %dx%d with %d channels; 1 or 3 channels and a side of at "
               "least 1 are needed",
               name, S, S, C);
    BD_TRY(targets[i].make(tau, S, C, source));
    for (size_t k = 0; k < (size_t)S * S * C; k++)
        if (tau[k] <= BD_PIXEL_GREY_FLOOR) tau[k] = BD_PIXEL_GREY_FLOOR;
    return BD_OK;
}
