#include "run/price.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "io/ini.h"
#include "run/device.h"
#include "run/folder.h"
#include "run/price_parts.h"

/* Seconds that all calibrations of a plan may take together, and one of them, by what is expected before it runs. */
static const double budget = 5, budget_of_one = 2.5;
/* Steps' worth of time that one takes: compiling and first touch, two first steps, one or more behind them. */
static const double steps_of_a_calibration = 5;

/* Stages of one workload, or without UNet of one kind: what is known of one is known of all. */
typedef struct {
    bd_workload work; /* all zero: `kind` counts */
    bd_stage_kind kind;
    int stage;                /* the first one */
    double tflop, tflop_step; /* to do; of a step */
    double took,
        model; /* of finished stages made here: what they took, what the assumed rates say */
    bd_pace pace;
    bool paced, tried;
} group;

/* What is found out about one stage. */
typedef struct {
    int group;
    double steps, other; /* steps of the UNet; seconds beside it */
} line;

typedef struct {
    const bd_dag *d;
    const bd_price_spec *spec;
    bd_cost *cost;
    line *of;
    group *at;
    int n, room;
    bd_pace_table *table;
    char machine[BD_MACHINE_NAME];
} pricing;

const char *bd_price_source_name(bd_price_source s) {
    static const char *const names[BD_PRICE_SOURCES] = {"took", "measured", "earlier", "assumed",
                                                        "given"};
    return names[s];
}

/* --- groups --- */

static bd_status find_group(int *out, pricing *p, const bd_workload *w, double steps, int stage) {
    bd_stage_kind kind = p->d->stage[stage].kind;
    for (int i = 0; i < p->n; i++) {
        const group *g = &p->at[i];
        bool unet = g->work.tile > 0;
        if (unet == (steps > 0) && (unet ? bd_workload_same(&g->work, w) : g->kind == kind))
            return *out = i, BD_OK;
    }
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 16;
        group *at = realloc(p->at, (size_t)room * sizeof *at);
        BD_REQUIRE(at, BD_E_MEMORY, "out of memory for the prices of a plan");
        p->at = at;
        p->room = room;
    }
    p->at[p->n] = (group){.kind = kind, .stage = stage};
    if (steps > 0) p->at[p->n].work = *w;
    *out = p->n++;
    return BD_OK;
}

/* Seconds by the rates of run/cost.h, where nothing better is known. */
static double assumed(const pricing *p, int stage) {
    return p->cost[stage].tflop / bd_assumed_rate(&p->d->stage[stage], p->spec->threads) +
           p->of[stage].other;
}

static bd_status on_manifest_key(void *ctx, const char *path, int at, const char *section,
                                 const char *key, const char *value) {
    (void)path;
    (void)at;
    char *machine = ctx;
    if (!strcmp(section, "manifest") && !strcmp(key, "machine"))
        snprintf(machine, BD_MACHINE_NAME, "%s", value);
    return BD_OK;
}

/* What DONE says of a stage; *here: made on this machine with as many threads. */
static bool record(double *seconds, bool *here, const pricing *p, int stage) {
    const bd_stage *s = &p->d->stage[stage];
    char path[1400], machine[BD_MACHINE_NAME] = "";
    bd_done done;
    if (bd_stage_path(path, sizeof path, p->spec->runs, s, "DONE") || bd_done_read(&done, path))
        return false;
    *seconds = done.seconds;
    *here = done.threads == p->spec->threads &&
            !bd_stage_path(path, sizeof path, p->spec->runs, s, "manifest.ini") &&
            !bd_ini_load(path, on_manifest_key, machine) && !strcmp(machine, p->machine);
    return true;
}

static bd_status look_at(pricing *p, bd_price *price, int stage) {
    bd_workload w;
    line *l = &p->of[stage];
    const bd_cost *c = &p->cost[stage];
    bool here = false;
    BD_TRY(bd_price_workload(&w, &l->steps, p->d, stage, p->spec->threads));
    l->other = bd_price_other(p->d, stage, c);
    BD_TRY(find_group(&l->group, p, &w, l->steps, stage));
    group *g = &p->at[l->group];
    *price = (bd_price){.tflop = c->tflop, .done = c->done, .source = BD_PRICE_RECORD};
    bd_price_space(price, p->d, stage, c);
    if (l->steps > 0) g->tflop_step = c->tflop / l->steps;
    if (!c->done) {
        g->tflop += c->tflop;
    } else if (record(&price->seconds, &here, p, stage) && here) {
        g->took += price->seconds;
        g->model += assumed(p, stage);
    }
    return BD_OK;
}

/* --- calibration --- */

/* The part of a step that there is time to run a few times: all of it, whole rounds of the workers, or one image
 * each. false: not even that. */
