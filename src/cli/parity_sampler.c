/* Parity of a sampler: the network on the device, the update in double, noise from the case. */
#include "cli/parity_sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "diffusion/sampler.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "nn/model.h"
#include "run/settings.h"
#include "nn/parity.h"

enum { PATH_BYTES = 4096, STEPS_MAX = 100000 };

typedef struct {
    bd_model model;
    bd_schedule schedule;
    bd_sampler_plan plan;
    bd_tensors *file;
    const float *init, *noise, *final; /* [N,C,H,W]; noise [draws,N,C,H,W] */
    int n, draws;
    size_t image; /* C*H*W */
    /* the run */
    bd_graph *graph;
    bd_engine *engine;
    int tile, x_id, t_id, e_id;
    double timestep;
    double *x, *e, *z, *h; /* [N,C,H,W]; h [BD_SAMPLER_HISTORY] of them */
} sampler_case;

/* --- reading --- */

static bd_status read_text(const char **out, const bd_json *doc, const char *key,
                           const char *otherwise) {
    *out = otherwise;
    return bd_json_has(doc, key) ? bd_json_get_string(out, doc, key) : BD_OK;
}

static bd_status read_steps(bd_sampler_spec *spec, const bd_json *doc) {
    int64_t steps = 0, order = 0;
    if (bd_json_has(doc, "steps")) BD_TRY(bd_json_get_int(&steps, doc, "steps", 1, STEPS_MAX));
    spec->steps = (int)steps;
    if (bd_json_has(doc, "eta")) BD_TRY(bd_json_get_double(&spec->eta, doc, "eta"));
    if (bd_json_has(doc, "order")) BD_TRY(bd_json_get_int(&order, doc, "order", 0, 3));
    spec->order = bd_sampler_max_order(spec->name) ? (int)order : 0;
    return BD_OK;
}

/* The first timestep of the list that is not the plan's; -1: none, all agree; -2: not as many. Heun's are fractions
 * that diffusers rounds to float32. */
static bd_status first_other(int *out, const bd_sampler_plan *plan, const bd_json *list, size_t n) {
    *out = n == (size_t)plan->n ? -1 : -2;
    for (size_t i = 0; *out == -1 && i < n; i++) {
        double t;
        BD_TRY(bd_json_item_double(&t, list, i));
        if (fabs(t - plan->eval[i].timestep) > 1e-3) *out = (int)i;
    }
    return BD_OK;
}

/* The plan must evaluate the network at the timesteps that the case lists. A case that does not say how they are
 * spaced means the spacing that gives them. */
static bd_status make_plan(sampler_case *c, bd_sampler_spec *spec, const bd_json *doc) {
    bd_json list;
    size_t n;
    if (!bd_json_has(doc, "timesteps")) return bd_sampler_plan_create(&c->plan, spec, &c->schedule);
    BD_TRY(bd_json_get_array(&list, &n, doc, "timesteps"));
    bool free_choice = spec->spacing == BD_SPACING_OWN;
    int other = -1, first = -1;
    const int asked = (int)spec->spacing, most = free_choice ? BD_SPACING_TRAILING : asked;
    for (int k = asked; k <= most; k++) {
        bd_sampler_spec candidate = *spec;
        candidate.spacing = (bd_spacing)k;
        bd_sampler_plan_clear(&c->plan);
        bd_status st = bd_sampler_plan_create(&c->plan, &candidate, &c->schedule);
        if (k == asked) BD_TRY(st);
        if (st) continue;
        BD_TRY(first_other(&other, &c->plan, &list, n));
        if (other == -1) return BD_OK;
        if (k == asked) first = other;
    }
    BD_REQUIRE(first != -2, BD_E_FORMAT, "%s: %zu timesteps are not those of the sampler's %s",
               doc->file, n, free_choice ? "spacings" : bd_spacing_name(spec->spacing));
    return bd_fail(
        BD_E_FORMAT, "%s: timesteps[%d] is not the sampler's; spacing %s", doc->file, first,
        free_choice ? "leading, linspace and trailing were tried" : bd_spacing_name(spec->spacing));
}

