/* Oracle: NVIDIA's headers, where the compiler finds them. What src/cuda/blas_api.h declares must be what they say:
 * values, sizes and offsets by static assertions; number, order and types of arguments by calls that are compiled and
 * never made. Without the headers this file is empty. */
#include "cuda/blas_api.h"

#if defined(__has_include)
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#define SAME_VALUE(name, value) _Static_assert((int)(name) == BD_##name, #name);
BD_BLAS_VALUES(SAME_VALUE)

_Static_assert(sizeof(bd_blas_algo) == sizeof(cublasLtMatmulAlgo_t), "algorithm");
_Static_assert(_Alignof(bd_blas_algo) == _Alignof(cublasLtMatmulAlgo_t), "algorithm");
_Static_assert(sizeof(bd_blas_heuristic) == sizeof(cublasLtMatmulHeuristicResult_t), "heuristic");
#define SAME_OFFSET(ours, theirs)                                                  \
    _Static_assert(offsetof(bd_blas_heuristic, ours) ==                            \
                           offsetof(cublasLtMatmulHeuristicResult_t, theirs) &&    \
                       sizeof(((bd_blas_heuristic *)0)->ours) ==                   \
                           sizeof(((cublasLtMatmulHeuristicResult_t *)0)->theirs), \
                   #theirs)
SAME_OFFSET(algo, algo);
SAME_OFFSET(workspace, workspaceSize);
SAME_OFFSET(state, state);
SAME_OFFSET(waves, wavesCount);
SAME_OFFSET(reserved, reserved);

/* Enumerations travel as int. */
_Static_assert(sizeof(cublasStatus_t) == sizeof(int) && sizeof(cudaDataType) == sizeof(int) &&
                   sizeof(cublasComputeType_t) == sizeof(int) &&
                   sizeof(cublasOperation_t) == sizeof(int) &&
                   sizeof(cublasLtMatmulDescAttributes_t) == sizeof(int) &&
                   sizeof(cublasLtMatrixLayoutAttribute_t) == sizeof(int) &&
                   sizeof(cublasLtMatmulPreferenceAttributes_t) == sizeof(int),
               "enumerations");

/* Each function of the table, with our argument list. Static and unused: checked by the compiler, absent from the
 * object file. A function without its call below is a warning: declared, never defined. */
#define DECLARE(result, field, symbol, args) \
    __attribute__((unused)) static inline result call_##field args;
BD_BLAS_FUNCTIONS(DECLARE)

static inline size_t call_get_version(void) { return cublasLtGetVersion(); }
static inline const char *call_get_status_string(int status) {
    return cublasLtGetStatusString((cublasStatus_t)status);
}
static inline int call_create(void **handle) { return cublasLtCreate((cublasLtHandle_t *)handle); }
static inline int call_destroy(void *handle) { return cublasLtDestroy(handle); }
static inline int call_desc_create(void **desc, int compute, int scale) {
    return cublasLtMatmulDescCreate((cublasLtMatmulDesc_t *)desc, (cublasComputeType_t)compute,
                                    (cudaDataType)scale);
}
static inline int call_desc_destroy(void *desc) { return cublasLtMatmulDescDestroy(desc); }
static inline int call_desc_set(void *desc, int name, const void *value, size_t size) {
    return cublasLtMatmulDescSetAttribute(desc, (cublasLtMatmulDescAttributes_t)name, value, size);
}
static inline int call_layout_create(void **layout, int type, uint64_t rows, uint64_t cols,
                                     int64_t ld) {
    return cublasLtMatrixLayoutCreate((cublasLtMatrixLayout_t *)layout, (cudaDataType)type, rows,
                                      cols, ld);
}
static inline int call_layout_destroy(void *layout) { return cublasLtMatrixLayoutDestroy(layout); }
static inline int call_layout_set(void *layout, int name, const void *value, size_t size) {
    return cublasLtMatrixLayoutSetAttribute(layout, (cublasLtMatrixLayoutAttribute_t)name, value,
                                            size);
}
static inline int call_pref_create(void **pref) {
    return cublasLtMatmulPreferenceCreate((cublasLtMatmulPreference_t *)pref);
}
static inline int call_pref_destroy(void *pref) { return cublasLtMatmulPreferenceDestroy(pref); }
static inline int call_pref_set(void *pref, int name, const void *value, size_t size) {
    return cublasLtMatmulPreferenceSetAttribute(pref, (cublasLtMatmulPreferenceAttributes_t)name,
                                                value, size);
}
static inline int call_heuristic(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                 void *pref, int wanted, bd_blas_heuristic *out, int *found) {
    return cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, d, pref, wanted,
                                          (cublasLtMatmulHeuristicResult_t *)(void *)out, found);
}
static inline int call_matmul(void *handle, void *desc, const void *alpha, const void *a,
                              void *a_layout, const void *b, void *b_layout, const void *beta,
                              const void *c, void *c_layout, void *d, void *d_layout,
                              const bd_blas_algo *algo, void *workspace, size_t workspace_size,
                              void *stream) {
    return cublasLtMatmul(handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d,
                          d_layout, (const cublasLtMatmulAlgo_t *)(const void *)algo, workspace,
                          workspace_size, stream);
}
#endif
#endif
