#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/plan_print.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "cpu/cpu.h"
#include "run/folder.h"
#include "run/pace.h"

typedef struct {
    bd_selection select;
    const char *format, *runs, *results;
    double gflops;
    int threads, stages, check, no_calibration;
} plan_options;

/* --- make, and a list for other schedulers --- */

/* 'text' for the shell, inside a make recipe or not. */
static void print_quoted(const char *text, bool make) {
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (*text == '$' && make)
            printf("$$");
        else
            putchar(*text);
    }
    putchar('\'');
}

static void print_arguments(const bd_selected *s, const plan_options *o, int i, bool make) {
    const bd_stage *stage = &s->dag.stage[i];
    printf("run ");
    print_quoted(s->file[s->dag.cell[stage->cell].file].path, make);
    if (o->select.profile) printf(" --profile %s", o->select.profile);
    if (o->select.all) printf(" --all");
    if (o->select.full) printf(" --full");
    for (int k = 0; k < o->select.settings.n; k++) {
        printf(" --set ");
        print_quoted(o->select.settings.text[k], make);
    }
    printf(" --runs %s --stage %s\n", o->runs, stage->name);
}

/* Jobs of a launcher carry the stage's name (srun reads SLURM_JOB_NAME) and none of make's own variables: a make in
 * the job would look for a jobserver that is on another machine. By env, for a shell in between would not hand on the
 * signal with which make stops the launcher. */
static void print_rule(const bd_selected *s, const plan_options *o, int i) {
    const bd_dag *d = &s->dag;
    const bd_stage *stage = &d->stage[i];
    printf("\n%s/%s/DONE:%s", o->runs, stage->name, stage->n_in ? " |" : "");
    for (int k = 0; k < stage->n_in; k++)
        printf(" %s/%s/DONE", o->runs, d->stage[stage->in[k].stage].name);
    printf("\n\t$(Q)$(if $(LAUNCH),env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL SLURM_JOB_NAME=%s "
           ")$(LAUNCH) "
           "$(BADDIFF) ",
           stage->name);
    print_arguments(s, o, i, true);
}

/* One line a stage, inputs before users. */
static void print_stages(const bd_selected *s, const plan_options *o) {
    const bd_dag *d = &s->dag;
    printf("# stage\tkind\tdevice\tdone\tinputs\targuments for the shell\n");
    for (int i = 0; i < d->n_stages; i++) {
        const bd_stage *stage = &d->stage[i];
        printf("%s\t%s\t%s\t%d\t", stage->name, bd_stage_kind_name(stage->kind),
               stage->device[0] ? stage->device : "-", bd_stage_done(o->runs, stage));
        for (int k = 0; k < stage->n_in; k++)
            printf("%s%s", k ? " " : "", d->stage[stage->in[k].stage].name);
        printf("%s\t", stage->n_in ? "" : "-");
        print_arguments(s, o, i, false);
    }
}

/* Order-only prerequisites: a stage's name says what is in it, its time says nothing. */
static void print_make(const bd_selected *s, const plan_options *o) {
    printf("# Written by 'baddiff plan --format make'. Each stage is one command; make runs the "
           "graph:\n"
           "#   make -k -f THIS [-j8 LAUNCH='srun ...'] [BADDIFF=path/to/baddiff]\n"
           "MAKEFLAGS += --no-builtin-rules\n"
           "BADDIFF ?= build/release/baddiff\n"
           "LAUNCH ?=\n"
           "Q ?= @\n"
           ".SUFFIXES:\n"
           ".PHONY: all\n"
           "all:");
    for (int i = 0; i < s->dag.n_stages; i++) printf(" %s/%s/DONE", o->runs, s->dag.stage[i].name);
    printf("\n");
    for (int i = 0; i < s->dag.n_stages; i++) print_rule(s, o, i);
}

/* --- text --- */

/* The steps that are timed are no run: they report no progress. */
static bd_status price(bd_plan_view *v, bd_price *out, const plan_options *o) {
    bd_price_spec spec = {.runs = o->runs,
                          .backend = &bd_backend_cpu,
                          .gflops = o->gflops,
                          .calibrate = !o->no_calibration,
                          .stop = &bd_cli_stop};
    BD_TRY(bd_cli_threads(&spec.threads, o->threads));
    v->threads = spec.threads;
    bd_progress_set(NULL, NULL);
    BD_TRY(bd_dag_prices(out, &v->selected->dag, &spec));
    v->price = out;
    return BD_OK;
}

static bd_status print_text(const bd_selected *s, const plan_options *o) {
    bd_plan_view v = {.selected = s, .gflops = o->gflops};
    bd_inputs missing = {0};
    bd_price *out = calloc((size_t)s->dag.n_stages + 1, sizeof *out);
    BD_REQUIRE(out, BD_E_MEMORY, "out of memory for the prices of a plan");
    bd_status st = price(&v, out, o);
    if (!st) st = bd_inputs_missing(&missing, &s->dag, o->runs, NULL);
    v.missing = &missing;
    if (!st) st = bd_plan_print(&v, o->stages > 0);
    bd_inputs_clear(&missing);
    free(out);
    return st;
}

static bd_status print_plan(const void *options, const bd_selected *s) {
    const plan_options *o = options;
    if (o->check) {
        BD_TRY(bd_selected_check(s, o->runs, o->results, o->threads, -1));
        printf("ready: nothing stands in the way of these %d stages\n", s->dag.n_stages);
        return BD_OK;
    }
    if (!strcmp(o->format, "text")) return print_text(s, o);
    (!strcmp(o->format, "make") ? print_make : print_stages)(s, o);
    return BD_OK;
}

int bd_cli_plan(int argc, char **argv) {
    plan_options o = {.format = "text", .runs = BD_RUNS_DIR, .results = "results"};
    const bd_opt opts[] = {
        BD_SELECTION_OPTS(o.select),
        {0, "stages", BD_OPT_FLAG, NULL, &o.stages, 0, 0, "every stage on a line of its own"},
        {0, "check", BD_OPT_FLAG, NULL, &o.check, 0, 0,
         "print no plan; say all that stands in its way, and then exit with 2"},
        {0, "no-calibration", BD_OPT_FLAG, NULL, &o.no_calibration, 0, 0,
         "run nothing and write nothing: rates that are not known yet are assumed"},
        {0, "gflops", BD_OPT_DOUBLE, "N", &o.gflops, 0, 1e9,
         "price the networks at this rate, as if on a device that has it; GFLOP/s, 0 = not"},
        {'f', "format", BD_OPT_TEXT, "text|make|stages", &o.format, 0, 0,
         "a table, rules for make, or a line a stage with its command, separated by tabs"},
        {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
        {0, "results", BD_OPT_TEXT, "DIR", &o.results, 0, 0,
         "folder of the result files, for --check"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {
        "plan [RECIPE ...] [options]",
        "Shows what a recipe has to do: cells and stages, what is there already, work, time on "
        "this\n"
        "machine, disk, memory, and inputs that are still missing. A few steps of each network are "
        "timed\n"
        "(seconds in all) and kept in RUNS/" BD_PACE_FILE "; nothing else is written.\n"
        "RECIPE is a file or a name in experiments/; with none, the profile's recipes.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        -1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    if (strcmp(o.format, "text") != 0 && strcmp(o.format, "make") != 0 &&
        strcmp(o.format, "stages") != 0)
        return bd_cli_usage("plan", "--format %s: text, make or stages", o.format);
    return bd_cli_selected(&o.select, args, n_args, print_plan, &o);
}
