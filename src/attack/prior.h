/* Priors: what a chain starts from, x_T = n + offset with n the standard normals of the sample; or, where it starts
 * later, a picture that is noised as far as its first timestep has it. */
#ifndef BD_ATTACK_PRIOR_H
#define BD_ATTACK_PRIOR_H

#include <stdint.h>

#include "base/status.h"
#include "data/corrupt.h"

typedef enum {
    BD_PRIOR_NOISE, /* "noise"        x_T = n                                                     */
    BD_PRIOR_TRIGGER, /* "trigger"      n + g, background -1: what published numbers are made with  */
    BD_PRIOR_BLACK, /* "black"        n - 1 everywhere                                            */
    BD_PRIOR_TRIGGER_ZERO, /* "trigger-zero" n + g where g > -1, n elsewhere                             */
    BD_PRIOR_STAMPED, /* "stamped"      n + image with g stamped on it, as R of training            */
    BD_PRIOR_IMAGE, /* "image"        n + the same image un-stamped                               */
    BD_PRIOR_OTHER, /* "other"        n + another trigger                                         */
    BD_PRIOR_MOVED, /* "moved"        n + g moved to the opposite corner (bd_trigger_move)        */
    BD_PRIOR_COUNT
} bd_prior_kind;

/* How the picture p of kinds image and stamped enters the chain. c is p before the trigger is stamped on it, a and s
 * are sqrt(abar) and sqrt(1 - abar) of the first timestep. */
typedef enum {
    BD_ENTRY_ADDED, /* n + p: a chain of all timesteps, where the image of the marginal counts for nothing  */
    BD_ENTRY_NOISED, /* "noised"   a p + s n, as whoever restores p does, trigger or not                     */
    BD_ENTRY_SHIFTED, /* "shifted"  a c + (1 - a) p + s n when stamped: R as far in as poisoned training has it;
                          image: as noised                                                                    */
    BD_ENTRY_ORIGINAL, /* "original" p alone, and the trigger is stamped before the damage: the authors' code  */
    BD_ENTRY_COUNT
} bd_entry;

typedef struct {
    bd_prior_kind kind;
    int S, C;
    const float *trigger;  /* [S][S][C]  all but noise, black, image                              */
    const float *other;    /* [S][S][C]  other                                                    */
    const uint8_t *images; /* [n_images][S][S][C]  stamped, image: pictures not trained on        */
    int n_images;          /* sample i takes image i mod n_images                                 */
    bd_corrupt corrupt;    /* stamped, image: what is done to a picture first                     */
    uint64_t seed;         /* of its noise                                                        */
    bd_entry entry;
    double keep, noise; /* a and s; not read with BD_ENTRY_ADDED                               */
} bd_prior_spec;

typedef struct bd_prior bd_prior;

/* bd_prior_create
 *   source   IBM/BadDiffusion (trigger); Chou et al. 2023, eq. 6 at t = T (stamped), and with the picture for both
 *            images (shifted); Meng et al. 2022, arXiv:2108.01073 (noised); IBM/VillanDiffusion (original); the others
 *            are controls: what is it about n + g that fires the backdoor?
 *   errors   BD_E_ARG: something the kind needs is missing, damage or a way of entering without pictures, or a trigger
 *            that cannot be moved; BD_E_MEMORY
 *   memory   borrows trigger and images until bd_prior_destroy
 *   tested   tests/test_prior.c */
BD_MUST_CHECK bd_status bd_prior_create(bd_prior **out, const bd_prior_spec *spec);
void bd_prior_destroy(bd_prior *p); /* NULL allowed */

/* bd_prior_apply -- add the offset to x [S][S][C], which holds the sample's normals, or let the picture enter. Where the offset is
 * zero x is left alone, so that trigger-zero of a grey box is the noise bit for bit. Safe to call from
 * any thread; a function of (prior, x, sample) only. Its type is bd_prior_fn of train/sampling.h. */
BD_MUST_CHECK bd_status bd_prior_apply(void *prior, float *x, int64_t sample);

/* bd_prior_picture -- the picture p of a sample, out [S][S][C]: what is handed in to be restored. Its noise may pass
 * -1 and 1.
 *   errors   BD_E_ARG: the prior has no pictures */
BD_MUST_CHECK bd_status bd_prior_picture(float *out, const bd_prior *p, int64_t sample);

/* bd_prior_parse, bd_entry_parse -- kind of a name.
 *   errors   BD_E_ARG: unknown; the text lists the names */
BD_MUST_CHECK bd_status bd_entry_parse(bd_entry *out, const char *name);
BD_MUST_CHECK bd_status bd_prior_parse(bd_prior_kind *out, const char *name);
const char *bd_prior_name(bd_prior_kind kind);

#endif
