/* What plan, run, collect and regress share: which recipes, which profile, which settings. */
#ifndef BD_CLI_SELECT_H
#define BD_CLI_SELECT_H

#include <stdbool.h>

#include "cli/cli.h"
#include "run/plan.h"

#define BD_EXPERIMENTS_DIR "experiments"
#define BD_PROFILES_DIR BD_EXPERIMENTS_DIR "/profiles"

typedef struct {
    const char *profile; /* name, NULL = none                           */
    int all; /* with no recipe named: every one of the profile; without a profile, of experiments/ */
    int full; /* grids as the recipes have them, not as the profile cuts them */
    bd_opt_list settings;
} bd_selection;

/* The options that fill it, for the tables of the verbs. */
#define BD_SELECTION_OPTS(s)                                                               \
    {'p',                                                                                  \
     "profile",                                                                            \
     BD_OPT_TEXT,                                                                          \
     "NAME",                                                                               \
     &(s).profile,                                                                         \
     0,                                                                                    \
     0,                                                                                    \
     "settings of experiments/profiles/NAME.ini on top: smoke, mini, paper"},              \
        {0,           "all",                                                               \
         BD_OPT_FLAG, NULL,                                                                \
         &(s).all,    0,                                                                   \
         0,           "with no RECIPE: every recipe that the profile has settings for"},   \
        {0,         "full", BD_OPT_FLAG, NULL,                                             \
         &(s).full, 0,      0,           "whole grids, where the profile cuts them down"}, \
    {                                                                                      \
        's', "set", BD_OPT_LIST, "SECTION.KEY=VALUE", &(s).settings, 0, 0,                 \
            "a setting on top of everything; sweep.SECTION.KEY=A,B sweeps"                 \
    }

typedef struct {
    bd_recipe_file *file;
    int n_files;
    bd_dag dag;
} bd_selected;

/* bd_selected_load -- the recipes named, or with none those of the profile (all: and its more), and
 * the plan of all of them. A name without slash and .ini stands for experiments/NAME.ini. Recipes of a
 * profile that make the classifier are left out unless they are named.
 *   memory   caller frees with bd_selected_clear, also after a failure */
BD_MUST_CHECK bd_status bd_selected_load(bd_selected *out, const bd_selection *s, char **recipes,
                                         int n);
void bd_selected_clear(bd_selected *s);

/* bd_selected_check -- can the stages to do start? (only: as for bd_selected_run). Says every problem on a line of its own,
 * the last one in the error text. results: NULL = nothing is written there.
 *   errors   BD_E_MISSING: there are problems; those of bd_dag_prices and bd_preflight */
BD_MUST_CHECK bd_status bd_selected_check(const bd_selected *s, const char *runs,
                                          const char *results, int threads, int only);

/* bd_selection_results -- the folder of its result files: the given one, or results/PROFILE ("none" without a profile).
 *   errors   BD_E_ARG: the path is too long */
BD_MUST_CHECK bd_status bd_selection_results(char *out, size_t size, const bd_selection *s,
                                             const char *given);

/* bd_selected_run -- check, then run one stage of the plan and what it needs (only < 0: every stage), on the CPU, until
 * done or bd_cli_stop. threads: as for bd_cli_threads. check = false: start what can be started. */
BD_MUST_CHECK bd_status bd_selected_run(const bd_selected *s, const char *runs, int threads,
                                        int only, bool check);

/* bd_cli_selected -- the end of a verb: load what is selected, act on it, clean up; the verb's exit code. */
int bd_cli_selected(const bd_selection *s, char **recipes, int n,
                    bd_status (*act)(const void *options, const bd_selected *s),
                    const void *options);

#endif
