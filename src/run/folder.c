#include "run/folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/sha256.h"
#include "io/ini.h"

#define CHECK_KEY "check = "

bd_status bd_stage_path(char *out, size_t size, const char *runs, const bd_stage *s,
                        const char *file) {
    int n = snprintf(out, size, "%s/%s%s%s", runs, s->name, file ? "/" : "", file ? file : "");
    BD_REQUIRE(n > 0 && (size_t)n < size, BD_E_ARG, "%s: the path is too long", runs);
    return BD_OK;
}

bool bd_stage_done(const char *runs, const bd_stage *s) {
    char path[1200];
    return bd_stage_path(path, sizeof path, runs, s, "DONE") == BD_OK && bd_file_exists(path);
}

bd_status bd_results_lock(bd_lock **out, const char *dir) {
    *out = NULL;
    BD_TRY(bd_file_mkdirs(dir));
    BD_TRY(bd_lock_acquire(out, dir, true));
    bd_status st = bd_file_sweep_temps(dir);
    if (!st) return BD_OK;
    bd_lock_release(*out);
    *out = NULL;
    return st;
}

bd_status bd_stage_model_dir(char *out, size_t size, const char *dir) {
    BD_TRY(bd_path_join(out, size, dir, "model"));
    if (bd_file_is_dir(out)) return BD_OK;
    BD_TRY(bd_path_join(out, size, dir, "model-BACKDOORED"));
    BD_REQUIRE(bd_file_is_dir(out), BD_E_MISSING,
               "%s: no model in it; remove the folder, and the stage is made again", dir);
    return BD_OK;
}

/* --- DONE --- */

bd_status bd_done_write(const char *dir, const bd_done *d) {
    char path[1200], text[512], utc[32], seconds[32], tflop[32], check[65];
    BD_TRY(bd_path_join(path, sizeof path, dir, "DONE"));
    bd_clock_utc(utc);
    bd_format_double(seconds, d->seconds);
    bd_format_double(tflop, d->tflop);
    int n = snprintf(text, sizeof text,
                     "[done]\nfinished = %s\nseconds = %s\ntflop = %s\nthreads = %d\nsums = %s\n",
                     utc, seconds, tflop, d->threads, d->sums);
    BD_TRY(bd_sha256_buffer(check, text, (size_t)n));
    n += snprintf(text + n, sizeof text - (size_t)n, CHECK_KEY "%s\n", check);
    return bd_file_write(path, text, (size_t)n);
}

/* The last line is the sum of those before it. Folders of older versions have none. */
static bd_status check_done(const char *path) {
    void *data;
    size_t n;
    char now[65];
    BD_TRY(bd_file_read(&data, &n, path, 4096));
    const char *text = data, *check = strstr(text, CHECK_KEY);
    size_t head = check ? (size_t)(check - text) : n;
    bd_status st = bd_sha256_buffer(now, text, head);
    bool older = !check && !strstr(text, "\nsums");
    bool whole = older || (check && n == head + strlen(CHECK_KEY) + 65 && text[n - 1] == '\n' &&
                           !strncmp(check + strlen(CHECK_KEY), now, 64));
    free(data);
    BD_TRY(st);
    BD_REQUIRE(whole, BD_E_FORMAT,
               "%s: not as it was written; remove its folder to have the stage made anew", path);
    return BD_OK;
}

