#include "golden_net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "nn/parity.h"

#define TMP "build/tmp/golden_net"

json_t *golden_net_load(void) { return json_load_file("tests/golden/unet_golden.json", 0, NULL); }

void golden_net_config(bd_unet_config *c, const json_t *doc, const char *net) {
    const json_t *config = json_object_get(json_object_get(doc, net), "config");
    assert_non_null(config);
    assert_int_equal(bd_file_mkdirs(TMP), BD_OK);
    char path[256];
    snprintf(path, sizeof path, TMP "/%s.json", net);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    if (bd_unet_config_load(c, path)) fail_msg("%s", bd_error());
}

static double number(const json_t *stats, const char *key) {
    const json_t *v = json_object_get(stats, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* Squared differences of the listed values from a[0], a[1] ... */
static double listed(const float *a, const json_t *list) {
    double sum = json_array_size(list) ? 0 : (double)NAN;
    for (size_t i = 0; i < json_array_size(list); i++) {
        double d = a[i] - json_number_value(json_array_get(list, i));
        sum += d * d;
    }
    return sum;
}

double golden_net_error(const float *a, size_t n, const json_t *stats, double floor) {
    double sum = 0, abs_sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += a[i];
        abs_sum += fabs((double)a[i]);
        square += (double)a[i] * a[i];
    }
    const json_t *first = json_object_get(stats, "first"), *last = json_object_get(stats, "last");
    if (json_array_size(first) > n || json_array_size(last) > n) return (double)NAN;
    /* |sum of d| <= sqrt(n) |d|, and the same for differences of absolute values */
    double bound[] = {fabs(sum - number(stats, "sum")) / sqrt((double)n),
                      fabs(abs_sum - number(stats, "abssum")) / sqrt((double)n),
                      fabs(sqrt(square) - number(stats, "l2")), sqrt(listed(a, first)),
                      sqrt(listed(a + n - json_array_size(last), last))};
    double worst = 0;
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        if (isnan(bound[i])) return (double)NAN;
        worst = fmax(worst, bound[i]);
    }
    return worst / fmax(number(stats, "l2"), floor);
}

double golden_net_file_error(const float *a, size_t n, const char *path) {
    void *want;
    size_t bytes;
    if (bd_file_read(&want, &bytes, path, 0)) fail_msg("%s", bd_error());
    double error = bytes == n * sizeof(float) ? bd_relative_error(a, want, n, 0) : (double)NAN;
    free(want);
    return error;
}
