#include "metric/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bd_status check_part(const char *part) {
    size_t good = strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789._");
    BD_REQUIRE(part[0] && !part[good], BD_E_ARG,
               "metric name: \"%s\" may hold only a-z 0-9 . _ and not be empty", part);
    return BD_OK;
}

bd_status bd_metric_name(char *out, size_t size, const char *metric, int64_t n,
                         const char *definition) {
    BD_TRY(check_part(metric));
    if (definition) BD_TRY(check_part(definition));
    BD_REQUIRE(n >= 1, BD_E_ARG, "metric %s of %" PRId64 " images has no name", metric, n);
    int used = snprintf(out, size, "%s-%" PRId64 "%s%s", metric, n, definition ? "-" : "",
                        definition ? definition : "");
    BD_REQUIRE(used >= 0 && (size_t)used < size, BD_E_ARG,
               "metric name: %d characters do not fit into %zu", used, size);
    return BD_OK;
}
