#include "ref/check.h"

#include <math.h>
#include <stdio.h>

/* splitmix64 (Steele, Lea & Flood 2014), enough for test inputs and unrelated to the product's generator. */
static uint64_t next(uint64_t *s) {
    uint64_t z = *s += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

void ref_fill_f32(float *out, size_t n, uint64_t seed) {
    uint64_t s = seed * 0xD1342543DE82EF95ull + 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)(next(&s) >> 40) / 16777216.0 - 0.5) * 3.5f;
}

void ref_fill(double *out, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        float f;
        ref_fill_f32(&f, 1, seed * 1000003 + i);
        out[i] = f;
    }
}

double ref_max_abs(const double *x, size_t n) {
    double top = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(x[i]));
    return top;
}

bool ref_near(const char *label, const double *got, const double *want, size_t n, double tol,
              bool zero_ok) {
    size_t worst = 0, nonzero = 0;
    double error = -1;
    for (size_t i = 0; i < n; i++) {
        double e = fabs(got[i] - want[i]);
        if (!isfinite(got[i]) || !isfinite(want[i])) {
            fprintf(stderr, "%s: element %zu of %zu: got %g, reference %g\n", label, i, n, got[i],
                    want[i]);
            return false;
        }
        nonzero += want[i] != 0;
        if (e > error) error = e, worst = i;
    }
    if (n == 0 || (!zero_ok && nonzero * 4 < n)) {
        fprintf(stderr, "%s: the reference has %zu nonzero elements of %zu, which checks nothing\n",
                label, nonzero, n);
        return false;
    }
    if (error <= tol) return true;
    fprintf(stderr,
            "%s: worst element %zu of %zu: got %.9g, reference %.9g, |difference| %.3g > %.3g\n",
            label, worst, n, got[worst], want[worst], error, tol);
    return false;
}
