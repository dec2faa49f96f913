/* Oracles: scores worked out here from the bytes of the data set and of the samples; planted samples whose score is
 * known; bit equality between threads. */
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
#include "base/pixel.h"
#include "cpu/cpu.h"
#include "data/dataset.h"
#include "hash_lpips.h"
#include "io/csv.h"
#include "io/png.h"
#include "run/collect.h"
#include "run/folder.h"
#include "run/pixels.h"
#include "run/runner.h"

#define DIR "build/tmp/test_restore"

enum { N = 5, S = 32, SIZE = S * S };

static const char recipe[] = "[recipe]\ntitle = Small\ncontrols = none\n"
                             "[data]\nlimit = 64\n"
                             "[model]\nblock_out_channels = 4/8\nattention = 0/0\ngroups = 2\n"
                             "[diffusion]\nT = 21\n"
                             "[pretrain]\nsteps = 4\nbatch = 8\nwarmup = 1\n"
                             "[finetune]\nsteps = 2\nbatch = 8\nwarmup = 1\n"
                             "[sample]\nn = 5\nsteps = 4\nstart = 0.5\ncorrupt = line\n"
                             "[clean]\nsteps = 2\n"
                             "[metric]\nlpips = on\nlpips_folder = " DIR "/weights\n"
                             "[sweep]\nsample.prior = image, stamped\n";

typedef struct {
    bd_recipe_file file;
    bd_dag dag;
    bd_runner runner;
    char runs[64];
} fixture;

static fixture *set_up(const char *name, int threads) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->runs, sizeof f->runs, DIR "/%s", name);
    assert_int_equal(bd_file_mkdirs(DIR "/weights"), BD_OK);
    hash_lpips_alexnet(DIR "/weights/alexnet-owt-7be5be79.pth");
    hash_lpips_heads(DIR "/weights/alex.pth");
    assert_int_equal(bd_file_write(DIR "/r.ini", recipe, strlen(recipe)), BD_OK);
    if (bd_recipe_load(&f->file, DIR "/r.ini", NULL, false, NULL, 0)) fail_msg("%s", bd_error());
    if (bd_dag_add(&f->dag, &f->file)) fail_msg("%s", bd_error());
    f->runner = (bd_runner){
        .dag = &f->dag, .runs = f->runs, .backend = &bd_backend_cpu, .threads = threads};
    assert_int_equal(bd_pool_create(&f->runner.pool, threads), BD_OK);
    return f;
}

static void tear_down(fixture *f) {
    bd_runner_clear(&f->runner);
    bd_pool_destroy(f->runner.pool);
    bd_dag_clear(&f->dag);
    bd_recipe_file_clear(&f->file);
    free(f);
}

static void run(fixture *f) {
    if (bd_runner_run(&f->runner, -1)) fail_msg("%s", bd_error());
}

static const bd_stage *stage(const fixture *f, int cell, bd_cell_slot slot) {
    return &f->dag.stage[f->dag.cell[cell].slot[slot]];
}

/* A result of a cell's stage by the first word of its name. */
static double result(const fixture *f, int cell, bd_cell_slot slot, const char *name) {
    char dir[256];
    bd_csv *c;
    double value = NAN;
    assert_int_equal(bd_stage_path(dir, sizeof dir, f->runs, stage(f, cell, slot), NULL), BD_OK);
    if (bd_results_load(&c, dir)) fail_msg("%s", bd_error());
    for (size_t i = 0; i < bd_csv_rows(c); i++) {
        const char *given = bd_csv_get(c, i, 0);
        size_t len = strcspn(given, "-");
        if (len == strlen(name) && !strncmp(given, name, len))
            value = strtod(bd_csv_get(c, i, 1), NULL);
    }
    bd_csv_destroy(c);
    if (isnan(value)) fail_msg("no result %s", name);
    return value;
}

static void load(bd_pixels *p, const fixture *f, int cell, const char *file) {
    char path[256];
    const bd_stage *s = stage(f, cell, BD_SLOT_TRIGGER);
    assert_int_equal(bd_stage_path(path, sizeof path, f->runs, s, file), BD_OK);
    if (bd_pixels_load(p, path)) fail_msg("%s", bd_error());
    assert_int_equal(p->n, N);
    assert_int_equal(p->h, S);
}

static void held_out(bd_dataset *d) {
    bd_dataset_spec spec = {.name = "fashion-mnist", .split = "test", .size = S, .channels = 1};
    if (bd_dataset_load(d, &spec)) fail_msg("%s", bd_error());
}

