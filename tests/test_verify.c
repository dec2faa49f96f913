/* Oracle: the file that was changed by the test itself. Controls: nothing changed, nothing named; and sums that are
 * brought back into line with a changed file are caught one step further on. */
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
#include "io/png.h"
#include "run/collect.h"
#include "run/folder.h"
#include "run/runner.h"
#include "run/sums.h"
#include "run/verify.h"

#define DIR "build/tmp/test_verify"
#define RUNS DIR "/runs"
#define RESULTS DIR "/results"

static const char recipe[] =
    "[recipe]\ntitle = Small\ncontrols = none\n[data]\nset = folder\nfolder = " DIR
    "/pictures\nsize = 16\n[model]\nblock_out_channels = 4/8\nattention = 0/0\ngroups = 2\n"
    "[diffusion]\nT = 21\n[pretrain]\nsteps = 2\nbatch = 4\n[finetune]\nsteps = 2\nbatch = 4\n"
    "[attack]\ntarget = corner\ntrigger = box4\npoison_rate = 0.5\n"
    "[sample]\nn = 4\nsteps = 3\nsampler = ddim\n[clean]\nn = 4\nsteps = 2\n[metric]\nfcd = off\n";

typedef struct {
    bd_recipe_file file;
    bd_dag dag;
} fixture;

static void assert_ok(bd_status st) {
    if (st) fail_msg("%s", bd_error());
}

/* Eight pictures of the data set's folder. */
static void draw_pictures(void) {
    assert_ok(bd_file_mkdirs(DIR "/pictures"));
    for (int i = 0; i < 8; i++) {
        uint8_t pixels[16 * 16];
        char path[128];
        for (int k = 0; k < 16 * 16; k++) pixels[k] = (uint8_t)(k * (i + 3) * 7 >> 2);
        snprintf(path, sizeof path, DIR "/pictures/%d.png", i);
        assert_ok(bd_png_save(path, &(bd_image){16, 16, 1, pixels}));
    }
}

static int make(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_ok(bd_file_remove_tree(DIR));
    draw_pictures();
    assert_ok(bd_file_write(DIR "/r.ini", recipe, strlen(recipe)));
    assert_ok(bd_recipe_load(&f->file, DIR "/r.ini", NULL, false, NULL, 0));
    assert_ok(bd_dag_add(&f->dag, &f->file));
    bd_runner r = {.dag = &f->dag, .runs = RUNS, .backend = &bd_backend_cpu, .threads = 1};
    assert_ok(bd_pool_create(&r.pool, 1));
    assert_ok(bd_runner_run(&r, -1));
    bd_runner_clear(&r);
    bd_pool_destroy(r.pool);
    bd_collected c;
    assert_ok(bd_collect(&c, &f->dag, 0, RUNS, RESULTS, &bd_backend_cpu));
    assert_int_equal(c.rows, 1);
    assert_ok(bd_verify_seal(&f->dag, RESULTS, RUNS));
    *state = f;
    return 0;
}

static int discard(void **state) {
    fixture *f = *state;
    bd_dag_clear(&f->dag);
    bd_recipe_file_clear(&f->file);
    free(f);
    return bd_file_remove_tree(DIR) ? -1 : 0;
}

/* What was named. */
typedef struct {
    int n;
    char text[8192];
} named;

static void note(void *ctx, const char *path, const char *what) {
    named *n = ctx;
    size_t used = strlen(n->text);
    n->n++;
    snprintf(n->text + used, sizeof n->text - used, "%s %s\n", path, what);
}

static void verify(named *n, int *files) {
    memset(n, 0, sizeof *n);
    bd_verify v = {.problem = note, .ctx = n};
    assert_ok(bd_verify_results(&v, RESULTS));
    assert_int_equal(v.problems, n->n);
    if (files) *files = v.files;
}

static void nothing_changed_nothing_named(void **state) {
    fixture *f = *state;
    named n;
    int files;
    verify(&n, &files);
    if (n.n) fail_msg("%s", n.text);
    assert_true(files > 3 * f->dag.n_stages);
}

/* --- one byte --- */

static void flip(const char *path, size_t at) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    int c = fgetc(file);
    assert_true(c != EOF);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(c ^ 1, file), c ^ 1);
    assert_int_equal(fclose(file), 0);
}

static void expect_named(const char *path, size_t at, const char *as) {
    named n;
    flip(path, at);
    verify(&n, NULL);
    if (!strstr(n.text, as)) fail_msg("byte %zu of %s: named was\n%s", at, path, n.text);
    flip(path, at);
}

/* First, middle and last byte of each file in a list of paths. */
static int flip_all(const bd_sums *s, const char *folder) {
    for (size_t i = 0; i < s->n; i++) {
        char path[1024];
        void *data;
        size_t bytes;
        snprintf(path, sizeof path, "%s/%s", folder, s->at[i].path);
        assert_ok(bd_file_read(&data, &bytes, path, 0));
        free(data);
        if (bytes == 0) continue;
        expect_named(path, 0, path);
        expect_named(path, bytes / 2, path);
        expect_named(path, bytes - 1, path);
    }
    return (int)s->n;
}

static void a_changed_byte_is_named_in_whatever_file(void **state) {
    (void)state;
    bd_sums runs = {0}, results = {0};
    assert_ok(bd_sums_add_tree(&runs, RUNS, ""));
    assert_ok(bd_sums_add_tree(&results, RESULTS, ""));
    assert_true(flip_all(&runs, RUNS) > 20);
    assert_true(flip_all(&results, RESULTS) >= 2); /* the CSV and the sheet */
    bd_sums_clear(&runs);
    bd_sums_clear(&results);
}

