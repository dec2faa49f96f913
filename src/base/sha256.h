/* SHA-256 through libcrypto. */
#ifndef BD_BASE_SHA256_H
#define BD_BASE_SHA256_H

#include <stddef.h>

#include "base/status.h"

typedef struct bd_sha256 bd_sha256; /* running hash */

BD_MUST_CHECK bd_status bd_sha256_create(bd_sha256 **out);
void bd_sha256_update(bd_sha256 *s, const void *data, size_t n);
void bd_sha256_finish(bd_sha256 *s, char hex[65]); /* frees s */
BD_MUST_CHECK bd_status bd_sha256_buffer(char hex[65], const void *data, size_t n);
BD_MUST_CHECK bd_status bd_sha256_file(char hex[65], const char *path);

#endif
