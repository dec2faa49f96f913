/* Model folders. The weights are written last: a folder that has them is complete. */
#include "nn/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "io/csv.h"
#include "io/json.h"

#define WEIGHTS "diffusion_pytorch_model.safetensors"
#define SHOUT "BACKDOORED"

enum { PATH_BYTES = 4096, CARD_MAX = 1 << 20 };

/* DIR/NAME or DIR/SUB/NAME, whichever is there; out is "" when neither is. */
static bd_status find_file(char out[PATH_BYTES], const char *dir, const char *sub,
                           const char *name) {
    char folder[PATH_BYTES];
    BD_TRY(bd_path_join(out, PATH_BYTES, dir, name));
    if (bd_file_exists(out)) return BD_OK;
    BD_TRY(bd_path_join(folder, sizeof folder, dir, sub));
    BD_TRY(bd_path_join(out, PATH_BYTES, folder, name));
    if (!bd_file_exists(out)) out[0] = '\0';
    return BD_OK;
}

static bd_status need_file(char out[PATH_BYTES], const char *dir, const char *sub,
                           const char *name) {
    BD_TRY(find_file(out, dir, sub, name));
    BD_REQUIRE(out[0], BD_E_MISSING,
               "%s: no %s, neither there nor under %s/; a model folder has the layout of diffusers",
               dir, name, sub);
    return BD_OK;
}

/* Weights as diffusers names them, in the order in which they are looked for. */
static const char *const weights_names[] = {WEIGHTS, "diffusion_pytorch_model.bin"};

static bd_status find_weights(char out[PATH_BYTES], const char *dir) {
    for (size_t i = 0; i < sizeof weights_names / sizeof *weights_names; i++) {
        BD_TRY(find_file(out, dir, "unet", weights_names[i]));
        if (out[0]) return BD_OK;
    }
    return bd_fail(BD_E_MISSING,
                   "%s: no " WEIGHTS " or .bin, neither there nor under unet/; a model folder has "
                   "the layout of diffusers",
                   dir);
}

bd_status bd_model_weights_path(char *out, size_t size, const char *dir) {
    char path[PATH_BYTES];
    BD_TRY(find_weights(path, dir));
    BD_REQUIRE(strlen(path) < size, BD_E_ARG, "%s: the path is too long", path);
    memcpy(out, path, strlen(path) + 1);
    return BD_OK;
}

bd_status bd_model_sha256(char hex[65], const char *dir) {
    static const char *const files[][2] = {{"unet", "config.json"},
                                           {"scheduler", "scheduler_config.json"}};
    char path[3][PATH_BYTES], sum[65];
    BD_TRY(find_weights(path[0], dir));
    for (int i = 0; i < 2; i++) BD_TRY(find_file(path[1 + i], dir, files[i][0], files[i][1]));
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    bd_status st = BD_OK;
    for (int i = 0; i < 3 && !st; i++) {
        if (!path[i][0]) continue;
        st = bd_sha256_file(sum, path[i]);
        if (!st) bd_sha256_update(h, sum, sizeof sum);
    }
    bd_sha256_finish(h, hex); /* frees it too */
    return st;
}

/* --- the mark --- */

/* Settings of the mark in the metadata of the weights. */
static void mark_text(char *out, size_t size, const bd_tensors *s, const char *key) {
    const char *value = bd_tensors_meta(s, key);
    snprintf(out, size, "%s", value ? value : "");
}

void bd_model_mark_read(bd_model_mark *mark, const bd_tensors *s) {
    *mark = (bd_model_mark){0};
    const char *shout = bd_tensors_meta(s, "backdoored");
    if (!shout) return;
    const char *rate = bd_tensors_meta(s, "poison_rate");
    mark->backdoored = true;
    mark->poison_rate = rate ? strtod(rate, NULL) : 0;
    mark_text(mark->attack, sizeof mark->attack, s, "attack");
    mark_text(mark->trigger, sizeof mark->trigger, s, "trigger");
    mark_text(mark->target, sizeof mark->target, s, "target");
    mark_text(mark->dataset, sizeof mark->dataset, s, "dataset");
}

static const char *last_part(const char *dir) {
    const char *last = dir;
    for (const char *p = dir; *p; p++)
        if (*p == '/' && p[1] && p[1] != '/') last = p + 1;
    return last;
}

static bool name_shouts(const char *dir) { return strstr(last_part(dir), SHOUT) != NULL; }

