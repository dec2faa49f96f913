/* Oracles: bitwise equality between runs of one recipe that differ in threads, order and interruptions; the grid of
 * sizes worked out by hand; faults put into a finished folder. */
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
#include "base/log.h"
#include "base/sha256.h"
#include "cpu/cpu.h"
#include "data/dataset.h"
#include "hash_inception.h"
#include "io/csv.h"
#include "io/png.h"
#include "metric/fid.h"
#include "run/collect.h"
#include "run/folder.h"
#include "run/pixels.h"
#include "run/runner.h"

#define DIR "build/tmp/test_runner"

/* A network and counts as small as they go; every kind of stage but the classifier's training is in it. */
static const char recipe[] = "[recipe]\ntitle = Small\n"
                             "[data]\nlimit = 64\n"
                             "[model]\nblock_out_channels = 4/8\nattention = 0/0\ngroups = 2\n"
                             "[diffusion]\nT = 21\n"
                             "[pretrain]\nsteps = 12\nbatch = 8\nwarmup = 1\n"
                             "[finetune]\nsteps = 3\nbatch = 8\nwarmup = 1\n"
                             "[attack]\ntarget = hat\n"
                             "[sample]\nn = 9\nn_noise = 9\nsteps = 3\n"
                             "[clean]\nn = 10\nsteps = 2\n"
                             "[metric]\nn_reference = 32\nreplicates = 100\nasr = 1e-05\n"
                             "[sweep]\nattack.poison_rate = 0, 0.5\n";

typedef struct {
    bd_recipe_file file;
    bd_dag dag;
    bd_runner runner;
    char runs[64];
} fixture;

static fixture *set_up(const char *name, const char *path, int threads) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->runs, sizeof f->runs, DIR "/%s", name);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    if (!path) assert_int_equal(bd_file_write(DIR "/r.ini", recipe, strlen(recipe)), BD_OK);
    if (bd_recipe_load(&f->file, path ? path : DIR "/r.ini", NULL, false, NULL, 0))
        fail_msg("%s", bd_error());
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

static void fresh(const char *name) {
    char path[128];
    snprintf(path, sizeof path, DIR "/%s", name);
    assert_int_equal(bd_file_remove_tree(path), BD_OK);
}

static void run(fixture *f) {
    if (bd_runner_run(&f->runner, -1)) fail_msg("%s", bd_error());
}

/* The file of a stage that its bits are in. */
static const char *artifact(const bd_stage *s) {
    switch (s->kind) {
    case BD_KIND_pretrain: return "model/diffusion_pytorch_model.safetensors";
    case BD_KIND_finetune:
        return s->recipe.attack_poison_rate > 0
                   ? "model-BACKDOORED/diffusion_pytorch_model.safetensors"
                   : "model/diffusion_pytorch_model.safetensors";
    case BD_KIND_sample: return "samples.safetensors";
    case BD_KIND_features: return "features.safetensors";
    case BD_KIND_score: return "images.csv";
    default: return "result.csv";
    }
}

/* root: the folder itself or unet/ in it: diffusers' pipelines keep the network in a folder of its own */
static void hash_of(char hex[65], const char *runs, const bd_stage *s, const char *file) {
    char path[512];
    const char *slash = strchr(file, '/');
    snprintf(path, sizeof path, "%s/%s/%s", runs, s->name, file);
    if (slash && !bd_file_exists(path))
        snprintf(path, sizeof path, "%s/%s/%.*s/unet%s", runs, s->name, (int)(slash - file), file,
                 slash);
    if (bd_sha256_file(hex, path)) fail_msg("%s", bd_error());
}

static void assert_same_bits(const fixture *a, const fixture *b) {
    assert_int_equal(a->dag.n_stages, b->dag.n_stages);
    for (int i = 0; i < a->dag.n_stages; i++) {
        const bd_stage *s = &a->dag.stage[i];
        const char *files[] = {artifact(s), "result.csv"};
        for (int k = 0; k < 2; k++) {
            char one[65], two[65];
            hash_of(one, a->runs, s, files[k]);
            hash_of(two, b->runs, s, files[k]);
            if (strcmp(one, two) != 0) fail_msg("%s: %s differs", s->name, files[k]);
        }
    }
}

