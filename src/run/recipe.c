#include "run/recipe.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/target.h"
#include "data/trigger.h"
#include "io/csv.h"
#include "diffusion/sampler.h"
#include "run/nearest.h"

#define BD_LIST(text) text, NULL
#define BD_FROM(function) NULL, function
#define IN(kind) (1u << BD_KIND_##kind)
#define MODEL (IN(pretrain) | IN(import) | IN(finetune))
#define HEAD(section, key, type) \
#section "." #key, #section, #key, type, offsetof(bd_recipe, section##_##key)

static const bd_field fields[] = {
#define BD_INT(section, key, def, lo, hi, unit, neutral, kinds, help) \
    {HEAD(section, key, BD_FIELD_INT), #def, lo, hi, NULL, NULL, unit, neutral, help, kinds},
#define BD_REAL(section, key, def, lo, hi, unit, neutral, kinds, help) \
    {HEAD(section, key, BD_FIELD_REAL), #def, lo, hi, NULL, NULL, unit, neutral, help, kinds},
#define BD_NAME(section, key, def, choices, neutral, kinds, help) \
    {HEAD(section, key, BD_FIELD_NAME), def, 0, 0, choices, "", neutral, help, kinds},
#define BD_TEXT(section, key, def, neutral, kinds, help) \
    {HEAD(section, key, BD_FIELD_TEXT), def, 0, 0, NULL, NULL, "", neutral, help, kinds},
#include "run/fields.def"
#undef BD_INT
#undef BD_REAL
#undef BD_NAME
#undef BD_TEXT
};

enum { N_FIELDS = sizeof fields / sizeof fields[0] };

const char *bd_stage_kind_name(bd_stage_kind kind) {
    static const char *const names[] = {
#define BD_KIND(name, numerics, help) #name,
#include "run/kinds.def"
#undef BD_KIND
    };
    return names[kind];
}

int bd_field_count(void) { return N_FIELDS; }
const bd_field *bd_field_at(int i) { return i >= 0 && i < N_FIELDS ? &fields[i] : NULL; }

static const char *full_name(size_t i, const void *ctx) {
    (void)ctx;
    return i < N_FIELDS ? fields[i].name : NULL;
}

static const char *bare_name(size_t i, const void *ctx) {
    (void)ctx;
    return i < N_FIELDS ? fields[i].key : NULL;
}

static bd_status find_bare(const bd_field **out, const char *key) {
    const bd_field *only = NULL;
    int n = 0;
    for (int i = 0; i < N_FIELDS; i++) {
        if (strcmp(fields[i].key, key) != 0) continue;
        only = &fields[i];
        if (!strcmp(only->section, "run")) return *out = only, BD_OK;
        n++;
    }
    if (n == 1) return *out = only, BD_OK;
    if (n > 1)
        return bd_fail(BD_E_ARG, "key '%s' is in several sections; write it as %s", key,
                       only->name);
    const char *near = bd_nearest(key, bare_name, NULL);
    return bd_fail(BD_E_ARG, "unknown key '%s'%s%s%s; 'baddiff keys' lists them", key,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

bd_status bd_field_find(const bd_field **out, const char *name) {
    for (int i = 0; i < N_FIELDS; i++)
        if (!strcmp(fields[i].name, name)) return *out = &fields[i], BD_OK;
    const char *dot = strchr(name, '.');
    if (!dot) return find_bare(out, name);
    const char *near = bd_nearest(name, full_name, NULL);
    /* a key in the wrong section is a likelier slip than a far-off word */
    for (int i = 0; i < N_FIELDS && !near; i++)
        if (!strcmp(fields[i].key, dot + 1)) near = fields[i].name;
    return bd_fail(BD_E_ARG, "unknown key '%s'%s%s%s; 'baddiff keys' lists them", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

static void *member(bd_recipe *r, const bd_field *f) { return (char *)r + f->offset; }
static const void *member_of(const bd_recipe *r, const bd_field *f) {
    return (const char *)r + f->offset;
}

/* Token i of "a, b, c"; NULL past the end. */
typedef struct {
    const char *list;
    char text[64];
} choice_list;

static const char *choice(size_t i, const void *ctx) {
    choice_list *c = (choice_list *)(uintptr_t)ctx;
    const char *p = c->list;
    for (size_t k = 0; k < i; k++) {
        p = strchr(p, ',');
        if (!p) return NULL;
        p++;
    }
    p += strspn(p, " ");
    snprintf(c->text, sizeof c->text, "%.*s", (int)strcspn(p, ","), p);
    return c->text;
}

static bd_status set_name(char *to, const bd_field *f, const char *text) {
    choice_list c = {.list = f->list ? f->list : f->names()};
    const char *word;
    for (size_t i = 0; (word = choice(i, &c)) != NULL; i++)
        if (!strcmp(word, text)) {
            memcpy(to, c.text, strlen(c.text) + 1);
            return BD_OK;
        }
    return bd_fail(BD_E_ARG, "%s = %s: not one of %s", f->name, *text ? text : "(nothing)", c.list);
}

static bd_status set_number(bd_recipe *r, const bd_field *f, const char *text) {
    char *end;
    errno = 0;
    if (f->type == BD_FIELD_INT) {
        long long v = strtoll(text, &end, 10);
        BD_REQUIRE(end != text && !*end && !errno, BD_E_ARG, "%s = %s: not a whole number", f->name,
                   *text ? text : "(nothing)");
        BD_REQUIRE((double)v >= f->lo && (double)v <= f->hi, BD_E_ARG,
                   "%s = %s: out of range %.17g .. %.17g", f->name, text, f->lo, f->hi);
        *(int64_t *)member(r, f) = v;
        return BD_OK;
    }
    double v = strtod(text, &end);
    BD_REQUIRE(end != text && !*end && !(errno && v != 0), BD_E_ARG, "%s = %s: not a number",
               f->name, *text ? text : "(nothing)");
    BD_REQUIRE(v >= f->lo && v <= f->hi, BD_E_ARG, "%s = %s: out of range %g .. %g", f->name, text,
               f->lo, f->hi);
    *(double *)member(r, f) = v;
    return BD_OK;
}

bd_status bd_recipe_set(bd_recipe *r, const bd_field *f, const char *text) {
    BD_REQUIRE(strlen(text) < BD_TEXT_SIZE, BD_E_ARG, "%s: a value has at most %d characters",
               f->name, BD_TEXT_SIZE - 1);
    switch (f->type) {
    case BD_FIELD_NAME: return set_name(member(r, f), f, text);
    case BD_FIELD_TEXT: memcpy(member(r, f), text, strlen(text) + 1); return BD_OK;
    default: return set_number(r, f, text);
    }
}

void bd_recipe_get(char out[BD_TEXT_SIZE], const bd_recipe *r, const bd_field *f) {
    const void *p = member_of(r, f);
    char number[32];
    switch (f->type) {
    case BD_FIELD_INT: snprintf(out, BD_TEXT_SIZE, "%" PRId64, *(const int64_t *)p); break;
    case BD_FIELD_REAL:
        bd_format_double(number, *(const double *)p);
        snprintf(out, BD_TEXT_SIZE, "%s", number);
        break;
    default: snprintf(out, BD_TEXT_SIZE, "%s", (const char *)p); break;
    }
}

void bd_recipe_reset(bd_recipe *r, const bd_field *f) {
    /* defaults are inside their ranges (tests/test_recipe.c), so this cannot fail */
    bd_status st = bd_recipe_set(r, f, f->fallback);
    (void)st;
}

void bd_recipe_reset_section(bd_recipe *r, const char *section) {
    for (int i = 0; i < N_FIELDS; i++)
        if (!strcmp(fields[i].section, section)) bd_recipe_reset(r, &fields[i]);
}

void bd_recipe_defaults(bd_recipe *r) {
    memset(r, 0, sizeof *r);
    for (int i = 0; i < N_FIELDS; i++) bd_recipe_reset(r, &fields[i]);
}

/* --- do the fields fit together? --- */

static bd_status check_training(const char *section, int64_t steps, int64_t epochs, int64_t batch,
                                int64_t micro_batch, int64_t tile) {
    BD_REQUIRE(steps > 0 || epochs > 0, BD_E_ARG, "%s.steps and %s.epochs are both 0: set one",
               section, section);
    BD_REQUIRE(tile == 1 || tile == 2 || tile == 4 || tile == 8, BD_E_ARG,
               "%s.tile = %" PRId64 ": must be 1, 2, 4 or 8", section, tile);
    int64_t micro = micro_batch ? micro_batch : batch;
    BD_REQUIRE(batch % micro == 0, BD_E_ARG,
               "%s.micro_batch = %" PRId64 " does not divide %s.batch = %" PRId64, section, micro,
               section, batch);
    BD_REQUIRE(micro % tile == 0, BD_E_ARG,
               "%s.tile = %" PRId64 " does not divide %s.%s = %" PRId64, section, tile, section,
               micro_batch ? "micro_batch" : "batch", micro);
    return BD_OK;
}

static bd_status check_attack(const bd_recipe *r) {
    if (!strcmp(r->attack_name, "none") || r->attack_poison_rate == 0) return BD_OK;
    BD_REQUIRE(strcmp(r->attack_trigger, "none") != 0 || !strcmp(r->attack_mode, "fixed") ||
                   r->attack_clean_rate > 0,
               BD_E_ARG, "attack.trigger = none needs attack.clean_rate > 0");
    if (!strcmp(r->attack_mode, "flex")) {
        double sum = r->attack_clean_rate + r->attack_poison_rate;
        BD_REQUIRE(
            r->attack_clean_rate > 0 && sum <= 1, BD_E_ARG,
            "attack.mode = flex: clean_rate %g + poison_rate %g must be above 0 and at most 1, "
            "because the parts are disjoint",
            r->attack_clean_rate, r->attack_poison_rate);
    }
    return BD_OK;
}

static bd_status check_sampler(const char *section, const char *sampler, int64_t steps, double eta,
                               int64_t T) {
    BD_REQUIRE(steps <= T || T == 0, BD_E_ARG,
               "%s.steps = %" PRId64 " is more than diffusion.T = %" PRId64, section, steps, T);
    BD_REQUIRE(eta == 0 || !strcmp(sampler, "ddim"), BD_E_ARG,
               "%s.eta = %g is for sampler ddim; %s has none", section, eta, sampler);
    return BD_OK;
}

static bd_status check_restoring(const bd_recipe *r) {
    bool pictures = !strcmp(r->sample_prior, "image") || !strcmp(r->sample_prior, "stamped");
    BD_REQUIRE(
        pictures || (r->sample_start == 0 && !strcmp(r->sample_corrupt, "none")), BD_E_ARG,
        "sample.prior = %s: sample.start and sample.corrupt need pictures, so image or stamped",
        r->sample_prior);
    BD_REQUIRE(r->sample_start > 0 || !strcmp(r->sample_entry, "noised"), BD_E_ARG,
               "sample.entry = %s is for sample.start above 0", r->sample_entry);
    return BD_OK;
}

bd_status bd_recipe_check(const bd_recipe *r) {
    BD_TRY(check_training("pretrain", r->pretrain_steps, r->pretrain_epochs, r->pretrain_batch,
                          r->pretrain_micro_batch, r->pretrain_tile));
    BD_TRY(check_training("finetune", r->finetune_steps, r->finetune_epochs, r->finetune_batch,
                          r->finetune_micro_batch, r->finetune_tile));
    BD_TRY(check_training("classifier", 0, r->classifier_epochs, r->classifier_batch, 0,
                          r->classifier_tile));
    BD_TRY(check_training("anp", r->anp_steps, r->anp_epochs, r->anp_batch, 0, r->anp_tile));
    BD_REQUIRE((r->diffusion_beta_start == 0) == (r->diffusion_beta_end == 0), BD_E_ARG,
               "diffusion.beta_start and diffusion.beta_end: set both or neither");
    BD_REQUIRE(r->diffusion_beta_start <= r->diffusion_beta_end, BD_E_ARG,
               "diffusion.beta_start = %g is above diffusion.beta_end = %g",
               r->diffusion_beta_start, r->diffusion_beta_end);
    BD_REQUIRE(r->diffusion_beta_end != 0 || r->diffusion_T > 20, BD_E_ARG,
               "diffusion.T = %" PRId64
               ": the scaled schedule needs more than 20 timesteps; set beta_start and "
               "beta_end yourself, or a larger T",
               r->diffusion_T);
    BD_REQUIRE(r->data_channels != 2, BD_E_ARG,
               "data.channels = 2: must be 1 (grey) or 3 (colour)");
    BD_REQUIRE(strcmp(r->finetune_from, "given") != 0 || r->model_folder[0], BD_E_ARG,
               "finetune.from = given: name the folder of the model in model.folder");
    BD_REQUIRE(strcmp(r->finetune_from, "given") != 0 || !strcmp(r->recipe_controls, "none"),
               BD_E_ARG,
               "finetune.from = given: a model that was trained elsewhere has no controls; set "
               "recipe.controls = none");
    BD_TRY(check_attack(r));
    BD_TRY(check_restoring(r));
    /* the schedule of model.folder is its own */
    int64_t T = r->model_folder[0] ? 0 : r->diffusion_T;
    BD_TRY(check_sampler("sample", r->sample_sampler, r->sample_steps, r->sample_eta, T));
    int most = bd_sampler_max_order(r->sample_sampler);
    BD_REQUIRE(r->sample_order <= most, BD_E_ARG,
               most ? "sample.order = %" PRId64 ": sampler %s has 1 to %d; 0 takes 2"
                    : "sample.order = %" PRId64 ": sampler %s has none; set it to %d",
               r->sample_order, r->sample_sampler, most);
    BD_REQUIRE(most || !strcmp(r->sample_final, "sigma_min"), BD_E_ARG,
               "sample.final = %s: sampler %s has one way to end", r->sample_final,
               r->sample_sampler);
    return check_sampler("clean", r->clean_sampler, r->clean_steps, r->clean_eta, T);
}
