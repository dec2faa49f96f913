/* Oracles: PyTorch's initial ranges and moments of a uniform distribution; round trips; every way in which a file can
 * fail to be the model's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "hash_weights.h"
#include "io/safetensors.h"
#include "nn/params.h"
#include "nn/unet.h"
#include "ref_backend.h"

#define TMP "build/tmp/test_params"
#define FILE_PATH TMP "/weights.safetensors"

static bd_params mini; /* hash weights */
static bd_unet_config config;

static int setup(void **state) {
    (void)state;
    if (bd_file_mkdirs(TMP) || bd_unet_preset(&config, "mini", 0, 0) ||
        bd_unet_params(&mini, &config))
        return -1;
    hash_weights(&mini);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bd_params_clear(&mini);
    return 0;
}

static bd_params fresh(void) {
    bd_params p;
    assert_int_equal(bd_unet_params(&p, &config), BD_OK);
    return p;
}

static void assert_same_values(const bd_params *a, const bd_params *b) {
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

/* --- the table --- */

static void test_table(void **state) {
    (void)state;
    size_t count = 0, end = 0;
    for (int i = 0; i < mini.n; i++) {
        const bd_param *p = &mini.at[i];
        size_t n = 1;
        for (int k = 0; k < p->rank; k++) n *= (size_t)p->dim[k];
        assert_int_equal(p->count, n);
        assert_true(p->first >= end); /* no two overlap */
        assert_int_equal(p->first * sizeof(float) % 64, 0);
        end = p->first + p->count;
        count += n;
    }
    assert_true(end * sizeof(float) <= mini.bytes);
    assert_int_equal(count, mini.count);
    assert_int_equal(bd_params_find(&mini, "no.such.weight"), -1);
    /* the old name of a layer is old only as the whole last part */
    assert_int_equal(bd_params_find(&mini, "mid_block.attentions.0.xquery.weight"), -1);
    assert_true(bd_params_find(&mini, "mid_block.attentions.0.query.weight") >= 0);
}

static void test_ranks(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int rank;
    } want[] = {{"conv_in.weight", 4},
                {"time_embedding.linear_1.weight", 2},
                {"down_blocks.1.resnets.0.conv_shortcut.weight", 4}, /* 1x1, and a convolution */
                {"down_blocks.1.resnets.0.time_emb_proj.weight", 2},
                {"mid_block.attentions.0.to_out.0.weight", 2},
                {"down_blocks.0.downsamplers.0.conv.weight", 4},
                {"conv_norm_out.weight", 1},
                {"conv_out.bias", 1}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        int k = bd_params_find(&mini, want[i].name);
        assert_true(k >= 0);
        assert_int_equal(mini.at[k].rank, want[i].rank);
    }
}

/* --- initial values --- */

static void check_uniform(const bd_param *p, const float *x, double bound) {
    double sum = 0, square = 0, n = (double)p->count;
    for (size_t i = 0; i < p->count; i++) {
        if (!(fabs((double)x[i]) <= bound))
            fail_msg("%s[%zu] = %g, bound %g", p->name, i, x[i], bound);
        sum += x[i];
        square += (double)x[i] * x[i];
    }
    /* five standard deviations of the mean and of the mean square of n uniform numbers */
    if (!(fabs(sum / n) <= 5 * bound / sqrt(3 * n))) fail_msg("%s: mean %g", p->name, sum / n);
    if (!(fabs(square / n - bound * bound / 3) <= 5 * bound * bound * sqrt(4.0 / 45 / n)))
        fail_msg("%s: mean square %g, bound %g", p->name, square / n, bound);
}

static void test_init(void **state) {
    (void)state;
    bd_params p = fresh(), again = fresh(), other = fresh();
    assert_int_equal(bd_params_init(&p, 7), BD_OK);
    assert_int_equal(bd_params_init(&again, 7), BD_OK);
    assert_int_equal(bd_params_init(&other, 8), BD_OK);
    assert_same_values(&p, &again);
    assert_memory_not_equal(p.data, other.data, p.bytes);
    for (int i = 0; i < p.n; i++) {
        const bd_param *q = &p.at[i], *w = q;
        const float *x = p.data + q->first;
        bool bias = strstr(q->name, ".bias") != NULL;
        if (strstr(q->name, "norm")) {
            for (size_t k = 0; k < q->count; k++) assert_true(x[k] == (bias ? 0.0F : 1.0F));
            continue;
        }
        if (bias) w = &p.at[i - 1]; /* its layer's weight stands before it */
        check_uniform(q, x, 1 / sqrt((double)w->count / w->dim[0]));
    }
    /* parameters of equal shape do not share numbers */
    int a = bd_params_find(&p, "mid_block.resnets.0.conv1.weight");
    int b = bd_params_find(&p, "mid_block.resnets.1.conv1.weight");
    assert_memory_not_equal(p.data + p.at[a].first, p.data + p.at[b].first, p.at[a].count * 4);
    bd_params_clear(&p);
    bd_params_clear(&again);
    bd_params_clear(&other);
}