/* --- tests; the first one leaves DIR/one behind for the others --- */

static void every_stage_finishes(void **state) {
    (void)state;
    fresh("one");
    fixture *f = set_up("one", NULL, 1);
    run(f);
    for (int i = 0; i < f->dag.n_stages; i++) {
        char path[512];
        assert_true(bd_stage_done(f->runs, &f->dag.stage[i]));
        snprintf(path, sizeof path, "%s/%s/manifest.ini", f->runs, f->dag.stage[i].name);
        assert_true(bd_file_exists(path));
    }
    tear_down(f);
}

static void two_threads_give_the_same_bits(void **state) {
    (void)state;
    fresh("two");
    fixture *one = set_up("one", NULL, 1), *two = set_up("two", NULL, 2);
    run(two);
    assert_same_bits(one, two);
    tear_down(one);
    tear_down(two);
}

/* The recipe above with one rate and the given shares of the fine-tuning. */
static fixture *set_up_stops(const char *name, const char *stops) {
    char text[2048], path[128];
    snprintf(path, sizeof path, DIR "/%s.ini", name);
    int head = (int)(strstr(recipe, "[sweep]") - recipe);
    snprintf(text, sizeof text, "%.*s[sweep]\nattack.poison_rate = 0.5\nfinetune.stop = %s\n", head,
             recipe, stops);
    fresh(name);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
    return set_up(name, path, 1);
}

/* Trainings that stop after 1, 2 and 3 of 3 steps, each going on from the one before, are what each is alone. */
static void a_training_in_parts_is_the_whole(void **state) {
    (void)state;
    fixture *parts = set_up_stops("parts", "0.34, 0.67, 1");
    run(parts);
    const char *const alone[] = {"0.34", "0.67", "1"};
    char last[65] = "";
    for (int k = 0; k < 3; k++) {
        fixture *f = set_up_stops("alone", alone[k]);
        run(f);
        for (int i = 0; i < f->dag.n_stages; i++) {
            const bd_stage *s = &f->dag.stage[i];
            char one[65], two[65];
            hash_of(one, parts->runs, s, artifact(s));
            hash_of(two, f->runs, s, artifact(s));
            if (strcmp(one, two) != 0) fail_msg("%s differs", s->name);
            assert_true(bd_stage_input(s, "earlier") < 0);
            if (s->kind != BD_KIND_finetune || s->recipe.attack_poison_rate == 0) continue;
            assert_string_not_equal(one, last); /* else nothing was trained in between */
            strcpy(last, one);
            int there;
            assert_int_equal(bd_dag_find(&there, &parts->dag, s->name), BD_OK);
            assert_int_equal(bd_stage_input(&parts->dag.stage[there], "earlier") >= 0, k > 0);
        }
        tear_down(f);
    }
    tear_down(parts);
}

/* ... and whoever takes away what it was to go on from is told so. */
static void a_part_without_its_checkpoint_says_so(void **state) {
    (void)state;
    fixture *f = set_up_stops("cut", "0.34, 1");
    int model = -1;
    for (int i = 0; i < f->dag.n_stages; i++)
        if (bd_stage_input(&f->dag.stage[i], "earlier") >= 0 &&
            f->dag.stage[i].recipe.attack_poison_rate > 0)
            model = i;
    assert_true(model >= 0);
    int earlier = bd_stage_input(&f->dag.stage[model], "earlier");
    assert_int_equal(bd_runner_run(&f->runner, earlier), BD_OK);
    char path[512];
    snprintf(path, sizeof path, "%s/%s/checkpoint-000000000001.safetensors", f->runs,
             f->dag.stage[earlier].name);
    assert_true(bd_file_exists(path));
    assert_int_equal(bd_file_remove(path), BD_OK);
    assert_int_equal(bd_runner_run(&f->runner, model), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "have it made anew"));
    tear_down(f);
}

