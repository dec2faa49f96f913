/* Oracles: hashes of the original implementation's triggers; geometry and counts of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/trigger.h"
#include "golden_tensor.h"

static const bd_art builtin = {NULL};

static float *make(const char *name, int S, int C, const bd_art *art) {
    float *g = malloc((size_t)S * S * C * sizeof *g);
    assert_non_null(g);
    if (bd_trigger_make(g, name, S, C, art)) fail_msg("%s", bd_error());
    return g;
}

static int above(const float *g, int S, int C) {
    int n = 0;
    for (int i = 0; i < S * S * C; i++) n += g[i] > -1.0f;
    return n;
}

/* What a pass over the golden file looks at, and how often it did. */
typedef struct {
    int art, seen;
    const bd_art *source;
} pass;

static void check_entry(const golden_entry *e, void *ctx) {
    pass *p = ctx;
    if (bd_trigger_uses_art(e->what) != p->art) return;
    p->seen++;
    char hex[65];
    float *g = make(e->what, e->S, e->C, p->source);
    assert_int_equal(above(g, e->S, e->C), e->above);
    assert_int_equal(golden_hash(hex, g, e->S, e->C), 0);
    if (strcmp(hex, e->sha256) != 0) fail_msg("%s: %s is not the original's", e->name, e->what);
    free(g);
}

static void boxes_match_the_original(void **state) {
    (void)state;
    pass p = {0, 0, NULL};
    assert_true(golden_each("trig_", check_entry, &p) >= 40);
    assert_int_equal(p.seen, 20); /* five boxes at 32x1, 32x3, 64x3, 256x3 */
}

static void original_art_matches_the_original(void **state) {
    (void)state;
    if (!bd_file_exists(BD_ART_DIR "/glasses.png")) {
        printf("skipped: the original pictures are not in " BD_ART_DIR "\n");
        fflush(stdout);
        skip();
    }
    bd_art art;
    assert_int_equal(bd_art_init(&art, "original", NULL), BD_OK);
    pass p = {1, 0, &art};
    assert_true(golden_each("trig_", check_entry, &p) >= 40);
    assert_int_equal(p.seen, 24); /* five signs and the glasses at the four sizes */
}

/* $BADDIFF_DATA/art comes before data/art; here a grey square in place of the hat. */
static void original_art_is_found_by_itself(void **state) {
    (void)state;
    uint8_t grey[4 * 4];
    memset(grey, 77, sizeof grey);
    const bd_image square = {4, 4, 1, grey};
    bd_art art;
    bd_image img;
    assert_int_equal(bd_file_mkdirs("build/tmp/test_trigger/art"), BD_OK);
    assert_int_equal(bd_png_save("build/tmp/test_trigger/art/fedora-hat.png", &square), BD_OK);
    setenv("BADDIFF_DATA", "build/tmp/test_trigger", 1);
    assert_int_equal(bd_art_init(&art, "original", NULL), BD_OK);
    assert_int_equal(bd_art_image(&img, &art, BD_ART_HAT, 1), BD_OK);
    assert_int_equal(img.w, 4);
    assert_int_equal(img.pixels[15], 77);
    bd_image_clear(&img);
    unsetenv("BADDIFF_DATA");
    assert_int_equal(bd_art_init(&art, "original", "build/tmp/test_trigger/nowhere"), BD_OK);
    assert_int_equal(bd_art_image(&img, &art, BD_ART_HAT, 1), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "make fetch DATA=art"));
}

static void box_geometry_at_any_size(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int n;
    } boxes[] = {{"box18", 18}, {"box14", 14}, {"box11", 11}, {"box8", 8}, {"box4", 4}};
    for (size_t b = 0; b < 5; b++)
        for (int S = boxes[b].n + 2; S < 60; S += 7) {
            float *g = make(boxes[b].name, S, 3, NULL);
            int lo = S - boxes[b].n - 2, hi = S - 3;
            for (int i = 0; i < S * S * 3; i++) {
                int y = i / (3 * S), x = i / 3 % S;
                int in = y >= lo && y <= hi && x >= lo && x <= hi;
                assert_true(g[i] == (in ? 0.0f : -1.0f));
            }
            free(g);
        }
    float g;
    assert_int_equal(bd_trigger_make(&g, "box14", 15, 1, NULL), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "16x16"));
}

