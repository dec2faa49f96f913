/* Folders of PNG and JPEG files: pictures, or one sub-folder of pictures a class; with train/ and
 * test/ on top where both parts exist. Order is that of the paths as strings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_format.h"
#include "io/image.h"

typedef struct {
    char *path;
    int32_t label;
} entry;

typedef struct {
    entry *at;
    size_t n, room;
    int classes;
    char *class_names; /* one after the other, each with a '/' behind it; NULL: none */
} listing;

static void listing_clear(listing *l) {
    for (size_t i = 0; i < l->n; i++) free(l->at[i].path);
    free(l->at);
    free(l->class_names);
    *l = (listing){0};
}

static bd_status listing_add(listing *l, const char *dir, const char *name, int32_t label) {
    char path[BD_DATASET_PATH];
    BD_TRY(bd_path_join(path, sizeof path, dir, name));
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        entry *more = realloc(l->at, room * sizeof *more);
        BD_REQUIRE(more, BD_E_MEMORY, "%s: out of memory for the names of its files", dir);
        l->at = more;
        l->room = room;
    }
    char *copy = strdup(path);
    BD_REQUIRE(copy, BD_E_MEMORY, "%s: out of memory for the names of its files", dir);
    l->at[l->n++] = (entry){copy, label};
    return BD_OK;
}

/* Pictures directly in dir; folders: how many sub-folders it has. */
static bd_status list_flat(listing *l, size_t *folders, const char *dir, int32_t label) {
    char **names, path[BD_DATASET_PATH];
    size_t n;
    *folders = 0;
    BD_TRY(bd_file_list(&names, &n, dir, ""));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        int what = bd_image_file(names[i]);
        if (what > 0)
            st = listing_add(l, dir, names[i], label);
        else if (what < 0)
            st = bd_fail(BD_E_FORMAT,
                         "%s/%s: only PNG and JPEG are read: convert it or move it away", dir,
                         names[i]);
        else if ((st = bd_path_join(path, sizeof path, dir, names[i])) == BD_OK)
            *folders += bd_file_is_dir(path);
    }
    bd_file_list_free(names, n);
    return st;
}

static bd_status list_class(listing *l, const char *dir) {
    size_t folders, before = l->n;
    BD_TRY(list_flat(l, &folders, dir, l->classes));
    BD_REQUIRE(l->n > before && !folders, BD_E_FORMAT,
               "%s: %s: a folder of classes holds one folder of pictures a class", dir,
               folders ? "a folder in the folder of a class" : "no PNG or JPEG files in it");
    l->classes++;
    return BD_OK;
}

static bd_status add_class_name(listing *l, const char *name) {
    size_t used = l->class_names ? strlen(l->class_names) : 0, n = strlen(name);
    char *more = realloc(l->class_names, used + n + 2);
    BD_REQUIRE(more, BD_E_MEMORY, "out of memory for the names of classes");
    snprintf(more + used, n + 2, "%s/", name);
    l->class_names = more;
    return BD_OK;
}

static bd_status list_classes(listing *l, const char *dir) {
    char **names, path[BD_DATASET_PATH];
    size_t n;
    BD_TRY(bd_file_list(&names, &n, dir, ""));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        st = bd_path_join(path, sizeof path, dir, names[i]);
        if (!st && bd_file_is_dir(path)) st = list_class(l, path);
        if (!st && bd_file_is_dir(path)) st = add_class_name(l, names[i]);
    }
    bd_file_list_free(names, n);
    return st;
}

/* One part: pictures without labels, or classes. */
static bd_status list_part(listing *l, const char *dir) {
    size_t folders, before = l->n;
    BD_REQUIRE(bd_file_is_dir(dir), BD_E_MISSING, "%s: no such folder", dir);
    BD_TRY(list_flat(l, &folders, dir, -1));
    bool flat = l->n > before;
    BD_REQUIRE(
        !flat || !folders, BD_E_FORMAT,
        "%s: holds both pictures and folders: use a folder of pictures, or one with a folder "
        "a class",
        dir);
    if (!flat && folders) BD_TRY(list_classes(l, dir));
    BD_REQUIRE(l->n > before, BD_E_MISSING, "%s: no PNG or JPEG files in it", dir);
    return BD_OK;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const entry *)a)->path, ((const entry *)b)->path);
}

static bd_status list_sorted(listing *l, const char *dir) {
    size_t before = l->n;
    l->classes = 0;
    BD_TRY(list_part(l, dir));
    qsort(l->at + before, l->n - before, sizeof *l->at, by_path);
    return BD_OK;
}

