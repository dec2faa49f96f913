#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/metric.h"
#include "cli/verbs.h"
#include "io/csv.h"
#include "metric/frechet.h"
#include "metric/mse.h"
#include "metric/name.h"
#include "run/device.h"
#include "train/features.h"

static bd_status pairwise(double *value, char name[BD_CLI_METRIC_NAME],
                          const bd_cli_metric_options *o, bool ssim, const bd_image_set *a,
                          const bd_image_set *b) {
    double *each = calloc((size_t)a->n, sizeof *each);
    BD_REQUIRE(each, BD_E_MEMORY, "out of memory for %d images", a->n);
    bd_status st = ssim ? bd_ssim_each(each, a, b, o->area) : bd_mse_each(each, a, b);
    if (!st) *value = bd_mean(each, (size_t)a->n);
    free(each);
    if (st) return st;
    return bd_metric_name(name, BD_CLI_METRIC_NAME, ssim ? "ssim" : "mse", a->n,
                          ssim ? bd_ssim_area_name(o->area) : NULL);
}

/* --- fcd --- */

static bd_status bytes_of(uint8_t **out, const bd_image_set *s) {
    size_t n = (size_t)s->n * bd_image_size(s);
    *out = malloc(n);
    BD_REQUIRE(*out, BD_E_MEMORY, "out of memory for %d images", s->n);
    if (!s->u8) return bd_image_quantise(*out, s->f32, n);
    memcpy(*out, s->u8, n);
    return BD_OK;
}

static bd_status features_of(float **out, const bd_image_set *s, const bd_features_spec *spec) {
    uint8_t *bytes = NULL;
    *out = malloc((size_t)s->n * BD_CLASSIFIER_FEATURES * sizeof **out);
    BD_REQUIRE(*out, BD_E_MEMORY, "out of memory for features");
    bd_status st = bytes_of(&bytes, s);
    if (!st) st = bd_features(*out, NULL, bytes, s->n, spec);
    free(bytes);
    return st;
}

static bd_status distance(double *value, const bd_image_set *a, const bd_image_set *b,
                          const bd_features_spec *spec) {
    float *fa = NULL, *fb = NULL;
    bd_status st = features_of(&fa, a, spec);
    if (!st) st = features_of(&fb, b, spec);
    if (!st)
        st = bd_frechet_rows(value, fa, (size_t)a->n, fb, (size_t)b->n, BD_CLASSIFIER_FEATURES);
    free(fa);
    free(fb);
    return st;
}

static bd_status fcd(double *value, char name[BD_CLI_METRIC_NAME], const bd_cli_metric_options *o,
                     const bd_image_set *a, const bd_image_set *b) {
    char sha[65], definition[80];
    int threads;
    bd_classifier_config config = BD_CLASSIFIER_DEFAULT;
    bd_params params = {0};
    bd_pool *pool = NULL;
    BD_REQUIRE(a->h == a->w && a->h == b->h && b->h == b->w && a->c == b->c, BD_E_SHAPE,
               "fcd needs square images of one size: %dx%dx%d against %dx%dx%d", a->h, a->w, a->c,
               b->h, b->w, b->c);
    config.sample_size = a->h;
    config.channels = a->c;
    BD_TRY(bd_sha256_file(sha, o->classifier));
    BD_TRY(bd_cli_threads(&threads, o->threads));
    bd_status st = bd_classifier_params(&params, &config);
    if (!st) st = bd_params_load(&params, o->classifier);
    if (!st) st = bd_pool_create(&pool, threads);
    bd_backend backend;
    if (!st) st = bd_device_open(&backend, o->device, "f32");
    bd_features_spec spec = {&backend, pool, &config, &params};
    if (!st) st = distance(value, a, b, &spec);
    bd_pool_destroy(pool);
    bd_params_clear(&params);
    if (st) return st;
    /* both counts decide the bias of a Frechet distance */
    snprintf(definition, sizeof definition, "ref%d.%.8s", b->n, sha);
    return bd_metric_name(name, BD_CLI_METRIC_NAME, "fcd", a->n, definition);
}

/* --- which --- */

typedef enum { MSE, SSIM, FCD } in_memory;

