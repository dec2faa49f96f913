/* Oracles: finite differences of the float64 reference (backward), shapes worked out by hand, and an independent
 * computation of lifetimes (planner). No engine runs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "graph/lower.h"
#include "graph/plan.h"
#include "ref/check.h"
#include "ref/nets.h"
#include "ref/ref_run.h"

#define F32 BD_TYPE_F32
#define I32 BD_TYPE_I32

static bd_graph *new_graph(void) {
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "test"), BD_OK);
    return g;
}

static int in(bd_graph *g, const char *name, int n, int h, int w, int c) {
    return bd_graph_input(g, name, F32, n, h, w, c);
}

static int vec(bd_graph *g, const char *name, int c) { return bd_graph_param(g, name, 1, 1, 1, c); }

/* --- shape rules: each builds one wrong call; the message must hold the words given --- */

#define X in(g, "x", 2, 8, 6, 3)
#define CONV_W(o, i, k) bd_graph_param(g, "w", o, i, k, k)
#define BATCH(images_type, trigger_h, index_type, key_c)                                   \
    bd_batch_build(g, bd_graph_const(g, "images", images_type, 9, 8, 6, 3),                \
                   bd_graph_const(g, "g", F32, 1, trigger_h, 6, 3),                        \
                   bd_graph_const(g, "target", F32, 1, 8, 6, 3),                           \
                   bd_graph_input(g, "index", index_type, 2, 1, 1, 1),                     \
                   bd_graph_input(g, "flags", I32, 2, 1, 1, 1), in(g, "coef", 2, 1, 1, 4), \
                   bd_graph_input(g, "key", I32, 2, 1, 1, key_c))                          \
        .x_t
#define SAMPLER(x, e, coef_type, key_n, history)                                              \
    bd_sampler_step(g, x, e, bd_graph_input(g, "coef", coef_type, 1, 1, 1, BD_SAMPLER_COEFS), \
                    bd_graph_input(g, "key", I32, key_n, 1, 1, 4), history)

