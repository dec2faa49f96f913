/* Oracles: names, shapes and counts of diffusers' UNet2DModel (state_dict of the checkpoints); diffusers' documented
 * defaults; refusal of every setting that this UNet cannot honour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "nn/params.h"
#include "nn/unet.h"

#define TMP "build/tmp/test_unet_config"

static bd_graph *build(const bd_unet_config *c, int n) {
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "unet"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, n, c->sample_size, c->sample_size, c->in_channels);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, n, 1, 1, 1);
    int y = bd_unet_build(g, c, x, t);
    if (bd_graph_status(g)) fail_msg("%s", bd_error());
    const int *d = bd_graph_tensor(g, y)->dim;
    assert_int_equal(d[0], n);
    assert_int_equal(d[1], c->sample_size);
    assert_int_equal(d[2], c->sample_size);
    assert_int_equal(d[3], c->out_channels);
    return g;
}

static void shape_of(char out[64], const bd_param *p) {
    int used = 0;
    for (int i = 0; i < p->rank; i++)
        used += snprintf(out + used, 64 - (size_t)used, "%s%d", i ? "x" : "", p->dim[i]);
}

/* Every line of the key file is one parameter, in the same order, under both names. */
static void check_keys(const bd_params *p, const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char line[512], old[256], present[256], shape[64], ours[64];
    assert_non_null(fgets(line, sizeof line, f));
    int i = 0;
    for (; fgets(line, sizeof line, f); i++) {
        assert_int_equal(sscanf(line, "%255s %255s %63s", old, present, shape), 3);
        assert_true(i < p->n);
        assert_string_equal(p->at[i].name, present);
        shape_of(ours, &p->at[i]);
        assert_string_equal(ours, shape);
        assert_int_equal(bd_params_find(p, old), i);
        assert_int_equal(bd_params_find(p, present), i);
    }
    assert_int_equal(i, p->n);
    (void)fclose(f);
}

static void check_preset(const char *preset, int S, int C, int tensors, size_t count,
                         const char *keys) {
    bd_unet_config c;
    assert_int_equal(bd_unet_preset(&c, preset, S, C), BD_OK);
    bd_graph *g = build(&c, 1);
    bd_params p;
    assert_int_equal(bd_params_from_graph(&p, g), BD_OK);
    assert_int_equal(p.n, tensors);
    assert_int_equal(p.count, count);
    check_keys(&p, keys);
    bd_params_clear(&p);
    bd_graph_destroy(g);
}

static void test_cifar10_keys(void **state) {
    (void)state;
    check_preset("cifar10", 0, 0, 328, 35746307, "tests/golden/keys_unet_cifar.tsv");
}

static void test_celebahq_keys(void **state) {
    (void)state;
    check_preset("celebahq", 0, 0, 450, 113673219, "tests/golden/keys_unet_hq.tsv");
}

static void test_scratch_keys(void **state) {
    (void)state;
    check_preset("scratch", 32, 1, 450, 113668609, "tests/golden/keys_unet_scratch1.tsv");
}

static void test_mini(void **state) {
    (void)state;
    check_preset("mini", 0, 0, 184, 686769, "tests/golden/keys_unet_mini.tsv");
    bd_unet_config c;
    assert_int_equal(bd_unet_preset(&c, "mini", 0, 0), BD_OK);
    bd_graph *g = build(&c, 4);
    double gflop = bd_graph_flops(g) / 4 / 1e9;
    if (!(gflop > 0.18 && gflop < 0.20)) fail_msg("mini: %.4f GFLOP an image", gflop);
    bd_graph_destroy(g);
    for (int i = 0; i < c.blocks; i++) assert_true(c.groups <= c.channels[i] / 2);
}

static void test_presets_are_listed(void **state) {
    (void)state;
    int n = 0;
    for (bd_unet_config c; bd_unet_preset_at(n); n++)
        assert_int_equal(bd_unet_preset(&c, bd_unet_preset_at(n), 0, 0), BD_OK);
    assert_int_equal(n, 4);
    bd_unet_config c;
    assert_int_equal(bd_unet_preset(&c, "ddpm", 0, 0), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "cifar10"));
    assert_int_equal(bd_unet_preset(&c, "mini", 30, 0), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "sample_size"));
}

