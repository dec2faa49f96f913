#include "run/pixels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/png.h"
#include "io/safetensors.h"

/* --- images --- */

bd_status bd_pixels_save(const char *path, const bd_pixels *p) {
    bd_st_tensor t = {.name = "images",
                      .dtype = BD_U8,
                      .rank = 4,
                      .dim = {p->n, p->h, p->w, p->c},
                      .data = p->pixels,
                      .bytes = (size_t)p->n * (size_t)p->h * (size_t)p->w * (size_t)p->c};
    return bd_safetensors_save(path, &t, 1, NULL, 0);
}

static bd_status take_pixels(bd_pixels *out, const bd_tensors *f, const char *path) {
    const bd_st_tensor *t = bd_tensors_find(f, "images");
    BD_REQUIRE(t && t->dtype == BD_U8 && t->rank == 4, BD_E_FORMAT,
               "%s: no tensor 'images' of rank 4 and type U8", path);
    for (int i = 0; i < 4; i++)
        BD_REQUIRE(t->dim[i] >= 1 && t->dim[i] <= 100000000, BD_E_FORMAT,
                   "%s: images of %" PRId64 " in one dimension", path, t->dim[i]);
    *out = (bd_pixels){(int)t->dim[0], (int)t->dim[1], (int)t->dim[2], (int)t->dim[3],
                       malloc(t->bytes)};
    BD_REQUIRE(out->pixels, BD_E_MEMORY, "out of memory for %s", path);
    memcpy(out->pixels, t->data, t->bytes);
    return BD_OK;
}

bd_status bd_pixels_load(bd_pixels *out, const char *path) {
    bd_tensors *f;
    memset(out, 0, sizeof *out);
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = take_pixels(out, f, path);
    bd_tensors_destroy(f);
    return st;
}

void bd_pixels_clear(bd_pixels *p) {
    free(p->pixels);
    memset(p, 0, sizeof *p);
}

bd_status bd_pixels_grid(const char *path, const bd_pixels *p, int rows, int cols) {
    bd_image g = {.w = cols * (p->w + 1) - 1, .h = rows * (p->h + 1) - 1, .c = p->c};
    g.pixels = calloc((size_t)g.w * (size_t)g.h, (size_t)g.c);
    BD_REQUIRE(g.pixels, BD_E_MEMORY, "out of memory for %s", path);
    size_t line = (size_t)p->w * (size_t)p->c;
    for (int i = 0; i < rows * cols && i < p->n; i++) {
        int top = i / cols * (p->h + 1), left = i % cols * (p->w + 1);
        for (int y = 0; y < p->h; y++)
            memcpy(g.pixels + ((size_t)(top + y) * (size_t)g.w + (size_t)left) * (size_t)g.c,
                   p->pixels + ((size_t)i * (size_t)p->h + (size_t)y) * line, line);
    }
    bd_status st = bd_png_save(path, &g);
    bd_image_clear(&g);
    return st;
}

/* --- floats --- */

bd_status bd_floats_save(const char *path, const char *name, const float *data, const int dim[4],
                         int rank) {
    bd_st_tensor t = {
        .name = name, .dtype = BD_F32, .rank = rank, .data = data, .bytes = sizeof(float)};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
        t.bytes *= (size_t)dim[i];
    }
    return bd_safetensors_save(path, &t, 1, NULL, 0);
}

static bd_status take_floats(float **data, int dim[4], const bd_tensors *f, const char *path,
                             const char *name) {
    const bd_st_tensor *t = bd_tensors_find(f, name);
    BD_REQUIRE(t && t->dtype == BD_F32 && t->rank >= 1 && t->rank <= 4, BD_E_FORMAT,
               "%s: no tensor '%s' of type F32 and rank 1 to 4", path, name);
    for (int i = 0; i < 4; i++) {
        int64_t d = i < t->rank ? t->dim[i] : 1;
        BD_REQUIRE(d >= 1 && d <= 100000000, BD_E_FORMAT,
                   "%s: '%s' has %" PRId64 " in one dimension", path, name, d);
        dim[i] = (int)d;
    }
    *data = malloc(t->bytes);
    BD_REQUIRE(*data, BD_E_MEMORY, "out of memory for %s", path);
    memcpy(*data, t->data, t->bytes);
    return BD_OK;
}

bd_status bd_floats_load(float **data, int dim[4], const char *path, const char *name) {
    bd_tensors *f;
    *data = NULL;
    BD_TRY(bd_safetensors_load(&f, path));
    bd_status st = take_floats(data, dim, f, path, name);
    bd_tensors_destroy(f);
    return st;
}
