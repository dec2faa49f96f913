/* Oracles: the contract in base/file.h; an injected failure of every k-th system call; published SHA-256 vectors. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/sha256.h"
#include "fault.h"

#define DIR_ "build/tmp/test_file"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static void expect_file(const char *path, const char *text) {
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, path, 0), BD_OK);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(data, text, n + 1); /* with the extra NUL */
    free(data);
}

static size_t names_in(const char *dir) {
    char **names;
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, dir, ""), BD_OK);
    bd_file_list_free(names, n);
    return n;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    assert_int_equal(bd_file_write(DIR_ "/a", "hello", 5), BD_OK);
    expect_file(DIR_ "/a", "hello");
    assert_int_equal(bd_file_write(DIR_ "/a", "", 0), BD_OK);
    expect_file(DIR_ "/a", "");
    bd_writer *w;
    assert_int_equal(bd_writer_create(&w, DIR_ "/b"), BD_OK);
    assert_int_equal(names_in(DIR_), 2); /* the temp file; no "b" yet */
    assert_false(bd_file_exists(DIR_ "/b"));
    assert_int_equal(bd_writer_printf(w, "%d,%s", 7, "x"), BD_OK);
    assert_int_equal(bd_writer_write(w, ";", 1), BD_OK);
    assert_int_equal(bd_writer_commit(w), BD_OK);
    expect_file(DIR_ "/b", "7,x;");
    assert_int_equal(names_in(DIR_), 2);
}

static void large_files_pass_through_the_buffer(void **state) {
    (void)state;
    enum { n = 300000 };
    unsigned char *bytes = malloc(n);
    assert_non_null(bytes);
    for (int i = 0; i < n; i++) bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    for (int piece = 1000; piece <= n; piece *= 7) {
        bd_writer *w;
        assert_int_equal(bd_writer_create(&w, DIR_ "/large"), BD_OK);
        for (int i = 0; i < n; i += piece)
            assert_int_equal(bd_writer_write(w, bytes + i, (size_t)(n - i < piece ? n - i : piece)),
                             BD_OK);
        assert_int_equal(bd_writer_commit(w), BD_OK);
        void *data;
        size_t got;
        assert_int_equal(bd_file_read(&data, &got, DIR_ "/large", n), BD_OK);
        assert_int_equal(got, n);
        assert_memory_equal(data, bytes, n);
        free(data);
    }
    assert_int_equal(bd_file_copy(DIR_ "/copy", DIR_ "/large"), BD_OK);
    void *data;
    size_t got;
    assert_int_equal(bd_file_read(&data, &got, DIR_ "/copy", n), BD_OK);
    assert_int_equal(got, n);
    assert_memory_equal(data, bytes, n);
    free(data);
    assert_int_equal(bd_file_copy(DIR_ "/copy", DIR_ "/nothing"), BD_E_MISSING);
    free(bytes);
}

static void an_aborted_file_leaves_nothing(void **state) {
    (void)state;
    bd_writer *w;
    assert_int_equal(bd_writer_create(&w, DIR_ "/a"), BD_OK);
    assert_int_equal(bd_writer_write(w, "x", 1), BD_OK);
    bd_writer_abort(w);
    bd_writer_abort(NULL);
    assert_int_equal(names_in(DIR_), 0);
}

static void missing_and_large_files_are_refused(void **state) {
    (void)state;
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, DIR_ "/no", 0), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), DIR_ "/no"));
    assert_int_equal(bd_file_write(DIR_ "/a", "12345", 5), BD_OK);
    assert_int_equal(bd_file_read(&data, &n, DIR_ "/a", 4), BD_E_FORMAT);
    assert_null(data);
    assert_int_equal(bd_file_read(&data, &n, DIR_ "/a", 5), BD_OK);
    free(data);
    assert_int_equal(bd_file_read(&data, &n, DIR_, 0), BD_E_FORMAT);
    /* size told as 0 */
    assert_int_equal(bd_file_read(&data, &n, "/proc/self/status", 10), BD_E_FORMAT);
    assert_int_equal(bd_file_read(&data, &n, "/proc/self/status", 0), BD_OK);
    assert_true(n > 100 && strlen(data) == n);
    free(data);
    bd_writer *w;
    assert_int_equal(bd_writer_create(&w, DIR_ "/none/a"), BD_E_MISSING);
    assert_null(w);
}

