/* Files of the binary version of CIFAR-10, plain or gzip. */
#ifndef BD_IO_CIFAR_H
#define BD_IO_CIFAR_H

#include <stdint.h>

#include "base/status.h"

enum { BD_CIFAR_SIDE = 32, BD_CIFAR_CLASSES = 10, BD_CIFAR_FILE_IMAGES = 10000 };

typedef struct {
    int n;
    uint8_t *pixels; /* [n][32][32][3]     */
    uint8_t *labels; /* [n], 0 .. 9         */
} bd_cifar;

/* bd_cifar_load -- a file of exactly n records: a label byte, then 1024 bytes of red, of green and of blue, row by row.
 *   source   Krizhevsky 2009, "CIFAR-10 binary version" (data_batch_1.bin ... test_batch.bin: 10000 records each)
 *   errors   BD_E_MISSING; BD_E_IO; BD_E_FORMAT with file, offset or record and reason (another length, a label above 9,
 *            damaged gzip data); BD_E_MEMORY
 *   memory   caller frees with bd_cifar_clear; reading needs the raw file beside the result
 *   tested   tests/test_cifar.c */
BD_MUST_CHECK bd_status bd_cifar_load(bd_cifar *out, const char *path, int n);
void bd_cifar_clear(bd_cifar *c);

#endif
