/* Oracles: the documented precedence and grammar of recipes, by hand; exact message parts for wrong files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attack/prior.h"
#include "base/file.h"
#include "diffusion/sampler.h"
#include "nn/unet.h"
#include "run/nearest.h"
#include "run/recipe.h"

#define DIR "build/tmp/test_recipe"

static const char *write_file(const char *name, const char *text) {
    static char path[256];
    snprintf(path, sizeof path, DIR "/%s", name);
    assert_int_equal(bd_file_mkdirs(DIR), BD_OK);
    assert_int_equal(bd_file_write(path, text, strlen(text)), BD_OK);
    return path;
}

static bd_recipe_file load(const char *text, const char *profile, const char *const *set, int n) {
    bd_recipe_file f;
    bd_status st = bd_recipe_load(&f, write_file("r.ini", text), profile, false, set, n);
    if (st) fail_msg("%s", bd_error());
    return f;
}

/* --- the table --- */

static void defaults_are_inside_their_ranges(void **state) {
    (void)state;
    bd_recipe r;
    bd_recipe_defaults(&r);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        bd_recipe other = r;
        char text[BD_TEXT_SIZE];
        if (bd_recipe_set(&other, f, f->fallback)) fail_msg("%s", bd_error());
        bd_recipe_get(text, &r, f);
        bd_recipe back = r;
        assert_int_equal(bd_recipe_set(&back, f, text), BD_OK);
        assert_memory_equal(&back, &r, sizeof r);
        assert_true(f->help[0] && f->section[0] && f->key[0]);
        if (f->neutral[0] && f->type != BD_FIELD_TEXT)
            assert_int_equal(bd_recipe_set(&other, f, f->neutral), BD_OK);
    }
    if (bd_recipe_check(&r)) fail_msg("%s", bd_error());
}

static void no_field_is_there_twice(void **state) {
    (void)state;
    for (int i = 0; i < bd_field_count(); i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(bd_field_at(i)->name, bd_field_at(k)->name);
}

/* the lists that fields.def spells out are those of the modules */
static void lists_are_those_of_the_modules(void **state) {
    (void)state;
    const bd_field *f;
    char list[256] = "";
    assert_int_equal(bd_field_find(&f, "sample.prior"), BD_OK);
    for (int k = 0; k < BD_PRIOR_COUNT; k++) {
        strcat(list, k ? ", " : "");
        strcat(list, bd_prior_name((bd_prior_kind)k));
    }
    assert_string_equal(f->list, list);
    list[0] = '\0';
    assert_int_equal(bd_field_find(&f, "sample.corrupt"), BD_OK);
    for (int k = 0; k < BD_CORRUPT_COUNT; k++) {
        strcat(list, k ? ", " : "");
        strcat(list, bd_corrupt_name((bd_corrupt)k));
    }
    assert_string_equal(f->list, list);
    bd_entry entry;
    assert_int_equal(bd_field_find(&f, "sample.entry"), BD_OK);
    assert_int_equal(bd_entry_parse(&entry, "?"), BD_E_ARG);
    assert_string_equal(f->list, "noised, shifted, original");
    assert_non_null(strstr(bd_error(), "noised, shifted or original"));
    list[0] = '\0';
    assert_int_equal(bd_field_find(&f, "model.preset"), BD_OK);
    for (int k = 0; bd_unet_preset_at(k); k++) {
        strcat(list, k ? ", " : "");
        strcat(list, bd_unet_preset_at(k));
    }
    assert_string_equal(f->list, list);
    list[0] = '\0';
    assert_int_equal(bd_field_find(&f, "sample.sampler"), BD_OK);
    for (int k = 0; bd_sampler_at(k, NULL); k++) {
        strcat(list, k ? ", " : "");
        strcat(list, bd_sampler_at(k, NULL));
    }
    assert_string_equal(f->names(), list);
}

static void bare_keys(void **state) {
    (void)state;
    const bd_field *f;
    assert_int_equal(bd_field_find(&f, "seed"), BD_OK);
    assert_string_equal(f->name, "run.seed"); /* not pretrain.seed */
    assert_int_equal(bd_field_find(&f, "poison_rate"), BD_OK);
    assert_string_equal(f->name, "attack.poison_rate");
    assert_int_equal(bd_field_find(&f, "batch"), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "several sections"));
}

