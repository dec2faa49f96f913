// The real device behind the wall of src/cuda/platform.h: host code on the CUDA runtime, which is linked statically.
// On a machine without a driver the program starts as usual and device_count says what is missing.
#include "cuda/platform.h"

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>

// The runtime also keeps the last error for cudaGetLastError, which the next kernel launch would take for its own.
static int done(cudaError_t e) {
    if (e != cudaSuccess) (void)cudaGetLastError();
    return static_cast<int>(e);
}

static cudaStream_t as_stream(void *stream) { return static_cast<cudaStream_t>(stream); }
static cudaEvent_t as_event(void *event) { return static_cast<cudaEvent_t>(event); }

// ---- error texts

// 13000 -> "13.0"
struct version {
    char text[16];
    explicit version(int v) { snprintf(text, sizeof text, "%d.%d", v / 1000, v % 1000 / 10); }
};

static void advise_driver(char *out, size_t n) {
    int driver = 0, runtime = 0;
    (void)done(cudaDriverGetVersion(&driver));
    (void)done(cudaRuntimeGetVersion(&runtime));
    // Without a driver the runtime speaks of an insufficient one.
    if (driver == 0)
        snprintf(out, n,
                 ": there is no NVIDIA driver (libcuda.so.1) on this machine: install it, or start "
                 "the container "
                 "with its GPUs (docker run --gpus all)");
    else
        snprintf(out, n,
                 "; the driver is good for CUDA %s, this program was built with %s: install a "
                 "newer driver, or "
                 "build with a CUDA toolkit of %d.x",
                 version(driver).text, version(runtime).text, driver / 1000);
}

static void advise_device(char *out, size_t n) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    snprintf(out, n, "; nvidia-smi lists the GPUs of this machine, CUDA_VISIBLE_DEVICES is %s%s",
             visible ? "set to " : "not set", visible ? visible : "");
}

static void advise_code(char *out, size_t n) {
    int device = 0, major = 0, minor = 0;
    bool known = !done(cudaGetDevice(&device)) &&
                 !done(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device)) &&
                 !done(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
    if (known)
        snprintf(out, n, "; build with CUDA_ARCH=%d%d for this GPU", major, minor);
    else
        snprintf(out, n, "; build with CUDA_ARCH= the GPU's compute capability");
}

static void advise_memory(char *out, size_t n) {
    size_t free_bytes = 0, total = 0;
    if (done(cudaMemGetInfo(&free_bytes, &total))) return;
    snprintf(out, n, "; %.2f of the GPU's %.2f GiB are free",
             static_cast<double>(free_bytes) / (1 << 30), static_cast<double>(total) / (1 << 30));
}

static const char *error_text(int code) {
    static thread_local char text[512];
    char advice[256] = "";
    cudaError_t e = static_cast<cudaError_t>(code);
    switch (e) {
    case cudaErrorInsufficientDriver:
    case cudaErrorCompatNotSupportedOnDevice: advise_driver(advice, sizeof advice); break;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice: advise_device(advice, sizeof advice); break;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction: advise_code(advice, sizeof advice); break;
    case cudaErrorMemoryAllocation: advise_memory(advice, sizeof advice); break;
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
        snprintf(advice, sizeof advice,
                 "; the GPU can not be used further in this process; compute-sanitizer finds the "
                 "access");
        break;
    default: break;
    }
    snprintf(text, sizeof text, "%s%s", cudaGetErrorString(e), advice);
    return text;
}

// ---- the device

static int device_count(int *n) {
    *n = 0;
    return done(cudaGetDeviceCount(n));
}

static int device_info(bd_cuda_device_info *out, int device) {
    cudaDeviceProp prop;
    *out = bd_cuda_device_info();
    int st = done(cudaGetDeviceProperties(&prop, device));
    if (st) return st;
    snprintf(out->name, sizeof out->name, "%.127s", prop.name);
    out->major = prop.major;
    out->minor = prop.minor;
    out->sms = prop.multiProcessorCount;
    out->memory = prop.totalGlobalMem;
    out->shared_per_block = prop.sharedMemPerBlockOptin;
    out->l2 = static_cast<size_t>(prop.l2CacheSize);
    st = done(cudaDriverGetVersion(&out->driver));
    return st ? st : done(cudaRuntimeGetVersion(&out->runtime));
}

