/* What the targets of weights files share: LOADER is the reader. */
#include <stdlib.h>

#include "fuzz.h"
#include "io/tensors.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    bd_tensors *s;
    bd_status st = LOADER(&s, path);
    if (st) return st;
    for (size_t i = 0; i < bd_tensors_count(s); i++) {
        const bd_st_tensor *t = bd_tensors_at(s, i);
        fuzz_touch_text(t->name);
        fuzz_touch(t->data, t->bytes);
        if (bd_tensors_find(s, t->name) != t) abort();
    }
    for (size_t i = 0; i < bd_tensors_meta_count(s); i++) {
        const char *key, *value;
        bd_tensors_meta_at(s, i, &key, &value);
        fuzz_touch_text(key);
        fuzz_touch_text(value);
    }
    bd_tensors_destroy(s);
    return BD_OK;
}
