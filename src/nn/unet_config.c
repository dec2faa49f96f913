/* Settings of the UNet: presets, consistency, and diffusers' config.json. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "nn/config_impl.h"
#include "nn/unet.h"

enum { SIZE_MAX_PIXELS = 4096, CHANNELS_MAX = 8192 };

/* --- presets --- */

static const bd_unet_config cifar10 = {.sample_size = 32,
                                       .in_channels = 3,
                                       .out_channels = 3,
                                       .blocks = 4,
                                       .channels = {128, 256, 256, 256},
                                       .down_attention = {0, 1, 0, 0},
                                       .up_attention = {0, 0, 1, 0},
                                       .mid_attention = 1,
                                       .layers = 2,
                                       .groups = 32,
                                       .eps = 1e-6,
                                       .freq_shift = 1};

static const bd_unet_config celebahq = {.sample_size = 256,
                                        .in_channels = 3,
                                        .out_channels = 3,
                                        .blocks = 6,
                                        .channels = {128, 128, 256, 256, 512, 512},
                                        .down_attention = {0, 0, 0, 0, 1, 0},
                                        .up_attention = {0, 1, 0, 0, 0, 0},
                                        .mid_attention = 1,
                                        .layers = 2,
                                        .groups = 32,
                                        .eps = 1e-6,
                                        .freq_shift = 1};

static const bd_unet_config scratch = {.sample_size = 32,
                                       .in_channels = 3,
                                       .out_channels = 3,
                                       .blocks = 6,
                                       .channels = {128, 128, 256, 256, 512, 512},
                                       .down_attention = {0, 0, 0, 0, 1, 0},
                                       .up_attention = {0, 1, 0, 0, 0, 0},
                                       .mid_attention = 1,
                                       .layers = 2,
                                       .head_dim = 8,
                                       .groups = 32,
                                       .eps = 1e-5,
                                       .downsample_padding = 1,
                                       .flip_sin_to_cos = 1};

static const bd_unet_config mini = {.sample_size = 32,
                                    .in_channels = 1,
                                    .out_channels = 1,
                                    .blocks = 3,
                                    .channels = {16, 32, 64},
                                    .down_attention = {0, 0, 1},
                                    .up_attention = {1, 0, 0},
                                    .mid_attention = 1,
                                    .layers = 1,
                                    .groups = 8,
                                    .eps = 1e-6,
                                    .freq_shift = 1};

static const struct {
    const char *name;
    const bd_unet_config *config;
} presets[] = {
    {"mini", &mini}, {"cifar10", &cifar10}, {"celebahq", &celebahq}, {"scratch", &scratch}};

const char *bd_unet_preset_at(int i) {
    return i >= 0 && i < (int)(sizeof presets / sizeof *presets) ? presets[i].name : NULL;
}

bd_status bd_unet_preset(bd_unet_config *out, const char *name, int S, int C) {
    char known[128] = "";
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", presets[i].name);
        if (strcmp(presets[i].name, name) != 0) continue;
        *out = *presets[i].config;
        if (S) out->sample_size = S;
        if (C) out->in_channels = out->out_channels = C;
        return bd_unet_config_check(out);
    }
    return bd_fail(BD_E_ARG, "no UNet is named %s; there are %s", name, known);
}

/* --- consistency --- */

static bd_status check_attention(const bd_unet_config *c, const char *where, int channels) {
    BD_REQUIRE(!c->head_dim || channels % c->head_dim == 0, BD_E_ARG,
               "attention_head_dim = %d does not divide the %d channels of %s", c->head_dim,
               channels, where);
    return BD_OK;
}

