/* "Did you mean ...?" */
#ifndef BD_RUN_NEAREST_H
#define BD_RUN_NEAREST_H

#include <stddef.h>

/* bd_nearest -- the name among name(0), name(1) ... NULL that a mistyped word most likely meant: the
 * least edit distance (insert, delete, replace, swap of neighbours: 1 each), the first one on a tie;
 * NULL when even that is more than a third of the word's length plus one.
 *   source   Damerau 1964, restricted edit distance
 *   memory   borrows; the result is what name() returned
 *   tested   tests/test_smoke.sh */
const char *bd_nearest(const char *word, const char *(*name)(size_t i, const void *ctx),
                       const void *ctx);

#endif
