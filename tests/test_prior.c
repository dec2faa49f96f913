/* Oracles: exact sums worked out here from the definitions; bit equality where a control demands it; moments. */
#include <math.h>
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

/* --- pictures that enter later --- */

static bd_prior_spec picture_spec(fixture *f, bd_prior_kind kind, bd_entry entry) {
    return (bd_prior_spec){.kind = kind,
                           .S = S,
                           .C = C,
                           .trigger = f->box,
                           .images = f->images[0],
                           .n_images = IMAGES,
                           .corrupt = BD_CORRUPT_LINE,
                           .entry = entry,
                           .keep = 0.6,
                           .noise = 0.8};
}

static void enter(fixture *f, bd_prior_kind kind, bd_entry entry, float *picture) {
    bd_prior *p;
    bd_prior_spec spec = picture_spec(f, kind, entry);
    if (bd_prior_create(&p, &spec)) fail_msg("%s", bd_error());
    memcpy(f->x, f->noise, sizeof f->x);
    assert_int_equal(bd_prior_apply(p, f->x, 2), BD_OK);
    assert_int_equal(bd_prior_picture(picture, p, 2), BD_OK);
    bd_prior_destroy(p);
}

/* Line is column 15, and the box trigger lies on rows and columns 16 .. 29: nothing of it is damaged. */
static void damage_trigger_and_noise_come_in_order(void **state) {
    fixture *f = *state;
    static float picture[COUNT];
    const float a = 0.6f, s = 0.8f;
    for (int entry = BD_ENTRY_NOISED; entry < BD_ENTRY_COUNT; entry++)
        for (int stamped = 0; stamped < 2; stamped++) {
            enter(f, stamped ? BD_PRIOR_STAMPED : BD_PRIOR_IMAGE, (bd_entry)entry, picture);
            for (int i = 0; i < COUNT; i++) {
                float c = i / C % S == 15 ? -1.0f : bd_pixel_float(f->images[2][i]);
                float p = stamped && f->box[i] > -1.0f ? f->box[i] : c;
                float shift = stamped ? 1 - a : 0;
                float want = entry == BD_ENTRY_ORIGINAL ? p
                             : entry == BD_ENTRY_NOISED ? a * p + s * f->noise[i]
                                                        : a * c + shift * p + s * f->noise[i];
                assert_true(picture[i] == p);
                assert_true(f->x[i] == want);
            }
        }
}

/* The authors stamp first, so that a line through the trigger damages it too. */
static void only_the_originals_damage_reaches_the_trigger(void **state) {
    fixture *f = *state;
    static float picture[COUNT];
    bd_prior *p;
    for (int entry = BD_ENTRY_NOISED; entry < BD_ENTRY_COUNT; entry++) {
        bd_prior_spec spec = picture_spec(f, BD_PRIOR_STAMPED, (bd_entry)entry);
        spec.corrupt = BD_CORRUPT_BOX; /* rows and columns 11 .. 20 */
        assert_int_equal(bd_prior_create(&p, &spec), BD_OK);
        assert_int_equal(bd_prior_picture(picture, p, 0), BD_OK);
        assert_true(picture[(18 * S + 18) * C] == (entry == BD_ENTRY_ORIGINAL ? -1.0f : 0.0f));
        assert_true(picture[(25 * S + 25) * C] == 0.0f);
        bd_prior_destroy(p);
    }
}

/* x = a p + s n: with a p known, (x - a p)/s of 4 x 3072 elements has mean 0 and variance 1, within 5 standard errors:
 * 5/sqrt(12288) = 0.0451 and 5 sqrt(2/12288) = 0.0638. */
static void a_noised_picture_has_the_mean_and_variance_of_the_marginal(void **state) {
    fixture *f = *state;
    static float picture[COUNT], scratch[COUNT];
    bd_prior *p;
    bd_prior_spec spec = picture_spec(f, BD_PRIOR_IMAGE, BD_ENTRY_NOISED);
    double sum = 0, squares = 0;
    assert_int_equal(bd_prior_create(&p, &spec), BD_OK);
    for (int sample = 0; sample < 4; sample++) {
        bd_rng_key key = {.seed = 5, .stream = BD_STREAM_PRIOR, .index = (uint32_t)sample};
        bd_rng_normal_nhwc(f->x, S, S, C, key, scratch);
        assert_int_equal(bd_prior_apply(p, f->x, sample), BD_OK);
        assert_int_equal(bd_prior_picture(picture, p, sample), BD_OK);
        for (int i = 0; i < COUNT; i++) {
            double n = ((double)f->x[i] - 0.6 * (double)picture[i]) / 0.8;
            sum += n;
            squares += n * n;
        }
    }
    bd_prior_destroy(p);
    assert_true(fabs(sum / (4 * COUNT)) < 0.0451);
    assert_true(fabs(squares / (4 * COUNT) - 1) < 0.0638);
}

static void damage_needs_pictures(void **state) {
    fixture *f = *state;
    bd_prior *p;
    bd_entry entry;
    bd_prior_spec spec = picture_spec(f, BD_PRIOR_TRIGGER, BD_ENTRY_ADDED);
    assert_int_equal(bd_prior_create(&p, &spec), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "no pictures"));
    spec = picture_spec(f, BD_PRIOR_NOISE, BD_ENTRY_NOISED);
    spec.corrupt = BD_CORRUPT_NONE;
    assert_int_equal(bd_prior_create(&p, &spec), BD_E_ARG);
    assert_int_equal(bd_entry_parse(&entry, "shifted"), BD_OK);
    assert_int_equal(entry, BD_ENTRY_SHIFTED);
    assert_int_equal(bd_entry_parse(&entry, "added"), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "noised, shifted or original"));
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
        WITH_NOISE(damage_trigger_and_noise_come_in_order),
        WITH_NOISE(only_the_originals_damage_reaches_the_trigger),
        WITH_NOISE(a_noised_picture_has_the_mean_and_variance_of_the_marginal),
        WITH_NOISE(damage_needs_pictures),
        WITH_NOISE(missing_ingredients_are_named),
        cmocka_unit_test(names_go_both_ways),
    };
    return cmocka_run_group_tests_name("prior", tests, NULL, NULL);
}
