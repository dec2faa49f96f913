/* Heuristics answer with traps first: an algorithm marked as failed, then, where the preference admits them, the ones
 * that round partial sums to a 16-bit result type, which here give results that are wrong by a quarter. The sound
 * algorithm comes last. It adds in float32, k ascending, so that results have one right answer to the bit. */
#include "sim_blas.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_api.h"

enum { HANDLE = 0x4c74, DESC, LAYOUT, PREF, DEAD };
enum { SCRATCH_MAX = 64 << 10 };
#define ALGO_MAGIC UINT64_C(0x73696d5f626c6173)

typedef struct {
    int kind;
} sim_handle;

typedef struct {
    int kind, compute, trans[2];
    unsigned set;
} sim_desc;

typedef struct {
    int kind, type;
    int64_t rows, cols, ld, batch, offset;
    unsigned set;
} sim_layout;

typedef struct {
    int kind;
    uint64_t workspace;
    uint32_t mask, align[4];
    unsigned set;
} sim_pref;

/* What a bd_blas_algo holds. */
typedef struct {
    uint64_t magic, problem, workspace;
    uint32_t align[4], scheme;
} sim_algo;
_Static_assert(sizeof(sim_algo) <= sizeof(bd_blas_algo), "fits");

typedef struct {
    const sim_desc *desc;
    const sim_layout *m[4]; /* A, B, C, D */
} problem;

/* One product as a stream records it. */
typedef struct {
    int64_t m, n, k, batch, ld[3], offset[3]; /* of A, B, D */
    int in, out, trans[2];
    bool tf32, wrong;
    float alpha, beta;
    const void *a, *b;
    void *d, *workspace;
    size_t workspace_size;
} product;

static size_t plans, products, alive;
static long fail_in;
static int fail_status;
static char complaint[200];

size_t sim_blas_count_plans(void) { return plans; }
size_t sim_blas_count_products(void) { return products; }
size_t sim_blas_count_alive(void) { return alive; }

