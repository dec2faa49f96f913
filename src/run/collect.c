#include "run/collect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "bd_version.h"
#include "nn/model.h"
#include "run/anp_rows.h"
#include "run/detection.h"
#include "run/folder.h"
#include "run/montage.h"
#include "run/table.h"

/* The order of columns. */
enum {
    KEYS,
    EPOCHS,
    TRAINING,
    QUALITY,
    REFERENCES,
    RESTORED,
    HITS,
    HITS_NOISE,
    HITS_CLEAN,
    FCD,
    FID,
    COUNTS,
    LABELS,
    TAIL
};

static const char *const always[] = {"attack.trigger", "attack.target", "attack.poison_rate",
                                     "finetune.from",  "sample.clip",   "sample.prior"};
static const char *const restoring[] = {"sample.corrupt", "sample.start", "sample.entry"};

bool bd_cell_done(const bd_dag *d, const bd_cell *c, const char *runs) {
    for (int i = 0; i < BD_SLOT_COUNT; i++)
        if (c->slot[i] >= 0 && !bd_stage_done(runs, &d->stage[c->slot[i]])) return false;
    return true;
}

/* --- keys --- */

static bd_status set_key(bd_table *t, const bd_recipe *r, const bd_field *f) {
    char value[BD_TEXT_SIZE];
    bd_recipe_get(value, r, f);
    return bd_table_set(t, KEYS, f->name, value, f->unit, f->help);
}

static bd_status set_keys(bd_table *t, const bd_cell *c, const bd_recipe_file *file) {
    size_t n = c->role == BD_CELL_CLASSIFIER ? 0
               : c->role == BD_CELL_GALLERY  ? 2
                                             : sizeof always / sizeof always[0];
    for (size_t i = 0; i < n; i++) {
        const bd_field *f;
        BD_TRY(bd_field_find(&f, always[i]));
        BD_TRY(set_key(t, &c->recipe, f));
    }
    for (size_t i = 0; c->slot[BD_SLOT_RESTORE] >= 0 && i < 3; i++) {
        const bd_field *f;
        BD_TRY(bd_field_find(&f, restoring[i]));
        BD_TRY(set_key(t, &c->recipe, f));
    }
    for (int i = 0; i < file->n_axes; i++)
        for (int j = 0; j < file->axis[i].n_fields; j++)
            if (strcmp(file->axis[i].field[j]->name, "run.seed") != 0)
                BD_TRY(set_key(t, &c->recipe, file->axis[i].field[j]));
    return BD_OK;
}

/* --- numbers of stages --- */

/* Which results of a stage go where. */
typedef enum { TAKE_ALL, TAKE_HITS, TAKE_REST } take;

static bool is_hit(const char *name) {
    return !strncmp(name, "hit", 3) || !strncmp(name, "asr", 3);
}

/* "hit-128-x" -> "hit_noise-128-x", "hit_lo" -> "hit_noise_lo" */
static void insert_word(char out[160], const char *name, const char *word) {
    size_t head = strcspn(name, "-_");
    snprintf(out, 160, "%.*s%s%s", (int)head, name, word, name + head);
}

static bd_status set_results(bd_table *t, int group, const char *runs, const bd_stage *s,
                             take which, const char *word, const char *of) {
    char dir[1100], name[160], help[400];
    bd_csv *c;
    BD_TRY(bd_stage_path(dir, sizeof dir, runs, s, NULL));
    BD_TRY(bd_results_load(&c, dir));
    bd_status st = BD_OK;
    for (size_t i = 0; i < bd_csv_rows(c) && !st; i++) {
        const char *given = bd_csv_get(c, i, 0);
        if (which != TAKE_ALL && is_hit(given) != (which == TAKE_HITS)) continue;
        insert_word(name, given, word);
        snprintf(help, sizeof help, "%s%s", bd_csv_get(c, i, 3), of);
        st = bd_table_set(t, group, name, bd_csv_get(c, i, 1), bd_csv_get(c, i, 2), help);
    }
    bd_csv_destroy(c);
    return st;
}

