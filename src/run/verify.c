#include "run/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "io/ini.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "nn/model.h"
#include "run/montage.h"
#include "run/folder.h"
#include "run/settings.h"
#include "run/sums.h"

enum { PATH_BYTES = 1400 };

/* --- writing --- */

bd_status bd_verify_finish(char sha256[65], const bd_dag *d, int stage, const char *runs) {
    char dir[PATH_BYTES], path[PATH_BYTES];
    const bd_stage *s = &d->stage[stage];
    bd_sums sums = {0};
    BD_TRY(bd_stage_path(dir, sizeof dir, runs, s, NULL));
    bd_status st = bd_sums_add_tree(&sums, dir, "");
    for (int i = 0; i < s->n_in && !st; i++) {
        snprintf(path, sizeof path, "../%s/" BD_SUMS_FILE, d->stage[s->in[i].stage].name);
        st = bd_sums_add(&sums, dir, path);
    }
    if (!st) st = bd_sums_save(&sums, dir);
    bd_sums_clear(&sums);
    BD_TRY(st);
    BD_TRY(bd_path_join(path, sizeof path, dir, BD_SUMS_FILE));
    return bd_sha256_file(sha256, path);
}

/* Lines of a results folder count from where the program was started. */
static bd_status count_from_here(bd_sum *line, const char *results) {
    char path[PATH_BYTES];
    BD_TRY(bd_path_join(path, sizeof path, results, line->path));
    BD_REQUIRE(strlen(path) < sizeof line->path, BD_E_ARG, "%s: the path is too long", path);
    strcpy(line->path, path);
    return BD_OK;
}

static bd_status seal(const bd_dag *d, const char *results, const char *runs) {
    char path[PATH_BYTES];
    bd_sums sums = {0};
    bool *needed = calloc((size_t)d->n_stages + 1, sizeof *needed);
    BD_REQUIRE(needed, BD_E_MEMORY, "out of memory for %d stages", d->n_stages);
    for (int c = 0; c < d->n_cells; c++)
        for (int k = 0; k < BD_SLOT_COUNT && bd_cell_done(d, &d->cell[c], runs); k++)
            if (d->cell[c].slot[k] >= 0) needed[d->cell[c].slot[k]] = true;
    bd_status st = bd_sums_add_tree(&sums, results, "");
    for (size_t i = 0; i < sums.n && !st; i++) st = count_from_here(&sums.at[i], results);
    for (int i = 0; i < d->n_stages && !st; i++) {
        if (!needed[i]) continue;
        st = bd_stage_path(path, sizeof path, runs, &d->stage[i], BD_SUMS_FILE);
        if (!st) st = bd_sums_add(&sums, "", path);
    }
    if (!st) st = bd_sums_save(&sums, results);
    bd_sums_clear(&sums);
    free(needed);
    return st;
}

bd_status bd_verify_seal(const bd_dag *d, const char *results, const char *runs) {
    bd_lock *lock;
    BD_REQUIRE(bd_file_is_dir(results), BD_E_MISSING, "no folder %s; 'baddiff collect' makes it",
               results);
    BD_TRY(bd_results_lock(&lock, results));
    bd_status st = seal(d, results, runs);
    bd_lock_release(lock);
    return st;
}

/* --- comparing --- */

typedef struct {
    bd_verify *v;
    char (*dir)[PATH_BYTES]; /* stages to be looked at, each once */
    size_t n, room;
} queue;

static void problem(bd_verify *v, const char *path, const char *what) {
    v->problems++;
    v->problem(v->ctx, path, what);
}

static bd_status enqueue(queue *q, const char *dir) {
    for (size_t i = 0; i < q->n; i++)
        if (!strcmp(q->dir[i], dir)) return BD_OK;
    if (q->n == q->room) {
        size_t room = q->room ? 2 * q->room : 64;
        void *p = realloc(q->dir, room * sizeof *q->dir);
        BD_REQUIRE(p, BD_E_MEMORY, "out of memory for %zu stages", room);
        q->dir = p;
        q->room = room;
    }
    strcpy(q->dir[q->n++], dir);
    return BD_OK;
}

