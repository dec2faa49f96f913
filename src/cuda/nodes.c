/* The ops of a tile on a device: one function an op, listed through ops.def. Each puts its kernels on the stream. */
#include "cuda/internal.h"

static bd_type in_type(const cuda_call *c, int i) { return cuda_in(c, i)->type; }

#define run_conv2d cuda_run_conv
#define run_conv2d_bwd_data cuda_run_conv
#define run_conv2d_bwd_weight cuda_run_conv
#define prepare_conv2d cuda_prepare_conv
#define prepare_conv2d_bwd_data cuda_prepare_conv
#define prepare_conv2d_bwd_weight cuda_prepare_conv
#define run_attention cuda_run_attention
#define run_attention_bwd cuda_run_attention_bwd
#define prepare_attention cuda_prepare_attention
#define prepare_attention_bwd cuda_prepare_attention_bwd

static size_t norm_scratch(const bd_engine *e, const bd_node *n, int x) {
    const bd_tensor *t = bd_graph_tensor(e->g, n->in[x]);
    return bd_k_group_norm_scratch(t->dim[0], cuda_hw(t), t->dim[3], n->attr.norm.groups);
}

static bd_status prepare_group_norm(bd_engine *e, const bd_node *n, cuda_node *k,
                                    size_t *workspace) {
    (void)k;
    *workspace = norm_scratch(e, n, 0);
    return BD_OK;
}
static bd_status run_group_norm(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    const bd_norm_attr *a = &c->n->attr.norm;
    return CUDA_K(c, group_norm, .y = cuda_out_data(c, 0), .mean = cuda_out_data(c, 1),
                  .rstd = cuda_out_data(c, 2), .x = cuda_in_data(c, 0), .gamma = cuda_in_data(c, 1),
                  .beta = cuda_in_data(c, 2), .v = cuda_in_data(c, 3), .scratch = c->workspace,
                  .type = x->type, .n = x->dim[0], .hw = cuda_hw(x), .c = x->dim[3],
                  .groups = a->groups, .eps = a->eps, .silu = a->silu);
}

/* Behind the sums, room for the gradients of gamma and beta that nobody wants. */
static bd_status prepare_group_norm_bwd(bd_engine *e, const bd_node *n, cuda_node *k,
                                        size_t *workspace) {
    k->scratch = cuda_round(norm_scratch(e, n, 1));
    *workspace = k->scratch + 2 * sizeof(float) * (size_t)bd_graph_tensor(e->g, n->in[1])->dim[3];
    return BD_OK;
}
static bd_status run_group_norm_bwd(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 1);
    const bd_norm_attr *a = &c->n->attr.norm;
    float *dgamma = cuda_out_data(c, 1), *dbeta = cuda_out_data(c, 2);
    void *spare = (char *)c->workspace + c->e->node[c->i].scratch;
    if (!dgamma) dgamma = spare;
    if (!dbeta) dbeta = (float *)spare + x->dim[3];
    BD_REQUIRE(cuda_adds(c, 1) == cuda_adds(c, 2) || !cuda_out_data(c, 1) || !cuda_out_data(c, 2),
               BD_E_ARG, "cuda: gamma and beta of a norm are used differently");
    return CUDA_K(c, group_norm_bwd, .dx = cuda_out_data(c, 0), .dgamma = dgamma, .dbeta = dbeta,
                  .dy = cuda_in_data(c, 0), .x = cuda_in_data(c, 1), .mean = cuda_in_data(c, 2),
                  .rstd = cuda_in_data(c, 3), .gamma = cuda_in_data(c, 4),
                  .beta = cuda_in_data(c, 5), .v = cuda_in_data(c, 6), .scratch = c->workspace,
                  .type = x->type, .n = x->dim[0], .hw = cuda_hw(x), .c = x->dim[3],
                  .groups = a->groups, .eps = a->eps, .silu = a->silu,
                  .accumulate = cuda_adds(c, 1) || cuda_adds(c, 2));
}

#define prepare_add NULL
static bd_status run_add(const cuda_call *c) {
    return CUDA_K(c, add, .y = cuda_out_data(c, 0), .a = cuda_in_data(c, 0),
                  .b = cuda_in_data(c, 1), .type = in_type(c, 0),
                  .n = bd_tensor_count(cuda_out(c, 0)), .accumulate = cuda_adds(c, 0));
}

#define prepare_add_channel NULL
static bd_status run_add_channel(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, add_channel, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0),
                  .v = cuda_in_data(c, 1), .type = x->type, .n = x->dim[0], .hw = cuda_hw(x),
                  .c = x->dim[3]);
}