/* --- config.json --- */

static void write_text(const char *path, const char *text) {
    assert_int_equal(bd_file_mkdirs(TMP), BD_OK);
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
}

static void test_round_trip(void **state) {
    (void)state;
    assert_int_equal(bd_file_mkdirs(TMP), BD_OK);
    for (int i = 0; bd_unet_preset_at(i); i++) {
        bd_unet_config a, b;
        memset(&b, 0x5a, sizeof b);
        assert_int_equal(bd_unet_preset(&a, bd_unet_preset_at(i), 0, 0), BD_OK);
        a.attn_groups = i == 1 ? 16 : 0;
        a.time_dim = i == 2 ? 96 : 0;
        a.mid_attention = i != 3;
        assert_int_equal(bd_unet_config_save(&a, TMP "/config.json"), BD_OK);
        if (bd_unet_config_load(&b, TMP "/config.json")) fail_msg("%s", bd_error());
        bd_graph *ga = build(&a, 1), *gb = build(&b, 1);
        assert_int_equal(bd_graph_node_count(ga), bd_graph_node_count(gb));
        for (int k = 0; k < bd_graph_node_count(ga); k++)
            assert_memory_equal(bd_graph_node(ga, k), bd_graph_node(gb, k), sizeof(bd_node));
        for (int k = 0; k < bd_graph_tensor_count(ga); k++)
            assert_memory_equal(bd_graph_tensor(ga, k)->dim, bd_graph_tensor(gb, k)->dim,
                                sizeof(int[4]));
        bd_graph_destroy(ga);
        bd_graph_destroy(gb);
    }
}

/* config.json as the CIFAR checkpoint has it: settings that its time did not know are missing */
static const char *const cifar_json =
    "{\"_class_name\": \"UNet2DModel\", \"_diffusers_version\": \"0.0.4\", \"act_fn\": \"silu\","
    "\"attention_head_dim\": null, \"block_out_channels\": [128, 256, 256, 256],"
    "\"center_input_sample\": false, \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\","
    "\"DownBlock2D\", \"DownBlock2D\"], \"downsample_padding\": 0, \"flip_sin_to_cos\": false,"
    "\"freq_shift\": 1, \"in_channels\": 3, \"layers_per_block\": 2, \"mid_block_scale_factor\": 1,"
    "\"norm_eps\": 1e-06, \"norm_num_groups\": 32, \"out_channels\": 3, \"sample_size\": 32,"
    "\"time_embedding_type\": \"positional\", \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\","
    "\"AttnUpBlock2D\", \"UpBlock2D\"]}";

static void test_published_config(void **state) {
    (void)state;
    write_text(TMP "/cifar.json", cifar_json);
    bd_unet_config want, got;
    assert_int_equal(bd_unet_preset(&want, "cifar10", 0, 0), BD_OK);
    if (bd_unet_config_load(&got, TMP "/cifar.json")) fail_msg("%s", bd_error());
    assert_memory_equal(want.channels, got.channels, sizeof want.channels);
    assert_memory_equal(want.down_attention, got.down_attention, sizeof want.down_attention);
    assert_memory_equal(want.up_attention, got.up_attention, sizeof want.up_attention);
    assert_int_equal(got.mid_attention, 1);
    assert_int_equal(got.head_dim, 0);
    assert_int_equal(got.downsample_padding, 0);
    assert_int_equal(got.flip_sin_to_cos, 0);
    assert_int_equal(got.freq_shift, 1);
    assert_int_equal(got.time_dim, 0);
    assert_true(got.eps == 1e-6);
}

#define LISTS                                                                                     \
    "\"block_out_channels\": [16, 32], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"]," \
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"]"

static void test_defaults(void **state) {
    (void)state;
    write_text(TMP "/few.json", "{\"sample_size\": 8, \"norm_num_groups\": 4, " LISTS "}");
    bd_unet_config c;
    if (bd_unet_config_load(&c, TMP "/few.json")) fail_msg("%s", bd_error());
    assert_int_equal(c.in_channels, 3);
    assert_int_equal(c.out_channels, 3);
    assert_int_equal(c.layers, 2);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.downsample_padding, 1);
    assert_int_equal(c.flip_sin_to_cos, 1);
    assert_int_equal(c.freq_shift, 0);
    assert_true(c.eps == 1e-5);
}

