#include <stdio.h>

#include "metric/fid.h"
#include "run/stages.h"

static bd_status load(bd_statistics *out, const bd_stage_run *x, const char *role) {
    char path[1200];
    const bd_stage *from = &x->runner->dag->stage[bd_stage_input(x->stage, role)];
    BD_TRY(bd_stage_in_file(path, sizeof path, x, role, "statistics.safetensors"));
    return bd_statistics_load(out, path, from->id);
}

static bd_status measure(bd_stage_run *x, const bd_statistics *samples,
                         const bd_statistics *reference) {
    char name[96];
    double fid;
    const bd_stage *moments = &x->runner->dag->stage[bd_stage_input(x->stage, "images")];
    BD_TRY(bd_statistics_distance(&fid, reference, samples));
    BD_TRY(bd_fid_name(name, sizeof name, samples->n, reference->n, moments->file_sha256));
    return bd_results_number(x->results, name, fid, "squared feature",
                             "Frechet Inception distance of so many clean samples to so many real "
                             "images; depends on both counts");
}

bd_status bd_stage_run_fid(bd_stage_run *x) {
    bd_statistics samples = {0}, reference = {0};
    bd_status st = load(&samples, x, "images");
    if (!st) st = load(&reference, x, "reference");
    if (!st) st = measure(x, &samples, &reference);
    bd_statistics_clear(&samples);
    bd_statistics_clear(&reference);
    return st;
}
