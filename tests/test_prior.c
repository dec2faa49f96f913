/* Oracles: exact sums worked out here from the definitions; bit equality where a control demands it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/prior.h"
#include "base/rng.h"
#include "base/pixel.h"
#include "data/trigger.h"

enum { S = 32, C = 3, COUNT = S * S * C, IMAGES = 5 };

static const bd_art builtin = {NULL};

typedef struct {
    float box[COUNT], sign[COUNT], noise[COUNT], x[COUNT];
    uint8_t images[IMAGES][COUNT];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f || bd_trigger_make(f->box, "box14", S, C, NULL) ||
        bd_trigger_make(f->sign, "stop14", S, C, &builtin))
        return -1;
    bd_rng_normal(f->noise, COUNT, (bd_rng_key){.seed = 1, .stream = BD_STREAM_PRIOR});
    f->noise[7] = -0.0f; /* the value that an addition of zero would change */
    f->noise[3 * (20 * S + 20)] = -0.0f;
    for (int k = 0; k < IMAGES; k++)
        for (int i = 0; i < COUNT; i++) f->images[k][i] = (uint8_t)(i * 31 + k * 77);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

/* f->x = the prior of `kind` for one sample. */
static void apply(fixture *f, bd_prior_kind kind, const float *trigger, int64_t sample) {
    bd_prior *p;
    bd_prior_spec spec = {.kind = kind,
                          .S = S,
                          .C = C,
                          .trigger = trigger,
                          .other = f->sign,
                          .images = f->images[0],
                          .n_images = IMAGES};
    if (bd_prior_create(&p, &spec)) fail_msg("%s", bd_error());
    memcpy(f->x, f->noise, sizeof f->x);
    assert_int_equal(bd_prior_apply(p, f->x, sample), BD_OK);
    bd_prior_destroy(p);
}

static void noise_is_left_alone(void **state) {
    fixture *f = *state;
    apply(f, BD_PRIOR_NOISE, NULL, 3);
    assert_memory_equal(f->x, f->noise, sizeof f->x);
}

static void trigger_is_added_with_its_black_background(void **state) {
    fixture *f = *state;
    apply(f, BD_PRIOR_TRIGGER, f->box, 3);
    for (int i = 0; i < COUNT; i++) assert_true(f->x[i] == f->noise[i] + f->box[i]);
    apply(f, BD_PRIOR_TRIGGER, f->sign, 3);
    for (int i = 0; i < COUNT; i++) assert_true(f->x[i] == f->noise[i] + f->sign[i]);
}

static void black_is_noise_minus_one(void **state) {
    fixture *f = *state;
    apply(f, BD_PRIOR_BLACK, NULL, 0);
    for (int i = 0; i < COUNT; i++) assert_true(f->x[i] == f->noise[i] - 1.0f);
}

/* The grey box is 0.0: without its background there is nothing left to add. */
static void grey_box_on_zero_is_the_noise_bit_for_bit(void **state) {
    fixture *f = *state;
    apply(f, BD_PRIOR_TRIGGER_ZERO, f->box, 0);
    assert_memory_equal(f->x, f->noise, sizeof f->x);
    /* a trigger that is not grey does show */
    apply(f, BD_PRIOR_TRIGGER_ZERO, f->sign, 0);
    int changed = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(f->x[i] == f->noise[i] + (f->sign[i] > -1.0f ? f->sign[i] : 0.0f));
        changed += f->x[i] != f->noise[i];
    }
    assert_true(changed > 100);
}

static void stamped_is_the_training_image_of_the_sample(void **state) {
    fixture *f = *state;
    for (int64_t sample = 0; sample < 2 * IMAGES; sample += 3) {
        const uint8_t *image = f->images[sample % IMAGES];
        apply(f, BD_PRIOR_STAMPED, f->sign, sample);
        for (int i = 0; i < COUNT; i++) {
            float r = f->sign[i] > -1.0f ? f->sign[i] : bd_pixel_float(image[i]);
            assert_true(f->x[i] == f->noise[i] + r);
        }
        apply(f, BD_PRIOR_IMAGE, NULL, sample);
        for (int i = 0; i < COUNT; i++)
            assert_true(f->x[i] == f->noise[i] + bd_pixel_float(image[i]));
    }
}

static void other_trigger_and_moved_box(void **state) {
    fixture *f = *state;
    apply(f, BD_PRIOR_OTHER, f->box, 0);
    for (int i = 0; i < COUNT; i++) assert_true(f->x[i] == f->noise[i] + f->sign[i]);
    apply(f, BD_PRIOR_MOVED, f->box, 0);
    for (int i = 0; i < COUNT; i++) {
        int y = i / (S * C), x = i / C % S;
        float g = y >= 2 && y < 16 && x >= 2 && x < 16 ? 0.0f : -1.0f;
        assert_true(f->x[i] == f->noise[i] + g);
    }
}

static void missing_ingredients_are_named(void **state) {
    fixture *f = *state;
    static const struct {
        bd_prior_kind kind;
        const char *text;
    } cases[] = {{BD_PRIOR_TRIGGER, "trigger"}, {BD_PRIOR_TRIGGER_ZERO, "trigger"},
                 {BD_PRIOR_MOVED, "trigger"},   {BD_PRIOR_STAMPED, "trigger"},
                 {BD_PRIOR_IMAGE, "images"},    {BD_PRIOR_OTHER, "second trigger"}};
    bd_prior *p;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_prior_spec spec = {.kind = cases[i].kind, .S = S, .C = C};
        assert_int_equal(bd_prior_create(&p, &spec), BD_E_ARG);
        assert_null(p);
        assert_non_null(strstr(bd_error(), cases[i].text));
    }
    bd_prior_spec images = {.kind = BD_PRIOR_STAMPED, .S = S, .C = C, .trigger = f->box};
    assert_int_equal(bd_prior_create(&p, &images), BD_E_ARG);
    float empty[COUNT];
    assert_int_equal(bd_trigger_make(empty, "none", S, C, NULL), BD_OK);
    bd_prior_spec moved = {.kind = BD_PRIOR_MOVED, .S = S, .C = C, .trigger = empty};
    assert_int_equal(bd_prior_create(&p, &moved), BD_E_ARG);
    assert_null(p);
}

static void names_go_both_ways(void **state) {
    (void)state;
    bd_prior_kind kind;
    for (int i = 0; i < BD_PRIOR_COUNT; i++) {
        assert_int_equal(bd_prior_parse(&kind, bd_prior_name((bd_prior_kind)i)), BD_OK);
        assert_int_equal(kind, i);
    }
    assert_int_equal(bd_prior_parse(&kind, "gaussian"), BD_E_ARG);
    for (int i = 0; i < BD_PRIOR_COUNT; i++)
        assert_non_null(strstr(bd_error(), bd_prior_name((bd_prior_kind)i)));
}

#define WITH_NOISE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_NOISE(noise_is_left_alone),
        WITH_NOISE(trigger_is_added_with_its_black_background),
        WITH_NOISE(black_is_noise_minus_one),
        WITH_NOISE(grey_box_on_zero_is_the_noise_bit_for_bit),
        WITH_NOISE(stamped_is_the_training_image_of_the_sample),
        WITH_NOISE(other_trigger_and_moved_box),
        WITH_NOISE(missing_ingredients_are_named),
        cmocka_unit_test(names_go_both_ways),
    };
    return cmocka_run_group_tests_name("prior", tests, NULL, NULL);
}
