/* A fixed set of worker threads. */
#ifndef BD_BASE_POOL_H
#define BD_BASE_POOL_H

#include "base/status.h"

typedef struct bd_pool bd_pool;

/* A task: index 0..n_tasks-1, worker 0..workers-1. A failing task stops the hand-out of new ones. */
typedef bd_status (*bd_task_fn)(void *ctx, int task, int worker);

/* bd_pool_create -- start `workers` threads (>= 1). The calling thread is worker 0.
 *   memory   caller frees with bd_pool_destroy */
BD_MUST_CHECK bd_status bd_pool_create(bd_pool **out, int workers);
void bd_pool_destroy(bd_pool *p);
int bd_pool_workers(const bd_pool *p);

/* bd_pool_run -- run tasks 0..n_tasks-1, handed out in ascending order to free workers; returns when
 * all handed-out tasks ended. The status and text of the failed task with the lowest index is returned
 * (its text is copied to the calling thread). Every thread that runs tasks has OpenMP set to one thread
 * (omp_set_num_threads), if the program contains OpenMP; workers have all signals blocked.
 *   errors   a task's own; BD_E_ARG: called from inside a run of the same pool
 *   tested   tests/test_pool.c */
BD_MUST_CHECK bd_status bd_pool_run(bd_pool *p, int n_tasks, bd_task_fn fn, void *ctx);

/* bd_pool_each -- every worker calls fn once, with its own number as the task; none begins before all are there, so that
 * what fn measures is the machine with all workers at work.
 *   errors   as bd_pool_run
 *   tested   tests/test_pool.c */
BD_MUST_CHECK bd_status bd_pool_each(bd_pool *p, bd_task_fn fn, void *ctx);

#endif
