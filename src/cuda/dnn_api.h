/* The part of cuDNN 9's graph API that is used here, declared by ourselves so that no header of NVIDIA's is needed to
 * build. Values are the library's ABI; tests/emu/abi_check.c compares them with the real headers where those are. */
#ifndef BD_CUDA_DNN_API_H
#define BD_CUDA_DNN_API_H
/* to be filled: enums bd_dnn_*, struct bd_dnn_api of function pointers */
#include <stdint.h>

typedef struct bd_dnn_api {
    size_t (*get_version)(void);
} bd_dnn_api;

#endif
