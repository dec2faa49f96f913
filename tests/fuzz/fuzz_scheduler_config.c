/* JSON through scheduler_config.json. */
#include "fuzz.h"
#include "nn/model.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    bd_scheduler_config c;
    BD_TRY(bd_scheduler_config_load(&c, path));
    fuzz_touch(c.trained_betas, (size_t)c.n_trained_betas * sizeof *c.trained_betas);
    bd_scheduler_config_clear(&c);
    return BD_OK;
}
