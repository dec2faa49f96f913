#include "defense/input.h"

#include <math.h>

bd_input_score bd_input_score_make(const float *x, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    return (bd_input_score){.mean = fabs(mean) * sqrt((double)n), .variance = squares / (double)n};
}