static void test_init_needs_a_known_layer(void **state) {
    (void)state;
    bd_graph *g;
    bd_params p;
    assert_int_equal(bd_graph_create(&g, "odd"), BD_OK);
    bd_graph_param(g, "scale", 1, 1, 1, 4);
    assert_int_equal(bd_params_from_graph(&p, g), BD_OK);
    assert_int_equal(bd_params_init(&p, 1), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "scale"));
    bd_params_clear(&p);
    bd_graph_destroy(g);
    assert_int_equal(bd_graph_create(&g, "empty"), BD_OK);
    assert_int_equal(bd_params_from_graph(&p, g), BD_E_ARG);
    bd_graph_destroy(g);
}

/* --- files --- */

static void test_round_trip(void **state) {
    (void)state;
    const char *const meta[][2] = {{"format", "pt"}};
    bd_params p = fresh();
    assert_int_equal(bd_params_save(&mini, FILE_PATH, meta, 1), BD_OK);
    if (bd_params_load(&p, FILE_PATH)) fail_msg("%s", bd_error());
    assert_same_values(&p, &mini);
    char a[65], b[65];
    assert_int_equal(bd_params_sha256(a, &p), BD_OK);
    assert_int_equal(bd_params_sha256(b, &mini), BD_OK);
    assert_string_equal(a, b);
    p.data[p.at[5].first] += 1;
    assert_int_equal(bd_params_sha256(b, &p), BD_OK);
    assert_string_not_equal(a, b);
    bd_params_clear(&p);
}

/* All tensors of the mini net, for a test to change one of them; names are the test's own. */
typedef struct {
    bd_st_tensor *t;
    char (*name)[160];
    size_t n;
} tensor_list;

static tensor_list tensors_of_mini(void) {
    tensor_list l = {.n = (size_t)mini.n};
    l.t = calloc(l.n + 1, sizeof *l.t);
    l.name = calloc(l.n + 1, sizeof *l.name);
    assert_non_null(l.t);
    assert_non_null(l.name);
    for (size_t i = 0; i < l.n; i++) {
        l.t[i] = bd_params_tensor(&mini, (int)i);
        snprintf(l.name[i], sizeof l.name[i], "%s", l.t[i].name);
        l.t[i].name = l.name[i];
    }
    return l;
}

static bd_status load_list(tensor_list *l, bd_params *p) {
    if (bd_safetensors_save(FILE_PATH, l->t, l->n, NULL, 0)) fail_msg("%s", bd_error());
    free(l->t);
    free(l->name);
    return bd_params_load(p, FILE_PATH);
}

static void test_old_names_any_order_and_module(void **state) {
    (void)state;
    tensor_list l = tensors_of_mini();
    for (size_t i = 0; i < l.n; i++) {
        char old[128];
        old_name(old, mini.at[i].name);
        snprintf(l.name[i], sizeof l.name[i], "module.%s", old);
    }
    for (size_t i = 0; i < l.n / 2; i++) {
        bd_st_tensor t = l.t[i];
        l.t[i] = l.t[l.n - 1 - i];
        l.t[l.n - 1 - i] = t;
    }
    bd_params p = fresh();
    if (load_list(&l, &p)) fail_msg("%s", bd_error());
    assert_same_values(&p, &mini);
    bd_params_clear(&p);
}

/* Change tensor 20 (a convolution's weight) in one way; the load must fail, name it and change nothing. */
static void refuse(void (*change)(tensor_list *l, int i), const char *named) {
    static float bad[64 * 64 * 9];
    int i = bd_params_find(&mini, "down_blocks.1.resnets.0.conv1.weight");
    tensor_list l = tensors_of_mini();
    memcpy(bad, l.t[i].data, l.t[i].bytes);
    l.t[i].data = bad;
    change(&l, i);
    bd_params p = fresh(), before = fresh();
    assert_int_equal(load_list(&l, &p), BD_E_FORMAT);
    if (!strstr(bd_error(), named) || !strstr(bd_error(), FILE_PATH))
        fail_msg("the message does not say where: %s", bd_error());
    assert_same_values(&p, &before);
    bd_params_clear(&p);
    bd_params_clear(&before);
}

