/* SHA256SUMS: what the files of a folder were when it was finished, as sha256sum(1) writes and checks it. */
#ifndef BD_RUN_SUMS_H
#define BD_RUN_SUMS_H

#include <stddef.h>

#include "base/status.h"

#define BD_SUMS_FILE "SHA256SUMS"

/* One line: a sum and the path it is of, as it stands in the file. */
typedef struct {
    char sha256[65];
    char path[512];
} bd_sum;

typedef struct {
    bd_sum *at;
    size_t n, room;
} bd_sums;

void bd_sums_clear(bd_sums *s); /* an all-zero struct is empty */

/* bd_sums_add -- hash FOLDER/PATH ("" = where the program was started) and add the line.
 *   errors   BD_E_MISSING; BD_E_IO; BD_E_ARG: a path too long, or with a line break in it */
BD_MUST_CHECK bd_status bd_sums_add(bd_sums *s, const char *folder, const char *path);

/* bd_sums_add_tree -- every file below FOLDER/BELOW ("" = FOLDER itself), in the order of their names: not SHA256SUMS,
 * DONE, files that begin with a dot, or what killed writers left. */
BD_MUST_CHECK bd_status bd_sums_add_tree(bd_sums *s, const char *folder, const char *below);

/* bd_sums_save, bd_sums_load -- DIR/SHA256SUMS.
 *   errors   BD_E_MISSING; BD_E_FORMAT with file:line; BD_E_IO
 *   tested   tests/test_verify.c */
BD_MUST_CHECK bd_status bd_sums_save(const bd_sums *s, const char *dir);
BD_MUST_CHECK bd_status bd_sums_load(bd_sums *s, const char *dir);

#endif
