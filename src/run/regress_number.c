/* Numbers of the paper. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "run/regress_parts.h"

typedef struct {
    const char *profile, *rows, *definition, *metric;
} question;

/* Our runs: a number a seed. */
typedef struct {
    double *value;
    const char **seed;
    int n;
} runs;

/* --- the line --- */

static bd_status pick(int *out, const char *column, const char *text, const char *const *names,
                      int n) {
    for (int i = 0; i < n; i++) {
        *out = i;
        if (!strcmp(text, names[i])) return BD_OK;
    }
    return bd_fail(BD_E_FORMAT, "%s '%s': %s, %s or %s", column, text, names[0], names[1],
                   names[2]);
}

static bd_status read_paper(bd_paper_number *p, bd_finding *f, const bd_line *l) {
    static const char *const scales[] = {"linear", "log10", "rate"}; /* as bd_scale */
    static const char *const sources[] = {"primary", "secondary", "single-run"};
    const char *runs_text, *sure, *scale, *effect;
    double m;
    int index;
    BD_TRY(bd_line_get(&f->printed, l, "value"));
    BD_TRY(bd_line_get(&runs_text, l, "runs"));
    BD_TRY(bd_line_get(&sure, l, "sure"));
    BD_TRY(bd_line_get(&scale, l, "scale"));
    BD_TRY(bd_line_get(&effect, l, "effect"));
    p->value = NAN;
    if (*f->printed) {
        BD_TRY(bd_half_unit(&p->half_unit, f->printed));
        p->value = strtod(f->printed, NULL);
    }
    BD_REQUIRE(bd_parse_number(&m, runs_text) && m >= 1 && m <= 1000 && m == floor(m), BD_E_FORMAT,
               "runs '%s': the number of runs that the paper averaged", runs_text);
    p->runs = (int)m;
    BD_TRY(pick(&index, "sure", sure, sources, 3));
    p->secondary = index == 1;
    BD_REQUIRE(index != 2 || p->runs == 1, BD_E_FORMAT, "a single-run number of %d runs", p->runs);
    BD_TRY(pick(&index, "scale", scale, scales, 3));
    p->scale = (bd_scale)index;
    BD_REQUIRE(bd_parse_number(&p->effect, effect) && p->effect > 0, BD_E_FORMAT,
               "effect '%s': the widest half-width of an interval that still tells something",
               effect);
    snprintf(f->band, sizeof f->band, "+- %s%s", effect,
             p->scale == BD_SCALE_LOG10 ? " decades" : "");
    return BD_OK;
}

static bd_status read_line(bd_finding *f, question *q, const bd_line *l) {
    BD_TRY(bd_line_common(f, l));
    BD_TRY(bd_line_place(f, l));
    BD_TRY(bd_line_get(&q->profile, l, "profile"));
    BD_TRY(bd_line_get(&q->rows, l, "rows"));
    BD_TRY(bd_line_get(&q->definition, l, "definition"));
    BD_TRY(bd_line_get(&q->metric, l, "metric"));
    BD_TRY(bd_line_get(&f->frozen, l, "frozen"));
    BD_REQUIRE(*q->profile && *q->metric, BD_E_FORMAT, "a number needs a profile and a metric");
    return read_paper(&f->paper, f, l);
}

/* --- ours --- */

static void not_comparable(bd_finding *f, const char *fmt, ...) BD_PRINTF(2, 3);

/* The first reason stays. */
static void not_comparable(bd_finding *f, const char *fmt, ...) {
    va_list args;
    f->outcome = BD_NOT_COMPARABLE;
    if (f->note[0]) return;
    va_start(args, fmt);
    vsnprintf(f->note, sizeof f->note, fmt, args);
    va_end(args);
}

static bd_status add_run(runs *r, bd_finding *f, const bd_csv *c, size_t row, double value,
                         const char *metric, int column) {
    const char *seed = bd_rows_field(c, row, "seed", NULL);
    if (!seed) seed = "";
    for (int i = 0; i < r->n; i++) {
        if (strcmp(seed, r->seed[i]) != 0) continue;
        if (f->outcome == BD_NOT_COMPARABLE) return BD_OK; /* one of them is enough to look at */
        return bd_fail(BD_E_FORMAT, "'%s' matches more than one row of seed %s: add a condition",
                       f->id, seed);
    }
    if (!r->n) {
        const char *run = bd_rows_field(c, row, "run", NULL);
        snprintf(f->run, sizeof f->run, "%.63s", run ? run : "");
        bd_metric_count(f->n, c, row, metric, column);
    }
    r->seed[r->n] = seed;
    r->value[r->n++] = value;
    return BD_OK;
}

