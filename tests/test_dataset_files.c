/* Oracles: files of the published layouts written here, whose pixels name their place; bytes that Pillow decodes and
 * resizes (tests/golden/make_jpeg.py); the same bytes with 1, 2 and 3 threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/dataset.h"
#include "io/png.h"

#define ROOT "build/tmp/test_dataset_files"
#define CIFAR ROOT "/cifar10/cifar-10-batches-bin"
#define PICTURES ROOT "/pictures"

/* --- CIFAR-10 --- */

enum { FILE_IMAGES = 10000, RECORD = 3073 };

/* A file whose image i has label i % 10, and file, colour and i in its pixels. */
static void write_batch(const char *name, int file, int records) {
    char path[256];
    uint8_t r[RECORD];
    snprintf(path, sizeof path, CIFAR "/%s", name);
    gzFile f = gzopen(path, strstr(name, ".gz") ? "wb1" : "wbT");
    assert_non_null(f);
    for (int i = 0; i < records; i++) {
        r[0] = (uint8_t)(i % 10);
        for (int c = 0; c < 3; c++) memset(r + 1 + 1024 * c, 50 * file + 70 * c + i % 7, 1024);
        assert_int_equal(gzwrite(f, r, RECORD), RECORD);
    }
    assert_int_equal(gzclose(f), Z_OK);
}

static int write_cifar(void **state) {
    (void)state;
    if (bd_file_remove_tree(ROOT) || bd_file_mkdirs(CIFAR)) return -1;
    for (int k = 1; k <= 5; k++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin%s", k, k == 2 ? "" : ".gz");
        write_batch(name, k, FILE_IMAGES);
    }
    write_batch("test_batch.bin.gz", 0, FILE_IMAGES);
    setenv("BADDIFF_DATA", ROOT, 1);
    return 0;
}

static int tidy(void **state) {
    (void)state;
    unsetenv("BADDIFF_DATA");
    return bd_file_remove_tree(ROOT);
}

static void cifar_has_its_files_in_order(void **state) {
    (void)state;
    bd_dataset d;
    bd_dataset_spec spec = {.name = "cifar10", .split = "train+test"};
    assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
    assert_int_equal(d.n, 60000);
    assert_int_equal(d.c, 3);
    assert_int_equal(d.h, 32);
    assert_int_equal(d.classes, 10);
    assert_string_equal(d.dir, ROOT "/cifar10");
    for (int k = 0; k < d.n; k += 777) {
        int file = k / FILE_IMAGES == 5 ? 0 : k / FILE_IMAGES + 1, i = k % FILE_IMAGES;
        assert_int_equal(d.labels[k], i % 10);
        for (int c = 0; c < 3; c++)
            assert_int_equal(d.images[(size_t)k * 3072 + 3 * (k % 1024) + c],
                             (uint8_t)(50 * file + 70 * c + i % 7));
    }
    assert_string_equal(bd_dataset_class_name(&d, 9), "truck");
    bd_dataset_clear(&d);
    spec.split = "test";
    assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
    assert_int_equal(d.n, FILE_IMAGES);
    assert_int_equal(d.images[1], 70);
    bd_dataset_clear(&d);
    spec.split = "train";
    spec.limit = 10001;
    assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
    assert_int_equal(d.n, 10001);
    assert_int_equal(d.images[(size_t)10000 * 3072], 100);
    bd_dataset_clear(&d);
}

static void cifar_becomes_grey_by_the_weights(void **state) {
    (void)state;
    bd_dataset d;
    bd_dataset_spec spec = {.name = "cifar10", .split = "test", .limit = 1, .channels = 1};
    assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
    assert_int_equal(d.c, 1);
    /* (0, 70, 140): (38470 * 70 + 7471 * 140 + 32768) >> 16 */
    assert_int_equal(d.images[0], 57);
    bd_dataset_clear(&d);
}

