/* Oracles: /proc read here by other means; memory that is taken shows in the peak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/machine.h"

/* The first number behind `key` in a file of the system; 0: not there. */
static double number_in(const char *path, const char *key) {
    char line[4096];
    double v = 0;
    FILE *f = fopen(path, "r");
    while (f && v <= 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) v = strtod(line + strcspn(line, "0123456789"), NULL);
    if (f) fclose(f);
    return v;
}

static void the_machine_is_described(void **state) {
    (void)state;
    bd_machine m;
    bd_machine_get(&m);
    assert_null(strchr(m.cpu, '\n'));
    assert_true(m.cpu[0] != ' ');
    assert_true(m.processors >= 1 && m.processors <= sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(m.family, (int)number_in("/proc/cpuinfo", "cpu family"));
    assert_int_equal(m.model, (int)number_in("/proc/cpuinfo", "model\t"));
    /* a container may be shown less there */
    assert_true(m.memory > 0 && m.memory >= 0.99 * number_in("/proc/meminfo", "MemTotal:") * 1024);
}

/* The largest of cpu0's caches is the last one. */
static void the_last_cache_is_the_largest(void **state) {
    (void)state;
    double largest = 0;
    for (int i = 0; i < 8; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        double kib = number_in(path, "");
        if (kib > largest) largest = kib;
    }
    if (largest > 0) /* else the system does not tell, or not there */
        assert_true(bd_machine_last_cache() == largest * 1024);
    else
        assert_true(bd_machine_last_cache() >= 0);
}

static void memory_that_is_used_shows_in_the_peak(void **state) {
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    double before = bd_machine_peak_memory();
    char *p = malloc(bytes);
    assert_non_null(p);
    memset(p, 1, bytes);
    double after = bd_machine_peak_memory();
    assert_int_equal(p[bytes / 2], 1);
    free(p);
    assert_true(before > 0);
    /* pages of the program that were read from disk may have gone meanwhile */
    assert_true(after - before > 0.9 * (double)bytes);
    assert_true(bd_machine_peak_memory() >= after); /* a peak stays */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machine_is_described),
        cmocka_unit_test(the_last_cache_is_the_largest),
        cmocka_unit_test(memory_that_is_used_shows_in_the_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