/* RULE(name, call, words...) */
#define RULES                                                                                     \
    RULE(leaf, in(g, "x", 2, 0, 3, 4), "x", "dimension 1", "0")                                   \
    RULE(conv_channels, bd_conv2d(g, X, CONV_W(5, 4, 3), -1, ref_square(3, 1, 1)), "conv2d",      \
         "[2,8,6,3]", "3 channels", "4")                                                          \
    RULE(conv_kernel, bd_conv2d(g, X, CONV_W(5, 3, 1), -1, ref_square(3, 1, 1)), "conv2d",        \
         "[5,3,1,1]", "3x3")                                                                      \
    RULE(conv_stride, bd_conv2d(g, X, CONV_W(5, 3, 3), -1, ref_square(3, 0, 1)), "conv2d",        \
         "stride 0")                                                                              \
    RULE(conv_padding, bd_conv2d(g, X, CONV_W(5, 3, 3), -1, ref_square(3, 1, -1)), "conv2d",      \
         "padding")                                                                               \
    RULE(conv_bias, bd_conv2d(g, X, CONV_W(5, 3, 3), vec(g, "b", 4), ref_square(3, 1, 1)),        \
         "conv2d", "bias", "5")                                                                   \
    RULE(conv_too_large, bd_conv2d(g, X, CONV_W(5, 3, 9), -1, ref_square(9, 1, 1)), "conv2d",     \
         "9x9", "10x8")                                                                           \
    RULE(linear, bd_linear(g, X, CONV_W(5, 4, 1), -1), "conv2d", "[2,8,6,3]", "4")                \
    RULE(norm_groups,                                                                             \
         bd_group_norm(g, X, vec(g, "a", 3), vec(g, "b", 3), (bd_norm_attr){2, 1e-5f, false}),    \
         "group_norm", "C=3", "G=2")                                                              \
    RULE(norm_no_groups,                                                                          \
         bd_group_norm(g, X, vec(g, "a", 3), vec(g, "b", 3), (bd_norm_attr){0, 1e-5f, false}),    \
         "group_norm", "G=0")                                                                     \
    RULE(norm_eps, bd_group_norm(g, X, vec(g, "a", 3), vec(g, "b", 3), (bd_norm_attr){1, 0, 0}),  \
         "group_norm", "eps")                                                                     \
    RULE(norm_gamma,                                                                              \
         bd_group_norm(g, X, vec(g, "a", 4), vec(g, "b", 3), (bd_norm_attr){1, 1e-5f, false}),    \
         "group_norm", "a", "C=3")                                                                \
    RULE(norm_beta,                                                                               \
         bd_group_norm(g, X, vec(g, "a", 3), vec(g, "b", 4), (bd_norm_attr){1, 1e-5f, false}),    \
         "group_norm", "C=3")                                                                     \
    RULE(attention_shape, bd_attention(g, X, in(g, "k", 2, 6, 8, 3), in(g, "v", 2, 8, 6, 3), 1),  \
         "attention", "[2,8,6,3]")                                                                \
    RULE(attention_heads, bd_attention(g, X, in(g, "k", 2, 8, 6, 3), in(g, "v", 2, 8, 6, 3), 2),  \
         "attention", "C=3", "heads=2")                                                           \
    RULE(attention_no_heads,                                                                      \
         bd_attention(g, X, in(g, "k", 2, 8, 6, 3), in(g, "v", 2, 8, 6, 3), 0), "attention",      \
         "heads=0")                                                                               \
    RULE(add, bd_add(g, X, in(g, "y", 2, 8, 6, 4)), "add", "[2,8,6,3]", "[2,8,6,4]")              \
    RULE(add_channel_n, bd_add_channel(g, X, in(g, "v", 1, 1, 1, 3)), "add_channel", "[2,8,6,3]", \
         "[2,1,1,3]", "[1,1,1,3]")                                                                \
    RULE(add_channel_c, bd_add_channel(g, X, in(g, "v", 2, 1, 1, 6)), "add_channel", "[2,1,1,6]") \
    RULE(concat, bd_concat(g, X, in(g, "y", 2, 8, 5, 3)), "concat", "[2,8,6,3]", "[2,8,5,3]")     \
    RULE(slice_long, bd_slice(g, X, 1, 3), "slice", "1..3", "0..2")                               \
    RULE(slice_negative, bd_slice(g, X, -1, 2), "slice", "-1..0")                                 \
    RULE(slice_empty, bd_slice(g, X, 1, 0), "slice")                                              \
    RULE(slice_overflow, bd_slice(g, X, 2147483647, 2147483647), "slice", "0..2")                 \
    RULE(pool_large, bd_max_pool(g, X, (bd_window_attr){7, 1, 0}), "pool", "window 7",            \
         "[2,8,6,3]")                                                                             \
    RULE(pool_padding, bd_avg_pool(g, X, (bd_window_attr){3, 1, 2}), "pool", "padding 2")         \
    RULE(pool_stride, bd_max_pool(g, X, (bd_window_attr){3, 0, 1}), "pool", "stride 0")           \
    RULE(time_input, bd_time_embedding(g, X, 8, (bd_time_attr){false, 1}), "time_embedding",      \
         "[2,8,6,3]")                                                                             \
    RULE(time_odd, bd_time_embedding(g, in(g, "t", 2, 1, 1, 1), 7, (bd_time_attr){false, 0}),     \
         "time_embedding", "7")                                                                   \
    RULE(time_shift, bd_time_embedding(g, in(g, "t", 2, 1, 1, 1), 2, (bd_time_attr){false, 1}),   \
         "time_embedding", "freq_shift=1")                                                        \
    RULE(mse_target, bd_mse(g, X, in(g, "y", 2, 8, 6, 1), in(g, "w", 2, 1, 1, 1)), "mse",         \
         "[2,8,6,3]", "[2,8,6,1]")                                                                \
    RULE(mse_weight, bd_mse(g, X, in(g, "y", 2, 8, 6, 3), in(g, "w", 3, 1, 1, 1)), "mse",         \
         "weight", "[2]")                                                                         \
    RULE(mse_weight_type,                                                                         \
         bd_mse(g, X, in(g, "y", 2, 8, 6, 3), bd_graph_input(g, "w", I32, 2, 1, 1, 1)), "mse",    \
         "weight", "f32")                                                                         \
    RULE(ce_logits,                                                                               \
         bd_cross_entropy(g, X, bd_graph_input(g, "l", I32, 2, 1, 1, 1), in(g, "w", 2, 1, 1, 1),  \
                          NULL),                                                                  \
         "cross_entropy", "[2,8,6,3]")                                                            \
    RULE(ce_label,                                                                                \
         bd_cross_entropy(g, in(g, "x", 2, 1, 1, 5), in(g, "l", 2, 1, 1, 1),                      \
                          in(g, "w", 2, 1, 1, 1), NULL),                                          \
         "cross_entropy", "label", "i32")                                                         \
    RULE(ce_weight,                                                                               \
         bd_cross_entropy(g, in(g, "x", 2, 1, 1, 5), bd_graph_input(g, "l", I32, 2, 1, 1, 1),     \
                          in(g, "w", 1, 1, 1, 1), NULL),                                          \
         "cross_entropy", "weight", "[2]")                                                        \
    RULE(batch_images, BATCH(F32, 8, I32, 4), "batch_build", "images", "u8")                      \
    RULE(batch_trigger, BATCH(BD_TYPE_U8, 6, I32, 4), "batch_build", "trigger", "[1,8,6,3]")      \
    RULE(batch_index, BATCH(BD_TYPE_U8, 8, F32, 4), "batch_build", "index", "n=2")                \
    RULE(batch_key, BATCH(BD_TYPE_U8, 8, I32, 3), "batch_build", "key", "n=2")                    \
    RULE(sampler_state, SAMPLER(X, in(g, "e", 2, 8, 6, 3), BD_TYPE_F64, 2, -1), "sampler_step",   \
         "x", "state")                                                                            \
    RULE(sampler_e,                                                                               \
         SAMPLER(bd_graph_state(g, "x", 2, 8, 6, 3), in(g, "e", 2, 8, 6, 1), BD_TYPE_F64, 2, -1), \
         "sampler_step", "[2,8,6,3]", "[2,8,6,1]")                                                \
    RULE(sampler_coef,                                                                            \
         SAMPLER(bd_graph_state(g, "x", 2, 8, 6, 3), in(g, "e", 2, 8, 6, 3), F32, 2, -1),         \
         "sampler_step", "coef", "f64")                                                           \
    RULE(sampler_key,                                                                             \
         SAMPLER(bd_graph_state(g, "x", 2, 8, 6, 3), in(g, "e", 2, 8, 6, 3), BD_TYPE_F64, 1, -1), \
         "sampler_step", "key", "[2]")                                                            \
    RULE(sampler_history,                                                                         \
         SAMPLER(bd_graph_state(g, "x", 2, 8, 6, 3), in(g, "e", 2, 8, 6, 3), BD_TYPE_F64, 2,      \
                 bd_graph_state(g, "h", 2, 20, 6, 3)),                                            \
         "sampler_step", "[2,20,6,3]", "1 to 5 times")

#define RULE(name, call, ...) \
    static int rule_##name(bd_graph *g) { return call; }
RULES
#undef RULE

typedef struct {
    const char *name;
    int (*build)(bd_graph *g);
    const char *words[4];
} rule;

static const rule rules[] = {
#define RULE(name, call, ...) {#name, rule_##name, {__VA_ARGS__}},
    RULES
#undef RULE
};

static void wrong_shapes_are_named(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        bd_graph *g = new_graph();
        int id = rules[i].build(g);
        bd_status st = bd_graph_status(g);
        if (id != -1 || st != BD_E_SHAPE)
            fail_msg("%s: returned %d, status %d (%s)", rules[i].name, id, st,
                     st ? bd_error() : "");
        for (int j = 0; j < 4 && rules[i].words[j]; j++)
            if (!strstr(bd_error(), rules[i].words[j]))
                fail_msg("%s: \"%s\" does not say %s", rules[i].name, bd_error(),
                         rules[i].words[j]);
        bd_graph_destroy(g);
    }
}

