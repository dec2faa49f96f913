/* Inside src/data: what a data set's table row and a file format's loader know of each other. */
#ifndef BD_DATA_DATASET_FORMAT_H
#define BD_DATA_DATASET_FORMAT_H

#include <stdbool.h>

#include "data/dataset.h"
#include "data/resize.h"

enum { BD_DATASET_PATH = 1024 };

typedef struct bd_dataset_kind bd_dataset_kind;

/* What is to be loaded. The loader's d has dir, h, w and c set. */
typedef struct {
    const bd_dataset_kind *kind;
    bool part[2]; /* train, test */
    int limit;    /* 0 = all     */
    bd_pool *pool;
} bd_dataset_wanted;

/* One format of files. */
typedef struct {
    /* Whether dir holds such files; path: the file or folder that was looked for. */
    bool (*present)(char path[BD_DATASET_PATH], const char *dir, const bd_dataset_kind *k);
    /* Counts, calls bd_dataset_reserve, fills d->images and d->labels. */
    bd_status (*load)(bd_dataset *d, const bd_dataset_wanted *w);
} bd_dataset_format;

extern const bd_dataset_format bd_dataset_idx, bd_dataset_cifar, bd_dataset_folder;

/* A data set by name. */
struct bd_dataset_kind {
    const char *name;
    const bd_dataset_format *format;
    int size;        /* side in memory unless the spec says otherwise; 0: it must               */
    int channels;    /* of the data set                                                         */
    int raw_size;    /* side in the files; 0: any                                               */
    int classes;     /* 0: no labels                                                            */
    bool people;     /* faces of people who can be recognised                                   */
    int count[2];    /* images of train and test, as published; -1: ask the folder            */
    const char *sub; /* sub-folder the official archive unpacks to, or NULL                     */
    const char *package_dir;        /* where a distribution's package puts it, or NULL          */
    const char *get;                /* what to do when it is missing                            */
    const char *const *class_names; /* NULL: numbers                                            */
};

/* bd_dataset_base -- dir, or dir/SUB when that is a folder. */
BD_MUST_CHECK bd_status bd_dataset_base(char out[BD_DATASET_PATH], const char *dir,
                                        const bd_dataset_kind *k);

/* bd_dataset_reserve -- room for `total` images, or the first w->limit of them; sets d->n. */
BD_MUST_CHECK bd_status bd_dataset_reserve(bd_dataset *d, const bd_dataset_wanted *w, int total);

/* Pictures of any size and 1 or 3 channels made to fit a data set: channels first, then size, as the
 * original does. One a thread; starts all-zero; it keeps the weights of the last size. */
typedef struct {
    bd_resizer *resizer;
    int w, h;
    uint8_t *scratch, *converted;
} bd_dataset_fit;

/* bd_dataset_put -- picture [h][w][c] as image i of d.
 *   errors   BD_E_ARG: a side above 16384; BD_E_MEMORY */
BD_MUST_CHECK bd_status bd_dataset_put(bd_dataset *d, int i, bd_dataset_fit *f,
                                       const uint8_t *pixels, int w, int h, int c);
void bd_dataset_fit_clear(bd_dataset_fit *f);

/* bd_dataset_folder_count -- images of the wanted parts in a folder. */
BD_MUST_CHECK bd_status bd_dataset_folder_count(int *n, const char *dir,
                                                const bd_dataset_wanted *w);

#endif
