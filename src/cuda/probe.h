/* What a device can do at most, and what cuDNN knows of it: for benchmarks and checks. */
#ifndef BD_CUDA_PROBE_H
#define BD_CUDA_PROBE_H

#include "graph/backend.h"

typedef struct {
    int side;                              /* of the square matrices */
    size_t copy_bytes;                     /* of one copy */
    double copy;                           /* bytes a second, read and written ones both counted */
    double product[BD_PRECISION_FP16 + 1]; /* FLOP a second by bd_precision; 0: the device cannot */
} bd_cuda_ceilings;

/* bd_cuda_ceilings_measure -- the rate of copies within device memory, and of square matrix products by cuBLASLt in
 * every precision: medians of several, timed by events, on random numbers (zeros run faster than data does). Takes
 * 32 * side^2 bytes of device memory: 2 GiB at 8192. Only a side of some thousands fills a device, and copies of
 * 16 * side^2 bytes must be far larger than its cache.
 *   errors   BD_E_ARG: side is no multiple of 16; as bd_cuda_backend_init; BD_E_MEMORY
 *   tested   tests/test_cuda_probe.c (on the emulator: that all of it runs, not how fast) */
BD_MUST_CHECK bd_status bd_cuda_ceilings_measure(bd_cuda_ceilings *out, int device, int side);

/* bd_cuda_device_text -- the device's properties as cuDNN writes them (JSON): plans can be made from them where there
 * is no device (bd_dnn_spec.properties).
 *   errors   as bd_cuda_backend_init
 *   memory   caller frees *out */
BD_MUST_CHECK bd_status bd_cuda_device_text(char **out, int device);

#endif