static void none_is_empty(void **state) {
    (void)state;
    float *g = make("none", 32, 3, NULL);
    assert_int_equal(above(g, 32, 3), 0);
    free(g);
}

/* Drawn with exact arithmetic: the bytes are pinned. Draw anew, look at the picture, then change this. */
static void builtin_art_is_the_same_everywhere(void **state) {
    (void)state;
    static const char *const want[BD_ART_COUNT] = {
        "ff5038fb63b9768fe31fc22c49ff1bfb0efcac64cda921a5b373d57d2d98de35",
        "0c32e3b0c1dfd7c600956a482fe1e583fce67780e12103d8cef7a2fbdba89dc2",
        "0267c43310efa7f621e45c3a9f3f54f36981c5ed5b44ca245094ffe88071419c",
        "372553820e8ad3c5e369a1a4a3959d2b390275dec5970a70bd7eabbc338f9ffb",
    };
    for (int id = 0; id < BD_ART_COUNT; id++) {
        bd_image img;
        char hex[65];
        assert_int_equal(bd_art_image(&img, &builtin, (bd_art_id)id, 3), BD_OK);
        assert_int_equal(bd_sha256_buffer(hex, img.pixels, (size_t)img.w * img.h * 3), BD_OK);
        bd_image_clear(&img);
        assert_string_equal(hex, want[id]);
    }
}

static void builtin_signs_sit_in_the_corner(void **state) {
    (void)state;
    static const int sizes[] = {18, 14, 11, 8, 4};
    for (int i = 0; i < 5; i++) {
        char name[16];
        int lo = 32 - sizes[i] - 2;
        snprintf(name, sizeof name, "stop%d", sizes[i]);
        for (int C = 1; C <= 3; C += 2) {
            float *g = make(name, 32, C, &builtin);
            for (int k = 0; k < 32 * 32 * C; k++) {
                int y = k / (32 * C), x = k / C % 32;
                if (y < lo || y > 29 || x < lo || x > 29) assert_true(g[k] == -1.0f);
                assert_true(g[k] < 0.999f);
            }
            /* a ring with a bar covers about half of its square */
            assert_true(above(g, 32, C) >= sizes[i] * sizes[i] / 4);
            free(g);
        }
    }
}

/* As the original sign: red without green and blue, which byte 0 leaves to the image, on white. */
static void builtin_sign_is_red_on_white(void **state) {
    (void)state;
    bd_image img;
    assert_int_equal(bd_art_image(&img, &builtin, BD_ART_STOP_SIGN, 3), BD_OK);
    int red = 0, white = 0, all = img.w * img.h;
    for (int i = 0; i < all; i++) {
        const uint8_t *p = img.pixels + 3 * i;
        assert_int_equal(p[1], p[2]);
        assert_true(p[0] >= 226);
        red += p[0] == 226 && p[1] == 0;
        white += p[0] == 255 && p[1] == 255;
    }
    bd_image_clear(&img);
    assert_true(red > all / 4 && white > all / 4);
    assert_true(all - red - white < all / 50); /* edges */
}

static void builtin_glasses_are_centred_and_thin(void **state) {
    (void)state;
    float *g = make("glasses", 32, 1, &builtin);
    int n = above(g, 32, 1), left = 0, right = 0, first = 32, last = -1;
    for (int i = 0; i < 32 * 32; i++) {
        int y = i / 32, x = i % 32;
        if (g[i] <= -1.0f) continue;
        assert_true(y >= 6 && y < 26 && x >= 6 && x < 26);
        left += x < 16;
        right += x >= 16;
        first = x < first ? x : first;
        last = x > last ? x : last;
    }
    assert_true(last - first >= 17);  /* drawn nearly as wide as its 20 pixels */
    assert_true(n >= 60 && n <= 200); /* frames, not discs: the 20 x 20 square has 400 */
    assert_true(left >= 25 && right >= 25);
    free(g);
}

static void stamp_takes_the_image_where_the_trigger_is_background(void **state) {
    (void)state;
    const float g[4] = {-1.0f, 0.0f, -0.99f, -1.0f}, y[4] = {0.5f, 0.25f, 0.125f, -0.5f};
    float r[4];
    bd_trigger_stamp(r, y, g, 4);
    assert_true(r[0] == 0.5f && r[1] == 0.0f && r[2] == -0.99f && r[3] == -0.5f);
}

