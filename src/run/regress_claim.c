/* Claims of the paper: relations between two groups of rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/regress_parts.h"
#include "run/relation.h"

typedef struct {
    const char *profile, *rows_a, *rows_b, *by, *pair, *requires_text;
    bd_relation relation;
    bd_term requires;
    bool has_requires;
    int settings; /* that the paper speaks of */
    bool own;     /* the results are of one of the claim's profiles, not an analogue   */
    bool whole;   /* of the first of them, in which no setting may be missing          */
} question;

/* What the rows say. A setting is what rows of group a share that have the same fields in the columns `by`; its numbers
 * are means over them, and over the rows of group b that agree with it in the columns `pair`. */
typedef struct {
    const bd_csv *csv;
    const question *q;
    size_t rows;
    bool *is_b;
    int *setting;      /* of each row; -1: not of group a                  */
    size_t *first;     /* a row of each setting                            */
    int n_settings;    /* those that count, after `drop`                   */
    double *x;         /* [n_settings][vars] */
    const char **seed; /* that were looked at           */
    double *margin;    /* of those that have all settings */
    int n_seen, n_seeds;
} groups;

/* --- the line --- */

static bd_status read_relation(bd_relation *out, const char **used, const bd_line *l, bool own) {
    const char *relation, *analogue;
    bd_relation other;
    BD_TRY(bd_line_get(&relation, l, "relation"));
    BD_TRY(bd_line_get(&analogue, l, "analogue"));
    bool none = !strcmp(analogue, "-"), same = !*analogue;
    BD_TRY(bd_relation_parse(out, relation));
    if (!none && !same) BD_TRY(bd_relation_parse(&other, analogue));
    *used = own || same ? relation : none ? "" : analogue;
    if (!own && !none && !same) *out = other;
    return BD_OK;
}

static bd_status read_line(bd_finding *f, question *q, const bd_line *l, const char *profile) {
    const char *settings, *used;
    double n;
    BD_TRY(bd_line_get(&q->profile, l, "profile"));
    BD_TRY(bd_line_get(&q->rows_a, l, "rows_a"));
    BD_TRY(bd_line_get(&q->rows_b, l, "rows_b"));
    BD_TRY(bd_line_get(&q->by, l, "by"));
    BD_TRY(bd_line_get(&q->pair, l, "pair"));
    BD_TRY(bd_line_get(&q->requires_text, l, "requires"));
    BD_TRY(bd_line_get(&settings, l, "settings"));
    size_t first = strcspn(q->profile, " ");
    q->own = bd_word_in(q->profile, profile);
    q->whole = q->own && strlen(profile) == first && !strncmp(profile, q->profile, first);
    if (!*q->pair) q->pair = q->by;
    BD_TRY(read_relation(&q->relation, &used, l, q->own));
    q->has_requires = *q->requires_text != '\0';
    if (q->has_requires)
        BD_TRY(bd_relation_condition(&q->requires, &q->relation, q->requires_text));
    bool has_b = false;
    for (int i = 0; i < q->relation.n_vars; i++) has_b = has_b || q->relation.var[i].side == 'b';
    BD_REQUIRE(has_b == (*q->rows_b != '\0'), BD_E_FORMAT,
               has_b ? "the relation has a column of b, and rows_b is empty"
                     : "rows_b is there, and the relation has no column of b");
    BD_REQUIRE(bd_parse_number(&n, settings) && n >= 1 && n <= 10000 && n == floor(n), BD_E_FORMAT,
               "settings '%s': how many the claim speaks of", settings);
    q->settings = (int)n;
    if (!q->own) f->kind = "analogue";
    snprintf(f->band, sizeof f->band, "%s", used);
    return BD_OK;
}

static bd_status unknown_column(char name[96], const question *q, const bd_csv *c) {
    const char *const lists[] = {q->rows_a, q->rows_b, q->by, q->pair};
    for (int i = 0; i < 4; i++) {
        BD_TRY(bd_rows_unknown(name, c, lists[i], i >= 2));
        if (name[0]) return BD_OK;
    }
    for (int i = 0; i < q->relation.n_vars; i++) {
        if (bd_rows_has(c, q->relation.var[i].column)) continue;
        snprintf(name, 96, "%s", q->relation.var[i].column);
        return BD_OK;
    }
    return BD_OK;
}

