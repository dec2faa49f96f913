#include "op_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/check.h"
#include "ref/drive.h"
#include "ref/nets.h"

enum { PARAMS = 12, WRT = 3, TILES = 2 };

/* What a case builds: the tensors to differentiate by, and its result. */
typedef struct {
    int wrt[WRT], n_wrt, y;
} built;

typedef struct {
    built (*build)(bd_graph *g, const int *p);
    bd_op op;
    int p[PARAMS];
    int longest; /* terms of the longest sum in the case's forward and backward operations */
} op_case;

static int in(bd_graph *g, const char *name, int n, int h, int w, int c) {
    return bd_graph_input(g, name, BD_TYPE_F32, n, h, w, c);
}

static built one(int x, int y) { return (built){{x}, 1, y}; }
static built two(int a, int b, int y) { return (built){{a, b}, 2, y}; }

/* p: N H W I O K stride top left bottom right bias */
static built conv2d(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), w = bd_graph_param(g, "w", p[4], p[3], p[5], p[5]);
    int b = p[11] ? bd_graph_param(g, "b", 1, 1, 1, p[4]) : -1;
    const bd_conv_attr a = {p[5], p[5], p[6], p[7], p[8], p[9], p[10]};
    return one(x, bd_conv2d(g, x, w, b, a));
}

/* Both sides of a convolution are activations; its result is added to. p as conv2d */
static built conv2d_between(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), w = bd_graph_param(g, "w", p[4], p[3], p[5], p[5]);
    int b = p[11] ? bd_graph_param(g, "b", 1, 1, 1, p[4]) : -1;
    const bd_conv_attr a = {p[5], p[5], p[6], p[7], p[8], p[9], p[10]};
    int y = bd_conv2d(g, bd_silu(g, x), w, b, a);
    const int *d = y < 0 ? p : bd_graph_tensor(g, y)->dim;
    int z = in(g, "z", d[0], d[1], d[2], d[3]);
    return two(x, z, bd_silu(g, bd_add(g, y, z)));
}

/* p: N H W C G silu, 1 = statistics over x + v, e where eps is 10^-e */
static built group_norm(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), v = -1, h = x;
    if (p[6]) {
        v = in(g, "v", p[0], 1, 1, p[3]);
        h = bd_add_channel(g, x, v);
    }
    int gamma = bd_graph_param(g, "gamma", 1, 1, 1, p[3]);
    int beta = bd_graph_param(g, "beta", 1, 1, 1, p[3]);
    float eps = p[7] ? powf(10, (float)-p[7]) : 1e-5f;
    h = bd_group_norm(g, h, gamma, beta, (bd_norm_attr){p[4], eps, p[5]});
    return v < 0 ? one(x, h) : two(x, v, h);
}

/* p: N H W C heads, 1 = q, k, v are one tensor */
static built attention(bd_graph *g, const int *p) {
    int q = in(g, "q", p[0], p[1], p[2], p[3]);
    if (p[5]) return one(q, bd_attention(g, q, q, q, p[4]));
    int k = in(g, "k", p[0], p[1], p[2], p[3]), v = in(g, "v", p[0], p[1], p[2], p[3]);
    return (built){{q, k, v}, 3, bd_attention(g, q, k, v, p[4])};
}

/* p: N H W C */
static built add(bd_graph *g, const int *p) {
    int a = in(g, "a", p[0], p[1], p[2], p[3]), b = in(g, "b", p[0], p[1], p[2], p[3]);
    return two(a, b, bd_add(g, bd_add(g, a, b), a));
}

/* p: N H W C */
static built add_channel(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), v = in(g, "v", p[0], 1, 1, p[3]);
    return two(x, v, bd_add_channel(g, x, v));
}

/* p: N H W C */
static built scale(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_scale(g, bd_scale(g, x, -1.7f), 0.3f));
}

