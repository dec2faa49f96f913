#include "diffusion/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_impl.h"

typedef struct {
    const char *name;
    int default_steps; /* 0 = T */
    int max_order;     /* 0 = no order */
    bd_spacing spacing;
    const char *help;
    bd_status (*plan)(bd_sampler_plan *, const bd_sampler_spec *, const bd_schedule *);
} sampler;

static const sampler samplers[] = {
#define BD_SAMPLER(id, name, default_steps, max_order, spacing, help) \
    {name, default_steps, max_order, BD_SPACING_##spacing, help, bd_sampler_plan_##id},
#include "diffusion/samplers.def"
#undef BD_SAMPLER
};

static const char *const clip_names[] = {
    [BD_CLIP_NONE] = "none",
    [BD_CLIP_X0] = "x0",
    [BD_CLIP_XT] = "xt",
};

static const char *const variance_names[] = {
    [BD_VARIANCE_FIXED_SMALL] = "fixed_small",
    [BD_VARIANCE_FIXED_LARGE] = "fixed_large",
};

static const char *const spacing_names[] = {
    [BD_SPACING_OWN] = "own",
    [BD_SPACING_LEADING] = "leading",
    [BD_SPACING_LINSPACE] = "linspace",
    [BD_SPACING_TRAILING] = "trailing",
};

static const char *const final_names[] = {
    [BD_FINAL_SIGMA_MIN] = "sigma_min",
    [BD_FINAL_ZERO] = "zero",
};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* What to say about an unknown word: all that are known. */
static bd_status fail_unknown(const char *what, const char *text, const char *const *names, int n) {
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    return bd_fail(BD_E_ARG, "unknown %s \"%s\"; known: %s", what, text ? text : "", list);
}

static bd_status parse(int *out, const char *what, const char *text, const char *const *names,
                       int n) {
    for (int i = 0; text && i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return BD_OK;
        }
    }
    return fail_unknown(what, text, names, n);
}

