/* A result file while it is put together: rows of named columns; for src/run/ only. */
#ifndef BD_RUN_TABLE_H
#define BD_RUN_TABLE_H

#include "base/file.h"
#include "base/status.h"

typedef struct bd_table bd_table;

BD_MUST_CHECK bd_status bd_table_create(bd_table **out);
void bd_table_destroy(bd_table *t);                /* NULL allowed */
BD_MUST_CHECK bd_status bd_table_row(bd_table *t); /* begins a row */
int bd_table_rows(const bd_table *t);

/* bd_table_set -- a field of the last row. A name that is new makes a column. Columns are written by group,
 * within a group in the order they came up. */
BD_MUST_CHECK bd_status bd_table_set(bd_table *t, int group, const char *name, const char *value,
                                     const char *unit, const char *help);
/* bd_table_write -- a line "# column NAME [UNIT]: HELP" for each column, then header and rows. */
BD_MUST_CHECK bd_status bd_table_write(const bd_table *t, bd_writer *w);

#endif
