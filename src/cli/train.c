#include <stdio.h>

#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/folder.h"

typedef struct {
    bd_selection select;
    const char *runs;
    int threads;
} train_options;

/* The one cell that is no control, or the only one there is. */
static bd_status the_cell(const bd_cell **out, const bd_dag *d) {
    int own = 0, last = 0;
    for (int i = 0; i < d->n_cells; i++) {
        if (d->cell[i].role != BD_CELL_ATTACK) continue;
        own++;
        last = i;
    }
    *out = &d->cell[last];
    BD_REQUIRE(d->cell[0].slot[BD_SLOT_MODEL] >= 0, BD_E_ARG,
               "this recipe trains no diffusion model");
    BD_REQUIRE(own <= 1, BD_E_ARG,
               "this recipe sweeps: train makes one model; give one value with -s, or use "
               "'baddiff run'");
    return BD_OK;
}

static bd_status train(const void *options, const bd_selected *s) {
    const train_options *o = options;
    const bd_cell *cell;
    char dir[1100], model[1200];
    BD_TRY(the_cell(&cell, &s->dag));
    BD_TRY(bd_selected_run(s, o->runs, o->threads, cell->slot[BD_SLOT_MODEL], true));
    BD_TRY(bd_stage_path(dir, sizeof dir, o->runs, &s->dag.stage[cell->slot[BD_SLOT_MODEL]], NULL));
    BD_TRY(bd_stage_model_dir(model, sizeof model, dir));
    printf("%s\n", model);
    return BD_OK;
}

int bd_cli_train(int argc, char **argv) {
    train_options o = {.runs = BD_RUNS_DIR};
    const bd_opt opts[] = {BD_SELECTION_OPTS(o.select),
                           {0, "runs", BD_OPT_TEXT, "DIR", &o.runs, 0, 0, "folder of the stages"},
                           {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
                            "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {
        "train [RECIPE] [options]",
        "Trains the model that a recipe without sweep describes, as its stages in the runs folder, "
        "and\n"
        "prints the model's folder. With no RECIPE, " BD_EXPERIMENTS_DIR
        "/base/fashion-mnist.ini and what -s says;\n"
        "'baddiff keys' lists the settings. Stopped with Ctrl-C it saves and exits with 75.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        1};
    static char fallback[] = BD_EXPERIMENTS_DIR "/base/fashion-mnist.ini";
    char **args, *own[] = {fallback};
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    return bd_cli_selected(&o.select, n_args ? args : own, 1, train, &o);
}
