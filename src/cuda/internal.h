/* What the files of the CUDA backend share. */
#ifndef BD_CUDA_INTERNAL_H
#define BD_CUDA_INTERNAL_H

#include "cuda/blas.h"
#include "cuda/cuda.h"
#include "cuda/dnn.h"
#include "graph/lower.h"
#include "graph/plan.h"

/* A device with its libraries and the one stream that everything runs on; open until the process ends. */
typedef struct {
    const bd_cuda_platform *p;
    int device;
    bd_cuda_device_info info;
    bd_dnn *dnn;
    bd_blas *blas;
    void *stream;
} cuda_context;

/* cuda_context_get -- the device's, opened on the first call; sets the device for this thread. */
BD_MUST_CHECK bd_status cuda_context_get(cuda_context **out, int device);

/* cuda_check -- BD_OK, or BD_E_DEVICE with what was being done and the platform's text. */
BD_MUST_CHECK bd_status cuda_check(const bd_cuda_platform *p, int code, const char *doing);

/* cuda_libraries -- "cudnn 9.19.0, cublaslt 13.1.0". */
enum { CUDA_LIBRARIES_TEXT = 64 };
void cuda_libraries(char *out, size_t size, const cuda_context *c);

enum {
    CUDA_PRODUCTS = 3, /* matrix products of one node */
    CUDA_RING = 4,     /* steps whose inputs may be under way to the device */
    CUDA_VARIANTS = 4  /* a step: gradients added or not, update or not */
};

/* What is fixed once for a node. */
typedef struct {
    const bd_dnn_plan *plan[2]; /* convolution: overwriting, adding */
    bd_dnn_bound *bound[2];
    const bd_blas_plan *product[CUDA_PRODUCTS];
    size_t
        scratch; /* byte offset in the workspace: behind what the library, or a 16-bit gradient, takes */
} cuda_node;

/* A step recorded once and launched many times. */
typedef struct {
    void *graph;
    bool warm; /* ran unrecorded once: modules are loaded, algorithms chosen */
} cuda_variant;

struct bd_engine {
    const bd_graph *source; /* the driver's: types that host memory has */
    bd_graph *g; /* lowered: types that device memory has; its ids begin with the source's */
    cuda_context *ctx;
    const bd_cuda_platform *p;
    bd_precision precision;
    bd_type half;
    bool trains;
    cuda_node *node; /* by node */
    bd_plan plan;
    size_t *place; /* by tensor id: byte offset in its block; PARAM and GRAD: of float32 */
    size_t *bytes; /* by tensor id, on the device */

    /* device blocks */
    char *params, *half_params, *grads, *adam_m,
        *adam_v;                                   /* flat, filters [O,KH,KW,I], gaps of zeros */
    char *consts, *states, *inputs, *arena, *norm; /* norm: the result, then partial sums */
    size_t params_bytes, consts_bytes, states_bytes, inputs_bytes;
    size_t step_at;   /* of bd_k_step, behind the inputs */
    size_t n_flat;    /* floats of params_bytes */
    void **data;      /* by tensor id */
    void **workspace; /* by node */

    /* host side */
    char *inputs_host; /* what the driver wrote, and the step's numbers */
    char *ring[CUDA_RING];
    void *sent[CUDA_RING]; /* events: the copy out of ring[i] is done */
    int next;
    char *states_host;
    char **kept_host; /* by tensor id of the source: kept ACT */
    char *raw;        /* page-locked: a kept tensor as it is on the device, and single numbers */
    cuda_variant variant[CUDA_VARIANTS];
    bool in_before, inputs_touched, states_touched;
    bool *fetched;    /* by tensor id: already copied in this `after` */
    bd_status failed; /* of a copy that a callback asked for; the text is this thread's */
};

/* One node of one step. */
typedef struct {
    bd_engine *e;
    const bd_node *n;
    int i;
    void *workspace;
    bool accumulate; /* gradients of parameters are added to what is there */
} cuda_call;

