#include "train/anp.h"

#include <math.h>
#include <stdio.h>

static bd_status make(void *ctx, bd_params *net, const bd_params *trained) {
    const bd_anp_spec *s = ctx;
    return bd_anp_fold(net, s->net, trained);
}

/* The loop goes down, so what it gets is the gradient with its sign turned. */
static bd_status pull(void *ctx, bd_params *grad, double *norm, const bd_params *net_grad,
                      const bd_params *trained, int64_t step) {
    const bd_anp_spec *s = ctx;
    double conv, squares = 0;
    BD_TRY(bd_anp_gradient(grad, &conv, net_grad, s->net, trained));
    for (size_t i = 0; i < grad->bytes / sizeof(float); i++) {
        squares += (double)grad->data[i] * grad->data[i];
        grad->data[i] = -grad->data[i];
    }
    *norm = sqrt(squares);
    if (s->clip == BD_ANP_CLIP_LEGACY) *norm = bd_anp_legacy_norm(*norm, conv, step);
    return BD_OK;
}

static void bound(void *ctx, bd_params *trained) {
    const bd_anp_spec *s = ctx;
    bd_anp_clamp(trained, s->budget);
}

bd_status bd_anp_train(bd_loop_result *out, bd_params *affine, const bd_anp_spec *spec) {
    char net[65], settings[160];
    bd_anp_spec own = *spec;
    BD_REQUIRE(!spec->train.flags, BD_E_ARG, "anp: only the loss of clean images is climbed");
    BD_REQUIRE(isfinite(spec->budget) && spec->budget >= 0, BD_E_ARG, "anp: budget = %g",
               spec->budget);
    BD_TRY(bd_params_sha256(net, spec->net));
    snprintf(settings, sizeof settings, "anp 1 %.64s budget %.17g clip %d\n", net, spec->budget,
             spec->clip);
    bd_loop_map map = {
        .settings = settings, .make = make, .pull = pull, .bound = bound, .ctx = &own};
    own.train.map = &map;
    return bd_train(out, affine, &own.train);
}
