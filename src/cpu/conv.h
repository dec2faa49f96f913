/* Convolutions of the CPU backend: how each is computed, and its weights in the layout that this wants.
 * 3x3 filters that move by one pixel go through Winograd's F(4x4, 3x3); 1x1 filters are matrix products; any other
 * is a product with the pixels under the filter gathered into rows. */
#ifndef BD_CPU_CONV_H
#define BD_CPU_CONV_H

#include <stddef.h>

#include "cpu/conv_kernels.h"
#include "cpu/vec.h"
#include "graph/graph.h"

typedef enum { BD_CONV_FWD, BD_CONV_BWD_DATA, BD_CONV_BWD_WEIGHT } bd_conv_dir;

/* A convolution of NHWC float32 images; weights [O,I,KH,KW] outside, packed inside. */
typedef struct {
    int n, h, w, i; /* input */
    int oh, ow, o;  /* output */
    bd_conv_attr attr;
} bd_conv_shape;

typedef enum { BD_CONV_WINOGRAD, BD_CONV_PRODUCT, BD_CONV_GATHER } bd_conv_method;

typedef struct {
    bd_conv_dir dir;
    bd_conv_method method;
    bd_conv_shape s;
    const bd_conv_kernels *kernels;
    const bd_vec *vec;
    size_t packed_floats, scratch_floats;
    int block;            /* pieces (Winograd) or pixels worked on at once */
    int block_i, block_o; /* Winograd, gradient of the weights: channels worked on at once */
} bd_conv;

/* Buffers of one run, scratch aligned for doubles. x: input or its gradient; w: packed weights or gradient; b: bias or its gradient; y: output or its
 * gradient; z: added to the output. NULL: b: none; z: none; w of BWD_WEIGHT: only the bias's gradient is wanted. */
typedef struct {
    float *x, *w, *b, *y, *scratch;
    const float *z;
} bd_conv_buffers;

/* bd_conv_init -- choose the method. Needs bd_conv_kernels_best() != NULL. */
void bd_conv_init(bd_conv *c, bd_conv_dir dir, const bd_conv_shape *s);
/* The same with the given kernels: packed layout and blocks go by their width. */
void bd_conv_init_with(bd_conv *c, bd_conv_dir dir, const bd_conv_shape *s,
                       const bd_conv_kernels *kernels);
const char *bd_conv_name(const bd_conv *c); /* of the method */
size_t
bd_conv_packed_bytes(const bd_conv *c); /* weights, or weight gradients, in the packed layout */
size_t bd_conv_scratch_bytes(const bd_conv *c);

/* bd_conv_pack / bd_conv_unpack -- weights [O,I,KH,KW] -> packed (FWD, BWD_DATA); packed gradient [KH,KW,I,O] -> [O,I,KH,KW]
 * (BWD_WEIGHT). */
void bd_conv_pack(const bd_conv *c, float *packed, const float *plain);
void bd_conv_unpack(const bd_conv *c, float *plain, const float *packed);
void bd_conv_run(const bd_conv *c, const bd_conv_buffers *b);

/* Winograd's part (winograd.c). */
void bd_wino_init(bd_conv *c);
void bd_wino_pack(const bd_conv *c, float *packed, const float *plain);
void bd_wino_run(const bd_conv *c, const bd_conv_buffers *b);

/* A filter that moves over an image: the convolution itself and, where it moves by one pixel, the gradient of its input:
 * there the output's gradient is read and the filter is turned round. */
typedef struct {
    int h, w, c;   /* what is read */
    int oh, ow, o; /* what is written */
    int kh, kw, stride, top, left;
} bd_conv_sweep;
bd_conv_sweep bd_conv_find_sweep(const bd_conv *c);

/* bd_to_blocks -- to [blocks][rows][block] = from [rows][cols], ld floats a row; what the last block holds past cols is left
 * as it is. With blocks of bd_panel columns: the right side of a packed product. */
void bd_to_blocks(const bd_vec *vec, float *to, const float *from, int ld, int rows, int cols,
                  int block);

#endif
