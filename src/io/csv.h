/* CSV tables with '#' comment lines on top; reading through libcsv. */
#ifndef BD_IO_CSV_H
#define BD_IO_CSV_H

#include <stddef.h>

#include "base/file.h"
#include "base/status.h"

typedef struct bd_csv bd_csv;

/* bd_csv_load -- first non-comment row is the header; every row must have as many fields.
 * Comment lines stand above the header only; blank lines are skipped; spaces belong to the field; a column name may
 * be there once.
 *   errors   BD_E_MISSING; BD_E_FORMAT with file:line and reason, or larger than 12 MiB
 *   memory   caller frees with bd_csv_destroy; strings are borrowed from it */
BD_MUST_CHECK bd_status bd_csv_load(bd_csv **out, const char *path);
void bd_csv_destroy(bd_csv *c);
size_t bd_csv_rows(const bd_csv *c);
size_t bd_csv_cols(const bd_csv *c);
const char *bd_csv_header(const bd_csv *c, size_t col);
int bd_csv_find(const bd_csv *c, const char *header); /* column, or -1 */
const char *bd_csv_get(const bd_csv *c, size_t row, size_t col);

/* bd_csv_field -- write one field to w, quoted when it must be; sep is "" for the first, "," for others. */
BD_MUST_CHECK bd_status bd_csv_field(bd_writer *w, const char *sep, const char *text);

/* bd_format_double -- shortest text that reads back to the same double ("0.1", "100", "1e-05", "nan"). */
void bd_format_double(char out[32], double v);

#endif
