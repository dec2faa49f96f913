#include "run/regress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/csv.h"
#include "metric/bootstrap.h"

const char *bd_claim_verdict_name(bd_claim_verdict v) {
    static const char *const names[] = {"PASS", "FAIL", "UNDERPOWERED", "REPORTED", "MISSING"};
    return names[v];
}

static int parse_number(double *out, const char *text) {
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end;
}

/* --- columns --- */

/* The field of a row by the first word of its column's name: the first one that is not empty. */
static const char *field(const bd_csv *c, size_t row, const char *name, int *column) {
    size_t len = strlen(name);
    for (size_t i = 0; i < bd_csv_cols(c); i++) {
        const char *header = bd_csv_header(c, i);
        if (strncmp(header, name, len) != 0 || (header[len] && header[len] != '-')) continue;
        *column = (int)i;
        const char *text = bd_csv_get(c, row, i);
        if (*text) return text;
    }
    return NULL;
}

static int has_column(const bd_csv *c, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < bd_csv_cols(c); i++) {
        const char *header = bd_csv_header(c, i);
        if (!strncmp(header, name, len) && (!header[len] || header[len] == '-')) return 1;
    }
    return 0;
}

/* --- conditions: "finetune.from=none n_trigger>=128" --- */

typedef struct {
    char name[96], value[96];
    enum { EQ, LE, GE, LT, GT } op;
} condition;

static bd_status parse_condition(condition *c, const char *text, size_t len) {
    size_t name = strcspn(text, "=<>");
    BD_REQUIRE(name > 0 && name < len && name < sizeof c->name, BD_E_FORMAT,
               "condition '%.*s': write column=value, <=, >=, < or >", (int)len, text);
    const char *op = text + name;
    int two = op[0] != '=' && op[1] == '=';
    c->op = op[0] == '=' ? EQ : op[0] == '<' ? (two ? LE : LT) : (two ? GE : GT);
    size_t skip = name + 1 + (size_t)two;
    BD_REQUIRE(len > skip && len - skip < sizeof c->value, BD_E_FORMAT,
               "condition '%.*s': no value", (int)len, text);
    snprintf(c->name, sizeof c->name, "%.*s", (int)name, text);
    snprintf(c->value, sizeof c->value, "%.*s", (int)(len - skip), text + skip);
    double number;
    BD_REQUIRE(c->op == EQ || parse_number(&number, c->value), BD_E_FORMAT,
               "condition '%.*s': '%s' is not a number", (int)len, text, c->value);
    return BD_OK;
}

static int holds(const condition *c, const char *text) {
    double a, b;
    if (!text) return 0;
    if (!parse_number(&b, c->value)) return c->op == EQ && !strcmp(text, c->value);
    if (!parse_number(&a, text)) return 0;
    switch (c->op) {
    case EQ: return a == b;
    case LE: return a <= b;
    case GE: return a >= b;
    case LT: return a < b;
    default: return a > b;
    }
}

static bd_status matches(int *out, const bd_csv *results, size_t row, const char *conditions) {
    *out = 1;
    for (const char *p = conditions; *p;) {
        condition c;
        int column;
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        if (!len) break;
        BD_TRY(parse_condition(&c, p, len));
        BD_REQUIRE(has_column(results, c.name), BD_E_FORMAT,
                   "condition on '%s': the result file has no such column", c.name);
        if (!holds(&c, field(results, row, c.name, &column))) *out = 0;
        p += len;
    }
    return BD_OK;
}

/* --- one claim --- */

/* What one row says. margin: how far inside the band, negative outside. */
typedef struct {
    bd_claim_verdict verdict;
    double value, lo, hi, margin;
    char n[16], run[64];
} judgement;

static void end_of_interval(double *out, const bd_csv *c, size_t row, const char *metric,
                            const char *end) {
    char name[128];
    int column;
    snprintf(name, sizeof name, "%s_%s", metric, end);
    const char *text = field(c, row, name, &column);
    if (!text || !parse_number(out, text)) *out = NAN;
}

