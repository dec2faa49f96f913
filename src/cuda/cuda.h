/* CUDA backend: cuDNN for convolutions, cuBLASLt for matrix products, own kernels for the rest; one graph launch a
 * step. See docs/gpu.md. */
#ifndef BD_CUDA_CUDA_H
#define BD_CUDA_CUDA_H

#include "cuda/platform.h"
#include "graph/backend.h"

/* bd_cuda_backend_init -- the backend of one device. Opens device and libraries, once a process.
 *   errors   BD_E_DEVICE: built without CUDA; no driver, or too old a one; no such device; a library is missing: what
 *            to do is in the text. BD_E_ARG: bf16 on a device before compute capability 8.0
 *   memory   owns nothing; device and libraries stay open until the process ends
 *   tested   tests/test_cuda_engine.c */
BD_MUST_CHECK bd_status bd_cuda_backend_init(bd_backend *out, int device, bd_precision precision);

/* bd_cuda_devices -- how many devices this process can use, 0 when there is no driver or the program was built
 * without CUDA. Why there is none: bd_error(). */
int bd_cuda_devices(void);

/* bd_cuda_describe -- what `baddiff doctor` prints of a device: name, capability, memory, library versions.
 *   errors   as bd_cuda_backend_init */
BD_MUST_CHECK bd_status bd_cuda_describe(char *out, size_t size, int device);

#endif
