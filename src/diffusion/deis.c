/* deis -- diffusion exponential integrator sampler, polynomial in ln rho (logrho), order 1 or 2.
 *     a = sqrt(abar), s = sqrt(1-abar), rho = s/a;  from t to the next point p;  m0, m1: e at t and at the
 *     point before (t1)
 *     order 1   x' = a_p/a_t x - (a_p s_t/a_t - s_p) m0
 *     order 2   x' = a_p (x/a_t + c0 m0 + c1 m1),  the integrals of the Lagrange polynomials in ln rho:
 *               F(r, b, c) = r (ln r - ln c - 1) / (ln b - ln c)
 *               c0 = F(rho_p, rho_t, rho_t1) - F(rho_t, rho_t, rho_t1)
 *               c1 = F(rho_p, rho_t1, rho_t) - F(rho_t, rho_t1, rho_t)
 *   source   Zhang & Chen 2023, arXiv:2204.13902, section 4 and appendix; ends as diffusers' lower_order_final */
#include <math.h>

#include "diffusion/sampler_impl.h"

static double F(double r, double b, double c) {
    return r * (log(r) - log(c) - 1) / (log(b) - log(c));
}

static double rho(const bd_sampler_grid *g, int i) { return g->s[i] / g->a[i]; }

/* m1 is in slot 0, and m0 follows it there. */
static void fill(bd_sampler_eval *eval, const bd_sampler_grid *g, int i, int order, bool keep,
                 bd_clip clip) {
    double a = g->a[i], s = g->s[i], a_p = g->a[i + 1], s_p = g->s[i + 1];
    double *x = bd_sampler_row(eval, -1);
    eval->timestep = g->t[i];
    bd_sampler_x0(eval, a, s, clip);
    x[BD_COL_X] = a_p / a;
    if (order == 1) {
        bd_sampler_put_e(x, s_p - a_p * s / a, a, s, clip);
    } else {
        double p = rho(g, i + 1), t = rho(g, i), t1 = rho(g, i - 1);
        bd_sampler_put_e(x, a_p * (F(p, t, t1) - F(t, t, t1)), a, s, clip);
        x[BD_COL_H] = a_p * (F(p, t1, t) - F(t, t1, t));
    }
    if (keep) bd_sampler_put_e(bd_sampler_row(eval, 0), 1, a, s, clip);
}

bd_status bd_sampler_plan_deis(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                               const bd_schedule *s) {
    bd_sampler_grid g;
    BD_TRY(bd_sampler_grid_create(&g, spec, s));
    bool keep = spec->order > 1;
    bd_status st = bd_sampler_plan_alloc(plan, g.n, keep ? 1 : 0);
    for (int i = 0; !st && i < g.n; i++)
        fill(&plan->eval[i], &g, i, bd_sampler_grid_order(&g, i, spec->order), keep, spec->clip);
    bd_sampler_grid_clear(&g);
    return st;
}
