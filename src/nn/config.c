#include <string.h>

#include "nn/config_impl.h"

static bool is_value(const json_t *v, const char *text) {
    json_t *want = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (!want) return false;
    bool same = json_is_number(want)
                    ? json_is_number(v) && json_number_value(v) == json_number_value(want)
                    : json_equal(v, want) != 0;
    json_decref(want);
    return same;
}

bd_status bd_fixed_check(bool *known, const bd_fixed_setting *table, size_t n, const bd_json *doc,
                         const char *key, const json_t *v) {
    *known = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, table[i].key) != 0) continue;
        *known = true;
        BD_REQUIRE(is_value(v, table[i].value) || is_value(v, table[i].other), BD_E_FORMAT,
                   "%s: %s has a value that is not supported; it must be %s%s%s", doc->file, key,
                   table[i].value, table[i].other ? " or " : "",
                   table[i].other ? table[i].other : "");
    }
    return BD_OK;
}

int bd_fixed_put(json_t *o, const bd_fixed_setting *table, size_t n) {
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |=
            json_object_set_new(o, table[i].key, json_loads(table[i].value, JSON_DECODE_ANY, NULL));
    return bad;
}

bool bd_key_in(const char *const *keys, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}
