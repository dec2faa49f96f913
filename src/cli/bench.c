/* How fast this machine runs the networks: training and sampling rates, and time by operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "nn/inception.h"
#include "nn/params.h"
#include "nn/unet.h"
#include "run/device.h"

/* What recipes take by themselves. */
enum { TILE_TRAIN = 4, TILE_SAMPLE = 8, TILE_FID = 1, WARM_UP = 2 };

/* A UNet behind plain inputs, with or without loss and gradients. */
typedef struct {
    const bd_backend *backend;
    bd_graph *g;
    bd_engine *engine;
    bd_params params;
    int x, y, weight, timestep, tile;
    bool filled; /* images that stay on the device are there */
} bench_net;

/* Images: read by every step from host memory, or, where a batch is one piece of work, kept on the device: there a
 * training step gets its images from a kernel, and sampling goes on with its own. */
static int image_input(bench_net *b, const char *name, int size, int channels) {
    return b->backend->whole_batch
               ? bd_graph_state(b->g, name, b->tile, size, size, channels)
               : bd_graph_input(b->g, name, BD_TYPE_F32, b->tile, size, size, channels);
}

static bd_status make_graph(bench_net *b, const bd_unet_config *c, int tile, bool train) {
    BD_TRY(bd_graph_create(&b->g, train ? "train" : "sample"));
    int s = c->sample_size;
    b->tile = tile;
    b->x = image_input(b, "x", s, c->in_channels);
    b->timestep = bd_graph_input(b->g, "timestep", BD_TYPE_F32, tile, 1, 1, 1);
    int e = bd_unet_build(b->g, c, b->x, b->timestep);
    b->y = b->weight = -1;
    if (train) {
        b->y = image_input(b, "y", s, c->out_channels);
        b->weight = bd_graph_input(b->g, "weight", BD_TYPE_F32, tile, 1, 1, 1);
        int loss = bd_mse(b->g, e, b->y, b->weight);
        BD_TRY(bd_graph_status(b->g));
        return bd_graph_backward(b->g, loss, NULL, 0, NULL);
    }
    bd_graph_keep(b->g, e);
    return bd_graph_status(b->g);
}

/* The network behind FID, forward only. */
static bd_status make_inception(bench_net *b, int tile) {
    const int s = BD_INCEPTION_SIZE;
    BD_TRY(bd_graph_create(&b->g, "inception"));
    b->tile = tile;
    b->y = b->weight = b->timestep = -1;
    b->x = image_input(b, "x", s, 3);
    bd_graph_keep(b->g, bd_inception_build(b->g, b->x).features);
    return bd_graph_status(b->g);
}

/* c = NULL: Inception-v3 */
static bd_status net_create(bench_net *b, const bd_bench *r, const bd_unet_config *c, int tile,
                            bool train) {
    *b = (bench_net){.backend = &r->backend};
    BD_TRY(c ? make_graph(b, c, tile, train) : make_inception(b, tile));
    BD_TRY(b->backend->engine_create(&b->engine, b->backend, b->g, r->pool));
    BD_TRY(bd_params_from_graph(&b->params, b->g));
    BD_TRY(bd_params_init(&b->params, 0));
    return bd_params_upload(&b->params, b->backend, b->engine, b->g, BD_SLOT_PARAM);
}

static void net_destroy(bench_net *b) {
    b->backend->engine_destroy(b->engine);
    bd_params_clear(&b->params);
    bd_graph_destroy(b->g);
}

/* Ordinary magnitudes: rates must not come from zeros or subnormal numbers. */
static void fill(float *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (float)((i * 37 % 101) / 50.0 - 1.0);
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    bench_net *b = ctx;
    bool all = !b->filled;
    (void)tile;
    (void)iter;
    if (b->backend->whole_batch) b->filled = true; /* one worker */
    if (all) fill(bd_view_data(v, b->x), bd_tensor_count(bd_graph_tensor(b->g, b->x)));
    float *t = b->timestep < 0 ? NULL : bd_view_data(v, b->timestep);
    for (int i = 0; t && i < b->tile; i++) t[i] = (float)(100 + i % 800);
    if (b->y < 0) return BD_OK;
    if (all) fill(bd_view_data(v, b->y), bd_tensor_count(bd_graph_tensor(b->g, b->y)));
    float *w = bd_view_data(v, b->weight);
    for (int i = 0; i < b->tile; i++) w[i] = 1.0f / (float)b->tile;
    return BD_OK;
}

