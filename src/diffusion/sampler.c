#include "diffusion/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_impl.h"

typedef struct {
    const char *name;
    int default_steps; /* 0 = T */
    const char *help;
    bd_status (*plan)(bd_sampler_plan *, const bd_sampler_spec *, const bd_schedule *);
} sampler;

static const sampler samplers[] = {
#define BD_SAMPLER(name, default_steps, help) {#name, default_steps, help, bd_sampler_plan_##name},
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

bd_status bd_clip_parse(bd_clip *out, const char *text) {
    int i = 0;
    BD_TRY(parse(&i, "clip", text, clip_names, COUNT(clip_names)));
    *out = (bd_clip)i;
    return BD_OK;
}

bd_status bd_variance_parse(bd_variance *out, const char *text) {
    int i = 0;
    BD_TRY(parse(&i, "variance", text, variance_names, COUNT(variance_names)));
    *out = (bd_variance)i;
    return BD_OK;
}

const char *bd_clip_name(bd_clip c) { return clip_names[c]; }

const char *bd_variance_name(bd_variance v) { return variance_names[v]; }

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

/* Find the sampler, fill in its default number of steps, check the rest. */
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
    BD_REQUIRE((unsigned)spec->clip < (unsigned)COUNT(clip_names), BD_E_ARG,
               "sampler %s: clip %d is not one of bd_clip", spec->name, (int)spec->clip);
    BD_REQUIRE((unsigned)spec->variance < (unsigned)COUNT(variance_names), BD_E_ARG,
               "sampler %s: variance %d is not one of bd_variance", spec->name,
               (int)spec->variance);
    BD_REQUIRE(isfinite(spec->eta) && spec->eta >= 0, BD_E_ARG,
               "sampler %s: eta = %g, but it has to be a number >= 0", spec->name, spec->eta);
    BD_REQUIRE(spec->eta == 0 || strcmp(spec->name, "ddim") == 0, BD_E_ARG,
               "sampler %s: eta = %g, but only ddim has an eta; set it to 0", spec->name,
               spec->eta);
    return BD_OK;
}

bd_status bd_sampler_plan_alloc(bd_sampler_plan *plan, int n) {
    plan->eval = calloc((size_t)n, sizeof *plan->eval);
    BD_REQUIRE(plan->eval, BD_E_MEMORY, "sampler: no memory for %d network evaluations", n);
    plan->n = n;
    return BD_OK;
}

bd_status bd_sampler_plan_create(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                                 const bd_schedule *s) {
    const sampler *kind = NULL;
    bd_sampler_spec full;
    *plan = (bd_sampler_plan){0};
    BD_TRY(resolve(&kind, &full, spec, s->T));
    bd_status st = kind->plan(plan, &full, s);
    if (st) bd_sampler_plan_clear(plan);
    return st;
}

void bd_sampler_plan_clear(bd_sampler_plan *plan) {
    free(plan->eval);
    *plan = (bd_sampler_plan){0};
}

static double clamp1(double v) { return v < -1 ? -1 : v > 1 ? 1 : v; }

void bd_sampler_apply(double *y, const double *x, const double *e, const double *z, size_t n,
                      const double coef[BD_SAMPLER_COEFS]) {
    for (size_t i = 0; i < n; i++) {
        double x0 = coef[BD_COEF_X0_X] * x[i] + coef[BD_COEF_X0_E] * e[i];
        if (coef[BD_COEF_CLIP_X0] != 0) x0 = clamp1(x0);
        double next = coef[BD_COEF_X] * x[i] + coef[BD_COEF_E] * e[i] + coef[BD_COEF_X0] * x0;
        if (coef[BD_COEF_Z] != 0) next += coef[BD_COEF_Z] * z[i];
        y[i] = coef[BD_COEF_CLIP_X] != 0 ? clamp1(next) : next;
    }
}

bd_status bd_sampler_label(char *out, size_t size, const bd_sampler_spec *spec, int T) {
    const sampler *kind = NULL;
    bd_sampler_spec full;
    char eta[32] = "";
    BD_TRY(resolve(&kind, &full, spec, T));
    if (full.eta > 0) snprintf(eta, sizeof eta, "-eta%g", full.eta);
    int n = snprintf(out, size, "%s-%d%s%s%s%s%s", full.name, full.steps,
                     strcmp(full.name, "ddpm") == 0 ? "-" : "",
                     strcmp(full.name, "ddpm") == 0 ? variance_names[full.variance] : "", eta,
                     full.clip == BD_CLIP_NONE ? "" : "-clip_",
                     full.clip == BD_CLIP_NONE ? "" : clip_names[full.clip]);
    BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG,
               "sampler label: %d characters do not fit into %zu", n, size);
    return BD_OK;
}
