/* The distinct convolutions of a graph, as cuDNN gets them. */
#ifndef BD_TESTS_CONV_SHAPES_H
#define BD_TESTS_CONV_SHAPES_H

#include "cuda/dnn.h"
#include "nn/unet.h"

/* conv_shapes_add -- those of g that are not among the n of list yet, in all three directions, as float32; without
 * 1x1 filters that move by one pixel, which are matrix products. Returns the new number; fails past max. */
int conv_shapes_add(bd_dnn_conv *list, int n, int max, const bd_graph *g);

/* conv_shapes_unet -- the same of a UNet for n images, with its gradient or without. */
int conv_shapes_unet(bd_dnn_conv *list, int n, int max, const bd_unet_config *c, int images,
                     bool train);

#endif