/* p: N H W C C' */
static built concat(bd_graph *g, const int *p) {
    int a = in(g, "a", p[0], p[1], p[2], p[3]), b = in(g, "b", p[0], p[1], p[2], p[4]);
    return two(a, b, bd_concat(g, a, b));
}

/* Three joined tensors, one of them twice, then a norm over the seams. p: N H W C C' G */
static built concat_norm(bd_graph *g, const int *p) {
    int a = in(g, "a", p[0], p[1], p[2], p[3]), b = in(g, "b", p[0], p[1], p[2], p[4]);
    int h = bd_concat(g, bd_silu(g, a), bd_concat(g, bd_silu(g, b), a)), c = 2 * p[3] + p[4];
    int gamma = bd_graph_param(g, "gamma", 1, 1, 1, c),
        beta = bd_graph_param(g, "beta", 1, 1, 1, c);
    h = bd_group_norm(g, h, gamma, beta, (bd_norm_attr){p[5], 1e-5f, true});
    return two(a, b, h);
}

/* Forward only. p: N H W C first count */
static built slice(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return (built){{0}, 0, bd_slice(g, x, p[4], p[5])};
}

/* p: N H W C */
static built upsample2(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_upsample2(g, x));
}

/* p: N H W C */
static built silu(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_silu(g, bd_scale(g, x, 6))); /* both tails of the sigmoid */
}

/* p: N H W C; the second relu reads what the first may have been written over. */
static built relu(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), y = bd_relu(g, bd_scale(g, x, 2));
    return one(x, bd_add(g, y, bd_relu(g, bd_scale(g, y, 0.5f))));
}

/* p: N H W C size stride pad */
static built max_pool(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_max_pool(g, x, (bd_window_attr){p[4], p[5], p[6]}));
}

/* p: N H W C size stride pad */
static built avg_pool(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_avg_pool(g, x, (bd_window_attr){p[4], p[5], p[6]}));
}

/* p: N H W C I O KH KW: padded to the size of the input */
static built conv2d_long(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]), w = bd_graph_param(g, "w", p[4], p[3], p[5], p[6]);
    const bd_conv_attr a = {p[5], p[6], 1, p[5] / 2, p[6] / 2, p[5] / 2, p[6] / 2};
    return one(x, bd_conv2d(g, x, w, bd_graph_param(g, "b", 1, 1, 1, p[4]), a));
}

/* p: N H W C */
static built mean_hw(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_mean_hw(g, x));
}

/* Forward only. p: N C flip shift */
static built time_embedding(bd_graph *g, const int *p) {
    int t = in(g, "timestep", p[0], 1, 1, 1);
    return (built){{0}, 0, bd_time_embedding(g, t, p[1], (bd_time_attr){p[2], p[3]})};
}

/* p: N H W C; the harness adds the loss itself. */
static built mse(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, bd_scale(g, x, 3));
}

/* p: N K; its result is the loss. */
static built cross_entropy(bd_graph *g, const int *p) {
    char label[32];
    snprintf(label, sizeof label, "label:%d", p[1]);
    int x = in(g, "x", p[0], 1, 1, p[1]), prob;
    int loss =
        bd_cross_entropy(g, bd_scale(g, x, 4), bd_graph_input(g, label, BD_TYPE_I32, p[0], 1, 1, 1),
                         in(g, "weight", p[0], 1, 1, 1), &prob);
    bd_graph_keep(g, prob);
    return one(x, loss);
}

/* Forward only. p: N H W C rows of the data set */
static built batch_build(bd_graph *g, const int *p) {
    char index[32];
    snprintf(index, sizeof index, "index:%d", p[4]);
    int images = bd_graph_const(g, "images", BD_TYPE_U8, p[4], p[1], p[2], p[3]);
    int trigger = bd_graph_const(g, "trigger", BD_TYPE_F32, 1, p[1], p[2], p[3]);
    int target = bd_graph_const(g, "target", BD_TYPE_F32, 1, p[1], p[2], p[3]);
    int row = bd_graph_input(g, index, BD_TYPE_I32, p[0], 1, 1, 1);
    int flags = bd_graph_input(g, "flags", BD_TYPE_I32, p[0], 1, 1, 1);
    int coef = in(g, "coef", p[0], 1, 1, 4),
        key = bd_graph_input(g, "key", BD_TYPE_I32, p[0], 1, 1, 4);
    bd_batch_out b = bd_batch_build(g, images, trigger, target, row, flags, coef, key);
    bd_graph_keep(g, b.y);
    return (built){{0}, 0, b.x_t};
}

