#include "run/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/inference.h"

static const double confidence = 0.95;

const char *bd_outcome_name(bd_outcome o) {
    static const char *const names[] = {[BD_PASS] = "PASS",
                                        [BD_FAIL] = "FAIL",
                                        [BD_UNDERPOWERED] = "UNDERPOWERED",
                                        [BD_REPORTED] = "REPORTED",
                                        [BD_MISSING] = "MISSING",
                                        [BD_IDENTICAL] = "IDENTICAL",
                                        [BD_REPRODUCED] = "REPRODUCED",
                                        [BD_CONSISTENT] = "CONSISTENT",
                                        [BD_DEVIATES] = "DEVIATES",
                                        [BD_NOT_COMPARABLE] = "NOT COMPARABLE",
                                        [BD_NO_PAPER_VALUE] = "NO PAPER VALUE",
                                        [BD_HOLDS] = "HOLDS",
                                        [BD_DOES_NOT_HOLD] = "DOES NOT HOLD",
                                        [BD_NOT_TESTED] = "NOT TESTED"};
    return names[o];
}

/* --- one number --- */

static double to_scale(bd_scale s, double x) {
    return s == BD_SCALE_LOG10 ? log10(fmax(x, BD_MSE_FLOOR)) : x;
}

static double from_scale(bd_scale s, double x) { return s == BD_SCALE_LOG10 ? pow(10, x) : x; }

/* Distance on the scale from `centre` to the nearest number that is printed as the paper's is. */
static double distance(const bd_paper_number *p, double value, double centre) {
    double lo = to_scale(p->scale, value - p->half_unit);
    double hi = to_scale(p->scale, value + p->half_unit);
    return fmax(0, fmax(lo - centre, centre - hi));
}

static double t_test(double d, double error, int seeds) {
    if (d <= 0) return 1;
    return error > 0 ? bd_student_p(d / error, seeds - 1) : 0;
}

/* Of a rate: both what n samples leave open and what seeds do have to speak against it. */
static double rate_p(const bd_paper_number *p, double value, const bd_comparison *c, double error) {
    double near = fmin(fmax(c->ours, value - p->half_unit), value + p->half_unit);
    double counts = bd_newcombe_p(c->ours, p->n * c->seeds, fmin(fmax(near, 0), 1), p->n * p->runs);
    return fmax(counts, t_test(distance(p, value, c->ours), error, c->seeds));
}

/* The rate farthest from ours on the way to `end` that is not outside. */
static double rate_end(const bd_paper_number *p, const bd_comparison *c, double error, double end) {
    double in = c->ours, out = end;
    if (rate_p(p, end, c, error) >= 1 - confidence) return end;
    for (int i = 0; i < 60; i++) { /* to the last bits */
        double mid = (in + out) / 2;
        if (rate_p(p, mid, c, error) >= 1 - confidence) {
            in = mid;
        } else {
            out = mid;
        }
    }
    return in;
}

static double mean(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

/* Spread of the seeds on the scale. */
static double spread(bd_scale scale, const double *ours, int seeds) {
    double sum = 0, squares = 0;
    for (int i = 0; i < seeds; i++) sum += to_scale(scale, ours[i]);
    for (int i = 0; i < seeds; i++) {
        double d = to_scale(scale, ours[i]) - sum / seeds;
        squares += d * d;
    }
    return sqrt(squares / (seeds - 1));
}

void bd_compare(bd_comparison *out, const bd_paper_number *paper, const double *ours, int seeds) {
    *out =
        (bd_comparison){.seeds = seeds, .ours = NAN, .lo = NAN, .hi = NAN, .half = NAN, .p = NAN};
    if (seeds < 1) return;
    out->ours = mean(ours, seeds);
    if (seeds < 2) return;
    /* of an MSE: the logarithm of the mean, not the mean of logarithms; the paper averaged as we do */
    double centre = to_scale(paper->scale, out->ours);
    double error = spread(paper->scale, ours, seeds) * sqrt(1.0 / seeds + 1.0 / paper->runs);
    if (paper->scale == BD_SCALE_RATE) {
        out->lo = rate_end(paper, out, error, 0);
        out->hi = rate_end(paper, out, error, 1);
        if (!isnan(paper->value)) out->p = rate_p(paper, paper->value, out, error);
    } else {
        double reach = bd_student_quantile((1 + confidence) / 2, seeds - 1) * error;
        out->lo = from_scale(paper->scale, centre - reach) - paper->half_unit;
        out->hi = from_scale(paper->scale, centre + reach) + paper->half_unit;
        if (!isnan(paper->value))
            out->p = t_test(distance(paper, paper->value, centre), error, seeds);
    }
    out->half = (to_scale(paper->scale, out->hi) - to_scale(paper->scale, out->lo)) / 2;
}

bd_outcome bd_compare_outcome(const bd_paper_number *paper, const bd_comparison *c,
                              double p_adjusted) {
    if (isnan(paper->value)) return BD_NO_PAPER_VALUE;
    if (c->seeds < 1) return BD_MISSING;
    if (c->seeds < 2) return BD_UNDERPOWERED;
    if (p_adjusted < 1 - confidence) return BD_DEVIATES;
    if (!(c->half <= paper->effect)) return BD_UNDERPOWERED;
    return paper->secondary || c->p < 1 - confidence ? BD_CONSISTENT : BD_REPRODUCED;
}

bd_status bd_half_unit(double *out, const char *printed) {
    char *end;
    double value = strtod(printed, &end);
    const char *rest = printed + (*printed == '-');
    rest += strspn(rest, "0123456789.");
    BD_REQUIRE(end != printed && !*end && isfinite(value) && (!*rest || strchr("eE", *rest)),
               BD_E_FORMAT, "'%s' is not a number; write it with the digits that are printed",
               printed);
    const char *point = strchr(printed, '.'), *power = strpbrk(printed, "eE");
    int decimals = point ? (int)strspn(point + 1, "0123456789") : 0;
    int exponent = power ? (int)strtol(power + 1, NULL, 10) : 0;
    *out = 0.5 * pow(10, exponent - decimals);
    return BD_OK;
}

/* --- one claim --- */

bd_outcome bd_claim_outcome(double *lo, double *hi, double margin, bool strict,
                            const double *margins, int seeds) {
    double from = margin, to = margin;
    *lo = *hi = NAN;
    if (seeds >= 2) {
        double reach = bd_student_quantile((1 + confidence) / 2, seeds - 1) *
                       spread(BD_SCALE_LINEAR, margins, seeds) / sqrt(seeds);
        *lo = from = margin - reach;
        *hi = to = margin + reach;
    }
    if (strict ? from > 0 : from >= 0) return BD_HOLDS;
    if (strict ? to <= 0 : to < 0) return BD_DOES_NOT_HOLD;
    return BD_UNDERPOWERED;
}
