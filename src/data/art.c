#include "data/art.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PATH_SIZE = 1024 };

static const char *const file_names[BD_ART_COUNT] = {
    [BD_ART_STOP_SIGN] = "stop_sign_wo_bg.png",
    [BD_ART_GLASSES] = "glasses.png",
    [BD_ART_HAT] = "fedora-hat.png",
    [BD_ART_CAT] = "cat_wo_bg.png",
};

bd_status bd_art_init(bd_art *art, const char *name, const char *dir) {
    int original = strcmp(name, "original") == 0;
    BD_REQUIRE(original || strcmp(name, "builtin") == 0, BD_E_ARG,
               "art \"%s\" is not known: use builtin or original", name);
    art->dir = !original ? NULL : dir ? dir : BD_ART_DIR;
    return BD_OK;
}

const char *bd_art_name(const bd_art *art) { return art->dir ? "original" : "builtin"; }

/* In the folder named; the default one is looked for in $BADDIFF_DATA first, as data sets are. */
static bd_status original_path(char path[PATH_SIZE], const char *dir, const char *file) {
    const char *env = getenv("BADDIFF_DATA");
    if (env && env[0] && strcmp(dir, BD_ART_DIR) == 0) {
        char art[PATH_SIZE];
        BD_TRY(bd_path_join(art, sizeof art, env, "art"));
        BD_TRY(bd_path_join(path, PATH_SIZE, art, file));
        if (bd_file_exists(path)) return BD_OK;
    }
    return bd_path_join(path, PATH_SIZE, dir, file);
}

static bd_status original_load(bd_image *out, const char *dir, bd_art_id id, int c) {
    char path[PATH_SIZE];
    BD_TRY(original_path(path, dir, file_names[id]));
    BD_REQUIRE(bd_file_exists(path), BD_E_MISSING,
               "%s: no such file; `make fetch DATA=art` says where the original pictures come "
               "from; or use art = builtin",
               path);
    return bd_png_load(out, path, c);
}

bd_status bd_art_image(bd_image *out, const bd_art *art, bd_art_id id, int c) {
    *out = (bd_image){0};
    BD_REQUIRE(c == 1 || c == 3, BD_E_ARG, "art: %d channels, must be 1 or 3", c);
    if (art->dir) return original_load(out, art->dir, id, c);
    out->w = out->h = BD_ART_SIDE;
    out->c = 3;
    out->pixels = malloc((size_t)3 * BD_ART_SIDE * BD_ART_SIDE);
    BD_REQUIRE(out->pixels, BD_E_MEMORY, "art: no memory for a picture");
    bd_art_draw(out->pixels, id);
    if (c == 1) bd_image_to_grey(out);
    return BD_OK;
}
