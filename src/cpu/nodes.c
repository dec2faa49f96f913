/* The ops of a tile on the CPU: one function an op, listed through ops.def. */
#include <math.h>
#include <string.h>

#include "base/pixel.h"
#include "base/rng.h"
#include "cpu/internal.h"

/* Convolutions are bound to buffers once and run by the engine (engine.c). */
#define run_conv2d NULL
#define run_conv2d_bwd_data NULL
#define run_conv2d_bwd_weight NULL
#define workspace_conv2d NULL
#define workspace_conv2d_bwd_data NULL
#define workspace_conv2d_bwd_weight NULL

static size_t workspace_group_norm(const bd_graph *g, const bd_node *n) {
    return 3 * sizeof(double) * (size_t)bd_graph_tensor(g, n->in[0])->dim[3];
}

static bd_vec_norm norm_shape(const cpu_call *c, const bd_tensor *x) {
    const bd_norm_attr *a = &c->n->attr.norm;
    return (bd_vec_norm){x->dim[0], cpu_pixels(x), x->dim[3], a->groups, a->eps, a->silu};
}

static bd_status run_group_norm(const cpu_call *c) {
    bd_vec_norm s = norm_shape(c, cpu_in(c, 0));
    c->vec->group_norm(cpu_out_data(c, 0), cpu_out_data(c, 1), cpu_out_data(c, 2),
                       cpu_in_data(c, 0), cpu_in_data(c, 1), cpu_in_data(c, 2), cpu_in_data(c, 3),
                       &s, c->workspace);
    return BD_OK;
}

/* Six doubles a channel, and room for dx where nobody wants it. */
static size_t workspace_group_norm_bwd(const bd_graph *g, const bd_node *n) {
    const bd_tensor *x = bd_graph_tensor(g, n->in[1]);
    return 6 * sizeof(double) * (size_t)x->dim[3] +
           (n->out[0] < 0 ? bd_tensor_count(x) * sizeof(float) : 0);
}

static bd_status run_group_norm_bwd(const cpu_call *c) {
    bd_vec_norm s = norm_shape(c, cpu_in(c, 1));
    void *spare = (double *)c->workspace + 6 * s.c;
    float *dx = c->n->out[0] < 0 ? spare : cpu_out_data(c, 0);
    c->vec->group_norm_bwd(dx, cpu_out_data(c, 1), cpu_out_data(c, 2), cpu_in_data(c, 0),
                           cpu_in_data(c, 1), cpu_in_data(c, 2), cpu_in_data(c, 3),
                           cpu_in_data(c, 4), cpu_in_data(c, 5), cpu_in_data(c, 6), &s,
                           c->workspace);
    return BD_OK;
}

#define run_attention cpu_attention
#define run_attention_bwd cpu_attention_bwd
#define workspace_attention cpu_attention_workspace
#define workspace_attention_bwd cpu_attention_bwd_workspace