/* Reading the bytes of one type as another must not be possible: every float input, given bytes. */
#define TYPES                                                                                  \
    TYPE(bd_linear(g, u, w, -1))                                                               \
    TYPE(bd_group_norm(g, u, vec(g, "a", 4), vec(g, "b", 4), (bd_norm_attr){2, 1e-5f, false})) \
    TYPE(bd_attention(g, u, x, x, 2))                                                          \
    TYPE(bd_attention(g, x, u, x, 2))                                                          \
    TYPE(bd_attention(g, x, x, u, 2))                                                          \
    TYPE(bd_add(g, x, u))                                                                      \
    TYPE(bd_add(g, u, x))                                                                      \
    TYPE(bd_add_channel(g, u, in(g, "v", 2, 1, 1, 4)))                                         \
    TYPE(bd_scale(g, u, 2))                                                                    \
    TYPE(bd_concat(g, x, u))                                                                   \
    TYPE(bd_concat(g, u, x))                                                                   \
    TYPE(bd_slice(g, u, 0, 1))                                                                 \
    TYPE(bd_upsample2(g, u))                                                                   \
    TYPE(bd_silu(g, u))                                                                        \
    TYPE(bd_relu(g, u))                                                                        \
    TYPE(bd_max_pool(g, u, (bd_window_attr){3, 1, 1}))                                         \
    TYPE(bd_avg_pool(g, u, (bd_window_attr){3, 1, 1}))                                         \
    TYPE(bd_mean_hw(g, u))                                                                     \
    TYPE(bd_mse(g, x, u, in(g, "v", 2, 1, 1, 1)))                                              \
    TYPE(bd_mse(g, u, x, in(g, "v", 2, 1, 1, 1)))

/* One letter a call of the list. */
static const char type_letters[] = ""
#define TYPE(call) "x"
    TYPES
#undef TYPE
    ;

static int wrong_type(bd_graph *g, int number) {
    int u = bd_graph_const(g, "u", BD_TYPE_U8, 2, 4, 4, 4), x = in(g, "x", 2, 4, 4, 4);
    int w = bd_graph_param(g, "w", 4, 4, 1, 1), i = 0;
#define TYPE(call) \
    if (i++ == number) return call;
    TYPES
#undef TYPE
    return -2;
}

static void wrong_types_are_refused(void **state) {
    (void)state;
    for (int i = 0; i < (int)strlen(type_letters); i++) {
        bd_graph *g = new_graph();
        int id = wrong_type(g, i);
        if (id != -1 || bd_graph_status(g) != BD_E_SHAPE || !strstr(bd_error(), "f32"))
            fail_msg("call %d of TYPES reads u8 as f32 (tensor %d)", i, id);
        bd_graph_destroy(g);
    }
}

static void failures_propagate(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = X, prob = 7, none = bd_add(g, x, in(g, "y", 2, 8, 6, 4)), n = bd_graph_node_count(g);
    const int made[] = {bd_conv2d(g, none, none, -1, ref_square(3, 1, 1)),
                        bd_linear(g, none, none, none),
                        bd_group_norm(g, none, none, none, (bd_norm_attr){1, 1, false}),
                        bd_attention(g, x, none, x, 1),
                        bd_add(g, none, x),
                        bd_add(g, x, x), /* correct by itself, but the chain is broken */
                        bd_add_channel(g, x, none),
                        bd_scale(g, none, 1),
                        bd_concat(g, x, none),
                        bd_slice(g, none, 0, 1),
                        bd_upsample2(g, none),
                        bd_silu(g, none),
                        bd_relu(g, none),
                        bd_max_pool(g, none, (bd_window_attr){3, 1, 1}),
                        bd_avg_pool(g, none, (bd_window_attr){3, 1, 1}),
                        bd_mean_hw(g, none),
                        bd_time_embedding(g, none, 8, (bd_time_attr){false, 0}),
                        bd_mse(g, x, none, none),
                        bd_cross_entropy(g, none, none, none, &prob),
                        bd_batch_build(g, none, none, none, none, none, none, none).x_t,
                        bd_sampler_step(g, none, none, none, none, none),
                        bd_graph_param(g, "late", 1, 1, 1, 1)};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i] != -1) fail_msg("call %zu after a failure made tensor %d", i, made[i]);
    bd_graph_keep(g, none);
    assert_int_equal(bd_graph_node_count(g), n);
    assert_int_equal(bd_graph_status(g), BD_E_SHAPE);
    assert_non_null(strstr(bd_error(), "[2,8,6,4]")); /* the first failure, not a later one */
    assert_int_equal(bd_graph_backward(g, none, NULL, 0, NULL), BD_E_SHAPE);
    bd_graph_destroy(g);
    bd_graph_destroy(NULL);
}

static void a_missing_input_is_named(void **state) {
    (void)state;
    for (int bad = -1; bad < 100; bad += 100) {
        bd_graph *g = new_graph();
        assert_int_equal(bd_silu(g, bad), -1);
        assert_int_equal(bd_graph_status(g), BD_E_ARG);
        assert_non_null(strstr(bd_error(), "silu"));
        bd_graph_destroy(g);
    }
    bd_graph *g = new_graph();
    int x = X, w = CONV_W(5, 3, 3);
    /* -1 is "no bias", 99 is nonsense */
    assert_int_equal(bd_conv2d(g, x, w, 99, ref_square(3, 1, 1)), -1);
    assert_int_equal(bd_graph_status(g), BD_E_ARG);
    bd_graph_destroy(g);
}

static void names_are_unique(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int w = vec(g, "conv.bias", 3);
    assert_int_equal(bd_graph_find(g, "conv.bias"), w);
    assert_int_equal(bd_graph_find(g, "conv"), -1);
    assert_int_equal(vec(g, "conv.bias", 3), -1);
    assert_int_equal(bd_graph_status(g), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "conv.bias"));
    bd_graph_destroy(g);
}

static void expect_dims(const bd_graph *g, int id, int n, int h, int w, int c) {
    assert_int_equal(bd_graph_status(g), BD_OK);
    const int want[4] = {n, h, w, c}, *dim = bd_graph_tensor(g, id)->dim;
    if (memcmp(dim, want, sizeof want) != 0)
        fail_msg("%s is [%d,%d,%d,%d], not [%d,%d,%d,%d]", bd_graph_tensor(g, id)->name, dim[0],
                 dim[1], dim[2], dim[3], n, h, w, c);
}

