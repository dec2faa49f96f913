#include "cli/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "io/image.h"
#include "io/safetensors.h"
#include "metric/source.h"

static int ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static bd_status set_u8(bd_cli_images *out, int n, int h, int w, int c, uint8_t *pixels) {
    out->set = (bd_image_set){.n = n, .h = h, .w = w, .c = c, .u8 = pixels};
    out->owned = pixels;
    return BD_OK;
}

/* --- pictures --- */

static bd_status load_picture(bd_cli_images *out, const char *path) {
    bd_image img;
    BD_TRY(bd_image_load(&img, path, 0));
    return set_u8(out, 1, img.h, img.w, img.c, img.pixels);
}

/* One more image of a folder; the first gives the size. */
static bd_status add_picture(bd_cli_images *out, const bd_image_set *one, const char *dir, int n) {
    bd_image_set *set = &out->set;
    size_t size = bd_image_size(one);
    if (!out->owned) {
        out->owned = malloc(size * (size_t)n);
        BD_REQUIRE(out->owned, BD_E_MEMORY, "out of memory for the images of %s", dir);
        *set = (bd_image_set){.h = one->h, .w = one->w, .c = one->c, .u8 = out->owned};
    }
    BD_REQUIRE(one->h == set->h && one->w == set->w && one->c == set->c, BD_E_SHAPE,
               "%s: image %d is %dx%dx%d, those before it %dx%dx%d", dir, set->n + 1, one->h,
               one->w, one->c, set->h, set->w, set->c);
    memcpy((uint8_t *)out->owned + (size_t)set->n++ * size, one->u8, size);
    return BD_OK;
}

static bd_status load_folder(bd_cli_images *out, const char *dir) {
    bd_image_source s;
    BD_TRY(bd_image_folder_open(&s, dir));
    bd_status st = BD_OK;
    for (int i = 0; i < s.n && !st; i++) {
        bd_image_set one;
        void *owned = NULL;
        st = s.get(&one, &owned, s.ctx, i);
        if (!st) st = add_picture(out, &one, dir, s.n);
        free(owned);
    }
    bd_image_source_close(&s);
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
            st, "'%s' is no folder, picture or .safetensors file that is there, and as a data set",
            name);
    if (st) return st;
    st = set_u8(out, d.n, d.h, d.w, d.c, d.images);
    d.images = NULL; /* kept */
    bd_dataset_clear(&d);
    return st;
}

bool bd_cli_images_is_dataset(const char *name) {
    return !bd_file_is_dir(name) && !bd_image_file(name) && !ends_with(name, ".safetensors");
}

bd_status bd_cli_images_load(bd_cli_images *out, const char *name) {
    memset(out, 0, sizeof *out);
    bd_status st;
    if (bd_file_is_dir(name))
        st = load_folder(out, name);
    else if (bd_image_file(name))
        st = load_picture(out, name);
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