/* One result under another name. */
static bd_status set_one(bd_table *t, int group, const char *runs, const bd_stage *s,
                         const char *result, const char *name, const char *help) {
    char dir[1100];
    bd_csv *c;
    BD_TRY(bd_stage_path(dir, sizeof dir, runs, s, NULL));
    BD_TRY(bd_results_load(&c, dir));
    bd_status st = BD_OK;
    for (size_t i = 0; i < bd_csv_rows(c) && !st; i++)
        if (!strcmp(bd_csv_get(c, i, 0), result))
            st = bd_table_set(t, group, name, bd_csv_get(c, i, 1), bd_csv_get(c, i, 2), help);
    bd_csv_destroy(c);
    return st;
}

static bd_status set_training(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs) {
    const bd_stage *model = &d->stage[c->slot[BD_SLOT_MODEL]];
    static const char steps[] =
        "optimiser steps of the fine-tuning, or of the training from scratch";
    static const char seen[] = "poisoned images seen in them";
    bool elsewhere = !strcmp(c->recipe.finetune_from, "given"); /* nobody knows how long */
    if (elsewhere || !strcmp(c->recipe.finetune_from, "none")) {
        const char *none = elsewhere ? "" : "0";
        BD_TRY(bd_table_set(t, TRAINING, "steps", none, "updates", steps));
        return bd_table_set(t, TRAINING, "poisoned_seen", none, "images", seen);
    }
    BD_TRY(set_one(t, TRAINING, runs, model, "steps", "steps", steps));
    return set_one(t, TRAINING, runs, model, "poisoned_seen", "poisoned_seen", seen);
}

static bd_status set_model_cell(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs) {
    const bd_stage *stage = d->stage;
    const int *slot = c->slot;
    BD_TRY(set_training(t, d, c, runs));
    BD_TRY(set_results(t, QUALITY, runs, &stage[slot[BD_SLOT_SCORE]], TAKE_REST, "", ""));
    BD_TRY(set_results(t, REFERENCES, runs, &stage[slot[BD_SLOT_TARGET]], TAKE_ALL, "", ""));
    if (slot[BD_SLOT_RESTORE] >= 0)
        BD_TRY(set_results(t, RESTORED, runs, &stage[slot[BD_SLOT_RESTORE]], TAKE_ALL, "", ""));
    if (slot[BD_SLOT_LPIPS] >= 0)
        BD_TRY(set_results(t, RESTORED, runs, &stage[slot[BD_SLOT_LPIPS]], TAKE_ALL, "", ""));
    BD_TRY(set_results(t, HITS, runs, &stage[slot[BD_SLOT_SCORE]], TAKE_HITS, "", ""));
    if (slot[BD_SLOT_SCORE_NOISE] >= 0)
        BD_TRY(set_results(t, HITS_NOISE, runs, &stage[slot[BD_SLOT_SCORE_NOISE]], TAKE_HITS,
                           "_noise", "; samples of the same sampler from plain noise"));
    if (slot[BD_SLOT_SCORE_CLEAN] >= 0)
        BD_TRY(set_results(t, HITS_CLEAN, runs, &stage[slot[BD_SLOT_SCORE_CLEAN]], TAKE_HITS,
                           "_clean", "; clean samples"));
    if (slot[BD_SLOT_FCD] >= 0)
        BD_TRY(set_results(t, FCD, runs, &stage[slot[BD_SLOT_FCD]], TAKE_ALL, "", ""));
    if (slot[BD_SLOT_FID] >= 0)
        BD_TRY(set_results(t, FID, runs, &stage[slot[BD_SLOT_FID]], TAKE_ALL, "", ""));
    BD_TRY(set_one(t, COUNTS, runs, &stage[slot[BD_SLOT_TRIGGER]], "n", "n_trigger",
                   "triggered samples"));
    BD_TRY(set_one(t, LABELS, runs, &stage[slot[BD_SLOT_TRIGGER]], "sampler", "sampler",
                   "sampler of triggered samples, network calls, settings"));
    if (slot[BD_SLOT_CLEAN] < 0) return BD_OK;
    BD_TRY(set_one(t, COUNTS, runs, &stage[slot[BD_SLOT_CLEAN]], "n", "n_clean", "clean samples"));
    return set_one(t, LABELS, runs, &stage[slot[BD_SLOT_CLEAN]], "sampler", "sampler_clean",
                   "sampler of clean samples, network calls, settings");
}

