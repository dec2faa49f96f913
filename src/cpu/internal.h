/* What the files of the CPU backend share. */
#ifndef BD_CPU_INTERNAL_H
#define BD_CPU_INTERNAL_H

#include <pthread.h>

#include "cpu/cpu.h"
#include "cpu/conv.h"
#include "cpu/vec.h"
#include "graph/lower.h"
#include "graph/plan.h"

typedef struct {
    void **data;           /* by tensor id */
    void **workspace;      /* by node */
    bd_conv_buffers *conv; /* by node */
    char *arena, *leaves, *grads;
} cpu_worker;

struct bd_engine {
    bd_graph *g; /* lowered; tensor ids as in the caller's graph */
    bd_pool *pool;
    const bd_vec *vec;
    int workers;
    bd_conv *conv; /* by node */
    bd_plan plan;
    size_t *place;   /* by tensor id: byte offset in params, consts, leaves or grads */
    size_t *bytes;   /* by tensor id */
    int *packed_by;  /* GRAD: node whose packed layout it has, or -1 */
    size_t n_params; /* floats of all parameters */
    size_t params_bytes, consts_bytes, leaves_bytes, grads_bytes, packed_bytes;
    char *params, *consts, *packed, *grad_sum;
    size_t *packed_at; /* by node: offset of its packed weights */
    char *grad_plain, *adam_m, *adam_v;
    bool dirty; /* parameters changed since they were packed */
    cpu_worker *worker;
    pthread_mutex_t lock; /* guards turn and failed */
    pthread_cond_t moved;
    int turn;
    bool failed;
};

/* One op of one tile. */
typedef struct {
    const bd_graph *g;
    const bd_node *n;
    const bd_vec *vec;
    void **data;
    void *workspace;
} cpu_call;

typedef struct {
    size_t (*workspace)(const bd_graph *g, const bd_node *n); /* NULL: none */
    bd_status (*run)(const cpu_call *c); /* NULL: convolutions and STEP ops, run by the engine */
} cpu_op;

/* Gradients of pooling (window.c): dx [N,H,W,C] from dy [N,OH,OW,C]. */
void cpu_max_pool_bwd(float *dx, const float *dy, const float *x, const bd_vec_window *s);
void cpu_avg_pool_bwd(float *dx, const float *dy, const bd_vec_window *s);

extern const cpu_op cpu_ops[BD_OP_COUNT];

#endif
