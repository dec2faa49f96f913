#include "metric/weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

bd_status bd_weights_find(char *path, size_t size, const char *given, const char *folder,
                          const char *file) {
    const char *root = getenv("BADDIFF_DATA");
    const char *const roots[] = {root && root[0] ? root : NULL, "data"};
    if (given && given[0]) {
        int n = snprintf(path, size, "%s", given);
        BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG, "%s: the path is too long", given);
        BD_REQUIRE(bd_file_exists(path), BD_E_MISSING, "%s: no such weights", path);
        return BD_OK;
    }
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (!roots[i]) continue;
        int n = snprintf(path, size, "%s/%s/%s", roots[i], folder, file);
        BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG, "%s: the path is too long", roots[i]);
        if (bd_file_exists(path)) return BD_OK;
    }
    return bd_fail(BD_E_MISSING, "%s: these weights are not there; 'make fetch DATA=%s' gets them",
                   path, folder);
}
