#include "run/relation.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that is read from front to back. */
typedef struct {
    const char *text, *at;
    bd_relation *r;
} reader;

static bd_status wrong(const reader *p, const char *want) {
    return bd_fail(BD_E_FORMAT, "'%s': at %s%.20s%s there should be %s", p->text,
                   *p->at ? "'" : "its end", p->at, *p->at ? "'" : "", want);
}

static void skip(reader *p) { p->at += strspn(p->at, " "); }

static bool take(reader *p, const char *word) {
    skip(p);
    size_t len = strlen(word);
    if (strncmp(p->at, word, len) != 0) return false;
    p->at += len;
    return true;
}

static bd_status expect(reader *p, const char *word) {
    char want[16];
    snprintf(want, sizeof want, "'%s'", word);
    return take(p, word) ? BD_OK : wrong(p, want);
}

/* strtod also knows hexadecimals, infinities and signs; a relation has no use for them. */
static bool take_number(reader *p, double *out) {
    skip(p);
    size_t digits = strspn(p->at, "0123456789.");
    if (!digits || p->at[digits] == 'x' || p->at[digits] == 'X') return false;
    char *end;
    *out = strtod(p->at, &end);
    bool good = end != p->at && isfinite(*out);
    if (good) p->at = end;
    return good;
}

static bd_status read_order(reader *p, bd_order *out) {
    static const struct {
        const char *text;
        bd_order order;
    } known[] = {{"<=", BD_LE}, {">=", BD_GE}, {"<", BD_LT}, {">", BD_GT}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        *out = known[i].order;
        if (take(p, known[i].text)) return BD_OK;
    }
    return wrong(p, "<, <=, > or >=");
}

static bd_status read_var(reader *p, int *out) {
    bd_relation_var v = {0};
    skip(p);
    if ((p->at[0] != 'a' && p->at[0] != 'b') || p->at[1] != '.')
        return wrong(p, "a.COLUMN or b.COLUMN");
    v.side = p->at[0];
    p->at += 2;
    size_t len = 0;
    while (isalnum((unsigned char)p->at[len]) || (p->at[len] && strchr("_.", p->at[len]))) len++;
    if (!len || len >= sizeof v.column) return wrong(p, "the name of a column");
    memcpy(v.column, p->at, len);
    p->at += len;
    bd_relation *r = p->r;
    for (int i = 0; i < r->n_vars; i++) {
        *out = i;
        if (r->var[i].side == v.side && !strcmp(r->var[i].column, v.column)) return BD_OK;
    }
    BD_REQUIRE(r->n_vars < BD_RELATION_VARS, BD_E_FORMAT, "'%s': more than %d columns", p->text,
               BD_RELATION_VARS);
    *out = r->n_vars;
    r->var[r->n_vars++] = v;
    return BD_OK;
}

static bd_status read_operand(reader *p, bd_operand *out) {
    *out = (bd_operand){.factor = 1, .var = -1};
    if (take_number(p, &out->factor) && !take(p, "*")) return BD_OK;
    return read_var(p, &out->var);
}

static bd_status read_condition(reader *p, bd_term *out) {
    out->summary = BD_SHARE;
    BD_TRY(read_operand(p, &out->x));
    BD_TRY(read_order(p, &out->order));
    BD_TRY(read_operand(p, &out->y));
    return out->x.var >= 0 || out->y.var >= 0 ? BD_OK : wrong(p, "a column on one side");
}

static bd_status read_term(reader *p, bd_term *out) {
    static const char *const names[] = {
        [BD_MEAN] = "mean", [BD_MIN] = "min", [BD_MAX] = "max", [BD_SHARE] = "share"};
    *out = (bd_term){.summary = BD_NUMBER, .factor = 1};
    if (take_number(p, &out->factor) && !take(p, "*")) return BD_OK;
    for (bd_summary s = BD_MEAN; s <= BD_SHARE; s++) {
        if (!take(p, names[s])) continue;
        BD_TRY(expect(p, "("));
        if (s == BD_SHARE)
            BD_TRY(read_condition(p, out));
        else
            BD_TRY(read_var(p, &out->x.var));
        out->summary = s;
        return expect(p, ")");
    }
    return wrong(p, "a number, mean(), min(), max() or share()");
}

static bd_status read_end(reader *p) {
    skip(p);
    return *p->at ? wrong(p, "nothing") : BD_OK;
}

bd_status bd_relation_parse(bd_relation *out, const char *text) {
    reader p = {text, text, out};
    memset(out, 0, sizeof *out);
    BD_TRY(read_term(&p, &out->left));
    BD_TRY(read_order(&p, &out->order));
    BD_TRY(read_term(&p, &out->right));
    BD_TRY(read_end(&p));
    BD_REQUIRE(out->n_vars > 0, BD_E_FORMAT, "'%s': two numbers, and nothing of the results", text);
    return BD_OK;
}

bd_status bd_relation_condition(bd_term *out, bd_relation *r, const char *text) {
    reader p = {text, text, r};
    *out = (bd_term){.factor = 1};
    BD_TRY(read_condition(&p, out));
    return read_end(&p);
}

static double operand(const bd_operand *o, const double *x) {
    return o->var < 0 ? o->factor : o->factor * x[o->var];
}

static bool in_order(bd_order order, double a, double b) {
    switch (order) {
    case BD_LT: return a < b;
    case BD_LE: return a <= b;
    case BD_GT: return a > b;
    default: return a >= b;
    }
}

bool bd_relation_condition_holds(const bd_term *c, const double *x) {
    return in_order(c->order, operand(&c->x, x), operand(&c->y, x));
}

static double term(const bd_term *t, const double *x, int settings, int n_vars) {
    double sum = 0, low = INFINITY, high = -INFINITY;
    if (t->summary == BD_NUMBER) return t->factor;
    for (int i = 0; i < settings; i++) {
        const double *row = x + (size_t)i * (size_t)n_vars;
        double v = t->summary == BD_SHARE ? bd_relation_condition_holds(t, row) : row[t->x.var];
        sum += v;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    double value = t->summary == BD_MIN ? low : t->summary == BD_MAX ? high : sum / settings;
    return t->factor * value;
}

double bd_relation_margin(double *left, double *right, const bd_relation *r, const double *x,
                          int settings) {
    *left = term(&r->left, x, settings, r->n_vars);
    *right = term(&r->right, x, settings, r->n_vars);
    return r->order == BD_LT || r->order == BD_LE ? *right - *left : *left - *right;
}

bool bd_relation_strict(const bd_relation *r) { return r->order == BD_LT || r->order == BD_GT; }
