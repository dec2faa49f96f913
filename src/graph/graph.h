/* A network as data: tensors and the operations between them, in execution order. */
#ifndef BD_GRAPH_GRAPH_H
#define BD_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/sampler_step.h"
#include "graph/type.h"

typedef enum {
#define BD_OP(name, n_in, n_out, scope) BD_OP_##name,
#include "graph/ops.def"
#undef BD_OP
    BD_OP_COUNT
} bd_op;

enum { BD_NODE_IN_MAX = 8, BD_NODE_OUT_MAX = 3 };

const char *bd_op_name(bd_op op);

typedef enum {
    BD_TENSOR_PARAM, /* weights: shared by all tiles, host order of the checkpoint      */
    BD_TENSOR_GRAD,  /* gradient of a PARAM: one sum over all tiles                     */
    BD_TENSOR_INPUT, /* filled by the driver before each tile                           */
    BD_TENSOR_CONST, /* shared by all tiles, filled once (data set, trigger, target)    */
    BD_TENSOR_STATE, /* per tile, keeps its value between iterations (the sampler's x)  */
    BD_TENSOR_ACT    /* produced by a node; lives in the planned arena                  */
} bd_tensor_kind;

/* Activations: dim = {N, H, W, C}. Convolution weights: {O, I, KH, KW}. Vectors: {1, 1, 1, C};
 * a per-image vector [n] is {N, 1, 1, 1}; [n] x 4 is {N, 1, 1, 4}. */
typedef struct {
    const char *name; /* parameters: the checkpoint's name; others: for messages */
    bd_tensor_kind kind;
    bd_type type;
    int dim[4];
    bool keep; /* ACT: the driver reads it after the tile (its storage is not reused) */
    int param; /* GRAD: tensor id of its PARAM; else -1 */
} bd_tensor;

typedef struct {
    int kh, kw, stride, pad_top, pad_left, pad_bottom, pad_right;
} bd_conv_attr;
typedef struct {
    int groups;
    float eps;
    bool silu;
} bd_norm_attr;
typedef struct {
    int heads;
} bd_attention_attr;
typedef struct {
    float value;
} bd_scalar_attr;
typedef struct {
    int first;
} bd_slice_attr;
typedef struct {
    int h, w;
} bd_spatial_attr;
/* A square of size pixels a side, moved in steps of stride over an image with pad pixels around it. */
typedef struct {
    int size, stride, pad;
} bd_window_attr;
/* half = C/2; f_k = exp(-ln(10000) k / (half - shift)); vector = [sin, cos], or [cos, sin] when flipped */
typedef struct {
    bool flip_sin_to_cos;
    int freq_shift;
} bd_time_attr;

typedef struct {
    bd_op op;
    int in[BD_NODE_IN_MAX];   /* tensor ids, -1 = absent */
    int out[BD_NODE_OUT_MAX]; /* tensor ids, -1 = absent */
    union {
        bd_conv_attr conv;
        bd_norm_attr norm;
        bd_attention_attr attention;
        bd_scalar_attr scalar;
        bd_slice_attr slice;
        bd_spatial_attr spatial;
        bd_window_attr window;
        bd_time_attr time;
    } attr;
} bd_node;

typedef struct bd_graph bd_graph;

/* Errors inside a builder chain: a function that returns a tensor id returns -1 after a failure and every
 * later call with a -1 input returns -1 too; bd_graph_status tells the first failure, so a builder is written
 * without a check per line and checked once. */
BD_MUST_CHECK bd_status bd_graph_create(bd_graph **out, const char *name);
void bd_graph_destroy(bd_graph *g); /* NULL allowed */
BD_MUST_CHECK bd_status bd_graph_status(const bd_graph *g);
/* bd_graph_set_error -- record the first failure of a builder chain (for builders on top of this one); always -1. */
int bd_graph_set_error(bd_graph *g, bd_status code, const char *fmt, ...) BD_PRINTF(3, 4);

