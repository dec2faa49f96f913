#include "metric/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "io/image.h"

static bd_status get_in_memory(bd_image_set *one, void **owned, void *ctx, int i) {
    const bd_image_set *s = ctx;
    size_t first = (size_t)i * bd_image_size(s);
    *owned = NULL;
    *one = *s;
    one->n = 1;
    if (s->u8) one->u8 = s->u8 + first;
    if (s->f32) one->f32 = s->f32 + first;
    return BD_OK;
}

bd_image_source bd_image_source_of(const bd_image_set *s) {
    return (bd_image_source){.n = s->n, .get = get_in_memory, .ctx = (void *)(size_t)s};
}

/* --- folders --- */

typedef struct {
    char **names;
    size_t n;
    char dir[];
} folder;

static void close_folder(void *ctx) {
    folder *f = ctx;
    bd_file_list_free(f->names, f->n);
    free(f);
}

static bd_status get_file(bd_image_set *one, void **owned, void *ctx, int i) {
    const folder *f = ctx;
    char path[4096];
    bd_image image;
    *owned = NULL;
    BD_TRY(bd_path_join(path, sizeof path, f->dir, f->names[i]));
    BD_TRY(bd_image_load(&image, path, 0));
    *one = (bd_image_set){.n = 1, .h = image.h, .w = image.w, .c = image.c, .u8 = image.pixels};
    *owned = image.pixels;
    return BD_OK;
}

/* Pictures first, in their order; the sheet that `baddiff sample` puts beside its images is none of them. */
static bd_status keep_pictures(folder *f, int *n) {
    *n = 0;
    for (size_t i = 0; i < f->n; i++) {
        char *name = f->names[i];
        int kind = bd_image_file(name);
        BD_REQUIRE(kind >= 0, BD_E_FORMAT,
                   "%s/%s: only PNG and JPEG are read: convert it or move it away", f->dir, name);
        if (kind == 0) continue;
        f->names[i] = f->names[*n]; /* what is left out moves behind */
        f->names[(*n)++] = name;
    }
    BD_REQUIRE(*n > 0, BD_E_MISSING, "%s: no PNG or JPEG images in it", f->dir);
    return BD_OK;
}

bd_status bd_image_folder_open(bd_image_source *out, const char *dir) {
    *out = (bd_image_source){0};
    folder *f = calloc(1, sizeof *f + strlen(dir) + 1);
    BD_REQUIRE(f, BD_E_MEMORY, "%s: out of memory", dir);
    strcpy(f->dir, dir);
    bd_status st = bd_file_list(&f->names, &f->n, dir, "");
    if (st) {
        free(f);
        return st;
    }
    bd_image_source s = {.get = get_file, .ctx = f, .close = close_folder};
    st = f->n < 100000000 ? keep_pictures(f, &s.n)
                          : bd_fail(BD_E_ARG, "%s: %zu files are too many", dir, f->n);
    if (st) {
        close_folder(f);
        return st;
    }
    *out = s;
    return BD_OK;
}

void bd_image_source_close(bd_image_source *s) {
    if (s->close) s->close(s->ctx);
    *s = (bd_image_source){0};
}

static bd_status add_image(bd_sha256 *h, const bd_image_source *s, int i) {
    bd_image_set one;
    void *owned;
    char size[64];
    BD_TRY(s->get(&one, &owned, s->ctx, i));
    size_t n = bd_image_size(&one);
    int used =
        snprintf(size, sizeof size, "%s %d %d %d\n", one.u8 ? "u8" : "f32", one.h, one.w, one.c);
    bd_sha256_update(h, size, (size_t)used);
    if (one.u8) bd_sha256_update(h, one.u8, n);
    if (one.f32) bd_sha256_update(h, one.f32, n * sizeof *one.f32);
    free(owned);
    return BD_OK;
}

bd_status bd_image_source_sha256(char hex[65], const bd_image_source *s) {
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    bd_status st = BD_OK;
    for (int i = 0; i < s->n && !st; i++) st = add_image(h, s, i);
    bd_sha256_finish(h, hex); /* frees it too */
    return st;
}
