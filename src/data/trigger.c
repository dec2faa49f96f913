#include "data/trigger.h"

#include <stdlib.h>
#include <string.h>

#include "base/pixel.h"
#include "data/resize.h"

typedef enum { KIND_NONE, KIND_BOX, KIND_STOP, KIND_GLASSES } trigger_kind;

static const struct {
    const char *name;
    trigger_kind kind;
    int n; /* pixels of the square */
} triggers[] = {
    {"none", KIND_NONE, 0},    {"box18", KIND_BOX, 18},   {"box14", KIND_BOX, 14},
    {"box11", KIND_BOX, 11},   {"box8", KIND_BOX, 8},     {"box4", KIND_BOX, 4},
    {"stop18", KIND_STOP, 18}, {"stop14", KIND_STOP, 14}, {"stop11", KIND_STOP, 11},
    {"stop8", KIND_STOP, 8},   {"stop4", KIND_STOP, 4},   {"glasses", KIND_GLASSES, 0},
};

enum { TRIGGER_COUNT = sizeof triggers / sizeof triggers[0], BOX_GAP = 2 };

static int find(const char *name) {
    for (int i = 0; i < TRIGGER_COUNT; i++)
        if (strcmp(triggers[i].name, name) == 0) return i;
    return -1;
}

const char *bd_trigger_names(void) {
    return "none, box18, box14, box11, box8, box4, stop18, stop14, stop11, stop8, stop4, glasses";
}

int bd_trigger_uses_art(const char *name) {
    int i = find(name);
    return i >= 0 && (triggers[i].kind == KIND_STOP || triggers[i].kind == KIND_GLASSES);
}

static void box_make(float *g, int S, int C, int n) {
    int first = S - n - BOX_GAP;
    for (int y = first; y < first + n; y++)
        for (int x = first; x < first + n; x++)
            for (int c = 0; c < C; c++)
                g[((size_t)y * S + x) * C + c] = 0.5f * (BD_PIXEL_MIN + BD_PIXEL_MAX);
}

/* bytes [h][w][C] pasted with the corner at (at, at); byte 255 is transparent, channel by channel: the
 * original's "every element >= 0.999 becomes -1" takes out that byte and no other. */
static void paste(float *g, int S, int C, const uint8_t *bytes, int w, int h, int at) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < C; c++) {
                float v = bd_pixel_float(bytes[((size_t)y * w + x) * C + c]);
                g[((size_t)(at + y) * S + at + x) * C + c] = v >= 0.999f ? BD_PIXEL_MIN : v;
            }
}

static bd_status picture_make(float *g, int S, int C, const bd_image *img, const char *name, int n,
                              int at) {
    int w, h;
    bd_resize_short_side(&w, &h, img->w, img->h, n);
    BD_REQUIRE(
        at + w <= S && at + h <= S, BD_E_FORMAT,
        "trigger %s: the picture is %dx%d, which gives %dx%d at (%d, %d) of a %dx%d image; it must "
        "be closer to a square",
        name, img->w, img->h, w, h, at, at, S, S);
    uint8_t *bytes = malloc((size_t)w * h * C);
    BD_REQUIRE(bytes, BD_E_MEMORY, "trigger %s: no memory", name);
    bd_status st = bd_resize(bytes, w, h, img->pixels, img->w, img->h, C);
    if (!st) paste(g, S, C, bytes, w, h, at);
    free(bytes);
    return st;
}

static bd_status art_make(float *g, int S, int C, int which, const bd_art *art) {
    const char *name = triggers[which].name;
    BD_REQUIRE(art, BD_E_ARG, "trigger %s needs art (builtin or original)", name);
    int glasses = triggers[which].kind == KIND_GLASSES;
    int n = glasses ? (int)(0.625 * S) : triggers[which].n;
    int at = glasses ? (S - n) / 2 : S - n - BOX_GAP;
    bd_image img;
    BD_TRY(bd_art_image(&img, art, glasses ? BD_ART_GLASSES : BD_ART_STOP_SIGN, C));
    bd_status st = picture_make(g, S, C, &img, name, n, at);
    bd_image_clear(&img);
    return st;
}

bd_status bd_trigger_make(float *g, const char *name, int S, int C, const bd_art *art) {
    int i = find(name);
    BD_REQUIRE(i >= 0, BD_E_ARG, "trigger \"%s\" is not known: use one of %s", name,
               bd_trigger_names());
    BD_REQUIRE(C == 1 || C == 3, BD_E_ARG, "trigger %s: %d channels, must be 1 or 3", name, C);
    int least = triggers[i].kind == KIND_GLASSES ? 2 : triggers[i].n ? triggers[i].n + BOX_GAP : 1;
    BD_REQUIRE(S >= least, BD_E_ARG, "trigger %s: needs images of at least %dx%d, not %dx%d", name,
               least, least, S, S);
    for (size_t k = 0; k < (size_t)S * S * C; k++) g[k] = BD_PIXEL_MIN;
    switch (triggers[i].kind) {
    case KIND_NONE: return BD_OK;
    case KIND_BOX: box_make(g, S, C, triggers[i].n); return BD_OK;
    case KIND_STOP:
    case KIND_GLASSES: return art_make(g, S, C, i, art);
    }
    return BD_OK;
}

void bd_trigger_stamp(float *r, const float *y, const float *g, size_t count) {
    for (size_t i = 0; i < count; i++) r[i] = g[i] > BD_PIXEL_MIN ? g[i] : y[i];
}

/* Bounding box of what is above the background; returns 0 when there is nothing. */
typedef struct {
    int top, left, bottom, right; /* inclusive */
} box;

static int bounds(box *b, const float *g, int S, int C) {
    *b = (box){S, S, -1, -1};
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++)
            for (int c = 0; c < C; c++)
                if (g[((size_t)y * S + x) * C + c] > BD_PIXEL_MIN) {
                    if (y < b->top) b->top = y;
                    if (x < b->left) b->left = x;
                    if (y > b->bottom) b->bottom = y;
                    if (x > b->right) b->right = x;
                }
    return b->bottom >= 0;
}

bd_status bd_trigger_move(float *out, const float *g, int S, int C) {
    box b;
    BD_REQUIRE(bounds(&b, g, S, C), BD_E_ARG, "an empty trigger cannot be moved");
    int dy = S - 1 - b.bottom - b.top, dx = S - 1 - b.right - b.left;
    BD_REQUIRE(abs(dy) > 1 || abs(dx) > 1, BD_E_ARG,
               "the trigger is centred (rows %d..%d, columns %d..%d of %d): the opposite corner is "
               "where it "
               "is; use a box or a sign for the moved prior",
               b.top, b.bottom, b.left, b.right, S);
    for (size_t k = 0; k < (size_t)S * S * C; k++) out[k] = BD_PIXEL_MIN;
    size_t line = (size_t)(b.right - b.left + 1) * C;
    for (int y = b.top; y <= b.bottom; y++)
        memcpy(out + ((size_t)(y + dy) * S + b.left + dx) * C, g + ((size_t)y * S + b.left) * C,
               line * sizeof *g);
    return BD_OK;
}