static void cifar_says_which_file_is_wrong(void **state) {
    (void)state;
    bd_dataset d;
    bd_dataset_spec spec = {.name = "cifar10", .split = "train"};
    assert_int_equal(bd_file_remove(CIFAR "/data_batch_4.bin.gz"), BD_OK);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "data_batch_4.bin"));
    assert_non_null(strstr(bd_error(), "make fetch DATA=cifar10"));
    write_batch("data_batch_4.bin", 4, FILE_IMAGES - 1);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), CIFAR "/data_batch_4.bin"));
    assert_non_null(strstr(bd_error(), "truncated"));
    assert_non_null(strstr(bd_error(), "replace the file"));
    write_batch("data_batch_4.bin", 4, FILE_IMAGES + 1);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_E_FORMAT);
    assert_null(d.images);
    setenv("BADDIFF_DATA", "tests", 1);
    assert_int_equal(bd_dataset_load(&d, &spec), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "make fetch DATA=cifar10"));
}

/* --- folders --- */

static void copy(const char *to, const char *from) {
    void *data;
    size_t n;
    char path[256];
    snprintf(path, sizeof path, "%s", to);
    *strrchr(path, '/') = '\0';
    assert_int_equal(bd_file_mkdirs(path), BD_OK);
    assert_int_equal(bd_file_read(&data, &n, from, 0), BD_OK);
    assert_int_equal(bd_file_write(to, data, n), BD_OK);
    free(data);
}

/* A picture of w x h in one colour. */
static void write_flat(const char *path, int w, int h, int c, int level) {
    char dir[256];
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(bd_file_mkdirs(dir), BD_OK);
    bd_image img = {w, h, c, malloc((size_t)w * h * c)};
    assert_non_null(img.pixels);
    memset(img.pixels, level, (size_t)w * h * c);
    assert_int_equal(bd_png_save(path, &img), BD_OK);
    bd_image_clear(&img);
}

static int setup(void **state) {
    (void)state;
    unsetenv("BADDIFF_DATA");
    return bd_file_remove_tree(ROOT);
}

static bd_status load(bd_dataset *d, const char *split, bd_pool *pool) {
    bd_dataset_spec spec = {
        .name = "folder", .split = split, .dir = PICTURES, .size = 16, .pool = pool};
    return bd_dataset_load(d, &spec);
}

static void refused(bd_status code, const char *text, const char *more) {
    bd_dataset d;
    assert_int_equal(load(&d, "train", NULL), code);
    if (!strstr(bd_error(), text) || !strstr(bd_error(), more))
        fail_msg("'%s' and '%s' are not in: %s", text, more, bd_error());
    assert_null(strchr(bd_error(), '\n'));
    assert_null(d.images);
}

static void pictures_of_any_size_come_in_order_of_their_paths(void **state) {
    (void)state;
    bd_dataset d;
    write_flat(PICTURES "/b.png", 40, 20, 3, 20);
    write_flat(PICTURES "/B.PNG", 16, 16, 1, 10); /* grey becomes colour */
    write_flat(PICTURES "/a10.png", 7, 31, 3, 30);
    write_flat(PICTURES "/a9.png", 16, 5, 3, 40);
    copy(PICTURES "/c.jpeg", "tests/golden/jpeg/grey.jpg");
    assert_int_equal(bd_file_write(PICTURES "/notes.txt", "x", 1), BD_OK); /* no picture */
    assert_int_equal(load(&d, "train", NULL), BD_OK);
    assert_int_equal(d.n, 5);
    assert_int_equal(d.classes, 0);
    static const uint8_t level[] = {10, 30, 40, 20};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(d.labels[i], -1);
        for (int k = 0; k < 16 * 16 * 3; k++) assert_int_equal(d.images[768 * i + k], level[i]);
    }
    assert_null(bd_dataset_class_name(&d, 0));
    bd_dataset_clear(&d);
}

static void the_bytes_are_those_of_pillow(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/jpeg/folder.tsv", "r");
    assert_non_null(f);
    char line[256], want[65];
    int size, channels, rows = 0;
    static const char *const names[] = {"full.jpg", "half.jpg", "grey.jpg", "quarter.png"};
    for (int i = 0; i < 4; i++) {
        char to[256], from[256];
        snprintf(to, sizeof to, PICTURES "/%s", names[i]);
        snprintf(from, sizeof from, "tests/golden/jpeg/%s", names[i]);
        copy(to, from);
    }
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%d %d %64s", &size, &channels, want), 3);
        bd_dataset d;
        bd_dataset_spec spec = {.name = "folder",
                                .split = "train",
                                .dir = PICTURES,
                                .size = size,
                                .channels = channels};
        assert_int_equal(bd_dataset_load(&d, &spec), BD_OK);
        assert_string_equal(d.sha256, want);
        bd_dataset_clear(&d);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 4);
}

