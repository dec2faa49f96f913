#include "data/dataset.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/resize.h"
#include "io/idx.h"

/* A data set in IDX files. Another format gets a loader of its own and a column for it here. */
typedef struct {
    const char *name;
    int size;     /* side in memory unless the spec says otherwise           */
    int raw_size; /* side in the files                                       */
    int classes;
    const char *package_dir;        /* where a distribution's package puts it, or NULL  */
    const char *get;                /* what to type when it is missing                         */
    const char *const *class_names; /* NULL: numbers                             */
} kind;

static const char *const fashion_classes[] = {"t-shirt", "trouser",   "pullover", "dress",
                                              "coat",    "sandal",    "shirt",    "sneaker",
                                              "bag",     "ankle boot"};

static const kind kinds[] = {
    {"fashion-mnist", 32, 28, 10, "/usr/share/datasets/fashion-mnist",
     "run `make deps`, or install the package dataset-fashion-mnist", fashion_classes},
    {"mnist", 32, 28, 10, NULL, "put the four IDX files of MNIST there", NULL},
};

enum { KIND_COUNT = sizeof kinds / sizeof kinds[0], PATH_SIZE = 1024, SIZE_MAX_SIDE = 1024 };

/* One part of a data set: its two files, without ".gz". */
typedef struct {
    const char *split, *images, *labels;
} part;

static const part parts[] = {
    {"train", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"test", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
};

static const kind *kind_find(const char *name) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

/* DIR/FILE.gz, or DIR/FILE; whether one of them is there. */
static bool file_in(char path[PATH_SIZE], const char *dir, const char *file) {
    static const char *const suffix[] = {".gz", ""};
    for (int i = 0; i < 2; i++) {
        int n = snprintf(path, PATH_SIZE, "%s/%s%s", dir, file, suffix[i]);
        if (n > 0 && n < PATH_SIZE && bd_file_exists(path)) return true;
    }
    return false;
}

/* The folder that holds the data set when none is given: the first that has the training images. */
static bd_status dir_find(char dir[PATH_SIZE], const kind *k) {
    const char *env = getenv("BADDIFF_DATA");
    if (env && !env[0]) env = NULL;
    BD_REQUIRE(!env || bd_file_is_dir(env), BD_E_MISSING,
               "$BADDIFF_DATA names %s, which is no folder: correct or unset it", env);
    const char *const roots[] = {env, "data"};
    char path[PATH_SIZE], last[PATH_SIZE] = "";
    for (int i = 0; i < 2; i++) {
        if (!roots[i]) continue;
        BD_TRY(bd_path_join(dir, PATH_SIZE, roots[i], k->name));
        if (file_in(path, dir, parts[0].images)) return BD_OK;
        snprintf(last, sizeof last, "%s", path);
    }
    if (k->package_dir) {
        snprintf(dir, PATH_SIZE, "%s", k->package_dir);
        if (file_in(path, dir, parts[0].images)) return BD_OK;
        snprintf(last, sizeof last, "%s", path);
    }
    return bd_fail(BD_E_MISSING, "data set %s: %s(.gz) is not there: %s", k->name, last, k->get);
}

typedef struct {
    bd_idx images, labels;
} raw_part;

static void raw_clear(raw_part *r) {
    bd_idx_clear(&r->images);
    bd_idx_clear(&r->labels);
}

static bd_status raw_check(const raw_part *r, const kind *k, const char *images,
                           const char *labels) {
    BD_REQUIRE(r->images.rank == 3 && r->images.dim[1] == k->raw_size &&
                   r->images.dim[2] == k->raw_size,
               BD_E_FORMAT, "%s: does not hold %dx%d images: it is not a file of %s", images,
               k->raw_size, k->raw_size, k->name);
    BD_REQUIRE(r->labels.rank == 1 && r->labels.dim[0] == r->images.dim[0], BD_E_FORMAT,
               "%s: %d labels for the %d images of %s", labels,
               r->labels.rank == 1 ? r->labels.dim[0] : 0, r->images.dim[0], images);
    for (int i = 0; i < r->labels.dim[0]; i++)
        BD_REQUIRE(r->labels.data[i] < k->classes, BD_E_FORMAT,
                   "%s: label %d of image %d is not in 0..%d", labels, r->labels.data[i], i,
                   k->classes - 1);
    return BD_OK;
}

static bd_status raw_load(raw_part *r, const kind *k, const char *dir, const part *p) {
    char images[PATH_SIZE], labels[PATH_SIZE];
    BD_REQUIRE(file_in(images, dir, p->images), BD_E_MISSING,
               "data set %s: %s(.gz) is not there: %s", k->name, images, k->get);
    BD_REQUIRE(file_in(labels, dir, p->labels), BD_E_MISSING,
               "data set %s: %s(.gz) is not there: %s", k->name, labels, k->get);
    bd_status st = bd_idx_load(&r->images, images);
    if (!st) st = bd_idx_load(&r->labels, labels);
    if (!st) st = raw_check(r, k, images, labels);
    return st == BD_E_FORMAT ? bd_error_advise(st, "replace the file (%s)", k->get) : st;
}

/* The raw parts one after the other, resized, up to d->n images. */
static bd_status fill(bd_dataset *d, const kind *k, const raw_part *raw, int n_parts) {
    size_t out_bytes = (size_t)d->h * d->w * d->c,
           in_bytes = (size_t)k->raw_size * k->raw_size * d->c;
    bd_resizer *r;
    BD_TRY(bd_resizer_create(&r, k->raw_size, k->raw_size, d->w, d->h, d->c));
    uint8_t *scratch = malloc(bd_resizer_scratch(r));
    d->images = malloc((size_t)d->n * out_bytes);
    d->labels = malloc((size_t)d->n * sizeof *d->labels);
    bd_status st = BD_OK;
    int at = 0;
    if (!scratch || !d->images || !d->labels)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "data set %s: no memory for %d images of %dx%d", k->name,
                   d->n, d->w, d->h);
    for (int p = 0; p < n_parts; p++)
        for (int i = 0; i < raw[p].images.dim[0] && at < d->n; i++, at++) {
            bd_resizer_run(d->images + (size_t)at * out_bytes, scratch, r,
                           raw[p].images.data + (size_t)i * in_bytes);
            d->labels[at] = raw[p].labels.data[i];
        }
done:
    free(scratch);
    bd_resizer_destroy(r);
    return st;
}

