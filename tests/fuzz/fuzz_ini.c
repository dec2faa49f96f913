/* INI files. */
#include "fuzz.h"
#include "io/ini.h"

const bd_status fuzz_refusal = BD_E_ARG;

static bd_status look(void *ctx, const char *path, int line, const char *section, const char *key,
                      const char *value) {
    (void)ctx, (void)path, (void)line;
    fuzz_touch_text(section);
    fuzz_touch_text(key);
    fuzz_touch_text(value);
    return BD_OK;
}

bd_status fuzz_load(const char *path) { return bd_ini_load(path, look, NULL); }