/* --- precedence --- */

static void later_levels_win(void **state) {
    (void)state;
    write_file(
        "base.ini",
        "[finetune]\nbatch = 4\nsteps = 11\nlr = 0.01\n[sweep]\nattack.poison_rate = 0.1, 0.2\n");
    char profile[256];
    strcpy(profile,
           write_file("small.ini", "[profile]\ntitle = t\nrecipes = r\n[finetune]\nsteps = 33\n"
                                   "[r.finetune]\nwarmup = 7\n[other.finetune]\nwarmup = 8\n"));
    const char *set[] = {"finetune.lr=0.5"};
    bd_recipe_file f =
        load("[recipe]\nbase = base.ini\n[finetune]\nbatch = 8\nsteps = 22\n", profile, set, 1);
    assert_int_equal(f.base.finetune_batch, 8);    /* recipe over base     */
    assert_int_equal(f.base.finetune_steps, 33);   /* profile over recipe  */
    assert_int_equal(f.base.finetune_warmup, 7);   /* its own part of it   */
    assert_true(f.base.finetune_lr == 0.5);        /* setting over all     */
    assert_int_equal(f.base.pretrain_batch, 64);   /* default              */
    assert_int_equal(bd_recipe_file_cells(&f), 2); /* the base's sweep     */
    assert_string_equal(f.name, "r");
    assert_string_equal(f.profile, "small");
    bd_recipe_file_clear(&f);
}

static void the_profile_s_own_part_comes_last_wherever_it_stands(void **state) {
    (void)state;
    char profile[256];
    strcpy(profile, write_file("p.ini", "[r.finetune]\nsteps = 1\n[finetune]\nsteps = 2\n"));
    bd_recipe_file f = load("[finetune]\nsteps = 3\n", profile, NULL, 0);
    assert_int_equal(f.base.finetune_steps, 1);
    bd_recipe_file_clear(&f);
}

static void a_profile_s_cuts_are_left_out_of_full_grids(void **state) {
    (void)state;
    char profile[256];
    strcpy(profile,
           write_file("p.ini", "[r.sweep]\nattack.poison_rate = 0.5\n[r.finetune]\nsteps = 5\n"));
    const char *text = write_file("r.ini", "[sweep]\nattack.poison_rate = 0.1, 0.2, 0.5\n");
    bd_recipe_file f;
    assert_int_equal(bd_recipe_load(&f, text, profile, false, NULL, 0), BD_OK);
    assert_int_equal(bd_recipe_file_cells(&f), 1);
    bd_recipe_file_clear(&f);
    assert_int_equal(bd_recipe_load(&f, text, profile, true, NULL, 0), BD_OK);
    assert_int_equal(bd_recipe_file_cells(&f), 3);
    assert_int_equal(f.base.finetune_steps, 5);
    bd_recipe_file_clear(&f);
}

static void a_value_on_a_later_level_ends_a_sweep(void **state) {
    (void)state;
    const char *one[] = {"attack.poison_rate=0.7"}, *list[] = {"sweep.seed=4, 5"};
    const char text[] = "[sweep]\nattack.poison_rate = 0.1, 0.2, 0.3\nseed = 0, 1\n";
    bd_recipe_file f = load(text, NULL, one, 1);
    assert_int_equal(bd_recipe_file_cells(&f), 2);
    assert_true(f.base.attack_poison_rate == 0.7);
    bd_recipe_file_clear(&f);
    f = load(text, NULL, list, 1);
    assert_int_equal(bd_recipe_file_cells(&f), 6);
    bd_recipe r;
    assert_int_equal(bd_recipe_file_cell(&r, &f, 5), BD_OK);
    assert_int_equal(r.run_seed, 5);
    bd_recipe_file_clear(&f);
}

