/* Oracles: finite differences of fourth order in float64 (every backward formula of tests/ref), closed forms
 * (the forward formulas), and the product's own generator against the second one of tests/ref. No engine runs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ref/check.h"
#include "ref/ref_ops.h"

/* Gradients of the inputs given dL/d(out[0]); a grad[i] without data is not wanted. */
typedef void (*chain_fn)(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad);

static void chain_conv2d(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_conv2d_bwd_data(&(ref_args){.node = f->node, .in = {*dy, f->in[1]}, .out = {grad[0]}});
    ref_conv2d_bwd_weight(
        &(ref_args){.node = f->node, .in = {f->in[0], *dy}, .out = {grad[1], grad[2]}});
}

static void chain_group_norm(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_group_norm_bwd(
        &(ref_args){.node = f->node,
                    .in = {*dy, f->in[0], f->out[1], f->out[2], f->in[1], f->in[2], f->in[3]},
                    .out = {grad[0], grad[1], grad[2]}});
    if (grad[3].data) ref_sum_hw(&(ref_args){.node = f->node, .in = {grad[0]}, .out = {grad[3]}});
}

static void chain_attention(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_attention_bwd(&(ref_args){.node = f->node,
                                  .in = {*dy, f->in[0], f->in[1], f->in[2], f->out[1]},
                                  .out = {grad[0], grad[1], grad[2]}});
}

static void chain_add(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    for (int i = 0; i < 2; i++)
        memcpy(grad[i].data, dy->data, ref_count(&f->in[i]) * sizeof(double));
}

static void chain_add_channel(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    memcpy(grad[0].data, dy->data, ref_count(dy) * sizeof(double));
    ref_sum_hw(&(ref_args){.node = f->node, .in = {*dy}, .out = {grad[1]}});
}

static void chain_scale(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_scale(&(ref_args){.node = f->node, .in = {*dy}, .out = {grad[0]}});
}

static void chain_concat(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    bd_node s = *f->node;
    s.attr.slice.first = 0;
    ref_slice(&(ref_args){.node = &s, .in = {*dy}, .out = {grad[0]}});
    s.attr.slice.first = f->in[0].dim[3];
    ref_slice(&(ref_args){.node = &s, .in = {*dy}, .out = {grad[1]}});
}

static void chain_upsample2(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_upsample2_bwd(&(ref_args){.node = f->node, .in = {*dy}, .out = {grad[0]}});
}

static void chain_silu(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_silu_bwd(&(ref_args){.node = f->node, .in = {*dy, f->in[0]}, .out = {grad[0]}});
}

static void chain_relu(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_relu_bwd(&(ref_args){.node = f->node, .in = {*dy, f->out[0]}, .out = {grad[0]}});
}

static void chain_max_pool(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_max_pool_bwd(&(ref_args){.node = f->node, .in = {*dy, f->in[0]}, .out = {grad[0]}});
}

static void chain_avg_pool(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_avg_pool_bwd(&(ref_args){.node = f->node, .in = {*dy}, .out = {grad[0]}});
}

static void chain_mean_hw(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    bd_node s = *f->node;
    s.attr.spatial = (bd_spatial_attr){f->in[0].dim[1], f->in[0].dim[2]};
    ref_mean_hw_bwd(&(ref_args){.node = &s, .in = {*dy}, .out = {grad[0]}});
}

/* The loss ops: dL/dloss[n] is weight[n], which the backward op takes itself. */
static void chain_mse(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_mse_bwd(&(ref_args){.node = f->node, .in = {f->in[0], f->in[1], *dy}, .out = {grad[0]}});
}

static void chain_cross_entropy(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    ref_cross_entropy_bwd(
        &(ref_args){.node = f->node, .in = {f->out[1], f->in[1], *dy}, .out = {grad[0]}});
}

typedef struct {
    const char *name;
    bd_op op;
    chain_fn chain;
    int in[4][4], out[3][4];
    unsigned wrt; /* inputs to differentiate by */
    int label;    /* input that holds classes 0 .. classes-1, 0 = none */
    int classes;
    bool zero_ok; /* a gradient that is zero by construction */
    bd_conv_attr conv;
    bd_norm_attr norm;
    int heads;
    float value;
    bd_window_attr window;
} fd_case;

#define CONV(kh, kw, s, t, l, b, r) \
    { kh, kw, s, t, l, b, r }

