/* heun -- Heun's method on the probability-flow equation in sigma.
 *     sigma(t) = sqrt((1-abar_t)/abar_t), between timesteps by linear interpolation;  sigma_N = 0
 *     v = x_0 + sigma e, the variable of the equation dv/dsigma = e;  x = v / sqrt(sigma^2 + 1) is what the network
 *     and the update of a plan see, so the start noise is scaled by sigma_0 / sqrt(sigma_0^2 + 1)
 *     v~ = v + e(v, t_i) (sigma_(i+1) - sigma_i);  v' = v + (e(v, t_i) + e(v~, t_(i+1)))/2 (sigma_(i+1) - sigma_i)
 *     the last step, to sigma = 0, ends with v~
 *   source   Karras et al. 2022, arXiv:2206.00364, algorithm 1 without churn; timesteps as diffusers */
#include <math.h>
#include <stdlib.h>

#include "diffusion/sampler_impl.h"

enum { SLOT_V, SLOT_E, SLOTS };

static double sigma_at(const bd_schedule *s, double t) {
    int i = (int)floor(t), j = i + 1 < s->T ? i + 1 : i;
    double a = sqrt((1 - s->abar[i]) / s->abar[i]), b = sqrt((1 - s->abar[j]) / s->abar[j]);
    return a + (b - a) * (t - i);
}

static double scale_of(double sigma) { return 1 / sqrt(sigma * sigma + 1); }

/* The call at the start of a step from sigma to next. */
static void predict(bd_sampler_eval *eval, double t, double sigma, double next, bd_clip clip) {
    double c = scale_of(sigma), *x = bd_sampler_row(eval, -1);
    eval->timestep = t;
    bd_sampler_x0(eval, c, sigma * c, clip);
    x[BD_COL_X] = scale_of(next) / c;
    bd_sampler_put_e(x, (next - sigma) * scale_of(next), c, sigma * c, clip);
    if (next == 0) return;
    bd_sampler_row(eval, SLOT_V)[BD_COL_X] = 1 / c;
    bd_sampler_put_e(bd_sampler_row(eval, SLOT_E), 1, c, sigma * c, clip);
}

/* The call at its end. */
static void correct(bd_sampler_eval *eval, double t, double sigma, double next, bd_clip clip) {
    double c = scale_of(next), half = 0.5 * (next - sigma) * c, *x = bd_sampler_row(eval, -1);
    eval->timestep = t;
    bd_sampler_x0(eval, c, next * c, clip);
    bd_sampler_put_e(x, half, c, next * c, clip);
    x[BD_COL_H + SLOT_V] = c;
    x[BD_COL_H + SLOT_E] = half;
}

bd_status bd_sampler_plan_heun(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    int n = spec->steps - bd_sampler_skip(spec);
    double *t = malloc((size_t)n * sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "sampler: no memory for %d steps", n);
    bd_status st;
    BD_TRY_TO(done, st, bd_sampler_timesteps(t, spec, s->T, true));
    BD_TRY_TO(done, st, bd_sampler_plan_alloc(plan, 2 * n - 1, SLOTS));
    double first = sigma_at(s, t[0]);
    plan->start_scale = first * scale_of(first);
    for (int i = 0; i < n; i++) {
        double sigma = sigma_at(s, t[i]), next = i + 1 < n ? sigma_at(s, t[i + 1]) : 0;
        predict(&plan->eval[2 * i], t[i], sigma, next, spec->clip);
        if (next > 0) correct(&plan->eval[2 * i + 1], t[i + 1], sigma, next, spec->clip);
    }
done:
    free(t);
    return st;
}
