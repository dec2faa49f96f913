#include "nn/parity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/safetensors.h"
#include "nn/model.h"

/* A gradient smaller than this share of all of them together is measured against the whole: some are
 * zero by construction (every key bias), and what is left there is rounding. */
static const double small_share = 1e-4;

enum { TILE_MAX = 8 };

int bd_parity_tile(int n) {
    int tile = 1;
    while (tile < n && tile < TILE_MAX) tile *= 2;
    return tile;
}

double bd_relative_error(const float *a, const float *r, size_t n, double floor) {
    double d2 = 0, r2 = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - r[i];
        d2 += d * d;
        r2 += (double)r[i] * r[i];
    }
    if (d2 == 0) return 0;
    return sqrt(d2) / fmax(sqrt(r2), floor);
}

/* --- the case --- */

typedef struct {
    bd_tensors *file;
    const float *sample, *target, *output; /* [N,C,H,W] */
    const int64_t *timestep;
    float loss;
    int n;
} parity_case;

static bd_status get(const bd_st_tensor **out, const parity_case *c, const char *path,
                     const char *name, bd_dtype type, int rank) {
    const bd_st_tensor *t = bd_tensors_find(c->file, name);
    BD_REQUIRE(t, BD_E_FORMAT, "%s: tensor %s is missing", path, name);
    BD_REQUIRE(t->dtype == type && t->rank == rank, BD_E_FORMAT,
               "%s: tensor %s is %s of rank %d; %s of rank %d expected", path, name,
               bd_dtype_name(t->dtype), t->rank, bd_dtype_name(type), rank);
    *out = t;
    return BD_OK;
}

static bd_status get_images(const float **out, const parity_case *c, const char *path,
                            const char *name, int channels, int size) {
    const bd_st_tensor *t;
    BD_TRY(get(&t, c, path, name, BD_F32, 4));
    BD_REQUIRE(t->dim[0] == c->n && t->dim[1] == channels && t->dim[2] == size && t->dim[3] == size,
               BD_E_FORMAT,
               "%s: tensor %s has not the shape %dx%dx%dx%d of timestep and config.json", path,
               name, c->n, channels, size, size);
    *out = t->data;
    return BD_OK;
}

static bd_status case_load(parity_case *c, const char *path, const bd_unet_config *u) {
    const bd_st_tensor *t;
    BD_TRY(bd_safetensors_load(&c->file, path));
    BD_TRY(get(&t, c, path, "timestep", BD_I64, 1));
    BD_REQUIRE(t->dim[0] >= 1 && t->dim[0] <= 65536, BD_E_FORMAT, "%s: timestep has %lld entries",
               path, (long long)t->dim[0]);
    c->n = (int)t->dim[0];
    c->timestep = t->data;
    BD_TRY(get_images(&c->sample, c, path, "sample", u->in_channels, u->sample_size));
    BD_TRY(get_images(&c->target, c, path, "target", u->out_channels, u->sample_size));
    BD_TRY(get_images(&c->output, c, path, "output", u->out_channels, u->sample_size));
    BD_TRY(get(&t, c, path, "loss", BD_F32, 1));
    BD_REQUIRE(t->dim[0] == 1, BD_E_FORMAT, "%s: loss has %lld elements, not 1", path,
               (long long)t->dim[0]);
    memcpy(&c->loss, t->data, sizeof c->loss);
    return BD_OK;
}

/* --- one training step without the update --- */

typedef struct {
    const parity_case *c;
    int tile, pixels, in_channels, out_channels;
    int x, timestep, target, weight, y, loss; /* tensors */
    float *output;                            /* [N,C,H,W] */
    double *losses;                           /* [N] */
} job;

static void to_nhwc(float *out, const float *in, int channels, int pixels) {
    for (int p = 0; p < pixels; p++)
        for (int k = 0; k < channels; k++)
            out[(size_t)p * (size_t)channels + (size_t)k] =
                in[(size_t)k * (size_t)pixels + (size_t)p];
}

