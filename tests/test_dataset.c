/* Oracles: hashes of the data set resized by Pillow (tests/golden/make_resize.py); small files written here. */
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
#include "data/dataset.h"

#define ROOT "build/tmp/test_dataset"
#define DIR ROOT "/fashion-mnist"

enum { TRAIN = 5, TEST = 3, SIDE = 28 };

/* An IDX file: images of n sides x side when side > 0, else labels; bytes 0, 7, 14 ... from `first`. */
static void write_idx(const char *dir, const char *name, int n, int side, int first) {
    char path[256];
    size_t header = side ? 16 : 8, body = (size_t)n * (side ? (size_t)side * side : 1);
    uint8_t *b = calloc(1, header + body);
    assert_non_null(b);
    b[2] = 8;
    b[3] = side ? 3 : 1;
    b[7] = (uint8_t)n;
    if (side) b[11] = b[15] = (uint8_t)side;
    for (size_t i = 0; i < body; i++)
        b[header + i] = (uint8_t)(side ? 7 * i + (size_t)first : (i + (size_t)first) % 10);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(bd_file_mkdirs(dir), BD_OK);
    assert_int_equal(bd_file_write(path, b, header + body), BD_OK);
    free(b);
}

static int setup(void **state) {
    (void)state;
    if (bd_file_remove_tree(ROOT)) return -1;
    unsetenv("BADDIFF_DATA");
    write_idx(DIR, "train-images-idx3-ubyte", TRAIN, SIDE, 1);
    write_idx(DIR, "train-labels-idx1-ubyte", TRAIN, 0, 3);
    write_idx(DIR, "t10k-images-idx3-ubyte", TEST, SIDE, 100);
    write_idx(DIR, "t10k-labels-idx1-ubyte", TEST, 0, 8);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unsetenv("BADDIFF_DATA");
    return 0;
}

static bd_status load(bd_dataset *d, const char *split, int size, int limit) {
    bd_dataset_spec spec = {
        .name = "fashion-mnist", .split = split, .dir = DIR, .size = size, .limit = limit};
    return bd_dataset_load(d, &spec);
}

static void fashion_mnist_matches_pillow(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/fashion.tsv", "r");
    assert_non_null(f);
    char line[256], split[16], want[65];
    int limit, rows = 0, missing = 0;
    while (!missing && fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%15s %d %64s", split, &limit, want), 3);
        bd_dataset_spec spec = {.name = "fashion-mnist", .split = split, .limit = limit};
        bd_dataset d;
        bd_status st = bd_dataset_load(&d, &spec);
        missing = st == BD_E_MISSING;
        if (missing) break;
        assert_int_equal(st, BD_OK);
        assert_string_equal(d.sha256, want);
        assert_int_equal(d.h, 32);
        assert_int_equal(d.c, 1);
        if (strcmp(split, "train") == 0)
            assert_string_equal(bd_dataset_class_name(&d, d.labels[0]), "ankle boot");
        if (limit == 0) { /* the classes are balanced: one tenth each */
            int of[10] = {0};
            for (int i = 0; i < d.n; i++) of[d.labels[i]]++;
            for (int k = 0; k < 10; k++) assert_int_equal(of[k], d.n / 10);
        }
        bd_dataset_clear(&d);
        rows++;
    }
    fclose(f);
    if (missing) {
        printf("skipped: %s\n", bd_error());
        fflush(stdout);
        skip();
    }
    assert_int_equal(rows, 5);
}

static void same_size_keeps_every_byte(void **state) {
    (void)state;
    bd_dataset d;
    assert_int_equal(load(&d, "train", SIDE, 0), BD_OK);
    assert_int_equal(d.n, TRAIN);
    assert_int_equal(d.classes, 10);
    assert_string_equal(d.name, "fashion-mnist");
    assert_string_equal(d.split, "train");
    assert_string_equal(d.dir, DIR);
    for (int i = 0; i < TRAIN * SIDE * SIDE; i++)
        assert_int_equal(d.images[i], (uint8_t)(7 * i + 1));
    for (int i = 0; i < TRAIN; i++) assert_int_equal(d.labels[i], i + 3);
    char hex[65];
    assert_int_equal(bd_sha256_buffer(hex, d.images, TRAIN * SIDE * SIDE), BD_OK);
    assert_string_equal(hex, d.sha256);
    bd_dataset_clear(&d);
}

