/* Element types of graph tensors. Plain enough for C++ and CUDA files. */
#ifndef BD_GRAPH_TYPE_H
#define BD_GRAPH_TYPE_H

#include <stddef.h>

/* BF16, F16: made by lowering for a backend with mixed precision; a builder never asks for them. */
typedef enum {
    BD_TYPE_F32,
    BD_TYPE_F64,
    BD_TYPE_I32,
    BD_TYPE_U8,
    BD_TYPE_BF16,
    BD_TYPE_F16
} bd_type;

#ifdef __cplusplus
extern "C"
#endif
    size_t
    bd_type_size(bd_type t);

#endif
