/* IDX files (MNIST family), plain or gzip. */
#ifndef BD_IO_IDX_H
#define BD_IO_IDX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    int rank; /* 1 labels, 3 images */
    int dim[4];
    uint8_t *data; /* row-major unsigned bytes */
    size_t bytes;
} bd_idx;

/* bd_idx_load -- read an IDX file of unsigned bytes, gzip found by its magic.
 *   source   Y. LeCun, "THE IDX FILE FORMAT"
 *   errors   BD_E_MISSING; BD_E_FORMAT with file, offset and reason (truncated, wrong type, trailing bytes, a
 *            dimension of 0, a gzip file that unpacks to more than 60 MiB)
 *   memory   caller frees with bd_idx_clear */
BD_MUST_CHECK bd_status bd_idx_load(bd_idx *out, const char *path);
void bd_idx_clear(bd_idx *x);

#endif