static void to_nchw(float *out, const float *in, int channels, int pixels) {
    for (int k = 0; k < channels; k++)
        for (int p = 0; p < pixels; p++)
            out[(size_t)k * (size_t)pixels + (size_t)p] =
                in[(size_t)p * (size_t)channels + (size_t)k];
}

/* Rows past the last image repeat it, with weight 0. */
static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    (void)iter;
    const job *j = ctx;
    float *x = bd_view_data(v, j->x), *target = bd_view_data(v, j->target);
    float *t = bd_view_data(v, j->timestep), *weight = bd_view_data(v, j->weight);
    size_t in = (size_t)j->pixels * (size_t)j->in_channels;
    size_t out = (size_t)j->pixels * (size_t)j->out_channels;
    for (int r = 0; r < j->tile; r++) {
        int row = tile * j->tile + r, last = j->c->n - 1;
        size_t i = (size_t)(row < last ? row : last);
        to_nhwc(x + (size_t)r * in, j->c->sample + i * in, j->in_channels, j->pixels);
        to_nhwc(target + (size_t)r * out, j->c->target + i * out, j->out_channels, j->pixels);
        t[r] = (float)j->c->timestep[i];
        weight[r] = row <= last ? 1.0F / (float)j->c->n : 0.0F;
    }
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    (void)iter;
    const job *j = ctx;
    const float *y = bd_view_data(v, j->y);
    const double *loss = bd_view_data(v, j->loss);
    size_t out = (size_t)j->pixels * (size_t)j->out_channels;
    for (int r = 0; r < j->tile && tile * j->tile + r < j->c->n; r++) {
        size_t i = (size_t)tile * (size_t)j->tile + (size_t)r;
        to_nchw(j->output + i * out, y + (size_t)r * out, j->out_channels, j->pixels);
        j->losses[i] = loss[r];
    }
    return BD_OK;
}

static bd_status graph_build(bd_graph *g, job *j, const bd_unet_config *u) {
    int S = u->sample_size;
    j->x = bd_graph_input(g, "x", BD_TYPE_F32, j->tile, S, S, u->in_channels);
    j->timestep = bd_graph_input(g, "timestep", BD_TYPE_F32, j->tile, 1, 1, 1);
    j->target = bd_graph_input(g, "target", BD_TYPE_F32, j->tile, S, S, u->out_channels);
    j->weight = bd_graph_input(g, "weight", BD_TYPE_F32, j->tile, 1, 1, 1);
    j->y = bd_unet_build(g, u, j->x, j->timestep);
    j->loss = bd_mse(g, j->y, j->target, j->weight);
    BD_TRY(bd_graph_status(g));
    BD_TRY(bd_graph_backward(g, j->loss, NULL, 0, NULL));
    bd_graph_keep(g, j->y);
    bd_graph_keep(g, j->loss);
    return BD_OK;
}

/* Output and losses go to j, gradients to grad (which has the model's parameters). */
static bd_status run(job *j, bd_params *grad, const bd_model *m, const bd_backend *b,
                     bd_pool *pool) {
    bd_graph *g;
    bd_engine *engine = NULL;
    BD_TRY(bd_graph_create(&g, "parity"));
    bd_run r = {.n_tiles = (j->c->n + j->tile - 1) / j->tile,
                .n_iter = 1,
                .before = before,
                .after = after,
                .ctx = j};
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, graph_build(g, j, &m->unet));
    BD_TRY_TO(done, st, b->engine_create(&engine, b, g, pool));
    BD_TRY_TO(done, st, bd_params_upload(&m->params, b, engine, g, BD_SLOT_PARAM));
    BD_TRY_TO(done, st, b->run(engine, &r, false));
    st = bd_params_download(grad, b, engine, g, BD_SLOT_GRAD);
done:
    if (engine) b->engine_destroy(engine);
    bd_graph_destroy(g);
    return st;
}

/* --- comparison --- */

