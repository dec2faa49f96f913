/* scheduler_config.json of a model folder. */
#include <stdlib.h>
#include <string.h>

#include "nn/config_impl.h"
#include "nn/model.h"

enum { T_MAX = 1000000 };

static const bd_fixed_setting fixed[] = {{"_class_name", "\"DDPMScheduler\"", "\"DDIMScheduler\""},
                                         {"clip_sample_range", "1.0", NULL},
                                         {"prediction_type", "\"epsilon\"", NULL},
                                         {"rescale_betas_zero_snr", "false", NULL},
                                         {"steps_offset", "0", NULL},
                                         {"thresholding", "false", NULL},
                                         {"timestep_spacing", "\"leading\"", NULL}};

/* The names that bd_schedule_create knows; src/nn cannot ask it. tests/test_model.c compares. */
static const char *const schedules[] = {"linear", "scaled_linear", "squaredcos_cap_v2"};

/* Of older versions: read, not written. */
static const bd_fixed_setting older[] = {{"predict_epsilon", "true", NULL},
                                         {"set_alpha_to_one", "true", NULL}};

/* Change nothing here: notes of the library, and details of thresholding, which is off. */
static const char *const notes[] = {
    "_diffusers_version",         "_name_or_path",    "_use_default_values", "_commit_hash",
    "dynamic_thresholding_ratio", "sample_max_value", "tensor_format"};

static bd_status read_schedule(bd_scheduler_config *c, const bd_json *doc) {
    const char *kind;
    BD_TRY(bd_json_get_string(&kind, doc, "beta_schedule"));
    BD_REQUIRE(bd_key_in(schedules, sizeof schedules / sizeof *schedules, kind), BD_E_FORMAT,
               "%s: beta_schedule = %s; linear, scaled_linear and squaredcos_cap_v2 are supported",
               doc->file, kind);
    memcpy(c->beta_schedule, kind, strlen(kind) + 1);
    return BD_OK;
}

/* A list of betas goes before the schedule, as in diffusers. */
static bd_status read_betas(bd_scheduler_config *c, const bd_json *doc, const json_t *v) {
    bd_json list;
    size_t n;
    if (json_is_null(v)) return BD_OK;
    BD_TRY(bd_json_get_array(&list, &n, doc, "trained_betas"));
    BD_REQUIRE(n >= 1 && n <= T_MAX, BD_E_FORMAT, "%s: trained_betas has %zu entries; 1 to %d",
               doc->file, n, T_MAX);
    c->trained_betas = malloc(n * sizeof *c->trained_betas);
    BD_REQUIRE(c->trained_betas, BD_E_MEMORY, "%s: out of memory", doc->file);
    c->n_trained_betas = (int)n;
    for (size_t i = 0; i < n; i++) {
        BD_TRY(bd_json_item_double(&c->trained_betas[i], &list, i));
        BD_REQUIRE(c->trained_betas[i] > 0 && c->trained_betas[i] < 1, BD_E_FORMAT,
                   "%s: trained_betas[%zu] = %g; must lie between 0 and 1", doc->file, i,
                   c->trained_betas[i]);
    }
    return BD_OK;
}

static bd_status read_setting(bd_scheduler_config *c, const bd_json *doc, const char *key,
                              const json_t *v) {
    if (strcmp(key, "num_train_timesteps") == 0) {
        int64_t T;
        BD_TRY(bd_json_get_int(&T, doc, key, 1, T_MAX));
        c->T = (int)T;
        return BD_OK;
    }
    if (strcmp(key, "beta_start") == 0) return bd_json_get_double(&c->beta_start, doc, key);
    if (strcmp(key, "beta_end") == 0) return bd_json_get_double(&c->beta_end, doc, key);
    if (strcmp(key, "clip_sample") == 0) return bd_json_get_bool(&c->clip_sample, doc, key);
    if (strcmp(key, "beta_schedule") == 0) return read_schedule(c, doc);
    if (strcmp(key, "trained_betas") == 0) return read_betas(c, doc, v);
    if (strcmp(key, "variance_type") == 0) {
        const char *type;
        BD_TRY(bd_json_get_string(&type, doc, key));
        BD_REQUIRE(strcmp(type, "fixed_small") == 0 || strcmp(type, "fixed_large") == 0,
                   BD_E_FORMAT, "%s: variance_type = %s; fixed_small and fixed_large are supported",
                   doc->file, type);
        memcpy(c->variance_type, type, strlen(type) + 1);
        return BD_OK;
    }
    bool known, known_older;
    BD_TRY(bd_fixed_check(&known, fixed, sizeof fixed / sizeof *fixed, doc, key, v));
    BD_TRY(bd_fixed_check(&known_older, older, sizeof older / sizeof *older, doc, key, v));
    if (known || known_older || bd_key_in(notes, sizeof notes / sizeof *notes, key)) return BD_OK;
    return bd_fail(BD_E_FORMAT, "%s: unknown setting %s; remove it if it changes nothing",
                   doc->file, key);
}

