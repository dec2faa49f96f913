/* What differs between training jobs: the graph of a tile, its inputs, and the hash of the job. */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "data/batch.h"
#include "data/split.h"
#include "train/trainer_impl.h"

typedef bd_train_tensors tensors;
typedef bd_train_job job;

void bd_train_job_clear(bd_train_job *j) {
    bd_batcher_destroy(j->batcher);
    bd_graph_destroy(j->graph);
}

/* The head of every tile graph: data set and batch vectors in, x_t and y out. */
static bd_batch_out build_batch(job *j, int tile) {
    bd_graph *g = j->graph;
    const bd_dataset *d = j->data;
    tensors *t = &j->t;
    t->images = bd_graph_const(g, "images", BD_TYPE_U8, d->n, d->h, d->w, d->c);
    t->trigger = bd_graph_const(g, "trigger", BD_TYPE_F32, 1, d->h, d->w, d->c);
    t->target = bd_graph_const(g, "target", BD_TYPE_F32, 1, d->h, d->w, d->c);
    t->index = bd_graph_input(g, "index", BD_TYPE_I32, tile, 1, 1, 1);
    t->flags = bd_graph_input(g, "flags", BD_TYPE_I32, tile, 1, 1, 1);
    t->coef = bd_graph_input(g, "coef", BD_TYPE_F32, tile, 1, 1, 4);
    t->key = bd_graph_input(g, "key", BD_TYPE_I32, tile, 1, 1, 4);
    t->weight = bd_graph_input(g, "weight", BD_TYPE_F32, tile, 1, 1, 1);
    return bd_batch_build(g, t->images, t->trigger, t->target, t->index, t->flags, t->coef, t->key);
}

/* The foot: keep the loss and differentiate it. */
static bd_status build_backward(job *j) {
    BD_TRY(bd_graph_status(j->graph));
    bd_graph_keep(j->graph, j->t.loss);
    return bd_graph_backward(j->graph, j->t.loss, NULL, 0, NULL);
}

bd_status bd_train_job_set_up(void *ctx, bd_engine *engine) {
    const job *j = ctx;
    const bd_dataset *d = j->data;
    BD_TRY(j->backend->const_set(engine, j->t.images, d->images));
    if (j->trigger) {
        BD_TRY(j->backend->const_set(engine, j->t.trigger, j->trigger));
        return j->backend->const_set(engine, j->t.target, j->target);
    }
    float *zero = calloc((size_t)d->h * (size_t)d->w * (size_t)d->c, sizeof *zero);
    BD_REQUIRE(zero, BD_E_MEMORY, "training: out of memory");
    bd_status st = j->backend->const_set(engine, j->t.trigger, zero);
    if (!st) st = j->backend->const_set(engine, j->t.target, zero);
    free(zero);
    return st;
}

static void *input(const bd_view *v, int tensor) {
    return tensor < 0 ? NULL : bd_view_data(v, tensor);
}

bd_status bd_train_job_fill(void *ctx, const bd_batch_place *at, const bd_view *v,
                            uint8_t *poisoned) {
    const job *j = ctx;
    const tensors *t = &j->t;
    bd_batch_rows rows = {
        .index = input(v, t->index),
        .flags = input(v, t->flags),
        .key = input(v, t->key),
        .label = input(v, t->label),
        .timestep = input(v, t->timestep),
        .coef = input(v, t->coef),
        .weight = input(v, t->weight),
    };
    BD_TRY(bd_batcher_fill(&rows, j->batcher, at));
    const int32_t *flags = bd_view_data(v, t->flags);
    for (int i = 0; i < at->count; i++) poisoned[i] = (flags[i] & BD_BATCH_POISONED) != 0;
    return BD_OK;
}

/* --- the hash of a job --- */

static void hash_bytes(bd_sha256 *h, const char *what, const void *data, size_t n) {
    bd_sha256_update(h, what, strlen(what) + 1);
    bd_sha256_update(h, &n, sizeof n);
    if (n) bd_sha256_update(h, data, n);
}