static void output_shapes(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = X, w3 = bd_graph_param(g, "w3", 5, 3, 3, 3), w1 = bd_graph_param(g, "w1", 7, 3, 1, 1);
    expect_dims(g, bd_conv2d(g, x, w3, -1, ref_square(3, 1, 1)), 2, 8, 6, 5);
    expect_dims(g, bd_conv2d(g, x, w3, -1, ref_square(3, 2, 1)), 2, 4, 3, 5);
    expect_dims(g, bd_conv2d(g, x, w3, -1, ref_square(3, 1, 0)), 2, 6, 4, 5);
    expect_dims(g, bd_conv2d(g, x, w3, -1, (bd_conv_attr){3, 3, 2, 0, 0, 1, 1}), 2, 4, 3, 5);
    expect_dims(g, bd_conv2d(g, in(g, "odd", 1, 7, 5, 3), w3, -1, ref_square(3, 2, 1)), 1, 4, 3, 5);
    expect_dims(g, bd_linear(g, x, w1, vec(g, "b1", 7)), 2, 8, 6, 7);
    expect_dims(g, bd_concat(g, x, in(g, "y", 2, 8, 6, 4)), 2, 8, 6, 7);
    expect_dims(g, bd_slice(g, x, 1, 2), 2, 8, 6, 2);
    expect_dims(g, bd_upsample2(g, x), 2, 16, 12, 3);
    expect_dims(g, bd_relu(g, x), 2, 8, 6, 3);
    expect_dims(g, bd_max_pool(g, x, (bd_window_attr){3, 2, 0}), 2, 3, 2, 3);
    expect_dims(g, bd_avg_pool(g, x, (bd_window_attr){3, 1, 1}), 2, 8, 6, 3);
    expect_dims(g, bd_mean_hw(g, x), 2, 1, 1, 3);
    expect_dims(g, bd_attention(g, x, x, x, 3), 2, 8, 6, 3);
    int loss = bd_mse(g, x, in(g, "target", 2, 8, 6, 3), in(g, "weight", 2, 1, 1, 1));
    expect_dims(g, loss, 2, 1, 1, 1);
    assert_int_equal(bd_graph_tensor(g, loss)->type, BD_TYPE_F64);
    assert_int_equal(bd_tensor_count(bd_graph_tensor(g, x)), 288);
    bd_graph_destroy(g);
}

static void flops_of_convolution_and_attention(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    bd_conv2d(g, X, CONV_W(5, 3, 3), -1, ref_square(3, 2, 1)); /* 2*4*3 pixels, 5 x 27 products */
    assert_true(bd_graph_flops(g) == 2.0 * 24 * 5 * 27);
    int q = in(g, "q", 2, 2, 3, 4); /* per image two products of 6x6x4 */
    bd_attention(g, q, q, q, 2);
    assert_true(bd_graph_flops(g) == 2.0 * 24 * 5 * 27 + 2.0 * 2 * 2 * 36 * 4);
    bd_graph_destroy(g);
}

/* --- backward --- */

static void fill_leaves(ref_run *r) {
    for (int i = 0; i < r->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(r->g, i);
        if (t->kind == BD_TENSOR_ACT || t->kind == BD_TENSOR_GRAD) continue;
        size_t n = bd_tensor_count(t);
        ref_fill(r->data[i], n, (uint64_t)i + 1);
        for (size_t j = 0; j < n; j++) {
            if (t->kind == BD_TENSOR_PARAM) r->data[i][j] *= 0.5;
            if (strcmp(t->name, "timestep") == 0) r->data[i][j] = 100.0 + 350.0 * (double)j;
            if (t->type == I32) r->data[i][j] = (double)(j % 3);
        }
    }
}

/* The gradient of tensor `id` is r->data[grad]: compare all (or every stride-th) elements with differences of the
 * loss. Fourth order: error about h^4 L^(5) / 30 and 1e-13 L; tolerance 1e-6 of the largest element. */
static bool slopes_agree(ref_run *r, int loss, int id, int grad) {
    const double h = 1e-3;
    size_t n = bd_tensor_count(bd_graph_tensor(r->g, id)), stride = n / 40 + 1, m = 0;
    double got[64], want[64];
    for (size_t j = 0; j < n; j += stride) {
        double *x = &r->data[id][j], keep = *x, d[2];
        got[m] = r->data[grad][j];
        for (int i = 0; i < 2; i++) {
            *x = keep + h * (i + 1);
            double up = ref_run_loss(r, loss);
            *x = keep - h * (i + 1);
            d[i] = (up - ref_run_loss(r, loss)) / (2 * h * (i + 1));
        }
        *x = keep;
        want[m++] = (4 * d[0] - d[1]) / 3;
    }
    /* Biases of keys have gradient zero: softmax does not see a constant added to all scores of a query. */
    bool zero = ref_max_abs(got, m) < 1e-12;
    return ref_near(bd_graph_tensor(r->g, id)->name, got, want, m,
                    1e-6 * fmax(ref_max_abs(want, m), 1e-4), zero);
}

static void every_gradient_is_a_slope(bd_graph *g, int loss, const int *wrt, int n_wrt, int zeros) {
    int grad_of[4], wrong = 0, zero = 0;
    int ok = bd_graph_backward(g, loss, wrt, n_wrt, grad_of);
    if (ok != BD_OK) fail_msg("backward: %s", bd_error());
    ref_run *r = ref_run_create(g);
    fill_leaves(r);
    ref_run_tile(r);
    for (int i = 0; i < r->n_tensors; i++) {
        if (bd_graph_tensor(g, i)->kind != BD_TENSOR_PARAM) continue;
        int d = bd_graph_grad(g, i);
        assert_true(d >= 0 && bd_graph_tensor(g, d)->param == i);
        wrong += !slopes_agree(r, loss, i, d);
        zero += ref_max_abs(r->data[d], bd_tensor_count(bd_graph_tensor(g, d))) < 1e-12;
    }
    for (int i = 0; i < n_wrt; i++) {
        assert_true(bd_graph_tensor(g, grad_of[i])->keep);
        wrong += !slopes_agree(r, loss, wrt[i], grad_of[i]);
    }
    ref_run_destroy(r);
    assert_int_equal(wrong, 0);
    assert_int_equal(zero, zeros);
}

