#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/folder.h"

typedef struct {
    bd_selection select;
    const char *runs, *stage;
    int threads, no_check;
} run_options;

static bd_status run(const void *options, const bd_selected *s) {
    const run_options *o = options;
    int only = -1;
    if (o->stage) BD_TRY(bd_dag_find(&only, &s->dag, o->stage));
    return bd_selected_run(s, o->runs, o->threads, only, !o->no_check);
}

int bd_cli_run(int argc, char **argv) {
    run_options o = {.runs = BD_RUNS_DIR};
    const bd_opt opts[] = {BD_SELECTION_OPTS(o.select),
                           {0, "stage", BD_OPT_TEXT, "NAME", &o.stage, 0, 0,
                            "only this stage of the plan and what it needs"},
                           {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
                           {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
                            "worker threads; 0 = all processors"},
                           {0, "no-check", BD_OPT_FLAG, NULL, &o.no_check, 0, 0,
                            "start what can be started, although something is missing"}};
    const bd_cmd cmd = {
        "run [RECIPE ...] [options]",
        "Runs every stage of a recipe that is not finished yet. Stopped with Ctrl-C it saves and\n"
        "exits with 75; the same command goes on from there, with the same bits. What stands in "
        "the way\n"
        "(data, room, rights, devices) is all said before the first stage starts.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        -1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    return bd_cli_selected(&o.select, args, n_args, run, &o);
}
