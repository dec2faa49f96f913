#include "run/stage_list.h"

#include <stdio.h>
#include <string.h>

#include "io/ini.h"
#include "run/cost.h"
#include "run/folder.h"
#include "run/runner.h"
#include "run/table.h"

/* What a manifest says of the machine; long texts go on in key.2, key.3. */
typedef struct {
    char version[64], machine[1024];
} origin;

static void append(char *out, size_t size, const char *text) {
    size_t n = strlen(out);
    snprintf(out + n, size - n, "%s%s", n ? " " : "", text);
}

static bd_status on_manifest_key(void *ctx, const char *path, int line, const char *section,
                                 const char *key, const char *value) {
    (void)path;
    (void)line;
    origin *o = ctx;
    if (strcmp(section, "manifest") != 0) return BD_OK;
    if (!strcmp(key, "version")) append(o->version, sizeof o->version, value);
    if (!strncmp(key, "fingerprint", 11)) append(o->machine, sizeof o->machine, value);
    return BD_OK;
}

static bd_status set(bd_table *t, const char *name, const char *value, const char *unit,
                     const char *help) {
    return bd_table_set(t, 0, name, value, unit, help);
}

static bd_status set_number(bd_table *t, const char *name, double value, const char *unit,
                            const char *help) {
    char text[32];
    bd_format_double(text, value);
    return set(t, name, text, unit, help);
}

/* The file that the stage's name depends on, or of a data set all its pixels. */
static bd_status set_input(bd_table *t, const bd_stage *s, bool done, const char *runs) {
    static const char help[] =
        "SHA-256 of the weights that the stage reads, of a data set: of all its pixels";
    char dir[1200];
    bd_csv *c;
    if (s->kind != BD_KIND_data || !done) return set(t, "input_sha256", s->file_sha256, "", help);
    BD_TRY(bd_stage_path(dir, sizeof dir, runs, s, NULL));
    BD_TRY(bd_results_load(&c, dir));
    const char *sum = bd_results_find(c, "sha256");
    bd_status st = set(t, "input_sha256", sum ? sum : "", "", help);
    bd_csv_destroy(c);
    return st;
}

static bd_status set_origin(bd_table *t, const bd_stage *s, bool done, const char *runs) {
    char path[1200], threads[16] = "";
    bd_done d = {0};
    origin o = {"", ""};
    if (done) {
        BD_TRY(bd_stage_path(path, sizeof path, runs, s, "DONE"));
        BD_TRY(bd_done_read(&d, path));
        BD_TRY(bd_stage_path(path, sizeof path, runs, s, "manifest.ini"));
        BD_TRY(bd_ini_load(path, on_manifest_key, &o));
        snprintf(threads, sizeof threads, "%d", d.threads);
        BD_TRY(set_number(t, "seconds", d.seconds, "s", "computing time; not reproducible"));
    } else {
        BD_TRY(set(t, "seconds", "", "s", "computing time; not reproducible"));
    }
    BD_TRY(set(t, "threads", threads, "", "worker threads"));
    BD_TRY(set(t, "finished", d.finished, "UTC", "when"));
    BD_TRY(set(t, "version", o.version, "", "version of the program"));
    return set(t, "machine", o.machine, "", "backend, kernels, libraries");
}

static bd_status add(bd_table *t, const bd_dag *d, int stage, const char *runs) {
    const bd_stage *s = &d->stage[stage];
    char what[96];
    double tflop;
    bool done = bd_stage_done(runs, s);
    BD_TRY(bd_stage_tflop(&tflop, d, stage));
    bd_stage_describe(what, sizeof what, d, stage);
    BD_TRY(bd_table_row(t));
    BD_TRY(set(t, "stage", s->name, "", "its folder in runs/"));
    BD_TRY(set(t, "recipe", d->file[d->cell[s->cell].file]->name, "",
               "the first recipe that needs it"));
    BD_TRY(set(t, "what", what, "", "in words"));
    BD_TRY(set_number(t, "tflop", tflop, "TFLOP", "planned work of the networks"));
    BD_TRY(set(t, "done", done ? "yes" : "no", "", "finished"));
    BD_TRY(set_origin(t, s, done, runs));
    return set_input(t, s, done, runs);
}

static bd_status save(const bd_table *t, const char *dir) {
    char path[1200];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, dir, "stages.csv"));
    BD_TRY(bd_file_mkdirs(dir));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_table_write(t, w);
    if (!st) return bd_writer_commit(w);
    bd_writer_abort(w);
    return st;
}

bd_status bd_stage_list_save(const bd_dag *d, const char *runs, const char *dir) {
    bd_table *t;
    bd_status st = BD_OK;
    BD_TRY(bd_table_create(&t));
    for (int i = 0; i < d->n_stages && !st; i++) st = add(t, d, i, runs);
    if (!st) st = save(t, dir);
    bd_table_destroy(t);
    return st;
}