/* Forward only, four iterations. p: N H W C bits (1 noise, 2 clip x0, 4 clip x', 8 three slots of history, 16 x0 is
 * used nowhere) */
static built sampler_step(bd_graph *g, const int *p) {
    char step[32];
    snprintf(step, sizeof step, "step:%d", p[4]);
    int x = bd_graph_state(g, "x", p[0], p[1], p[2], p[3]);
    int e = bd_scale(g, x, 0.3f); /* the network: reads the state that the step overwrites */
    int coef = bd_graph_input(g, step, BD_TYPE_F64, 1, 1, 1, BD_SAMPLER_COEFS);
    int key = bd_graph_input(g, "key", BD_TYPE_I32, p[0], 1, 1, 4);
    int h = p[4] & 8 ? bd_graph_state(g, "h", p[0], 3 * p[1], p[2], p[3]) : -1;
    return (built){{0}, 0, bd_sampler_step(g, x, e, coef, key, h)};
}

/* p: N H W C width */
static built unet(bd_graph *g, const int *p) {
    int x = in(g, "x", p[0], p[1], p[2], p[3]);
    return one(x, ref_unet(g, x, p[4]));
}

/* p: seed, N, ops, 1 = with slices, forward only */
static built random_net(bd_graph *g, const int *p) {
    int y = ref_random_net(g, (uint64_t)p[0], p[1], p[2], p[3]);
    return p[3] ? (built){{0}, 0, y} : one(bd_graph_find(g, "x"), y);
}