static int device_set(int device) { return done(cudaSetDevice(device)); }
static int memory_info(size_t *free_bytes, size_t *total_bytes) {
    return done(cudaMemGetInfo(free_bytes, total_bytes));
}

// ---- memory

static int device_alloc(void **out, size_t n) {
    *out = nullptr;
    return done(cudaMalloc(out, n));
}
static int device_free(void *p) { return done(cudaFree(p)); }

static int host_alloc(void **out, size_t n) {
    *out = nullptr;
    return n ? done(cudaHostAlloc(out, n, cudaHostAllocPortable)) : 0;
}
static int host_free(void *p) { return p ? done(cudaFreeHost(p)) : 0; }

// The driver knows which side each address is on.
static int copy(void *dst, const void *src, size_t n, void *stream) {
    return n ? done(cudaMemcpyAsync(dst, src, n, cudaMemcpyDefault, as_stream(stream))) : 0;
}
static int fill(void *dst, int byte, size_t n, void *stream) {
    return n ? done(cudaMemsetAsync(dst, byte, n, as_stream(stream))) : 0;
}

// ---- streams and events

// A stream that waits for the default stream, and it for them: a library that sets something up there is in order.
static int stream_create(void **out) {
    cudaStream_t s = nullptr;
    int st = done(cudaStreamCreate(&s));
    *out = s;
    return st;
}
static int stream_destroy(void *stream) {
    return stream ? done(cudaStreamDestroy(as_stream(stream))) : 0;
}
static int stream_sync(void *stream) { return done(cudaStreamSynchronize(as_stream(stream))); }

static int event_create(void **out) {
    cudaEvent_t e = nullptr;
    int st = done(cudaEventCreate(&e));
    *out = e;
    return st;
}
static int event_destroy(void *event) {
    return event ? done(cudaEventDestroy(as_event(event))) : 0;
}
static int event_record(void *event, void *stream) {
    return done(cudaEventRecord(as_event(event), as_stream(stream)));
}
static int event_sync(void *event) { return done(cudaEventSynchronize(as_event(event))); }
static int event_ms(float *ms, void *from, void *to) {
    return done(cudaEventElapsedTime(ms, as_event(from), as_event(to)));
}

// ---- graphs

// Thread-local: what other threads do with CUDA in the meantime neither spoils the capture nor is part of it.
static int capture_begin(void *stream) {
    return done(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal));
}

static int capture_end(void **graph, void *stream) {
    cudaGraph_t recorded = nullptr;
    cudaGraphExec_t exec = nullptr;
    *graph = nullptr;
    int st = done(cudaStreamEndCapture(as_stream(stream), &recorded));
    // This name has the same arguments in CUDA 12 and 13; cudaGraphInstantiate has not in 11.
    if (!st) st = done(cudaGraphInstantiateWithFlags(&exec, recorded, 0));
    if (!st) st = done(cudaGraphUpload(exec, as_stream(stream)));
    if (recorded) (void)done(cudaGraphDestroy(recorded));
    if (st && exec) (void)done(cudaGraphExecDestroy(exec));
    if (!st) *graph = exec;
    return st;
}

static int graph_launch(void *graph, void *stream) {
    return done(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), as_stream(stream)));
}
static int graph_destroy(void *graph) {
    return graph ? done(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph))) : 0;
}

static const bd_cuda_platform cuda = {"cuda",
                                      error_text,
                                      device_count,
                                      device_info,
                                      device_set,
                                      memory_info,
                                      device_alloc,
                                      device_free,
                                      host_alloc,
                                      host_free,
                                      copy,
                                      fill,
                                      stream_create,
                                      stream_destroy,
                                      stream_sync,
                                      event_create,
                                      event_destroy,
                                      event_record,
                                      event_sync,
                                      event_ms,
                                      capture_begin,
                                      capture_end,
                                      graph_launch,
                                      graph_destroy,
                                      nullptr, // the libraries are opened when needed
                                      nullptr,
                                      {
#define BD_KERNEL(name) bd_cuda_##name,
#include "cuda/kernels.def"
#undef BD_KERNEL
                                      }};

const bd_cuda_platform *bd_cuda_platform_get(void) { return &cuda; }