static bd_status check(const bd_scheduler_config *c, bd_status code, const char *path) {
    BD_REQUIRE(c->beta_start > 0 && c->beta_start <= c->beta_end && c->beta_end < 1, code,
               "%s: beta_start = %g, beta_end = %g; must be 0 < beta_start <= beta_end < 1", path,
               c->beta_start, c->beta_end);
    BD_REQUIRE(!c->trained_betas || c->n_trained_betas == c->T, code,
               "%s: trained_betas has %d entries, num_train_timesteps is %d", path,
               c->n_trained_betas, c->T);
    return BD_OK;
}

bd_status bd_scheduler_config_load(bd_scheduler_config *out, const char *path) {
    /* what DDPMScheduler takes when a setting is missing */
    bd_scheduler_config c = {.T = 1000,
                             .beta_start = 1e-4,
                             .beta_end = 0.02,
                             .beta_schedule = "linear",
                             .clip_sample = true,
                             .variance_type = "fixed_small"};
    bd_json doc;
    BD_TRY(bd_json_load(&doc, path, 0));
    bd_status st = BD_OK;
    const char *key;
    json_t *v;
    if (!json_is_object(doc.node)) st = bd_fail(BD_E_FORMAT, "%s: not a JSON object", path);
    json_object_foreach((json_t *)(uintptr_t)doc.node, key, v) /* reads only */
        if (!st) st = read_setting(&c, &doc, key, v);
    if (!st) st = check(&c, BD_E_FORMAT, path);
    bd_json_destroy(&doc);
    if (st)
        bd_scheduler_config_clear(&c);
    else
        *out = c;
    return st;
}

void bd_scheduler_config_clear(bd_scheduler_config *c) {
    free(c->trained_betas);
    *c = (bd_scheduler_config){0};
}

static json_t *betas_json(const bd_scheduler_config *c) {
    json_t *list = c->trained_betas ? json_array() : json_null();
    int bad = !list;
    for (int i = 0; !bad && c->trained_betas && i < c->T; i++)
        bad = json_array_append_new(list, json_real(c->trained_betas[i]));
    if (!bad) return list;
    json_decref(list);
    return NULL;
}

bd_status bd_scheduler_config_save(const bd_scheduler_config *c, const char *path) {
    BD_TRY(check(c, BD_E_ARG, path));
    json_t *o = json_object();
    int bad = !o || bd_fixed_put(o, fixed, sizeof fixed / sizeof *fixed);
    bad |= json_object_set_new(o, "num_train_timesteps", json_integer(c->T));
    bad |= json_object_set_new(o, "beta_start", json_real(c->beta_start));
    bad |= json_object_set_new(o, "beta_end", json_real(c->beta_end));
    bad |= json_object_set_new(o, "beta_schedule",
                               json_string(c->beta_schedule[0] ? c->beta_schedule : "linear"));
    bad |= json_object_set_new(o, "trained_betas", betas_json(c));
    bad |= json_object_set_new(o, "clip_sample", json_boolean(c->clip_sample));
    bad |= json_object_set_new(o, "variance_type", json_string(c->variance_type));
    bd_status st = bad ? bd_fail(BD_E_MEMORY, "%s: out of memory", path) : bd_json_save(path, o);
    json_decref(o);
    return st;
}