typedef struct {
    /* prepare: plans and workspace of a node; NULL: neither */
    bd_status (*prepare)(bd_engine *e, const bd_node *n, cuda_node *k, size_t *workspace);
    bd_status (*run)(const cuda_call *c); /* NULL: STEP ops, run by the engine */
} cuda_op;

extern const cuda_op cuda_ops[BD_OP_COUNT];

static inline bd_k_step *cuda_step(const bd_engine *e, char *block) {
    void *p = block + e->step_at;
    return p;
}

/* convolutions (conv.c) */
BD_MUST_CHECK bd_status cuda_prepare_conv(bd_engine *e, const bd_node *n, cuda_node *k,
                                          size_t *workspace);
BD_MUST_CHECK bd_status cuda_bind_conv(bd_engine *e, const bd_node *n, cuda_node *k,
                                       void *workspace);
BD_MUST_CHECK bd_status cuda_run_conv(const cuda_call *c);

/* attention (attention.c) */
BD_MUST_CHECK bd_status cuda_prepare_attention(bd_engine *e, const bd_node *n, cuda_node *k,
                                               size_t *workspace);
BD_MUST_CHECK bd_status cuda_prepare_attention_bwd(bd_engine *e, const bd_node *n, cuda_node *k,
                                                   size_t *workspace);
BD_MUST_CHECK bd_status cuda_run_attention(const cuda_call *c);
BD_MUST_CHECK bd_status cuda_run_attention_bwd(const cuda_call *c);

/* engine.c */
void cuda_engine_destroy(bd_engine *e);
void cuda_engine_memory(const bd_engine *e, bd_memory *m);

/* replay (run.c) */
bd_status cuda_engine_run(bd_engine *e, const bd_run *r, bool accumulate);
bd_status cuda_grad_norm(bd_engine *e, double *norm);
bd_status cuda_adam(bd_engine *e, const bd_adam *a, double norm);
bd_status cuda_train_step(bd_engine *e, const bd_run *r, bool accumulate, const bd_adam *a,
                          double *norm);
bd_status cuda_profile(bd_engine *e, bd_profile_by by, int repeat, bd_op_profile **out, int *n);

static inline const bd_tensor *cuda_in(const cuda_call *c, int i) {
    return bd_graph_tensor(c->e->g, c->n->in[i]);
}
static inline const bd_tensor *cuda_out(const cuda_call *c, int i) {
    return bd_graph_tensor(c->e->g, c->n->out[i]);
}
static inline void *cuda_in_data(const cuda_call *c, int i) {
    return c->n->in[i] < 0 ? NULL : c->e->data[c->n->in[i]];
}
static inline void *cuda_out_data(const cuda_call *c, int i) {
    return c->n->out[i] < 0 ? NULL : c->e->data[c->n->out[i]];
}
/* Is output i added to what is there? */
static inline bool cuda_adds(const cuda_call *c, int i) {
    return c->accumulate && c->n->out[i] >= 0 && cuda_out(c, i)->kind == BD_TENSOR_GRAD;
}
static inline int cuda_hw(const bd_tensor *t) { return t->dim[1] * t->dim[2]; }
static inline size_t cuda_image_size(const bd_tensor *t) {
    return (size_t)cuda_hw(t) * (size_t)t->dim[3];
}
static inline size_t cuda_round(size_t n) { return (n + 255) / 256 * 256; }
static inline bd_status cuda_launched(const cuda_call *c, int code) {
    return code ? cuda_check(c->e->p, code, bd_op_name(c->n->op)) : BD_OK;
}
/* CUDA_K(c, add, .y = ..., ...): the kernel on the engine's stream, as the status of this op. */
#define CUDA_K(c, name, ...) \
    cuda_launched((c), (c)->e->p->k.name(&(const bd_k_##name){__VA_ARGS__}, (c)->e->ctx->stream))

#endif
