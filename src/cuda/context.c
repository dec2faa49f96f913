/* Devices and libraries: opened once, shared by all engines. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cuda/internal.h"
#include "cuda/library.h"

enum { DEVICES = 16, PATH_BYTES = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cuda_context *open_context[DEVICES]; /* guarded by lock */

bd_status cuda_check(const bd_cuda_platform *p, int code, const char *doing) {
    BD_REQUIRE(code == 0, BD_E_DEVICE, "%s: %s: %s", p->name, doing, p->error_text(code));
    return BD_OK;
}

static bd_status platform(const bd_cuda_platform **out, int *devices) {
    *devices = 0;
    *out = bd_cuda_platform_get();
    BD_REQUIRE(
        *out, BD_E_DEVICE,
        "this program was built without CUDA: install NVIDIA's CUDA toolkit (nvcc) and build "
        "again with make CUDA=1");
    return cuda_check(*out, (*out)->device_count(devices), "looking for devices");
}

int bd_cuda_devices(void) {
    const bd_cuda_platform *p;
    int n;
    if (platform(&p, &n)) return 0;
    if (n == 0) (void)bd_fail(BD_E_DEVICE, "%s: there is no device", p->name);
    return n;
}

/* Where chosen plans are kept: $BADDIFF_PLANS, else baddiff/plans in the user's cache; "" = nowhere. */
static void plan_folder(char *out, size_t size) {
    const char *own = getenv("BADDIFF_PLANS"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    int n = own               ? snprintf(out, size, "%s", own)
            : cache && *cache ? snprintf(out, size, "%s/baddiff/plans", cache)
            : home && *home   ? snprintf(out, size, "%s/.cache/baddiff/plans", home)
                              : snprintf(out, size, "%s", "");
    if (n < 0 || (size_t)n >= size) out[0] = 0;
}

static bd_status open_libraries(cuda_context *c) {
    const bd_dnn_api *dnn = c->p->dnn;
    const bd_blas_api *blas = c->p->blas;
    char folder[PATH_BYTES], name[256];
    if (!dnn) BD_TRY(bd_cuda_library_dnn(&dnn));
    if (!blas) BD_TRY(bd_cuda_library_blas(&blas));
    plan_folder(folder, sizeof folder);
    snprintf(name, sizeof name, "%s, %d SMs, %d.%d", c->info.name, c->info.sms, c->info.major,
             c->info.minor);
    /* float32 without tensor cores finds its better engines only with much room; 16 bits never take 80 MiB */
    const bd_dnn_spec spec = {.workspace_max = (size_t)1 << 30,
                              .api = dnn,
                              .device = c->device,
                              .cache = folder[0] ? folder : NULL,
                              .device_name = name};
    /* float32 without tensor cores finds its better engines only with much room; 16 bits never take 80 MiB */
    BD_TRY(bd_dnn_create(&c->dnn, &spec));
    BD_TRY(bd_dnn_set_stream(c->dnn, c->stream));
    return bd_blas_create(&c->blas, &(bd_blas_spec){.api = blas, .platform = c->p});
}

static void context_destroy(cuda_context *c) {
    if (!c) return;
    bd_dnn_destroy(c->dnn);
    bd_blas_destroy(c->blas);
    if (c->stream) (void)c->p->stream_destroy(c->stream);
    free(c);
}

static bd_status context_create(cuda_context **out, const bd_cuda_platform *p, int device) {
    cuda_context *c = calloc(1, sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "cuda: out of memory");
    c->p = p;
    c->device = device;
    bd_status st;
    BD_TRY_TO(failed, st, cuda_check(p, p->device_set(device), "choosing the device"));
    BD_TRY_TO(failed, st, cuda_check(p, p->device_info(&c->info, device), "asking the device"));
    BD_TRY_TO(failed, st, cuda_check(p, p->stream_create(&c->stream), "making a stream"));
    BD_TRY_TO(failed, st, open_libraries(c));
    *out = c;
    return BD_OK;
failed:
    context_destroy(c);
    return st;
}

bd_status cuda_context_get(cuda_context **out, int device) {
    const bd_cuda_platform *p;
    int n;
    BD_TRY(platform(&p, &n));
    BD_REQUIRE(n > 0, BD_E_DEVICE, "%s: there is no device", p->name);
    BD_REQUIRE(device >= 0 && device < n && device < DEVICES, BD_E_DEVICE,
               "cuda:%d: there %s %d device%s, counted from 0", device, n == 1 ? "is" : "are", n,
               n == 1 ? "" : "s");
    pthread_mutex_lock(&lock);
    bd_status st = BD_OK;
    if (!open_context[device]) st = context_create(&open_context[device], p, device);
    *out = open_context[device];
    pthread_mutex_unlock(&lock);
    return st ? st : cuda_check(p, p->device_set(device), "choosing the device");
}

void cuda_libraries(char *out, size_t size, const cuda_context *c) {
    int dnn = bd_dnn_version(c->dnn);
    size_t blas = bd_blas_version(c->blas);
    snprintf(out, size, "cudnn %d.%d.%d, cublaslt %zu.%zu.%zu", dnn / 10000, dnn / 100 % 100,
             dnn % 100, blas / 10000, blas / 100 % 100, blas % 100);
}

bd_status bd_cuda_describe(char *out, size_t size, int device) {
    cuda_context *c;
    BD_TRY(cuda_context_get(&c, device));
    char libraries[CUDA_LIBRARIES_TEXT];
    cuda_libraries(libraries, sizeof libraries, c);
    snprintf(out, size, "%s, %d.%d, %d SMs, %.1f GiB, driver CUDA %d.%d, %s", c->info.name,
             c->info.major, c->info.minor, c->info.sms, (double)c->info.memory / (1 << 30),
             c->info.driver / 1000, c->info.driver % 1000 / 10, libraries);
    return BD_OK;
}
