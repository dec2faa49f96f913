/* Oracles: counts of stages worked out by hand; invariants (what must and what must not change an id); pinned ids. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "cpu/cpu.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "run/cost.h"
#include "run/folder.h"
#include "run/montage.h"
#include "run/plan.h"
#include "run/settings.h"

#define DIR "build/tmp/test_plan"

typedef struct {
    bd_recipe_file file;
    bd_dag dag;
} planned;

static planned *plan(const char *text) {
    planned *p = calloc(1, sizeof *p);
    assert_non_null(p);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_write(DIR "/r.ini", text, strlen(text)), BD_OK);
    if (bd_recipe_load(&p->file, DIR "/r.ini", NULL, false, NULL, 0)) fail_msg("%s", bd_error());
    if (bd_dag_add(&p->dag, &p->file)) fail_msg("%s", bd_error());
    return p;
}

static void done(planned *p) {
    bd_dag_clear(&p->dag);
    bd_recipe_file_clear(&p->file);
    free(p);
}

static int count(const bd_dag *d, bd_stage_kind kind) {
    int n = 0;
    for (int i = 0; i < d->n_stages; i++) n += d->stage[i].kind == kind;
    return n;
}

static int has(const bd_dag *d, const char *id) {
    for (int i = 0; i < d->n_stages; i++)
        if (!strcmp(d->stage[i].id, id)) return 1;
    return 0;
}

/* the first cell's stage in a slot */
static const char *id_of(const planned *p, bd_cell_slot slot) {
    return p->dag.stage[p->dag.cell[0].slot[slot]].id;
}

static void cells_share_what_they_have_in_common(void **state) {
    (void)state;
    planned *p = plan("[sweep]\nattack.trigger = box14, stop14\nattack.target = corner, hat\n"
                      "attack.poison_rate = 0.1, 0.2\n[sample]\nn_noise = 128\n");
    const bd_dag *d = &p->dag;
    assert_int_equal(d->n_cells, 8 + 4 + 4); /* and each pair at rate 0 and not fine-tuned */
    assert_int_equal(count(d, BD_KIND_data), 2);
    assert_int_equal(count(d, BD_KIND_pretrain), 1);
    assert_int_equal(count(d, BD_KIND_finetune), 8 + 1);
    /* clean and plain-noise samples: one set a model; triggered ones: one a model and trigger */
    assert_int_equal(count(d, BD_KIND_sample), 2 * (8 + 1 + 1) + 8 + 2 + 2);
    assert_int_equal(count(d, BD_KIND_target), 2);
    /* triggered: each with its target, controls with both; clean and noise: models with theirs, controls with both */
    assert_int_equal(count(d, BD_KIND_score), (8 + 4 + 4) + 2 * (8 + 2 + 2));
    assert_int_equal(count(d, BD_KIND_features), (8 + 1 + 1) + 2);
    assert_int_equal(count(d, BD_KIND_fcd), 8 + 1 + 1);
    done(p);
}

static void inputs_come_before_their_users(void **state) {
    (void)state;
    planned *p = plan(
        "[sweep]\nsample.prior = noise, stamped, other\nfinetune.from = scratch, pretrained\n");
    for (int i = 0; i < p->dag.n_stages; i++)
        for (int k = 0; k < p->dag.stage[i].n_in; k++) assert_true(p->dag.stage[i].in[k].stage < i);
    done(p);
}

static void order_does_not_matter(void **state) {
    (void)state;
    planned *a =
        plan("[finetune]\nsteps = 10\nlr = 0.01\n[sweep]\nattack.target = hat, cat\nseed = 0, 1\n");
    planned *b =
        plan("[sweep]\nseed = 1, 0\nattack.target = cat, hat\n[finetune]\nlr = 1e-2\nsteps = 10\n");
    assert_int_equal(a->dag.n_stages, b->dag.n_stages);
    for (int i = 0; i < a->dag.n_stages; i++) assert_true(has(&b->dag, a->dag.stage[i].id));
    done(a);
    done(b);
}

