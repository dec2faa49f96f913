#include "metric/weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static bd_status first_place(char *path, size_t size, const bd_weights *w) {
    const char *root = getenv("BADDIFF_DATA");
    const char *const roots[] = {root && root[0] ? root : NULL, "data"};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (!roots[i]) continue;
        BD_TRY(bd_path_join(path, size, roots[i], w->file));
        if (bd_file_exists(path)) return BD_OK;
    }
    return bd_fail(BD_E_MISSING,
                   "data/%s: these weights are not there%s; 'make fetch DATA=%s' gets them",
                   w->file, roots[0] ? ", nor under $BADDIFF_DATA" : "", w->name);
}

bd_status bd_weights_find(char *path, size_t size, const char *given, const bd_weights *w) {
    if (!given || !given[0]) return first_place(path, size, w);
    int n = snprintf(path, size, "%s", given);
    BD_REQUIRE(n >= 0 && (size_t)n < size, BD_E_ARG, "%s: the path is too long", given);
    BD_REQUIRE(bd_file_exists(path), BD_E_MISSING, "%s: no such weights", path);
    return BD_OK;
}
