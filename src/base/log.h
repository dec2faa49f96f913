/* Messages for people. The library never prints: it hands text to a sink that src/cli sets. */
#ifndef BD_BASE_LOG_H
#define BD_BASE_LOG_H

#include <stdint.h>

#include "base/status.h"

typedef enum { BD_LOG_ERROR, BD_LOG_WARN, BD_LOG_INFO, BD_LOG_DEBUG } bd_log_level;

typedef void (*bd_log_sink)(bd_log_level level, const char *text, void *user);

/* bd_log_set_sink -- where bd_log sends its lines (no newline at the end); NULL drops them.
 * Call before threads start. */
void bd_log_set_sink(bd_log_sink sink, void *user);
void bd_log(bd_log_level level, const char *fmt, ...) BD_PRINTF(2, 3);

/* Progress of a long phase, called a few times a second at most by the worker that advances it.
 *   phase "train", "sample" ...; done of total units; note: "loss 0.0238 | lr 2.0e-4", may be "" */
typedef struct {
    const char *phase;
    int64_t done, total;
    double images_per_second; /* 0 = unknown */
    const char *note;
} bd_progress;

typedef void (*bd_progress_fn)(const bd_progress *p, void *user);
void bd_progress_set(bd_progress_fn fn, void *user);
void bd_progress_report(const bd_progress *p);

#endif
