#include "io/png.h"

#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Limits on what a small file may make us allocate. */
enum { SIDE_MAX = 16384, CHUNKS_MAX = 128, CHUNK_BYTES_MAX = 4 << 20 };
#define PIXEL_BYTES_MAX ((size_t)48 << 20)

static const size_t file_max = (size_t)256 << 20;

/* All that must outlive a longjmp lives here, not in locals of the function that calls setjmp. */
typedef struct {
    png_structp png;
    png_infop info;
    const char *path;
    char reason[160];
    bool no_memory;

    const unsigned char *bytes; /* reading */
    size_t n, at;

    bd_writer *w; /* writing */
    bd_status written;

    bd_image image;
    png_bytep *rows;
} codec;

static void on_error(png_structp png, png_const_charp text) {
    codec *c = png_get_error_ptr(png);
    snprintf(c->reason, sizeof c->reason, "%s", text);
    png_longjmp(png, 1);
}

/* Warnings are about ancillary chunks that we do not use. */
static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, png_size_t n) {
    codec *c = png_get_io_ptr(png);
    if (n > c->n - c->at) png_error(png, "truncated");
    memcpy(out, c->bytes + c->at, n);
    c->at += n;
}

static void on_write(png_structp png, png_bytep data, png_size_t n) {
    codec *c = png_get_io_ptr(png);
    c->written = bd_writer_write(c->w, data, n);
    if (c->written) png_error(png, "write failed");
}

static void on_flush(png_structp png) { (void)png; }

/* Sets the transformations that give 8-bit grey or RGB; returns the channels that come out. */
static int set_transforms(codec *c, int want_c) {
    int type = png_get_color_type(c->png, c->info), depth = png_get_bit_depth(c->png, c->info);
    bool colour = (type & PNG_COLOR_MASK_COLOR) != 0;
    png_set_strip_16(c->png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(c->png);
    if (!colour && depth < 8) png_set_expand_gray_1_2_4_to_8(c->png);
    png_set_strip_alpha(c->png);
    if (!colour && want_c == 3) png_set_gray_to_rgb(c->png);
    png_set_interlace_handling(c->png);
    png_read_update_info(c->png, c->info);
    return colour || want_c == 3 ? 3 : 1;
}

/* Everything that may longjmp while reading. */
static void read_body(codec *c, int want_c) {
    png_set_read_fn(c->png, c, on_read);
    png_set_user_limits(c->png, SIDE_MAX, SIDE_MAX);
    png_set_chunk_cache_max(c->png, CHUNKS_MAX);
    png_set_chunk_malloc_max(c->png, CHUNK_BYTES_MAX);
    png_set_crc_action(c->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(c->png, c->info);
    c->image.w = (int)png_get_image_width(c->png, c->info);
    c->image.h = (int)png_get_image_height(c->png, c->info);
    c->image.c = set_transforms(c, want_c);
    size_t row = (size_t)c->image.w * (size_t)c->image.c, total = row * (size_t)c->image.h;
    if (total > PIXEL_BYTES_MAX) png_error(c->png, "more than 48 MiB of pixels");
    if (png_get_rowbytes(c->png, c->info) != row)
        png_error(c->png, "unexpected layout of its pixels");
    c->image.pixels = malloc(total);
    c->rows = malloc((size_t)c->image.h * sizeof *c->rows);
    c->no_memory = !c->image.pixels || !c->rows;
    if (c->no_memory) png_error(c->png, "out of memory");
    for (int y = 0; y < c->image.h; y++) c->rows[y] = c->image.pixels + row * (size_t)y;
    png_read_image(c->png, c->rows);
    png_read_end(c->png, NULL);
}

/* The only function of the reader that calls setjmp: it has no local that changes between setjmp and longjmp. */
static bool guarded_read(codec *c, int want_c) {
    if (setjmp(png_jmpbuf(c->png))) return false;
    read_body(c, want_c);
    return true;
}

static bd_status decode(codec *c, int want_c) {
    c->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    bool ok = c->info && guarded_read(c, want_c);
    bool started = c->info != NULL;
    png_destroy_read_struct(&c->png, &c->info, NULL);
    free(c->rows);
    c->rows = NULL;
    BD_REQUIRE(started, BD_E_MEMORY, "%s: libpng did not start: out of memory", c->path);
    BD_REQUIRE(!c->no_memory, BD_E_MEMORY, "%s: out of memory for its pixels", c->path);
    BD_REQUIRE(ok, BD_E_FORMAT, "%s: offset %zu: PNG not readable: %s", c->path, c->at, c->reason);
    if (want_c == 1) bd_image_to_grey(&c->image);
    return BD_OK;
}

bd_status bd_png_load(bd_image *out, const char *path, int want_c) {
    *out = (bd_image){0};
    BD_REQUIRE(want_c == 0 || want_c == 1 || want_c == 3, BD_E_ARG,
               "%s: %d channels asked for, allowed 0, 1, 3", path, want_c);
    void *data;
    codec c = {.path = path};
    BD_TRY(bd_file_read(&data, &c.n, path, file_max));
    c.bytes = data;
    bd_status st = c.n >= 8 && png_sig_cmp(c.bytes, 0, 8) == 0
                       ? decode(&c, want_c)
                       : bd_fail(BD_E_FORMAT, "%s: offset 0: not a PNG file", path);
    free(data);
    if (st)
        bd_image_clear(&c.image);
    else
        *out = c.image;
    return st;
}

/* ---- writing ---- */

/* Everything that may longjmp while writing. Filter and compression are fixed, so that the bytes depend on the
 * pixels and the library versions only. */
static void write_body(codec *c) {
    int colour = c->image.c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
    png_set_write_fn(c->png, c, on_write, on_flush);
    png_set_user_limits(c->png, SIDE_MAX, SIDE_MAX);
    png_set_compression_level(c->png, 6);
    png_set_filter(c->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_PAETH);
    png_set_IHDR(c->png, c->info, (png_uint_32)c->image.w, (png_uint_32)c->image.h, 8, colour,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(c->png, c->info);
    size_t row = (size_t)c->image.w * (size_t)c->image.c;
    for (int y = 0; y < c->image.h; y++) png_write_row(c->png, c->image.pixels + row * (size_t)y);
    png_write_end(c->png, NULL);
}

static bool guarded_write(codec *c) {
    if (setjmp(png_jmpbuf(c->png))) return false;
    write_body(c);
    return true;
}

static bd_status encode(codec *c) {
    c->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    bool ok = c->info && guarded_write(c);
    bool started = c->info != NULL;
    png_destroy_write_struct(&c->png, &c->info);
    BD_REQUIRE(started, BD_E_MEMORY, "%s: libpng did not start: out of memory", c->path);
    if (c->written) return c->written;
    BD_REQUIRE(ok, BD_E_IO, "%s: PNG not written: %s", c->path, c->reason);
    return BD_OK;
}

bd_status bd_png_save(const char *path, const bd_image *img) {
    BD_REQUIRE(img->w >= 1 && img->w <= SIDE_MAX && img->h >= 1 && img->h <= SIDE_MAX &&
                   (img->c == 1 || img->c == 3),
               BD_E_SHAPE, "%s: image of %d x %d x %d, allowed 1..%d, 1..%d, 1 or 3 channels", path,
               img->w, img->h, img->c, SIDE_MAX, SIDE_MAX);
    codec c = {.path = path, .image = *img};
    BD_TRY(bd_writer_create(&c.w, path));
    bd_status st = encode(&c);
    if (st) {
        bd_writer_abort(c.w);
        return st;
    }
    return bd_writer_commit(c.w);
}