static void train_comes_before_test_and_limit_cuts(void **state) {
    (void)state;
    bd_dataset all, test, some;
    size_t one = 32 * 32;
    assert_int_equal(load(&all, "train+test", 0, 0), BD_OK);
    assert_int_equal(load(&test, "test", 0, 0), BD_OK);
    assert_int_equal(load(&some, "train+test", 0, TRAIN + 1), BD_OK);
    assert_int_equal(all.n, TRAIN + TEST);
    assert_int_equal(test.n, TEST);
    assert_int_equal(some.n, TRAIN + 1);
    assert_memory_equal(all.images + TRAIN * one, test.images, TEST * one);
    assert_memory_equal(all.labels + TRAIN, test.labels, TEST * sizeof *test.labels);
    assert_memory_equal(all.images, some.images, (TRAIN + 1) * one);
    assert_string_not_equal(all.sha256, some.sha256);
    bd_dataset_clear(&all);
    bd_dataset_clear(&test);
    bd_dataset_clear(&some);
}

static void environment_names_the_folder(void **state) {
    (void)state;
    bd_dataset d;
    bd_dataset_spec spec = {.name = "fashion-mnist", .split = "train"};
    setenv("BADDIFF_DATA", ROOT, 1);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
    assert_int_equal(d.n, TRAIN);
    assert_string_equal(d.dir, DIR);
    bd_dataset_clear(&d);
    /* a folder that does not exist is a mistake, not a reason to look elsewhere */
    setenv("BADDIFF_DATA", ROOT "/nowhere", 1);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "BADDIFF_DATA"));
    unsetenv("BADDIFF_DATA");
}

static void a_missing_file_is_named_with_the_remedy(void **state) {
    (void)state;
    bd_dataset d;
    assert_int_equal(bd_file_remove(DIR "/train-labels-idx1-ubyte"), BD_OK);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), DIR "/train-labels-idx1-ubyte"));
    assert_non_null(strstr(bd_error(), "make deps"));
    assert_null(d.images);
    assert_int_equal(load(&d, "test", 0, 0), BD_OK);
    bd_dataset_clear(&d);
}

static void wrong_files_are_refused(void **state) {
    (void)state;
    bd_dataset d;
    write_idx(DIR, "train-labels-idx1-ubyte", TRAIN - 1, 0, 3);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "4 labels for the 5 images"));
    write_idx(DIR, "train-labels-idx1-ubyte", TRAIN, 0, 3);
    write_idx(DIR, "train-images-idx3-ubyte", TRAIN, 27, 3);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "28x28"));
    /* images where labels belong */
    write_idx(DIR, "train-images-idx3-ubyte", TRAIN, SIDE, 3);
    write_idx(DIR, "train-labels-idx1-ubyte", TRAIN, SIDE, 3);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_FORMAT);
}

static void a_label_outside_the_classes_is_refused(void **state) {
    (void)state;
    const uint8_t labels[8 + TRAIN] = {0, 0, 8, 1, 0, 0, 0, TRAIN, 0, 1, 2, 10, 4};
    bd_dataset d;
    assert_int_equal(bd_file_write(DIR "/train-labels-idx1-ubyte", labels, sizeof labels), BD_OK);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "label 10 of image 3"));
}

static void a_truncated_file_is_refused(void **state) {
    (void)state;
    void *data;
    size_t n;
    bd_dataset d;
    assert_int_equal(bd_file_read(&data, &n, DIR "/train-images-idx3-ubyte", 0), BD_OK);
    assert_int_equal(bd_file_write(DIR "/train-images-idx3-ubyte", data, n - 1), BD_OK);
    free(data);
    assert_int_equal(load(&d, "train", 0, 0), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), DIR "/train-images-idx3-ubyte"));
    assert_null(d.images);
}

static void bad_requests_are_refused(void **state) {
    (void)state;
    bd_dataset d;
    bd_dataset_spec other = {.name = "fashion", .split = "train", .dir = DIR};
    assert_int_equal(bd_dataset_load(&d, &other), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "fashion-mnist"));
    assert_int_equal(load(&d, "valid", 0, 0), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "train+test"));
    assert_int_equal(load(&d, "train", -1, 0), BD_E_ARG);
    assert_int_equal(load(&d, "train", 0, -1), BD_E_ARG);
    assert_int_equal(load(&d, "train", 0, TRAIN + 1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "only 5 images"));
}

#define WITH_FILES(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fashion_mnist_matches_pillow),
        WITH_FILES(same_size_keeps_every_byte),
        WITH_FILES(train_comes_before_test_and_limit_cuts),
        WITH_FILES(environment_names_the_folder),
        WITH_FILES(a_missing_file_is_named_with_the_remedy),
        WITH_FILES(wrong_files_are_refused),
        WITH_FILES(a_label_outside_the_classes_is_refused),
        WITH_FILES(a_truncated_file_is_refused),
        WITH_FILES(bad_requests_are_refused),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
