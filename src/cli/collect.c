#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/collect.h"
#include "run/device.h"
#include "run/folder.h"
#include "run/stage_list.h"

typedef struct {
    bd_selection select;
    const char *runs, *out;
    int whole; /* no recipe is named: all that is asked of the profile */
} collect_options;

static bd_status collect_one(const bd_selected *s, int i, const char *runs, const char *dir) {
    bd_collected c;
    bd_backend b;
    BD_TRY(bd_dag_backend(&b, &s->dag, i));
    BD_TRY(bd_collect(&c, &s->dag, i, runs, dir, &b));
    if (c.rows)
        printf("%s/%s.csv: %d of %d cells\n", dir, s->file[i].name, c.rows, c.cells);
    else
        bd_log(BD_LOG_WARN, "%s: none of its %d cells is finished; nothing written",
               s->file[i].name, c.cells);
    return BD_OK;
}

static bd_status collect(const void *options, const bd_selected *s) {
    const collect_options *o = options;
    char dir[1024];
    BD_TRY(bd_selection_results(dir, sizeof dir, &o->select, o->out));
    bd_lock *lock;
    BD_TRY(bd_results_lock(&lock, dir));
    bd_status st = BD_OK;
    for (int i = 0; i < s->n_files && !st; i++) st = collect_one(s, i, o->runs, dir);
    if (!st && o->whole) st = bd_stage_list_save(&s->dag, o->runs, dir);
    bd_lock_release(lock);
    return st;
}

int bd_cli_collect(int argc, char **argv) {
    collect_options o = {.runs = BD_RUNS_DIR};
    const bd_opt opts[] = {BD_SELECTION_OPTS(o.select),
                           {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
                           {'o', "out", BD_OPT_TEXT, "DIR", &o.out, 0, 0,
                            "where the result files go; without it results/PROFILE"}};
    const bd_cmd cmd = {
        "collect [RECIPE ...] [options]",
        "Writes the result file and the picture of each recipe from the stages that are finished;\n"
        "with no RECIPE also stages.csv, the list of all stages. docs/results.md says what is in "
        "them.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        -1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    o.whole = n_args == 0;
    return bd_cli_selected(&o.select, args, n_args, collect, &o);
}
