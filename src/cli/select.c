#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/select.h"
#include "cpu/cpu.h"
#include "run/device.h"
#include "run/preflight.h"
#include "run/runner.h"

static bd_status load_one(bd_selected *out, const bd_selection *s, const char *name,
                          const char *profile) {
    char path[1024];
    bool is_path =
        strchr(name, '/') || (strlen(name) > 4 && !strcmp(name + strlen(name) - 4, ".ini"));
    int n = snprintf(path, sizeof path, is_path ? "%s" : BD_EXPERIMENTS_DIR "/%s.ini", name);
    BD_REQUIRE(n > 0 && (size_t)n < sizeof path, BD_E_ARG, "%s: the path is too long", name);
    BD_TRY(bd_recipe_load(&out->file[out->n_files], path, profile, s->full > 0, s->settings.text,
                          s->settings.n));
    out->n_files++;
    return bd_dag_add(&out->dag, &out->file[out->n_files - 1]);
}

static bd_status make_room(bd_selected *out, size_t n) {
    BD_REQUIRE(n < 100000, BD_E_ARG, "%zu recipes are too many", n);
    out->file = calloc(n ? n : 1, sizeof *out->file);
    BD_REQUIRE(out->file, BD_E_MEMORY, "out of memory for %zu recipes", n);
    return BD_OK;
}

/* Every recipe of experiments/ but those that make the classifier: its weights are part of the project. */
static bd_status load_all(bd_selected *out, const bd_selection *s, const char *profile) {
    char **names, path[1024];
    size_t n;
    BD_TRY(bd_file_list(&names, &n, BD_EXPERIMENTS_DIR, ".ini"));
    bd_status st = make_room(out, n);
    for (size_t i = 0; i < n && !st; i++) {
        bd_recipe_file f;
        snprintf(path, sizeof path, BD_EXPERIMENTS_DIR "/%s", names[i]);
        st = bd_recipe_load(&f, path, profile, s->full > 0, s->settings.text, s->settings.n);
        if (st) break;
        bool classifier = !strcmp(f.base.recipe_makes, "classifier");
        bd_recipe_file_clear(&f);
        if (!classifier) st = load_one(out, s, path, profile);
    }
    bd_file_list_free(names, n);
    return st;
}

bd_status bd_selected_load(bd_selected *out, const bd_selection *s, char **recipes, int n) {
    bd_profile profile;
    const char *path = NULL;
    memset(out, 0, sizeof *out);
    if (s->profile) {
        BD_TRY(bd_profile_load(&profile, BD_PROFILES_DIR, s->profile));
        path = profile.path;
    }
    if (n == 0 && s->all && !path) return load_all(out, s, path);
    int listed = n == 0 && path ? profile.recipes.n : 0;
    int more = listed && s->all ? profile.more.n : 0;
    BD_REQUIRE(n + listed > 0, BD_E_ARG,
               "name a recipe (a file, or one of " BD_EXPERIMENTS_DIR
               "), or a profile that lists some");
    BD_TRY(make_room(out, (size_t)(n + listed + more)));
    for (int i = 0; i < n; i++) BD_TRY(load_one(out, s, recipes[i], path));
    for (int i = 0; i < listed; i++) BD_TRY(load_one(out, s, profile.recipes.name[i], path));
    for (int i = 0; i < more; i++) BD_TRY(load_one(out, s, profile.more.name[i], path));
    return BD_OK;
}

bd_status bd_selection_results(char *out, size_t size, const bd_selection *s, const char *given) {
    int n = given ? snprintf(out, size, "%s", given)
                  : snprintf(out, size, "results/%s", s->profile ? s->profile : "none");
    BD_REQUIRE(n > 0 && (size_t)n < size, BD_E_ARG, "%s: no path of a folder of results",
               given ? given : s->profile);
    return BD_OK;
}

void bd_selected_clear(bd_selected *s) {
    bd_dag_clear(&s->dag);
    for (int i = 0; i < s->n_files; i++) bd_recipe_file_clear(&s->file[i]);
    free(s->file);
    memset(s, 0, sizeof *s);
}

/* All but the last problem are said here: the last one is the error, which the verb says. */
static bd_status say_problems(const bd_problems *p) {
    if (p->n == 0) return BD_OK;
    if (p->n == 1) return bd_fail(BD_E_MISSING, "%s", p->line[0]);
    for (int i = 0; i < p->n; i++) bd_log(BD_LOG_ERROR, "%s", p->line[i]);
    return bd_fail(BD_E_MISSING, "%d problems; nothing was started", p->n);
}

/* What a single stage needs of a device it finds out itself, at once: compiling all networks of the recipe on it for
 * each stage would take longer than some stages. */
static const bd_backend *to_compile_on(const bd_dag *d, int only) {
    for (int i = 0; only >= 0 && i < d->n_stages; i++)
        if (!bd_device_is_cpu(d->stage[i].device)) return NULL;
    return &bd_backend_cpu;
}

/* A price that cannot be had (no memory on a device, a damaged model) is a problem, unless it is known as one. */
static bd_status look(bd_problems *out, bd_preflight_spec *p, bd_price *price, int threads,
                      int only) {
    const bd_price_spec spec = {.runs = p->runs,
                                .backend = to_compile_on(p->dag, only),
                                .threads = threads,
                                .stop = &bd_cli_stop};
    char why[1024] = "";
    bd_status st = bd_dag_prices(price, p->dag, &spec);
    if (st) snprintf(why, sizeof why, "%s", bd_error());
    if (!st) p->price = price;
    BD_TRY(bd_preflight(out, p));
    for (int i = 0; i < out->n && st; i++)
        if (strstr(out->line[i], why)) st = BD_OK;
    return st ? bd_problems_add(out, "%s", why) : BD_OK;
}

bd_status bd_selected_check(const bd_selected *s, const char *runs, const char *results,
                            int threads, int only) {
    size_t n = (size_t)s->dag.n_stages + 1;
    bd_price *price = calloc(n, sizeof *price);
    bool *needed = calloc(n, sizeof *needed);
    bd_preflight_spec spec = {.dag = &s->dag, .needed = needed, .runs = runs, .results = results};
    bd_problems problems = {0};
    bd_status st = bd_cli_threads(&threads, threads);
    if (!st && !(price && needed)) st = bd_fail(BD_E_MEMORY, "out of memory for %zu prices", n);
    if (!st) {
        bd_dag_needed(needed, &s->dag, runs, only);
        st = look(&problems, &spec, price, threads, only);
    }
    if (!st) st = say_problems(&problems);
    bd_problems_clear(&problems);
    free(needed);
    free(price);
    return st;
}

bd_status bd_selected_run(const bd_selected *s, const char *runs, int threads, int only,
                          bool check) {
    bd_runner r = {.dag = &s->dag, .runs = runs, .backend = &bd_backend_cpu, .stop = &bd_cli_stop};
    BD_TRY(bd_cli_threads(&r.threads, threads));
    if (check) BD_TRY(bd_selected_check(s, runs, NULL, threads, only));
    BD_TRY(bd_pool_create(&r.pool, r.threads));
    bd_status st = bd_runner_run(&r, only);
    bd_runner_clear(&r);
    bd_pool_destroy(r.pool);
    return st;
}

int bd_cli_selected(const bd_selection *s, char **recipes, int n,
                    bd_status (*act)(const void *options, const bd_selected *s),
                    const void *options) {
    bd_selected x;
    bd_status st = bd_selected_load(&x, s, recipes, n);
    if (!st) st = act(options, &x);
    bd_selected_clear(&x);
    return st ? bd_cli_fail(st) : 0;
}