/* --- seed, seconds, run --- */

static bd_status own_seconds(double *out, const bd_dag *d, const bd_cell *c, const char *runs) {
    *out = 0;
    for (int i = 0; i < BD_SLOT_COUNT; i++) {
        bool shared =
            i == BD_SLOT_DATA || i == BD_SLOT_PRETRAIN || c->slot[i] == c->slot[BD_SLOT_PRETRAIN];
        if (c->slot[i] < 0 || shared) continue;
        char path[1200];
        bd_done done;
        BD_TRY(bd_stage_path(path, sizeof path, runs, &d->stage[c->slot[i]], "DONE"));
        BD_TRY(bd_done_read(&done, path));
        *out += done.seconds;
    }
    return BD_OK;
}

static bd_status set_tail(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs) {
    char text[32];
    double seconds;
    int last = c->slot[BD_SLOT_SCORE];
    if (last < 0) last = c->slot[BD_SLOT_ANP];
    if (last < 0) last = c->slot[BD_SLOT_TARGET];
    if (last < 0) last = c->slot[BD_SLOT_CLASSIFIER];
    snprintf(text, sizeof text, "%" PRId64, c->recipe.run_seed);
    BD_TRY(bd_table_set(t, TAIL, "seed", text, "", "run.seed"));
    BD_TRY(own_seconds(&seconds, d, c, runs));
    snprintf(text, sizeof text, "%.3f", seconds);
    BD_TRY(bd_table_set(t, TAIL, "seconds", text, "s",
                        "computing time of the cell's own stages; not reproducible"));
    return bd_table_set(t, TAIL, "run", d->stage[last].name, "",
                        "stage that the numbers come from, a folder of runs/");
}

/* A row an epoch; what holds for the whole cell stands in each of them. */
static bd_status set_epoch(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs,
                           const bd_anp_row *row) {
    const bd_stage *anp = &d->stage[c->slot[BD_SLOT_ANP]];
    BD_TRY(set_keys(t, c, d->file[c->file]));
    BD_TRY(set_training(t, d, c, runs));
    BD_TRY(bd_anp_row_set(t, EPOCHS, row, anp->recipe.sample_n, anp->recipe.metric_ssim));
    BD_TRY(set_results(t, REFERENCES, runs, &d->stage[c->slot[BD_SLOT_TARGET]], TAKE_ALL, "", ""));
    BD_TRY(set_results(t, LABELS, runs, anp, TAKE_ALL, "", ""));
    return set_tail(t, d, c, runs);
}

static bd_status add_epochs(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs) {
    char path[1200];
    bd_anp_rows rows;
    BD_TRY(bd_stage_path(path, sizeof path, runs, &d->stage[c->slot[BD_SLOT_ANP]], "epochs.csv"));
    BD_TRY(bd_anp_rows_load(&rows, path));
    bd_status st = BD_OK;
    for (int i = 0; i < rows.n && !st; i++) {
        st = bd_table_row(t);
        if (!st) st = set_epoch(t, d, c, runs, &rows.at[i]);
    }
    bd_anp_rows_clear(&rows);
    return st;
}

static bd_status add_row(bd_table *t, const bd_dag *d, const bd_cell *c, const char *runs) {
    if (c->slot[BD_SLOT_ANP] >= 0) return add_epochs(t, d, c, runs);
    BD_TRY(bd_table_row(t));
    BD_TRY(set_keys(t, c, d->file[c->file]));
    if (c->role == BD_CELL_GALLERY)
        BD_TRY(
            set_results(t, REFERENCES, runs, &d->stage[c->slot[BD_SLOT_TARGET]], TAKE_ALL, "", ""));
    else if (c->role == BD_CELL_CLASSIFIER)
        BD_TRY(set_results(t, QUALITY, runs, &d->stage[c->slot[BD_SLOT_CLASSIFIER]], TAKE_ALL, "",
                           ""));
    else
        BD_TRY(set_model_cell(t, d, c, runs));
    return set_tail(t, d, c, runs);
}

