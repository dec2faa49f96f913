/* Data sets in IDX files: MNIST and its relatives. */
#include <stdio.h>

#include "base/file.h"
#include "data/dataset_format.h"
#include "io/idx.h"

/* The two files of each part, without ".gz". */
static const struct {
    const char *images, *labels;
} files[2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
              {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};

typedef struct {
    bd_idx images, labels;
} part;

/* DIR/FILE.gz, or DIR/FILE; whether one of them is there. */
static bool file_in(char path[BD_DATASET_PATH], const char *dir, const char *file) {
    static const char *const suffix[] = {".gz", ""};
    for (int i = 0; i < 2; i++) {
        int n = snprintf(path, BD_DATASET_PATH, "%s/%s%s", dir, file, suffix[i]);
        if (n > 0 && n < BD_DATASET_PATH && bd_file_exists(path)) return true;
    }
    return false;
}

static bool present(char path[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k) {
    (void)k;
    return file_in(path, dir, files[0].images);
}

static bd_status check(const part *p, const bd_dataset_kind *k, const char *images,
                       const char *labels) {
    BD_REQUIRE(p->images.rank == 3 && p->images.dim[1] == k->raw_size &&
                   p->images.dim[2] == k->raw_size,
               BD_E_FORMAT, "%s: does not hold %dx%d images: it is not a file of %s", images,
               k->raw_size, k->raw_size, k->name);
    BD_REQUIRE(p->labels.rank == 1 && p->labels.dim[0] == p->images.dim[0], BD_E_FORMAT,
               "%s: %d labels for the %d images of %s", labels,
               p->labels.rank == 1 ? p->labels.dim[0] : 0, p->images.dim[0], images);
    for (int i = 0; i < p->labels.dim[0]; i++)
        BD_REQUIRE(p->labels.data[i] < k->classes, BD_E_FORMAT,
                   "%s: label %d of image %d is not in 0..%d", labels, p->labels.data[i], i,
                   k->classes - 1);
    return BD_OK;
}

static bd_status part_load(part *p, const bd_dataset_kind *k, const char *dir, int which) {
    char images[BD_DATASET_PATH], labels[BD_DATASET_PATH];
    BD_REQUIRE(file_in(images, dir, files[which].images), BD_E_MISSING,
               "data set %s: %s(.gz) is not there: %s", k->name, images, k->get);
    BD_REQUIRE(file_in(labels, dir, files[which].labels), BD_E_MISSING,
               "data set %s: %s(.gz) is not there: %s", k->name, labels, k->get);
    BD_TRY(bd_idx_load(&p->images, images));
    BD_TRY(bd_idx_load(&p->labels, labels));
    return check(p, k, images, labels);
}

/* The parts one after the other, up to d->n images. */
static bd_status fill(bd_dataset *d, const bd_dataset_kind *k, const part parts[2]) {
    bd_dataset_fit fit = {0};
    int side = k->raw_size, at = 0;
    bd_status st = BD_OK;
    for (int p = 0; p < 2; p++)
        for (int i = 0; !st && i < parts[p].images.dim[0] && at < d->n; i++, at++) {
            const uint8_t *image = parts[p].images.data + (size_t)i * side * side;
            st = bd_dataset_put(d, at, &fit, image, side, side, 1);
            d->labels[at] = parts[p].labels.data[i];
        }
    bd_dataset_fit_clear(&fit);
    return st;
}

static bd_status load(bd_dataset *d, const bd_dataset_wanted *w) {
    part parts[2] = {{{0}, {0}}, {{0}, {0}}};
    bd_status st = BD_OK;
    for (int p = 0; p < 2 && !st; p++)
        if (w->part[p]) st = part_load(&parts[p], w->kind, d->dir, p);
    if (!st) st = bd_dataset_reserve(d, w, parts[0].images.dim[0] + parts[1].images.dim[0]);
    if (!st) st = fill(d, w->kind, parts);
    for (int p = 0; p < 2; p++) {
        bd_idx_clear(&parts[p].images);
        bd_idx_clear(&parts[p].labels);
    }
    return st;
}

const bd_dataset_format bd_dataset_idx = {present, load};
