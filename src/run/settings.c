#include "run/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* "16/32/64" -> numbers within lo .. hi. */
static bd_status parse_list(int *out, int *n, const char *name, const char *text, int lo, int hi) {
    *n = 0;
    for (const char *p = text; *p;) {
        char *end;
        long v = strtol(p, &end, 10);
        BD_REQUIRE(end != p && (*end == '/' || !*end) && v >= lo && v <= hi, BD_E_ARG,
                   "%s = %s: write numbers from %d to %d as 16/32/64", name, text, lo, hi);
        BD_REQUIRE(*n < BD_UNET_MAX_BLOCKS, BD_E_ARG, "%s = %s: at most %d resolutions", name, text,
                   BD_UNET_MAX_BLOCKS);
        out[(*n)++] = (int)v;
        p = *end ? end + 1 : end;
    }
    return BD_OK;
}

static bd_status set_blocks(bd_unet_config *u, const bd_recipe *r) {
    int n, attention[BD_UNET_MAX_BLOCKS];
    if (r->model_block_out_channels[0]) {
        int before = u->blocks;
        BD_TRY(parse_list(u->channels, &u->blocks, "model.block_out_channels",
                          r->model_block_out_channels, 1, 4096));
        BD_REQUIRE(u->blocks == before || r->model_attention[0], BD_E_ARG,
                   "model.block_out_channels has %d resolutions, preset %s has %d: set "
                   "model.attention too",
                   u->blocks, r->model_preset, before);
    }
    if (!r->model_attention[0]) return BD_OK;
    BD_TRY(parse_list(attention, &n, "model.attention", r->model_attention, 0, 1));
    BD_REQUIRE(n == u->blocks, BD_E_ARG,
               "model.attention = %s has %d values, there are %d resolutions", r->model_attention,
               n, u->blocks);
    for (int i = 0; i < n; i++) {
        u->down_attention[i] = attention[i];
        u->up_attention[n - 1 - i] = attention[i];
    }
    return BD_OK;
}

bd_status bd_recipe_unet(bd_unet_config *out, const bd_recipe *r) {
    BD_TRY(bd_unet_preset(out, r->model_preset, (int)r->data_size, (int)r->data_channels));
    BD_TRY(set_blocks(out, r));
    if (r->model_layers_per_block) out->layers = (int)r->model_layers_per_block;
    if (r->model_groups) out->groups = (int)r->model_groups;
    if (r->model_head_dim >= 0) out->head_dim = (int)r->model_head_dim;
    if (r->model_eps > 0) out->eps = r->model_eps;
    bd_status st = bd_unet_config_check(out);
    return st ? bd_error_prefix(st, "[model]") : BD_OK;
}

bd_status bd_recipe_schedule(bd_schedule *out, const bd_recipe *r) {
    int T = (int)r->diffusion_T;
    if (r->diffusion_beta_end != 0)
        return bd_schedule_create(out, r->diffusion_schedule, T, r->diffusion_beta_start,
                                  r->diffusion_beta_end);
    BD_TRY(bd_schedule_scaled(out, T));
    if (!strcmp(r->diffusion_schedule, "linear")) return BD_OK;
    double start = out->beta_start, end = out->beta_end;
    bd_schedule_clear(out);
    return bd_schedule_create(out, r->diffusion_schedule, T, start, end);
}

bd_status bd_model_schedule(bd_schedule *out, const bd_scheduler_config *c) {
    if (c->trained_betas) return bd_schedule_from_betas(out, c->trained_betas, c->T);
    return bd_schedule_create(out, c->beta_schedule[0] ? c->beta_schedule : "linear", c->T,
                              c->beta_start, c->beta_end);
}

bd_status bd_recipe_sampler(bd_sampler_spec *out, const bd_recipe *r) {
    memset(out, 0, sizeof *out);
    out->name = r->sample_sampler;
    out->steps = (int)r->sample_steps;
    out->eta = r->sample_eta;
    out->order = (int)r->sample_order;
    out->start = r->sample_start;
    BD_TRY(bd_spacing_parse(&out->spacing, r->sample_spacing));
    BD_TRY(bd_final_parse(&out->final, r->sample_final));
    BD_TRY(bd_variance_parse(&out->variance, r->sample_variance));
    return bd_clip_parse(&out->clip, r->sample_clip);
}

bd_dataset_spec bd_recipe_data(const bd_recipe *r) {
    return (bd_dataset_spec){.name = r->data_set,
                             .split = r->data_split,
                             .dir = strcmp(r->data_folder, "auto") ? r->data_folder : NULL,
                             .size = (int)r->data_size,
                             .channels = (int)r->data_channels,
                             .limit = (int)r->data_limit};
}

int64_t bd_recipe_images(const bd_recipe *r) {
    int64_t n;
    bd_dataset_spec spec = bd_recipe_data(r);
    return bd_dataset_count(&n, &spec) ? 0 : n;
}

bd_loop_options bd_recipe_loop(const bd_recipe *r, bd_stage_kind kind) {
    if (kind == BD_KIND_classifier)
        return (bd_loop_options){.seed = (uint64_t)r->run_seed,
                                 .batch = (int)r->classifier_batch,
                                 .tile = (int)r->classifier_tile,
                                 .epochs = r->classifier_epochs,
                                 .lr = r->classifier_lr,
                                 .warmup = r->classifier_warmup,
                                 .clip = 1};
    if (kind == BD_KIND_anp)
        return (bd_loop_options){.seed = (uint64_t)r->run_seed,
                                 .batch = (int)r->anp_batch,
                                 .tile = (int)r->anp_tile,
                                 .steps = r->anp_steps * r->anp_epochs, /* 0: by epochs */
                                 .epochs = r->anp_epochs,
                                 .lr = r->anp_lr,
                                 .constant = true,
                                 .clip = 1};
#define OPTIONS(section, from_seed)                                                        \
    {                                                                                      \
        .seed = (uint64_t)(from_seed), .batch = (int)r->section##_batch,                   \
        .micro_batch = (int)r->section##_micro_batch, .tile = (int)r->section##_tile,      \
        .steps = r->section##_steps, .epochs = r->section##_epochs, .lr = r->section##_lr, \
        .warmup = r->section##_warmup, .clip = r->section##_clip                           \
    }
    if (kind == BD_KIND_pretrain) return (bd_loop_options)OPTIONS(pretrain, r->pretrain_seed);
    bd_loop_options o = OPTIONS(finetune, r->run_seed);
    o.share = r->finetune_stop;
    return o;
#undef OPTIONS
}
