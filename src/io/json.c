#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/csv.h"

enum { DEPTH_MAX = 100 };

bd_status bd_json_load(bd_json *out, const char *path, size_t max_bytes) {
    *out = (bd_json){0};
    void *text;
    size_t n;
    BD_TRY(bd_file_read(&text, &n, path, max_bytes ? max_bytes : BD_JSON_DEFAULT_MAX));
    json_error_t error;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    free(text);
    BD_REQUIRE(root, BD_E_FORMAT, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    char *file = strdup(path);
    if (!file) {
        json_decref(root);
        return bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    }
    out->file = file;
    out->node = root;
    return BD_OK;
}

void bd_json_destroy(bd_json *doc) {
    /* the document owns its root; const is for readers */
    json_decref((json_t *)(uintptr_t)doc->node);
    free((char *)(uintptr_t)doc->file);
    *doc = (bd_json){0};
}

static bool is_plain(const json_t *v) { return !json_is_object(v) && !json_is_array(v); }

static const char *kind(const json_t *v) {
    if (!v) return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a real number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "nothing";
}

static bd_status refuse(const bd_json *j, const char *expected) {
    return bd_fail(BD_E_FORMAT, "%s: %s: %s expected, %s found", j->file,
                   j->at[0] ? j->at : "top level", expected, kind(j->node));
}

static bd_json member(const bd_json *j, const char *key) {
    bd_json m = {.file = j->file, .node = json_object_get(j->node, key)};
    snprintf(m.at, sizeof m.at, "%.100s%s%.50s", j->at, j->at[0] ? "." : "", key);
    return m;
}

static bd_json element(const bd_json *j, size_t i) {
    bd_json e = {.file = j->file, .node = json_array_get(j->node, i)};
    snprintf(e.at, sizeof e.at, "%.130s[%zu]", j->at, i);
    return e;
}

static bd_status value_int(int64_t *out, const bd_json *v, int64_t min, int64_t max) {
    if (!json_is_integer(v->node)) return refuse(v, "an integer");
    int64_t value = json_integer_value(v->node);
    BD_REQUIRE(value >= min && value <= max, BD_E_FORMAT, "%s: %s: %lld is outside %lld..%lld",
               v->file, v->at, (long long)value, (long long)min, (long long)max);
    *out = value;
    return BD_OK;
}

static bd_status value_double(double *out, const bd_json *v) {
    if (!json_is_number(v->node)) return refuse(v, "a number");
    *out = json_number_value(v->node);
    return BD_OK;
}

static bd_status value_string(const char **out, const bd_json *v) {
    if (!json_is_string(v->node)) return refuse(v, "a string");
    *out = json_string_value(v->node);
    return BD_OK;
}

bool bd_json_has(const bd_json *j, const char *key) {
    const json_t *v = json_object_get(j->node, key);
    return v && !json_is_null(v);
}

bd_status bd_json_get_int(int64_t *out, const bd_json *j, const char *key, int64_t min,
                          int64_t max) {
    bd_json v = member(j, key);
    return value_int(out, &v, min, max);
}

bd_status bd_json_get_double(double *out, const bd_json *j, const char *key) {
    bd_json v = member(j, key);
    return value_double(out, &v);
}

bd_status bd_json_get_bool(bool *out, const bd_json *j, const char *key) {
    bd_json v = member(j, key);
    if (!json_is_boolean(v.node)) return refuse(&v, "true or false");
    *out = json_is_true(v.node);
    return BD_OK;
}

bd_status bd_json_get_string(const char **out, const bd_json *j, const char *key) {
    bd_json v = member(j, key);
    return value_string(out, &v);
}

bd_status bd_json_get_object(bd_json *out, const bd_json *j, const char *key) {
    bd_json v = member(j, key);
    if (!json_is_object(v.node)) return refuse(&v, "an object");
    *out = v;
    return BD_OK;
}

bd_status bd_json_get_array(bd_json *out, size_t *n, const bd_json *j, const char *key) {
    bd_json v = member(j, key);
    if (!json_is_array(v.node)) return refuse(&v, "an array");
    *n = json_array_size(v.node);
    *out = v;
    return BD_OK;
}

bd_status bd_json_item(bd_json *out, const bd_json *array, size_t i) {
    bd_json v = element(array, i);
    if (!v.node) return refuse(&v, "an element");
    *out = v;
    return BD_OK;
}

bd_status bd_json_item_int(int64_t *out, const bd_json *array, size_t i, int64_t min, int64_t max) {
    bd_json v = element(array, i);
    return value_int(out, &v, min, max);
}

bd_status bd_json_item_double(double *out, const bd_json *array, size_t i) {
    bd_json v = element(array, i);
    return value_double(out, &v);
}

bd_status bd_json_item_string(const char **out, const bd_json *array, size_t i) {
    bd_json v = element(array, i);
    return value_string(out, &v);
}

/* ---- saving ---- */

static bd_status put_value(bd_writer *w, const json_t *v, int depth);

static bd_status put_break(bd_writer *w, int depth) {
    return bd_writer_printf(w, "\n%*s", 2 * depth, "");
}

/* jansson escapes strings; v holds one. */
static bd_status put_string(bd_writer *w, const json_t *v) {
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    BD_REQUIRE(text, BD_E_MEMORY, "JSON: out of memory");
    bd_status st = bd_writer_printf(w, "%s", text);
    free(text);
    return st;
}

static bd_status put_key(bd_writer *w, const char *key) {
    json_t *v = json_string(key);
    BD_REQUIRE(v, BD_E_MEMORY, "JSON: out of memory");
    bd_status st = put_string(w, v);
    json_decref(v);
    return st ? st : bd_writer_printf(w, ": ");
}

/* Keeps the type on reading back: "1" would come back as an integer. */
static bd_status put_real(bd_writer *w, double v) {
    char text[32];
    bd_format_double(text, v);
    return bd_writer_printf(w, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static bd_status put_array(bd_writer *w, const json_t *v, int depth) {
    size_t n = json_array_size(v);
    bool flat = true;
    for (size_t i = 0; i < n; i++) flat = flat && is_plain(json_array_get(v, i));
    BD_TRY(bd_writer_printf(w, "["));
    for (size_t i = 0; i < n; i++) {
        if (i) BD_TRY(bd_writer_printf(w, flat ? ", " : ","));
        if (!flat) BD_TRY(put_break(w, depth + 1));
        BD_TRY(put_value(w, json_array_get(v, i), depth + 1));
    }
    if (!flat) BD_TRY(put_break(w, depth));
    return bd_writer_printf(w, "]");
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bd_status put_members(bd_writer *w, const json_t *v, const char **keys, size_t n,
                             int depth) {
    for (size_t i = 0; i < n; i++) {
        if (i) BD_TRY(bd_writer_printf(w, ","));
        BD_TRY(put_break(w, depth + 1));
        BD_TRY(put_key(w, keys[i]));
        BD_TRY(put_value(w, json_object_get(v, keys[i]), depth + 1));
    }
    return BD_OK;
}

static bd_status put_object(bd_writer *w, const json_t *v, int depth) {
    size_t n = json_object_size(v), i = 0;
    if (n == 0) return bd_writer_printf(w, "{}");
    const char **keys = malloc(n * sizeof *keys);
    BD_REQUIRE(keys, BD_E_MEMORY, "JSON: out of memory");
    const char *key;
    json_t *unused;
    json_object_foreach((json_t *)(uintptr_t)v, key, unused) keys[i++] = key;
    qsort(keys, n, sizeof *keys, compare_keys);
    bd_status st = bd_writer_printf(w, "{");
    if (!st) st = put_members(w, v, keys, n, depth);
    free(keys);
    BD_TRY(st);
    BD_TRY(put_break(w, depth));
    return bd_writer_printf(w, "}");
}

static bd_status put_value(bd_writer *w, const json_t *v, int depth) {
    BD_REQUIRE(depth < DEPTH_MAX, BD_E_ARG, "JSON: nested deeper than %d", DEPTH_MAX);
    switch (json_typeof(v)) {
    case JSON_OBJECT: return put_object(w, v, depth);
    case JSON_ARRAY: return put_array(w, v, depth);
    case JSON_STRING: return put_string(w, v);
    case JSON_INTEGER: return bd_writer_printf(w, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL: return put_real(w, json_real_value(v));
    case JSON_TRUE: return bd_writer_printf(w, "true");
    case JSON_FALSE: return bd_writer_printf(w, "false");
    case JSON_NULL: return bd_writer_printf(w, "null");
    }
    return BD_OK;
}

bd_status bd_json_save(const char *path, const json_t *root) {
    bd_writer *w;
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = put_value(w, root, 0);
    if (!st) st = bd_writer_printf(w, "\n");
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}