long sim_blas_fail_after(long n, int status) {
    long left = fail_in;
    fail_in = n;
    fail_status = status;
    return left;
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static int refuse(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(int status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(complaint, sizeof complaint, fmt, args);
    va_end(args);
    return status;
}

#define REFUSE_IF(cond, ...) \
    if (cond) return refuse(BD_CUBLAS_STATUS_INVALID_VALUE, __VA_ARGS__)

/* Opens every function that returns a status. */
#define MAY_FAIL()                                                                 \
    do {                                                                           \
        if (fail_in && --fail_in == 0) return refuse(fail_status, "made to fail"); \
    } while (0)

static const char *get_status_string(int status) {
    return status == BD_CUBLAS_STATUS_SUCCESS ? "success" : complaint;
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

static int create(void **out, size_t size, int kind) {
    int *p = calloc(1, size);
    if (!p) return refuse(BD_CUBLAS_STATUS_ALLOC_FAILED, "out of memory");
    *p = kind;
    alive++;
    *out = p;
    return BD_CUBLAS_STATUS_SUCCESS;
}

static bool is(const void *p, int kind) { return p && *(const int *)p == kind; }

static int destroy(void *p, int kind) {
    if (!is(p, kind)) {
        emu_raise(EMU_E_HANDLE, "cuBLASLt: destroying something else");
        return refuse(BD_CUBLAS_STATUS_INVALID_VALUE, "not an object of this kind");
    }
    *(int *)p = DEAD;
    free(p);
    alive--;
    return BD_CUBLAS_STATUS_SUCCESS;
}

static size_t get_version(void) { return 130100; }

static int handle_create(void **out) {
    MAY_FAIL();
    return create(out, sizeof(sim_handle), HANDLE);
}
static int handle_destroy(void *p) { return destroy(p, HANDLE); }

static int desc_create(void **out, int compute, int scale) {
    MAY_FAIL();
    REFUSE_IF(compute != BD_CUBLAS_COMPUTE_32F && compute != BD_CUBLAS_COMPUTE_32F_FAST_TF32,
              "compute type %d", compute);
    REFUSE_IF(scale != BD_CUDA_R_32F, "scale type %d", scale);
    int st = create(out, sizeof(sim_desc), DESC);
    if (!st) ((sim_desc *)*out)->compute = compute;
    return st;
}
static int desc_destroy(void *p) { return destroy(p, DESC); }

static int desc_set(void *p, int name, const void *value, size_t size) {
    MAY_FAIL();
    sim_desc *d = p;
    int32_t v;
    REFUSE_IF(!is(d, DESC) || !value, "no description, or no value");
    REFUSE_IF(name != BD_CUBLASLT_MATMUL_DESC_TRANSA && name != BD_CUBLASLT_MATMUL_DESC_TRANSB,
              "attribute %d of a description", name);
    REFUSE_IF(size != sizeof v, "%zu bytes for a transpose", size);
    memcpy(&v, value, sizeof v);
    REFUSE_IF(v != BD_CUBLAS_OP_N && v != BD_CUBLAS_OP_T, "transpose %d", v);
    int side = name == BD_CUBLASLT_MATMUL_DESC_TRANSB;
    d->trans[side] = v;
    d->set |= 1u << side;
    return BD_CUBLAS_STATUS_SUCCESS;
}

static int layout_create(void **out, int type, uint64_t rows, uint64_t cols, int64_t ld) {
    MAY_FAIL();
    REFUSE_IF(type != BD_CUDA_R_32F && type != BD_CUDA_R_16F && type != BD_CUDA_R_16BF,
              "matrix of type %d", type);
    REFUSE_IF(!rows || !cols || rows > INT32_MAX || cols > INT32_MAX,
              "a matrix of %llu rows, %llu columns", (unsigned long long)rows,
              (unsigned long long)cols);
    REFUSE_IF(ld < (int64_t)rows, "leading dimension %lld below %llu rows", (long long)ld,
              (unsigned long long)rows);
    int st = create(out, sizeof(sim_layout), LAYOUT);
    if (st) return st;
    sim_layout *l = *out;
    l->type = type;
    l->rows = (int64_t)rows;
    l->cols = (int64_t)cols;
    l->ld = ld;
    return BD_CUBLAS_STATUS_SUCCESS;
}
static int layout_destroy(void *p) { return destroy(p, LAYOUT); }

static int layout_set(void *p, int name, const void *value, size_t size) {
    MAY_FAIL();
    sim_layout *l = p;
    REFUSE_IF(!is(l, LAYOUT) || !value, "no layout, or no value");
    if (name == BD_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) {
        int32_t v;
        REFUSE_IF(size != sizeof v, "%zu bytes for a batch count", size);
        memcpy(&v, value, sizeof v);
        REFUSE_IF(v < 1, "a batch of %d", v);
        l->batch = v;
        l->set |= 1;
        return BD_CUBLAS_STATUS_SUCCESS;
    }
    REFUSE_IF(name != BD_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, "attribute %d of a layout",
              name);
    REFUSE_IF(size != sizeof l->offset, "%zu bytes for a batch stride", size);
    memcpy(&l->offset, value, sizeof l->offset);
    REFUSE_IF(l->offset < 0, "a negative batch stride");
    l->set |= 2;
    return BD_CUBLAS_STATUS_SUCCESS;
}

static int pref_create(void **out) {
    MAY_FAIL();
    return create(out, sizeof(sim_pref), PREF);
}
static int pref_destroy(void *p) { return destroy(p, PREF); }

static int pref_set(void *p, int name, const void *value, size_t size) {
    MAY_FAIL();
    sim_pref *f = p;
    REFUSE_IF(!is(f, PREF) || !value, "no preference, or no value");
    if (name == BD_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
        REFUSE_IF(size != sizeof f->workspace, "%zu bytes for the workspace limit", size);
        memcpy(&f->workspace, value, size);
        f->set |= 1;
        return BD_CUBLAS_STATUS_SUCCESS;
    }
    uint32_t v;
    REFUSE_IF(size != sizeof v, "%zu bytes for preference %d", size, name);
    memcpy(&v, value, sizeof v);
    if (name == BD_CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) {
        REFUSE_IF(v > 7, "reduction schemes %u", v);
        f->mask = v;
        f->set |= 2;
        return BD_CUBLAS_STATUS_SUCCESS;
    }
    int side = name - BD_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    REFUSE_IF(side < 0 || side > 3, "attribute %d of a preference", name);
    REFUSE_IF(v < 1 || v > 256 || (v & (v - 1)), "an alignment of %u bytes", v);
    f->align[side] = v;
    f->set |= 4u << side;
    return BD_CUBLAS_STATUS_SUCCESS;
}

/* ---- problems -------------------------------------------------------------------------------------------------- */

static size_t size_of(int type) { return type == BD_CUDA_R_32F ? 4 : 2; }

static int by_value(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Do two columns of the batch share an element? Columns in order of their starts must not reach the next one. */
static int check_apart(const sim_layout *l) {
    size_t n = (size_t)(l->batch * l->cols), at = 0;
    int64_t *starts = malloc(n * sizeof *starts);
    if (!starts) return refuse(BD_CUBLAS_STATUS_ALLOC_FAILED, "out of memory");
    for (int64_t i = 0; i < l->batch; i++)
        for (int64_t j = 0; j < l->cols; j++) starts[at++] = i * l->offset + j * l->ld;
    qsort(starts, n, sizeof *starts, by_value);
    bool apart = true;
    for (size_t i = 1; i < n; i++) apart &= starts[i] - starts[i - 1] >= l->rows;
    free(starts);
    REFUSE_IF(!apart, "columns of the result overlap");
    return BD_CUBLAS_STATUS_SUCCESS;
}

static int check_problem(const problem *p) {
    REFUSE_IF(!is(p->desc, DESC) || p->desc->set != 3,
              "no description, or one without both transposes");
    for (int i = 0; i < 4; i++) {
        REFUSE_IF(!is(p->m[i], LAYOUT) || p->m[i]->set != 3,
                  "no layout, or one without batch and stride");
        REFUSE_IF(p->m[i]->batch != p->m[0]->batch, "batches of %lld and %lld",
                  (long long)p->m[0]->batch, (long long)p->m[i]->batch);
    }
    const sim_layout *a = p->m[0], *b = p->m[1], *c = p->m[2], *d = p->m[3];
    bool ta = p->desc->trans[0] == BD_CUBLAS_OP_T, tb = p->desc->trans[1] == BD_CUBLAS_OP_T;
    REFUSE_IF((ta ? a->rows : a->cols) != (tb ? b->cols : b->rows),
              "the factors' inner dimensions differ");
    REFUSE_IF((ta ? a->cols : a->rows) != d->rows || (tb ? b->rows : b->cols) != d->cols,
              "the result's shape");
    REFUSE_IF(c->rows != d->rows || c->cols != d->cols || c->type != d->type, "C and D differ");
    REFUSE_IF(a->type != b->type || (d->type != a->type && d->type != BD_CUDA_R_32F),
              "types %d x %d to %d", a->type, b->type, d->type);
    REFUSE_IF(p->desc->compute == BD_CUBLAS_COMPUTE_32F_FAST_TF32 && a->type != BD_CUDA_R_32F,
              "TF32 of 16 bit");
    return check_apart(d);
}

/* FNV-1a of everything that an algorithm may depend on. */
static uint64_t fingerprint(const problem *p) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
#define MIX(value) h = (h ^ (uint64_t)(value)) * UINT64_C(0x100000001b3)
    MIX(p->desc->compute);
    MIX(p->desc->trans[0]);
    MIX(p->desc->trans[1]);
    for (int i = 0; i < 4; i++) {
        MIX(p->m[i]->type);
        MIX(p->m[i]->rows);
        MIX(p->m[i]->cols);
        MIX(p->m[i]->ld);
        MIX(p->m[i]->batch);
        MIX(p->m[i]->offset);
    }
#undef MIX
    return h;
}

static void offer(bd_blas_heuristic *out, const sim_algo *algo, int state) {
    memset(out, 0, sizeof *out);
    memcpy(&out->algo, algo, sizeof *algo);
    out->workspace = (size_t)algo->workspace;
    out->state = state;
    out->waves = 1.0f;
}

static int heuristic(void *handle, void *desc, void *a, void *b, void *c, void *d, void *pref,
                     int wanted, bd_blas_heuristic *out, int *found) {
    MAY_FAIL();
    problem p = {.desc = desc, .m = {a, b, c, d}};
    const sim_pref *f = pref;
    *found = 0;
    REFUSE_IF(!is(handle, HANDLE) || wanted < 1, "no handle, or no algorithm wanted");
    REFUSE_IF(!is(f, PREF) || f->set != 0x3f,
              "no preference, or one without workspace, schemes and alignments");
    int st = check_problem(&p);
    if (st) return st;
    sim_algo algo = {.magic = ALGO_MAGIC, .problem = fingerprint(&p)};
    memcpy(algo.align, f->align, sizeof algo.align);
    for (int i = 0; i < 4; i++)
        if (f->align[i] < size_of(p.m[i]->type))
            return refuse(BD_CUBLAS_STATUS_NOT_SUPPORTED, "elements that are not aligned");
    algo.workspace = f->workspace < SCRATCH_MAX ? f->workspace : SCRATCH_MAX;
    const sim_algo failed = {.magic = ~ALGO_MAGIC};
    offer(&out[(*found)++], &failed, BD_CUBLAS_STATUS_NOT_SUPPORTED);
    uint32_t rounds = BD_CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE |
                      (p.m[3]->type == BD_CUDA_R_32F ? 0 : BD_CUBLASLT_REDUCTION_SCHEME_INPLACE);
    for (uint32_t scheme = 1; scheme <= 4; scheme *= 2)
        if (*found < wanted && (scheme & rounds & f->mask)) {
            algo.scheme = scheme;
            offer(&out[(*found)++], &algo, BD_CUBLAS_STATUS_SUCCESS);
        }
    algo.scheme = 0;
    if (*found < wanted) offer(&out[(*found)++], &algo, BD_CUBLAS_STATUS_SUCCESS);
    plans++;
    return BD_CUBLAS_STATUS_SUCCESS;
}

/* ---- products -------------------------------------------------------------------------------------------------- */

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* binary16 widened by a multiplication: its exponent field, read as float's, is too small by 112. */
static float from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    if ((h & 0x7c00) == 0x7c00) return float_of(sign | 0x7f800000 | rest);
    return float_of(sign | bits_of(float_of(rest) * 0x1p112f));
}

/* Drop `drop` low bits, to nearest, ties to even; carries run into the exponent as they should. */
static uint32_t round_bits(uint32_t bits, int drop) {
    return bits + ((1u << (drop - 1)) - 1) + ((bits >> drop) & 1);
}

static uint16_t to_half(float f) {
    uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (size >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (size <
        0x38800000) /* below 2^-14 a unit is 2^-24: adding 1/2 leaves the units in the low bits, rounded */
        return (uint16_t)(sign | (bits_of(float_of(size) + 0.5f) & 0x7ff));
    return (uint16_t)(sign | ((round_bits(size, 13) - 0x38000000) >> 13));
}

static uint16_t to_bf16(float f) {
    uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)(round_bits(bits, 16) >> 16);
}

static float to_tf32(float f) {
    uint32_t bits = bits_of(f);
    return (bits & 0x7f800000) == 0x7f800000 ? f
                                             : float_of(round_bits(bits, 13) & ~UINT32_C(0x1fff));
}

static float load(const void *p, int64_t i, int type) {
    if (type == BD_CUDA_R_32F) return ((const float *)p)[i];
    uint16_t h = ((const uint16_t *)p)[i];
    return type == BD_CUDA_R_16F ? from_half(h) : float_of((uint32_t)h << 16);
}

static void store(void *p, int64_t i, int type, float v) {
    if (type == BD_CUDA_R_32F)
        ((float *)p)[i] = v;
    else
        ((uint16_t *)p)[i] = type == BD_CUDA_R_16F ? to_half(v) : to_bf16(v);
}

enum { ROWS = 8, COLS = 4 };

/* Strips of `width` rows of the m x k matrix op(X), each as k groups of `width` neighbours; 0 beyond the edge. */
static void pack(float *out, const product *p, const void *x, int64_t start, int64_t ld,
                 bool turned, int64_t m, int width) {
    int64_t row = turned ? ld : 1, col = turned ? 1 : ld;
    for (int64_t i0 = 0; i0 < m; i0 += width)
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t i = i0; i < i0 + width; i++) {
                float v = i < m ? load(x, start + i * row + k * col, p->in) : 0.0f;
                *out++ = p->tf32 ? to_tf32(v) : v;
            }
}

typedef float quad __attribute__((vector_size(16)));

/* 8 x 4 sums in registers, k ascending. */
static void tile(float out[COLS][ROWS], const float *a, const float *b, int64_t k) {
    quad s[COLS][2] = {{{0}}};
    for (; k > 0; k--, a += ROWS, b += COLS) {
        quad a0, a1;
        memcpy(&a0, a, sizeof a0);
        memcpy(&a1, a + 4, sizeof a1);
        for (int j = 0; j < COLS; j++) {
            s[j][0] += a0 * b[j];
            s[j][1] += a1 * b[j];
        }
    }
    memcpy(out, s, sizeof s);
}

static void finish(const product *p, float sums[COLS][ROWS], int64_t start, int64_t i0,
                   int64_t j0) {
    for (int64_t j = j0; j < j0 + COLS && j < p->n; j++)
        for (int64_t i = i0; i < i0 + ROWS && i < p->m; i++) {
            int64_t at = start + j * p->ld[2] + i;
            float v = p->alpha * sums[j - j0][i - i0];
            if (p->beta != 0.0f) v += p->beta * load(p->d, at, p->out);
            store(p->d, at, p->out, p->wrong ? 1.25f * v : v);
        }
}

static void run(void *arg) {
    const product *p = arg;
    memset(p->workspace, 0xff, p->workspace_size); /* NaN to whoever keeps something there */
    int64_t m_room = (p->m + ROWS - 1) / ROWS * ROWS, n_room = (p->n + COLS - 1) / COLS * COLS;
    float *a = malloc((size_t)(p->k * (m_room + n_room)) * sizeof *a);
    if (!a) {
        emu_raise(EMU_E_MEMORY, "cuBLASLt: out of memory");
        return;
    }
    float *b = a + p->k * m_room;
    for (int64_t i = 0; i < p->batch; i++) {
        bool again = i > 0; /* a factor that all share is packed once */
        if (!again || p->offset[0])
            pack(a, p, p->a, i * p->offset[0], p->ld[0], p->trans[0], p->m, ROWS);
        if (!again || p->offset[1])
            pack(b, p, p->b, i * p->offset[1], p->ld[1], !p->trans[1], p->n, COLS);
        for (int64_t j0 = 0; j0 < p->n; j0 += COLS)
            for (int64_t i0 = 0; i0 < p->m; i0 += ROWS) {
                float sums[COLS][ROWS];
                tile(sums, a + i0 * p->k, b + j0 * p->k, p->k);
                finish(p, sums, i * p->offset[2], i0, j0);
            }
    }
    free(a);
    products++;
}

static int check_memory(const char *what, const void *x, const sim_layout *l, uint32_t align) {
    int64_t last = (l->batch - 1) * l->offset + (l->cols - 1) * l->ld + l->rows;
    REFUSE_IF((uintptr_t)x & (align - 1), "%s is not aligned to %u bytes", what, align);
    REFUSE_IF(!x || !emu_on_device(x, (size_t)last * size_of(l->type)),
              "%s reaches beyond device memory", what);
    return BD_CUBLAS_STATUS_SUCCESS;
}

static int matmul(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                  const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                  void *d, void *d_layout, const bd_blas_algo *chosen, void *workspace,
                  size_t workspace_size, void *stream) {
    MAY_FAIL();
    static const char *const names[] = {"A", "B", "C", "D"};
    const void *const x[] = {a, b, c, d};
    problem p = {.desc = desc, .m = {a_layout, b_layout, c_layout, d_layout}};
    REFUSE_IF(!is(handle, HANDLE) || !alpha || !beta || !chosen, "no handle, scalar or algorithm");
    int st = check_problem(&p);
    if (st) return st;
    sim_algo algo;
    memcpy(&algo, chosen, sizeof algo);
    REFUSE_IF(algo.magic != ALGO_MAGIC || algo.problem != fingerprint(&p),
              "an algorithm for another problem");
    REFUSE_IF(workspace_size < algo.workspace, "%zu bytes of workspace, not %llu", workspace_size,
              (unsigned long long)algo.workspace);
    REFUSE_IF(!emu_on_device(workspace, workspace_size) || (uintptr_t)workspace & 15,
              "not a workspace");
    for (int i = 0; i < 4; i++)
        if ((st = check_memory(names[i], x[i], p.m[i], algo.align[i]))) return st;
    REFUSE_IF(c != d, "C and D apart are not simulated");
    product work = {.m = p.m[3]->rows,
                    .n = p.m[3]->cols,
                    .batch = p.m[3]->batch,
                    .in = p.m[0]->type,
                    .out = p.m[3]->type,
                    .tf32 = p.desc->compute == BD_CUBLAS_COMPUTE_32F_FAST_TF32,
                    .wrong = algo.scheme != 0,
                    .a = a,
                    .b = b,
                    .d = d,
                    .workspace = workspace,
                    .workspace_size = (size_t)algo.workspace};
    work.k = p.desc->trans[0] ? p.m[0]->rows : p.m[0]->cols;
    memcpy(work.trans, p.desc->trans, sizeof work.trans);
    memcpy(&work.alpha, alpha, sizeof work.alpha);
    memcpy(&work.beta, beta, sizeof work.beta);
    const int side[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) {
        work.ld[i] = p.m[side[i]]->ld;
        work.offset[i] = p.m[side[i]]->offset;
    }
    return emu_enqueue(stream, run, &work, sizeof work)
               ? refuse(BD_CUBLAS_STATUS_EXECUTION_FAILED, "the stream refused")
               : 0;
}

const bd_blas_api sim_blas_api = {
    .get_version = get_version,
    .get_status_string = get_status_string,
    .create = handle_create,
    .destroy = handle_destroy,
    .desc_create = desc_create,
    .desc_destroy = desc_destroy,
    .desc_set = desc_set,
    .layout_create = layout_create,
    .layout_destroy = layout_destroy,
    .layout_set = layout_set,
    .pref_create = pref_create,
    .pref_destroy = pref_destroy,
    .pref_set = pref_set,
    .heuristic = heuristic,
    .matmul = matmul,
};
