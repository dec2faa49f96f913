/* The sampler case of `baddiff parity`. */
#ifndef BD_CLI_PARITY_SAMPLER_H
#define BD_CLI_PARITY_SAMPLER_H

#include "base/pool.h"
#include "base/status.h"
#include "graph/backend.h"

/* bd_parity_sampler -- run the sampler of DIR/sampler.json from `init` with the case's noise.
 *   shapes   DIR/case.safetensors: init, final [N,C,H,W]; noise [draws,N,C,H,W] unless the sampler
 *            draws none
 *   units    *error = |x - final| / |final|
 *   errors   BD_E_MISSING, BD_E_FORMAT, BD_E_ARG: file, place and reason; BD_E_DEVICE
 *   tested   tests/test_parity.sh */
BD_MUST_CHECK bd_status bd_parity_sampler(double *error, const char *dir, const bd_backend *b,
                                          bd_pool *pool);

#endif
