/* How fast this machine runs the networks: training and sampling rates, and time by operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cuda/probe.h"
#include "io/json.h"
#include "nn/inception.h"
#include "nn/params.h"
#include "nn/unet.h"
#include "run/device.h"

typedef struct {
    const char *net, *phase, *json, *device, *precision;
    int size, channels, tile, batch, repeat, threads, ops, ceilings, side;
} bench_options;

/* What recipes take by themselves. */
enum { TILE_TRAIN = 4, TILE_SAMPLE = 8, TILE_FID = 1, WARM_UP = 2 };

/* Where results go. */
typedef struct {
    const bench_options *o;
    bd_backend backend;
    bd_pool *pool;
    json_t *results; /* NULL: only the table is wanted */
    double peak;     /* FLOP a second of a large matrix product; 0: not measured */
} bench_run;

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
static bd_status net_create(bench_net *b, const bench_run *r, const bd_unet_config *c, int tile,
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

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
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
    qsort(t, (size_t)repeat, sizeof *t, by_value);
    return BD_OK;
}

/* One kind of operation of a graph: its calls added up. */
typedef struct {
    int calls;
    double seconds, bytes, flops;
} op_sum;

/* A line for every node: how it was computed. */
static void print_nodes(const char *what, const bd_op_profile *rows, int n) {
    printf("graph\tnode\top\tms\tGB_per_s\tGFLOP_per_s\thow\n");
    for (int i = 0; i < n; i++) {
        const bd_op_profile *r = &rows[i];
        double rate = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        printf("%s\t%d\t%s\t%.4f\t%.1f\t%.1f\t%.*s\n", what, r->node, bd_op_name(r->op),
               r->seconds * 1e3, r->bytes * rate, r->flops * rate, (int)sizeof r->impl, r->impl);
    }
}

static bd_status sum_ops(op_sum sum[BD_OP_COUNT], const bench_net *b, const char *what,
                         const bench_options *o) {
    int n = 0;
    bd_op_profile *rows;
    bd_status st = b->backend->profile(b->engine, o->repeat, &rows, &n);
    if (st) return st;
    if (o->ops > 1) print_nodes(what, rows, n);
    for (int i = 0; i < n; i++) {
        op_sum *s = &sum[rows[i].op];
        s->calls++;
        s->seconds += rows[i].seconds;
        s->bytes += rows[i].bytes;
        s->flops += rows[i].flops;
    }
    free(rows);
    return st;
}

/* The table by operation; into `out` too unless that is NULL. */
static bd_status report_ops(json_t *out, const bench_net *b, const char *what,
                            const bench_options *o) {
    op_sum sum[BD_OP_COUNT] = {{0}};
    double total = 0;
    BD_TRY(sum_ops(sum, b, what, o));
    for (int op = 0; op < BD_OP_COUNT; op++) total += sum[op].seconds;
    printf("graph\top\tcalls\tms\tshare_percent\tGB_per_s\tGFLOP_per_s\n");
    for (int op = 0; op < BD_OP_COUNT; op++) {
        const op_sum *s = &sum[op];
        if (!s->calls) continue;
        const char *name = bd_op_name((bd_op)op);
        double share = 100 * s->seconds / total, rate = s->bytes / s->seconds * 1e-9,
               gflops = s->flops / s->seconds * 1e-9;
        printf("%s\t%s\t%d\t%.3f\t%.1f\t%.1f\t%.1f\n", what, name, s->calls, s->seconds * 1e3,
               share, rate, gflops);
        if (!out) continue;
        json_t *row = json_pack("{s:s, s:i, s:f, s:f, s:f, s:f}", "op", name, "calls", s->calls,
                                "ms", s->seconds * 1e3, "share_percent", share, "GB_per_s", rate,
                                "GFLOP_per_s", gflops);
        BD_REQUIRE(row && !json_array_append_new(out, row), BD_E_MEMORY, "bench: out of memory");
    }
    return BD_OK;
}

