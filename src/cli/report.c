#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"

/* Seconds between two progress lines: rewritten on a terminal, plain lines elsewhere. */
static const double terminal_pause = 0.25, plain_pause = 5.0;

static struct {
    int verbosity, terminal;
    int open;  /* a progress line stands on the terminal, unfinished */
    int lines; /* of this phase so far                               */
    char phase[32];
    int64_t first_done;
    double started, last;
} report;

volatile sig_atomic_t bd_cli_stop;

/* One call of write for a whole line, so that lines of two processes do not mix. */
static void say(const char *start, const char *text, const char *end) {
    char line[2304];
    int n = snprintf(line, sizeof line, "%s%s%s", start, text, end);
    if (n < 0) return;
    if ((size_t)n >= sizeof line) n = (int)sizeof line - 1;
    fwrite(line, 1, (size_t)n, stderr);
    fflush(stderr);
}

static void on_log(bd_log_level level, const char *text, void *user) {
    (void)user;
    static const char *const label[] = {"baddiff: ", "warning: ", "", ""};
    if (level > BD_LOG_ERROR && report.verbosity < 0) return;
    if (level == BD_LOG_DEBUG && report.verbosity < 1) return;
    char start[32];
    snprintf(start, sizeof start, "%s%s", report.open ? "\r\033[K" : "", label[level]);
    report.open = 0;
    say(start, text, "\n");
}

static void eta_text(char out[32], double seconds) {
    if (seconds < 90)
        snprintf(out, 32, "eta %.0f s", seconds);
    else if (seconds < 5400)
        snprintf(out, 32, "eta %.0f m", seconds / 60);
    else
        snprintf(out, 32, "eta %.1f h", seconds / 3600);
}

/* "train 1200/50000 | loss 0.02381 | lr 2.0e-4 | 412 img/s | eta 33 m" */
static void progress_text(char *out, size_t size, const bd_progress *p, double now) {
    char rate[32] = "", eta[40] = "";
    if (p->images_per_second > 0)
        snprintf(rate, sizeof rate, p->images_per_second < 10 ? " | %.1f img/s" : " | %.0f img/s",
                 p->images_per_second);
    double elapsed = now - report.started;
    int64_t advanced = p->done - report.first_done;
    if (advanced > 0 && elapsed > 0.5 && p->done < p->total) {
        char text[32];
        eta_text(text, elapsed / (double)advanced * (double)(p->total - p->done));
        snprintf(eta, sizeof eta, " | %s", text);
    }
    const char *note = p->note ? p->note : "";
    snprintf(out, size, "%s %" PRId64 "/%" PRId64 "%s%s%s%s", p->phase, p->done, p->total,
             *note ? " | " : "", note, rate, eta);
}

static void on_progress(const bd_progress *p, void *user) {
    (void)user;
    if (report.verbosity < 0) return;
    double now = bd_clock_seconds();
    int fresh = strncmp(report.phase, p->phase, sizeof report.phase - 1) != 0 ||
                p->done < report.first_done;
    if (fresh) {
        snprintf(report.phase, sizeof report.phase, "%s", p->phase);
        report.first_done = p->done;
        report.started = report.last = now;
        report.lines = 0;
    }
    int finished = p->done >= p->total;
    if (!finished && now - report.last < (report.terminal ? terminal_pause : plain_pause)) return;
    if (finished && !report.lines) { /* a short phase needs no word */
        report.phase[0] = '\0';
        return;
    }
    char text[512];
    progress_text(text, sizeof text, p, now);
    report.last = now;
    report.lines++;
    if (report.terminal) {
        say("\r\033[K", text, finished ? "\n" : "");
        report.open = !finished;
    } else {
        say("", text, "\n");
    }
    if (finished) report.phase[0] = '\0';
}

void bd_cli_report_start(void) {
    report.terminal = isatty(STDERR_FILENO);
    bd_log_set_sink(on_log, NULL);
    bd_progress_set(on_progress, NULL);
}

void bd_cli_report_verbosity(int verbosity) { report.verbosity = verbosity; }

void bd_cli_report_end(void) {
    if (report.open) say("", "", "\n");
    report.open = 0;
}

int bd_cli_fail(bd_status st) {
    bd_log(BD_LOG_ERROR, "%s", bd_error());
    return bd_exit_code(st);
}

static void on_signal(int number) {
    (void)number;
    bd_cli_stop = 1;
}

/* SA_RESETHAND: the second signal has its default effect and ends a process that is stuck. A limit on the size of
 * files shall be the error of a write, which saves and explains, not a signal that kills. */
void bd_cli_catch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGXFSZ, SIG_IGN);
}
