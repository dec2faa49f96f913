/* Oracles: bit equality (workers, cuts, memory against files), distances that are 0 or must not be, planted
 * statistics; names and messages. The network itself is checked by test_inception.c. */
#include <math.h>
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
#include "cpu/cpu.h"
#include "hash_inception.h"
#include "io/png.h"
#include "metric/fid.h"

#define TMP "build/tmp/test_fid"
#define WEIGHTS TMP "/weights.safetensors"

/* One more image than a worker takes in one go. */
enum { N = 9, S = 24, C = 3, PIXELS = S * S * C };

typedef struct {
    bd_pool *pool;
    bd_fid *fid;
    uint8_t images[N * PIXELS];
} fixture;

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

/* Soft waves of other length and colour in each image. */
static void paint(uint8_t *images) {
    for (int i = 0; i < N * PIXELS; i++) {
        int n = i / PIXELS, p = i % PIXELS / C, c = i % C;
        double phase = (1 + n % 3) * (p / S) * 0.3 + (1 + n / 3) * (p % S) * 0.2 + c * n;
        images[i] = (uint8_t)(127.5 + 120 * sin(phase));
    }
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    ok(bd_file_remove_tree(TMP));
    hash_inception_save(TMP, WEIGHTS, 0.3);
    ok(bd_pool_create(&f->pool, 1));
    ok(bd_fid_create(&f->fid, &bd_backend_cpu, f->pool, WEIGHTS));
    paint(f->images);
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_fid_destroy(f->fid);
    bd_pool_destroy(f->pool);
    free(f);
    return 0;
}

static bd_image_set set_of(const uint8_t *images, int n) {
    return (bd_image_set){.n = n, .h = S, .w = S, .c = C, .u8 = images};
}

static bd_statistics statistics(bd_fid *fid, const uint8_t *images, int n) {
    bd_image_set set = set_of(images, n);
    bd_image_source source = bd_image_source_of(&set);
    bd_statistics s;
    ok(bd_fid_statistics(&s, fid, &source, NULL));
    assert_int_equal(s.n, n);
    assert_int_equal(s.d, 2048);
    return s;
}

static void assert_same_bits(const bd_statistics *a, const bd_statistics *b) {
    size_t d = (size_t)a->d;
    assert_memory_equal(a->mean, b->mean, d * sizeof(double));
    assert_memory_equal(a->cov, b->cov, d * d * sizeof(double));
}

/* The images as PNG files, image i under the name that comes at place order(i). */
static void save_folder(const char *dir, const uint8_t *images, int n, bool backwards) {
    ok(bd_file_mkdirs(dir));
    for (int i = 0; i < n; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%03d.png", dir, backwards ? n - 1 - i : i);
        const bd_image image = {S, S, C, (uint8_t *)(size_t)(images + (size_t)i * PIXELS)};
        ok(bd_png_save(path, &image));
    }
}

/* A folder read file by file by three workers gives the bits of the set in memory on one; the same files under
 * other names are at distance 0; other images are not. */
static void folders_order_and_workers(void **state) {
    fixture *f = *state;
    bd_statistics memory = statistics(f->fid, f->images, N), folder, turned, other;
    bd_pool *pool;
    bd_fid *fid;
    bd_image_source source;
    ok(bd_pool_create(&pool, 3));
    ok(bd_fid_create(&fid, &bd_backend_cpu, pool, WEIGHTS));
    save_folder(TMP "/a", f->images, N, false);
    const bd_image grid = {S, S, C, f->images};
    ok(bd_png_save(TMP "/a/grid.png", &grid)); /* no image of the set */
    ok(bd_image_folder_open(&source, TMP "/a"));
    ok(bd_fid_statistics(&folder, fid, &source, NULL));
    bd_image_source_close(&source);
    assert_int_equal(folder.n, N);
    assert_same_bits(&folder, &memory);

    save_folder(TMP "/turned", f->images, N, true);
    ok(bd_image_folder_open(&source, TMP "/turned"));
    ok(bd_fid_statistics(&turned, fid, &source, NULL));
    bd_image_source_close(&source);
    for (int i = 0; i < N * PIXELS; i++) f->images[i] = (uint8_t)(f->images[i] / 2);
    other = statistics(fid, f->images, N);
    paint(f->images);
    bd_fid_destroy(fid);
    bd_pool_destroy(pool);

    double same = 1, order = 1, apart = 0;
    ok(bd_statistics_distance(&same, &memory, &folder));
    ok(bd_statistics_distance(&order, &memory, &turned));
    ok(bd_statistics_distance(&apart, &memory, &other));
    print_message("same %.2g, other order %.2g, darker %.4g\n", same, order, apart);
    assert_true(fabs(same) <= 1e-6 && fabs(order) <= 1e-6);
    assert_true(apart > 1e-2);
    bd_statistics_clear(&memory);
    bd_statistics_clear(&folder);
    bd_statistics_clear(&turned);
    bd_statistics_clear(&other);
}

