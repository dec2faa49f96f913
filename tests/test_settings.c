/* Oracles: presets and defaults of the modules; arithmetic by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "run/settings.h"

static bd_recipe recipe(const char *name, const char *value) {
    bd_recipe r;
    const bd_field *f;
    bd_recipe_defaults(&r);
    assert_int_equal(bd_field_find(&f, name), BD_OK);
    assert_int_equal(bd_recipe_set(&r, f, value), BD_OK);
    return r;
}

static void without_settings_the_preset_counts(void **state) {
    (void)state;
    bd_unet_config preset, got;
    bd_recipe r = recipe("data.size", "32");
    assert_int_equal(bd_unet_preset(&preset, "mini", 32, 1), BD_OK);
    assert_int_equal(bd_recipe_unet(&got, &r), BD_OK);
    assert_memory_equal(&got, &preset, sizeof got);
}

static void single_settings_change_single_things(void **state) {
    (void)state;
    bd_unet_config u;
    bd_recipe r = recipe("model.block_out_channels", "8/16");
    assert_int_equal(bd_recipe_unet(&u, &r), BD_E_ARG); /* the preset has three resolutions */
    assert_non_null(strstr(bd_error(), "model.attention"));
    strcpy(r.model_attention, "0/1");
    r.model_groups = 4;
    r.model_layers_per_block = 3;
    r.model_head_dim = 8;
    r.model_eps = 1e-4;
    r.data_size = 16;
    r.data_channels = 3;
    if (bd_recipe_unet(&u, &r)) fail_msg("%s", bd_error());
    assert_int_equal(u.blocks, 2);
    assert_int_equal(u.channels[1], 16);
    assert_int_equal(u.down_attention[1], 1);
    assert_int_equal(u.up_attention[0], 1); /* up blocks are counted from the coarsest */
    assert_int_equal(u.up_attention[1], 0);
    assert_int_equal(u.groups, 4);
    assert_int_equal(u.layers, 3);
    assert_int_equal(u.head_dim, 8);
    assert_true(u.eps == 1e-4);
    assert_int_equal(u.sample_size, 16);
    assert_int_equal(u.in_channels, 3);
    assert_int_equal(u.out_channels, 3);
}

static void wrong_lists(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"model.block_out_channels", "16,32"},
                                           {"model.block_out_channels", "16/"},
                                           {"model.block_out_channels", "0/16/32"},
                                           {"model.attention", "0/2/0"},
                                           {"model.attention", "0/1"},
                                           {"model.block_out_channels", "16/33/64"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bd_unet_config u;
        bd_recipe r = recipe(wrong[i][0], wrong[i][1]);
        bd_status st = bd_recipe_unet(&u, &r);
        /* "16/" ends after its first number, and one resolution is not three */
        if (st != BD_E_ARG) fail_msg("%s = %s was accepted", wrong[i][0], wrong[i][1]);
    }
}

static void schedules(void **state) {
    (void)state;
    bd_schedule s;
    bd_recipe r = recipe("diffusion.T", "200");
    assert_int_equal(bd_recipe_schedule(&s, &r), BD_OK);
    assert_true(fabs(s.beta_start - 5e-4) < 1e-18 &&
                fabs(s.beta_end - 0.1) < 1e-15); /* 1000/200 times the paper's */
    bd_schedule_clear(&s);
    r.diffusion_beta_start = 0.001;
    r.diffusion_beta_end = 0.05;
    assert_int_equal(bd_recipe_schedule(&s, &r), BD_OK);
    /* the ends of a line in doubles: within a rounding of either */
    assert_true(fabs(s.beta[0] - 0.001) < 1e-17 && fabs(s.beta[199] - 0.05) < 1e-16);
    bd_schedule_clear(&s);
}

static void sizes_of_data_sets(void **state) {
    (void)state;
    bd_recipe r = recipe("data.split", "train+test");
    assert_int_equal(bd_recipe_images(&r), 70000);
    r.data_limit = 100;
    assert_int_equal(bd_recipe_images(&r), 100);
    strcpy(r.data_split, "test");
    r.data_limit = 20000;
    assert_int_equal(bd_recipe_images(&r), 10000);
    r = recipe("data.set", "celeba");
    assert_int_equal(bd_recipe_images(&r), 202599);
    r = recipe("data.set", "folder");
    assert_int_equal(bd_recipe_images(&r), 0); /* of which folder? */
    strcpy(r.data_folder, "tests/golden/jpeg");
    assert_true(bd_recipe_images(&r) >= 11);
}

/* Every name that a recipe may use is one that can be loaded. */
static void names_of_data_sets_are_known(void **state) {
    (void)state;
    char list[200];
    int n = 0;
    snprintf(list, sizeof list, "%s", bd_dataset_names());
    for (char *rest, *name = strtok_r(list, ", ", &rest); name;
         name = strtok_r(NULL, ", ", &rest)) {
        int64_t images;
        bd_dataset_spec spec = {
            .name = name, .split = "train", .size = 8, .dir = "tests/golden/jpeg"};
        assert_int_equal(bd_dataset_count(&images, &spec), BD_OK);
        assert_true(images > 0);
        n++;
    }
    assert_int_equal(n, 6);
    bd_dataset_spec no = {.name = "cifar", .split = "train"};
    int64_t images;
    assert_int_equal(bd_dataset_count(&images, &no), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "cifar10"));
}

static void loops_take_their_own_section(void **state) {
    (void)state;
    bd_recipe r = recipe("finetune.batch", "16");
    r.pretrain_seed = 5;
    r.run_seed = 7;
    r.classifier_batch = 48;
    assert_int_equal(bd_recipe_loop(&r, BD_KIND_finetune).batch, 16);
    assert_int_equal(bd_recipe_loop(&r, BD_KIND_finetune).seed, 7);
    assert_int_equal(bd_recipe_loop(&r, BD_KIND_pretrain).batch, 64);
    assert_int_equal(bd_recipe_loop(&r, BD_KIND_pretrain).seed, 5);
    assert_int_equal(bd_recipe_loop(&r, BD_KIND_classifier).batch, 48);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_settings_the_preset_counts),
                                       cmocka_unit_test(single_settings_change_single_things),
                                       cmocka_unit_test(wrong_lists),
                                       cmocka_unit_test(schedules),
                                       cmocka_unit_test(sizes_of_data_sets),
                                       cmocka_unit_test(names_of_data_sets_are_known),
                                       cmocka_unit_test(loops_take_their_own_section)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