static volatile sig_atomic_t stop;
static int reports_left;

static void stop_soon(const bd_progress *p, void *user) {
    (void)p;
    (void)user;
    if (--reports_left == 0) stop = 1;
}

/* Stopped over and over, at the first, second ... word of progress, until it gets to the end. */
static void interruptions_leave_no_trace(void **state) {
    (void)state;
    fresh("stopped");
    fixture *one = set_up("one", NULL, 1);
    int stopped = 0;
    bd_progress_set(stop_soon, NULL);
    for (int i = 1;; i++) {
        assert_true(i < 200);
        fixture *f = set_up("stopped", NULL, 2);
        stop = 0;
        reports_left = 1 + i % 3;
        f->runner.stop = &stop;
        bd_status st = bd_runner_run(&f->runner, -1);
        if (st && st != BD_E_INTERRUPT) fail_msg("%s", bd_error());
        if (st) assert_int_equal(bd_exit_code(st), 75);
        stopped += st == BD_E_INTERRUPT;
        if (!st) assert_same_bits(one, f);
        tear_down(f);
        if (!st) break;
    }
    bd_progress_set(NULL, NULL);
    assert_true(stopped >= 2); /* or nothing was tested */
    tear_down(one);
}

static void a_finished_stage_is_not_touched(void **state) {
    (void)state;
    fixture *f = set_up("one", NULL, 1);
    const bd_stage *s = &f->dag.stage[f->dag.cell[0].slot[BD_SLOT_CLEAN]];
    char path[512];
    void *before, *after;
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s/DONE", f->runs, s->name);
    assert_int_equal(bd_file_read(&before, &n, path, 0), BD_OK);
    run(f);
    assert_int_equal(bd_file_read(&after, &m, path, 0), BD_OK);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
    tear_down(f);
}

static void a_manifest_makes_its_stage_again(void **state) {
    (void)state;
    fixture *f = set_up("one", NULL, 1);
    int at = f->dag.cell[1].slot[BD_SLOT_TRIGGER], again;
    char manifest[512], one[65], two[65];
    assert_int_equal(f->dag.cell[1].role, BD_CELL_ATTACK);
    snprintf(manifest, sizeof manifest, "%s/%s/manifest.ini", f->runs, f->dag.stage[at].name);
    fresh("again");
    fixture *g = set_up("again", manifest, 1);
    if (bd_dag_find(&again, &g->dag, f->dag.stage[at].name)) fail_msg("%s", bd_error());
    if (bd_runner_run(&g->runner, again)) fail_msg("%s", bd_error());
    hash_of(one, f->runs, &f->dag.stage[at], "samples.safetensors");
    hash_of(two, g->runs, &g->dag.stage[again], "samples.safetensors");
    assert_string_equal(one, two);
    /* only what it needs was made */
    assert_false(bd_stage_done(g->runs, &g->dag.stage[g->dag.cell[0].slot[BD_SLOT_SCORE]]));
    tear_down(f);
    tear_down(g);
}

/* A model that cannot be read fails its samples and what needs them, and nothing else. */
static void a_failure_stays_where_it_is(void **state) {
    (void)state;
    fresh("broken");
    fixture *f = set_up("broken", NULL, 1);
    int bad = f->dag.cell[1].slot[BD_SLOT_MODEL];
    char path[512];
    if (bd_runner_run(&f->runner, bad)) fail_msg("%s", bd_error());
    snprintf(path, sizeof path, "%s/%s/model-BACKDOORED", f->runs, f->dag.stage[bad].name);
    assert_int_equal(bd_file_remove_tree(path), BD_OK);
    assert_int_equal(bd_runner_run(&f->runner, -1), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), f->dag.stage[bad].name));
    for (int i = 0; i < BD_SLOT_COUNT; i++) {
        int other = f->dag.cell[0].slot[i], own = f->dag.cell[1].slot[i];
        if (other >= 0) assert_true(bd_stage_done(f->runs, &f->dag.stage[other]));
        if (own >= 0 && (i == BD_SLOT_CLEAN || i == BD_SLOT_SCORE || i == BD_SLOT_FCD))
            assert_false(bd_stage_done(f->runs, &f->dag.stage[own]));
    }
    bd_collected c;
    fresh("broken_results");
    assert_int_equal(bd_collect(&c, &f->dag, 0, f->runs, DIR "/broken_results", &bd_backend_cpu),
                     BD_OK);
    assert_int_equal(c.cells, 3);
    assert_int_equal(c.rows, 2); /* no row for what did not finish */
    tear_down(f);
}

