#include "metric/auroc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Both sorted: twice the number of pairs that the positive wins, a tie being half a win. */
static double twice_won(const double *positive, size_t np, const double *negative, size_t nn) {
    size_t below = 0, up_to = 0; /* negatives < and <= the positive */
    double sum = 0;              /* whole numbers: exact up to 2^53 */
    for (size_t i = 0; i < np; i++) {
        while (below < nn && negative[below] < positive[i]) below++;
        while (up_to < nn && negative[up_to] <= positive[i]) up_to++;
        sum += (double)(below + up_to);
    }
    return sum;
}

bd_status bd_auroc(double *out, const double *positive, size_t np, const double *negative,
                   size_t nn) {
    BD_REQUIRE(np > 0 && nn > 0, BD_E_ARG, "auroc: %zu positives and %zu negatives", np, nn);
    double *sorted = malloc((np + nn) * sizeof *sorted);
    BD_REQUIRE(sorted, BD_E_MEMORY, "auroc: out of memory for %zu scores", np + nn);
    memcpy(sorted, positive, np * sizeof *sorted);
    memcpy(sorted + np, negative, nn * sizeof *sorted);
    for (size_t i = 0; i < np + nn; i++)
        if (isnan(sorted[i])) {
            free(sorted);
            return bd_fail(BD_E_NUMERIC, "auroc: score %zu is NaN", i);
        }
    qsort(sorted, np, sizeof *sorted, ascending);
    qsort(sorted + np, nn, sizeof *sorted, ascending);
    *out = twice_won(sorted, np, sorted + np, nn) / (2.0 * (double)np * (double)nn);
    free(sorted);
    return BD_OK;
}
