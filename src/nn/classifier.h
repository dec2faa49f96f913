/* A small convolutional classifier: its penultimate layer is the feature space of `fcd`. */
#ifndef BD_NN_CLASSIFIER_H
#define BD_NN_CLASSIFIER_H

#include "base/status.h"
#include "graph/graph.h"
#include "nn/params.h"

enum { BD_CLASSIFIER_FEATURES = 64 };

typedef struct {
    int sample_size; /* S, a multiple of 4 */
    int channels;    /* C of the images    */
    int classes;
} bd_classifier_config;

/* 32x32x1, ten classes: Fashion-MNIST as the UNets see it */
#define BD_CLASSIFIER_DEFAULT \
    ((bd_classifier_config){.sample_size = 32, .channels = 1, .classes = 10})

typedef struct {
    int logits, features;
} bd_classifier_out;

/* bd_classifier_build -- append the classifier to g.
 *   conv 3x3 -> 16, [norm, SiLU, conv 3x3 stride 2 -> 32], [norm, SiLU, conv 3x3 -> 32],
 *   [norm, SiLU, conv 3x3 stride 2 -> 64], [norm, SiLU, conv 3x3 -> 64], norm, SiLU,
 *   mean over the image = features, linear = logits. Group norms of 8 groups, eps 1e-5.
 *   shapes   x [N,S,S,C] in [-1,1]; features [N,1,1,64], logits [N,1,1,classes]
 *   errors   {-1, -1}, and the reason in bd_graph_status(g)
 *   tested   tests/test_classifier.c */
bd_classifier_out bd_classifier_build(bd_graph *g, const bd_classifier_config *c, int x);

/* bd_classifier_params -- the parameters of a configuration, all zero; as bd_params_from_graph. */
BD_MUST_CHECK bd_status bd_classifier_params(bd_params *out, const bd_classifier_config *c);

#endif
