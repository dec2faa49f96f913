/* Inside the pricing: price.c puts together what price_model.c knows of single stages. */
#ifndef BD_RUN_PRICE_PARTS_H
#define BD_RUN_PRICE_PARTS_H

#include "run/pace.h"
#include "run/price.h"

/* bd_price_workload -- what a stage runs and how many steps; *steps = 0: it has no UNet, or its data is not there.
 * threads: tiles that run at the same time.
 *   errors   as bd_stage_unet */
BD_MUST_CHECK bd_status bd_price_workload(bd_workload *w, double *steps, const bd_dag *d, int stage,
                                          int threads);

/* bd_price_other -- seconds of all that is not its UNet: files, images, statistics; from rates of one core of 3 GHz
 * with AVX2. */
double bd_price_other(const bd_dag *d, int stage, const bd_cost *c);

/* bd_price_space -- memory, disk, scratch and files, from what the networks need (c). */
void bd_price_space(bd_price *p, const bd_dag *d, int stage, const bd_cost *c);

#endif
