#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "metric/mse.h"
#include "metric/pair.h"

enum { RADIUS = 5, WINDOW = 2 * RADIUS + 1 };
#define SIGMA 1.5
#define C1 (0.01 * 0.01)
#define C2 (0.03 * 0.03)

/* Scratch of one call. The window slides over padded planes; out planes hold one value for each
 * of its positions. */
typedef struct {
    double weight[WINDOW];
    int pad, c;               /* reflected border, channels */
    int h, w, oh, ow;         /* padded and out sizes */
    double *a, *b, *product;  /* padded planes of one channel */
    double *rows;             /* [h][ow]: blurred along the rows */
    double *mean_a, *aa, *ab; /* out planes */
    double *mean_b, *bb;      /* out planes of every channel: kept while b stays */
} ssim_work;

static void gaussian(double weight[WINDOW]) {
    double sum = 0;
    for (int i = 0; i < WINDOW; i++) {
        double z = (i - RADIUS) / SIGMA;
        weight[i] = exp(-z * z / 2);
        sum += weight[i];
    }
    for (int i = 0; i < WINDOW; i++) weight[i] /= sum;
}

/* Index i of a line of n, reflected without repeating the edge; -n < i < 2n - 1. */
static int reflect(int i, int n) {
    if (i < 0) i = -i;
    return i < n ? i : 2 * (n - 1) - i;
}

/* Channel ch of an image [h,w,c] as a padded plane. */
static void take_plane(double *out, const float *image, const ssim_work *k, int ch) {
    int h = k->h - 2 * k->pad, w = k->w - 2 * k->pad;
    for (int y = 0; y < k->h; y++) {
        const float *line = image + (size_t)reflect(y - k->pad, h) * (size_t)(w * k->c);
        for (int x = 0; x < k->w; x++) {
            *out++ = (double)line[reflect(x - k->pad, w) * k->c + ch];
        }
    }
}

/* out [oh][ow] = Gaussian mean of plane [h][w] around each position where the window fits. */
static void blur(double *out, const double *plane, const ssim_work *k) {
    size_t ow = (size_t)k->ow;
    for (int y = 0; y < k->h; y++) {
        const double *line = plane + (size_t)y * (size_t)k->w;
        for (size_t x = 0; x < ow; x++) {
            double sum = 0;
            for (int i = 0; i < WINDOW; i++) sum += k->weight[i] * line[x + (size_t)i];
            k->rows[(size_t)y * ow + x] = sum;
        }
    }
    for (int y = 0; y < k->oh; y++) {
        const double *top = k->rows + (size_t)y * ow;
        for (size_t x = 0; x < ow; x++) {
            double sum = 0;
            for (int i = 0; i < WINDOW; i++) sum += k->weight[i] * top[(size_t)i * ow + x];
            out[(size_t)y * ow + x] = sum;
        }
    }
}

static void blur_product(double *out, const double *p, const double *q, ssim_work *k) {
    size_t n = (size_t)k->h * (size_t)k->w;
    for (size_t i = 0; i < n; i++) k->product[i] = p[i] * q[i];
    blur(out, k->product, k);
}

/* Sum of the map of channel ch. b's own moments are computed only when it is new. */
static double channel_sum(ssim_work *k, const float *a, const float *b, int ch, bool b_is_new) {
    size_t n = (size_t)k->oh * (size_t)k->ow;
    double *mean_b = k->mean_b + (size_t)ch * n, *bb = k->bb + (size_t)ch * n;
    take_plane(k->a, a, k, ch);
    take_plane(k->b, b, k, ch);
    blur(k->mean_a, k->a, k);
    blur_product(k->aa, k->a, k->a, k);
    blur_product(k->ab, k->a, k->b, k);
    if (b_is_new) {
        blur(mean_b, k->b, k);
        blur_product(bb, k->b, k->b, k);
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double ma = k->mean_a[i], mb = mean_b[i];
        double va = k->aa[i] - ma * ma, vb = bb[i] - mb * mb, cov = k->ab[i] - ma * mb;
        if (va < 0) va = 0; /* rounding, on a flat patch; a NaN stays */
        if (vb < 0) vb = 0;
        sum += (2 * ma * mb + C1) * (2 * cov + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
    }
    return sum;
}

static bd_status work_create(ssim_work *k, double **memory, const bd_image_set *s,
                             bd_ssim_area area) {
    int pad = area == BD_SSIM_FULL ? RADIUS : 0, least = pad ? RADIUS + 1 : WINDOW;
    BD_REQUIRE(s->h >= least && s->w >= least, BD_E_SHAPE,
               "ssim: images of %dx%d, but area %s needs %dx%d for the %dx%d window", s->h, s->w,
               bd_ssim_area_name(area), least, least, WINDOW, WINDOW);
    *k = (ssim_work){.pad = pad, .c = s->c, .h = s->h + 2 * pad, .w = s->w + 2 * pad};
    k->oh = k->h - 2 * RADIUS;
    k->ow = k->w - 2 * RADIUS;
    size_t plane = (size_t)k->h * (size_t)k->w, out = (size_t)k->oh * (size_t)k->ow;
    size_t rows = (size_t)k->h * (size_t)k->ow,
           total = 3 * plane + rows + (3 + 2 * (size_t)s->c) * out;
    double *p = *memory = malloc(total * sizeof *p);
    BD_REQUIRE(p, BD_E_MEMORY, "ssim: no memory for %zu doubles", total);
    k->a = p;
    k->b = k->a + plane;
    k->product = k->b + plane;
    k->rows = k->product + plane;
    k->mean_a = k->rows + rows;
    k->aa = k->mean_a + out;
    k->ab = k->aa + out;
    k->mean_b = k->ab + out;
    k->bb = k->mean_b + (size_t)s->c * out;
    gaussian(k->weight);
    return BD_OK;
}

const char *bd_ssim_area_name(bd_ssim_area area) {
    return area == BD_SSIM_FULL ? "full" : "interior";
}

bd_status bd_ssim_area_parse(bd_ssim_area *out, const char *name) {
    *out = strcmp(name, "full") ? BD_SSIM_INTERIOR : BD_SSIM_FULL;
    BD_REQUIRE(!strcmp(name, bd_ssim_area_name(*out)), BD_E_ARG, "ssim %s: interior or full", name);
    return BD_OK;
}

bd_status bd_ssim_each(double *out, const bd_image_set *a, const bd_image_set *b,
                       bd_ssim_area area) {
    BD_TRY(bd_pair_check(a, b, "ssim"));
    ssim_work k;
    double *memory = NULL;
    BD_TRY(work_create(&k, &memory, a, area));
    size_t size = bd_image_size(a);
    double positions = (double)k.oh * k.ow * k.c;
    float *one = malloc(size * sizeof *one), *other = malloc(size * sizeof *other);
    bd_status st = BD_OK;
    if (!one || !other) BD_FAIL_TO(done, st, BD_E_MEMORY, "ssim: no memory for two images");
    for (int i = 0; i < a->n; i++) {
        bool b_is_new = i == 0 || b->n > 1;
        bd_image_get(one, a, i);
        if (b_is_new) bd_image_get(other, b, i);
        double sum = 0;
        for (int ch = 0; ch < k.c; ch++) sum += channel_sum(&k, one, other, ch, b_is_new);
        out[i] = sum / positions;
        if (!isfinite(out[i])) {
            BD_FAIL_TO(done, st, BD_E_NUMERIC, "ssim: image %d is not finite", i);
        }
    }
done:
    free(one);
    free(other);
    free(memory);
    return st;
}