static const fd_case cases[] = {
    {"3x3",
     BD_OP_conv2d,
     chain_conv2d,
     {{2, 5, 4, 3}, {2, 3, 3, 3}, {1, 1, 1, 2}},
     {{2, 5, 4, 2}},
     7,
     .conv = CONV(3, 3, 1, 1, 1, 1, 1)},
    {"3x3 stride 2",
     BD_OP_conv2d,
     chain_conv2d,
     {{1, 6, 6, 2}, {3, 2, 3, 3}, {1, 1, 1, 3}},
     {{1, 3, 3, 3}},
     7,
     .conv = CONV(3, 3, 2, 1, 1, 1, 1)},
    {"3x3 stride 2 padded right and bottom",
     BD_OP_conv2d,
     chain_conv2d,
     {{2, 4, 6, 2}, {2, 2, 3, 3}},
     {{2, 2, 3, 2}},
     3,
     .conv = CONV(3, 3, 2, 0, 0, 1, 1)},
    {"1x1",
     BD_OP_conv2d,
     chain_conv2d,
     {{2, 2, 3, 4}, {5, 4, 1, 1}, {1, 1, 1, 5}},
     {{2, 2, 3, 5}},
     7,
     .conv = CONV(1, 1, 1, 0, 0, 0, 0)},
    {"1x1 stride 2",
     BD_OP_conv2d,
     chain_conv2d,
     {{1, 3, 5, 2}, {3, 2, 1, 1}},
     {{1, 2, 3, 3}},
     2,
     .conv = CONV(1, 1, 2, 0, 0, 0, 0)},
    {"2x3 on uneven padding",
     BD_OP_conv2d,
     chain_conv2d,
     {{1, 3, 4, 2}, {2, 2, 2, 3}},
     {{1, 4, 3, 2}},
     3,
     .conv = CONV(2, 3, 1, 2, 0, 0, 1)},
    {"3x3 on one pixel",
     BD_OP_conv2d,
     chain_conv2d,
     {{2, 1, 1, 3}, {2, 3, 3, 3}, {1, 1, 1, 2}},
     {{2, 1, 1, 2}},
     7,
     .zero_ok = true,
     .conv = CONV(3, 3, 1, 1, 1, 1, 1)},
    {"plain",
     BD_OP_group_norm,
     chain_group_norm,
     {{2, 3, 2, 6}, {1, 1, 1, 6}, {1, 1, 1, 6}},
     {{2, 3, 2, 6}, {2, 1, 1, 2}, {2, 1, 1, 2}},
     7,
     .norm = {2, 1e-5f, false}},
    {"silu",
     BD_OP_group_norm,
     chain_group_norm,
     {{2, 3, 2, 6}, {1, 1, 1, 6}, {1, 1, 1, 6}},
     {{2, 3, 2, 6}, {2, 1, 1, 3}, {2, 1, 1, 3}},
     7,
     .norm = {3, 1e-6f, true}},
    {"silu, v",
     BD_OP_group_norm,
     chain_group_norm,
     {{2, 2, 3, 4}, {1, 1, 1, 4}, {1, 1, 1, 4}, {2, 1, 1, 4}},
     {{2, 2, 3, 4}, {2, 1, 1, 2}, {2, 1, 1, 2}},
     15,
     .norm = {2, 1e-5f, true}},
    {"G=1",
     BD_OP_group_norm,
     chain_group_norm,
     {{1, 2, 2, 3}, {1, 1, 1, 3}, {1, 1, 1, 3}},
     {{1, 2, 2, 3}, {1, 1, 1, 1}, {1, 1, 1, 1}},
     7,
     .norm = {1, 1e-5f, true}},
    {"G=C",
     BD_OP_group_norm,
     chain_group_norm,
     {{2, 4, 3, 4}, {1, 1, 1, 4}, {1, 1, 1, 4}},
     {{2, 4, 3, 4}, {2, 1, 1, 4}, {2, 1, 1, 4}},
     7,
     .norm = {4, 1e-5f, false}},
    {"groups of one element",
     BD_OP_group_norm,
     chain_group_norm,
     {{2, 1, 1, 4}, {1, 1, 1, 4}, {1, 1, 1, 4}},
     {{2, 1, 1, 4}, {2, 1, 1, 4}, {2, 1, 1, 4}},
     7,
     .zero_ok = true,
     .norm = {4, 0.1f, true}},
    {"1 head",
     BD_OP_attention,
     chain_attention,
     {{2, 2, 3, 4}, {2, 2, 3, 4}, {2, 2, 3, 4}},
     {{2, 2, 3, 4}, {2, 1, 6, 6}},
     7,
     .heads = 1},
    {"2 heads",
     BD_OP_attention,
     chain_attention,
     {{1, 3, 2, 6}, {1, 3, 2, 6}, {1, 3, 2, 6}},
     {{1, 3, 2, 6}, {1, 2, 6, 6}},
     7,
     .heads = 2},
    {"heads of one channel",
     BD_OP_attention,
     chain_attention,
     {{1, 1, 3, 4}, {1, 1, 3, 4}, {1, 1, 3, 4}},
     {{1, 1, 3, 4}, {1, 4, 3, 3}},
     7,
     .heads = 4},
    {"S=1",
     BD_OP_attention,
     chain_attention,
     {{2, 1, 1, 4}, {2, 1, 1, 4}, {2, 1, 1, 4}},
     {{2, 1, 1, 4}, {2, 2, 1, 1}},
     7,
     .zero_ok = true,
     .heads = 2},
    {"", BD_OP_add, chain_add, {{2, 2, 3, 2}, {2, 2, 3, 2}}, {{2, 2, 3, 2}}, .wrt = 3},
    {"",
     BD_OP_add_channel,
     chain_add_channel,
     {{2, 2, 3, 4}, {2, 1, 1, 4}},
     {{2, 2, 3, 4}},
     .wrt = 3},
    {"", BD_OP_scale, chain_scale, {{2, 2, 3, 2}}, {{2, 2, 3, 2}}, 1, .value = -1.75f},
    {"", BD_OP_concat, chain_concat, {{2, 2, 3, 2}, {2, 2, 3, 3}}, {{2, 2, 3, 5}}, .wrt = 3},
    {"", BD_OP_upsample2, chain_upsample2, {{2, 3, 2, 3}}, {{2, 6, 4, 3}}, .wrt = 1},
    {"", BD_OP_silu, chain_silu, {{2, 2, 3, 2}}, {{2, 2, 3, 2}}, .wrt = 1},
    {"", BD_OP_relu, chain_relu, {{2, 3, 4, 5}}, {{2, 3, 4, 5}}, .wrt = 1},
    {"3x3 stride 1 padded",
     BD_OP_max_pool,
     chain_max_pool,
     {{2, 4, 3, 2}},
     {{2, 4, 3, 2}},
     .wrt = 1,
     .window = {3, 1, 1}},
    {"3x3 stride 2",
     BD_OP_max_pool,
     chain_max_pool,
     {{1, 6, 8, 3}},
     {{1, 2, 3, 3}},
     .wrt = 1,
     .zero_ok = true, /* most pixels are not the largest of any window */
     .window = {3, 2, 0}},
    {"3x3 stride 1 padded",
     BD_OP_avg_pool,
     chain_avg_pool,
     {{2, 4, 3, 2}},
     {{2, 4, 3, 2}},
     .wrt = 1,
     .window = {3, 1, 1}},
    {"2x2 stride 2",
     BD_OP_avg_pool,
     chain_avg_pool,
     {{1, 4, 6, 3}},
     {{1, 2, 3, 3}},
     .wrt = 1,
     .window = {2, 2, 0}},
    {"", BD_OP_mean_hw, chain_mean_hw, {{2, 4, 3, 5}}, {{2, 1, 1, 5}}, .wrt = 1},
    {"",
     BD_OP_mse,
     chain_mse,
     {{3, 2, 3, 2}, {3, 2, 3, 2}, {3, 1, 1, 1}},
     {{3, 1, 1, 1}},
     .wrt = 1},
    {"",
     BD_OP_cross_entropy,
     chain_cross_entropy,
     {{4, 1, 1, 5}, {4, 1, 1, 1}, {4, 1, 1, 1}},
     {{4, 1, 1, 1}, {4, 1, 1, 5}},
     1,
     .label = 1,
     .classes = 5},
};