static void refuse(const char *setting, const char *named) {
    char text[1024];
    snprintf(text, sizeof text, "{\"sample_size\": 8, \"norm_num_groups\": 4, %s, %s}", LISTS,
             setting);
    write_text(TMP "/bad.json", text);
    bd_unet_config c;
    if (bd_unet_config_load(&c, TMP "/bad.json") != BD_E_FORMAT)
        fail_msg("%s was not refused", setting);
    if (!strstr(bd_error(), named) || !strstr(bd_error(), "bad.json"))
        fail_msg("%s: the message does not name it: %s", setting, bd_error());
}

static void test_unsupported_settings(void **state) {
    (void)state;
    refuse("\"_class_name\": \"UNet2DConditionModel\"", "_class_name");
    refuse("\"act_fn\": \"gelu\"", "act_fn");
    refuse("\"center_input_sample\": true", "center_input_sample");
    refuse("\"class_embed_type\": \"timestep\"", "class_embed_type");
    refuse("\"num_class_embeds\": 10", "num_class_embeds");
    refuse("\"downsample_type\": \"resnet\"", "downsample_type");
    refuse("\"upsample_type\": \"resnet\"", "upsample_type");
    refuse("\"dropout\": 0.1", "dropout");
    refuse("\"mid_block_scale_factor\": 1.4142", "mid_block_scale_factor");
    refuse("\"mid_block_type\": null", "mid_block_type");
    refuse("\"resnet_time_scale_shift\": \"scale_shift\"", "resnet_time_scale_shift");
    refuse("\"time_embedding_type\": \"fourier\"", "time_embedding_type");
    refuse("\"downsample_padding\": 2", "downsample_padding");
    refuse("\"attention_head_dim\": 24", "attention_head_dim");
    refuse("\"freq_shift\": 8", "freq_shift");
    refuse("\"norm_eps\": 0", "norm_eps");
    refuse("\"layers_per_block\": 1.5", "layers_per_block");
    refuse("\"in_channels\": null", "in_channels");
    refuse("\"add_attention\": 1", "add_attention");
    refuse("\"colour\": 3", "colour");
}

static void test_block_lists(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"{\"norm_num_groups\": 4, " LISTS "}", "sample_size"},
        {"{\"sample_size\": [8, 8], \"norm_num_groups\": 4, " LISTS "}", "sample_size"},
        {"{\"sample_size\": 7, \"norm_num_groups\": 4, " LISTS "}", "sample_size"},
        {"{\"sample_size\": 8, \"norm_num_groups\": 5, " LISTS "}", "norm_num_groups"},
        {"{\"sample_size\": 8, \"block_out_channels\": [32], \"down_block_types\": "
         "[\"DownBlock2D\","
         "\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}",
         "down_block_types"},
        {"{\"sample_size\": 8, \"block_out_channels\": [32], \"down_block_types\": "
         "[\"SkipDownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}",
         "SkipDownBlock2D"},
        {"[]", "object"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(TMP "/bad.json", bad[i][0]);
        bd_unet_config c;
        assert_int_equal(bd_unet_config_load(&c, TMP "/bad.json"), BD_E_FORMAT);
        if (!strstr(bd_error(), bad[i][1])) fail_msg("%s: %s", bad[i][0], bd_error());
    }
}

static void test_bad_config_stops_the_builder(void **state) {
    (void)state;
    bd_unet_config c;
    assert_int_equal(bd_unet_preset(&c, "mini", 0, 0), BD_OK);
    c.groups = 5;
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "unet"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, 32, 32, 1);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, 1, 1, 1, 1);
    assert_int_equal(bd_unet_build(g, &c, x, t), -1);
    assert_int_equal(bd_graph_status(g), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "norm_num_groups"));
    bd_graph_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cifar10_keys),
        cmocka_unit_test(test_celebahq_keys),
        cmocka_unit_test(test_scratch_keys),
        cmocka_unit_test(test_mini),
        cmocka_unit_test(test_presets_are_listed),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_published_config),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_unsupported_settings),
        cmocka_unit_test(test_block_lists),
        cmocka_unit_test(test_bad_config_stops_the_builder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
