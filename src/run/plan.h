/* What has to be done for some recipes: cells (rows of a result file) and the stages they share. */
#ifndef BD_RUN_PLAN_H
#define BD_RUN_PLAN_H

#include <stdbool.h>

#include "run/recipe.h"

enum { BD_STAGE_INPUTS_MAX = 5 };

/* One stage: a folder runs/<kind>-<first 12 digits of id>. Everything it depends on is in `recipe`
 * (the fields that matter to its kind; the others have their defaults), its inputs and its file. */
typedef struct {
    bd_stage_kind kind;
    char id[65];
    char name[32]; /* "sample-0123456789ab"                            */
    bd_recipe recipe;
    struct {
        const char *role; /* "model", "data" ...                              */
        int stage;        /* place in the plan, always before this one        */
        bool shortcut;    /* saves work and changes no bit: not part of the id */
    } in[BD_STAGE_INPUTS_MAX];
    int n_in;
    char file_sha256[65]; /* of what bd_stage_file names, where the kind reads it, else "" */
    /* where its network runs and how (run/device.h); "" for kinds without one */
    char device[16], precision[8];
    int cell; /* the first cell that needs it                     */
} bd_stage;

/* Stages of a cell; -1 = the cell has none. */
typedef enum {
    BD_SLOT_DATA,
    BD_SLOT_PRETRAIN,
    BD_SLOT_MODEL, /* the stage whose model is sampled: pretrain or finetune */
    BD_SLOT_CLEAN,
    BD_SLOT_TRIGGER,
    BD_SLOT_NOISE,
    BD_SLOT_TARGET,
    BD_SLOT_SCORE, /* of triggered samples ... */
    BD_SLOT_SCORE_NOISE,
    BD_SLOT_SCORE_CLEAN,
    BD_SLOT_FCD,
    BD_SLOT_CLASSIFIER,
    BD_SLOT_FID,
    BD_SLOT_ANP,
    BD_SLOT_RESTORE,
    BD_SLOT_LPIPS,
    BD_SLOT_COUNT
} bd_cell_slot;

typedef enum {
    BD_CELL_ATTACK,
    BD_CELL_RATE0,
    BD_CELL_PRETRAINED,
    BD_CELL_GALLERY,
    BD_CELL_CLASSIFIER
} bd_cell_role;

typedef struct {
    int file; /* which of the plan's recipe files */
    bd_cell_role role;
    bd_recipe recipe; /* fields that mean nothing for the role have their defaults */
    int slot[BD_SLOT_COUNT];
    char id[65];
} bd_cell;

typedef struct {
    bd_stage *stage;
    int n_stages, stage_room;
    bd_cell *cell;
    int n_cells, cell_room;
    const bd_recipe_file **file;
    int n_files;
    char device[16], precision[8];                        /* of the cell that is being added */
    char classifier[BD_TEXT_SIZE], classifier_sha256[65]; /* the last one hashed */
    char model_folder[BD_TEXT_SIZE], model_sha256[65];
    char inception[BD_TEXT_SIZE], inception_sha256[65]; /* the same */
    char lpips[BD_TEXT_SIZE], lpips_sha256[65];
} bd_dag;

/* bd_dag_add -- the cells of one more recipe, and the stages that are not there yet. Cells come in
 * the order of the sweep, then the controls that the sweep does not contain: each cell at poison rate 0
 * and (controls = all) with finetune.from = none. A stage's id is the SHA-256 of its kind and numerics
 * version, backend and precision, the fields that matter to it, its file, and the ids of its inputs;
 * it does not depend on the cell that asks for it, nor on the order of anything.
 *   errors   BD_E_ARG: a cell whose settings do not fit together; BD_E_MISSING: metric.classifier;
 *            BD_E_MEMORY
 *   memory   d starts all-zero; borrows the file until bd_dag_clear
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_dag_add(bd_dag *d, const bd_recipe_file *file);
void bd_dag_clear(bd_dag *d); /* an all-zero struct is fine */

/* bd_dag_find -- place of a stage by its name or by the start of its id.
 *   errors   BD_E_ARG: none or several */
BD_MUST_CHECK bd_status bd_dag_find(int *out, const bd_dag *d, const char *name);

const char *bd_cell_role_name(bd_cell_role role);
/* bd_stage_input -- place of the input with that role, or -1. */
int bd_stage_input(const bd_stage *s, const char *role);

/* bd_stage_file -- which file of the recipe a kind reads: "classifier", "inception", "lpips" (both of its files), or "model"
 * (model.folder). */
const char *bd_stage_file(bd_stage_kind kind);

/* bd_stage_canonical -- the fields of a cell that matter to a kind of stage, the others at their
 * defaults: what a stage's id is made from. */
void bd_stage_canonical(bd_recipe *out, bd_stage_kind kind, const bd_recipe *cell);

#endif
