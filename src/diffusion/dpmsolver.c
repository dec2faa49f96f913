/* dpmsolver, dpmsolver++ -- multistep DPM-Solver of order 1 to 3, midpoint form.
 *     a = sqrt(abar), s = sqrt(1-abar), lambda = ln(a/s);  from t to the next point p, h = lambda_p - lambda_t
 *     m0 (at t), m1, m2 (at the points before): e for dpmsolver, x0 for dpmsolver++
 *     dpmsolver    A = a_p/a_t, B = s_p (exp(h) - 1)    dpmsolver++  A = s_p/s_t, B = a_p (exp(-h) - 1)
 *     order 1      x' = A x - B m0
 *     order 2      x' = A x - B m0 - B/2 D,  D = (m0-m1)/r0,  r0 = (lambda_t - lambda_t1)/h
 *     order 3      x' = A x - B m0 + c1 D1 - c2 D2,  r1 = (lambda_t1 - lambda_t2)/h
 *                  d0 = (m0-m1)/r0, d1 = (m1-m2)/r1, D2 = (d0-d1)/(r0+r1), D1 = d0 + r0 D2
 *         dpmsolver    c1 = -s_p ((exp(h)-1)/h - 1),   c2 = s_p ((exp(h)-1-h)/h^2 - 1/2)
 *         dpmsolver++  c1 =  a_p ((exp(-h)-1)/h + 1),  c2 = a_p ((exp(-h)-1+h)/h^2 - 1/2)
 *   source   Lu et al. 2022, arXiv:2206.00927 (DPM-Solver); arXiv:2211.01095, algorithm 2 (DPM-Solver++);
 *            the order at both ends as diffusers' lower_order_final */
#include <math.h>

#include "diffusion/sampler_impl.h"

/* Weights of m0, m1, m2 in x'. A and B are written without exp, so that they hold for a step to s = 0 too. */
static void weights(double w[3], const bd_sampler_grid *g, int i, int order, bool on_image) {
    const double *a = g->a + i, *s = g->s + i, *l = g->lambda + i;
    double B = on_image ? s[1] * a[0] / s[0] - a[1] : a[1] * s[0] / a[0] - s[1];
    w[0] = -B;
    w[1] = w[2] = 0;
    if (order == 1) return;
    double h = l[1] - l[0], r0 = (l[0] - l[-1]) / h;
    if (order == 2) {
        w[0] -= B / 2 / r0;
        w[1] += B / 2 / r0;
        return;
    }
    double r1 = (l[-1] - l[-2]) / h, z = on_image ? -h : h;
    double c1 = on_image ? a[1] * (expm1(z) / h + 1) : -s[1] * (expm1(z) / h - 1);
    double c2 = (on_image ? a[1] : s[1]) * ((expm1(z) - z) / (h * h) - 0.5);
    double d0 = c1 + (c1 * r0 - c2) / (r0 + r1); /* of d0 and d1 in c1 D1 - c2 D2 */
    double d1 = -(c1 * r0 - c2) / (r0 + r1);
    w[0] += d0 / r0;
    w[1] += d1 / r1 - d0 / r0;
    w[2] -= d1 / r1;
}

/* The last two m lie in slots i mod 2; m0 goes where m2 was. */
static void fill(bd_sampler_eval *eval, const bd_sampler_grid *g, int i, int order, bool on_image,
                 int slots, bd_clip clip) {
    double w[3], a = g->a[i], s = g->s[i];
    double *x = bd_sampler_row(eval, -1), none[BD_COLS] = {0};
    double *h = slots > 0 ? bd_sampler_row(eval, i % 2) : none;
    weights(w, g, i, order, on_image);
    eval->timestep = g->t[i];
    bd_sampler_x0(eval, a, s, clip);
    x[BD_COL_X] = on_image ? g->s[i + 1] / s : g->a[i + 1] / a;
    if (on_image) {
        x[BD_COL_X0] = w[0];
        h[BD_COL_X0] = 1;
    } else {
        bd_sampler_put_e(x, w[0], a, s, clip);
        bd_sampler_put_e(h, 1, a, s, clip);
    }
    x[BD_COL_H + (i + 1) % 2] = w[1];
    x[BD_COL_H + i % 2] = w[2];
}

static bd_status plan(bd_sampler_plan *plan, const bd_sampler_spec *spec, const bd_schedule *s,
                      bool on_image) {
    bd_sampler_grid g;
    BD_TRY(bd_sampler_grid_create(&g, spec, s));
    int slots = spec->order > 1 ? 2 : 0;
    bd_status st = bd_sampler_plan_alloc(plan, g.n, slots);
    for (int i = 0; !st && i < g.n; i++)
        fill(&plan->eval[i], &g, i, bd_sampler_grid_order(&g, i, spec->order), on_image, slots,
             spec->clip);
    bd_sampler_grid_clear(&g);
    return st;
}

bd_status bd_sampler_plan_dpmsolver(bd_sampler_plan *out, const bd_sampler_spec *spec,
                                    const bd_schedule *s) {
    return plan(out, spec, s, false);
}

bd_status bd_sampler_plan_dpmsolver_pp(bd_sampler_plan *out, const bd_sampler_spec *spec,
                                       const bd_schedule *s) {
    return plan(out, spec, s, true);
}
