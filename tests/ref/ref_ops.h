/* The plainest possible float64 loops of every operation in graph/ops.def: the oracle of all backends. */
#ifndef BD_REF_OPS_H
#define BD_REF_OPS_H

#include <stdint.h>

#include "graph/backend.h"

/* A tensor of any type as doubles, in the layout of graph/graph.h. data = NULL: absent. */
typedef struct {
    int dim[4];
    double *data;
} ref_tensor;

/* One call: the node's attributes, its inputs and outputs in the order of ops.def. Every output that is
 * present is overwritten whole. */
typedef struct {
    const bd_node *node;
    ref_tensor in[BD_NODE_IN_MAX], out[BD_NODE_OUT_MAX];
} ref_args;

/* All parameters of a model, for the ops of scope STEP. arrays: [n_params][count[i]] */
typedef struct {
    int n_params;
    const size_t *count;
    double **param, **grad, **m, **v;
    bd_adam adam;
    double norm; /* written by grad_norm, read by adam */
} ref_model;

typedef void (*ref_fn)(const ref_args *a);
typedef void (*ref_step_fn)(ref_model *m);

/* ref_<op>: one function an op, so an op of ops.def without a reference does not link. */
#define BD_REF_TILE(name) void ref_##name(const ref_args *a);
#define BD_REF_STEP(name) void ref_##name(ref_model *m);
#define BD_OP(name, n_in, n_out, scope) BD_REF_##scope(name)
#include "graph/ops.def"
#undef BD_OP
#undef BD_REF_TILE
#undef BD_REF_STEP

/* By op; NULL for the ops of the other scope. */
extern const ref_fn ref_table[BD_OP_COUNT];
extern const ref_step_fn ref_step_table[BD_OP_COUNT];

/* Elements of a reference tensor; 0 when absent. */
size_t ref_count(const ref_tensor *t);

/* ref_normals -- n standard normals of a Philox key, Box-Muller in double with libm; written apart from base/rng.c.
 *   source   Salmon et al. 2011, SC'11 (Philox4x32-10); Box & Muller 1958
 *   counter {block of four words, step, index, stream}; word >> 8 in units of 2^-24 */
void ref_normals(double *out, size_t n, uint64_t seed, uint32_t stream, uint32_t index,
                 uint32_t step);

#endif
