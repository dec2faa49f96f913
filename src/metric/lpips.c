#include "metric/lpips.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "metric/name.h"
#include "metric/weights.h"
#include "nn/lpips.h"

/* SHA-256 of weights/v0.1/alex.pth, and the start of that of AlexNet. */
static const char heads_sha256[] =
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0";
static const char alexnet_sha256[] = "7be5be79";

bd_status bd_lpips_weights(char *alexnet, char *heads, size_t size, const char *given_alexnet,
                           const char *given_heads) {
    static const bd_weights net = {"lpips", "lpips/" BD_LPIPS_ALEXNET};
    static const bd_weights linear = {"lpips", "lpips/" BD_LPIPS_HEADS};
    BD_TRY(bd_weights_find(alexnet, size, given_alexnet, &net));
    return bd_weights_find(heads, size, given_heads, &linear);
}

bd_status bd_lpips_folder(char *alexnet, char *heads, size_t size, const char *folder) {
    char path[2][1400];
    if (!folder[0]) return bd_lpips_weights(alexnet, heads, size, NULL, NULL);
    BD_TRY(bd_path_join(path[0], sizeof path[0], folder, BD_LPIPS_ALEXNET));
    BD_TRY(bd_path_join(path[1], sizeof path[1], folder, BD_LPIPS_HEADS));
    return bd_lpips_weights(alexnet, heads, size, path[0], path[1]);
}

/* *published: both are what make fetch gets. */
static bd_status sums(char sha[2][65], bool *published, const char *alexnet, const char *heads) {
    BD_TRY(bd_sha256_file(sha[0], alexnet));
    BD_TRY(bd_sha256_file(sha[1], heads));
    *published = strncmp(sha[0], alexnet_sha256, strlen(alexnet_sha256)) == 0 &&
                 strcmp(sha[1], heads_sha256) == 0;
    return BD_OK;
}

bd_status bd_lpips_sha256(char hex[65], const char *folder) {
    char path[2][1400], sha[2][65], both[131];
    bool published;
    BD_TRY(bd_lpips_folder(path[0], path[1], sizeof path[0], folder));
    BD_TRY(sums(sha, &published, path[0], path[1]));
    if (published) return strcpy(hex, BD_LPIPS_PUBLISHED), BD_OK;
    snprintf(both, sizeof both, "%s%s", sha[0], sha[1]);
    return bd_sha256_buffer(hex, both, strlen(both));
}

bd_status bd_lpips_definition(char *out, size_t size, const char *alexnet, const char *heads) {
    char sha[2][65];
    bool published;
    BD_TRY(sums(sha, &published, alexnet, heads));
    int n = published ? snprintf(out, size, "%s", BD_LPIPS_PUBLISHED)
                      : snprintf(out, size, "%s.%.8s.%.8s", BD_LPIPS_PUBLISHED, sha[0], sha[1]);
    BD_REQUIRE(n > 0 && (size_t)n < size, BD_E_ARG, "lpips: the name does not fit");
    return BD_OK;
}

bd_status bd_lpips_cost(double *flops, int S) {
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "lpips"));
    bd_lpips_build(g, bd_graph_input(g, "x", BD_TYPE_F32, 2, S, S, 3));
    bd_status st = bd_graph_status(g);
    *flops = bd_graph_flops(g);
    bd_graph_destroy(g);
    return st;
}

bd_status bd_lpips_name(char *out, size_t size, int n, const char *alexnet, const char *heads) {
    char definition[64];
    BD_TRY(bd_lpips_definition(definition, sizeof definition, alexnet, heads));
    return bd_metric_name(out, size, "lpips", n, definition);
}

/* One pair a tile. */
typedef struct {
    const bd_image_source *side[2];
    bd_lpips_heads heads;
    bd_params params;
    bd_graph *g;
    int h, w; /* of the first image */
    int x;    /* INPUT [2,h,w,3] */
    bd_lpips_out net;
    double *out;
} job;

static bd_status look(job *j) {
    bd_image_set one;
    void *owned;
    BD_TRY(j->side[0]->get(&one, &owned, j->side[0]->ctx, 0));
    free(owned);
    j->h = one.h;
    j->w = one.w;
    return BD_OK;
}

