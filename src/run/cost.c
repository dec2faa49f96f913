#include "run/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "nn/classifier.h"
#include "nn/model.h"
#include "run/device.h"
#include "run/folder.h"
#include "run/settings.h"

static const double assumed_gflops_a_thread = 100, assumed_gflops_cuda = 10000;

enum { NETWORKS_MAX = 32 };

/* One graph that was measured: which network, for what, in which tile. */
typedef struct {
    bd_unet_config unet;
    int tile, history; /* slots of the sampler */
    char device[16], precision[8];
    bool training;
    double flops, memory, params;
} network;

typedef struct {
    network at[NETWORKS_MAX];
    int n;
    const bd_backend *cpu; /* NULL: memory is not asked for */
    bd_backend own;        /* of the stage looked at last, where that is another */
    bd_pool *pool;
    double fid_flops, fid_memory; /* of Inception-v3; 0 = not asked for yet */
} networks;

static bool same_unet(const bd_unet_config *a, const bd_unet_config *b) {
    return a->sample_size == b->sample_size && a->in_channels == b->in_channels &&
           a->blocks == b->blocks && !memcmp(a->channels, b->channels, sizeof a->channels) &&
           !memcmp(a->down_attention, b->down_attention, sizeof a->down_attention) &&
           a->mid_attention == b->mid_attention && a->layers == b->layers &&
           a->head_dim == b->head_dim && a->groups == b->groups;
}

/* The graph of one tile: what training or sampling runs, as far as work and memory go. */
static bd_status build(bd_graph **out, const network *n) {
    int S = n->unet.sample_size, C = n->unet.in_channels;
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "cost"));
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, n->tile, 1, 1, 1);
    bd_status st;
    if (n->training) {
        int x = bd_graph_input(g, "x_t", BD_TYPE_F32, n->tile, S, S, C);
        int y = bd_graph_input(g, "y", BD_TYPE_F32, n->tile, S, S, C);
        int w = bd_graph_input(g, "weight", BD_TYPE_F32, n->tile, 1, 1, 1);
        int loss = bd_mse(g, bd_unet_build(g, &n->unet, x, t), y, w);
        st = bd_graph_status(g);
        if (!st) st = bd_graph_backward(g, loss, NULL, 0, NULL);
    } else {
        int x = bd_graph_state(g, "x", n->tile, S, S, C);
        int coef = bd_graph_input(g, "coef", BD_TYPE_F64, 1, 1, 1, BD_SAMPLER_COEFS);
        int key = bd_graph_input(g, "key", BD_TYPE_I32, n->tile, 1, 1, 4);
        int h = n->history ? bd_graph_state(g, "history", n->tile, n->history * S, S, C) : -1;
        bd_sampler_step(g, x, bd_unet_build(g, &n->unet, x, t), coef, key, h);
        st = bd_graph_status(g);
    }
    if (st) {
        bd_graph_destroy(g);
        return st;
    }
    *out = g;
    return BD_OK;
}

static bd_status measure(network *n, const bd_backend *b, bd_pool *pool) {
    bd_graph *g;
    bd_engine *e = NULL;
    bd_memory memory;
    BD_TRY(build(&g, n));
    n->flops = bd_graph_flops(g);
    for (int i = 0; i < bd_graph_tensor_count(g); i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind == BD_TENSOR_PARAM) n->params += (double)bd_tensor_count(t) * sizeof(float);
    }
    bd_status st = b ? b->engine_create(&e, b, g, pool) : BD_OK;
    if (!st && e) {
        b->engine_memory(e, &memory);
        n->memory = (double)memory.total;
        b->engine_destroy(e);
    }
    bd_graph_destroy(g);
    return st;
}

/* The backend of a stage; without memory (NULL) where its device is not at hand, as on a cluster's login node. */
static const bd_backend *backend_of(networks *all, const bd_stage *s) {
    const bd_backend *b;
    if (!all->cpu) return NULL; /* memory is not asked for */
    return bd_stage_backend(&b, &all->own, all->cpu, s) ? NULL : b;
}

