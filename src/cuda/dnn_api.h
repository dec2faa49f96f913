/* The part of cuDNN 9's graph API that is used here, declared by ourselves so that no header of NVIDIA's is needed to
 * build. Values are the library's ABI; tests/emu/abi_check_dnn.c compares them with the real header where that is. */
#ifndef BD_CUDA_DNN_API_H
#define BD_CUDA_DNN_API_H

#include <stddef.h>
#include <stdint.h>

/* X(name, value): BD_DNN_name here, CUDNN_name in the library's header. */
#define BD_DNN_VALUES(X)                                            \
    /* statuses */                                                  \
    X(STATUS_SUCCESS, 0)                                            \
    X(STATUS_BAD_PARAM, 2000)                                       \
    X(STATUS_BAD_PARAM_MISALIGNED_POINTER, 2003)                    \
    X(STATUS_BAD_PARAM_NOT_FINALIZED, 2004)                         \
    X(STATUS_BAD_PARAM_SHAPE_MISMATCH, 2008)                        \
    X(STATUS_BAD_PARAM_ATTRIBUTE_TYPE, 2010)                        \
    X(STATUS_NOT_SUPPORTED, 3000)                                   \
    /* element types */                                             \
    X(DATA_FLOAT, 0)                                                \
    X(DATA_HALF, 2)                                                 \
    X(DATA_BFLOAT16, 9)                                             \
    /* types of attributes */                                       \
    X(TYPE_DATA_TYPE, 1)                                            \
    X(TYPE_INT64, 3)                                                \
    X(TYPE_DOUBLE, 5)                                               \
    X(TYPE_VOID_PTR, 6)                                             \
    X(TYPE_CONVOLUTION_MODE, 7)                                     \
    X(TYPE_HEUR_MODE, 8)                                            \
    X(TYPE_NUMERICAL_NOTE, 11)                                      \
    X(TYPE_BACKEND_DESCRIPTOR, 15)                                  \
    X(TYPE_BEHAVIOR_NOTE, 19)                                       \
    X(TYPE_INT32, 23)                                               \
    X(TYPE_CHAR, 24)                                                \
    /* descriptors */                                               \
    X(BACKEND_CONVOLUTION_DESCRIPTOR, 1)                            \
    X(BACKEND_ENGINE_DESCRIPTOR, 2)                                 \
    X(BACKEND_ENGINECFG_DESCRIPTOR, 3)                              \
    X(BACKEND_ENGINEHEUR_DESCRIPTOR, 4)                             \
    X(BACKEND_EXECUTION_PLAN_DESCRIPTOR, 5)                         \
    X(BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, 10)         \
    X(BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, 11) \
    X(BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, 12)   \
    X(BACKEND_OPERATIONGRAPH_DESCRIPTOR, 15)                        \
    X(BACKEND_VARIANT_PACK_DESCRIPTOR, 16)                          \
    X(BACKEND_TENSOR_DESCRIPTOR, 17)                                \
    X(BACKEND_DEVICEPROP_DESCRIPTOR, 38)                            \
    /* attributes */                                                \
    X(ATTR_CONVOLUTION_COMP_TYPE, 100)                              \
    X(ATTR_CONVOLUTION_CONV_MODE, 101)                              \
    X(ATTR_CONVOLUTION_DILATIONS, 102)                              \
    X(ATTR_CONVOLUTION_FILTER_STRIDES, 103)                         \
    X(ATTR_CONVOLUTION_POST_PADDINGS, 104)                          \
    X(ATTR_CONVOLUTION_PRE_PADDINGS, 105)                           \
    X(ATTR_CONVOLUTION_SPATIAL_DIMS, 106)                           \
    X(ATTR_ENGINEHEUR_MODE, 200)                                    \
    X(ATTR_ENGINEHEUR_OPERATION_GRAPH, 201)                         \
    X(ATTR_ENGINEHEUR_RESULTS, 202)                                 \
    X(ATTR_ENGINEHEUR_DEVICEPROP, 204)                              \
    X(ATTR_ENGINECFG_ENGINE, 300)                                   \
    X(ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401)                       \
    X(ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 402)                      \
    X(ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, 405)                 \
    X(ATTR_EXECUTION_PLAN_DEVICEPROP, 407)                          \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 700)                \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 701)                 \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, 702)            \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_W, 703)                    \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_X, 704)                    \
    X(ATTR_OPERATION_CONVOLUTION_FORWARD_Y, 705)                    \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 706)               \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 707)                \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, 708)           \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, 709)                   \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, 710)                  \
    X(ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, 711)                  \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 712)             \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 713)              \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, 714)         \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, 715)                \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, 716)                 \
    X(ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, 717)                \
    X(ATTR_OPERATIONGRAPH_OPS, 801)                                 \
    X(ATTR_TENSOR_BYTE_ALIGNMENT, 900)                              \
    X(ATTR_TENSOR_DATA_TYPE, 901)                                   \
    X(ATTR_TENSOR_DIMENSIONS, 902)                                  \
    X(ATTR_TENSOR_STRIDES, 903)                                     \
    X(ATTR_TENSOR_UNIQUE_ID, 906)                                   \
    X(ATTR_VARIANT_PACK_UNIQUE_IDS, 1000)                           \
    X(ATTR_VARIANT_PACK_DATA_POINTERS, 1001)                        \
    X(ATTR_VARIANT_PACK_WORKSPACE, 1003)                            \
    X(ATTR_ENGINE_GLOBAL_INDEX, 1301)                               \
    X(ATTR_ENGINE_NUMERICAL_NOTE, 1303)                             \
    X(ATTR_ENGINE_BEHAVIOR_NOTE, 1305)                              \
    X(ATTR_DEVICEPROP_DEVICE_ID, 2700)                              \
    X(ATTR_DEVICEPROP_JSON_REPRESENTATION, 2702)                    \
    /* values of attributes */                                      \
    X(CROSS_CORRELATION, 1)                                         \
    X(HEUR_MODE_FALLBACK, 2)                                        \
    X(HEUR_MODE_A, 3)                                               \
    X(NUMERICAL_NOTE_TENSOR_CORE, 0)                                \
    X(NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, 1)                        \
    X(NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, 2)                \
    X(NUMERICAL_NOTE_FFT, 3)                                        \
    X(NUMERICAL_NOTE_NONDETERMINISTIC, 4)                           \
    X(NUMERICAL_NOTE_WINOGRAD, 5)                                   \
    X(BEHAVIOR_NOTE_RUNTIME_COMPILATION, 0)