static bd_status one_step(bench_net *b, int tiles, int64_t k) {
    const bd_run r = {tiles, 1, before, NULL, b, 0};
    BD_REQUIRE(!bd_cli_stop, BD_E_INTERRUPT, "bench: stopped");
    if (b->y < 0) return b->backend->run(b->engine, &r, false);
    double norm;
    const bd_adam a = {1e-4, 0.9, 0.999, 1e-8, 1, k, 0};
    return bd_backend_step(b->backend, b->engine, &r, false, &a, &norm);
}

/* t [repeat], in ascending order when it returns */
static bd_status time_steps(double *t, bench_net *b, int tiles, int repeat) {
    /* first touch and packing; a device records its step in the second */
    for (int i = 0; i < WARM_UP; i++) BD_TRY(one_step(b, tiles, 1));
    for (int i = 0; i < repeat; i++) {
        double start = bd_clock_seconds();
        BD_TRY(one_step(b, tiles, i + 2));
        t[i] = bd_clock_seconds() - start;
    }
    (void)bd_clock_median(t, (size_t)repeat);
    return BD_OK;
}

/* --- networks --- */

/* t: seconds of all steps, in ascending order */
static bd_status report(const bd_bench *r, const bench_net *b, const char *net, const char *phase,
                        int tiles, const double *t) {
    const int repeat = r->o->repeat;
    bd_memory m;
    b->backend->engine_memory(b->engine, &m);
    bd_bench_row w = {.net = net,
                      .phase = phase,
                      .tile = b->tile,
                      .batch = tiles * b->tile,
                      .flops = bd_graph_flops(b->g) * tiles,
                      .bytes = (double)m.total,
                      .t = {t[0], t[repeat / 2], t[repeat - 1]}};
    BD_TRY(bd_bench_profile_get(&w.profile, r, b->engine));
    bd_status st = bd_bench_report(r, &w);
    free(w.profile.rows);
    return st;
}

static bd_status bench_one(const bd_bench *r, const char *net, const bd_unet_config *c,
                           bool train) {
    const bd_bench_options *o = r->o;
    bench_net b;
    int own = !c ? TILE_FID : train ? TILE_TRAIN : TILE_SAMPLE;
    int tile = bd_backend_tile(&r->backend, o->tile ? o->tile : own, o->batch);
    int tiles = (o->batch + tile - 1) / tile;
    double *t = calloc((size_t)o->repeat, sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "bench: out of memory");
    bd_status st = net_create(&b, r, c, tile, train);
    if (!st) st = time_steps(t, &b, tiles, o->repeat);
    if (!st) st = report(r, &b, net, train ? "train" : "sample", tiles, t);
    net_destroy(&b);
    free(t);
    return st;
}

static bool wanted(const bd_bench_options *o, const char *phase) {
    return !strcmp(o->phase, "both") || !strcmp(o->phase, phase);
}

/* The preset with other channels: all of them in proportion to the first block's. */
static bd_status set_base(bd_unet_config *c, int base) {
    const int of = c->channels[0];
    for (int i = 0; i < c->blocks; i++) c->channels[i] = c->channels[i] * base / of;
    return bd_unet_config_check(c);
}

/* channels: those of the data set the network is for */
static bd_status bench_name(const bd_bench *r, const char *net, int channels) {
    const bd_bench_options *o = r->o;
    bd_unet_config c;
    if (!strcmp(net, "inception")) return bench_one(r, net, NULL, false);
    BD_TRY(bd_unet_preset(&c, net, o->size, o->channels ? o->channels : channels));
    if (o->base_channels) BD_TRY(set_base(&c, o->base_channels));
    if (wanted(o, "train")) BD_TRY(bench_one(r, net, &c, true));
    return wanted(o, "sample") ? bench_one(r, net, &c, false) : BD_OK;
}

static bd_status measure(bd_bench *r) {
    const bd_bench_options *o = r->o;
    const bool mini = !o->net || !strcmp(o->net, "mini");
    if (o->ceilings) BD_TRY(bd_bench_ceilings(r));
    if (o->ceilings && !o->net && r->backend.whole_batch) return BD_OK; /* that was all */
    BD_TRY(bd_bench_head(r));
    BD_TRY(bench_name(r, o->net ? o->net : "mini", mini ? 1 : 3));
    return o->net ? BD_OK : bench_name(r, "cifar10", 3);
}