static bd_status find_network(const network **out, networks *all, const bd_stage *s,
                              const bd_unet_config *unet, int tile, int history, bool training) {
    for (int i = 0; i < all->n; i++) {
        *out = &all->at[i];
        if ((*out)->tile == tile && (*out)->history == history && (*out)->training == training &&
            same_unet(&(*out)->unet, unet) && !strcmp((*out)->device, s->device) &&
            !strcmp((*out)->precision, s->precision))
            return BD_OK;
    }
    if (all->n == NETWORKS_MAX) all->n--; /* forget the last one rather than give up */
    network *n = &all->at[all->n];
    *n = (network){.unet = *unet, .tile = tile, .history = history, .training = training};
    strcpy(n->device, s->device);
    strcpy(n->precision, s->precision);
    BD_TRY(measure(n, backend_of(all, s), all->pool));
    all->n++;
    *out = n;
    return BD_OK;
}

int bd_stage_model_root(const bd_dag *d, int stage) {
    for (;;) {
        const bd_stage *s = &d->stage[stage];
        int from = bd_stage_input(s, "model");
        if (from < 0) from = bd_stage_input(s, "start");
        if (from < 0)
            return s->kind == BD_KIND_pretrain || s->kind == BD_KIND_import ||
                           s->kind == BD_KIND_finetune
                       ? stage
                       : -1;
        stage = from;
    }
}

/* The stage that a model comes from and, where that is an import that has been fetched (*there), what its
 * folder says. */
static bd_status root_settings(const bd_stage **out, bd_model *m, bool *there, const bd_dag *d,
                               int stage) {
    int root = bd_stage_model_root(d, stage);
    BD_REQUIRE(root >= 0, BD_E_ARG, "stage %s has no model", d->stage[stage].name);
    *out = &d->stage[root];
    *there = false;
    if (d->stage[root].kind != BD_KIND_import) return BD_OK;
    bd_status st = bd_model_load_settings(m, d->stage[root].recipe.model_folder);
    *there = st == BD_OK;
    return st == BD_E_MISSING ? BD_OK : st;
}

bd_status bd_stage_unet(bd_unet_config *out, const bd_dag *d, int stage) {
    const bd_stage *root;
    bool there;
    bd_model m;
    BD_TRY(root_settings(&root, &m, &there, d, stage));
    if (there) {
        *out = m.unet;
        bd_model_clear(&m);
        return BD_OK;
    }
    const bd_recipe *data = &d->stage[bd_stage_input(root, "data")].recipe;
    bd_recipe *r = malloc(sizeof *r);
    BD_REQUIRE(r, BD_E_MEMORY, "out of memory for a recipe");
    *r = root->recipe;
    r->data_size = data->data_size;
    r->data_channels = data->data_channels;
    bd_status st = bd_recipe_unet(out, r);
    free(r);
    return st;
}

bd_status bd_stage_schedule(bd_schedule *out, const bd_dag *d, int stage) {
    const bd_stage *root;
    bool there;
    bd_model m;
    BD_TRY(root_settings(&root, &m, &there, d, stage));
    if (!there) return bd_recipe_schedule(out, &root->recipe);
    bd_status st = m.has_scheduler ? bd_model_schedule(out, &m.scheduler)
                                   : bd_recipe_schedule(out, &root->recipe);
    bd_model_clear(&m);
    return st;
}

int64_t bd_stage_micros(const bd_dag *d, const bd_stage *s, const bd_loop_shape *shape) {
    bd_loop_options o = bd_recipe_loop(&s->recipe, s->kind);
    int64_t micros = bd_loop_shape_micros(shape, bd_loop_shape_leave(shape, &o));
    int earlier = bd_stage_input(s, "earlier");
    if (earlier < 0) return micros;
    o.share = d->stage[earlier].recipe.finetune_stop;
    return micros - bd_loop_shape_micros(shape, bd_loop_shape_leave(shape, &o));
}