static bd_status check_block(const bd_unet_config *c, int i) {
    int last = c->blocks - 1, n = c->channels[i], up = last - i;
    BD_REQUIRE(n >= 1 && n <= CHANNELS_MAX, BD_E_ARG,
               "block_out_channels[%d] = %d; must be 1 to %d", i, n, CHANNELS_MAX);
    BD_REQUIRE(n % c->groups == 0, BD_E_ARG,
               "block_out_channels[%d] = %d is no multiple of norm_num_groups = %d", i, n,
               c->groups);
    if (c->down_attention[i]) BD_TRY(check_attention(c, "down block", n));
    if (c->up_attention[up]) BD_TRY(check_attention(c, "up block", n));
    return BD_OK;
}

#define RANGE(field, key, low, high)                                                             \
    BD_REQUIRE(c->field >= (low) && c->field <= (high), BD_E_ARG, key " = %d; must be %d to %d", \
               c->field, low, high)

bd_status bd_unet_config_check(const bd_unet_config *c) {
    RANGE(sample_size, "sample_size", 1, SIZE_MAX_PIXELS);
    RANGE(in_channels, "in_channels", 1, CHANNELS_MAX);
    RANGE(out_channels, "out_channels", 1, CHANNELS_MAX);
    RANGE(blocks, "blocks (entries of block_out_channels)", 1, BD_UNET_MAX_BLOCKS);
    RANGE(layers, "layers_per_block", 1, 16);
    RANGE(head_dim, "attention_head_dim", 0, CHANNELS_MAX);
    RANGE(groups, "norm_num_groups", 1, CHANNELS_MAX);
    RANGE(attn_groups, "attn_norm_num_groups", 0, CHANNELS_MAX);
    RANGE(downsample_padding, "downsample_padding", 0, 1);
    RANGE(flip_sin_to_cos, "flip_sin_to_cos", 0, 1);
    RANGE(time_dim, "time_embedding_dim", 0, CHANNELS_MAX);
    BD_REQUIRE(c->eps > 0 && c->eps < 1, BD_E_ARG, "norm_eps = %g; must lie between 0 and 1",
               c->eps);
    int halvings = c->blocks - 1;
    BD_REQUIRE(c->sample_size % (1 << halvings) == 0, BD_E_ARG,
               "sample_size = %d is no multiple of %d, as %d blocks of block_out_channels want",
               c->sample_size, 1 << halvings, c->blocks);
    for (int i = 0; i < c->blocks; i++) BD_TRY(check_block(c, i));
    int mid = c->channels[halvings];
    BD_REQUIRE(!c->attn_groups || mid % c->attn_groups == 0, BD_E_ARG,
               "attn_norm_num_groups = %d does not divide the %d channels of the mid block",
               c->attn_groups, mid);
    if (c->mid_attention) BD_TRY(check_attention(c, "mid_block", mid));
    BD_REQUIRE(c->channels[0] % 2 == 0 && c->freq_shift >= 0 && c->freq_shift < c->channels[0] / 2,
               BD_E_ARG,
               "block_out_channels[0] = %d with freq_shift = %d: the time embedding needs an even "
               "width and a shift from 0 to below its half",
               c->channels[0], c->freq_shift);
    return BD_OK;
}

/* --- config.json --- */

/* Settings that are numbers of bd_unet_config. null: what null stands for, -1 = null is refused. */
static const struct {
    const char *key;
    size_t offset;
    int null;
} numbers[] = {{"sample_size", offsetof(bd_unet_config, sample_size), -1},
               {"in_channels", offsetof(bd_unet_config, in_channels), -1},
               {"out_channels", offsetof(bd_unet_config, out_channels), -1},
               {"layers_per_block", offsetof(bd_unet_config, layers), -1},
               {"attention_head_dim", offsetof(bd_unet_config, head_dim), 0},
               {"norm_num_groups", offsetof(bd_unet_config, groups), -1},
               {"attn_norm_num_groups", offsetof(bd_unet_config, attn_groups), 0},
               {"downsample_padding", offsetof(bd_unet_config, downsample_padding), -1},
               {"freq_shift", offsetof(bd_unet_config, freq_shift), -1},
               {"time_embedding_dim", offsetof(bd_unet_config, time_dim), 0}};

