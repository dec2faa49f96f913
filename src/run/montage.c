#include "run/montage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "io/png.h"
#include "metric/image.h"
#include "run/folder.h"
#include "run/stages.h"

enum { ACROSS = 8, SCALE = 2, LINE = 2, GAP = 10 };

/* The sheet: `cols` fields of S x S pixels in each row, `gaps` gaps, one behind each `gap_every` fields. */
typedef struct {
    bd_image img;
    int S, gap_every, gaps;
} sheet;

static bd_status sheet_create(sheet *s, int rows, int cols, int S, int C, int gap_every, int gaps) {
    int step = S * SCALE + LINE;
    memset(s, 0, sizeof *s);
    s->S = S;
    s->gap_every = gap_every;
    s->gaps = gaps;
    s->img.w = cols * step - LINE + gaps * GAP;
    s->img.h = rows * step - LINE;
    s->img.c = C;
    size_t bytes = (size_t)s->img.w * (size_t)s->img.h * (size_t)C;
    s->img.pixels = malloc(bytes);
    BD_REQUIRE(s->img.pixels, BD_E_MEMORY, "out of memory for a picture");
    memset(s->img.pixels, 255, bytes);
    return BD_OK;
}

static void sheet_put(sheet *s, int row, int col, const uint8_t *pixels) {
    int step = s->S * SCALE + LINE, C = s->img.c;
    int gaps = col / s->gap_every < s->gaps ? col / s->gap_every : s->gaps;
    int top = row * step, left = col * step + gaps * GAP;
    for (int y = 0; y < s->S * SCALE; y++)
        for (int x = 0; x < s->S * SCALE; x++)
            memcpy(s->img.pixels +
                       ((size_t)(top + y) * (size_t)s->img.w + (size_t)(left + x)) * (size_t)C,
                   pixels + ((size_t)(y / SCALE) * (size_t)s->S + (size_t)(x / SCALE)) * (size_t)C,
                   (size_t)C);
}

static bd_status sheet_save(sheet *s, const char *dir, const char *name) {
    char path[1300];
    int n = snprintf(path, sizeof path, "%s/grids", dir);
    BD_REQUIRE(n > 0 && (size_t)n < sizeof path - 128, BD_E_ARG, "%s: the path is too long", dir);
    BD_TRY(bd_file_mkdirs(path));
    snprintf(path + n, sizeof path - (size_t)n, "/%s.png", name);
    return bd_png_save(path, &s->img);
}

/* --- restored pictures --- */

/* Fields of a kind in a row: the originals, what was to be restored of them and what came out, then with the trigger. */
enum { EACH = 3, KINDS = 5 };

/* Are two cells the same but for the pictures they start from? */
static bool partners(const bd_cell *a, const bd_cell *b) {
    char one[BD_TEXT_SIZE], two[BD_TEXT_SIZE];
    if (a->file != b->file || a->role != b->role) return false;
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        bd_recipe_get(one, &a->recipe, f);
        bd_recipe_get(two, &b->recipe, f);
        if (strcmp(f->name, "sample.prior") != 0 && strcmp(one, two) != 0) return false;
    }
    return true;
}

/* A row for the first of two partners that are there. */
static bool begins_row(const bd_dag *d, int cell, int file, const char *runs) {
    const bd_cell *c = &d->cell[cell];
    if (c->file != file || c->slot[BD_SLOT_RESTORE] < 0 || !bd_cell_done(d, c, runs)) return false;
    for (int i = 0; i < cell; i++)
        if (partners(&d->cell[i], c) && bd_cell_done(d, &d->cell[i], runs)) return false;
    return true;
}

static bd_status put_file(sheet *s, int row, int kind, const char *runs, const bd_stage *stage,
                          const char *file) {
    char path[1200];
    bd_pixels p;
    BD_TRY(bd_stage_path(path, sizeof path, runs, stage, file));
    BD_TRY(bd_pixels_load(&p, path));
    bd_status st =
        p.h == s->S && p.c == s->img.c ? BD_OK : bd_fail(BD_E_SHAPE, "%s: another size", path);
    for (int i = 0; !st && i < EACH && i < p.n; i++)
        sheet_put(s, row, kind * EACH + i,
                  p.pixels + (size_t)i * (size_t)p.h * (size_t)p.w * (size_t)p.c);
    bd_pixels_clear(&p);
    return st;
}

