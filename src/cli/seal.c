#include <stdio.h>

#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/folder.h"
#include "run/sums.h"
#include "run/verify.h"

typedef struct {
    bd_selection select;
    const char *runs, *results;
} seal_options;

static bd_status seal(const void *options, const bd_selected *s) {
    const seal_options *o = options;
    char dir[1024];
    BD_TRY(bd_selection_results(dir, sizeof dir, &o->select, o->results));
    BD_TRY(bd_verify_seal(&s->dag, dir, o->runs));
    printf("%s/" BD_SUMS_FILE "\n", dir);
    return BD_OK;
}

int bd_cli_seal(int argc, char **argv) {
    seal_options o = {.runs = BD_RUNS_DIR};
    const bd_opt opts[] = {BD_SELECTION_OPTS(o.select),
                           {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
                           {0, "results", BD_OPT_TEXT, "DIR", &o.results, 0, 0,
                            "folder of the results; without it results/PROFILE"}};
    const bd_cmd cmd = {
        "seal [RECIPE ...] [options]",
        "Writes " BD_SUMS_FILE
        " into the folder of the results: the sums of its files and of the stages that\n"
        "they come from. 'baddiff verify' compares with it, and so does sha256sum -c.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        -1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    return bd_cli_selected(&o.select, args, n_args, seal, &o);
}
