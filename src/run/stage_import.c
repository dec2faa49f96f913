/* import: a model from a folder takes the place of training. It must fit the pictures of the recipe,
 * and is kept in the stage's own folder: the files it came from may change. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "run/stages.h"

/* The pictures decide; [model] and [diffusion] are not asked where there is a folder. */
static bd_status check_fit(const bd_model *m, const bd_stage_run *x) {
    const bd_recipe *data = &x->runner->dag->stage[bd_stage_input(x->stage, "data")].recipe;
    const bd_unet_config *u = &m->unet;
    const char *folder = x->recipe->model_folder;
    BD_REQUIRE(u->in_channels == u->out_channels && (u->in_channels == 1 || u->in_channels == 3),
               BD_E_ARG,
               "model.folder = %s: it takes %d channels and gives %d; 1 or 3 of both are needed",
               folder, u->in_channels, u->out_channels);
    BD_REQUIRE(u->sample_size == data->data_size && u->in_channels == data->data_channels, BD_E_ARG,
               "model.folder = %s: it paints %dx%d pixels of %d channels: set data.size = %d and "
               "data.channels = %d",
               folder, u->sample_size, u->sample_size, u->in_channels, u->sample_size,
               u->in_channels);
    BD_REQUIRE(m->has_scheduler, BD_E_MISSING,
               "model.folder = %s: no scheduler_config.json, so its noise schedule is unknown",
               folder);
    return BD_OK;
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
    BD_TRY(check_fit(m, x));
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
