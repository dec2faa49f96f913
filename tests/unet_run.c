#include "unet_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash_weights.h"

#define CHECK(call)                           \
    do {                                      \
        if (call) fail_msg("%s", bd_error()); \
    } while (0)

void unet_run_open(unet_run *r, const bd_params *params) {
    const bd_unet_config *c = r->config;
    int S = c->sample_size;
    CHECK(bd_graph_create(&r->graph, "unet"));
    bd_graph *g = r->graph;
    r->x = bd_graph_input(g, "x", BD_TYPE_F32, r->n, S, S, c->in_channels);
    r->t = bd_graph_input(g, "timestep", BD_TYPE_F32, r->n, 1, 1, 1);
    r->y = bd_unet_build(g, c, r->x, r->t);
    if (r->target) {
        r->target_id = bd_graph_input(g, "target", BD_TYPE_F32, r->n, S, S, c->out_channels);
        r->weight = bd_graph_input(g, "weight", BD_TYPE_F32, r->n, 1, 1, 1);
        r->loss_id = bd_mse(g, r->y, r->target_id, r->weight);
        CHECK(bd_graph_status(g));
        CHECK(bd_graph_backward(g, r->loss_id, NULL, 0, NULL));
        bd_graph_keep(g, r->loss_id);
    }
    CHECK(bd_graph_status(g));
    bd_graph_keep(g, r->y);
    CHECK(bd_pool_create(&r->pool, 1));
    CHECK(r->backend->engine_create(&r->engine, r->backend, g, r->pool));
    CHECK(bd_params_upload(params, r->backend, r->engine, g, BD_SLOT_PARAM));
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    (void)tile, (void)iter;
    const unet_run *r = ctx;
    const bd_unet_config *c = r->config;
    int S = c->sample_size;
    nchw_to_nhwc(bd_view_data(v, r->x), r->sample, r->n, c->in_channels, S, S);
    if (r->target)
        nchw_to_nhwc(bd_view_data(v, r->target_id), r->target, r->n, c->out_channels, S, S);
    for (int i = 0; i < r->n; i++) {
        ((float *)bd_view_data(v, r->t))[i] = (float)r->timestep[i];
        if (r->target) ((float *)bd_view_data(v, r->weight))[i] = 1.0F / (float)r->n;
    }
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    (void)tile, (void)iter;
    unet_run *r = ctx;
    const bd_unet_config *c = r->config;
    nhwc_to_nchw(r->output, bd_view_data(v, r->y), r->n, c->out_channels, c->sample_size,
                 c->sample_size);
    r->loss = 0;
    for (int i = 0; r->target && i < r->n; i++)
        r->loss += ((const double *)bd_view_data(v, r->loss_id))[i] / r->n;
    return BD_OK;
}

void unet_run_tile(unet_run *r) {
    const bd_run run = {.n_tiles = 1, .n_iter = 1, .before = before, .after = after, .ctx = r};
    CHECK(r->backend->run(r->engine, &run, false));
}

void unet_run_close(unet_run *r) {
    r->backend->engine_destroy(r->engine);
    bd_pool_destroy(r->pool);
    bd_graph_destroy(r->graph);
}
