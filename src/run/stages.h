/* One function a kind of stage; for src/run/ only. */
#ifndef BD_RUN_STAGES_H
#define BD_RUN_STAGES_H

#include "nn/classifier.h"
#include "nn/model.h"
#include "run/folder.h"
#include "run/runner.h"

/* A stage while it runs. The function fills the folder with artifacts and adds its results; result.csv and
 * DONE are the runner's. On BD_E_INTERRUPT what it left must let the next run go on from there. */
typedef struct {
    bd_runner *runner;
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

/* bd_stage_model -- the model of the input with that role; caller frees with bd_model_clear. */
BD_MUST_CHECK bd_status bd_stage_model(bd_model *out, const bd_stage_run *x, const char *role);

/* bd_stage_model_dir -- DIR/model or DIR/model-BACKDOORED, whichever is there. */
BD_MUST_CHECK bd_status bd_stage_model_dir(char *out, size_t size, const char *dir);

/* Images [n,h,w,c] in a safetensors file, tensor "images". */
typedef struct {
    int n, h, w, c;
    uint8_t *pixels;
} bd_pixels;

/* The same, borrowed. */
typedef struct {
    int n, size, c;
    const uint8_t *pixels;
} bd_image_view;

BD_MUST_CHECK bd_status bd_pixels_save(const char *path, const bd_pixels *p);
BD_MUST_CHECK bd_status bd_pixels_load(bd_pixels *out, const char *path);
void bd_pixels_clear(bd_pixels *p);

/* bd_pixels_grid -- the first rows*cols images (fewer if there are not so many) as one PNG, one black
 * pixel between them, in the order of reading. */
BD_MUST_CHECK bd_status bd_pixels_grid(const char *path, const bd_pixels *p, int rows, int cols);

/* bd_floats_save / load -- one float32 tensor of rank 1 to 4 in a safetensors file; the loaded block is
 * the caller's to free. dim has 4 entries, those past the rank 1. */
BD_MUST_CHECK bd_status bd_floats_save(const char *path, const char *name, const float *data,
                                       const int dim[4], int rank);
BD_MUST_CHECK bd_status bd_floats_load(float **data, int dim[4], const char *path,
                                       const char *name);

/* bd_recipe_trigger / target -- [S,S,C] as the recipe's [attack] says; which: attack.trigger or
 * sample.other. */
BD_MUST_CHECK bd_status bd_recipe_trigger(float *g, const bd_recipe *r, const char *which, int S,
                                          int C);
BD_MUST_CHECK bd_status bd_recipe_target(float *tau, const bd_recipe *r, int S, int C);

#endif
