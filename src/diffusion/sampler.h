/* Samplers as data: a plan lists the network evaluations, each with its timestep and the
 * coefficients of the update that follows it (op sampler_step in graph/ops.def). No backend knows
 * a sampler's name. */
#ifndef BD_DIFFUSION_SAMPLER_H
#define BD_DIFFUSION_SAMPLER_H

#include <stddef.h>

#include "base/status.h"
#include "diffusion/schedule.h"
#include "graph/sampler_step.h"

typedef enum {
    BD_CLIP_NONE, /* nothing is clamped                                                    */
    BD_CLIP_X0,   /* the predicted x0 is clamped to [-1,1], as the released code does       */
    BD_CLIP_XT    /* x_{t-1} is clamped to [-1,1] after its noise, as the paper writes      */
} bd_clip;

typedef enum { BD_VARIANCE_FIXED_SMALL, BD_VARIANCE_FIXED_LARGE } bd_variance;

/* How timesteps are chosen; names as in diffusers' timestep_spacing. */
typedef enum {
    BD_SPACING_OWN, /* the sampler's own, as samplers.def says */
    BD_SPACING_LEADING,
    BD_SPACING_LINSPACE,
    BD_SPACING_TRAILING
} bd_spacing;

/* Where dpmsolver, dpmsolver++, unipc and deis end; names as in diffusers' final_sigmas_type. */
typedef enum {
    BD_FINAL_SIGMA_MIN, /* at timestep 0, with the noise that is left there: the original's way */
    BD_FINAL_ZERO       /* without noise                                                        */
} bd_final;

typedef struct {
    const char *name;     /* of samplers.def                                              */
    int steps;            /* 1 .. T; 0 = the sampler's default, at most T (samplers.def)  */
    int order;            /* 0 = the sampler's default; 0 where it has none               */
    bd_variance variance; /* ddpm only, the others do not read it                         */
    double eta;           /* ddim only, >= 0; 0 for the others                            */
    bd_clip clip;
    bd_spacing spacing;
    bd_final final; /* SIGMA_MIN where there is no choice                           */
    double start;   /* share of the steps left out at the beginning, 0 .. below 1: the chain starts
                       from a noised image (keep and noise of the plan), with no history */
} bd_sampler_spec;

typedef struct {
    double timestep;               /* what the network is told, 0 .. T-1; heun's have fractions */
    double coef[BD_SAMPLER_COEFS]; /* of the update, as graph/sampler_step.h says */
} bd_sampler_eval;

typedef struct {
    int n;              /* network evaluations, in the order of sampling (first = most noise) */
    int history;        /* slots that the coefficients use                                    */
    double start_scale; /* x_T is the prior times this: 1, but for heun from the first step   */
    int skipped;        /* steps left out before the first                                    */
    double keep, noise; /* sqrt(abar), sqrt(1-abar) at the first evaluation: an image y enters
                           there as keep y + noise n                                          */
    bd_sampler_eval *eval;
} bd_sampler_plan;

/* bd_sampler_plan_create -- the plan of a spec for a schedule. Where a sampler is written in e, clip x0 clamps the
 * predicted x0 and takes the e that belongs to it; ddim keeps e as it is, as the original does.
 *   source   the file of each sampler, src/diffusion/<name>.c
 *   units    images in [-1,1]; coefficients computed in double
 *   errors   BD_E_ARG: unknown name (the text lists the valid ones), steps outside 0..T or
 *            fewer than the sampler needs, eta negative, start that leaves none, or a setting that the sampler has not;
 *            BD_E_MEMORY
 *   memory   fills *plan; caller frees with bd_sampler_plan_clear; borrows spec and schedule for
 *            the call
 *   tested   tests/test_sampler.c */
BD_MUST_CHECK bd_status bd_sampler_plan_create(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                                               const bd_schedule *s);
void bd_sampler_plan_clear(bd_sampler_plan *plan); /* an all-zero struct is fine */

/* bd_sampler_apply -- the update after one evaluation, in double: the plainest form of op
 * sampler_step.
 *   shapes   x, e, z [n]; h [BD_SAMPLER_HISTORY][n], NULL when the plan has no history; z may be NULL
 *            when coef[BD_COEF_Z] is 0. x and h are updated in place.
 *   tested   tests/test_sampler.c */
void bd_sampler_apply(double *x, double *h, const double *e, const double *z, size_t n,
                      const double coef[BD_SAMPLER_COEFS]);

/* bd_sampler_label -- how results name a sampler: "ddpm-200-fixed_small", "ddim-25",
 * "ddim-25-eta0.5", "dpmsolver++-20-order2"; behind it what differs from the sampler's own way:
 * "-leading" ..., "-to_zero", "-from10" (steps left out), "-clip_x0" or "-clip_xt". steps 0 is resolved with T.
 *   errors   BD_E_ARG as bd_sampler_plan_create, or the text does not fit */
BD_MUST_CHECK bd_status bd_sampler_label(char *out, size_t size, const bd_sampler_spec *spec,
                                         int T);

/* Text <-> value for recipes and the command line.
 *   errors   BD_E_ARG: unknown; the text lists the valid ones */
BD_MUST_CHECK bd_status bd_clip_parse(bd_clip *out, const char *text);
BD_MUST_CHECK bd_status bd_variance_parse(bd_variance *out, const char *text);
BD_MUST_CHECK bd_status bd_spacing_parse(bd_spacing *out, const char *text);
BD_MUST_CHECK bd_status bd_final_parse(bd_final *out, const char *text);
const char *bd_clip_name(bd_clip c);         /* none, x0, xt                     */
const char *bd_variance_name(bd_variance v); /* fixed_small, fixed_large         */
const char *bd_spacing_name(bd_spacing s);   /* own, leading, linspace, trailing */
const char *bd_final_name(bd_final f);       /* sigma_min, zero                  */

/* bd_sampler_at -- name and one line of help of sampler i, for listings; NULL past the end. */
const char *bd_sampler_at(int i, const char **help);

/* bd_sampler_names -- all names, with ", " between them. */
const char *bd_sampler_names(void);

/* bd_sampler_max_order -- the highest order of a sampler; 0: it has none, or the name is unknown. */
int bd_sampler_max_order(const char *name);

#endif