static bd_status read_plan(sampler_case *c, const bd_json *doc, const char *dir) {
    static const char *const keys[] = {"model",
                                       "sampler",
                                       "order",
                                       "eta",
                                       "steps",
                                       "variance_type",
                                       "clip",
                                       "timesteps",
                                       "timestep_spacing",
                                       "made_with",
                                       "final_sigmas_type"};
    const char *key, *model, *clip, *text;
    json_t *v;
    char path[PATH_BYTES];
    json_object_foreach((json_t *)(uintptr_t)doc->node, key, v) { /* reads only */
        bool known = false;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            known = known || strcmp(key, keys[i]) == 0;
        BD_REQUIRE(known, BD_E_FORMAT, "%s: unknown setting %s", doc->file, key);
    }
    bd_sampler_spec spec = {0};
    BD_TRY(bd_json_get_string(&model, doc, "model"));
    BD_TRY(bd_path_join(path, sizeof path, dir, model));
    BD_TRY(bd_model_load(&c->model, path));
    BD_REQUIRE(c->model.has_scheduler, BD_E_FORMAT, "%s: the model has no scheduler_config.json",
               path);
    BD_TRY(bd_model_schedule(&c->schedule, &c->model.scheduler));
    BD_TRY(bd_json_get_string(&spec.name, doc, "sampler"));
    BD_TRY(read_text(&clip, doc, "clip", c->model.scheduler.clip_sample ? "x0" : "none"));
    BD_TRY(bd_clip_parse(&spec.clip, clip));
    BD_TRY(read_text(&text, doc, "variance_type", c->model.scheduler.variance_type));
    BD_TRY(bd_variance_parse(&spec.variance, text));
    BD_TRY(read_text(&text, doc, "timestep_spacing", "own"));
    BD_TRY(bd_spacing_parse(&spec.spacing, text));
    BD_TRY(read_text(&text, doc, "final_sigmas_type", "sigma_min"));
    BD_TRY(bd_final_parse(&spec.final, text));
    BD_TRY(read_steps(&spec, doc));
    return make_plan(c, &spec, doc);
}

static bd_status get_tensor(const float **out, const sampler_case *c, const char *path,
                            const char *name, int rank) {
    const bd_unet_config *u = &c->model.unet;
    const bd_st_tensor *t = bd_tensors_find(c->file, name);
    BD_REQUIRE(t && t->dtype == BD_F32 && t->rank == rank, BD_E_FORMAT,
               "%s: tensor %s is missing or not F32 of rank %d", path, name, rank);
    const int64_t *d = t->dim + rank - 4;
    BD_REQUIRE(d[0] == c->n && d[1] == u->in_channels && d[2] == u->sample_size &&
                   d[3] == u->sample_size,
               BD_E_FORMAT, "%s: tensor %s does not end in %dx%dx%dx%d", path, name, c->n,
               u->in_channels, u->sample_size, u->sample_size);
    *out = t->data;
    return BD_OK;
}

static bd_status read_tensors(sampler_case *c, const char *path) {
    const bd_unet_config *u = &c->model.unet;
    BD_REQUIRE(u->in_channels == u->out_channels, BD_E_FORMAT,
               "%s: the UNet takes %d channels and gives %d; it cannot be sampled", path,
               u->in_channels, u->out_channels);
    BD_TRY(bd_safetensors_load(&c->file, path));
    const bd_st_tensor *t = bd_tensors_find(c->file, "init");
    BD_REQUIRE(t && t->rank == 4 && t->dim[0] >= 1 && t->dim[0] <= 65536, BD_E_FORMAT,
               "%s: tensor init is missing or not of rank 4", path);
    c->n = (int)t->dim[0];
    c->image = (size_t)u->in_channels * (size_t)u->sample_size * (size_t)u->sample_size;
    BD_TRY(get_tensor(&c->init, c, path, "init", 4));
    BD_TRY(get_tensor(&c->final, c, path, "final", 4));
    int draws = 0;
    for (int i = 0; i < c->plan.n; i++) draws += c->plan.eval[i].coef[BD_COEF_Z] != 0;
    if (draws == 0) return BD_OK;
    BD_TRY(get_tensor(&c->noise, c, path, "noise", 5));
    c->draws = (int)bd_tensors_find(c->file, "noise")->dim[0];
    /* diffusers' DDIM also draws for its last step, where the noise has factor 0 */
    BD_REQUIRE(c->draws >= draws && c->draws <= c->plan.n, BD_E_FORMAT,
               "%s: noise for %d draws; the sampler makes %d in %d steps", path, c->draws, draws,
               c->plan.n);
    return BD_OK;
}

/* --- sampling --- */