static int worse_first(const void *a, const void *b) {
    const bd_parity_grad *x = a, *y = b;
    if (isnan(x->error) || isnan(y->error)) return isnan(y->error) - isnan(x->error);
    if (x->error != y->error) return x->error < y->error ? 1 : -1;
    return strcmp(x->name, y->name);
}

static double norm_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static bd_status compare(bd_parity *out, const job *j, const bd_params *grad) {
    const bd_params *ref = &out->reference;
    size_t n = (size_t)j->c->n * (size_t)j->pixels * (size_t)j->out_channels;
    out->output = bd_relative_error(j->output, j->c->output, n, 0);
    for (int i = 0; i < j->c->n; i++) out->loss_value += j->losses[i] / j->c->n;
    out->loss_reference = j->c->loss;
    out->loss = fabs(out->loss_value - out->loss_reference) / fabs(out->loss_reference);
    out->grad = calloc((size_t)ref->n, sizeof *out->grad);
    BD_REQUIRE(out->grad, BD_E_MEMORY, "parity: out of memory");
    out->n_grads = ref->n;
    double all = 0;
    for (int i = 0; i < ref->n; i++) {
        out->grad[i].name = ref->at[i].name;
        out->grad[i].norm = norm_of(ref->data + ref->at[i].first, ref->at[i].count);
        all += out->grad[i].norm * out->grad[i].norm;
    }
    double floor = small_share * sqrt(all);
    for (int i = 0; i < ref->n; i++) {
        const bd_param *p = &ref->at[i];
        out->grad[i].error =
            bd_relative_error(grad->data + p->first, ref->data + p->first, p->count, floor);
    }
    qsort(out->grad, (size_t)ref->n, sizeof *out->grad, worse_first);
    return BD_OK;
}

static bd_status measure(bd_parity *out, const bd_model *m, const parity_case *c, const char *path,
                         const bd_backend *b, bd_pool *pool) {
    const bd_unet_config *u = &m->unet;
    job j = {.c = c,
             .tile = bd_parity_tile(c->n),
             .pixels = u->sample_size * u->sample_size,
             .in_channels = u->in_channels,
             .out_channels = u->out_channels};
    bd_params grad = {0};
    bd_status st = BD_OK;
    size_t image = (size_t)j.pixels * (size_t)j.out_channels;
    j.output = malloc((size_t)c->n * image * sizeof *j.output);
    j.losses = malloc((size_t)c->n * sizeof *j.losses);
    if (!j.output || !j.losses)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "parity: no memory for %d images", c->n);
    BD_TRY_TO(done, st, bd_unet_params(&grad, u));
    BD_TRY_TO(done, st, bd_unet_params(&out->reference, u));
    BD_TRY_TO(done, st, bd_params_read(&out->reference, c->file, "grad.", path));
    BD_TRY_TO(done, st, run(&j, &grad, m, b, pool));
    st = compare(out, &j, &grad);
done:
    free(j.output);
    free(j.losses);
    bd_params_clear(&grad);
    return st;
}

bd_status bd_parity_network(bd_parity *out, const char *dir, const bd_backend *b, bd_pool *pool) {
    char path[4096];
    bd_model m;
    parity_case c = {0};
    *out = (bd_parity){0};
    BD_TRY(bd_path_join(path, sizeof path, dir, "case.safetensors"));
    BD_TRY(bd_model_load(&m, dir));
    bd_status st = case_load(&c, path, &m.unet);
    if (!st) st = measure(out, &m, &c, path, b, pool);
    if (c.file) bd_tensors_destroy(c.file);
    bd_model_clear(&m);
    if (st) bd_parity_clear(out);
    return st;
}

void bd_parity_clear(bd_parity *p) {
    free(p->grad);
    bd_params_clear(&p->reference);
    *p = (bd_parity){0};
}

double bd_parity_worst(const bd_parity *p) {
    double grad = p->n_grads ? p->grad[0].error : 0;
    if (isnan(p->output) || isnan(p->loss) || isnan(grad)) return (double)NAN;
    return fmax(fmax(p->output, p->loss), grad);
}
