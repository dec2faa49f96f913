/* Bands that were fixed before the runs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metric/bootstrap.h"
#include "run/regress_parts.h"

typedef struct {
    const char *rows, *need, *metric;
    double at_least, at_most; /* -inf, +inf where the band is open */
} band;

/* What one row says. margin: how far inside the band, negative outside. */
typedef struct {
    bd_outcome outcome;
    double value, lo, hi, margin;
    char n[16], run[64];
} judgement;

static void end_of_interval(double *out, const bd_csv *c, size_t row, const char *metric,
                            const char *end) {
    char name[128];
    snprintf(name, sizeof name, "%s_%s", metric, end);
    if (!bd_rows_number(out, c, row, name)) *out = NAN;
}

/* Two tests at a bound: of the number, or (a ratio with an interval) of the interval's ends. */
static bd_outcome judge_value(const band *b, const judgement *j) {
    size_t len = strlen(b->metric);
    int ratio = len > 6 && !strcmp(b->metric + len - 6, "_ratio") && !isnan(j->lo) && !isnan(j->hi);
    if (!ratio) return j->value >= b->at_least && j->value <= b->at_most ? BD_PASS : BD_FAIL;
    bd_verdict top =
        isinf(b->at_most) ? BD_VERDICT_PASS : bd_verdict_at_most(j->lo, j->hi, b->at_most);
    bd_verdict bottom =
        isinf(b->at_least) ? BD_VERDICT_PASS : bd_verdict_at_most(-j->hi, -j->lo, -b->at_least);
    if (top == BD_VERDICT_FAIL || bottom == BD_VERDICT_FAIL) return BD_FAIL;
    return top == BD_VERDICT_PASS && bottom == BD_VERDICT_PASS ? BD_PASS : BD_UNDERPOWERED;
}

static int judge_row(judgement *j, const band *b, const bd_csv *results, size_t row) {
    int column = 0;
    const char *text = bd_rows_field(results, row, b->metric, &column);
    memset(j, 0, sizeof *j);
    if (!text || !bd_parse_number(&j->value, text)) return 0;
    end_of_interval(&j->lo, results, row, b->metric, "lo");
    end_of_interval(&j->hi, results, row, b->metric, "hi");
    bd_metric_count(j->n, results, row, b->metric, column);
    const char *run = bd_rows_field(results, row, "run", NULL);
    snprintf(j->run, sizeof j->run, "%.63s", run ? run : "");
    j->margin = fmin(j->value - b->at_least, b->at_most - j->value);
    j->outcome = judge_value(b, j);
    return 1;
}

/* Is a better than b: by verdict, then by how far inside the band. */
static int better(const judgement *a, const judgement *b) {
    static const int rank[] = {[BD_PASS] = 2, [BD_UNDERPOWERED] = 1, [BD_FAIL] = 0};
    if (rank[a->outcome] != rank[b->outcome]) return rank[a->outcome] > rank[b->outcome];
    return a->margin > b->margin;
}

static bd_status judge_rows(bd_finding *f, const band *b, const bd_csv *results) {
    judgement decides = {0}, j;
    int any = !strcmp(b->need, "any");
    for (size_t row = 0; row < bd_csv_rows(results); row++) {
        bool match;
        BD_TRY(bd_rows_match(&match, NULL, results, row, b->rows));
        if (!match) continue;
        if (!judge_row(&j, b, results, row)) {
            if (any) continue;
            f->matched = 0; /* one row that was not measured: the others cannot speak for it */
            return BD_OK;
        }
        if (!f->matched || (any ? better(&j, &decides) : better(&decides, &j))) decides = j;
        f->matched++;
    }
    if (!f->matched) return BD_OK; /* stays MISSING */
    f->value = decides.value;
    f->lo = decides.lo;
    f->hi = decides.hi;
    memcpy(f->n, decides.n, sizeof f->n);
    memcpy(f->run, decides.run, sizeof f->run);
    f->outcome = strcmp(f->kind, "report") ? decides.outcome : BD_REPORTED;
    return BD_OK;
}

static bd_status read_bound(double *out, const bd_line *l, const char *column, double open) {
    const char *text;
    BD_TRY(bd_line_get(&text, l, column));
    *out = open;
    BD_REQUIRE(!*text || bd_parse_number(out, text), BD_E_FORMAT, "band '%s' is not a number",
               text);
    return BD_OK;
}

static bd_status read_band(bd_finding *f, band *b, const bd_line *l) {
    char low[32] = "", high[32] = "";
    BD_TRY(bd_line_common(f, l));
    BD_TRY(bd_line_get(&b->rows, l, "rows"));
    BD_TRY(bd_line_get(&b->need, l, "need"));
    BD_TRY(bd_line_get(&b->metric, l, "metric"));
    BD_REQUIRE(!strcmp(b->need, "any") || !strcmp(b->need, "all"), BD_E_FORMAT,
               "need '%s': any or all", b->need);
    BD_TRY(read_bound(&b->at_least, l, "at_least", -INFINITY));
    BD_TRY(read_bound(&b->at_most, l, "at_most", INFINITY));
    if (!isinf(b->at_least)) bd_format_double(low, b->at_least);
    if (!isinf(b->at_most)) bd_format_double(high, b->at_most);
    snprintf(f->band, sizeof f->band, "%s .. %s", low, high);
    return BD_OK;
}

bd_status bd_judge_band(bd_finding *f, const bd_line *l, const char *results, const char *profile) {
    bd_result_file file;
    band b;
    f->part = BD_PART_BAND;
    BD_TRY(read_band(f, &b, l));
    f->outcome = BD_MISSING;
    BD_TRY(bd_result_file_load(&file, results, f->recipe, profile));
    if (!file.csv) return BD_OK;
    bd_status st = judge_rows(f, &b, file.csv);
    bd_result_file_clear(&file);
    return st ? bd_error_prefix(st, "%s", file.path) : BD_OK;
}