static void pieces_and_interrupts_change_nothing(void **state) {
    (void)state;
    for (int piece = 1; piece <= 8; piece++) {
        fault_dribble(piece);
        assert_int_equal(bd_file_write(DIR_ "/a", "some text in pieces", 19), BD_OK);
        expect_file(DIR_ "/a", "some text in pieces");
        uint64_t size;
        char part[6] = "";
        bd_reader *r;
        assert_int_equal(bd_reader_open(&r, &size, DIR_ "/a"), BD_OK);
        assert_int_equal(size, 19);
        assert_int_equal(bd_reader_read(r, part, 5), BD_OK);
        assert_string_equal(part, "some ");
        assert_int_equal(bd_reader_read(r, part, 5), BD_OK);
        assert_string_equal(part, "text ");
        char rest[16];
        assert_int_equal(bd_reader_read(r, rest, 10), BD_E_FORMAT);
        assert_non_null(strstr(bd_error(), "truncated at byte 19"));
        bd_reader_close(r);
        fault_disarm();
    }
}

/* A file replaced by another while call k of each kind fails. */
static bd_status replace(void) {
    bd_writer *w;
    char *big = calloc(1, 100000);
    assert_non_null(big);
    memset(big, 'n', 100000);
    bd_status st = bd_writer_create(&w, DIR_ "/f");
    if (!st) {
        st = bd_writer_reserve(w, 100003);
        if (!st) st = bd_writer_printf(w, "%s", "new");
        if (!st) st = bd_writer_write(w, big, 100000);
        if (st)
            bd_writer_abort(w);
        else
            st = bd_writer_commit(w);
    }
    free(big);
    return st;
}

/* "old", or the whole new file. */
static bool is_new(void) {
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, DIR_ "/f", 0), BD_OK);
    bool fresh_file = n == 100003;
    if (!fresh_file) assert_string_equal(data, "old");
    if (fresh_file) assert_memory_equal(data, "newnnn", 6);
    free(data);
    return fresh_file;
}

static void every_failing_call_is_reported(void **state) {
    (void)state;
    int injected = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        for (int forever = 0; forever < 2; forever++)
            for (int k = 1;; k++) {
                assert_true(k < 20);
                assert_int_equal(bd_file_write(DIR_ "/f", "old", 3), BD_OK);
                fault_arm((fault_kind)kind, k, forever, EIO);
                bd_status st = replace();
                char text[1024];
                snprintf(text, sizeof text, "%s", bd_error());
                int failed = fault_disarm();
                if (!failed) { /* call k was never made: all of it went well */
                    assert_int_equal(st, BD_OK);
                    assert_true(is_new());
                    break;
                }
                injected++;
                if (kind != FAULT_UNLINK) assert_int_equal(st, BD_E_IO);
                assert_non_null(strstr(text, DIR_));
                assert_non_null(strstr(text, strerror(EIO)));
                /* Only what fails after the rename may leave the new file, and then the whole of it. */
                if (is_new()) assert_non_null(strstr(text, "may not survive a power failure"));
                assert_int_equal(names_in(DIR_), 1); /* no temp file is left */
            }
    /* open 2, close 2, write 2, fsync 2, rename 1, fallocate 1: once and forever */
    assert_true(injected >= 16);
}

static void a_full_disk_names_need_and_room(void **state) {
    (void)state;
    assert_int_equal(bd_file_write(DIR_ "/f", "old", 3), BD_OK);
    static const fault_kind kinds[] = {FAULT_FALLOCATE, FAULT_WRITE, FAULT_FSYNC, FAULT_CLOSE};
    for (size_t i = 0; i < 4; i++) {
        fault_arm(kinds[i], 1, true, ENOSPC);
        assert_int_equal(replace(), BD_E_IO);
        assert_true(fault_disarm() > 0);
        assert_non_null(strstr(bd_error(), DIR_ "/f"));
        assert_non_null(strstr(bd_error(), "bytes needed"));
        assert_non_null(strstr(bd_error(), "bytes free in " DIR_));
        assert_false(is_new());
        assert_int_equal(names_in(DIR_), 1);
    }
    /* a file system that cannot reserve: no error */
    fault_arm(FAULT_FALLOCATE, 1, true, EOPNOTSUPP);
    assert_int_equal(replace(), BD_OK);
    assert_int_equal(fault_disarm(), 1);
}

