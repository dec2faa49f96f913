/* A recipe: every setting of an experiment, from one table (fields.def). */
#ifndef BD_RUN_RECIPE_H
#define BD_RUN_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { BD_TEXT_SIZE = 160 };

/* The kinds of stages (kinds.def). */
typedef enum {
#define BD_KIND(name, numerics, help) BD_KIND_##name,
#include "run/kinds.def"
#undef BD_KIND
    BD_KIND_COUNT
} bd_stage_kind;

const char *bd_stage_kind_name(bd_stage_kind kind);

/* One member a field: recipe.attack_poison_rate is key poison_rate of section [attack]. */
typedef struct {
#define BD_INT(section, key, def, lo, hi, unit, neutral, kinds, help) int64_t section##_##key;
#define BD_REAL(section, key, def, lo, hi, unit, neutral, kinds, help) double section##_##key;
#define BD_NAME(section, key, def, choices, neutral, kinds, help) \
    char section##_##key[BD_TEXT_SIZE];
#define BD_TEXT(section, key, def, neutral, kinds, help) char section##_##key[BD_TEXT_SIZE];
#include "run/fields.def"
#undef BD_INT
#undef BD_REAL
#undef BD_NAME
#undef BD_TEXT
} bd_recipe;

typedef enum { BD_FIELD_INT, BD_FIELD_REAL, BD_FIELD_NAME, BD_FIELD_TEXT } bd_field_type;

typedef struct {
    const char *name; /* "attack.poison_rate"                                          */
    const char *section, *key;
    bd_field_type type;
    size_t offset;        /* of the member in bd_recipe                                    */
    const char *fallback; /* default, as text                                              */
    double lo, hi;
    const char *list;           /* "a, b, c" of a BD_FIELD_NAME: either this ...               */
    const char *(*names)(void); /* ... or what this returns                                    */
    const char *unit, *neutral, *help;
    unsigned kinds; /* bit k: stages of kind k depend on it                          */
} bd_field;

int bd_field_count(void);
const bd_field *bd_field_at(int i); /* in the order of fields.def */

/* bd_field_find -- by "section.key"; a bare "key" is run.key or the only field with that key.
 *   errors   BD_E_ARG: unknown (with the nearest valid name) or ambiguous */
BD_MUST_CHECK bd_status bd_field_find(const bd_field **out, const char *name);

void bd_recipe_defaults(bd_recipe *r);

/* bd_recipe_set -- one field from text.
 *   errors   BD_E_ARG: not a value of the field's type, range or list */
BD_MUST_CHECK bd_status bd_recipe_set(bd_recipe *r, const bd_field *f, const char *text);
/* bd_recipe_get -- one field as text that bd_recipe_set reads back to the same value. */
void bd_recipe_get(char out[BD_TEXT_SIZE], const bd_recipe *r, const bd_field *f);
void bd_recipe_reset(bd_recipe *r, const bd_field *f); /* to its default */
void bd_recipe_reset_section(bd_recipe *r, const char *section);

/* bd_recipe_check -- do the fields fit together?
 *   errors   BD_E_ARG: the first pair that does not, by name */
BD_MUST_CHECK bd_status bd_recipe_check(const bd_recipe *r);

/* --- files --- */

enum { BD_AXES_MAX = 12, BD_AXIS_FIELDS_MAX = 16 };

/* One line of [sweep]: a field and the values it takes; or the table of recipe.cells: fields that change together. */
typedef struct {
    const bd_field *field[BD_AXIS_FIELDS_MAX];
    int n_fields;
    int n;
    int level;                   /* of the file or setting it comes from; later ones are higher */
    char (*value)[BD_TEXT_SIZE]; /* [n][n_fields], as bd_recipe_get writes them */
} bd_axis;

typedef struct {
    char name[64]; /* file name without folder and .ini                                   */
    char path[1024];
    char profile[64]; /* "" = none                                                           */
    bd_recipe base;   /* all settings but the sweep's                                        */
    bd_axis axis[BD_AXES_MAX];
    int n_axes;             /* the first one varies slowest                                       */
    int level, cells_level; /* while it is read: of this file, of the one that names the table */
} bd_recipe_file;

/* bd_recipe_load -- read a recipe: defaults < its base file < itself < profile < settings.
 * A value given on a later level replaces an earlier one, and a list of [sweep] an earlier list or
 * value. A profile may have sections [RECIPE.SECTION] that count for the recipe of that name only
 * and come after its plain ones; its [RECIPE.sweep] cuts the recipe's grid down to what the profile
 * has time for, and is left out when full is asked for. [profile] base = FILE stands for another profile before it. Section [manifest] is skipped: a stage's manifest is a recipe.
 * recipe.cells names a CSV beside the recipe: a column a field, a row a cell; its rows take the place of the first
 * axis, and of whatever recipe and profile say about those fields; a sweep of them counts for less when the table is named
 * on a later level, and is an error on the same one or a later.
 *   profile    path of a profile, NULL = none
 *   settings   n texts "section.key=value" or "sweep.section.key=v1, v2"
 *   errors   BD_E_ARG with file:line and reason: unknown key (with the nearest valid one), value of
 *            the wrong type or out of range, key given twice, set and swept in one file, more
 *            than BD_AXES_MAX axes, base files in a circle; BD_E_MISSING
 *   memory   caller frees with bd_recipe_file_clear
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_recipe_load(bd_recipe_file *out, const char *path, const char *profile,
                                       bool full, const char *const *settings, int n);
void bd_recipe_file_clear(bd_recipe_file *f); /* an all-zero struct is fine */

/* bd_recipe_file_cell -- settings of cell i of the cartesian product; bd_recipe_file_cells of them. */
int64_t bd_recipe_file_cells(const bd_recipe_file *f);
BD_MUST_CHECK bd_status bd_recipe_file_cell(bd_recipe *out, const bd_recipe_file *f, int64_t i);

/* --- profiles --- */

enum { BD_PROFILE_RECIPES_MAX = 32 };

typedef struct {
    int n;
    char name[BD_PROFILE_RECIPES_MAX][64];
} bd_profile_list;

typedef struct {
    char name[64], path[1024];
    char title[BD_TEXT_SIZE];
    bd_profile_list recipes, more; /* what `make reproduce` runs, and what ALL=1 adds */
} bd_profile;

/* bd_profile_load -- [profile] of a profile file: title, recipes, more. Its other sections, and those of the profile
 * that it names as its base, are read by bd_recipe_load.
 *   errors   BD_E_MISSING: no such profile (the text lists those in dir); BD_E_ARG with file:line */
BD_MUST_CHECK bd_status bd_profile_load(bd_profile *out, const char *dir, const char *name);

#endif
