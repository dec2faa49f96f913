#include "metric/hits.h"

#include <inttypes.h>
#include <math.h>

bd_status bd_flat_grey(double *level, double *var, const float *target, size_t n) {
    BD_REQUIRE(n >= 1, BD_E_SHAPE, "flat grey: the target has no elements");
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)target[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = (double)target[i] - mean;
        squares += d * d;
    }
    *level = mean;
    *var = squares / (double)n;
    return BD_OK;
}

bd_status bd_clopper_pearson(double *lo, double *hi, int64_t k, int64_t n, double confidence) {
    BD_REQUIRE(n >= 1 && k >= 0 && k <= n, BD_E_ARG,
               "interval: %" PRId64 " successes of %" PRId64 " trials", k, n);
    BD_REQUIRE(confidence > 0 && confidence < 1, BD_E_ARG,
               "interval: confidence %g is not inside (0,1); 0.95 stands for 95 %%", confidence);
    double tail = (1 - confidence) / 2, hits = (double)k, misses = (double)(n - k);
    *lo = k == 0 ? 0 : bd_beta_quantile(tail, hits, misses + 1);
    *hi = k == n ? 1 : 1 - bd_beta_quantile(tail, misses, hits + 1); /* keeps digits near 1 */
    return BD_OK;
}

bd_status bd_hits_count(bd_hit_rate *out, const double *mse, int64_t n, double threshold,
                        double confidence) {
    BD_REQUIRE(n >= 1, BD_E_ARG, "hit rate: no samples");
    BD_REQUIRE(threshold > 0 && isfinite(threshold), BD_E_ARG,
               "hit rate: threshold %g is no positive number; a flat target has no hits",
               threshold);
    *out = (bd_hit_rate){.n = n, .threshold = threshold, .confidence = confidence};
    for (int64_t i = 0; i < n; i++) {
        BD_REQUIRE(!isnan(mse[i]), BD_E_NUMERIC, "hit rate: MSE of sample %" PRId64 " is NaN", i);
        out->hits += mse[i] < threshold;
    }
    out->rate = (double)out->hits / (double)n;
    return bd_clopper_pearson(&out->lo, &out->hi, out->hits, n, confidence);
}