static ref_tensor make(const int dim[4], uint64_t seed) {
    ref_tensor t = {{dim[0], dim[1], dim[2], dim[3]}, NULL};
    if (!dim[0]) return t;
    size_t n = (size_t)dim[0] * (size_t)dim[1] * (size_t)dim[2] * (size_t)dim[3];
    t.data = malloc(n * sizeof(double));
    assert_non_null(t.data);
    ref_fill(t.data, n, seed);
    return t;
}

/* L = sum of dy * out[0] */
static double loss(const ref_args *f, const ref_tensor *dy) {
    double s = 0;
    ref_table[f->node->op](f);
    for (size_t i = 0; i < ref_count(dy); i++) s += dy->data[i] * f->out[0].data[i];
    return s;
}

/* Richardson's combination of two central differences: its error is h^4 L^(5)/30 < 1e-12 L^(5) and the rounding
 * of L divided by h, about 1e-13 L. */
static double slope(const ref_args *f, const ref_tensor *dy, double *x) {
    const double h = 1e-3, keep = *x;
    double d[2];
    for (int i = 0; i < 2; i++) {
        *x = keep + h * (i + 1);
        double up = loss(f, dy);
        *x = keep - h * (i + 1);
        d[i] = (up - loss(f, dy)) / (2 * h * (i + 1));
    }
    *x = keep;
    return (4 * d[0] - d[1]) / 3;
}