static bd_status prepare_sum_hw(bd_engine *e, const bd_node *n, cuda_node *k, size_t *workspace) {
    const bd_tensor *x = bd_graph_tensor(e->g, n->in[0]);
    (void)k;
    *workspace = bd_k_sum_rows_scratch(x->dim[0], (size_t)cuda_hw(x), x->dim[3]);
    return BD_OK;
}
static bd_status sum_pixels(const cuda_call *c, float k) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, sum_rows, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0),
                  .scratch = c->workspace, .ytype = cuda_out(c, 0)->type, .xtype = x->type,
                  .groups = x->dim[0], .c = x->dim[3], .rows = (size_t)cuda_hw(x), .k = k,
                  .accumulate = cuda_adds(c, 0));
}
static bd_status run_sum_hw(const cuda_call *c) { return sum_pixels(c, 1); }

#define prepare_mean_hw prepare_sum_hw
static bd_status run_mean_hw(const cuda_call *c) {
    return sum_pixels(c, (float)(1.0 / cuda_hw(cuda_in(c, 0))));
}

#define prepare_mean_hw_bwd NULL
static bd_status run_mean_hw_bwd(const cuda_call *c) {
    const bd_tensor *x = cuda_out(c, 0);
    return CUDA_K(c, spread, .dx = cuda_out_data(c, 0), .dy = cuda_in_data(c, 0), .type = x->type,
                  .n = x->dim[0], .hw = cuda_hw(x), .c = x->dim[3], .k = (float)(1.0 / cuda_hw(x)));
}

static bd_status scaled(const cuda_call *c, float k) {
    return CUDA_K(c, scale, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0),
                  .ytype = cuda_out(c, 0)->type, .xtype = in_type(c, 0),
                  .n = bd_tensor_count(cuda_out(c, 0)), .k = k, .accumulate = cuda_adds(c, 0));
}
#define prepare_scale NULL
static bd_status run_scale(const cuda_call *c) { return scaled(c, c->n->attr.scalar.value); }
#define prepare_cast NULL
static bd_status run_cast(const cuda_call *c) { return scaled(c, 1); }

/* `count` channels a pixel from one tensor into another. */
static bd_status copy_channels(const cuda_call *c, int in, int xfirst, int yfirst, int count) {
    const bd_tensor *x = cuda_in(c, in), *y = cuda_out(c, 0);
    return CUDA_K(c, copy_channels, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, in),
                  .rows = bd_tensor_count(y) / (size_t)y->dim[3], .yc = y->dim[3], .yfirst = yfirst,
                  .xc = x->dim[3], .xfirst = xfirst, .count = count,
                  .size = (int)bd_type_size(x->type));
}
#define prepare_concat NULL
static bd_status run_concat(const cuda_call *c) {
    int a = cuda_in(c, 0)->dim[3];
    BD_TRY(copy_channels(c, 0, 0, 0, a));
    return copy_channels(c, 1, 0, a, cuda_in(c, 1)->dim[3]);
}
#define prepare_slice NULL
static bd_status run_slice(const cuda_call *c) {
    return copy_channels(c, 0, c->n->attr.slice.first, 0, cuda_out(c, 0)->dim[3]);
}

#define prepare_upsample2 NULL
static bd_status run_upsample2(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, upsample2, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0), .type = x->type,
                  .n = x->dim[0], .h = x->dim[1], .w = x->dim[2], .c = x->dim[3]);
}
#define prepare_upsample2_bwd NULL
static bd_status run_upsample2_bwd(const cuda_call *c) {
    const bd_tensor *x = cuda_out(c, 0);
    return CUDA_K(c, upsample2_bwd, .dx = cuda_out_data(c, 0), .dy = cuda_in_data(c, 0),
                  .type = x->type, .n = x->dim[0], .h = x->dim[1], .w = x->dim[2], .c = x->dim[3]);
}

#define MAP(name)                                                                         \
    static bd_status run_##name(const cuda_call *c) {                                     \
        return CUDA_K(c, name, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0),         \
                      .type = in_type(c, 0), .n = bd_tensor_count(cuda_out(c, 0)));       \
    }                                                                                     \
    static bd_status run_##name##_bwd(const cuda_call *c) {                               \
        return CUDA_K(c, name##_bwd, .dx = cuda_out_data(c, 0), .dy = cuda_in_data(c, 0), \
                      .x = cuda_in_data(c, 1), .type = in_type(c, 0),                     \
                      .n = bd_tensor_count(cuda_out(c, 0)));                              \
    }
#define prepare_silu NULL
#define prepare_silu_bwd NULL
#define prepare_relu NULL
#define prepare_relu_bwd NULL
MAP(silu)
MAP(relu)

#define WINDOW(t, image, pooled)                                                             \
    .type = (image)->type, .n = (image)->dim[0], .h = (image)->dim[1], .w = (image)->dim[2], \
    .c = (image)->dim[3], .oh = (pooled)->dim[1], .ow = (pooled)->dim[2], .size = (t)->size, \
    .stride = (t)->stride, .pad = (t)->pad
