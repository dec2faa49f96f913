#include "cuda_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emu/emu_api.h"

/* The emulator's own controls: there in programs that are linked with it. */
#pragma weak emu_set_order

enum { BUFFERS = 32, GUARD_BYTES = 1024 };
/* The emulator guards its allocations itself, and AddressSanitizer sees them. */
#define GUARD (emu_set_order ? 0 : (size_t)GUARD_BYTES)

typedef enum { IN, IO, OUT } buffer_kind;
typedef struct {
    unsigned char *device, *before, *first,
        *after; /* host copies: contents before a run, after the first, after this */
    size_t n, bytes;
    bd_type type;
    buffer_kind kind;
} buffer;

static buffer buffers[BUFFERS];
static int count;
static const bd_cuda_platform *platform;
static void *stream;

static void check(int st, const char *what) {
    if (st) fail_msg("%s: %s (%d)", what, platform->error_text(st), st);
}

static void clear(void) {
    for (int i = 0; i < count; i++) {
        buffer *b = &buffers[i];
        check(platform->device_free(b->device), "device_free");
        free(b->before);
        free(b->first);
        free(b->after);
    }
    count = 0;
}

const bd_cuda_platform *cuda_begin(void) {
    platform = bd_cuda_platform_get();
    int n = 0;
    if (!platform) {
        print_message("skipped: this program was built without CUDA\n");
        skip();
        return NULL; /* not reached */
    }
    int st = platform->device_count(&n);
    if (st || n < 1) {
        print_message("skipped: no CUDA device: %s\n",
                      st ? platform->error_text(st) : "none found");
        skip();
        return NULL; /* not reached */
    }
    clear();
    check(platform->device_set(0), "device_set");
    if (!stream) check(platform->stream_create(&stream), "stream_create");
    return platform;
}

void cuda_end(void) {
    check(platform->stream_sync(stream), "at the end of the test");
    clear();
    check(platform->stream_destroy(stream), "stream_destroy");
    stream = NULL;
}

/* ---- numbers */

static void format_of(bd_type type, int *bits, int *emin, double *most) {
    *bits = type == BD_TYPE_F32 ? 24 : type == BD_TYPE_BF16 ? 8 : 11;
    *emin = type == BD_TYPE_F16 ? -14 : -126;
    *most = ldexp(2.0 - ldexp(1.0, 1 - *bits), type == BD_TYPE_F16 ? 15 : 127);
}

double cuda_round(double x, bd_type type) {
    if (type == BD_TYPE_F64 || !isfinite(x) || x == 0.0) return x;
    if (type == BD_TYPE_I32 || type == BD_TYPE_U8) return nearbyint(x);
    int bits, emin, e;
    double most;
    format_of(type, &bits, &emin, &most);
    (void)frexp(x, &e); /* |x| in [2^(e-1), 2^e) */
    int last = (e - 1 > emin ? e - 1 : emin) - (bits - 1);
    double y = ldexp(nearbyint(ldexp(x, -last)), last);
    return fabs(y) > most ? copysign(INFINITY, x) : y;
}

double cuda_unit(bd_type type) {
    int bits, emin;
    double most;
    if (type == BD_TYPE_F64) return 0x1p-53;
    format_of(type, &bits, &emin, &most);
    return ldexp(1.0, -bits);
}

/* The 16 bits of a number that cuda_round gave. */
static uint16_t encode16(double x, bd_type type) {
    int bits, emin, e;
    double most;
    format_of(type, &bits, &emin, &most);
    unsigned sign = signbit(x) ? 0x8000u : 0u, top = type == BD_TYPE_F16 ? 0x7c00u : 0x7f80u;
    if (isnan(x)) return 0x7fff;
    if (isinf(x)) return (uint16_t)(sign | top);
    (void)frexp(x, &e);
    if (x == 0.0 || e - 1 < emin)
        return (uint16_t)(sign | (unsigned)ldexp(fabs(x), bits - 1 - emin));
    unsigned mantissa = (unsigned)ldexp(fabs(x), bits - e) & ((1u << (bits - 1)) - 1);
    return (uint16_t)(sign | (unsigned)(e - emin) << (bits - 1) | mantissa);
}

static double decode16(uint16_t u, bd_type type) {
    int bits, emin;
    double most;
    format_of(type, &bits, &emin, &most);
    unsigned mantissa = u & ((1u << (bits - 1)) - 1);
    int e = (u & 0x7fff) >> (bits - 1), last = (type == BD_TYPE_F16 ? 31 : 255);
    double x = e == last ? (mantissa ? NAN : INFINITY)
               : e       ? ldexp((double)(mantissa | 1u << (bits - 1)), e - 1 + emin - (bits - 1))
                         : ldexp((double)mantissa, emin - (bits - 1));
    return u & 0x8000 ? -x : x;
}

static size_t size_of(bd_type type) {
    return type == BD_TYPE_F64                           ? 8
           : type == BD_TYPE_U8                          ? 1
           : type == BD_TYPE_BF16 || type == BD_TYPE_F16 ? 2
                                                         : 4;
}

static void encode(void *out, double x, bd_type type) {
    float f = (float)x;
    int32_t i = type == BD_TYPE_I32 ? (int32_t)x : 0;
    uint8_t b = type == BD_TYPE_U8 ? (uint8_t)x : 0;
    uint16_t h = type == BD_TYPE_BF16 || type == BD_TYPE_F16 ? encode16(x, type) : 0;
    const void *from = type == BD_TYPE_F64   ? (const void *)&x
                       : type == BD_TYPE_F32 ? (const void *)&f
                       : type == BD_TYPE_I32 ? (const void *)&i
                       : type == BD_TYPE_U8  ? (const void *)&b
                                             : (const void *)&h;
    memcpy(out, from, size_of(type));
}