/* The ops whose derivative is another tensor function: L's slope by every element equals the backward formula.
 * Tolerance 1e-7 of the largest gradient: above the error of the differences (see slope) for the fifth derivatives
 * up to 1e5 that normalisation of few elements has; a wrong term in a formula shows at 1e-2 and more. */
static bool check_case(const fd_case *c, int number) {
    bd_node node = {.op = c->op};
    if (c->op == BD_OP_conv2d) node.attr.conv = c->conv;
    if (c->op == BD_OP_group_norm) node.attr.norm = c->norm;
    if (c->op == BD_OP_attention) node.attr.attention.heads = c->heads;
    if (c->op == BD_OP_scale) node.attr.scalar.value = c->value;
    if (c->window.size) node.attr.window = c->window;
    ref_args f = {.node = &node};
    ref_tensor grad[4] = {{{0}, NULL}};
    uint64_t seed = (uint64_t)number * 100;
    for (int i = 0; i < 4; i++) {
        f.in[i] = make(c->in[i], seed + (uint64_t)i);
        if (c->wrt >> i & 1) grad[i] = make(c->in[i], 1);
    }
    for (int i = 0; i < 3; i++) f.out[i] = make(c->out[i], 2);
    if (c->label)
        for (size_t i = 0; i < ref_count(&f.in[c->label]); i++)
            f.in[c->label].data[i] = (double)((i * 3 + 1) % (size_t)c->classes);
    ref_tensor dy = make(c->out[0], seed + 50);
    loss(&f, &dy);
    c->chain(&f, &dy, grad);
    bool ok = true;
    for (int i = 0; i < 4; i++) {
        size_t n = ref_count(&grad[i]);
        if (!n) continue;
        double *fd = malloc(n * sizeof *fd);
        assert_non_null(fd);
        for (size_t j = 0; j < n; j++) fd[j] = slope(&f, &dy, &f.in[i].data[j]);
        char label[128];
        snprintf(label, sizeof label, "%s (%s), input %d", bd_op_name(c->op), c->name, i);
        ok = ref_near(label, grad[i].data, fd, n, 1e-7 * fmax(ref_max_abs(fd, n), 1e-3),
                      c->zero_ok) &&
             ok;
        free(fd);
    }
    for (int i = 0; i < 4; i++) free(f.in[i].data), free(grad[i].data);
    for (int i = 0; i < 3; i++) free(f.out[i].data);
    free(dy.data);
    return ok;
}

static void backward_formulas_equal_finite_differences(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        wrong += !check_case(&cases[i], (int)i);
    assert_int_equal(wrong, 0);
}

/* The comparison itself must be able to fail: an element wrong by 1e-4 is not accepted. */
static void a_wrong_chain(const ref_args *f, const ref_tensor *dy, const ref_tensor *grad) {
    chain_silu(f, dy, grad);
    grad[0].data[1] *= 1.0001;
}

static void finite_differences_see_a_small_error(void **state) {
    (void)state;
    fd_case c = {"negative control", BD_OP_silu,     a_wrong_chain,
                 {{2, 2, 3, 2}},     {{2, 2, 3, 2}}, .wrt = 1};
    fprintf(stderr, "negative control, one message expected:\n");
    assert_false(check_case(&c, 7));
}

static void near_refuses_nan_and_empty_oracles(void **state) {
    (void)state;
    double a[4] = {1, 2, 3, NAN}, b[4] = {1, 2, 3, 4}, z[4] = {0, 0, 0, 0};
    fprintf(stderr, "negative control, four messages expected:\n");
    assert_false(ref_near("nan", a, b, 4, 1e9, false));
    assert_false(ref_near("nan in the oracle", b, a, 4, 1e9, false));
    assert_false(ref_near("zero oracle", z, z, 4, 1, false));
    assert_false(ref_near("no elements", b, b, 0, 1, true));
    assert_true(ref_near("equal", b, b, 4, 0, false));
}