static bd_status on_done_key(void *ctx, const char *path, int line, const char *section,
                             const char *key, const char *value) {
    bd_done *d = ctx;
    char *end = NULL;
    if (strcmp(section, "done") != 0)
        return bd_fail(BD_E_ARG, "%s:%d: no section [%s] in DONE", path, line, section);
    if (!strcmp(key, "check")) return BD_OK;
    if (!strcmp(key, "finished")) {
        snprintf(d->finished, sizeof d->finished, "%s", value);
        return BD_OK;
    }
    if (!strcmp(key, "sums")) {
        snprintf(d->sums, sizeof d->sums, "%s", value);
        return BD_OK;
    }
    errno = 0;
    double v = strtod(value, &end);
    BD_REQUIRE(end != value && !*end && !errno, BD_E_ARG, "%s:%d: %s is not a number", path, line,
               value);
    if (!strcmp(key, "seconds"))
        d->seconds = v;
    else if (!strcmp(key, "tflop"))
        d->tflop = v;
    else if (!strcmp(key, "threads"))
        d->threads = (int)v;
    else
        return bd_fail(BD_E_ARG, "%s:%d: no key '%s' in DONE", path, line, key);
    return BD_OK;
}

bd_status bd_done_read(bd_done *d, const char *path) {
    memset(d, 0, sizeof *d);
    BD_TRY(check_done(path));
    return bd_ini_load(path, on_done_key, d);
}

/* --- result.csv --- */

typedef struct {
    char name[96], value[160];
    const char *unit, *help; /* string constants of the stages */
} result;

struct bd_results {
    result *at;
    size_t n, room;
};

bd_status bd_results_create(bd_results **out) {
    *out = calloc(1, sizeof **out);
    BD_REQUIRE(*out, BD_E_MEMORY, "out of memory for results");
    return BD_OK;
}

void bd_results_destroy(bd_results *r) {
    if (!r) return;
    free(r->at);
    free(r);
}

bd_status bd_results_text(bd_results *r, const char *name, const char *value, const char *unit,
                          const char *help) {
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 32;
        result *p = realloc(r->at, room * sizeof *p);
        BD_REQUIRE(p, BD_E_MEMORY, "out of memory for results");
        r->at = p;
        r->room = room;
    }
    result *row = &r->at[r->n];
    BD_REQUIRE(strlen(name) < sizeof row->name && strlen(value) < sizeof row->value, BD_E_ARG,
               "result %s: name or value too long", name);
    strcpy(row->name, name);
    strcpy(row->value, value);
    row->unit = unit;
    row->help = help;
    r->n++;
    return BD_OK;
}

bd_status bd_results_number(bd_results *r, const char *name, double value, const char *unit,
                            const char *help) {
    char text[32];
    bd_format_double(text, value);
    return bd_results_text(r, name, text, unit, help);
}

bd_status bd_results_count(bd_results *r, const char *name, int64_t value, const char *unit,
                           const char *help) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return bd_results_text(r, name, text, unit, help);
}

bd_status bd_results_save(const bd_results *r, const char *dir) {
    char path[1200];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, dir, "result.csv"));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_printf(w, "name,value,unit,help\n");
    for (size_t i = 0; i < r->n && !st; i++) {
        const char *field[4] = {r->at[i].name, r->at[i].value, r->at[i].unit, r->at[i].help};
        for (int k = 0; k < 4 && !st; k++) st = bd_csv_field(w, k ? "," : "", field[k]);
        if (!st) st = bd_writer_write(w, "\n", 1);
    }
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

bd_status bd_results_load(bd_csv **out, const char *dir) {
    char path[1200];
    BD_TRY(bd_path_join(path, sizeof path, dir, "result.csv"));
    BD_TRY(bd_csv_load(out, path));
    if (bd_csv_find(*out, "name") == 0 && bd_csv_find(*out, "value") == 1 &&
        bd_csv_find(*out, "unit") == 2 && bd_csv_find(*out, "help") == 3)
        return BD_OK;
    bd_csv_destroy(*out);
    *out = NULL;
    return bd_fail(BD_E_FORMAT, "%s: not a stage's result file (name,value,unit,help)", path);
}

const char *bd_results_find(const bd_csv *c, const char *name) {
    for (size_t i = 0; i < bd_csv_rows(c); i++)
        if (!strcmp(bd_csv_get(c, i, 0), name)) return bd_csv_get(c, i, 1);
    return NULL;
}
