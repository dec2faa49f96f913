/* import: a model from a folder takes the place of training. It is checked against what the recipe says about it,
 * and kept in the stage's own folder: the files it came from may change. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "run/cost.h"
#include "run/settings.h"
#include "run/stages.h"

static int or_else(int value, int otherwise) { return value ? value : otherwise; }

/* The first setting in which two networks differ, as [model] or [data] calls it; NULL: none. */
static const char *other_setting(const bd_unet_config *a, const bd_unet_config *b) {
    if (a->sample_size != b->sample_size) return "data.size";
    if (a->in_channels != b->in_channels || a->out_channels != b->out_channels)
        return "data.channels";
    if (a->blocks != b->blocks) return "model.block_out_channels";
    for (int i = 0; i < a->blocks; i++) {
        if (a->channels[i] != b->channels[i]) return "model.block_out_channels";
        if (a->down_attention[i] != b->down_attention[i] ||
            a->up_attention[i] != b->up_attention[i])
            return "model.attention";
    }
    if (a->layers != b->layers) return "model.layers_per_block";
    if (a->groups != b->groups ||
        or_else(a->attn_groups, a->groups) != or_else(b->attn_groups, b->groups))
        return "model.groups";
    if (a->head_dim != b->head_dim) return "model.head_dim";
    if (a->eps != b->eps) return "model.eps";
    bool rest =
        a->mid_attention == b->mid_attention && a->downsample_padding == b->downsample_padding &&
        a->flip_sin_to_cos == b->flip_sin_to_cos && a->freq_shift == b->freq_shift &&
        or_else(a->time_dim, 4 * a->channels[0]) == or_else(b->time_dim, 4 * b->channels[0]);
    return rest ? NULL : "model.preset";
}

static bd_status check_network(const bd_model *m, const bd_stage_run *x) {
    bd_unet_config want;
    BD_TRY(bd_stage_unet(&want, x->runner->dag, (int)(x->stage - x->runner->dag->stage)));
    const char *other = other_setting(&m->unet, &want);
    BD_REQUIRE(!other, BD_E_ARG,
               "model.folder = %s: its network is not the one that %s describes; set the recipe as "
               "its config.json says ('baddiff inspect' shows it)",
               x->recipe->model_folder, other);
    return BD_OK;
}

/* Do two schedules add the same noise? A file's numbers may have been rounded to float32. */
static bool same_schedule(const bd_schedule *a, const bd_schedule *b) {
    if (a->T != b->T) return false;
    for (int t = 0; t < a->T; t++)
        if (fabs(a->beta[t] - b->beta[t]) > 1e-6 * b->beta[t]) return false;
    return true;
}

static bd_status check_schedule(const bd_model *m, const bd_stage_run *x) {
    const bd_scheduler_config *s = &m->scheduler;
    const char *folder = x->recipe->model_folder;
    BD_REQUIRE(m->has_scheduler, BD_E_MISSING,
               "model.folder = %s: no scheduler_config.json, so its noise schedule is unknown",
               folder);
    bd_schedule want = {0}, have = {0};
    BD_TRY(bd_recipe_schedule(&want, x->recipe));
    bd_status st = bd_model_schedule(&have, s);
    if (!st && !same_schedule(&have, &want))
        st = bd_fail(BD_E_ARG,
                     "model.folder = %s: it was trained with T %d, beta %s from %g to %g; set "
                     "[diffusion] so",
                     folder, have.T,
                     s->trained_betas      ? "trained_betas"
                     : s->beta_schedule[0] ? s->beta_schedule
                                           : "linear",
                     have.beta_start, have.beta_end);
    bd_schedule_clear(&have);
    bd_schedule_clear(&want);
    return st;
}

/* What the recipe says of the model's training goes into its mark; a marked model is no clean start. */
static bd_status mark(bd_model *m, const bd_stage_run *x) {
    const bd_recipe *r = x->recipe;
    if (r->attack_poison_rate == 0) {
        BD_REQUIRE(!m->mark.backdoored, BD_E_ARG,
                   "model.folder = %s: this model is BACKDOORED; measure it with finetune.from = "
                   "given and [attack] as it was trained",
                   r->model_folder);
        return BD_OK;
    }
    const bd_recipe *data = &x->runner->dag->stage[bd_stage_input(x->stage, "data")].recipe;
    m->mark = (bd_model_mark){.backdoored = true, .poison_rate = r->attack_poison_rate};
    snprintf(m->mark.attack, sizeof m->mark.attack, "%.31s", r->attack_name);
    snprintf(m->mark.trigger, sizeof m->mark.trigger, "%.63s", r->attack_trigger);
    snprintf(m->mark.target, sizeof m->mark.target, "%.63s", r->attack_target);
    snprintf(m->mark.dataset, sizeof m->mark.dataset, "%.31s-%.15s", data->data_set,
             data->data_split);
    return BD_OK;
}

static bd_status take(bd_model *m, bd_stage_run *x) {
    char weights[4096], dir[1200], sha256[65];
    BD_TRY(check_network(m, x));
    BD_TRY(check_schedule(m, x));
    BD_TRY(mark(m, x));
    BD_TRY(bd_model_weights_path(weights, sizeof weights, x->recipe->model_folder));
    BD_TRY(bd_sha256_file(sha256, weights));
    BD_TRY(bd_model_folder(dir, sizeof dir, x->dir, &m->mark));
    BD_TRY(bd_model_save(m, dir));
    BD_TRY(bd_results_count(x->results, "parameters", (int64_t)m->params.count, "",
                            "values in the weights"));
    return bd_results_text(x->results, "sha256", sha256, "", "of the weights file it came from");
}

bd_status bd_stage_run_import(bd_stage_run *x) {
    bd_model m;
    const char *folder = x->recipe->model_folder;
    bd_status st = bd_model_load(&m, folder);
    if (st == BD_E_MISSING)
        return bd_error_advise(st,
                               "model.folder = %s: 'make fetch' lists published models and "
                               "gets them by name",
                               folder);
    if (st) return bd_error_prefix(st, "model.folder");
    st = take(&m, x);
    bd_model_clear(&m);
    return st;
}
