#include "defense/anp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WEIGHT_SUFFIX ".weight"

enum { NAME_BYTES = 256, CONV_RANK = 4, SUFFIX = sizeof WEIGHT_SUFFIX - 1 };

bd_status bd_anp_clip_parse(bd_anp_clip *out, const char *name) {
    bool clean = !strcmp(name, "clean");
    BD_REQUIRE(clean || !strcmp(name, "legacy"), BD_E_ARG, "clip = %s: must be clean or legacy",
               name);
    *out = clean ? BD_ANP_CLIP_CLEAN : BD_ANP_CLIP_LEGACY;
    return BD_OK;
}

/* --- the table --- */

/* Parameter w is a convolution's weight; in diffusers' order its bias comes next. */
static bool is_conv(const bd_params *net, int w) { return net->at[w].rank == CONV_RANK; }

static bd_status check_bias(const bd_params *net, int w) {
    const char *name = net->at[w].name;
    size_t layer = strlen(name) - SUFFIX;
    bool has = w + 1 < net->n && !strncmp(net->at[w + 1].name, name, layer) &&
               !strcmp(net->at[w + 1].name + layer, ".bias") &&
               net->at[w + 1].dim[0] == net->at[w].dim[0];
    BD_REQUIRE(has, BD_E_ARG, "anp: convolution %s has no bias behind it", name);
    return BD_OK;
}

static bd_status declare(bd_graph *g, const bd_params *net) {
    char name[NAME_BYTES];
    for (int w = 0; w < net->n; w++) {
        if (!is_conv(net, w)) continue;
        BD_TRY(check_bias(net, w));
        int layer = (int)(strlen(net->at[w].name) - SUFFIX);
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "%.*s.bn.%s", layer, net->at[w].name,
                     i ? "bias" : "weight");
            bd_graph_param(g, name, 1, 1, 1, net->at[w].dim[0]);
        }
    }
    return bd_graph_status(g);
}

bd_status bd_anp_affine(bd_params *out, const bd_params *net) {
    *out = (bd_params){0};
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "anp"));
    bd_status st = declare(g, net);
    if (!st) st = bd_params_from_graph(out, g);
    bd_graph_destroy(g);
    for (int i = 0; i < out->n; i += 2) /* gamma, beta, gamma, ... */
        for (size_t o = 0; o < out->at[i].count; o++) out->data[out->at[i].first + o] = 1;
    return st;
}

/* --- fold and chain rule --- */

/* One convolution: its weight and bias in a table of the network's shape, and gamma and beta in one of the other. */
typedef struct {
    int w, gamma;
    size_t channels, fan_in; /* weights of one output channel */
} conv;

/* The convolutions of net one after the other; false past the last. c starts as {.w = -1, .gamma = -2}. */
static bool next_conv(conv *c, const bd_params *net) {
    c->gamma += 2;
    do c->w++;
    while (c->w < net->n && !is_conv(net, c->w));
    if (c->w >= net->n) return false;
    c->channels = (size_t)net->at[c->w].dim[0];
    c->fan_in = net->at[c->w].count / c->channels;
    return true;
}

static float *values(const bd_params *p, int i) { return p->data + p->at[i].first; }

static bd_status check_tables(const bd_params *other, const bd_params *net,
                              const bd_params *affine) {
    BD_REQUIRE(other->n == net->n && other->bytes == net->bytes, BD_E_SHAPE,
               "anp: %d and %d parameters of one network", other->n, net->n);
    conv c = {.w = -1, .gamma = -2};
    while (next_conv(&c, net))
        BD_REQUIRE(c.gamma + 1 < affine->n && affine->at[c.gamma].count == c.channels &&
                       affine->at[c.gamma + 1].count == c.channels &&
                       other->at[c.w].count == net->at[c.w].count,
                   BD_E_SHAPE, "anp: scales and shifts are not those of %s", net->at[c.w].name);
    BD_REQUIRE(c.gamma == affine->n, BD_E_SHAPE, "anp: scales of %d convolutions for %d",
               affine->n / 2, c.gamma / 2);
    return BD_OK;
}

bd_status bd_anp_fold(bd_params *out, const bd_params *net, const bd_params *affine) {
    BD_TRY(check_tables(out, net, affine));
    memcpy(out->data, net->data, net->bytes);
    conv c = {.w = -1, .gamma = -2};
    while (next_conv(&c, net)) {
        const float *gamma = values(affine, c.gamma), *beta = values(affine, c.gamma + 1);
        float *w = values(out, c.w), *b = values(out, c.w + 1);
        for (size_t o = 0; o < c.channels; o++) {
            for (size_t i = 0; i < c.fan_in; i++) w[o * c.fan_in + i] *= gamma[o];
            b[o] = gamma[o] * b[o] + beta[o];
        }
    }
    return BD_OK;
}

bd_status bd_anp_gradient(bd_params *grad, double *conv_norm, const bd_params *folded_grad,
                          const bd_params *net, const bd_params *affine) {
    BD_TRY(check_tables(folded_grad, net, affine));
    BD_TRY(check_tables(folded_grad, net, grad));
    double squares = 0;
    conv c = {.w = -1, .gamma = -2};
    while (next_conv(&c, net)) {
        const float *gamma = values(affine, c.gamma), *w = values(net, c.w),
                    *b = values(net, c.w + 1), *dw = values(folded_grad, c.w),
                    *db = values(folded_grad, c.w + 1);
        for (size_t o = 0; o < c.channels; o++) {
            double product = (double)db[o] * b[o], square = (double)db[o] * db[o];
            for (size_t i = o * c.fan_in; i < (o + 1) * c.fan_in; i++) {
                product += (double)dw[i] * w[i];
                square += (double)dw[i] * dw[i];
            }
            values(grad, c.gamma)[o] = (float)product;
            values(grad, c.gamma + 1)[o] = db[o];
            squares += (double)gamma[o] * gamma[o] * square;
        }
    }
    *conv_norm = sqrt(squares);
    return BD_OK;
}

double bd_anp_legacy_norm(double own, double conv_gradient, int64_t step) {
    static const double start = 65536;
    enum { INTERVAL = 2000, MOST = 512 }; /* beyond 2^512 a square is no longer finite */
    int64_t doublings = (step - 1) / INTERVAL;
    double scale = ldexp(start, (int)(doublings < MOST ? doublings : MOST));
    return hypot(own, scale * conv_gradient);
}

void bd_anp_clamp(bd_params *affine, double budget) {
    if (budget <= 0) return;
    float bound = (float)budget;
    for (int i = 0; i < affine->n; i++) {
        float *x = values(affine, i);
        for (size_t k = 0; k < affine->at[i].count; k++)
            x[k] = x[k] > bound ? bound : x[k] < -bound ? -bound : x[k];
    }
}