/* Where a line's file lies. Lines of a stage count from its folder, and those of its inputs from the folder above. */
static void locate(char out[PATH_BYTES], const char *folder, const char *path) {
    if (!folder[0])
        snprintf(out, PATH_BYTES, "%s", path);
    else if (!strncmp(path, "../", 3)) {
        const char *slash = strrchr(folder, '/');
        snprintf(out, PATH_BYTES, "%.*s%s", slash ? (int)(slash - folder) + 1 : 0, folder,
                 path + 3);
    } else
        snprintf(out, PATH_BYTES, "%s/%s", folder, path);
}

static bd_status check_line(queue *q, const char *folder, const bd_sum *line) {
    char path[PATH_BYTES], now[65];
    locate(path, folder, line->path);
    q->v->files++;
    bd_status st = bd_sha256_file(now, path);
    if (st == BD_E_MISSING)
        problem(q->v, path, "is missing");
    else if (st)
        problem(q->v, path, bd_error());
    else if (strcmp(now, line->sha256) != 0)
        problem(q->v, path, "has changed");
    char *slash = strrchr(path, '/');
    if (!slash || strcmp(slash + 1, BD_SUMS_FILE) != 0) return BD_OK;
    *slash = '\0';
    return enqueue(q, path);
}

static bd_status check_list(queue *q, const char *folder, const bd_sums *sums) {
    for (size_t i = 0; i < sums->n; i++) BD_TRY(check_line(q, folder, &sums->at[i]));
    return BD_OK;
}

/* Files that nobody listed: something was put there since. */
static bd_status check_nothing_more(queue *q, const char *folder, const bd_sums *sums) {
    bd_sums there = {0};
    bd_status st = bd_sums_add_tree(&there, folder, "");
    for (size_t i = 0; i < there.n && !st; i++) {
        char path[PATH_BYTES];
        bool listed = false;
        for (size_t k = 0; k < sums->n && !listed; k++)
            listed = !strcmp(there.at[i].path, sums->at[k].path);
        if (listed) continue;
        locate(path, folder, there.at[i].path);
        problem(q->v, path, "was not there when the stage was finished");
    }
    bd_sums_clear(&there);
    return st;
}

/* --- what lies outside of the stages --- */

typedef struct {
    char stage[64], file[4][65]; /* sums of classifier, inception, model, lpips; "" = not read */
} manifest;

static const char *const file_key[] = {"classifier_sha256", "inception_sha256", "model_sha256",
                                       "lpips_sha256"};

static bd_status on_key(void *ctx, const char *path, int line, const char *section, const char *key,
                        const char *value) {
    manifest *m = ctx;
    (void)path;
    (void)line;
    if (strcmp(section, "manifest") != 0) return BD_OK;
    if (!strcmp(key, "stage")) snprintf(m->stage, sizeof m->stage, "%s", value);
    for (int i = 0; i < 4; i++)
        if (!strcmp(key, file_key[i])) snprintf(m->file[i], sizeof m->file[i], "%s", value);
    return BD_OK;
}

/* The pixels that the stage saw, and those that are there now. */
static bd_status check_data(bd_verify *v, const char *dir, const bd_recipe *r) {
    char where[PATH_BYTES];
    bd_csv *results;
    bd_dataset now;
    bd_dataset_spec spec = bd_recipe_data(r);
    BD_TRY(bd_results_load(&results, dir));
    const char *then = bd_results_find(results, "sha256");
    bd_status st = bd_dataset_load(&now, &spec);
    if (!st) {
        snprintf(where, sizeof where, "%s %s in %s", now.name, now.split, now.dir);
        v->files++;
        if (!then || strcmp(then, now.sha256) != 0)
            problem(v, where, "has other pixels than the runs saw");
        bd_dataset_clear(&now);
    }
    bd_csv_destroy(results);
    return st;
}

static bd_status check_data_stage(bd_verify *v, const char *dir, const bd_recipe_file *f,
                                  const char *stage) {
    bd_dag d = {0};
    int at;
    bd_status st = bd_dag_add(&d, f);
    if (!st) st = bd_dag_find(&at, &d, stage);
    if (!st) st = check_data(v, dir, &d.stage[at].recipe);
    bd_dag_clear(&d);
    return st;
}

