/* Pictures of any size made to fit a data set. */
#include <stdlib.h>

#include "data/dataset_format.h"
#include "io/image.h"

void bd_dataset_fit_clear(bd_dataset_fit *f) {
    bd_resizer_destroy(f->resizer);
    free(f->scratch);
    free(f->converted);
    *f = (bd_dataset_fit){0};
}

static bd_status prepare(bd_dataset_fit *f, const bd_dataset *d, int w, int h) {
    if (f->resizer && f->w == w && f->h == h) return BD_OK;
    bd_dataset_fit_clear(f);
    BD_TRY(bd_resizer_create(&f->resizer, w, h, d->w, d->h, d->c));
    f->w = w;
    f->h = h;
    f->scratch = malloc(bd_resizer_scratch(f->resizer));
    f->converted = malloc((size_t)w * (size_t)h * (size_t)d->c);
    if (f->scratch && f->converted) return BD_OK;
    bd_dataset_fit_clear(f);
    return bd_fail(BD_E_MEMORY, "data set %s: no memory for a picture of %dx%d", d->name, w, h);
}

/* Grey to colour repeats the value, colour to grey is bd_grey. */
static void convert(uint8_t *to, const uint8_t *from, size_t n, int c) {
    if (c == 3)
        bd_grey(to, from, n);
    else
        for (size_t i = 0; i < n; i++) to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
}

bd_status bd_dataset_put(bd_dataset *d, int i, bd_dataset_fit *f, const uint8_t *pixels, int w,
                         int h, int c) {
    BD_TRY(prepare(f, d, w, h));
    if (c != d->c) {
        convert(f->converted, pixels, (size_t)w * (size_t)h, c);
        pixels = f->converted;
    }
    bd_resizer_run(d->images + (size_t)i * d->h * d->w * d->c, f->scratch, f->resizer, pixels);
    return BD_OK;
}