/* --- the file --- */

/* Read by scripts/figures and scripts/report. */
#define BD_SAMPLES_LEFT_OUT \
    "# samples: left out, since the data set shows people and samples resemble them\n"

static bd_status write_head(bd_writer *w, const bd_collected *n, const bd_recipe_file *f,
                            bool shown, const bd_backend *backend) {
    char fingerprint[1024];
    bd_machine machine;
    BD_TRY(backend->fingerprint(backend, fingerprint, sizeof fingerprint));
    bd_machine_get(&machine);
    for (char *p = fingerprint; *p; p++)
        if (*p == '\n') *p = ' ';
    BD_TRY(bd_writer_printf(
        w,
        "# recipe: %s\n# title: %s\n# paper: %s\n# profile: %s\n# cells: %d of %d\n# data: %s\n%s",
        f->name, f->base.recipe_title, f->base.recipe_paper, f->profile[0] ? f->profile : "none",
        n->rows, n->cells, f->base.data_set, shown ? "" : BD_SAMPLES_LEFT_OUT));
    int64_t T = f->base.diffusion_T;
    bd_model m;
    if (bd_file_is_dir(f->base.model_folder) && !bd_model_load_settings(&m, f->base.model_folder)) {
        if (m.has_scheduler) T = m.scheduler.T;
        bd_model_clear(&m);
    }
    return bd_writer_printf(w, "# T: %" PRId64 "\n# machine: %s%s%s\n# version: %s\n", T,
                            fingerprint, machine.cpu[0] ? ", " : "", machine.cpu, BD_VERSION);
}

/* suffix: "" of the cells, "-detection" of what tells them apart */
static bd_status write_file(const bd_table *t, const char *suffix, const bd_collected *n,
                            const bd_recipe_file *f, bool shown, const char *dir,
                            const bd_backend *backend) {
    char path[1200];
    bd_writer *w;
    int len = snprintf(path, sizeof path, "%s/%s%s.csv", dir, f->name, suffix);
    BD_REQUIRE(len > 0 && (size_t)len < sizeof path, BD_E_ARG, "%s: the path is too long", dir);
    BD_TRY(bd_file_mkdirs(dir));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = write_head(w, n, f, shown, backend);
    if (!st) st = bd_table_write(t, w);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

static bd_status write_detection(const bd_collected *n, const bd_dag *d, int file, bool shown,
                                 const char *runs, const char *dir, const bd_backend *backend) {
    bd_table *t;
    BD_TRY(bd_table_create(&t));
    bd_status st = bd_detection_table(t, d, file, runs);
    if (!st && bd_table_rows(t) > 0)
        st = write_file(t, "-detection", n, d->file[file], shown, dir, backend);
    bd_table_destroy(t);
    return st;
}

bd_status bd_collect(bd_collected *out, const bd_dag *d, int file, const char *runs,
                     const char *dir, const bd_backend *backend) {
    bd_table *t;
    bd_status st = BD_OK;
    memset(out, 0, sizeof *out);
    bool shown = !bd_montage_left_out(d, file);
    BD_TRY(bd_table_create(&t));
    for (int i = 0; i < d->n_cells && !st; i++) {
        if (d->cell[i].file != file) continue;
        out->cells++;
        if (!bd_cell_done(d, &d->cell[i], runs)) continue;
        st = add_row(t, d, &d->cell[i], runs);
        out->rows++;
    }
    if (!st && out->rows) st = write_file(t, "", out, d->file[file], shown, dir, backend);
    if (!st) st = write_detection(out, d, file, shown, runs, dir, backend);
    if (!st && out->rows) st = bd_montage(d, file, runs, dir);
    bd_table_destroy(t);
    return st;
}
