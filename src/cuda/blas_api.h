/* The part of cuBLASLt that is used here, declared by ourselves so that no header of NVIDIA's is needed to build.
 * Values are the library's ABI; tests/emu/abi_check.c compares them with the real headers where those are. */
#ifndef BD_CUDA_BLAS_API_H
#define BD_CUDA_BLAS_API_H
/* to be filled: enums, struct bd_blas_api of function pointers */
#include <stddef.h>

typedef struct bd_blas_api {
    size_t (*get_version)(void);
} bd_blas_api;

#endif
