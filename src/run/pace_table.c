/* RUNS/calibration.csv. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "io/csv.h"
#include "run/pace.h"

enum { COLUMNS = 7, TEXT = 256 };

static const char *const column[COLUMNS] = {"machine", "fingerprint", "workload", "threads",
                                            "setup_s", "step_s",      "measured"};

typedef struct {
    char machine[TEXT], fingerprint[TEXT], workload[TEXT], threads[16], setup[32], step[32],
        measured[32];
} row;

struct bd_pace_table {
    char path[1200], runs[1024], machine[TEXT];
    row *at;
    size_t n, room;
    bool added;
};

static char *cell(row *r, int c) {
    char *const at[COLUMNS] = {r->machine, r->fingerprint, r->workload, r->threads,
                               r->setup,   r->step,        r->measured};
    return at[c];
}

static const size_t cell_size[COLUMNS] = {TEXT, TEXT, TEXT, 16, 32, 32, 32};

/* "train 32x32x1 16/32/64 attention 0/0/1+1 layers 1 head 0 groups 8, batch 32/32, tile 4, history 0, cpu f32" */
static void describe(char out[TEXT], const bd_workload *w) {
    const bd_unet_config *u = &w->unet;
    char channels[64] = "", attention[64] = "";
    size_t c = 0, a = 0;
    for (int i = 0; i < u->blocks; i++) {
        c += (size_t)snprintf(channels + c, sizeof channels - c, "%s%d", i ? "/" : "",
                              u->channels[i]);
        a += (size_t)snprintf(attention + a, sizeof attention - a, "%s%d", i ? "/" : "",
                              u->down_attention[i]);
    }
    snprintf(out, TEXT,
             "%s %dx%dx%d %s attention %s+%d layers %d head %d groups %d, batch %d/%d, tile %d, "
             "history %d, %s %s",
             w->training ? "train" : "sample", u->sample_size, u->sample_size, u->in_channels,
             channels, attention, u->mid_attention, u->layers, u->head_dim, u->groups, w->batch,
             w->micro_batch, w->tile, w->history, w->device[0] ? w->device : "cpu", w->precision);
}

static bd_status grow(bd_pace_table *t) {
    if (t->n < t->room) return BD_OK;
    size_t room = t->room ? 2 * t->room : 16;
    row *p = realloc(t->at, room * sizeof *p);
    BD_REQUIRE(p, BD_E_MEMORY, "out of memory for calibrations");
    t->at = p;
    t->room = room;
    return BD_OK;
}

static bd_status take_rows(bd_pace_table *t, const bd_csv *c) {
    for (int k = 0; k < COLUMNS; k++)
        BD_REQUIRE(bd_csv_cols(c) == COLUMNS && bd_csv_find(c, column[k]) == k, BD_E_FORMAT,
                   "%s: its columns are not those of a calibration", t->path);
    for (size_t i = 0; i < bd_csv_rows(c); i++) {
        BD_TRY(grow(t));
        row *r = &t->at[t->n++];
        for (int k = 0; k < COLUMNS; k++)
            snprintf(cell(r, k), cell_size[k], "%s", bd_csv_get(c, i, (size_t)k));
    }
    return BD_OK;
}

bd_status bd_pace_table_load(bd_pace_table **out, const char *runs, const char *machine) {
    bd_csv *c = NULL;
    bd_pace_table *t = calloc(1, sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "out of memory for calibrations");
    *out = t;
    snprintf(t->machine, sizeof t->machine, "%s", machine);
    snprintf(t->runs, sizeof t->runs, "%s", runs);
    bd_status st = bd_path_join(t->path, sizeof t->path, runs, BD_PACE_FILE);
    if (st || !bd_file_exists(t->path)) return st;
    st = bd_csv_load(&c, t->path);
    if (!st) st = take_rows(t, c);
    bd_csv_destroy(c);
    if (!st || st == BD_E_MEMORY) return st;
    bd_log(BD_LOG_WARN, "%s; it is not used", bd_error());
    t->n = 0;
    return BD_OK;
}

void bd_pace_table_destroy(bd_pace_table *t) {
    if (!t) return;
    free(t->at);
    free(t);
}

static void key_of(row *k, const bd_pace_table *t, const bd_workload *w, const char *fingerprint,
                   int threads) {
    memset(k, 0, sizeof *k);
    snprintf(k->machine, sizeof k->machine, "%s", t->machine);
    snprintf(k->fingerprint, sizeof k->fingerprint, "%s", fingerprint);
    describe(k->workload, w);
    snprintf(k->threads, sizeof k->threads, "%d", threads);
}

static row *find(const bd_pace_table *t, const row *k) {
    for (size_t i = 0; i < t->n; i++) {
        row *r = &t->at[i];
        if (!strcmp(r->workload, k->workload) && !strcmp(r->threads, k->threads) &&
            !strcmp(r->machine, k->machine) && !strcmp(r->fingerprint, k->fingerprint))
            return r;
    }
    return NULL;
}

bool bd_pace_table_find(bd_pace *out, const bd_pace_table *t, const bd_workload *w,
                        const char *fingerprint, int threads) {
    row k;
    key_of(&k, t, w, fingerprint, threads);
    const row *r = find(t, &k);
    if (!r) return false;
    out->setup = strtod(r->setup, NULL);
    out->step = strtod(r->step, NULL);
    return out->step > 0 && out->setup >= 0; /* false too for what is no number */
}

bd_status bd_pace_table_add(bd_pace_table *t, const bd_workload *w, const char *fingerprint,
                            int threads, const bd_pace *p) {
    row k;
    key_of(&k, t, w, fingerprint, threads);
    snprintf(k.setup, sizeof k.setup, "%.3g", p->setup);
    snprintf(k.step, sizeof k.step, "%.4g", p->step);
    bd_clock_utc(k.measured);
    t->added = true;
    row *r = find(t, &k);
    if (r) return *r = k, BD_OK;
    BD_TRY(grow(t));
    t->at[t->n++] = k;
    return BD_OK;
}

bd_status bd_pace_table_save(const bd_pace_table *t) {
    bd_writer *w;
    if (!t->added) return BD_OK;
    BD_TRY(bd_file_mkdirs(t->runs));
    BD_TRY(bd_writer_create(&w, t->path));
    bd_status st = bd_writer_printf(
        w, "# Seconds of a step on this machine, measured by `baddiff plan`; delete the file to "
           "measure again.\n");
    for (int k = 0; k < COLUMNS && !st; k++) st = bd_csv_field(w, k ? "," : "", column[k]);
    if (!st) st = bd_writer_write(w, "\n", 1);
    for (size_t i = 0; i < t->n && !st; i++) {
        for (int k = 0; k < COLUMNS && !st; k++)
            st = bd_csv_field(w, k ? "," : "", cell(&t->at[i], k));
        if (!st) st = bd_writer_write(w, "\n", 1);
    }
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}