static bd_status bench(const bd_bench_options *o) {
    bd_bench r = {.o = o};
    int threads;
    BD_REQUIRE(wanted(o, "train") || wanted(o, "sample"), BD_E_ARG,
               "phase %s: must be train, sample or both", o->phase);
    BD_TRY(bd_cli_threads(&threads, o->threads));
    BD_TRY(bd_device_open(&r.backend, o->device, o->precision));
    bd_machine_get(&r.machine);
    BD_REQUIRE(!o->ceilings || r.backend.whole_batch || threads <= r.machine.processors, BD_E_ARG,
               "--ceilings: %d workers on %d processors would not run at the same time", threads,
               r.machine.processors);
    bd_status st = bd_pool_create(&r.pool, threads);
    if (!st && o->json) st = bd_bench_json_open(&r);
    if (!st) st = measure(&r);
    bd_pool_destroy(r.pool);
    if (!st && o->json) st = bd_bench_json_save(&r);
    json_decref(r.root);
    return st;
}

int bd_cli_bench(int argc, char **argv) {
    bd_bench_options o = {.phase = "both",
                          .device = "auto",
                          .precision = "f32",
                          .size = 32,
                          .batch = 16,
                          .repeat = 9,
                          .side = 8192};
    const bd_opt opts[] = {
        {0, "net", BD_OPT_TEXT, "NAME", &o.net, 0, 0,
         "preset of the network: mini, cifar10, celebahq, scratch (default mini, then cifar10); or "
         "inception"},
        {0, "size", BD_OPT_INT, "PIXELS", &o.size, 8, 1024, "side of an image"},
        {0, "channels", BD_OPT_INT, "N", &o.channels, 0, 3,
         "channels of an image, 0 = 1 for mini, 3 for the others"},
        {0, "base-channels", BD_OPT_INT, "N", &o.base_channels, 0, 1024,
         "channels of the UNet's first block, the others in proportion; 0 = the preset's"},
        {0, "tile", BD_OPT_INT, "N", &o.tile, 0, 8,
         "images a worker of the CPU runs at once, 0 = as recipes do: 4 in training, 8 in "
         "sampling, 1 of "
         "inception"},
        {0, "phase", BD_OPT_TEXT, "NAME", &o.phase, 0, 0, "train, sample or both"},
        {'b', "batch", BD_OPT_INT, "N", &o.batch, 1, 4096, "images of one step"},
        {'r', "repeat", BD_OPT_INT, "N", &o.repeat, 1, 1000, "steps timed; the median counts"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads, 0 = all processors"},
        {0, "device", BD_OPT_TEXT, "NAME", &o.device, 0, 0,
         "where the networks run: auto (a CUDA device if there is one), cpu, cuda, cuda:K"},
        {0, "precision", BD_OPT_TEXT, "NAME", &o.precision, 0, 0,
         "f32; on a CUDA device also tf32, bf16, fp16"},
        {0, "ops", BD_OPT_FLAG, NULL, &o.ops, 0, 0,
         "also the time of each kind of operation, by one worker (with --ceilings: by all at "
         "once); "
         "given twice, of each operation"},
        {0, "ceilings", BD_OPT_FLAG, NULL, &o.ceilings, 0, 0,
         "also what could be had at most, and rates in percent of it: on the CPU the network's "
         "convolutions each by itself on all workers, and copies of memory; of a CUDA device "
         "copies "
         "and matrix products (without --net nothing else); --ops then has floor_ms, the time of "
         "that work and those bytes at these rates"},
        {0, "ceiling-side", BD_OPT_INT, "N", &o.side, 16, 32768,
         "side of a CUDA device's matrices, a multiple of 16; memory: 32 N^2 bytes"},
        {0, "json", BD_OPT_TEXT, "FILE", &o.json, 0, 0, "write the results there too"},
    };
    const bd_cmd cmd = {
        "bench [options]",
        "Times a training step (forward, backward, clip, Adam) and a network evaluation of\n"
        "sampling on this machine. GFLOP counts convolutions and attention, a convolution always "
        "as\n"
        "if computed directly: a method with fewer multiplications has the higher rate.",
        opts,
        sizeof opts / sizeof *opts,
        0,
        0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    bd_status st = bench(&o);
    return st ? bd_cli_fail(st) : 0;
}
