/* Oracles: the contract in base/pool.h; counts of calls; OpenMP's own answer about its threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/pool.h"

int omp_get_max_threads(void);

enum { TASKS = 1000 };

typedef struct {
    atomic_int calls[TASKS];
    atomic_int total;
    int workers;
    atomic_bool bad_worker;
    int fail_from; /* tasks >= this fail; -1 none */
    int slow;      /* this task fails late */
    bd_pool *pool;
} counts;

static bd_status count(void *ctx, int task, int worker) {
    counts *c = ctx;
    atomic_fetch_add(&c->calls[task], 1);
    atomic_fetch_add(&c->total, 1);
    if (worker < 0 || worker >= c->workers) atomic_store(&c->bad_worker, true);
    return BD_OK;
}

static void every_task_runs_once(void **state) {
    (void)state;
    for (int workers = 1; workers <= 4; workers++) {
        bd_pool *p;
        assert_int_equal(bd_pool_create(&p, workers), BD_OK);
        assert_int_equal(bd_pool_workers(p), workers);
        for (int n = 0; n <= TASKS; n = n * 4 + 1) {
            static counts c;
            memset(&c, 0, sizeof c);
            c.workers = workers;
            assert_int_equal(bd_pool_run(p, n, count, &c), BD_OK);
            assert_int_equal(atomic_load(&c.total), n);
            for (int i = 0; i < n; i++) assert_int_equal(atomic_load(&c.calls[i]), 1);
            assert_false(atomic_load(&c.bad_worker));
        }
        bd_pool_destroy(p);
    }
    bd_pool_destroy(NULL);
}

/* Short runs, one after the other and with pauses longer than the workers spin: no wake-up is lost. */
static void many_runs_follow_each_other(void **state) {
    (void)state;
    static counts c;
    bd_pool *p;
    assert_int_equal(bd_pool_create(&p, 3), BD_OK);
    memset(&c, 0, sizeof c);
    c.workers = 3;
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(bd_pool_run(p, 4, count, &c), BD_OK);
        if (i % 300 == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(atomic_load(&c.total), 12000);
    bd_pool_destroy(p);
}

/* All workers meet in one run: none of them is idle while tasks wait. */
static bd_status meet(void *ctx, int task, int worker) {
    (void)task;
    (void)worker;
    pthread_barrier_wait(ctx);
    return BD_OK;
}

static void workers_run_at_the_same_time(void **state) {
    (void)state;
    pthread_barrier_t barrier;
    bd_pool *p;
    assert_int_equal(bd_pool_create(&p, 3), BD_OK);
    pthread_barrier_init(&barrier, NULL, 3);
    assert_int_equal(bd_pool_run(p, 3, meet, &barrier), BD_OK); /* would hang */
    pthread_barrier_destroy(&barrier);
    bd_pool_destroy(p);
}

typedef struct {
    counts c;
    pthread_barrier_t barrier;
} each_view;

static bd_status count_and_meet(void *ctx, int task, int worker) {
    each_view *v = ctx;
    if (task != worker) atomic_store(&v->c.bad_worker, true);
    (void)count(&v->c, task, worker);
    pthread_barrier_wait(&v->barrier);
    return BD_OK;
}

/* Once each, with its own number, and side by side (else it would hang); more workers than processors too. */
static void each_worker_is_called_once(void **state) {
    (void)state;
    for (int workers = 1; workers <= 9; workers += 4) {
        static each_view v;
        bd_pool *p;
        assert_int_equal(bd_pool_create(&p, workers), BD_OK);
        memset(&v, 0, sizeof v);
        v.c.workers = workers;
        pthread_barrier_init(&v.barrier, NULL, (unsigned)workers);
        for (int round = 1; round <= 50; round++) {
            assert_int_equal(bd_pool_each(p, count_and_meet, &v), BD_OK);
            for (int i = 0; i < workers; i++) assert_int_equal(atomic_load(&v.c.calls[i]), round);
        }
        assert_false(atomic_load(&v.c.bad_worker));
        pthread_barrier_destroy(&v.barrier);
        bd_pool_destroy(p);
    }
}

static bd_status fail_some(void *ctx, int task, int worker) {
    counts *c = ctx;
    (void)worker;
    atomic_fetch_add(&c->total, 1);
    if (task == c->slow) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (task < c->fail_from) return BD_OK;
    return bd_fail(BD_E_NUMERIC - task % 2, "task %d", task);
}

static void lowest_failure_is_told(void **state) {
    (void)state;
    for (int workers = 1; workers <= 4; workers++) {
        bd_pool *p;
        assert_int_equal(bd_pool_create(&p, workers), BD_OK);
        for (int round = 0; round < 20; round++) {
            static counts c;
            memset(&c, 0, sizeof c);
            c.fail_from = c.slow = 6; /* the lowest failure comes last */
            assert_int_equal(bd_pool_run(p, TASKS, fail_some, &c), BD_E_NUMERIC);
            assert_string_equal(bd_error(), "task 6");
            /* At most one task a worker beyond the first failure is running when it fails, and the slow one lets
             * the others take one each. */
            assert_true(atomic_load(&c.total) <= 6 + 2 * workers);
            static counts good;
            memset(&good, 0, sizeof good);
            good.workers = workers;
            /* the pool is fit for the next run */
            assert_int_equal(bd_pool_run(p, 5, count, &good), BD_OK);
        }
        bd_pool_destroy(p);
    }
}

static bd_status nested(void *ctx, int task, int worker) {
    counts *c = ctx;
    (void)task;
    (void)worker;
    return bd_pool_run(c->pool, 2, count, c);
}

static void a_run_inside_a_run_is_refused(void **state) {
    (void)state;
    static counts c;
    memset(&c, 0, sizeof c);
    assert_int_equal(bd_pool_create(&c.pool, 2), BD_OK);
    assert_int_equal(bd_pool_run(c.pool, 2, nested, &c), BD_E_ARG);
    assert_int_equal(atomic_load(&c.total), 0);
    bd_pool_destroy(c.pool);
}

typedef struct {
    int max[2];
    pthread_barrier_t barrier;
} openmp_view;

static bd_status openmp_threads(void *ctx, int task, int worker) {
    openmp_view *v = ctx;
    v->max[worker] = omp_get_max_threads();
    return meet(&v->barrier, task, worker);
}

static void openmp_stays_on_one_thread(void **state) {
    (void)state;
    openmp_view v = {{0}, {{0}}};
    pthread_barrier_init(&v.barrier, NULL, 2);
    bd_pool *p;
    assert_int_equal(bd_pool_create(&p, 2), BD_OK);
    assert_int_equal(bd_pool_run(p, 2, openmp_threads, &v), BD_OK);
    assert_int_equal(v.max[0], 1);
    assert_int_equal(v.max[1], 1);
    pthread_barrier_destroy(&v.barrier);
    bd_pool_destroy(p);
}

static void silly_sizes_are_refused(void **state) {
    (void)state;
    bd_pool *p;
    assert_int_equal(bd_pool_create(&p, 0), BD_E_ARG);
    assert_null(p);
    assert_int_equal(bd_pool_create(&p, 1000000), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "1000000"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(many_runs_follow_each_other),
        cmocka_unit_test(workers_run_at_the_same_time),
        cmocka_unit_test(each_worker_is_called_once),
        cmocka_unit_test(lowest_failure_is_told),
        cmocka_unit_test(a_run_inside_a_run_is_refused),
        cmocka_unit_test(openmp_stays_on_one_thread),
        cmocka_unit_test(silly_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