/* Attributes field by field: a struct may have gaps, whose bytes mean nothing. */
static void hash_attr(bd_sha256 *h, const bd_node *n) {
    switch (n->op) {
    case BD_OP_conv2d:
    case BD_OP_conv2d_bwd_data:
    case BD_OP_conv2d_bwd_weight: {
        const bd_conv_attr *a = &n->attr.conv;
        const int v[] = {a->kh,       a->kw,         a->stride,   a->pad_top,
                         a->pad_left, a->pad_bottom, a->pad_right};
        bd_sha256_update(h, v, sizeof v);
        break;
    }
    case BD_OP_group_norm:
    case BD_OP_group_norm_bwd: {
        const int v[] = {n->attr.norm.groups, n->attr.norm.silu};
        bd_sha256_update(h, v, sizeof v);
        bd_sha256_update(h, &n->attr.norm.eps, sizeof n->attr.norm.eps);
        break;
    }
    case BD_OP_attention:
    case BD_OP_attention_bwd: bd_sha256_update(h, &n->attr.attention.heads, sizeof(int)); break;
    case BD_OP_scale: bd_sha256_update(h, &n->attr.scalar.value, sizeof(float)); break;
    case BD_OP_slice: bd_sha256_update(h, &n->attr.slice.first, sizeof(int)); break;
    case BD_OP_time_embedding: {
        const int v[] = {n->attr.time.flip_sin_to_cos, n->attr.time.freq_shift};
        bd_sha256_update(h, v, sizeof v);
        break;
    }
    default: break; /* nothing beyond the shapes */
    }
}

static void hash_graph(bd_sha256 *h, const bd_graph *g) {
    for (int i = 0; i < bd_graph_tensor_count(g); i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        const int v[] = {t->kind, t->type, t->dim[0], t->dim[1], t->dim[2], t->dim[3]};
        bd_sha256_update(h, v, sizeof v);
    }
    for (int i = 0; i < bd_graph_node_count(g); i++) {
        const bd_node *n = bd_graph_node(g, i);
        const int op = n->op;
        bd_sha256_update(h, &op, sizeof op);
        bd_sha256_update(h, n->in, sizeof n->in);
        bd_sha256_update(h, n->out, sizeof n->out);
        hash_attr(h, n);
    }
}

/* What the bits depend on beyond the loop's options: network, start values, data, stamps, flips. */
static bd_status hash_job(char hex[65], const job *j, const bd_batcher_spec *b,
                          const bd_params *params) {
    size_t image = (size_t)j->data->h * (size_t)j->data->w * (size_t)j->data->c;
    const int flip = b->flip;
    char start[65];
    BD_TRY(bd_params_sha256(start, params));
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    hash_graph(h, j->graph);
    hash_bytes(h, "start", start, sizeof start);
    hash_bytes(h, "data", j->data->sha256, sizeof j->data->sha256);
    hash_bytes(h, "rows", b->flags, b->flags ? (size_t)b->n : 0);
    hash_bytes(h, "labels", b->labels, b->labels ? (size_t)b->n * sizeof *b->labels : 0);
    hash_bytes(h, "flip", &flip, sizeof flip);
    hash_bytes(h, "coef", b->coef, (size_t)b->T * sizeof *b->coef);
    hash_bytes(h, "trigger", j->trigger, j->trigger ? image * sizeof *j->trigger : 0);
    hash_bytes(h, "target", j->target, j->target ? image * sizeof *j->target : 0);
    bd_sha256_finish(h, hex);
    return BD_OK;
}

static bd_loop_job loop_job(job *j, bd_params *params, const char *phase, const char *settings,
                            bd_pool *pool) {
    return (bd_loop_job){
        .phase = phase,
        .backend = j->backend,
        .pool = pool,
        .graph = j->graph,
        .loss = j->t.loss,
        .n = bd_batcher_images(j->batcher),
        .settings = settings,
        .params = params,
        .set_up = bd_train_job_set_up,
        .fill = bd_train_job_fill,
        .ctx = j,
    };
}

/* --- diffusion --- */

static bd_status check_diffusion(const bd_train_spec *s) {
    const bd_unet_config *u = s->unet;
    const bd_dataset *d = s->data;
    BD_REQUIRE(u->in_channels == u->out_channels, BD_E_SHAPE,
               "train: the UNet takes %d channels and gives %d", u->in_channels, u->out_channels);
    BD_REQUIRE(d->h == u->sample_size && d->w == u->sample_size && d->c == u->in_channels,
               BD_E_SHAPE, "train: images are %dx%dx%d, the UNet is for %dx%dx%d", d->h, d->w, d->c,
               u->sample_size, u->sample_size, u->in_channels);
    BD_REQUIRE(s->T >= 1 && s->coef, BD_E_ARG, "train: T = %d", s->T);
    BD_REQUIRE(!s->flags || (s->trigger && s->target), BD_E_ARG,
               "train: a poisoned split needs a trigger and a target");
    return BD_OK;
}

