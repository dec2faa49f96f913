#include "diffusion/schedule.h"

#include <assert.h>
#include <stdlib.h>

/* The paper's schedule, for PAPER_T steps. */
#define PAPER_T 1000
#define PAPER_BETA_START 1e-4
#define PAPER_BETA_END 0.02

bd_status bd_schedule_linear(bd_schedule *s, int T, double beta_start, double beta_end) {
    BD_REQUIRE(T >= 2, BD_E_ARG, "schedule: T = %d timesteps, at least 2 are needed", T);
    BD_REQUIRE(beta_start > 0 && beta_start <= beta_end && beta_end < 1, BD_E_ARG,
               "schedule: beta from %g to %g, but 0 < start <= end < 1 is needed", beta_start,
               beta_end);
    double *table = malloc(3 * (size_t)T * sizeof *table);
    BD_REQUIRE(table, BD_E_MEMORY, "schedule: no memory for %d timesteps", T);
    *s = (bd_schedule){
        .T = T,
        .beta_start = beta_start,
        .beta_end = beta_end,
        .beta = table,
        .alpha = table + T,
        .abar = table + 2 * (size_t)T,
    };
    double product = 1;
    for (int t = 0; t < T; t++) {
        s->beta[t] = beta_start + (beta_end - beta_start) * t / (T - 1);
        s->alpha[t] = 1 - s->beta[t];
        product *= s->alpha[t];
        s->abar[t] = product;
    }
    return BD_OK;
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
