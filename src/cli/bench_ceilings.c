/* What this machine gives at most, for comparison with what the networks get. */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "cpu/probe.h"
#include "cuda/probe.h"

static void print_copy(double rate, size_t bytes, const char *how) {
    printf("ceiling\trate\tunit\thow\n");
    printf("copy\t%.1f\tGB/s\t%.0f MiB %s, read and written\n", rate * 1e-9,
           (double)bytes / (1 << 20), how);
}

static bd_status put(json_t *all, const char *name, double value) {
    BD_REQUIRE(!all || !json_object_set_new(all, name, json_real(value)), BD_E_MEMORY,
               "bench: out of memory");
    return BD_OK;
}

static bd_status measure_cpu(bd_bench *b, json_t *all) {
    size_t bytes;
    BD_TRY(bd_cpu_copy_measure(&b->copy, &bytes, b->pool));
    print_copy(b->copy, bytes, "by each worker");
    return put(all, "copy_GB_per_s", b->copy * 1e-9);
}

static bd_status measure_cuda(bd_bench *b, json_t *all) {
    bd_cuda_ceilings c;
    BD_TRY(bd_cuda_ceilings_measure(&c, b->backend.device, b->o->side));
    b->copy = c.copy;
    b->product = c.product[b->backend.precision];
    print_copy(c.copy, c.copy_bytes, "within the device");
    BD_TRY(put(all, "copy_GB_per_s", c.copy * 1e-9));
    for (int i = 0; i <= BD_PRECISION_FP16; i++) {
        const char *name = bd_precision_name((bd_precision)i);
        if (c.product[i] <= 0) continue;
        printf("%s\t%.2f\tTFLOP/s\tproduct of matrices of side %d\n", name, c.product[i] * 1e-12,
               c.side);
        BD_TRY(put(all, name, c.product[i] * 1e-12));
    }
    return BD_OK;
}

bd_status bd_bench_ceilings(bd_bench *b) {
    json_t *all = b->root ? json_object() : NULL;
    BD_REQUIRE(!b->root || !json_object_set_new(b->root, "ceilings", all), BD_E_MEMORY,
               "bench: out of memory");
    return strcmp(b->backend.name, "cuda") ? measure_cpu(b, all) : measure_cuda(b, all);
}

/* The work of all convolutions over their time, by one worker: the mean of their rates, harmonic and weighted by work. */
static double conv_rate(const bd_bench_profile *p) {
    double flops = 0, seconds = 0;
    for (int i = 0; i < p->n; i++) {
        if (!bd_op_is_conv(p->rows[i].op)) continue;
        flops += p->rows[i].flops;
        seconds += p->rows[i].seconds;
    }
    return seconds > 0 ? flops / seconds : 0;
}

bd_status bd_bench_profile_get(bd_bench_profile *out, const bd_bench *b, bd_engine *e) {
    const bool cuda = !strcmp(b->backend.name, "cuda"), all = b->o->ceilings && !cuda;
    *out = (bd_bench_profile){.workers = all ? bd_pool_workers(b->pool) : 1, .ceiling = b->product};
    if (!b->o->ops && !all) return BD_OK;
    BD_TRY(b->backend.profile(e, all ? BD_PROFILE_ALL : BD_PROFILE_ONE, b->o->repeat, &out->rows,
                              &out->n));
    if (all) out->ceiling = out->workers * conv_rate(out);
    return BD_OK;
}

double bd_bench_floor(const bd_bench *b, const bd_bench_profile *p, const bd_op_profile *op) {
    if (b->copy <= 0 || p->ceiling <= 0) return 0;
    double compute = op->flops / (p->ceiling / p->workers),
           move = op->bytes / (b->copy / p->workers);
    return compute > move ? compute : move;
}