static bd_status build_diffusion(job *j, const bd_unet_config *unet, int tile) {
    BD_TRY(bd_graph_create(&j->graph, "train"));
    bd_graph *g = j->graph;
    j->t.label = -1;
    j->t.timestep = bd_graph_input(g, "timestep", BD_TYPE_F32, tile, 1, 1, 1);
    bd_batch_out batch = build_batch(j, tile);
    int e = bd_unet_build(g, unet, batch.x_t, j->t.timestep);
    j->t.loss = bd_mse(g, e, batch.y, j->t.weight);
    bd_graph_keep(g, j->t.loss);
    return bd_graph_status(g);
}

static bd_batcher_spec diffusion_batches(const bd_train_spec *spec) {
    return (bd_batcher_spec){.seed = spec->loop.seed,
                             .n = spec->data->n,
                             .flags = spec->flags,
                             .flip = spec->flip,
                             .T = spec->T,
                             .coef = spec->coef};
}

bd_status bd_train_job_diffusion(bd_train_job *j, const bd_train_spec *spec) {
    *j = (job){.backend = spec->backend, .data = spec->data};
    BD_TRY(check_diffusion(spec));
    if (spec->flags) {
        j->trigger = spec->trigger;
        j->target = spec->target;
    }
    bd_batcher_spec batch = diffusion_batches(spec);
    BD_TRY(bd_batcher_create(&j->batcher, &batch));
    return build_diffusion(j, spec->unet, spec->loop.tile);
}

bd_status bd_train(bd_loop_result *out, bd_params *params, const bd_train_spec *spec) {
    *out = (bd_loop_result){0};
    job j;
    char settings[65];
    bd_batcher_spec batch = diffusion_batches(spec);
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_train_job_diffusion(&j, spec));
    BD_TRY_TO(done, st, build_backward(&j));
    BD_TRY_TO(done, st, hash_job(settings, &j, &batch, params));
    bd_loop_job loop = loop_job(&j, params, "train", settings, spec->pool);
    loop.map = spec->map;
    loop.visit = spec->visit;
    st = bd_loop_run(out, &loop, &spec->loop);
done:
    bd_train_job_clear(&j);
    return st;
}

/* --- classifier --- */

static bd_status check_classifier(const bd_classifier_train_spec *s) {
    const bd_classifier_config *c = s->classifier;
    const bd_dataset *d = s->data;
    BD_REQUIRE(d->h == c->sample_size && d->w == c->sample_size && d->c == c->channels, BD_E_SHAPE,
               "classifier: images are %dx%dx%d, the network is for %dx%dx%d", d->h, d->w, d->c,
               c->sample_size, c->sample_size, c->channels);
    BD_REQUIRE(d->labels && d->classes <= c->classes, BD_E_SHAPE,
               "classifier: the data set has %d classes, the network %d", d->classes, c->classes);
    return BD_OK;
}

static bd_status build_classifier(job *j, const bd_classifier_config *c, int tile) {
    BD_TRY(bd_graph_create(&j->graph, "classifier"));
    bd_graph *g = j->graph;
    j->t.timestep = -1;
    j->t.label = bd_graph_input(g, "label", BD_TYPE_I32, tile, 1, 1, 1);
    bd_batch_out batch = build_batch(j, tile);
    bd_classifier_out net = bd_classifier_build(g, c, batch.x_t);
    j->t.loss = bd_cross_entropy(g, net.logits, j->t.label, j->t.weight, NULL);
    return build_backward(j);
}

bd_status bd_classifier_train(bd_loop_result *out, bd_params *params,
                              const bd_classifier_train_spec *spec) {
    *out = (bd_loop_result){0};
    BD_TRY(check_classifier(spec));
    job j = {.backend = spec->backend, .data = spec->data};
    bd_batcher_spec batch = {.seed = spec->loop.seed,
                             .n = spec->data->n,
                             .labels = spec->data->labels,
                             .flip = spec->flip};
    char settings[65];
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_batcher_create(&j.batcher, &batch));
    BD_TRY_TO(done, st, build_classifier(&j, spec->classifier, spec->loop.tile));
    BD_TRY_TO(done, st, hash_job(settings, &j, &batch, params));
    bd_loop_job loop = loop_job(&j, params, "classifier", settings, spec->pool);
    st = bd_loop_run(out, &loop, &spec->loop);
done:
    bd_train_job_clear(&j);
    return st;
}
