/* pndm -- pseudo numerical method (F-PNDM): three Runge-Kutta steps, then linear multistep of order 4.
 *     T_k the N timesteps, r = T div N, half = r div 2 (with an odd r the start lands one timestep beside the next
 *     call, and with a spacing other than leading t - r is not the next timestep: so does diffusers)
 *     transfer   phi(x, u, t -> p) = sqrt(abar_p/abar_t) x
 *                    - (abar_p - abar_t) u / (abar_t sqrt(1-abar_p) + sqrt(abar_t (1-abar_t) abar_p)),
 *                abar_p = abar_0 for p < 0
 *     start      three times four calls at t, t-half, t-half, t-r: u = e each time but the last, where
 *                u = (e_1 + 2 e_2 + 2 e_3 + e_4)/6;  x' = phi(X, u, t -> where the next call is), X the x at t
 *     then       u = (55 e_0 - 59 e_1 + 37 e_2 - 9 e_3)/24, x' = phi(x, u, t -> t - r)
 *   source   Liu et al. 2022, arXiv:2202.09778, algorithm 2; timesteps as diffusers (skip_prk_steps false) */
#include <math.h>
#include <stdlib.h>

#include "diffusion/sampler_impl.h"

enum { START = 12, LARGEST = 4, SLOT_SUM = 3, SLOT_X = 4 };

/* Coefficients of x and u in phi. */
static void transfer(double *x, double *u, const bd_schedule *s, int t, int p) {
    double at = bd_schedule_abar(s, t), ap = bd_schedule_abar(s, p < 0 ? 0 : p);
    *x = sqrt(ap / at);
    *u = -(ap - at) / (at * sqrt(1 - ap) + sqrt(at * (1 - at) * ap));
}

static void begin(bd_sampler_eval *eval, double *a, double *sd, const bd_schedule *s, int t,
                  bd_clip clip) {
    double abar = bd_schedule_abar(s, t);
    *a = sqrt(abar);
    *sd = sqrt(1 - abar);
    eval->timestep = t;
    bd_sampler_x0(eval, *a, *sd, clip);
}

/* The calls of the start, from the LARGEST largest timesteps t[0] > t[1] ...: each is visited with a point half a
 * stride above the next, all but the ends twice. */
static void start_timesteps(int out[START], const double *t, int half) {
    int once[2 * LARGEST - 1];
    for (int k = 0; k < LARGEST; k++) {
        once[2 * k] = (int)t[k];
        if (k + 1 < LARGEST) once[2 * k + 1] = (int)t[k + 1] + half;
    }
    for (int c = 0; c < START; c++) out[c] = once[(c + 1) / 2];
}

static void start(bd_sampler_eval *eval, const bd_schedule *s, const int *t, int c, int half,
                  bd_clip clip) {
    double a, sd, kx, ku, sixths = c % 4 == 0 || c % 4 == 3 ? 1 : 2;
    double *x = bd_sampler_row(eval, -1), *sum = bd_sampler_row(eval, SLOT_SUM);
    begin(eval, &a, &sd, s, t[c], clip);
    transfer(&kx, &ku, s, t[c / 4 * 4], t[c] - (c % 2 ? 0 : half));
    x[c % 4 == 0 ? BD_COL_X : BD_COL_H + SLOT_X] = kx;
    if (c % 4 == 3) {
        x[BD_COL_H + SLOT_SUM] = ku;
        bd_sampler_put_e(x, ku / 6, a, sd, clip);
        return;
    }
    bd_sampler_put_e(x, ku, a, sd, clip);
    bd_sampler_put_e(sum, sixths / 6, a, sd, clip);
    if (c % 4) {
        sum[BD_COL_H + SLOT_SUM] = 1;
        return;
    }
    bd_sampler_row(eval, SLOT_X)[BD_COL_X] = 1;
    bd_sampler_put_e(bd_sampler_row(eval, c / 4), 1, a, sd, clip);
}

/* Call k of the multistep part: slots 0, 1, 2 hold the last three e, the oldest in slot k mod 3. */
static void multistep(bd_sampler_eval *eval, const bd_schedule *s, int t, int k, int stride,
                      bd_clip clip) {
    double a, sd, kx, ku, *x = bd_sampler_row(eval, -1);
    begin(eval, &a, &sd, s, t, clip);
    transfer(&kx, &ku, s, t, t - stride);
    x[BD_COL_X] = kx;
    bd_sampler_put_e(x, ku * 55 / 24, a, sd, clip);
    x[BD_COL_H + (k + 2) % 3] = ku * -59 / 24;
    x[BD_COL_H + (k + 1) % 3] = ku * 37 / 24;
    x[BD_COL_H + k % 3] = ku * -9 / 24;
    bd_sampler_put_e(bd_sampler_row(eval, k % 3), 1, a, sd, clip);
}

bd_status bd_sampler_plan_pndm(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int n = spec->steps - bd_sampler_skip(spec), stride = s->T / spec->steps, half = stride / 2;
    int first[START];
    BD_REQUIRE(n >= LARGEST, BD_E_ARG, "sampler pndm: %d steps, at least %d are needed", n,
               LARGEST);
    double *t = malloc((size_t)n * sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "sampler: no memory for %d steps", n);
    bd_status st;
    BD_TRY_TO(done, st, bd_sampler_timesteps(t, spec, s->T, false));
    BD_TRY_TO(done, st, bd_sampler_plan_alloc(plan, START + n - (LARGEST - 1), SLOT_X + 1));
    start_timesteps(first, t, half);
    for (int c = 0; c < START; c++) start(&plan->eval[c], s, first, c, half, spec->clip);
    for (int k = 0; k < n - (LARGEST - 1); k++)
        multistep(&plan->eval[START + k], s, (int)t[LARGEST - 1 + k], k, stride, spec->clip);
done:
    free(t);
    return st;
}
