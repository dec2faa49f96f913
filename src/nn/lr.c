#include "nn/lr.h"

#include <math.h>

double bd_lr_factor(int64_t s, int64_t warmup, int64_t total) {
    static const double pi = 3.14159265358979323846;
    if (s < warmup) return (double)s / (double)warmup;
    int64_t span = total - warmup > 1 ? total - warmup : 1;
    return fmax(0, 0.5 * (1 + cos(pi * ((double)(s - warmup) / (double)span))));
}