static bd_status training_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    const bd_stage *s = &d->stage[stage];
    const bd_recipe *data = &d->stage[bd_stage_input(s, "data")].recipe;
    bd_loop_options o = bd_recipe_loop(&s->recipe, s->kind);
    bd_loop_shape shape;
    bd_unet_config unet;
    const network *n;
    int64_t images = bd_recipe_images(data);
    if (images < 1) return BD_OK;
    BD_TRY(bd_stage_unet(&unet, d, stage));
    int micro = o.micro_batch ? o.micro_batch : o.batch;
    o.tile = bd_stage_tile(s, o.tile, micro);
    BD_TRY(bd_loop_shape_init(&shape, &o, images));
    BD_TRY(find_network(&n, all, s, &unet, o.tile, 0, true));
    double kept = o.share < 1 && o.share > 0 ? 4 : 1; /* the checkpoint has Adam's moments too */
    int64_t tiles = bd_stage_micros(d, s, &shape) * (micro / o.tile);
    c->tflop = (double)tiles * n->flops / 1e12;
    c->memory = n->memory;
    c->disk = kept * n->params;
    return BD_OK;
}

static bd_status sampling_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    const bd_recipe *r = &d->stage[stage].recipe;
    bd_unet_config unet;
    bd_sampler_spec spec;
    bd_sampler_plan plan = {0};
    bd_schedule schedule = {0};
    const network *n;
    BD_TRY(bd_stage_unet(&unet, d, stage));
    BD_TRY(bd_recipe_sampler(&spec, r));
    BD_TRY(bd_stage_schedule(&schedule, d, stage));
    bd_status st = bd_sampler_plan_create(&plan, &spec, &schedule);
    int tile = bd_stage_sample_tile(&d->stage[stage]);
    int64_t tiles = (r->sample_n + tile - 1) / tile;
    double evals = (double)tiles * plan.n;
    int history = plan.history;
    bd_sampler_plan_clear(&plan);
    bd_schedule_clear(&schedule);
    BD_TRY(st);
    BD_TRY(find_network(&n, all, &d->stage[stage], &unet, tile, history, false));
    c->tflop = evals * n->flops / 1e12;
    c->memory = n->memory;
    c->disk = (double)r->sample_n * unet.sample_size * unet.sample_size * unet.in_channels;
    if (r->sample_start > 0) c->disk *= 2; /* and what was restored */
    return BD_OK;
}

/* The ascent, and each measurement: samples, and the clean and the backdoor loss of as many images. */
static bd_status anp_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    bd_cost ascent = {0}, samples = {0};
    const bd_stage *s = &d->stage[stage];
    bd_unet_config unet;
    const network *n;
    int tile = bd_stage_sample_tile(s);
    BD_TRY(training_cost(&ascent, d, stage, all));
    BD_TRY(sampling_cost(&samples, d, stage, all));
    BD_TRY(bd_stage_unet(&unet, d, stage));
    BD_TRY(find_network(&n, all, s, &unet, tile, 0, false));
    double losses = 2 * (double)s->recipe.sample_n / tile * n->flops / 1e12;
    c->tflop = ascent.tflop + (double)(s->recipe.anp_epochs + 1) * (samples.tflop + losses);
    c->memory = ascent.memory + samples.memory + 2 * n->memory;
    return BD_OK;
}

/* Forward flops of the classifier for one image; training takes three times that. */
static bd_status classifier_flops(double *out) {
    bd_classifier_config c = BD_CLASSIFIER_DEFAULT;
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "classifier"));
    bd_classifier_build(
        g, &c, bd_graph_input(g, "x", BD_TYPE_F32, 1, c.sample_size, c.sample_size, c.channels));
    bd_status st = bd_graph_status(g);
    *out = bd_graph_flops(g);
    bd_graph_destroy(g);
    return st;
}

/* Images that a stage of features looks at. */
static int64_t images_of(const bd_dag *d, const bd_stage *s) {
    const bd_stage *images = &d->stage[bd_stage_input(s, "images")];
    int64_t n = images->kind == BD_KIND_sample ? images->recipe.sample_n
                                               : bd_recipe_images(&images->recipe);
    bool fewer = s->recipe.metric_n_reference > 0 && s->recipe.metric_n_reference < n;
    return fewer ? s->recipe.metric_n_reference : n;
}

static bd_status moments_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    if (all->fid_flops == 0)
        BD_TRY(bd_fid_cost(&all->fid_flops, &all->fid_memory, all->cpu, all->pool));
    c->memory = all->fid_memory;
    c->tflop = all->fid_flops * (double)images_of(d, &d->stage[stage]) / 1e12;
    c->disk = BD_FID_STATISTICS_BYTES;
    return BD_OK;
}

