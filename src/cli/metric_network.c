/* The metrics behind published networks: FID and LPIPS. Folders are read image by image. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/metric.h"
#include "metric/fid.h"
#include "metric/lpips.h"
#include "metric/mse.h"
#include "run/device.h"

/* Images as a source, wherever they are. */
typedef struct {
    bd_cli_images memory;
    bd_image_source source;
    char label[160]; /* data set, split, size and encoding; of a folder its name */
} images;

static bd_status open_images(images *out, const char *name) {
    *out = (images){0};
    if (bd_file_is_dir(name)) {
        const char *slash = strrchr(name, '/');
        snprintf(out->label, sizeof out->label, "%.120s-files",
                 slash && slash[1] ? slash + 1 : name);
        return bd_image_folder_open(&out->source, name);
    }
    BD_TRY(bd_cli_images_load(&out->memory, name));
    const bd_image_set *s = &out->memory.set;
    const char *slash = strrchr(name, '/');
    bool split = !bd_cli_images_is_dataset(name) || strchr(name, ':');
    snprintf(out->label, sizeof out->label, "%.100s%s-%dx%dx%d-%s", slash ? slash + 1 : name,
             split ? "" : "-test", s->h, s->w, s->c, s->u8 ? "u8" : "f32");
    for (char *c = out->label; *c; c++)
        if (*c == ':') *c = '-';
    out->source = bd_image_source_of(s);
    return BD_OK;
}

static void close_images(images *i) {
    bd_image_source_close(&i->source);
    bd_cli_images_clear(&i->memory);
}

static bd_status make_pool(bd_pool **out, const bd_cli_metric_options *o) {
    int threads;
    BD_TRY(bd_cli_threads(&threads, o->threads));
    return bd_pool_create(out, threads);
}

/* --- fid --- */

/* Where the statistics of b are kept: those of data sets by themselves, others when a folder is named. NULL: they
 * are not. */
static const char *cache_of(const bd_cli_metric_options *o, const char *b) {
    if (!strcmp(o->cache, "none")) return NULL;
    if (o->cache[0]) return o->cache;
    return bd_cli_images_is_dataset(b) ? "runs/cache" : NULL;
}

static bd_status compare(double *value, bd_fid *f, const images *a, const images *b,
                         const char *cache) {
    bd_statistics of_a = {0}, of_b = {0};
    bd_status st = cache
                       ? bd_fid_statistics_kept(&of_b, f, &b->source, cache, b->label, &bd_cli_stop)
                       : bd_fid_statistics(&of_b, f, &b->source, &bd_cli_stop);
    if (!st) st = bd_fid_statistics(&of_a, f, &a->source, &bd_cli_stop);
    if (!st) st = bd_statistics_distance(value, &of_b, &of_a);
    bd_statistics_clear(&of_a);
    bd_statistics_clear(&of_b);
    return st;
}

bd_status bd_cli_metric_fid(double *value, char name[BD_CLI_METRIC_NAME],
                            const bd_cli_metric_options *o, const char *name_a,
                            const char *name_b) {
    char weights[4096];
    images a = {0}, b = {0};
    bd_backend backend;
    bd_pool *pool = NULL;
    bd_fid *f = NULL;
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_fid_weights(weights, sizeof weights, o->weights));
    BD_TRY_TO(done, st, open_images(&a, name_a));
    BD_TRY_TO(done, st, open_images(&b, name_b));
    BD_TRY_TO(done, st, make_pool(&pool, o));
    BD_TRY_TO(done, st, bd_device_open(&backend, o->device, "f32"));
    BD_TRY_TO(done, st, bd_fid_create(&f, &backend, pool, weights));
    bd_cli_catch_signals();
    BD_TRY_TO(done, st, compare(value, f, &a, &b, cache_of(o, name_b)));
    st = bd_fid_name(name, BD_CLI_METRIC_NAME, a.source.n, b.source.n, bd_fid_sha256(f));
done:
    bd_fid_destroy(f);
    bd_pool_destroy(pool);
    close_images(&a);
    close_images(&b);
    return st;
}

/* --- lpips --- */

static bd_status mean_of_pairs(double *value, const bd_lpips_spec *spec, const images *a,
                               const images *b) {
    size_t n = (size_t)a->source.n;
    double *each = malloc(n * sizeof *each);
    BD_REQUIRE(each, BD_E_MEMORY, "out of memory for %zu images", n);
    bd_status st = bd_lpips_each(each, spec, &a->source, &b->source);
    if (!st) *value = bd_mean(each, n);
    free(each);
    return st;
}

bd_status bd_cli_metric_lpips(double *value, char name[BD_CLI_METRIC_NAME],
                              const bd_cli_metric_options *o, const char *name_a,
                              const char *name_b) {
    char alexnet[4096], heads[4096];
    images a = {0}, b = {0};
    bd_backend backend;
    bd_lpips_spec spec = {&backend, NULL, alexnet, heads};
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_device_open(&backend, o->device, "f32"));
    BD_TRY_TO(done, st, bd_lpips_weights(alexnet, heads, sizeof heads, o->weights, o->heads));
    BD_TRY_TO(done, st, open_images(&a, name_a));
    BD_TRY_TO(done, st, open_images(&b, name_b));
    BD_TRY_TO(done, st, make_pool(&spec.pool, o));
    BD_TRY_TO(done, st, mean_of_pairs(value, &spec, &a, &b));
    st = bd_lpips_name(name, BD_CLI_METRIC_NAME, a.source.n, alexnet, heads);
done:
    bd_pool_destroy(spec.pool);
    close_images(&a);
    close_images(&b);
    return st;
}
