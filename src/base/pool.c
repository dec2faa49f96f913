#include "base/pool.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run is published by raising `generation`. Workers spin for a moment before they sleep, because the next
 * run of a training step usually follows within microseconds. */
enum { SPIN = 4000, TEXT_SIZE = 1024 };

typedef struct {
    bd_pool *pool;
    pthread_t thread;
    int worker;
} member;

struct bd_pool {
    int workers;
    member *members; /* [workers]; entry 0 is the caller and has no thread */

    pthread_mutex_t lock;
    pthread_cond_t go, done;
    atomic_uint generation;
    atomic_int active; /* workers that have not finished the present run */
    atomic_bool quit, running;

    /* the present run */
    bd_task_fn fn;
    void *ctx;
    int n_tasks;
    atomic_int next;     /* first task not handed out yet */
    atomic_bool stopped; /* a task failed: hand out no more */

    /* the failed task with the lowest index; under lock */
    int failed_task;
    bd_status failed_status;
    char failed_text[TEXT_SIZE];
};

static void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Libraries that use OpenMP (OpenBLAS may) must stay on the thread that calls them: a result split over threads
 * would depend on their number. Looked up at run time, so that nothing here needs OpenMP. */
static void openmp_single_thread(void) {
    static _Thread_local bool called;
    if (called) return;
    called = true;
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (!symbol) return;
    void (*set_threads)(int);
    memcpy(&set_threads, &symbol, sizeof set_threads);
    set_threads(1);
}

static void note_failure(bd_pool *p, int task, bd_status st) {
    atomic_store(&p->stopped, true);
    pthread_mutex_lock(&p->lock);
    if (task < p->failed_task) {
        p->failed_task = task;
        p->failed_status = st;
        snprintf(p->failed_text, sizeof p->failed_text, "%s", bd_error());
    }
    pthread_mutex_unlock(&p->lock);
}

static void work(bd_pool *p, int worker) {
    while (!atomic_load(&p->stopped)) {
        int task = atomic_fetch_add(&p->next, 1);
        if (task >= p->n_tasks) return;
        bd_status st = p->fn(p->ctx, task, worker);
        if (st) note_failure(p, task, st);
    }
}

/* Returns the new generation. */
static unsigned wait_for_run(bd_pool *p, unsigned seen) {
    for (int i = 0; i < SPIN; i++) {
        unsigned g = atomic_load(&p->generation);
        if (g != seen) return g;
        cpu_relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == seen) pthread_cond_wait(&p->go, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->generation);
}

static void *worker_main(void *arg) {
    member *m = arg;
    bd_pool *p = m->pool;
    openmp_single_thread();
    for (unsigned seen = 0;;) {
        seen = wait_for_run(p, seen);
        if (atomic_load(&p->quit)) return NULL;
        work(p, m->worker);
        if (atomic_fetch_sub(&p->active, 1) == 1) {
            pthread_mutex_lock(&p->lock); /* not between the caller's test and its wait */
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void publish(bd_pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_workers(bd_pool *p) {
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load(&p->active) == 0) return;
        cpu_relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->active) != 0) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* Ends the threads 1..started-1 and frees everything. */
static void pool_free(bd_pool *p, int started) {
    atomic_store(&p->quit, true);
    publish(p);
    for (int i = 1; i < started; i++) pthread_join(p->members[i].thread, NULL);
    pthread_cond_destroy(&p->go);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->members);
    free(p);
}

/* Signals are for the thread that owns the program's handlers: workers start with all of them blocked. */
static int start_workers(bd_pool *p, int *error) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int started = 1;
    *error = 0;
    while (started < p->workers) {
        member *m = &p->members[started];
        *error = pthread_create(&m->thread, NULL, worker_main, m);
        if (*error) break;
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

bd_status bd_pool_create(bd_pool **out, int workers) {
    openmp_single_thread();
    *out = NULL;
    BD_REQUIRE(workers >= 1 && workers <= 4096, BD_E_ARG,
               "thread pool: %d threads asked for, allowed 1..4096", workers);
    bd_pool *p = calloc(1, sizeof *p);
    BD_REQUIRE(p, BD_E_MEMORY, "thread pool: out of memory");
    p->workers = workers;
    p->members = calloc((size_t)workers, sizeof *p->members);
    if (!p->members) {
        free(p);
        return bd_fail(BD_E_MEMORY, "thread pool: out of memory for %d threads", workers);
    }
    for (int i = 0; i < workers; i++) p->members[i] = (member){.pool = p, .worker = i};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    pthread_cond_init(&p->done, NULL);
    int error;
    int started = start_workers(p, &error);
    if (started < workers) {
        pool_free(p, started);
        return bd_fail(BD_E_MEMORY,
                       "thread pool: thread %d of %d did not start: %s; use fewer threads",
                       started + 1, workers, strerror(error));
    }
    *out = p;
    return BD_OK;
}

void bd_pool_destroy(bd_pool *p) {
    if (p) pool_free(p, p->workers);
}

int bd_pool_workers(const bd_pool *p) { return p->workers; }

bd_status bd_pool_run(bd_pool *p, int n_tasks, bd_task_fn fn, void *ctx) {
    if (n_tasks <= 0) return BD_OK;
    BD_REQUIRE(!atomic_exchange(&p->running, true), BD_E_ARG,
               "thread pool: run called from inside a run of the same pool");
    openmp_single_thread();
    p->fn = fn;
    p->ctx = ctx;
    p->n_tasks = n_tasks;
    p->failed_task = INT_MAX;
    p->failed_status = BD_OK;
    atomic_store(&p->next, 0);
    atomic_store(&p->stopped, false);
    bool alone = p->workers == 1 || n_tasks == 1;
    if (!alone) {
        atomic_store(&p->active, p->workers - 1);
        publish(p);
    }
    work(p, 0);
    if (!alone) wait_for_workers(p);
    bd_status st = p->failed_status;
    if (st) st = bd_fail(st, "%s", p->failed_text);
    atomic_store(&p->running, false);
    return st;
}

typedef struct {
    bd_pool *pool;
    bd_task_fn fn;
    void *ctx;
    atomic_int arrived;
} each_ctx;

/* Who waits here holds a task: each of the others takes one of those that are left, and comes too. */
static bd_status each_task(void *ctx, int task, int worker) {
    each_ctx *x = ctx;
    (void)task;
    atomic_fetch_add(&x->arrived, 1);
    for (unsigned i = 0; atomic_load(&x->arrived) < x->pool->workers; i++) {
        cpu_relax();
        if (i >= SPIN) sched_yield(); /* fewer processors than workers */
    }
    return x->fn(x->ctx, worker, worker);
}

bd_status bd_pool_each(bd_pool *p, bd_task_fn fn, void *ctx) {
    each_ctx x = {.pool = p, .fn = fn, .ctx = ctx};
    return bd_pool_run(p, p->workers, each_task, &x);
}
