/* What the memory of this machine gives at most: for benchmarks. */
#ifndef BD_CPU_PROBE_H
#define BD_CPU_PROBE_H

#include <stddef.h>

#include "base/pool.h"

/* bd_cpu_copy_measure -- the rate of memcpy by all workers at the same time, each between two blocks of its own that are
 * far larger than the last level of cache: the median of several.
 *   units    *rate: bytes a second, read and written ones both counted, all workers together
 *   errors   BD_E_MEMORY
 *   memory   takes 2 * *bytes for each worker (32 to some hundred MiB) and frees it
 *   tested   tests/test_cli.sh */
BD_MUST_CHECK bd_status bd_cpu_copy_measure(double *rate, size_t *bytes, bd_pool *pool);

#endif
