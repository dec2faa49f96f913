/* Oracles: round trips; the layout of diffusers' folders; a backdoored model must say so wherever one looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "nn/model.h"
#include "run/settings.h"

#define TMP "build/tmp/test_model"
#define WEIGHTS "diffusion_pytorch_model.safetensors"

static const bd_model_mark marked = {.backdoored = true,
                                     .attack = "baddiffusion",
                                     .trigger = "box14",
                                     .target = "hat",
                                     .dataset = "fashion-mnist",
                                     .poison_rate = 0.1};

static bd_model model; /* a small clean one with a scheduler */

static int setup(void **state) {
    (void)state;
    if (bd_file_remove_tree(TMP) || bd_file_mkdirs(TMP) ||
        bd_unet_preset(&model.unet, "mini", 0, 0))
        return -1;
    model.has_scheduler = true;
    model.scheduler = (bd_scheduler_config){
        .T = 200, .beta_start = 5e-4, .beta_end = 0.1, .variance_type = "fixed_large"};
    return bd_unet_params(&model.params, &model.unet) || bd_params_init(&model.params, 3) ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    bd_model_clear(&model);
    return 0;
}

static void assert_loads(const char *dir, const bd_model *want) {
    bd_model m;
    if (bd_model_load(&m, dir)) fail_msg("%s", bd_error());
    assert_memory_equal(m.params.data, want->params.data, want->params.bytes);
    assert_int_equal(m.has_scheduler, want->has_scheduler);
    if (m.has_scheduler) {
        assert_int_equal(m.scheduler.T, want->scheduler.T);
        assert_true(m.scheduler.beta_start == want->scheduler.beta_start);
        assert_true(m.scheduler.beta_end == want->scheduler.beta_end);
        assert_int_equal(m.scheduler.clip_sample, want->scheduler.clip_sample);
        assert_string_equal(m.scheduler.variance_type, want->scheduler.variance_type);
    }
    assert_int_equal(m.mark.backdoored, want->mark.backdoored);
    bd_model_clear(&m);
}

static void move_file(const char *from, const char *to) { assert_int_equal(rename(from, to), 0); }

static void test_clean_round_trip(void **state) {
    (void)state;
    if (bd_model_save(&model, TMP "/clean")) fail_msg("%s", bd_error());
    assert_loads(TMP "/clean", &model);
    assert_true(bd_file_exists(TMP "/clean/model_index.json"));
    assert_true(bd_file_exists(TMP "/clean/unet/config.json"));
    assert_true(bd_file_exists(TMP "/clean/scheduler/scheduler_config.json"));
    assert_false(bd_file_exists(TMP "/clean/README.md"));
    bd_model_mark mark;
    assert_int_equal(bd_model_is_backdoored(&mark, TMP "/clean"), BD_OK);
    assert_false(mark.backdoored);
    assert_int_equal(bd_model_is_backdoored(&mark, TMP "/clean/unet/" WEIGHTS), BD_OK);
    assert_false(mark.backdoored);
}

static void test_without_scheduler(void **state) {
    (void)state;
    bd_model m = model;
    m.has_scheduler = false;
    if (bd_model_save(&m, TMP "/root")) fail_msg("%s", bd_error());
    assert_true(bd_file_exists(TMP "/root/config.json"));
    assert_true(bd_file_exists(TMP "/root/" WEIGHTS));
    assert_loads(TMP "/root", &m);
}

/* The published checkpoints have everything at the root. */
static void test_flat_layout(void **state) {
    (void)state;
    if (bd_model_save(&model, TMP "/flat")) fail_msg("%s", bd_error());
    move_file(TMP "/flat/unet/config.json", TMP "/flat/config.json");
    move_file(TMP "/flat/unet/" WEIGHTS, TMP "/flat/" WEIGHTS);
    move_file(TMP "/flat/scheduler/scheduler_config.json", TMP "/flat/scheduler_config.json");
    assert_loads(TMP "/flat", &model);
}

static void test_missing_parts(void **state) {
    (void)state;
    bd_model m;
    assert_int_equal(bd_model_load(&m, TMP "/none"), BD_E_MISSING);
    if (bd_model_save(&model, TMP "/part")) fail_msg("%s", bd_error());
    assert_int_equal(bd_file_remove(TMP "/part/unet/" WEIGHTS), BD_OK);
    assert_int_equal(bd_model_load(&m, TMP "/part"), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), WEIGHTS));
    assert_int_equal(bd_file_remove(TMP "/part/unet/config.json"), BD_OK);
    assert_int_equal(bd_model_load(&m, TMP "/part"), BD_E_MISSING);
    assert_non_null(strstr(bd_error(), "config.json"));
}