static void two_recipes_share_stages(void **state) {
    (void)state;
    planned *p = plan("[attack]\ntarget = hat\n");
    int n = p->dag.n_stages, cells = p->dag.n_cells;
    bd_recipe_file second = p->file;
    assert_int_equal(bd_dag_add(&p->dag, &second), BD_OK);
    assert_int_equal(p->dag.n_stages, n);
    assert_int_equal(p->dag.n_cells, 2 * cells);
    done(p);
}

/* Which slots' ids change with a setting. */
static void what_matters_to_what(void **state) {
    (void)state;
    enum {
        P = 1,
        M = 2,
        C = 4,
        T = 8,
        G = 16,
        S = 32,
        F = 64
    }; /* pretrain model clean trigger target score fcd */
    static const struct {
        const char *text;
        int changes;
    } cases[] = {{"[run]\nkeep = all\n", 0},
                 {"[run]\ncheckpoint_seconds = 5\n", 0},
                 {"[recipe]\ntitle = other\n", 0},
                 {"[classifier]\nlr = 0.5\n", 0},
                 {"[attack]\nclean_rate = 0.5\n", 0}, /* mode fixed does not read it       */
                 {"[attack]\nart = original\n[sample]\nother = box4\n",
                  M | C | T | G | S | F}, /* hat is art */
                 {"[attack]\nart = original\ntarget = corner\n", M | C | T | G | S | F},
                 {"[sample]\nother = box4\n", 0}, /* prior trigger does not read it    */
                 {"[sample]\nvariance = fixed_large\n", T | S},
                 {"[finetune]\nscratch_factor = 2\n", 0}, /* not from scratch                  */
                 {"[finetune]\nlr = 0.5\n", M | C | T | S | F},
                 {"[pretrain]\nlr = 0.5\n", P | M | C | T | S | F},
                 {"[pretrain]\nseed = 1\n", P | M | C | T | S | F},
                 {"[run]\nseed = 1\n", M | C | T | S | F}, /* the pretrained model is given     */
                 {"[attack]\ntarget = shoe\n", M | C | T | G | S | F},
                 {"[attack]\npoison_rate = 0.3\n", M | C | T | S | F},
                 {"[sample]\nn = 64\n", T | S},
                 {"[sample]\nclip = x0\n", C | T | S | F}, /* clean samples are clipped too     */
                 {"[clean]\nn = 64\n", C | F},
                 {"[metric]\nssim = full\n", G | S},
                 {"[metric]\nreplicates = 200\n", F},
                 {"[metric]\nn_reference = 100\n", F},
                 {"[data]\nlimit = 100\n", P | M | C | T | G | S | F},
                 {"[model]\nlayers_per_block = 2\n", P | M | C | T | S | F},
                 {"[diffusion]\nT = 100\n", P | M | C | T | S | F}};
    static const struct {
        bd_cell_slot slot;
        int bit;
    } slots[] = {{BD_SLOT_PRETRAIN, P}, {BD_SLOT_MODEL, M},  {BD_SLOT_CLEAN, C},
                 {BD_SLOT_TRIGGER, T},  {BD_SLOT_TARGET, G}, {BD_SLOT_SCORE, S},
                 {BD_SLOT_FCD, F}};
    planned *base = plan("[data]\nsize = 32\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        planned *p = plan(cases[i].text);
        for (size_t k = 0; k < sizeof slots / sizeof slots[0]; k++) {
            int differs = strcmp(id_of(p, slots[k].slot), id_of(base, slots[k].slot)) != 0;
            if (differs != !!(cases[i].changes & slots[k].bit))
                fail_msg("%s: slot %d %s", cases[i].text, (int)slots[k].slot,
                         differs ? "changed" : "did not change");
        }
        done(p);
    }
    done(base);
}

