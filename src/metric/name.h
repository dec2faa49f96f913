/* Names of numbers in results. */
#ifndef BD_METRIC_NAME_H
#define BD_METRIC_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* bd_metric_name -- how results name a number: metric-n or metric-n-definition, so that the name
 * carries what was measured: "mse-128", "ssim-128-interior", "fcd-512-1f3a90bc",
 * "hit-128-quarter_var", "asr-128-mse0.01".
 *   errors   BD_E_ARG: n < 1, a character other than a-z 0-9 . _ in a part, or the text does not
 *            fit */
BD_MUST_CHECK bd_status bd_metric_name(char *out, size_t size, const char *metric, int64_t n,
                                       const char *definition /* NULL: none */);

#endif
