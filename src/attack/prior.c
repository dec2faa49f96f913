#include "attack/prior.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pixel.h"
#include "data/trigger.h"

struct bd_prior {
    bd_prior_kind kind;
    size_t count;  /* floats of one image                                       */
    float *offset; /* [count]; NULL when there is none, or one a sample         */
    const float *trigger;
    const uint8_t *images;
    int n_images, S, C;
    bd_corrupt corrupt;
    bd_entry entry;
    uint64_t seed;
    float keep, noise;
};

static const char *const names[BD_PRIOR_COUNT] = {
    [BD_PRIOR_NOISE] = "noise",     [BD_PRIOR_TRIGGER] = "trigger",
    [BD_PRIOR_BLACK] = "black",     [BD_PRIOR_TRIGGER_ZERO] = "trigger-zero",
    [BD_PRIOR_STAMPED] = "stamped", [BD_PRIOR_IMAGE] = "image",
    [BD_PRIOR_OTHER] = "other",     [BD_PRIOR_MOVED] = "moved",
};

bd_status bd_prior_parse(bd_prior_kind *out, const char *name) {
    for (int i = 0; i < BD_PRIOR_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (bd_prior_kind)i;
            return BD_OK;
        }
    return bd_fail(BD_E_ARG,
                   "prior \"%s\" is not known: use noise, trigger, black, trigger-zero, stamped, "
                   "image, other or moved",
                   name);
}

const char *bd_prior_name(bd_prior_kind kind) { return names[kind]; }

bd_status bd_entry_parse(bd_entry *out, const char *name) {
    static const char *const entries[BD_ENTRY_COUNT] = {[BD_ENTRY_NOISED] = "noised",
                                                        [BD_ENTRY_SHIFTED] = "shifted",
                                                        [BD_ENTRY_ORIGINAL] = "original"};
    for (int i = BD_ENTRY_NOISED; i < BD_ENTRY_COUNT; i++)
        if (strcmp(entries[i], name) == 0) {
            *out = (bd_entry)i;
            return BD_OK;
        }
    return bd_fail(BD_E_ARG, "entry \"%s\" is not known: use noised, shifted or original", name);
}

static bd_status spec_check(const bd_prior_spec *s) {
    BD_REQUIRE((int)s->kind >= 0 && s->kind < BD_PRIOR_COUNT, BD_E_ARG, "prior: kind %d",
               (int)s->kind);
    BD_REQUIRE(s->S >= 1 && (s->C == 1 || s->C == 3), BD_E_ARG, "prior: images of %dx%dx%d", s->S,
               s->S, s->C);
    const char *name = names[s->kind];
    bool trigger = s->kind == BD_PRIOR_TRIGGER || s->kind == BD_PRIOR_TRIGGER_ZERO ||
                   s->kind == BD_PRIOR_STAMPED || s->kind == BD_PRIOR_MOVED;
    bool images = s->kind == BD_PRIOR_STAMPED || s->kind == BD_PRIOR_IMAGE;
    BD_REQUIRE(!trigger || s->trigger, BD_E_ARG, "prior %s needs a trigger", name);
    BD_REQUIRE(s->kind != BD_PRIOR_OTHER || s->other, BD_E_ARG, "prior %s needs a second trigger",
               name);
    BD_REQUIRE(!images || (s->images && s->n_images >= 1), BD_E_ARG, "prior %s needs images", name);
    BD_REQUIRE(
        images || (s->corrupt == BD_CORRUPT_NONE && s->entry == BD_ENTRY_ADDED), BD_E_ARG,
        "prior %s has no pictures that could be damaged or enter later: use image or stamped",
        name);
    return BD_OK;
}

/* The offset of the kinds that have the same for every sample. */
static bd_status offset_make(float *o, size_t count, const bd_prior_spec *s) {
    switch (s->kind) {
    case BD_PRIOR_TRIGGER: memcpy(o, s->trigger, count * sizeof *o); break;
    case BD_PRIOR_OTHER: memcpy(o, s->other, count * sizeof *o); break;
    case BD_PRIOR_MOVED: return bd_trigger_move(o, s->trigger, s->S, s->C);
    case BD_PRIOR_BLACK:
        for (size_t i = 0; i < count; i++) o[i] = BD_PIXEL_MIN;
        break;
    case BD_PRIOR_TRIGGER_ZERO:
        for (size_t i = 0; i < count; i++)
            o[i] = s->trigger[i] > BD_PIXEL_MIN ? s->trigger[i] : 0.0f;
        break;
    default: break;
    }
    return BD_OK;
}