static bd_status build(sampler_case *c, const bd_backend *b, bd_pool *pool) {
    const bd_unet_config *u = &c->model.unet;
    int S = u->sample_size;
    c->tile = bd_parity_tile(c->n);
    BD_TRY(bd_graph_create(&c->graph, "parity"));
    c->x_id = bd_graph_input(c->graph, "x", BD_TYPE_F32, c->tile, S, S, u->in_channels);
    c->t_id = bd_graph_input(c->graph, "timestep", BD_TYPE_F32, c->tile, 1, 1, 1);
    c->e_id = bd_unet_build(c->graph, u, c->x_id, c->t_id);
    BD_TRY(bd_graph_status(c->graph));
    bd_graph_keep(c->graph, c->e_id);
    BD_TRY(b->engine_create(&c->engine, b, c->graph, pool));
    BD_TRY(bd_params_upload(&c->model.params, b, c->engine, c->graph, BD_SLOT_PARAM));
    size_t bytes = (size_t)c->n * c->image * sizeof(double);
    c->x = malloc(bytes);
    c->e = malloc(bytes);
    c->z = malloc(bytes);
    c->h = calloc(BD_SAMPLER_HISTORY, bytes);
    BD_REQUIRE(c->x && c->e && c->z && c->h, BD_E_MEMORY, "parity: no memory for %d images", c->n);
    for (size_t i = 0; i < (size_t)c->n * c->image; i++) c->x[i] = c->init[i] * c->plan.start_scale;
    return BD_OK;
}

/* Place in [N,C,H,W] of element i of row `row` of a tile [n,H,W,C]. */
static size_t place(const sampler_case *c, size_t row, size_t i) {
    size_t channels = (size_t)c->model.unet.in_channels;
    return row * c->image + i % channels * (c->image / channels) + i / channels;
}

/* Rows past the last image repeat it. */
static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    (void)iter;
    const sampler_case *c = ctx;
    float *x = bd_view_data(v, c->x_id), *t = bd_view_data(v, c->t_id);
    for (int r = 0; r < c->tile; r++) {
        int row = tile * c->tile + r;
        row = row < c->n ? row : c->n - 1;
        for (size_t i = 0; i < c->image; i++)
            x[(size_t)r * c->image + i] = (float)c->x[place(c, (size_t)row, i)];
        t[r] = (float)c->timestep;
    }
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    (void)iter;
    const sampler_case *c = ctx;
    const float *e = bd_view_data(v, c->e_id);
    size_t first = (size_t)tile * (size_t)c->tile;
    for (int r = 0; r < c->tile && tile * c->tile + r < c->n; r++)
        for (size_t i = 0; i < c->image; i++)
            c->e[place(c, first + (size_t)r, i)] = e[(size_t)r * c->image + i];
    return BD_OK;
}

static bd_status sample(sampler_case *c, const bd_backend *b) {
    size_t n = (size_t)c->n * c->image, drawn = 0;
    bd_run r = {.n_tiles = (c->n + c->tile - 1) / c->tile,
                .n_iter = 1,
                .before = before,
                .after = after,
                .ctx = c};
    for (int k = 0; k < c->plan.n; k++) {
        const bd_sampler_eval *eval = &c->plan.eval[k];
        c->timestep = eval->timestep;
        BD_TRY(b->run(c->engine, &r, false));
        bool draw = eval->coef[BD_COEF_Z] != 0;
        for (size_t i = 0; draw && i < n; i++) c->z[i] = c->noise[drawn * n + i];
        drawn += draw;
        bd_sampler_apply(c->x, c->h, c->e, draw ? c->z : NULL, n, eval->coef);
    }
    return BD_OK;
}

static double error_of(const sampler_case *c) {
    double d2 = 0, r2 = 0;
    for (size_t i = 0; i < (size_t)c->n * c->image; i++) {
        double d = c->x[i] - c->final[i];
        d2 += d * d;
        r2 += (double)c->final[i] * c->final[i];
    }
    return sqrt(d2 / r2);
}

static void clear(sampler_case *c, const bd_backend *b) {
    if (c->engine) b->engine_destroy(c->engine);
    bd_graph_destroy(c->graph);
    free(c->x);
    free(c->e);
    free(c->z);
    free(c->h);
    if (c->file) bd_tensors_destroy(c->file);
    bd_sampler_plan_clear(&c->plan);
    bd_schedule_clear(&c->schedule);
    bd_model_clear(&c->model);
}

bd_status bd_parity_sampler(double *error, const char *dir, const bd_backend *b, bd_pool *pool) {
    char path[PATH_BYTES];
    sampler_case c = {0};
    bd_json doc;
    BD_TRY(bd_path_join(path, sizeof path, dir, "sampler.json"));
    BD_TRY(bd_json_load(&doc, path, 0));
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, read_plan(&c, &doc, dir));
    BD_TRY_TO(done, st, bd_path_join(path, sizeof path, dir, "case.safetensors"));
    BD_TRY_TO(done, st, read_tensors(&c, path));
    BD_TRY_TO(done, st, build(&c, b, pool));
    BD_TRY_TO(done, st, sample(&c, b));
    *error = error_of(&c);
done:
    clear(&c, b);
    bd_json_destroy(&doc);
    return st;
}