static void threads_do_not_change_a_byte(void **state) {
    (void)state;
    char path[256], first[65] = "";
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, PICTURES "/%02d.jpg", i);
        copy(path, i % 2 ? "tests/golden/jpeg/half.jpg" : "tests/golden/jpeg/full.jpg");
    }
    for (int workers = 1; workers <= 3; workers++) {
        bd_pool *pool;
        bd_dataset d;
        assert_int_equal(bd_pool_create(&pool, workers), BD_OK);
        assert_int_equal(load(&d, "train", pool), BD_OK);
        if (workers == 1) strcpy(first, d.sha256);
        assert_string_equal(d.sha256, first);
        bd_dataset_clear(&d);
        /* and the first bad file is the one that is named */
        assert_int_equal(bd_file_write(PICTURES "/07.jpg", "no", 2), BD_OK);
        assert_int_equal(bd_file_write(PICTURES "/21.jpg", "no", 2), BD_OK);
        assert_int_equal(load(&d, "train", pool), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), PICTURES "/07.jpg"));
        copy(PICTURES "/07.jpg", "tests/golden/jpeg/half.jpg");
        copy(PICTURES "/21.jpg", "tests/golden/jpeg/half.jpg");
        bd_pool_destroy(pool);
    }
}

static void folders_in_it_are_classes(void **state) {
    (void)state;
    bd_dataset d;
    write_flat(PICTURES "/dog/2.png", 16, 16, 3, 1);
    write_flat(PICTURES "/cat/9.png", 16, 16, 3, 2);
    write_flat(PICTURES "/cat-like/1.png", 16, 16, 3, 3);
    assert_int_equal(load(&d, "train", NULL), BD_OK);
    assert_int_equal(d.classes, 3);
    /* labels by the names of the folders, images by their paths: "cat-like/1.png" < "cat/9.png" */
    static const int label[] = {1, 0, 2}, level[] = {3, 2, 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d.labels[i], label[i]);
        assert_int_equal(d.images[768 * i], level[i]);
    }
    bd_dataset_clear(&d);
    assert_int_equal(bd_file_mkdirs(PICTURES "/empty"), BD_OK);
    refused(BD_E_FORMAT, PICTURES "/empty", "no PNG or JPEG");
    assert_int_equal(bd_file_remove_tree(PICTURES "/empty"), BD_OK);
    write_flat(PICTURES "/loose.png", 16, 16, 3, 3);
    refused(BD_E_FORMAT, PICTURES, "both pictures and folders");
}

