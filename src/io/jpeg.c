#include "io/jpeg.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/file.h"

/* Limits on what a small file may make us allocate or compute. */
enum { SIDE_MAX = 16384, SCANS_MAX = 200 };

/* A block of 8 x 8 pixels takes at least a bit, with Huffman codes, which is 512 pixels a byte; with arithmetic coding less. */
#define PIXELS_A_BYTE ((size_t)4096)
#define PIXEL_BYTES_MAX ((size_t)256 << 20) /* 89 million pixels, more than cameras make */

static const size_t file_max = (size_t)256 << 20;

/* All that must outlive a longjmp lives here, not in locals of the function that calls setjmp. */
typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    const char *path;
    char reason[JMSG_LENGTH_MAX];
    bool no_memory;
    const unsigned char *bytes;
    size_t n;
    bd_image image;
} codec;

static void give_up(codec *c, const char *reason) {
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    longjmp(c->back, 1);
}

static void on_error(j_common_ptr jpeg) {
    codec *c = jpeg->client_data;
    c->no_memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
    jpeg->err->format_message(jpeg, c->reason);
    longjmp(c->back, 1);
}

/* A level below 0 is a warning about damaged data, which libjpeg paints over with grey. Bytes between two markers
 * and an unknown revision of the file's header lose no pixel. */
static void on_message(j_common_ptr jpeg, int level) {
    int code = jpeg->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR) on_error(jpeg);
}

/* A progressive file may ask for as many passes over the whole picture as it has scans. */
static void on_progress(j_common_ptr jpeg) {
    codec *c = jpeg->client_data;
    if (c->jpeg.input_scan_number > SCANS_MAX) give_up(c, "more than 200 scans");
}

static void open_codec(codec *c) {
    c->jpeg.err = jpeg_std_error(&c->errors);
    c->errors.error_exit = on_error;
    c->errors.emit_message = on_message;
    c->jpeg.client_data = c;
    jpeg_create_decompress(&c->jpeg);
    c->progress.progress_monitor = on_progress;
    c->jpeg.progress = &c->progress;
}

static void read_header(codec *c, int want_c) {
    jpeg_mem_src(&c->jpeg, c->bytes, (unsigned long)c->n);
    jpeg_read_header(&c->jpeg, TRUE);
    if (c->jpeg.image_width > SIDE_MAX || c->jpeg.image_height > SIDE_MAX)
        give_up(c, "a side of more than 16384 pixels");
    if ((size_t)c->jpeg.image_width * c->jpeg.image_height / PIXELS_A_BYTE > c->n)
        give_up(c, "more pixels than a file of its length can hold");
    if (c->jpeg.num_components != 1 && c->jpeg.num_components != 3)
        give_up(c, "neither grey nor colour of three components (CMYK?): convert it to RGB");
    bool colour = c->jpeg.num_components == 3 || want_c == 3;
    c->jpeg.out_color_space = colour ? JCS_RGB : JCS_GRAYSCALE;
    c->jpeg.dct_method = JDCT_ISLOW;
    c->image.w = (int)c->jpeg.image_width;
    c->image.h = (int)c->jpeg.image_height;
    c->image.c = colour ? 3 : 1;
}

/* Everything that may longjmp. */
static void read_body(codec *c, int want_c) {
    open_codec(c);
    read_header(c, want_c);
    size_t row = (size_t)c->image.w * (size_t)c->image.c, total = row * (size_t)c->image.h;
    if (total > PIXEL_BYTES_MAX) give_up(c, "more than 256 MiB of pixels");
    jpeg_start_decompress(&c->jpeg);
    c->image.pixels = malloc(total);
    c->no_memory = !c->image.pixels;
    if (c->no_memory) give_up(c, "out of memory");
    while (c->jpeg.output_scanline < c->jpeg.output_height) {
        JSAMPROW line = c->image.pixels + row * c->jpeg.output_scanline;
        jpeg_read_scanlines(&c->jpeg, &line, 1);
    }
    jpeg_finish_decompress(&c->jpeg);
}

/* The only function that calls setjmp: it has no local that changes between setjmp and longjmp. */
static bool guarded_read(codec *c, int want_c) {
    if (setjmp(c->back)) return false;
    read_body(c, want_c);
    return true;
}

static bd_status decode(codec *c, int want_c) {
    bool ok = guarded_read(c, want_c);
    jpeg_destroy_decompress(&c->jpeg);
    BD_REQUIRE(!c->no_memory, BD_E_MEMORY, "%s: out of memory for its pixels", c->path);
    BD_REQUIRE(ok, BD_E_FORMAT, "%s: JPEG not readable: %s", c->path, c->reason);
    if (want_c == 1) bd_image_to_grey(&c->image);
    return BD_OK;
}

bd_status bd_jpeg_load(bd_image *out, const char *path, int want_c) {
    *out = (bd_image){0};
    BD_REQUIRE(want_c == 0 || want_c == 1 || want_c == 3, BD_E_ARG,
               "%s: %d channels asked for, allowed 0, 1, 3", path, want_c);
    void *data;
    codec *c = calloc(1, sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "%s: out of memory", path);
    c->path = path;
    bd_status st = bd_file_read(&data, &c->n, path, file_max);
    if (st) {
        free(c);
        return st;
    }
    c->bytes = data;
    st = c->n >= 3 && c->bytes[0] == 0xff && c->bytes[1] == 0xd8 && c->bytes[2] == 0xff
             ? decode(c, want_c)
             : bd_fail(BD_E_FORMAT, "%s: offset 0: not a JPEG file", path);
    free(data);
    if (st)
        bd_image_clear(&c->image);
    else
        *out = c->image;
    free(c);
    return st;
}