/* Each GRAD tensor is written by exactly one node, after everything that node reads. */
static void gradients_are_written_once(const bd_graph *g) {
    int *writes = calloc((size_t)bd_graph_tensor_count(g), sizeof *writes);
    assert_non_null(writes);
    for (int i = 0; i < bd_graph_node_count(g); i++) {
        const bd_node *n = bd_graph_node(g, i);
        for (int j = 0; j < BD_NODE_IN_MAX; j++)
            if (n->in[j] >= 0 && bd_graph_tensor(g, n->in[j])->kind == BD_TENSOR_ACT)
                assert_int_equal(writes[n->in[j]], 1);
        for (int k = 0; k < BD_NODE_OUT_MAX; k++)
            if (n->out[k] >= 0) writes[n->out[k]]++;
    }
    for (int i = 0; i < bd_graph_tensor_count(g); i++)
        if (bd_graph_tensor(g, i)->kind == BD_TENSOR_GRAD && writes[i] != 1)
            fail_msg("the gradient of %s is written %d times",
                     bd_graph_tensor(g, bd_graph_tensor(g, i)->param)->name, writes[i]);
    free(writes);
}

static void gradients_of_a_unet(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int loss = ref_unet_loss(g, 2, 4, 4, 3, 4), x = bd_graph_find(g, "x");
    every_gradient_is_a_slope(g, loss, &x, 1, 1); /* one key bias */
    gradients_are_written_once(g);
    bd_graph_destroy(g);
}

static void gradients_of_a_classifier(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = in(g, "x", 3, 4, 4, 2), h = bd_silu(g, ref_conv(g, x, 5, ref_square(3, 2, 1)));
    h = ref_conv(g, bd_mean_hw(g, h), 4, ref_square(1, 1, 0));
    int loss = bd_cross_entropy(g, h, bd_graph_input(g, "label", I32, 3, 1, 1, 1),
                                in(g, "weight", 3, 1, 1, 1), NULL);
    every_gradient_is_a_slope(g, loss, &x, 1, 0);
    gradients_are_written_once(g);
    bd_graph_destroy(g);
}

/* One weight in three convolutions, one norm used twice, one tensor added to itself and joined with itself,
 * a parameter that is an operand itself. */
static void gradients_of_shared_tensors(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = in(g, "x", 2, 4, 4, 2), w = ref_param(g, 2, 2, 3, 3), b = ref_param(g, 1, 1, 1, 2);
    int gamma = ref_param(g, 1, 1, 1, 2), beta = ref_param(g, 1, 1, 1, 2), h = x;
    for (int i = 0; i < 3; i++) h = bd_conv2d(g, h, w, i == 1 ? -1 : b, ref_square(3, 1, 1));
    for (int i = 0; i < 2; i++)
        h = bd_group_norm(g, h, gamma, beta, (bd_norm_attr){1, 1e-5f, true});
    h = bd_add(g, h, h);
    h = bd_attention(g, h, h, h, 1);
    h = bd_concat(g, h, h);
    int image = ref_param(g, 2, 4, 4, 4);
    h = bd_add(g, bd_add(g, h, image), bd_silu(g, image));
    int loss = bd_mse(g, h, in(g, "target", 2, 4, 4, 4), in(g, "weight", 2, 1, 1, 1));
    every_gradient_is_a_slope(g, loss, &x, 1, 0);
    gradients_are_written_once(g);
    bd_graph_destroy(g);
}

/* What reaches the loss around the network: dead ends must not disturb the counts. */
static void gradients_beside_dead_ends(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = in(g, "x", 1, 4, 4, 2), w = ref_param(g, 2, 2, 3, 3);
    int h = bd_conv2d(g, x, w, -1, ref_square(3, 1, 1));
    bd_slice(g, bd_conv2d(g, h, w, -1, ref_square(3, 1, 1)), 0,
             1); /* read by nobody, has no backward rule */
    h = bd_conv2d(g, bd_silu(g, h), w, -1, ref_square(3, 1, 1));
    int loss = bd_mse(g, h, in(g, "target", 1, 4, 4, 2), in(g, "weight", 1, 1, 1, 1));
    every_gradient_is_a_slope(g, loss, NULL, 0, 0);
    gradients_are_written_once(g);
    bd_graph_destroy(g);
}

static void backward_errors_are_named(void **state) {
    (void)state;
    int grad;
    bd_graph *g = new_graph();
    int x = in(g, "x", 1, 4, 4, 2), weight = in(g, "weight", 1, 1, 1, 1);
    int y = bd_conv2d(g, x, bd_graph_param(g, "used", 2, 2, 1, 1), -1, ref_square(1, 1, 0));
    bd_silu(g, bd_graph_param(g, "unused.weight", 2, 2, 1, 1));
    int loss = bd_mse(g, y, in(g, "target", 1, 4, 4, 2), weight);
    assert_int_equal(bd_graph_grad(g, bd_graph_find(g, "used")), -1);
    assert_int_equal(bd_graph_backward(g, y, NULL, 0, NULL), BD_E_ARG); /* not a loss */
    assert_int_equal(bd_graph_backward(g, x, NULL, 0, NULL), BD_E_ARG);
    assert_int_equal(bd_graph_backward(g, -1, NULL, 0, NULL), BD_E_ARG);
    assert_int_equal(bd_graph_backward(g, 1000, NULL, 0, NULL), BD_E_ARG);
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "unused.weight"));
    bd_graph_destroy(g);

    g = new_graph();
    x = in(g, "x", 1, 4, 4, 2);
    int lonely = in(g, "lonely", 1, 4, 4, 2);
    y = bd_conv2d(g, x, bd_graph_param(g, "used", 2, 2, 1, 1), -1, ref_square(1, 1, 0));
    bd_silu(g, lonely);
    loss = bd_mse(g, y, in(g, "target", 1, 4, 4, 2), in(g, "weight", 1, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, &lonely, 1, &grad), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "lonely"));
    bd_graph_destroy(g);

    g = new_graph();
    x = in(g, "x", 1, 4, 4, 2);
    y = bd_conv2d(g, x, bd_graph_param(g, "used", 2, 2, 1, 1), -1, ref_square(1, 1, 0));
    loss =
        bd_mse(g, bd_slice(g, y, 0, 1), in(g, "target", 1, 4, 4, 1), in(g, "weight", 1, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "slice"));
    bd_graph_destroy(g);

    g = new_graph();
    x = in(g, "x", 1, 4, 4, 2);
    y = bd_conv2d(g, x, bd_graph_param(g, "used", 2, 2, 1, 1), -1, ref_square(1, 1, 0));
    loss = bd_mse(g, y, in(g, "target", 1, 4, 4, 2), in(g, "weight", 1, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_E_ARG); /* twice */
    bd_graph_destroy(g);
}