static bool affordable(bd_workload *out, const group *g, double rate, double left, int threads) {
    if (left > budget_of_one) left = budget_of_one;
    double images = left / steps_of_a_calibration * rate / g->tflop_step * g->work.batch;
    int round = bd_device_is_cpu(g->work.device) ? g->work.tile * threads : g->work.batch;
    *out = g->work;
    if (images >= g->work.batch) return true;
    out->micro_batch = 0;
    out->batch = images >= round ? (int)images / round * round : threads;
    if (images < round) out->tile = 1;
    return images >= out->batch && out->batch < g->work.batch;
}

static bd_status calibrate(pricing *p, group *g, double *left, bd_pool *pool) {
    const bd_price_spec *spec = p->spec;
    const bd_stage *s = &p->d->stage[g->stage];
    const bd_backend *backend;
    bd_backend own;
    char print[2048];
    double rate = bd_assumed_rate(s, spec->threads);
    if (bd_stage_backend(&backend, &own, spec->backend, s) ||
        backend->fingerprint(backend, print, sizeof print))
        return BD_OK; /* the device is not here */
    g->paced = bd_pace_table_find(&g->pace, p->table, &g->work, print, spec->threads);
    if (g->paced || !spec->calibrate) return BD_OK;
    bd_workload part;
    if (!affordable(&part, g, rate, *left, spec->threads)) return BD_OK;
    double share = (double)part.batch / g->work.batch;
    *left -= steps_of_a_calibration * g->tflop_step * share / rate;
    bd_status st = bd_pace_measure(&g->pace, &part, backend, pool, spec->stop);
    g->pace.step /= share;
    if (st == BD_E_INTERRUPT) return st;
    if (st) return bd_log(BD_LOG_WARN, "calibration: %s", bd_error()), BD_OK;
    g->paced = true;
    return bd_pace_table_add(p->table, &g->work, print, spec->threads, &g->pace);
}

/* The one with the most to do that nobody looked at yet; -1: none. */
static int next_group(const pricing *p) {
    int best = -1;
    for (int i = 0; i < p->n; i++) {
        const group *g = &p->at[i];
        if (g->tried || g->work.tile == 0 || g->took > 0 || g->tflop <= 0) continue;
        if (best < 0 || g->tflop > p->at[best].tflop) best = i;
    }
    return best;
}

static bd_status calibrate_all(pricing *p) {
    double left = budget;
    bd_pool *pool;
    int i;
    BD_TRY(bd_pace_table_load(&p->table, p->spec->runs, p->machine));
    BD_TRY(bd_pool_create(&pool, p->spec->threads));
    bd_status st = BD_OK;
    while (!st && (i = next_group(p)) >= 0) {
        p->at[i].tried = true;
        st = calibrate(p, &p->at[i], &left, pool);
    }
    bd_pool_destroy(pool);
    if (!st && bd_pace_table_save(p->table))
        bd_log(BD_LOG_WARN, "the calibration is not kept: %s", bd_error());
    return st;
}

/* --- the price --- */

static void set_price(const pricing *p, bd_price *price, int stage) {
    const line *l = &p->of[stage];
    const group *g = &p->at[l->group];
    double gflops = p->spec->gflops, model = assumed(p, stage);
    if (price->done) return;
    if (gflops > 0 && price->tflop > 0) {
        price->seconds = price->tflop * 1e3 / gflops + l->other;
        price->source = BD_PRICE_GIVEN;
    } else if (g->took > 0) {
        price->seconds = model * g->took / g->model;
        price->source = BD_PRICE_EARLIER;
    } else if (g->paced) {
        price->seconds = g->pace.setup + l->steps * g->pace.step + l->other;
        price->source = BD_PRICE_MEASURED;
    } else {
        price->seconds = model;
        price->source = BD_PRICE_ASSUMED;
    }
}

bd_status bd_dag_prices(bd_price *price, const bd_dag *d, const bd_price_spec *spec) {
    size_t n = (size_t)d->n_stages + 1;
    pricing p = {.d = d, .spec = spec};
    bd_status st = BD_OK;
    bd_machine_label(p.machine);
    p.cost = calloc(n, sizeof *p.cost);
    p.of = calloc(n, sizeof *p.of);
    if (!p.cost || !p.of) BD_FAIL_TO(done, st, BD_E_MEMORY, "out of memory for %zu prices", n);
    BD_TRY_TO(done, st, bd_dag_costs(p.cost, d, spec->runs, spec->backend, spec->threads));
    for (int i = 0; i < d->n_stages; i++) BD_TRY_TO(done, st, look_at(&p, &price[i], i));
    if (spec->gflops <= 0 && spec->backend) BD_TRY_TO(done, st, calibrate_all(&p));
    for (int i = 0; i < d->n_stages; i++) set_price(&p, &price[i], i);
done:
    bd_pace_table_destroy(p.table);
    free(p.at);
    free(p.of);
    free(p.cost);
    return st;
}