static void the_first_line_of_a_sweep_varies_slowest(void **state) {
    (void)state;
    bd_recipe_file f =
        load("[sweep]\nattack.target = shoe, hat\nattack.poison_rate = 0.10, 0.2\n", NULL, NULL, 0);
    static const struct {
        const char *target;
        double rate;
    } want[] = {{"shoe", 0.1}, {"shoe", 0.2}, {"hat", 0.1}, {"hat", 0.2}};
    assert_int_equal(bd_recipe_file_cells(&f), 4);
    for (int i = 0; i < 4; i++) {
        bd_recipe r;
        assert_int_equal(bd_recipe_file_cell(&r, &f, i), BD_OK);
        assert_string_equal(r.attack_target, want[i].target);
        assert_true(r.attack_poison_rate == want[i].rate);
    }
    assert_string_equal(f.axis[1].value[0],
                        "0.1"); /* as numbers are written, not as they were typed */
    bd_recipe_file_clear(&f);
}

static void a_table_gives_cells_and_is_crossed_with_the_sweep(void **state) {
    (void)state;
    write_file("cells.csv", "# what was released\nattack.trigger,attack.target,poison_rate\n"
                            "box14,corner,0.9\nstop14,shift,0.10\n");
    const char text[] =
        "[recipe]\ncells = cells.csv\n[attack]\ntarget = hat\n[sweep]\nseed = 0, 1\n";
    bd_recipe_file f = load(text, NULL, NULL, 0);
    static const struct {
        const char *trigger, *target;
        double rate;
    } want[] = {{"box14", "corner", 0.9}, {"stop14", "shift", 0.1}};
    assert_int_equal(bd_recipe_file_cells(&f), 4);
    for (int i = 0; i < 4; i++) {
        bd_recipe r;
        assert_int_equal(bd_recipe_file_cell(&r, &f, i), BD_OK);
        assert_string_equal(r.attack_trigger, want[i / 2].trigger);
        assert_string_equal(r.attack_target, want[i / 2].target);
        assert_true(r.attack_poison_rate == want[i / 2].rate);
        assert_int_equal(r.run_seed, i % 2);
    }
    bd_recipe_file_clear(&f);
    const char *other[] = {"sample.n=16"};
    f = load(text, NULL, other, 1);
    assert_int_equal(f.base.sample_n, 16);
    bd_recipe_file_clear(&f);
    const char *undone[] = {"attack.target=cat"};
    assert_int_equal(bd_recipe_load(&f, write_file("r.ini", text), NULL, false, undone, 1),
                     BD_E_ARG);
    assert_non_null(strstr(bd_error(), "attack.target comes from the rows of cells.csv"));
}

static void bad_tables_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *table, *part;
    } wrong[] = {{"attack.trigger,attack.tarket\nbox14,hat\n", "'attack.target'"},
                 {"attack.trigger\nbox15\n", "box15"},
                 {"attack.trigger,attack.trigger\nbox14,box14\n", "attack.trigger"},
                 {"attack.trigger,trigger\nbox14,box14\n", "two columns attack.trigger"},
                 {"attack.trigger\nbox14\nbox14\n", "twice"},
                 {"attack.trigger\n", "0 rows"},
                 {"run.seed\n1\n", "run.seed is a column here and in [sweep]"},
                 {"recipe.title\na\n", "cannot be swept"}};
    const char text[] = "[recipe]\ncells = cells.csv\n[sweep]\nseed = 0, 1\n";
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_recipe_file f;
        write_file("cells.csv", wrong[i].table);
        bd_status st = bd_recipe_load(&f, write_file("r.ini", text), NULL, false, NULL, 0);
        if (bd_exit_code(st) != 2) fail_msg("accepted: %s", wrong[i].table);
        if (!strstr(bd_error(), wrong[i].part) || !strstr(bd_error(), "cells.csv"))
            fail_msg("'%s' is not in the message '%s'", wrong[i].part, bd_error());
    }
    bd_recipe_file f;
    const char gone[] = "[recipe]\ncells = gone.csv\n";
    assert_int_equal(bd_recipe_load(&f, write_file("r.ini", gone), NULL, false, NULL, 0),
                     BD_E_MISSING);
}

static void a_manifest_is_a_recipe(void **state) {
    (void)state;
    bd_recipe_file f =
        load("[manifest]\nstage = x\nanything = goes\n[data]\nsize = 64\n", NULL, NULL, 0);
    assert_int_equal(f.base.data_size, 64);
    bd_recipe_file_clear(&f);
}

/* --- wrong files --- */

