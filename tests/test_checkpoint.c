/* Oracles: bitwise round trip; every damaged byte and every cut is noticed; a failure of any single
 * system call leaves a loadable checkpoint. */
#include <errno.h>
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
#include "fault.h"
#include "power.h"
#include "train/checkpoint.h"

#define DIR_NAME "build/tmp/test_checkpoint"
#define FILE_OF(step) DIR_NAME "/checkpoint-00000000000" #step ".safetensors"

/* Parameters and both moments of a small network: a vector, a linear layer, a convolution. */
typedef struct {
    bd_params p, m, v;
} model;

typedef struct {
    bd_graph *g;
    model a, b; /* what is saved; what is loaded into */
} fixture;

static void model_clear(model *x) {
    bd_params_clear(&x->p);
    bd_params_clear(&x->m);
    bd_params_clear(&x->v);
}

static int model_init(model *x, const bd_graph *g) {
    return bd_params_from_graph(&x->p, g) || bd_params_from_graph(&x->m, g) ||
           bd_params_from_graph(&x->v, g);
}

/* Values that depend on tag and place, with the awkward ones in front. */
static void model_fill(model *x, int tag) {
    bd_params *all[] = {&x->p, &x->m, &x->v};
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < all[r]->n; i++) {
            float *at = all[r]->data + all[r]->at[i].first;
            for (size_t k = 0; k < all[r]->at[i].count; k++)
                at[k] = (float)(tag * 1000 + r * 100 + i * 10) + (float)k / 16;
            at[0] = -0.0f;
            at[1] = 1e-42f; /* subnormal */
        }
}

static bool model_equal(const model *x, const model *y) {
    return memcmp(x->p.data, y->p.data, x->p.bytes) == 0 &&
           memcmp(x->m.data, y->m.data, x->m.bytes) == 0 &&
           memcmp(x->v.data, y->v.data, x->v.bytes) == 0;
}

static bd_checkpoint_state state_of(int64_t step) {
    return (bd_checkpoint_state){.step = step,
                                 .micro_steps = 2 * step,
                                 .images = 128 * step,
                                 .poisoned = 13 * step,
                                 .log_bytes = 100 + step,
                                 .loss = 0.1 / (double)(step + 3),
                                 .seconds = 1.0 / 3};
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f || bd_graph_create(&f->g, "small")) return -1;
    bd_graph_param(f->g, "norm.weight", 1, 1, 1, 3);
    bd_graph_param(f->g, "linear.weight", 2, 3, 1, 1);
    bd_graph_param(f->g, "conv.weight", 2, 1, 3, 3);
    if (model_init(&f->a, f->g) || model_init(&f->b, f->g)) return -1;
    *state = f;
    if (bd_file_remove_tree(DIR_NAME)) return -1;
    return bd_file_mkdirs(DIR_NAME) ? -1 : 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_io_set(NULL);
    bd_log_set_sink(NULL, NULL);
    model_clear(&f->a);
    model_clear(&f->b);
    bd_graph_destroy(f->g);
    free(f);
    return bd_file_remove_tree(DIR_NAME) ? -1 : 0;
}

/* Save the model of `step`, whose values say which it is. */
static bd_status save(fixture *f, int step) {
    model_fill(&f->a, step);
    bd_checkpoint_state s = state_of(step);
    return bd_checkpoint_save(DIR_NAME, "settings", &s, &f->a.p, &f->a.m, &f->a.v);
}

static bd_status load(bd_checkpoint_state *s, fixture *f) {
    return bd_checkpoint_load(s, &f->b.p, &f->b.m, &f->b.v, DIR_NAME, "settings");
}

/* What load gives must be exactly what save(step) wrote. */
static void assert_loads(fixture *f, int step) {
    bd_checkpoint_state s = {0}, expected = state_of(step);
    assert_int_equal(load(&s, f), BD_OK);
    assert_memory_equal(&s, &expected, sizeof s);
    model_fill(&f->a, step);
    assert_true(model_equal(&f->b, &f->a));
}

static void test_round_trip_is_bitwise(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 7), BD_OK);
    assert_loads(f, 7);
}

static void test_an_empty_folder_is_missing(void **state) {
    fixture *f = *state;
    bd_checkpoint_state s;
    assert_int_equal(load(&s, f), BD_E_MISSING);
    assert_int_equal(bd_file_write(DIR_NAME "/checkpoint-x.safetensors", "x", 1), BD_OK);
    assert_int_equal(bd_file_write(DIR_NAME "/other.safetensors", "x", 1), BD_OK);
    assert_int_equal(load(&s, f), BD_E_MISSING); /* those are not ours */
}

