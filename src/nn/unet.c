/* The UNet as a graph. Parameters are declared in the order of diffusers' state_dict, which is not
 * the order of use (attention before residual blocks, mid block last); the network then finds them
 * by name. */
#include "nn/unet.h"

#include <stdarg.h>
#include <stdio.h>

enum { NAME_BYTES = 128, SKIP_MAX = 1 + BD_UNET_MAX_BLOCKS * 17 };

typedef struct {
    bd_graph *g;
    const bd_unet_config *c;
    int temb; /* SiLU of the time embedding, shared by all residual blocks */
    int skip[SKIP_MAX];
    int n_skip;
} unet;

/* A layer's name, "down_blocks.0.resnets.1" and the like. */
typedef struct {
    char text[NAME_BYTES];
} name;

static name BD_PRINTF(1, 2) name_of(const char *fmt, ...) {
    name n;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n.text, sizeof n.text, fmt, ap);
    va_end(ap);
    return n;
}

static int time_dim(const bd_unet_config *c) {
    return c->time_dim ? c->time_dim : 4 * c->channels[0];
}

/* --- parameters --- */

static void declare(bd_graph *g, const char *layer, const char *part, const int weight[4],
                    int bias) {
    name w = name_of("%s%s.weight", layer, part), b = name_of("%s%s.bias", layer, part);
    bd_graph_param(g, w.text, weight[0], weight[1], weight[2], weight[3]);
    bd_graph_param(g, b.text, 1, 1, 1, bias);
}

static void declare_conv(bd_graph *g, const char *layer, const char *part, int in, int out, int k) {
    declare(g, layer, part, (int[4]){out, in, k, k}, out);
}

static void declare_linear(bd_graph *g, const char *layer, const char *part, int in, int out) {
    declare(g, layer, part, (int[4]){out, in, 1, 1}, out);
}

static void declare_norm(bd_graph *g, const char *layer, const char *part, int channels) {
    declare(g, layer, part, (int[4]){1, 1, 1, channels}, channels);
}

static void declare_resnet(bd_graph *g, const char *layer, int in, int out, int temb) {
    declare_norm(g, layer, ".norm1", in);
    declare_conv(g, layer, ".conv1", in, out, 3);
    declare_linear(g, layer, ".time_emb_proj", temb, out);
    declare_norm(g, layer, ".norm2", out);
    declare_conv(g, layer, ".conv2", out, out, 3);
    if (in != out) declare_conv(g, layer, ".conv_shortcut", in, out, 1);
}

static void declare_attention(bd_graph *g, const char *layer, int channels) {
    static const char *const part[] = {".to_q", ".to_k", ".to_v", ".to_out.0"};
    declare_norm(g, layer, ".group_norm", channels);
    for (int i = 0; i < 4; i++) declare_linear(g, layer, part[i], channels, channels);
}

static void declare_down(bd_graph *g, const bd_unet_config *c, int i) {
    int in = c->channels[i ? i - 1 : 0], out = c->channels[i];
    for (int j = 0; c->down_attention[i] && j < c->layers; j++)
        declare_attention(g, name_of("down_blocks.%d.attentions.%d", i, j).text, out);
    for (int j = 0; j < c->layers; j++)
        declare_resnet(g, name_of("down_blocks.%d.resnets.%d", i, j).text, j ? out : in, out,
                       time_dim(c));
    if (i < c->blocks - 1)
        declare_conv(g, name_of("down_blocks.%d", i).text, ".downsamplers.0.conv", out, out, 3);
}

static void declare_up(bd_graph *g, const bd_unet_config *c, int i) {
    int last = c->blocks - 1;
    int out = c->channels[last - i];
    int below = c->channels[i ? last - i + 1 : last];     /* of the block it goes on from */
    int above = c->channels[i < last ? last - i - 1 : 0]; /* of the lowest skip it takes */
    for (int j = 0; c->up_attention[i] && j <= c->layers; j++)
        declare_attention(g, name_of("up_blocks.%d.attentions.%d", i, j).text, out);
    for (int j = 0; j <= c->layers; j++)
        declare_resnet(g, name_of("up_blocks.%d.resnets.%d", i, j).text,
                       (j ? out : below) + (j < c->layers ? out : above), out, time_dim(c));
    if (i < last)
        declare_conv(g, name_of("up_blocks.%d", i).text, ".upsamplers.0.conv", out, out, 3);
}

static void declare_all(bd_graph *g, const bd_unet_config *c) {
    int first = c->channels[0], mid = c->channels[c->blocks - 1];
    declare_conv(g, "conv_in", "", c->in_channels, first, 3);
    declare_linear(g, "time_embedding", ".linear_1", first, time_dim(c));
    declare_linear(g, "time_embedding", ".linear_2", time_dim(c), time_dim(c));
    for (int i = 0; i < c->blocks; i++) declare_down(g, c, i);
    for (int i = 0; i < c->blocks; i++) declare_up(g, c, i);
    if (c->mid_attention) declare_attention(g, "mid_block.attentions.0", mid);
    for (int j = 0; j < 2; j++)
        declare_resnet(g, name_of("mid_block.resnets.%d", j).text, mid, mid, time_dim(c));
    declare_norm(g, "conv_norm_out", "", first);
    declare_conv(g, "conv_out", "", first, c->out_channels, 3);
}

/* --- the network --- */

static int weight(const unet *u, const char *layer, const char *part) {
    return bd_graph_find(u->g, name_of("%s%s.weight", layer, part).text);
}

static int bias(const unet *u, const char *layer, const char *part) {
    return bd_graph_find(u->g, name_of("%s%s.bias", layer, part).text);
}