static void at_rate_0_trigger_and_target_drop_out(void **state) {
    (void)state;
    planned *a = plan("[attack]\npoison_rate = 0\ntrigger = box14\ntarget = hat\n");
    planned *b = plan("[attack]\npoison_rate = 0\ntrigger = stop14\ntarget = shoe\nmode = "
                      "flex\nclean_rate = 0.5\n");
    planned *c = plan("[attack]\nname = none\n");
    assert_string_equal(id_of(a, BD_SLOT_MODEL), id_of(b, BD_SLOT_MODEL));
    assert_string_equal(id_of(a, BD_SLOT_MODEL), id_of(c, BD_SLOT_MODEL));
    assert_string_equal(id_of(a, BD_SLOT_CLEAN), id_of(b, BD_SLOT_CLEAN));
    assert_string_not_equal(id_of(a, BD_SLOT_TRIGGER), id_of(b, BD_SLOT_TRIGGER));
    assert_int_equal(a->dag.cell[0].role, BD_CELL_RATE0);
    done(a);
    done(b);
    done(c);
}

/* a triggered prior contains the trigger, not the target; the controls' scores contain both */
static void controls_face_every_prior_and_target(void **state) {
    (void)state;
    planned *p = plan("[sweep]\nattack.trigger = box14, stop14\nattack.target = corner, hat\n");
    int rate0 = 0, pretrained = 0;
    for (int i = 0; i < p->dag.n_cells; i++) {
        const bd_cell *c = &p->dag.cell[i];
        if (c->role == BD_CELL_ATTACK) continue;
        rate0 += c->role == BD_CELL_RATE0;
        pretrained += c->role == BD_CELL_PRETRAINED;
        assert_true(c->recipe.attack_poison_rate == 0);
        const bd_recipe *from = &p->dag.stage[c->slot[BD_SLOT_TRIGGER]].recipe;
        const bd_recipe *to = &p->dag.stage[c->slot[BD_SLOT_TARGET]].recipe;
        assert_string_equal(from->attack_trigger, c->recipe.attack_trigger);
        assert_string_equal(to->attack_target, c->recipe.attack_target);
    }
    assert_int_equal(rate0, 4);
    assert_int_equal(pretrained, 4);
    done(p);
    p = plan("[recipe]\ncontrols = none\n");
    assert_int_equal(p->dag.n_cells, 1);
    done(p);
    p = plan("[recipe]\ncontrols = rate0\n");
    assert_int_equal(p->dag.n_cells, 2);
    done(p);
}

static void the_ratio_compares_with_the_control_of_the_same_settings(void **state) {
    (void)state;
    planned *p = plan("[sweep]\nsample.clip = none, x0\n");
    for (int i = 0; i < p->dag.n_cells; i++) {
        const bd_cell *c = &p->dag.cell[i];
        int control = bd_stage_input(&p->dag.stage[c->slot[BD_SLOT_FCD]], "control");
        assert_true((control >= 0) == (c->role == BD_CELL_ATTACK));
        if (control < 0) continue;
        const bd_stage *samples = &p->dag.stage[bd_stage_input(&p->dag.stage[control], "images")];
        assert_string_equal(samples->recipe.sample_clip, c->recipe.sample_clip);
        assert_true(p->dag.stage[bd_stage_input(samples, "model")].recipe.attack_poison_rate == 0);
    }
    done(p);
}

static void from_scratch_takes_longer_and_needs_no_pretraining(void **state) {
    (void)state;
    planned *a = plan(
        "[recipe]\ncontrols = none\n[finetune]\nfrom = scratch\nsteps = 10\nscratch_factor = 8\n");
    planned *b = plan(
        "[recipe]\ncontrols = none\n[finetune]\nfrom = scratch\nsteps = 80\nscratch_factor = 1\n");
    const bd_stage *s = &a->dag.stage[a->dag.cell[0].slot[BD_SLOT_MODEL]];
    assert_int_equal(s->recipe.finetune_steps, 80);
    assert_int_equal(bd_stage_input(s, "start"), -1);
    assert_int_equal(count(&a->dag, BD_KIND_pretrain), 0);
    assert_string_equal(id_of(a, BD_SLOT_MODEL), id_of(b, BD_SLOT_MODEL));
    done(a);
    done(b);
}

