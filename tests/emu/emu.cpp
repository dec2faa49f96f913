// The emulator's engine: it runs the blocks of one launch. What streams and memory are is in platform_emu.cpp.
//
// A thread of a BD_LAUNCH_SYNC block is a fiber: a stack, and a pointer into it. The scheduler gives every ready
// fiber a turn until all wait or are done, then opens the barriers that are complete; if none is, the block is stuck
// and that is an error. Every error leaves the kernel at once; kernels hold nothing that needs to be freed.
#include "emu.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "guard.h"

#if defined(__SANITIZE_ADDRESS__)
#define EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMU_ASAN 1
#endif
#endif
#ifdef EMU_ASAN
extern "C" {
void __asan_poison_memory_region(const volatile void *p, size_t n);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size);
}
#endif

// x86-64 has a switch of a few instructions; elsewhere the C library's, which costs two system calls.
#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
#define EMU_FAST_SWITCH 1
#else
#include <ucontext.h>
#endif

// ---- guarded memory

enum { GUARD = 2048 };

static void set_zones(unsigned char *p, size_t n, bool closed) {
#ifdef EMU_ASAN
    auto *set = closed ? __asan_poison_memory_region : __asan_unpoison_memory_region;
    set(p - GUARD, GUARD);
    set(p + n, GUARD);
#else
    (void)p, (void)n, (void)closed;
#endif
}

void *emu_guard_alloc(size_t n) {
    if (n > SIZE_MAX - 2 * GUARD) return nullptr;
    void *base = nullptr;
    if (posix_memalign(&base, 64, n + 2 * GUARD)) return nullptr;
    memset(base, 0xff, n + 2 * GUARD);
    unsigned char *p = static_cast<unsigned char *>(base) + GUARD;
    set_zones(p, n, true);
    return p;
}

void emu_guard_free(void *p, size_t n) {
    if (!p) return;
    set_zones(static_cast<unsigned char *>(p), n, false);
    free(static_cast<unsigned char *>(p) - GUARD);
}

static bool all_ones(const unsigned char *p, size_t n) {
    return p[0] == 0xff && !memcmp(p, p + 1, n - 1);
}

const char *emu_guard_check(void *p, size_t n) {
    unsigned char *b = static_cast<unsigned char *>(p);
    set_zones(b, n, false);
    const char *where = !all_ones(b - GUARD, GUARD) ? "before"
                        : !all_ones(b + n, GUARD)   ? "behind"
                                                    : nullptr;
    set_zones(b, n, true);
    return where;
}

// ---- errors

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; // errors and counts: host threads share them
static struct {
    int code, pending;
    char text[1024];
} last_error;
static __thread int raised;

void emu_raise(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&lock);
    vsnprintf(last_error.text, sizeof last_error.text, fmt, ap);
    last_error.code = last_error.pending = code;
    pthread_mutex_unlock(&lock);
    va_end(ap);
    raised = code;
}

int emu_take_error() {
    int code = raised;
    raised = 0;
    return code;
}

int emu_take_pending() { return __atomic_exchange_n(&last_error.pending, 0, __ATOMIC_SEQ_CST); }

void emu_forget_error(void) {
    emu_take_error();
    emu_take_pending();
}

const char *emu_error_text(int code) {
    if (code == 0) return "no error";
    return code == last_error.code ? last_error.text : "an error of the emulated device";
}

// ---- counts

enum { NAME = 64, KERNELS = 256 };
static struct kernel_count {
    char name[NAME];
    unsigned long long launches, blocks;
} counts[KERNELS];
static int kernels_seen;

