/* The three kinds of expectation files; for src/run/regress*.c only. */
#ifndef BD_RUN_REGRESS_PARTS_H
#define BD_RUN_REGRESS_PARTS_H

#include "run/regress.h"
#include "run/rows.h"

/* A line of an expectation file. */
typedef struct {
    const bd_csv *csv;
    size_t row;
} bd_line;

/* bd_line_get -- its field, which is borrowed from the file.
 *   errors   BD_E_FORMAT: no such column */
BD_MUST_CHECK bd_status bd_line_get(const char **out, const bd_line *l, const char *column);
/* bd_line_common -- id, claim, recipe, kind, source and what is true of every line that nothing is known of yet. */
BD_MUST_CHECK bd_status bd_line_common(bd_finding *f, const bd_line *l);
/* bd_line_place -- from columns table and page. */
BD_MUST_CHECK bd_status bd_line_place(bd_finding *f, const bd_line *l);

/* bd_metric_count -- how many samples are behind a field: the column's name tells, or the count of the row. */
void bd_metric_count(char out[16], const bd_csv *c, size_t row, const char *metric, int column);

/* One line each: fill f. */
BD_MUST_CHECK bd_status bd_judge_band(bd_finding *f, const bd_line *l, const char *results,
                                      const char *profile);
BD_MUST_CHECK bd_status bd_judge_number(bd_finding *f, const bd_line *l, const char *results,
                                        const char *profile);
BD_MUST_CHECK bd_status bd_judge_claim(bd_finding *f, const bd_line *l, const char *results,
                                       const char *profile);

#endif