static bd_status put_restored(sheet *s, int row, const bd_dag *d, const bd_cell *c,
                              const char *runs) {
    const bd_stage *samples = &d->stage[c->slot[BD_SLOT_TRIGGER]];
    const bd_stage *restore = &d->stage[c->slot[BD_SLOT_RESTORE]];
    int first = strcmp(c->recipe.sample_prior, "stamped") ? 1 : 3;
    BD_TRY(put_file(s, row, 0, runs, restore, "originals.safetensors"));
    BD_TRY(put_file(s, row, first, runs, samples, "inputs.safetensors"));
    return put_file(s, row, first + 1, runs, samples, "samples.safetensors");
}

static bd_status restored(sheet *s, const bd_dag *d, int file, const char *runs) {
    int rows = 0, row = 0;
    const bd_recipe *r = NULL;
    for (int i = 0; i < d->n_cells; i++) {
        if (!begins_row(d, i, file, runs)) continue;
        rows++;
        r = &d->cell[i].recipe;
    }
    assert(r); /* no sheet is asked for without a finished cell */
    BD_TRY(sheet_create(s, rows, EACH * KINDS, (int)r->data_size, (int)r->data_channels, EACH,
                        KINDS - 1));
    for (int i = 0; i < d->n_cells; i++) {
        if (!begins_row(d, i, file, runs)) continue;
        for (int k = i; k < d->n_cells; k++)
            if (partners(&d->cell[i], &d->cell[k]) && bd_cell_done(d, &d->cell[k], runs))
                BD_TRY(put_restored(s, row, d, &d->cell[k], runs));
        row++;
    }
    return BD_OK;
}

/* --- models --- */

static bd_status put_samples(sheet *s, int row, int first_col, const char *runs,
                             const bd_stage *stage, const char *file, int rows, int *made) {
    char path[1200];
    bd_pixels p;
    BD_TRY(bd_stage_path(path, sizeof path, runs, stage, file));
    BD_TRY(bd_pixels_load(&p, path));
    bd_status st = BD_OK;
    if (!*made) st = sheet_create(s, rows, 2 * ACROSS, p.h, p.c, ACROSS, 1);
    *made = 1;
    if (!st && (p.h != s->S || p.w != s->S || p.c != s->img.c))
        st = bd_fail(BD_E_SHAPE, "%s: images of another size than the other cells'", path);
    for (int i = 0; !st && i < ACROSS && i < p.n; i++)
        sheet_put(s, row, first_col + i,
                  p.pixels + (size_t)i * (size_t)p.h * (size_t)p.w * (size_t)p.c);
    bd_pixels_clear(&p);
    return st;
}

static bd_status models(sheet *s, const bd_dag *d, int file, const char *runs, int rows) {
    int row = 0, made = 0;
    for (int i = 0; i < d->n_cells; i++) {
        const bd_cell *c = &d->cell[i];
        if (c->file != file || !bd_cell_done(d, c, runs)) continue;
        bool anp = c->slot[BD_SLOT_ANP] >= 0;
        const bd_stage *left = &d->stage[c->slot[anp ? BD_SLOT_ANP : BD_SLOT_CLEAN]],
                       *right = &d->stage[c->slot[anp ? BD_SLOT_ANP : BD_SLOT_TRIGGER]];
        const char *const file_of[2] = {anp ? "before.safetensors" : "samples.safetensors",
                                        anp ? "after.safetensors" : "samples.safetensors"};
        BD_TRY(put_samples(s, row, 0, runs, left, file_of[0], rows, &made));
        BD_TRY(put_samples(s, row, ACROSS, runs, right, file_of[1], rows, &made));
        row++;
    }
    return BD_OK;
}

/* --- gallery --- */

static bd_status put_trigger(sheet *s, int row, const bd_cell *c, float *g, uint8_t *bytes) {
    size_t n = (size_t)s->S * (size_t)s->S * (size_t)s->img.c;
    BD_TRY(bd_recipe_trigger(g, &c->recipe, c->recipe.attack_trigger, s->S, s->img.c));
    BD_TRY(bd_image_unit(g, g, n));
    BD_TRY(bd_image_quantise(bytes, g, n));
    sheet_put(s, row, 0, bytes);
    return BD_OK;
}

