/* Oracles: the contract in base/status.h, base/log.h, base/clock.h and base/arena.h. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"

static void text_holds_values(void **state) {
    (void)state;
    assert_int_equal(bd_fail(BD_E_IO, "%s: %d of %d", "a.bin", 3, 7), BD_E_IO);
    assert_string_equal(bd_error(), "a.bin: 3 of 7");
    assert_int_equal(bd_error_prefix(BD_E_FORMAT, "stage %s", "train"), BD_E_FORMAT);
    assert_string_equal(bd_error(), "stage train: a.bin: 3 of 7");
    assert_int_equal(bd_error_advise(BD_E_FORMAT, "fetch %s again", "it"), BD_E_FORMAT);
    assert_string_equal(bd_error(), "stage train: a.bin: 3 of 7; fetch it again");
}

static void text_may_quote_itself(void **state) {
    (void)state;
    bd_fail(BD_E_IO, "inner");
    bd_fail(BD_E_IO, "outer(%s)", bd_error());
    assert_string_equal(bd_error(), "outer(inner)");
}

static void long_text_is_cut(void **state) {
    (void)state;
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    bd_fail(BD_E_IO, "%s", big);
    assert_int_equal(strlen(bd_error()), 1023);
    bd_error_prefix(BD_E_IO, "%s", big);
    assert_int_equal(strlen(bd_error()), 1023);
    bd_error_prefix(BD_E_IO, "p");
    assert_memory_equal(bd_error(), "p: xxx", 6);
    bd_error_advise(BD_E_IO, "%s", big);
    assert_int_equal(strlen(bd_error()), 1023);
}

static void *fail_elsewhere(void *arg) {
    (void)arg;
    bd_fail(BD_E_IO, "other thread");
    return NULL;
}

static void text_belongs_to_its_thread(void **state) {
    (void)state;
    bd_fail(BD_E_IO, "mine");
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, NULL), 0);
    pthread_join(t, NULL);
    assert_string_equal(bd_error(), "mine");
}

static void exit_codes(void **state) {
    (void)state;
    static const int table[][2] = {
        {BD_OK, 0},     {BD_E_ARG, 2},        {BD_E_FORMAT, 2}, {BD_E_MISSING, 2}, {BD_E_SHAPE, 2},
        {BD_E_IO, 1},   {BD_E_MEMORY, 1},     {BD_E_DEVICE, 1}, {BD_E_NUMERIC, 1}, {BD_E_BUSY, 1},
        {BD_E_BAND, 3}, {BD_E_INTERRUPT, 75}, {-99, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(bd_exit_code(table[i][0]), table[i][1]);
}

static bd_status required(int x) {
    BD_REQUIRE(x > 0, BD_E_ARG, "x=%d", x);
    return BD_OK;
}

static bd_status tried(int x) {
    BD_TRY(required(x));
    return bd_fail(BD_E_BAND, "reached");
}

static void macros_return_early(void **state) {
    (void)state;
    assert_int_equal(tried(-2), BD_E_ARG);
    assert_string_equal(bd_error(), "x=-2");
    assert_int_equal(tried(1), BD_E_BAND);
}

static char seen[64];
static int64_t seen_done;

static void keep_line(bd_log_level level, const char *text, void *user) {
    snprintf(seen, sizeof seen, "%d:%s:%s", (int)level, text, (const char *)user);
}

static void keep_progress(const bd_progress *p, void *user) {
    (void)user;
    seen_done = p->done;
}

static void log_goes_to_the_sink(void **state) {
    (void)state;
    char user[] = "u";
    bd_log_set_sink(keep_line, user);
    bd_log(BD_LOG_WARN, "%d left", 4);
    assert_string_equal(seen, "1:4 left:u");
    bd_log_set_sink(NULL, NULL);
    bd_log(BD_LOG_WARN, "dropped");
    assert_string_equal(seen, "1:4 left:u");
    bd_progress_set(keep_progress, NULL);
    bd_progress_report(&(bd_progress){.phase = "train", .done = 12, .total = 20, .note = ""});
    assert_int_equal(seen_done, 12);
    bd_progress_set(NULL, NULL);
    bd_progress_report(&(bd_progress){.phase = "train", .done = 13, .total = 20, .note = ""});
    assert_int_equal(seen_done, 12);
}

static void clock_counts_and_tells_utc(void **state) {
    (void)state;
    double a = bd_clock_seconds();
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    double passed = bd_clock_seconds() - a;
    /* at least the sleep; a loaded machine may take longer */
    assert_true(passed >= 0.002 && passed < 60.0);
    char text[32];
    struct tm tm = {0};
    bd_clock_utc(text);
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    assert_non_null(end);
    assert_int_equal(*end, '\0');
    assert_true(labs((long)(timegm(&tm) - time(NULL))) <= 2);
}

static void arena_gives_zeroed_aligned_blocks(void **state) {
    (void)state;
    bd_arena *a = bd_arena_create();
    assert_non_null(a);
    unsigned char *block[600];
    for (size_t i = 0; i < 600; i++) {
        size_t n = i * i % 40000; /* small ones and ones with a chunk of their own, mixed */
        block[i] = bd_arena_alloc(a, n);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 16, 0);
        for (size_t j = 0; j < n; j++) assert_int_equal(block[i][j], 0);
        memset(block[i], (int)(i & 255), n);
    }
    for (size_t i = 0; i < 600; i++) /* no block was written by another */
        for (size_t j = 0; j < i * i % 40000; j++) assert_int_equal(block[i][j], i & 255);
    assert_string_equal(bd_arena_strdup(a, "name"), "name");
    assert_string_equal(bd_arena_printf(a, "%s.%d", "conv", 3), "conv.3");
    assert_null(bd_arena_alloc(a, SIZE_MAX - 8));
    bd_arena_destroy(a);
    bd_arena_destroy(NULL);
}

static void pages_are_aligned_and_zeroed(void **state) {
    (void)state;
    static const size_t sizes[] = {
        0, 1, 63, 64, 4097, (2u << 20) - 1, 2u << 20, (2u << 20) + 1, 7654321};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = bd_alloc_pages(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (sizes[i] >= 2u << 20 ? 2u << 20 : 64), 0);
        unsigned sum = 0;
        for (size_t j = 0; j < sizes[i]; j++) sum |= p[j];
        assert_int_equal(sum, 0);
        memset(p, 1, sizes[i]);
        bd_free_pages(p, sizes[i]);
    }
    bd_free_pages(NULL, 10);
    assert_null(bd_alloc_pages(SIZE_MAX - 10));
}

static void a_name_from_a_file_does_not_break_the_line(void **state) {
    (void)state;
    (void)bd_fail(BD_E_FORMAT, "column \"%s\"", "a\nb\x1b[2J");
    assert_string_equal(bd_error(), "column \"a?b?[2J\"");
    (void)bd_error_prefix(BD_E_FORMAT, "%s", "x\r");
    (void)bd_error_advise(BD_E_FORMAT, "%s", "y\t");
    assert_string_equal(bd_error(), "x?: column \"a?b?[2J\"; y?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_from_a_file_does_not_break_the_line),
        cmocka_unit_test(text_holds_values),
        cmocka_unit_test(text_may_quote_itself),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(text_belongs_to_its_thread),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(macros_return_early),
        cmocka_unit_test(log_goes_to_the_sink),
        cmocka_unit_test(clock_counts_and_tells_utc),
        cmocka_unit_test(arena_gives_zeroed_aligned_blocks),
        cmocka_unit_test(pages_are_aligned_and_zeroed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
