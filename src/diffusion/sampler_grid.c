/* Timesteps of samplers: where the network is called.
 *   source   names and formulas of the spacings: Lin et al. 2023, arXiv:2305.08891, table 2 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_impl.h"

bd_status bd_sampler_timesteps(double *t, const bd_sampler_spec *spec, int T, bool fractional) {
    int n = spec->steps, r = T / n, skip = bd_sampler_skip(spec);
    BD_REQUIRE(spec->spacing != BD_SPACING_LINSPACE || n > 1, BD_E_ARG,
               "sampler %s: spacing linspace needs at least 2 steps", spec->name);
    for (int k = skip; k < n; k++, t++) {
        switch (spec->spacing) {
        case BD_SPACING_LEADING: *t = (double)(n - 1 - k) * r; break;
        case BD_SPACING_TRAILING: *t = rint(T - k * ((double)T / n)) - 1; break;
        default:
            *t = (n - 1 - k) * ((double)(T - 1) / (n - 1));
            if (!fractional) *t = rint(*t);
        }
    }
    return BD_OK;
}

/* All timesteps of a grid; *n may shrink. */
static bd_status all_timesteps(double *t, int *n, const bd_sampler_spec *spec, int T) {
    int steps = spec->steps;
    bd_sampler_spec whole = *spec;
    whole.start = 0;
    if (spec->spacing == BD_SPACING_TRAILING) return bd_sampler_timesteps(t, &whole, T, false);
    if (spec->spacing == BD_SPACING_LEADING) {
        int r = T / (steps + 1);
        BD_REQUIRE(r >= 1, BD_E_ARG,
                   "sampler %s: spacing leading takes at most %d steps of a schedule of %d",
                   spec->name, T - 1, T);
        for (int k = 0; k < steps; k++) t[k] = (steps - k) * (double)r;
        return BD_OK;
    }
    *n = 0;
    for (int k = 0; k < steps; k++) {
        double v = rint((steps - k) * ((double)(T - 1) / steps));
        if (*n == 0 || v < t[*n - 1]) t[(*n)++] = v;
    }
    return BD_OK;
}

static bd_status grid_timesteps(bd_sampler_grid *g, const bd_sampler_spec *spec, int T) {
    int skip = bd_sampler_skip(spec);
    BD_TRY(all_timesteps(g->t, &g->all, spec, T));
    BD_REQUIRE(skip < g->all, BD_E_ARG, "sampler %s: start %g leaves none of %d steps", spec->name,
               spec->start, g->all);
    g->n = g->all - skip;
    memmove(g->t, g->t + skip, (size_t)g->n * sizeof *g->t);
    return BD_OK;
}

static void set_point(bd_sampler_grid *g, int i, double abar) {
    g->a[i] = sqrt(abar);
    g->s[i] = sqrt(1 - abar);
    g->lambda[i] = abar < 1 ? log(g->a[i] / g->s[i]) : (double)INFINITY;
}

bd_status bd_sampler_grid_create(bd_sampler_grid *g, const bd_sampler_spec *spec,
                                 const bd_schedule *s) {
    size_t room = (size_t)spec->steps + 1;
    double *all = calloc(4 * room, sizeof *all);
    BD_REQUIRE(all, BD_E_MEMORY, "sampler: no memory for %d steps", spec->steps);
    *g = (bd_sampler_grid){.n = spec->steps,
                           .all = spec->steps,
                           .t = all,
                           .a = all + room,
                           .s = all + 2 * room,
                           .lambda = all + 3 * room};
    bd_status st;
    BD_TRY_TO(failed, st, grid_timesteps(g, spec, s->T));
    for (int i = 0; i < g->n; i++) set_point(g, i, bd_schedule_abar(s, (int)g->t[i]));
    set_point(g, g->n, spec->final == BD_FINAL_ZERO ? 1 : bd_schedule_abar(s, 0));
    if (!(g->lambda[g->n] > g->lambda[g->n - 1]))
        BD_FAIL_TO(failed, st, BD_E_ARG,
                   "sampler %s: %d steps reach timestep 0, so the last step has no length; take "
                   "fewer steps, or let it end without noise (final zero)",
                   spec->name, spec->steps);
    return BD_OK;
failed:
    bd_sampler_grid_clear(g);
    return st;
}

void bd_sampler_grid_clear(bd_sampler_grid *g) {
    free(g->t);
    *g = (bd_sampler_grid){0};
}

int bd_sampler_grid_order(const bd_sampler_grid *g, int i, int order) {
    int left = g->n - i;
    if (left == 1 && (g->all < 15 || g->s[g->n] == 0)) return 1;
    if (left == 2 && g->all < 15 && order > 2) order = 2;
    return order < i + 1 ? order : i + 1;
}
