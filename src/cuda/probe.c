#include "cuda/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "cuda/dnn_internal.h"
#include "cuda/internal.h"

/* Random numbers are made on the host once and repeated on the device. */
enum { WARM_UP = 2, TIMES = 11, RANDOM_FLOATS = 1 << 20 };

typedef struct {
    cuda_context *ctx;
    int side;
    char *x,
        *y; /* 16 side^2 bytes each; x: A and B in float32, then both in 16 bits; y: the result, and copies */
    void *event[2];
} probe;

static size_t area(const probe *p) { return (size_t)p->side * (size_t)p->side; }

static bd_status check(const probe *p, int code, const char *doing) {
    return cuda_check(p->ctx->p, code, doing);
}

static bd_status copy(const probe *p, void *dst, const void *src, size_t n) {
    return check(p, p->ctx->p->copy(dst, src, n, p->ctx->stream), "copying");
}

static bd_status block(const probe *p, char **out) {
    void *at = NULL;
    int code = p->ctx->p->device_alloc(&at, 16 * area(p));
    BD_REQUIRE(!code, BD_E_MEMORY, "ceilings: %.2f GiB of device memory: %s",
               16 * (double)area(p) / (1 << 30), p->ctx->p->error_text(code));
    *out = at;
    return BD_OK;
}

/* Uniform in [-1, 1), from the first float of x to the last: the beginning is doubled until it is everything. */
static bd_status fill_random(const probe *p) {
    size_t n = 4 * area(p), done = n < RANDOM_FLOATS ? n : RANDOM_FLOATS;
    float *host = malloc(done * sizeof *host);
    BD_REQUIRE(host, BD_E_MEMORY, "ceilings: out of memory");
    bd_rng_uniform(host, done, (bd_rng_key){.seed = 1});
    for (size_t i = 0; i < done; i++) host[i] = 2 * host[i] - 1;
    bd_status st = copy(p, p->x, host, done * sizeof *host);
    if (!st) st = check(p, p->ctx->p->stream_sync(p->ctx->stream), "copying");
    free(host);
    for (size_t more; !st && done < n; done += more) {
        more = n - done < done ? n - done : done;
        st = copy(p, p->x + done * sizeof(float), p->x, more * sizeof(float));
    }
    return st;
}

static bd_status probe_open(probe *p, int device, int side) {
    *p = (probe){.side = side};
    BD_TRY(cuda_context_get(&p->ctx, device));
    BD_TRY(block(p, &p->x));
    BD_TRY(block(p, &p->y));
    for (int i = 0; i < 2; i++)
        BD_TRY(check(p, p->ctx->p->event_create(&p->event[i]), "making an event"));
    return fill_random(p);
}

static void probe_close(probe *p) {
    if (!p->ctx) return;
    const bd_cuda_platform *c = p->ctx->p;
    (void)c->stream_sync(p->ctx->stream);
    for (int i = 0; i < 2; i++)
        if (p->event[i]) (void)c->event_destroy(p->event[i]);
    (void)c->device_free(p->x);
    (void)c->device_free(p->y);
}

/* --- timing --- */

/* What is timed: a product, or a copy when plan is NULL. */
typedef struct {
    const bd_blas_plan *plan;
    const void *a, *b;
} work;

static bd_status put(const probe *p, const work *w) {
    if (!w->plan) return copy(p, p->y, p->x, 16 * area(p));
    return bd_blas_run(p->ctx->blas, w->plan, p->y, w->a, w->b, p->ctx->stream);
}

static bd_status time_once(const probe *p, const work *w, double *seconds) {
    const bd_cuda_platform *c = p->ctx->p;
    float ms;
    BD_TRY(check(p, c->event_record(p->event[0], p->ctx->stream), "timing"));
    BD_TRY(put(p, w));
    BD_TRY(check(p, c->event_record(p->event[1], p->ctx->stream), "timing"));
    BD_TRY(check(p, c->event_sync(p->event[1]), "timing"));
    BD_TRY(check(p, c->event_ms(&ms, p->event[0], p->event[1]), "timing"));
    *seconds = (double)ms * 1e-3;
    return BD_OK;
}

