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
    const bd_conv_kernels *kernels;
    int workers;
    bd_conv *conv; /* by node */
    bd_plan plan;
    size_t *place;   /* by tensor id: byte offset in params, consts, leaves or grads */
    size_t *bytes;   /* by tensor id */
    int *packed_by;  /* GRAD: node whose packed layout it has, or -1 */
    size_t n_params; /* floats of all parameters */
    size_t params_bytes, consts_bytes, leaves_bytes, grads_bytes, packed_bytes;
    char *params, *consts, *packed, *grad_sum;
    bool rounds;       /* precision bf16 */
    char *rounded;     /* then: parameters as convolutions take them */
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
    const bd_conv_kernels *kernels;
    void **data;
    void *workspace;
} cpu_call;

/* Input or output i of the op: tensor, and data (NULL: the op has none). */
static inline const bd_tensor *cpu_in(const cpu_call *c, int i) {
    return bd_graph_tensor(c->g, c->n->in[i]);
}
static inline const bd_tensor *cpu_out(const cpu_call *c, int i) {
    return bd_graph_tensor(c->g, c->n->out[i]);
}
static inline void *cpu_in_data(const cpu_call *c, int i) {
    return c->n->in[i] < 0 ? NULL : c->data[c->n->in[i]];
}
static inline void *cpu_out_data(const cpu_call *c, int i) {
    return c->n->out[i] < 0 ? NULL : c->data[c->n->out[i]];
}
static inline int cpu_pixels(const bd_tensor *t) { return t->dim[1] * t->dim[2]; }
static inline size_t cpu_image_floats(const bd_tensor *t) {
    return (size_t)cpu_pixels(t) * (size_t)t->dim[3];
}

typedef struct {
    size_t (*workspace)(const bd_graph *g, const bd_node *n); /* NULL: none */
    bd_status (*run)(const cpu_call *c); /* NULL: convolutions and STEP ops, run by the engine */
} cpu_op;

/* Attention (attention.c). */
size_t cpu_attention_workspace(const bd_graph *g, const bd_node *n);
size_t cpu_attention_bwd_workspace(const bd_graph *g, const bd_node *n);
bd_status cpu_attention(const cpu_call *c);
bd_status cpu_attention_bwd(const cpu_call *c);

/* Gradients of pooling (window.c): dx [N,H,W,C] from dy [N,OH,OW,C]. */
void cpu_max_pool_bwd(float *dx, const float *dy, const float *x, const bd_vec_window *s);
void cpu_avg_pool_bwd(float *dx, const float *dy, const bd_vec_window *s);

extern const cpu_op cpu_ops[BD_OP_COUNT];

#endif
