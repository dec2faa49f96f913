#include "run/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "nn/model.h"
#include "run/folder.h"
#include "run/inputs_list.h"
#include "run/settings.h"
#include "run/stages.h"

enum { SEEN = 64 };

typedef struct {
    bd_inputs *out;
    const bd_dag *d;
    bd_fetch_list list;
    /* what was looked at already, and the place in `out` where something is wrong with it, or -1 */
    struct {
        char what[BD_TEXT_SIZE + 64];
        int at;
    } seen[SEEN];
    int n_seen;
} search;

/* --- what is wrong --- */

static bd_status add(int *at, search *x, const char *name, const char *reason) {
    bd_inputs *out = x->out;
    if (out->n == out->room) {
        int room = out->room ? 2 * out->room : 8;
        bd_input *p = realloc(out->at, (size_t)room * sizeof *p);
        BD_REQUIRE(p, BD_E_MEMORY, "out of memory for the inputs of a plan");
        out->at = p;
        out->room = room;
    }
    bd_input *i = &out->at[out->n];
    *i = (bd_input){0};
    snprintf(i->reason, sizeof i->reason, "%s", reason);
    bd_fetch_list_describe(i, &x->list, name);
    *at = out->n++;
    return BD_OK;
}

/* The folder's name, where `make fetch` fills it: data/models/NAME */
static const char *model_name(const char *folder) {
    static const char place[] = "data/models/";
    return strncmp(folder, place, sizeof place - 1) ? "" : folder + sizeof place - 1;
}

static bd_status check_model(const char *folder) {
    char path[1400];
    bd_model m;
    bd_status st = bd_model_load_settings(&m, folder);
    if (st) return bd_error_prefix(st, "model.folder");
    bd_model_clear(&m);
    BD_TRY(bd_model_weights_path(path, sizeof path, folder));
    const char *what = bd_input_impostor(path);
    return what ? bd_fail(BD_E_FORMAT, "%s: %s", path, what) : BD_OK;
}

/* Pictures are only drawn to see whether they can be. */
static bd_status check_art(const bd_stage *s, const bd_recipe *cell) {
    int S = (int)cell->data_size, C = (int)cell->data_channels;
    float *p = malloc((size_t)S * (size_t)S * (size_t)C * sizeof *p);
    BD_REQUIRE(p, BD_E_MEMORY, "out of memory for a picture");
    bd_status st = BD_OK;
    if (s->kind != BD_KIND_target) st = bd_recipe_trigger(p, cell, cell->attack_trigger, S, C);
    if (!st && s->kind != BD_KIND_sample) st = bd_recipe_target(p, cell, S, C);
    free(p);
    return st;
}

/* --- who needs what --- */

/* -1: not looked at yet */
static int find_seen(const search *x, const char *what) {
    for (int i = 0; i < x->n_seen; i++)
        if (!strcmp(x->seen[i].what, what)) return i;
    return -1;
}

static void count(search *x, int at) {
    if (at >= 0) x->out->at[at].stages++;
}

/* The outcome of a first look: st with bd_error(). Files of the list that are something else count as well. */
static bd_status conclude(search *x, const char *what, const char *name, bd_status st) {
    char reason[BD_INPUT_TEXT] = "";
    int at = -1;
    if (st == BD_E_MEMORY) return st;
    if (st) snprintf(reason, sizeof reason, "%s", bd_error());
    bool wrong = bd_fetch_list_wrong(reason, &x->list, name, st == BD_OK) || st;
    if (wrong) BD_TRY(add(&at, x, name, reason));
    count(x, at);
    if (x->n_seen == SEEN) x->n_seen--; /* looked at again rather than given up */
    snprintf(x->seen[x->n_seen].what, sizeof x->seen[0].what, "%s", what);
    x->seen[x->n_seen++].at = at;
    return BD_OK;
}

/* true: looked at before, and counted */
static bool known(search *x, char *what, size_t size, const char *kind, const char *a,
                  const char *b) {
    snprintf(what, size, "%s %s %s", kind, a, b);
    int i = find_seen(x, what);
    if (i >= 0) count(x, x->seen[i].at);
    return i >= 0;
}