static bd_status put_target(sheet *s, int row, int col, const char *path) {
    bd_image img;
    BD_TRY(bd_png_load(&img, path, s->img.c));
    bd_status st =
        img.w == s->S && img.h == s->S ? BD_OK : bd_fail(BD_E_SHAPE, "%s: another size", path);
    if (!st) sheet_put(s, row, col, img.pixels);
    bd_image_clear(&img);
    return st;
}

/* Rows begin where the trigger changes; the sheet has one for each of the finished cells' triggers. */
static bd_status gallery_rows(sheet *s, const bd_dag *d, int file, const char *runs, float *g,
                              uint8_t *bytes) {
    const char *last = NULL;
    int row = -1, col = 0;
    for (int i = 0; i < d->n_cells; i++) {
        const bd_cell *c = &d->cell[i];
        char path[1200];
        if (c->file != file || !bd_cell_done(d, c, runs)) continue;
        if (!last || strcmp(last, c->recipe.attack_trigger) != 0) {
            last = c->recipe.attack_trigger;
            row++;
            col = 1;
            BD_TRY(put_trigger(s, row, c, g, bytes));
        }
        BD_TRY(bd_stage_path(path, sizeof path, runs, &d->stage[c->slot[BD_SLOT_TARGET]],
                             "target.png"));
        BD_TRY(put_target(s, row, col++, path));
    }
    return BD_OK;
}

static bd_status gallery(sheet *s, const bd_dag *d, int file, const char *runs) {
    const char *last = NULL;
    int rows = 0, cols = 0, most = 0, S = 0, C = 0;
    for (int i = 0; i < d->n_cells; i++) {
        const bd_cell *c = &d->cell[i];
        if (c->file != file || !bd_cell_done(d, c, runs)) continue;
        if (!last || strcmp(last, c->recipe.attack_trigger) != 0) {
            rows++;
            cols = 1;
        }
        last = c->recipe.attack_trigger;
        if (++cols > most) most = cols;
        S = (int)c->recipe.data_size;
        C = (int)c->recipe.data_channels;
    }
    BD_TRY(sheet_create(s, rows, most, S, C, 1, 1));
    size_t n = (size_t)S * (size_t)S * (size_t)C;
    float *g = malloc(n * sizeof *g);
    uint8_t *bytes = malloc(n);
    bd_status st = g && bytes ? gallery_rows(s, d, file, runs, g, bytes)
                              : bd_fail(BD_E_MEMORY, "out of memory");
    free(g);
    free(bytes);
    return st;
}

bool bd_montage_left_out(const bd_dag *d, int file) {
    for (int i = 0; i < d->n_cells; i++)
        if (d->cell[i].file == file && bd_dataset_of_people(d->cell[i].recipe.data_set))
            return true;
    return false;
}

bd_status bd_montage(const bd_dag *d, int file, const char *runs, const char *dir) {
    sheet s = {0};
    bd_cell_role role = BD_CELL_CLASSIFIER;
    int rows = 0;
    bool restores = false;
    for (int i = 0; i < d->n_cells; i++) {
        if (d->cell[i].file != file || !bd_cell_done(d, &d->cell[i], runs)) continue;
        role = d->cell[i].role;
        restores = d->cell[i].slot[BD_SLOT_RESTORE] >= 0;
        rows++;
    }
    if (role == BD_CELL_CLASSIFIER) return BD_OK;
    if (role != BD_CELL_GALLERY && bd_montage_left_out(d, file)) {
        char path[1300];
        int n = snprintf(path, sizeof path, "%s/grids/%s.png", dir, d->file[file]->name);
        BD_REQUIRE(n > 0 && (size_t)n < sizeof path, BD_E_ARG, "%s: the path is too long", dir);
        return bd_file_remove(path); /* an older one of other settings */
    }
    bd_status st = role == BD_CELL_GALLERY ? gallery(&s, d, file, runs)
                   : restores              ? restored(&s, d, file, runs)
                                           : models(&s, d, file, runs, rows);
    if (!st) st = sheet_save(&s, dir, d->file[file]->name);
    bd_image_clear(&s.img);
    return st;
}
