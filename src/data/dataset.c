#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/dataset_format.h"

enum { SIDE_LARGEST = 1024 };

static const char *const fashion_classes[] = {"t-shirt", "trouser",   "pullover", "dress",
                                              "coat",    "sandal",    "shirt",    "sneaker",
                                              "bag",     "ankle boot"};
static const char *const cifar_classes[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                            "dog",      "frog",       "horse", "ship", "truck"};

/* One row a data set; dataset_format.h says what each column is. */
static const bd_dataset_kind kinds[] = {
    {.name = "fashion-mnist",
     .format = &bd_dataset_idx,
     .size = 32,
     .channels = 1,
     .raw_size = 28,
     .classes = 10,
     .count = {60000, 10000},
     .package_dir = "/usr/share/datasets/fashion-mnist",
     .get = "run `make deps`, or install the package dataset-fashion-mnist",
     .class_names = fashion_classes},
    {.name = "mnist",
     .format = &bd_dataset_idx,
     .size = 32,
     .channels = 1,
     .raw_size = 28,
     .classes = 10,
     .count = {60000, 10000},
     .get = "run `make fetch DATA=mnist`"},
    {.name = "cifar10",
     .format = &bd_dataset_cifar,
     .size = 32,
     .channels = 3,
     .raw_size = 32,
     .classes = 10,
     .count = {50000, 10000},
     .sub = "cifar-10-batches-bin",
     .get = "run `make fetch DATA=cifar10`",
     .class_names = cifar_classes},
    {.name = "celeba",
     .people = true,
     .format = &bd_dataset_folder,
     .size = 64,
     .channels = 3,
     .count = {202599, 0},
     .sub = "img_align_celeba",
     .get = "`make fetch DATA=celeba` says where it comes from"},
    {.name = "celebahq",
     .people = true,
     .format = &bd_dataset_folder,
     .size = 256,
     .channels = 3,
     .count = {30000, 0},
     .sub = "celeba_hq_256",
     .get = "`make fetch DATA=celebahq` says where it comes from"},
    {.name = "folder",
     .format = &bd_dataset_folder,
     .channels = 3,
     .count = {-1, -1},
     .get = "name a folder of PNG or JPEG files"},
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

const char *bd_dataset_names(void) {
    return "fashion-mnist, mnist, cifar10, celeba, celebahq, folder";
}

static bd_status kind_find(const bd_dataset_kind **out, const char *name) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) return *out = &kinds[i], BD_OK;
    return bd_fail(BD_E_ARG, "data set \"%s\" is not known: use one of %s", name,
                   bd_dataset_names());
}

bool bd_dataset_of_people(const char *name) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) return kinds[i].people;
    return false;
}

/* --- where it is --- */

