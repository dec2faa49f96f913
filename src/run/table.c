#include "run/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "io/csv.h"

enum { COLUMNS_MAX = 96, GROUPS = 16 };

typedef struct {
    const char *name, *unit, *help;
    int group;
} column;

struct bd_table {
    bd_arena *arena;
    column col[COLUMNS_MAX];
    int n_cols;
    const char *(*row)[COLUMNS_MAX]; /* NULL = empty field */
    int n_rows, room;
};

bd_status bd_table_create(bd_table **out) {
    bd_table *t = calloc(1, sizeof *t);
    if (t) t->arena = bd_arena_create();
    if (!t || !t->arena) {
        free(t);
        return bd_fail(BD_E_MEMORY, "out of memory for a table");
    }
    *out = t;
    return BD_OK;
}

void bd_table_destroy(bd_table *t) {
    if (!t) return;
    bd_arena_destroy(t->arena);
    free(t->row);
    free(t);
}

bd_status bd_table_row(bd_table *t) {
    if (t->n_rows == t->room) {
        int room = t->room ? 2 * t->room : 16;
        void *p = realloc(t->row, (size_t)room * sizeof *t->row);
        BD_REQUIRE(p, BD_E_MEMORY, "out of memory for %d rows", room);
        t->row = p;
        t->room = room;
    }
    memset(t->row[t->n_rows++], 0, sizeof *t->row);
    return BD_OK;
}

int bd_table_rows(const bd_table *t) { return t->n_rows; }

static int find(const bd_table *t, const char *name) {
    for (int i = 0; i < t->n_cols; i++)
        if (!strcmp(t->col[i].name, name)) return i;
    return -1;
}

bd_status bd_table_set(bd_table *t, int group, const char *name, const char *value,
                       const char *unit, const char *help) {
    int i = find(t, name);
    const char *copy = bd_arena_strdup(t->arena, value);
    BD_REQUIRE(copy && t->n_rows > 0, BD_E_MEMORY, "out of memory for a table");
    if (i < 0) {
        BD_REQUIRE(t->n_cols < COLUMNS_MAX, BD_E_ARG, "a result file has at most %d columns",
                   COLUMNS_MAX);
        i = t->n_cols;
        t->col[i] = (column){bd_arena_strdup(t->arena, name), bd_arena_strdup(t->arena, unit),
                             bd_arena_strdup(t->arena, help), group};
        BD_REQUIRE(t->col[i].name && t->col[i].unit && t->col[i].help, BD_E_MEMORY,
                   "out of memory for a table");
        t->n_cols++;
    }
    t->row[t->n_rows - 1][i] = copy;
    return BD_OK;
}

/* Columns by group, stable. */
static int order_columns(int order[COLUMNS_MAX], const bd_table *t) {
    int n = 0;
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < t->n_cols; i++)
            if (t->col[i].group == g) order[n++] = i;
    return n;
}

bd_status bd_table_write(const bd_table *t, bd_writer *w) {
    int order[COLUMNS_MAX], n = order_columns(order, t);
    for (int i = 0; i < n; i++) {
        const column *c = &t->col[order[i]];
        BD_TRY(bd_writer_printf(w, "# column %s%s%s%s: %s\n", c->name, c->unit[0] ? " [" : "",
                                c->unit, c->unit[0] ? "]" : "", c->help));
    }
    for (int i = 0; i < n; i++) BD_TRY(bd_csv_field(w, i ? "," : "", t->col[order[i]].name));
    BD_TRY(bd_writer_write(w, "\n", 1));
    for (int r = 0; r < t->n_rows; r++) {
        for (int i = 0; i < n; i++) {
            const char *value = t->row[r][order[i]];
            BD_TRY(bd_csv_field(w, i ? "," : "", value ? value : ""));
        }
        BD_TRY(bd_writer_write(w, "\n", 1));
    }
    return BD_OK;
}