static const struct {
    const char *key;
    size_t offset;
} switches[] = {{"flip_sin_to_cos", offsetof(bd_unet_config, flip_sin_to_cos)},
                {"add_attention", offsetof(bd_unet_config, mid_attention)}};

/* Settings that have one value this UNet can honour, and another spelling of it. */
static const bd_fixed_setting fixed[] = {{"_class_name", "\"UNet2DModel\"", NULL},
                                         {"act_fn", "\"silu\"", "\"swish\""},
                                         {"center_input_sample", "false", NULL},
                                         {"class_embed_type", "null", NULL},
                                         {"downsample_type", "\"conv\"", NULL},
                                         {"dropout", "0", NULL},
                                         {"mid_block_scale_factor", "1", NULL},
                                         {"mid_block_type", "\"UNetMidBlock2D\"", NULL},
                                         {"num_class_embeds", "null", NULL},
                                         {"resnet_time_scale_shift", "\"default\"", NULL},
                                         {"time_embedding_type", "\"positional\"", NULL},
                                         {"upsample_type", "\"conv\"", NULL}};

/* Settings that change no number of this UNet: notes of the library, and the range of a learned
 * time embedding, which it has not. */
static const char *const notes[] = {"_diffusers_version", "_name_or_path", "_use_default_values",
                                    "_commit_hash", "num_train_timesteps"};

static const char *const lists[] = {"block_out_channels", "down_block_types", "up_block_types"};

static int *int_at(bd_unet_config *c, size_t offset) { return (int *)(void *)((char *)c + offset); }

static bd_status read_types(int *attention, int n, const bd_json *doc, const char *key,
                            const char *plain, const char *attn) {
    bd_json list;
    size_t count;
    BD_TRY(bd_json_get_array(&list, &count, doc, key));
    BD_REQUIRE(count == (size_t)n, BD_E_FORMAT, "%s: %s has %zu entries, block_out_channels %d",
               doc->file, key, count, n);
    for (int i = 0; i < n; i++) {
        const char *type;
        BD_TRY(bd_json_item_string(&type, &list, (size_t)i));
        attention[i] = strcmp(type, attn) == 0;
        BD_REQUIRE(attention[i] || strcmp(type, plain) == 0, BD_E_FORMAT,
                   "%s: %s[%d] = %s; this UNet knows %s and %s", doc->file, key, i, type, plain,
                   attn);
    }
    return BD_OK;
}

static bd_status read_blocks(bd_unet_config *c, const bd_json *doc) {
    bd_json list;
    size_t n;
    BD_TRY(bd_json_get_array(&list, &n, doc, "block_out_channels"));
    BD_REQUIRE(n >= 1 && n <= BD_UNET_MAX_BLOCKS, BD_E_FORMAT,
               "%s: block_out_channels has %zu entries; 1 to %d can be built", doc->file, n,
               BD_UNET_MAX_BLOCKS);
    c->blocks = (int)n;
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        BD_TRY(bd_json_item_int(&v, &list, i, 1, CHANNELS_MAX));
        c->channels[i] = (int)v;
    }
    BD_TRY(read_types(c->down_attention, c->blocks, doc, "down_block_types", "DownBlock2D",
                      "AttnDownBlock2D"));
    return read_types(c->up_attention, c->blocks, doc, "up_block_types", "UpBlock2D",
                      "AttnUpBlock2D");
}