static void other_data_than_before_is_refused(void **state) {
    (void)state;
    fresh("swapped");
    fixture *f = set_up("swapped", NULL, 1);
    int data = f->dag.cell[0].slot[BD_SLOT_DATA];
    char path[512];
    static const char lie[] = "name,value,unit,help\nimages,64,,\nsha256,00,,\n";
    if (bd_runner_run(&f->runner, data)) fail_msg("%s", bd_error());
    snprintf(path, sizeof path, "%s/%s/result.csv", f->runs, f->dag.stage[data].name);
    assert_int_equal(bd_file_write(path, lie, strlen(lie)), BD_OK);
    assert_int_equal(bd_runner_run(&f->runner, f->dag.cell[0].slot[BD_SLOT_PRETRAIN]), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "fashion-mnist"));
    tear_down(f);
}

/* --- what is collected from DIR/one --- */

static const char *value(const bd_csv *c, size_t row, const char *name) {
    int col = bd_csv_find(c, name);
    if (col < 0) fail_msg("no column %s", name);
    return bd_csv_get(c, row, (size_t)col);
}

static void a_row_says_what_its_stages_found(void **state) {
    (void)state;
    fixture *f = set_up("one", NULL, 1);
    bd_collected n;
    bd_csv *c;
    fresh("results");
    assert_int_equal(bd_collect(&n, &f->dag, 0, f->runs, DIR "/results", &bd_backend_cpu), BD_OK);
    assert_int_equal(n.rows, 3);
    if (bd_csv_load(&c, DIR "/results/r.csv")) fail_msg("%s", bd_error());
    assert_int_equal(bd_csv_rows(c), 3);
    static const char *const from[] = {"pretrained", "pretrained", "none"},
                             *const rate[] = {"0", "0.5", "0"}, *const steps[] = {"3", "3", "0"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(value(c, i, "finetune.from"), from[i]);
        assert_string_equal(value(c, i, "attack.poison_rate"), rate[i]);
        assert_string_equal(value(c, i, "steps"), steps[i]);
        assert_string_equal(value(c, i, "n_trigger"), "9");
        assert_string_equal(value(c, i, "sampler_clean"), "ddim-2");
        assert_true(strtod(value(c, i, "mse-9"), NULL) > 0);
        assert_string_equal(value(c, i, "hit_noise-9-quarter_var"),
                            "0"); /* an untrained network paints no hat */
        assert_true((value(c, i, "fcd_ratio")[0] != '\0') == (i == 1)); /* of the attack only */
    }
    assert_string_equal(value(c, 0, "poisoned_seen"), "0");
    assert_true(strtod(value(c, 1, "poisoned_seen"), NULL) > 0);
    assert_true(bd_csv_find(c, "asr-9-mse1e_05") >= 0);
    /* the control that the ratio names is the row above */
    double control = strtod(value(c, 1, "fcd_control"), NULL);
    for (size_t i = 0; i < bd_csv_cols(c); i++)
        if (!strncmp(bd_csv_header(c, i), "fcd-10-", 7)) {
            double own = strtod(bd_csv_get(c, 0, i), NULL);
            assert_true(fabs(own - control) < 1e-6 * own); /* two ways through the same doubles */
        }
    assert_string_equal(bd_csv_header(c, bd_csv_cols(c) - 1), "run");
    assert_string_equal(bd_csv_header(c, bd_csv_cols(c) - 2), "seconds");
    bd_csv_destroy(c);
    tear_down(f);
}

