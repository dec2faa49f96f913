/* The library's matrices are column-major. A row-major C[m,n] is, in the same memory, the column-major C^T[n,m], and
 * C^T = op(B)^T op(A)^T: so our B goes in as its first matrix and our A as its second, each described as it lies in
 * memory (rows = our row length), transposed exactly when ours is. */
#include "cuda/blas.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/blas_api.h"

/* The library's advice for Hopper; older devices use less of it. */
enum { WORKSPACE_DEFAULT = 32 << 20, ALIGN_MAX = 256, CANDIDATES = 8 };

struct bd_blas_plan {
    bd_blas_matmul s;
    void *desc, *first, *second, *result; /* layouts of B, A, C */
    bd_blas_algo algo;
    size_t workspace;
};

struct bd_blas {
    const bd_blas_api *api;
    const bd_cuda_platform *platform;
    void *handle;
    void *workspace;
    size_t workspace_size;
    bd_blas_plan **plans; /* pointers: plans that are lent stay where they are */
    size_t n_plans, room;
};

static const char *type_name(bd_type t) {
    switch (t) {
    case BD_TYPE_F32: return "f32";
    case BD_TYPE_BF16: return "bf16";
    case BD_TYPE_F16: return "f16";
    default: return "?";
    }
}

static int library_type(bd_type t) {
    return t == BD_TYPE_BF16 ? BD_CUDA_R_16BF : t == BD_TYPE_F16 ? BD_CUDA_R_16F : BD_CUDA_R_32F;
}

typedef struct {
    char text[256];
} shape_text;

/* "C[64,3] = 0.5 A[64,7] B^T[7,3] + 1 C, 4 of them, bf16 to f32, ld 7 7 3, strides 448 21 192, 16-byte aligned" */
static shape_text describe(const bd_blas_matmul *s) {
    shape_text t;
    int at = snprintf(t.text, sizeof t.text, "C[%d,%d] = %g A%s[%d,%d] B%s[%d,%d] + %g C", s->m,
                      s->n, (double)s->alpha, s->trans_a ? "^T" : "", s->m, s->k,
                      s->trans_b ? "^T" : "", s->k, s->n, (double)s->beta);
    if (s->batch != 1)
        at += snprintf(t.text + at, sizeof t.text - (size_t)at,
                       ", %d of them, strides %lld %lld %lld", s->batch, s->stride_a, s->stride_b,
                       s->stride_c);
    snprintf(t.text + at, sizeof t.text - (size_t)at, ", %s to %s%s, ld %d %d %d, %d-byte aligned",
             type_name(s->type), type_name(s->ctype), s->tf32 ? " by TF32" : "", s->lda, s->ldb,
             s->ldc, s->align);
    return t;
}

static bd_status check(const bd_blas *b, int st, const char *what, const bd_blas_matmul *s) {
    if (st == BD_CUBLAS_STATUS_SUCCESS) return BD_OK;
    bd_status code = st == BD_CUBLAS_STATUS_ALLOC_FAILED ? BD_E_MEMORY : BD_E_DEVICE;
    if (!s)
        return bd_fail(code, "cuBLASLt: %s: %s (status %d)", what, b->api->get_status_string(st),
                       st);
    return bd_fail(code, "cuBLASLt: %s for %s: %s (status %d)", what, describe(s).text,
                   b->api->get_status_string(st), st);
}

bd_status bd_blas_create(bd_blas **out, const bd_blas_spec *spec) {
    *out = NULL;
    bd_blas *b = calloc(1, sizeof *b);
    BD_REQUIRE(b, BD_E_MEMORY, "cuBLASLt: out of memory");
    b->api = spec->api;
    b->platform = spec->platform;
    b->workspace_size = spec->workspace ? spec->workspace : WORKSPACE_DEFAULT;
    bd_status st;
    BD_TRY_TO(failed, st, check(b, b->api->create(&b->handle), "opening", NULL));
    int e = b->platform->device_alloc(&b->workspace, b->workspace_size);
    if (e)
        BD_FAIL_TO(failed, st, BD_E_MEMORY,
                   "no %zu bytes of device memory for the workspace of matrix products: %s",
                   b->workspace_size, b->platform->error_text(e));
    *out = b;
    return BD_OK;
failed:
    bd_blas_destroy(b);
    return st;
}

static void plan_destroy(bd_blas *b, bd_blas_plan *p) {
    if (!p) return;
    if (p->desc) b->api->desc_destroy(p->desc);
    if (p->first) b->api->layout_destroy(p->first);
    if (p->second) b->api->layout_destroy(p->second);
    if (p->result) b->api->layout_destroy(p->result);
    free(p);
}

