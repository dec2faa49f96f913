/* [profile] of a profile file; its other sections are bd_recipe_load's. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "io/ini.h"
#include "run/recipe.h"
#include "run/words.h"

static bd_status take_names(bd_profile_list *out, const char *value) {
    char copy[1024], *words[BD_PROFILE_RECIPES_MAX];
    BD_REQUIRE(strlen(value) < sizeof copy, BD_E_ARG, "the list is too long");
    strcpy(copy, value);
    BD_TRY(bd_words_split(words, &out->n, BD_PROFILE_RECIPES_MAX, copy));
    for (int i = 0; i < out->n; i++) snprintf(out->name[i], sizeof out->name[i], "%s", words[i]);
    return BD_OK;
}

static bd_status header_key(bd_profile *p, const char *key, const char *value) {
    if (!strcmp(key, "base")) return BD_OK; /* bd_recipe_load's */
    if (!strcmp(key, "title")) {
        snprintf(p->title, sizeof p->title, "%s", value);
        return BD_OK;
    }
    if (!strcmp(key, "recipes")) return take_names(&p->recipes, value);
    if (!strcmp(key, "more")) return take_names(&p->more, value);
    return bd_fail(BD_E_ARG, "unknown key '%s' in [profile]; it has title, base, recipes and more",
                   key);
}

static bd_status on_key(void *ctx, const char *path, int line, const char *section, const char *key,
                        const char *value) {
    if (strcmp(section, "profile") != 0) return BD_OK;
    bd_status st = header_key(ctx, key, value);
    return st ? bd_error_prefix(st, "%s:%d", path, line) : BD_OK;
}

static bd_status no_profile(const char *dir, const char *name) {
    char **names, list[512] = "";
    size_t n, used = 0;
    if (bd_file_list(&names, &n, dir, ".ini")) return BD_E_MISSING;
    for (size_t i = 0; i < n && used < sizeof list - 64; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", i ? ", " : "",
                                 (int)strlen(names[i]) - 4, names[i]);
    bd_file_list_free(names, n);
    return bd_fail(BD_E_MISSING, "no profile '%s' in %s; there are: %s", name, dir, list);
}

bd_status bd_profile_load(bd_profile *out, const char *dir, const char *name) {
    memset(out, 0, sizeof *out);
    BD_REQUIRE(strlen(name) < sizeof out->name && !strchr(name, '/'), BD_E_ARG,
               "profile '%s': give the name of a file in %s without .ini", name, dir);
    strcpy(out->name, name);
    snprintf(out->path, sizeof out->path, "%s/%s.ini", dir, name);
    return bd_file_exists(out->path) ? bd_ini_load(out->path, on_key, out) : no_profile(dir, name);
}
