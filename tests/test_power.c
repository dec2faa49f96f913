/* What a power failure leaves of a file: every state that tests/power.h allows. Controls: writers that lack one step of the
 * protocol are found out. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/file_internal.h"
#include "power.h"

#define DIR "build/tmp/test_power"
#define SCRATCH "build/tmp/test_power_state"

/* Longer than a writer's buffer, so that it is written in several pieces. */
enum { BYTES = 200000 };
static char old_text[BYTES / 2], new_text[BYTES];

static int fresh(void **state) {
    (void)state;
    for (int i = 0; i < BYTES / 2; i++) old_text[i] = (char)('a' + i % 23);
    for (int i = 0; i < BYTES; i++) new_text[i] = (char)('A' + i % 19);
    if (bd_file_remove_tree(DIR) || bd_file_mkdirs(DIR)) return -1;
    return 0;
}

static int clean(void **state) {
    (void)state;
    power_stop();
    return bd_file_remove_tree(DIR) || bd_file_remove_tree(SCRATCH) ? -1 : 0;
}

/* The file is the old one or the new one, and the new one once the writer has returned. */
static bool old_or_new(void *ctx, const char *dir, bool returned) {
    const bool *was_there = ctx;
    char path[256];
    void *data;
    size_t n;
    snprintf(path, sizeof path, "%s/f", dir);
    bd_status st = bd_file_read(&data, &n, path, 0);
    if (st == BD_E_MISSING) return !*was_there && !returned;
    if (st) return false;
    bool is_new = n == sizeof new_text && !memcmp(data, new_text, n);
    bool is_old = *was_there && n == sizeof old_text && !memcmp(data, old_text, n);
    free(data);
    return is_new || (is_old && !returned);
}

/* States of one writer, and how many of them are bad. */
static int states_of(bd_status (*write)(const char *path), bool was_there, int *bad) {
    if (was_there) assert_int_equal(bd_file_write(DIR "/f", old_text, sizeof old_text), BD_OK);
    power_record(DIR);
    assert_int_equal(write(DIR "/f"), BD_OK);
    power_done();
    power_stop();
    return power_enumerate(SCRATCH, old_or_new, &was_there, bad);
}

static bd_status by_the_writer(const char *path) {
    return bd_file_write(path, new_text, sizeof new_text);
}

static void a_file_is_the_old_one_or_the_new_one(void **state) {
    (void)state;
    for (int was_there = 0; was_there < 2; was_there++) {
        int bad, n;
        assert_int_equal(bd_file_remove(DIR "/f"), BD_OK);
        n = states_of(by_the_writer, was_there, &bad);
        print_message("%d states\n", n);
        assert_true(n > 4); /* nothing yet, the temp file empty, half and full, the new name */
        assert_int_equal(bad, 0);
    }
}

/* --- controls: what is left out is noticed --- */

enum { SYNC_FILE = 1, RENAME = 2, SYNC_DIR = 4 };

/* The protocol in full or in part. */
static bd_status by_hand(const char *path, int steps) {
    const bd_io_table *io = bd_io();
    char temp[256];
    snprintf(temp, sizeof temp, "%s%s", path, steps & RENAME ? ".tmp.1" : "");
    int fd = io->open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    for (size_t at = 0; at < sizeof new_text; at += 65536) {
        size_t n = sizeof new_text - at < 65536 ? sizeof new_text - at : 65536;
        assert_int_equal(io->write(fd, new_text + at, n), n);
    }
    if (steps & SYNC_FILE) assert_int_equal(io->fsync(fd), 0);
    assert_int_equal(io->close(fd), 0);
    if (steps & RENAME) assert_int_equal(io->rename(temp, path), 0);
    if (!(steps & SYNC_DIR)) return BD_OK;
    fd = io->open(DIR, O_RDONLY | O_DIRECTORY, 0);
    assert_true(fd >= 0);
    assert_int_equal(io->fsync(fd), 0);
    assert_int_equal(io->close(fd), 0);
    return BD_OK;
}

static bd_status in_place(const char *path) { return by_hand(path, SYNC_FILE | SYNC_DIR); }
static bd_status unsynced(const char *path) { return by_hand(path, RENAME | SYNC_DIR); }
static bd_status name_unsynced(const char *path) { return by_hand(path, SYNC_FILE | RENAME); }
static bd_status in_full(const char *path) { return by_hand(path, SYNC_FILE | RENAME | SYNC_DIR); }

static void a_step_left_out_is_noticed(void **state) {
    (void)state;
    bd_status (*const wrong[])(const char *) = {in_place, unsynced, name_unsynced};
    int bad;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        states_of(wrong[i], true, &bad);
        assert_true(bad > 0);
    }
    states_of(in_full, true, &bad);
    assert_int_equal(bad, 0);
}

/* --- a log that grows --- */

typedef struct {
    char text[4096];
    size_t synced;
} log_text;

/* The log is a beginning of what was written, at least as long as what was synced. */
static bool a_beginning(void *ctx, const char *dir, bool returned) {
    const log_text *l = ctx;
    char path[256];
    void *data;
    size_t n;
    snprintf(path, sizeof path, "%s/log", dir);
    bd_status st = bd_file_read(&data, &n, path, 0);
    if (st) return st == BD_E_MISSING && !returned;
    bool good = n <= strlen(l->text) && !memcmp(data, l->text, n) && (!returned || n >= l->synced);
    free(data);
    return good;
}

static void a_log_keeps_what_was_synced(void **state) {
    (void)state;
    log_text l = {.text = ""};
    bd_append *a;
    int64_t length;
    power_record(DIR);
    assert_int_equal(bd_append_open(&a, DIR "/log", 0), BD_OK);
    for (int i = 0; i < 40; i++) {
        char line[64];
        snprintf(line, sizeof line, "%d,a line\n", i);
        strcat(l.text, line);
        assert_int_equal(bd_append_printf(a, "%s", line), BD_OK);
        if (i != 19) continue;
        assert_int_equal(bd_append_sync(a, &length), BD_OK);
        l.synced = (size_t)length;
        power_done();
    }
    assert_int_equal(l.synced > 0, 1);
    assert_int_equal(bd_append_close(a), BD_OK);
    power_stop();
    int bad, n = power_enumerate(SCRATCH, a_beginning, &l, &bad);
    print_message("%d states\n", n);
    assert_true(n > 3);
    assert_int_equal(bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_the_old_one_or_the_new_one, fresh, clean),
        cmocka_unit_test_setup_teardown(a_step_left_out_is_noticed, fresh, clean),
        cmocka_unit_test_setup_teardown(a_log_keeps_what_was_synced, fresh, clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