static void a_writer_never_recovers(void **state) {
    (void)state;
    bd_writer *w;
    char *big = calloc(1, 200000);
    assert_non_null(big);
    assert_int_equal(bd_writer_create(&w, DIR_ "/a"), BD_OK);
    fault_arm(FAULT_WRITE, 1, false, EIO);
    assert_int_equal(bd_writer_write(w, big, 200000), BD_E_IO);
    fault_disarm();
    assert_int_equal(bd_writer_write(w, "x", 1), BD_E_IO);
    assert_int_equal(bd_writer_printf(w, "x"), BD_E_IO);
    assert_int_equal(bd_writer_commit(w), BD_E_IO);
    assert_non_null(strstr(bd_error(), DIR_ "/a"));
    assert_int_equal(names_in(DIR_), 0);
    free(big);
}

static void a_killed_writer_is_swept(void **state) {
    (void)state;
    assert_int_equal(bd_file_write(DIR_ "/f", "old", 3), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/keep.tmp", "k", 1), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/keep.tmp.12a", "k", 1), BD_OK);
    pid_t child = fork();
    if (child == 0) {
        bd_writer *w;
        bd_status st = bd_writer_create(&w, DIR_ "/f");
        if (!st) st = bd_writer_printf(w, "half");
        _exit(st ? 1 : 0); /* neither commit nor abort */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(names_in(DIR_), 4);
    assert_int_equal(bd_file_sweep_temps(DIR_), BD_OK);
    assert_int_equal(names_in(DIR_), 3);
    expect_file(DIR_ "/f", "old");
    assert_int_equal(bd_file_sweep_temps(DIR_ "/none"), BD_OK);
    /* nor do those in folders below stay, but what a link leads to is not ours */
    assert_int_equal(bd_file_mkdirs(DIR_ "/below/deep"), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_ "-else"), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/below/deep/f.tmp.7", "x", 1), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "-else/f.tmp.7", "x", 1), BD_OK);
    assert_int_equal(symlink("../../test_file-else", DIR_ "/below/link"), 0);
    assert_int_equal(bd_file_sweep_temps(DIR_), BD_OK);
    assert_false(bd_file_exists(DIR_ "/below/deep/f.tmp.7"));
    assert_true(bd_file_exists(DIR_ "-else/f.tmp.7"));
    assert_int_equal(bd_file_remove_tree(DIR_ "/below"), BD_OK);
    assert_int_equal(bd_file_remove_tree(DIR_ "-else"), BD_OK);
    /* A stale temp file under our own process id is in no one's way. */
    char temp[256];
    snprintf(temp, sizeof temp, DIR_ "/f.tmp.%ld", (long)getpid());
    assert_int_equal(bd_file_write(temp, "stale", 5), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/f", "new", 3), BD_OK);
    expect_file(DIR_ "/f", "new");
    assert_false(bd_file_exists(temp));
}

static void folders_come_and_go(void **state) {
    (void)state;
    assert_int_equal(bd_file_mkdirs(DIR_ "/x/y//z/"), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_ "/x/y/z"), BD_OK);
    assert_true(bd_file_is_dir(DIR_ "/x/y/z"));
    assert_int_equal(bd_file_write(DIR_ "/x/f", "1", 1), BD_OK);
    assert_false(bd_file_is_dir(DIR_ "/x/f"));
    assert_true(bd_file_exists(DIR_ "/x/f"));
    assert_int_equal(bd_file_mkdirs(DIR_ "/x/f"), BD_E_IO);
    assert_int_equal(bd_file_mkdirs(DIR_ "/x/f/g"), BD_E_IO);
    assert_int_equal(bd_file_mkdirs(""), BD_E_ARG);
    /* A link in the tree goes, what it points to stays. */
    assert_int_equal(bd_file_write(DIR_ "/outside", "o", 1), BD_OK);
    assert_int_equal(bd_file_mkdirs(DIR_ "/target"), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/target/t", "t", 1), BD_OK);
    assert_int_equal(symlink("../../target", DIR_ "/x/y/link"), 0);
    assert_int_equal(bd_file_write(DIR_ "/x/.hidden", "h", 1), BD_OK);
    assert_int_equal(bd_file_remove_tree(DIR_ "/x"), BD_OK);
    assert_false(bd_file_exists(DIR_ "/x"));
    expect_file(DIR_ "/target/t", "t");
    assert_int_equal(bd_file_remove_tree(DIR_ "/x"), BD_OK);
    assert_int_equal(bd_file_remove(DIR_ "/outside"), BD_OK);
    assert_int_equal(bd_file_remove(DIR_ "/outside"), BD_OK);
}

static void failing_removals_are_reported(void **state) {
    (void)state;
    static const fault_kind kinds[] = {FAULT_UNLINK, FAULT_RMDIR, FAULT_MKDIR};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bd_file_mkdirs(DIR_ "/x/y"), BD_OK);
        assert_int_equal(bd_file_write(DIR_ "/x/y/f", "1", 1), BD_OK);
        fault_arm(kinds[i], 1, true, EACCES); /* mkdir of what is there fails too, which is fine */
        assert_int_equal(i < 2 ? bd_file_remove_tree(DIR_ "/x") : bd_file_mkdirs(DIR_ "/new"),
                         BD_E_IO);
        assert_true(fault_disarm() >= 1);
        assert_non_null(strstr(bd_error(), strerror(EACCES)));
    }
}

