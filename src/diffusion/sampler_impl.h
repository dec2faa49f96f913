/* What the sampler files share; for src/diffusion/ only. */
#ifndef BD_DIFFUSION_SAMPLER_IMPL_H
#define BD_DIFFUSION_SAMPLER_IMPL_H

#include "diffusion/sampler.h"

/* bd_sampler_plan_alloc -- n evaluations, all zero. */
BD_MUST_CHECK bd_status bd_sampler_plan_alloc(bd_sampler_plan *plan, int n);

/* One sampler each; spec->steps is resolved (1 .. T) and the name is known when they are called. */
#define BD_SAMPLER(name, default_steps, help)       \
    BD_MUST_CHECK bd_status bd_sampler_plan_##name( \
        bd_sampler_plan *plan, const bd_sampler_spec *spec, const bd_schedule *s);
#include "diffusion/samplers.def"
#undef BD_SAMPLER

#endif