bd_status bd_prior_create(bd_prior **out, const bd_prior_spec *spec) {
    *out = NULL;
    BD_TRY(spec_check(spec));
    bd_prior *p = calloc(1, sizeof *p);
    BD_REQUIRE(p, BD_E_MEMORY, "prior: no memory");
    p->kind = spec->kind;
    p->count = (size_t)spec->S * spec->S * spec->C;
    p->trigger = spec->trigger;
    p->images = spec->images;
    p->n_images = spec->n_images;
    p->S = spec->S;
    p->C = spec->C;
    p->corrupt = spec->corrupt;
    p->entry = spec->entry;
    p->seed = spec->seed;
    p->keep = (float)spec->keep;
    p->noise = (float)spec->noise;
    bool constant = spec->kind != BD_PRIOR_NOISE && spec->kind != BD_PRIOR_STAMPED &&
                    spec->kind != BD_PRIOR_IMAGE;
    bd_status st;
    if (constant) {
        p->offset = malloc(p->count * sizeof *p->offset);
        if (!p->offset)
            BD_FAIL_TO(fail, st, BD_E_MEMORY, "prior: no memory for %zu floats", p->count);
        BD_TRY_TO(fail, st, offset_make(p->offset, p->count, spec));
    }
    *out = p;
    return BD_OK;
fail:
    bd_prior_destroy(p);
    return st;
}

void bd_prior_destroy(bd_prior *p) {
    if (!p) return;
    free(p->offset);
    free(p);
}

/* Adding 0 would turn -0 into +0: zero offsets leave x alone. */
static void add(float *x, float offset) {
    if (offset != 0.0f) *x += offset;
}

static void stamp(float *x, const bd_prior *p) {
    if (p->kind == BD_PRIOR_STAMPED) bd_trigger_stamp(x, x, p->trigger, p->count);
}

/* Without the trigger. */
static bd_status damaged(float *x, const bd_prior *p, int64_t sample) {
    const uint8_t *image = p->images + (size_t)(sample % p->n_images) * p->count;
    for (size_t i = 0; i < p->count; i++) x[i] = bd_pixel_float(image[i]);
    if (p->entry == BD_ENTRY_ORIGINAL) stamp(x, p);
    return bd_corrupt_apply(x, p->corrupt, p->S, p->C, p->seed, sample);
}

bd_status bd_prior_picture(float *out, const bd_prior *p, int64_t sample) {
    BD_REQUIRE(p->images && sample >= 0, BD_E_ARG, "prior %s: no picture %lld", names[p->kind],
               (long long)sample);
    BD_TRY(damaged(out, p, sample));
    if (p->entry != BD_ENTRY_ORIGINAL) stamp(out, p);
    return BD_OK;
}

/* x comes in as the normals of the sample. */
static bd_status enter(float *x, const bd_prior *p, const float *picture, int64_t sample) {
    float a = p->keep, s = p->noise;
    size_t n = p->count;
    switch (p->entry) {
    case BD_ENTRY_ORIGINAL: memcpy(x, picture, n * sizeof *x); return BD_OK;
    case BD_ENTRY_NOISED:
        for (size_t i = 0; i < n; i++) x[i] = a * picture[i] + s * x[i];
        return BD_OK;
    case BD_ENTRY_SHIFTED: {
        float *before = malloc(n * sizeof *before);
        BD_REQUIRE(before, BD_E_MEMORY, "prior: no memory for a picture");
        bd_status st = damaged(before, p, sample);
        float shift = p->kind == BD_PRIOR_STAMPED ? 1 - a : 0;
        for (size_t i = 0; i < n; i++) x[i] = a * before[i] + shift * picture[i] + s * x[i];
        free(before);
        return st;
    }
    default:
        for (size_t i = 0; i < n; i++) add(&x[i], picture[i]);
        return BD_OK;
    }
}

bd_status bd_prior_apply(void *prior, float *x, int64_t sample) {
    const bd_prior *p = prior;
    BD_REQUIRE(sample >= 0, BD_E_ARG, "prior: sample %lld", (long long)sample);
    if (p->offset) {
        for (size_t i = 0; i < p->count; i++) add(&x[i], p->offset[i]);
        return BD_OK;
    }
    if (p->kind == BD_PRIOR_NOISE) return BD_OK;
    float *picture = malloc(p->count * sizeof *picture);
    BD_REQUIRE(picture, BD_E_MEMORY, "prior: no memory for a picture");
    bd_status st = bd_prior_picture(picture, p, sample);
    if (!st) st = enter(x, p, picture, sample);
    free(picture);
    return st;
}