static void so_it_is_in_the_lists_themselves(void **state) {
    fixture *f = *state;
    for (int i = 0; i < f->dag.n_stages; i++) {
        char path[256];
        const char *stage = f->dag.stage[i].name;
        snprintf(path, sizeof path, RUNS "/%s/SHA256SUMS", stage);
        for (size_t at = 0; at < 80; at += 13) expect_named(path, at, stage);
        snprintf(path, sizeof path, RUNS "/%s/DONE", stage);
        void *data;
        size_t bytes;
        assert_ok(bd_file_read(&data, &bytes, path, 0));
        free(data);
        for (size_t at = 0; at < bytes; at += 7) expect_named(path, at, stage);
    }
}

static void a_changed_picture_is_other_data(void **state) {
    (void)state;
    uint8_t grey[16 * 16] = {0};
    void *data;
    size_t bytes;
    named n;
    assert_ok(bd_file_read(&data, &bytes, DIR "/pictures/3.png", 0));
    assert_ok(bd_png_save(DIR "/pictures/3.png", &(bd_image){16, 16, 1, grey}));
    verify(&n, NULL);
    assert_non_null(strstr(n.text, "other pixels"));
    assert_non_null(strstr(n.text, "/pictures"));
    assert_ok(bd_file_write(DIR "/pictures/3.png", data, bytes));
    free(data);
    nothing_changed_nothing_named(state);
}

static void missing_and_added_files_are_named(void **state) {
    fixture *f = *state;
    char path[256], kept[300];
    named n;
    for (int i = 0; i < f->dag.n_stages; i++) {
        const char *stage = f->dag.stage[i].name;
        snprintf(path, sizeof path, RUNS "/%s/result.csv", stage);
        snprintf(kept, sizeof kept, "%s.tmp.1", path);
        assert_int_equal(rename(path, kept), 0);
        verify(&n, NULL);
        assert_non_null(strstr(n.text, "is missing"));
        assert_non_null(strstr(n.text, path));
        assert_int_equal(rename(kept, path), 0);
    }
    snprintf(path, sizeof path, RUNS "/%s/more.txt", f->dag.stage[0].name);
    assert_ok(bd_file_write(path, "x", 1));
    verify(&n, NULL);
    assert_non_null(strstr(n.text, "was not there"));
    assert_non_null(strstr(n.text, path));
    assert_ok(bd_file_remove(path));
    nothing_changed_nothing_named(state);
}

/* Someone who changes a file and its list must change every list behind it, up to the results' own. */
static void a_list_brought_into_line_is_caught_further_on(void **state) {
    fixture *f = *state;
    int pretrain = -1;
    for (int i = 0; i < f->dag.n_stages; i++)
        if (f->dag.stage[i].kind == BD_KIND_pretrain) pretrain = i;
    assert_true(pretrain >= 0);
    char dir[256], log[300], sums[300], hash[65];
    void *data, *list;
    size_t bytes, list_bytes;
    snprintf(dir, sizeof dir, RUNS "/%s", f->dag.stage[pretrain].name);
    snprintf(log, sizeof log, "%s/log.csv", dir);
    snprintf(sums, sizeof sums, "%s/SHA256SUMS", dir);
    assert_ok(bd_file_read(&data, &bytes, log, 0));
    assert_ok(bd_file_read(&list, &list_bytes, sums, 0));
    flip(log, bytes / 2);
    assert_ok(bd_verify_finish(hash, &f->dag, pretrain, RUNS));
    bd_done done;
    char path[300];
    snprintf(path, sizeof path, "%s/DONE", dir);
    void *was;
    size_t was_bytes;
    assert_ok(bd_file_read(&was, &was_bytes, path, 0));
    assert_ok(bd_done_read(&done, path));
    strcpy(done.sums, hash);
    assert_ok(bd_done_write(dir, &done));
    named n;
    verify(&n, NULL);
    assert_true(n.n >= 1); /* those who used it know it otherwise */
    assert_non_null(strstr(n.text, sums));
    assert_ok(bd_file_write(log, data, bytes));
    assert_ok(bd_file_write(sums, list, list_bytes));
    assert_ok(bd_file_write(path, was, was_bytes));
    free(data);
    free(list);
    free(was);
    nothing_changed_nothing_named(state);
}

static void bad_lists_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "abc  file\n", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg  file\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef file\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  \n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  cut off"};
    assert_ok(bd_file_mkdirs(DIR "/bad"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bd_sums s;
        assert_ok(bd_file_write(DIR "/bad/SHA256SUMS", bad[i], strlen(bad[i])));
        assert_int_equal(bd_sums_load(&s, DIR "/bad"), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), "SHA256SUMS:1"));
    }
    assert_ok(bd_file_remove_tree(DIR "/bad"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed_nothing_named),
        cmocka_unit_test(a_changed_byte_is_named_in_whatever_file),
        cmocka_unit_test(so_it_is_in_the_lists_themselves),
        cmocka_unit_test(a_changed_picture_is_other_data),
        cmocka_unit_test(missing_and_added_files_are_named),
        cmocka_unit_test(a_list_brought_into_line_is_caught_further_on),
        cmocka_unit_test(bad_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, make, discard);
}