enum {
#define BD_DNN_VALUE(name, value) BD_DNN_##name = (value),
    BD_DNN_VALUES(BD_DNN_VALUE)
#undef BD_DNN_VALUE
};

/* X(result, field, symbol, parameters). A library handle and a descriptor are pointers; statuses, kinds of descriptors,
 * names and types of attributes are C enums, thus int. A descriptor in an array of elements is a void *. */
#define BD_DNN_FUNCTIONS(X)                                                                     \
    X(size_t, get_version, cudnnGetVersion, (void))                                             \
    X(const char *, error_string, cudnnGetErrorString, (int status))                            \
    X(void, last_error, cudnnGetLastErrorString, (char *text, size_t size))                     \
    X(int, create, cudnnCreate, (void **handle))                                                \
    X(int, destroy, cudnnDestroy, (void *handle))                                               \
    X(int, set_stream, cudnnSetStream, (void *handle, void *stream))                            \
    X(int, descriptor_create, cudnnBackendCreateDescriptor, (int kind, void **out))             \
    X(int, descriptor_destroy, cudnnBackendDestroyDescriptor, (void *descriptor))               \
    X(int, attribute_set, cudnnBackendSetAttribute,                                             \
      (void *descriptor, int name, int type, int64_t count, const void *elements))              \
    X(int, attribute_get, cudnnBackendGetAttribute,                                             \
      (void *descriptor, int name, int type, int64_t capacity, int64_t *count, void *elements)) \
    X(int, finalize, cudnnBackendFinalize, (void *descriptor))                                  \
    X(int, execute, cudnnBackendExecute, (void *handle, void *plan, void *variant_pack))

typedef struct bd_dnn_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration */
#define BD_DNN_FUNCTION(result, field, symbol, parameters) result(*field) parameters;
    BD_DNN_FUNCTIONS(BD_DNN_FUNCTION)
#undef BD_DNN_FUNCTION
} bd_dnn_api;

#endif
