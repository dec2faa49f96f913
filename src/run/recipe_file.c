#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/ini.h"
#include "run/nearest.h"
#include "run/recipe.h"

enum { BASE_DEPTH_MAX = 8, LIST_MAX = 64, FIELD_MAX = 256 };

/* One level of the precedence while it is read. */
typedef struct {
    bd_recipe_file *out;
    bool set[FIELD_MAX];   /* given a value on this level */
    bool swept[FIELD_MAX]; /* given a list on this level  */
    enum {
        READ_BASE,
        READ_ALL,
        READ_PROFILE,
        READ_PROFILE_OWN,
        READ_PROFILE_OWN_FULL,
        READ_HEADER
    } pass;
    char base[512]; /* READ_BASE: what it found */
    bd_profile *profile;
} level;

static int field_index(const bd_field *f) { return (int)(f - bd_field_at(0)); }

/* --- axes --- */

static void drop_axis(bd_recipe_file *r, const bd_field *f) {
    for (int i = 0; i < r->n_axes; i++) {
        if (r->axis[i].field != f) continue;
        free(r->axis[i].value);
        memmove(&r->axis[i], &r->axis[i + 1], (size_t)(r->n_axes - i - 1) * sizeof r->axis[0]);
        r->n_axes--;
        return;
    }
}

/* Cuts text at commas into trimmed words, in place. */
static bd_status split_list(char *words[LIST_MAX], int *n, char *text) {
    *n = 0;
    for (char *p = text; p;) {
        char *comma = strchr(p, ',');
        if (comma) *comma = '\0';
        p += strspn(p, " \t");
        size_t len = strlen(p);
        while (len && (p[len - 1] == ' ' || p[len - 1] == '\t')) p[--len] = '\0';
        BD_REQUIRE(len > 0, BD_E_ARG, "an empty value in the list");
        BD_REQUIRE(*n < LIST_MAX, BD_E_ARG, "more than %d values in the list", LIST_MAX);
        words[(*n)++] = p;
        p = comma ? comma + 1 : NULL;
    }
    return BD_OK;
}

/* Values are kept as bd_recipe_get writes them, so "0.10" and "0.1" are one value. */
static bd_status fill_axis(bd_axis *a, const bd_recipe *base, char *const *words, int n) {
    bd_recipe *scratch = malloc(sizeof *scratch);
    BD_REQUIRE(scratch, BD_E_MEMORY, "out of memory for a sweep");
    *scratch = *base;
    bd_status st = BD_OK;
    for (int i = 0; i < n && !st; i++) {
        st = bd_recipe_set(scratch, a->field, words[i]);
        if (st) break;
        bd_recipe_get(a->value[i], scratch, a->field);
        for (int k = 0; k < i && !st; k++)
            if (!strcmp(a->value[k], a->value[i]))
                st = bd_fail(BD_E_ARG, "%s: value %s is in the list twice", a->field->name,
                             words[i]);
    }
    free(scratch);
    return st;
}

static bd_status set_axis(bd_recipe_file *r, const bd_field *f, const char *text) {
    char copy[1024], *words[LIST_MAX];
    int n;
    BD_REQUIRE(strlen(text) < sizeof copy, BD_E_ARG, "%s: the list is too long", f->name);
    BD_REQUIRE(strcmp(f->section, "recipe") != 0, BD_E_ARG, "%s cannot be swept", f->name);
    strcpy(copy, text);
    bd_status st = split_list(words, &n, copy);
    if (st) return bd_error_prefix(st, "%s", f->name);
    bd_axis a = {.field = f, .n = n, .value = calloc((size_t)n, sizeof *a.value)};
    BD_REQUIRE(a.value, BD_E_MEMORY, "out of memory for a sweep");
    st = fill_axis(&a, &r->base, words, n);
    if (st) {
        free(a.value);
        return st;
    }
    for (int i = 0; i < r->n_axes; i++) {
        if (r->axis[i].field != f) continue;
        free(r->axis[i].value); /* a later level keeps the place in the order */
        r->axis[i] = a;
        return BD_OK;
    }
    if (r->n_axes == BD_AXES_MAX) {
        free(a.value);
        return bd_fail(BD_E_ARG, "%s: a sweep has at most %d lines", f->name, BD_AXES_MAX);
    }
    r->axis[r->n_axes++] = a;
    return BD_OK;
}

/* --- one key --- */

static bd_status assign(level *l, const char *section, const char *key, const char *value) {
    const bd_field *f;
    char name[256];
    bool sweep = !strcmp(section, "sweep");
    snprintf(name, sizeof name, "%s%s%s", sweep ? "" : section, sweep ? "" : ".", key);
    BD_TRY(bd_field_find(&f, name));
    int i = field_index(f);
    bool again = sweep ? l->swept[i] : l->set[i];
    BD_REQUIRE(!again, BD_E_ARG, "%s is given twice", f->name);
    BD_REQUIRE(!(sweep ? l->set[i] : l->swept[i]), BD_E_ARG,
               "%s is both set and swept; keep one of the two", f->name);
    (sweep ? l->swept : l->set)[i] = true;
    if (sweep) return set_axis(l->out, f, value);
    drop_axis(l->out, f);
    return bd_recipe_set(&l->out->base, f, value);
}

