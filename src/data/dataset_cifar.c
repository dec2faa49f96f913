/* CIFAR-10 in its binary version: five files of training images and one of test images. */
#include <stdio.h>

#include "base/file.h"
#include "data/dataset_format.h"
#include "io/cifar.h"

enum { TRAIN_FILES = 5, FILES = 6 };

static const char *const names[FILES] = {"data_batch_1", "data_batch_2", "data_batch_3",
                                         "data_batch_4", "data_batch_5", "test_batch"};

/* The file as .bin or .bin.gz, in dir or in its sub-folder. */
static bool file_in(char path[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k,
                    const char *file) {
    static const char *const suffix[] = {".bin", ".bin.gz"};
    char base[BD_DATASET_PATH];
    if (bd_dataset_base(base, dir, k)) return false;
    for (int i = 1; i >= 0; i--) {
        int n = snprintf(path, BD_DATASET_PATH, "%s/%s%s", base, file, suffix[i]);
        if (n > 0 && n < BD_DATASET_PATH && bd_file_exists(path)) return true;
    }
    return false;
}

static bool present(char path[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k) {
    return file_in(path, dir, k, names[0]);
}

/* Images at.. of d from one file; none when d is full. */
static bd_status append(bd_dataset *d, int *at, bd_dataset_fit *fit, const char *path) {
    bd_cifar file;
    BD_TRY(bd_cifar_load(&file, path, BD_CIFAR_FILE_IMAGES));
    bd_status st = BD_OK;
    size_t one = (size_t)3 * BD_CIFAR_SIDE * BD_CIFAR_SIDE;
    for (int i = 0; !st && i < file.n && *at < d->n; i++, ++*at) {
        st = bd_dataset_put(d, *at, fit, file.pixels + (size_t)i * one, BD_CIFAR_SIDE,
                            BD_CIFAR_SIDE, 3);
        d->labels[*at] = file.labels[i];
    }
    bd_cifar_clear(&file);
    return st;
}

static bd_status fill(bd_dataset *d, const bd_dataset_wanted *w, bd_dataset_fit *fit) {
    char path[BD_DATASET_PATH];
    int at = 0;
    for (int f = 0; f < FILES && at < d->n; f++) {
        if (!w->part[f < TRAIN_FILES ? 0 : 1]) continue;
        BD_REQUIRE(file_in(path, d->dir, w->kind, names[f]), BD_E_MISSING,
                   "data set %s: %s(.gz) is not there: %s", w->kind->name, path, w->kind->get);
        BD_TRY(append(d, &at, fit, path));
    }
    return BD_OK;
}

static bd_status load(bd_dataset *d, const bd_dataset_wanted *w) {
    int files = (w->part[0] ? TRAIN_FILES : 0) + (w->part[1] ? FILES - TRAIN_FILES : 0);
    BD_TRY(bd_dataset_reserve(d, w, files * BD_CIFAR_FILE_IMAGES));
    bd_dataset_fit fit = {0};
    bd_status st = fill(d, w, &fit);
    bd_dataset_fit_clear(&fit);
    return st;
}

const bd_dataset_format bd_dataset_cifar = {present, load};
