/* oneDNN behind one small wall: convolutions with weights in the library's own layout. Versions 2 and 3. */
#ifndef BD_CPU_ONEDNN_H
#define BD_CPU_ONEDNN_H

#include <stddef.h>

#include "base/status.h"
#include "graph/graph.h"

typedef enum { BD_CONV_FWD, BD_CONV_BWD_DATA, BD_CONV_BWD_WEIGHT } bd_conv_dir;

/* A convolution of NHWC float32 images; weights [O,I,KH,KW] outside, packed inside. */
typedef struct {
    int n, h, w, i; /* input */
    int oh, ow, o;  /* output */
    bd_conv_attr attr;
    bool bias; /* FWD adds it, BWD_WEIGHT computes its gradient */
} bd_conv_shape;

typedef struct bd_conv bd_conv;
typedef struct bd_conv_bound bd_conv_bound; /* a convolution with the buffers of one worker */

/* bd_conv_create -- choose an implementation; the library's reference code is refused.
 * Call from a thread that has one OpenMP thread: the choice depends on it.
 *   errors   BD_E_DEVICE with shape and reason
 *   memory   caller frees with bd_conv_destroy; may be used by all workers at once */
BD_MUST_CHECK bd_status bd_conv_create(bd_conv **out, bd_conv_dir dir, const bd_conv_shape *s);
void bd_conv_destroy(bd_conv *c); /* NULL allowed */
const char *bd_conv_impl(const bd_conv *c);
size_t
bd_conv_packed_bytes(const bd_conv *c); /* weights, or weight gradients, in the packed layout */
size_t bd_conv_scratch_bytes(const bd_conv *c);

/* bd_conv_pack / bd_conv_unpack -- between [O,I,KH,KW] and the packed layout. */
BD_MUST_CHECK bd_status bd_conv_pack(bd_conv *c, void *packed, const float *plain);
BD_MUST_CHECK bd_status bd_conv_unpack(bd_conv *c, float *plain, const void *packed);

/* bd_conv_bind -- fix the buffers. x: input or its gradient; w: packed weights or gradient; b: bias or its gradient
 * (NULL without); y: output or its gradient; scratch: bd_conv_scratch_bytes. */
BD_MUST_CHECK bd_status bd_conv_bind(bd_conv_bound **out, bd_conv *c, void *x, void *w, void *b,
                                     void *y, void *scratch);
void bd_conv_unbind(bd_conv_bound *b); /* NULL allowed */
BD_MUST_CHECK bd_status bd_conv_run(bd_conv_bound *b);

void bd_onednn_version(char *out, size_t size); /* "2.6.3 (avx512_core)" */

#endif
