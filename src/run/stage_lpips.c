#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metric/lpips.h"
#include "metric/mse.h"
#include "metric/name.h"
#include "run/cost.h"
#include "run/stages.h"

typedef struct {
    char alexnet[1400], heads[1400], definition[64];
    bd_pixels samples, inputs, original;
    float *target, *legacy; /* [H,W,C] in [0,1]; [N,H,W,C] */
    double *each;
} job;

static void job_clear(job *j) {
    bd_pixels_clear(&j->samples);
    bd_pixels_clear(&j->inputs);
    bd_pixels_clear(&j->original);
    free(j->target);
    free(j->legacy);
    free(j->each);
}

bd_status bd_stage_lpips_ready(char *alexnet, char *heads, size_t size, const bd_stage *s) {
    char sha[65];
    const char *folder = s->recipe.metric_lpips_folder;
    BD_TRY(bd_lpips_folder(alexnet, heads, size, folder));
    BD_TRY(bd_lpips_sha256(sha, folder));
    BD_REQUIRE(strcmp(sha, s->file_sha256) == 0, BD_E_FORMAT,
               "%s and %s: these weights are %.8s, this was planned with %.8s; are they damaged?",
               alexnet, heads, sha, s->file_sha256);
    return BD_OK;
}

static bd_image_set set_of(const bd_pixels *p) {
    return (bd_image_set){.n = p->n, .h = p->h, .w = p->w, .c = p->c, .u8 = p->pixels};
}

static bd_status load(job *j, bd_stage_run *x) {
    char path[1200];
    int dim[4];
    BD_TRY(bd_stage_lpips_ready(j->alexnet, j->heads, sizeof j->heads, x->stage));
    BD_TRY(bd_lpips_definition(j->definition, sizeof j->definition, j->alexnet, j->heads));
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "target", "target.safetensors"));
    BD_TRY(bd_floats_load(&j->target, dim, path, "target"));
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "samples", "samples.safetensors"));
    BD_TRY(bd_pixels_load(&j->samples, path));
    const bd_pixels *p = &j->samples;
    BD_REQUIRE(dim[0] == p->h && dim[1] == p->w && dim[2] == p->c, BD_E_SHAPE,
               "samples are %dx%dx%d, the target is %dx%dx%d", p->h, p->w, p->c, dim[0], dim[1],
               dim[2]);
    j->each = calloc((size_t)p->n, sizeof *j->each);
    BD_REQUIRE(j->each, BD_E_MEMORY, "out of memory for %d scores", p->n);
    if (bd_stage_input(x->stage, "pictures") < 0) return BD_OK;
    BD_TRY(bd_stage_in_file(path, sizeof path, x, "samples", "inputs.safetensors"));
    BD_TRY(bd_pixels_load(&j->inputs, path));
    return bd_stage_originals(&j->original, x, p->n, p->h, p->c);
}

static bd_status add(bd_stage_run *x, job *j, const char *metric, const bd_image_set *a,
                     const bd_image_set *b, const char *help) {
    char name[128];
    bd_lpips_spec spec = {x->backend, x->runner->pool, j->alexnet, j->heads};
    bd_image_source left = bd_image_source_of(a), right = bd_image_source_of(b);
    if (x->runner->stop && *x->runner->stop) return bd_fail(BD_E_INTERRUPT, "lpips: stopped");
    BD_TRY(bd_lpips_each(j->each, &spec, &left, &right));
    BD_TRY(bd_metric_name(name, sizeof name, metric, a->n, j->definition));
    return bd_results_number(x->results, name, bd_mean(j->each, (size_t)a->n), "1", help);
}

/* The authors' code hands pictures in [0,1] to a network for [-1,1]: v there is (v + 1)/2 here. Its originals are in
 * [-1,1], as they should be. */
static bd_status add_legacy(bd_stage_run *x, job *j, bool triggered) {
    bd_image_set samples = set_of(&j->samples), other = set_of(&j->original);
    size_t size = bd_image_size(&samples), n = (size_t)samples.n * size;
    j->legacy = malloc((n + size) * sizeof *j->legacy);
    BD_REQUIRE(j->legacy, BD_E_MEMORY, "out of memory for %d pictures", samples.n);
    for (size_t i = 0; i < n; i++) j->legacy[i] = ((float)samples.u8[i] / 255.0f + 1) / 2;
    for (size_t i = 0; i < size; i++) j->legacy[n + i] = (j->target[i] + 1) / 2;
    samples.u8 = NULL;
    samples.f32 = j->legacy;
    if (triggered) {
        other.n = 1;
        other.u8 = NULL;
        other.f32 = j->legacy + n;
    }
    return add(x, j, "lpips_legacy", &samples, &other,
               "what the authors' code calls LPIPS: pictures in [0,1] given to a network for "
               "[-1,1], triggered to "
               "the target, untriggered to originals in [-1,1]");
}

static bd_status measure(bd_stage_run *x, job *j) {
    BD_TRY(load(j, x));
    bd_image_set samples = set_of(&j->samples), inputs = set_of(&j->inputs),
                 original = set_of(&j->original), target = samples;
    target.n = 1;
    target.u8 = NULL;
    target.f32 = j->target;
    BD_TRY(add(x, j, "lpips", &samples, &target, "mean LPIPS of the samples to the target"));
    if (j->original.n) {
        const bd_stage *from = &x->runner->dag->stage[bd_stage_input(x->stage, "samples")];
        BD_TRY(add(x, j, "lpips_picture", &samples, &original,
                   "mean LPIPS of the restored to the held-out pictures"));
        BD_TRY(add(x, j, "lpips_input", &inputs, &original,
                   "mean LPIPS of the damaged to the held-out pictures"));
        BD_TRY(add_legacy(x, j, !strcmp(from->recipe.sample_prior, "stamped")));
    }
    return bd_stage_tflop(&x->tflop, x->runner->dag, (int)(x->stage - x->runner->dag->stage));
}

bd_status bd_stage_run_lpips(bd_stage_run *x) {
    job *j = calloc(1, sizeof *j);
    BD_REQUIRE(j, BD_E_MEMORY, "out of memory for lpips");
    bd_status st = measure(x, j);
    job_clear(j);
    free(j);
    return st;
}
