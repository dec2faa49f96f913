/* IDX files, plain and gzip. */
#include "fuzz.h"
#include "io/idx.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    bd_idx x;
    BD_TRY(bd_idx_load(&x, path));
    fuzz_touch(x.data, x.bytes);
    bd_idx_clear(&x);
    return BD_OK;
}
