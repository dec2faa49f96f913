// The platform named "emulator": device memory is the heap's, graphs are lists of calls, and a stream runs its work
// at once or, with emu_set_lazy, when somebody waits for it.
#include "cuda/platform.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emu_api.h"
#include "guard.h"

struct bd_dnn_api;
struct bd_blas_api;
extern "C" {
// Weak: a program links while a kernel or a library does not exist.
extern const struct bd_dnn_api sim_dnn_api __attribute__((weak));
extern const struct bd_blas_api sim_blas_api __attribute__((weak));
#define BD_KERNEL(name) \
    int bd_cuda_##name(const bd_k_##name *a, void *stream) __attribute__((weak));
#include "cuda/kernels.def"
#undef BD_KERNEL
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // the list of allocations

// ---- failure injection

static long calls, fail_at;

void emu_fail_after(long n) { fail_at = n > 0 ? calls + n : 0; }
long emu_calls(void) { return calls; }

static int count_call(const char *what) {
    long c = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (c != fail_at) return 0;
    emu_raise(EMU_E_INJECTED, "%s: call %ld fails on purpose", what, c);
    emu_forget_error();
    return EMU_E_INJECTED;
}
#define EMU_CALL(what)                   \
    do {                                 \
        int injected = count_call(what); \
        if (injected) return injected;   \
    } while (0)

// An error that belongs to the call alone: it is not left for stream_sync.
#define EMU_REFUSE(code, ...)         \
    do {                              \
        emu_raise(code, __VA_ARGS__); \
        emu_forget_error();           \
        return code;                  \
    } while (0)

// ---- memory

enum { GRANULE = 512 };
struct allocation {
    unsigned char *p;
    size_t n;
    bool device, damaged;
};
static allocation *list; // by address
static size_t list_count, list_cap, used, total = static_cast<size_t>(16) << 30;

void emu_set_memory(size_t bytes) { total = bytes; }

size_t emu_allocations(void) {
    pthread_mutex_lock(&lock);
    size_t n = list_count;
    pthread_mutex_unlock(&lock);
    return n;
}

static size_t granules(size_t n) { return (n + GRANULE - 1) / GRANULE * GRANULE; }

// Index of the first allocation that starts behind p.
static size_t upper(const void *p) {
    size_t lo = 0, hi = list_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (reinterpret_cast<uintptr_t>(list[mid].p) <= reinterpret_cast<uintptr_t>(p))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// The allocation that p lies in, its end included, and how many bytes are left of it; NULL = none.
static allocation *find(const void *p, size_t *left) {
    size_t i = upper(p);
    if (!i) return nullptr;
    allocation *a = &list[i - 1];
    size_t offset = static_cast<size_t>(static_cast<const unsigned char *>(p) - a->p);
    if (offset > a->n) return nullptr;
    *left = a->n - offset;
    return a;
}

bool emu_on_device(const void *p, size_t bytes) {
    if (!p) return bytes == 0;
    size_t left = 0;
    pthread_mutex_lock(&lock);
    const allocation *a = find(p, &left);
    bool ok = a && a->device && bytes <= left;
    pthread_mutex_unlock(&lock);
    return ok;
}

static int insert(void *p, size_t n, bool device) {
    if (list_count == list_cap) {
        size_t cap = list_cap ? 2 * list_cap : 64;
        allocation *more = static_cast<allocation *>(realloc(list, cap * sizeof *list));
        if (!more) return EMU_E_MEMORY;
        list = more;
        list_cap = cap;
    }
    size_t at = upper(p);
    memmove(list + at + 1, list + at, (list_count - at) * sizeof *list);
    list[at] = {static_cast<unsigned char *>(p), n, device, false};
    list_count++;
    if (device) used += granules(n);
    return 0;
}

static int allocate(void **out, size_t n, bool device) {
    *out = nullptr;
    if (!n) return 0;
    pthread_mutex_lock(&lock);
    bool fits = !device || (n <= total && granules(n) <= total - (used < total ? used : total));
    void *p = fits ? emu_guard_alloc(n) : nullptr;
    int st = p ? insert(p, n, device) : EMU_E_MEMORY;
    if (st)
        emu_guard_free(p, n);
    else
        *out = p;
    size_t in_use = used;
    pthread_mutex_unlock(&lock);
    if (st)
        EMU_REFUSE(st, "%zu bytes of memory asked for, %zu of %zu are in use", n, in_use, total);
    return 0;
}

// A damaged guard is reported once. Called with the lock held.
static void check_guard(allocation *a) {
    const char *where = a->damaged ? nullptr : emu_guard_check(a->p, a->n);
    if (!where) return;
    char kernel[64];
    a->damaged = true;
    emu_raise(EMU_E_ADDRESS,
              "memory %s an allocation of %zu bytes was overwritten; the last kernel was %s", where,
              a->n, emu_last_kernel(kernel, sizeof kernel));
}

static int check_guards() {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < list_count; i++) check_guard(&list[i]);
    pthread_mutex_unlock(&lock);
    return emu_take_error();
}

static int release(void *p, bool device) {
    if (!p) return 0;
    pthread_mutex_lock(&lock);
    size_t at = upper(p);
    bool known = at && list[at - 1].p == p && list[at - 1].device == device;
    if (known) {
        allocation a = list[--at];
        check_guard(&a);
        memmove(list + at, list + at + 1, (list_count - at - 1) * sizeof *list);
        list_count--;
        if (device) used -= granules(a.n);
        emu_guard_free(a.p, a.n);
    }
    pthread_mutex_unlock(&lock);
    if (!known) EMU_REFUSE(EMU_E_VALUE, "free of a pointer that is no allocation");
    return emu_take_error();
}

// ---- streams and graphs

struct node {
    void (*run)(void *arg);
    void *arg; // a copy
    node *next;
};
struct emu_graph {
    node *first, **end;
};
struct emu_stream {
    unsigned magic;
    emu_graph *capture; // nullptr: does not capture
    long forbidden;     // forbidden_calls when the capture began
    emu_graph waiting;  // lazy: work put on the stream that nobody waited for yet
    emu_stream *next;   // of all streams
};
struct emu_event {
    unsigned magic;
    double ms;
    emu_stream *stream;  // that it was recorded on
    long asked, reached; // how often; done when equal
};
enum { STREAM_MAGIC = 0x57bea3, EVENT_MAGIC = 0xe7e27 };
static int capturing;        // streams that capture, in the whole program
static long forbidden_calls; // that a capture does not allow: they spoil all captures under way

static emu_stream *streams; // all; lazy mode is for one host thread
static bool lazy;

static emu_stream *as_stream(void *stream) {
    emu_stream *s = static_cast<emu_stream *>(stream);
    return s && s->magic == STREAM_MAGIC ? s : nullptr;
}

#define EMU_STREAM(s, stream)          \
    emu_stream *s = as_stream(stream); \
    if ((stream) && !s) EMU_REFUSE(EMU_E_HANDLE, "not a stream")

static int record(emu_graph *g, void (*run)(void *arg), const void *arg, size_t bytes) {
    node *n = static_cast<node *>(malloc(sizeof *n));
    void *copy = nullptr;
    if (!n || posix_memalign(&copy, 64, bytes ? bytes : 1)) {
        free(n);
        return EMU_E_MEMORY;
    }
    if (bytes) memcpy(copy, arg, bytes);
    *n = {run, copy, nullptr};
    *g->end = n;
    g->end = &n->next;
    return 0;
}

static void free_graph(emu_graph *g) {
    for (node *n = g ? g->first : nullptr; n;) {
        node *next = n->next;
        free(n->arg);
        free(n);
        n = next;
    }
    free(g);
}

static void clear_waiting(emu_stream *s) {
    s->waiting.first = nullptr;
    s->waiting.end = &s->waiting.first;
}

// Runs what waits on a stream, up to where event e is reached when there is one.
static void drain(emu_stream *s, const emu_event *e) {
    while (s->waiting.first && !(e && e->reached == e->asked)) {
        node *n = s->waiting.first;
        s->waiting.first = n->next;
        if (!n->next) clear_waiting(s);
        n->run(n->arg);
        free(n->arg);
        free(n);
    }
}

static void drain_all() {
    for (emu_stream *s = streams; s; s = s->next) drain(s, nullptr);
}

void emu_set_lazy(bool on) {
    drain_all();
    lazy = on;
}

static int enqueue(void *stream, void (*run)(void *arg), const void *arg, size_t bytes) {
    EMU_STREAM(s, stream);
    if (s && s->capture) return record(s->capture, run, arg, bytes);
    emu_take_error();
    if (s && lazy) return record(&s->waiting, run, arg, bytes);
    if (!s) drain_all(); // the default stream waits for all others
    run(const_cast<void *>(arg));
    return emu_take_error();
}

int emu_enqueue(void *stream, void (*run)(void *arg), const void *arg, size_t bytes) {
    EMU_CALL("launch");
    return enqueue(stream, run, arg, bytes);
}

static int forbid_capture(emu_stream *s, const char *what) {
    if (s ? !s->capture : !__atomic_load_n(&capturing, __ATOMIC_SEQ_CST)) return 0;
    __atomic_add_fetch(&forbidden_calls, 1, __ATOMIC_SEQ_CST);
    EMU_REFUSE(EMU_E_CAPTURE, "%s while a stream captures", what);
}
#define EMU_NOT_CAPTURING(s, what)               \
    do {                                         \
        int forbidden = forbid_capture(s, what); \
        if (forbidden) return forbidden;         \
    } while (0)

static int stream_create(void **out) {
    *out = nullptr;
    EMU_CALL("stream_create");
    emu_stream *s = static_cast<emu_stream *>(calloc(1, sizeof *s));
    if (!s) return EMU_E_MEMORY;
    s->magic = STREAM_MAGIC;
    clear_waiting(s);
    s->next = streams;
    streams = s;
    *out = s;
    return 0;
}

static int stream_destroy(void *stream) {
    if (!stream) return 0;
    EMU_STREAM(s, stream);
    if (s->capture) __atomic_sub_fetch(&capturing, 1, __ATOMIC_SEQ_CST);
    free_graph(s->capture);
    drain(s, nullptr);
    for (emu_stream **at = &streams; *at; at = &(*at)->next) {
        if (*at != s) continue;
        *at = s->next;
        break;
    }
    s->magic = 0;
    free(s);
    return 0;
}

static int stream_sync(void *stream) {
    EMU_STREAM(s, stream);
    EMU_CALL("stream_sync");
    EMU_NOT_CAPTURING(s, "stream_sync");
    if (s)
        drain(s, nullptr);
    else
        drain_all();
    int guards = check_guards(), pending = emu_take_pending();
    return guards ? guards : pending;
}

static int capture_begin(void *stream) {
    EMU_STREAM(s, stream);
    EMU_CALL("capture_begin");
    if (!s) EMU_REFUSE(EMU_E_CAPTURE, "the default stream cannot capture");
    if (s->capture) EMU_REFUSE(EMU_E_VALUE, "capture_begin: the stream captures already");
    s->capture = static_cast<emu_graph *>(calloc(1, sizeof(emu_graph)));
    if (!s->capture) return EMU_E_MEMORY;
    s->capture->end = &s->capture->first;
    s->forbidden = __atomic_load_n(&forbidden_calls, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&capturing, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int capture_end(void **graph, void *stream) {
    *graph = nullptr;
    EMU_STREAM(s, stream);
    if (!s || !s->capture) EMU_REFUSE(EMU_E_VALUE, "capture_end: the stream does not capture");
    emu_graph *g = s->capture;
    s->capture = nullptr;
    __atomic_sub_fetch(&capturing, 1, __ATOMIC_SEQ_CST);
    bool spoilt = s->forbidden != __atomic_load_n(&forbidden_calls, __ATOMIC_SEQ_CST);
    int st = count_call("capture_end");
    if (st || spoilt) free_graph(g);
    if (st) return st;
    if (spoilt) EMU_REFUSE(EMU_E_CAPTURE, "the capture met a call that it does not allow");
    *graph = g;
    return 0;
}

static void run_graph(void *arg) {
    emu_graph *g = nullptr;
    memcpy(&g, arg, sizeof g);
    for (node *n = g->first; n; n = n->next) n->run(n->arg);
}

static int graph_launch(void *graph, void *stream) {
    EMU_CALL("graph_launch");
    if (!graph) EMU_REFUSE(EMU_E_HANDLE, "graph_launch: no graph");
    int st = enqueue(stream, run_graph, &graph, sizeof graph);
    const emu_stream *s = as_stream(stream);
    return st || (s && (s->capture || lazy)) ? st : check_guards();
}

static int graph_destroy(void *graph) {
    drain_all(); // its launches may wait
    free_graph(static_cast<emu_graph *>(graph));
    return 0;
}

// ---- copies and fills

struct move {
    void *dst;
    const void *src; // nullptr: fill with `byte`
    size_t n;
    int byte;
};

static void run_move(void *arg) {
    move m;
    memcpy(&m, arg, sizeof m);
    if (m.src)
        memcpy(m.dst, m.src, m.n);
    else
        memset(m.dst, m.byte, m.n);
}

// 0: n bytes at p are the host's own memory, 1: page-locked, 2: the device's, -1: they leave an allocation.
static int kind_of(const void *p, size_t n) {
    size_t left = 0;
    pthread_mutex_lock(&lock);
    const allocation *a = find(p, &left);
    int kind = !a || (left == 0 && n > 0) ? 0 : n > left ? -1 : a->device ? 2 : 1;
    pthread_mutex_unlock(&lock);
    return kind;
}

static int copy(void *dst, const void *src, size_t n, void *stream) {
    EMU_STREAM(s, stream);
    EMU_CALL("copy");
    if (!n) return 0;
    int to = dst ? kind_of(dst, n) : -1, from = src ? kind_of(src, n) : -1;
    if (to < 0 || from < 0)
        EMU_REFUSE(EMU_E_VALUE, "copy: %zu bytes leave an allocation, or NULL", n);
    if (!to || !from) EMU_NOT_CAPTURING(s, "a copy of memory that is not page-locked");
    if (s && (!to || !from)) drain(s, nullptr); // such a copy is done when the call returns
    const move m = {dst, src, n, 0};
    int st = enqueue(stream, run_move, &m, sizeof m);
    if (s && !s->capture && (!to || !from)) drain(s, nullptr);
    return st;
}

static int fill(void *dst, int byte, size_t n, void *stream) {
    EMU_CALL("fill");
    if (!n) return 0;
    if (!emu_on_device(dst, n))
        EMU_REFUSE(EMU_E_VALUE, "fill: %zu bytes that are not one allocation's", n);
    const move m = {dst, nullptr, n, byte};
    return enqueue(stream, run_move, &m, sizeof m);
}

// ---- events

static void run_stamp(void *arg) {
    emu_event *e = nullptr;
    memcpy(&e, arg, sizeof e);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    e->ms = static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

static void run_reach(void *arg) {
    emu_event *e = nullptr;
    run_stamp(arg);
    memcpy(&e, arg, sizeof e);
    e->reached++;
}

static emu_event *as_event(void *event) {
    emu_event *e = static_cast<emu_event *>(event);
    return e && e->magic == EVENT_MAGIC ? e : nullptr;
}

static int event_create(void **out) {
    *out = nullptr;
    EMU_CALL("event_create");
    emu_event *e = static_cast<emu_event *>(calloc(1, sizeof *e));
    if (!e) return EMU_E_MEMORY;
    e->magic = EVENT_MAGIC;
    *out = e;
    return 0;
}

static int event_destroy(void *event) {
    drain_all(); // it may be on its way
    free(event);
    return 0;
}

static int event_record(void *event, void *stream) {
    EMU_CALL("event_record");
    emu_event *e = as_event(event);
    EMU_STREAM(s, stream);
    if (!e) EMU_REFUSE(EMU_E_HANDLE, "event_record: not an event");
    if (s && s->capture) return enqueue(stream, run_stamp, &e, sizeof e);
    e->stream = s;
    e->asked++;
    return enqueue(stream, run_reach, &e, sizeof e);
}

static int event_sync(void *event) {
    EMU_CALL("event_sync");
    const emu_event *e = as_event(event);
    if (!e) EMU_REFUSE(EMU_E_HANDLE, "event_sync: not an event");
    EMU_NOT_CAPTURING(nullptr, "event_sync");
    if (e->stream) drain(e->stream, e);
    return 0;
}

static int event_ms(float *ms, void *from, void *to) {
    EMU_CALL("event_ms");
    const emu_event *a = as_event(from), *b = as_event(to);
    if (!a || !b) EMU_REFUSE(EMU_E_HANDLE, "event_ms: not an event");
    if (a->asked != a->reached || b->asked != b->reached)
        EMU_REFUSE(EMU_E_NOT_READY, "event_ms: not reached yet");
    if (a->ms == 0.0 || b->ms == 0.0)
        EMU_REFUSE(EMU_E_HANDLE, "event_ms: an event was not recorded");
    *ms = static_cast<float>(b->ms - a->ms);
    return 0;
}

// ---- the device

static int device_count(int *n) {
    EMU_CALL("device_count");
    *n = 1;
    return 0;
}

static int device_set(int device) {
    EMU_CALL("device_set");
    if (device) EMU_REFUSE(EMU_E_DEVICE, "device %d: the emulator has one, 0", device);
    return 0;
}

static int device_info(bd_cuda_device_info *out, int device) {
    EMU_CALL("device_info");
    if (device) EMU_REFUSE(EMU_E_DEVICE, "device %d: the emulator has one, 0", device);
    *out = {};
    snprintf(out->name, sizeof out->name, "emulated device");
    out->major = 9;
    out->sms = 132;
    out->memory = total;
    out->shared_per_block = 227 * 1024;
    out->l2 = static_cast<size_t>(50) << 20;
    out->driver = out->runtime = 13000;
    return 0;
}

static int memory_info(size_t *free_bytes, size_t *total_bytes) {
    EMU_CALL("memory_info");
    pthread_mutex_lock(&lock);
    *free_bytes = used < total ? total - used : 0;
    *total_bytes = total;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int device_alloc(void **out, size_t n) {
    *out = nullptr;
    EMU_CALL("device_alloc");
    EMU_NOT_CAPTURING(nullptr, "device_alloc");
    return allocate(out, n, true);
}

static int device_free(void *p) {
    if (p) EMU_NOT_CAPTURING(nullptr, "device_free");
    if (p) drain_all(); // as cudaFree does
    return release(p, true);
}

static int host_alloc(void **out, size_t n) {
    *out = nullptr;
    EMU_CALL("host_alloc");
    return allocate(out, n, false);
}

static int host_free(void *p) {
    if (p) drain_all();
    return release(p, false);
}

#define BD_KERNEL(name)                                                                          \
    static int call_##name(const bd_k_##name *a, void *stream) {                                 \
        if (!bd_cuda_##name) EMU_REFUSE(EMU_E_NO_KERNEL, "no kernel " #name " in this program"); \
        return bd_cuda_##name(a, stream);                                                        \
    }
#include "cuda/kernels.def"
#undef BD_KERNEL

static const bd_cuda_platform emulator = {"emulator",
                                          emu_error_text,
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
                                          &sim_dnn_api,
                                          &sim_blas_api,
                                          {
#define BD_KERNEL(name) call_##name,
#include "cuda/kernels.def"
#undef BD_KERNEL
                                          }};

const bd_cuda_platform *bd_cuda_platform_get(void) { return &emulator; }
