/* Where the published weights of metric networks are found. */
#ifndef BD_METRIC_WEIGHTS_H
#define BD_METRIC_WEIGHTS_H

#include <stddef.h>

#include "base/status.h"

/* Weights that `make fetch DATA=name` gets, and their path below a data folder. */
typedef struct {
    const char *name, *file;
} bd_weights;

/* bd_weights_find -- `given` unless it is NULL or empty, else the file in $BADDIFF_DATA, else in data.
 *   errors   BD_E_MISSING with the path and "make fetch DATA=name"; BD_E_ARG: the path is too long
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_weights_find(char *path, size_t size, const char *given,
                                        const bd_weights *w);

#endif