#define CASE(op, build, ...) \
    { build, BD_OP_##op, __VA_ARGS__ }
static const op_case cases[] = {
    /*                  N  H  W   I   O  K  s  t  l  b  r bias   longest */
    CASE(conv2d, conv2d, {1, 4, 4, 1, 1, 3, 1, 1, 1, 1, 1, 1}, 16),
    CASE(conv2d, conv2d, {2, 8, 8, 3, 16, 3, 1, 1, 1, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {1, 8, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {4, 8, 8, 16, 32, 3, 1, 1, 1, 1, 1, 1}, 288),
    CASE(conv2d, conv2d, {2, 8, 8, 48, 64, 3, 1, 1, 1, 1, 1, 1}, 576),
    CASE(conv2d, conv2d, {8, 4, 4, 64, 64, 3, 1, 1, 1, 1, 1, 1}, 576),
    CASE(conv2d, conv2d, {1, 8, 8, 96, 32, 3, 1, 1, 1, 1, 1, 0}, 864),
    CASE(conv2d, conv2d, {2, 5, 7, 8, 24, 3, 1, 1, 1, 1, 1, 0}, 216),
    CASE(conv2d, conv2d, {3, 6, 5, 13, 17, 3, 1, 1, 1, 1, 1, 1}, 153),
    CASE(conv2d, conv2d, {2, 6, 6, 7, 5, 3, 1, 0, 0, 0, 0, 1}, 63),
    CASE(conv2d, conv2d, {2, 8, 8, 16, 16, 3, 2, 1, 1, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {2, 7, 5, 8, 3, 3, 2, 1, 1, 1, 1, 1}, 72),
    CASE(conv2d, conv2d, {2, 8, 8, 16, 16, 3, 2, 0, 0, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {1, 6, 10, 20, 12, 3, 2, 0, 0, 1, 1, 0}, 180),
    CASE(conv2d, conv2d, {2, 4, 4, 6, 6, 3, 1, 2, 0, 0, 1, 1}, 54),
    CASE(conv2d, conv2d, {4, 8, 8, 32, 16, 1, 1, 0, 0, 0, 0, 1}, 256),
    CASE(conv2d, conv2d, {2, 4, 4, 96, 48, 1, 1, 0, 0, 0, 0, 0}, 96),
    CASE(conv2d, conv2d, {2, 7, 7, 5, 9, 1, 1, 0, 0, 0, 0, 1}, 98),
    CASE(conv2d, conv2d, {2, 6, 6, 16, 8, 1, 2, 0, 0, 0, 0, 1}, 18),
    CASE(conv2d, conv2d, {8, 1, 1, 64, 10, 1, 1, 0, 0, 0, 0, 1}, 64),
    CASE(conv2d, conv2d, {4, 1, 1, 16, 64, 1, 1, 0, 0, 0, 0, 1}, 64),
    CASE(conv2d, conv2d, {1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 1),
    CASE(conv2d, conv2d, {2, 1, 1, 8, 16, 3, 1, 1, 1, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {2, 2, 2, 16, 16, 3, 2, 1, 1, 1, 1, 1}, 144),
    CASE(conv2d, conv2d, {1, 9, 9, 4, 4, 5, 2, 2, 2, 2, 2, 1}, 100),
    CASE(conv2d, conv2d_between, {4, 8, 8, 16, 16, 3, 1, 1, 1, 1, 1, 1}, 256),
    CASE(conv2d, conv2d_between, {2, 4, 4, 10, 3, 3, 1, 1, 1, 1, 1, 0}, 90),
    CASE(conv2d, conv2d_between, {1, 8, 8, 32, 48, 3, 2, 0, 0, 1, 1, 1}, 432),
    CASE(conv2d, conv2d_between, {2, 8, 8, 1, 7, 1, 1, 0, 0, 0, 0, 1}, 128),
    /* N H W I O KH KW */
    CASE(conv2d, conv2d_long, {2, 9, 9, 16, 24, 1, 7}, 112),
    CASE(conv2d, conv2d_long, {1, 9, 8, 20, 16, 7, 1}, 140),
    CASE(conv2d, conv2d_long, {2, 5, 4, 8, 3, 1, 3}, 40),
    /*                          N  H  W   C   G silu v eps */
    CASE(group_norm, group_norm, {2, 8, 8, 16, 8, 0, 0}, 128),
    CASE(group_norm, group_norm, {2, 8, 8, 16, 8, 1, 0}, 128),
    CASE(group_norm, group_norm, {1, 4, 4, 64, 8, 1, 1}, 128),
    CASE(group_norm, group_norm, {4, 4, 4, 96, 32, 1, 0, 6}, 64),
    CASE(group_norm, group_norm, {8, 2, 2, 48, 8, 1, 1}, 32),
    CASE(group_norm, group_norm, {2, 8, 8, 8, 1, 1, 0}, 512),
    CASE(group_norm, group_norm, {2, 6, 5, 8, 8, 0, 0}, 60),
    CASE(group_norm, group_norm, {2, 4, 4, 1, 1, 1, 0}, 32),
    CASE(group_norm, group_norm, {2, 4, 4, 3, 3, 1, 1}, 32),
    CASE(group_norm, group_norm, {3, 5, 3, 10, 5, 1, 0}, 45),
    CASE(group_norm, group_norm, {2, 3, 3, 21, 7, 0, 1}, 27),
    CASE(group_norm, group_norm, {1, 16, 16, 40, 4, 1, 0}, 2560),
    CASE(group_norm, group_norm, {4, 1, 1, 64, 8, 1, 0}, 8),
    CASE(group_norm, group_norm, {2, 1, 1, 8, 8, 1, 0, 3}, 2),
    CASE(group_norm, concat_norm, {2, 4, 4, 8, 16, 8}, 64),
    CASE(group_norm, concat_norm, {1, 4, 4, 3, 6, 4}, 48),
    CASE(group_norm, concat_norm, {2, 8, 8, 32, 16, 8}, 640),
    /*                        N  H  W   C heads shared */
    CASE(attention, attention, {2, 8, 8, 64, 1}, 64),
    CASE(attention, attention, {1, 8, 8, 64, 8}, 64),
    CASE(attention, attention, {2, 4, 4, 16, 2}, 16),
    CASE(attention, attention, {4, 3, 5, 12, 3}, 15),
    CASE(attention, attention, {1, 4, 4, 8, 8}, 16),
    CASE(attention, attention, {2, 2, 2, 1, 1}, 4),
    CASE(attention, attention, {8, 1, 1, 16, 2}, 8),
    CASE(attention, attention, {1, 7, 5, 48, 1}, 48),
    CASE(attention, attention, {2, 4, 4, 24, 2, 1}, 16),
    /* N H W C */
    CASE(add, add, {2, 4, 4, 16}, 2),
    CASE(add, add, {3, 5, 3, 7}, 2),
    CASE(add, add, {1, 1, 1, 1}, 2),
    CASE(add_channel, add_channel, {2, 8, 8, 16}, 64),
    CASE(add_channel, add_channel, {4, 4, 4, 96}, 16),
    CASE(add_channel, add_channel, {3, 5, 7, 9}, 35),
    CASE(add_channel, add_channel, {2, 1, 1, 3}, 1),
    CASE(add_channel, add_channel, {1, 6, 6, 1}, 36),
    CASE(scale, scale, {2, 4, 4, 16}, 1),
    CASE(scale, scale, {1, 3, 3, 5}, 1),
    CASE(concat, concat, {2, 8, 8, 16, 32}, 1),
    CASE(concat, concat, {3, 3, 5, 1, 7}, 1),
    CASE(concat, concat, {1, 4, 4, 96, 64}, 1),
    CASE(concat, concat, {4, 1, 1, 3, 3}, 1),
    CASE(slice, slice, {2, 4, 4, 48, 16, 16}, 1),
    CASE(slice, slice, {3, 3, 5, 7, 2, 4}, 1),
    CASE(slice, slice, {2, 2, 2, 5, 4, 1}, 1),
    CASE(slice, slice, {2, 2, 2, 8, 0, 8}, 1),
    CASE(upsample2, upsample2, {2, 4, 4, 64}, 4),
    CASE(upsample2, upsample2, {3, 5, 3, 7}, 4),
    CASE(upsample2, upsample2, {1, 1, 1, 1}, 4),
    CASE(silu, silu, {2, 8, 8, 16}, 1),
    CASE(silu, silu, {3, 5, 3, 7}, 1),
    CASE(silu, silu, {1, 1, 1, 1}, 1),
    CASE(relu, relu, {2, 8, 8, 16}, 2),
    CASE(relu, relu, {3, 5, 3, 7}, 2),
    /* N H W C size stride pad */
    CASE(max_pool, max_pool, {2, 9, 9, 16, 3, 2, 0}, 4),
    CASE(max_pool, max_pool, {1, 8, 6, 33, 3, 1, 1}, 9),
    CASE(max_pool, max_pool, {3, 5, 7, 5, 2, 2, 1}, 4),
    CASE(max_pool, max_pool, {2, 1, 1, 3, 3, 1, 1}, 1),
    CASE(avg_pool, avg_pool, {2, 8, 8, 16, 3, 1, 1}, 9),
    CASE(avg_pool, avg_pool, {1, 7, 5, 35, 3, 1, 1}, 9),
    CASE(avg_pool, avg_pool, {3, 6, 9, 5, 2, 2, 0}, 4),
    CASE(avg_pool, avg_pool, {2, 1, 1, 3, 3, 1, 1}, 1),
    CASE(mean_hw, mean_hw, {8, 8, 8, 64}, 64),
    CASE(mean_hw, mean_hw, {3, 5, 7, 9}, 35),
    CASE(mean_hw, mean_hw, {2, 1, 1, 3}, 1),
    CASE(mean_hw, mean_hw, {1, 4, 4, 1}, 16),
    /* N C flip shift */
    CASE(time_embedding, time_embedding, {8, 16, 0, 1}, 1),
    CASE(time_embedding, time_embedding, {3, 128, 0, 1}, 1),
    CASE(time_embedding, time_embedding, {4, 128, 1, 0}, 1),
    CASE(time_embedding, time_embedding, {1, 2, 1, 0}, 1),
    CASE(time_embedding, time_embedding, {2, 10, 0, 0}, 1),
    CASE(mse, mse, {4, 8, 8, 3}, 192),
    CASE(mse, mse, {1, 1, 1, 1}, 1),
    CASE(mse, mse, {5, 5, 7, 9}, 315),
    CASE(mse, mse, {2, 32, 32, 3}, 3072),
    /* N K */
    CASE(cross_entropy, cross_entropy, {8, 10}, 10),
    CASE(cross_entropy, cross_entropy, {4, 3}, 3),
    CASE(cross_entropy, cross_entropy, {1, 1}, 1),
    CASE(cross_entropy, cross_entropy, {3, 37}, 37),
    /* N H W C M */
    CASE(batch_build, batch_build, {4, 8, 8, 1, 9}, 4),
    CASE(batch_build, batch_build, {8, 5, 6, 3, 5}, 4),
    CASE(batch_build, batch_build, {1, 32, 32, 3, 3}, 4),
    CASE(batch_build, batch_build, {4, 1, 1, 1, 2}, 4),
    /* N H W C bits */
    CASE(sampler_step, sampler_step, {2, 8, 8, 1, 0}, 4),
    CASE(sampler_step, sampler_step, {4, 6, 5, 3, 1}, 4),
    CASE(sampler_step, sampler_step, {1, 8, 8, 3, 2}, 4),
    CASE(sampler_step, sampler_step, {3, 3, 3, 2, 4}, 4),
    CASE(sampler_step, sampler_step, {2, 16, 16, 1, 7}, 4),
    CASE(sampler_step, sampler_step, {2, 19, 23, 3, 8}, 4),
    CASE(sampler_step, sampler_step, {1, 5, 7, 1, 15}, 4),
    CASE(sampler_step, sampler_step, {3, 8, 8, 3, 24}, 4),
    /* N H W C width: a chain of everything */
    CASE(conv2d, unet, {2, 8, 8, 3, 8}, 1000),
    CASE(conv2d, unet, {1, 4, 6, 1, 4}, 400),
    CASE(conv2d, unet, {4, 16, 16, 1, 16}, 4000),
    /* seed N ops slices: lifetimes and storage taken over in every order */
    CASE(add, random_net, {1, 2, 20, 0}, 1000),
    CASE(add, random_net, {2, 1, 30, 0}, 1000),
    CASE(add, random_net, {3, 2, 40, 0}, 1000),
    CASE(add, random_net, {4, 1, 60, 0}, 1000),
    CASE(add, random_net, {5, 2, 30, 0}, 1000),
    CASE(add, random_net, {6, 1, 40, 0}, 1000),
    CASE(add, random_net, {7, 4, 30, 0}, 1000),
    CASE(add, random_net, {8, 2, 60, 1}, 1000),
    CASE(add, random_net, {9, 1, 60, 1}, 1000),
    CASE(add, random_net, {10, 4, 60, 1}, 1000),
};
enum { CASES = sizeof cases / sizeof *cases };

/* May a tensor be zero by construction? Gradients of key biases; of v and through a norm of one element where each
 * channel is a group; what padding leaves of one pixel's kernel; and pixels that are the largest of no window. */
static bool may_be_zero(const op_case *c) {
    if (c->build == unet || c->build == random_net) return true;
    if (c->build == group_norm && c->p[3] == c->p[4]) return c->p[6] || c->p[1] * c->p[2] == 1;
    if (c->build == conv2d) return c->p[1] <= 2;
    if (c->build == max_pool) return c->p[5] > 1;
    if (c->build == attention) return c->p[1] * c->p[2] == 1;
    return c->build == cross_entropy && c->p[1] == 1;
}

/* Rounding of float32. Each result is off by a few units of 2^-24 of the largest number that went into it, and a
 * sum of L terms of random sign by about sqrt(L) more, were it added in one row; a factor of 4 covers the tail over
 * some ten thousand elements and the chain of up to three operations behind a gradient. The scale of a tensor is
 * its own largest element; where that is zero because terms of up to 1 cancel, it is 1; a loss is a square of
 * differences, each off by a unit of the terms. A wrong index, a missing term or bfloat16 (2^-9) lie far above.
 * With a mantissa of 8 or 11 bits each number is off by half a unit of its last place before it enters a sum of float32,
 * which averages that out: a few units of the result, whatever the length of the sum. The factor covers the tail and
 * three operations in a row, and for whole networks some twenty, the differences of nearly equal numbers in the
 * gradient of attention among them. A tensor of one element may itself be such a difference of terms of about 1; and
 * below 2^-14 fp16 has steps of 2^-24, of which some sixteen add up in a gradient. */
static double tolerance(bd_precision p, const op_case *c, const bd_tensor *t, double largest) {
    /* sin and cos of t f_k, where the product is rounded to float: 999 * 2^-24 */
    if (c->build == time_embedding) return 999 * 0x1p-23;
    /* normals in float: 1e-6, see test_ops_ref.c */
    if (p == BD_PRECISION_F32 || p == BD_PRECISION_TF32) {
        if (c->build == batch_build || c->build == sampler_step) return 3e-6 * fmax(largest, 1);
    }
    double scale = largest < 1e-12          ? 1
                   : t->type == BD_TYPE_F64 ? fmax(largest, sqrt(largest))
                                            : largest;
    double f32 = 0x1p-24 * (16 + 4 * sqrt((double)c->longest)),
           unit = p == BD_PRECISION_BF16  ? 0x1p-9
                  : p == BD_PRECISION_F32 ? 0
                                          : 0x1p-12;
    bool network = c->build == unet || c->build == random_net;
    double steps = p == BD_PRECISION_FP16 ? 16 * 0x1p-24 : 0;
    if (unit > 0 && bd_tensor_count(t) == 1) scale = fmax(scale, 0.25);
    return (f32 + unit * (network ? 160 : 12)) * scale + steps;
}

static bool compare(bd_precision p, const char *label, const op_case *c, const bd_tensor *t,
                    const void *got, const double *want) {
    size_t n = bd_tensor_count(t);
    double *x = malloc(n * sizeof *x);
    if (!x) abort();
    ref_to_double(x, t, got);
    bool ok = ref_near(label, x, want, n, tolerance(p, c, t, ref_max_abs(want, n)), may_be_zero(c));
    free(x);
    return ok;
}

/* Everything the engine shows after tile k, and the gradients after the last tile. */
static int compare_tile(const ref_drive *d, const op_case *c, const char *name, int tile,
                        int iters) {
    ref_run *r = ref_drive_truth(d->g, 0, tile, iters);
    int wrong = 0;
    char label[160];
    for (int i = 0; i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        const void *out = d->out[tile * d->n_tensors + i];
        if (!out || t->kind == BD_TENSOR_INPUT) continue;
        snprintf(label, sizeof label, "%s: tile %d, tensor %d %s", name, tile, i, t->name);
        wrong += !compare(d->backend->precision, label, c, t, out, r->data[i]);
    }
    for (int i = 0; tile == TILES - 1 && i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        if (t->kind != BD_TENSOR_GRAD) continue;
        float *grad = calloc(bd_tensor_count(t), sizeof *grad);
        if (!grad) abort();
        bd_status st = d->backend->slot_get(d->engine, BD_SLOT_GRAD, t->param, grad);
        snprintf(label, sizeof label, "%s: gradient of %s", name,
                 bd_graph_tensor(d->g, t->param)->name);
        wrong += st ? 1 : !compare(d->backend->precision, label, c, t, grad, r->sum[i]);
        free(grad);
    }
    ref_run_destroy(r);
    return wrong;
}

/* An engine has no business in the inputs: after the run they are what was put in. */
static int inputs_intact(const ref_drive *d, const char *name, int iters) {
    int wrong = 0;
    for (int i = 0; i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        size_t bytes = bd_tensor_count(t) * bd_type_size(t->type);
        if (t->kind != BD_TENSOR_INPUT) continue;
        void *want = malloc(bytes);
        if (!want) abort();
        for (int tile = 0; tile < TILES; tile++) {
            ref_value(d->g, i, tile, iters - 1, want);
            if (memcmp(want, d->out[tile * d->n_tensors + i], bytes) == 0) continue;
            fprintf(stderr, "%s: tile %d: input %s was overwritten\n", name, tile, t->name);
            wrong++;
        }
        free(want);
    }
    return wrong;
}

static bd_status build(bd_graph *g, const op_case *c, bool keep_all) {
    built b = c->build(g, c->p);
    int loss = b.y, grad_of[WRT];
    bd_graph_keep(g, b.y);
    BD_TRY(bd_graph_status(g));
    if (b.n_wrt && c->op != BD_OP_cross_entropy) {
        const int *d = bd_graph_tensor(g, b.y)->dim;
        int target = in(g, "mse target", d[0], d[1], d[2], d[3]);
        loss = bd_mse(g, b.y, target, in(g, "weight", d[0], 1, 1, 1));
        bd_graph_keep(g, loss);
    }
    if (b.n_wrt) BD_TRY(bd_graph_backward(g, loss, b.wrt, b.n_wrt, grad_of));
    for (int i = 0; keep_all && i < bd_graph_tensor_count(g); i++)
        if (bd_graph_tensor(g, i)->kind == BD_TENSOR_ACT) bd_graph_keep(g, i);
    return BD_OK;
}

/* Number of wrong tensors, or one when the engine fails. seen: ops whose nodes ran. */
static int run_case(const bd_backend *backend, const op_case *c, const char *name, bool keep_all,
                    bool *seen) {
    bd_graph *g = NULL;
    ref_drive *d = NULL;
    int iters = c->op == BD_OP_sampler_step ? 4 : 1, wrong = 1;
    bd_status st;
    BD_TRY_TO(done, st, bd_graph_create(&g, name));
    BD_TRY_TO(done, st, build(g, c, keep_all));
    BD_TRY_TO(done, st, ref_drive_create(&d, backend, g, 1, TILES));
    BD_TRY_TO(done, st, ref_drive_run(d, TILES, iters, false));
    wrong = inputs_intact(d, name, iters);
    for (int tile = 0; tile < TILES; tile++) wrong += compare_tile(d, c, name, tile, iters);
    for (int i = 0; keep_all && i < bd_graph_node_count(g); i++)
        seen[bd_graph_node(g, i)->op] = true;
done:
    if (st) fprintf(stderr, "%s: %s\n", name, bd_error());
    ref_drive_destroy(d);
    bd_graph_destroy(g);
    return wrong;
}

int op_cases_run(const bd_backend *backend, bool keep_all, bool *seen) {
    const char *only = getenv("CASE");
    int number[BD_OP_COUNT] = {0}, wrong = 0;
    for (int i = 0; i < CASES; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%d", bd_op_name(cases[i].op), number[cases[i].op]++);
        if (only && strcmp(only, name) != 0) continue;
        int w = run_case(backend, &cases[i], name, keep_all, seen);
        if (w)
            fprintf(stderr, "CASE=%s fails in %d tensors, %s kept\n", name, w,
                    keep_all ? "all" : "results");
        wrong += w != 0;
    }
    return wrong;
}
