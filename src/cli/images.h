/* Image sets named on the command line. */
#ifndef BD_CLI_IMAGES_H
#define BD_CLI_IMAGES_H

#include <stdbool.h>

#include "metric/image.h"

/* Images and the memory behind them. */
typedef struct {
    bd_image_set set;
    void *owned;
} bd_cli_images;

/* bd_cli_images_load -- one of
 *   DIR               its PNG and JPEG files in the order of their names, grid.png left out
 *   FILE.png, .jpg    one image
 *   FILE.safetensors  its first tensor of rank 3 or 4: U8 or F32 [N,H,W,C] / [H,W,C] when the last
 *                     dimension is 1 or 3, else [N,C,H,W]; F32 lies in [0,1]
 *   NAME[:SPLIT]      a data set, split test unless said
 *   errors   BD_E_MISSING, BD_E_FORMAT, BD_E_SHAPE: images of different sizes
 *   memory   caller frees with bd_cli_images_clear */
BD_MUST_CHECK bd_status bd_cli_images_load(bd_cli_images *out, const char *name);
/* bd_cli_images_is_dataset -- does the name stand for a data set (and not for files)? */
bool bd_cli_images_is_dataset(const char *name);
void bd_cli_images_clear(bd_cli_images *i);

#endif
