#include "train/mapped.h"

#include <math.h>

bd_status bd_mapped_init(bd_mapped *x, const bd_loop_job *job) {
    if (!job->map) return BD_OK;
    /* a scaled gradient would have to be divided before it is pulled back */
    BD_REQUIRE(job->backend->precision != BD_PRECISION_FP16, BD_E_ARG,
               "%s: fp16 scales its gradients; use f32, tf32 or bf16", job->phase);
    BD_TRY(bd_params_from_graph(&x->net, job->graph));
    BD_TRY(bd_params_from_graph(&x->net_grad, job->graph));
    return bd_params_like(&x->grad, job->params);
}

void bd_mapped_clear(bd_mapped *x) {
    bd_params_clear(&x->net);
    bd_params_clear(&x->net_grad);
    bd_params_clear(&x->grad);
}

bd_status bd_mapped_push(bd_mapped *x, const bd_loop_job *job, bd_engine *e) {
    BD_TRY(job->map->make(job->map->ctx, &x->net, job->params));
    return bd_params_upload(&x->net, job->backend, e, job->graph, BD_SLOT_PARAM);
}

static void adam_step(bd_params *p, bd_params *m, bd_params *v, const bd_params *grad,
                      const bd_adam *a, double norm) {
    double bound = a->clip > 0 ? a->clip / (norm + 1e-6) : 1;
    const float scale = (float)fmin(1, bound), b1 = (float)a->beta1, c1 = (float)(1 - a->beta1),
                b2 = (float)a->beta2, c2 = (float)(1 - a->beta2), eps = (float)a->eps,
                k1 = (float)(a->lr / (1 - pow(a->beta1, (double)a->k))),
                k2 = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->k)));
    for (size_t i = 0; i < p->bytes / sizeof(float); i++) {
        float d = grad->data[i] * scale;
        m->data[i] = fmaf(c1, d, b1 * m->data[i]);
        v->data[i] = fmaf(c2 * d, d, b2 * v->data[i]);
        p->data[i] -= k1 * m->data[i] / fmaf(sqrtf(v->data[i]), k2, eps);
    }
}

static bool finite_values(const bd_params *p) {
    for (size_t i = 0; i < p->bytes / sizeof(float); i++)
        if (!isfinite(p->data[i])) return false;
    return true;
}

bd_status bd_mapped_step(bd_mapped *x, const bd_loop_job *job, bd_engine *e, const bd_adam *adam,
                         bd_params *m, bd_params *v, double *norm) {
    const bd_loop_map *map = job->map;
    BD_TRY(bd_params_download(&x->net_grad, job->backend, e, job->graph, BD_SLOT_GRAD));
    BD_TRY(map->pull(map->ctx, &x->grad, norm, &x->net_grad, job->params, adam->k));
    BD_REQUIRE(isfinite(*norm) && finite_values(&x->grad), BD_E_NUMERIC,
               "%s: the gradient is not finite (norm %g)", job->phase, *norm);
    adam_step(job->params, m, v, &x->grad, adam, *norm);
    map->bound(map->ctx, job->params);
    return bd_mapped_push(x, job, e);
}