static const char *section_name(size_t i, const void *ctx) {
    (void)ctx;
    const bd_field *f = bd_field_at((int)i);
    return f ? f->section : NULL;
}

static bd_status known_section(const char *section) {
    if (!strcmp(section, "sweep")) return BD_OK;
    for (int i = 0; i < bd_field_count(); i++)
        if (!strcmp(bd_field_at(i)->section, section)) return BD_OK;
    const char *near = bd_nearest(section, section_name, NULL);
    return bd_fail(BD_E_ARG, "unknown section [%s]%s%s%s; 'baddiff keys' lists them", section,
                   near ? "; did you mean [" : "", near ? near : "", near ? "]" : "");
}

/* [RECIPE.SECTION] of a profile: for one recipe only, and after the plain sections. */
static bd_status profile_key(level *l, const char *section, const char *key, const char *value) {
    const char *dot = strrchr(section, '.');
    BD_TRY(known_section(dot ? dot + 1 : section));
    bool own = dot && (size_t)(dot - section) == strlen(l->out->name) &&
               !strncmp(section, l->out->name, strlen(l->out->name));
    if (!dot && l->pass == READ_PROFILE) return assign(l, section, key, value);
    bool cut = !strcmp(dot ? dot + 1 : section, "sweep");
    if (own && (l->pass == READ_PROFILE_OWN || (l->pass == READ_PROFILE_OWN_FULL && !cut)))
        return assign(l, dot + 1, key, value);
    const bd_field *f; /* meant for another recipe or pass: the key must exist all the same */
    char name[256];
    bool sweep = cut;
    snprintf(name, sizeof name, "%s%s%s",
             sweep ? ""
             : dot ? dot + 1
                   : section,
             sweep ? "" : ".", key);
    return bd_field_find(&f, name);
}

static bd_status header_key(bd_profile *p, const char *key, const char *value) {
    if (!strcmp(key, "title")) {
        snprintf(p->title, sizeof p->title, "%s", value);
        return BD_OK;
    }
    BD_REQUIRE(!strcmp(key, "recipes"), BD_E_ARG,
               "unknown key '%s' in [profile]; it has title and recipes", key);
    char copy[256], *words[LIST_MAX];
    int n;
    snprintf(copy, sizeof copy, "%s", value);
    BD_TRY(split_list(words, &n, copy));
    BD_REQUIRE(n <= (int)(sizeof p->recipe / sizeof p->recipe[0]), BD_E_ARG, "too many recipes");
    for (int i = 0; i < n; i++) snprintf(p->recipe[i], sizeof p->recipe[i], "%s", words[i]);
    p->n = n;
    return BD_OK;
}

static bd_status take_key(level *l, const char *section, const char *key, const char *value) {
    bool is_profile = l->pass >= READ_PROFILE;
    if (l->pass == READ_BASE) {
        if (!strcmp(section, "recipe") && !strcmp(key, "base"))
            snprintf(l->base, sizeof l->base, "%s", value);
        return BD_OK;
    }
    if (is_profile && !strcmp(section, "profile"))
        return l->pass == READ_HEADER ? header_key(l->profile, key, value) : BD_OK;
    if (l->pass == READ_HEADER) return BD_OK;
    if (is_profile) return profile_key(l, section, key, value);
    if (!strcmp(section, "manifest")) return BD_OK;
    if (!strcmp(section, "recipe") && !strcmp(key, "base")) return BD_OK;
    BD_TRY(known_section(section));
    return assign(l, section, key, value);
}

static bd_status on_key(void *ctx, const char *path, int line, const char *section, const char *key,
                        const char *value) {
    bd_status st = take_key(ctx, section, key, value);
    return st ? bd_error_prefix(st, "%s:%d", path, line) : BD_OK;
}

/* --- files --- */

static bd_status read_level(bd_recipe_file *out, const char *path, int pass) {
    level *l = calloc(1, sizeof *l);
    BD_REQUIRE(l, BD_E_MEMORY, "out of memory for %s", path);
    l->out = out;
    l->pass = pass;
    bd_status st = bd_ini_load(path, on_key, l);
    free(l);
    return st;
}

static bd_status find_base(char out[512], const char *path) {
    level *l = calloc(1, sizeof *l);
    BD_REQUIRE(l, BD_E_MEMORY, "out of memory for %s", path);
    l->pass = READ_BASE;
    bd_status st = bd_ini_load(path, on_key, l);
    memcpy(out, l->base, 512);
    free(l);
    return st;
}