/* "hit-128-quarter_var" tells its n; of the others the sample count of their kind does. */
static void count_of(char out[16], const bd_csv *c, size_t row, const char *metric, int column) {
    const char *header = bd_csv_header(c, (size_t)column), *dash = strchr(header, '-');
    bool quality = !strncmp(metric, "fcd", 3) || !strncmp(metric, "fid", 3);
    int other;
    if (dash) {
        snprintf(out, 16, "%.*s", (int)strcspn(dash + 1, "-"), dash + 1);
        return;
    }
    const char *n = field(c, row, quality ? "n_clean" : "n_trigger", &other);
    snprintf(out, 16, "%.15s", n ? n : "");
}

/* Two tests at a bound: of the number, or (a ratio with an interval) of the interval's ends. */
static bd_claim_verdict judge_value(const bd_claim *c, const judgement *j) {
    size_t len = strlen(c->metric);
    int ratio = len > 6 && !strcmp(c->metric + len - 6, "_ratio") && !isnan(j->lo) && !isnan(j->hi);
    if (!ratio) return j->value >= c->at_least && j->value <= c->at_most ? BD_PASS : BD_FAIL;
    bd_verdict top =
        isinf(c->at_most) ? BD_VERDICT_PASS : bd_verdict_at_most(j->lo, j->hi, c->at_most);
    bd_verdict bottom =
        isinf(c->at_least) ? BD_VERDICT_PASS : bd_verdict_at_most(-j->hi, -j->lo, -c->at_least);
    if (top == BD_VERDICT_FAIL || bottom == BD_VERDICT_FAIL) return BD_FAIL;
    return top == BD_VERDICT_PASS && bottom == BD_VERDICT_PASS ? BD_PASS : BD_UNDERPOWERED;
}

static int judge_row(judgement *j, const bd_claim *c, const bd_csv *results, size_t row) {
    int column = 0, other;
    const char *text = field(results, row, c->metric, &column);
    memset(j, 0, sizeof *j);
    if (!text || !parse_number(&j->value, text)) return 0;
    end_of_interval(&j->lo, results, row, c->metric, "lo");
    end_of_interval(&j->hi, results, row, c->metric, "hi");
    count_of(j->n, results, row, c->metric, column);
    const char *run = field(results, row, "run", &other);
    snprintf(j->run, sizeof j->run, "%.63s", run ? run : "");
    j->margin = fmin(j->value - c->at_least, c->at_most - j->value);
    j->verdict = judge_value(c, j);
    return 1;
}

/* Is a better than b: by verdict, then by how far inside the band. */
static int better(const judgement *a, const judgement *b) {
    static const int rank[] = {[BD_PASS] = 2, [BD_UNDERPOWERED] = 1, [BD_FAIL] = 0};
    if (rank[a->verdict] != rank[b->verdict]) return rank[a->verdict] > rank[b->verdict];
    return a->margin > b->margin;
}

static bd_status judge_claim(bd_claim *c, const bd_csv *results) {
    judgement decides = {0}, j;
    int any = !strcmp(c->need, "any");
    for (size_t row = 0; row < bd_csv_rows(results); row++) {
        int match;
        BD_TRY(matches(&match, results, row, c->rows));
        if (!match) continue;
        if (!judge_row(&j, c, results, row)) {
            if (any) continue;
            c->matched = 0; /* one row that was not measured: the others cannot speak for it */
            return BD_OK;
        }
        if (!c->matched || (any ? better(&j, &decides) : better(&decides, &j))) decides = j;
        c->matched++;
    }
    if (!c->matched) return BD_OK; /* stays MISSING */
    c->value = decides.value;
    c->lo = decides.lo;
    c->hi = decides.hi;
    memcpy(c->n, decides.n, sizeof c->n);
    memcpy(c->run, decides.run, sizeof c->run);
    c->verdict = strcmp(c->kind, "report") ? decides.verdict : BD_REPORTED;
    return BD_OK;
}

/* --- the files --- */

static const char *const columns[] = {"id",     "claim",    "recipe",  "rows", "need",
                                      "metric", "at_least", "at_most", "kind"};

static bd_status read_bound(double *out, const char *text, double open) {
    *out = open;
    BD_REQUIRE(!*text || parse_number(out, text), BD_E_FORMAT, "band '%s' is not a number", text);
    return BD_OK;
}

