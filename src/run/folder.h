/* The folder of a stage: manifest.ini, log.csv, artifacts, result.csv, and DONE, written last. */
#ifndef BD_RUN_FOLDER_H
#define BD_RUN_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "io/csv.h"
#include "run/plan.h"

#define BD_RUNS_DIR "runs"

/* bd_stage_path -- RUNS/<stage> or RUNS/<stage>/<file>; file may be NULL. */
BD_MUST_CHECK bd_status bd_stage_path(char *out, size_t size, const char *runs, const bd_stage *s,
                                      const char *file);
bool bd_stage_done(const char *runs, const bd_stage *s);

/* bd_results_lock -- the folder of result files for one writer at a time: made if need be, waited for, and freed of what
 * killed writers left. Release with bd_lock_release. */
BD_MUST_CHECK bd_status bd_results_lock(bd_lock **out, const char *dir);

/* bd_stage_model_dir -- DIR/model or DIR/model-BACKDOORED, whichever is there. */
BD_MUST_CHECK bd_status bd_stage_model_dir(char *out, size_t size, const char *dir);

/* What DONE says of how the stage was made; nothing here is reproducible. */
typedef struct {
    double seconds; /* of all sittings */
    double tflop;
    int threads;
    char finished[32]; /* UTC; written by bd_done_write itself */
    char sums[65];     /* SHA-256 of the folder's SHA256SUMS (run/verify.h) */
} bd_done;

BD_MUST_CHECK bd_status bd_done_write(const char *dir, const bd_done *d);
/* path: of the DONE file.
 *   errors   BD_E_MISSING: the stage is not finished; BD_E_ARG with file:line; BD_E_FORMAT: not as it was written */
BD_MUST_CHECK bd_status bd_done_read(bd_done *d, const char *path);

/* result.csv: the numbers a stage found, one a line. */
typedef struct bd_results bd_results;
BD_MUST_CHECK bd_status bd_results_create(bd_results **out);
void bd_results_destroy(bd_results *r); /* NULL allowed */
/* unit and help end up in the head of the result files. */
BD_MUST_CHECK bd_status bd_results_text(bd_results *r, const char *name, const char *value,
                                        const char *unit, const char *help);
BD_MUST_CHECK bd_status bd_results_number(bd_results *r, const char *name, double value,
                                          const char *unit, const char *help);
BD_MUST_CHECK bd_status bd_results_count(bd_results *r, const char *name, int64_t value,
                                         const char *unit, const char *help);
BD_MUST_CHECK bd_status bd_results_save(const bd_results *r, const char *dir);
/* bd_results_load -- columns name, value, unit, help; caller frees with bd_csv_destroy. */
BD_MUST_CHECK bd_status bd_results_load(bd_csv **out, const char *dir);
/* bd_results_find -- value of a name; NULL: not there. */
const char *bd_results_find(const bd_csv *c, const char *name);

#endif