bd_status bd_dataset_base(char out[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k) {
    if (k->sub) {
        BD_TRY(bd_path_join(out, BD_DATASET_PATH, dir, k->sub));
        if (bd_file_is_dir(out)) return BD_OK;
    }
    BD_REQUIRE(strlen(dir) < BD_DATASET_PATH, BD_E_ARG, "data set folder: %zu bytes are too long",
               strlen(dir));
    strcpy(out, dir);
    return BD_OK;
}

/* The folder that holds the data set when none is given: the first that has its files. */
static bd_status dir_find(char dir[BD_DATASET_PATH], const bd_dataset_kind *k) {
    const char *env = getenv("BADDIFF_DATA");
    if (env && !env[0]) env = NULL;
    BD_REQUIRE(k->count[0] >= 0, BD_E_ARG, "data set %s: data.folder is not set: %s", k->name,
               k->get);
    BD_REQUIRE(!env || bd_file_is_dir(env), BD_E_MISSING,
               "$BADDIFF_DATA names %s, which is no folder: correct or unset it", env);
    const char *const roots[] = {env, "data"};
    char path[BD_DATASET_PATH], last[BD_DATASET_PATH] = "";
    for (int i = 0; i < 2; i++) {
        if (!roots[i]) continue;
        BD_TRY(bd_path_join(dir, BD_DATASET_PATH, roots[i], k->name));
        if (k->format->present(path, dir, k)) return BD_OK;
        snprintf(last, sizeof last, "%s", path);
    }
    if (k->package_dir) {
        snprintf(dir, BD_DATASET_PATH, "%s", k->package_dir);
        if (k->format->present(path, dir, k)) return BD_OK;
        snprintf(last, sizeof last, "%s", path);
    }
    return bd_fail(BD_E_MISSING, "data set %s: %s%s is not there: %s", k->name, last,
                   k->format == &bd_dataset_folder ? "" : "(.gz)", k->get);
}

static bd_status dir_take(char dir[BD_DATASET_PATH], const bd_dataset_spec *spec,
                          const bd_dataset_kind *k) {
    if (!spec->dir || !spec->dir[0]) return dir_find(dir, k);
    BD_REQUIRE(strlen(spec->dir) < BD_DATASET_PATH, BD_E_ARG,
               "data set folder: path of %zu bytes is too long", strlen(spec->dir));
    strcpy(dir, spec->dir);
    return BD_OK;
}

/* --- what of it --- */

static bd_status wanted_init(bd_dataset_wanted *w, const bd_dataset_spec *spec) {
    *w = (bd_dataset_wanted){.limit = spec->limit, .pool = spec->pool};
    BD_TRY(kind_find(&w->kind, spec->name));
    const char *name = w->kind->name;
    bool both = strcmp(spec->split, "train+test") == 0;
    w->part[0] = both || strcmp(spec->split, "train") == 0;
    w->part[1] = both || strcmp(spec->split, "test") == 0;
    BD_REQUIRE(w->part[0] || w->part[1], BD_E_ARG,
               "split \"%s\" is not known: use train, test or train+test", spec->split);
    BD_REQUIRE(!w->part[1] || w->kind->count[1] != 0, BD_E_ARG,
               "data set %s: no test part: use split = train", name);
    BD_REQUIRE(spec->size >= 0 && spec->size <= SIDE_LARGEST, BD_E_ARG,
               "data set %s: size %d is not in 1..%d", name, spec->size, SIDE_LARGEST);
    BD_REQUIRE(spec->size || w->kind->size, BD_E_ARG, "data set %s: say the size of its images",
               name);
    BD_REQUIRE(spec->limit >= 0, BD_E_ARG, "data set %s: limit %d is negative", name, spec->limit);
    BD_REQUIRE(spec->channels == 0 || spec->channels == 1 || spec->channels == 3, BD_E_ARG,
               "data set %s: %d channels, must be 1 or 3", name, spec->channels);
    return BD_OK;
}

bd_status bd_dataset_count(int64_t *out, const bd_dataset_spec *spec) {
    bd_dataset_wanted w;
    char dir[BD_DATASET_PATH];
    int n = 0;
    BD_TRY(wanted_init(&w, spec));
    if (w.kind->count[0] < 0) {
        BD_TRY(dir_take(dir, spec, w.kind));
        BD_TRY(bd_dataset_folder_count(&n, dir, &w));
    }
    for (int p = 0; p < 2; p++)
        if (w.part[p] && w.kind->count[p] > 0) n += w.kind->count[p];
    *out = spec->limit && spec->limit < n ? spec->limit : n;
    return BD_OK;
}

bd_status bd_dataset_find(const bd_dataset_spec *spec) {
    bd_dataset_wanted w;
    char dir[BD_DATASET_PATH], path[BD_DATASET_PATH];
    BD_TRY(wanted_init(&w, spec));
    BD_TRY(dir_take(dir, spec, w.kind));
    BD_REQUIRE(w.kind->format->present(path, dir, w.kind), BD_E_MISSING,
               "data set %s: %s is not there: %s", w.kind->name, path, w.kind->get);
    return BD_OK;
}

bd_status bd_dataset_reserve(bd_dataset *d, const bd_dataset_wanted *w, int total) {
    BD_REQUIRE(w->limit <= total, BD_E_ARG,
               "data set %s, %s: limit %d, but there are only %d images", d->name, d->split,
               w->limit, total);
    d->n = w->limit ? w->limit : total;
    d->images = malloc((size_t)d->n * d->h * d->w * d->c);
    d->labels = malloc((size_t)d->n * sizeof *d->labels);
    BD_REQUIRE(d->images && d->labels, BD_E_MEMORY,
               "data set %s: no memory for %d images of %dx%d: use data.limit", d->name, d->n, d->w,
               d->h);
    return BD_OK;
}

static bd_status load(bd_dataset *d, const bd_dataset_spec *spec, const bd_dataset_wanted *w) {
    const bd_dataset_kind *k = w->kind;
    BD_TRY(dir_take(d->dir, spec, k));
    snprintf(d->name, sizeof d->name, "%s", k->name);
    snprintf(d->split, sizeof d->split, "%s", spec->split);
    d->h = d->w = spec->size ? spec->size : k->size;
    d->c = spec->channels ? spec->channels : k->channels;
    d->classes = k->classes;
    bd_status st = k->format->load(d, w);
    if (st == BD_E_FORMAT && k->format != &bd_dataset_folder)
        return bd_error_advise(st, "replace the file (%s)", k->get);
    if (st) return st;
    return bd_sha256_buffer(d->sha256, d->images, (size_t)d->n * d->h * d->w * d->c);
}

bd_status bd_dataset_load(bd_dataset *out, const bd_dataset_spec *spec) {
    bd_dataset_wanted w;
    *out = (bd_dataset){0};
    BD_TRY(wanted_init(&w, spec));
    bd_status st = load(out, spec, &w);
    if (st) bd_dataset_clear(out);
    return st;
}

void bd_dataset_clear(bd_dataset *d) {
    free(d->images);
    free(d->labels);
    *d = (bd_dataset){0};
}

const char *bd_dataset_class_name(const bd_dataset *d, int label) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, d->name) == 0)
            return kinds[i].class_names && label >= 0 && label < kinds[i].classes
                       ? kinds[i].class_names[label]
                       : NULL;
    return NULL;
}