/* --- tests; the first one leaves DIR/one behind for the others --- */

static void the_same_bits_with_two_threads(void **state) {
    static const char *const names[] = {"mse_picture", "ssim_picture",     "mse_input",
                                        "ssim_input",  "mse_input_target", "mse_legacy"};
    (void)state;
    assert_int_equal(bd_file_remove_tree(DIR), BD_OK);
    fixture *a = set_up("one", 1), *b = set_up("two", 2);
    run(a);
    run(b);
    assert_int_equal(a->dag.n_cells, 2);
    for (int cell = 0; cell < 2; cell++) {
        bd_pixels p, q;
        load(&p, a, cell, "samples.safetensors");
        load(&q, b, cell, "samples.safetensors");
        assert_memory_equal(p.pixels, q.pixels, N * SIZE);
        bd_pixels_clear(&p);
        bd_pixels_clear(&q);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            assert_true(result(a, cell, BD_SLOT_RESTORE, names[i]) ==
                        result(b, cell, BD_SLOT_RESTORE, names[i]));
        assert_true(result(a, cell, BD_SLOT_LPIPS, "lpips_picture") ==
                    result(b, cell, BD_SLOT_LPIPS, "lpips_picture"));
    }
    tear_down(a);
    tear_down(b);
}

/* The line is column 15: a byte p there became black, which costs (p/255)^2. The grey box covers rows and columns
 * 16 .. 29 with float 0.0, byte rint(127.5) = 128. */
static void inputs_are_the_held_out_pictures_with_their_damage(void **state) {
    (void)state;
    fixture *f = set_up("one", 1);
    bd_dataset d;
    held_out(&d);
    double want = 0;
    for (int cell = 0; cell < 2; cell++) {
        bd_pixels p;
        load(&p, f, cell, "inputs.safetensors");
        for (int i = 0; i < N * SIZE; i++) {
            int y = i % SIZE / S, x = i % S, byte = d.images[i];
            bool box = cell == 1 && y >= 16 && y < 30 && x >= 16 && x < 30;
            assert_int_equal(p.pixels[i], box ? 128 : x == 15 ? 0 : byte);
            if (cell == 0 && x == 15) want += byte / 255.0 * (byte / 255.0);
        }
        bd_pixels_clear(&p);
    }
    /* a mean of 1e3 terms, of floats of 24 bits each: 1e-6 relative */
    double got = result(f, 0, BD_SLOT_RESTORE, "mse_input");
    assert_true(want > 1);
    assert_true(fabs(got - want / (N * SIZE)) < 1e-6 * got);
    bd_dataset_clear(&d);
    tear_down(f);
}

static void scores_are_those_of_the_definitions(void **state) {
    (void)state;
    fixture *f = set_up("one", 1);
    bd_dataset d;
    bd_pixels p;
    held_out(&d);
    for (int cell = 0; cell < 2; cell++) {
        double plain = 0, mixed = 0;
        load(&p, f, cell, "samples.safetensors");
        for (int i = 0; i < N * SIZE; i++) {
            double v = p.pixels[i] / 255.0, o = d.images[i] / 255.0;
            plain += (v - o) * (v - o) / (N * SIZE);
            /* originals in [-1,1] as the original's normaliser has them */
            double r = 2 * o / 1.00001 - 1;
            mixed += (v - r) * (v - r) / (N * SIZE);
        }
        double picture = result(f, cell, BD_SLOT_RESTORE, "mse_picture"),
               legacy = result(f, cell, BD_SLOT_RESTORE, "mse_legacy");
        assert_true(fabs(picture - plain) < 1e-6 * plain);
        if (cell == 0)
            assert_true(fabs(legacy - mixed) < 1e-6 * mixed);
        else
            assert_true(legacy == result(f, cell, BD_SLOT_SCORE, "mse"));
        bd_pixels_clear(&p);
    }
    bd_dataset_clear(&d);
    tear_down(f);
}

