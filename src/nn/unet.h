/* The UNet of DDPM as diffusers' UNet2DModel defines it. */
#ifndef BD_NN_UNET_H
#define BD_NN_UNET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "graph/graph.h"
#include "nn/params.h"

enum { BD_UNET_MAX_BLOCKS = 8 };

/* What decides the network. Fill it with a preset or from a file, then change single settings. */
typedef struct {
    int sample_size; /* S: images are S x S                                                  */
    int in_channels, out_channels;
    int blocks; /* resolutions                                                          */
    int channels[BD_UNET_MAX_BLOCKS];       /* block_out_channels                                */
    int down_attention[BD_UNET_MAX_BLOCKS]; /* 1 = AttnDownBlock2D, 0 = DownBlock2D              */
    int up_attention[BD_UNET_MAX_BLOCKS];   /* 1 = AttnUpBlock2D, 0 = UpBlock2D                  */
    int mid_attention;                      /* 1, or 0 (add_attention: false)                    */
    int layers;      /* layers_per_block of a down block; up blocks have one more                */
    int head_dim;    /* channels of a head; 0 = one head of all channels (null in the file)      */
    int groups;      /* of every group norm                                                  */
    int attn_groups; /* attn_norm_num_groups of the mid attention; 0 = groups                */
    double eps;
    int downsample_padding; /* 0: one row below and one column right; 1: all around             */
    int flip_sin_to_cos;    /* 0: [sin, cos]; 1: [cos, sin]                                    */
    int freq_shift;
    int time_dim; /* width of the time embedding; 0 = 4 * channels[0]                        */
} bd_unet_config;

/* bd_unet_preset -- a known configuration for images [S,S,C]; S = 0 and C = 0 take the preset's own.
 *   mini        32x32x1, a ddpm-cifar10-32 in small: channels 16/32/64, one layer a block, attention
 *               at 8x8, 8 groups; 686,769 parameters
 *   cifar10     google/ddpm-cifar10-32; 35,746,307 parameters
 *   celebahq    google/ddpm-ema-celebahq-256; 113,673,219 parameters
 *   scratch     celebahq's net with the settings of a fresh UNet2DModel (head dim 8 ...)
 *   errors   BD_E_ARG: unknown name (the text lists the valid ones), or a size that does not fit
 *   tested   tests/test_unet.c */
BD_MUST_CHECK bd_status bd_unet_preset(bd_unet_config *out, const char *name, int S, int C);
const char *bd_unet_preset_at(int i); /* name of preset i, NULL past the end */

/* bd_unet_config_check -- do the settings fit together?
 *   errors   BD_E_ARG: the first setting that does not, by its name in config.json */
BD_MUST_CHECK bd_status bd_unet_config_check(const bd_unet_config *c);

/* bd_unet_config_load / save -- config.json of a UNet2DModel. A setting that is missing takes
 * diffusers' default; one that is unknown, or that this UNet cannot honour, is refused by name.
 *   errors   BD_E_FORMAT with file and setting; BD_E_MISSING; BD_E_IO
 *   tested   tests/test_unet.c */
BD_MUST_CHECK bd_status bd_unet_config_load(bd_unet_config *out, const char *path);
BD_MUST_CHECK bd_status bd_unet_config_save(const bd_unet_config *c, const char *path);

/* bd_unet_build -- append the network to g; its PARAM tensors come in the order of diffusers'
 * state_dict, so one graph holds one UNet.
 *   source   Ho et al. 2020, arXiv:2006.11239, appendix B; diffusers' UNet2DModel for names and
 *            settings
 *   shapes   x [N,S,S,C_in]; timestep [n] f32; returns [N,S,S,C_out]
 *   errors   -1, and the reason in bd_graph_status(g)
 *   tested   tests/test_unet.c */
int bd_unet_build(bd_graph *g, const bd_unet_config *c, int x, int timestep);

/* bd_unet_params -- the parameters of a configuration, all zero; as bd_params_from_graph. */
BD_MUST_CHECK bd_status bd_unet_params(bd_params *out, const bd_unet_config *c);

#endif