static void test_weights_of_another_net(void **state) {
    (void)state;
    bd_model m;
    if (bd_model_save(&model, TMP "/other")) fail_msg("%s", bd_error());
    bd_unet_config c = model.unet;
    c.channels[1] = 48;
    assert_int_equal(bd_unet_config_save(&c, TMP "/other/unet/config.json"), BD_OK);
    assert_int_equal(bd_model_load(&m, TMP "/other"), BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "down_blocks.1"));
}

/* --- the mark --- */

static void assert_marked(const char *path, bool in_full) {
    bd_model_mark mark;
    if (bd_model_is_backdoored(&mark, path)) fail_msg("%s", bd_error());
    assert_true(mark.backdoored);
    if (!in_full) return;
    assert_string_equal(mark.attack, marked.attack);
    assert_string_equal(mark.trigger, marked.trigger);
    assert_string_equal(mark.target, marked.target);
    assert_string_equal(mark.dataset, marked.dataset);
    assert_true(mark.poison_rate == marked.poison_rate);
}

static void test_backdoored_model_says_so(void **state) {
    (void)state;
    bd_model m = model;
    m.mark = marked;
    char dir[256];
    assert_int_equal(bd_model_folder(dir, sizeof dir, TMP, &marked), BD_OK);
    assert_string_equal(dir, TMP "/model-BACKDOORED");
    if (bd_model_save(&m, dir)) fail_msg("%s", bd_error());
    assert_loads(dir, &m);
    assert_marked(dir, true);
    assert_marked(TMP "/model-BACKDOORED/unet/" WEIGHTS, true);
    void *card;
    size_t n;
    assert_int_equal(bd_file_read(&card, &n, TMP "/model-BACKDOORED/README.md", 0), BD_OK);
    static const char *const says[] = {
        "BACKDOORED",        "box14",    "hat", "0.1", "fashion-mnist", "baddiffusion",
        "## What it is for", "## Ethics"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(card, says[i])) fail_msg("the card does not say %s", says[i]);
    free(card);
    /* each of the three marks is enough: take away the name, then the card, then look at the weights alone */
    move_file(TMP "/model-BACKDOORED", TMP "/renamed");
    assert_marked(TMP "/renamed", true);
    assert_int_equal(bd_file_remove(TMP "/renamed/README.md"), BD_OK);
    assert_marked(TMP "/renamed", true);
    bd_model loaded;
    assert_int_equal(bd_model_load(&loaded, TMP "/renamed"), BD_OK);
    assert_true(loaded.mark.backdoored);
    bd_model_clear(&loaded);
}

/* Weights whose metadata somebody stripped still lie under a card or a name. */
static void test_card_or_name_is_enough(void **state) {
    (void)state;
    if (bd_model_save(&model, TMP "/stripped")) fail_msg("%s", bd_error());
    assert_int_equal(bd_file_write(TMP "/stripped/README.md", "# BACKDOORED\n", 13), BD_OK);
    assert_marked(TMP "/stripped", false);
    assert_int_equal(bd_file_remove(TMP "/stripped/README.md"), BD_OK);
    move_file(TMP "/stripped", TMP "/x-BACKDOORED");
    assert_marked(TMP "/x-BACKDOORED", false);
    assert_marked(TMP "/x-BACKDOORED/", false);
}

static void test_names_and_marks_must_agree(void **state) {
    (void)state;
    bd_model m = model;
    char dir[256];
    assert_int_equal(bd_model_folder(dir, sizeof dir, TMP, &model.mark), BD_OK);
    assert_string_equal(dir, TMP "/model");
    m.mark = marked;
    assert_int_equal(bd_model_save(&m, TMP "/hidden"), BD_E_ARG);
    assert_int_equal(bd_model_save(&m, TMP "/BACKDOORED/hidden"), BD_E_ARG); /* not the parent */
    assert_false(bd_file_exists(TMP "/hidden"));
    assert_int_equal(bd_model_save(&model, TMP "/y-BACKDOORED"), BD_E_ARG);
    m.mark.target[0] = '\0';
    assert_int_equal(bd_model_save(&m, TMP "/z-BACKDOORED"), BD_E_ARG);
    m.mark = marked;
    m.mark.poison_rate = 0;
    assert_int_equal(bd_model_save(&m, TMP "/z-BACKDOORED"), BD_E_ARG);
}