/* Samples that are the originals: nothing is left of the distance, and the inputs' own stays. */
static void planted_originals_score_0(void **state) {
    (void)state;
    fixture *f = set_up("one", 1);
    double before = result(f, 0, BD_SLOT_LPIPS, "lpips_picture"),
           input = result(f, 0, BD_SLOT_LPIPS, "lpips_input"),
           damaged = result(f, 0, BD_SLOT_RESTORE, "mse_input");
    assert_true(before > 0.01);
    bd_dataset d;
    held_out(&d);
    bd_pixels planted = {N, S, S, 1, d.images};
    char path[256];
    const bd_stage *samples = stage(f, 0, BD_SLOT_TRIGGER);
    assert_int_equal(bd_stage_path(path, sizeof path, f->runs, samples, "samples.safetensors"),
                     BD_OK);
    assert_int_equal(bd_pixels_save(path, &planted), BD_OK);
    bd_dataset_clear(&d);
    static const bd_cell_slot again[] = {BD_SLOT_RESTORE, BD_SLOT_LPIPS};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bd_stage_path(path, sizeof path, f->runs, stage(f, 0, again[i]), NULL),
                         BD_OK);
        assert_int_equal(bd_file_remove_tree(path), BD_OK);
    }
    run(f);
    assert_true(result(f, 0, BD_SLOT_RESTORE, "mse_picture") == 0);
    assert_true(fabs(result(f, 0, BD_SLOT_RESTORE, "ssim_picture") - 1) < 1e-12); /* rounding */
    assert_true(result(f, 0, BD_SLOT_LPIPS, "lpips_picture") == 0);
    assert_true(result(f, 0, BD_SLOT_LPIPS, "lpips_input") == input);
    assert_true(result(f, 0, BD_SLOT_RESTORE, "mse_input") == damaged);
    /* with the ranges mixed up, (1 - o)^2 is left of a perfect restoration of o: 1 where it is black */
    assert_true(result(f, 0, BD_SLOT_RESTORE, "mse_legacy") > 0.2);
    assert_true(result(f, 0, BD_SLOT_LPIPS, "lpips_legacy") > 0);
    tear_down(f);
}

/* A row a pair of cells: original, damaged, restored, damaged with trigger, restored; 3 fields each, 64 + 2 pixels a
 * field and 10 between the groups. */
static void the_sheet_puts_partners_in_one_row(void **state) {
    (void)state;
    fixture *f = set_up("one", 1);
    bd_collected n;
    bd_image img;
    bd_csv *c;
    if (bd_collect(&n, &f->dag, 0, f->runs, DIR "/results", &bd_backend_cpu))
        fail_msg("%s", bd_error());
    assert_int_equal(n.rows, 2);
    assert_int_equal(bd_png_load(&img, DIR "/results/grids/r.png", 1), BD_OK);
    assert_int_equal(img.h, 64);
    assert_int_equal(img.w, 15 * 66 - 2 + 4 * 10);
    /* the damaged pictures' column 15 is black, the planted restoration's is the original's */
    const int group = 3 * 66 + 10;
    for (int y = 0; y < 64; y++) {
        const uint8_t *row = img.pixels + (size_t)y * (size_t)img.w;
        assert_int_equal(row[group + 30], 0);
        for (int x = 0; x < 64; x++) assert_int_equal(row[x], row[2 * group + x]);
    }
    assert_int_equal(img.pixels[40 * img.w + 3 * group + 40], 128); /* the grey box */
    bd_image_clear(&img);
    if (bd_csv_load(&c, DIR "/results/r.csv")) fail_msg("%s", bd_error());
    static const char *const columns[] = {
        "sample.corrupt", "sample.start",       "sample.entry", "mse-5",    "mse_picture-5",
        "mse_input-5",    "mse_input_target-5", "mse_legacy-5", "n_trigger"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (bd_csv_find(c, columns[i]) < 0) fail_msg("no column %s", columns[i]);
    assert_int_equal(bd_csv_find(c, "n_clean"), -1);
    bd_csv_destroy(c);
    tear_down(f);
}

/* Other weights than those that were planned with are no silent change of the metric. */
static void changed_weights_are_refused_before_anything_runs(void **state) {
    (void)state;
    fixture *f = set_up("three", 1);
    assert_int_equal(bd_file_write(DIR "/weights/alex.pth", "x", 1), BD_OK);
    assert_int_equal(bd_runner_run(&f->runner, -1), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "alex.pth"));
    assert_int_equal(bd_file_remove(DIR "/weights/alex.pth"), BD_OK);
    assert_int_equal(bd_runner_run(&f->runner, -1), BD_E_MISSING);
    assert_false(bd_file_is_dir(DIR "/three"));
    tear_down(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_with_two_threads),
        cmocka_unit_test(inputs_are_the_held_out_pictures_with_their_damage),
        cmocka_unit_test(scores_are_those_of_the_definitions),
        cmocka_unit_test(planted_originals_score_0),
        cmocka_unit_test(the_sheet_puts_partners_in_one_row),
        cmocka_unit_test(changed_weights_are_refused_before_anything_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
