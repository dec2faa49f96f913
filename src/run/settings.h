/* From the fields of a recipe to what the modules below ask for. */
#ifndef BD_RUN_SETTINGS_H
#define BD_RUN_SETTINGS_H

#include "data/dataset.h"
#include "diffusion/sampler.h"
#include "diffusion/schedule.h"
#include "nn/model.h"
#include "nn/unet.h"
#include "run/recipe.h"
#include "train/loop.h"

/* bd_recipe_unet -- [model] with [data] size and channels.
 *   errors   BD_E_ARG with the field's name
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_recipe_unet(bd_unet_config *out, const bd_recipe *r);

/* bd_recipe_schedule -- [diffusion]; caller frees with bd_schedule_clear. */
BD_MUST_CHECK bd_status bd_recipe_schedule(bd_schedule *out, const bd_recipe *r);

/* bd_recipe_sampler -- [sample]; borrows r for the name. */
BD_MUST_CHECK bd_status bd_recipe_sampler(bd_sampler_spec *out, const bd_recipe *r);

/* bd_recipe_data -- [data]; borrows r. */
bd_dataset_spec bd_recipe_data(const bd_recipe *r);

/* bd_recipe_images -- how many images [data] describes, without reading them; 0 = not known (a folder that is not
 * there). */
int64_t bd_recipe_images(const bd_recipe *r);

/* bd_recipe_loop -- [pretrain], [finetune], [classifier] or [anp] as options of a training loop; what
 * decides no bits is left zero. */
bd_loop_options bd_recipe_loop(const bd_recipe *r, bd_stage_kind kind);

/* bd_model_schedule -- the noise schedule that a model's scheduler_config.json states.
 *   errors   as bd_schedule_create
 *   memory   fills *out; caller frees with bd_schedule_clear */
BD_MUST_CHECK bd_status bd_model_schedule(bd_schedule *out, const bd_scheduler_config *c);

#endif