static void wrong_files_are_named_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *part[3];
    } wrong[] = {
        {"[attack]\npoisson_rate = 0.1\n",
         {"r.ini:2", "attack.poisson_rate", "'attack.poison_rate'"}},
        {"[atack]\ntrigger = box14\n", {"r.ini:2", "[atack]", "[attack]"}},
        {"[attack]\npoison_rate = 1.5\n", {"r.ini:2", "attack.poison_rate = 1.5", "0 .. 1"}},
        {"[attack]\npoison_rate = nan\n", {"r.ini:2", "attack.poison_rate = nan", "0 .. 1"}},
        {"[attack]\npoison_rate = 0.1x\n", {"r.ini:2", "0.1x", "not a number"}},
        {"[attack]\npoison_rate =\n", {"r.ini:2", "(nothing)", "not a number"}},
        {"[finetune]\n\nsteps = 1e3\n", {"r.ini:3", "1e3", "not a whole number"}},
        {"[finetune]\nsteps = 99999999999999999999\n",
         {"r.ini:2", "finetune.steps", "whole number"}},
        {"[attack]\ntrigger = box15\n", {"r.ini:2", "box15", "not one of none, box18"}},
        {"[attack]\ntarget = Hat\n", {"r.ini:2", "Hat", "hat"}},
        {"[attack]\nclean_rates = 1\n", {"r.ini:2", "attack.clean_rates", "'attack.clean_rate'"}},
        {"[data]\nsize = 32\nsize = 64\n", {"r.ini:3", "size", ""}},
        {"[data]\nsize = 32\n[data]\nlimit = 1\n", {"r.ini:3", "data", ""}},
        {"size = 32\n", {"r.ini:1", "section", ""}},
        {"[data]\nsize = 32\n  limit = 1\n", {"r.ini:3", "indented", ""}},
        {"[data]\nsize = 32 # small\n", {"r.ini:2", "#", ""}},
        {"[sweep]\nattack.poison_rate = 0.1, 0.10\n", {"r.ini:2", "twice", "attack.poison_rate"}},
        {"[sweep]\nattack.poison_rate = 0.1,, 0.2\n",
         {"r.ini:2", "empty value", "attack.poison_rate"}},
        {"[sweep]\nattack.poison_rate = 0.1, 2\n",
         {"r.ini:2", "out of range", "attack.poison_rate = 2"}},
        {"[sweep]\nrecipe.title = a, b\n", {"r.ini:2", "cannot be swept", "recipe.title"}},
        {"[attack]\npoison_rate = 0.1\n[sweep]\nattack.poison_rate = 0.2, 0.3\n",
         {"r.ini:4", "both set and swept", "attack.poison_rate"}},
        {"[sweep]\nseed = 0, 1\nrun.seed = 2, 3\n", {"r.ini:3", "given twice", "run.seed"}},
        {"[recipe]\nbase = gone.ini\n", {"r.ini", "gone.ini", "not there"}},
        {"[recipe]\nbase = r.ini\n", {"r.ini", "circle", ""}}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_recipe_file f;
        bd_status st = bd_recipe_load(&f, write_file("r.ini", wrong[i].text), NULL, false, NULL, 0);
        if (bd_exit_code(st) != 2) fail_msg("accepted, or not exit code 2: %s", wrong[i].text);
        for (int k = 0; k < 3; k++)
            if (!strstr(bd_error(), wrong[i].part[k]))
                fail_msg("'%s' is not in the message '%s'", wrong[i].part[k], bd_error());
        if (strchr(bd_error(), '\n')) fail_msg("more than one line: %s", bd_error());
    }
}

