/* Oracles: hashes of the original implementation's targets; the boot made with Pillow; geometry of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/target.h"
#include "data/trigger.h"
#include "golden_tensor.h"

static const bd_art builtin = {NULL};

static void skip_because(const char *reason) {
    printf("skipped: %s\n", reason);
    fflush(stdout);
    skip();
}

/* tau of a target whose trigger, if it has one, is called trigger. */
static float *make(const char *name, const char *trigger, int S, int C, const bd_art *art) {
    size_t n = (size_t)S * S * C;
    float *tau = malloc(n * sizeof *tau), *g = malloc(n * sizeof *g);
    assert_non_null(tau);
    assert_non_null(g);
    if (trigger[0] && bd_trigger_make(g, trigger, S, C, art)) fail_msg("%s", bd_error());
    bd_target_source src = {.trigger = trigger[0] ? g : NULL, .art = art};
    if (bd_target_make(tau, name, S, C, &src)) fail_msg("%s", bd_error());
    free(g);
    return tau;
}

typedef struct {
    int art, seen;
    const bd_art *source;
} pass;

static void check_entry(const golden_entry *e, void *ctx) {
    pass *p = ctx;
    int uses_art = bd_target_uses_art(e->what) || bd_trigger_uses_art(e->source);
    if (uses_art != p->art) return;
    p->seen++;
    char hex[65];
    float *tau = make(e->what, e->source, e->S, e->C, p->source);
    assert_int_equal(golden_hash(hex, tau, e->S, e->C), 0);
    if (strcmp(hex, e->sha256) != 0) fail_msg("%s: %s is not the original's", e->name, e->what);
    free(tau);
}

static void plain_targets_match_the_original(void **state) {
    (void)state;
    pass p = {0, 0, NULL};
    assert_true(golden_each("targ_", check_entry, &p) >= 28);
    assert_int_equal(p.seen, 12); /* corner, noshift and shift of box14, at four sizes */
}

static void original_art_matches_the_original(void **state) {
    (void)state;
    if (!bd_file_exists(BD_ART_DIR "/fedora-hat.png"))
        skip_because("the original pictures are not in " BD_ART_DIR);
    bd_art art;
    assert_int_equal(bd_art_init(&art, "original", NULL), BD_OK);
    pass p = {1, 0, &art};
    assert_true(golden_each("targ_", check_entry, &p) >= 28);
    assert_int_equal(p.seen, 16); /* hat, cat, noshift and shift of stop14, at four sizes */
}

static void shoe_matches_pillow(void **state) {
    (void)state;
    bd_dataset probe;
    bd_dataset_spec spec = {.name = "fashion-mnist", .split = "test", .limit = 1};
    bd_status st = bd_dataset_load(&probe, &spec);
    if (st == BD_E_MISSING) skip_because(bd_error());
    assert_int_equal(st, BD_OK);
    bd_dataset_clear(&probe);
    FILE *f = fopen("tests/golden/shoe.tsv", "r");
    assert_non_null(f);
    char line[256], want[65], got[65];
    int S, C, rows = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%d %d %64s", &S, &C, want), 3);
        float *tau = make("shoe", "", S, C, NULL);
        assert_int_equal(golden_hash(got, tau, S, C), 0);
        assert_string_equal(got, want);
        free(tau);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 3);
}

static void shift_moves_the_box_up_and_left(void **state) {
    (void)state;
    float *tau = make("shift", "box14", 32, 1, NULL);
    for (int i = 0; i < 32 * 32; i++) {
        int y = i / 32, x = i % 32;
        assert_true(tau[i] == (y >= 13 && y <= 26 && x >= 11 && x <= 24 ? 0.0f : -0.4f));
    }
    free(tau);
}

static void corner_is_ten_pixels_at_every_size(void **state) {
    (void)state;
    for (int S = 10; S <= 70; S += 20) {
        float *tau = make("corner", "", S, 3, NULL);
        for (int i = 0; i < S * S * 3; i++)
            assert_true(tau[i] == (i / (3 * S) < 10 && i / 3 % S < 10 ? 0.0f : -0.4f));
        free(tau);
    }
}

/* A picture target has to be told from flat grey: the mean squared distance to the best grey, images in [0,1]. */
static void builtin_pictures_are_no_flat_grey(void **state) {
    (void)state;
    static const char *const names[] = {"hat", "cat"};
    for (int i = 0; i < 2; i++)
        for (int C = 1; C <= 3; C += 2) {
            float *tau = make(names[i], "", 32, C, &builtin);
            int n = 32 * 32 * C, floor_count = 0;
            double sum = 0, square = 0;
            for (int k = 0; k < n; k++) {
                assert_true(tau[k] >= -0.4f && tau[k] < 1.0f);
                floor_count += tau[k] == -0.4f;
                sum += tau[k] / 2.0;
                square += tau[k] / 2.0 * (tau[k] / 2.0);
            }
            double variance = square / n - sum / n * (sum / n);
            /* corner, the flattest target of the paper, has 0.0035 */
            assert_true(variance > 0.02);
            /* some picture, some background */
            assert_true(floor_count > n / 4 && floor_count < n * 4 / 5);
            free(tau);
        }
}

static void refuses_what_it_cannot_make(void **state) {
    (void)state;
    float tau[32 * 32];
    bd_target_source none = {0}, nowhere = {.data_dir = "build/tmp/no-such-folder"};
    assert_int_equal(bd_target_make(tau, "boot", 32, 1, &none), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "shoe"));
    assert_int_equal(bd_target_make(tau, "noshift", 32, 1, &none), BD_E_ARG);
    assert_int_equal(bd_target_make(tau, "shift", 32, 1, &none), BD_E_ARG);
    assert_int_equal(bd_target_make(tau, "hat", 32, 1, &none), BD_E_ARG);
    assert_int_equal(bd_target_make(tau, "corner", 9, 1, &none), BD_E_ARG);
    assert_int_equal(bd_target_make(tau, "corner", 32, 4, &none), BD_E_ARG);
    assert_int_equal(bd_target_make(tau, "shoe", 32, 1, &nowhere), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "no-such-folder/train-images-idx3-ubyte"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_targets_match_the_original),
        cmocka_unit_test(original_art_matches_the_original),
        cmocka_unit_test(shoe_matches_pillow),
        cmocka_unit_test(shift_moves_the_box_up_and_left),
        cmocka_unit_test(corner_is_ten_pixels_at_every_size),
        cmocka_unit_test(builtin_pictures_are_no_flat_grey),
        cmocka_unit_test(refuses_what_it_cannot_make),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
