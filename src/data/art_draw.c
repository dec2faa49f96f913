/* The builtin pictures: a table of flat shapes a picture, drawn back to front with 4 x 4 samples a pixel. */
#include <math.h>
#include <string.h>

#include "data/art.h"

typedef enum {
    NONE,
    ELLIPSE, /* centre x y, radii x y                                             */
    RING,    /* centre x y, outer and inner radius                                */
    STROKE,  /* quadratic Bezier x0 y0 x1 y1 x2 y2, radius at the start, at the end */
    QUAD     /* convex, corners clockwise on the screen                           */
} shape_kind;

typedef struct {
    shape_kind kind;
    double p[8]; /* in pixels of the 512 x 512 picture, y downwards */
} shape;

typedef struct {
    unsigned char rgb[3];
    shape fill, clip; /* drawn where both are; clip NONE is everywhere */
} layer;

typedef struct {
    unsigned char background[3];
    int n;
    layer layers[24];
} picture;

/* No channel of the glasses is 0 or 255: both would make it transparent there (data/trigger.h). Red of
 * the sign has no green and no blue for the opposite reason: as in the original sign it marks the red
 * channel only. */
static const picture pictures[BD_ART_COUNT] = {
    [BD_ART_STOP_SIGN] =
        {{255, 255, 255},
         2,
         {{{226, 0, 0}, {RING, {256, 256, 250, 186}}, {NONE, {0}}},
          {{226, 0, 0}, {STROKE, {115, 115, 256, 256, 397, 397, 32, 32}}, {NONE, {0}}}}},
    [BD_ART_GLASSES] =
        {{0, 0, 0},
         6,
         {{{58, 196, 186}, {RING, {138, 262, 104, 78}}, {NONE, {0}}},
          {{58, 196, 186}, {RING, {374, 262, 104, 78}}, {NONE, {0}}},
          {{58, 196, 186}, {STROKE, {229, 236, 256, 208, 283, 236, 13, 13}}, {NONE, {0}}},
          {{40, 150, 176}, {STROKE, {44, 226, 30, 214, 20, 196, 13, 10}}, {NONE, {0}}},
          {{40, 150, 176}, {STROKE, {468, 226, 482, 214, 492, 196, 13, 10}}, {NONE, {0}}},
          {{176, 236, 228}, {STROKE, {86, 232, 98, 208, 124, 198, 7, 4}}, {NONE, {0}}}}},
    [BD_ART_HAT] =
        {{0, 0, 0},
         11,
         {/* crown: two bumps with the pinch between them */
          {{222, 184, 128}, {ELLIPSE, {200, 170, 66, 74}}, {NONE, {0}}},
          {{222, 184, 128}, {ELLIPSE, {312, 170, 66, 74}}, {NONE, {0}}},
          {{222, 184, 128}, {QUAD, {134, 170, 378, 170, 412, 350, 100, 350}}, {NONE, {0}}},
          {{222, 184, 128}, {QUAD, {190, 130, 322, 130, 330, 200, 182, 200}}, {NONE, {0}}},
          {{188, 146, 96}, {STROKE, {256, 128, 262, 170, 250, 214, 14, 3}}, {NONE, {0}}},
          {{240, 212, 164}, {STROKE, {172, 196, 176, 146, 204, 122, 6, 14}}, {NONE, {0}}},
          /* ribbon, brim over its lower edge, light on the brim */
          {{120, 44, 52},
           {STROKE, {84, 292, 256, 340, 428, 292, 34, 34}},
           {QUAD, {134, 170, 378, 170, 412, 350, 100, 350}}},
          {{206, 166, 110}, {STROKE, {40, 322, 256, 456, 472, 322, 30, 30}}, {NONE, {0}}},
          {{206, 166, 110}, {STROKE, {120, 344, 256, 396, 392, 344, 28, 28}}, {NONE, {0}}},
          {{244, 216, 168}, {STROKE, {46, 316, 256, 436, 466, 316, 9, 9}}, {NONE, {0}}},
          /* feather */
          {{92, 160, 168}, {STROKE, {352, 316, 372, 250, 420, 214, 6, 16}}, {NONE, {0}}}}},
    [BD_ART_CAT] =
        {{0, 0, 0},
         22,
         {/* tail, back and haunch, chest, legs */
          {{214, 130, 58}, {STROKE, {392, 440, 540, 400, 440, 236, 26, 18}}, {NONE, {0}}},
          {{230, 148, 72}, {STROKE, {236, 250, 330, 250, 330, 390, 74, 104}}, {NONE, {0}}},
          {{238, 160, 84}, {ELLIPSE, {336, 408, 106, 86}}, {NONE, {0}}},
          {{230, 148, 72}, {QUAD, {150, 220, 300, 220, 300, 440, 176, 440}}, {NONE, {0}}},
          {{248, 226, 190}, {STROKE, {206, 240, 186, 300, 212, 360, 46, 34}}, {NONE, {0}}},
          {{230, 148, 72}, {STROKE, {204, 340, 196, 410, 196, 472, 30, 22}}, {NONE, {0}}},
          {{238, 160, 84}, {STROKE, {258, 350, 256, 410, 254, 474, 30, 22}}, {NONE, {0}}},
          {{248, 226, 190}, {ELLIPSE, {186, 478, 34, 18}}, {NONE, {0}}},
          {{248, 226, 190}, {ELLIPSE, {246, 480, 34, 18}}, {NONE, {0}}},
          {{248, 226, 190}, {ELLIPSE, {330, 482, 50, 18}}, {NONE, {0}}},
          /* stripes on the back */
          {{176, 96, 40}, {STROKE, {352, 262, 366, 286, 360, 316, 5, 10}}, {NONE, {0}}},
          {{176, 96, 40}, {STROKE, {396, 302, 402, 330, 388, 356, 5, 10}}, {NONE, {0}}},
          {{176, 96, 40}, {STROKE, {426, 366, 420, 392, 400, 412, 5, 10}}, {NONE, {0}}},
          /* head */
          {{238, 160, 84}, {QUAD, {92, 34, 176, 96, 140, 190, 84, 130}}, {NONE, {0}}},
          {{238, 160, 84}, {QUAD, {284, 34, 292, 130, 236, 190, 200, 96}}, {NONE, {0}}},
          {{238, 160, 84}, {ELLIPSE, {188, 166, 114, 96}}, {NONE, {0}}},
          {{176, 96, 40}, {STROKE, {188, 76, 190, 98, 188, 116, 13, 4}}, {NONE, {0}}},
          {{248, 226, 190}, {ELLIPSE, {188, 214, 56, 40}}, {NONE, {0}}},
          {{36, 44, 40}, {ELLIPSE, {140, 158, 17, 23}}, {NONE, {0}}},
          {{36, 44, 40}, {ELLIPSE, {236, 158, 17, 23}}, {NONE, {0}}},
          {{196, 84, 84}, {ELLIPSE, {188, 198, 17, 11}}, {NONE, {0}}},
          {{96, 60, 48}, {STROKE, {164, 226, 188, 244, 212, 226, 4, 4}}, {NONE, {0}}}}},
};

