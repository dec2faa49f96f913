#include "cli/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "io/png.h"
#include "io/safetensors.h"

static int ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static bd_status set_u8(bd_cli_images *out, int n, int h, int w, int c, uint8_t *pixels) {
    out->set = (bd_image_set){.n = n, .h = h, .w = w, .c = c, .u8 = pixels};
    out->owned = pixels;
    return BD_OK;
}

/* --- PNG --- */

static bd_status load_png(bd_cli_images *out, const char *path) {
    bd_image img;
    BD_TRY(bd_png_load(&img, path, 0));
    return set_u8(out, 1, img.h, img.w, img.c, img.pixels);
}

static bd_status load_files(bd_cli_images *out, const char *dir, char **names, size_t n) {
    char path[4096];
    size_t size = 0, k = 0;
    for (size_t i = 0; i < n; i++) {
        bd_image img;
        if (!strcmp(names[i], "grid.png")) continue;
        BD_TRY(bd_path_join(path, sizeof path, dir, names[i]));
        BD_TRY(bd_png_load(&img, path, 0));
        if (!k) {
            size = (size_t)img.h * (size_t)img.w * (size_t)img.c;
            out->owned = malloc(size * n);
            out->set = (bd_image_set){.h = img.h, .w = img.w, .c = img.c, .u8 = out->owned};
        }
        bd_status st = BD_OK;
        if (!out->owned)
            st = bd_fail(BD_E_MEMORY, "out of memory for the images of %s", dir);
        else if (img.h != out->set.h || img.w != out->set.w || img.c != out->set.c)
            st = bd_fail(BD_E_SHAPE, "%s is %dx%dx%d, the images before it %dx%dx%d", path, img.h,
                         img.w, img.c, out->set.h, out->set.w, out->set.c);
        else
            memcpy((uint8_t *)out->owned + k++ * size, img.pixels, size);
        bd_image_clear(&img);
        BD_TRY(st);
    }
    BD_REQUIRE(k > 0 && k < 100000000, BD_E_MISSING, "%s: no PNG images in it", dir);
    out->set.n = (int)k;
    return BD_OK;
}

static bd_status load_folder(bd_cli_images *out, const char *dir) {
    char **names;
    size_t n;
    BD_TRY(bd_file_list(&names, &n, dir, ".png"));
    bd_status st = load_files(out, dir, names, n);
    bd_file_list_free(names, n);
    return st;
}

/* --- safetensors --- */

static bd_status copy_floats(bd_cli_images *out, const bd_st_tensor *t, const char *path,
                             int planar) {
    const float *from = t->data;
    size_t n = t->bytes / sizeof(float), hw = (size_t)out->set.h * (size_t)out->set.w,
           C = (size_t)out->set.c;
    float *to = malloc(t->bytes);
    BD_REQUIRE(to, BD_E_MEMORY, "out of memory for %s", path);
    out->owned = to;
    out->set.f32 = to;
    for (size_t i = 0; i < n; i++) {
        BD_REQUIRE(from[i] >= 0 && from[i] <= 1, BD_E_FORMAT, "%s: %s[%zu] = %g lies outside [0,1]",
                   path, t->name, i, (double)from[i]);
        size_t image = i / (hw * C), rest = i % (hw * C);
        size_t place = planar ? image * hw * C + rest % hw * C + rest / hw : i;
        to[place] = from[i];
    }
    return BD_OK;
}

static bd_status copy_bytes(bd_cli_images *out, const bd_st_tensor *t, const char *path,
                            int planar) {
    const uint8_t *from = t->data;
    size_t hw = (size_t)out->set.h * (size_t)out->set.w, C = (size_t)out->set.c;
    uint8_t *to = malloc(t->bytes);
    BD_REQUIRE(to, BD_E_MEMORY, "out of memory for %s", path);
    out->owned = to;
    out->set.u8 = to;
    for (size_t i = 0; i < t->bytes; i++) {
        size_t image = i / (hw * C), rest = i % (hw * C);
        to[planar ? image * hw * C + rest % hw * C + rest / hw : i] = from[i];
    }
    return BD_OK;
}

static bd_status take_tensor(bd_cli_images *out, const bd_tensors *f, const char *path) {
    const bd_st_tensor *t = NULL;
    for (size_t i = 0; i < bd_tensors_count(f) && !t; i++) {
        t = bd_tensors_at(f, i);
        if ((t->rank != 3 && t->rank != 4) || (t->dtype != BD_U8 && t->dtype != BD_F32)) t = NULL;
    }
    BD_REQUIRE(t, BD_E_FORMAT, "%s: no tensor of rank 3 or 4 and type U8 or F32", path);
    int64_t dim[4] = {1, 1, 1, 1};
    for (int i = 0; i < t->rank; i++) {
        BD_REQUIRE(t->dim[i] >= 1 && t->dim[i] < 100000000, BD_E_FORMAT,
                   "%s: %s has an empty or huge dimension", path, t->name);
        dim[4 - t->rank + i] = t->dim[i];
    }
    int planar = dim[3] != 1 && dim[3] != 3;
    BD_REQUIRE(!planar || dim[1] == 1 || dim[1] == 3, BD_E_FORMAT,
               "%s: %s is neither [N,H,W,C] nor [N,C,H,W] with C = 1 or 3", path, t->name);
    out->set = (bd_image_set){.n = (int)dim[0],
                              .h = (int)dim[planar ? 2 : 1],
                              .w = (int)dim[planar ? 3 : 2],
                              .c = (int)dim[planar ? 1 : 3]};
    return t->dtype == BD_U8 ? copy_bytes(out, t, path, planar) : copy_floats(out, t, path, planar);
}

static bd_status load_safetensors(bd_cli_images *out, const char *path) {
    bd_tensors *f;
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = take_tensor(out, f, path);
    bd_tensors_destroy(f);
    return st;
}

/* --- data sets --- */

static bd_status load_dataset(bd_cli_images *out, const char *name) {
    char set[32];
    bd_dataset d;
    const char *colon = strchr(name, ':');
    snprintf(set, sizeof set, "%.*s", (int)(colon ? (size_t)(colon - name) : strlen(name)), name);
    bd_dataset_spec spec = {.name = set, .split = colon ? colon + 1 : "test"};
    bd_status st = bd_dataset_load(&d, &spec);
    if (st == BD_E_ARG)
        return bd_error_prefix(
            st, "'%s' is no folder, .png or .safetensors file that is there, and as a data set",
            name);
    if (st) return st;
    st = set_u8(out, d.n, d.h, d.w, d.c, d.images);
    d.images = NULL; /* kept */
    bd_dataset_clear(&d);
    return st;
}

bool bd_cli_images_is_dataset(const char *name) {
    return !bd_file_is_dir(name) && !ends_with(name, ".png") && !ends_with(name, ".safetensors");
}

bd_status bd_cli_images_load(bd_cli_images *out, const char *name) {
    memset(out, 0, sizeof *out);
    bd_status st;
    if (bd_file_is_dir(name))
        st = load_folder(out, name);
    else if (ends_with(name, ".png"))
        st = load_png(out, name);
    else if (ends_with(name, ".safetensors"))
        st = load_safetensors(out, name);
    else
        st = load_dataset(out, name);
    if (st) bd_cli_images_clear(out);
    return st;
}

void bd_cli_images_clear(bd_cli_images *i) {
    free(i->owned);
    memset(i, 0, sizeof *i);
}
