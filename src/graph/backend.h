/* What a device must offer to run a graph: compile once, then replay. */
#ifndef BD_GRAPH_BACKEND_H
#define BD_GRAPH_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "graph/graph.h"

typedef struct bd_engine bd_engine; /* a compiled graph on a device */

/* Access to one tile's tensors from the callbacks below, in host memory and in the tensor's own type of the graph
 * that the engine was made from. INPUT and STATE may be written in `before` (a STATE that is asked for there is
 * written whole); INPUT, STATE, and kept ACT may be read in `after`. Borrowed for the duration of the callback. A
 * device copies what is asked for and nothing else. */
typedef struct bd_view {
    void *const *data; /* by tensor id; NULL where a tensor has no host storage in this tile */
    void *(*fetch)(const struct bd_view *v, int tensor_id); /* NULL: data[tensor_id] */
    void *ctx;                                              /* fetch's own */
} bd_view;
void *bd_view_data(const bd_view *v, int tensor_id);

/* A run: tiles 0..n_tiles-1, each replayed n_iter times in a row by one worker (training: n_iter = 1;
 * sampling: one iteration a network evaluation). `before`/`after` are called on the worker's thread around every
 * iteration; they must depend on (tile, iter) only. Either may be NULL. */
typedef struct {
    int n_tiles, n_iter;
    bd_status (*before)(void *ctx, int tile, int iter, const bd_view *v);
    bd_status (*after)(void *ctx, int tile, int iter, const bd_view *v);
    void *ctx;
    float
        loss_scale; /* the gradient of the loss is multiplied by it, for 16-bit arithmetic; 0 = 1 */
} bd_run;

/* One Adam update over all parameters.
 *   source   Kingma & Ba 2015, algorithm 1; order of operations as torch.optim.Adam
 *   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= lr/(1-b1^k) * m / (sqrt(v)/sqrt(1-b2^k) + eps)
 *   g is first divided by loss_scale, then multiplied by min(1, clip/(norm + 1e-6)) when clip > 0 (norm: L2 over
 *   all gradients so divided) */
typedef struct {
    double lr, beta1, beta2, eps, clip;
    int64_t k;        /* this update's number, from 1 */
    float loss_scale; /* of the runs that made the gradients; 0 = 1 */
} bd_adam;

typedef enum { BD_SLOT_PARAM, BD_SLOT_GRAD, BD_SLOT_ADAM_M, BD_SLOT_ADAM_V } bd_slot;

/* Bytes the engine holds, known before it is created. */
typedef struct {
    size_t params;    /* weights, and their packed copies        */
    size_t optimizer; /* gradients and Adam moments              */
    size_t arena;     /* activations and workspaces of one tile  */
    size_t total;     /* params + optimizer + workers * (arena + tile gradients) */
} bd_memory;

/* Arithmetic of the networks: float32 throughout; float32 with 10-bit mantissas inside products (NVIDIA's TF32); or
 * products, activations and their gradients in 16 bits with float32 sums, statistics, losses, weights and moments. */
typedef enum {
    BD_PRECISION_F32,
    BD_PRECISION_TF32,
    BD_PRECISION_BF16,
    BD_PRECISION_FP16
} bd_precision;
const char *bd_precision_name(bd_precision p); /* "f32", "tf32", "bf16", "fp16" */
/* bd_precision_parse
 *   errors   BD_E_ARG: no such precision */
BD_MUST_CHECK bd_status bd_precision_parse(bd_precision *out, const char *name);

/* Time and work of one node of one tile, for profiles. */
typedef struct {
    bd_op op;
    int node; /* of the lowered graph */
    double seconds, flops, bytes;
    char impl[64];
} bd_op_profile;

/* bd_op_profile_of -- all but impl of node i of g. bytes: of each tensor, by id. */
bd_op_profile bd_op_profile_of(const bd_graph *g, int i, const size_t *bytes, double seconds);

/* Who runs the nodes of a profile: one worker, the others idle, or all of them the same node at the same time, as in a
 * step. A device has one worker. */
typedef enum { BD_PROFILE_ONE, BD_PROFILE_ALL } bd_profile_by;

/* A device and what is asked of it. The functions are the device's own; the other members are its user's choice. */
typedef struct bd_backend {
    const char *name; /* "cpu", "cuda" */
    int device;       /* number among those of its kind */
    bd_precision precision;
    bool
        whole_batch; /* a tile of any size is one piece of work: drivers make it the batch (bd_backend_tile) */
    /* fingerprint: one line of text on which the bits of results depend (library versions, device ...) */
    bd_status (*fingerprint)(const struct bd_backend *self, char *out, size_t size);
    /* compile: lower, plan and allocate. The graph is borrowed for the engine's life. The pool gives the workers. */
    bd_status (*engine_create)(bd_engine **out, const struct bd_backend *self, const bd_graph *g,
                               bd_pool *pool);
    void (*engine_destroy)(bd_engine *e);
    void (*engine_memory)(const bd_engine *e, bd_memory *out);
    /* slot_set / slot_get: host arrays in the checkpoint's order and layout, float32, bd_tensor_count elements */
    bd_status (*slot_set)(bd_engine *e, bd_slot slot, int param, const float *src);
    bd_status (*slot_get)(bd_engine *e, bd_slot slot, int param, float *dst);
    /* const_set: fill a CONST tensor (host layout = graph layout, NHWC) */
    bd_status (*const_set)(bd_engine *e, int tensor, const void *src);
    /* run: replay; gradients (if the graph has any) are summed in tile order into BD_SLOT_GRAD, starting from zero,
     * or going on from the sums of the last run when accumulate is true (slot_set of BD_SLOT_GRAD does not
     * change those sums) */
    bd_status (*run)(bd_engine *e, const bd_run *r, bool accumulate);
    /* grad_norm: L2 norm of all gradients; BD_E_NUMERIC when not finite */
    bd_status (*grad_norm)(bd_engine *e, double *norm);
    /* adam: update parameters from BD_SLOT_GRAD; norm = result of grad_norm */
    bd_status (*adam)(bd_engine *e, const bd_adam *a, double norm);
    /* profile: run each node by itself, `repeat` times in a row; *rows, the caller's to free, gets the median of each
     * node of the lowered graph (over the workers too), *n of them */
    bd_status (*profile)(bd_engine *e, bd_profile_by by, int repeat, bd_op_profile **rows, int *n);
    /* step: run, grad_norm and adam as one piece of work; NULL: the three in turn (call bd_backend_step) */
    bd_status (*step)(bd_engine *e, const bd_run *r, bool accumulate, const bd_adam *a,
                      double *norm);
} bd_backend;

/* bd_backend_step -- run, then one optimiser step on the sum of gradients. The norm is that of the gradients after
 * division by a->loss_scale.
 *   errors   BD_E_NUMERIC: the gradient is not finite, parameters and moments are as before; *norm says what it is */
BD_MUST_CHECK bd_status bd_backend_step(const bd_backend *b, bd_engine *e, const bd_run *r,
                                        bool accumulate, const bd_adam *a, double *norm);

/* bd_backend_tile -- the tile for a batch: `tile` on a backend that cuts batches, else the whole batch. */
int bd_backend_tile(const bd_backend *b, int tile, int batch);
/* bd_backend_tile_ok -- may a graph have this tile? 1, 2, 4 or 8, and anything from 1 where the batch is whole. */
bool bd_backend_tile_ok(const bd_backend *b, int tile);

#endif
