/* Stands in for kernels/platform.cu in a program that is built without nvcc. */
#include "cuda/platform.h"

const bd_cuda_platform *bd_cuda_platform_get(void) { return NULL; }
