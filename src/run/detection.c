#include "run/detection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/csv.h"
#include "metric/auroc.h"
#include "run/folder.h"

enum { KEYS, SCORES };

/* Results of a stage as scores: higher = backdoored. */
static const struct {
    const char *name, *result;
    int sign;
} score[] = {
    {"anp_mse_min", "mse_min", -1},
    {"anp_hit_max", "hit_max", 1},
};
/* What the stage says of the trivial detector: AUROC over its starting points. */
static const struct {
    const char *name, *result;
} trivial[] = {{"input_mean", "auroc_input_mean"}, {"input_variance", "auroc_input_variance"}};

enum {
    SCORE_COUNT = sizeof score / sizeof *score,
    TRIVIAL_COUNT = sizeof trivial / sizeof *trivial
};

typedef struct {
    const bd_dag *d;
    const char *runs;
    int file;
} source;

/* --- groups --- */

/* May cells of one group differ in it? */
static bool told_apart(const bd_field *f) {
    if (!strcmp(f->name, "attack.trigger") || !strcmp(f->name, "attack.target")) return false;
    return !strcmp(f->section, "attack") || !strcmp(f->section, "finetune") ||
           !strcmp(f->section, "pretrain") || !strcmp(f->name, "run.seed");
}

static bool same_group(const source *s, const bd_cell *a, const bd_cell *b) {
    const bd_recipe_file *f = s->d->file[s->file];
    char x[BD_TEXT_SIZE], y[BD_TEXT_SIZE];
    for (int i = 0; i < f->n_axes; i++)
        for (int k = 0; k < f->axis[i].n_fields; k++) {
            const bd_field *field = f->axis[i].field[k];
            if (told_apart(field)) continue;
            bd_recipe_get(x, &a->recipe, field);
            bd_recipe_get(y, &b->recipe, field);
            if (strcmp(x, y) != 0) return false;
        }
    return true;
}

static bool counts(const source *s, const bd_cell *c) {
    return c->file == s->file && c->slot[BD_SLOT_ANP] >= 0 &&
           bd_stage_done(s->runs, &s->d->stage[c->slot[BD_SLOT_ANP]]);
}

static bool first_of_group(const source *s, int cell) {
    for (int i = 0; i < cell; i++)
        if (counts(s, &s->d->cell[i]) && same_group(s, &s->d->cell[i], &s->d->cell[cell]))
            return false;
    return true;
}

/* --- numbers --- */

static bd_status result_of(double *out, const source *s, const bd_cell *c, const char *name) {
    char dir[1100];
    bd_csv *r;
    BD_TRY(bd_stage_path(dir, sizeof dir, s->runs, &s->d->stage[c->slot[BD_SLOT_ANP]], NULL));
    BD_TRY(bd_results_load(&r, dir));
    const char *text = bd_results_find(r, name);
    bd_status st = text ? BD_OK : bd_fail(BD_E_FORMAT, "%s: no result %s", dir, name);
    if (text) *out = strtod(text, NULL);
    bd_csv_destroy(r);
    return st;
}

static bd_status set_count(bd_table *t, const char *name, int64_t n, const char *unit,
                           const char *help) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, n);
    return bd_table_set(t, SCORES, name, text, unit, help);
}

static bd_status set_row(bd_table *t, const char *name, const char *of, int64_t positives,
                         int64_t negatives, const double *auroc) {
    char text[32] = "";
    if (auroc) bd_format_double(text, *auroc);
    BD_TRY(bd_table_set(t, SCORES, "detector", name, "",
                        "score that is looked at; input_*: of the sampler's starting point alone, "
                        "anp_*: of the model's neuron perturbation"));
    BD_TRY(bd_table_set(t, SCORES, "tells", of, "", "what the score tells apart"));
    BD_TRY(set_count(t, "n_positive", positives, "", "triggered starts, or backdoored models"));
    BD_TRY(set_count(t, "n_negative", negatives, "", "plain starts, or models without a backdoor"));
    return bd_table_set(t, SCORES, "auroc", text, "1",
                        "share of pairs in which the positive has the higher score, ties half; "
                        "empty: one side has no model");
}

static bd_status set_keys(bd_table *t, const source *s, const bd_cell *c) {
    const bd_recipe_file *f = s->d->file[s->file];
    char value[BD_TEXT_SIZE];
    static const char *const always[] = {"attack.trigger", "attack.target"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        const bd_field *field;
        BD_TRY(bd_field_find(&field, always[i]));
        bd_recipe_get(value, &c->recipe, field);
        BD_TRY(bd_table_set(t, KEYS, field->name, value, field->unit, field->help));
    }
    for (int i = 0; i < f->n_axes; i++)
        for (int k = 0; k < f->axis[i].n_fields; k++) {
            const bd_field *field = f->axis[i].field[k];
            if (told_apart(field)) continue;
            bd_recipe_get(value, &c->recipe, field);
            BD_TRY(bd_table_set(t, KEYS, field->name, value, field->unit, field->help));
        }
    return BD_OK;
}

static bd_status add_trivial(bd_table *t, const source *s, const bd_cell *c) {
    for (int i = 0; i < TRIVIAL_COUNT; i++) {
        double auroc, n;
        BD_TRY(result_of(&auroc, s, c, trivial[i].result));
        BD_TRY(result_of(&n, s, c, "n"));
        BD_TRY(bd_table_row(t));
        BD_TRY(set_keys(t, s, c));
        BD_TRY(set_row(t, trivial[i].name, "starting points", (int64_t)n, (int64_t)n, &auroc));
    }
    return BD_OK;
}

static bd_status add_score(bd_table *t, const source *s, const bd_cell *first, int which,
                           double *positive, double *negative) {
    size_t np = 0, nn = 0;
    for (int i = 0; i < s->d->n_cells; i++) {
        const bd_cell *c = &s->d->cell[i];
        double v;
        if (!counts(s, c) || !same_group(s, c, first)) continue;
        BD_TRY(result_of(&v, s, c, score[which].result));
        if (c->role == BD_CELL_ATTACK)
            positive[np++] = score[which].sign * v;
        else
            negative[nn++] = score[which].sign * v;
    }
    double auroc;
    bool both = np > 0 && nn > 0;
    if (both) BD_TRY(bd_auroc(&auroc, positive, np, negative, nn));
    BD_TRY(bd_table_row(t));
    BD_TRY(set_keys(t, s, first));
    return set_row(t, score[which].name, "models", (int64_t)np, (int64_t)nn, both ? &auroc : NULL);
}

bd_status bd_detection_table(bd_table *t, const bd_dag *d, int file, const char *runs) {
    const source s = {d, runs, file};
    size_t n = (size_t)d->n_cells + 1;
    double *scores = malloc(2 * n * sizeof *scores);
    BD_REQUIRE(scores, BD_E_MEMORY, "out of memory for %d cells", d->n_cells);
    bd_status st = BD_OK;
    for (int i = 0; i < d->n_cells && !st; i++) {
        const bd_cell *c = &d->cell[i];
        if (!counts(&s, c) || !first_of_group(&s, i)) continue;
        st = add_trivial(t, &s, c);
        for (int k = 0; k < SCORE_COUNT && !st; k++)
            st = add_score(t, &s, c, k, scores, scores + n);
    }
    free(scores);
    return st;
}
