/* The part of cuBLASLt that is used here, declared by ourselves so that no header of NVIDIA's is needed to build.
 * Values and layouts are the library's ABI, the same in versions 12 and 13; tests/emu/abi_check_blas.c compares them
 * with the real headers where those are. */
#ifndef BD_CUDA_BLAS_API_H
#define BD_CUDA_BLAS_API_H

#include <stddef.h>
#include <stdint.h>

/* V(name, value): each becomes an enumerator BD_<name>. */
#define BD_BLAS_VALUES(V)                             \
    V(CUBLAS_STATUS_SUCCESS, 0)                       \
    V(CUBLAS_STATUS_NOT_INITIALIZED, 1)               \
    V(CUBLAS_STATUS_ALLOC_FAILED, 3)                  \
    V(CUBLAS_STATUS_INVALID_VALUE, 7)                 \
    V(CUBLAS_STATUS_EXECUTION_FAILED, 13)             \
    V(CUBLAS_STATUS_NOT_SUPPORTED, 15)                \
    V(CUDA_R_32F, 0)                                  \
    V(CUDA_R_16F, 2)                                  \
    V(CUDA_R_16BF, 14)                                \
    V(CUBLAS_COMPUTE_32F, 68)                         \
    V(CUBLAS_COMPUTE_32F_FAST_TF32, 77)               \
    V(CUBLAS_OP_N, 0)                                 \
    V(CUBLAS_OP_T, 1)                                 \
    V(CUBLASLT_MATMUL_DESC_TRANSA, 3)                 \
    V(CUBLASLT_MATMUL_DESC_TRANSB, 4)                 \
    V(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 5)          \
    V(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 6) \
    V(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)    \
    V(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 3)  \
    V(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5)  \
    V(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6)  \
    V(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7)  \
    V(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)  \
    V(CUBLASLT_REDUCTION_SCHEME_NONE, 0)              \
    V(CUBLASLT_REDUCTION_SCHEME_INPLACE, 1)           \
    V(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 2)      \
    V(CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 4)

enum {
#define BD_BLAS_VALUE(name, value) BD_##name = (value),
    BD_BLAS_VALUES(BD_BLAS_VALUE)
#undef BD_BLAS_VALUE
};

/* A configured algorithm, plain data: it can be copied, and stays valid for the version that made it. */
typedef struct {
    uint64_t data[8];
} bd_blas_algo;

typedef struct {
    bd_blas_algo algo;
    size_t workspace;
    int state; /* the rest holds only where this is BD_CUBLAS_STATUS_SUCCESS */
    float waves;
    int reserved[4];
} bd_blas_heuristic;

/* F(result, field, symbol, arguments). Enumerations are int, handles are opaque pointers; int results are statuses.
 * alpha and beta are read on the host, when matmul is called. */
#define BD_BLAS_FUNCTIONS(F)                                                                      \
    F(size_t, get_version, cublasLtGetVersion, (void))                                            \
    F(const char *, get_status_string, cublasLtGetStatusString, (int status))                     \
    F(int, create, cublasLtCreate, (void **handle))                                               \
    F(int, destroy, cublasLtDestroy, (void *handle))                                              \
    F(int, desc_create, cublasLtMatmulDescCreate, (void **desc, int compute, int scale))          \
    F(int, desc_destroy, cublasLtMatmulDescDestroy, (void *desc))                                 \
    F(int, desc_set, cublasLtMatmulDescSetAttribute,                                              \
      (void *desc, int name, const void *value, size_t size))                                     \
    F(int, layout_create, cublasLtMatrixLayoutCreate,                                             \
      (void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld))                        \
    F(int, layout_destroy, cublasLtMatrixLayoutDestroy, (void *layout))                           \
    F(int, layout_set, cublasLtMatrixLayoutSetAttribute,                                          \
      (void *layout, int name, const void *value, size_t size))                                   \
    F(int, pref_create, cublasLtMatmulPreferenceCreate, (void **pref))                            \
    F(int, pref_destroy, cublasLtMatmulPreferenceDestroy, (void *pref))                           \
    F(int, pref_set, cublasLtMatmulPreferenceSetAttribute,                                        \
      (void *pref, int name, const void *value, size_t size))                                     \
    F(int, heuristic, cublasLtMatmulAlgoGetHeuristic,                                             \
      (void *handle, void *desc, void *a, void *b, void *c, void *d, void *pref, int wanted,      \
       bd_blas_heuristic *out, int *found))                                                       \
    F(int, matmul, cublasLtMatmul,                                                                \
      (void *handle, void *desc, const void *alpha, const void *a, void *a_layout, const void *b, \
       void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,  \
       const bd_blas_algo *algo, void *workspace, size_t workspace_size, void *stream))

typedef struct bd_blas_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declarator */
#define BD_BLAS_FUNCTION(result, field, symbol, args) result(*field) args;
    BD_BLAS_FUNCTIONS(BD_BLAS_FUNCTION)
#undef BD_BLAS_FUNCTION
} bd_blas_api;

#endif