#define workspace_add NULL
static bd_status run_add(const cpu_call *c) {
    c->vec->add(cpu_out_data(c, 0), cpu_in_data(c, 0), cpu_in_data(c, 1),
                bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

#define workspace_add_channel NULL
static bd_status run_add_channel(const cpu_call *c) {
    const bd_tensor *x = cpu_in(c, 0);
    c->vec->add_channel(cpu_out_data(c, 0), cpu_in_data(c, 0), cpu_in_data(c, 1), x->dim[0],
                        cpu_pixels(x), x->dim[3]);
    return BD_OK;
}

static size_t workspace_sum_hw(const bd_graph *g, const bd_node *n) {
    return sizeof(double) * (size_t)bd_graph_tensor(g, n->in[0])->dim[3];
}

static bd_status sum_pixels(const cpu_call *c, float k) {
    const bd_tensor *x = cpu_in(c, 0);
    c->vec->sum_hw(cpu_out_data(c, 0), cpu_in_data(c, 0), k, x->dim[0], cpu_pixels(x), x->dim[3],
                   c->workspace);
    return BD_OK;
}

static bd_status run_sum_hw(const cpu_call *c) { return sum_pixels(c, 1); }

#define workspace_mean_hw workspace_sum_hw
static bd_status run_mean_hw(const cpu_call *c) {
    return sum_pixels(c, (float)(1.0 / cpu_pixels(cpu_in(c, 0))));
}

#define workspace_mean_hw_bwd NULL
static bd_status run_mean_hw_bwd(const cpu_call *c) {
    const bd_tensor *x = cpu_out(c, 0);
    int ch = x->dim[3], n = cpu_pixels(x);
    const float *dy = cpu_in_data(c, 0);
    float *dx = cpu_out_data(c, 0);
    for (int i = 0; i < x->dim[0]; i++, dy += ch)
        for (int p = 0; p < n; p++, dx += ch) c->vec->scale(dx, dy, (float)(1.0 / n), (size_t)ch);
    return BD_OK;
}

#define workspace_scale NULL
static bd_status run_scale(const cpu_call *c) {
    c->vec->scale(cpu_out_data(c, 0), cpu_in_data(c, 0), c->n->attr.scalar.value,
                  bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

#define workspace_concat NULL
static bd_status run_concat(const cpu_call *c) {
    int ca = cpu_in(c, 0)->dim[3], cb = cpu_in(c, 1)->dim[3], cy = ca + cb;
    size_t pixels = bd_tensor_count(cpu_out(c, 0)) / (size_t)cy;
    float *y = cpu_out_data(c, 0);
    c->vec->copy(y, cy, cpu_in_data(c, 0), ca, pixels, ca);
    c->vec->copy(y + ca, cy, cpu_in_data(c, 1), cb, pixels, cb);
    return BD_OK;
}

#define workspace_slice NULL
static bd_status run_slice(const cpu_call *c) {
    int cx = cpu_in(c, 0)->dim[3], cy = cpu_out(c, 0)->dim[3];
    c->vec->copy(cpu_out_data(c, 0), cy, (float *)cpu_in_data(c, 0) + c->n->attr.slice.first, cx,
                 bd_tensor_count(cpu_out(c, 0)) / (size_t)cy, cy);
    return BD_OK;
}

#define workspace_upsample2 NULL
static bd_status run_upsample2(const cpu_call *c) {
    const bd_tensor *x = cpu_in(c, 0);
    c->vec->upsample2(cpu_out_data(c, 0), cpu_in_data(c, 0), x->dim[0], x->dim[1], x->dim[2],
                      x->dim[3]);
    return BD_OK;
}

#define workspace_upsample2_bwd NULL
static bd_status run_upsample2_bwd(const cpu_call *c) {
    const bd_tensor *x = cpu_out(c, 0);
    c->vec->upsample2_bwd(cpu_out_data(c, 0), cpu_in_data(c, 0), x->dim[0], x->dim[1], x->dim[2],
                          x->dim[3]);
    return BD_OK;
}

#define workspace_silu NULL
static bd_status run_silu(const cpu_call *c) {
    c->vec->silu(cpu_out_data(c, 0), cpu_in_data(c, 0), bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

#define workspace_silu_bwd NULL
static bd_status run_silu_bwd(const cpu_call *c) {
    c->vec->silu_bwd(cpu_out_data(c, 0), cpu_in_data(c, 0), cpu_in_data(c, 1),
                     bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

#define workspace_relu NULL
static bd_status run_relu(const cpu_call *c) {
    c->vec->relu(cpu_out_data(c, 0), cpu_in_data(c, 0), bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

#define workspace_relu_bwd NULL
static bd_status run_relu_bwd(const cpu_call *c) {
    c->vec->relu_bwd(cpu_out_data(c, 0), cpu_in_data(c, 0), cpu_in_data(c, 1),
                     bd_tensor_count(cpu_out(c, 0)));
    return BD_OK;
}

static bd_vec_window window(const cpu_call *c, const bd_tensor *x, const bd_tensor *y) {
    const bd_window_attr *a = &c->n->attr.window;
    return (bd_vec_window){x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1],
                           y->dim[2], a->size,   a->stride, a->pad};
}

#define workspace_max_pool NULL
static bd_status run_max_pool(const cpu_call *c) {
    bd_vec_window s = window(c, cpu_in(c, 0), cpu_out(c, 0));
    c->vec->max_pool(cpu_out_data(c, 0), cpu_in_data(c, 0), &s);
    return BD_OK;
}

#define workspace_avg_pool NULL
static bd_status run_avg_pool(const cpu_call *c) {
    bd_vec_window s = window(c, cpu_in(c, 0), cpu_out(c, 0));
    c->vec->avg_pool(cpu_out_data(c, 0), cpu_in_data(c, 0), &s);
    return BD_OK;
}

#define workspace_max_pool_bwd NULL
static bd_status run_max_pool_bwd(const cpu_call *c) {
    bd_vec_window s = window(c, cpu_out(c, 0), cpu_in(c, 0));
    cpu_max_pool_bwd(cpu_out_data(c, 0), cpu_in_data(c, 0), cpu_in_data(c, 1), &s);
    return BD_OK;
}

#define workspace_avg_pool_bwd NULL
static bd_status run_avg_pool_bwd(const cpu_call *c) {
    bd_vec_window s = window(c, cpu_out(c, 0), cpu_in(c, 0));
    cpu_avg_pool_bwd(cpu_out_data(c, 0), cpu_in_data(c, 0), &s);
    return BD_OK;
}

#define workspace_time_embedding NULL
static bd_status run_time_embedding(const cpu_call *c) {
    const bd_time_attr *a = &c->n->attr.time;
    const float *t = cpu_in_data(c, 0);
    float *y = cpu_out_data(c, 0);
    int n = cpu_out(c, 0)->dim[0], half = cpu_out(c, 0)->dim[3] / 2;
    for (int i = 0; i < n; i++, y += 2 * half)
        for (int k = 0; k < half; k++) {
            double angle = t[i] * exp(-log(10000.0) * k / (half - a->freq_shift));
            y[a->flip_sin_to_cos ? half + k : k] = (float)sin(angle);
            y[a->flip_sin_to_cos ? k : half + k] = (float)cos(angle);
        }
    return BD_OK;
}

#define workspace_mse NULL
static bd_status run_mse(const cpu_call *c) {
    const bd_tensor *p = cpu_in(c, 0);
    size_t m = cpu_image_floats(p);
    double *loss = cpu_out_data(c, 0);
    for (int i = 0; i < p->dim[0]; i++)
        loss[i] = c->vec->sum_sq_diff((float *)cpu_in_data(c, 0) + (size_t)i * m,
                                      (float *)cpu_in_data(c, 1) + (size_t)i * m, m) /
                  (double)m;
    return BD_OK;
}

#define workspace_mse_bwd NULL
static bd_status run_mse_bwd(const cpu_call *c) {
    const bd_tensor *p = cpu_in(c, 0);
    size_t m = cpu_image_floats(p);
    const float *weight = cpu_in_data(c, 2);
    for (int i = 0; i < p->dim[0]; i++)
        c->vec->scaled_diff(
            (float *)cpu_out_data(c, 0) + (size_t)i * m, (float *)cpu_in_data(c, 0) + (size_t)i * m,
            (float *)cpu_in_data(c, 1) + (size_t)i * m, (float)(2.0 * weight[i] / (double)m), m);
    return BD_OK;
}

#define workspace_cross_entropy NULL
static bd_status run_cross_entropy(const cpu_call *c) {
    int n = cpu_in(c, 0)->dim[0], k = cpu_in(c, 0)->dim[3];
    const int32_t *label = cpu_in_data(c, 1);
    const float *logit = cpu_in_data(c, 0);
    float *prob = cpu_out_data(c, 1);
    double *loss = cpu_out_data(c, 0);
    for (int i = 0; i < n; i++, logit += k, prob += k) {
        BD_REQUIRE(label[i] >= 0 && label[i] < k, BD_E_ARG,
                   "cross_entropy: label %d is outside 0..%d", (int)label[i], k - 1);
        double top = logit[0];
        for (int j = 1; j < k; j++) top = logit[j] > top ? logit[j] : top;
        double sum = exp(logit[0] - top);
        for (int j = 1; j < k; j++) sum += exp(logit[j] - top);
        for (int j = 0; j < k; j++) prob[j] = (float)(exp(logit[j] - top) / sum);
        loss[i] = log(sum) - (logit[label[i]] - top);
    }
    return BD_OK;
}

#define workspace_cross_entropy_bwd NULL
static bd_status run_cross_entropy_bwd(const cpu_call *c) {
    int n = cpu_in(c, 0)->dim[0], k = cpu_in(c, 0)->dim[3];
    const float *prob = cpu_in_data(c, 0), *weight = cpu_in_data(c, 2);
    const int32_t *label = cpu_in_data(c, 1);
    float *d = cpu_out_data(c, 0);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < k; j++, prob++, d++)
            *d = weight[i] * (*prob - (j == label[i] ? 1.0f : 0.0f));
    return BD_OK;
}

static bd_rng_key noise_key(const int32_t *key, bd_stream stream) {
    return (bd_rng_key){(uint64_t)(uint32_t)key[0] | (uint64_t)(uint32_t)key[1] << 32, stream,
                        (uint32_t)key[2], (uint32_t)key[3]};
}

/* Two images: the noise, and the scratch of its transposition. */
static size_t workspace_batch_build(const bd_graph *g, const bd_node *n) {
    return 2 * cpu_image_floats(bd_graph_tensor(g, n->in[0])) * sizeof(float);
}

static void build_image(float *xt, float *y, const uint8_t *img, int32_t flags, const float *g,
                        const float *target, const float *k, const float *eps, const bd_tensor *t) {
    int w = t->dim[2], ch = t->dim[3];
    size_t n = cpu_image_floats(t);
    for (size_t i = 0; i < n; i++) {
        size_t px = i / (size_t)ch, col = px % (size_t)w;
        size_t src = flags & 1 ? (px - col + (size_t)w - 1 - col) * (size_t)ch + i % (size_t)ch : i;
        float x = bd_pixel_float(img[src]), r = 0;
        if (flags & 2) {
            r = g[i] > -1 ? g[i] : x;
            x = target[i];
        }
        xt[i] = k[0] * x + k[1] * eps[i] + k[2] * r;
        y[i] = eps[i] + k[3] * r;
    }
}

static bd_status run_batch_build(const cpu_call *c) {
    const bd_tensor *images = cpu_in(c, 0);
    size_t m = cpu_image_floats(images);
    int h = images->dim[1], w = images->dim[2], ch = images->dim[3];
    const int32_t *index = cpu_in_data(c, 3), *flags = cpu_in_data(c, 4), *key = cpu_in_data(c, 6);
    const float *coef = cpu_in_data(c, 5);
    float *eps = c->workspace;
    for (int i = 0; i < cpu_out(c, 0)->dim[0]; i++) {
        BD_REQUIRE(index[i] >= 0 && index[i] < images->dim[0], BD_E_ARG,
                   "batch_build: row %d is outside 0..%d", (int)index[i], images->dim[0] - 1);
        bd_rng_normal_nhwc(eps, h, w, ch, noise_key(key + 4 * i, BD_STREAM_NOISE), eps + m);
        build_image((float *)cpu_out_data(c, 0) + (size_t)i * m,
                    (float *)cpu_out_data(c, 1) + (size_t)i * m,
                    (uint8_t *)cpu_in_data(c, 0) + (size_t)index[i] * m, flags[i],
                    cpu_in_data(c, 1), cpu_in_data(c, 2), coef + 4 * i, eps, images);
    }
    return BD_OK;
}

/* A block of an image stays in the first-level cache through all rows of the coefficients. */
enum { STEP_BLOCK = 512, STEP_ROWS = 1 + BD_SAMPLER_HISTORY };

/* z and the scratch of its transposition of one image; x0 and all rows of one block. */
static size_t workspace_sampler_step(const bd_graph *g, const bd_node *n) {
    return (2 * cpu_image_floats(bd_graph_tensor(g, n->in[0])) + (1 + STEP_ROWS) * STEP_BLOCK) *
           sizeof(float);
}

/* y = the terms of a row whose coefficient is not 0, in the order of the columns; false when there are none. */
static bool step_row(const bd_vec *vec, float *y, const double *row, const float *const *column,
                     size_t n) {
    const float *x[BD_COLS];
    float k[BD_COLS];
    int terms = 0;
    for (int j = 0; j < BD_COLS; j++) {
        if (row[j] == 0) continue;
        x[terms] = column[j];
        k[terms++] = (float)row[j];
    }
    if (terms) vec->linear(y, x, k, terms, n);
    return terms > 0;
}

/* One block: image[0] is x, image[1 + k] is h_k; column[] the terms of a row, X0 not yet among them. */
static void step_block(const bd_vec *vec, float *const *image, const float **column,
                       const double *coef, float *scratch, size_t n) {
    bool changed[STEP_ROWS], uses_x0 = false;
    const double *rows = coef + BD_COEF_ROWS;
    for (int r = 0; r < STEP_ROWS; r++) uses_x0 |= rows[r * BD_COLS + BD_COL_X0] != 0;
    if (uses_x0) {
        vec->linear(scratch, (const float *const[]){column[BD_COL_X], column[BD_COL_E]},
                    (const float[]){(float)coef[BD_COEF_X0_X], (float)coef[BD_COEF_X0_E]}, 2, n);
        if (coef[BD_COEF_CLIP_X0] != 0) vec->clamp(scratch, -1, 1, n);
    }
    column[BD_COL_X0] = scratch;
    float *y = scratch + STEP_BLOCK;
    for (int r = 0; r < STEP_ROWS; r++)
        changed[r] = step_row(vec, y + r * STEP_BLOCK, rows + r * BD_COLS, column, n);
    if (changed[0] && coef[BD_COEF_CLIP_X] != 0) vec->clamp(y, -1, 1, n);
    for (int r = 0; r < STEP_ROWS; r++)
        if (changed[r]) memcpy(image[r], y + r * STEP_BLOCK, n * sizeof *y);
}

static bd_status run_sampler_step(const cpu_call *c) {
    const bd_tensor *t = cpu_in(c, 0);
    size_t m = cpu_image_floats(t),
           slots = c->n->in[4] < 0 ? 0 : cpu_image_floats(cpu_in(c, 4)) / m;
    const double *coef = cpu_in_data(c, 2);
    const int32_t *key = cpu_in_data(c, 3);
    float *z = c->workspace, *scratch = z + 2 * m;
    for (size_t i = 0; i < (size_t)t->dim[0]; i++) {
        if (coef[BD_COEF_Z] != 0)
            bd_rng_normal_nhwc(z, t->dim[1], t->dim[2], t->dim[3],
                               noise_key(key + 4 * i, BD_STREAM_SAMPLER), z + m);
        for (size_t at = 0; at < m; at += STEP_BLOCK) {
            float *image[STEP_ROWS] = {(float *)cpu_in_data(c, 0) + i * m + at};
            const float *column[BD_COLS] = {[BD_COL_X] = image[0],
                                            [BD_COL_E] = (float *)cpu_in_data(c, 1) + i * m + at,
                                            [BD_COL_Z] = z + at};
            for (size_t k = 0; k < slots; k++)
                column[BD_COL_H + k] = image[1 + k] =
                    (float *)cpu_in_data(c, 4) + (i * slots + k) * m + at;
            step_block(c->vec, image, column, coef, scratch,
                       m - at < STEP_BLOCK ? m - at : STEP_BLOCK);
        }
    }
    return BD_OK;
}

/* To bf16: the engine rounds what comes out. */
#define workspace_cast NULL
static bd_status run_cast(const cpu_call *c) {
    memcpy(cpu_out_data(c, 0), cpu_in_data(c, 0), bd_tensor_count(cpu_out(c, 0)) * sizeof(float));
    return BD_OK;
}

/* STEP ops act on all parameters at once: the engine runs them (engine.c). */
#define run_grad_norm NULL
#define run_adam NULL
#define workspace_grad_norm NULL
#define workspace_adam NULL

const cpu_op cpu_ops[BD_OP_COUNT] = {
#define BD_OP(name, n_in, n_out, scope) [BD_OP_##name] = {workspace_##name, run_##name},
#include "graph/ops.def"
#undef BD_OP
};