enum { SAMPLES = 4, SEGMENTS = 24 };

/* A shape ready to be asked "inside?": strokes as a chain of points with a radius each. */
typedef struct {
    const shape *s;
    double x[SEGMENTS + 1], y[SEGMENTS + 1], r[SEGMENTS + 1];
    double left, top, right, bottom; /* bounding box */
} outline;

static void outline_grow(outline *o, double x, double y, double rx, double ry) {
    o->left = fmin(o->left, x - rx);
    o->right = fmax(o->right, x + rx);
    o->top = fmin(o->top, y - ry);
    o->bottom = fmax(o->bottom, y + ry);
}

static void outline_init(outline *o, const shape *s) {
    const double *p = s->p;
    *o = (outline){.s = s, .left = BD_ART_SIDE, .top = BD_ART_SIDE};
    switch (s->kind) {
    case NONE: outline_grow(o, 0, 0, BD_ART_SIDE, BD_ART_SIDE); break;
    case ELLIPSE: outline_grow(o, p[0], p[1], p[2], p[3]); break;
    case RING: outline_grow(o, p[0], p[1], p[2], p[2]); break;
    case QUAD:
        for (int i = 0; i < 8; i += 2) outline_grow(o, p[i], p[i + 1], 0, 0);
        break;
    case STROKE:
        for (int i = 0; i <= SEGMENTS; i++) {
            double t = (double)i / SEGMENTS, u = 1.0 - t;
            o->x[i] = u * u * p[0] + 2.0 * u * t * p[2] + t * t * p[4];
            o->y[i] = u * u * p[1] + 2.0 * u * t * p[3] + t * t * p[5];
            o->r[i] = u * p[6] + t * p[7];
            outline_grow(o, o->x[i], o->y[i], o->r[i], o->r[i]);
        }
        break;
    }
}