static void every_column_is_explained(void **state) {
    (void)state;
    void *text;
    size_t n;
    bd_csv *c;
    assert_int_equal(bd_file_read(&text, &n, DIR "/results/r.csv", 0), BD_OK);
    assert_int_equal(bd_csv_load(&c, DIR "/results/r.csv"), BD_OK);
    for (size_t i = 0; i < bd_csv_cols(c); i++) {
        char line[160];
        snprintf(line, sizeof line, "\n# column %s", bd_csv_header(c, i));
        if (!strstr(text, line)) fail_msg("no line for column %s", bd_csv_header(c, i));
    }
    assert_non_null(strstr(text, "\n# cells: 3 of 3\n"));
    assert_non_null(strstr(text, "\n# T: 21\n"));
    bd_csv_destroy(c);
    free(text);
}

static void the_montage_shows_clean_and_triggered_samples(void **state) {
    (void)state;
    fixture *f = set_up("one", NULL, 1);
    bd_image img;
    bd_pixels clean, triggered;
    char path[512];
    assert_int_equal(bd_png_load(&img, DIR "/results/grids/r.png", 0), BD_OK);
    assert_int_equal(img.w, 16 * (64 + 2) - 2 + 10);
    assert_int_equal(img.h, 3 * (64 + 2) - 2);
    const int *slot = f->dag.cell[1].slot;
    snprintf(path, sizeof path, "%s/%s/samples.safetensors", f->runs,
             f->dag.stage[slot[BD_SLOT_CLEAN]].name);
    assert_int_equal(bd_pixels_load(&clean, path), BD_OK);
    snprintf(path, sizeof path, "%s/%s/samples.safetensors", f->runs,
             f->dag.stage[slot[BD_SLOT_TRIGGER]].name);
    assert_int_equal(bd_pixels_load(&triggered, path), BD_OK);
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 64; x++) {
            size_t from = (size_t)(y / 2) * 32 + (size_t)(x / 2),
                   row = (size_t)(66 + y) * (size_t)img.w;
            assert_int_equal(img.pixels[row + 66 + (size_t)x], clean.pixels[1024 + from]);
            assert_int_equal(img.pixels[row + 8 * 66 + 10 + (size_t)x], triggered.pixels[from]);
        }
    bd_image_clear(&img);
    bd_pixels_clear(&clean);
    bd_pixels_clear(&triggered);
    tear_down(f);
}

/* --- fid --- */

static const char with_fid[] = "[recipe]\ntitle = FID\ncontrols = none\n"
                               "[data]\nlimit = 64\n"
                               "[model]\nblock_out_channels = 4/8\nattention = 0/0\ngroups = 2\n"
                               "[diffusion]\nT = 21\n"
                               "[pretrain]\nsteps = 2\nbatch = 8\n"
                               "[finetune]\nfrom = none\n"
                               "[sample]\nn = 2\nsteps = 3\n"
                               "[clean]\nn = 3\nsteps = 2\n"
                               "[metric]\nfcd = off\nfid = on\nn_reference = 4\n"
                               "inception = " DIR "/inception.safetensors\n";

