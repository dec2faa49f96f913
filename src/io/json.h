/* Strict JSON documents through jansson: files with a size limit and without repeated keys, getters whose errors
 * name file and place, atomic saving in one stable layout. */
#ifndef BD_IO_JSON_H
#define BD_IO_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A place in a document: file name, value and how one gets there ("block_out_channels[2]"; "" at the top). Made by
 * the functions below, copied freely; borrows from the document. */
typedef struct {
    const char *file;
    const json_t *node;
    char at[160];
} bd_json;

enum { BD_JSON_DEFAULT_MAX = 1 << 20 };

/* bd_json_load -- parse a whole file. A repeated key, NaN, text after the document and bad UTF-8 are refused.
 *   units    max_bytes 0 means BD_JSON_DEFAULT_MAX; jansson needs up to about 50 bytes of memory a byte of text
 *   errors   BD_E_MISSING, BD_E_IO, BD_E_FORMAT with file:line:column and reason
 *   memory   caller frees with bd_json_destroy; path is copied */
BD_MUST_CHECK bd_status bd_json_load(bd_json *out, const char *path, size_t max_bytes);
void bd_json_destroy(bd_json *doc); /* the value bd_json_load filled; zeroed is fine */

/* bd_json_has -- key is there and not null. */
bool bd_json_has(const bd_json *j, const char *key);

/* Getters: BD_E_FORMAT with file, place and what was expected when the key is missing or of another type. */
BD_MUST_CHECK bd_status bd_json_get_int(int64_t *out, const bd_json *j, const char *key,
                                        int64_t min, int64_t max);
/* integers too */
BD_MUST_CHECK bd_status bd_json_get_double(double *out, const bd_json *j, const char *key);
BD_MUST_CHECK bd_status bd_json_get_bool(bool *out, const bd_json *j, const char *key);
/* borrowed */
BD_MUST_CHECK bd_status bd_json_get_string(const char **out, const bd_json *j, const char *key);
BD_MUST_CHECK bd_status bd_json_get_object(bd_json *out, const bd_json *j, const char *key);
BD_MUST_CHECK bd_status bd_json_get_array(bd_json *out, size_t *n, const bd_json *j,
                                          const char *key);

/* Elements of an array found by bd_json_get_array. */
BD_MUST_CHECK bd_status bd_json_item(bd_json *out, const bd_json *array, size_t i);
BD_MUST_CHECK bd_status bd_json_item_int(int64_t *out, const bd_json *array, size_t i, int64_t min,
                                         int64_t max);
BD_MUST_CHECK bd_status bd_json_item_double(double *out, const bd_json *array, size_t i);
BD_MUST_CHECK bd_status bd_json_item_string(const char **out, const bd_json *array, size_t i);

/* bd_json_save -- write root atomically: keys sorted by bytes, two spaces of indent, arrays of plain values on one
 * line, doubles as the shortest text that reads back to the same bits, newline at the end.
 *   errors   BD_E_ARG: nested deeper than 100; BD_E_IO
 *   memory   borrows root */
BD_MUST_CHECK bd_status bd_json_save(const char *path, const json_t *root);

#endif
