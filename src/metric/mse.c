#include "metric/mse.h"

#include <math.h>
#include <stdlib.h>

#include "metric/pair.h"

double bd_mse_pair(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return sum / (double)n;
}

double bd_mean(const double *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum / (double)n;
}

bd_status bd_pair_check(const bd_image_set *a, const bd_image_set *b, const char *what) {
    BD_TRY(bd_image_set_check(a, what));
    BD_TRY(bd_image_set_check(b, what));
    BD_REQUIRE((b->n == 1 || b->n == a->n) && a->h == b->h && a->w == b->w && a->c == b->c,
               BD_E_SHAPE, "%s: sets of shape [%d,%d,%d,%d] and [%d,%d,%d,%d] do not pair", what,
               a->n, a->h, a->w, a->c, b->n, b->h, b->w, b->c);
    return BD_OK;
}

bd_status bd_mse_each(double *out, const bd_image_set *a, const bd_image_set *b) {
    BD_TRY(bd_pair_check(a, b, "mse"));
    size_t size = bd_image_size(a);
    float *scratch = malloc(2 * size * sizeof *scratch);
    BD_REQUIRE(scratch, BD_E_MEMORY, "mse: no memory for two images of %zu elements", size);
    float *one = scratch, *other = scratch + size;
    bd_status st = BD_OK;
    for (int i = 0; i < a->n && !st; i++) {
        bd_image_get(one, a, i);
        if (i == 0 || b->n > 1) bd_image_get(other, b, i);
        out[i] = bd_mse_pair(one, other, size);
        if (!isfinite(out[i])) st = bd_fail(BD_E_NUMERIC, "mse: image %d is not finite", i);
    }
    free(scratch);
    return st;
}