/* The base file first, so that this one overrides it. Its path counts from this file's folder. */
static bd_status read_with_base(bd_recipe_file *out, const char *path, int depth) {
    char base[512], full[1600];
    BD_REQUIRE(depth < BASE_DEPTH_MAX, BD_E_ARG,
               "%s: more than %d base files stand behind each other; is it a circle?", path,
               BASE_DEPTH_MAX);
    BD_TRY(find_base(base, path));
    if (base[0]) {
        const char *slash = strrchr(path, '/');
        snprintf(full, sizeof full, "%.*s%s",
                 base[0] == '/' || !slash ? 0 : (int)(slash - path + 1), path, base);
        bd_status st = read_with_base(out, full, depth + 1);
        if (st == BD_E_MISSING)
            return bd_fail(BD_E_MISSING, "%s: base file %s is not there", path, full);
        if (st) return st;
    }
    return read_level(out, path, READ_ALL);
}

static bd_status apply_settings(bd_recipe_file *out, const char *const *settings, int n) {
    level *l = calloc(1, sizeof *l);
    BD_REQUIRE(l, BD_E_MEMORY, "out of memory for settings");
    l->out = out;
    bd_status st = BD_OK;
    for (int i = 0; i < n && !st; i++) {
        char name[256];
        const char *equals = strchr(settings[i], '=');
        if (!equals || equals == settings[i] || (size_t)(equals - settings[i]) >= sizeof name) {
            st = bd_fail(BD_E_ARG, "-s %s: write it as section.key=value", settings[i]);
            break;
        }
        const bd_field *f;
        bool sweep = !strncmp(settings[i], "sweep.", 6);
        snprintf(name, sizeof name, "%.*s", (int)(equals - settings[i]), settings[i]);
        st = bd_field_find(&f, sweep ? name + 6 : name);
        if (!st) st = assign(l, sweep ? "sweep" : f->section, sweep ? f->name : f->key, equals + 1);
        if (st) st = bd_error_prefix(st, "-s %s", settings[i]);
    }
    free(l);
    return st;
}

static void file_name(char out[64], const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    if (len > 4 && !strcmp(name + len - 4, ".ini")) len -= 4;
    snprintf(out, 64, "%.*s", (int)len, name);
}

bd_status bd_recipe_load(bd_recipe_file *out, const char *path, const char *profile, bool full,
                         const char *const *settings, int n) {
    memset(out, 0, sizeof *out);
    if (bd_field_count() > FIELD_MAX) return bd_fail(BD_E_ARG, "more fields than %d", FIELD_MAX);
    BD_REQUIRE(strlen(path) < sizeof out->path, BD_E_ARG, "%s: the path is too long", path);
    strcpy(out->path, path);
    file_name(out->name, path);
    bd_recipe_defaults(&out->base);
    bd_status st = read_with_base(out, path, 0);
    if (!st && profile) {
        file_name(out->profile, profile);
        st = read_level(out, profile, READ_PROFILE);
        if (!st) st = read_level(out, profile, full ? READ_PROFILE_OWN_FULL : READ_PROFILE_OWN);
    }
    if (!st) st = apply_settings(out, settings, n);
    if (st) bd_recipe_file_clear(out);
    return st;
}

void bd_recipe_file_clear(bd_recipe_file *f) {
    for (int i = 0; i < f->n_axes; i++) free(f->axis[i].value);
    memset(f, 0, sizeof *f);
}

int64_t bd_recipe_file_cells(const bd_recipe_file *f) {
    int64_t n = 1;
    for (int i = 0; i < f->n_axes; i++) n *= f->axis[i].n;
    return n;
}

bd_status bd_recipe_file_cell(bd_recipe *out, const bd_recipe_file *f, int64_t i) {
    char where[512];
    size_t used = 0;
    *out = f->base;
    where[0] = '\0';
    int64_t block = bd_recipe_file_cells(f);
    for (int a = 0; a < f->n_axes; a++) {
        block /= f->axis[a].n;
        const char *value = f->axis[a].value[i / block % f->axis[a].n];
        BD_TRY(bd_recipe_set(out, f->axis[a].field, value));
        int len =
            snprintf(where + used, sizeof where - used, " %s=%s", f->axis[a].field->name, value);
        if (len > 0 && used + (size_t)len < sizeof where) used += (size_t)len;
    }
    bd_status st = bd_recipe_check(out);
    if (!st) return BD_OK;
    return f->n_axes ? bd_error_prefix(st, "%s: cell%s", f->path, where)
                     : bd_error_prefix(st, "%s", f->path);
}

/* --- profiles --- */

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
    if (!bd_file_exists(out->path)) return no_profile(dir, name);
    level *l = calloc(1, sizeof *l);
    BD_REQUIRE(l, BD_E_MEMORY, "out of memory for %s", out->path);
    l->pass = READ_HEADER;
    l->profile = out;
    bd_status st = bd_ini_load(out->path, on_key, l);
    free(l);
    return st;
}