/* What was measured of a network. */
typedef struct {
    const char *net, *phase;
    int threads, tile, batch;
    double rate, gflops, mib, t[3]; /* seconds: least, median, most */
} bench_row;

static void print_row(const bench_run *r, const bench_row *w) {
    printf("%s\t%s\t%d\t%d\t%d\t%.2f\t%.1f\t%.1f", w->net, w->phase, w->threads, w->tile, w->batch,
           w->rate, w->gflops, w->mib);
    if (r->backend.whole_batch) {
        printf("\t%.4f\t%.4f\t%.4f", w->t[1] * 1e3, w->t[0] * 1e3, w->t[2] * 1e3);
        if (r->peak > 0) printf("\t%.2f", 100 * w->gflops * 1e9 / r->peak);
    }
    printf("\n");
}

static void print_header(const bench_run *r, const char *machine) {
    printf("# %s; median of %d steps\n", machine, r->o->repeat);
    if (r->backend.whole_batch)
        printf("# images_per_s of phase sample: images times network evaluations a second\n");
    printf("net\tphase\tthreads\ttile\tbatch\timages_per_s\tGFLOP_per_s\tMiB%s%s\n",
           r->backend.whole_batch ? "\tms\tms_min\tms_max" : "",
           r->peak > 0 ? "\tpeak_percent" : "");
}

/* One line of the table, and the same as an object; t: all times in ascending order. */
static bd_status report(const bench_run *r, const bench_net *b, const char *net, const char *phase,
                        int tiles, const double *t) {
    bd_memory m;
    int repeat = r->o->repeat, batch = tiles * b->tile;
    double median = t[repeat / 2];
    b->backend->engine_memory(b->engine, &m);
    const bench_row w = {net,
                         phase,
                         bd_pool_workers(r->pool),
                         b->tile,
                         batch,
                         batch / median,
                         bd_graph_flops(b->g) * tiles / median * 1e-9,
                         (double)m.total / (1 << 20),
                         {t[0], median, t[repeat - 1]}};
    print_row(r, &w);
    json_t *ops = r->results && r->o->ops ? json_array() : NULL;
    if (r->results) {
        json_t *row =
            json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:o*}", "net", net,
                      "phase", phase, "threads", w.threads, "tile", w.tile, "batch", batch,
                      "images_per_s", w.rate, "GFLOP_per_s", w.gflops, "MiB", w.mib, "seconds_min",
                      w.t[0], "seconds_median", w.t[1], "seconds_max", w.t[2], "ops", ops);
        BD_REQUIRE(row && !json_array_append_new(r->results, row), BD_E_MEMORY,
                   "bench: out of memory");
    }
    return r->o->ops ? report_ops(ops, b, phase, r->o) : BD_OK;
}

/* --- networks --- */