/* --- settings --- */

/* Do two rows have the same fields in these columns? */
static bool agree(const bd_csv *c, size_t a, size_t b, const char *columns) {
    size_t len;
    for (const char *p = columns + strspn(columns, " "); *p; p += len, p += strspn(p, " ")) {
        char name[96];
        len = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        const char *x = bd_rows_field(c, a, name, NULL), *y = bd_rows_field(c, b, name, NULL);
        if (strcmp(x ? x : "", y ? y : "") != 0) return false;
    }
    return true;
}

static bd_status find_settings(groups *g, bd_finding *f) {
    for (size_t row = 0; row < g->rows; row++) {
        bool a;
        BD_TRY(bd_rows_match(&a, NULL, g->csv, row, g->q->rows_a));
        if (*g->q->rows_b) BD_TRY(bd_rows_match(&g->is_b[row], NULL, g->csv, row, g->q->rows_b));
        g->setting[row] = -1;
        f->matched += a || g->is_b[row];
        if (!a) continue;
        int s = 0;
        while (s < g->n_settings && !agree(g->csv, row, g->first[s], g->q->by)) s++;
        if (s == g->n_settings) g->first[g->n_settings++] = row;
        g->setting[row] = s;
    }
    return BD_OK;
}

static bool of_seed(const groups *g, size_t row, const char *seed) {
    const char *is = bd_rows_field(g->csv, row, "seed", NULL);
    return !seed || !strcmp(is ? is : "", seed);
}

/* Mean of a column over the rows of a setting; NaN where one of them was not measured, or there is none. */
static double setting_mean(const groups *g, int s, const bd_relation_var *v, const char *seed) {
    double sum = 0, value;
    int n = 0;
    for (size_t row = 0; row < g->rows; row++) {
        bool in = v->side == 'a' ? g->setting[row] == s
                                 : g->is_b[row] && agree(g->csv, row, g->first[s], g->q->pair);
        if (!in || !of_seed(g, row, seed)) continue;
        if (!bd_rows_number(&value, g->csv, row, v->column)) return NAN;
        sum += value;
        n++;
    }
    return n ? sum / n : NAN;
}

/* x [vars] of a setting; is it complete? */
static bool fill(double *x, const groups *g, int s, const char *seed) {
    const bd_relation *r = &g->q->relation;
    bool complete = true;
    for (int v = 0; v < r->n_vars; v++) {
        x[v] = setting_mean(g, s, &r->var[v], seed);
        complete = complete && !isnan(x[v]);
    }
    return complete;
}

/* Settings that are complete and meet `requires` count; the others go. */
static void drop(groups *g) {
    int n = 0, vars = g->q->relation.n_vars;
    for (int s = 0; s < g->n_settings; s++) {
        double *x = g->x + (size_t)n * (size_t)vars;
        bool counts = fill(x, g, s, NULL);
        if (counts && g->q->has_requires) counts = bd_relation_condition_holds(&g->q->requires, x);
        for (size_t row = 0; row < g->rows; row++)
            if (g->setting[row] == s) g->setting[row] = counts ? n : -1;
        if (counts) g->first[n++] = g->first[s];
    }
    g->n_settings = n;
}

/* --- seeds --- */

static void add_seed(groups *g, size_t row) {
    const char *seed = bd_rows_field(g->csv, row, "seed", NULL);
    double *x = g->x, left, right;
    if (!seed) return;
    for (int i = 0; i < g->n_seen; i++)
        if (!strcmp(g->seed[i], seed)) return;
    g->seed[g->n_seen++] = seed;
    for (int s = 0; s < g->n_settings; s++, x += g->q->relation.n_vars)
        if (!fill(x, g, s, seed)) return; /* a seed of some settings is no repetition of all */
    g->margin[g->n_seeds++] =
        bd_relation_margin(&left, &right, &g->q->relation, g->x, g->n_settings);
}