/* Where weights of one kind are now, and their sum. */
static bd_status sum_weights(char path[PATH_BYTES], char now[65], int kind, const bd_recipe *r) {
    char other[PATH_BYTES];
    switch (kind) {
    case 0: snprintf(path, PATH_BYTES, "%s", r->metric_classifier); break;
    case 1: BD_TRY(bd_fid_weights(path, PATH_BYTES, r->metric_inception)); break;
    case 2: snprintf(path, PATH_BYTES, "%s", r->model_folder); return bd_model_sha256(now, path);
    default:
        BD_TRY(bd_lpips_folder(path, other, PATH_BYTES, r->metric_lpips_folder));
        return bd_lpips_sha256(now, r->metric_lpips_folder);
    }
    return bd_sha256_file(now, path);
}

/* Those that a stage read. */
static bd_status check_weights(bd_verify *v, const manifest *m, const bd_recipe *r) {
    for (int i = 0; i < 4; i++) {
        char path[PATH_BYTES] = "weights", now[65];
        if (!m->file[i][0]) continue;
        bd_status st = sum_weights(path, now, i, r);
        v->files++;
        /* published weights are noted by the start of their sum */
        if (st)
            problem(v, path, bd_error());
        else if (strncmp(now, m->file[i], strlen(m->file[i])) != 0)
            problem(v, path, "has changed");
    }
    return BD_OK;
}

static bd_status check_outside(bd_verify *v, const char *dir) {
    char path[PATH_BYTES];
    manifest m = {.stage = ""};
    bd_recipe_file f;
    BD_TRY(bd_path_join(path, sizeof path, dir, "manifest.ini"));
    BD_TRY(bd_ini_load(path, on_key, &m));
    BD_TRY(bd_recipe_load(&f, path, NULL, false, NULL, 0));
    bd_status st = check_weights(v, &m, &f.base);
    if (!st && !strncmp(m.stage, "data-", 5)) st = check_data_stage(v, dir, &f, m.stage);
    bd_recipe_file_clear(&f);
    return st;
}

/* --- all of it --- */

/* DONE says what SHA256SUMS was. */
static bd_status check_done(bd_verify *v, const char *dir) {
    char path[PATH_BYTES], now[65];
    bd_done done;
    BD_TRY(bd_path_join(path, sizeof path, dir, "DONE"));
    BD_TRY(bd_done_read(&done, path));
    BD_TRY(bd_path_join(path, sizeof path, dir, BD_SUMS_FILE));
    BD_TRY(bd_sha256_file(now, path));
    v->files += 2;
    if (!done.sums[0])
        problem(v, path, "is not vouched for: the stage was finished by an older version");
    else if (strcmp(now, done.sums) != 0)
        problem(v, path, "has changed");
    return BD_OK;
}

static bd_status check_stage(queue *q, const char *dir) {
    bd_sums sums = {0};
    q->v->stages++;
    bd_status st = check_done(q->v, dir);
    if (!st) st = bd_sums_load(&sums, dir);
    if (!st) st = check_list(q, dir, &sums);
    if (!st) st = check_nothing_more(q, dir, &sums);
    if (!st) st = check_outside(q->v, dir);
    bd_sums_clear(&sums);
    return st;
}

bd_status bd_verify_results(bd_verify *v, const char *results) {
    queue q = {.v = v};
    bd_sums sums = {0};
    v->files = v->stages = v->problems = 0;
    BD_TRY(bd_sums_load(&sums, results));
    bd_status st = check_list(&q, "", &sums);
    bd_sums_clear(&sums);
    for (size_t i = 0; i < q.n && !st; i++) {
        char dir[PATH_BYTES];
        strcpy(dir, q.dir[i]); /* the queue moves when it grows */
        st = check_stage(&q, dir);
        if (st == BD_E_MEMORY) break;
        if (st) problem(v, dir, bd_error());
        st = BD_OK;
    }
    free(q.dir);
    return st;
}
