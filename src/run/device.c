#include "run/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"

bool bd_device_is_cpu(const char *device) { return !device[0] || !strcmp(device, "cpu"); }

int bd_stage_tile(const bd_stage *s, int64_t tile, int64_t batch) {
    return (int)(bd_device_is_cpu(s->device) ? tile : batch);
}

int bd_stage_sample_tile(const bd_stage *s) {
    const bd_recipe *r = &s->recipe;
    return bd_stage_tile(s, r->sample_tile,
                         r->sample_batch < r->sample_n ? r->sample_batch : r->sample_n);
}

/* "cuda" or "cuda:K" -> K; -1: another name */
static int cuda_number(const char *device) {
    if (!strcmp(device, "cuda")) return 0;
    char *end = NULL;
    long k = strncmp(device, "cuda:", 5) != 0 ? -1 : strtol(device + 5, &end, 10);
    return end && end != device + 5 && !*end && k >= 0 && k < 1024 ? (int)k : -1;
}

/* cuda:0 when it can be used, else cpu. */
static const char *find_auto(bd_precision p) {
    bd_backend b;
    if (bd_cuda_devices() == 0) return "cpu";
    if (!bd_cuda_backend_init(&b, 0, p)) return "cuda:0";
    bd_log(BD_LOG_WARN, "device = auto: the CPU is taken, for the CUDA device cannot be used: %s",
           bd_error());
    return "cpu";
}

/* Looked for, and warned of, once a precision: a plan has a thousand cells. Plans are made by one thread. */
static const char *settle_auto(bd_precision p) {
    static const char *found[BD_PRECISION_FP16 + 1];
    if (!found[p]) found[p] = find_auto(p);
    return found[p];
}

/* The precision of auto: bf16 unless the device is there and too old for it. */
static const char *auto_precision(const char *device) {
    bd_backend b;
    if (bd_device_is_cpu(device)) return "f32";
    bd_status st = bd_cuda_backend_init(&b, cuda_number(device), BD_PRECISION_BF16);
    return st == BD_E_ARG ? "fp16" : "bf16";
}

/* Has the CPU this precision? */
static bool on_cpu(bd_precision p) { return p == BD_PRECISION_F32 || p == BD_PRECISION_BF16; }

bd_status bd_device_settle(bd_recipe *r) {
    bd_precision p = BD_PRECISION_F32;
    bool any = !strcmp(r->run_precision, "auto"), was_auto = !strcmp(r->run_device, "auto");
    const char *device = r->run_device;
    if (!any) BD_TRY(bd_precision_parse(&p, r->run_precision));
    if (was_auto) device = settle_auto(p);
    if (!strcmp(device, "cuda")) device = "cuda:0";
    if (device != r->run_device) snprintf(r->run_device, sizeof r->run_device, "%s", device);
    if (any) snprintf(r->run_precision, sizeof r->run_precision, "%s", auto_precision(device));
    BD_REQUIRE(!bd_device_is_cpu(device) || on_cpu(p), BD_E_ARG,
               "run.precision = %s is for CUDA devices, and %s", r->run_precision,
               was_auto ? "there is none here ('baddiff doctor' says why)" : "run.device is cpu");
    return BD_OK;
}

bd_status bd_device_open(bd_backend *out, const char *device, const char *precision) {
    bd_precision p;
    BD_TRY(bd_precision_parse(&p, precision));
    if (bd_device_is_cpu(device)) {
        BD_REQUIRE(on_cpu(p), BD_E_ARG,
                   "precision %s is for CUDA devices; the CPU computes in f32 or bf16", precision);
        *out = bd_backend_cpu;
        out->precision = p;
        return BD_OK;
    }
    if (!strcmp(device, "auto")) return bd_device_open(out, settle_auto(p), precision);
    int k = cuda_number(device);
    BD_REQUIRE(k >= 0, BD_E_ARG, "device %s: must be auto, cpu, cuda or cuda:K", device);
    return bd_cuda_backend_init(out, k, p);
}

bd_status bd_stage_backend(const bd_backend **out, bd_backend *own, const bd_backend *usual,
                           const bd_stage *s) {
    *out = usual;
    if (!s->device[0]) return BD_OK;
    if (bd_device_is_cpu(s->device) && !strcmp(s->precision, bd_precision_name(usual->precision)))
        return BD_OK;
    *out = own;
    return bd_device_open(own, s->device, s->precision);
}

bd_status bd_dag_backend(bd_backend *out, const bd_dag *d, int file) {
    const bd_recipe *r = NULL;
    for (int i = 0; i < d->n_cells && !r; i++)
        if (d->cell[i].file == file) r = &d->cell[i].recipe;
    return r ? bd_device_open(out, r->run_device, r->run_precision)
             : bd_device_open(out, "", "f32");
}

void bd_device_kind(char *out, size_t size, const char *device, const char *precision) {
    snprintf(out, size, "%s-%s", bd_device_is_cpu(device) ? "cpu" : "cuda", precision);
}
