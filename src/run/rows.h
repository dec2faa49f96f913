/* Rows of a result file, found by conditions on its columns; for src/run/ only. */
#ifndef BD_RUN_ROWS_H
#define BD_RUN_ROWS_H

#include <stdbool.h>

#include "base/status.h"
#include "io/csv.h"

typedef struct {
    bd_csv *csv; /* NULL: there is no such file */
    char path[1200], profile[64];
} bd_result_file;

/* bd_result_file_load -- RESULTS/RECIPE.csv and the profile that its head names; `profile` where it names none, or
 * there is no file.
 *   errors   BD_E_ARG: the path is too long; BD_E_FORMAT, BD_E_IO
 *   memory   caller frees with bd_result_file_clear */
BD_MUST_CHECK bd_status bd_result_file_load(bd_result_file *out, const char *results,
                                            const char *recipe, const char *profile);
void bd_result_file_clear(bd_result_file *f);

/* Columns go by the first word of their name: "mse" is "mse-128" too.
 * bd_rows_field -- the field of a row: the first one of that name that is not empty; NULL if there is none.
 * *column, where it is not NULL: which one. */
const char *bd_rows_field(const bd_csv *c, size_t row, const char *name, int *column);
bool bd_rows_number(double *out, const bd_csv *c, size_t row, const char *name);
bool bd_rows_has(const bd_csv *c, const char *name);

/* bd_rows_match -- does a row meet conditions like "finetune.from=none n_trigger>=128"? failed, where it is not NULL: the first
 * condition that does not hold.
 *   errors   BD_E_FORMAT: no condition, or on a column that is not there */
enum { BD_CONDITION_SIZE = 160 };
BD_MUST_CHECK bd_status bd_rows_match(bool *out, char failed[BD_CONDITION_SIZE], const bd_csv *c,
                                      size_t row, const char *conditions);

/* bd_rows_unknown -- the first column in conditions (or in a list of names, which are conditions without a value) that is not
 * there; "" if all are.
 *   errors   BD_E_FORMAT: no condition */
BD_MUST_CHECK bd_status bd_rows_unknown(char name[96], const bd_csv *c, const char *conditions,
                                        bool names_only);

bool bd_word_in(const char *list, const char *word); /* is it one of a list's words? */
bool bd_parse_number(double *out, const char *text); /* the whole text is a number */

#endif
