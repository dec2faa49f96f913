/* Where the networks of a cell run: run.device and run.precision of its recipe. */
#ifndef BD_RUN_DEVICE_H
#define BD_RUN_DEVICE_H

#include "graph/backend.h"
#include "run/plan.h"

/* bd_device_settle -- put what auto stands for into run.device: cuda:0 where a device can be used, else cpu (with a
 * warning when there is a device and it cannot), and into run.precision: bf16 on a device (fp16 where that is older than
 * compute capability 8.0), else f32. "cuda" becomes cuda:0; cpu and cuda are taken at their word.
 *   errors   BD_E_ARG: a precision that the device does not have
 *   tested   tests/test_device.c */
BD_MUST_CHECK bd_status bd_device_settle(bd_recipe *r);

/* bd_device_open -- the backend of a device ("cpu", "cuda:1") and precision.
 *   errors   as bd_cuda_backend_init; BD_E_ARG: no such device or precision */
BD_MUST_CHECK bd_status bd_device_open(bd_backend *out, const char *device, const char *precision);

/* bd_stage_backend -- the backend that a stage's network runs on; kinds without a network get the CPU's. *out is `usual`
 * (the CPU's backend) where that is meant, else `own`, which is made so. */
BD_MUST_CHECK bd_status bd_stage_backend(const bd_backend **out, bd_backend *own,
                                         const bd_backend *usual, const bd_stage *s);

/* bd_dag_backend -- that of the plan's first stage with a network, for the heads of result files. */
BD_MUST_CHECK bd_status bd_dag_backend(bd_backend *out, const bd_dag *d, int file);

/* bd_device_is_cpu -- "cpu", or "" of a stage without a network. */
bool bd_device_is_cpu(const char *device);

/* bd_stage_tile -- images of one tile where the network of a stage runs: `tile` on the CPU, else the whole batch. */
int bd_stage_tile(const bd_stage *s, int64_t tile, int64_t batch);
/* bd_stage_sample_tile -- that of a stage of samples: on a device as many as there are, up to sample.batch. */
int bd_stage_sample_tile(const bd_stage *s);

/* bd_device_kind -- "cuda-bf16": what of them a stage's id holds. */
void bd_device_kind(char *out, size_t size, const char *device, const char *precision);

#endif
