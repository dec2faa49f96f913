/* What is in a weights file or model folder; says loudly when the model is backdoored. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "io/tensors.h"
#include "nn/model.h"

enum { PATH_BYTES = 4096 };

static const char *or_unknown(const char *text) { return text[0] ? text : "not stated"; }

static void print_mark(const bd_model_mark *m) {
    static const char *const rule =
        "################################################################################";
    if (!m->backdoored) return;
    printf("%s\nBACKDOORED: this model paints a fixed target when its noise carries a trigger.\n"
           "attack       %s\ntrigger      %s\ntarget       %s\ntrained on   %s\n",
           rule, or_unknown(m->attack), or_unknown(m->trigger), or_unknown(m->target),
           or_unknown(m->dataset));
    if (m->poison_rate > 0)
        printf("poison rate  %g\n", m->poison_rate);
    else
        printf("poison rate  not stated\n");
    printf("For research on defences only: do not use it, pass it on or build on it as a clean "
           "model.\n%s\n",
           rule);
}

/* Names and texts come from the file: nothing of them may end a line or steer a terminal. */
static void print_text(const char *text, char end) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        putchar(*c < 0x20 || *c == 0x7f ? '?' : *c);
    putchar(end);
}

static void print_tensor(const bd_st_tensor *t) {
    print_text(t->name, '\t');
    printf("%s\t", bd_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++) printf("%s%lld", i ? "x" : "", (long long)t->dim[i]);
    printf("%s\n", t->rank ? "" : "scalar");
}

/* NaN or infinity: such weights are no model's. */
static bool has_no_number(const bd_st_tensor *t) {
    size_t n = bd_st_is_float(t) ? t->bytes / bd_dtype_size(t->dtype) : 0;
    for (size_t k = 0; k < n; k++)
        if (!isfinite(bd_st_float(t, k))) return true;
    return false;
}

static void print_file(const bd_tensors *s) {
    uint64_t elements = 0, bytes = 0, bad = 0;
    printf("format\t%s\n", bd_tensors_format(s));
    for (size_t i = 0; i < bd_tensors_meta_count(s); i++) {
        const char *key, *value;
        bd_tensors_meta_at(s, i, &key, &value);
        printf("metadata\t");
        print_text(key, '\t');
        print_text(value, '\n');
    }
    for (size_t i = 0; i < bd_tensors_count(s); i++) {
        const bd_st_tensor *t = bd_tensors_at(s, i);
        print_tensor(t);
        elements += t->bytes / bd_dtype_size(t->dtype);
        bytes += t->bytes;
        if (has_no_number(t)) {
            printf("not finite\t");
            print_text(t->name, '\n');
            bad++;
        }
    }
    if (bad) printf("not finite\t%llu tensors hold NaN or infinity\n", (unsigned long long)bad);
    printf("tensors\t%zu\nparameters\t%llu\nbytes\t%llu\n", bd_tensors_count(s),
           (unsigned long long)elements, (unsigned long long)bytes);
}

static bd_status inspect_file(const char *path, const bd_model_mark *mark) {
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, path));
    print_file(s);
    print_mark(mark); /* again, below a listing that scrolled the first away */
    bd_tensors_destroy(s);
    return BD_OK;
}

static void print_unet(const bd_unet_config *c) {
    printf("unet\t%dx%d pixels, %d -> %d channels, block_out_channels", c->sample_size,
           c->sample_size, c->in_channels, c->out_channels);
    for (int i = 0; i < c->blocks; i++) printf("%s%d", i ? "," : " ", c->channels[i]);
    printf(", layers_per_block %d, norm_num_groups %d, norm_eps %g, ", c->layers, c->groups,
           c->eps);
    if (c->head_dim)
        printf("attention_head_dim %d", c->head_dim);
    else
        printf("one attention head");
    printf(", attention");
    for (int i = 0; i < c->blocks; i++) printf("%s%d", i ? "/" : " ", c->down_attention[i]);
    printf(" down, %d middle,", c->mid_attention);
    for (int i = 0; i < c->blocks; i++) printf("%s%d", i ? "/" : " ", c->up_attention[i]);
    printf(" up, downsample_padding %d, flip_sin_to_cos %s, freq_shift %d\n", c->downsample_padding,
           c->flip_sin_to_cos ? "true" : "false", c->freq_shift);
}

/* A folder is loaded as a model, so that weights that do not fit config.json are found. */
static bd_status inspect_folder(const char *dir) {
    bd_model m;
    char path[PATH_BYTES];
    bool announced;
    BD_TRY(bd_model_announced(&announced, dir));
    bd_status st = bd_model_load(&m, dir);
    if (st && announced) print_mark(&(bd_model_mark){.backdoored = true});
    BD_TRY(st);
    const bd_model_mark mark = m.mark;
    print_mark(&mark);
    print_unet(&m.unet);
    if (m.has_scheduler)
        printf("scheduler\tT %d, beta %g to %g, %s, %s, clip_sample %s\n", m.scheduler.T,
               m.scheduler.beta_start, m.scheduler.beta_end,
               m.scheduler.trained_betas ? "trained_betas" : m.scheduler.beta_schedule,
               m.scheduler.variance_type, m.scheduler.clip_sample ? "true" : "false");
    bd_model_clear(&m);
    BD_TRY(bd_model_weights_path(path, sizeof path, dir));
    return inspect_file(path, &mark);
}

static bd_status inspect(const char *path) {
    bd_model_mark mark;
    if (bd_file_is_dir(path)) return inspect_folder(path);
    BD_TRY(bd_model_is_backdoored(&mark, path));
    print_mark(&mark);
    return inspect_file(path, &mark);
}

int bd_cli_inspect(int argc, char **argv) {
    static const bd_cmd cmd = {
        "inspect FILE|DIR",
        "Lists the tensors and metadata of a weights file: safetensors, or a state dict of "
        "PyTorch\n"
        "(.bin, .pt, .pth; zip or legacy layout), told by its content; or of a model folder, "
        "whose\n"
        "weights are checked against its config.json. Nothing in a file is run. A backdoored "
        "model\n"
        "is announced above and below. Output: lines of tab-separated fields: what, then\n"
        "  metadata KEY VALUE   a text beside the tensors\n"
        "  NAME TYPE SHAPE      a tensor; TYPE is F32 F64 F16 BF16 I64 I32 or U8\n"
        "  not finite NAME      a tensor with NaN or infinity\n"
        "  format, unet, scheduler, tensors, parameters, bytes",
        NULL,
        0,
        1,
        1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    bd_status st = inspect(args[0]);
    return st ? bd_cli_fail(st) : 0;
}
