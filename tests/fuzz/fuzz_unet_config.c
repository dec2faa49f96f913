/* JSON through config.json of a UNet2DModel. */
#include "fuzz.h"
#include "nn/unet.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    bd_unet_config c;
    BD_TRY(bd_unet_config_load(&c, path));
    return bd_unet_config_check(&c);
}
