#include "train/loss_scale.h"

static const double start = 65536, growth = 2, backoff = 0.5;
enum { INTERVAL = 2000 };

void bd_loss_scale_init(bd_loss_scale *s) { *s = (bd_loss_scale){.scale = start}; }

void bd_loss_scale_step(bd_loss_scale *s, bool finite) {
    if (!finite) {
        s->scale *= backoff;
        s->good = 0;
        s->skipped++;
    } else if (++s->good == INTERVAL) {
        s->scale *= growth;
        s->good = 0;
    }
}
