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
    int n_images;
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

bd_status bd_prior_apply(void *prior, float *x, int64_t sample) {
    const bd_prior *p = prior;
    BD_REQUIRE(sample >= 0, BD_E_ARG, "prior: sample %lld", (long long)sample);
    if (p->offset) {
        for (size_t i = 0; i < p->count; i++) add(&x[i], p->offset[i]);
        return BD_OK;
    }
    if (p->kind == BD_PRIOR_NOISE) return BD_OK;
    const uint8_t *image = p->images + (size_t)(sample % p->n_images) * p->count;
    for (size_t i = 0; i < p->count; i++) {
        float v = bd_pixel_float(image[i]);
        if (p->kind == BD_PRIOR_STAMPED) bd_trigger_stamp(&v, &v, &p->trigger[i], 1);
        add(&x[i], v);
    }
    return BD_OK;
}
