/* CSV tables. */
#include "fuzz.h"
#include "io/csv.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    bd_csv *c;
    BD_TRY(bd_csv_load(&c, path));
    for (size_t k = 0; k < bd_csv_cols(c); k++) fuzz_touch_text(bd_csv_header(c, k));
    for (size_t i = 0; i < bd_csv_rows(c); i++)
        for (size_t k = 0; k < bd_csv_cols(c); k++) fuzz_touch_text(bd_csv_get(c, i, k));
    bd_csv_destroy(c);
    return BD_OK;
}