static bd_status read_claim(bd_claim *c, const bd_csv *csv, size_t row) {
    const char *text[sizeof columns / sizeof columns[0]];
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        int col = bd_csv_find(csv, columns[i]);
        BD_REQUIRE(col >= 0, BD_E_FORMAT, "no column '%s'", columns[i]);
        text[i] = bd_csv_get(csv, row, (size_t)col);
    }
    *c = (bd_claim){.id = text[0],
                    .claim = text[1],
                    .recipe = text[2],
                    .rows = text[3],
                    .need = text[4],
                    .metric = text[5],
                    .kind = text[8],
                    .value = NAN,
                    .lo = NAN,
                    .hi = NAN,
                    .verdict = BD_MISSING};
    BD_REQUIRE(!strcmp(c->need, "any") || !strcmp(c->need, "all"), BD_E_FORMAT,
               "need '%s': any or all", c->need);
    BD_REQUIRE(!strcmp(c->kind, "gate") || !strcmp(c->kind, "report"), BD_E_FORMAT,
               "kind '%s': gate or report", c->kind);
    BD_TRY(read_bound(&c->at_least, text[6], -INFINITY));
    return read_bound(&c->at_most, text[7], INFINITY);
}

static bd_status judge_by_file(bd_claim *c, const char *results) {
    char path[1200];
    bd_csv *csv;
    int n = snprintf(path, sizeof path, "%s/%s.csv", results, c->recipe);
    BD_REQUIRE(n > 0 && (size_t)n < sizeof path, BD_E_ARG, "%s: the path is too long", results);
    bd_status st = bd_csv_load(&csv, path);
    if (st == BD_E_MISSING) return BD_OK;
    if (st) return st;
    st = judge_claim(c, csv);
    bd_csv_destroy(csv);
    return st ? bd_error_prefix(st, "%s", path) : BD_OK;
}

bd_status bd_regress(bd_regression *out, const char *expected, const char *results) {
    bd_csv *csv;
    memset(out, 0, sizeof *out);
    BD_TRY(bd_csv_load(&csv, expected));
    size_t n = bd_csv_rows(csv);
    out->csv = csv;
    out->claim = calloc(n + 1, sizeof *out->claim);
    bd_status st = out->claim ? BD_OK : bd_fail(BD_E_MEMORY, "out of memory for %zu claims", n);
    for (size_t i = 0; i < n && !st; i++) {
        st = read_claim(&out->claim[i], csv, i);
        if (!st) st = judge_by_file(&out->claim[i], results);
        if (st) st = bd_error_prefix(st, "%s: row %zu", expected, i + 1);
        out->n++;
    }
    if (st) bd_regression_clear(out);
    return st;
}

void bd_regression_clear(bd_regression *r) {
    bd_csv_destroy(r->csv);
    free(r->claim);
    memset(r, 0, sizeof *r);
}

void bd_claim_band(char out[80], const bd_claim *c) {
    char low[32] = "", high[32] = "";
    if (!isinf(c->at_least)) bd_format_double(low, c->at_least);
    if (!isinf(c->at_most)) bd_format_double(high, c->at_most);
    snprintf(out, 80, "%s .. %s", low, high);
}

static bd_status write_claim(bd_writer *w, const bd_claim *c) {
    char rows[16], value[32] = "", lo[32] = "", hi[32] = "", band[80];
    snprintf(rows, sizeof rows, "%d", c->matched);
    if (!isnan(c->value)) bd_format_double(value, c->value);
    if (!isnan(c->lo)) bd_format_double(lo, c->lo);
    if (!isnan(c->hi)) bd_format_double(hi, c->hi);
    bd_claim_band(band, c);
    const char *fields[] = {c->id, c->claim, c->recipe, c->kind,
                            rows,  value,    lo,        hi,
                            c->n,  band,     c->run,    bd_claim_verdict_name(c->verdict)};
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
    bd_status st =
        bd_writer_printf(w, "id,claim,recipe,kind,rows,value,lo,hi,n,band,run,verdict\n");
    for (int i = 0; i < r->n && !st; i++) st = write_claim(w, &r->claim[i]);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

bd_status bd_regression_status(const bd_regression *r) {
    int failed = 0, missing = 0;
    for (int i = 0; i < r->n; i++) {
        if (strcmp(r->claim[i].kind, "gate") != 0) continue;
        failed += r->claim[i].verdict == BD_FAIL;
        missing += r->claim[i].verdict == BD_MISSING;
    }
    if (!failed && !missing) return BD_OK;
    return bd_fail(BD_E_BAND, "%d claims outside their bands, %d not run", failed, missing);
}