/* A pair of pictures a comparison: to the target, and of restored ones to the originals three more. */
static bd_status lpips_cost(bd_cost *c, const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage], *from = &d->stage[bd_stage_input(s, "samples")];
    double flops;
    BD_TRY(bd_lpips_cost(&flops, (int)d->cell[s->cell].recipe.data_size));
    int comparisons = bd_stage_input(s, "pictures") < 0 ? 1 : 4;
    c->tflop = flops * comparisons * (double)from->recipe.sample_n / 1e12;
    return BD_OK;
}

static bd_status classifier_cost(bd_cost *c, const bd_dag *d, int stage) {
    const bd_stage *s = &d->stage[stage];
    double flops;
    BD_TRY(classifier_flops(&flops));
    if (s->kind == BD_KIND_classifier) {
        int64_t n = bd_recipe_images(&d->stage[bd_stage_input(s, "data")].recipe);
        c->tflop = 3 * flops * (double)(n * s->recipe.classifier_epochs) / 1e12;
        return BD_OK;
    }
    int64_t n = images_of(d, s);
    c->tflop = flops * (double)n / 1e12;
    c->disk = (double)n * BD_CLASSIFIER_FEATURES * sizeof(float);
    return BD_OK;
}

/* The weights are kept again in the stage's folder. */
static bd_status import_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    bd_unet_config unet;
    const network *n;
    BD_TRY(bd_stage_unet(&unet, d, stage));
    BD_TRY(find_network(&n, all, &d->stage[stage], &unet,
                        (int)d->cell[d->stage[stage].cell].recipe.sample_tile, 0, false));
    c->disk = n->params;
    return BD_OK;
}

/* Its images, which every stage that uses them keeps in memory too. */
static double data_bytes(const bd_recipe *r) {
    return (double)bd_recipe_images(r) * (double)(r->data_size * r->data_size * r->data_channels);
}

static bd_status stage_cost(bd_cost *c, const bd_dag *d, int stage, networks *all) {
    switch (d->stage[stage].kind) {
    case BD_KIND_data: c->memory = data_bytes(&d->stage[stage].recipe); return BD_OK;
    case BD_KIND_pretrain:
    case BD_KIND_finetune: return training_cost(c, d, stage, all);
    case BD_KIND_import: return import_cost(c, d, stage, all);
    case BD_KIND_sample: return sampling_cost(c, d, stage, all);
    case BD_KIND_anp: return anp_cost(c, d, stage, all);
    case BD_KIND_moments: return moments_cost(c, d, stage, all);
    case BD_KIND_lpips: return lpips_cost(c, d, stage);
    case BD_KIND_classifier:
    case BD_KIND_features: return classifier_cost(c, d, stage);
    default: return BD_OK;
    }
}

bd_status bd_stage_tflop(double *out, const bd_dag *d, int stage) {
    bd_cost c = {0};
    networks *all = calloc(1, sizeof *all);
    BD_REQUIRE(all, BD_E_MEMORY, "out of memory for the cost of a stage");
    bd_status st = stage_cost(&c, d, stage, all);
    free(all);
    *out = c.tflop;
    return st;
}

double bd_assumed_rate(const bd_stage *s, int threads) {
    bool cpu = bd_device_is_cpu(s->device);
    return (cpu ? assumed_gflops_a_thread * threads : assumed_gflops_cuda) / 1e3;
}

bd_status bd_dag_costs(bd_cost *cost, const bd_dag *d, const char *runs, const bd_backend *backend,
                       int threads) {
    networks *all = calloc(1, sizeof *all);
    BD_REQUIRE(all, BD_E_MEMORY, "out of memory for the costs of a plan");
    all->cpu = backend;
    bd_status st = bd_pool_create(&all->pool, threads);
    for (int i = 0; i < d->n_stages && !st; i++) {
        bd_cost *c = &cost[i];
        memset(c, 0, sizeof *c);
        c->done = bd_stage_done(runs, &d->stage[i]);
        st = stage_cost(c, d, i, all);
    }
    bd_pool_destroy(all->pool);
    free(all);
    return st;
}
