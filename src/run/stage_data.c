#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "run/settings.h"
#include "run/stages.h"

bd_status bd_stage_run_data(bd_stage_run *x) {
    bd_dataset d;
    char path[1200];
    bd_dataset_spec spec = bd_recipe_data(x->recipe);
    spec.pool = x->runner->pool;
    BD_TRY(bd_dataset_load(&d, &spec));
    bd_log(BD_LOG_DEBUG, "%s %s: %d images from %s", d.name, d.split, d.n, d.dir);
    bd_status st = bd_results_count(x->results, "images", d.n, "images", "size of the data set");
    if (!st) st = bd_results_text(x->results, "sha256", d.sha256, "", "of all pixels in memory");
    if (!st) st = bd_path_join(path, sizeof path, x->dir, "preview.png");
    bd_pixels p = {d.n, d.h, d.w, d.c, d.images};
    if (!st) st = bd_pixels_grid(path, &p, 8, 8);
    bd_dataset_clear(&d);
    return st;
}
