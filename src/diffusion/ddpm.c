/* ddpm -- ancestral sampling.
 *     timesteps t = (N-1) r, ..., r, 0 with r = T div N, or another spacing;  p the next of them,
 *     after the last abar_p = 1
 *     alpha = abar_t / abar_p,  beta = 1 - alpha
 *     x0 = (x - sqrt(1-abar_t) e) / sqrt(abar_t)
 *     x' = sqrt(abar_p) beta / (1-abar_t) x0 + sqrt(alpha) (1-abar_p) / (1-abar_t) x + sqrt(V) z
 *     V  = beta (1-abar_p) / (1-abar_t), at least 1e-20 (fixed_small), or beta (fixed_large); none at t = 0
 *   source   Ho et al. 2020, arXiv:2006.11239, eqs 6, 7 and algorithm 2; fewer steps than T as
 *            Nichol & Dhariwal 2021, arXiv:2102.09672, section 4 */
#include <math.h>
#include <stdlib.h>

#include "diffusion/sampler_impl.h"

#define MIN_VARIANCE 1e-20

static void fill(bd_sampler_eval *eval, double t, double abar, double abar_prev,
                 const bd_sampler_spec *spec) {
    double alpha = abar / abar_prev, beta = 1 - alpha, rest = (1 - abar_prev) / (1 - abar);
    double variance = beta;
    if (spec->variance == BD_VARIANCE_FIXED_SMALL) variance = fmax(rest * beta, MIN_VARIANCE);
    eval->timestep = t;
    bd_sampler_x0(eval, sqrt(abar), sqrt(1 - abar), spec->clip);
    eval->coef[BD_COEF_X0] = sqrt(abar_prev) * beta / (1 - abar);
    eval->coef[BD_COEF_X] = sqrt(alpha) * rest;
    eval->coef[BD_COEF_Z] = t > 0 ? sqrt(variance) : 0;
}

bd_status bd_sampler_plan_ddpm(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int n = spec->steps - bd_sampler_skip(spec);
    double *t = malloc((size_t)n * sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "sampler: no memory for %d steps", n);
    bd_status st;
    BD_TRY_TO(done, st, bd_sampler_timesteps(t, spec, s->T, false));
    BD_TRY_TO(done, st, bd_sampler_plan_alloc(plan, n, 0));
    for (int k = 0; k < n; k++)
        fill(&plan->eval[k], t[k], bd_schedule_abar(s, (int)t[k]),
             bd_schedule_abar(s, k + 1 < n ? (int)t[k + 1] : -1), spec);
done:
    free(t);
    return st;
}
