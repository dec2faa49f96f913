/* Time: monotonic seconds for rates, medians of them, UTC text for manifests. */
#ifndef BD_BASE_CLOCK_H
#define BD_BASE_CLOCK_H

#include <stddef.h>

double bd_clock_seconds(void);   /* monotonic */
void bd_clock_utc(char out[32]); /* "2026-01-31T12:00:00Z" */

/* bd_clock_median -- of n >= 1 measurements, which it puts in ascending order; the upper one of two in the middle. */
double bd_clock_median(double *t, size_t n);

#endif
