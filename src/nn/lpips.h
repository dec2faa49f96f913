/* LPIPS: the distance of two images in the features of AlexNet. */
#ifndef BD_NN_LPIPS_H
#define BD_NN_LPIPS_H

#include "base/status.h"
#include "graph/graph.h"
#include "nn/params.h"

enum { BD_LPIPS_LAYERS = 5, BD_LPIPS_CHANNELS = 384 /* of the widest layer */ };

/* Weights of the linear heads. */
typedef struct {
    float weight[BD_LPIPS_LAYERS][BD_LPIPS_CHANNELS];
} bd_lpips_heads;

typedef struct {
    int layer[BD_LPIPS_LAYERS]; /* [N,H',W',C]: behind each of the five rectifiers */
} bd_lpips_out;

/* bd_lpips_build -- append the five convolutions of AlexNet to g; parameters are "0.weight", "0.bias" ... as
 * torchvision numbers its `features`.
 *   source   Krizhevsky 2014, arXiv:1404.5997, in torchvision's layout
 *   shapes   x [N,H,W,3] as bd_lpips_input makes it; H and W at least 31
 *   errors   ids of -1, and the reason in bd_graph_status(g)
 *   tested   tests/test_lpips.c */
bd_lpips_out bd_lpips_build(bd_graph *g, int x);

/* bd_lpips_params -- its parameters, all zero; as bd_params_from_graph. */
BD_MUST_CHECK bd_status bd_lpips_params(bd_params *out);

/* bd_lpips_load -- AlexNet's features from torchvision's weights (classifier.* is not read), the heads
 * lin0.model.1.weight ... [1,C,1,1] from the published ones (version 0.1).
 *   source   alexnet-owt-7be5be79.pth of download.pytorch.org; weights/v0.1/alex.pth of
 *            github.com/richzhang/PerceptualSimilarity
 *   errors   BD_E_FORMAT with file and tensor; BD_E_MISSING; BD_E_IO
 *   memory   p is made by bd_lpips_params
 *   tested   tests/test_lpips.c */
BD_MUST_CHECK bd_status bd_lpips_load(bd_params *p, bd_lpips_heads *heads, const char *alexnet,
                                      const char *heads_path);

/* bd_lpips_input -- ((2 v - 1) - shift) / scale with the constants of LPIPS. A grey image becomes three equal
 * channels.
 *   shapes   out [n][3]; pixels [n][c] in [0,1], c 1 or 3 */
void bd_lpips_input(float *out, const float *pixels, size_t n, int c);

/* bd_lpips_layer -- what one layer adds to the distance, in double: with each pixel's channels divided by their
 * norm + 1e-10, mean over pixels of sum_c head[c] (a[c] - b[c])^2.
 *   source   Zhang et al. 2018, arXiv:1801.03924, eq. 1
 *   shapes   a, b [pixels][channels]; head [channels] */
double bd_lpips_layer(const float *a, const float *b, const float *head, size_t pixels,
                      int channels);

/* bd_lpips_channels -- of a layer. */
int bd_lpips_channels(int layer);

#endif