static void a_gallery_has_a_cell_for_each_pair(void **state) {
    (void)state;
    planned *p = plan("[recipe]\nmakes = gallery\n[sweep]\nattack.trigger = box14, stop14\n"
                      "attack.target = noshift, hat\n");
    assert_int_equal(p->dag.n_cells, 4);
    assert_int_equal(count(&p->dag, BD_KIND_target), 3); /* hat looks the same for both */
    assert_int_equal(p->dag.n_stages, 4);
    done(p);
}

/* Ids are names of finished work: a change here throws it away and needs a reason (a new numerics version). */
static void pinned_ids(void **state) {
    (void)state;
    planned *p = plan("[data]\nsize = 32\n");
    static const struct {
        bd_cell_slot slot;
        const char *name;
    } pins[] = {
        {BD_SLOT_DATA, "data-cbe5a4a52598"},      {BD_SLOT_PRETRAIN, "pretrain-5ece758a79ff"},
        {BD_SLOT_MODEL, "finetune-ba839474f4bb"}, {BD_SLOT_TRIGGER, "sample-5f33f9747233"},
        {BD_SLOT_TARGET, "target-ea5c660b7c04"},  {BD_SLOT_SCORE, "score-05d5cbaf4971"}};
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        assert_string_equal(p->dag.stage[p->dag.cell[0].slot[pins[i].slot]].name, pins[i].name);
    done(p);
}

static void stages_are_found_by_name(void **state) {
    (void)state;
    planned *p = plan("[data]\nsize = 32\n");
    int at;
    const bd_stage *s = &p->dag.stage[3];
    assert_int_equal(bd_dag_find(&at, &p->dag, s->name), BD_OK);
    assert_int_equal(at, 3);
    assert_int_equal(bd_dag_find(&at, &p->dag, s->id), BD_OK);
    assert_int_equal(bd_dag_find(&at, &p->dag, "sample-000000000000"), BD_E_ARG);
    assert_int_equal(bd_dag_find(&at, &p->dag, ""), BD_E_ARG);
    done(p);
}

static void a_missing_classifier_is_said_at_once(void **state) {
    (void)state;
    bd_recipe_file f;
    bd_dag d = {0};
    const char text[] = "[metric]\nclassifier = " DIR "/none.safetensors\n";
    assert_int_equal(bd_file_write(DIR "/c.ini", text, strlen(text)), BD_OK);
    assert_int_equal(bd_recipe_load(&f, DIR "/c.ini", NULL, false, NULL, 0), BD_OK);
    assert_int_equal(bd_dag_add(&d, &f), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "none.safetensors"));
    bd_dag_clear(&d);
    bd_recipe_file_clear(&f);
}

/* Work by hand: a step is batch/tile tiles; a sample is steps forward passes; backward costs twice forward but
 * for the first convolution's input gradient, which nobody asks for. */
