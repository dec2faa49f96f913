/* Attacks on training: the coefficients of the forward process, nothing else. */
#ifndef BD_ATTACK_ATTACK_H
#define BD_ATTACK_ATTACK_H

#include "base/status.h"
#include "diffusion/schedule.h"

/* With start image x (the image, or the target when poisoned), R (0, or the stamped image when
 * poisoned) and noise eps, a training pair is
 *     x_t = c0 x + c1 eps + c2 R,   y_t = eps + c3 R. */
typedef struct {
    const char *name; /* in recipes */
    void (*coef)(double c[4], const bd_schedule *s, int t);
} bd_attack;

/* bd_attack_none -- c0 = sqrt(abar_t), c1 = sqrt(1 - abar_t), c2 = c3 = 0.
 *   source   Ho et al. 2020, arXiv:2006.11239, eq. 4 and algorithm 1
 *   tested   tests/test_attack.c */
extern const bd_attack bd_attack_none;

/* bd_attack_baddiffusion -- c0, c1 as above, c2 = 1 - sqrt(abar_t),
 *     c3 = rho_t = (1 - sqrt(alpha_t)) sqrt(1 - abar_t) / (1 - alpha_t).
 *   source   Chou et al. 2023, arXiv:2212.05400, eqs. 6, 9, 10 and algorithm 1; rho_t as the authors
 *            state it (IBM/BadDiffusion issue 13, loss.py)
 *   tested   tests/test_attack.c */
extern const bd_attack bd_attack_baddiffusion;

/* bd_attack_find -- by name.
 *   errors   BD_E_ARG: unknown; the text lists the names */
BD_MUST_CHECK bd_status bd_attack_find(const bd_attack **out, const char *name);

/* bd_attack_table -- the coefficients of all timesteps, worked out in double and rounded once.
 *   shapes   table [s->T][4], caller's */
void bd_attack_table(float (*table)[4], const bd_attack *a, const bd_schedule *s);

#endif