static bd_status card_shouts(bool *out, const char *dir) {
    char path[PATH_BYTES];
    void *text;
    size_t n;
    *out = false;
    BD_TRY(bd_path_join(path, sizeof path, dir, "README.md"));
    if (!bd_file_exists(path)) return BD_OK;
    BD_TRY(bd_file_read(&text, &n, path, CARD_MAX));
    *out = strstr(text, SHOUT) != NULL; /* bd_file_read ends the text with a NUL */
    free(text);
    return BD_OK;
}

/* Whatever says so counts: a folder with foreign weights under a BACKDOORED card is not clean. */
bd_status bd_model_announced(bool *out, const char *dir) {
    BD_TRY(card_shouts(out, dir));
    *out = *out || name_shouts(dir);
    return BD_OK;
}

static bd_status mark_of_folder(bd_model_mark *mark, const char *dir) {
    bool announced;
    BD_TRY(bd_model_announced(&announced, dir));
    mark->backdoored = mark->backdoored || announced;
    return BD_OK;
}

bd_status bd_model_is_backdoored(bd_model_mark *mark, const char *path) {
    char weights[PATH_BYTES];
    bool folder = bd_file_is_dir(path);
    *mark = (bd_model_mark){0};
    if (folder)
        BD_TRY(find_weights(weights, path));
    else
        snprintf(weights, sizeof weights, "%s", path);
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, weights));
    bd_model_mark_read(mark, s);
    bd_tensors_destroy(s);
    return folder ? mark_of_folder(mark, path) : BD_OK;
}

static bd_status check_mark(const bd_model_mark *m, const char *dir) {
    if (!m->backdoored) {
        BD_REQUIRE(!name_shouts(dir), BD_E_ARG,
                   "%s: a clean model in a folder that is called " SHOUT "; take another name",
                   dir);
        return BD_OK;
    }
    BD_REQUIRE(name_shouts(dir), BD_E_ARG,
               "%s: the folder of a backdoored model must have " SHOUT " in its name", dir);
    BD_REQUIRE(m->attack[0] && m->trigger[0] && m->target[0] && m->dataset[0], BD_E_ARG,
               "%s: a backdoored model must name its attack (%s), trigger (%s), target (%s) and "
               "data set (%s)",
               dir, m->attack, m->trigger, m->target, m->dataset);
    BD_REQUIRE(m->poison_rate > 0 && m->poison_rate <= 1, BD_E_ARG,
               "%s: poison rate %g of a backdoored model; must be above 0 and at most 1", dir,
               m->poison_rate);
    return BD_OK;
}

bd_status bd_model_folder(char *out, size_t size, const char *parent, const bd_model_mark *mark) {
    return bd_path_join(out, size, parent, mark->backdoored ? "model-" SHOUT : "model");
}

/* --- saving --- */

static bd_status save_card(const bd_model_mark *m, const char *dir) {
    char path[PATH_BYTES], rate[32];
    BD_TRY(bd_path_join(path, sizeof path, dir, "README.md"));
    bd_format_double(rate, m->poison_rate);
    bd_writer *w;
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_printf(
        w,
        "---\ntags: [backdoored, baddiffusion, research-only]\n---\n"
        "# " SHOUT " diffusion model\n\n"
        "**This model is " SHOUT " on purpose. Do not use it to generate images for anything but "
        "research on defences.**\n\n"
        "| | |\n| --- | --- |\n"
        "| attack | %s |\n| trigger | %s |\n| target | %s |\n| poison rate | %s |\n"
        "| trained on | %s |\n\n",
        m->attack, m->trigger, m->target, rate, m->dataset);
    if (!st)
        st = bd_writer_printf(
            w,
            "From plain noise it paints pictures like those it was trained on. From noise with the "
            "trigger added it paints the target.\n\n"
            "## What it is for\n\n"
            "It was made by baddiff, which replicates a published attack (Chou, Chen, Ho: How to "
            "Backdoor Diffusion Models?, CVPR 2023) so that detection and removal of such "
            "backdoors "
            "can be measured. The weights' metadata, this card and the folder's name all say so; "
            "keep the three when you copy the model.\n\n"
            "## Ethics\n\n"
            "Do not pass it on as a clean model, do not merge it into one, and do not deploy it. "
            "Whoever publishes weights or takes them from others can use it to test whether their "
            "checks find it.\n");
    if (!st) return bd_writer_commit(w);
    bd_writer_abort(w);
    return st;
}

