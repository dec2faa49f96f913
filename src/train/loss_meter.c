#include "train/loss_meter.h"

#include <stdlib.h>
#include <string.h>

#include "train/trainer_impl.h"

struct bd_loss_meter {
    bd_train_job job;
    bd_engine *engine;
    int n, tile;
    double *loss;      /* [n] */
    uint8_t *poisoned; /* [n] */
};

/* bd_train counts its steps from 0. */
static const int64_t unreached_step = UINT32_MAX;

static bd_batch_place place_of(const bd_loss_meter *m, int tile) {
    int first = tile * m->tile, left = m->n - first;
    return (bd_batch_place){.first = first,
                            .step = unreached_step,
                            .place = first,
                            .rows = m->tile,
                            .count = left < m->tile ? left : m->tile,
                            .weight = 1};
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    bd_loss_meter *m = ctx;
    (void)iter;
    bd_batch_place at = place_of(m, tile);
    return bd_train_job_fill(&m->job, &at, v, m->poisoned + at.first);
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    bd_loss_meter *m = ctx;
    (void)iter;
    bd_batch_place at = place_of(m, tile);
    memcpy(m->loss + at.first, bd_view_data(v, m->job.t.loss), (size_t)at.count * sizeof *m->loss);
    return BD_OK;
}

static bd_status prepare(bd_loss_meter *m, const bd_train_spec *spec, int n) {
    BD_TRY(bd_train_job_diffusion(&m->job, spec));
    int64_t images = bd_batcher_images(m->job.batcher);
    m->n = n < images ? n : (int)images;
    m->tile = spec->loop.tile;
    BD_REQUIRE(m->n >= 1, BD_E_ARG, "loss: n = %d images", n);
    m->loss = calloc((size_t)m->n, sizeof *m->loss);
    m->poisoned = calloc((size_t)m->n, sizeof *m->poisoned);
    BD_REQUIRE(m->loss && m->poisoned, BD_E_MEMORY, "loss: out of memory");
    BD_TRY(spec->backend->engine_create(&m->engine, spec->backend, m->job.graph, spec->pool));
    return bd_train_job_set_up(&m->job, m->engine);
}

bd_status bd_loss_meter_create(bd_loss_meter **out, const bd_train_spec *spec, int n) {
    *out = NULL;
    bd_loss_meter *m = calloc(1, sizeof *m);
    BD_REQUIRE(m, BD_E_MEMORY, "loss: out of memory");
    bd_status st = prepare(m, spec, n);
    if (st) {
        bd_loss_meter_destroy(m);
        return st;
    }
    *out = m;
    return BD_OK;
}

void bd_loss_meter_destroy(bd_loss_meter *m) {
    if (!m) return;
    if (m->engine) m->job.backend->engine_destroy(m->engine);
    bd_train_job_clear(&m->job);
    free(m->loss);
    free(m->poisoned);
    free(m);
}

bd_status bd_loss_meter_run(double *out, bd_loss_meter *m, const bd_params *params) {
    const bd_backend *b = m->job.backend;
    bd_run run = {.n_tiles = (m->n + m->tile - 1) / m->tile,
                  .n_iter = 1,
                  .before = before,
                  .after = after,
                  .ctx = m};
    BD_TRY(bd_params_upload(params, b, m->engine, m->job.graph, BD_SLOT_PARAM));
    BD_TRY(b->run(m->engine, &run, false));
    double sum = 0;
    for (int i = 0; i < m->n; i++) sum += m->loss[i];
    *out = sum / m->n;
    return BD_OK;
}
