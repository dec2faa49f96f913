/* Time: monotonic seconds for rates, UTC text for manifests. */
#ifndef BD_BASE_CLOCK_H
#define BD_BASE_CLOCK_H

double bd_clock_seconds(void);   /* monotonic */
void bd_clock_utc(char out[32]); /* "2026-01-31T12:00:00Z" */

#endif
