/* Data sets: 8-bit images of one size with their labels, whole in memory. */
#ifndef BD_DATA_DATASET_H
#define BD_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"

typedef struct {
    const char *name;  /* one of bd_dataset_names                                              */
    const char *split; /* "train", "test" or "train+test" (train first)                        */
    const char *dir;   /* NULL or "": found by itself; else the only folder that is searched   */
    int size;          /* side of the images in memory; 0 = the data set's usual one           */
    int limit;         /* only the first so many images of the split; 0 = all                  */
    int channels;      /* 1 grey, 3 colour; 0 = the data set's own                             */
    bd_pool *pool;     /* decodes image files; NULL = the calling thread alone                 */
} bd_dataset_spec;

typedef struct {
    char name[32], split[16];
    char dir[1024]; /* folder the files came from                                */
    int n, h, w, c;
    int classes;     /* 0: no labels                                              */
    uint8_t *images; /* [n][h][w][c]                                              */
    int32_t *labels; /* [n], 0 .. classes-1; -1 without labels                    */
    char sha256[65]; /* of the n*h*w*c bytes of images                            */
} bd_dataset;

/* bd_dataset_names -- "fashion-mnist, mnist, ...": what can be loaded; "folder" is any folder of PNG or JPEG files.
 *   tested   tests/test_settings.c */
const char *bd_dataset_names(void);

/* bd_dataset_of_people -- whether a data set shows people who can be recognised: pictures of it, and samples of models
 * that learnt it, stay out of result files. What is in a folder nobody knows: false.
 *   tested   tests/test_dataset_files.c */
bool bd_dataset_of_people(const char *name);

/* bd_dataset_load -- read, check and resize a data set. docs/data.md says which files each one has.
 * Folders searched when spec->dir is not given: $BADDIFF_DATA/NAME (which must exist when the variable
 * is set), data/NAME, and where the distribution's package puts it. IDX and CIFAR files may be gzipped or plain.
 * Channels are converted first (grey to colour repeats, colour to grey as bd_grey), then the size, without keeping
 * the aspect ratio, as the original does.
 *   source   Xiao et al. 2017, arXiv:1708.07747 (Fashion-MNIST); Krizhevsky 2009 (CIFAR-10); Liu et al. 2015,
 *            arXiv:1411.7766 (CelebA); Karras et al. 2018, arXiv:1710.10196 (CelebA-HQ); resize as data/resize.h
 *   shapes   images [n][size][size][channels]
 *   errors   BD_E_ARG: unknown name or split, size, channels or limit out of range; BD_E_MISSING: the path that
 *            is not there and the command that gets it; BD_E_FORMAT: not the file it should be, or another number of
 *            images than the data set has; BD_E_MEMORY
 *   memory   caller frees with bd_dataset_clear; reading needs, beside the result, the raw files (IDX), one
 *            raw file twice (CIFAR) or one decoded picture a worker (image folders)
 *   tested   tests/test_dataset.c, tests/test_dataset_files.c */
BD_MUST_CHECK bd_status bd_dataset_load(bd_dataset *out, const bd_dataset_spec *spec);
void bd_dataset_clear(bd_dataset *d); /* an all-zero struct is fine */

/* bd_dataset_count -- how many images spec selects, for planning: as published, without looking for the files; those
 * of "folder" are listed.
 *   errors   as bd_dataset_load, of the folder */
BD_MUST_CHECK bd_status bd_dataset_count(int64_t *out, const bd_dataset_spec *spec);

/* bd_dataset_find -- is it there? Looks for the first of its files only.
 *   errors   as bd_dataset_load, but what is in the files */
BD_MUST_CHECK bd_status bd_dataset_find(const bd_dataset_spec *spec);

/* bd_dataset_class_name -- "ankle boot" ...; NULL when the class has no name but its number. */
const char *bd_dataset_class_name(const bd_dataset *d, int label);

#endif