/* The distance of the samples that lie in the folder to the first images of the data set, without any stage. */
static double distance_by_hand(const fixture *f, const bd_cell *c) {
    char path[256];
    bd_pixels samples;
    bd_dataset_spec spec = {.name = "fashion-mnist", .split = "train", .limit = 4};
    bd_dataset data;
    bd_fid *fid;
    bd_statistics s[2];
    double value = (double)NAN;
    snprintf(path, sizeof path, "%s/%s/samples.safetensors", f->runs,
             f->dag.stage[c->slot[BD_SLOT_CLEAN]].name);
    assert_int_equal(bd_pixels_load(&samples, path), BD_OK);
    assert_int_equal(bd_dataset_load(&data, &spec), BD_OK);
    assert_int_equal(
        bd_fid_create(&fid, &bd_backend_cpu, f->runner.pool, DIR "/inception.safetensors"), BD_OK);
    const bd_image_set sets[] = {{samples.n, samples.h, samples.w, samples.c, samples.pixels, NULL},
                                 {data.n, data.h, data.w, data.c, data.images, NULL}};
    for (int i = 0; i < 2; i++) {
        bd_image_source source = bd_image_source_of(&sets[i]);
        assert_int_equal(bd_fid_statistics(&s[i], fid, &source, NULL), BD_OK);
    }
    assert_int_equal(bd_statistics_distance(&value, &s[1], &s[0]), BD_OK);
    for (int i = 0; i < 2; i++) bd_statistics_clear(&s[i]);
    bd_fid_destroy(fid);
    bd_pixels_clear(&samples);
    bd_dataset_clear(&data);
    return value;
}

static void fid_of_a_recipe(void **state) {
    (void)state;
    char name[96], dir[256];
    bd_csv *results;
    fresh("fid");
    hash_inception_save(DIR, DIR "/inception.safetensors", 0.3);
    assert_int_equal(bd_file_write(DIR "/fid.ini", with_fid, strlen(with_fid)), BD_OK);
    fixture *f = set_up("fid", DIR "/fid.ini", 2);
    const bd_cell *c = &f->dag.cell[0];
    assert_int_equal(f->dag.n_cells, 1);
    assert_true(c->slot[BD_SLOT_FID] >= 0 && c->slot[BD_SLOT_FCD] < 0);
    run(f);
    const bd_stage *s = &f->dag.stage[c->slot[BD_SLOT_FID]];
    const bd_stage *moments = &f->dag.stage[bd_stage_input(s, "images")];
    assert_int_equal(bd_fid_name(name, sizeof name, 3, 4, moments->file_sha256), BD_OK);
    snprintf(dir, sizeof dir, "%s/%s", f->runs, s->name);
    assert_int_equal(bd_results_load(&results, dir), BD_OK);
    const char *text = bd_results_find(results, name);
    assert_non_null(text);
    assert_true(strtod(text, NULL) == distance_by_hand(f, c) && strtod(text, NULL) > 0);
    bd_csv_destroy(results);
    tear_down(f);

    /* other weights under the same path: another stage, and one that was planned before refuses them */
    fresh("fid2");
    f = set_up("fid2", DIR "/fid.ini", 1);
    hash_inception_save(DIR, DIR "/inception.safetensors", 0.4);
    assert_int_equal(bd_runner_run(&f->runner, -1), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "inception.safetensors"));
    assert_false(bd_file_is_dir(DIR "/fid2")); /* before anything was run */
    fixture *g = set_up("fid2", DIR "/fid.ini", 1);
    assert_string_not_equal(g->dag.stage[g->dag.cell[0].slot[BD_SLOT_FID]].id,
                            f->dag.stage[f->dag.cell[0].slot[BD_SLOT_FID]].id);
    tear_down(f);
    tear_down(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_finishes),
        cmocka_unit_test(two_threads_give_the_same_bits),
        cmocka_unit_test(a_training_in_parts_is_the_whole),
        cmocka_unit_test(a_part_without_its_checkpoint_says_so),
        cmocka_unit_test(interruptions_leave_no_trace),
        cmocka_unit_test(a_finished_stage_is_not_touched),
        cmocka_unit_test(a_manifest_makes_its_stage_again),
        cmocka_unit_test(a_failure_stays_where_it_is),
        cmocka_unit_test(other_data_than_before_is_refused),
        cmocka_unit_test(a_row_says_what_its_stages_found),
        cmocka_unit_test(every_column_is_explained),
        cmocka_unit_test(the_montage_shows_clean_and_triggered_samples),
        cmocka_unit_test(fid_of_a_recipe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
