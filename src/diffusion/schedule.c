#include "diffusion/schedule.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The paper's schedule, for PAPER_T steps. */
#define PAPER_T 1000
#define PAPER_BETA_START 1e-4
#define PAPER_BETA_END 0.02

static bd_status allocate(bd_schedule *s, int T) {
    BD_REQUIRE(T >= 2, BD_E_ARG, "schedule: T = %d timesteps, at least 2 are needed", T);
    double *table = malloc(3 * (size_t)T * sizeof *table);
    BD_REQUIRE(table, BD_E_MEMORY, "schedule: no memory for %d timesteps", T);
    *s = (bd_schedule){.T = T, .beta = table, .alpha = table + T, .abar = table + 2 * (size_t)T};
    return BD_OK;
}

/* The rest of the tables from beta. */
static bd_status complete(bd_schedule *s) {
    double product = 1;
    for (int t = 0; t < s->T; t++) {
        s->alpha[t] = 1 - s->beta[t];
        product *= s->alpha[t];
        s->abar[t] = product;
        if (product >= 1e-200) continue;
        bd_schedule_clear(s);
        return bd_fail(BD_E_ARG,
                       "schedule: nothing of the image is left at timestep %d; take smaller betas",
                       t);
    }
    return BD_OK;
}

static bd_status check_range(double beta_start, double beta_end) {
    BD_REQUIRE(beta_start > 0 && beta_start <= beta_end && beta_end < 1, BD_E_ARG,
               "schedule: beta from %g to %g, but 0 < start <= end < 1 is needed", beta_start,
               beta_end);
    return BD_OK;
}

bd_status bd_schedule_linear(bd_schedule *s, int T, double beta_start, double beta_end) {
    BD_TRY(check_range(beta_start, beta_end));
    BD_TRY(allocate(s, T));
    s->beta_start = beta_start;
    s->beta_end = beta_end;
    for (int t = 0; t < T; t++) s->beta[t] = beta_start + (beta_end - beta_start) * t / (T - 1);
    return complete(s);
}

static bd_status scaled_linear(bd_schedule *s, int T, double beta_start, double beta_end) {
    BD_TRY(check_range(beta_start, beta_end));
    BD_TRY(allocate(s, T));
    s->beta_start = beta_start;
    s->beta_end = beta_end;
    double first = sqrt(beta_start), last = sqrt(beta_end);
    for (int t = 0; t < T; t++) {
        double root = first + (last - first) * t / (T - 1);
        s->beta[t] = root * root;
    }
    return complete(s);
}

static double cosine_abar(double u) {
    const double shift = 0.008, half_pi = 1.57079632679489661923;
    double c = cos((u + shift) / (1 + shift) * half_pi);
    return c * c;
}

static bd_status squared_cosine(bd_schedule *s, int T, double beta_start, double beta_end) {
    const double cap = 0.999;
    (void)beta_start, (void)beta_end;
    BD_TRY(allocate(s, T));
    for (int t = 0; t < T; t++)
        s->beta[t] = fmin(1 - cosine_abar((t + 1.0) / T) / cosine_abar((double)t / T), cap);
    s->beta_start = s->beta[0];
    s->beta_end = s->beta[T - 1];
    return complete(s);
}

static const struct {
    const char *name;
    bd_status (*make)(bd_schedule *s, int T, double beta_start, double beta_end);
} kinds[] = {{"linear", bd_schedule_linear},
             {"scaled_linear", scaled_linear},
             {"squaredcos_cap_v2", squared_cosine}};

bool bd_schedule_kind(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return true;
    return false;
}

bd_status bd_schedule_create(bd_schedule *s, const char *kind, int T, double beta_start,
                             double beta_end) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0) return kinds[i].make(s, T, beta_start, beta_end);
    return bd_fail(BD_E_ARG, "schedule: %s; linear, scaled_linear and squaredcos_cap_v2 are known",
                   kind);
}

bd_status bd_schedule_from_betas(bd_schedule *s, const double *beta, int T) {
    for (int t = 0; t < T; t++)
        BD_REQUIRE(beta[t] > 0 && beta[t] < 1, BD_E_ARG,
                   "schedule: beta[%d] = %g; must lie between 0 and 1", t, beta[t]);
    BD_TRY(allocate(s, T));
    memcpy(s->beta, beta, (size_t)T * sizeof *beta);
    s->beta_start = beta[0];
    s->beta_end = beta[T - 1];
    return complete(s);
}

bd_status bd_schedule_scaled(bd_schedule *s, int T) {
    BD_REQUIRE(T > PAPER_T * PAPER_BETA_END, BD_E_ARG,
               "schedule: T = %d timesteps, but (%d/T) * %g has to stay below 1: take T > %g", T,
               PAPER_T, PAPER_BETA_END, PAPER_T * PAPER_BETA_END);
    double scale = (double)PAPER_T / T;
    return bd_schedule_linear(s, T, scale * PAPER_BETA_START, scale * PAPER_BETA_END);
}

void bd_schedule_clear(bd_schedule *s) {
    free(s->beta);
    *s = (bd_schedule){0};
}

double bd_schedule_abar(const bd_schedule *s, int t) {
    assert(t < s->T);
    return t < 0 ? 1.0 : s->abar[t];
}
