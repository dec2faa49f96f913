/* The classifier behind `fcd`: five convolutions, about 12 MFLOP an image of 32x32. */
#include "nn/classifier.h"

#include <stdio.h>

enum { GROUPS = 8 };

typedef struct {
    int in, out, stride;
} layer;

static const layer layers[] = {
    {16, 32, 2}, {32, 32, 1}, {32, 64, 2}, {64, BD_CLASSIFIER_FEATURES, 1}};
enum { LAYERS = sizeof layers / sizeof *layers, FIRST = 16 };

static int norm_silu(bd_graph *g, const char *name, int x, int channels) {
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    int gamma = bd_graph_param(g, weight, 1, 1, 1, channels);
    int beta = bd_graph_param(g, bias, 1, 1, 1, channels);
    return bd_group_norm(g, x, gamma, beta,
                         (bd_norm_attr){.groups = GROUPS, .eps = 1e-5F, .silu = true});
}

static int conv3(bd_graph *g, const char *name, int x, layer l) {
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    int w = bd_graph_param(g, weight, l.out, l.in, 3, 3);
    int b = bd_graph_param(g, bias, 1, 1, 1, l.out);
    return bd_conv2d(g, x, w, b,
                     (bd_conv_attr){.kh = 3,
                                    .kw = 3,
                                    .stride = l.stride,
                                    .pad_top = 1,
                                    .pad_left = 1,
                                    .pad_bottom = 1,
                                    .pad_right = 1});
}

bd_classifier_out bd_classifier_build(bd_graph *g, const bd_classifier_config *c, int x) {
    bd_classifier_out none = {-1, -1};
    if (c->sample_size < 4 || c->sample_size % 4 || c->channels < 1 || c->classes < 2) {
        bd_graph_set_error(g, BD_E_ARG,
                           "classifier: images %dx%dx%d, %d classes; the size must be a multiple "
                           "of 4, and there must be two classes",
                           c->sample_size, c->sample_size, c->channels, c->classes);
        return none;
    }
    x = conv3(g, "conv0", x, (layer){c->channels, FIRST, 1});
    for (int i = 0; i < LAYERS; i++) {
        char norm[16], conv[16];
        snprintf(norm, sizeof norm, "norm%d", i + 1);
        snprintf(conv, sizeof conv, "conv%d", i + 1);
        x = conv3(g, conv, norm_silu(g, norm, x, layers[i].in), layers[i]);
    }
    x = norm_silu(g, "norm_out", x, BD_CLASSIFIER_FEATURES);
    int features = bd_mean_hw(g, x);
    int w = bd_graph_param(g, "linear.weight", c->classes, BD_CLASSIFIER_FEATURES, 1, 1);
    int b = bd_graph_param(g, "linear.bias", 1, 1, 1, c->classes);
    return (bd_classifier_out){.logits = bd_linear(g, features, w, b), .features = features};
}

bd_status bd_classifier_params(bd_params *out, const bd_classifier_config *c) {
    *out = (bd_params){0};
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "classifier"));
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, c->sample_size, c->sample_size, c->channels);
    bd_classifier_build(g, c, x);
    bd_status st = bd_params_from_graph(out, g);
    bd_graph_destroy(g);
    return st;
}
