/* The incomplete beta function by its continued fraction, DLMF 8.17.22, from the front
 * (Lentz 1976, modified by Thompson & Barnett 1986). */
#include <math.h>

#include "metric/hits.h"

/* Term m of the fraction f = 1 + d1/(1 + d2/(1 + ...)); I_x = x^a (1-x)^b / (a B(a,b) f). */
static double fraction_term(int m, double x, double a, double b) {
    int j = m / 2;
    if (m % 2) return -(a + j) * (a + b + j) * x / ((a + 2 * j) * (a + 2 * j + 1));
    return j * (b - j) * x / ((a + 2 * j - 1) * (a + 2 * j));
}

/* I_x(a, b) where the fraction converges fast: x below the mean or so. */
static double lower_tail(double x, double a, double b) {
    const double tiny = 1e-300;
    double c = 1, d = 0, f = 1;
    for (int m = 1; m < 100000; m++) {
        double term = fraction_term(m, x, a, b);
        d = 1 + term * d;
        c = 1 + term / c;
        if (fabs(d) < tiny) d = tiny;
        if (fabs(c) < tiny) c = tiny;
        d = 1 / d;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16) break;
    }
    int sign;
    double log_beta = lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
    return exp(a * log(x) + b * log1p(-x) - log_beta) / (a * f);
}

double bd_beta_cdf(double x, double a, double b) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    return x <= (a + 1) / (a + b + 2) ? lower_tail(x, a, b) : 1 - lower_tail(1 - x, b, a);
}

double bd_beta_quantile(double p, double a, double b) {
    double lo = 0, hi = 1;
    for (;;) {
        double mid = lo + (hi - lo) / 2;
        if (mid <= lo || mid >= hi) return mid;
        if (bd_beta_cdf(mid, a, b) < p) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
}
