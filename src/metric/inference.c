#include "metric/inference.h"

#include <math.h>

#include "metric/hits.h"

double bd_student_p(double t, double df) {
    if (isinf(t)) return 0;
    return bd_beta_cdf(df / (df + t * t), df / 2, 0.5);
}

/* The quantile of the beta variable that is the small one keeps its digits at both ends. */
double bd_student_quantile(double p, double df) {
    double tails = 2 * (p < 0.5 ? p : 1 - p), t;
    if (tails < 0.5) {
        double x = bd_beta_quantile(tails, df / 2, 0.5); /* df / (df + t^2) */
        t = sqrt(df * (1 - x) / x);
    } else {
        if (tails >= 1) return 0;
        double y = bd_beta_quantile(1 - tails, 0.5, df / 2); /* t^2 / (df + t^2) */
        t = sqrt(df * y / (1 - y));
    }
    return p < 0.5 ? -t : t;
}

double bd_normal_p(double z) { return erfc(fabs(z) / sqrt(2)); }

double bd_normal_quantile(double p) {
    double tails = 2 * (p < 0.5 ? p : 1 - p), lo = 0, hi = 40; /* no double has a smaller tail */
    for (;;) {
        double mid = lo + (hi - lo) / 2;
        if (mid <= lo || mid >= hi) return p < 0.5 ? -mid : mid;
        if (bd_normal_p(mid) > tails) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
}

void bd_wilson(double *lo, double *hi, double successes, double trials, double z) {
    double p = successes / trials, q = z * z / trials;
    double centre = (p + q / 2) / (1 + q);
    double half = sqrt(q * p * (1 - p) + q * q / 4) / (1 + q);
    *lo = successes <= 0 ? 0 : centre - half; /* exact there, whatever the rounding */
    *hi = successes >= trials ? 1 : centre + half;
}

/* How far the interval of |a - b| reaches towards 0 at z, a > b. */
static double newcombe_reach(double a, double n_a, double b, double n_b, double z) {
    double lo_a, hi_a, lo_b, hi_b;
    bd_wilson(&lo_a, &hi_a, a * n_a, n_a, z);
    bd_wilson(&lo_b, &hi_b, b * n_b, n_b, z);
    return hypot(a - lo_a, hi_b - b);
}

double bd_newcombe_p(double a, double n_a, double b, double n_b) {
    if (a < b) return bd_newcombe_p(b, n_b, a, n_a);
    if (a <= b) return 1;
    double lo = 0, hi = 40;
    for (;;) {
        double mid = lo + (hi - lo) / 2;
        if (mid <= lo || mid >= hi) return bd_normal_p(mid);
        if (newcombe_reach(a, n_a, b, n_b, mid) < a - b) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
}

/* adjusted[i] = max over p_j <= p_i of p_j times the number of p that are not below p_j. The second loop may find a
 * maximum where it looks for a product: that maximum is over fewer, and changes nothing. */
void bd_holm(double *adjusted, const double *p, int n) {
    for (int i = 0; i < n; i++) {
        int below = 0;
        for (int j = 0; j < n; j++) below += p[j] < p[i];
        adjusted[i] = fmin(1, (n - below) * p[i]);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (p[j] <= p[i]) adjusted[i] = fmax(adjusted[i], adjusted[j]);
}