static void train_and_test_folders_are_the_parts(void **state) {
    (void)state;
    bd_dataset d;
    int64_t n;
    write_flat(PICTURES "/train/1.png", 16, 16, 3, 5);
    write_flat(PICTURES "/test/0.png", 16, 16, 3, 6);
    write_flat(PICTURES "/test/1.png", 16, 16, 3, 7);
    bd_dataset_spec spec = {.name = "folder", .split = "train+test", .dir = PICTURES, .size = 16};
    assert_int_equal(bd_dataset_count(&n, &spec), BD_OK);
    assert_int_equal(n, 3);
    assert_int_equal(load(&d, "train+test", NULL), BD_OK);
    assert_int_equal(d.n, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(d.images[768 * i], 5 + i);
    bd_dataset_clear(&d);
    assert_int_equal(load(&d, "test", NULL), BD_OK);
    assert_int_equal(d.n, 2);
    bd_dataset_clear(&d);
}

static void a_bad_picture_is_named(void **state) {
    (void)state;
    write_flat(PICTURES "/0.png", 16, 16, 3, 1);
    copy(PICTURES "/1.jpg", "tests/golden/jpeg/cmyk.jpg");
    refused(BD_E_FORMAT, PICTURES "/1.jpg", "take it out");
    assert_int_equal(bd_file_write(PICTURES "/1.jpg", "", 0), BD_OK);
    refused(BD_E_FORMAT, PICTURES "/1.jpg", "neither a PNG nor a JPEG");
    assert_int_equal(bd_file_remove(PICTURES "/1.jpg"), BD_OK);
    assert_int_equal(bd_file_mkdirs(PICTURES "/1.jpg"), BD_OK); /* cannot be read */
    bd_dataset d;
    assert_true(load(&d, "train", NULL) != BD_OK);
    assert_non_null(strstr(bd_error(), PICTURES "/1.jpg"));
    assert_int_equal(bd_file_remove_tree(PICTURES "/1.jpg"), BD_OK);
    assert_int_equal(bd_file_write(PICTURES "/1.webp", "x", 1), BD_OK);
    refused(BD_E_FORMAT, PICTURES "/1.webp", "only PNG and JPEG");
}

static void empty_and_missing_folders_are_refused(void **state) {
    (void)state;
    bd_dataset d;
    refused(BD_E_MISSING, PICTURES, "no such folder");
    assert_int_equal(bd_file_mkdirs(PICTURES), BD_OK);
    refused(BD_E_MISSING, PICTURES, "no PNG or JPEG files");
    write_flat(PICTURES "/0.png", 16, 16, 3, 1);
    assert_int_equal(load(&d, "test", NULL), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "split = train"));
    bd_dataset_spec no_size = {.name = "folder", .split = "train", .dir = PICTURES};
    assert_int_equal(bd_dataset_load(&d, &no_size), BD_E_ARG);
    bd_dataset_spec no_dir = {.name = "folder", .split = "train", .size = 16};
    assert_int_equal(bd_dataset_load(&d, &no_dir), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "data.folder"));
}

static void a_named_set_must_be_whole(void **state) {
    (void)state;
    bd_dataset d;
    int64_t n;
    write_flat(ROOT "/celebahq/celeba_hq_256/0.png", 16, 16, 3, 1);
    write_flat(ROOT "/celeba/img_align_celeba/0.png", 16, 16, 3, 1);
    setenv("BADDIFF_DATA", ROOT, 1);
    static const struct {
        const char *name, *count;
        int64_t n;
    } sets[] = {{"celebahq", "30000", 30000}, {"celeba", "202599", 202599}};
    for (int i = 0; i < 2; i++) {
        bd_dataset_spec spec = {.name = sets[i].name, .split = "train"};
        assert_int_equal(bd_dataset_count(&n, &spec), BD_OK);
        assert_int_equal(n, sets[i].n);
        assert_int_equal(bd_dataset_load(&d, &spec), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), "1 images"));
        assert_non_null(strstr(bd_error(), sets[i].count));
        spec.split = "train+test";
        assert_int_equal(bd_dataset_load(&d, &spec), BD_E_ARG);
        assert_non_null(strstr(bd_error(), "no test part"));
        assert_true(bd_dataset_of_people(sets[i].name));
    }
    assert_false(bd_dataset_of_people("cifar10"));
    assert_false(bd_dataset_of_people("folder"));
}

#define WITH(before, f) cmocka_unit_test_setup_teardown(f, before, tidy)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(write_cifar, cifar_has_its_files_in_order),
        WITH(write_cifar, cifar_becomes_grey_by_the_weights),
        WITH(write_cifar, cifar_says_which_file_is_wrong),
        WITH(setup, pictures_of_any_size_come_in_order_of_their_paths),
        WITH(setup, the_bytes_are_those_of_pillow),
        WITH(setup, threads_do_not_change_a_byte),
        WITH(setup, folders_in_it_are_classes),
        WITH(setup, train_and_test_folders_are_the_parts),
        WITH(setup, a_bad_picture_is_named),
        WITH(setup, empty_and_missing_folders_are_refused),
        WITH(setup, a_named_set_must_be_whole),
    };
    return cmocka_run_group_tests_name("dataset_files", tests, NULL, NULL);
}
