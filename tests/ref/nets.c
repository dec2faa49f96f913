#include "ref/nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ref/check.h"

int ref_param(bd_graph *g, int d0, int d1, int d2, int d3) {
    char name[32];
    snprintf(name, sizeof name, "p%d", bd_graph_tensor_count(g));
    return bd_graph_param(g, name, d0, d1, d2, d3);
}

bd_conv_attr ref_square(int k, int stride, int pad) {
    return (bd_conv_attr){k, k, stride, pad, pad, pad, pad};
}

/* Channels of x; 1 in a broken chain, where every builder call returns -1 anyway. */
static int channels(const bd_graph *g, int x) { return x < 0 ? 1 : bd_graph_tensor(g, x)->dim[3]; }

int ref_conv(bd_graph *g, int x, int out_channels, bd_conv_attr a) {
    int w = ref_param(g, out_channels, channels(g, x), a.kh, a.kw);
    return bd_conv2d(g, x, w, ref_param(g, 1, 1, 1, out_channels), a);
}

static int norm(bd_graph *g, int x, int groups, bool silu) {
    int c = channels(g, x), gamma = ref_param(g, 1, 1, 1, c);
    return bd_group_norm(g, x, gamma, ref_param(g, 1, 1, 1, c),
                         (bd_norm_attr){groups, 1e-5f, silu});
}

int ref_unet(bd_graph *g, int x, int width) {
    const bd_conv_attr k1 = ref_square(1, 1, 0), k3 = ref_square(3, 1, 1);
    int n = x < 0 ? 1 : bd_graph_tensor(g, x)->dim[0], c = channels(g, x);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, n, 1, 1, 1);
    int e = bd_time_embedding(g, t, 8, (bd_time_attr){false, 1});
    e = bd_silu(g, ref_conv(g, e, 6, k1));
    int skip = ref_conv(g, x, width, k3);
    int h = ref_conv(g, norm(g, skip, 2, true), width, k3);
    h = bd_add_channel(g, h, ref_conv(g, e, width, k1));
    h = bd_add(g, skip, ref_conv(g, norm(g, h, 2, true), width, k3));
    h = ref_conv(g, h, 2 * width, (bd_conv_attr){3, 3, 2, 0, 0, 1, 1});
    int a = norm(g, h, 4, false);
    int q = ref_conv(g, a, 2 * width, k1), k = ref_conv(g, a, 2 * width, k1);
    int v = ref_conv(g, a, 2 * width, k1);
    h = bd_add(g, h, ref_conv(g, bd_attention(g, q, k, v, 2), 2 * width, k1));
    h = bd_concat(g, bd_upsample2(g, h), skip);
    return bd_scale(g, ref_conv(g, norm(g, h, 3, true), c, k3), 1.5f);
}

int ref_unet_loss(bd_graph *g, int n, int h, int w, int c, int width) {
    int y = ref_unet(g, bd_graph_input(g, "x", BD_TYPE_F32, n, h, w, c), width);
    int target = bd_graph_input(g, "target", BD_TYPE_F32, n, h, w, c);
    int loss = bd_mse(g, y, target, bd_graph_input(g, "weight", BD_TYPE_F32, n, 1, 1, 1));
    bd_graph_keep(g, loss);
    return loss;
}

enum { RECENT = 6 };

/* A number below n from the next die. */
static int throw(uint64_t seed, int *dice, int n) {
    double x;
    ref_fill(&x, 1, seed * 7919 + (uint64_t)(*dice)++);
    return (int)(fabs(x) * 1e5) % n;
}

/* One op on two of the recent tensors a and b (the same one now and then). */
static int random_op(bd_graph *g, int kind, int a, int b) {
    const bd_tensor *A = bd_graph_tensor(g, a), *B = bd_graph_tensor(g, b);
    bool fit = memcmp(A->dim, B->dim, sizeof A->dim) == 0;
    bool small = A->dim[3] + B->dim[3] < 40 && A->dim[1] < 8, join = A->dim[1] == B->dim[1];
    int count = (A->dim[3] + 1) / 2;
    switch (kind) {
    case 0: return fit ? bd_scale(g, bd_add(g, a, b), 0.5f) : bd_silu(g, b);
    case 1: return small && join ? bd_concat(g, a, b) : bd_scale(g, a, -0.75f);
    case 2: return small ? bd_upsample2(g, a) : bd_mean_hw(g, a);
    case 3: return fit ? bd_attention(g, a, b, a, 1) : bd_silu(g, a);
    case 4: return bd_slice(g, a, A->dim[3] - count, count);
    default: return bd_silu(g, a);
    }
}

int ref_random_net(bd_graph *g, uint64_t seed, int n, int size, bool slices) {
    int recent[RECENT], dice = 0, last = bd_graph_input(g, "x", BD_TYPE_F32, n, 2, 2, 4);
    for (int i = 0; i < RECENT; i++) recent[i] = last;
    for (int i = 0; i < size && last >= 0; i++) {
        int a = i % 3 ? last : recent[throw(seed, &dice, RECENT)];
        int kind = throw(seed, &dice, 6);
        last = random_op(g, kind == 4 && !slices ? 5 : kind, a, recent[throw(seed, &dice, RECENT)]);
        recent[throw(seed, &dice, RECENT)] = last;
        if (i % 9 == 0) bd_graph_keep(g, last);
    }
    return last;
}
