/* Oracles: problems planted one at a time and together, each beside the same plan without it; facts of this machine by
 * way of the system's own tools where they are asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/machine.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "run/folder.h"
#include "run/inputs.h"
#include "run/preflight.h"

#define DIR "build/tmp/test_preflight"

static const char small[] = "[recipe]\ncontrols = none\n[data]\nlimit = 64\n"
                            "[model]\nblock_out_channels = 4/8\nattention = 0/0\ngroups = 2\n"
                            "[diffusion]\nT = 21\n[pretrain]\nsteps = 4\nbatch = 8\n"
                            "[finetune]\nsteps = 4\nbatch = 8\n[sample]\nn = 8\n"
                            "[clean]\nn = 8\nsteps = 2\n[metric]\nfcd = off\n";

typedef struct {
    bd_recipe_file file;
    bd_dag dag;
    bd_price *price;
    bd_problems problems;
} fixture;

/* The small recipe with n settings, priced; runs is a folder that is not there. */
static fixture *set_up(const char *const *settings, int n) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_remove_tree(DIR "/runs"), BD_OK);
    assert_int_equal(bd_file_write(DIR "/r.ini", small, sizeof small - 1), BD_OK);
    if (bd_recipe_load(&f->file, DIR "/r.ini", NULL, false, settings, n))
        fail_msg("%s", bd_error());
    if (bd_dag_add(&f->dag, &f->file)) fail_msg("%s", bd_error());
    f->price = calloc((size_t)f->dag.n_stages, sizeof *f->price);
    assert_non_null(f->price);
    bd_price_spec spec = {.runs = DIR "/runs", .backend = &bd_backend_cpu, .threads = 1};
    if (bd_dag_prices(f->price, &f->dag, &spec)) fail_msg("%s", bd_error());
    return f;
}

static void tear_down(fixture *f) {
    bd_problems_clear(&f->problems);
    free(f->price);
    bd_dag_clear(&f->dag);
    bd_recipe_file_clear(&f->file);
    free(f);
}

static int look(fixture *f, const char *runs, time_t now) {
    bd_preflight_spec spec = {
        .dag = &f->dag, .price = f->price, .runs = runs, .results = DIR "/results", .now = now};
    bd_problems_clear(&f->problems);
    if (bd_preflight(&f->problems, &spec)) fail_msg("%s", bd_error());
    return f->problems.n;
}

static int says(const fixture *f, const char *part) {
    int n = 0;
    for (int i = 0; i < f->problems.n; i++) n += strstr(f->problems.line[i], part) != NULL;
    return n;
}

static void a_machine_that_is_fine_has_no_problem(void **state) {
    (void)state;
    fixture *f = set_up(NULL, 0);
    if (look(f, DIR "/runs", 0)) fail_msg("%s", f->problems.line[0]);
    assert_false(bd_file_exists(DIR "/runs")); /* nothing was made */
    assert_false(bd_file_exists(DIR "/results"));
    tear_down(f);
}

static void the_clock(void **state) {
    (void)state;
    fixture *f = set_up(NULL, 0);
    assert_int_equal(look(f, DIR "/runs", 1704067199), 1); /* the last second of 2023 */
    assert_int_equal(says(f, "clock"), 1);
    assert_int_equal(look(f, DIR "/runs", 1704067200), 0);
    tear_down(f);
}

static void room_files_and_memory_are_compared_with_the_plan(void **state) {
    (void)state;
    fixture *f = set_up(NULL, 0);
    int last = f->dag.n_stages - 1, train = -1;
    for (int i = 0; i <= last; i++)
        if (f->dag.stage[i].kind == BD_KIND_pretrain) train = i;
    f->price[last].disk += 1e18;
    f->price[train].memory += 1e18;
    assert_int_equal(look(f, DIR "/runs", 0), 2);
    assert_int_equal(says(f, "the stages to do need 1000000000.0 GB"), 1);
    assert_int_equal(says(f, f->dag.stage[train].name), 1);
    f->price[last].done = f->price[train].done = true; /* what is done needs nothing more */
    assert_int_equal(look(f, DIR "/runs", 0), 0);
    tear_down(f);
}

/* The limit that a process has is what a shell can set. */
static void memory_limit(void **state) {
    (void)state;
    bd_machine m;
    bd_machine_get(&m);
    double limit = bd_machine_memory_limit();
    assert_true(limit > 0 && limit <= m.memory);
}

static void two_problems_are_both_named(void **state) {
    (void)state;
    const char *settings[] = {"data.set=mnist"};
    fixture *f = set_up(settings, 1);
    assert_int_equal(bd_file_mkdirs(DIR "/empty"), BD_OK);
    setenv("BADDIFF_DATA", DIR "/empty", 1);
    assert_int_equal(bd_file_write(DIR "/file", "x", 1), BD_OK);
    assert_int_equal(look(f, DIR "/file/runs", 0), 2);
    assert_int_equal(says(f, DIR "/file is not a folder"), 1);
    assert_int_equal(says(f, "make fetch DATA=mnist"), 1);
    assert_int_equal(look(f, DIR "/runs", 0), 1);
    unsetenv("BADDIFF_DATA");
    tear_down(f);
}

