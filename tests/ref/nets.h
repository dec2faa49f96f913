/* Small networks with every kind of join, for tests of differentiation, planning and engines. */
#ifndef BD_REF_NETS_H
#define BD_REF_NETS_H

#include "graph/graph.h"

/* A numbered parameter ("p0", "p1" ... by the tensor id). */
int ref_param(bd_graph *g, int d0, int d1, int d2, int d3);

/* Convolution with weight and bias of its own. */
int ref_conv(bd_graph *g, int x, int out_channels, bd_conv_attr a);
bd_conv_attr ref_square(int k, int stride, int pad);

/* ref_unet -- x [N,H,W,C] with even H and W -> [N,H,W,C]: time embedding (input "timestep" [N]), residual block,
 * strided convolution, attention with two heads, up-sampling, skip by concat. width: channels, a multiple of 4 */
int ref_unet(bd_graph *g, int x, int width);

/* ref_unet_loss -- input "x" [N,H,W,C], ref_unet, mean squared error against inputs "target" and "weight";
 * returns the kept loss. */
int ref_unet_loss(bd_graph *g, int n, int h, int w, int c, int width);

/* ref_random_net -- about `size` parameter-free ops joined at random behind "x" [n,2,2,4], magnitudes bounded by
 * those of x; some results are kept. Returns the last tensor, which depends on x. slices: use bd_slice too, which
 * has no backward rule. */
int ref_random_net(bd_graph *g, uint64_t seed, int n, int size, bool slices);

#endif
