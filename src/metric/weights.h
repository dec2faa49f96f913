/* Where the published weights of metric networks are found. */
#ifndef BD_METRIC_WEIGHTS_H
#define BD_METRIC_WEIGHTS_H

#include <stddef.h>

#include "base/status.h"

/* bd_weights_find -- `given` unless it is NULL or empty, else $BADDIFF_DATA/FOLDER/FILE, else data/FOLDER/FILE.
 *   errors   BD_E_MISSING with the path and "make fetch DATA=FOLDER"; BD_E_ARG: the path is too long
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_weights_find(char *path, size_t size, const char *given,
                                        const char *folder, const char *file);

#endif
