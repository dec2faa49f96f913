#include "io/csv.h"

#include <csv.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field costs at least one byte of the file, and here five (its text's NUL and its offset). */
static const size_t file_max = (size_t)12 << 20;

struct bd_csv {
    char *pool;       /* the texts of all fields, each with its NUL */
    uint32_t *offset; /* [(rows + 1) * cols] into pool; row 0 is the header */
    size_t rows, cols;
};

/* One walk over the file. The first (counts) has no pool, the second fills it. */
typedef struct {
    const char *path;
    bd_csv *c;
    size_t pool_used, fields, cols, rows, row_fields;
    size_t line, row_line; /* from 1 */
    bd_status failed;
} walk;

static void on_field(void *text, size_t n, void *user) {
    walk *w = user;
    if (w->c) {
        w->c->offset[w->fields] = (uint32_t)w->pool_used;
        if (n) memcpy(w->c->pool + w->pool_used, text, n);
        w->c->pool[w->pool_used + n] = '\0';
    }
    w->pool_used += n + 1;
    w->fields++;
    w->row_fields++;
}

static void on_row(int terminator, void *user) {
    walk *w = user;
    (void)terminator;
    if (w->rows == 0) w->cols = w->row_fields;
    if (w->row_fields != w->cols && !w->failed)
        w->failed = bd_fail(BD_E_FORMAT, "%s:%zu: %zu fields, the header has %zu", w->path,
                            w->row_line, w->row_fields, w->cols);
    w->rows++;
    w->row_fields = 0;
    w->row_line = 0;
}

/* Spaces belong to the field. */
static int no_space(unsigned char c) {
    (void)c;
    return 0;
}

static bd_status parser_error(struct csv_parser *p, const walk *w) {
    int error = csv_error(p);
    BD_REQUIRE(error == CSV_EPARSE, BD_E_MEMORY, "%s: %s", w->path, csv_strerror(error));
    return bd_fail(BD_E_FORMAT,
                   "%s:%zu: a quote inside or after a field, or one that is not closed", w->path,
                   w->row_line ? w->row_line : w->line);
}

/* Feeds the parser line by line, so that messages can name the line. */
static bd_status walk_lines(walk *w, struct csv_parser *p, const char *text, size_t n) {
    bool top = true;
    for (size_t at = 0; at < n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t len = newline ? (size_t)(newline - (text + at)) + 1 : n - at;
        w->line++;
        if (top && text[at] == '#') {
            at += len;
            continue;
        }
        top = false;
        if (!w->row_line) w->row_line = w->line;
        if (csv_parse(p, text + at, len, on_field, on_row, w) != len) return parser_error(p, w);
        if (w->failed) return w->failed;
        /* between rows; blank lines are no rows */
        if (!w->row_fields && !p->pstate) w->row_line = 0;
        at += len;
    }
    if (csv_fini(p, on_field, on_row, w)) return parser_error(p, w);
    return w->failed;
}

static bd_status walk_file(walk *w, const char *text, size_t n) {
    struct csv_parser p;
    BD_REQUIRE(csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) == 0, BD_E_MEMORY,
               "%s: libcsv did not start", w->path);
    csv_set_space_func(&p, no_space);
    bd_status st = walk_lines(w, &p, text, n);
    csv_free(&p);
    return st;
}

static bd_status check_text(const char *text, size_t n, const char *path) {
    const char *nul = memchr(text, '\0', n);
    if (!nul) return BD_OK;
    size_t line = 1;
    for (const char *p = text; p < nul; p++) line += *p == '\n';
    return bd_fail(BD_E_FORMAT, "%s:%zu: NUL byte: not a text file", path, line);
}

static bd_status check_header(const bd_csv *c, const char *path) {
    for (size_t i = 0; i < c->cols; i++) {
        const char *name = bd_csv_header(c, i);
        BD_REQUIRE(bd_csv_find(c, name) == (int)i, BD_E_FORMAT,
                   "%s: column \"%.60s\" is there twice", path, name);
    }
    return BD_OK;
}

static bd_status build(bd_csv *c, const char *text, size_t n, const char *path) {
    BD_TRY(check_text(text, n, path));
    walk count = {.path = path};
    BD_TRY(walk_file(&count, text, n));
    BD_REQUIRE(count.rows >= 1, BD_E_FORMAT, "%s:%zu: no header line", path, count.line);
    BD_REQUIRE(count.cols <= 4096, BD_E_FORMAT, "%s: %zu columns, at most 4096", path, count.cols);
    c->pool = malloc(count.pool_used);
    c->offset = malloc(count.fields * sizeof *c->offset);
    BD_REQUIRE(c->pool && c->offset, BD_E_MEMORY, "%s: out of memory for %zu fields", path,
               count.fields);
    c->rows = count.rows - 1;
    c->cols = count.cols;
    walk fill = {.path = path, .c = c};
    BD_TRY(walk_file(&fill, text, n));
    return check_header(c, path);
}

bd_status bd_csv_load(bd_csv **out, const char *path) {
    *out = NULL;
    void *text;
    size_t n;
    BD_TRY(bd_file_read(&text, &n, path, file_max));
    bd_csv *c = calloc(1, sizeof *c);
    bd_status st = c ? build(c, text, n, path) : bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    free(text);
    if (st)
        bd_csv_destroy(c);
    else
        *out = c;
    return st;
}

void bd_csv_destroy(bd_csv *c) {
    if (!c) return;
    free(c->pool);
    free(c->offset);
    free(c);
}

size_t bd_csv_rows(const bd_csv *c) { return c->rows; }
size_t bd_csv_cols(const bd_csv *c) { return c->cols; }

const char *bd_csv_header(const bd_csv *c, size_t col) {
    return col < c->cols ? c->pool + c->offset[col] : NULL;
}

int bd_csv_find(const bd_csv *c, const char *header) {
    for (size_t i = 0; i < c->cols; i++)
        if (strcmp(bd_csv_header(c, i), header) == 0) return (int)i;
    return -1;
}

const char *bd_csv_get(const bd_csv *c, size_t row, size_t col) {
    return row < c->rows && col < c->cols ? c->pool + c->offset[(row + 1) * c->cols + col] : NULL;
}

/* ---- writing ---- */

/* The first field is quoted too when it is empty (a one-column row would read back as a blank line) or begins with
 * '#' (it would read back as a comment). */
bd_status bd_csv_field(bd_writer *w, const char *sep, const char *text) {
    bool unclear = !sep[0] && (!text[0] || text[0] == '#');
    if (!unclear && !strpbrk(text, ",\"\r\n")) return bd_writer_printf(w, "%s%s", sep, text);
    BD_TRY(bd_writer_printf(w, "%s\"", sep));
    for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
        BD_TRY(bd_writer_write(w, text, (size_t)(quote - text)));
        BD_TRY(bd_writer_write(w, "\"\"", 2));
    }
    return bd_writer_printf(w, "%s\"", text);
}

void bd_format_double(char out[32], double v) {
    if (isnan(v)) {
        strcpy(out, "nan"); /* whatever its sign bit */
        return;
    }
    if (fabs(v) < 1e15 && v == floor(v)) { /* "100", not "1e+02" */
        snprintf(out, 32, "%.0f", v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v) return;
    }
}