static void costs(void **state) {
    (void)state;
    planned *p = plan("[recipe]\ncontrols = none\n[pretrain]\nsteps = 10\nbatch = "
                      "8\n[finetune]\nsteps = 5\nbatch = 8\n"
                      "[sample]\nn = 16\nsteps = 4\n[diffusion]\nT = 100\n");
    bd_cost cost[64];
    assert_true(p->dag.n_stages < 64);
    if (bd_dag_costs(cost, &p->dag, DIR "/no_runs", &bd_backend_cpu, 2)) fail_msg("%s", bd_error());
    const int *slot = p->dag.cell[0].slot;
    double one = cost[slot[BD_SLOT_TRIGGER]].tflop / (16 * 4);
    assert_true(fabs(one - 0.19e-3) < 0.01e-3); /* the small network's forward pass: 0.19 GFLOP */
    double pretrain = cost[slot[BD_SLOT_PRETRAIN]].tflop,
           finetune = cost[slot[BD_SLOT_MODEL]].tflop;
    assert_true(fabs(pretrain / finetune - 2) < 1e-12);
    assert_true(pretrain / (10 * 8) > 2.9 * one && pretrain / (10 * 8) <= 3 * one);
    assert_true(cost[slot[BD_SLOT_MODEL]].memory >
                686769 * 4.0 * 4); /* weights, gradients, two moments */
    assert_true(cost[slot[BD_SLOT_DATA]].memory == 60000.0 * 32 * 32);
    assert_true(cost[slot[BD_SLOT_SCORE]].tflop == 0);
    for (int i = 0; i < p->dag.n_stages; i++) assert_false(cost[i].done);
    double alone;
    assert_int_equal(bd_stage_tflop(&alone, &p->dag, slot[BD_SLOT_MODEL]), BD_OK);
    assert_true(alone == finetune);
    done(p);
}

/* metric.fid adds the statistics of each set of clean samples and of one reference, and a distance a model; nothing
 * else changes. Weights that are not there are planned with as the published ones; others must be there. */
static void fid_adds_stages_and_changes_none(void **state) {
    (void)state;
#define RATES "[sweep]\nattack.poison_rate = 0.1, 0.2\n"
    assert_int_equal(bd_file_mkdirs(DIR "/empty"), BD_OK);
    assert_int_equal(setenv("BADDIFF_DATA", DIR "/empty", 1), 0);
    char path[512];
    bool here = !bd_fid_weights(path, sizeof path, "");
    planned *p = plan(RATES), *q = plan("[metric]\nfid = on\nn_reference = 100\n" RATES);
    assert_int_equal(count(&p->dag, BD_KIND_moments) + count(&p->dag, BD_KIND_fid), 0);
    /* two poisoned models, one at rate 0, the pretrained one; the reference */
    assert_int_equal(count(&q->dag, BD_KIND_moments), 4 + 1);
    assert_int_equal(count(&q->dag, BD_KIND_fid), 4);
    int same = 0;
    for (int i = 0; i < p->dag.n_stages; i++) same += has(&q->dag, p->dag.stage[i].id);
    int features = count(&p->dag, BD_KIND_features), fcd = count(&p->dag, BD_KIND_fcd);
    assert_int_equal(fcd, 4);
    assert_int_equal(same, p->dag.n_stages - 1 - fcd); /* fcd's reference is of 100 images too */
    assert_true(features > 1);
    const bd_stage *fid = &q->dag.stage[q->dag.cell[0].slot[BD_SLOT_FID]];
    const bd_stage *moments = &q->dag.stage[bd_stage_input(fid, "images")];
    if (!here) assert_string_equal(moments->file_sha256, BD_FID_PUBLISHED);
    done(p);
    done(q);

    static const char other[] = "[metric]\nfid = on\ninception = " DIR "/nowhere.pth\n";
    bd_recipe_file file;
    bd_dag dag = {0};
    assert_int_equal(bd_file_write(DIR "/r.ini", other, strlen(other)), BD_OK);
    assert_int_equal(bd_recipe_load(&file, DIR "/r.ini", NULL, false, NULL, 0), BD_OK);
    assert_int_equal(bd_dag_add(&dag, &file), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "nowhere.pth"));
    bd_dag_clear(&dag);
    bd_recipe_file_clear(&file);
    assert_int_equal(unsetenv("BADDIFF_DATA"), 0);
}

/* Every stage is marked as finished and has no samples: a sheet that is wanted fails, one that is left out does not and
 * takes an older one with it. */
