/* What the verbs share: options, messages, exit codes, signals. */
#ifndef BD_CLI_CLI_H
#define BD_CLI_CLI_H

#include <signal.h>
#include <stddef.h>

#include "base/status.h"

typedef enum {
    BD_OPT_FLAG,   /* int: counted up each time        */
    BD_OPT_INT,    /* int, within lo .. hi             */
    BD_OPT_U64,    /* uint64_t, decimal                */
    BD_OPT_DOUBLE, /* double, within lo .. hi          */
    BD_OPT_TEXT,   /* const char *, borrowed from argv */
    BD_OPT_LIST    /* bd_opt_list, may be given often  */
} bd_opt_kind;

enum { BD_OPT_LIST_MAX = 64 };

typedef struct {
    const char *text[BD_OPT_LIST_MAX];
    int n;
} bd_opt_list;

/* One option. The default that --help prints is what `to` points at when parsing starts. */
typedef struct {
    int letter;       /* short form, 0 = none                                        */
    const char *name; /* long form without the dashes                                */
    bd_opt_kind kind;
    const char *arg; /* what --help calls the value: "DIR", "SECONDS"; NULL: a flag */
    void *to;
    double lo, hi;    /* BD_OPT_INT and BD_OPT_DOUBLE                                 */
    const char *help; /* one line, with the unit                                     */
} bd_opt;

typedef struct {
    const char *usage; /* "sample --model DIR [options]"     */
    const char *about; /* a few lines for --help             */
    const bd_opt *opts;
    size_t n_opts;
    int min_args, max_args; /* positional arguments; -1 = any number */
} bd_cmd;

enum { BD_CLI_GO_ON = -1 };

/* bd_cli_parse -- read a verb's command line; -h, -q and -v are understood by every verb.
 * argv[0] is the verb. Positional arguments go to args (borrowed from argv, permuted).
 *   errors   returns BD_CLI_GO_ON, or the exit code to return: 0 after --help, 2 after a message */
int bd_cli_parse(char ***args, int *n_args, const bd_cmd *cmd, int argc, char **argv);

/* bd_cli_fail -- say this thread's error text on stderr; returns the exit code of st. */
int bd_cli_fail(bd_status st);
/* bd_cli_usage -- a message about the command line, pointing to --help; returns 2. */
int bd_cli_usage(const char *verb, const char *fmt, ...) BD_PRINTF(2, 3);

/* bd_cli_threads -- worker threads: the option when > 0, else BADDIFF_THREADS, else the processors
 * this process may use. Results do not depend on it.
 *   errors   BD_E_ARG: BADDIFF_THREADS is no number from 1 to 1024 */
BD_MUST_CHECK bd_status bd_cli_threads(int *out, int option);

/* bd_cli_stop -- becomes non-zero at the first SIGINT or SIGTERM; a second one ends the process. */
extern volatile sig_atomic_t bd_cli_stop;
void bd_cli_catch_signals(void);

/* The lines on stderr. verbosity: -1 quiet (errors only), 0, 1 (debug lines too). */
void bd_cli_report_start(void);
void bd_cli_report_verbosity(int verbosity);
void bd_cli_report_end(void); /* leaves the cursor on a fresh line */

#endif