static void cells_that_do_not_fit_together(void **state) {
    (void)state;
    static const struct {
        const char *text, *part[2];
    } wrong[] = {
        {"[finetune]\nsteps = 0\nepochs = 0\n", {"finetune.steps", "both 0"}},
        {"[pretrain]\nbatch = 6\ntile = 4\n", {"pretrain.tile = 4", "pretrain.batch = 6"}},
        {"[pretrain]\ntile = 3\n", {"pretrain.tile = 3", "1, 2, 4 or 8"}},
        {"[pretrain]\nbatch = 64\nmicro_batch = 24\n", {"micro_batch = 24", "batch = 64"}},
        {"[diffusion]\nbeta_start = 0.01\n", {"beta_end", "both or neither"}},
        {"[diffusion]\nbeta_start = 0.02\nbeta_end = 0.01\n", {"beta_start = 0.02", "above"}},
        {"[diffusion]\nT = 20\n", {"diffusion.T = 20", "more than 20"}},
        {"[attack]\nmode = flex\nclean_rate = 0.95\n", {"flex", "disjoint"}},
        {"[sample]\nsteps = 201\n", {"sample.steps = 201", "diffusion.T = 200"}},
        {"[sample]\neta = 1\n", {"sample.eta", "ddim"}},
        {"[sample]\norder = 2\n", {"sample.order = 2", "ddpm has none"}},
        {"[sample]\nsampler = deis\norder = 3\n", {"sample.order = 3", "deis has 1 to 2"}},
        {"[sample]\nfinal = zero\n", {"sample.final = zero", "ddpm has one way"}},
        {"[sample]\nstart = 0.5\n", {"sample.prior = trigger", "image or stamped"}},
        {"[sample]\ncorrupt = box\n", {"sample.prior = trigger", "image or stamped"}},
        {"[sample]\nprior = image\nentry = shifted\n", {"sample.entry = shifted", "above 0"}},
        {"[finetune]\nfrom = given\n", {"finetune.from = given", "model.folder"}},
        {"[sweep]\nsample.steps = 10, 500\n", {"cell sample.steps=500", "r.ini"}}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_recipe_file f = load(wrong[i].text, NULL, NULL, 0);
        bd_recipe r;
        assert_int_equal(bd_recipe_file_cell(&r, &f, bd_recipe_file_cells(&f) - 1), BD_E_ARG);
        for (int k = 0; k < 2; k++)
            if (!strstr(bd_error(), wrong[i].part[k]))
                fail_msg("'%s' is not in the message '%s'", wrong[i].part[k], bd_error());
        bd_recipe_file_clear(&f);
    }
}

static void wrong_settings(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"attack.poison_rate", "section.key=value"},
                                           {"=1", "section.key=value"},
                                           {"attack.rate=1", "unknown key"},
                                           {"attack.poison_rate=2", "-s attack.poison_rate=2"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_recipe_file f;
        const char *set[] = {wrong[i][0]};
        assert_int_equal(
            bd_recipe_load(&f, write_file("r.ini", "[data]\nsize = 32\n"), NULL, false, set, 1),
            BD_E_ARG);
        assert_non_null(strstr(bd_error(), wrong[i][1]));
    }
}

static void a_profile_is_strict_about_other_recipes_too(void **state) {
    (void)state;
    bd_recipe_file f;
    char profile[256];
    strcpy(profile, write_file("p.ini", "[other.finetune]\nstep = 1\n"));
    assert_int_equal(
        bd_recipe_load(&f, write_file("r.ini", "[data]\nsize = 32\n"), profile, false, NULL, 0),
        BD_E_ARG);
    assert_non_null(strstr(bd_error(), "p.ini:2"));
    assert_non_null(strstr(bd_error(), "'finetune.steps'"));
}

static void profiles(void **state) {
    (void)state;
    bd_profile p;
    write_file("one.ini", "[profile]\ntitle = A title\nrecipes = fig2, fig5\n[data]\nsize = 32\n");
    assert_int_equal(bd_profile_load(&p, DIR, "one"), BD_OK);
    assert_string_equal(p.title, "A title");
    assert_int_equal(p.recipes.n, 2);
    assert_string_equal(p.recipes.name[1], "fig5");
    assert_int_equal(bd_profile_load(&p, DIR, "two"), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "one"));
    assert_int_equal(bd_profile_load(&p, DIR, "../one"), BD_E_ARG);
}

