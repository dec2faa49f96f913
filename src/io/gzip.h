/* Unpacking a gzip file that is in memory, piece by piece and never more than was asked for. */
#ifndef BD_IO_GZIP_H
#define BD_IO_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct bd_gunzip bd_gunzip;

/* bd_gzip_is -- whether the bytes begin as a gzip file does. */
bool bd_gzip_is(const void *bytes, size_t n);

/* bd_gunzip_create -- start on the n packed bytes. `path` is for messages; both are borrowed until destroy.
 *   errors   BD_E_FORMAT with file, offset and reason; BD_E_MEMORY
 *   memory   caller frees with bd_gunzip_destroy
 *   tested   tests/test_idx.c, tests/test_cifar.c */
BD_MUST_CHECK bd_status bd_gunzip_create(bd_gunzip **out, const void *bytes, size_t n,
                                         const char *path);
/* bd_gunzip_read -- exactly the next n unpacked bytes. */
BD_MUST_CHECK bd_status bd_gunzip_read(bd_gunzip *g, void *out, size_t n);
/* bd_gunzip_finish -- the data must end here; zlib checks length and CRC. */
BD_MUST_CHECK bd_status bd_gunzip_finish(bd_gunzip *g);
void bd_gunzip_destroy(bd_gunzip *g); /* NULL allowed */

#endif