void bd_blas_destroy(bd_blas *b) {
    if (!b) return;
    for (size_t i = 0; i < b->n_plans; i++) plan_destroy(b, b->plans[i]);
    free(b->plans);
    if (b->handle) b->api->destroy(b->handle);
    b->platform->device_free(b->workspace);
    free(b);
}

size_t bd_blas_version(const bd_blas *b) { return b->api->get_version(); }

/* What the library would refuse with "invalid value", or not notice. */
static bd_status validate(const bd_blas_matmul *s) {
    const char *wrong = NULL;
    bool f32 = s->type == BD_TYPE_F32;
    if (s->m < 1 || s->n < 1 || s->k < 1 || s->batch < 1)
        wrong = "a dimension below 1";
    else if (s->lda < (s->trans_a ? s->m : s->k) || s->ldb < (s->trans_b ? s->k : s->n) ||
             s->ldc < s->n)
        wrong = "a leading dimension shorter than the row";
    else if (s->stride_a < 0 || s->stride_b < 0 || s->stride_c < 0 ||
             (s->batch > 1 && s->stride_c == 0))
        wrong = "a negative stride, or results on top of each other";
    else if (!f32 && s->type != BD_TYPE_BF16 && s->type != BD_TYPE_F16)
        wrong = "factors of this type";
    else if (s->ctype != s->type && s->ctype != BD_TYPE_F32)
        wrong = "a result of this type";
    else if (s->tf32 && !f32)
        wrong = "TF32 of 16-bit factors";
    else if (s->align > ALIGN_MAX || s->align < (int)bd_type_size(s->ctype) ||
             (s->align & (s->align - 1)))
        wrong = "this alignment";
    BD_REQUIRE(!wrong, BD_E_SHAPE, "matrix product %s: %s", describe(s).text, wrong);
    return BD_OK;
}

static bool same_shape(const bd_blas_matmul *x, const bd_blas_matmul *y) {
    return x->m == y->m && x->n == y->n && x->k == y->k && x->batch == y->batch &&
           x->trans_a == y->trans_a && x->trans_b == y->trans_b && x->lda == y->lda &&
           x->ldb == y->ldb && x->ldc == y->ldc && x->stride_a == y->stride_a &&
           x->stride_b == y->stride_b && x->stride_c == y->stride_c && x->type == y->type &&
           x->ctype == y->ctype && x->tf32 == y->tf32 && x->align == y->align &&
           x->alpha == y->alpha && x->beta == y->beta;
}

/* A matrix as it lies in memory: `height` rows of `width` elements are the library's columns. */
static bd_status layout_create(const bd_blas *b, void **out, const bd_blas_matmul *s, bd_type type,
                               int height, int width, int ld, long long stride) {
    const bd_blas_api *api = b->api;
    int32_t batch = s->batch;
    int64_t offset = stride;
    BD_TRY(check(b,
                 api->layout_create(out, library_type(type), (uint64_t)width, (uint64_t)height, ld),
                 "layout", s));
    BD_TRY(check(b,
                 api->layout_set(*out, BD_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch),
                 "batch", s));
    return check(b,
                 api->layout_set(*out, BD_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset,
                                 sizeof offset),
                 "batch stride", s);
}

static bd_status plan_describe(const bd_blas *b, bd_blas_plan *p) {
    const bd_blas_api *api = b->api;
    const bd_blas_matmul *s = &p->s;
    int compute = s->tf32 ? BD_CUBLAS_COMPUTE_32F_FAST_TF32 : BD_CUBLAS_COMPUTE_32F;
    BD_TRY(check(b, api->desc_create(&p->desc, compute, BD_CUDA_R_32F), "description", s));
    int32_t first = s->trans_b ? BD_CUBLAS_OP_T : BD_CUBLAS_OP_N,
            second = s->trans_a ? BD_CUBLAS_OP_T : BD_CUBLAS_OP_N;
    BD_TRY(check(b, api->desc_set(p->desc, BD_CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first),
                 "transpose", s));
    BD_TRY(check(b, api->desc_set(p->desc, BD_CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second),
                 "transpose", s));
    BD_TRY(layout_create(b, &p->first, s, s->type, s->trans_b ? s->n : s->k,
                         s->trans_b ? s->k : s->n, s->ldb, s->stride_b));
    BD_TRY(layout_create(b, &p->second, s, s->type, s->trans_a ? s->k : s->m,
                         s->trans_a ? s->m : s->k, s->lda, s->stride_a));
    return layout_create(b, &p->result, s, s->ctype, s->m, s->n, s->ldc, s->stride_c);
}

