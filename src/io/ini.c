#include "io/ini.h"

#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"

/* libinih cuts longer lines silently: its buffer takes 200 bytes with the end of the string. */
enum { LINE_MAX_BYTES = 199 };

static const size_t file_max = (size_t)1 << 20;

typedef struct name_list {
    struct name_list *next;
    const char *name;
} name_list;

typedef struct {
    const char *path;
    const char *text; /* the file, NUL-terminated */
    size_t n, at;
    int line; /* the line handed to libinih last, from 1 */
    bd_ini_fn fn;
    void *ctx;
    bd_arena *arena;
    name_list *sections, *keys; /* all sections; keys of the open section */
    bool in_section;
    bool has_key;     /* the present line is key = value and its handler has not run yet */
    bd_status failed; /* the first failure ends the file */
} reader;

static bd_status refuse(const reader *r, const char *reason) {
    return bd_fail(BD_E_ARG, "%s:%d: %s", r->path, r->line, reason);
}

/* Adds name to the list; *twice when it is there already. */
static bd_status remember(reader *r, name_list **list, const char *name, bool *twice) {
    *twice = false;
    for (const name_list *i = *list; i; i = i->next)
        if (strcmp(i->name, name) == 0) *twice = true;
    if (*twice) return BD_OK;
    name_list *item = bd_arena_alloc(r->arena, sizeof *item);
    char *copy = bd_arena_strdup(r->arena, name);
    BD_REQUIRE(item && copy, BD_E_MEMORY, "%s: out of memory", r->path);
    item->name = copy;
    item->next = *list;
    *list = item;
    return BD_OK;
}

static bd_status check_section(reader *r, char *line) {
    size_t n = strlen(line);
    if (line[n - 1] != ']' || n < 3)
        return refuse(r, "a section must be [name] with nothing after it");
    if (strpbrk(line + 1, "[];#\t ") != line + n - 1)
        return refuse(r, "a section name without spaces or []#; expected");
    if (n - 2 > 49) return refuse(r, "a section name of more than 49 bytes"); /* libinih cuts it */
    line[n - 1] = '\0';
    bool twice;
    BD_TRY(remember(r, &r->sections, line + 1, &twice));
    if (twice)
        return bd_fail(BD_E_ARG, "%s:%d: section [%s] is opened twice", r->path, r->line, line + 1);
    r->keys = NULL;
    r->in_section = true;
    return BD_OK;
}

static bd_status check_key(reader *r, char *line) {
    if (!r->in_section) return refuse(r, "a key before the first [section]");
    char *equals = strchr(line, '=');
    if (!equals) return refuse(r, "neither a comment, nor [section], nor key = value");
    if (strpbrk(equals, ";#"))
        return refuse(r, "';' or '#' after the value: put comments on lines of their own");
    char *end = equals;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *end = '\0';
    if (end == line) return refuse(r, "no key before '='");
    /* libinih compares only so many */
    if ((size_t)(end - line) > 49) return refuse(r, "a key of more than 49 bytes");
    if (strpbrk(line, " \t:;#[]")) return refuse(r, "a key without spaces or :;#[] expected");
    bool twice;
    BD_TRY(remember(r, &r->keys, line, &twice));
    if (twice)
        return bd_fail(BD_E_ARG, "%s:%d: key %s is given twice in its section", r->path, r->line,
                       line);
    r->has_key = true;
    return BD_OK;
}

/* line: a copy without its newline, free to change. */
static bd_status check_line(reader *r, char *line) {
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') return BD_OK;
    if (line[0] == ' ' || line[0] == '\t') {
        if (line[strspn(line, " \t")] == '\0') return BD_OK;
        return refuse(r, "an indented line: it would continue the value above");
    }
    size_t n = strlen(line);
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t')) line[--n] = '\0';
    return line[0] == '[' ? check_section(r, line) : check_key(r, line);
}

static bd_status next_line(reader *r, const char **start, size_t *length) {
    *start = r->text + r->at;
    const char *newline = memchr(*start, '\n', r->n - r->at);
    size_t len = newline ? (size_t)(newline - *start) : r->n - r->at;
    r->at += len + (newline ? 1 : 0);
    r->line++;
    r->has_key = false;
    if (len && (*start)[len - 1] == '\r') len--;
    *length = len;
    if (len > LINE_MAX_BYTES)
        return bd_fail(BD_E_ARG, "%s:%d: a line of %zu bytes, at most %d", r->path, r->line, len,
                       LINE_MAX_BYTES);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)(*start)[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return refuse(r, "a control character or NUL byte: not a text file");
    }
    return BD_OK;
}

/* The fgets of libinih: hands out checked lines only, without their newline. */
static char *read_line(char *out, int size, void *stream) {
    reader *r = stream;
    if (r->failed || r->at >= r->n) return NULL;
    const char *start;
    size_t len = 0;
    char copy[LINE_MAX_BYTES + 1];
    r->failed = next_line(r, &start, &len);
    if (r->failed) return NULL;
    memcpy(copy, start, len);
    copy[len] = '\0';
    if (r->line == 1 && strncmp(copy, "\xEF\xBB\xBF", 3) == 0)
        r->failed = refuse(r, "a byte order mark: save the file as plain UTF-8");
    else if ((int)len >= size)
        r->failed = refuse(r, "the line does not fit libinih's buffer");
    else
        r->failed = check_line(r, copy);
    if (r->failed) return NULL;
    /* Comments are ours to drop: some builds of libinih know ';' only. */
    bool comment = start[0] == '#' || start[0] == ';';
    memcpy(out, start, comment ? 0 : len);
    out[comment ? 0 : len] = '\0';
    return out;
}

static int on_key(void *user, const char *section, const char *name, const char *value) {
    reader *r = user;
    if (r->failed) return 0;
    if (!r->has_key) {
        r->failed = refuse(r, "a second value for the line");
        return 0;
    }
    r->has_key = false;
    r->failed = r->fn(r->ctx, r->path, r->line, section, name, value ? value : "");
    return r->failed == BD_OK;
}

bd_status bd_ini_load(const char *path, bd_ini_fn fn, void *ctx) {
    void *text;
    reader r = {.path = path, .fn = fn, .ctx = ctx};
    BD_TRY(bd_file_read(&text, &r.n, path, file_max));
    r.text = text;
    r.arena = bd_arena_create();
    if (!r.arena) {
        free(text);
        return bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    }
    int result = ini_parse_stream(read_line, &r, on_key, &r);
    bd_status st = r.failed;
    if (!st && result > 0)
        st = bd_fail(BD_E_ARG, "%s:%d: neither [section] nor key = value", path, result);
    if (!st && result < 0) st = bd_fail(BD_E_MEMORY, "%s: libinih ran out of memory", path);
    bd_arena_destroy(r.arena);
    free(text);
    return st;
}