/* Those that look at both sets whole. */
static bd_status whole(double *value, char name[BD_CLI_METRIC_NAME], const bd_cli_metric_options *o,
                       in_memory which, const char *name_a, const char *name_b) {
    bd_cli_images a = {0}, b = {0};
    bd_status st = bd_cli_images_load(&a, name_a);
    if (!st) st = bd_cli_images_load(&b, name_b);
    if (!st)
        st = which == FCD ? fcd(value, name, o, &a.set, &b.set)
                          : pairwise(value, name, o, which == SSIM, &a.set, &b.set);
    bd_cli_images_clear(&a);
    bd_cli_images_clear(&b);
    return st;
}

#define WHOLE(function, which)                                                                \
    static bd_status function(double *value, char name[BD_CLI_METRIC_NAME],                   \
                              const bd_cli_metric_options *o, const char *a, const char *b) { \
        return whole(value, name, o, which, a, b);                                            \
    }
WHOLE(mse_of, MSE)
WHOLE(ssim_of, SSIM)
WHOLE(fcd_of, FCD)

static const struct {
    const char *name;
    bd_cli_metric_fn measure;
} metrics[] = {{"mse", mse_of},
               {"ssim", ssim_of},
               {"fcd", fcd_of},
               {"fid", bd_cli_metric_fid},
               {"lpips", bd_cli_metric_lpips}};

static bd_cli_metric_fn find(const char *name) {
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (!strcmp(metrics[i].name, name)) return metrics[i].measure;
    return NULL;
}

int bd_cli_metric(int argc, char **argv) {
    bd_cli_metric_options o = {.ssim = "interior",
                               .classifier = "experiments/classifier/fashion-mnist.safetensors",
                               .device = "auto",
                               .weights = "",
                               .heads = "",
                               .cache = ""};
    const bd_opt opts[] = {
        {0, "ssim", BD_OPT_TEXT, "interior|full", &o.ssim, 0, 0,
         "windows inside the image, or all with reflected edges"},
        {0, "classifier", BD_OPT_TEXT, "FILE", &o.classifier, 0, 0, "weights behind fcd"},
        {0, "weights", BD_OPT_TEXT, "FILE", &o.weights, 0, 0,
         "Inception-v3 of fid or AlexNet of lpips; else searched in $BADDIFF_DATA and data"},
        {0, "heads", BD_OPT_TEXT, "FILE", &o.heads, 0, 0, "linear heads of lpips; else searched"},
        {0, "cache", BD_OPT_TEXT, "DIR|none", &o.cache, 0, 0,
         "where fid keeps the statistics of B; else runs/cache, for data sets only"},
        {0, "device", BD_OPT_TEXT, "NAME", &o.device, 0, 0,
         "where the networks run: auto (a CUDA device if there is one), cpu, cuda, cuda:K"},
        {'t', "threads", BD_OPT_INT, "N", &o.threads, 0, 1024,
         "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {
        "metric mse|ssim|fcd|fid|lpips A B [options]",
        "Compares two sets of images. A and B: a folder of PNG or JPEG files, a picture, a\n"
        ".safetensors file, or a data set as fashion-mnist:train. mse, ssim and lpips compare "
        "pair\n"
        "by pair, B may be one image; fcd and fid compare the sets, B is the reference. Prints\n"
        "\"name value\"; the name says what was measured, the counts included (docs/metrics.md).\n"
        "Weights that are missing: make fetch DATA=inception, DATA=lpips.",
        opts,
        sizeof opts / sizeof opts[0],
        3,
        3};
    char **args, name[BD_CLI_METRIC_NAME], text[32];
    double value = 0;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    bd_cli_metric_fn measure = find(args[0]);
    if (!measure)
        return bd_cli_usage("metric", "no metric '%s': mse, ssim, fcd, fid or lpips", args[0]);
    if (bd_ssim_area_parse(&o.area, o.ssim))
        return bd_cli_usage("metric", "--ssim %s: interior or full", o.ssim);
    bd_status st = measure(&value, name, &o, args[1], args[2]);
    if (st) return bd_cli_fail(st);
    bd_format_double(text, value);
    printf("%s %s\n", name, text);
    return 0;
}
