#include "cuda_compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_check.h"
#include "ref/check.h"

static bool same(double a, double b) {
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

void compare_same(const char *label, const double *got, const double *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!same(got[i], want[i]))
            fail_msg("%s: element %zu of %zu is %a, not %a", label, i, n, got[i], want[i]);
    }
}

void compare_within(const char *label, const double *got, const double *want, const double *bound,
                    size_t n, int zero_ok) {
    double *g = malloc(n * sizeof *g), *w = malloc(n * sizeof *w);
    assert_true(g && w);
    for (size_t i = 0; i < n; i++) {
        g[i] = got[i] / bound[i];
        w[i] = want[i] / bound[i];
    }
    bool ok = ref_near(label, g, w, n, 1.0, zero_ok != 0);
    free(g);
    free(w);
    if (!ok) fail_msg("%s: see above (in units of the bound)", label);
}

double compare_bound(bd_type type, double want, double ops, double magnitude) {
    double arithmetic = ops * 0x1p-24 * magnitude + 0x1p-149; /* half a unit each; subnormals */
    if (type == BD_TYPE_F32) return arithmetic;
    /* Numbers of fp16 below 2^-14 are 2^-24 apart. */
    return arithmetic + cuda_unit(type) * (fabs(want) + arithmetic) +
           (type == BD_TYPE_F16 ? 0x1p-25 : 0);
}
