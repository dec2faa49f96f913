/* Priors: what a chain starts from, x_T = n + offset with n the standard normals of the sample. */
#ifndef BD_ATTACK_PRIOR_H
#define BD_ATTACK_PRIOR_H

#include <stdint.h>

#include "base/status.h"

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

typedef struct {
    bd_prior_kind kind;
    int S, C;
    const float *trigger;  /* [S][S][C]  all but noise, black, image                              */
    const float *other;    /* [S][S][C]  other                                                    */
    const uint8_t *images; /* [n_images][S][S][C]  stamped, image: pictures not trained on        */
    int n_images;          /* sample i takes image i mod n_images                                 */
} bd_prior_spec;

typedef struct bd_prior bd_prior;

/* bd_prior_create
 *   source   IBM/BadDiffusion (trigger); Chou et al. 2023, eq. 6 at t = T (stamped); the others are
 *            controls: what is it about n + g that fires the backdoor?
 *   errors   BD_E_ARG: something the kind needs is missing, or a trigger that cannot be moved; BD_E_MEMORY
 *   memory   borrows trigger and images until bd_prior_destroy
 *   tested   tests/test_prior.c */
BD_MUST_CHECK bd_status bd_prior_create(bd_prior **out, const bd_prior_spec *spec);
void bd_prior_destroy(bd_prior *p); /* NULL allowed */

/* bd_prior_apply -- add the offset to x [S][S][C], which holds the sample's normals. Where the offset is
 * zero x is left alone, so that trigger-zero of a grey box is the noise bit for bit. Safe to call from
 * any thread; a function of (prior, x, sample) only. Its type is bd_prior_fn of train/sampling.h. */
BD_MUST_CHECK bd_status bd_prior_apply(void *prior, float *x, int64_t sample);

/* bd_prior_parse -- kind of a name.
 *   errors   BD_E_ARG: unknown; the text lists the names */
BD_MUST_CHECK bd_status bd_prior_parse(bd_prior_kind *out, const char *name);
const char *bd_prior_name(bd_prior_kind kind);

#endif