static void moving_goes_to_the_opposite_corner_and_back(void **state) {
    (void)state;
    float *g = make("box14", 32, 3, NULL), *m = make("none", 32, 3, NULL),
          *back = make("none", 32, 3, NULL);
    assert_int_equal(bd_trigger_move(m, g, 32, 3), BD_OK);
    for (int i = 0; i < 32 * 32 * 3; i++) {
        int y = i / 96, x = i / 3 % 32;
        assert_true(m[i] == (y >= 2 && y < 16 && x >= 2 && x < 16 ? 0.0f : -1.0f));
    }
    assert_int_equal(bd_trigger_move(back, m, 32, 3), BD_OK);
    assert_memory_equal(back, g, sizeof(float) * 32 * 32 * 3);
    float *sign = make("stop14", 32, 3, &builtin);
    assert_int_equal(bd_trigger_move(m, sign, 32, 3), BD_OK);
    assert_int_equal(above(m, 32, 3), above(sign, 32, 3));
    free(sign);
    free(back);
    free(m);
    free(g);
}

static void centred_and_empty_triggers_cannot_move(void **state) {
    (void)state;
    float *g = make("glasses", 32, 1, &builtin), *m = make("none", 32, 1, NULL),
          *e = make("none", 32, 1, NULL);
    assert_int_equal(bd_trigger_move(m, g, 32, 1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "centred"));
    assert_int_equal(bd_trigger_move(m, e, 32, 1), BD_E_ARG);
    free(e);
    free(m);
    free(g);
}

static void refuses_what_it_does_not_know(void **state) {
    (void)state;
    float g[32 * 32 * 3];
    bd_art art, nowhere = {"build/tmp/no-such-folder"};
    assert_int_equal(bd_trigger_make(g, "box15", 32, 3, NULL), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "box14"));
    assert_int_equal(bd_trigger_make(g, "box14", 32, 2, NULL), BD_E_ARG);
    assert_int_equal(bd_trigger_make(g, "stop14", 32, 3, NULL), BD_E_ARG);
    assert_int_equal(bd_trigger_make(g, "stop14", 32, 3, &nowhere), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "no-such-folder/stop_sign_wo_bg.png"));
    assert_int_equal(bd_art_init(&art, "drawn", NULL), BD_E_ARG);
    assert_int_equal(bd_art_init(&art, "builtin", NULL), BD_OK);
    assert_string_equal(bd_art_name(&art), "builtin");
    assert_int_equal(bd_art_init(&art, "original", NULL), BD_OK);
    assert_string_equal(bd_art_name(&art), "original");
}

/* Every name in the help text works, and only pictures depend on art. */
static void every_listed_name_works(void **state) {
    (void)state;
    char names[256];
    int n = 0, with_art = 0;
    snprintf(names, sizeof names, "%s", bd_trigger_names());
    for (char *save, *name = strtok_r(names, ", ", &save); name;
         name = strtok_r(NULL, ", ", &save), n++) {
        free(make(name, 32, 1, &builtin));
        with_art += bd_trigger_uses_art(name) != 0;
    }
    assert_int_equal(n, 12);
    assert_int_equal(with_art, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_match_the_original),
        cmocka_unit_test(original_art_matches_the_original),
        cmocka_unit_test(original_art_is_found_by_itself),
        cmocka_unit_test(box_geometry_at_any_size),
        cmocka_unit_test(none_is_empty),
        cmocka_unit_test(builtin_art_is_the_same_everywhere),
        cmocka_unit_test(builtin_signs_sit_in_the_corner),
        cmocka_unit_test(builtin_sign_is_red_on_white),
        cmocka_unit_test(builtin_glasses_are_centred_and_thin),
        cmocka_unit_test(stamp_takes_the_image_where_the_trigger_is_background),
        cmocka_unit_test(moving_goes_to_the_opposite_corner_and_back),
        cmocka_unit_test(centred_and_empty_triggers_cannot_move),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(every_listed_name_works),
    };
    return cmocka_run_group_tests_name("trigger", tests, NULL, NULL);
}
