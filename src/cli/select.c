#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/select.h"
#include "cpu/cpu.h"
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

void bd_selected_clear(bd_selected *s) {
    bd_dag_clear(&s->dag);
    for (int i = 0; i < s->n_files; i++) bd_recipe_file_clear(&s->file[i]);
    free(s->file);
    memset(s, 0, sizeof *s);
}

bd_status bd_selected_run(const bd_selected *s, const char *runs, int threads, int only) {
    bd_runner r = {.dag = &s->dag, .runs = runs, .backend = &bd_backend_cpu, .stop = &bd_cli_stop};
    BD_TRY(bd_cli_threads(&r.threads, threads));
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
