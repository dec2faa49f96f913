/* Samplers as data: a plan lists the network evaluations, each with its timestep and the
 * coefficients of the update that follows it (op sampler_step in graph/ops.def). No backend knows
 * a sampler's name. */
#ifndef BD_DIFFUSION_SAMPLER_H
#define BD_DIFFUSION_SAMPLER_H

#include <stddef.h>

#include "base/status.h"
#include "diffusion/schedule.h"

typedef enum {
    BD_CLIP_NONE, /* nothing is clamped                                                    */
    BD_CLIP_X0,   /* the predicted x0 is clamped to [-1,1], as the released code does       */
    BD_CLIP_XT    /* x_{t-1} is clamped to [-1,1] after its noise, as the paper writes      */
} bd_clip;

typedef enum { BD_VARIANCE_FIXED_SMALL, BD_VARIANCE_FIXED_LARGE } bd_variance;

typedef struct {
    const char *name;     /* of samplers.def                                              */
    int steps;            /* 1 .. T; 0 = the sampler's default (ddpm: T; ddim: 50, at most T) */
    bd_variance variance; /* ddpm only, the others do not read it                         */
    double eta;           /* ddim only, >= 0; 0 for the others                            */
    bd_clip clip;
} bd_sampler_spec;

#define BD_SAMPLER_COEFS 16

/* Places in coef:
 *   x0 = coef[X0_X] x + coef[X0_E] e;  clamped to [-1,1] if coef[CLIP_X0] != 0
 *   x' = coef[X] x + coef[E] e + coef[X0] x0 + coef[Z] z;  clamped to [-1,1] if coef[CLIP_X] != 0
 *   z is drawn only if coef[Z] != 0; the places from 8 on are 0, kept for samplers with a history.
 *   */
enum {
    BD_COEF_X0_X = 0,
    BD_COEF_X0_E = 1,
    BD_COEF_X = 2,
    BD_COEF_E = 3,
    BD_COEF_X0 = 4,
    BD_COEF_Z = 5,
    BD_COEF_CLIP_X0 = 6,
    BD_COEF_CLIP_X = 7
};

typedef struct {
    double timestep; /* what the network is told, 0 .. T-1 */
    double coef[BD_SAMPLER_COEFS];
} bd_sampler_eval;

typedef struct {
    int n; /* network evaluations, in the order of sampling (first = most noise) */
    bd_sampler_eval *eval;
} bd_sampler_plan;

/* bd_sampler_plan_create -- the plan of a spec for a schedule.
 *   source   the file of each sampler, src/diffusion/<name>.c
 *   units    images in [-1,1]; coefficients computed in double
 *   errors   BD_E_ARG: unknown name (the text lists the valid ones), steps outside 0..T, eta
 *            negative, or eta not 0 where the sampler has none; BD_E_MEMORY
 *   memory   fills *plan; caller frees with bd_sampler_plan_clear; borrows spec and schedule for
 *            the call
 *   tested   tests/test_sampler.c */
BD_MUST_CHECK bd_status bd_sampler_plan_create(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                                               const bd_schedule *s);
void bd_sampler_plan_clear(bd_sampler_plan *plan); /* an all-zero struct is fine */

/* bd_sampler_apply -- the update after one evaluation, in double: the plainest form of op
 * sampler_step.
 *   shapes   y, x, e, z [n]; y may be x; z may be NULL when coef[BD_COEF_Z] is 0
 *   tested   tests/test_sampler.c */
void bd_sampler_apply(double *y, const double *x, const double *e, const double *z, size_t n,
                      const double coef[BD_SAMPLER_COEFS]);

/* bd_sampler_label -- how results name a sampler: "ddpm-200-fixed_small", "ddim-25",
 * "ddim-25-eta0.5", with "-clip_x0" or "-clip_xt" behind. steps 0 is resolved with T.
 *   errors   BD_E_ARG as bd_sampler_plan_create, or the text does not fit */
BD_MUST_CHECK bd_status bd_sampler_label(char *out, size_t size, const bd_sampler_spec *spec,
                                         int T);

/* Text <-> value for recipes and the command line.
 *   errors   BD_E_ARG: unknown; the text lists the valid ones */
BD_MUST_CHECK bd_status bd_clip_parse(bd_clip *out, const char *text);
BD_MUST_CHECK bd_status bd_variance_parse(bd_variance *out, const char *text);
const char *bd_clip_name(bd_clip c);         /* none, x0, xt             */
const char *bd_variance_name(bd_variance v); /* fixed_small, fixed_large */

/* bd_sampler_at -- name and one line of help of sampler i, for listings; NULL past the end. */
const char *bd_sampler_at(int i, const char **help);

#endif
