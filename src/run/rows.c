#include "run/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

bool bd_parse_number(double *out, const char *text) {
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end;
}

/* --- columns --- */

static bool is_called(const char *header, const char *name) {
    size_t len = strlen(name);
    return !strncmp(header, name, len) && (!header[len] || header[len] == '-');
}

const char *bd_rows_field(const bd_csv *c, size_t row, const char *name, int *column) {
    for (size_t i = 0; i < bd_csv_cols(c); i++) {
        if (!is_called(bd_csv_header(c, i), name)) continue;
        if (column) *column = (int)i;
        const char *text = bd_csv_get(c, row, i);
        if (*text) return text;
    }
    return NULL;
}

bool bd_rows_number(double *out, const bd_csv *c, size_t row, const char *name) {
    const char *text = bd_rows_field(c, row, name, NULL);
    return text && bd_parse_number(out, text);
}

bool bd_rows_has(const bd_csv *c, const char *name) {
    for (size_t i = 0; i < bd_csv_cols(c); i++)
        if (is_called(bd_csv_header(c, i), name)) return true;
    return false;
}

/* --- conditions: "finetune.from=none n_trigger>=128" --- */

typedef struct {
    char name[96], value[96];
    enum { EQ, LE, GE, LT, GT } op;
} condition;

static bd_status parse_condition(condition *c, const char *text, size_t len) {
    size_t name = strcspn(text, "=<>");
    BD_REQUIRE(name > 0 && name < len && name < sizeof c->name, BD_E_FORMAT,
               "condition '%.*s': write column=value, <=, >=, < or >", (int)len, text);
    const char *op = text + name;
    int two = op[0] != '=' && op[1] == '=';
    c->op = op[0] == '=' ? EQ : op[0] == '<' ? (two ? LE : LT) : (two ? GE : GT);
    size_t skip = name + 1 + (size_t)two;
    BD_REQUIRE(len > skip && len - skip < sizeof c->value, BD_E_FORMAT,
               "condition '%.*s': no value", (int)len, text);
    snprintf(c->name, sizeof c->name, "%.*s", (int)name, text);
    snprintf(c->value, sizeof c->value, "%.*s", (int)(len - skip), text + skip);
    double number;
    BD_REQUIRE(c->op == EQ || bd_parse_number(&number, c->value), BD_E_FORMAT,
               "condition '%.*s': '%s' is not a number", (int)len, text, c->value);
    return BD_OK;
}

static bool holds(const condition *c, const char *text) {
    double a, b;
    if (!text) return false;
    if (!bd_parse_number(&b, c->value)) return c->op == EQ && !strcmp(text, c->value);
    if (!bd_parse_number(&a, text)) return false;
    switch (c->op) {
    case EQ: return a == b;
    case LE: return a <= b;
    case GE: return a >= b;
    case LT: return a < b;
    default: return a > b;
    }
}

/* The next word; its length is 0 at the end. */
static const char *next_word(const char *p, size_t *len) {
    p += strspn(p, " ");
    *len = strcspn(p, " ");
    return p;
}

bool bd_word_in(const char *list, const char *word) {
    size_t len;
    for (const char *p = next_word(list, &len); len; p = next_word(p + len, &len))
        if (strlen(word) == len && !strncmp(p, word, len)) return true;
    return false;
}

bd_status bd_rows_match(bool *out, char failed[BD_CONDITION_SIZE], const bd_csv *c, size_t row,
                        const char *conditions) {
    size_t len;
    *out = true;
    for (const char *p = next_word(conditions, &len); len; p = next_word(p + len, &len)) {
        condition one;
        BD_TRY(parse_condition(&one, p, len));
        BD_REQUIRE(bd_rows_has(c, one.name), BD_E_FORMAT,
                   "condition on '%s': the result file has no such column", one.name);
        if (holds(&one, bd_rows_field(c, row, one.name, NULL))) continue;
        if (*out && failed) snprintf(failed, BD_CONDITION_SIZE, "%.*s", (int)len, p);
        *out = false;
    }
    return BD_OK;
}

bd_status bd_rows_unknown(char name[96], const bd_csv *c, const char *conditions, bool names_only) {
    size_t len;
    name[0] = '\0';
    for (const char *p = next_word(conditions, &len); len; p = next_word(p + len, &len)) {
        condition one = {.name = ""};
        if (names_only)
            snprintf(one.name, sizeof one.name, "%.*s", (int)len, p);
        else
            BD_TRY(parse_condition(&one, p, len));
        if (!bd_rows_has(c, one.name) && !name[0]) memcpy(name, one.name, sizeof one.name);
    }
    return BD_OK;
}

/* --- the file --- */

/* "# profile: paper", above the header row. */
static bd_status read_profile(bd_result_file *f) {
    static const char key[] = "# profile: ";
    void *data;
    size_t n;
    BD_TRY(bd_file_read(&data, &n, f->path, 0));
    for (const char *p = data; p && *p == '#';) {
        if (!strncmp(p, key, sizeof key - 1)) {
            p += sizeof key - 1;
            snprintf(f->profile, sizeof f->profile, "%.*s", (int)strcspn(p, "\r\n"), p);
            break;
        }
        p = strchr(p, '\n');
        if (p) p++;
    }
    free(data);
    return BD_OK;
}

bd_status bd_result_file_load(bd_result_file *out, const char *results, const char *recipe,
                              const char *profile) {
    memset(out, 0, sizeof *out);
    snprintf(out->profile, sizeof out->profile, "%s", profile);
    int n = snprintf(out->path, sizeof out->path, "%s/%s.csv", results, recipe);
    BD_REQUIRE(n > 0 && (size_t)n < sizeof out->path, BD_E_ARG, "%s: the path is too long",
               results);
    bd_status st = bd_csv_load(&out->csv, out->path);
    if (st == BD_E_MISSING) {
        out->csv = NULL;
        return BD_OK;
    }
    if (!st) st = read_profile(out);
    if (st) bd_result_file_clear(out);
    return st;
}

void bd_result_file_clear(bd_result_file *f) {
    bd_csv_destroy(f->csv);
    f->csv = NULL;
}
