/* The numbers and functions of cuda/dnn_api.h against NVIDIA's own header, where that is installed; nothing otherwise.
 * There is nothing to run: a difference does not compile. */
#include "cuda/dnn_api.h"

#if defined(__has_include)
#if __has_include(<cudnn_graph.h>) && __has_include(<cuda_runtime_api.h>)
#define HAVE_CUDNN
#endif
#endif

#ifdef HAVE_CUDNN
#include <cudnn_graph.h>

#define SAME_VALUE(name, value) \
    _Static_assert((int)BD_DNN_##name == (int)CUDNN_##name, #name " is not CUDNN_" #name);
BD_DNN_VALUES(SAME_VALUE)

/* Enums are passed and stored as int. */
#define SIZE_OF_INT(type) _Static_assert(sizeof(type) == sizeof(int), #type " is no int");
SIZE_OF_INT(cudnnStatus_t)
SIZE_OF_INT(cudnnDataType_t)
SIZE_OF_INT(cudnnConvolutionMode_t)
SIZE_OF_INT(cudnnBackendHeurMode_t)
SIZE_OF_INT(cudnnBackendNumericalNote_t)
SIZE_OF_INT(cudnnBackendBehaviorNote_t)
SIZE_OF_INT(cudnnBackendDescriptorType_t)
SIZE_OF_INT(cudnnBackendAttributeName_t)
SIZE_OF_INT(cudnnBackendAttributeType_t)
_Static_assert(sizeof(cudnnHandle_t) == sizeof(void *), "a handle is no pointer");
_Static_assert(sizeof(cudnnBackendDescriptor_t) == sizeof(void *), "a descriptor is no pointer");

/* The functions have these types but for int in place of enums and void * in place of handles and streams. */
#define SAME_TYPE(symbol, ...)                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(symbol), __VA_ARGS__), \
                   #symbol " has another type");
SAME_TYPE(cudnnGetVersion, size_t(void))
SAME_TYPE(cudnnGetErrorString, const char *(cudnnStatus_t))
SAME_TYPE(cudnnGetLastErrorString, void(char *, size_t))
SAME_TYPE(cudnnCreate, cudnnStatus_t(cudnnHandle_t *))
SAME_TYPE(cudnnDestroy, cudnnStatus_t(cudnnHandle_t))
SAME_TYPE(cudnnSetStream, cudnnStatus_t(cudnnHandle_t, cudaStream_t))
SAME_TYPE(cudnnBackendCreateDescriptor,
          cudnnStatus_t(cudnnBackendDescriptorType_t, cudnnBackendDescriptor_t *))
SAME_TYPE(cudnnBackendDestroyDescriptor, cudnnStatus_t(cudnnBackendDescriptor_t))
SAME_TYPE(cudnnBackendSetAttribute,
          cudnnStatus_t(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                        cudnnBackendAttributeType_t, int64_t, const void *))
SAME_TYPE(cudnnBackendGetAttribute,
          cudnnStatus_t(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                        cudnnBackendAttributeType_t, int64_t, int64_t *, void *))
SAME_TYPE(cudnnBackendFinalize, cudnnStatus_t(cudnnBackendDescriptor_t))
SAME_TYPE(cudnnBackendExecute,
          cudnnStatus_t(cudnnHandle_t, cudnnBackendDescriptor_t, cudnnBackendDescriptor_t))
#endif