static bd_status need_data(search *x, const bd_recipe *r) {
    char what[BD_TEXT_SIZE + 64];
    bd_dataset_spec spec = bd_recipe_data(r);
    if (known(x, what, sizeof what, "data", r->data_set, r->data_folder)) return BD_OK;
    bool listed = !strcmp(r->data_folder, "auto") && strcmp(r->data_set, "folder") != 0;
    return conclude(x, what, listed ? r->data_set : "", bd_dataset_find(&spec));
}

static bd_status need_model(search *x, const char *folder) {
    char what[BD_TEXT_SIZE + 64];
    if (known(x, what, sizeof what, "model", folder, "")) return BD_OK;
    return conclude(x, what, model_name(folder), check_model(folder));
}

static bd_status need_weights(search *x, const char *given) {
    char what[BD_TEXT_SIZE + 64], path[1400];
    if (known(x, what, sizeof what, "weights", given, "")) return BD_OK;
    bd_status st = bd_fid_weights(path, sizeof path, given);
    return conclude(x, what, given[0] ? "" : "inception", st);
}

static bd_status need_lpips(search *x, const char *folder) {
    char what[BD_TEXT_SIZE + 64], alexnet[1400], heads[1400];
    if (known(x, what, sizeof what, "lpips", folder, "")) return BD_OK;
    bd_status st = bd_lpips_folder(alexnet, heads, sizeof heads, folder);
    return conclude(x, what, folder[0] ? "" : "lpips", st);
}

static bd_status need_art(search *x, const bd_stage *s) {
    const bd_recipe *cell = &x->d->cell[s->cell].recipe;
    char what[BD_TEXT_SIZE + 64], names[2 * BD_TEXT_SIZE];
    snprintf(names, sizeof names, "%.40s %.40s", cell->attack_trigger, cell->attack_target);
    if (known(x, what, sizeof what, "art", bd_stage_kind_name(s->kind), names)) return BD_OK;
    return conclude(x, what, "art", check_art(s, cell));
}

static bd_status look_at(search *x, int stage) {
    const bd_dag *d = x->d;
    const bd_stage *s = &d->stage[stage];
    if (s->kind == BD_KIND_data) return need_data(x, &s->recipe);
    if (s->kind == BD_KIND_import) return need_model(x, s->recipe.model_folder);
    if (s->kind == BD_KIND_moments) BD_TRY(need_weights(x, s->recipe.metric_inception));
    if (s->kind == BD_KIND_lpips) BD_TRY(need_lpips(x, s->recipe.metric_lpips_folder));
    if (!strcmp(s->recipe.attack_art, "original") &&
        (s->kind == BD_KIND_finetune || s->kind == BD_KIND_sample || s->kind == BD_KIND_target))
        BD_TRY(need_art(x, s));
    for (int i = 0; i < s->n_in; i++)
        if (d->stage[s->in[i].stage].kind == BD_KIND_data)
            BD_TRY(need_data(x, &d->stage[s->in[i].stage].recipe));
    return BD_OK;
}

/* One picture that is missing is missed by several triggers and targets. */
static void join_same(bd_inputs *x) {
    int n = 0;
    for (int i = 0; i < x->n; i++) {
        int k = 0;
        while (k < n && strcmp(x->at[k].reason, x->at[i].reason) != 0) k++;
        if (k < n)
            x->at[k].stages += x->at[i].stages;
        else
            x->at[n++] = x->at[i];
    }
    x->n = n;
}

bd_status bd_inputs_missing(bd_inputs *out, const bd_dag *d, const char *runs, const bool *needed) {
    *out = (bd_inputs){0};
    search *x = calloc(1, sizeof *x);
    BD_REQUIRE(x, BD_E_MEMORY, "out of memory for the inputs of a plan");
    x->out = out;
    x->d = d;
    bd_status st = bd_fetch_list_load(&x->list, BD_INPUTS_LIST);
    for (int i = 0; i < d->n_stages && !st; i++)
        if ((!needed || needed[i]) && !bd_stage_done(runs, &d->stage[i])) st = look_at(x, i);
    if (!st) join_same(out);
    bd_fetch_list_clear(&x->list);
    free(x);
    return st;
}

void bd_inputs_clear(bd_inputs *x) {
    free(x->at);
    *x = (bd_inputs){0};
}
