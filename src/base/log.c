#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 2048 };

/* One lock for both: workers report while others log, and a sink writes to one terminal. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bd_log_sink log_sink;
static void *log_user;
static bd_progress_fn progress_fn;
static void *progress_user;

void bd_log_set_sink(bd_log_sink sink, void *user) {
    pthread_mutex_lock(&lock);
    log_sink = sink;
    log_user = user;
    pthread_mutex_unlock(&lock);
}

void bd_log(bd_log_level level, const char *fmt, ...) {
    char line[LINE_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0) return;
    pthread_mutex_lock(&lock);
    if (log_sink) log_sink(level, line, log_user);
    pthread_mutex_unlock(&lock);
}

void bd_progress_set(bd_progress_fn fn, void *user) {
    pthread_mutex_lock(&lock);
    progress_fn = fn;
    progress_user = user;
    pthread_mutex_unlock(&lock);
}

void bd_progress_report(const bd_progress *p) {
    pthread_mutex_lock(&lock);
    if (progress_fn) progress_fn(p, progress_user);
    pthread_mutex_unlock(&lock);
}