static bd_status bench_one(const bench_run *r, const char *net, const bd_unet_config *c,
                           bool train) {
    const bench_options *o = r->o;
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

static bool wanted(const bench_options *o, const char *phase) {
    return !strcmp(o->phase, "both") || !strcmp(o->phase, phase);
}

/* channels = 0: those of the data set the network is for. */
static bd_status bench_net_name(const bench_run *r, const char *net, int channels) {
    bd_unet_config c;
    if (!strcmp(net, "inception")) return bench_one(r, net, NULL, false);
    BD_TRY(bd_unet_preset(&c, net, r->o->size, r->o->channels ? r->o->channels : channels));
    if (wanted(r->o, "train")) BD_TRY(bench_one(r, net, &c, true));
    return wanted(r->o, "sample") ? bench_one(r, net, &c, false) : BD_OK;
}

static bd_status bench_all(const bench_run *r) {
    const bench_options *o = r->o;
    bool mini = !o->net || strcmp(o->net, "mini") == 0;
    BD_TRY(bench_net_name(r, o->net ? o->net : "mini", mini ? 1 : 3));
    return o->net ? BD_OK : bench_net_name(r, "cifar10", 3);
}

/* --- ceilings --- */

/* One row a ceiling. */
static bd_status measure_ceilings(bench_run *r, json_t *root) {
    bd_cuda_ceilings c;
    BD_REQUIRE(!strcmp(r->backend.name, "cuda"), BD_E_ARG,
               "--ceilings is for CUDA devices, and this is the %s", r->backend.name);
    BD_TRY(bd_cuda_ceilings_measure(&c, r->backend.device, r->o->side));
    r->peak = c.product[r->backend.precision];
    json_t *all = json_object();
    printf("ceiling\trate\tunit\thow\n");
    printf("copy\t%.1f\tGB/s\t%.0f MiB within the device, read and written\n", c.copy * 1e-9,
           (double)c.copy_bytes / (1 << 20));
    bool failed = !all || json_object_set_new(all, "copy_GB_per_s", json_real(c.copy * 1e-9));
    for (int i = 0; i <= BD_PRECISION_FP16 && !failed; i++) {
        const char *name = bd_precision_name((bd_precision)i);
        if (c.product[i] <= 0) continue;
        printf("%s\t%.2f\tTFLOP/s\tproduct of matrices of side %d\n", name, c.product[i] * 1e-12,
               c.side);
        failed = json_object_set_new(all, name, json_real(c.product[i] * 1e-12)) != 0;
    }
    failed = failed || (root && json_object_set(root, "ceilings", all));
    json_decref(all);
    BD_REQUIRE(!failed, BD_E_MEMORY, "bench: out of memory");
    return BD_OK;
}

static bd_status measure(bench_run *r, const char *machine, json_t *root) {
    const bench_options *o = r->o;
    if (o->ceilings) BD_TRY(measure_ceilings(r, root));
    if (o->ceilings && !o->net) return BD_OK; /* that was all */
    print_header(r, machine);
    return bench_all(r);
}

static bd_status bench(const bench_options *o) {
    bench_run r = {.o = o};
    int threads;
    char print[256];
    json_t *root = NULL;
    BD_REQUIRE(wanted(o, "train") || wanted(o, "sample"), BD_E_ARG,
               "phase %s: must be train, sample or both", o->phase);
    BD_TRY(bd_cli_threads(&threads, o->threads));
    BD_TRY(bd_device_open(&r.backend, o->device, o->precision));
    BD_TRY(r.backend.fingerprint(&r.backend, print, sizeof print));
    if (o->json) {
        r.results = json_array();
        root = json_pack("{s:s, s:i, s:o*}", "machine", print, "repeat", o->repeat, "results",
                         r.results);
        BD_REQUIRE(root && r.results, BD_E_MEMORY, "bench: out of memory");
    }
    bd_status st = bd_pool_create(&r.pool, threads);
    if (!st) st = measure(&r, print, root);
    bd_pool_destroy(r.pool);
    if (!st && root) st = bd_json_save(o->json, root);
    json_decref(root);
    return st;
}

int bd_cli_bench(int argc, char **argv) {
    bench_options o = {NULL, "both", NULL, "auto", "f32", 32, 0, 0, 16, 9, 0, 0, 0, 8192};
    const bd_opt opts[] = {
        {0, "net", BD_OPT_TEXT, "NAME", &o.net, 0, 0,
         "preset of the network: mini, cifar10, celebahq, scratch (default mini, then cifar10); or "
         "inception"},
        {0, "size", BD_OPT_INT, "PIXELS", &o.size, 8, 1024, "side of an image"},
        {0, "channels", BD_OPT_INT, "N", &o.channels, 0, 3,
         "channels of an image, 0 = 1 for mini, 3 for the others"},
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
         "also the time of each kind of operation, one worker; given twice, of each operation"},
        {0, "ceilings", BD_OPT_FLAG, NULL, &o.ceilings, 0, 0,
         "measure what the CUDA device gives at most: copies, matrix products; then --net, in "
         "percent of that"},
        {0, "ceiling-side", BD_OPT_INT, "N", &o.side, 16, 32768,
         "side of those matrices, a multiple of 16; memory: 32 N^2 bytes"},
        {0, "json", BD_OPT_TEXT, "FILE", &o.json, 0, 0, "write the results there too"},
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
