/* ddpm -- ancestral sampling.
 *     timesteps t = (N-1) r, ..., r, 0 with r = T div N;  p = t - r;  abar_p = 1 for p < 0
 *     alpha = abar_t / abar_p,  beta = 1 - alpha
 *     x0 = (x - sqrt(1-abar_t) e) / sqrt(abar_t)
 *     x' = sqrt(abar_p) beta / (1-abar_t) x0 + sqrt(alpha) (1-abar_p) / (1-abar_t) x + sqrt(V) z
 *     V  = beta (1-abar_p) / (1-abar_t), at least 1e-20 (fixed_small), or beta (fixed_large); none at t = 0
 *   source   Ho et al. 2020, arXiv:2006.11239, eqs 6, 7 and algorithm 2; fewer steps than T as
 *            Nichol & Dhariwal 2021, arXiv:2102.09672, section 4 */
#include <math.h>

#include "diffusion/sampler_impl.h"

#define MIN_VARIANCE 1e-20

bd_status bd_sampler_plan_ddpm(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int stride = s->T / spec->steps;
    BD_TRY(bd_sampler_plan_alloc(plan, spec->steps));
    for (int k = 0; k < spec->steps; k++) {
        int t = (spec->steps - 1 - k) * stride;
        double abar = bd_schedule_abar(s, t), abar_prev = bd_schedule_abar(s, t - stride);
        double alpha = abar / abar_prev, beta = 1 - alpha, rest = (1 - abar_prev) / (1 - abar);
        double variance = beta;
        if (spec->variance == BD_VARIANCE_FIXED_SMALL) variance = fmax(rest * beta, MIN_VARIANCE);
        double *coef = plan->eval[k].coef;
        plan->eval[k].timestep = t;
        coef[BD_COEF_X0_X] = 1 / sqrt(abar);
        coef[BD_COEF_X0_E] = -sqrt(1 - abar) / sqrt(abar);
        coef[BD_COEF_X0] = sqrt(abar_prev) * beta / (1 - abar);
        coef[BD_COEF_X] = sqrt(alpha) * rest;
        coef[BD_COEF_Z] = t > 0 ? sqrt(variance) : 0;
        coef[BD_COEF_CLIP_X0] = spec->clip == BD_CLIP_X0;
        coef[BD_COEF_CLIP_X] = spec->clip == BD_CLIP_XT;
    }
    return BD_OK;
}
