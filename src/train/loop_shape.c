/* How the images of a pass are cut into micro-batches and steps. */
#include <inttypes.h>
#include <math.h>

#include "train/loop.h"

bd_status bd_loop_shape_init(bd_loop_shape *s, const bd_loop_options *o, int64_t n) {
    BD_REQUIRE(n >= 1, BD_E_ARG, "training set is empty (%" PRId64 " images)", n);
    int micro = o->micro_batch ? o->micro_batch : o->batch;
    BD_REQUIRE(o->tile == 1 || o->tile == 2 || o->tile == 4 || o->tile == 8 ||
                   (o->tile >= 1 && o->tile == micro),
               BD_E_ARG, "tile = %d; must be 1, 2, 4 or 8", o->tile);
    BD_REQUIRE(o->batch >= 1 && o->batch % o->tile == 0, BD_E_ARG,
               "batch = %d must be a positive multiple of tile = %d", o->batch, o->tile);
    BD_REQUIRE(micro >= o->tile && micro % o->tile == 0, BD_E_ARG,
               "micro_batch = %d must be a multiple of tile = %d", micro, o->tile);
    BD_REQUIRE(o->batch % micro == 0, BD_E_ARG, "micro_batch = %d must divide batch = %d", micro,
               o->batch);
    *s = (bd_loop_shape){
        .n = n, .micro_batch = micro, .accumulate = o->batch / micro, .tile = o->tile};
    s->micros_per_epoch = (n + micro - 1) / micro;
    s->steps_per_epoch = (s->micros_per_epoch + s->accumulate - 1) / s->accumulate;
    return BD_OK;
}

int64_t bd_loop_shape_micros(const bd_loop_shape *s, int64_t step) {
    int64_t epoch = step / s->steps_per_epoch, in_epoch = step % s->steps_per_epoch;
    return epoch * s->micros_per_epoch + in_epoch * s->accumulate;
}

int64_t bd_loop_shape_steps(const bd_loop_shape *s, const bd_loop_options *o) {
    return o->steps ? o->steps : o->epochs * s->steps_per_epoch;
}

int64_t bd_loop_shape_leave(const bd_loop_shape *s, const bd_loop_options *o) {
    int64_t steps = bd_loop_shape_steps(s, o);
    return o->share > 0 ? llround(o->share * (double)steps) : steps;
}
