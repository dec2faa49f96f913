/* What the readers of diffusers' configuration files share; for src/nn/ only. */
#ifndef BD_NN_CONFIG_IMPL_H
#define BD_NN_CONFIG_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "io/json.h"

/* A setting of which one value can be honoured, as JSON text, and another spelling of it or NULL. */
typedef struct {
    const char *key, *value, *other;
} bd_fixed_setting;

/* bd_fixed_check -- is key in the table, and does v have the value it must have? *known tells the
 * first; a key that is not in the table is no error here.
 *   errors   BD_E_FORMAT with file, key and the value that is supported */
BD_MUST_CHECK bd_status bd_fixed_check(bool *known, const bd_fixed_setting *table, size_t n,
                                       const bd_json *doc, const char *key, const json_t *v);

/* bd_fixed_put -- all settings of the table into o; non-zero when memory is out. */
int bd_fixed_put(json_t *o, const bd_fixed_setting *table, size_t n);

/* bd_key_in -- is key one of the n? */
bool bd_key_in(const char *const *keys, size_t n, const char *key);

#endif