/* One setting of the file; block lists are read apart. */
static bd_status read_setting(bd_unet_config *c, const bd_json *doc, const char *key,
                              const json_t *v) {
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(key, numbers[i].key) != 0) continue;
        int64_t value = numbers[i].null;
        if (!json_is_null(v) || value < 0) BD_TRY(bd_json_get_int(&value, doc, key, 0, 1 << 20));
        *int_at(c, numbers[i].offset) = (int)value;
        return BD_OK;
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (strcmp(key, switches[i].key) != 0) continue;
        bool value;
        BD_TRY(bd_json_get_bool(&value, doc, key));
        *int_at(c, switches[i].offset) = value;
        return BD_OK;
    }
    bool known;
    BD_TRY(bd_fixed_check(&known, fixed, sizeof fixed / sizeof *fixed, doc, key, v));
    if (known || bd_key_in(notes, sizeof notes / sizeof *notes, key)) return BD_OK;
    if (strcmp(key, "norm_eps") == 0) return bd_json_get_double(&c->eps, doc, key);
    if (bd_key_in(lists, sizeof lists / sizeof *lists, key)) return BD_OK;
    return bd_fail(BD_E_FORMAT, "%s: unknown setting %s; remove it if it changes nothing",
                   doc->file, key);
}

static bd_status read_config(bd_unet_config *c, const bd_json *doc) {
    /* what UNet2DModel takes when a setting is missing */
    *c = (bd_unet_config){.in_channels = 3,
                          .out_channels = 3,
                          .mid_attention = 1,
                          .layers = 2,
                          .head_dim = 8,
                          .groups = 32,
                          .eps = 1e-5,
                          .downsample_padding = 1,
                          .flip_sin_to_cos = 1};
    BD_REQUIRE(json_is_object(doc->node), BD_E_FORMAT, "%s: not a JSON object", doc->file);
    BD_REQUIRE(bd_json_has(doc, "sample_size"), BD_E_FORMAT,
               "%s: sample_size is missing; it must be the width of the images", doc->file);
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)doc->node, key, v) /* reads only */
        BD_TRY(read_setting(c, doc, key, v));
    BD_TRY(read_blocks(c, doc));
    bd_status st = bd_unet_config_check(c);
    return st ? bd_error_prefix(BD_E_FORMAT, "%s", doc->file) : BD_OK;
}

bd_status bd_unet_config_load(bd_unet_config *out, const char *path) {
    bd_json doc;
    BD_TRY(bd_json_load(&doc, path, 0));
    bd_unet_config c;
    bd_status st = read_config(&c, &doc);
    if (!st) *out = c;
    bd_json_destroy(&doc);
    return st;
}

static int put_blocks(json_t *o, const bd_unet_config *c) {
    json_t *channels = json_array(), *down = json_array(), *up = json_array();
    int bad = 0;
    for (int i = 0; i < c->blocks; i++) {
        bad |= json_array_append_new(channels, json_integer(c->channels[i]));
        bad |= json_array_append_new(
            down, json_string(c->down_attention[i] ? "AttnDownBlock2D" : "DownBlock2D"));
        bad |= json_array_append_new(
            up, json_string(c->up_attention[i] ? "AttnUpBlock2D" : "UpBlock2D"));
    }
    bad |= json_object_set_new(o, "block_out_channels", channels);
    bad |= json_object_set_new(o, "down_block_types", down);
    bad |= json_object_set_new(o, "up_block_types", up);
    return bad;
}

bd_status bd_unet_config_save(const bd_unet_config *c, const char *path) {
    BD_TRY(bd_unet_config_check(c));
    json_t *o = json_object();
    int bad = !o || put_blocks(o, c);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int v = *int_at((bd_unet_config *)(uintptr_t)c, numbers[i].offset); /* reads only */
        bad |= json_object_set_new(o, numbers[i].key,
                                   v == 0 && numbers[i].null == 0 ? json_null() : json_integer(v));
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        bad |= json_object_set_new(
            o, switches[i].key,
            json_boolean(*int_at((bd_unet_config *)(uintptr_t)c, switches[i].offset)));
    bad = bad || bd_fixed_put(o, fixed, sizeof fixed / sizeof *fixed);
    bad |= json_object_set_new(o, "norm_eps", json_real(c->eps));
    bd_status st = bad ? bd_fail(BD_E_MEMORY, "%s: out of memory", path) : bd_json_save(path, o);
    json_decref(o);
    return st;
}
