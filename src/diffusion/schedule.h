/* Noise schedules: how much of the image is left at each timestep. */
#ifndef BD_DIFFUSION_SCHEDULE_H
#define BD_DIFFUSION_SCHEDULE_H

#include <stdbool.h>

#include "base/status.h"

/* Tables of T doubles, t = 0 .. T-1 (the paper's t = 1 .. T). Read them freely, change nothing. */
typedef struct {
    int T;
    double beta_start, beta_end; /* beta[0] and beta[T-1], as a scheduler_config.json states them */
    double *beta;                /* variance added by step t     */
    double *alpha;               /* 1 - beta                     */
    double *abar;                /* product of alpha[0 .. t]     */
} bd_schedule;

/* bd_schedule_linear -- beta rises linearly from beta_start at t = 0 to beta_end at t = T-1.
 *   source   Ho et al. 2020, arXiv:2006.11239, section 4 (T = 1000, 1e-4, 0.02)
 *   units    beta is a variance of images in [-1,1]
 *   errors   BD_E_ARG: T < 2, or not 0 < beta_start <= beta_end < 1; BD_E_MEMORY
 *   memory   fills *s; caller frees with bd_schedule_clear
 *   tested   tests/test_schedule.c */
BD_MUST_CHECK bd_status bd_schedule_linear(bd_schedule *s, int T, double beta_start,
                                           double beta_end);

/* bd_schedule_create -- a schedule by the name diffusers' schedulers give it:
 *   linear             bd_schedule_linear
 *   scaled_linear      sqrt(beta) rises linearly from sqrt(beta_start) to sqrt(beta_end)
 *   squaredcos_cap_v2  abar is a squared cosine and beta at most 0.999; start and end are not used, and
 *                      s->beta_start and beta_end are those that came out
 *   source   linear: as bd_schedule_linear; scaled_linear: Rombach et al. 2022, as in diffusers;
 *            squaredcos_cap_v2: Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17
 *   errors   BD_E_ARG: another name; otherwise as bd_schedule_linear
 *   memory   as bd_schedule_linear
 *   tested   tests/test_schedule.c */
BD_MUST_CHECK bd_status bd_schedule_create(bd_schedule *s, const char *kind, int T,
                                           double beta_start, double beta_end);

/* bd_schedule_kind -- may bd_schedule_create get this name? */
bool bd_schedule_kind(const char *name);

/* bd_schedule_from_betas -- T given betas, each between 0 and 1.
 *   errors   BD_E_ARG: T < 2, or a beta that is not; BD_E_MEMORY
 *   memory   copies beta; as bd_schedule_linear
 *   tested   tests/test_schedule.c */
BD_MUST_CHECK bd_status bd_schedule_from_betas(bd_schedule *s, const double *beta, int T);

/* bd_schedule_scaled -- the linear schedule for any T: beta = (1000/T) * (1e-4 .. 0.02), which
 * keeps abar as a function of t/T nearly the same for every T; at T = 1000 it is the schedule of
 * the paper.
 *   errors   BD_E_ARG: T <= 20 (the last beta would reach 1); BD_E_MEMORY
 *   memory   as bd_schedule_linear
 *   tested   tests/test_schedule.c */
BD_MUST_CHECK bd_status bd_schedule_scaled(bd_schedule *s, int T);

void bd_schedule_clear(bd_schedule *s); /* an all-zero struct is fine */

/* bd_schedule_abar -- abar[t], and 1 for t < 0: before the first step nothing is noise. t < T. */
double bd_schedule_abar(const bd_schedule *s, int t);

#endif
