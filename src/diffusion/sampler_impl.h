/* What the sampler files share; for src/diffusion/ only. */
#ifndef BD_DIFFUSION_SAMPLER_IMPL_H
#define BD_DIFFUSION_SAMPLER_IMPL_H

#include <math.h>
#include <stdbool.h>

#include "diffusion/sampler.h"

/* bd_sampler_plan_alloc -- n evaluations, all zero, with `history` slots. */
BD_MUST_CHECK bd_status bd_sampler_plan_alloc(bd_sampler_plan *plan, int n, int history);

/* One sampler each; steps, order and spacing of the spec are resolved and the name is known when they are
 * called. */
#define BD_SAMPLER(id, name, default_steps, max_order, spacing, help) \
    BD_MUST_CHECK bd_status bd_sampler_plan_##id(                     \
        bd_sampler_plan *plan, const bd_sampler_spec *spec, const bd_schedule *s);
#include "diffusion/samplers.def"
#undef BD_SAMPLER

/* bd_sampler_row -- the row of x' (slot -1) or of h_slot in the coefficients of an evaluation. */
double *bd_sampler_row(bd_sampler_eval *eval, int slot);

/* bd_sampler_x0 -- the coefficients that give x0 from x and e where sqrt(abar) = a, sqrt(1-abar) = s, and the
 * clip flags of the spec. */
void bd_sampler_x0(bd_sampler_eval *eval, double a, double s, bd_clip clip);

/* bd_sampler_put_e -- add k e to a row. With x0 clamped it is the e that belongs to the clamped x0,
 * (x - a x0) / s, so that samplers written in e honour the clip too. */
void bd_sampler_put_e(double *row, double k, double a, double s, bd_clip clip);

/* bd_sampler_skip -- steps that start leaves out; steps is resolved. */
static inline int bd_sampler_skip(const bd_sampler_spec *spec) {
    return (int)rint(spec->start * spec->steps);
}

/* bd_sampler_timesteps -- N timesteps from the most noise down, as DDPM, DDIM, PNDM and Heun take them, without the
 * first bd_sampler_skip.
 *   leading   (N-1) r, ..., r, 0 with r = T div N;  linspace  N points from T-1 to 0;
 *   trailing  T, T - T/N, ... less 1; rounded half to even unless `fractional`
 *   shapes    t [steps - skip]
 *   errors    BD_E_ARG: linspace with one step has no room for both ends */
BD_MUST_CHECK bd_status bd_sampler_timesteps(double *t, const bd_sampler_spec *spec, int T,
                                             bool fractional);

/* A grid of the multistep solvers: points 0 .. n from the most noise down, one network evaluation at each
 * but the last, which is where sampling ends. Points that start leaves out are not in it. */
typedef struct {
    int n, all; /* all: with those left out */
    double *t;  /* [n] timesteps                                            */
    double *a, *s,
        *lambda; /* [n+1] sqrt(abar), sqrt(1-abar), ln(a/s); at s = 0 lambda = INFINITY */
} bd_sampler_grid;

/* bd_sampler_grid_create -- linspace: N+1 points from T-1 to 0 without the last, duplicates dropped;
 * leading: N r, ..., r with r = T div (N+1); trailing as above. The end is timestep 0, or noise 0 with
 * BD_FINAL_ZERO.
 *   errors   BD_E_ARG: the steps do not fit the schedule; BD_E_MEMORY
 *   memory   caller frees with bd_sampler_grid_clear */
BD_MUST_CHECK bd_status bd_sampler_grid_create(bd_sampler_grid *g, const bd_sampler_spec *spec,
                                               const bd_schedule *s);
void bd_sampler_grid_clear(bd_sampler_grid *g);

/* bd_sampler_grid_order -- the order that a multistep solver takes at point i: at most i + 1; 1 for the last
 * step and at most 2 for the one before when all are fewer than 15; 1 for a last step to noise 0. */
int bd_sampler_grid_order(const bd_sampler_grid *g, int i, int order);

#endif
