/* The tables of `baddiff bench`, and the same as JSON. */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "cpu/vec.h"
#include "io/json.h"

enum { FINGERPRINT = 256 };

static bd_status put(json_t *to, const char *key, json_t *value) {
    BD_REQUIRE(!json_object_set_new(to, key, value), BD_E_MEMORY, "bench: out of memory");
    return BD_OK;
}

/* --- the machine --- */

/* The instruction set of the CPU backend's kernels; the bits do not depend on it, the speed does. */
static const char *instruction_set(void) {
    const bd_vec *v = bd_vec_best();
    return v ? v->isa : "none";
}

bd_status bd_bench_json_open(bd_bench *b) {
    const bd_machine *m = &b->machine;
    char print[FINGERPRINT];
    BD_TRY(b->backend.fingerprint(&b->backend, print, sizeof print));
    b->results = json_array();
    b->root = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:i, s:o}", "machine", print,
                        "instruction_set", instruction_set(), "cpu", m->cpu, "cpu_family",
                        m->family, "cpu_model", m->model, "processors", m->processors, "memory_GiB",
                        m->memory / (1 << 30), "repeat", b->o->repeat, "results", b->results);
    BD_REQUIRE(b->root, BD_E_MEMORY, "bench: out of memory");
    return BD_OK;
}

bd_status bd_bench_json_save(const bd_bench *b) {
    BD_TRY(put(b->root, "peak_rss_MiB", json_real(bd_machine_peak_memory() / (1 << 20))));
    return bd_json_save(b->o->json, b->root);
}

/* What rates are compared with. */
static const char *ceiling_columns(const bd_bench *b) {
    if (!b->o->ceilings) return "";
    return b->backend.whole_batch ? "\tpeak_percent" : "\tconv_GFLOP_per_s\tconv_percent";
}

bd_status bd_bench_head(const bd_bench *b) {
    const bd_machine *m = &b->machine;
    const bool device = b->backend.whole_batch;
    char print[FINGERPRINT];
    BD_TRY(b->backend.fingerprint(&b->backend, print, sizeof print));
    printf("# %s; %s; %s, family %d, model %d; %d processors, %.1f GiB; median of %d steps\n",
           print, instruction_set(), m->cpu[0] ? m->cpu : "a processor without a name", m->family,
           m->model, m->processors, m->memory / (1 << 30), b->o->repeat);
    printf("# GFLOP counts convolutions as if computed directly, and attention\n");
    if (b->o->ceilings && !device)
        printf("# conv_GFLOP_per_s: the network's convolutions, each by itself on all workers at "
               "once\n");
    if (device)
        printf("# images_per_s of phase sample: images times network evaluations a second\n");
    printf("net\tphase\tthreads\ttile\tbatch\timages_per_s\tGFLOP_per_s\tMiB%s%s\n",
           device ? "\tms\tms_min\tms_max" : "", ceiling_columns(b));
    return BD_OK;
}

/* --- operations --- */

/* One kind of operation of a graph: its calls added up. */
typedef struct {
    int calls;
    double seconds, bytes, flops, floor;
} op_sum;

/* A line for every node: how it was computed. */
static void print_nodes(const bd_bench *b, const bd_bench_row *w) {
    const bool floors = b->copy > 0;
    printf("graph\tnode\top\tms\tGB_per_s\tGFLOP_per_s\thow%s\n", floors ? "\tfloor_ms" : "");
    for (int i = 0; i < w->profile.n; i++) {
        const bd_op_profile *r = &w->profile.rows[i];
        double rate = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        printf("%s\t%d\t%s\t%.4f\t%.1f\t%.1f\t%.*s", w->phase, r->node, bd_op_name(r->op),
               r->seconds * 1e3, r->bytes * rate, r->flops * rate, (int)sizeof r->impl, r->impl);
        if (floors) printf("\t%.4f", bd_bench_floor(b, &w->profile, r) * 1e3);
        printf("\n");
    }
}

/* Returns the seconds of all. */
static double sum_ops(op_sum sum[BD_OP_COUNT], const bd_bench *b, const bd_bench_profile *p) {
    double total = 0;
    for (int i = 0; i < p->n; i++) {
        const bd_op_profile *r = &p->rows[i];
        op_sum *s = &sum[r->op];
        s->calls++;
        s->seconds += r->seconds;
        s->bytes += r->bytes;
        s->flops += r->flops;
        s->floor += bd_bench_floor(b, p, r);
        total += r->seconds;
    }
    return total;
}

