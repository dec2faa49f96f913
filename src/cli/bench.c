/* How fast this machine runs the networks: training and sampling rates, and time by operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cpu/cpu.h"
#include "nn/inception.h"
#include "nn/params.h"
#include "nn/unet.h"

typedef struct {
    const char *net;
    int size, channels, tile, batch, repeat, threads, ops;
} bench_options;

/* A UNet behind plain inputs, with or without loss and gradients. */
typedef struct {
    bd_graph *g;
    bd_engine *engine;
    bd_params params;
    int x, y, weight, timestep, tile;
} bench_net;

static bd_status make_graph(bench_net *b, const bd_unet_config *c, int tile, bool train) {
    BD_TRY(bd_graph_create(&b->g, train ? "train" : "sample"));
    int s = c->sample_size;
    b->tile = tile;
    b->x = bd_graph_input(b->g, "x", BD_TYPE_F32, tile, s, s, c->in_channels);
    b->timestep = bd_graph_input(b->g, "timestep", BD_TYPE_F32, tile, 1, 1, 1);
    int e = bd_unet_build(b->g, c, b->x, b->timestep);
    b->y = b->weight = -1;
    if (train) {
        b->y = bd_graph_input(b->g, "y", BD_TYPE_F32, tile, s, s, c->out_channels);
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
    b->x = bd_graph_input(b->g, "x", BD_TYPE_F32, tile, s, s, 3);
    bd_graph_keep(b->g, bd_inception_build(b->g, b->x).features);
    return bd_graph_status(b->g);
}

/* c = NULL: Inception-v3 */
static bd_status net_create(bench_net *b, const bd_unet_config *c, int tile, bool train,
                            bd_pool *pool) {
    *b = (bench_net){0};
    BD_TRY(c ? make_graph(b, c, tile, train) : make_inception(b, tile));
    BD_TRY(bd_backend_cpu.engine_create(&b->engine, b->g, pool));
    BD_TRY(bd_params_from_graph(&b->params, b->g));
    BD_TRY(bd_params_init(&b->params, 0));
    return bd_params_upload(&b->params, &bd_backend_cpu, b->engine, b->g, BD_SLOT_PARAM);
}

static void net_destroy(bench_net *b) {
    bd_backend_cpu.engine_destroy(b->engine);
    bd_params_clear(&b->params);
    bd_graph_destroy(b->g);
}

/* Ordinary magnitudes: rates must not come from zeros or subnormal numbers. */
static void fill(float *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (float)((i * 37 % 101) / 50.0 - 1.0);
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const bench_net *b = ctx;
    (void)tile;
    (void)iter;
    fill(bd_view_data(v, b->x), bd_tensor_count(bd_graph_tensor(b->g, b->x)));
    float *t = b->timestep < 0 ? NULL : bd_view_data(v, b->timestep);
    for (int i = 0; t && i < b->tile; i++) t[i] = (float)(100 + i);
    if (b->y < 0) return BD_OK;
    fill(bd_view_data(v, b->y), bd_tensor_count(bd_graph_tensor(b->g, b->y)));
    float *w = bd_view_data(v, b->weight);
    for (int i = 0; i < b->tile; i++) w[i] = 1.0f / (float)b->tile;
    return BD_OK;
}

static bd_status one_step(bench_net *b, int tiles, int64_t k) {
    const bd_run r = {tiles, 1, before, NULL, b};
    BD_TRY(bd_backend_cpu.run(b->engine, &r, false));
    if (b->y < 0) return BD_OK;
    double norm;
    const bd_adam a = {1e-4, 0.9, 0.999, 1e-8, 1, k};
    BD_TRY(bd_backend_cpu.grad_norm(b->engine, &norm));
    return bd_backend_cpu.adam(b->engine, &a, norm);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bd_status time_steps(double *median, bench_net *b, int tiles, int repeat) {
    double *t = calloc((size_t)repeat, sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "bench: out of memory");
    bd_status st = one_step(b, tiles, 1); /* first touch and packing */
    for (int i = 0; !st && i < repeat; i++) {
        double start = bd_clock_seconds();
        st = one_step(b, tiles, i + 2);
        t[i] = bd_clock_seconds() - start;
    }
    qsort(t, (size_t)repeat, sizeof *t, by_value);
    *median = t[repeat / 2];
    free(t);
    return st;
}

static bd_status print_ops(const bench_net *b, const char *what, int repeat) {
    int n = 0;
    bd_op_profile *rows = calloc((size_t)bd_graph_node_count(b->g) + 1, sizeof *rows);
    BD_REQUIRE(rows, BD_E_MEMORY, "bench: out of memory");
    bd_status st = bd_cpu_profile(b->engine, repeat, rows, &n);
    double total = 0;
    for (int i = 0; i < n; i++) total += rows[i].seconds;
    printf("graph\top\tcalls\tms\tshare_percent\tGB_per_s\tGFLOP_per_s\n");
    for (int op = 0; !st && op < BD_OP_COUNT; op++) {
        double seconds = 0, bytes = 0, flops = 0;
        int calls = 0;
        for (int i = 0; i < n; i++)
            if (rows[i].op == (bd_op)op) {
                seconds += rows[i].seconds;
                bytes += rows[i].bytes;
                flops += rows[i].flops;
                calls++;
            }
        if (calls)
            printf("%s\t%s\t%d\t%.3f\t%.1f\t%.1f\t%.1f\n", what, bd_op_name((bd_op)op), calls,
                   seconds * 1e3, 100 * seconds / total, bytes / seconds * 1e-9,
                   flops / seconds * 1e-9);
    }
    free(rows);
    return st;
}

static bd_status bench_one(const bench_options *o, const char *net, const bd_unet_config *c,
                           bool train, bd_pool *pool) {
    bench_net b;
    bd_memory m;
    double seconds = 0;
    int tiles = (o->batch + o->tile - 1) / o->tile;
    bd_status st = net_create(&b, c, o->tile, train, pool);
    if (!st) st = time_steps(&seconds, &b, tiles, o->repeat);
    if (!st) {
        double images = (double)tiles * o->tile;
        bd_backend_cpu.engine_memory(b.engine, &m);
        printf("%s\t%s\t%d\t%d\t%d\t%.2f\t%.1f\t%.1f\n", net, train ? "train" : "sample",
               bd_pool_workers(pool), o->tile, tiles * o->tile, images / seconds,
               bd_graph_flops(b.g) * tiles / seconds * 1e-9, (double)m.total / (1 << 20));
        if (o->ops) st = print_ops(&b, train ? "train" : "sample", o->repeat);
    }
    net_destroy(&b);
    return st;
}

/* channels = 0: those of the data set the network is for. */
static bd_status bench_net_name(const bench_options *o, const char *net, int channels,
                                bd_pool *pool) {
    bd_unet_config c;
    if (!strcmp(net, "inception")) return bench_one(o, net, NULL, false, pool);
    BD_TRY(bd_unet_preset(&c, net, o->size, o->channels ? o->channels : channels));
    BD_TRY(bench_one(o, net, &c, true, pool));
    return bench_one(o, net, &c, false, pool);
}

static bd_status bench(const bench_options *o) {
    bd_pool *pool;
    int threads;
    char print[256];
    bool mini = !o->net || strcmp(o->net, "mini") == 0;
    BD_TRY(bd_cli_threads(&threads, o->threads));
    BD_TRY(bd_backend_cpu.fingerprint(print, sizeof print));
    BD_TRY(bd_pool_create(&pool, threads));
    printf("# %s; median of %d "
           "steps\nnet\tphase\tthreads\ttile\tbatch\timages_per_s\tGFLOP_per_s\tMiB\n",
           print, o->repeat);
    bd_status st = bench_net_name(o, o->net ? o->net : "mini", mini ? 1 : 3, pool);
    if (!st && !o->net) st = bench_net_name(o, "cifar10", 3, pool);
    bd_pool_destroy(pool);
    return st;
}

int bd_cli_bench(int argc, char **argv) {
    bench_options o = {NULL, 32, 0, 8, 16, 9, 0, 0};
    const bd_opt opts[] = {
        {0, "net", BD_OPT_TEXT, "NAME", &o.net, 0, 0,
         "preset of the network: mini, cifar10, celebahq, scratch (default mini, then cifar10); or "
         "inception"},
        {0, "size", BD_OPT_INT, "PIXELS", &o.size, 8, 1024, "side of an image"},
        {0, "channels", BD_OPT_INT, "N", &o.channels, 0, 3,
         "channels of an image, 0 = 1 for mini, 3 for the others"},
        {0, "tile", BD_OPT_INT, "N", &o.tile, 1, 8, "images a worker runs at once"},
        {'b', "batch", BD_OPT_INT, "N", &o.batch, 1, 4096, "images of one step"},
        {'r', "repeat", BD_OPT_INT, "N", &o.repeat, 1, 1000, "steps timed; the median counts"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads, 0 = all processors"},
        {0, "ops", BD_OPT_FLAG, NULL, &o.ops, 0, 0,
         "also the time of each kind of operation, one worker"},
    };
    const bd_cmd cmd = {
        "bench [options]",
        "Times a training step (forward, backward, clip, Adam) and a network evaluation of\n"
        "sampling on this machine. GFLOP counts convolutions and attention.",
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