int bd_graph_tensor_count(const bd_graph *g);
const bd_tensor *bd_graph_tensor(const bd_graph *g, int id);
int bd_graph_node_count(const bd_graph *g);
const bd_node *bd_graph_node(const bd_graph *g, int i);
int bd_graph_find(const bd_graph *g, const char *name); /* tensor id, or -1 */
size_t bd_tensor_count(const bd_tensor *t);             /* elements */

/* --- leaves --- */
int bd_graph_param(bd_graph *g, const char *name, int d0, int d1, int d2, int d3);
int bd_graph_input(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c);
int bd_graph_const(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c);
int bd_graph_state(bd_graph *g, const char *name, int n, int h, int w, int c);
void bd_graph_keep(bd_graph *g, int id); /* the driver will read this tensor after the tile */

/* --- operations (shapes and formulas in ops.def) --- */
int bd_conv2d(bd_graph *g, int x, int w, int b, bd_conv_attr a);
int bd_linear(bd_graph *g, int x, int w, int b); /* w [O,I,1,1]: 1x1 convolution */
int bd_group_norm(bd_graph *g, int x, int gamma, int beta, bd_norm_attr a);
int bd_attention(bd_graph *g, int q, int k, int v, int heads);
int bd_add(bd_graph *g, int a, int b);
int bd_add_channel(bd_graph *g, int x, int v);
int bd_scale(bd_graph *g, int x, float value);
int bd_concat(bd_graph *g, int a, int b);
int bd_slice(bd_graph *g, int x, int first, int count);
int bd_upsample2(bd_graph *g, int x);
int bd_silu(bd_graph *g, int x);
int bd_relu(bd_graph *g, int x);
int bd_max_pool(bd_graph *g, int x, bd_window_attr a);
int bd_avg_pool(bd_graph *g, int x, bd_window_attr a);
int bd_mean_hw(bd_graph *g, int x);
int bd_time_embedding(bd_graph *g, int timestep, int channels, bd_time_attr a);
int bd_mse(bd_graph *g, int pred, int target, int weight); /* -> loss [n] f64 */
int bd_cross_entropy(bd_graph *g, int logits, int label, int weight,
                     int *prob); /* -> loss [n] f64 */
typedef struct {
    int x_t, y;
} bd_batch_out;
bd_batch_out bd_batch_build(bd_graph *g, int images, int trigger, int target, int index, int flags,
                            int coef, int key);
/* x and h (-1: no history) are states and written back into; coef as graph/sampler_step.h */
int bd_sampler_step(bd_graph *g, int x, int e, int coef, int key, int h);

/* bd_graph_backward -- append the gradient of sum_n weight[n]*loss[n] for every PARAM (and, when not NULL, for the
 * n_wrt tensors wrt[], whose gradient ids go to grad_of_wrt[] as kept ACT tensors). loss must come from bd_mse or
 * bd_cross_entropy.
 *   errors   BD_E_ARG: the loss does not depend on a parameter (its name is in the text) */
BD_MUST_CHECK bd_status bd_graph_backward(bd_graph *g, int loss, const int *wrt, int n_wrt,
                                          int *grad_of_wrt);

/* bd_graph_grad -- id of the GRAD tensor of a PARAM after bd_graph_backward; -1 before. */
int bd_graph_grad(const bd_graph *g, int param);

/* bd_op_is_conv -- a convolution in one of its three directions? */
bool bd_op_is_conv(bd_op op);

/* The tensors of a convolution node in any direction: images or their gradient on the input side (x) and on the
 * output side (y), filters or their gradient (w), bias or its gradient (b); -1 where a node has none. */
typedef struct {
    int x, w, b, y;
} bd_conv_tensors;
bd_conv_tensors bd_node_conv(const bd_node *n);

/* bd_node_flops -- multiply-adds x 2 of a convolution or attention node in one run; 0 for other ops. */
double bd_node_flops(const bd_graph *g, const bd_node *n);

/* bd_graph_flops -- the sum over all nodes: one tile. */
double bd_graph_flops(const bd_graph *g);

#endif