static const bd_conv_attr conv1 = {.kh = 1, .kw = 1, .stride = 1};
static const bd_conv_attr conv3 = {
    .kh = 3, .kw = 3, .stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};

static int conv(const unet *u, const char *layer, const char *part, int x, bd_conv_attr a) {
    return bd_conv2d(u->g, x, weight(u, layer, part), bias(u, layer, part), a);
}

static int linear(const unet *u, const char *layer, const char *part, int x) {
    return bd_linear(u->g, x, weight(u, layer, part), bias(u, layer, part));
}

static int norm(const unet *u, const char *layer, const char *part, int x, int groups, bool silu) {
    bd_norm_attr a = {.groups = groups, .eps = (float)u->c->eps, .silu = silu};
    return bd_group_norm(u->g, x, weight(u, layer, part), bias(u, layer, part), a);
}

static int resnet(const unet *u, const char *layer, int x) {
    int groups = u->c->groups;
    int h = conv(u, layer, ".conv1", norm(u, layer, ".norm1", x, groups, true), conv3);
    h = bd_add_channel(u->g, h, linear(u, layer, ".time_emb_proj", u->temb));
    h = conv(u, layer, ".conv2", norm(u, layer, ".norm2", h, groups, true), conv3);
    bool shortcut = weight(u, layer, ".conv_shortcut") >= 0;
    return bd_add(u->g, shortcut ? conv(u, layer, ".conv_shortcut", x, conv1) : x, h);
}

static int attention(const unet *u, const char *layer, int x, int groups) {
    if (x < 0) return -1;
    int channels = bd_graph_tensor(u->g, x)->dim[3];
    int heads = u->c->head_dim ? channels / u->c->head_dim : 1;
    int n = norm(u, layer, ".group_norm", x, groups, false);
    int q = linear(u, layer, ".to_q", n), k = linear(u, layer, ".to_k", n),
        v = linear(u, layer, ".to_v", n);
    int o = linear(u, layer, ".to_out.0", bd_attention(u->g, q, k, v, heads));
    return bd_add(u->g, x, o);
}

static int down_block(unet *u, int i, int x) {
    const bd_unet_config *c = u->c;
    for (int j = 0; j < c->layers; j++) {
        x = resnet(u, name_of("down_blocks.%d.resnets.%d", i, j).text, x);
        if (c->down_attention[i])
            x = attention(u, name_of("down_blocks.%d.attentions.%d", i, j).text, x, c->groups);
        u->skip[u->n_skip++] = x;
    }
    if (i == c->blocks - 1) return x;
    int before = c->downsample_padding; /* padding 0: below and to the right only */
    bd_conv_attr a = {.kh = 3,
                      .kw = 3,
                      .stride = 2,
                      .pad_top = before,
                      .pad_left = before,
                      .pad_bottom = 1,
                      .pad_right = 1};
    x = conv(u, name_of("down_blocks.%d", i).text, ".downsamplers.0.conv", x, a);
    u->skip[u->n_skip++] = x;
    return x;
}

static int up_block(unet *u, int i, int x) {
    const bd_unet_config *c = u->c;
    for (int j = 0; j <= c->layers; j++) {
        x = bd_concat(u->g, x, u->skip[--u->n_skip]);
        x = resnet(u, name_of("up_blocks.%d.resnets.%d", i, j).text, x);
        if (c->up_attention[i])
            x = attention(u, name_of("up_blocks.%d.attentions.%d", i, j).text, x, c->groups);
    }
    if (i == c->blocks - 1) return x;
    return conv(u, name_of("up_blocks.%d", i).text, ".upsamplers.0.conv", bd_upsample2(u->g, x),
                conv3);
}

static int mid_block(const unet *u, int x) {
    const bd_unet_config *c = u->c;
    x = resnet(u, "mid_block.resnets.0", x);
    if (c->mid_attention)
        x = attention(u, "mid_block.attentions.0", x, c->attn_groups ? c->attn_groups : c->groups);
    return resnet(u, "mid_block.resnets.1", x);
}

static int time_embedding(const unet *u, int timestep) {
    bd_time_attr a = {.flip_sin_to_cos = u->c->flip_sin_to_cos, .freq_shift = u->c->freq_shift};
    int v = bd_time_embedding(u->g, timestep, u->c->channels[0], a);
    v = bd_silu(u->g, linear(u, "time_embedding", ".linear_1", v));
    return linear(u, "time_embedding", ".linear_2", v);
}

int bd_unet_build(bd_graph *g, const bd_unet_config *c, int x, int timestep) {
    if (bd_unet_config_check(c)) return bd_graph_set_error(g, BD_E_ARG, "%s", bd_error());
    unet u = {.g = g, .c = c};
    declare_all(g, c);
    u.temb = bd_silu(g, time_embedding(&u, timestep));
    x = conv(&u, "conv_in", "", x, conv3);
    u.skip[u.n_skip++] = x;
    for (int i = 0; i < c->blocks; i++) x = down_block(&u, i, x);
    x = mid_block(&u, x);
    for (int i = 0; i < c->blocks; i++) x = up_block(&u, i, x);
    x = norm(&u, "conv_norm_out", "", x, c->groups, true);
    return conv(&u, "conv_out", "", x, conv3);
}

bd_status bd_unet_params(bd_params *out, const bd_unet_config *c) {
    *out = (bd_params){0};
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "unet"));
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, c->sample_size, c->sample_size, c->in_channels);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, 1, 1, 1, 1);
    bd_unet_build(g, c, x, t);
    bd_status st = bd_params_from_graph(out, g);
    bd_graph_destroy(g);
    return st;
}