static double decode(const void *p, bd_type type) {
    union {
        double d;
        float f;
        int32_t i;
        uint8_t b;
        uint16_t h;
    } u = {0};
    memcpy(&u, p, size_of(type));
    switch (type) {
    case BD_TYPE_F64: return u.d;
    case BD_TYPE_F32: return (double)u.f;
    case BD_TYPE_I32: return (double)u.i;
    case BD_TYPE_U8: return (double)u.b;
    default: return decode16(u.h, type);
    }
}

/* ---- buffers */

static size_t whole(const buffer *b) { return b->bytes + GUARD; }

static buffer *add(bd_type type, size_t n, size_t bytes, buffer_kind kind) {
    if (count == BUFFERS) fail_msg("more than %d buffers: raise BUFFERS in cuda_check.c", BUFFERS);
    buffer *b = &buffers[count];
    *b = (buffer){.n = n, .bytes = bytes, .type = type, .kind = kind};
    void *p = NULL;
    check(platform->device_alloc(&p, whole(b)), "device_alloc");
    b->device = p;
    b->before = malloc(whole(b));
    b->first = malloc(whole(b));
    b->after = malloc(whole(b));
    count++;
    assert_true(b->before && b->first && b->after);
    memset(b->before, 0xff, whole(b));
    return b;
}

static void *upload(const buffer *b) {
    check(platform->copy(b->device, b->before, whole(b), stream), "copy to the device");
    check(platform->stream_sync(stream), "copy to the device");
    return b->device;
}

static void *add_numbers(bd_type type, double *x, size_t n, buffer_kind kind) {
    buffer *b = add(type, n, n * size_of(type), kind);
    for (size_t i = 0; i < n; i++) {
        x[i] = cuda_round(x[i], type);
        encode(b->before + i * size_of(type), x[i], type);
    }
    return upload(b);
}

void *cuda_in(bd_type type, double *x, size_t n) { return add_numbers(type, x, n, IN); }
void *cuda_io(bd_type type, double *x, size_t n) { return add_numbers(type, x, n, IO); }
void *cuda_out(bd_type type, size_t n) { return upload(add(type, n, n * size_of(type), OUT)); }

void *cuda_in_bytes(const void *x, size_t bytes) {
    buffer *b = add(BD_TYPE_U8, bytes, bytes, IN);
    memcpy(b->before, x, bytes);
    return upload(b);
}

static buffer *find(const void *p) {
    for (int i = 0; i < count; i++) {
        if (buffers[i].device == p) return &buffers[i];
    }
    fail_msg("not the start of a buffer of this test");
    return NULL;
}

static void download(buffer *b, unsigned char *to) {
    check(platform->copy(to, b->device, whole(b), stream), "copy from the device");
    check(platform->stream_sync(stream), "copy from the device");
}

void cuda_get(double *out, const void *p) {
    buffer *b = find(p);
    download(b, b->after);
    for (size_t i = 0; i < b->n; i++) out[i] = decode(b->after + i * size_of(b->type), b->type);
}

void cuda_get_bytes(void *out, const void *p) {
    buffer *b = find(p);
    download(b, b->after);
    memcpy(out, b->after, b->bytes);
}

/* ---- runs */

static const char *const names[CUDA_KERNELS] = {
#define BD_KERNEL(name) #name,
#include "cuda/kernels.def"
#undef BD_KERNEL
};

int cuda_check_call(cuda_kernel k, const void *args) {
    switch (k) {
#define BD_KERNEL(name) \
    case CUDA_K_##name: \
        return platform->k.name(args, stream);
#include "cuda/kernels.def"
#undef BD_KERNEL
    default: return -1;
    }
}

static void check_buffer(const char *kernel, int run, int i) {
    const buffer *b = &buffers[i];
    for (size_t j = 0; j < whole(b); j++) {
        if (j >= b->bytes && b->after[j] != 0xff) {
            fail_msg("%s: wrote %zu bytes behind buffer %d of %zu bytes", kernel, j - b->bytes, i,
                     b->bytes);
        }
        if (b->kind == IN && b->after[j] != b->before[j])
            fail_msg("%s: changed input %d, byte %zu", kernel, i, j);
        if (run > 0 && b->after[j] != b->first[j]) {
            fail_msg("%s: run %d differs from the first in buffer %d, element %zu", kernel, run, i,
                     j / size_of(b->type));
        }
    }
}

void cuda_check_run(cuda_kernel k, const void *args) {
    int orders = emu_set_order ? EMU_ORDERS : 2;
    for (int i = 0; i < count; i++) download(&buffers[i], buffers[i].before);
    for (int run = 0; run < orders; run++) {
        if (emu_set_order) emu_set_order(run);
        for (int i = 0; i < count; i++) upload(&buffers[i]);
        int st = cuda_check_call(k, args);
        if (emu_set_order) emu_set_order(EMU_FORWARD);
        if (!st) st = platform->stream_sync(stream);
        check(st, names[k]);
        for (int i = 0; i < count; i++) {
            download(&buffers[i], buffers[i].after);
            if (run == 0) memcpy(buffers[i].first, buffers[i].after, whole(&buffers[i]));
            check_buffer(names[k], run, i);
        }
    }
}
