#include "cpu/probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/machine.h"

/* TIMES is odd: the median is one of them. */
enum { TIMES = 11, LEAST = 32 << 20, CACHES = 4 };

typedef struct {
    char *from, *to;
    double rate; /* of the last copy */
} copier;

typedef struct {
    copier *by; /* [workers] */
    size_t bytes;
} copy_ctx;

/* Each worker touches its blocks first: they lie in the memory next to it. */
static bd_status open_task(void *ctx, int task, int worker) {
    copy_ctx *x = ctx;
    copier *c = &x->by[worker];
    (void)task;
    c->from = bd_alloc_pages(x->bytes);
    c->to = bd_alloc_pages(x->bytes);
    BD_REQUIRE(c->from && c->to, BD_E_MEMORY, "ceilings: out of memory for blocks of %zu bytes",
               x->bytes);
    memset(c->from, 1, x->bytes);
    memset(c->to, 2, x->bytes);
    return BD_OK;
}

static bd_status copy_task(void *ctx, int task, int worker) {
    copy_ctx *x = ctx;
    copier *c = &x->by[worker];
    (void)task;
    double start = bd_clock_seconds();
    memcpy(c->to, c->from, x->bytes);
    c->rate = 2 * (double)x->bytes / (bd_clock_seconds() - start);
    return BD_OK;
}

static bd_status measure(double *rate, copy_ctx *x, bd_pool *pool) {
    double sum[TIMES] = {0};
    BD_TRY(bd_pool_each(pool, open_task, x));
    for (int i = 0; i < TIMES; i++) {
        BD_TRY(bd_pool_each(pool, copy_task, x));
        for (int w = 0; w < bd_pool_workers(pool); w++) sum[i] += x->by[w].rate;
    }
    *rate = bd_clock_median(sum, TIMES);
    return BD_OK;
}

/* Far larger than the cache that the workers share, and large enough for memcpy to write past the caches: glibc does so
 * from a share of the size on that sysconf() tells, which on some processors is that of several caches. At most an
 * eighth of the machine's memory in all. */
static size_t block_bytes(int workers) {
    bd_machine m;
    bd_machine_get(&m);
    double bytes = LEAST, shared = CACHES * bd_machine_last_cache() / workers,
           told = (double)sysconf(_SC_LEVEL3_CACHE_SIZE), most = m.memory / (16.0 * workers);
    if (shared > bytes) bytes = shared;
    if (told > bytes) bytes = told;
    return (size_t)(most > LEAST && bytes > most ? most : bytes);
}

bd_status bd_cpu_copy_measure(double *rate, size_t *bytes, bd_pool *pool) {
    const int workers = bd_pool_workers(pool);
    copy_ctx x = {.bytes = block_bytes(workers)};
    x.by = calloc((size_t)workers, sizeof *x.by);
    BD_REQUIRE(x.by, BD_E_MEMORY, "ceilings: out of memory");
    *bytes = x.bytes;
    bd_status st = measure(rate, &x, pool);
    for (int w = 0; w < workers; w++) {
        bd_free_pages(x.by[w].from, x.bytes);
        bd_free_pages(x.by[w].to, x.bytes);
    }
    free(x.by);
    return st;
}
