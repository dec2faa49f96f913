/* A diffusion model as a folder in diffusers' layout, and how a backdoored one is marked. */
#ifndef BD_NN_MODEL_H
#define BD_NN_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "nn/params.h"
#include "nn/unet.h"

/* scheduler_config.json of a DDPMScheduler or DDIMScheduler with epsilon prediction. */
typedef struct {
    int T;
    char beta_schedule[24]; /* a name of bd_schedule_create; "" = linear */
    double beta_start, beta_end;
    double *trained_betas; /* [T], in place of the schedule; NULL: none */
    int n_trained_betas;
    bool clip_sample;
    char variance_type[16]; /* fixed_small or fixed_large */
} bd_scheduler_config;

/* What a backdoored model says about itself. All zero = clean. */
typedef struct {
    bool backdoored;
    char attack[32], trigger[64], target[64], dataset[64];
    double poison_rate;
} bd_model_mark;

typedef struct {
    bd_unet_config unet;
    bool has_scheduler;
    bd_scheduler_config scheduler;
    bd_model_mark mark;
    bd_params params;
} bd_model;

/* bd_model_load -- the folder's config.json, diffusion_pytorch_model.safetensors or .bin and, if
 * there, scheduler_config.json; each at the root or under unet/ and scheduler/. Attention may have its
 * old names (bd_params_load).
 *   errors   BD_E_MISSING: no such folder or file; BD_E_FORMAT: file, place and reason
 *   memory   caller frees with bd_model_clear
 *   tested   tests/test_model.c */
BD_MUST_CHECK bd_status bd_model_load(bd_model *out, const char *dir);
/* bd_model_load_settings -- the same without weights and mark: what the network and its schedule are. */
BD_MUST_CHECK bd_status bd_model_load_settings(bd_model *out, const char *dir);
void bd_model_clear(bd_model *m); /* an all-zero struct is fine */

/* bd_model_folder -- PARENT/model, or PARENT/model-BACKDOORED for a marked model. */
BD_MUST_CHECK bd_status bd_model_folder(char *out, size_t size, const char *parent,
                                        const bd_model_mark *mark);

/* bd_model_save -- write the folder (made if need be), each file atomically, the weights last.
 * diffusers loads it as a pipeline. A backdoored model carries its mark in the metadata of its
 * weights and in README.md, and the folder's own name must contain BACKDOORED (bd_model_folder).
 *   errors   BD_E_ARG: the mark is incomplete, or the folder's name hides it; BD_E_IO
 *   memory   borrows m
 *   tested   tests/test_model.c */
BD_MUST_CHECK bd_status bd_model_save(const bd_model *m, const char *dir);

/* bd_model_is_backdoored -- the mark of a model folder or of one weights file; *mark is all zero
 * when there is none. Whatever says BACKDOORED counts: metadata, the card, or the folder's name.
 *   errors   BD_E_MISSING, BD_E_FORMAT, BD_E_IO */
BD_MUST_CHECK bd_status bd_model_is_backdoored(bd_model_mark *mark, const char *path);

/* bd_model_announced -- does the folder's name or its card say BACKDOORED? Needs no weights.
 *   errors   BD_E_IO */
BD_MUST_CHECK bd_status bd_model_announced(bool *out, const char *dir);

/* bd_model_sha256 -- of the sums of its weights, config.json and scheduler_config.json.
 *   errors   BD_E_MISSING: no weights; BD_E_IO */
BD_MUST_CHECK bd_status bd_model_sha256(char hex[65], const char *dir);

/* bd_model_weights_path -- where the folder's weights file is; BD_E_MISSING when there is none. */
BD_MUST_CHECK bd_status bd_model_weights_path(char *out, size_t size, const char *dir);

/* bd_model_mark_read -- the mark in the metadata of an open weights file. */
void bd_model_mark_read(bd_model_mark *mark, const bd_tensors *s);

/* bd_scheduler_config_load / save -- scheduler_config.json; what this project cannot honour (another
 * beta schedule, v-prediction ...) is refused by name.
 *   errors   BD_E_FORMAT with file and setting; BD_E_MISSING; BD_E_IO
 *   memory   caller frees with bd_scheduler_config_clear; a bd_model's goes with it
 *   tested   tests/test_model.c */
BD_MUST_CHECK bd_status bd_scheduler_config_load(bd_scheduler_config *out, const char *path);
void bd_scheduler_config_clear(bd_scheduler_config *c); /* an all-zero struct is fine */
BD_MUST_CHECK bd_status bd_scheduler_config_save(const bd_scheduler_config *c, const char *path);

#endif
