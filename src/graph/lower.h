/* Lowering: a graph rewritten for what a backend can do in one operation. */
#ifndef BD_GRAPH_LOWER_H
#define BD_GRAPH_LOWER_H

#include "graph/graph.h"

/* What a backend's operations can take over. */
enum {
    BD_CAN_NORM_CHANNEL = 1 << 0, /* group_norm and group_norm_bwd add v[n,c] to x themselves */
    BD_CAN_CONV_ADD = 1 << 1      /* conv2d adds z to its result                              */
};

/* bd_graph_lower -- a copy of g with operations merged as far as `can` (BD_CAN_...) allows, and, when `half` is
 * BD_TYPE_BF16 or BD_TYPE_F16 (else BD_TYPE_F32), with activations and their gradients in that type: what a
 * convolution or attention takes and gives, and what ops without sums make of it. In float32 remain weights, gradients
 * of weights, statistics of norms, targets, probabilities, losses, inputs and states; where a 16-bit op reads one of
 * them a cast is put in front, once a tensor.
 * Tensor ids stay what they are in g, so a driver goes on using them (casts come behind them); a tensor that no
 * operation touches any more is given no storage by the planner. Kept tensors are never merged away.
 *   source   the rounding points of torch.autocast (Micikevicius et al. 2018, "Mixed precision training")
 *   errors   BD_E_MEMORY; the status of g
 *   memory   caller frees with bd_graph_destroy; nothing of g is borrowed
 *   tested   tests/test_graph.c (what is merged and what is not), tests/test_ops.c (values) */
BD_MUST_CHECK bd_status bd_graph_lower(bd_graph **out, const bd_graph *g, unsigned can,
                                       bd_type half);

#endif