/* INPLACE adds the parts in C, in C's type: with a 16-bit C it would round every partial sum. */
static uint32_t schemes(const bd_blas_matmul *s) {
    return BD_CUBLASLT_REDUCTION_SCHEME_NONE | BD_CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE |
           (s->ctype == BD_TYPE_F32 ? BD_CUBLASLT_REDUCTION_SCHEME_INPLACE : 0);
}

static bd_status prefer(const bd_blas *b, void *pref, const bd_blas_matmul *s) {
    static const int sides[] = {BD_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                BD_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                BD_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                BD_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t most = b->workspace_size;
    uint32_t mask = schemes(s), align = (uint32_t)s->align;
    const bd_blas_api *api = b->api;
    BD_TRY(check(
        b, api->pref_set(pref, BD_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most),
        "workspace limit", s));
    BD_TRY(check(
        b, api->pref_set(pref, BD_CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &mask, sizeof mask),
        "reduction schemes", s));
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        BD_TRY(check(b, api->pref_set(pref, sides[i], &align, sizeof align), "alignment", s));
    return BD_OK;
}

/* Results come best first; one may be marked as failed, and the one behind it is taken. */
static bd_status choose(const bd_blas *b, bd_blas_plan *p, void *pref) {
    bd_blas_heuristic found[CANDIDATES];
    memset(found, 0, sizeof found);
    int n = 0;
    BD_TRY(check(b,
                 b->api->heuristic(b->handle, p->desc, p->first, p->second, p->result, p->result,
                                   pref, CANDIDATES, found, &n),
                 "no algorithm", &p->s));
    for (int i = 0; i < n && i < CANDIDATES; i++) {
        if (found[i].state != BD_CUBLAS_STATUS_SUCCESS || found[i].workspace > b->workspace_size)
            continue;
        p->algo = found[i].algo;
        p->workspace = found[i].workspace;
        return BD_OK;
    }
    return bd_fail(BD_E_DEVICE, "cuBLASLt %zu: none of %d algorithms will do for %s",
                   b->api->get_version(), n, describe(&p->s).text);
}

static bd_status plan_create(bd_blas_plan **out, const bd_blas *b, const bd_blas_matmul *s) {
    bd_status st;
    void *pref = NULL;
    bd_blas_plan *p = calloc(1, sizeof *p);
    if (!p) BD_FAIL_TO(done, st, BD_E_MEMORY, "cuBLASLt: out of memory");
    p->s = *s;
    BD_TRY_TO(done, st, plan_describe(b, p));
    BD_TRY_TO(done, st, check(b, b->api->pref_create(&pref), "preferences", s));
    BD_TRY_TO(done, st, prefer(b, pref, s));
    BD_TRY_TO(done, st, choose(b, p, pref));
done:
    if (pref) b->api->pref_destroy(pref);
    *out = p;
    return st;
}

static bd_status reserve(bd_blas *b) {
    if (b->n_plans < b->room) return BD_OK;
    size_t room = b->room ? 2 * b->room : 64;
    bd_blas_plan **plans = realloc(b->plans, room * sizeof *plans);
    BD_REQUIRE(plans, BD_E_MEMORY, "cuBLASLt: out of memory");
    b->plans = plans;
    b->room = room;
    return BD_OK;
}

bd_status bd_blas_plan_get(const bd_blas_plan **out, bd_blas *b, const bd_blas_matmul *shape) {
    *out = NULL;
    BD_TRY(validate(shape));
    bd_blas_matmul s = *shape;
    if (s.batch == 1) s.stride_a = s.stride_b = s.stride_c = 0;
    for (size_t i = 0; i < b->n_plans; i++)
        if (same_shape(&b->plans[i]->s, &s)) {
            *out = b->plans[i];
            return BD_OK;
        }
    BD_TRY(reserve(b));
    bd_blas_plan *p;
    bd_status st = plan_create(&p, b, &s);
    if (st) {
        plan_destroy(b, p);
        return st;
    }
    b->plans[b->n_plans++] = p;
    *out = p;
    return BD_OK;
}

bd_status bd_blas_run(bd_blas *b, const bd_blas_plan *p, void *c, const void *a, const void *bb,
                      void *stream) {
    uintptr_t low = ((uintptr_t)c | (uintptr_t)a | (uintptr_t)bb) & ((uintptr_t)p->s.align - 1);
    BD_REQUIRE(!low, BD_E_SHAPE, "matrix product %s: a pointer is not aligned (C %p, A %p, B %p)",
               describe(&p->s).text, c, a, bb);
    int st =
        b->api->matmul(b->handle, p->desc, &p->s.alpha, bb, p->first, a, p->second, &p->s.beta, c,
                       p->result, c, p->result, &p->algo, b->workspace, p->workspace, stream);
    return check(b, st, "product", &p->s);
}