static bd_status enter(float *x, const job *j, const bd_image_set *one, int i) {
    BD_REQUIRE(one->h == j->h && one->w == j->w && (one->c == 1 || one->c == 3), BD_E_SHAPE,
               "lpips: image %d is %dx%dx%d, the first one %dx%d", i, one->h, one->w, one->c, j->h,
               j->w);
    size_t n = bd_image_size(one);
    float *pixels = malloc(n * sizeof *pixels);
    BD_REQUIRE(pixels, BD_E_MEMORY, "lpips: out of memory for an image of %dx%d", j->h, j->w);
    bd_image_get(pixels, one, 0);
    bd_lpips_input(x, pixels, (size_t)j->h * (size_t)j->w, one->c);
    free(pixels);
    return BD_OK;
}

static bd_status before(void *ctx, int tile, int iter, const bd_view *v) {
    const job *j = ctx;
    float *x = bd_view_data(v, j->x);
    (void)iter;
    for (int side = 0; side < 2; side++, x += (size_t)j->h * (size_t)j->w * 3) {
        const bd_image_source *s = j->side[side];
        bd_image_set one;
        void *owned;
        int i = s->n == 1 ? 0 : tile;
        BD_TRY(s->get(&one, &owned, s->ctx, i));
        bd_status st = enter(x, j, &one, i);
        free(owned);
        BD_TRY(st);
    }
    return BD_OK;
}

static bd_status after(void *ctx, int tile, int iter, const bd_view *v) {
    const job *j = ctx;
    double sum = 0;
    (void)iter;
    for (int i = 0; i < BD_LPIPS_LAYERS; i++) {
        const int *d = bd_graph_tensor(j->g, j->net.layer[i])->dim;
        const float *a = bd_view_data(v, j->net.layer[i]);
        size_t pixels = (size_t)d[1] * (size_t)d[2];
        sum += bd_lpips_layer(a, a + pixels * (size_t)d[3], j->heads.weight[i], pixels, d[3]);
    }
    BD_REQUIRE(isfinite(sum), BD_E_NUMERIC, "lpips: the distance of pair %d is %g", tile, sum);
    j->out[tile] = sum;
    return BD_OK;
}

static bd_status build(job *j) {
    BD_TRY(bd_graph_create(&j->g, "lpips"));
    j->x = bd_graph_input(j->g, "x", BD_TYPE_F32, 2, j->h, j->w, 3);
    j->net = bd_lpips_build(j->g, j->x);
    for (int i = 0; i < BD_LPIPS_LAYERS; i++) bd_graph_keep(j->g, j->net.layer[i]);
    bd_status st = bd_graph_status(j->g);
    return st ? bd_error_prefix(st, "images of %dx%d", j->h, j->w) : BD_OK;
}

static bd_status run(job *j, const bd_lpips_spec *spec) {
    const bd_backend *b = spec->backend;
    bd_engine *engine = NULL;
    BD_TRY(look(j));
    BD_TRY(build(j));
    BD_TRY(bd_lpips_params(&j->params));
    BD_TRY(bd_lpips_load(&j->params, &j->heads, spec->alexnet, spec->heads));
    BD_TRY(b->engine_create(&engine, b, j->g, spec->pool));
    const bd_run r = {j->side[0]->n, 1, before, after, j, 0};
    bd_status st = bd_params_upload(&j->params, b, engine, j->g, BD_SLOT_PARAM);
    if (!st) st = b->run(engine, &r, false);
    b->engine_destroy(engine);
    return st;
}

bd_status bd_lpips_each(double *out, const bd_lpips_spec *spec, const bd_image_source *a,
                        const bd_image_source *b) {
    BD_REQUIRE(a->n >= 1 && (b->n == a->n || b->n == 1), BD_E_SHAPE,
               "lpips: %d images against %d; as many are needed, or one", a->n, b->n);
    job j = {.side = {a, b}, .out = out};
    bd_status st = run(&j, spec);
    bd_params_clear(&j.params);
    bd_graph_destroy(j.g);
    return st;
}