/* Bytes and the floats that they stand for, grey and three equal channels: the same network input. */
static void encodings_agree(void **state) {
    fixture *f = *state;
    enum { TWO = 2, GREY = S * S };
    float x[TWO * GREY];
    uint8_t three[TWO * PIXELS], grey[TWO * GREY];
    for (int i = 0; i < TWO * GREY; i++) {
        grey[i] = three[3 * i] = three[3 * i + 1] = three[3 * i + 2] = f->images[i];
        x[i] = (float)grey[i] / 255.0F;
    }
    bd_image_set sets[] = {set_of(three, TWO),
                           {.n = TWO, .h = S, .w = S, .c = 1, .u8 = grey},
                           {.n = TWO, .h = S, .w = S, .c = 1, .f32 = x}};
    bd_statistics s[3];
    for (int i = 0; i < 3; i++) {
        bd_image_source source = bd_image_source_of(&sets[i]);
        ok(bd_fid_statistics(&s[i], f->fid, &source, NULL));
        assert_same_bits(&s[i], &s[0]);
    }
    for (int i = 0; i < 3; i++) bd_statistics_clear(&s[i]);
}

static void trouble_is_reported(void **state) {
    fixture *f = *state;
    bd_image_set set = set_of(f->images, 1);
    bd_image_source source = bd_image_source_of(&set);
    bd_statistics s;
    assert_int_equal(bd_fid_statistics(&s, f->fid, &source, NULL), BD_E_ARG);
    set.n = source.n = 2;
    volatile sig_atomic_t stop = 1;
    assert_int_equal(bd_fid_statistics(&s, f->fid, &source, &stop), BD_E_INTERRUPT);
    set.c = 2;
    assert_int_equal(bd_fid_statistics(&s, f->fid, &source, NULL), BD_E_SHAPE);

    assert_int_equal(bd_image_folder_open(&source, TMP "/nowhere"), BD_E_MISSING);
    ok(bd_file_mkdirs(TMP "/broken"));
    assert_int_equal(bd_image_folder_open(&source, TMP "/broken"), BD_E_MISSING);
    save_folder(TMP "/broken", f->images, 1, false);
    ok(bd_file_write(TMP "/broken/zero.png", "no picture", 10));
    ok(bd_image_folder_open(&source, TMP "/broken"));
    assert_int_equal(source.n, 2);
    assert_int_equal(bd_fid_statistics(&s, f->fid, &source, NULL), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "broken/zero.png"));
    bd_image_source_close(&source);
}