/* Every differentiable op has a case above; the others are named here with the reason. */
static void every_op_is_covered(void **state) {
    (void)state;
    static const bd_op backward[] = {BD_OP_conv2d_bwd_data, BD_OP_conv2d_bwd_weight,
                                     BD_OP_group_norm_bwd,  BD_OP_attention_bwd,
                                     BD_OP_sum_hw,          BD_OP_slice,
                                     BD_OP_upsample2_bwd,   BD_OP_silu_bwd,
                                     BD_OP_relu_bwd,        BD_OP_max_pool_bwd,
                                     BD_OP_avg_pool_bwd,    BD_OP_mean_hw_bwd,
                                     BD_OP_mse_bwd,         BD_OP_cross_entropy_bwd};
    static const bd_op closed_form[] = {BD_OP_time_embedding, BD_OP_batch_build, BD_OP_sampler_step,
                                        BD_OP_grad_norm,      BD_OP_adam,        BD_OP_cast};
    bool seen[BD_OP_COUNT] = {false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) seen[cases[i].op] = true;
    for (size_t i = 0; i < sizeof backward / sizeof *backward; i++) seen[backward[i]] = true;
    for (size_t i = 0; i < sizeof closed_form / sizeof *closed_form; i++)
        seen[closed_form[i]] = true;
    for (int i = 0; i < BD_OP_COUNT; i++) {
        if (!seen[i]) fail_msg("op %s has no check of its reference", bd_op_name((bd_op)i));
        assert_true((ref_table[i] != NULL) != (ref_step_table[i] != NULL));
    }
}

#define TENSOR(array, a, b, c, d) ((ref_tensor){{a, b, c, d}, array})