static void test_the_last_two_are_kept(void **state) {
    fixture *f = *state;
    assert_int_equal(bd_file_write(DIR_NAME "/other.safetensors", "x", 1), BD_OK);
    for (int step = 1; step <= 4; step++) assert_int_equal(save(f, step), BD_OK);
    assert_false(bd_file_exists(FILE_OF(1)));
    assert_false(bd_file_exists(FILE_OF(2)));
    assert_true(bd_file_exists(FILE_OF(3)));
    assert_true(bd_file_exists(FILE_OF(4)));
    assert_true(bd_file_exists(DIR_NAME "/other.safetensors"));
    assert_loads(f, 4);
    assert_int_equal(bd_checkpoint_remove(DIR_NAME), BD_OK);
    assert_false(bd_file_exists(FILE_OF(3)));
    assert_false(bd_file_exists(FILE_OF(4)));
    assert_true(bd_file_exists(DIR_NAME "/other.safetensors"));
}

static void test_another_run_can_be_gone_on_from(void **state) {
    fixture *f = *state;
    static const char next[] = DIR_NAME "-next";
    assert_int_equal(bd_file_remove_tree(next), BD_OK);
    assert_int_equal(bd_file_mkdirs(next), BD_OK);
    assert_int_equal(bd_checkpoint_take(next, DIR_NAME), BD_E_MISSING);
    assert_int_equal(save(f, 7), BD_OK);
    assert_int_equal(save(f, 12), BD_OK);
    assert_int_equal(bd_checkpoint_take(next, DIR_NAME), BD_OK);
    bd_checkpoint_state at;
    assert_int_equal(bd_checkpoint_load(&at, &f->b.p, &f->b.m, &f->b.v, next, "settings"), BD_OK);
    assert_int_equal(at.step, 12);
    /* what a run has done itself counts for more */
    assert_int_equal(save(f, 20), BD_OK);
    assert_int_equal(bd_checkpoint_take(next, DIR_NAME), BD_OK);
    assert_int_equal(bd_checkpoint_load(&at, &f->b.p, &f->b.m, &f->b.v, next, "settings"), BD_OK);
    assert_int_equal(at.step, 12);
    assert_int_equal(bd_file_remove_tree(next), BD_OK);
}

static void test_other_settings_are_refused(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 1), BD_OK);
    bd_checkpoint_state s;
    assert_int_equal(bd_checkpoint_load(&s, &f->b.p, &f->b.m, &f->b.v, DIR_NAME, "other settings"),
                     BD_E_ARG);
    assert_non_null(strstr(bd_error(), FILE_OF(1)));
    assert_non_null(strstr(bd_error(), "start anew"));
}

/* Thousands of small files: durability is not what these two tests are about. */
static int no_fsync(int fd) { return fd < 0; }

static void without_fsync(void) {
    static bd_io_table table;
    table = bd_io_posix;
    table.fsync = no_fsync;
    bd_io_set(&table);
}

static void test_every_damaged_byte_is_noticed(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 1), BD_OK);
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, FILE_OF(1), 0), BD_OK);
    unsigned char *byte = data;
    assert_true(n > 500);
    without_fsync();
    for (size_t i = 0; i < n; i++) {
        byte[i] ^= 1;
        assert_int_equal(bd_file_write(FILE_OF(1), data, n), BD_OK);
        byte[i] ^= 1;
        bd_checkpoint_state s;
        if (load(&s, f) != BD_E_FORMAT) fail_msg("byte %zu of %zu was changed unnoticed", i, n);
    }
    assert_int_equal(bd_file_write(FILE_OF(1), data, n), BD_OK);
    assert_loads(f, 1); /* and the whole file loads */
    free(data);
}

static void test_every_cut_is_noticed(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 1), BD_OK);
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, FILE_OF(1), 0), BD_OK);
    without_fsync();
    for (size_t cut = 0; cut < n; cut += 7) {
        assert_int_equal(bd_file_write(FILE_OF(1), data, cut), BD_OK);
        bd_checkpoint_state s;
        if (load(&s, f) != BD_E_FORMAT) fail_msg("cut to %zu of %zu unnoticed", cut, n);
    }
    free(data);
}

static int warnings;
static void count_warnings(bd_log_level level, const char *text, void *user) {
    (void)user;
    if (level == BD_LOG_WARN && strstr(text, FILE_OF(2))) warnings++;
}

static void test_the_one_before_a_damaged_one_is_used(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 1), BD_OK);
    assert_int_equal(save(f, 2), BD_OK);
    assert_int_equal(bd_file_write(FILE_OF(2), "damaged", 7), BD_OK);
    warnings = 0;
    bd_log_set_sink(count_warnings, NULL);
    assert_loads(f, 1);
    assert_int_equal(warnings, 1);
    assert_true(bd_file_exists(FILE_OF(2))); /* left for whoever wants to look */

    /* going on from step 1 must not let the damaged file push out good ones */
    assert_int_equal(save(f, 1), BD_OK);
    assert_false(bd_file_exists(FILE_OF(2)));
    assert_loads(f, 1);
}

