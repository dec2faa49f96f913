#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "run/verify.h"

static void print_problem(void *ctx, const char *path, const char *what) {
    (void)ctx;
    printf("%s %s\n", path, what);
}

static bd_status verify(const char *results) {
    bd_verify v = {.problem = print_problem};
    BD_TRY(bd_verify_results(&v, results));
    printf("%s: %d files and %d stages compared, %d problem%s\n", results, v.files, v.stages,
           v.problems, v.problems == 1 ? "" : "s");
    if (!v.problems) return BD_OK;
    return bd_fail(
        BD_E_FORMAT,
        "%s is not what was sealed; a stage's folder that is removed is made anew by the "
        "command that made it",
        results);
}

int bd_cli_verify(int argc, char **argv) {
    const bd_cmd cmd = {
        "verify [RESULTS]",
        "Compares a folder of results (without one, results/mini) with what was sealed there: "
        "every\n"
        "file of it, of the stages behind it and of their inputs, the data sets and the weights.\n"
        "Prints each file that changed, is missing or was added, and then exits with 2.",
        NULL,
        0,
        0,
        1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    bd_status st = verify(n_args ? args[0] : "results/mini");
    return st ? bd_cli_fail(st) : 0;
}