/* The name of a metric says what it is: "fid-10000/50000-inception". The row's number of another name is shown, not compared. */
static bd_status take_row(runs *r, bd_finding *f, const question *q, const bd_csv *c, size_t row) {
    char word[96], failed[BD_CONDITION_SIZE];
    double value;
    bool same;
    int column = bd_csv_find(c, q->metric);
    const char *text = column >= 0 ? bd_csv_get(c, row, (size_t)column) : "";
    snprintf(word, sizeof word, "%.*s", (int)strcspn(q->metric, "-"), q->metric);
    if (!*text) {
        text = bd_rows_field(c, row, word, &column);
        if (!text) return BD_OK;
        not_comparable(f, "ours is %s, the paper's %s", bd_csv_header(c, (size_t)column),
                       q->metric);
    }
    BD_REQUIRE(bd_parse_number(&value, text), BD_E_FORMAT, "%s: '%s' is not a number", q->metric,
               text);
    if (f->outcome != BD_NOT_COMPARABLE) {
        BD_TRY(bd_rows_match(&same, failed, c, row, q->definition));
        if (!same) not_comparable(f, "not so here: %s", failed);
    }
    return add_run(r, f, c, row, value, word, column);
}

static bd_status take_rows(runs *r, bd_finding *f, const question *q, const bd_csv *c) {
    for (size_t row = 0; row < bd_csv_rows(c); row++) {
        bool match;
        BD_TRY(bd_rows_match(&match, NULL, c, row, q->rows));
        if (!match) continue;
        f->matched++;
        BD_TRY(take_row(r, f, q, c, row));
    }
    return BD_OK;
}

/* What is frozen of a number: its metric, and seed and value of every run, as they are written. */
static bd_status hash_runs(char out[17], const runs *r, const char *metric) {
    char hex[65], text[32];
    bd_sha256 *s;
    BD_TRY(bd_sha256_create(&s));
    bd_sha256_update(s, metric, strlen(metric));
    for (int i = 0; i < r->n; i++) {
        bd_format_double(text, r->value[i]);
        bd_sha256_update(s, "\n", 1);
        bd_sha256_update(s, r->seed[i], strlen(r->seed[i]));
        bd_sha256_update(s, " ", 1);
        bd_sha256_update(s, text, strlen(text));
    }
    bd_sha256_finish(s, hex);
    snprintf(out, 17, "%.16s", hex);
    return BD_OK;
}

/* A profile of other models, data or counts is not asked for columns that it may not have. */
static bd_status compare_file(bd_finding *f, const question *q, const bd_result_file *file,
                              runs *r) {
    char unknown[96] = "";
    if (!bd_word_in(q->profile, file->profile)) {
        not_comparable(f, "profile %s, not %s", file->profile, q->profile);
        if (file->csv) BD_TRY(bd_rows_unknown(unknown, file->csv, q->rows, false));
    }
    if (file->csv && !unknown[0]) BD_TRY(take_rows(r, f, q, file->csv));
    if (!r->n && !f->note[0])
        snprintf(f->note, sizeof f->note, "%s",
                 !file->csv   ? "not run"
                 : f->matched ? "not measured"
                              : "no such rows");
    bd_compare(&f->comparison, &f->paper, r->value, r->n);
    if (r->n) BD_TRY(hash_runs(f->hash, r, q->metric));
    return BD_OK;
}

static bd_status compare(bd_finding *f, const question *q, const bd_result_file *file) {
    size_t rows = file->csv ? bd_csv_rows(file->csv) : 0;
    runs r = {calloc(rows + 1, sizeof *r.value), calloc(rows + 1, sizeof *r.seed), 0};
    bd_status st = BD_OK;
    if (!r.value || !r.seed) st = bd_fail(BD_E_MEMORY, "out of memory for %zu runs", rows);
    if (!st && f->paper.scale == BD_SCALE_RATE) {
        const char *n = strchr(q->metric, '-'); /* "hit-10000-quarter_var" */
        f->paper.n = n ? strtod(n + 1, NULL) : 0;
        if (!(f->paper.n >= 1))
            st = bd_fail(BD_E_FORMAT, "a rate's metric names its samples: hit-10000-quarter_var");
    }
    if (!st) st = compare_file(f, q, file, &r);
    free(r.value);
    free(r.seed);
    return st;
}

bd_status bd_judge_number(bd_finding *f, const bd_line *l, const char *results,
                          const char *profile) {
    bd_result_file file;
    question q;
    f->part = BD_PART_NUMBER;
    BD_TRY(read_line(f, &q, l));
    f->outcome = BD_MISSING;
    BD_TRY(bd_result_file_load(&file, results, f->recipe, profile));
    bd_status st = compare(f, &q, &file);
    bd_result_file_clear(&file);
    if (st) return bd_error_prefix(st, "%s", file.path);
    f->value = f->comparison.ours;
    f->seeds = f->comparison.seeds;
    if (f->outcome == BD_NOT_COMPARABLE) { /* shown, but nobody expects the paper's number here */
        f->comparison.p = f->comparison.lo = f->comparison.hi = NAN;
    }
    f->lo = f->comparison.lo;
    f->hi = f->comparison.hi;
    return BD_OK;
}
