/* Does a network on a device agree with a reference implementation? */
#ifndef BD_NN_PARITY_H
#define BD_NN_PARITY_H

#include "base/pool.h"
#include "base/status.h"
#include "graph/backend.h"
#include "nn/params.h"

typedef struct {
    const char *name; /* of the parameter */
    double error;     /* |a - r| / max(|r|, 1e-4 * |all reference gradients together|) */
    double norm;      /* |r| */
} bd_parity_grad;

/* |.| is the L2 norm, a ours, r the reference. */
typedef struct {
    double output, loss; /* |a - r| / |r| */
    double loss_value, loss_reference;
    int n_grads;
    bd_parity_grad *grad; /* worst first */
    bd_params reference;  /* the case's gradients; owns the names */
} bd_parity;

/* bd_parity_network -- run the model folder DIR on DIR/case.safetensors and compare.
 *   shapes   case: sample, target, output [N,C,H,W] f32, timestep [N] i64, loss [1] f32,
 *            grad.NAME of every parameter; loss = mean of (output - target)^2
 *   errors   BD_E_MISSING, BD_E_FORMAT: file, tensor and reason; BD_E_DEVICE. A large error is no
 *            failure of this function: compare with bd_parity_worst
 *   memory   caller frees with bd_parity_clear
 *   tested   tests/test_parity.c */
BD_MUST_CHECK bd_status bd_parity_network(bd_parity *out, const char *dir, const bd_backend *b,
                                          bd_pool *pool);
void bd_parity_clear(bd_parity *p); /* an all-zero struct is fine */

/* bd_parity_worst -- the largest error; NaN when one is not a number. */
double bd_parity_worst(const bd_parity *p);

/* bd_relative_error -- |a - r| / max(|r|, floor); 0 when a equals r everywhere, floor and r being 0. */
double bd_relative_error(const float *a, const float *r, size_t n, double floor);

/* bd_parity_tile -- images of one tile for N images: 1, 2, 4 or 8. */
int bd_parity_tile(int n);

#endif
