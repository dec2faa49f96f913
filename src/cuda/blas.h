/* Matrix products by cuBLASLt with a workspace of our own: one plan a shape, run with any buffers. */
#ifndef BD_CUDA_BLAS_H
#define BD_CUDA_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "cuda/platform.h"
#include "graph/type.h"

/* Row-major: C[m,n] = alpha op(A) op(B) + beta C, for each of `batch` matrices that lie `stride`
 * elements apart. op(A) is [m,k]: A is stored [m,k] with leading dimension lda, or [k,m] when
 * trans_a; B likewise [k,n] or [n,k]. A, B of `type`, C of ctype (type or F32); accumulation in
 * float32. With beta = 0, C is written without being read. */
typedef struct {
    int m, n, k, batch;
    bool trans_a, trans_b;
    int lda, ldb, ldc;
    /* Elements; 0 allowed for A and B; without meaning when batch is 1. Matrices may interleave (heads
     * side by side in a row), those of C must not overlap. */
    long long stride_a, stride_b, stride_c;
    bd_type type, ctype;
    bool tf32; /* F32 only: the tensor cores' 10-bit mantissa is allowed */
    int align; /* bytes at which every pointer of every product is aligned: an element to 256; usually 16 */
    float alpha, beta;
} bd_blas_matmul;

typedef struct bd_blas bd_blas;

typedef struct {
    const struct bd_blas_api *api;    /* functions of the library; borrowed */
    const bd_cuda_platform *platform; /* where the workspace comes from; borrowed */
    size_t workspace;                 /* bytes; 0 = 32 MiB */
} bd_blas_spec;

/* bd_blas_create -- needs a device that is set for this thread.
 *   errors   BD_E_DEVICE: the library refuses (its own text); BD_E_MEMORY
 *   memory   caller frees with bd_blas_destroy; the workspace serves all products, so one stream runs them in turn
 *   tested   tests/test_cuda_blas.c (simulated library) */
BD_MUST_CHECK bd_status bd_blas_create(bd_blas **out, const bd_blas_spec *spec);
void bd_blas_destroy(bd_blas *b);         /* NULL allowed; frees the plans */
size_t bd_blas_version(const bd_blas *b); /* 130100 = 13.1.0 */

typedef struct bd_blas_plan bd_blas_plan;

/* bd_blas_plan_get -- made on the first call for a shape, shared by later ones: the first algorithm of the library's
 * heuristics that is deterministic and keeps float32 sums. A sum may be split where its parts are added in a fixed
 * order in float32: in the workspace (reduction scheme COMPUTE_TYPE), or in C itself where C is F32 (INPLACE).
 *   source   cublasLt.h: cublasLtReductionScheme_t
 *   errors   BD_E_SHAPE: a dimension < 1, a leading dimension smaller than the row, types or alignment that do not
 *            go together; BD_E_DEVICE: the library has no algorithm, with the shape; BD_E_MEMORY
 *   memory   owned by b */
BD_MUST_CHECK bd_status bd_blas_plan_get(const bd_blas_plan **out, bd_blas *b,
                                         const bd_blas_matmul *s);

/* bd_blas_run -- device pointers, aligned as the shape says; bb is B. Work on the stream, which may be capturing if
 * the plan has run once before (the library loads its kernels on the first run).
 *   errors   BD_E_SHAPE: a pointer is not aligned; BD_E_DEVICE: the library refuses, with the shape and its text */
BD_MUST_CHECK bd_status bd_blas_run(bd_blas *b, const bd_blas_plan *p, void *c, const void *a,
                                    const void *bb, void *stream);

#endif
