/* Adversarial neuron perturbation (ANP): a scale gamma and a shift beta for each output channel of every convolution,
 * found by gradient ascent on the clean loss while the network's own weights stay as they are.
 *     y[o] -> gamma[o] y[o] + beta[o] behind convolution and bias
 * is the same network with the weights gamma[o] w[o] and the biases gamma[o] b[o] + beta[o]: the perturbed network needs
 * no other graph, and the chain rule through the fold gives the gradients of gamma and beta.
 * A convolution is a parameter of rank 4 (nn/params.h); linear layers are not perturbed. */
#ifndef BD_DEFENSE_ANP_H
#define BD_DEFENSE_ANP_H

#include <stdint.h>

#include "nn/params.h"

/* By what the gradient of gamma and beta is clipped: its own norm, or the one that the original clips by. */
typedef enum { BD_ANP_CLIP_CLEAN, BD_ANP_CLIP_LEGACY } bd_anp_clip;

/* bd_anp_clip_parse -- "clean" or "legacy".
 *   errors   BD_E_ARG: neither */
BD_MUST_CHECK bd_status bd_anp_clip_parse(bd_anp_clip *out, const char *name);

/* bd_anp_affine -- gamma = 1 and beta = 0 of each convolution of a network, in the network's order, under the names
 * that the original gives them: "<convolution>.bn.weight" and "<convolution>.bn.bias".
 *   source   Wu & Wang 2021, arXiv:2110.14430, section 4; IBM/BadDiffusion anp_model.py (batch norms with mean 0,
 *            variance 1)
 *   shapes   vectors [O]
 *   errors   BD_E_ARG: no convolution, or one without bias; BD_E_MEMORY
 *   memory   caller frees with bd_params_clear; keeps nothing of net
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_anp_affine(bd_params *out, const bd_params *net);

/* bd_anp_fold -- the perturbed network's parameters: gamma w and gamma b + beta for convolutions, copies of the others.
 * With gamma = 1, beta = 0 they are the network's own, bit for bit (a bias of -0 becomes 0).
 *   shapes   out, net: the network's; affine: as bd_anp_affine makes it
 *   errors   BD_E_SHAPE: tables that do not belong together
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_anp_fold(bd_params *out, const bd_params *net, const bd_params *affine);

/* bd_anp_gradient -- from the gradient of the folded parameters to that of gamma and beta, by the chain rule:
 *     dgamma[o] = sum over w[o] of dfolded w + dfolded b[o] b[o],   dbeta[o] = dfolded b[o]
 *   shapes   grad as affine; folded_grad, net: the network's
 *   units    conv_norm: L2 norm of the gradient of all convolutions' own weights and biases, gamma times that of the
 *            folded ones. Sums in double, in storage order
 *   errors   BD_E_SHAPE
 *   tested   tests/test_anp.c */
BD_MUST_CHECK bd_status bd_anp_gradient(bd_params *grad, double *conv_norm,
                                        const bd_params *folded_grad, const bd_params *net,
                                        const bd_params *affine);

/* bd_anp_legacy_norm -- the norm that the original's clipping sees: that of gamma and beta together with the
 * convolutions' gradient, which its optimiser does not own and which therefore still carries the loss scale.
 *     sqrt(own^2 + (scale conv)^2),   scale = 65536 doubled every 2000 steps
 * Clipping by it multiplies the gradient by about 1/(scale conv): Adam's epsilon is then no longer small beside it.
 *   source   IBM/BadDiffusion anp_defense.py with accelerate's GradScaler; no step overflows here
 *   units    step counts from 1
 *   tested   tests/test_anp.c */
double bd_anp_legacy_norm(double own, double conv, int64_t step);

/* bd_anp_clamp -- every gamma and beta into [-budget, budget]; 0 = no bound. With a budget below 1 the first call
 * cuts every gamma down to it, as in the original. */
void bd_anp_clamp(bd_params *affine, double budget);

#endif