static void lists_are_sorted(void **state) {
    (void)state;
    static const char *const made[] = {"b.png", "a10.png", "a2.png",
                                       "B.png", "c.txt",   ".hidden.png"};
    static const char *const want[] = {"B.png", "a10.png", "a2.png", "b.png"};
    for (size_t i = 0; i < 6; i++) {
        char path[256];
        assert_int_equal(bd_path_join(path, sizeof path, DIR_, made[i]), BD_OK);
        assert_int_equal(bd_file_write(path, "", 0), BD_OK);
    }
    char **names;
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, DIR_, ".png"), BD_OK);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++) assert_string_equal(names[i], want[i]);
    bd_file_list_free(names, n);
    assert_int_equal(bd_file_list(&names, &n, DIR_ "/no", ""), BD_E_MISSING);
    assert_int_equal(n, 0);
}

static void paths_join(void **state) {
    (void)state;
    char buf[8];
    assert_int_equal(bd_path_join(buf, sizeof buf, "ab", "cdef"), BD_OK);
    assert_string_equal(buf, "ab/cdef");
    assert_int_equal(bd_path_join(buf, sizeof buf, "ab/", "c"), BD_OK);
    assert_string_equal(buf, "ab/c");
    assert_int_equal(bd_path_join(buf, sizeof buf, "", "c"), BD_OK);
    assert_string_equal(buf, "c");
    assert_int_equal(bd_path_join(buf, sizeof buf, "ab", "cdefg"), BD_E_ARG);
}

static void a_log_grows_and_is_cut(void **state) {
    (void)state;
    bd_append *a;
    int64_t length = 0, at_checkpoint = 0;
    assert_int_equal(bd_append_open(&a, DIR_ "/log", -1), BD_OK);
    assert_int_equal(bd_append_printf(a, "step,loss\n"), BD_OK);
    assert_int_equal(bd_append_printf(a, "%d,%.2f\n", 1, 0.5), BD_OK);
    assert_int_equal(bd_append_sync(a, &at_checkpoint), BD_OK);
    assert_int_equal(at_checkpoint, 17);
    expect_file(DIR_ "/log", "step,loss\n1,0.50\n");
    assert_int_equal(bd_append_printf(a, "%d,torn", 2), BD_OK);
    assert_int_equal(bd_append_close(a), BD_OK);
    expect_file(DIR_ "/log", "step,loss\n1,0.50\n2,torn");
    assert_int_equal(bd_append_open(&a, DIR_ "/log", at_checkpoint), BD_OK);
    assert_int_equal(bd_append_printf(a, "2,0.25\n"), BD_OK);
    assert_int_equal(bd_append_sync(a, &length), BD_OK);
    assert_int_equal(length, 24);
    assert_int_equal(bd_append_close(a), BD_OK);
    expect_file(DIR_ "/log", "step,loss\n1,0.50\n2,0.25\n");
    assert_int_equal(bd_append_open(&a, DIR_ "/log", 25), BD_E_FORMAT);
    assert_null(a);
    assert_int_equal(bd_append_close(NULL), BD_OK);
}

static void long_logs_keep_every_line(void **state) {
    (void)state;
    bd_append *a;
    assert_int_equal(bd_append_open(&a, DIR_ "/log", 0), BD_OK);
    char *big = calloc(1, 70001);
    assert_non_null(big);
    memset(big, 'b', 70000);
    for (int i = 0; i < 20000; i++) assert_int_equal(bd_append_printf(a, "%07d\n", i), BD_OK);
    assert_int_equal(bd_append_printf(a, "%s", big), BD_OK);
    int64_t length;
    assert_int_equal(bd_append_sync(a, &length), BD_OK);
    assert_int_equal(length, 20000 * 8 + 70000);
    assert_int_equal(bd_append_close(a), BD_OK);
    void *data;
    size_t n;
    assert_int_equal(bd_file_read(&data, &n, DIR_ "/log", 0), BD_OK);
    assert_int_equal(n, length);
    for (int i = 0; i < 20000; i++) assert_int_equal(atoi((char *)data + 8 * i), i);
    assert_memory_equal((char *)data + 160000, big, 70000);
    free(data);
    free(big);
}