/* The loss ops hand no gradient to their target: asking for one must fail, not give a part of the truth. */
static void a_wanted_target_is_refused(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int x = in(g, "x", 1, 4, 4, 2), grad;
    int y = bd_conv2d(g, x, bd_graph_param(g, "w", 2, 2, 1, 1), -1, ref_square(1, 1, 0));
    int loss = bd_mse(g, y, x, in(g, "weight", 1, 1, 1, 1)); /* an auto-encoder */
    if (bd_graph_backward(g, loss, &x, 1, &grad) == BD_OK)
        fail_msg("the gradient of x lacks what comes through the target");
    assert_non_null(strstr(bd_error(), "target"));
    bd_graph_destroy(g);

    g = new_graph();
    int w = bd_graph_param(g, "w", 1, 4, 4, 2); /* reaches prediction and target */
    loss = bd_mse(g, bd_silu(g, w), w, in(g, "weight", 1, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_E_ARG);
    bd_graph_destroy(g);
}

/* --- planner --- */

/* Lifetimes computed from the node list alone: first write, last read (kept: past the end). */
typedef struct {
    int first, last;
} life;

static life *lives(const bd_graph *g) {
    life *l = calloc((size_t)bd_graph_tensor_count(g) + 1, sizeof *l);
    assert_non_null(l);
    for (int t = 0; t < bd_graph_tensor_count(g); t++) l[t] = (life){-1, -1};
    for (int i = 0; i < bd_graph_node_count(g); i++) {
        const bd_node *n = bd_graph_node(g, i);
        for (int k = 0; k < BD_NODE_OUT_MAX; k++)
            if (n->out[k] >= 0) {
                if (l[n->out[k]].first < 0) l[n->out[k]].first = i;
                l[n->out[k]].last = i;
            }
        for (int k = 0; k < BD_NODE_IN_MAX; k++)
            if (n->in[k] >= 0) l[n->in[k]].last = i;
    }
    for (int t = 0; t < bd_graph_tensor_count(g); t++)
        if (bd_graph_tensor(g, t)->keep) l[t].last = bd_graph_node_count(g);
    return l;
}

/* May the first output of node i stand exactly where its dying input `id` stood? Only for ops that read
 * element i of that input for the last time before they write element i. */
static bool may_overwrite(const bd_node *n, int id) {
    switch (n->op) {
    case BD_OP_add:
    case BD_OP_relu_bwd:
    case BD_OP_silu_bwd: return n->in[0] == id || n->in[1] == id;
    case BD_OP_scale:
    case BD_OP_silu:
    case BD_OP_relu:
    case BD_OP_group_norm:
    case BD_OP_group_norm_bwd:
    case BD_OP_add_channel: return n->in[0] == id;
    default: return false;
    }
}

static bool overlap(const bd_extent *a, const bd_extent *b) {
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void check_pair(const bd_graph *g, const bd_plan *p, const life *l, int a, int b) {
    if (l[a].first > l[b].first) {
        int t = a;
        a = b;
        b = t;
    }
    if (l[a].last < l[b].first || !overlap(&p->tensors[a], &p->tensors[b])) return;
    const bd_node *n = bd_graph_node(g, l[b].first);
    if (l[a].last == l[b].first && l[a].first < l[b].first && n->out[0] == b &&
        p->tensors[a].offset == p->tensors[b].offset && may_overwrite(n, a))
        return;
    fail_msg("%s (nodes %d..%d) and %s (nodes %d..%d) share bytes of the arena",
             bd_graph_tensor(g, a)->name, l[a].first, l[a].last, bd_graph_tensor(g, b)->name,
             l[b].first, l[b].last);
}

static size_t sizes_of(const bd_graph *g, size_t **tensor_bytes, size_t **workspace) {
    int nt = bd_graph_tensor_count(g), nn = bd_graph_node_count(g);
    size_t total = 0;
    *tensor_bytes = calloc((size_t)nt + 1, sizeof **tensor_bytes);
    *workspace = calloc((size_t)nn + 1, sizeof **workspace);
    if (!*tensor_bytes || !*workspace) abort();
    for (int i = 0; i < nt; i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind != BD_TENSOR_ACT) continue;
        (*tensor_bytes)[i] = bd_tensor_count(t) * bd_type_size(t->type);
        total += (*tensor_bytes)[i] + 63;
    }
    for (int i = 0; i < nn; i++) {
        (*workspace)[i] = i % 3 == 0 ? (size_t)(i * 37 % 500) : 0;
        total += (*workspace)[i] + 63;
    }
    return total;
}

/* Returns arena bytes. */
static size_t check_plan(const bd_graph *g) {
    size_t *tensor_bytes, *workspace, total = sizes_of(g, &tensor_bytes, &workspace), busiest = 0;
    bd_plan p, again;
    assert_int_equal(bd_plan_create(&p, g, tensor_bytes, workspace), BD_OK);
    assert_int_equal(bd_plan_create(&again, g, tensor_bytes, workspace), BD_OK);
    int nt = bd_graph_tensor_count(g), nn = bd_graph_node_count(g);
    life *l = lives(g);
    assert_int_equal(p.arena_bytes, again.arena_bytes);
    for (int a = 0; a < nt; a++) {
        bool act = bd_graph_tensor(g, a)->kind == BD_TENSOR_ACT && l[a].first >= 0;
        assert_int_equal(p.tensors[a].offset, again.tensors[a].offset);
        if (!act) continue;
        assert_true(p.tensors[a].bytes >= tensor_bytes[a]);
        assert_true(p.tensors[a].offset % 64 == 0);
        assert_true(p.tensors[a].offset + p.tensors[a].bytes <= p.arena_bytes);
        for (int b = a + 1; b < nt; b++)
            if (bd_graph_tensor(g, b)->kind == BD_TENSOR_ACT && l[b].first >= 0)
                check_pair(g, &p, l, a, b);
    }
    for (int i = 0; i < nn; i++) {
        size_t live = workspace[i];
        if (workspace[i]) {
            assert_true(p.workspaces[i].bytes >= workspace[i]);
            assert_true(p.workspaces[i].offset + p.workspaces[i].bytes <= p.arena_bytes);
        }
        for (int t = 0; t < nt; t++) {
            if (bd_graph_tensor(g, t)->kind != BD_TENSOR_ACT || l[t].first < 0) continue;
            if (l[t].first > i || l[t].last < i) continue;
            bool moves_in = l[t].first == i && p.tensors[t].alias >= 0;
            live += moves_in ? 0 : tensor_bytes[t];
            if (workspace[i] && overlap(&p.workspaces[i], &p.tensors[t]))
                fail_msg("workspace of node %d lies on %s", i, bd_graph_tensor(g, t)->name);
        }
        if (live > busiest) busiest = live;
    }
    assert_true(p.arena_bytes >= busiest);
    assert_true(p.arena_bytes <= total);
    size_t arena = p.arena_bytes;
    bd_plan_clear(&p);
    bd_plan_clear(&again);
    free(l);
    free(tensor_bytes);
    free(workspace);
    return arena;
}

static void plan_of_a_unet(void **state) {
    (void)state;
    size_t arena[2];
    for (int keep = 0; keep < 2; keep++) {
        bd_graph *g = new_graph();
        int loss = ref_unet_loss(g, 2, 4, 4, 3, 4);
        assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
        for (int i = 0; keep && i < bd_graph_tensor_count(g); i++) bd_graph_keep(g, i);
        arena[keep] = check_plan(g);
        bd_graph_destroy(g);
    }
    assert_true(arena[0] < arena[1]); /* storage is reused when nothing is kept */
}

/* Long chains need two places however long they are. */
static void a_chain_reuses_storage(void **state) {
    (void)state;
    bd_graph *g = new_graph();
    int h = in(g, "x", 1, 8, 8, 4);
    for (int i = 0; i < 20; i++)
        h = bd_silu(g, bd_conv2d(g, h, ref_param(g, 4, 4, 3, 3), -1, ref_square(3, 1, 1)));
    bd_graph_keep(g, h);
    size_t bytes = (size_t)8 * 8 * 4 * 4, *tensor_bytes, *workspace;
    sizes_of(g, &tensor_bytes, &workspace);
    memset(workspace, 0, (size_t)bd_graph_node_count(g) * sizeof *workspace);
    bd_plan p;
    assert_int_equal(bd_plan_create(&p, g, tensor_bytes, workspace), BD_OK);
    assert_int_equal(p.arena_bytes, 2 * bytes);
    bd_plan_clear(&p);
    free(tensor_bytes);
    free(workspace);
    bd_graph_destroy(g);
}

static void plans_of_random_graphs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        bd_graph *g = new_graph();
        bd_graph_keep(g, ref_random_net(g, seed, 1, 60, true));
        assert_int_equal(bd_graph_status(g), BD_OK);
        check_plan(g);
        bd_graph_destroy(g);
    }
}

