/* Data sets: 8-bit images of one size with their labels, whole in memory. */
#ifndef BD_DATA_DATASET_H
#define BD_DATA_DATASET_H

#include <stdint.h>

#include "base/status.h"

typedef struct {
    const char *name; /* "fashion-mnist" or "mnist"                                               */
    const char
        *split;      /* "train", "test" or "train+test" (train first)                            */
    const char *dir; /* NULL or "": found by itself; else the only folder that is searched       */
    int size;        /* side of the images in memory; 0 = the data set's usual one (32)          */
    int limit;       /* only the first so many images of the split; 0 = all                      */
} bd_dataset_spec;

typedef struct {
    char name[32], split[16];
    char dir[1024]; /* folder the files came from                                */
    int n, h, w, c;
    int classes;
    uint8_t *images; /* [n][h][w][c]                                              */
    int32_t *labels; /* [n], 0 .. classes-1                                       */
    char sha256[65]; /* of the n*h*w*c bytes of images                            */
} bd_dataset;

/* bd_dataset_load -- read, check and resize a data set.
 * Folders searched when spec->dir is not given: $BADDIFF_DATA/NAME (which must exist when the variable
 * is set), data/NAME, and where the distribution's package puts it. Files may be gzipped or plain.
 *   source   Xiao et al. 2017, arXiv:1708.07747 (Fashion-MNIST); resize as data/resize.h
 *   shapes   images [n][size][size][c]
 *   errors   BD_E_ARG: unknown name or split, size or limit out of range; BD_E_MISSING: the path that
 *            is not there and the command that gets it; BD_E_FORMAT: not the file it should be;
 *            BD_E_MEMORY
 *   memory   caller frees with bd_dataset_clear; reading needs the raw files beside the result
 *   tested   tests/test_dataset.c */
BD_MUST_CHECK bd_status bd_dataset_load(bd_dataset *out, const bd_dataset_spec *spec);
void bd_dataset_clear(bd_dataset *d); /* an all-zero struct is fine */

/* bd_dataset_class_name -- "ankle boot" ...; NULL when the class has no name but its number. */
const char *bd_dataset_class_name(const bd_dataset *d, int label);

#endif