/* --- faults: the k-th call of each kind fails --- */

static void test_any_failing_call_of_save_leaves_a_good_checkpoint(void **state) {
    fixture *f = *state;
    int failures = 0;
    for (fault_kind kind = 0; kind < FAULT_KINDS; kind++)
        for (int k = 1, hit = 1; hit; k++) {
            assert_int_equal(bd_file_remove_tree(DIR_NAME), BD_OK);
            assert_int_equal(bd_file_mkdirs(DIR_NAME), BD_OK);
            for (int step = 1; step <= 2; step++) assert_int_equal(save(f, step), BD_OK);
            fault_arm(kind, k, false, EIO);
            bd_status st = save(f, 3);
            hit = fault_disarm();
            assert_true(st == BD_OK || (hit && st == BD_E_IO));
            failures += st != BD_OK;
            if (!st) assert_true(bd_file_exists(FILE_OF(3)));
            /* before the rename the newest is 2, after it 3; never a damaged one */
            assert_loads(f, bd_file_exists(FILE_OF(3)) ? 3 : 2);
            /* the next attempt goes through */
            assert_int_equal(save(f, 3), BD_OK);
            assert_loads(f, 3);
        }
    assert_true(failures >= 5); /* create, write, fsync, rename, fsync of the folder at least */
}

static void test_full_disk_leaves_the_checkpoints_before(void **state) {
    fixture *f = *state;
    for (int step = 1; step <= 2; step++) assert_int_equal(save(f, step), BD_OK);
    fault_arm(FAULT_WRITE, 1, true, ENOSPC);
    bd_status st = save(f, 3);
    assert_true(fault_disarm() > 0);
    assert_int_equal(st, BD_E_IO);
    assert_true(bd_file_exists(FILE_OF(1)));
    assert_loads(f, 2);
}

/* A checkpoint that loads, of step 9 or, before save has returned, 7; whatever else lies there. */
static bool loads_the_newest(void *ctx, const char *dir, bool returned) {
    fixture *f = ctx;
    bd_checkpoint_state s;
    bd_status st = bd_checkpoint_load(&s, &f->b.p, &f->b.m, &f->b.v, dir, "settings");
    if (st || (s.step != 9 && (returned || s.step != 7))) return false;
    model_fill(&f->a, (int)s.step);
    return model_equal(&f->a, &f->b);
}

static void test_a_power_failure_leaves_a_good_checkpoint(void **state) {
    fixture *f = *state;
    static const char scratch[] = DIR_NAME "-power";
    assert_int_equal(save(f, 5), BD_OK);
    assert_int_equal(save(f, 7), BD_OK);
    power_record(DIR_NAME);
    assert_int_equal(save(f, 9), BD_OK); /* takes the oldest away */
    power_done();
    power_stop();
    bd_log_set_sink(count_warnings, NULL);
    int bad, n = power_enumerate(scratch, loads_the_newest, f, &bad);
    print_message("%d states\n", n);
    assert_true(n > 5);
    assert_int_equal(bad, 0);
    assert_int_equal(bd_file_remove_tree(scratch), BD_OK);
}

static void test_any_failing_call_of_load_is_reported(void **state) {
    fixture *f = *state;
    assert_int_equal(save(f, 1), BD_OK);
    int failures = 0;
    for (fault_kind kind = 0; kind < FAULT_KINDS; kind++)
        for (int k = 1, hit = 1; hit; k++) {
            fault_arm(kind, k, false, EIO);
            bd_checkpoint_state s;
            bd_status st = load(&s, f);
            hit = fault_disarm();
            assert_true(st == BD_OK || (hit && st == BD_E_IO));
            failures += st != BD_OK;
            assert_loads(f, 1); /* the file is as it was */
        }
    assert_true(failures >= 2); /* open, read */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip_is_bitwise),
        TEST(test_an_empty_folder_is_missing),
        TEST(test_the_last_two_are_kept),
        TEST(test_another_run_can_be_gone_on_from),
        TEST(test_other_settings_are_refused),
        TEST(test_every_damaged_byte_is_noticed),
        TEST(test_every_cut_is_noticed),
        TEST(test_the_one_before_a_damaged_one_is_used),
        TEST(test_any_failing_call_of_save_leaves_a_good_checkpoint),
        TEST(test_full_disk_leaves_the_checkpoints_before),
        TEST(test_a_power_failure_leaves_a_good_checkpoint),
        TEST(test_any_failing_call_of_load_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