static void a_device_that_is_not_here(void **state) {
    (void)state;
    const char *settings[] = {"run.device=cuda"};
    if (bd_cuda_devices() > 0) {
        print_message("skip: this machine has a CUDA device\n");
        skip();
    }
    fixture *f = set_up(settings, 1);
    assert_int_equal(look(f, DIR "/runs", 0), 1); /* once, not once a stage */
    assert_int_equal(says(f, "run.device = cuda:0"), 1);
    tear_down(f);
}

/* DONE in every folder: nothing is read any more. Without the trainings', their data is missed again. */
static void what_is_finished_needs_no_input(void **state) {
    (void)state;
    const char *settings[] = {"data.set=mnist"};
    fixture *f = set_up(settings, 1);
    bd_inputs missing;
    char dir[1100], training[1200] = "";
    setenv("BADDIFF_DATA", DIR "/empty", 1);
    for (int i = 0; i < f->dag.n_stages; i++) {
        const bd_stage *s = &f->dag.stage[i];
        assert_int_equal(bd_stage_path(dir, sizeof dir, DIR "/runs", s, NULL), BD_OK);
        assert_int_equal(bd_file_mkdirs(dir), BD_OK);
        assert_int_equal(bd_done_write(dir, &(bd_done){.seconds = 1, .threads = 1}), BD_OK);
        if (s->kind == BD_KIND_pretrain) snprintf(training, sizeof training, "%s/DONE", dir);
    }
    assert_int_equal(bd_inputs_missing(&missing, &f->dag, DIR "/runs", NULL), BD_OK);
    assert_int_equal(missing.n, 0);
    bd_inputs_clear(&missing);
    assert_int_equal(bd_file_remove(training), BD_OK);
    assert_int_equal(bd_inputs_missing(&missing, &f->dag, DIR "/runs", NULL), BD_OK);
    assert_int_equal(missing.n, 1);
    assert_string_equal(missing.at[0].name, "mnist");
    assert_int_equal(missing.at[0].stages, 1);
    assert_true(missing.at[0].bytes > 5e7 && !missing.at[0].by_hand);
    bd_inputs_clear(&missing);
    unsetenv("BADDIFF_DATA");
    tear_down(f);
}

static void put(const char *path, const char *text) {
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
}

static void pages_and_pointers_are_called_that(void **state) {
    (void)state;
    const char *settings[] = {"attack.art=original", "attack.target=hat"};
    assert_int_equal(bd_file_mkdirs(DIR "/page/art"), BD_OK);
    put(DIR "/page/art/fedora-hat.png", "\n<!DOCTYPE HTML><html>Sign in</html>");
    setenv("BADDIFF_DATA", DIR "/page", 1);
    fixture *f = set_up(settings, 2);
    /* the data set is in the place of the package */
    assert_int_equal(look(f, DIR "/runs", 0), 1);
    assert_int_equal(says(f, "fedora-hat.png is an HTML page"), 1);
    assert_int_equal(says(f, "make fetch DATA=art"), 1);
    unsetenv("BADDIFF_DATA");
    tear_down(f);
    put(DIR "/pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    assert_non_null(strstr(bd_input_impostor(DIR "/pointer"), "git-LFS"));
    assert_null(bd_input_impostor("tests/golden/jpeg/full.png"));
    assert_null(bd_input_impostor(DIR "/none"));
    put(DIR "/short", "ok");
    assert_null(bd_input_impostor(DIR "/short"));
}

static void a_model_folder(void **state) {
    (void)state;
    const char *settings[] = {"model.folder=data/models/ddpm-cifar10-32", "finetune.steps=1"};
    if (bd_file_exists("data/models/ddpm-cifar10-32")) {
        print_message("skip: the model is there\n");
        skip();
    }
    fixture *f = set_up(settings, 2);
    assert_int_equal(look(f, DIR "/runs", 0), 1);
    assert_int_equal(says(f, "make fetch DATA=ddpm-cifar10-32"), 1);
    tear_down(f);
}

static void room_of_a_folder_that_is_to_be_made(void **state) {
    (void)state;
    bd_room a, b;
    assert_int_equal(bd_room_get(&a, DIR), BD_OK);
    assert_int_equal(bd_room_get(&b, DIR "/not/there/yet"), BD_OK);
    assert_string_equal(b.where, DIR);
    assert_true(a.writable && b.writable && a.bytes > 0);
    assert_int_equal(bd_room_get(&b, "nowhere"), BD_OK);
    assert_string_equal(b.where, ".");
    assert_int_equal(bd_room_get(&b, "/nowhere/at/all"), BD_OK);
    assert_string_equal(b.where, "/");
    assert_int_equal(bd_room_get(&b, DIR "/file/x"), BD_OK);
    assert_false(b.writable);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_that_is_fine_has_no_problem),
        cmocka_unit_test(the_clock),
        cmocka_unit_test(room_files_and_memory_are_compared_with_the_plan),
        cmocka_unit_test(memory_limit),
        cmocka_unit_test(two_problems_are_both_named),
        cmocka_unit_test(a_device_that_is_not_here),
        cmocka_unit_test(what_is_finished_needs_no_input),
        cmocka_unit_test(pages_and_pointers_are_called_that),
        cmocka_unit_test(a_model_folder),
        cmocka_unit_test(room_of_a_folder_that_is_to_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