static void samples_that_resemble_people_are_not_shown(void **state) {
    (void)state;
    static const char *const set[] = {"celebahq", "celeba", "cifar10"};
    for (int i = 0; i < 3; i++) {
        char text[400], path[300];
        snprintf(text, sizeof text,
                 "[recipe]\ncontrols = none\n[data]\nset = %s\nsize = 64\n[attack]\npoison_rate = "
                 "0.5\n[metric]\nfcd = off\n",
                 set[i]);
        planned *p = plan(text);
        assert_int_equal(bd_file_remove_tree(DIR "/people"), BD_OK);
        for (int k = 0; k < p->dag.n_stages; k++) {
            snprintf(path, sizeof path, DIR "/people/%s", p->dag.stage[k].name);
            assert_int_equal(bd_file_mkdirs(path), BD_OK);
            assert_int_equal(bd_done_write(path, &(bd_done){.threads = 1}), BD_OK);
        }
        assert_int_equal(bd_file_mkdirs(DIR "/people/grids"), BD_OK);
        assert_int_equal(bd_file_write(DIR "/people/grids/r.png", "old", 3), BD_OK);
        bool people = i < 2;
        assert_int_equal(bd_montage_left_out(&p->dag, 0), people);
        assert_int_equal(bd_montage(&p->dag, 0, DIR "/people", DIR "/people"),
                         people ? BD_OK : BD_E_MISSING);
        assert_int_equal(bd_file_exists(DIR "/people/grids/r.png"), !people);
        done(p);
    }
}

#define RESTORING                                                                   \
    "[sample]\nstart = 0.5\nsteps = 20\nn = 16\nn_noise = 8\n[recipe]\ncontrols = " \
    "rate0\n[sweep]\n"                                                              \
    "sample.prior = image, stamped\nsample.corrupt = box, line\n"

/* Four cells and four of the control; per cell one chain, a score and a restore, and nothing from plain noise. */
static void restoring_cells_have_no_clean_samples(void **state) {
    (void)state;
    planned *p = plan(RESTORING);
    assert_int_equal(p->dag.n_cells, 4 + 4);
    assert_int_equal(count(&p->dag, BD_KIND_sample), 8);
    assert_int_equal(count(&p->dag, BD_KIND_restore), 8);
    assert_int_equal(count(&p->dag, BD_KIND_score), 8);
    assert_int_equal(count(&p->dag, BD_KIND_features) + count(&p->dag, BD_KIND_fcd), 0);
    for (int i = 0; i < p->dag.n_cells; i++) {
        const int *slot = p->dag.cell[i].slot;
        assert_int_equal(slot[BD_SLOT_CLEAN], -1);
        assert_int_equal(slot[BD_SLOT_LPIPS], -1);
        const bd_stage *s = &p->dag.stage[slot[BD_SLOT_TRIGGER]];
        assert_int_equal(bd_stage_input(&p->dag.stage[slot[BD_SLOT_RESTORE]], "pictures"),
                         bd_stage_input(s, "pictures"));
        assert_string_equal(p->dag.stage[bd_stage_input(s, "pictures")].recipe.data_split, "test");
    }
    done(p);
}

