#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/csv.h"
#include "io/ini.h"
#include "run/nearest.h"
#include "run/words.h"
#include "run/recipe.h"

enum { BASE_DEPTH_MAX = 8, LIST_MAX = 64, FIELD_MAX = 256 };

/* One level of the precedence while it is read. */
typedef struct {
    bd_recipe_file *out;
    bool set[FIELD_MAX];   /* given a value on this level */
    bool swept[FIELD_MAX]; /* given a list on this level  */
    enum { READ_BASE, READ_ALL, READ_PROFILE, READ_PROFILE_OWN, READ_PROFILE_OWN_FULL } pass;
    char base[512]; /* READ_BASE: what it found */
} level;

static int field_index(const bd_field *f) { return (int)(f - bd_field_at(0)); }

/* --- axes --- */

static void drop_axis(bd_recipe_file *r, const bd_field *f) {
    for (int i = 0; i < r->n_axes; i++) {
        if (r->axis[i].field[0] != f) continue;
        free(r->axis[i].value);
        memmove(&r->axis[i], &r->axis[i + 1], (size_t)(r->n_axes - i - 1) * sizeof r->axis[0]);
        r->n_axes--;
        return;
    }
}

/* Values are kept as bd_recipe_get writes them, so "0.10" and "0.1" are one value. */
static bd_status fill_axis(bd_axis *a, const bd_recipe *base, const char *const *words) {
    bd_recipe *scratch = malloc(sizeof *scratch);
    BD_REQUIRE(scratch, BD_E_MEMORY, "out of memory for a sweep");
    *scratch = *base;
    bd_status st = BD_OK;
    for (int i = 0; i < a->n * a->n_fields && !st; i++) {
        st = bd_recipe_set(scratch, a->field[i % a->n_fields], words[i]);
        if (!st) bd_recipe_get(a->value[i], scratch, a->field[i % a->n_fields]);
    }
    free(scratch);
    return st;
}

/* Are rows i and k of an axis the same? */
static bool same_row(const bd_axis *a, int i, int k) {
    for (int j = 0; j < a->n_fields; j++)
        if (strcmp(a->value[i * a->n_fields + j], a->value[k * a->n_fields + j]) != 0) return false;
    return true;
}

/* An axis from its fields and n rows of words; name: of the list, for messages. */
static bd_status make_axis(bd_axis *a, const char *name, const bd_recipe *base,
                           const char *const *words) {
    assert(a->n >= 1 && a->n_fields >= 1);
    a->value = calloc((size_t)a->n * (size_t)a->n_fields, sizeof *a->value);
    BD_REQUIRE(a->value, BD_E_MEMORY, "out of memory for a sweep");
    bd_status st = fill_axis(a, base, words);
    for (int i = 0; !st && i < a->n; i++)
        for (int k = 0; !st && k < i; k++)
            if (same_row(a, i, k))
                st = bd_fail(BD_E_ARG, "%s: value %s is in the list twice", name,
                             words[i * a->n_fields]);
    if (st) free(a->value);
    return st;
}

