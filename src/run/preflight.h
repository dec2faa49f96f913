/* Whether a run can start: everything that stands in its way, found before its first stage. */
#ifndef BD_RUN_PREFLIGHT_H
#define BD_RUN_PREFLIGHT_H

#include <time.h>

#include "run/price.h"

/* One line a problem: what, where, and what to do. */
typedef struct {
    char **line;
    int n, room;
} bd_problems;
/* bd_problems_add -- one more line.
 *   errors   BD_E_MEMORY */
BD_MUST_CHECK bd_status bd_problems_add(bd_problems *p, const char *fmt, ...) BD_PRINTF(2, 3);
void bd_problems_clear(bd_problems *p); /* an all-zero struct is fine */

typedef struct {
    const bd_dag *dag;
    const bool *needed;    /* [n_stages]; NULL = every stage                            */
    const bd_price *price; /* [n_stages]; NULL = not known: room and memory are not asked */
    const char *runs;      /* folder of the stages                                      */
    const char *results;   /* folder that will be written to as well; NULL = none       */
    time_t now;            /* 0 = the clock's                                           */
} bd_preflight_spec;

/* bd_preflight -- look at all of it, start nothing, write nothing: may runs and results be written to; have they room
 * and inodes for what is not done; fits the largest stage into memory; are the devices there; what does the plan read
 * that is missing (run/inputs.h); can the clock be right. With nothing to do there is no problem.
 *   errors   BD_E_MEMORY; BD_E_IO. Problems are no errors
 *   memory   out starts all-zero; caller frees with bd_problems_clear, also after an error
 *   tested   tests/test_preflight.c */
BD_MUST_CHECK bd_status bd_preflight(bd_problems *out, const bd_preflight_spec *spec);

/* --- the machine's part, for `baddiff doctor` too --- */

/* Room on the file system that a folder lies, or would lie, on. */
typedef struct {
    char where[1024]; /* the folder, or the nearest one above it that is there          */
    double bytes;     /* free                                                           */
    double inodes;    /* free; -1: this file system does not count them                 */
    bool writable;    /* `where` is a folder that this process may make files in        */
} bd_room;
BD_MUST_CHECK bd_status bd_room_get(bd_room *out, const char *folder);

/* bd_clock_sane -- not before 2024, which is before this program: times in records would mean nothing. */
bool bd_clock_sane(time_t now);

#endif
