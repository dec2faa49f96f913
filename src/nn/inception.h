/* Inception-v3 as FID uses it: the network of 2015-12-05, up to its 2048 pooled features. */
#ifndef BD_NN_INCEPTION_H
#define BD_NN_INCEPTION_H

#include "base/status.h"
#include "graph/graph.h"
#include "nn/params.h"

enum { BD_INCEPTION_SIZE = 299, BD_INCEPTION_FEATURES = 2048, BD_INCEPTION_STAGES = 18 };

typedef struct {
    int features;                   /* [N,1,1,2048]                                     */
    int stage[BD_INCEPTION_STAGES]; /* result of each stage, in the order of the network */
} bd_inception_out;

/* bd_inception_build -- append the network to g. Batch norms are folded into the convolutions: parameters
 * are "U.conv.weight" and "U.conv.bias" of its 94 units.
 *   source   Szegedy et al. 2016, arXiv:1512.00567, with the pooling of the TensorFlow graph that FID was
 *            defined with, as mseitzer/pytorch-fid has it: padded pixels do not count in average pools, and
 *            the last block (Mixed_7c) takes the maximum instead
 *   shapes   x [N,299,299,3] in [-1,1]
 *   errors   features = -1, and the reason in bd_graph_status(g)
 *   tested   tests/test_inception.c */
bd_inception_out bd_inception_build(bd_graph *g, int x);

/* bd_inception_stage_name -- "Conv2d_1a_3x3" ... "Mixed_7c"; "max_pool" for the two without a name. */
const char *bd_inception_stage_name(int i);

/* bd_inception_params -- its parameters, all zero; as bd_params_from_graph. */
BD_MUST_CHECK bd_status bd_inception_params(bd_params *out);

/* bd_inception_load -- values from the published weights, or a file of the same tensors: of each unit U
 * conv.weight and bn.{weight,bias,running_mean,running_var}, all F32. With s = bn.weight / sqrt(var + 0.001)
 * the weight is conv.weight s and the bias bn.bias - mean s, both computed in double. fc.* and
 * *.num_batches_tracked are not needed and ignored.
 *   source   pt_inception-2015-12-05-6726825d.pth of github.com/mseitzer/pytorch-fid
 *   errors   BD_E_FORMAT with file and tensor: missing, of another shape or type, not of this network, not
 *            finite, or a variance that is not positive; BD_E_MISSING; BD_E_IO
 *   memory   p is made by bd_inception_params and may be half filled on failure
 *   tested   tests/test_inception.c */
BD_MUST_CHECK bd_status bd_inception_load(bd_params *p, const char *path);

/* bd_inception_input -- an image as the network takes it: bilinear to 299x299 with half-pixel centres, edges
 * repeated, no smoothing, whatever its size, then 2 v - 1. A grey image becomes three equal channels.
 *   shapes   out [299][299][3]; pixels [h][w][c] in [0,1], c 1 or 3
 *   errors   BD_E_SHAPE */
BD_MUST_CHECK bd_status bd_inception_input(float *out, const float *pixels, int h, int w, int c);

#endif
