#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "cpu/cpu.h"
#include "run/cost.h"
#include "run/folder.h"
#include "run/runner.h"

typedef struct {
    bd_selection select;
    const char *format, *runs;
    int threads;
} plan_options;

/* --- text --- */

static void human_bytes(char out[16], double bytes) {
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    while (bytes >= 999.5 && u < 4) {
        bytes /= 1000;
        u++;
    }
    snprintf(out, 16, u && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

static void human_seconds(char out[16], double s) {
    if (s < 0.05)
        snprintf(out, 16, "-");
    else if (s < 90)
        snprintf(out, 16, "%.1f s", s);
    else if (s < 5400)
        snprintf(out, 16, "%.1f min", s / 60);
    else
        snprintf(out, 16, "%.1f h", s / 3600);
}

static void print_stage(const bd_dag *d, int i, const bd_cost *c) {
    char what[96], seconds[16], memory[16], disk[16], work[16] = "-";
    bd_stage_describe(what, sizeof what, d, i);
    human_seconds(seconds, c->seconds);
    human_bytes(memory, c->memory);
    human_bytes(disk, c->disk);
    if (c->tflop > 0) snprintf(work, sizeof work, "%.3g", c->tflop);
    printf("%-24s %-44s %9s %9s %9s %9s  %s\n", d->stage[i].name, what, work, seconds,
           c->memory > 0 ? memory : "-", c->disk > 0 ? disk : "-", c->done ? "done" : "");
}

static void print_text(const bd_selected *s, const bd_cost *cost, int threads) {
    const bd_dag *d = &s->dag;
    double tflop = 0, todo = 0, seconds = 0, memory = 0, images = 0, disk = 0;
    int done = 0, measured = 1;
    char a[16], b[16], c[16], e[16];
    for (int f = 0; f < s->n_files; f++) {
        int cells = 0;
        for (int i = 0; i < d->n_cells; i++) cells += d->cell[i].file == f;
        printf("%-12s %3d cells  %s%s%s\n", s->file[f].name, cells, s->file[f].base.recipe_title,
               s->file[f].base.recipe_paper[0] ? " -- " : "", s->file[f].base.recipe_paper);
    }
    printf("\n%-24s %-44s %9s %9s %9s %9s\n", "stage", "", "TFLOP", "time", "memory", "disk");
    for (int i = 0; i < d->n_stages; i++) {
        print_stage(d, i, &cost[i]);
        tflop += cost[i].tflop;
        disk += cost[i].disk;
        double *most = d->stage[i].kind == BD_KIND_data ? &images : &memory;
        if (cost[i].memory > *most) *most = cost[i].memory;
        done += cost[i].done;
        if (cost[i].done) continue;
        todo += cost[i].tflop;
        seconds += cost[i].seconds;
        if (cost[i].tflop > 0 && !cost[i].measured) measured = 0;
    }
    human_seconds(a, seconds);
    human_bytes(b, memory);
    human_bytes(c, disk);
    human_bytes(e, images);
    printf("\n%d stages, %d of them done; %.1f TFLOP in all, %.1f to do: about %s with %d threads "
           "(%s); "
           "memory of the networks at most %s, of the images %s; disk %s\n",
           d->n_stages, done, tflop, todo, a, threads,
           measured ? "measured rates"
                    : "where nothing is measured yet, 75 GFLOP/s a thread is assumed",
           b, e, c);
}

/* --- make --- */

/* 'text' for the shell inside a make recipe. */
static void print_quoted(const char *text) {
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (*text == '$')
            printf("$$");
        else
            putchar(*text);
    }
    putchar('\'');
}

static void print_rule(const bd_selected *s, const plan_options *o, int i) {
    const bd_dag *d = &s->dag;
    const bd_stage *stage = &d->stage[i];
    printf("\n%s/%s/DONE:%s", o->runs, stage->name, stage->n_in ? " |" : "");
    for (int k = 0; k < stage->n_in; k++)
        printf(" %s/%s/DONE", o->runs, d->stage[stage->in[k].stage].name);
    printf("\n\t$(Q)$(LAUNCH) $(BADDIFF) run ");
    print_quoted(s->file[d->cell[stage->cell].file].path);
    if (o->select.profile) printf(" --profile %s", o->select.profile);
    if (o->select.all) printf(" --all");
    if (o->select.full) printf(" --full");
    for (int k = 0; k < o->select.settings.n; k++) {
        printf(" --set ");
        print_quoted(o->select.settings.text[k]);
    }
    printf(" --runs %s --stage %s\n", o->runs, stage->name);
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

static bd_status print_plan(const void *options, const bd_selected *s) {
    const plan_options *o = options;
    if (!strcmp(o->format, "make")) {
        print_make(s, o);
        return BD_OK;
    }
    bd_cost *cost = calloc((size_t)s->dag.n_stages + 1, sizeof *cost);
    BD_REQUIRE(cost, BD_E_MEMORY, "out of memory for the costs of a plan");
    int threads;
    bd_status st = bd_cli_threads(&threads, o->threads);
    if (!st) st = bd_dag_costs(cost, &s->dag, o->runs, &bd_backend_cpu, threads);
    if (!st) print_text(s, cost, threads);
    free(cost);
    return st;
}

int bd_cli_plan(int argc, char **argv) {
    plan_options o = {.format = "text", .runs = BD_RUNS_DIR};
    const bd_opt opts[] = {
        BD_SELECTION_OPTS(o.select),
        {'f', "format", BD_OPT_TEXT, "text|make", &o.format, 0, 0, "a table, or rules for make"},
        {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {
        "plan [RECIPE ...] [options]",
        "Shows what a recipe has to do: every stage with its work, time, memory and disk.\n"
        "RECIPE is a file or a name in experiments/; with none, the profile's recipes.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        -1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    if (strcmp(o.format, "text") != 0 && strcmp(o.format, "make") != 0)
        return bd_cli_usage("plan", "--format %s: text or make", o.format);
    return bd_cli_selected(&o.select, args, n_args, print_plan, &o);
}
