/* ddim -- denoising diffusion implicit model.
 *     timesteps t = (N-1) r, ..., r, 0 with r = T div N;  p = t - r;  abar_p = 1 for p < 0. With another spacing p
 *     is still t - r, which is not always the next timestep: so does diffusers.
 *     x0    = (x - sqrt(1-abar_t) e) / sqrt(abar_t);  e is not computed again when x0 is clamped
 *     sigma = eta sqrt((1-abar_p) / (1-abar_t)) sqrt(1 - abar_t/abar_p)
 *     x'    = sqrt(abar_p) x0 + sqrt(1-abar_p-sigma^2) e + sigma z
 *   source   Song, Meng & Ermon 2021, arXiv:2010.02502, eqs 12 and 16 */
#include <math.h>
#include <stdlib.h>

#include "diffusion/sampler_impl.h"

static bd_status fill(bd_sampler_eval *eval, int t, double abar, double abar_prev,
                      const bd_sampler_spec *spec) {
    double sigma = spec->eta * sqrt((1 - abar_prev) / (1 - abar)) * sqrt(1 - abar / abar_prev);
    double left = 1 - abar_prev - sigma * sigma;
    BD_REQUIRE(left >= 0, BD_E_ARG,
               "sampler ddim: eta = %g asks for more noise than timestep %d has; take eta <= 1",
               spec->eta, t);
    eval->timestep = t;
    bd_sampler_x0(eval, sqrt(abar), sqrt(1 - abar), spec->clip);
    eval->coef[BD_COEF_X0] = sqrt(abar_prev);
    eval->coef[BD_COEF_E] = sqrt(left);
    eval->coef[BD_COEF_Z] = sigma;
    return BD_OK;
}

bd_status bd_sampler_plan_ddim(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int n = spec->steps - bd_sampler_skip(spec), stride = s->T / spec->steps;
    double *t = malloc((size_t)n * sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "sampler: no memory for %d steps", n);
    bd_status st;
    BD_TRY_TO(done, st, bd_sampler_timesteps(t, spec, s->T, false));
    BD_TRY_TO(done, st, bd_sampler_plan_alloc(plan, n, 0));
    for (int k = 0; !st && k < n; k++)
        st = fill(&plan->eval[k], (int)t[k], bd_schedule_abar(s, (int)t[k]),
                  bd_schedule_abar(s, (int)t[k] - stride), spec);
done:
    free(t);
    return st;
}
