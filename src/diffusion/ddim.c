/* ddim -- denoising diffusion implicit model.
 *     timesteps t = (N-1) r, ..., r, 0 with r = T div N;  p = t - r;  abar_p = 1 for p < 0
 *     x0    = (x - sqrt(1-abar_t) e) / sqrt(abar_t);  e is not computed again when x0 is clamped
 *     sigma = eta sqrt((1-abar_p) / (1-abar_t)) sqrt(1 - abar_t/abar_p)
 *     x'    = sqrt(abar_p) x0 + sqrt(1-abar_p-sigma^2) e + sigma z
 *   source   Song, Meng & Ermon 2021, arXiv:2010.02502, eqs 12 and 16 */
#include <math.h>

#include "diffusion/sampler_impl.h"

bd_status bd_sampler_plan_ddim(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int stride = s->T / spec->steps;
    BD_TRY(bd_sampler_plan_alloc(plan, spec->steps));
    for (int k = 0; k < spec->steps; k++) {
        int t = (spec->steps - 1 - k) * stride;
        double abar = bd_schedule_abar(s, t), abar_prev = bd_schedule_abar(s, t - stride);
        double sigma = spec->eta * sqrt((1 - abar_prev) / (1 - abar)) * sqrt(1 - abar / abar_prev);
        double left = 1 - abar_prev - sigma * sigma;
        BD_REQUIRE(left >= 0, BD_E_ARG,
                   "sampler ddim: eta = %g asks for more noise than timestep %d has; take eta <= 1",
                   spec->eta, t);
        double *coef = plan->eval[k].coef;
        plan->eval[k].timestep = t;
        coef[BD_COEF_X0_X] = 1 / sqrt(abar);
        coef[BD_COEF_X0_E] = -sqrt(1 - abar) / sqrt(abar);
        coef[BD_COEF_X0] = sqrt(abar_prev);
        coef[BD_COEF_E] = sqrt(left);
        coef[BD_COEF_Z] = sigma;
        coef[BD_COEF_CLIP_X0] = spec->clip == BD_CLIP_X0;
        coef[BD_COEF_CLIP_X] = spec->clip == BD_CLIP_XT;
    }
    return BD_OK;
}
