#include "data/target.h"
#include "data/trigger.h"
#include "diffusion/sampler.h"
#include "run/plan_parts.h"

static void reset(bd_recipe *r, const char *name) {
    const bd_field *f;
    if (bd_field_find(&f, name) == BD_OK) bd_recipe_reset(r, f);
}

static void copy_field(bd_recipe *to, const bd_recipe *from, const bd_field *f) {
    char text[BD_TEXT_SIZE];
    bd_recipe_get(text, from, f);
    /* it was read from a recipe by the same rule */
    bd_status st = bd_recipe_set(to, f, text);
    (void)st;
}

void bd_plan_no_attack(bd_recipe *r) {
    bd_recipe_reset_section(r, "attack");
    r->attack_poison_rate = 0;
}

static bool target_uses_trigger(const bd_recipe *r) {
    return bd_is(r->attack_target, "noshift") || bd_is(r->attack_target, "shift");
}

static void canonical_finetune(bd_recipe *r) {
    if (bd_is(r->finetune_from, "scratch")) {
        r->finetune_steps *= r->finetune_scratch_factor; /* 0 stays 0: by epochs */
        r->finetune_epochs *= r->finetune_scratch_factor;
    } else {
        bd_recipe_reset_section(r, "model"); /* comes with the pretrained model */
        bd_recipe_reset_section(r, "diffusion");
    }
    reset(r, "finetune.scratch_factor");
    if (r->finetune_steps > 0) reset(r, "finetune.epochs");
    if (bd_unpoisoned(r)) {
        bd_plan_no_attack(r);
        return;
    }
    if (bd_is(r->attack_mode, "fixed")) reset(r, "attack.clean_rate");
    if (!bd_trigger_uses_art(r->attack_trigger) && !bd_target_uses_art(r->attack_target))
        reset(r, "attack.art");
}

/* The attack belongs to an imported model only where that is the model under test. */
static void canonical_import(bd_recipe *r, const bd_recipe *cell) {
    if (!bd_is(cell->finetune_from, "given") || bd_unpoisoned(cell)) bd_plan_no_attack(r);
}

/* Settings that only some samplers have. */
static void canonical_sampler(bd_recipe *r) {
    if (!bd_is(r->sample_sampler, "ddim")) reset(r, "sample.eta");
    if (!bd_is(r->sample_sampler, "ddpm")) reset(r, "sample.variance");
    if (bd_sampler_max_order(r->sample_sampler)) return;
    reset(r, "sample.order");
    reset(r, "sample.final");
}

static void canonical_sample(bd_recipe *r) {
    const char *p = r->sample_prior;
    bool trigger =
        bd_is(p, "trigger") || bd_is(p, "trigger-zero") || bd_is(p, "stamped") || bd_is(p, "moved");
    bool other = bd_is(p, "other"), pictures = bd_is(p, "stamped") || bd_is(p, "image");
    if (!trigger) reset(r, "attack.trigger");
    if (!other) reset(r, "sample.other");
    if (!pictures) reset(r, "sample.start");
    if (!pictures) reset(r, "sample.corrupt");
    if (r->sample_start == 0) reset(r, "sample.entry");
    if (!(trigger && bd_trigger_uses_art(r->attack_trigger)) &&
        !(other && bd_trigger_uses_art(r->sample_other)))
        reset(r, "attack.art");
    canonical_sampler(r);
}

/* Controls are measured on the same attack as the models that know it. */
static void canonical_anp(bd_recipe *r) {
    if (bd_is(r->attack_name, "none")) reset(r, "attack.name");
    if (!bd_trigger_uses_art(r->attack_trigger) && !bd_target_uses_art(r->attack_target))
        reset(r, "attack.art");
    canonical_sampler(r);
}

static void canonical_target(bd_recipe *r) {
    bool trigger = target_uses_trigger(r);
    if (!trigger) reset(r, "attack.trigger");
    if (!(trigger && bd_trigger_uses_art(r->attack_trigger)) &&
        !bd_target_uses_art(r->attack_target))
        reset(r, "attack.art");
}

void bd_stage_canonical(bd_recipe *out, bd_stage_kind kind, const bd_recipe *cell) {
    bd_recipe_defaults(out);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        if (f->kinds & (1u << kind)) copy_field(out, cell, f);
    }
    if (kind == BD_KIND_pretrain && out->pretrain_steps > 0) reset(out, "pretrain.epochs");
    if (kind == BD_KIND_import) canonical_import(out, cell);
    if (kind == BD_KIND_finetune) canonical_finetune(out);
    if (kind == BD_KIND_sample) canonical_sample(out);
    if (kind == BD_KIND_target) canonical_target(out);
    if (kind == BD_KIND_anp) canonical_anp(out);
}