/* The line of a kind of operation; into `out` too unless that is NULL. */
static bd_status report_op(json_t *out, const bd_bench *b, const char *phase, const char *name,
                           const op_sum *s, double total) {
    double share = 100 * s->seconds / total, rate = s->bytes / s->seconds * 1e-9,
           gflops = s->flops / s->seconds * 1e-9;
    printf("%s\t%s\t%d\t%.3f\t%.1f\t%.1f\t%.1f", phase, name, s->calls, s->seconds * 1e3, share,
           rate, gflops);
    if (b->copy > 0) printf("\t%.3f", s->floor * 1e3);
    printf("\n");
    if (!out) return BD_OK;
    json_t *row = json_pack("{s:s, s:i, s:f, s:f, s:f, s:f}", "op", name, "calls", s->calls, "ms",
                            s->seconds * 1e3, "share_percent", share, "GB_per_s", rate,
                            "GFLOP_per_s", gflops);
    BD_REQUIRE(row && !json_array_append_new(out, row), BD_E_MEMORY, "bench: out of memory");
    return b->copy > 0 ? put(row, "floor_ms", json_real(s->floor * 1e3)) : BD_OK;
}

static bd_status report_ops(json_t *out, const bd_bench *b, const bd_bench_row *w) {
    op_sum sum[BD_OP_COUNT] = {{0}};
    if (b->o->ops > 1) print_nodes(b, w);
    double total = sum_ops(sum, b, &w->profile);
    printf("graph\top\tcalls\tms\tshare_percent\tGB_per_s\tGFLOP_per_s%s\n",
           b->copy > 0 ? "\tfloor_ms" : "");
    for (int op = 0; op < BD_OP_COUNT; op++)
        if (sum[op].calls)
            BD_TRY(report_op(out, b, w->phase, bd_op_name((bd_op)op), &sum[op], total));
    return BD_OK;
}

/* --- a network --- */

static void print_row(const bd_bench *b, const bd_bench_row *w, double rate, double gflops) {
    const double ceiling = w->profile.ceiling * 1e-9;
    printf("%s\t%s\t%d\t%d\t%d\t%.2f\t%.1f\t%.1f", w->net, w->phase, bd_pool_workers(b->pool),
           w->tile, w->batch, rate, gflops, w->bytes / (1 << 20));
    if (b->backend.whole_batch)
        printf("\t%.4f\t%.4f\t%.4f", w->t[1] * 1e3, w->t[0] * 1e3, w->t[2] * 1e3);
    else if (ceiling > 0)
        printf("\t%.1f", ceiling);
    if (ceiling > 0) printf("\t%.2f", 100 * gflops / ceiling);
    printf("\n");
}

/* *ops: where its operations go; NULL: nowhere */
static bd_status row_json(json_t **ops, const bd_bench *b, const bd_bench_row *w, double rate,
                          double gflops) {
    const double ceiling = w->profile.ceiling * 1e-9;
    *ops = NULL;
    if (!b->results) return BD_OK;
    json_t *row =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "net", w->net, "phase",
                  w->phase, "threads", bd_pool_workers(b->pool), "tile", w->tile, "batch", w->batch,
                  "images_per_s", rate, "GFLOP_per_s", gflops, "MiB", w->bytes / (1 << 20),
                  "seconds_min", w->t[0], "seconds_median", w->t[1], "seconds_max", w->t[2]);
    BD_REQUIRE(row && !json_array_append_new(b->results, row), BD_E_MEMORY, "bench: out of memory");
    if (ceiling > 0) {
        BD_TRY(put(row, "ceiling_GFLOP_per_s", json_real(ceiling)));
        BD_TRY(put(row, "ceiling_percent", json_real(100 * gflops / ceiling)));
    }
    if (!b->o->ops) return BD_OK;
    *ops = json_array();
    return put(row, "ops", *ops);
}

bd_status bd_bench_report(const bd_bench *b, const bd_bench_row *w) {
    const double rate = w->batch / w->t[1], gflops = w->flops / w->t[1] * 1e-9;
    json_t *ops;
    print_row(b, w, rate, gflops);
    BD_TRY(row_json(&ops, b, w, rate, gflops));
    return b->o->ops ? report_ops(ops, b, w) : BD_OK;
}