// "(add_kernel<float, 4>)" -> "add_kernel"
static void base_name(char out[NAME], const char *text) {
    while (*text == '(' || *text == ' ' || *text == ':') text++;
    size_t n = strcspn(text, "< )");
    if (n >= NAME) n = NAME - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

static kernel_count *find_count(const char *name, bool add) {
    for (int i = 0; i < kernels_seen; i++) {
        if (!strcmp(counts[i].name, name)) return &counts[i];
    }
    if (!add || kernels_seen == KERNELS) return nullptr;
    kernel_count *k = &counts[kernels_seen++];
    snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

int emu_kernels(void) { return kernels_seen; }
const char *emu_kernel_name(int i) { return i >= 0 && i < kernels_seen ? counts[i].name : nullptr; }

bool emu_count(const char *name, unsigned long long *launches, unsigned long long *blocks) {
    pthread_mutex_lock(&lock);
    kernel_count *k = find_count(name, false);
    if (launches) *launches = k ? k->launches : 0;
    if (blocks) *blocks = k ? k->blocks : 0;
    pthread_mutex_unlock(&lock);
    return k != nullptr;
}

// ---- the launch that this host thread is running

enum { MAX_THREADS = 1024, WARP = 32, MAX_SHARED = 16 };
enum { STATIC_LIMIT = 48 * 1024, SHARED_LIMIT = 227 * 1024 }; // of a block, on an H100
// A stack holds a kernel's locals; AddressSanitizer makes them larger.
#ifdef EMU_ASAN
enum { STACK = 256 * 1024 };
#else
enum { STACK = 64 * 1024 };
#endif
static const uint64_t canary = 0x57ac4ca11ab1e5ull;

enum thread_state { READY, AT_BARRIER, AT_EXCHANGE, DONE };
struct fiber {
#ifdef EMU_FAST_SWITCH
    void *sp;
#else
    ucontext_t context;
#endif
    thread_state state;
    uint3 place;
    int line;
    unsigned mask, source;
    uint64_t bits;
};
struct shared_buffer {
    const void *site; // nullptr: the dynamic one
    void *p;
    size_t n;
};
struct engine {
    emu_call *call;
    int threads;
    bool failed;
    jmp_buf leave;                 // of a plain launch
    int current;                   // fiber, -1: none
    int waiting[4];                // fibers by thread_state, READY not counted
    int lanes[MAX_THREADS / WARP]; // AT_EXCHANGE, of each warp
    fiber *fibers;
    unsigned char *stacks;
#ifdef EMU_FAST_SWITCH
    void *scheduler;
#else
    ucontext_t scheduler;
#endif
    shared_buffer shared[MAX_SHARED];
    int shared_count;
    uint64_t random;
    int order;
#ifdef EMU_ASAN
    const void *host_stack;
    size_t host_size;
#endif
};
__thread emu_place emu_here;
static __thread engine *running;
static __thread char last_kernel[NAME];
static int thread_order = EMU_FORWARD;

void emu_set_order(int order) { thread_order = order; }

const char *emu_last_kernel(char *out, size_t n) {
    snprintf(out, n, "%s", last_kernel[0] ? last_kernel : "no kernel");
    return out;
}

static void leave_kernel();

// Record an error of the running kernel and leave it.
__attribute__((format(printf, 1, 2), noreturn)) static void trap(const char *fmt, ...) {
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    emu_raise(EMU_E_KERNEL, "kernel %s, block (%u,%u,%u), thread (%u,%u,%u): %s", last_kernel,
              blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
    running->failed = true;
    leave_kernel();
    abort(); // not reached
}

// ---- fibers

#ifdef EMU_FAST_SWITCH
// emu_switch(save, to): push what a call must keep, exchange stacks, pop. (No shadow stack is kept: programs that
// turn one on would need the ucontext way, -DEMU_UCONTEXT.)
extern "C" void emu_switch(void **save, void *to);
asm(".text\n"
    ".p2align 4\n"
    ".hidden emu_switch\n"
    ".globl emu_switch\n"
    ".type emu_switch,@function\n"
    "emu_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    popq %rcx\n" // a jump, not ret: the processor would guess the caller's return address
    "    jmp *%rcx\n"
    ".size emu_switch,.-emu_switch\n");
#endif

static void to_scheduler() {
    engine *e = running;
    fiber *f = &e->fibers[e->current];
#ifdef EMU_ASAN
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(f->state == DONE ? nullptr : &fake, e->host_stack, e->host_size);
#endif
#ifdef EMU_FAST_SWITCH
    emu_switch(&f->sp, e->scheduler);
#else
    swapcontext(&f->context, &e->scheduler);
#endif
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(fake, &e->host_stack, &e->host_size);
#endif
}

static void fiber_main() {
    engine *e = running;
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &e->host_stack, &e->host_size);
#endif
    e->call->thread(e->call);
    e->fibers[e->current].state = DONE;
    e->waiting[DONE]++;
    to_scheduler();
    abort(); // a fiber that is done gets no more turns
}

static unsigned char *stack_of(const engine *e, int i) {
    return e->stacks + static_cast<size_t>(i) * STACK;
}

static void fiber_start(engine *e, int i) {
    fiber *f = &e->fibers[i];
    unsigned char *stack = stack_of(e, i);
    const uint3 dim = emu_here.block_dim;
    unsigned t = static_cast<unsigned>(i);
    f->state = READY;
    f->place = {t % dim.x, t / dim.x % dim.y, t / dim.x / dim.y};
#ifdef EMU_ASAN
    // The thread that had this stack in the block before never returned from its last frames.
    __asan_unpoison_memory_region(stack, STACK);
#endif
    memcpy(stack, &canary, sizeof canary);
#ifdef EMU_FAST_SWITCH
    // Six registers, the address that `ret` goes to, and a return address of 0 for whoever unwinds.
    // Stacks begin at different cache lines, or all of them would compete for the same few.
    void **top = reinterpret_cast<void **>(stack + STACK - i % 32 * 128) - 8;
    memset(top, 0, 8 * sizeof *top);
    top[6] = reinterpret_cast<void *>(fiber_main);
    f->sp = top;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
#endif
}

static void fiber_turn(engine *e, int i) {
    fiber *f = &e->fibers[i];
    e->current = i;
    emu_here.thread = f->place;
#ifdef EMU_ASAN
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_of(e, i), STACK);
#endif
#ifdef EMU_FAST_SWITCH
    emu_switch(&e->scheduler, f->sp);
#else
    swapcontext(&e->scheduler, &f->context);
#endif
#ifdef EMU_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    e->current = -1;
    if (f->state == DONE && memcmp(stack_of(e, i), &canary, sizeof canary)) {
        fprintf(stderr, "kernel %s: the stack of an emulated thread overflowed\n", last_kernel);
        abort(); // memory of the process is damaged
    }
}

static void leave_kernel() {
    engine *e = running;
    if (e->call->mode == EMU_PLAIN) _longjmp(e->leave, 1);
    e->fibers[e->current].state = DONE;
    to_scheduler();
}

// ---- what kernels call

static engine *need_sync(const char *what) {
    engine *e = running;
    if (e->call->mode == EMU_PLAIN) {
        trap("%s in a kernel launched with BD_LAUNCH, whose threads do not wait; use "
             "BD_LAUNCH_SYNC or "
             "BD_LAUNCH_SHARED",
             what);
    }
    return e;
}

void emu_barrier(int line) {
    engine *e = need_sync("__syncthreads");
    fiber *f = &e->fibers[e->current];
    f->state = AT_BARRIER;
    f->line = line;
    e->waiting[AT_BARRIER]++;
    to_scheduler();
}

uint64_t emu_exchange(unsigned mask, uint64_t bits, unsigned source, int line) {
    engine *e = need_sync("a shuffle or __syncwarp");
    fiber *f = &e->fibers[e->current];
    unsigned lane = static_cast<unsigned>(e->current) % WARP;
    if (!(mask >> lane & 1)) trap("line %d: lane %u is not in its own mask %08x", line, lane, mask);
    if (source >= WARP || !(mask >> source & 1)) {
        trap("line %d: lane %u reads lane %u, which is not in mask %08x", line, lane, source, mask);
    }
    f->state = AT_EXCHANGE;
    f->line = line;
    f->mask = mask;
    f->source = source;
    f->bits = bits;
    e->lanes[e->current / WARP]++;
    to_scheduler();
    return f->bits;
}

unsigned emu_lane() {
    const uint3 t = emu_here.thread, dim = emu_here.block_dim;
    return (t.x + dim.x * (t.y + dim.y * t.z)) % WARP;
}

static void *find_shared(engine *e, const void *site, size_t bytes) {
    size_t total = bytes;
    for (int i = 0; i < e->shared_count; i++) {
        if (e->shared[i].site == site) return e->shared[i].p;
        if (e->shared[i].site) total += e->shared[i].n;
    }
    if (e->shared_count == MAX_SHARED) trap("more than %d shared arrays", MAX_SHARED);
    if (site && total > STATIC_LIMIT)
        trap("%zu bytes of static shared memory; devices have %d", total, STATIC_LIMIT);
    void *p = emu_guard_alloc(bytes);
    if (!p) trap("out of memory for %zu bytes of shared memory", bytes);
    e->shared[e->shared_count++] = {site, p, bytes};
    return p;
}

void *emu_shared(const void *site, size_t bytes) {
    return find_shared(need_sync("shared memory"), site, bytes);
}

void *emu_shared_dynamic() {
    engine *e = need_sync("dynamic shared memory");
    if (!e->call->bytes) trap("dynamic shared memory in a launch that asks for none");
    return find_shared(e, nullptr, e->call->bytes);
}

// ---- one block of waiting threads

static bool release_barrier(engine *e) {
    if (e->waiting[AT_BARRIER] < e->threads) return false;
    for (int i = 1; i < e->threads; i++) {
        if (e->fibers[i].line != e->fibers[0].line) return false;
    }
    for (int i = 0; i < e->threads; i++) e->fibers[i].state = READY;
    e->waiting[AT_BARRIER] = 0;
    return true;
}

static bool exchange_complete(const fiber *lane, unsigned mask) {
    for (int j = 0; j < WARP; j++) {
        if ((mask >> j & 1) && (lane[j].state != AT_EXCHANGE || lane[j].mask != mask)) return false;
    }
    return true;
}

// Opens every complete exchange of a warp; a warp may hold several, of lanes that went different ways.
static bool release_warp(engine *e, int warp) {
    fiber *lane = &e->fibers[warp * WARP];
    int before = e->lanes[warp];
    for (int i = 0; i < WARP && e->lanes[warp]; i++) {
        if (lane[i].state != AT_EXCHANGE || !exchange_complete(lane, lane[i].mask)) continue;
        unsigned mask = lane[i].mask;
        uint64_t in[WARP];
        for (int j = 0; j < WARP; j++) in[j] = lane[j].bits;
        for (int j = 0; j < WARP; j++) {
            if (!(mask >> j & 1)) continue;
            lane[j].bits = in[lane[j].source];
            lane[j].state = READY;
            e->lanes[warp]--;
        }
    }
    return e->lanes[warp] < before;
}

static void report_stuck(engine *e) {
    int count[4] = {0}, at[4] = {0}, other = -1;
    for (int i = e->threads - 1; i >= 0; i--) {
        count[e->fibers[i].state]++;
        at[e->fibers[i].state] = i;
    }
    for (int i = 0; i < e->threads; i++) {
        if (e->fibers[i].state == AT_BARRIER && e->fibers[i].line != e->fibers[at[AT_BARRIER]].line)
            other = i;
    }
    int blamed = count[AT_BARRIER] ? at[AT_BARRIER] : at[AT_EXCHANGE];
    char more[128] = "";
    if (other >= 0)
        snprintf(more, sizeof more, ", thread %d at line %d", other, e->fibers[other].line);
    emu_raise(EMU_E_KERNEL,
              "kernel %s, block (%u,%u,%u), thread %d: divergent barrier: it waits at line %d%s; "
              "of %d threads %d wait "
              "in __syncthreads, %d in a shuffle or __syncwarp, %d have left the kernel",
              last_kernel, blockIdx.x, blockIdx.y, blockIdx.z, blamed, e->fibers[blamed].line, more,
              e->threads, count[AT_BARRIER], count[AT_EXCHANGE], count[DONE]);
    e->failed = true;
}

static uint64_t next_random(engine *e) {
    e->random ^= e->random << 13;
    e->random ^= e->random >> 7;
    e->random ^= e->random << 17;
    return e->random;
}

static void one_round(engine *e) {
    int turn[MAX_THREADS], n = e->threads;
    for (int i = 0; i < n; i++) turn[i] = e->order == EMU_REVERSE ? n - 1 - i : i;
    for (int i = n - 1; i > 0 && e->order >= EMU_SHUFFLED; i--) {
        int j = static_cast<int>(next_random(e) % static_cast<unsigned>(i + 1)), t = turn[i];
        turn[i] = turn[j];
        turn[j] = t;
    }
    for (int i = 0; i < n && !e->failed; i++) {
        if (e->fibers[turn[i]].state == READY) fiber_turn(e, turn[i]);
    }
}

static void check_shared(engine *e) {
    for (int i = 0; i < e->shared_count && !e->failed; i++) {
        const char *where = emu_guard_check(e->shared[i].p, e->shared[i].n);
        if (!where) continue;
        emu_raise(EMU_E_ADDRESS,
                  "kernel %s, block (%u,%u,%u): wrote %s its %zu bytes of %s shared memory",
                  last_kernel, blockIdx.x, blockIdx.y, blockIdx.z, where, e->shared[i].n,
                  e->shared[i].site ? "static" : "dynamic");
        e->failed = true;
    }
}

static void run_block(engine *e) {
    for (int i = 0; i < e->shared_count; i++) memset(e->shared[i].p, 0xff, e->shared[i].n);
    for (int i = 0; i < e->threads; i++) fiber_start(e, i);
    memset(e->waiting, 0, sizeof e->waiting);
    memset(e->lanes, 0, sizeof e->lanes);
    while (!e->failed) {
        one_round(e);
        if (e->failed) break;
        if (e->waiting[DONE] == e->threads) break;
        bool any = release_barrier(e);
        for (int i = 0; i < e->threads / WARP; i++) any = release_warp(e, i) || any;
        if (!any) report_stuck(e);
    }
    check_shared(e);
}

// ---- one block of threads that do not wait

static void run_plain_block(engine *e) {
    const uint3 dim = emu_here.block_dim;
    unsigned n = dim.x * dim.y * dim.z;
    unsigned shift = e->order >= EMU_SHUFFLED ? static_cast<unsigned>(next_random(e) % n) : 0;
    for (unsigned i = 0; i < n; i++) {
        // 1031 is a prime above 1024: as a step it reaches every thread.
        unsigned t = e->order == EMU_FORWARD   ? i
                     : e->order == EMU_REVERSE ? n - 1 - i
                                               : (i * 1031 + shift) % n;
        emu_here.thread = {t % dim.x, t / dim.x % dim.y, t / dim.x / dim.y};
        e->call->thread(e->call);
    }
}

// ---- a launch

// Stacks of the fibers, kept from launch to launch: their pages cost more than many a kernel. One host thread's.
static __thread unsigned char *kept_stacks;

static bool engine_prepare(engine *e) {
    if (e->call->mode == EMU_PLAIN) return true;
    e->fibers = static_cast<fiber *>(calloc(static_cast<size_t>(e->threads), sizeof(fiber)));
    if (!kept_stacks) {
        void *stacks =
            mmap(nullptr, static_cast<size_t>(MAX_THREADS) * STACK, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        kept_stacks = stacks == MAP_FAILED ? nullptr : static_cast<unsigned char *>(stacks);
    }
    e->stacks = kept_stacks;
    return e->fibers && e->stacks;
}

static void engine_clear(engine *e) {
    for (int i = 0; i < e->shared_count; i++) emu_guard_free(e->shared[i].p, e->shared[i].n);
    if (e->stacks) {
#ifdef EMU_ASAN
        __asan_unpoison_memory_region(e->stacks, static_cast<size_t>(e->threads) * STACK);
#endif
    }
    free(e->fibers);
}

static void run_blocks(engine *e, uint64_t blocks) {
    const dim3 g = e->call->grid;
    for (uint64_t i = 0; i < blocks && !e->failed; i++) {
        uint64_t b = e->order == EMU_FORWARD ? i : blocks - 1 - i;
        emu_here.block = {static_cast<unsigned>(b % g.x), static_cast<unsigned>(b / g.x % g.y),
                          static_cast<unsigned>(b / g.x / g.y)};
        if (e->call->mode == EMU_SYNC)
            run_block(e);
        else
            run_plain_block(e);
    }
}

void emu_run_call(void *call) {
    engine e = {};
    e.call = static_cast<emu_call *>(call);
    const dim3 g = e.call->grid, b = e.call->block;
    uint64_t blocks = static_cast<uint64_t>(g.x) * g.y * g.z;
    e.threads = static_cast<int>(b.x * b.y * b.z);
    e.current = -1;
    e.order = thread_order;
    e.random = 0x9e3779b97f4a7c15ull * static_cast<uint64_t>(thread_order + 1);
    base_name(last_kernel, e.call->name);
    pthread_mutex_lock(&lock);
    kernel_count *k = find_count(last_kernel, true);
    if (k) {
        k->launches++;
        k->blocks += blocks;
    }
    pthread_mutex_unlock(&lock);
    engine *outer = running;
    running = &e;
    emu_here.block_dim = {b.x, b.y, b.z};
    emu_here.grid_dim = {g.x, g.y, g.z};
    if (!engine_prepare(&e))
        emu_raise(EMU_E_MEMORY, "kernel %s: no memory for %d stacks", last_kernel, e.threads);
    else if (!_setjmp(e.leave))
        run_blocks(&e, blocks);
    engine_clear(&e);
    running = outer;
}

int emu_launch_call(const emu_call *call, size_t bytes, void *stream) {
    char name[NAME];
    base_name(name, call->name);
    const dim3 g = call->grid, b = call->block;
    uint64_t threads = static_cast<uint64_t>(b.x) * b.y * b.z;
    bool grid_ok = g.x && g.y && g.z && g.x <= 0x7fffffffu && g.y <= 65535 && g.z <= 65535;
    bool block_ok = threads && threads <= MAX_THREADS && threads % WARP == 0 && b.z <= 64;
    if (!grid_ok || !block_ok || call->bytes > SHARED_LIMIT) {
        emu_raise(EMU_E_LAUNCH,
                  "kernel %s: grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of shared memory: a "
                  "grid has at most "
                  "2^31-1, 65535, 65535 blocks, a block a multiple of 32 threads, at most 1024, "
                  "and %d bytes",
                  name, g.x, g.y, g.z, b.x, b.y, b.z, call->bytes, SHARED_LIMIT);
        return emu_take_error();
    }
    return emu_enqueue(stream, emu_run_call, call, bytes);
}

bool emu_argument_ok(const char *kernel, int index, const void *p) {
    if (emu_on_device(p, 0)) return true;
    char name[NAME];
    base_name(name, kernel);
    emu_raise(EMU_E_ADDRESS, "kernel %s: argument %d is not device memory", name, index);
    emu_take_error();
    return false;
}
