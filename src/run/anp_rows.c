#include "run/anp_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/csv.h"
#include "metric/name.h"

/* The one list of columns: in epochs.csv by name, in result files with n and definition where they are counted. */
static const struct {
    const char *name, *definition; /* "*": that of the SSIM */
    bool whole, counted;
    size_t offset;
    const char *unit, *help;
} column[] = {
#define AT(member) offsetof(bd_anp_row, member)
    {"epoch", NULL, true, false, AT(epoch), "epochs", "epochs of perturbation; 0 = before any"},
    {"updates", NULL, true, false, AT(updates), "updates",
     "optimiser steps of the perturbation up to here"},
    {"mse", NULL, false, true, AT(mse), "1",
     "mean MSE to the target of samples from plain noise, pixels in [0,1]"},
    {"ssim", "*", false, true, AT(ssim), "1", "mean SSIM of these samples and the target"},
    {"hit", "quarter_var", false, true, AT(hit), "1",
     "hit rate: share of these samples with MSE < Var(target)/4"},
    {"hit_lo", NULL, false, false, AT(hit_lo), "1", "lower end of its Clopper-Pearson interval"},
    {"hit_hi", NULL, false, false, AT(hit_hi), "1", "upper end of its Clopper-Pearson interval"},
    {"deviation", NULL, false, true, AT(deviation), "1",
     "mean standard deviation of the pixels of these samples, pixels in [0,1]; 0 = flat pictures"},
    {"loss_clean", NULL, false, true, AT(loss_clean), "1",
     "loss on so many clean training images, which the perturbation raises"},
    {"loss_backdoor", NULL, false, true, AT(loss_backdoor), "1",
     "loss on as many poisoned ones, with the cell's trigger and target"},
#undef AT
};
enum { COLUMNS = sizeof column / sizeof *column };

static const void *field(const bd_anp_row *r, int i) { return (const char *)r + column[i].offset; }

static void field_text(char out[32], const bd_anp_row *r, int i) {
    if (column[i].whole)
        snprintf(out, 32, "%" PRId64, *(const int64_t *)field(r, i));
    else
        bd_format_double(out, *(const double *)field(r, i));
}

/* --- the file --- */

static bd_status read_row(bd_anp_row *r, const bd_csv *c, size_t row, const char *path) {
    for (int i = 0; i < COLUMNS; i++) {
        const char *text = bd_csv_get(c, row, (size_t)i);
        char *end;
        void *to = (char *)r + column[i].offset;
        if (column[i].whole)
            *(int64_t *)to = strtoll(text, &end, 10);
        else
            *(double *)to = strtod(text, &end);
        BD_REQUIRE(end != text && !*end, BD_E_FORMAT, "%s: row %zu: %s = '%s' is no number", path,
                   row + 1, column[i].name, text);
    }
    return BD_OK;
}

static bd_status read_rows(bd_anp_rows *out, const bd_csv *c, const char *path) {
    BD_REQUIRE(bd_csv_cols(c) == COLUMNS, BD_E_FORMAT, "%s: %zu columns, expected %d", path,
               bd_csv_cols(c), COLUMNS);
    for (int i = 0; i < COLUMNS; i++)
        BD_REQUIRE(!strcmp(bd_csv_header(c, (size_t)i), column[i].name), BD_E_FORMAT,
                   "%s: column %d is '%s', expected '%s'", path, i + 1, bd_csv_header(c, (size_t)i),
                   column[i].name);
    for (size_t i = 0; i < bd_csv_rows(c); i++) {
        bd_anp_row row;
        BD_TRY(read_row(&row, c, i, path));
        BD_TRY(bd_anp_rows_add(out, &row));
    }
    return BD_OK;
}

bd_status bd_anp_rows_load(bd_anp_rows *out, const char *path) {
    *out = (bd_anp_rows){0};
    if (!bd_file_exists(path)) return BD_OK;
    bd_csv *c;
    BD_TRY(bd_csv_load(&c, path));
    bd_status st = read_rows(out, c, path);
    bd_csv_destroy(c);
    if (st) bd_anp_rows_clear(out);
    return st;
}

static bd_status write_rows(const bd_anp_rows *r, bd_writer *w) {
    char text[32];
    for (int i = 0; i < COLUMNS; i++)
        BD_TRY(bd_writer_printf(w, "%s%s", i ? "," : "", column[i].name));
    for (int k = 0; k < r->n; k++)
        for (int i = 0; i < COLUMNS; i++) {
            field_text(text, &r->at[k], i);
            BD_TRY(bd_writer_printf(w, "%s%s", i ? "," : "\n", text));
        }
    return bd_writer_printf(w, "\n");
}

bd_status bd_anp_rows_save(const bd_anp_rows *r, const char *path) {
    bd_writer *w;
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = write_rows(r, w);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

void bd_anp_rows_clear(bd_anp_rows *r) {
    free(r->at);
    *r = (bd_anp_rows){0};
}

bd_status bd_anp_rows_add(bd_anp_rows *r, const bd_anp_row *row) {
    while (r->n > 0 && r->at[r->n - 1].epoch >= row->epoch) r->n--;
    bd_anp_row *at = realloc(r->at, (size_t)(r->n + 1) * sizeof *at);
    BD_REQUIRE(at, BD_E_MEMORY, "out of memory for %d epochs", r->n + 1);
    r->at = at;
    r->at[r->n++] = *row;
    return BD_OK;
}

/* --- result files --- */

bd_status bd_anp_row_set(bd_table *t, int group, const bd_anp_row *row, int64_t n,
                         const char *ssim_area) {
    for (int i = 0; i < COLUMNS; i++) {
        char name[96], text[32];
        const char *definition = column[i].definition;
        if (definition && !strcmp(definition, "*")) definition = ssim_area;
        if (column[i].counted)
            BD_TRY(bd_metric_name(name, sizeof name, column[i].name, n, definition));
        else
            snprintf(name, sizeof name, "%s", column[i].name);
        field_text(text, row, i);
        BD_TRY(bd_table_set(t, group, name, text, column[i].unit, column[i].help));
    }
    return BD_OK;
}
