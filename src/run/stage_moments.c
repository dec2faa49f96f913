#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "metric/fid.h"
#include "run/cost.h"
#include "run/stages.h"

bd_status bd_stage_moments_ready(char *path, size_t size, const bd_stage *s) {
    char sha[65];
    BD_TRY(bd_fid_weights(path, size, s->recipe.metric_inception));
    BD_TRY(bd_sha256_file(sha, path));
    /* published weights are planned with by the digits of their name */
    BD_REQUIRE(strncmp(sha, s->file_sha256, strlen(s->file_sha256)) == 0, BD_E_FORMAT,
               "%s: its SHA-256 begins with %.8s, this was planned with %.8s%s", path, sha,
               s->file_sha256,
               bd_fid_published(s->file_sha256) ? ", the published file; is it damaged?" : "");
    return BD_OK;
}

static bd_status compute(bd_stage_run *x, bd_fid *f, const bd_image_view *v) {
    char path[1200];
    bd_statistics s;
    bd_image_set set = {.n = v->n, .h = v->size, .w = v->size, .c = v->c, .u8 = v->pixels};
    bd_image_source source = bd_image_source_of(&set);
    BD_TRY(bd_path_join(path, sizeof path, x->dir, "statistics.safetensors"));
    BD_TRY(bd_fid_statistics(&s, f, &source, x->runner->stop));
    bd_status st = bd_statistics_save(&s, path, x->stage->id);
    bd_statistics_clear(&s);
    if (!st) st = bd_results_count(x->results, "n", v->n, "images", "images");
    return st;
}

bd_status bd_stage_run_moments(bd_stage_run *x) {
    char weights[1400];
    bd_pixels owned = {0};
    bd_image_view view = {0};
    bd_fid *f = NULL;
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, bd_stage_moments_ready(weights, sizeof weights, x->stage));
    BD_TRY_TO(done, st, bd_stage_images(&owned, &view, x));
    BD_TRY_TO(done, st, bd_fid_create(&f, x->backend, x->runner->pool, weights));
    BD_TRY_TO(done, st, compute(x, f, &view));
    st = bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage));
done:
    bd_fid_destroy(f);
    bd_pixels_clear(&owned);
    return st;
}