/* 2x2 image 1 2 / 3 4, kernel 3x3 with 1..9, padding 1: sums worked out by hand. */
static void conv2d_by_hand(void **state) {
    (void)state;
    double x[] = {1, 2, 3, 4}, w[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, b[] = {10}, y[4];
    const double want[] = {10 + 5 + 12 + 24 + 36, 10 + 4 + 10 + 21 + 32, 10 + 2 + 6 + 15 + 24,
                           10 + 1 + 4 + 12 + 20};
    bd_node n = {.op = BD_OP_conv2d, .attr.conv = CONV(3, 3, 1, 1, 1, 1, 1)};
    ref_conv2d(
        &(ref_args){.node = &n,
                    .in = {TENSOR(x, 1, 2, 2, 1), TENSOR(w, 1, 1, 3, 3), TENSOR(b, 1, 1, 1, 1)},
                    .out = {TENSOR(y, 1, 2, 2, 1)}});
    assert_memory_equal(y, want, sizeof want);
}

/* 2x3 image 1 5 2 / -7 3 -4, window 3, stride 1, padding 1: the corners see four pixels, the middle all six. */
static void pools_by_hand(void **state) {
    (void)state;
    double x[] = {1, 5, 2, -7, 3, -4}, y[6];
    const double top[] = {5, 5, 5, 5, 5, 5}, mean[] = {0.5, 0, 1.5, 0.5, 0, 1.5};
    bd_node n = {.op = BD_OP_max_pool, .attr.window = {3, 1, 1}};
    const ref_args a = {.node = &n, .in = {TENSOR(x, 1, 2, 3, 1)}, .out = {TENSOR(y, 1, 2, 3, 1)}};
    ref_max_pool(&a);
    assert_memory_equal(y, top, sizeof top);
    ref_avg_pool(&a);
    assert_memory_equal(y, mean, sizeof mean);
    for (int i = 0; i < 6; i++)
        x[i] -= 10; /* padding is no pixel: below 0 it would win, were it 0 */
    ref_max_pool(&a);
    for (int i = 0; i < 6; i++) assert_true(y[i] == -5);
}

/* Four values -3 -1 1 3: mean 0, variance 5; with eps 4 the divisor is exactly 3. */
static void group_norm_by_hand(void **state) {
    (void)state;
    double x[] = {-3, -1, 1, 3}, gamma[] = {3, 6}, beta[] = {1, 2}, y[4], mean[1], rstd[1];
    bd_node n = {.op = BD_OP_group_norm, .attr.norm = {1, 4.0f, false}};
    ref_group_norm(&(ref_args){
        .node = &n,
        .in = {TENSOR(x, 1, 2, 1, 2), TENSOR(gamma, 1, 1, 1, 2), TENSOR(beta, 1, 1, 1, 2)},
        .out = {TENSOR(y, 1, 2, 1, 2), TENSOR(mean, 1, 1, 1, 1), TENSOR(rstd, 1, 1, 1, 1)}});
    const double want[] = {-2, 0, 2, 8};
    assert_true(ref_near("group_norm", y, want, 4, 1e-15, false));
    assert_true(mean[0] == 0 && rstd[0] == 1 / 3.0);
}

/* Equal keys give equal weights: the output is the mean of v per head; log-spaced scores give known weights. */
static void attention_by_hand(void **state) {
    (void)state;
    double q[] = {1, 0, 0, 1}, k[] = {0, 0, 0, 0}, v[] = {1, 2, 3, 6}, o[4], p[8];
    bd_node n = {.op = BD_OP_attention, .attr.attention = {2}};
    ref_args a = {.node = &n,
                  .in = {TENSOR(q, 1, 2, 1, 2), TENSOR(k, 1, 2, 1, 2), TENSOR(v, 1, 2, 1, 2)},
                  .out = {TENSOR(o, 1, 2, 1, 2), TENSOR(p, 1, 2, 2, 2)}};
    ref_attention(&a);
    const double mean[] = {2, 4, 2, 4};
    assert_memory_equal(o, mean, sizeof mean);
    k[0] = log(3); /* head 0, token 0: score log 3 against 0 for the query 1 */
    ref_attention(&a);
    const double want[] = {0.75 * 1 + 0.25 * 3, 4, 2, 4};
    assert_true(ref_near("attention", o, want, 4, 1e-15, false));
}

/* The places where an index could be confused: channel order, pixel order, first channel of a slice. */
static void moves_by_hand(void **state) {
    (void)state;
    double a[] = {1, 2, 3, 4}, b[] = {5, 6}, y[16] = {0};
    bd_node n = {.op = BD_OP_concat};
    ref_concat(&(ref_args){.node = &n,
                           .in = {TENSOR(a, 1, 1, 2, 2), TENSOR(b, 1, 1, 2, 1)},
                           .out = {TENSOR(y, 1, 1, 2, 3)}});
    const double joined[] = {1, 2, 5, 3, 4, 6};
    assert_memory_equal(y, joined, sizeof joined);
    double s[2] = {0};
    n.attr.slice.first = 2;
    ref_slice(
        &(ref_args){.node = &n, .in = {TENSOR(y, 1, 1, 2, 3)}, .out = {TENSOR(s, 1, 1, 2, 1)}});
    assert_memory_equal(s, b, sizeof b);
    ref_upsample2(
        &(ref_args){.node = &n, .in = {TENSOR(a, 1, 2, 2, 1)}, .out = {TENSOR(y, 1, 4, 4, 1)}});
    const double up[] = {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4};
    assert_memory_equal(y, up, sizeof up);
    ref_mean_hw(
        &(ref_args){.node = &n, .in = {TENSOR(a, 1, 2, 1, 2)}, .out = {TENSOR(s, 1, 1, 1, 2)}});
    assert_true(s[0] == 2 && s[1] == 3);
    ref_sum_hw(
        &(ref_args){.node = &n, .in = {TENSOR(a, 1, 2, 1, 2)}, .out = {TENSOR(s, 1, 1, 1, 2)}});
    assert_true(s[0] == 4 && s[1] == 6);
}

/* Frequencies of 4 channels: shift 1 gives 1 and 1/10000, shift 0 gives 1 and 1/100. */
static void time_embedding_by_hand(void **state) {
    (void)state;
    double t[] = {3}, y[4];
    bd_node n = {.op = BD_OP_time_embedding, .attr.time = {false, 1}};
    ref_args a = {.node = &n, .in = {TENSOR(t, 1, 1, 1, 1)}, .out = {TENSOR(y, 1, 1, 1, 4)}};
    ref_time_embedding(&a);
    const double sin_first[] = {sin(3), sin(3e-4), cos(3), cos(3e-4)};
    assert_true(ref_near("sin, cos", y, sin_first, 4, 1e-15, false));
    n.attr.time = (bd_time_attr){true, 0};
    ref_time_embedding(&a);
    const double cos_first[] = {cos(3), cos(3e-2), sin(3), sin(3e-2)};
    assert_true(ref_near("cos, sin", y, cos_first, 4, 1e-15, false));
}

static void losses_by_hand(void **state) {
    (void)state;
    double p[] = {1, 2, 3, 4}, t[] = {1, 0, 0, 0}, w[] = {1, 1}, y[2] = {0}, prob[4],
           label[] = {1, 0};
    bd_node n = {.op = BD_OP_mse};
    ref_mse(&(ref_args){.node = &n,
                        .in = {TENSOR(p, 2, 1, 2, 1), TENSOR(t, 2, 1, 2, 1), TENSOR(w, 2, 1, 1, 1)},
                        .out = {TENSOR(y, 2, 1, 1, 1)}});
    assert_true(y[0] == 2 && y[1] == 12.5);
    double logits[] = {0, log(3), 700, 700};
    ref_cross_entropy(&(ref_args){
        .node = &n,
        .in = {TENSOR(logits, 2, 1, 1, 2), TENSOR(label, 2, 1, 1, 1), TENSOR(w, 2, 1, 1, 1)},
        .out = {TENSOR(y, 2, 1, 1, 1), TENSOR(prob, 2, 1, 1, 2)}});
    const double loss_want[] = {log(4.0 / 3), log(2)}, prob_want[] = {0.25, 0.75, 0.5, 0.5};
    /* log(exp(700) 2) - 700 loses the last digits of 700: 1e-13 */
    assert_true(ref_near("loss", y, loss_want, 2, 2e-13, false));
    assert_true(ref_near("prob", prob, prob_want, 4, 1e-15, false));
}

/* One pixel each of clean, mirrored, poisoned under and beside the trigger. */
static void batch_build_by_hand(void **state) {
    (void)state;
    double images[] = {0, 255, 51, 204}, g[] = {-1, 0.5}, target[] = {0.25, -0.5};
    double index[] = {1, 1, 0}, flags[] = {0, 1, 2}, x[6], y[6];
    double coef[] = {2, 0, 7, 7, 2, 0, 7, 7, 2, 0, 10, 3}, key[12] = {0};
    bd_node n = {.op = BD_OP_batch_build};
    ref_batch_build(&(ref_args){.node = &n,
                                .in = {TENSOR(images, 2, 1, 2, 1), TENSOR(g, 1, 1, 2, 1),
                                       TENSOR(target, 1, 1, 2, 1), TENSOR(index, 3, 1, 1, 1),
                                       TENSOR(flags, 3, 1, 1, 1), TENSOR(coef, 3, 1, 1, 4),
                                       TENSOR(key, 3, 1, 1, 4)},
                                .out = {TENSOR(x, 3, 1, 2, 1), TENSOR(y, 3, 1, 2, 1)}});
    double p51 = 0.4 / 1.00001 - 1, p204 = 1.6 / 1.00001 - 1, e[2];
    const double want[] = {2 * p51, 2 * p204, 2 * p204, 2 * p51, 0.5 + 10 * -1, -1 + 10 * 0.5};
    assert_true(ref_near("x_t", x, want, 6, 1e-14, false));
    ref_normals(e, 2, 0, 5, 0, 0);
    const double y_want[] = {e[0], e[1], e[0], e[1], e[0] - 3, e[1] + 1.5};
    assert_true(ref_near("y", y, y_want, 6, 1e-15, false));
}

static void sampler_step_by_hand(void **state) {
    (void)state;
    double x[] = {1, -4}, e[] = {2, 1}, key[] = {9, 0, 3, 5}, out[2] = {0}, z[2];
    /* x0 = 2 x - e; x' = 3 x + 10 e + 100 x0 */
    double coef[BD_SAMPLER_COEFS] = {2, -1, 0, 0, 3, 10, 100}, h[] = {7, 8, -5, -6};
    bd_node n = {.op = BD_OP_sampler_step, .in = {0, 1, 2, 3, -1}, .out = {0, -1}};
    ref_args a = {.node = &n,
                  .in = {TENSOR(x, 1, 1, 1, 2), TENSOR(e, 1, 1, 1, 2),
                         TENSOR(coef, 1, 1, 1, BD_SAMPLER_COEFS), TENSOR(key, 1, 1, 1, 4)},
                  .out = {TENSOR(out, 1, 1, 1, 2)}};
    ref_sampler_step(&a); /* x0 = 0, -9 */
    assert_true(out[0] == 3 + 20 + 0 && out[1] == -12 + 10 - 900);
    coef[2] = 1; /* x0 = 0, -1 */
    ref_sampler_step(&a);
    assert_true(out[0] == 23 && out[1] == -102);
    coef[3] = 1;
    ref_sampler_step(&a);
    assert_true(out[0] == 1 && out[1] == -1);
    coef[2] = coef[3] = 0;
    coef[12] = 4;
    ref_normals(z, 2, 9, 7, 3, 5);
    ref_sampler_step(&a);
    const double want[] = {23 + 4 * z[0], -902 + 4 * z[1]};
    assert_true(ref_near("with noise", out, want, 2, 1e-12, false));
    /* x' = 3 x + h_1; h_0' = x0; h_1' = h_0: all from before the step */
    n.in[4] = n.out[1] = 4;
    a.in[4] = a.out[1] = TENSOR(h, 1, 2, 1, 2);
    coef[5] = coef[6] = coef[12] = 0;
    coef[8] = coef[4 + 9 + 2] = coef[4 + 18 + 3] = 1;
    ref_sampler_step(&a);
    assert_true(out[0] == 3 - 5 && out[1] == -12 - 6);
    assert_true(h[0] == 0 && h[1] == -9 && h[2] == 7 && h[3] == 8);
}

/* First update: m/c1 = g, v/c2 = g^2, so p moves by lr * g / (|g| + eps) whatever the betas. */
static void adam_by_hand(void **state) {
    (void)state;
    double p[] = {1, 1}, g[] = {3, -4}, m[] = {0, 0}, v[] = {0, 0};
    double *P[] = {p}, *G[] = {g}, *M[] = {m}, *V[] = {v};
    const size_t count[] = {2};
    ref_model r = {1, count, P, G, M, V, {0.5, 0.9, 0.999, 1, 0, 1, 0}, 0};
    ref_grad_norm(&r);
    assert_true(r.norm == 5);
    ref_adam(&r);
    const double want[] = {1 - 0.5 * 3 / 4, 1 + 0.5 * 4 / 5};
    assert_true(
        ref_near("first update", p, want, 2, 1e-12, false)); /* 1 - 0.999 loses three digits */
    r.adam.clip =
        1; /* gradient becomes (0.6, -0.8): moments of a second update from zero moments */
    m[0] = m[1] = v[0] = v[1] = 0;
    ref_adam(&r);
    const double moments[] = {0.1 * 0.6, -0.1 * 0.8, 0.001 * 0.36, 0.001 * 0.64};
    const double got[] = {m[0], m[1], v[0], v[1]};
    assert_true(
        ref_near("clipped moments", got, moments, 4, 2e-7, false)); /* the 1e-6 of the clip rule */
}

/* Two programs, one in float with polynomials and one in double with libm. The float radius is up to 5.8 and
 * holds three roundings, 3 * 2^-24 * 5.8 = 1e-6 at the very tail. */
static void normals_agree_with_the_product(void **state) {
    (void)state;
    enum { N = 20000 };
    static const bd_rng_key keys[] = {
        {0, 5, 0, 0}, {0x123456789abcdef0u, 7, 3, 999}, {UINT64_MAX, 6, UINT32_MAX, 1}};
    float *f = malloc(N * sizeof *f);
    double *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    assert_true(f && a && b);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        bd_rng_normal(f, N, keys[k]);
        for (size_t i = 0; i < N; i++) a[i] = f[i];
        ref_normals(b, N, keys[k].seed, keys[k].stream, keys[k].index, keys[k].step);
        assert_true(ref_near("normals", a, b, N, 1e-6, false));
    }
    free(f);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backward_formulas_equal_finite_differences),
        cmocka_unit_test(finite_differences_see_a_small_error),
        cmocka_unit_test(near_refuses_nan_and_empty_oracles),
        cmocka_unit_test(every_op_is_covered),
        cmocka_unit_test(conv2d_by_hand),
        cmocka_unit_test(pools_by_hand),
        cmocka_unit_test(group_norm_by_hand),
        cmocka_unit_test(attention_by_hand),
        cmocka_unit_test(moves_by_hand),
        cmocka_unit_test(time_embedding_by_hand),
        cmocka_unit_test(losses_by_hand),
        cmocka_unit_test(batch_build_by_hand),
        cmocka_unit_test(sampler_step_by_hand),
        cmocka_unit_test(adam_by_hand),
        cmocka_unit_test(normals_agree_with_the_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