static void names_say_whose_weights(void **state) {
    fixture *f = *state;
    char name[96], path[512], sha[65];
    static const char published[] = BD_FID_PUBLISHED "00112233";
    ok(bd_fid_name(name, sizeof name, 10000, 50000, published));
    assert_string_equal(name, "fid-10000/50000-inception");
    ok(bd_fid_name(name, sizeof name, 200, 300, "0123456789abcdef"));
    assert_string_equal(name, "fid-200/300-inception.01234567");
    assert_int_equal(bd_fid_name(name, 12, 200, 300, published), BD_E_ARG);
    ok(bd_sha256_file(sha, WEIGHTS));
    assert_string_equal(bd_fid_sha256(f->fid), sha);

    ok(bd_fid_weights(path, sizeof path, WEIGHTS));
    assert_string_equal(path, WEIGHTS);
    assert_int_equal(bd_fid_weights(path, sizeof path, TMP "/other.pth"), BD_E_MISSING);
    ok(bd_file_mkdirs(TMP "/data/inception"));
    assert_int_equal(setenv("BADDIFF_DATA", TMP "/data", 1), 0);
    ok(bd_file_write(TMP "/data/inception/" BD_FID_WEIGHTS, "x", 1));
    ok(bd_fid_weights(path, sizeof path, ""));
    assert_string_equal(path, TMP "/data/inception/" BD_FID_WEIGHTS);
    ok(bd_file_remove(path));
    if (bd_fid_weights(path, sizeof path, "")) { /* not in data either */
        assert_non_null(strstr(bd_error(), BD_FID_WEIGHTS));
        assert_non_null(strstr(bd_error(), "make fetch DATA=inception"));
    }
    assert_int_equal(unsetenv("BADDIFF_DATA"), 0);
    bd_fid *fid;
    assert_int_equal(bd_fid_create(&fid, &bd_backend_cpu, f->pool, TMP "/other.pth"), BD_E_MISSING);
    assert_null(fid);
}

/* Kept statistics are used: planted ones come back. They are not when pixels or bytes of the file differ. */
static void kept_statistics(void **state) {
    fixture *f = *state;
    bd_image_set set = set_of(f->images, 2);
    bd_image_source source = bd_image_source_of(&set);
    bd_statistics first, again, planted;
    char **names, path[512], *text;
    size_t n, size;
    void *bytes;
    ok(bd_fid_statistics_kept(&first, f->fid, &source, TMP "/kept", "waves/test 24x24x3-u8", NULL));
    ok(bd_file_list(&names, &n, TMP "/kept", ""));
    assert_int_equal(n, 1);
    snprintf(path, sizeof path, TMP "/kept/%s", names[0]);
    snprintf(path + 400, 100, "waves_test_24x24x3-u8-2-inception-%.12s.safetensors",
             bd_fid_sha256(f->fid));
    assert_string_equal(names[0], path + 400);
    bd_file_list_free(names, n);

    ok(bd_file_read(&bytes, &size, path, 0));
    text = bytes;
    char *from = memmem(text, size, "waves/test", 10), definition[800];
    assert_non_null(from);
    snprintf(definition, sizeof definition, "%.*s", (int)strcspn(from, "\""), from);
    ok(bd_statistics_load(&planted, path, definition));
    planted.mean[7] += 1;
    ok(bd_statistics_save(&planted, path, definition));
    ok(bd_fid_statistics_kept(&again, f->fid, &source, TMP "/kept", "waves/test 24x24x3-u8", NULL));
    assert_same_bits(&again, &planted);
    bd_statistics_clear(&again);
    bd_statistics_clear(&planted);

    text[size - 5] ^= 1; /* damaged: made anew, and sound again */
    ok(bd_file_write(path, bytes, size));
    free(bytes);
    ok(bd_fid_statistics_kept(&again, f->fid, &source, TMP "/kept", "waves/test 24x24x3-u8", NULL));
    assert_same_bits(&again, &first);
    bd_statistics_clear(&again);
    ok(bd_statistics_load(&again, path, definition));
    assert_same_bits(&again, &first);
    bd_statistics_clear(&again);

    f->images[5] ^= 64; /* one pixel: other images under the same label */
    ok(bd_fid_statistics_kept(&again, f->fid, &source, TMP "/kept", "waves/test 24x24x3-u8", NULL));
    assert_memory_not_equal(again.mean, first.mean, 2048 * sizeof(double));
    paint(f->images);
    bd_statistics_clear(&again);
    bd_statistics_clear(&first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_order_and_workers), cmocka_unit_test(encodings_agree),
        cmocka_unit_test(trouble_is_reported),       cmocka_unit_test(names_say_whose_weights),
        cmocka_unit_test(kept_statistics),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