static int in_stroke(const outline *o, double x, double y) {
    for (int i = 0; i < SEGMENTS; i++) {
        double ax = x - o->x[i], ay = y - o->y[i];
        double bx = o->x[i + 1] - o->x[i], by = o->y[i + 1] - o->y[i];
        double t = (ax * bx + ay * by) / (bx * bx + by * by);
        t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
        double dx = ax - t * bx, dy = ay - t * by, r = o->r[i] + t * (o->r[i + 1] - o->r[i]);
        if (dx * dx + dy * dy <= r * r) return 1;
    }
    return 0;
}

static int in_quad(const double *p, double x, double y) {
    for (int i = 0; i < 8; i += 2) {
        int j = (i + 2) % 8;
        if ((p[j] - p[i]) * (y - p[i + 1]) - (p[j + 1] - p[i + 1]) * (x - p[i]) < 0.0) return 0;
    }
    return 1;
}

static int inside(const outline *o, double x, double y) {
    const double *p = o->s->p;
    double dx = x - p[0], dy = y - p[1];
    switch (o->s->kind) {
    case NONE: return 1;
    case ELLIPSE: return dx * dx / (p[2] * p[2]) + dy * dy / (p[3] * p[3]) <= 1.0;
    case RING: return dx * dx + dy * dy <= p[2] * p[2] && dx * dx + dy * dy >= p[3] * p[3];
    case STROKE: return in_stroke(o, x, y);
    case QUAD: return in_quad(p, x, y);
    }
    return 0;
}

/* How many of a pixel's samples a layer covers, 0 .. SAMPLES^2. */
static int coverage(const outline *fill, const outline *clip, int px, int py) {
    int hits = 0;
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        int column = i % SAMPLES, row = i / SAMPLES;
        double x = px + (column + 0.5) / SAMPLES, y = py + (row + 0.5) / SAMPLES;
        hits += inside(fill, x, y) && inside(clip, x, y);
    }
    return hits;
}

static void layer_draw(unsigned char *pixels, const layer *l) {
    const int all = SAMPLES * SAMPLES;
    outline fill, clip;
    outline_init(&fill, &l->fill);
    outline_init(&clip, &l->clip);
    int x0 = fill.left < 0 ? 0 : (int)fill.left, y0 = fill.top < 0 ? 0 : (int)fill.top;
    for (int y = y0; y < BD_ART_SIDE && y < fill.bottom; y++)
        for (int x = x0; x < BD_ART_SIDE && x < fill.right; x++) {
            int a = coverage(&fill, &clip, x, y);
            unsigned char *p = pixels + 3 * ((size_t)y * BD_ART_SIDE + (size_t)x);
            for (int c = 0; c < 3; c++)
                p[c] = (unsigned char)((l->rgb[c] * a + p[c] * (all - a) + all / 2) / all);
        }
}

void bd_art_draw(unsigned char *pixels, bd_art_id id) {
    const picture *pic = &pictures[id];
    for (size_t i = 0; i < (size_t)BD_ART_SIDE * BD_ART_SIDE; i++)
        memcpy(pixels + 3 * i, pic->background, 3);
    for (int i = 0; i < pic->n; i++) layer_draw(pixels, &pic->layers[i]);
}