/* Seconds: the median. An interval below the clock's step counts as one of its steps, half a microsecond. */
static bd_status median(const probe *p, const work *w, double *seconds) {
    double t[TIMES];
    for (int i = 0; i < WARM_UP; i++) BD_TRY(time_once(p, w, &t[0]));
    for (int i = 0; i < TIMES; i++) BD_TRY(time_once(p, w, &t[i]));
    *seconds = fmax(bd_clock_median(t, TIMES), 5e-7);
    return BD_OK;
}

/* --- products --- */

/* A and B of x in the precision's type. */
static bd_status operands(const probe *p, work *w, bd_type type) {
    size_t n = 2 * area(p), at = type == BD_TYPE_F32 ? 0 : n * sizeof(float);
    w->a = p->x + at;
    w->b = p->x + at + area(p) * bd_type_size(type);
    if (type == BD_TYPE_F32) return BD_OK;
    const bd_k_scale k = {
        .y = p->x + at, .x = p->x, .ytype = type, .xtype = BD_TYPE_F32, .n = n, .k = 1};
    return check(p, p->ctx->p->k.scale(&k, p->ctx->stream), "rounding");
}

static bd_status measure_product(const probe *p, bd_precision precision, double *rate) {
    bd_type type = precision == BD_PRECISION_BF16   ? BD_TYPE_BF16
                   : precision == BD_PRECISION_FP16 ? BD_TYPE_F16
                                                    : BD_TYPE_F32;
    int n = p->side;
    const bd_blas_matmul s = {.m = n,
                              .n = n,
                              .k = n,
                              .batch = 1,
                              .trans_b = true, /* as a layer's weights [out][in] are */
                              .lda = n,
                              .ldb = n,
                              .ldc = n,
                              .type = type,
                              .ctype = type,
                              .tf32 = precision == BD_PRECISION_TF32,
                              .align = 16,
                              .alpha = 1};
    work w = {0};
    double seconds;
    BD_TRY(operands(p, &w, type));
    BD_TRY(bd_blas_plan_get(&w.plan, p->ctx->blas, &s));
    BD_TRY(median(p, &w, &seconds));
    *rate = 2.0 * n * n * n / seconds;
    return BD_OK;
}

/* bf16 and TF32 begin with compute capability 8.0. */
static bool has(const probe *p, bd_precision precision) {
    bool late = precision == BD_PRECISION_BF16 || precision == BD_PRECISION_TF32;
    return !late || p->ctx->info.major >= 8;
}

static bd_status measure(bd_cuda_ceilings *out, const probe *p) {
    const work copies = {0};
    double seconds;
    out->side = p->side;
    out->copy_bytes = 16 * area(p);
    BD_TRY(median(p, &copies, &seconds));
    out->copy = 2 * (double)out->copy_bytes / seconds;
    for (int i = 0; i <= BD_PRECISION_FP16; i++)
        if (has(p, (bd_precision)i)) BD_TRY(measure_product(p, (bd_precision)i, &out->product[i]));
    return BD_OK;
}

bd_status bd_cuda_ceilings_measure(bd_cuda_ceilings *out, int device, int side) {
    memset(out, 0, sizeof *out);
    BD_REQUIRE(side >= 16 && side % 16 == 0, BD_E_ARG, "ceilings: side %d is no multiple of 16",
               side);
    probe p;
    bd_status st = probe_open(&p, device, side);
    if (!st) st = measure(out, &p);
    probe_close(&p);
    return st;
}

bd_status bd_cuda_device_text(char **out, int device) {
    cuda_context *c;
    *out = NULL;
    BD_TRY(cuda_context_get(&c, device));
    return dnn_get_text(out, c->dnn->api, c->dnn->properties,
                        BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
}