/* Which of `parts` a split is: first and how many. */
static bd_status split_parts(int *first, int *n, const char *split) {
    *first = strcmp(split, "test") == 0 ? 1 : 0;
    *n = strcmp(split, "train+test") == 0 ? 2 : 1;
    BD_REQUIRE(*n == 2 || strcmp(split, parts[*first].split) == 0, BD_E_ARG,
               "split \"%s\" is not known: use train, test or train+test", split);
    return BD_OK;
}

static bd_status load(bd_dataset *d, const kind *k, const bd_dataset_spec *spec, raw_part raw[2]) {
    int first, n_parts, total = 0;
    BD_TRY(split_parts(&first, &n_parts, spec->split));
    if (spec->dir && spec->dir[0]) {
        BD_REQUIRE(strlen(spec->dir) < sizeof d->dir, BD_E_ARG,
                   "data set folder: path of %zu bytes is too long", strlen(spec->dir));
        snprintf(d->dir, sizeof d->dir, "%s", spec->dir);
    } else {
        BD_TRY(dir_find(d->dir, k));
    }
    for (int p = 0; p < n_parts; p++) {
        BD_TRY(raw_load(&raw[p], k, d->dir, &parts[first + p]));
        total += raw[p].images.dim[0];
    }
    BD_REQUIRE(spec->limit <= total, BD_E_ARG,
               "data set %s, %s: limit %d, but there are only %d images", k->name, spec->split,
               spec->limit, total);
    snprintf(d->name, sizeof d->name, "%s", k->name);
    snprintf(d->split, sizeof d->split, "%s", spec->split);
    d->n = spec->limit ? spec->limit : total;
    d->h = d->w = spec->size ? spec->size : k->size;
    d->c = 1;
    d->classes = k->classes;
    BD_TRY(fill(d, k, raw, n_parts));
    return bd_sha256_buffer(d->sha256, d->images, (size_t)d->n * d->h * d->w * d->c);
}

bd_status bd_dataset_load(bd_dataset *out, const bd_dataset_spec *spec) {
    *out = (bd_dataset){0};
    const kind *k = kind_find(spec->name);
    BD_REQUIRE(k, BD_E_ARG, "data set \"%s\" is not known: use fashion-mnist or mnist", spec->name);
    BD_REQUIRE(spec->size >= 0 && spec->size <= SIZE_MAX_SIDE, BD_E_ARG,
               "data set %s: size %d is not in 1..%d", k->name, spec->size, SIZE_MAX_SIDE);
    BD_REQUIRE(spec->limit >= 0, BD_E_ARG, "data set %s: limit %d is negative", k->name,
               spec->limit);
    raw_part raw[2] = {{{0}, {0}}, {{0}, {0}}};
    bd_status st = load(out, k, spec, raw);
    for (int p = 0; p < 2; p++) raw_clear(&raw[p]);
    if (st) bd_dataset_clear(out);
    return st;
}

void bd_dataset_clear(bd_dataset *d) {
    free(d->images);
    free(d->labels);
    *d = (bd_dataset){0};
}

const char *bd_dataset_class_name(const bd_dataset *d, int label) {
    const kind *k = kind_find(d->name);
    return k && k->class_names && label >= 0 && label < k->classes ? k->class_names[label] : NULL;
}
