#include "run/regress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metric/inference.h"
#include "run/regress_parts.h"

/* --- lines --- */

bd_status bd_line_get(const char **out, const bd_line *l, const char *column) {
    int col = bd_csv_find(l->csv, column);
    BD_REQUIRE(col >= 0, BD_E_FORMAT, "no column '%s'", column);
    *out = bd_csv_get(l->csv, l->row, (size_t)col);
    return BD_OK;
}

bd_status bd_line_common(bd_finding *f, const bd_line *l) {
    BD_TRY(bd_line_get(&f->id, l, "id"));
    BD_TRY(bd_line_get(&f->claim, l, "claim"));
    BD_TRY(bd_line_get(&f->recipe, l, "recipe"));
    BD_TRY(bd_line_get(&f->kind, l, "kind"));
    BD_TRY(bd_line_get(&f->source, l, "source"));
    f->value = f->lo = f->hi = f->p = f->comparison.p = NAN;
    BD_REQUIRE(!strcmp(f->kind, "gate") || !strcmp(f->kind, "report"), BD_E_FORMAT,
               "kind '%s': gate or report", f->kind);
    return BD_OK;
}

bd_status bd_line_place(bd_finding *f, const bd_line *l) {
    const char *table, *page;
    BD_TRY(bd_line_get(&table, l, "table"));
    BD_TRY(bd_line_get(&page, l, "page"));
    snprintf(f->place, sizeof f->place, "%s%s%s", table, *page ? ", p. " : "", page);
    return BD_OK;
}

/* "hit-128-quarter_var" tells its n; of the others the sample count of their kind does. */
void bd_metric_count(char out[16], const bd_csv *c, size_t row, const char *metric, int column) {
    const char *header = bd_csv_header(c, (size_t)column), *dash = strchr(header, '-');
    bool quality = !strncmp(metric, "fcd", 3) || !strncmp(metric, "fid", 3);
    if (dash) {
        snprintf(out, 16, "%.*s", (int)strcspn(dash + 1, "-"), dash + 1);
        return;
    }
    const char *n = bd_rows_field(c, row, quality ? "n_clean" : "n_trigger", NULL);
    snprintf(out, 16, "%.15s", n ? n : "");
}

/* --- numbers of the paper, all together --- */

static bool is_compared(const bd_finding *f) {
    return f->part == BD_PART_NUMBER && !isnan(f->comparison.p);
}

/* A hash that is ours says that nothing has changed since it was frozen. It never covers up that the number deviates. */
static void decide(bd_finding *f) {
    bool frozen = f->frozen[0] && !strcmp(f->frozen, f->hash);
    if (f->outcome == BD_NOT_COMPARABLE) return;
    f->outcome = bd_compare_outcome(&f->paper, &f->comparison, f->p);
    if (f->outcome == BD_CONSISTENT && f->comparison.p < 0.05)
        snprintf(f->note, sizeof f->note, "outside its own interval (p = %.2g), not after Holm's",
                 f->comparison.p);
    if (!frozen || f->outcome == BD_DEVIATES) return;
    snprintf(f->note, sizeof f->note, "as frozen; against the paper: %s",
             bd_outcome_name(f->outcome));
    f->outcome = BD_IDENTICAL;
}

static bd_status decide_numbers(bd_regression *r) {
    double *p = calloc(2 * (size_t)r->n + 1, sizeof *p), *adjusted = p + r->n;
    int n = 0;
    BD_REQUIRE(p, BD_E_MEMORY, "out of memory for %d numbers", r->n);
    for (int i = 0; i < r->n; i++)
        if (is_compared(&r->row[i])) p[n++] = r->row[i].comparison.p;
    bd_holm(adjusted, p, n);
    n = 0;
    for (int i = 0; i < r->n; i++) {
        if (is_compared(&r->row[i])) r->row[i].p = adjusted[n++];
        if (r->row[i].part == BD_PART_NUMBER) decide(&r->row[i]);
    }
    free(p);
    return BD_OK;
}

bd_family bd_regression_family(const bd_regression *r) {
    bd_family out = {0};
    for (int i = 0; i < r->n; i++) {
        if (!is_compared(&r->row[i])) continue;
        out.compared++;
        out.outside += r->row[i].comparison.p < 0.05;
        out.deviate += r->row[i].outcome == BD_DEVIATES;
    }
    return out;
}

/* --- the files --- */

typedef bd_status judge(bd_finding *f, const bd_line *l, const char *results, const char *profile);