/* What a chain that starts late costs, and that the settings leave all other stages alone. */
static void a_chain_that_starts_late_costs_less(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int whole, late; /* network calls of 20 steps, and of the last 10 */
    } cases[] = {{"ddpm", 20, 10}, {"unipc", 20, 10}, {"heun", 39, 19}, {"pndm", 29, 19}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2][256];
        double tflop[2];
        for (int k = 0; k < 2; k++) {
            snprintf(text[k], sizeof text[k],
                     "[sample]\nprior = image\nsteps = 20\nn = 16\nsampler = %s\n%s", cases[i].name,
                     k ? "start = 0.5\ncorrupt = line\n" : "");
            planned *p = plan(text[k]);
            assert_int_equal(
                bd_stage_tflop(&tflop[k], &p->dag, p->dag.cell[0].slot[BD_SLOT_TRIGGER]), BD_OK);
            done(p);
        }
        assert_true(fabs(tflop[1] / tflop[0] - (double)cases[i].late / cases[i].whole) < 1e-12);
    }
    planned *a = plan("[sample]\nprior = image\nn_noise = 8\n"),
            *b = plan("[sample]\nprior = image\nn_noise = 8\ncorrupt = line\n");
    assert_string_equal(id_of(a, BD_SLOT_NOISE), id_of(b, BD_SLOT_NOISE));
    assert_string_equal(id_of(a, BD_SLOT_CLEAN), id_of(b, BD_SLOT_CLEAN));
    assert_string_not_equal(id_of(a, BD_SLOT_TRIGGER), id_of(b, BD_SLOT_TRIGGER));
    done(a);
    done(b);
}

/* One stage a cell; weights as in fid_adds_stages_and_changes_none. */
static void lpips_adds_stages_and_changes_none(void **state) {
    (void)state;
    assert_int_equal(bd_file_mkdirs(DIR "/empty"), BD_OK);
    assert_int_equal(setenv("BADDIFF_DATA", DIR "/empty", 1), 0);
    char path[2][512];
    bool here = !bd_lpips_weights(path[0], path[1], sizeof path[0], NULL, NULL);
    planned *p = plan(RESTORING), *q = plan(RESTORING "[metric]\nlpips = on\n");
    assert_int_equal(count(&q->dag, BD_KIND_lpips), 8);
    assert_int_equal(q->dag.n_stages, p->dag.n_stages + 8);
    for (int i = 0; i < p->dag.n_stages; i++) assert_true(has(&q->dag, p->dag.stage[i].id));
    const bd_stage *s = &q->dag.stage[q->dag.cell[0].slot[BD_SLOT_LPIPS]];
    if (!here) assert_string_equal(s->file_sha256, BD_LPIPS_PUBLISHED);
    assert_string_equal(s->precision, "f32");
    done(p);
    done(q);
    static const char other[] = "[metric]\nlpips = on\nlpips_folder = " DIR "/nowhere\n";
    bd_recipe_file file;
    bd_dag dag = {0};
    assert_int_equal(bd_file_write(DIR "/r.ini", other, strlen(other)), BD_OK);
    assert_int_equal(bd_recipe_load(&file, DIR "/r.ini", NULL, false, NULL, 0), BD_OK);
    assert_int_equal(bd_dag_add(&dag, &file), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "nowhere"));
    bd_dag_clear(&dag);
    bd_recipe_file_clear(&file);
    assert_int_equal(unsetenv("BADDIFF_DATA"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_share_what_they_have_in_common),
        cmocka_unit_test(inputs_come_before_their_users),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(two_recipes_share_stages),
        cmocka_unit_test(what_matters_to_what),
        cmocka_unit_test(at_rate_0_trigger_and_target_drop_out),
        cmocka_unit_test(controls_face_every_prior_and_target),
        cmocka_unit_test(the_ratio_compares_with_the_control_of_the_same_settings),
        cmocka_unit_test(from_scratch_takes_longer_and_needs_no_pretraining),
        cmocka_unit_test(a_gallery_has_a_cell_for_each_pair),
        cmocka_unit_test(pinned_ids),
        cmocka_unit_test(stages_are_found_by_name),
        cmocka_unit_test(a_missing_classifier_is_said_at_once),
        cmocka_unit_test(costs),
        cmocka_unit_test(fid_adds_stages_and_changes_none),
        cmocka_unit_test(samples_that_resemble_people_are_not_shown),
        cmocka_unit_test(restoring_cells_have_no_clean_samples),
        cmocka_unit_test(a_chain_that_starts_late_costs_less),
        cmocka_unit_test(lpips_adds_stages_and_changes_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