#define POOL(name)                                                                        \
    static bd_status run_##name(const cuda_call *c) {                                     \
        return CUDA_K(c, name, .y = cuda_out_data(c, 0), .x = cuda_in_data(c, 0),         \
                      WINDOW(&c->n->attr.window, cuda_in(c, 0), cuda_out(c, 0)));         \
    }                                                                                     \
    static bd_status run_##name##_bwd(const cuda_call *c) {                               \
        return CUDA_K(c, name##_bwd, .dx = cuda_out_data(c, 0), .dy = cuda_in_data(c, 0), \
                      .x = cuda_in_data(c, 1),                                            \
                      WINDOW(&c->n->attr.window, cuda_out(c, 0), cuda_in(c, 0)));         \
    }
#define prepare_max_pool NULL
#define prepare_max_pool_bwd NULL
#define prepare_avg_pool NULL
#define prepare_avg_pool_bwd NULL
POOL(max_pool)
POOL(avg_pool)

#define prepare_time_embedding NULL
static bd_status run_time_embedding(const cuda_call *c) {
    const bd_tensor *y = cuda_out(c, 0);
    const bd_time_attr *a = &c->n->attr.time;
    return CUDA_K(c, time_embedding, .y = cuda_out_data(c, 0), .timestep = cuda_in_data(c, 0),
                  .type = y->type, .n = y->dim[0], .c = y->dim[3], .freq_shift = a->freq_shift,
                  .flip_sin_to_cos = a->flip_sin_to_cos);
}

#define prepare_mse NULL
static bd_status run_mse(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, mse, .loss = cuda_out_data(c, 0), .pred = cuda_in_data(c, 0),
                  .target = cuda_in_data(c, 1), .type = x->type, .n = x->dim[0],
                  .size = cuda_image_size(x));
}

/* The scale of the loss lies among the step's numbers. */
static const float *loss_scale(const cuda_call *c) {
    return &cuda_step(c->e, c->e->inputs)->loss_scale;
}

#define prepare_mse_bwd NULL
static bd_status run_mse_bwd(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, mse_bwd, .dpred = cuda_out_data(c, 0), .pred = cuda_in_data(c, 0),
                  .target = cuda_in_data(c, 1), .weight = cuda_in_data(c, 2),
                  .loss_scale = loss_scale(c), .type = x->type, .n = x->dim[0],
                  .size = cuda_image_size(x));
}

#define prepare_cross_entropy NULL
static bd_status run_cross_entropy(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0);
    return CUDA_K(c, cross_entropy, .loss = cuda_out_data(c, 0), .prob = cuda_out_data(c, 1),
                  .logits = cuda_in_data(c, 0), .label = cuda_in_data(c, 1), .type = x->type,
                  .n = x->dim[0], .k = x->dim[3]);
}
#define prepare_cross_entropy_bwd NULL
static bd_status run_cross_entropy_bwd(const cuda_call *c) {
    const bd_tensor *x = cuda_out(c, 0);
    return CUDA_K(c, cross_entropy_bwd, .dlogits = cuda_out_data(c, 0), .prob = cuda_in_data(c, 0),
                  .label = cuda_in_data(c, 1), .weight = cuda_in_data(c, 2),
                  .loss_scale = loss_scale(c), .type = x->type, .n = x->dim[0], .k = x->dim[3]);
}

#define prepare_batch_build NULL
static bd_status run_batch_build(const cuda_call *c) {
    const bd_tensor *x = cuda_out(c, 0);
    return CUDA_K(c, batch_build, .x_t = cuda_out_data(c, 0), .y = cuda_out_data(c, 1),
                  .images = cuda_in_data(c, 0), .trigger = cuda_in_data(c, 1),
                  .target = cuda_in_data(c, 2), .index = cuda_in_data(c, 3),
                  .flags = cuda_in_data(c, 4), .coef = cuda_in_data(c, 5),
                  .key = cuda_in_data(c, 6), .type = x->type, .n = x->dim[0], .h = x->dim[1],
                  .w = x->dim[2], .c = x->dim[3], .rows = cuda_in(c, 0)->dim[0]);
}

#define prepare_sampler_step NULL
static bd_status run_sampler_step(const cuda_call *c) {
    const bd_tensor *x = cuda_in(c, 0), *h = c->n->in[4] < 0 ? NULL : cuda_in(c, 4);
    return CUDA_K(c, sampler_step, .x = cuda_in_data(c, 0), .h = cuda_in_data(c, 4),
                  .e = cuda_in_data(c, 1), .coef = cuda_in_data(c, 2), .key = cuda_in_data(c, 3),
                  .type = in_type(c, 1), .n = x->dim[0], .h_pixels = x->dim[1], .w = x->dim[2],
                  .c = x->dim[3], .slots = h ? h->dim[1] / x->dim[1] : 0);
}

/* STEP ops act on all parameters at once: the engine runs them (run.c). */
#define run_grad_norm NULL
#define run_adam NULL
#define prepare_grad_norm NULL
#define prepare_adam NULL

const cuda_op cuda_ops[BD_OP_COUNT] = {
#define BD_OP(name, n_in, n_out, scope) [BD_OP_##name] = {prepare_##name, run_##name},
#include "graph/ops.def"
#undef BD_OP
};
