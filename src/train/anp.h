/* Adversarial neuron perturbation as a training job: gamma and beta climb the clean loss (defense/anp.h). */
#ifndef BD_TRAIN_ANP_H
#define BD_TRAIN_ANP_H

#include "defense/anp.h"
#include "train/trainer.h"

typedef struct {
    bd_train_spec train;  /* of the clean loss: flags NULL, coef of no attack; map unset         */
    const bd_params *net; /* the network's own weights, which stay as they are                   */
    double budget;        /* gamma and beta stay in [-budget, budget]; 0 = no bound              */
    bd_anp_clip clip;
} bd_anp_spec;

/* bd_anp_train -- gradient ascent: affine in, affine out. log.csv, checkpoints and resuming are bd_train's; its loss
 * is the clean loss that is climbed, its grad_norm the norm that the clip bounds.
 *   source   IBM/BadDiffusion anp_defense.py
 *   errors   as bd_train
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_anp_train(bd_loop_result *out, bd_params *affine,
                                     const bd_anp_spec *spec);

#endif