static bd_status set_axis(bd_recipe_file *r, const bd_field *f, const char *text) {
    char copy[1024], *words[LIST_MAX];
    bd_axis a = {.field = {f}, .n_fields = 1, .level = r->level};
    BD_REQUIRE(strlen(text) < sizeof copy, BD_E_ARG, "%s: the list is too long", f->name);
    BD_REQUIRE(strcmp(f->section, "recipe") != 0, BD_E_ARG, "%s cannot be swept", f->name);
    strcpy(copy, text);
    bd_status st = bd_words_split(words, &a.n, LIST_MAX, copy);
    if (st) return bd_error_prefix(st, "%s", f->name);
    BD_TRY(make_axis(&a, f->name, &r->base, (const char *const *)words));
    for (int i = 0; i < r->n_axes; i++) {
        if (r->axis[i].field[0] != f) continue;
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

/* --- the table of recipe.cells --- */

/* FILE beside the recipe. */
static void beside(char *out, size_t size, const char *recipe, const char *file) {
    const char *slash = strrchr(recipe, '/');
    snprintf(out, size, "%.*s%s", file[0] == '/' || !slash ? 0 : (int)(slash - recipe + 1), recipe,
             file);
}

/* A column takes the place of a sweep from a level before the one that named the table. */
static bd_status make_way(bd_recipe_file *r, const bd_field *f) {
    for (int i = 0; i < r->n_axes; i++)
        BD_REQUIRE(r->axis[i].field[0] != f || r->axis[i].level < r->cells_level, BD_E_ARG,
                   "%s is a column here and in [sweep]; keep one of the two", f->name);
    drop_axis(r, f);
    return BD_OK;
}

static bd_status table_fields(bd_axis *a, const bd_csv *c, bd_recipe_file *r) {
    BD_REQUIRE(bd_csv_cols(c) >= 1 && bd_csv_cols(c) <= BD_AXIS_FIELDS_MAX, BD_E_ARG,
               "%zu columns; a table of cells has 1 to %d", bd_csv_cols(c), BD_AXIS_FIELDS_MAX);
    BD_REQUIRE(bd_csv_rows(c) >= 1 && bd_csv_rows(c) <= 10000, BD_E_ARG,
               "%zu rows; a table of cells has 1 to 10000", bd_csv_rows(c));
    a->n = (int)bd_csv_rows(c);
    for (size_t j = 0; j < bd_csv_cols(c); j++) {
        BD_TRY(bd_field_find(&a->field[j], bd_csv_header(c, j)));
        const char *name = a->field[j]->name;
        BD_REQUIRE(strcmp(a->field[j]->section, "recipe") != 0, BD_E_ARG, "%s cannot be swept",
                   name);
        for (int i = 0; i < a->n_fields; i++)
            BD_REQUIRE(a->field[i] != a->field[j], BD_E_ARG, "two columns %s", name);
        BD_TRY(make_way(r, a->field[j]));
        a->n_fields++;
    }
    return BD_OK;
}

static bd_status table_axis(bd_axis *a, const bd_csv *c, bd_recipe_file *r) {
    BD_TRY(table_fields(a, c, r));
    const char **words = calloc((size_t)a->n * (size_t)a->n_fields, sizeof *words);
    BD_REQUIRE(words, BD_E_MEMORY, "out of memory");
    for (int i = 0; i < a->n * a->n_fields; i++)
        words[i] = bd_csv_get(c, (size_t)(i / a->n_fields), (size_t)(i % a->n_fields));
    bd_status st = make_axis(a, "rows", &r->base, words);
    free(words);
    return st;
}

/* The table becomes the first axis: it varies slowest. */
static bd_status read_table(bd_recipe_file *r) {
    char path[1600];
    bd_csv *csv;
    bd_axis a = {.n = 0};
    if (!r->base.recipe_cells[0]) return BD_OK;
    beside(path, sizeof path, r->path, r->base.recipe_cells);
    BD_REQUIRE(r->n_axes < BD_AXES_MAX, BD_E_ARG, "%s: a sweep has at most %d lines", path,
               BD_AXES_MAX);
    BD_TRY(bd_csv_load(&csv, path));
    bd_status st = table_axis(&a, csv, r);
    bd_csv_destroy(csv);
    if (st) return bd_error_prefix(st, "%s", path);
    memmove(&r->axis[1], &r->axis[0], (size_t)r->n_axes * sizeof r->axis[0]);
    r->axis[0] = a;
    r->n_axes++;
    return BD_OK;
}

/* A setting of the command line that every row of the table would undo. */
static bd_status not_in_table(const bd_recipe_file *r, const bd_field *f) {
    const bd_axis *a = &r->axis[0];
    for (int j = 0; r->base.recipe_cells[0] && j < a->n_fields; j++)
        BD_REQUIRE(a->field[j] != f, BD_E_ARG,
                   "%s comes from the rows of %s; give another table with -s recipe.cells=FILE",
                   f->name, r->base.recipe_cells);
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
    if (!strcmp(f->name, "recipe.cells")) l->out->cells_level = l->out->level;
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

static bd_status take_key(level *l, const char *section, const char *key, const char *value) {
    bool is_profile = l->pass >= READ_PROFILE;
    if (l->pass == READ_BASE) {
        bool here = !strcmp(section, "recipe") || !strcmp(section, "profile");
        if (here && !strcmp(key, "base")) snprintf(l->base, sizeof l->base, "%s", value);
        return BD_OK;
    }
    if (is_profile && !strcmp(section, "profile")) return BD_OK; /* bd_profile_load's */
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
    out->level++;
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
        beside(full, sizeof full, path, base);
        bd_status st = read_with_base(out, full, depth + 1);
        if (st == BD_E_MISSING)
            return bd_fail(BD_E_MISSING, "%s: base file %s is not there", path, full);
        if (st) return st;
    }
    return read_level(out, path, READ_ALL);
}

/* A profile and, before it, the one it is based on. */
static bd_status read_profile(bd_recipe_file *out, const char *path, bool full, int depth) {
    char base[512], before[1600];
    BD_REQUIRE(depth < BASE_DEPTH_MAX, BD_E_ARG,
               "%s: more than %d profiles stand behind each other; is it a circle?", path,
               BASE_DEPTH_MAX);
    BD_TRY(find_base(base, path));
    if (base[0]) {
        beside(before, sizeof before, path, base);
        bd_status st = read_profile(out, before, full, depth + 1);
        if (st == BD_E_MISSING)
            return bd_fail(st, "%s: the profile it is based on, %s, is not there", path, before);
        if (st) return st;
    }
    BD_TRY(read_level(out, path, READ_PROFILE));
    return read_level(out, path, full ? READ_PROFILE_OWN_FULL : READ_PROFILE_OWN);
}

static bd_status apply_settings(bd_recipe_file *out, const char *const *settings, int n) {
    level *l = calloc(1, sizeof *l);
    BD_REQUIRE(l, BD_E_MEMORY, "out of memory for settings");
    l->out = out;
    out->level++;
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

/* A setting that was applied, against the table that came after it. */
static bd_status check_setting(const bd_recipe_file *r, const char *setting) {
    const bd_field *f;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(setting, "="), setting);
    BD_TRY(bd_field_find(&f, strncmp(name, "sweep.", 6) ? name : name + 6));
    bd_status st = not_in_table(r, f);
    return st ? bd_error_prefix(st, "-s %s", setting) : BD_OK;
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
        st = read_profile(out, profile, full, 0);
    }
    if (!st) st = apply_settings(out, settings, n);
    if (!st) st = read_table(out);
    for (int i = 0; !st && i < n; i++) st = check_setting(out, settings[i]);
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
    for (int k = 0; k < f->n_axes; k++) {
        const bd_axis *a = &f->axis[k];
        block /= a->n;
        char(*row)[BD_TEXT_SIZE] = a->value + i / block % a->n * a->n_fields;
        for (int j = 0; j < a->n_fields; j++) {
            BD_TRY(bd_recipe_set(out, a->field[j], row[j]));
            int len =
                snprintf(where + used, sizeof where - used, " %s=%s", a->field[j]->name, row[j]);
            if (len > 0 && used + (size_t)len < sizeof where) used += (size_t)len;
        }
    }
    bd_status st = bd_recipe_check(out);
    if (!st) return BD_OK;
    return f->n_axes ? bd_error_prefix(st, "%s: cell%s", f->path, where)
                     : bd_error_prefix(st, "%s", f->path);
}