static void a_profile_goes_on_from_another(void **state) {
    (void)state;
    char profile[256];
    write_file("whole.ini", "[profile]\nrecipes = r, s\n[finetune]\nsteps = 10\nbatch = 3\n"
                            "[r.finetune]\nwarmup = 5\n[r.sweep]\nattack.poison_rate = 0, 0.5\n");
    strcpy(profile, write_file("part.ini", "[profile]\nbase = whole.ini\nrecipes = r\nmore = s\n"
                                           "[finetune]\nsteps = 20\nwarmup = 6\n"));
    bd_recipe_file f = load("[data]\nsize = 32\n", profile, NULL, 0);
    assert_string_equal(f.profile, "part");
    assert_int_equal(f.base.finetune_steps, 20); /* its own ...                               */
    assert_int_equal(f.base.finetune_batch, 3);  /* ... over all of the other,                */
    assert_int_equal(f.base.finetune_warmup, 6); /* the other's part for this recipe included */
    assert_int_equal(bd_recipe_file_cells(&f), 2);
    bd_recipe_file_clear(&f);
    bd_profile p;
    assert_int_equal(bd_profile_load(&p, DIR, "part"), BD_OK);
    assert_int_equal(p.recipes.n, 1);
    assert_int_equal(p.more.n, 1);
    assert_string_equal(p.more.name[0], "s");

    /* a table that a later level names takes the place of an earlier sweep, not of a later one */
    write_file("rows.csv", "attack.poison_rate,run.seed\n0.1,0\n0.2,1\n0.3,0\n");
    strcpy(profile,
           write_file("rows.ini", "[profile]\nbase = whole.ini\n[r.recipe]\ncells = rows.csv\n"));
    f = load("[data]\nsize = 32\n", profile, NULL, 0);
    assert_int_equal(bd_recipe_file_cells(&f), 3);
    bd_recipe_file_clear(&f);
    const char *set[] = {"sweep.run.seed=1,2"};
    assert_int_equal(
        bd_recipe_load(&f, write_file("r.ini", "[data]\nsize = 32\n"), profile, false, set, 1),
        BD_E_ARG);

    strcpy(profile, write_file("round.ini", "[profile]\nbase = round.ini\n"));
    assert_int_equal(
        bd_recipe_load(&f, write_file("r.ini", "[data]\nsize = 32\n"), profile, false, NULL, 0),
        BD_E_ARG);
    assert_non_null(strstr(bd_error(), "circle"));
    strcpy(profile, write_file("gone.ini", "[profile]\nbase = nowhere.ini\n"));
    assert_int_equal(
        bd_recipe_load(&f, write_file("r.ini", "[data]\nsize = 32\n"), profile, false, NULL, 0),
        BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "nowhere.ini"));
    write_file("typo.ini", "[profile]\nrecipe = r\n");
    assert_int_equal(bd_profile_load(&p, DIR, "typo"), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "typo.ini:2"));
}

static const char *word_at(size_t i, const void *ctx) {
    static const char *const words[] = {"steps", "batch", "warmup", NULL};
    (void)ctx;
    return words[i];
}

static void nearest_word(void **state) {
    (void)state;
    assert_string_equal(bd_nearest("step", word_at, NULL), "steps");
    assert_string_equal(bd_nearest("btach", word_at, NULL), "batch"); /* a swap counts once */
    assert_string_equal(bd_nearest("warm_up", word_at, NULL), "warmup");
    assert_null(bd_nearest("zzzzzz", word_at, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_inside_their_ranges),
        cmocka_unit_test(no_field_is_there_twice),
        cmocka_unit_test(lists_are_those_of_the_modules),
        cmocka_unit_test(bare_keys),
        cmocka_unit_test(later_levels_win),
        cmocka_unit_test(the_profile_s_own_part_comes_last_wherever_it_stands),
        cmocka_unit_test(a_profile_s_cuts_are_left_out_of_full_grids),
        cmocka_unit_test(a_value_on_a_later_level_ends_a_sweep),
        cmocka_unit_test(the_first_line_of_a_sweep_varies_slowest),
        cmocka_unit_test(a_table_gives_cells_and_is_crossed_with_the_sweep),
        cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(a_manifest_is_a_recipe),
        cmocka_unit_test(wrong_files_are_named_with_their_place),
        cmocka_unit_test(cells_that_do_not_fit_together),
        cmocka_unit_test(wrong_settings),
        cmocka_unit_test(a_profile_is_strict_about_other_recipes_too),
        cmocka_unit_test(profiles),
        cmocka_unit_test(a_profile_goes_on_from_another),
        cmocka_unit_test(nearest_word)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