/* Train before test. A folder without train/ is all training images. */
static bd_status list_all(listing *l, const char *dir, const bd_dataset_wanted *w) {
    static const char *const sub[2] = {"train", "test"};
    char base[BD_DATASET_PATH], path[BD_DATASET_PATH];
    BD_TRY(bd_dataset_base(base, dir, w->kind));
    BD_TRY(bd_path_join(path, sizeof path, base, sub[0]));
    if (w->kind->count[0] >= 0 || !bd_file_is_dir(path)) {
        BD_REQUIRE(!w->part[1], BD_E_ARG, "data set %s in %s: no test part: use split = train",
                   w->kind->name, base);
        return list_sorted(l, base);
    }
    char *first = NULL; /* names of the classes of train */
    bd_status st = BD_OK;
    for (int p = 0; p < 2 && !st; p++) {
        if (!w->part[p]) continue;
        st = bd_path_join(path, sizeof path, base, sub[p]);
        if (!st) st = list_sorted(l, path);
        if (!st && p && w->part[0] &&
            strcmp(first ? first : "", l->class_names ? l->class_names : "") != 0)
            st = bd_fail(BD_E_FORMAT, "%s: train and test do not have the same classes", base);
        free(first);
        first = l->class_names;
        l->class_names = NULL;
    }
    free(first);
    return st;
}

static bd_status count_check(const listing *l, const char *dir, const bd_dataset_kind *k) {
    BD_REQUIRE(l->n <= INT32_MAX, BD_E_FORMAT, "%s: %zu images are too many", dir, l->n);
    BD_REQUIRE(k->count[0] < 0 || l->n == (size_t)k->count[0], BD_E_FORMAT,
               "%s: %zu images, %s has %d: complete the folder (%s), or use it under the name that "
               "it deserves: set = folder",
               dir, l->n, k->name, k->count[0], k->get);
    return BD_OK;
}

static bd_status folder_list(listing *l, const char *dir, const bd_dataset_wanted *w) {
    *l = (listing){0};
    bd_status st = list_all(l, dir, w);
    if (!st) st = count_check(l, dir, w->kind);
    if (st) listing_clear(l);
    return st;
}

bd_status bd_dataset_folder_count(int *n, const char *dir, const bd_dataset_wanted *w) {
    listing l;
    BD_TRY(folder_list(&l, dir, w));
    *n = (int)l.n;
    listing_clear(&l);
    return BD_OK;
}

/* --- decoding: each task writes its own image, so the bytes do not depend on the threads --- */

typedef struct {
    bd_dataset *d;
    const listing *l;
    bd_dataset_fit *fit; /* one a worker */
} job;

static bd_status decode(void *ctx, int task, int worker) {
    job *j = ctx;
    const char *path = j->l->at[task].path;
    bd_image img;
    bd_status st = bd_image_load(&img, path, j->d->c);
    if (st == BD_E_FORMAT) return bd_error_advise(st, "replace the file or take it out");
    if (st) return st;
    st = bd_dataset_put(j->d, task, &j->fit[worker], img.pixels, img.w, img.h, img.c);
    bd_image_clear(&img);
    if (st) return bd_error_prefix(st, "%s", path);
    j->d->labels[task] = j->l->at[task].label;
    return BD_OK;
}

static bd_status decode_all(bd_dataset *d, const listing *l, bd_pool *pool) {
    int workers = pool ? bd_pool_workers(pool) : 1;
    job j = {d, l, calloc((size_t)workers, sizeof *j.fit)};
    BD_REQUIRE(j.fit, BD_E_MEMORY, "data set %s: out of memory", d->name);
    bd_status st = BD_OK;
    if (pool)
        st = bd_pool_run(pool, d->n, decode, &j);
    else
        for (int i = 0; i < d->n && !st; i++) st = decode(&j, i, 0);
    for (int i = 0; i < workers; i++) bd_dataset_fit_clear(&j.fit[i]);
    free(j.fit);
    return st;
}

static bool present(char path[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k) {
    return !bd_dataset_base(path, dir, k) && bd_file_is_dir(path);
}

static bd_status load(bd_dataset *d, const bd_dataset_wanted *w) {
    listing l;
    BD_TRY(folder_list(&l, d->dir, w));
    bd_status st = bd_dataset_reserve(d, w, (int)l.n);
    d->classes = l.classes;
    if (!st) st = decode_all(d, &l, w->pool);
    listing_clear(&l);
    return st;
}

const bd_dataset_format bd_dataset_folder = {present, load};
