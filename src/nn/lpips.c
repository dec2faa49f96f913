#include "nn/lpips.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int number; /* in torchvision's `features` */
    int channels, size, stride, pad;
    bool pool; /* 3x3, stride 2, before it */
} layer;

static const layer layers[BD_LPIPS_LAYERS] = {
    {0, 64, 11, 4, 2, false}, {3, 192, 5, 1, 2, true},   {6, 384, 3, 1, 1, true},
    {8, 256, 3, 1, 1, false}, {10, 256, 3, 1, 1, false},
};

int bd_lpips_channels(int i) { return layers[i].channels; }

bd_lpips_out bd_lpips_build(bd_graph *g, int x) {
    bd_lpips_out out;
    int in = 3;
    for (int i = 0; i < BD_LPIPS_LAYERS; i++) {
        const layer *l = &layers[i];
        char weight[32], bias[32];
        snprintf(weight, sizeof weight, "%d.weight", l->number);
        snprintf(bias, sizeof bias, "%d.bias", l->number);
        int w = bd_graph_param(g, weight, l->channels, in, l->size, l->size);
        int b = bd_graph_param(g, bias, 1, 1, 1, l->channels);
        if (l->pool) x = bd_max_pool(g, x, (bd_window_attr){3, 2, 0});
        const bd_conv_attr a = {l->size, l->size, l->stride, l->pad, l->pad, l->pad, l->pad};
        out.layer[i] = x = bd_relu(g, bd_conv2d(g, x, w, b, a));
        in = l->channels;
    }
    return out;
}

bd_status bd_lpips_params(bd_params *out) {
    *out = (bd_params){0};
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "lpips"));
    bd_lpips_build(g, bd_graph_input(g, "x", BD_TYPE_F32, 1, 64, 64, 3));
    bd_status st = bd_params_from_graph(out, g);
    bd_graph_destroy(g);
    return st;
}

/* --- weights --- */

static bd_status read_head(float *head, const bd_tensors *s, int i, const char *path) {
    char name[32];
    snprintf(name, sizeof name, "lin%d.model.1.weight", i);
    const bd_st_tensor *t = bd_tensors_find(s, name);
    BD_REQUIRE(t, BD_E_FORMAT, "%s: tensor %s is missing: not the heads of LPIPS with AlexNet",
               path, name);
    int c = layers[i].channels;
    BD_REQUIRE(t->dtype == BD_F32 && t->rank == 4 && t->dim[0] == 1 && t->dim[1] == c &&
                   t->dim[2] == 1 && t->dim[3] == 1,
               BD_E_FORMAT, "%s: tensor %s is not F32 of 1x%dx1x1", path, name, c);
    memcpy(head, t->data, t->bytes);
    for (int k = 0; k < c; k++)
        BD_REQUIRE(isfinite(head[k]), BD_E_FORMAT, "%s: tensor %s: value %d is not finite", path,
                   name, k);
    return BD_OK;
}

bd_status bd_lpips_load(bd_params *p, bd_lpips_heads *heads, const char *alexnet,
                        const char *heads_path) {
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, alexnet));
    bd_status st = bd_params_read(p, s, "features.", alexnet);
    bd_tensors_destroy(s);
    if (st) return st;
    memset(heads, 0, sizeof *heads);
    BD_TRY(bd_tensors_load(&s, heads_path));
    for (int i = 0; i < BD_LPIPS_LAYERS && !st; i++)
        st = read_head(heads->weight[i], s, i, heads_path);
    bd_tensors_destroy(s);
    return st;
}

/* --- numbers --- */

void bd_lpips_input(float *out, const float *pixels, size_t n, int c) {
    static const float shift[3] = {-.030f, -.088f, -.188f}, scale[3] = {.458f, .448f, .450f};
    for (size_t i = 0; i < n; i++, pixels += c, out += 3)
        for (int k = 0; k < 3; k++) out[k] = (2 * pixels[c == 3 ? k : 0] - 1 - shift[k]) / scale[k];
}

static double norm(const float *x, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += (double)x[k] * (double)x[k];
    return sqrt(sum) + 1e-10;
}

double bd_lpips_layer(const float *a, const float *b, const float *head, size_t pixels,
                      int channels) {
    double total = 0;
    for (size_t i = 0; i < pixels; i++, a += channels, b += channels) {
        double of_a = norm(a, channels), of_b = norm(b, channels), sum = 0;
        for (int k = 0; k < channels; k++) {
            double d = (double)a[k] / of_a - (double)b[k] / of_b;
            sum += (double)head[k] * d * d;
        }
        total += sum;
    }
    return total / (double)pixels;
}
