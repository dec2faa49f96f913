/* Convolutions by the cuDNN 9 graph API: one plan a shape, run with any buffers. */
#ifndef BD_CUDA_DNN_H
#define BD_CUDA_DNN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "cuda/platform.h"
#include "graph/graph.h"

typedef enum { BD_DNN_FWD, BD_DNN_BWD_DATA, BD_DNN_BWD_WEIGHT } bd_dnn_dir;

/* Images [N,H,W,C], filters [O,KH,KW,I], all of one element type, 16-byte aligned; accumulation in float32. */
typedef struct {
    bd_dnn_dir dir;
    bd_type type;      /* F32, BF16, F16 */
    bool tf32;         /* F32 only: the tensor cores' 10-bit mantissa is allowed */
    bool accumulate;   /* result += instead of = (beta = 1) */
    int n, h, w, i;    /* input images */
    int oh, ow, o;     /* output images */
    bd_conv_attr attr; /* padding may differ on the two sides */
} bd_dnn_conv;

/* bd_dnn_conv_of -- the shape of a convolution node in its direction; type, tf32 and accumulate are left to the caller.
 *   tested   tests/test_cuda_ops.c */
bd_dnn_conv bd_dnn_conv_of(const bd_graph *g, const bd_node *n);
/* bd_dnn_is_product -- a 1x1 filter that moves by one pixel, without padding: a matrix product, cuBLASLt's work. */
bool bd_dnn_is_product(const bd_conv_attr *a);

/* What plans are made for: the library, and a device or the text of its properties. */
typedef struct bd_dnn bd_dnn;

typedef struct {
    const struct bd_dnn_api *api; /* functions of the library; borrowed */
    int device;                   /* >= 0: this device, and plans can be run */
    const char *properties;       /* device < 0: its JSON text; plans can only be built */
    const char *cache;            /* folder of chosen plans, NULL = none; made when missing */
    const char *device_name;      /* part of the cache's keys: "NVIDIA H100 ..., 132 SMs, 9.0" */
    size_t workspace_max;         /* choices that want more are passed over; 0 = 256 MiB */
} bd_dnn_spec;

/* bd_dnn_create
 *   errors   BD_E_DEVICE: the library refuses (its own text), or is older than 9.8
 *   memory   caller frees with bd_dnn_destroy, after all its plans; copies the texts of the spec
 *   tested   tests/test_cuda_dnn.c (simulated library), tests/test_cuda_plans.c (the real one) */
BD_MUST_CHECK bd_status bd_dnn_create(bd_dnn **out, const bd_dnn_spec *spec);
void bd_dnn_destroy(bd_dnn *d);      /* NULL allowed */
int bd_dnn_version(const bd_dnn *d); /* 91900 = 9.19.0 */
BD_MUST_CHECK bd_status bd_dnn_set_stream(bd_dnn *d, void *stream);

typedef struct bd_dnn_plan bd_dnn_plan;

/* bd_dnn_plan_get -- the plan of a shape: made on the first call, shared by later ones. The choice is the first one
 * of heuristics mode A (then FALLBACK) that is deterministic, sums in float32 what was not rounded before, is not among
 * the errata of dnn_plan.c, does without tensor cores when the type is F32 and tf32 is false, is accepted by the
 * library and within workspace_max; in each mode those of the run-time compiler come last. Or it is the one that the
 * cache names for the same library version, device, limit and shape.
 *   source   cuDNN 9 backend API: engine heuristics, numerical notes
 *   errors   BD_E_DEVICE: no choice is left, with the shape, what was passed over and the library's reason; BD_E_SHAPE,
 *            BD_E_ARG: sizes or types that are none
 *   memory   owned by d */
BD_MUST_CHECK bd_status bd_dnn_plan_get(const bd_dnn_plan **out, bd_dnn *d, const bd_dnn_conv *c);
size_t bd_dnn_plan_workspace(const bd_dnn_plan *p);
/* "engine 62, tensor cores, from cache"; for tables of bench and checks. */
const char *bd_dnn_plan_text(const bd_dnn_plan *p);
bool bd_dnn_plan_compiled(const bd_dnn_plan *p); /* made by the run-time compiler */

/* The buffers of one layer, fixed once. */
typedef struct bd_dnn_bound bd_dnn_bound;
/* bd_dnn_bind -- x: input images or their gradient; w: filters or their gradient; y: output images or their gradient
 * (device pointers); workspace: bd_dnn_plan_workspace bytes, 16-byte aligned. Borrows the plan. */
BD_MUST_CHECK bd_status bd_dnn_bind(bd_dnn_bound **out, bd_dnn *d, const bd_dnn_plan *p, void *x,
                                    void *w, void *y, void *workspace);
void bd_dnn_unbind(bd_dnn *d, bd_dnn_bound *b); /* NULL allowed */
BD_MUST_CHECK bd_status bd_dnn_run(bd_dnn *d, const bd_dnn_bound *b);

#endif