static void judge_settings(bd_finding *f, groups *g) {
    double left, right;
    const question *q = g->q;
    f->value = bd_relation_margin(&left, &right, &q->relation, g->x, g->n_settings);
    snprintf(f->note, sizeof f->note, "%.4g against %.4g", left, right);
    if (q->own && g->n_settings < q->settings) { /* part of a claim decides nothing */
        size_t len = strlen(f->note);
        snprintf(f->note + len, sizeof f->note - len, ", %d settings of %d", g->n_settings,
                 q->settings);
        f->kind = "report";
    }
    for (size_t row = 0; row < g->rows; row++) /* overwrites x */
        if (g->setting[row] >= 0) add_seed(g, row);
    f->seeds = g->n_seeds > 1 ? g->n_seeds : 1;
    f->outcome = bd_claim_outcome(&f->lo, &f->hi, f->value, bd_relation_strict(&q->relation),
                                  g->margin, g->n_seeds);
}

/* Why there are too few settings. */
static void explain_silence(bd_finding *f, const groups *g, int found, int need) {
    if (g->n_settings)
        snprintf(f->note, sizeof f->note, "%d settings of %d", g->n_settings, need);
    else if (found && g->q->has_requires)
        snprintf(f->note, sizeof f->note, "no setting is complete and has %s", g->q->requires_text);
    else if (found)
        snprintf(f->note, sizeof f->note, "no setting is complete");
    else
        snprintf(f->note, sizeof f->note, "no such rows");
}

static bd_status judge(bd_finding *f, groups *g) {
    BD_TRY(find_settings(g, f));
    int found = g->n_settings, need = g->q->whole ? g->q->settings : 1;
    drop(g);
    snprintf(f->n, sizeof f->n, "%d", g->n_settings);
    if (g->n_settings < need)
        explain_silence(f, g, found, need);
    else
        judge_settings(f, g);
    return BD_OK;
}

static bd_status judge_groups(bd_finding *f, const question *q, const bd_csv *c) {
    size_t n = bd_csv_rows(c) + 1;
    groups g = {.csv = c, .q = q, .rows = bd_csv_rows(c)};
    g.is_b = calloc(n, sizeof *g.is_b);
    g.setting = calloc(n, sizeof *g.setting);
    g.first = calloc(n, sizeof *g.first);
    g.x = calloc(n * BD_RELATION_VARS, sizeof *g.x);
    g.seed = calloc(n, sizeof *g.seed);
    g.margin = calloc(n, sizeof *g.margin);
    bool ok = g.is_b && g.setting && g.first && g.x && g.seed && g.margin;
    bd_status st = ok ? judge(f, &g) : bd_fail(BD_E_MEMORY, "out of memory for %zu rows", n);
    free(g.is_b);
    free(g.setting);
    free(g.first);
    free(g.x);
    free(g.seed);
    free(g.margin);
    return st;
}

/* A profile of another size, or one that measures less, may lack columns; in the claim's first one that is a slip of the
 * claims file. */
static bd_status judge_file(bd_finding *f, const question *q, const bd_result_file *file) {
    char name[96];
    if (!f->band[0]) {
        snprintf(f->note, sizeof f->note, "only in profile %s", q->profile);
        return BD_OK;
    }
    if (!file->csv) {
        snprintf(f->note, sizeof f->note, "no %s.csv", f->recipe);
        return BD_OK;
    }
    BD_TRY(unknown_column(name, q, file->csv));
    BD_REQUIRE(!name[0] || !q->whole, BD_E_FORMAT, "'%s': the result file has no such column",
               name);
    if (name[0]) {
        snprintf(f->note, sizeof f->note, "no column %s", name);
        return BD_OK;
    }
    return judge_groups(f, q, file->csv);
}

bd_status bd_judge_claim(bd_finding *f, const bd_line *l, const char *results,
                         const char *profile) {
    bd_result_file file;
    question q = {0};
    f->part = BD_PART_CLAIM;
    BD_TRY(bd_line_common(f, l));
    BD_TRY(bd_line_place(f, l));
    f->outcome = BD_NOT_TESTED;
    BD_TRY(bd_result_file_load(&file, results, f->recipe, profile));
    bd_status st = read_line(f, &q, l, file.profile);
    bool of_results = !st;
    if (!st) st = judge_file(f, &q, &file);
    bd_result_file_clear(&file);
    return st && of_results ? bd_error_prefix(st, "%s", file.path) : st;
}
