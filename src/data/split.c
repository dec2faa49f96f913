#include "data/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* How many rows become what. */
static bd_status counts(int *n_clean, int *n_poisoned, int n, const bd_split_spec *s) {
    double p = s->poison_rate, c = s->clean_rate;
    BD_REQUIRE(n >= 1, BD_E_ARG, "split: a data set of %d images", n);
    BD_REQUIRE(p >= 0.0 && p <= 1.0, BD_E_ARG, "poison rate %g is not in 0..1", p);
    *n_poisoned = (int)(n * p);
    *n_clean = n - *n_poisoned;
    if (s->mode == BD_SPLIT_FIXED) return BD_OK;
    BD_REQUIRE(c > 0.0 && c <= 1.0, BD_E_ARG, "split flex: clean rate %g is not in (0, 1]", c);
    *n_clean = (int)(n * c);
    BD_REQUIRE(*n_clean > 0, BD_E_ARG, "split flex: clean rate %g of %d images is none at all", c,
               n);
    BD_REQUIRE(*n_clean + *n_poisoned <= n, BD_E_ARG,
               "split flex: clean rate %g (%d images) and poison rate %g (%d images) exceed the %d "
               "images; the "
               "two parts are disjoint: lower one of them, or use the fixed split",
               c, *n_clean, p, *n_poisoned, n);
    return BD_OK;
}

bd_status bd_split_make(bd_split *out, int n, const bd_split_spec *spec) {
    *out = (bd_split){.n = n};
    BD_TRY(counts(&out->n_clean, &out->n_poisoned, n, spec));
    uint32_t *perm = malloc((size_t)n * sizeof *perm);
    out->flags = malloc((size_t)n);
    if (!perm || !out->flags) {
        free(perm);
        bd_split_clear(out);
        return bd_fail(BD_E_MEMORY, "split: no memory for %d images", n);
    }
    bd_rng_permutation(perm, (uint32_t)n,
                       (bd_rng_key){.seed = spec->seed, .stream = BD_STREAM_SPLIT});
    memset(out->flags, BD_ROW_UNUSED, (size_t)n);
    for (int i = 0; i < out->n_poisoned; i++) out->flags[perm[i]] = BD_ROW_POISONED;
    for (int i = out->n_poisoned; i < out->n_poisoned + out->n_clean; i++)
        out->flags[perm[i]] = BD_ROW_CLEAN;
    free(perm);
    return BD_OK;
}

void bd_split_clear(bd_split *s) {
    free(s->flags);
    *s = (bd_split){0};
}