/* --- lowering (values: test_ops.c, where the engine's lowered norms meet the reference) --- */

enum { NORM_SILU = 1, KEEP_SUM = 2, SUM_READ_TWICE = 4, NORM_BY_SUM = 8 };

/* conv, add_channel, norm and a loss with all gradients, with one thing that may forbid the merge. */
static bd_graph *norm_after_channel(int what) {
    bd_graph *g = new_graph();
    int x = in(g, "x", 2, 4, 4, 4), v = in(g, "v", 2, 1, 1, 4);
    int h = bd_conv2d(g, x, bd_graph_param(g, "w", 4, 4, 3, 3), -1, ref_square(3, 1, 1));
    int sum = bd_add_channel(g, h, v);
    if (what & KEEP_SUM) bd_graph_keep(g, sum);
    h = bd_group_norm(g, sum, vec(g, "gamma", 4), vec(g, "beta", 4),
                      (bd_norm_attr){2, 1e-5f, what & NORM_SILU});
    if (what & SUM_READ_TWICE) h = bd_add(g, h, sum);
    if (what & NORM_BY_SUM) h = bd_add_channel(g, h, v);
    int loss = bd_mse(g, h, in(g, "target", 2, 4, 4, 4), in(g, "weight", 2, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    return g;
}

static int count_op(const bd_graph *g, bd_op op) {
    int n = 0;
    for (int i = 0; i < bd_graph_node_count(g); i++) n += bd_graph_node(g, i)->op == op;
    return n;
}

static void norms_take_over_the_channel_sum(void **state) {
    (void)state;
    for (int what = 0; what <= NORM_SILU; what++) {
        bd_graph *g = norm_after_channel(what), *low;
        assert_int_equal(bd_graph_lower(&low, g, BD_CAN_NORM_CHANNEL, BD_TYPE_F32), BD_OK);
        int sum = bd_graph_find(g, "add_channel"), v = bd_graph_find(g, "v");
        assert_int_equal(bd_graph_node_count(low), bd_graph_node_count(g) - 1);
        assert_int_equal(bd_graph_tensor_count(low), bd_graph_tensor_count(g));
        assert_int_equal(count_op(low, BD_OP_add_channel), 0);
        assert_int_equal(count_op(g, BD_OP_add_channel), 1); /* the original is untouched */
        for (int i = 0; i < bd_graph_node_count(low); i++) {
            const bd_node *n = bd_graph_node(low, i);
            for (int j = 0; j < BD_NODE_IN_MAX; j++) assert_int_not_equal(n->in[j], sum);
            if (n->op == BD_OP_group_norm) assert_int_equal(n->in[3], v);
            if (n->op == BD_OP_group_norm_bwd) assert_int_equal(n->in[6], v);
        }
        int w = bd_graph_find(g, "w");
        assert_int_equal(bd_graph_grad(low, w), bd_graph_grad(g, w));
        bd_graph_destroy(low);
        bd_graph_destroy(g);
    }
}

/* The sum stays where somebody else needs it, and where the backend cannot add it itself. */
static void other_channel_sums_stay(void **state) {
    (void)state;
    static const struct {
        int what;
        unsigned can;
        int sums;
    } cases[] = {{0, 0, 1},
                 {KEEP_SUM, BD_CAN_NORM_CHANNEL, 1},
                 {SUM_READ_TWICE, BD_CAN_NORM_CHANNEL, 1},
                 {NORM_BY_SUM, BD_CAN_NORM_CHANNEL, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bd_graph *g = norm_after_channel(cases[i].what), *low;
        assert_int_equal(bd_graph_lower(&low, g, cases[i].can, BD_TYPE_F32), BD_OK);
        assert_int_equal(count_op(low, BD_OP_add_channel), cases[i].sums);
        bd_graph_destroy(low);
        bd_graph_destroy(g);
    }
}

/* conv + z, where z is an input, the convolution itself, or the sum is read twice; keep: the convolution is kept. */
static bd_graph *conv_and_sum(bool with_itself, bool keep, bool twice, bool two_convs) {
    bd_graph *g = new_graph();
    int x = in(g, "x", 2, 4, 4, 4), z = in(g, "z", 2, 4, 4, 4);
    int h =
        bd_conv2d(g, x, bd_graph_param(g, "w", 4, 4, 3, 3), vec(g, "b", 4), ref_square(3, 1, 1));
    if (keep) bd_graph_keep(g, h);
    if (two_convs) z = bd_linear(g, z, bd_graph_param(g, "w2", 4, 4, 1, 1), -1);
    int y = bd_add(g, h, with_itself ? h : z);
    if (twice) y = bd_add(g, y, bd_silu(g, h));
    int loss = bd_mse(g, y, in(g, "target", 2, 4, 4, 4), in(g, "weight", 2, 1, 1, 1));
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    return g;
}

static void convolutions_take_over_a_sum(void **state) {
    (void)state;
    static const struct {
        bool itself, keep, twice, two_convs;
        int fused;
    } cases[] = {{.fused = 1},
                 {.two_convs = true, .fused = 1},
                 {.itself = true},
                 {.keep = true},
                 {.twice = true, .fused = 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bd_graph *low,
            *g = conv_and_sum(cases[i].itself, cases[i].keep, cases[i].twice, cases[i].two_convs);
        int sums = count_op(g, BD_OP_add), fused = 0;
        assert_int_equal(bd_graph_lower(&low, g, BD_CAN_CONV_ADD, BD_TYPE_F32), BD_OK);
        for (int k = 0; k < bd_graph_node_count(low); k++) {
            const bd_node *n = bd_graph_node(low, k);
            if (n->op != BD_OP_conv2d || n->in[3] < 0) continue;
            fused++;
            /* whatever it reads was made before it */
            bd_plan plan;
            size_t *bytes = calloc((size_t)bd_graph_tensor_count(low) + 1, sizeof *bytes),
                   *none = calloc((size_t)bd_graph_node_count(low) + 1, sizeof *none);
            assert_int_equal(bd_plan_create(&plan, low, bytes, none), BD_OK);
            bd_plan_clear(&plan);
            free(bytes);
            free(none);
        }
        if (fused != cases[i].fused || count_op(low, BD_OP_add) != sums - fused)
            fail_msg("case %zu: %d fused, %d sums left of %d", i, fused, count_op(low, BD_OP_add),
                     sums);
        bd_graph_destroy(low);
        bd_graph_destroy(g);
    }
}

static bd_type type_of(const bd_graph *g, int tensor) { return bd_graph_tensor(g, tensor)->type; }

/* Mixed precision over a whole UNet: what must be float32, what must not, and a cast wherever the two meet. */
static void types_of_mixed_precision(void **state) {
    (void)state;
    bd_graph *g = new_graph(), *low;
    int loss = ref_unet_loss(g, 2, 8, 8, 3, 8);
    assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    assert_int_equal(bd_graph_lower(&low, g, 0, BD_TYPE_BF16), BD_OK);
    int casts = 0;
    for (int i = 0; i < bd_graph_tensor_count(g); i++) { /* leaves keep what they are */
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind != BD_TENSOR_ACT) assert_int_equal(type_of(low, i), t->type);
    }
    for (int i = 0; i < bd_graph_node_count(low); i++) {
        const bd_node *n = bd_graph_node(low, i);
        switch (n->op) {
        case BD_OP_cast:
            casts++;
            assert_int_not_equal(type_of(low, n->in[0]), type_of(low, n->out[0]));
            break;
        case BD_OP_conv2d:
            assert_int_equal(type_of(low, n->in[0]), BD_TYPE_BF16);
            assert_int_equal(type_of(low, n->in[1]),
                             BD_TYPE_F32); /* the backend keeps its own copy */
            assert_int_equal(type_of(low, n->out[0]), BD_TYPE_BF16);
            break;
        case BD_OP_conv2d_bwd_weight:
            assert_int_equal(type_of(low, n->in[0]), BD_TYPE_BF16);
            assert_int_equal(type_of(low, n->in[1]), BD_TYPE_BF16);
            assert_int_equal(type_of(low, n->out[0]), BD_TYPE_F32);
            break;
        case BD_OP_group_norm:
            assert_int_equal(type_of(low, n->in[0]), type_of(low, n->out[0]));
            assert_int_equal(type_of(low, n->out[1]), BD_TYPE_F32);
            assert_int_equal(type_of(low, n->out[2]), BD_TYPE_F32);
            break;
        case BD_OP_add:
        case BD_OP_concat:
            assert_int_equal(type_of(low, n->in[0]), type_of(low, n->in[1]));
            assert_int_equal(type_of(low, n->in[0]), type_of(low, n->out[0]));
            break;
        case BD_OP_mse: assert_int_equal(type_of(low, n->out[0]), BD_TYPE_F64); break;
        default: break;
        }
    }
    /* the images, and the time embedding: each once, though two graphs read them */
    assert_int_equal(casts, 2);
    bd_graph_destroy(low);
    bd_graph_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_shapes_are_named),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(failures_propagate),
        cmocka_unit_test(a_missing_input_is_named),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(output_shapes),
        cmocka_unit_test(flops_of_convolution_and_attention),
        cmocka_unit_test(gradients_of_a_unet),
        cmocka_unit_test(gradients_of_a_classifier),
        cmocka_unit_test(gradients_of_shared_tensors),
        cmocka_unit_test(gradients_beside_dead_ends),
        cmocka_unit_test(backward_errors_are_named),
        cmocka_unit_test(a_wanted_target_is_refused),
        cmocka_unit_test(norms_take_over_the_channel_sum),
        cmocka_unit_test(other_channel_sums_stay),
        cmocka_unit_test(convolutions_take_over_a_sum),
        cmocka_unit_test(types_of_mixed_precision),
        cmocka_unit_test(plan_of_a_unet),
        cmocka_unit_test(a_chain_reuses_storage),
        cmocka_unit_test(plans_of_random_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