/* bd_<what>_parse and bd_<what>_name */
#define NAMED(what)                                                        \
    bd_status bd_##what##_parse(bd_##what *out, const char *text) {        \
        int i = 0;                                                         \
        BD_TRY(parse(&i, #what, text, what##_names, COUNT(what##_names))); \
        *out = (bd_##what)i;                                               \
        return BD_OK;                                                      \
    }                                                                      \
    const char *bd_##what##_name(bd_##what v) { return what##_names[v]; }
NAMED(clip)
NAMED(variance)
NAMED(spacing)
NAMED(final)
#undef NAMED

const char *bd_sampler_names(void) {
#define BD_SAMPLER(id, name, default_steps, max_order, spacing, help) ", " name
    static const char names[] =
#include "diffusion/samplers.def"
        ;
#undef BD_SAMPLER
    return names + 2;
}

const char *bd_sampler_at(int i, const char **help) {
    if (i < 0 || i >= COUNT(samplers)) return NULL;
    if (help) *help = samplers[i].help;
    return samplers[i].name;
}

static bd_status find(const sampler **out, const char *name) {
    const char *names[COUNT(samplers)];
    int i = 0;
    for (int k = 0; k < COUNT(samplers); k++) names[k] = samplers[k].name;
    BD_TRY(parse(&i, "sampler", name, names, COUNT(samplers)));
    *out = &samplers[i];
    return BD_OK;
}

int bd_sampler_max_order(const char *name) {
    for (int k = 0; k < COUNT(samplers); k++)
        if (strcmp(samplers[k].name, name) == 0) return samplers[k].max_order;
    return 0;
}

/* Are the enums of a spec among their names? */
static bd_status check_enums(const bd_sampler_spec *spec) {
    const struct {
        const char *what;
        int value, count;
    } all[] = {{"clip", (int)spec->clip, COUNT(clip_names)},
               {"variance", (int)spec->variance, COUNT(variance_names)},
               {"spacing", (int)spec->spacing, COUNT(spacing_names)},
               {"final", (int)spec->final, COUNT(final_names)}};
    for (int i = 0; i < COUNT(all); i++)
        BD_REQUIRE(all[i].value >= 0 && all[i].value < all[i].count, BD_E_ARG,
                   "sampler %s: %s %d is not one of bd_%s", spec->name, all[i].what, all[i].value,
                   all[i].what);
    return BD_OK;
}

/* Settings that a sampler has not. */
static bd_status check_settings(const bd_sampler_spec *spec, const sampler *kind) {
    BD_REQUIRE(isfinite(spec->eta) && spec->eta >= 0, BD_E_ARG,
               "sampler %s: eta = %g, but it has to be a number >= 0", spec->name, spec->eta);
    BD_REQUIRE(spec->eta == 0 || strcmp(spec->name, "ddim") == 0, BD_E_ARG,
               "sampler %s: eta = %g, but only ddim has an eta; set it to 0", spec->name,
               spec->eta);
    BD_REQUIRE(spec->order >= 0 && spec->order <= kind->max_order, BD_E_ARG,
               kind->max_order ? "sampler %s: order %d, but it has 1 to %d; 0 takes 2"
                               : "sampler %s: order %d, but it has none; set it to %d",
               spec->name, spec->order, kind->max_order);
    BD_REQUIRE(spec->final == BD_FINAL_SIGMA_MIN || kind->max_order, BD_E_ARG,
               "sampler %s: final zero, but it has one way to end; set it to sigma_min",
               spec->name);
    return BD_OK;
}

/* Find the sampler, fill in what is left to it, check the rest. */
static bd_status resolve(const sampler **kind, bd_sampler_spec *full, const bd_sampler_spec *spec,
                         int T) {
    BD_TRY(find(kind, spec->name));
    *full = *spec;
    if (full->steps == 0) {
        int steps = (*kind)->default_steps;
        full->steps = steps == 0 || steps > T ? T : steps;
    }
    BD_REQUIRE(full->steps >= 1 && full->steps <= T, BD_E_ARG,
               "sampler %s: %d steps, but the schedule allows 1 to %d", spec->name, spec->steps, T);
    BD_REQUIRE(spec->start >= 0 && spec->start < 1 && bd_sampler_skip(full) < full->steps, BD_E_ARG,
               "sampler %s: start = %g leaves none of %d steps; it is a share, 0 to below 1",
               spec->name, spec->start, full->steps);
    BD_TRY(check_enums(spec));
    BD_TRY(check_settings(spec, *kind));
    if (full->order == 0 && (*kind)->max_order) full->order = 2;
    if (full->spacing == BD_SPACING_OWN) full->spacing = (*kind)->spacing;
    return BD_OK;
}

bd_status bd_sampler_plan_alloc(bd_sampler_plan *plan, int n, int history) {
    plan->eval = calloc((size_t)n, sizeof *plan->eval);
    BD_REQUIRE(plan->eval, BD_E_MEMORY, "sampler: no memory for %d network evaluations", n);
    plan->n = n;
    plan->history = history;
    plan->start_scale = 1;
    return BD_OK;
}

double *bd_sampler_row(bd_sampler_eval *eval, int slot) {
    return eval->coef + BD_COEF_ROWS + (size_t)(1 + slot) * BD_COLS;
}

void bd_sampler_x0(bd_sampler_eval *eval, double a, double s, bd_clip clip) {
    eval->coef[BD_COEF_X0_X] = 1 / a;
    eval->coef[BD_COEF_X0_E] = -s / a;
    eval->coef[BD_COEF_CLIP_X0] = clip == BD_CLIP_X0;
    eval->coef[BD_COEF_CLIP_X] = clip == BD_CLIP_XT;
}

void bd_sampler_put_e(double *row, double k, double a, double s, bd_clip clip) {
    if (clip != BD_CLIP_X0) {
        row[BD_COL_E] += k;
        return;
    }
    row[BD_COL_X] += k / s;
    row[BD_COL_X0] -= k * a / s;
}

bd_status bd_sampler_plan_create(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                                 const bd_schedule *s) {
    const sampler *kind = NULL;
    bd_sampler_spec full;
    *plan = (bd_sampler_plan){0};
    BD_TRY(resolve(&kind, &full, spec, s->T));
    bd_status st = kind->plan(plan, &full, s);
    if (st) {
        bd_sampler_plan_clear(plan);
        return st;
    }
    const double *first = plan->eval[0].coef; /* x0 = (x - noise e) / keep */
    plan->keep = 1 / first[BD_COEF_X0_X];
    plan->noise = -first[BD_COEF_X0_E] * plan->keep;
    plan->skipped = bd_sampler_skip(&full);
    if (plan->skipped > 0)
        plan->start_scale = 1; /* the image comes noised as far as it has to be */
    return BD_OK;
}

void bd_sampler_plan_clear(bd_sampler_plan *plan) {
    free(plan->eval);
    *plan = (bd_sampler_plan){0};
}

static double clamp1(double v) { return v < -1 ? -1 : v > 1 ? 1 : v; }

/* The sum of a row; *any: does it have a term at all? */
static double row_sum(bool *any, const double *row, const double *term) {
    double sum = 0;
    *any = false;
    for (int j = 0; j < BD_COLS; j++) {
        if (row[j] == 0) continue;
        sum += row[j] * term[j];
        *any = true;
    }
    return sum;
}

void bd_sampler_apply(double *x, double *h, const double *e, const double *z, size_t n,
                      const double coef[BD_SAMPLER_COEFS]) {
    const double *rows = coef + BD_COEF_ROWS;
    for (size_t i = 0; i < n; i++) {
        double x0 = coef[BD_COEF_X0_X] * x[i] + coef[BD_COEF_X0_E] * e[i];
        if (coef[BD_COEF_CLIP_X0] != 0) x0 = clamp1(x0);
        double term[BD_COLS] = {x[i], e[i], x0}, next[1 + BD_SAMPLER_HISTORY];
        bool any[1 + BD_SAMPLER_HISTORY];
        for (int k = 0; h && k < BD_SAMPLER_HISTORY; k++) term[BD_COL_H + k] = h[(size_t)k * n + i];
        if (z) term[BD_COL_Z] = z[i];
        for (int r = 0; r <= BD_SAMPLER_HISTORY; r++)
            next[r] = row_sum(&any[r], rows + (size_t)r * BD_COLS, term);
        x[i] = coef[BD_COEF_CLIP_X] != 0 ? clamp1(next[0]) : next[0];
        for (int k = 0; k < BD_SAMPLER_HISTORY; k++)
            if (any[1 + k]) h[(size_t)k * n + i] = next[1 + k];
    }
}

bd_status bd_sampler_label(char *out, size_t size, const bd_sampler_spec *spec, int T) {
    const sampler *kind = NULL;
    bd_sampler_spec full;
    char eta[32] = "", order[32] = "", from[32] = "", part[6][32];
    BD_TRY(resolve(&kind, &full, spec, T));
    if (full.eta > 0) snprintf(eta, sizeof eta, "-eta%g", full.eta);
    if (full.order > 0) snprintf(order, sizeof order, "-order%d", full.order);
    if (full.start > 0) snprintf(from, sizeof from, "from%d", bd_sampler_skip(&full));
    bool ddpm = strcmp(full.name, "ddpm") == 0;
    const struct {
        bool shown;
        const char *text;
    } parts[] = {{ddpm, variance_names[full.variance]},
                 {full.spacing != kind->spacing, spacing_names[full.spacing]},
                 {full.final == BD_FINAL_ZERO, "to_zero"},
                 {bd_sampler_skip(&full) > 0, from},
                 {full.clip == BD_CLIP_X0, "clip_x0"},
                 {full.clip == BD_CLIP_XT, "clip_xt"}};
    for (int i = 0; i < COUNT(parts); i++)
        snprintf(part[i], sizeof part[i], "%s%s", parts[i].shown ? "-" : "",
                 parts[i].shown ? parts[i].text : "");
    int n = snprintf(out, size, "%s-%d%s%s%s%s%s%s%s%s", full.name, full.steps, part[0], order, eta,
                     part[1], part[2], part[3], part[4], part[5]);
    BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG,
               "sampler label: %d characters do not fit into %zu", n, size);
    return BD_OK;
}