static bd_status log_something(void) {
    bd_append *a;
    bd_status st = bd_append_open(&a, DIR_ "/log", 4);
    if (st) return st;
    st = bd_append_printf(a, "line\n");
    if (!st) st = bd_append_sync(a, NULL);
    bd_status closed = bd_append_close(a);
    return st ? st : closed;
}

static void failing_logs_are_reported(void **state) {
    (void)state;
    int injected = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        for (int k = 1;; k++) {
            assert_true(k < 20);
            assert_int_equal(bd_file_write(DIR_ "/log", "old\ntorn", 8), BD_OK);
            fault_arm((fault_kind)kind, k, false, EIO);
            bd_status st = log_something();
            if (!fault_disarm()) {
                assert_int_equal(st, BD_OK);
                break;
            }
            injected++;
            assert_int_equal(st, BD_E_IO);
            void *data;
            size_t n;
            assert_int_equal(bd_file_read(&data, &n, DIR_ "/log", 0), BD_OK);
            assert_true(n >= 4 && memcmp(data, "old\n", 4) == 0);
            free(data);
        }
    assert_true(injected >= 7); /* open 2, close 2, write, fsync 2, ftruncate */
}

static void one_lock_a_folder(void **state) {
    (void)state;
    bd_lock *a, *b;
    assert_int_equal(bd_lock_acquire(&a, DIR_, false), BD_OK);
    assert_int_equal(bd_lock_acquire(&b, DIR_, false), BD_E_BUSY);
    assert_null(b);
    assert_non_null(strstr(bd_error(), DIR_));
    bd_lock_release(a);
    bd_lock_release(NULL);
    assert_int_equal(bd_lock_acquire(&b, DIR_, true), BD_OK);
    bd_lock_release(b);
    assert_int_equal(bd_lock_acquire(&b, DIR_ "/none", true), BD_E_MISSING);
}

static void a_dead_process_holds_no_lock(void **state) {
    (void)state;
    bd_lock *l;
    pid_t child = fork();
    if (child == 0) {
        bd_status st = bd_lock_acquire(&l, DIR_, false);
        _exit(st ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(bd_lock_acquire(&l, DIR_, false), BD_OK);
    bd_lock_release(l);
}

/* FIPS 180-2, appendix B. */
static void sha256_vectors(void **state) {
    (void)state;
    char hex[65];
    assert_int_equal(bd_sha256_buffer(hex, "abc", 3), BD_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(bd_sha256_buffer(hex, "", 0), BD_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    char *a = malloc(1000000);
    assert_non_null(a);
    memset(a, 'a', 1000000);
    assert_int_equal(bd_file_write(DIR_ "/million", a, 1000000), BD_OK);
    assert_int_equal(bd_sha256_file(hex, DIR_ "/million"), BD_OK);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    bd_sha256 *s;
    assert_int_equal(bd_sha256_create(&s), BD_OK);
    for (int i = 0; i < 1000; i++) bd_sha256_update(s, a, 1000);
    bd_sha256_finish(s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
    assert_int_equal(bd_sha256_file(hex, DIR_ "/no"), BD_E_MISSING);
    fault_arm(FAULT_READ, 2, false, EIO);
    assert_int_equal(bd_sha256_file(hex, DIR_ "/million"), BD_E_IO);
    assert_int_equal(fault_disarm(), 1);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(large_files_pass_through_the_buffer),
        TEST(an_aborted_file_leaves_nothing),
        TEST(missing_and_large_files_are_refused),
        TEST(pieces_and_interrupts_change_nothing),
        TEST(every_failing_call_is_reported),
        TEST(a_full_disk_names_need_and_room),
        TEST(a_writer_never_recovers),
        TEST(a_killed_writer_is_swept),
        TEST(folders_come_and_go),
        TEST(failing_removals_are_reported),
        TEST(lists_are_sorted),
        TEST(paths_join),
        TEST(a_log_grows_and_is_cut),
        TEST(long_logs_keep_every_line),
        TEST(failing_logs_are_reported),
        TEST(one_lock_a_folder),
        TEST(a_dead_process_holds_no_lock),
        TEST(sha256_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
