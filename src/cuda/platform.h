/* The wall between the CUDA backend and CUDA: device memory, streams, graphs, kernels, libraries.
 * Three things stand behind it: a device (kernels/platform.cu, built by nvcc), nothing (cuda/none.c, built without
 * CUDA), and the emulator of the tests (tests/emu/platform_emu.cpp). Everything in src/cuda is plain C above it. */
#ifndef BD_CUDA_PLATFORM_H
#define BD_CUDA_PLATFORM_H

#include "cuda/kernels.h"

struct bd_dnn_api;  /* cuda/dnn_api.h */
struct bd_blas_api; /* cuda/blas_api.h */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char name[128];
    int major, minor; /* compute capability */
    int sms;
    size_t memory;           /* bytes of device memory                          */
    size_t shared_per_block; /* most dynamic shared memory a block can ask for */
    size_t l2;
    int driver, runtime; /* CUDA versions, 13000 = 13.0 */
} bd_cuda_device_info;

/* Calls return 0 or a code that error_text explains. A stream is an opaque pointer; work is put on it in order. */
typedef struct {
    const char *name; /* "cuda", "emulator" */
    const char *(*error_text)(int code);
    int (*device_count)(int *n);
    int (*device_info)(bd_cuda_device_info *out, int device);
    int (*device_set)(int device); /* for the calling thread */
    int (*memory_info)(size_t *free_bytes, size_t *total_bytes);
    int (*device_alloc)(void **out, size_t n); /* contents undefined (the emulator: NaN) */
    int (*device_free)(void *p);               /* NULL allowed */
    int (*host_alloc)(void **out, size_t n);   /* page-locked */
    int (*host_free)(void *p);                 /* NULL allowed */
    int (*copy)(void *dst, const void *src, size_t n,
                void *stream); /* either way; asynchronous for page-locked memory */
    int (*fill)(void *dst, int byte, size_t n, void *stream);
    int (*stream_create)(void **out);
    int (*stream_destroy)(void *stream);
    int (*stream_sync)(void *stream); /* also reports what went wrong in kernels since */
    int (*event_create)(void **out);
    int (*event_destroy)(void *event);
    int (*event_record)(void *event, void *stream);
    int (*event_sync)(void *event);
    int (*event_ms)(float *ms, void *from, void *to);
    /* From begin to end the stream records instead of running; launch runs what was recorded. */
    int (*capture_begin)(void *stream);
    int (*capture_end)(void **graph, void *stream);
    int (*graph_launch)(void *graph, void *stream);
    int (*graph_destroy)(void *graph); /* NULL allowed */
    const struct bd_dnn_api *dnn;      /* NULL: open the library (cuda/library.h) */
    const struct bd_blas_api *blas;
    struct {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name */
#define BD_KERNEL(name) int (*name)(const bd_k_##name *a, void *stream);
#include "cuda/kernels.def"
#undef BD_KERNEL
    } k;
} bd_cuda_platform;

/* bd_cuda_platform_get -- the one this program was linked with; NULL: it was built without CUDA. */
const bd_cuda_platform *bd_cuda_platform_get(void);

#ifdef __cplusplus
}
#endif

#endif