static bd_status judge_of(judge **out, const bd_csv *csv) {
    *out = bd_csv_find(csv, "relation") >= 0   ? bd_judge_claim
           : bd_csv_find(csv, "at_least") >= 0 ? bd_judge_band
           : bd_csv_find(csv, "value") >= 0    ? bd_judge_number
                                               : NULL;
    BD_REQUIRE(*out, BD_E_FORMAT,
               "no column at_least (bands), value (numbers of the paper) or relation (claims)");
    return BD_OK;
}

static bd_status make_room(bd_regression *r, size_t more) {
    size_t n = (size_t)r->n + more + 1;
    bd_finding *row = realloc(r->row, n * sizeof *row);
    if (row) r->row = row;
    void **csv = realloc(r->csv, ((size_t)r->n_csv + 1) * sizeof *csv);
    if (csv) r->csv = csv;
    BD_REQUIRE(row && csv, BD_E_MEMORY, "out of memory for %zu expectations", n);
    return BD_OK;
}

static bd_status judge_file(bd_regression *r, const char *expected, const char *results,
                            const char *profile) {
    bd_csv *csv;
    judge *of;
    BD_TRY(bd_csv_load(&csv, expected));
    bd_status st = make_room(r, bd_csv_rows(csv));
    if (st) {
        bd_csv_destroy(csv);
        return st;
    }
    r->csv[r->n_csv++] = csv;
    st = judge_of(&of, csv);
    if (st) return bd_error_prefix(st, "%s", expected);
    for (size_t i = 0; i < bd_csv_rows(csv); i++) {
        bd_line line = {csv, i};
        memset(&r->row[r->n], 0, sizeof r->row[r->n]);
        st = of(&r->row[r->n], &line, results, profile);
        if (st) return bd_error_prefix(st, "%s: row %zu", expected, i + 1);
        r->n++;
    }
    return BD_OK;
}

bd_status bd_regress(bd_regression *out, const char *const *expected, int n_expected,
                     const char *results, const char *profile) {
    bd_status st = BD_OK;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < n_expected && !st; i++) st = judge_file(out, expected[i], results, profile);
    if (!st) st = decide_numbers(out);
    if (st) bd_regression_clear(out);
    return st;
}

void bd_regression_clear(bd_regression *r) {
    for (int i = 0; i < r->n_csv; i++) bd_csv_destroy(r->csv[i]);
    free(r->csv);
    free(r->row);
    memset(r, 0, sizeof *r);
}

static void number(char out[32], double v) {
    out[0] = '\0';
    if (!isnan(v)) bd_format_double(out, v);
}

static bd_status write_finding(bd_writer *w, const bd_finding *f) {
    static const char *const parts[] = {"band", "number", "claim"}; /* as bd_part */
    char rows[16], value[32], lo[32], hi[32], seeds[16] = "", p[32];
    snprintf(rows, sizeof rows, "%d", f->matched);
    number(value, f->value);
    number(lo, f->lo);
    number(hi, f->hi);
    number(p, f->p);
    if (f->part != BD_PART_BAND) snprintf(seeds, sizeof seeds, "%d", f->seeds);
    const char *fields[] = {f->id,
                            f->claim,
                            f->recipe,
                            f->kind,
                            rows,
                            value,
                            lo,
                            hi,
                            f->n,
                            f->band,
                            f->run,
                            bd_outcome_name(f->outcome),
                            parts[f->part],
                            f->printed ? f->printed : "",
                            seeds,
                            p,
                            f->hash,
                            f->note,
                            f->place,
                            f->source};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        BD_TRY(bd_csv_field(w, i ? "," : "", fields[i]));
    return bd_writer_write(w, "\n", 1);
}

bd_status bd_regression_save(const bd_regression *r, const char *results) {
    char path[1200];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, results, "verdicts.csv"));
    BD_TRY(bd_file_mkdirs(results));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_printf(w, "id,claim,recipe,kind,rows,value,lo,hi,n,band,run,verdict,"
                                       "part,paper,seeds,p,hash,note,place,source\n");
    for (int i = 0; i < r->n && !st; i++) st = write_finding(w, &r->row[i]);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

bd_status bd_regression_status(const bd_regression *r) {
    int failed = 0, missing = 0;
    for (int i = 0; i < r->n; i++) {
        const bd_finding *f = &r->row[i];
        if (strcmp(f->kind, "gate") != 0) continue;
        failed +=
            f->outcome == BD_FAIL || f->outcome == BD_DEVIATES || f->outcome == BD_DOES_NOT_HOLD;
        missing += f->part == BD_PART_BAND && f->outcome == BD_MISSING;
    }
    if (!failed && !missing) return BD_OK;
    return bd_fail(BD_E_BAND,
                   "%d bands, numbers or claims that count are not met, %d bands not run", failed,
                   missing);
}