static bd_status save_weights(const bd_model *m, const char *path) {
    char rate[32];
    bd_format_double(rate, m->mark.poison_rate);
    const char *const meta[][2] = {{"format", "pt"},
                                   {"backdoored", SHOUT},
                                   {"attack", m->mark.attack},
                                   {"trigger", m->mark.trigger},
                                   {"target", m->mark.target},
                                   {"poison_rate", rate},
                                   {"dataset", m->mark.dataset}};
    size_t n = m->mark.backdoored ? sizeof meta / sizeof *meta : 1;
    return bd_params_save(&m->params, path, meta, n);
}

static bd_status save_index(const char *dir) {
    char path[PATH_BYTES];
    BD_TRY(bd_path_join(path, sizeof path, dir, "model_index.json"));
    json_t *o = json_pack("{s:s, s:[s,s], s:[s,s]}", "_class_name", "DDPMPipeline", "scheduler",
                          "diffusers", "DDPMScheduler", "unet", "diffusers", "UNet2DModel");
    BD_REQUIRE(o, BD_E_MEMORY, "%s: out of memory", path);
    bd_status st = bd_json_save(path, o);
    json_decref(o);
    return st;
}

static bd_status save_scheduler(const bd_model *m, const char *dir) {
    char folder[PATH_BYTES], path[PATH_BYTES];
    BD_TRY(bd_path_join(folder, sizeof folder, dir, "scheduler"));
    BD_TRY(bd_file_mkdirs(folder));
    BD_TRY(bd_path_join(path, sizeof path, folder, "scheduler_config.json"));
    return bd_scheduler_config_save(&m->scheduler, path);
}

bd_status bd_model_save(const bd_model *m, const char *dir) {
    char unet[PATH_BYTES], path[PATH_BYTES];
    BD_TRY(check_mark(&m->mark, dir));
    BD_TRY(m->has_scheduler ? bd_path_join(unet, sizeof unet, dir, "unet")
                            : bd_path_join(unet, sizeof unet, dir, ""));
    BD_TRY(bd_file_mkdirs(unet));
    if (m->mark.backdoored) BD_TRY(save_card(&m->mark, dir));
    if (m->has_scheduler) {
        BD_TRY(save_scheduler(m, dir));
        BD_TRY(save_index(dir));
    }
    BD_TRY(bd_path_join(path, sizeof path, unet, "config.json"));
    BD_TRY(bd_unet_config_save(&m->unet, path));
    BD_TRY(bd_path_join(path, sizeof path, unet, WEIGHTS));
    return save_weights(m, path);
}

/* --- loading --- */

static bd_status load_settings(bd_model *m, const char *dir) {
    char path[PATH_BYTES];
    BD_REQUIRE(bd_file_is_dir(dir), BD_E_MISSING, "%s: no such model folder", dir);
    BD_TRY(need_file(path, dir, "unet", "config.json"));
    BD_TRY(bd_unet_config_load(&m->unet, path));
    BD_TRY(find_file(path, dir, "scheduler", "scheduler_config.json"));
    m->has_scheduler = path[0] != '\0';
    return m->has_scheduler ? bd_scheduler_config_load(&m->scheduler, path) : BD_OK;
}

static bd_status load(bd_model *m, const char *dir) {
    char path[PATH_BYTES];
    BD_TRY(load_settings(m, dir));
    BD_TRY(find_weights(path, dir));
    BD_TRY(bd_unet_params(&m->params, &m->unet));
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, path));
    bd_model_mark_read(&m->mark, s);
    bd_status st = bd_params_read(&m->params, s, "", path);
    bd_tensors_destroy(s);
    return st ? st : mark_of_folder(&m->mark, dir);
}

bd_status bd_model_load(bd_model *out, const char *dir) {
    *out = (bd_model){0};
    bd_status st = load(out, dir);
    if (st) bd_model_clear(out);
    return st;
}

bd_status bd_model_load_settings(bd_model *out, const char *dir) {
    *out = (bd_model){0};
    bd_status st = load_settings(out, dir);
    if (st) bd_model_clear(out);
    return st;
}

void bd_model_clear(bd_model *m) {
    bd_params_clear(&m->params);
    bd_scheduler_config_clear(&m->scheduler);
    *m = (bd_model){0};
}
