/* One function a kind of stage; for src/run/ only. */
#ifndef BD_RUN_STAGES_H
#define BD_RUN_STAGES_H

#include "nn/classifier.h"
#include "nn/model.h"
#include "run/folder.h"
#include "run/pixels.h"
#include "run/runner.h"

/* A stage while it runs. The function fills the folder with artifacts and adds its results; result.csv and
 * DONE are the runner's. On BD_E_INTERRUPT what it left must let the next run go on from there. */
typedef struct {
    bd_runner *runner;
    const bd_backend *backend; /* that the stage's network runs on */
    const bd_stage *stage;
    const bd_recipe *recipe; /* of the stage: what the bits depend on        */
    const bd_recipe *cell;   /* of the first cell that needs it: for the rest */
    const char *dir;
    bd_results *results;
    double tflop;           /* for the record                                          */
    double earlier_seconds; /* of earlier sittings, where the function knows them      */
} bd_stage_run;

#define BD_KIND(name, numerics, help) bd_status bd_stage_run_##name(bd_stage_run *x);
#include "run/kinds.def"
#undef BD_KIND

/* bd_stage_in_dir -- folder of the input with that role. */
BD_MUST_CHECK bd_status bd_stage_in_dir(char *out, size_t size, const bd_stage_run *x,
                                        const char *role);
/* bd_stage_in_file -- a file of it. */
BD_MUST_CHECK bd_status bd_stage_in_file(char *out, size_t size, const bd_stage_run *x,
                                         const char *role, const char *file);

/* bd_stage_data -- the data set of the input with that role; borrowed until two others are asked for.
 *   errors   BD_E_FORMAT: not the bytes that the data stage saw */
BD_MUST_CHECK bd_status bd_stage_data(const bd_dataset **out, bd_stage_run *x, const char *role);

/* bd_stage_images -- images of the input "images": of a sample stage, or the first metric.n_reference ones of a data
 * set. They lie in *owned (caller frees with bd_pixels_clear) or with the data set. */
BD_MUST_CHECK bd_status bd_stage_images(bd_pixels *owned, bd_image_view *view, bd_stage_run *x);

/* bd_stage_originals -- picture i of the input "pictures" that sample i was made from, n of them; caller frees with
 * bd_pixels_clear.
 *   errors   BD_E_SHAPE: not h x h x c */
BD_MUST_CHECK bd_status bd_stage_originals(bd_pixels *out, bd_stage_run *x, int n, int h, int c);

/* bd_stage_lpips_ready -- as bd_stage_moments_ready, for kind lpips. */
BD_MUST_CHECK bd_status bd_stage_lpips_ready(char *alexnet, char *heads, size_t size,
                                             const bd_stage *s);

/* bd_stage_moments_ready -- are the weights there that a stage of kind moments was planned with?
 *   errors   BD_E_MISSING; BD_E_FORMAT: others */
BD_MUST_CHECK bd_status bd_stage_moments_ready(char *path, size_t size, const bd_stage *s);

/* bd_stage_model -- the model of the input with that role; caller frees with bd_model_clear. */
BD_MUST_CHECK bd_status bd_stage_model(bd_model *out, const bd_stage_run *x, const char *role);

/* bd_recipe_trigger / target -- [S,S,C] as the recipe's [attack] says; which: attack.trigger or
 * sample.other. */
BD_MUST_CHECK bd_status bd_recipe_trigger(float *g, const bd_recipe *r, const char *which, int S,
                                          int C);
BD_MUST_CHECK bd_status bd_recipe_target(float *tau, const bd_recipe *r, int S, int C);

#endif
