/* The pictures behind triggers and targets: drawn in code, or the paper's own PNG files. */
#ifndef BD_DATA_ART_H
#define BD_DATA_ART_H

#include "base/status.h"
#include "io/png.h"

typedef enum {
    BD_ART_STOP_SIGN, /* red prohibition ring with a bar, on white */
    BD_ART_GLASSES,   /* thin frames on black                      */
    BD_ART_HAT,       /* fedora on black                           */
    BD_ART_CAT,       /* sitting cat on black                      */
    BD_ART_COUNT
} bd_art_id;

/* Where pictures come from; a manifest records it with bd_art_name. */
typedef struct {
    const char *dir; /* NULL: builtin, drawn in code; else the folder of the original PNG files */
} bd_art;

/* Where the original files are looked for by default, after $BADDIFF_DATA/art. */
#define BD_ART_DIR "data/art"

/* bd_art_init -- "builtin" or "original"; dir: folder of the originals, NULL = BD_ART_DIR (borrowed).
 *   errors   BD_E_ARG: another name */
BD_MUST_CHECK bd_status bd_art_init(bd_art *art, const char *name, const char *dir);
const char *bd_art_name(const bd_art *art); /* "builtin" or "original" */

/* bd_art_image -- one picture, 8-bit. Originals: alpha is dropped and the colour under it kept. Builtin
 * pictures are 512 x 512 and drawn with + - * / sqrt alone: the same bytes on every machine.
 *   source   IBM/BadDiffusion static/{stop_sign_wo_bg,glasses,fedora-hat,cat_wo_bg}.png (originals)
 *   shapes   [h][w][c], c = 1 (grey) or 3 (RGB)
 *   errors   BD_E_ARG: c; BD_E_MISSING: the PNG is not there; BD_E_FORMAT; BD_E_MEMORY
 *   memory   caller frees with bd_image_clear
 *   tested   tests/test_trigger.c, tests/test_target.c */
BD_MUST_CHECK bd_status bd_art_image(bd_image *out, const bd_art *art, bd_art_id id, int c);

/* bd_art_draw -- the builtin picture in RGB, for bd_art_image.
 *   shapes   pixels [512][512][3], BD_ART_SIDE = 512 */
#define BD_ART_SIDE 512
void bd_art_draw(unsigned char *pixels, bd_art_id id);

#endif