static void drop(tensor_list *l, int i) { l->t[i] = l->t[--l->n]; }
static void rename_it(tensor_list *l, int i) { snprintf(l->name[i], 160, "conv_new.weight"); }
static void twice(tensor_list *l, int i) {
    (void)i;
    int k = bd_params_find(&mini, "mid_block.attentions.0.to_q.weight");
    l->t[l->n] = l->t[k];
    snprintf(l->name[l->n], 160, "mid_block.attentions.0.query.weight");
    l->t[l->n].name = l->name[l->n];
    l->n++;
}
static void turn(tensor_list *l, int i) {
    int64_t d = l->t[i].dim[0];
    l->t[i].dim[0] = l->t[i].dim[1];
    l->t[i].dim[1] = d;
}
static void flatten(tensor_list *l, int i) {
    l->t[i].rank = 1;
    l->t[i].dim[0] = (int64_t)(l->t[i].bytes / sizeof(float));
}
static void as_i32(tensor_list *l, int i) { l->t[i].dtype = BD_I32; }
static void not_finite(tensor_list *l, int i) { ((float *)(uintptr_t)l->t[i].data)[11] = NAN; }

static void test_wrong_files(void **state) {
    (void)state;
    refuse(drop, "down_blocks.1.resnets.0.conv1.weight is missing");
    refuse(rename_it, "conv_new.weight");
    refuse(twice, "mid_block.attentions.0.query.weight");
    refuse(turn, "has shape 16x32x3x3, the model of config.json wants 32x16x3x3");
    refuse(flatten, "down_blocks.1.resnets.0.conv1.weight");
    refuse(as_i32, "I32");
    refuse(not_finite, "value 11 is not finite");
    bd_params p = fresh();
    assert_int_equal(bd_params_load(&p, TMP "/none.safetensors"), BD_E_MISSING);
    bd_params_clear(&p);
}

static void test_prefix(void **state) {
    (void)state;
    tensor_list l = tensors_of_mini();
    for (size_t i = 0; i < l.n; i++) snprintf(l.name[i], sizeof l.name[i], "m.%s", mini.at[i].name);
    float other = 3;
    l.t[l.n] = (bd_st_tensor){
        .name = "n.foreign", .dtype = BD_F32, .rank = 1, .dim = {1}, .data = &other, .bytes = 4};
    l.n++;
    if (bd_safetensors_save(FILE_PATH, l.t, l.n, NULL, 0)) fail_msg("%s", bd_error());
    free(l.t);
    free(l.name);
    bd_tensors *s;
    assert_int_equal(bd_safetensors_load(&s, FILE_PATH), BD_OK);
    bd_params p = fresh();
    if (bd_params_read(&p, s, "m.", "here")) fail_msg("%s", bd_error());
    assert_same_values(&p, &mini);
    assert_int_equal(bd_params_read(&p, s, "v.", "here"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "here: tensor v.conv_in.weight is missing"));
    bd_tensors_destroy(s);
    bd_params_clear(&p);
}

/* --- other holders --- */

static void test_copy(void **state) {
    (void)state;
    bd_params p = fresh(), cifar;
    assert_int_equal(bd_params_copy(&p, &mini), BD_OK);
    assert_same_values(&p, &mini);
    bd_unet_config c = config;
    c.channels[0] = 24; /* same names, other shapes */
    assert_int_equal(bd_unet_params(&cifar, &c), BD_OK);
    assert_int_equal(bd_params_copy(&cifar, &mini), BD_E_SHAPE);
    bd_params_clear(&cifar);
    bd_params_clear(&p);
}

/* A graph with something else before the net: ids differ from those of the graph of bd_unet_params. */
static void test_engine_round_trip(void **state) {
    (void)state;
    bd_graph *g;
    bd_engine *e;
    bd_pool *pool;
    bd_params p = fresh(), other;
    assert_int_equal(bd_graph_create(&g, "net"), BD_OK);
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "extra%d", i);
        bd_graph_input(g, name, BD_TYPE_F32, 1, 1, 1, 1);
    }
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, 32, 32, 1);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, 1, 1, 1, 1);
    bd_unet_build(g, &config, x, t);
    assert_int_equal(bd_pool_create(&pool, 1), BD_OK);
    assert_int_equal(ref_backend.engine_create(&e, &ref_backend, g, pool), BD_OK);
    assert_int_equal(bd_params_upload(&mini, &ref_backend, e, g, BD_SLOT_ADAM_V), BD_OK);
    assert_int_equal(bd_params_download(&p, &ref_backend, e, g, BD_SLOT_ADAM_V), BD_OK);
    assert_same_values(&p, &mini);
    bd_unet_config c = config;
    c.layers = 2;
    assert_int_equal(bd_unet_params(&other, &c), BD_OK);
    assert_int_equal(bd_params_upload(&other, &ref_backend, e, g, BD_SLOT_PARAM), BD_E_SHAPE);
    assert_non_null(strstr(bd_error(), "down_blocks.0.resnets.1"));
    bd_params_clear(&other);
    ref_backend.engine_destroy(e);
    bd_pool_destroy(pool);
    bd_graph_destroy(g);
    bd_params_clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),       cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_init),        cmocka_unit_test(test_init_needs_a_known_layer),
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_old_names_any_order_and_module),
        cmocka_unit_test(test_wrong_files), cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_copy),        cmocka_unit_test(test_engine_round_trip),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