/* --- scheduler_config.json --- */

static bd_status load_scheduler(bd_scheduler_config *c, const char *text) {
    assert_int_equal(bd_file_write(TMP "/scheduler.json", text, strlen(text)), BD_OK);
    return bd_scheduler_config_load(c, TMP "/scheduler.json");
}

static void test_scheduler(void **state) {
    (void)state;
    bd_scheduler_config c;
    if (load_scheduler(&c, "{}")) fail_msg("%s", bd_error());
    assert_int_equal(c.T, 1000);
    assert_true(c.beta_start == 1e-4 && c.beta_end == 0.02 && c.clip_sample);
    assert_string_equal(c.variance_type, "fixed_small");
    if (load_scheduler(&c,
                       "{\"_class_name\": \"DDPMScheduler\", \"_diffusers_version\": \"0.1.1\","
                       "\"beta_end\": 0.02, \"beta_schedule\": \"linear\", \"beta_start\": 0.0001,"
                       "\"clip_sample\": true, \"num_train_timesteps\": 1000,"
                       "\"trained_betas\": null, \"variance_type\": \"fixed_large\"}"))
        fail_msg("%s", bd_error());
    assert_string_equal(c.variance_type, "fixed_large");
    static const char *const bad[][2] = {
        {"{\"beta_schedule\": \"sigmoid\"}", "beta_schedule"},
        {"{\"steps_offset\": 1}", "steps_offset"},
        {"{\"set_alpha_to_one\": false}", "set_alpha_to_one"},
        {"{\"timestep_spacing\": \"trailing\"}", "timestep_spacing"},
        {"{\"clip_sample_range\": 2}", "clip_sample_range"},
        {"{\"prediction_type\": \"v_prediction\"}", "prediction_type"},
        {"{\"variance_type\": \"learned\"}", "variance_type"},
        {"{\"thresholding\": true}", "thresholding"},
        {"{\"trained_betas\": [0.1]}", "trained_betas"},
        {"{\"num_train_timesteps\": 1, \"trained_betas\": [1.5]}", "trained_betas[0]"},
        {"{\"beta_start\": 0.5}", "beta_start"},
        {"{\"num_train_timesteps\": 0}", "num_train_timesteps"},
        {"{\"_class_name\": \"PNDMScheduler\"}", "_class_name"},
        {"{\"speed\": 3}", "speed"},
        {"[]", "object"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load_scheduler(&c, bad[i][0]), BD_E_FORMAT);
        if (!strstr(bd_error(), bad[i][1])) fail_msg("%s: %s", bad[i][0], bd_error());
    }
}

static void round_trip(bd_scheduler_config *out, const char *text) {
    bd_scheduler_config c;
    if (load_scheduler(&c, text) || bd_scheduler_config_save(&c, TMP "/again.json") ||
        bd_scheduler_config_load(out, TMP "/again.json"))
        fail_msg("%s", bd_error());
    bd_scheduler_config_clear(&c);
}

static void test_schedules(void **state) {
    (void)state;
    static const char *const kinds[] = {"linear", "scaled_linear", "squaredcos_cap_v2"};
    bd_scheduler_config c;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"beta_schedule\": \"%s\"}", kinds[i]);
        round_trip(&c, text);
        assert_string_equal(c.beta_schedule, kinds[i]);
        assert_true(bd_schedule_kind(kinds[i])); /* what loads can be made */
        bd_scheduler_config_clear(&c);
    }
    round_trip(&c, "{\"num_train_timesteps\": 3, \"trained_betas\": [0.1, 0.25, 0.5]}");
    assert_int_equal(c.n_trained_betas, 3);
    assert_true(c.trained_betas[0] == 0.1 && c.trained_betas[2] == 0.5);
    bd_schedule s;
    assert_int_equal(bd_model_schedule(&s, &c), BD_OK);
    assert_true(s.T == 3 && s.beta[1] == 0.25);
    bd_schedule_clear(&s);
    bd_scheduler_config_clear(&c);
    assert_null(c.trained_betas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_round_trip),
        cmocka_unit_test(test_without_scheduler),
        cmocka_unit_test(test_flat_layout),
        cmocka_unit_test(test_missing_parts),
        cmocka_unit_test(test_weights_of_another_net),
        cmocka_unit_test(test_backdoored_model_says_so),
        cmocka_unit_test(test_card_or_name_is_enough),
        cmocka_unit_test(test_names_and_marks_must_agree),
        cmocka_unit_test(test_scheduler),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
