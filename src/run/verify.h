/* Is everything behind a result still what it was? From results/<profile>/SHA256SUMS to the stages' folders, from each
 * to its inputs, and from the first ones to data sets and weights. */
#ifndef BD_RUN_VERIFY_H
#define BD_RUN_VERIFY_H

#include "run/plan.h"

/* bd_verify_finish -- a finished stage's own sums: RUNS/<stage>/SHA256SUMS lists its files and the SHA256SUMS of its
 * inputs, so that each stage's sum stands for everything behind it. Returns the sum of that file. */
BD_MUST_CHECK bd_status bd_verify_finish(char sha256[65], const bd_dag *d, int stage,
                                         const char *runs);

/* bd_verify_seal -- write RESULTS/SHA256SUMS: the files there, and the sums of every finished stage of the plan that a
 * finished cell stands on. Paths count from where the program was started.
 *   errors   BD_E_MISSING: no such folder; BD_E_IO
 *   tested   tests/test_verify.c */
BD_MUST_CHECK bd_status bd_verify_seal(const bd_dag *d, const char *results, const char *runs);

typedef struct {
    int files, stages, problems;
    /* called for each problem: a path, and what is the matter with it */
    void (*problem)(void *ctx, const char *path, const char *what);
    void *ctx;
} bd_verify;

/* bd_verify_results -- compare all that RESULTS/SHA256SUMS stands for, and name every file that changed. problem and ctx
 * are set by the caller. Data sets are read again and compared with the sum of their pixels.
 *   errors   BD_E_MISSING: no SHA256SUMS there; BD_E_MEMORY. A problem is no error: it is counted
 *   tested   tests/test_verify.c: every byte of every file of a small run */
BD_MUST_CHECK bd_status bd_verify_results(bd_verify *v, const char *results);

#endif
