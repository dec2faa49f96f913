/* Oracles: the product in float64 by the definition in blas.h; products of small integers, which are exact; the same
 * bits again. On the emulator the library is simulated (tests/emu/sim_blas.c), and wrong calls of it are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda/blas.h"
#include "cuda/blas_api.h"
#include "cuda/library.h"
#include "cuda_check.h"
#include "emu/emu_api.h"
#include "emu/sim_blas.h"
#include "ref/check.h"

static const bd_cuda_platform *platform;
static const bd_blas_api *api;
static bd_blas *blas;
static void *stream;

static void ok(bd_status st) {
    if (st) fail_msg("%s", bd_error());
}

static void fine(int code) {
    if (code) fail_msg("%s", platform->error_text(code));
}

static void begin(void) {
    platform = cuda_begin();
    api = platform->blas;
    if (!api && bd_cuda_library_blas(&api)) {
        print_message("skipped: %s\n", bd_error());
        skip();
    }
    ok(bd_blas_create(&blas, &(bd_blas_spec){.api = api, .platform = platform}));
    fine(platform->stream_create(&stream));
}

static void begin_simulated(void) {
    begin();
    if (api == &sim_blas_api) return;
    print_message("skipped: this is about the simulated library, and there is a device\n");
    skip();
}

static void end(void) {
    bd_blas_destroy(blas);
    blas = NULL;
    fine(platform->stream_destroy(stream));
    cuda_end();
}

/* ---- the definition */

/* Where element (i, j) of op(X) of matrix b lies. */
static size_t at(long long stride, int b, int ld, bool trans, int i, int j) {
    return (size_t)(b * stride + (trans ? (long long)j * ld + i : (long long)i * ld + j));
}

typedef struct {
    double *a, *b, *c, *want, *tol; /* tol < 0: no element of a result */
    size_t na, nb, nc;
    void *da, *db, *dc;
} buffers;

static double *room(size_t n) {
    double *p = malloc(n * sizeof *p);
    assert_non_null(p);
    return p;
}

/* Any order of k float32 sums errs by at most k units of the sum of magnitudes, alpha and beta add two, and the result
 * is rounded once to its type (in fp16, absolutely by half of 2^-24 where it is tiny). TF32 keeps 10 bits: each factor
 * is off by 2^-10 when it is cut off. */
static void define(buffers *x, const bd_blas_matmul *s) {
    for (size_t i = 0; i < x->nc; i++) {
        x->want[i] = x->c[i];
        x->tol[i] = -1;
    }
    double alpha = (double)s->alpha, beta = (double)s->beta;
    for (int b = 0; b < s->batch; b++)
        for (int i = 0; i < s->m; i++)
            for (int j = 0; j < s->n; j++) {
                double sum = 0, size = 0;
                for (int k = 0; k < s->k; k++) {
                    double p = x->a[at(s->stride_a, b, s->lda, s->trans_a, i, k)] *
                               x->b[at(s->stride_b, b, s->ldb, s->trans_b, k, j)];
                    sum += p;
                    size += fabs(p);
                }
                size_t o = at(s->stride_c, b, s->ldc, false, i, j);
                double old = beta == 0 ? 0 : beta * x->c[o];
                x->want[o] = alpha * sum + old;
                x->tol[o] = (s->k + 2) * 0x1p-24 * (fabs(alpha) * size + fabs(old)) +
                            (s->tf32 ? 2 * 0x1p-10 * fabs(alpha) * size : 0) +
                            cuda_unit(s->ctype) * fabs(x->want[o]) +
                            (s->ctype == BD_TYPE_F16 ? 0x1p-25 : 0);
                if (beta == 0) x->c[o] = NAN; /* whoever reads it shows it */
            }
}

static buffers make(const bd_blas_matmul *s, uint64_t seed) {
    buffers x = {0};
    x.na = 1 + at(s->stride_a, s->batch - 1, s->lda, s->trans_a, s->m - 1, s->k - 1);
    x.nb = 1 + at(s->stride_b, s->batch - 1, s->ldb, s->trans_b, s->k - 1, s->n - 1);
    x.nc = 1 + at(s->stride_c, s->batch - 1, s->ldc, false, s->m - 1, s->n - 1);
    x.a = room(x.na);
    x.b = room(x.nb);
    x.c = room(x.nc);
    x.want = room(x.nc);
    x.tol = room(x.nc);
    ref_fill(x.a, x.na, 3 * seed);
    ref_fill(x.b, x.nb, 3 * seed + 1);
    ref_fill(x.c, x.nc, 3 * seed + 2);
    x.da = cuda_in(s->type, x.a, x.na);
    x.db = cuda_in(s->type, x.b, x.nb);
    for (size_t i = 0; i < x.nc; i++) x.c[i] = cuda_round(x.c[i], s->ctype);
    define(&x, s);
    x.dc = cuda_io(s->ctype, x.c, x.nc);
    return x;
}

static void drop(buffers *x) {
    free(x->a);
    free(x->b);
    free(x->c);
    free(x->want);
    free(x->tol);
}

/* Errors in units of the tolerance; what lies between the rows of C is untouched to the bit. */
static bool right(const char *label, const buffers *x, const double *got) {
    double *g = room(x->nc), *w = room(x->nc);
    size_t n = 0;
    bool good = true;
    for (size_t i = 0; i < x->nc; i++) {
        if (x->tol[i] < 0) {
            good &= got[i] == x->c[i];
            continue;
        }
        g[n] = got[i] / x->tol[i];
        w[n++] = x->want[i] / x->tol[i];
    }
    if (!good) print_message("%s: written between the rows of the result\n", label);
    good &= ref_near(label, g, w, n, 1.0, false);
    free(g);
    free(w);
    return good;
}

static void run(const bd_blas_matmul *s, const buffers *x) {
    const bd_blas_plan *plan;
    ok(bd_blas_plan_get(&plan, blas, s));
    ok(bd_blas_run(blas, plan, x->dc, x->da, x->db, stream));
    fine(platform->stream_sync(stream));
}

/* Is the product of this shape right, and are its factors as they were? */
static bool holds(const bd_blas_matmul *s, uint64_t seed) {
    cuda_begin(); /* frees the buffers of the case before */
    buffers x = make(s, seed);
    run(s, &x);
    double *got = room(x.nc), *a = room(x.na), *b = room(x.nb);
    cuda_get(got, x.dc);
    cuda_get(a, x.da);
    cuda_get(b, x.db);
    char label[160];
    snprintf(label, sizeof label, "%dx%dx%d batch %d %c%c types %d %d tf32 %d beta %g", s->m, s->n,
             s->k, s->batch, s->trans_a ? 'T' : 'N', s->trans_b ? 'T' : 'N', s->type, s->ctype,
             s->tf32, (double)s->beta);
    bool good = right(label, &x, got) && !memcmp(a, x.a, x.na * sizeof *a) &&
                !memcmp(b, x.b, x.nb * sizeof *b);
    free(got);
    free(a);
    free(b);
    drop(&x);
    return good;
}

/* Dense matrices behind each other. */
static bd_blas_matmul dense(int m, int n, int k, bool ta, bool tb, bd_type type) {
    bd_blas_matmul s = {.m = m,
                        .n = n,
                        .k = k,
                        .batch = 1,
                        .trans_a = ta,
                        .trans_b = tb,
                        .type = type,
                        .ctype = type,
                        .align = 16,
                        .alpha = 1.0f};
    s.lda = ta ? m : k;
    s.ldb = tb ? k : n;
    s.ldc = n;
    s.stride_a = (long long)m * k;
    s.stride_b = (long long)k * n;
    s.stride_c = (long long)m * n;
    return s;
}

static const struct {
    bd_type in, out;
    bool tf32;
} types[] = {{BD_TYPE_F32, BD_TYPE_F32, false},   {BD_TYPE_F32, BD_TYPE_F32, true},
             {BD_TYPE_BF16, BD_TYPE_BF16, false}, {BD_TYPE_BF16, BD_TYPE_F32, false},
             {BD_TYPE_F16, BD_TYPE_F16, false},   {BD_TYPE_F16, BD_TYPE_F32, false}};
enum { TYPES = sizeof types / sizeof *types };

static const int sizes[] = {1, 3, 7, 64};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- products */

/* Sizes, transposes and types in all combinations; batch, gaps between rows and between matrices, alpha and beta
 * take turns: each of their 12 combinations meets every transpose of every type five times or more. */
static void products_of_every_kind(void **state) {
    (void)state;
    begin();
    static const float betas[] = {0.0f, 1.0f, -0.5f};
    unsigned turn = 0;
    for (int i = 0; i < SIZES * SIZES * SIZES; i++)
        for (int t = 0; t < 4; t++)
            for (int y = 0; y < TYPES; y++, turn++) {
                bd_blas_matmul s = dense(sizes[i % SIZES], sizes[i / SIZES % SIZES],
                                         sizes[i / SIZES / SIZES], t & 1, t >> 1, types[y].in);
                s.ctype = types[y].out;
                s.tf32 = types[y].tf32;
                unsigned way = (unsigned)(i + 5 * t + 7 * y);
                s.batch = way % 2 ? 3 : 1;
                s.beta = betas[way % 3];
                s.alpha = way % 4 < 2 ? 1.0f : -0.375f;
                if (way % 4 == 3) {
                    s.lda += 5, s.ldb += 2, s.ldc += 1;
                    s.stride_a = (long long)s.lda * (s.trans_a ? s.k : s.m) + 8;
                    s.stride_b = (long long)s.ldb * (s.trans_b ? s.n : s.k) + 16;
                    s.stride_c = (long long)s.ldc * s.m + 3;
                }
                assert_true(holds(&s, turn));
            }
    end();
}

/* [1 2; 3 4] [5 6; 7 8], worked out on paper. */
static void two_by_two_is_exact(void **state) {
    (void)state;
    begin();
    static const double want[4][4] = {
        {19, 22, 43, 50}, {26, 30, 38, 44}, {17, 23, 39, 53}, {23, 31, 34, 46}};
    for (int t = 0; t < 4; t++)
        for (int y = 0; y < TYPES; y++) {
            cuda_begin();
            double a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, got[4];
            bd_blas_matmul s = dense(2, 2, 2, t & 1, t >> 1, types[y].in);
            s.ctype = types[y].out;
            buffers x = {.da = cuda_in(s.type, a, 4),
                         .db = cuda_in(s.type, b, 4),
                         .dc = cuda_out(s.ctype, 4)};
            run(&s, &x);
            cuda_get(got, x.dc);
            assert_memory_equal(got, want[t], sizeof got);
        }
    end();
}

/* One factor for the whole batch: weights times many, or many times a shared right side. */
static void shared_factors_have_stride_0(void **state) {
    (void)state;
    begin();
    for (int y = 0; y < TYPES; y++)
        for (int shared = 1; shared < 4; shared++) {
            bd_blas_matmul s = dense(5, 6, 9, true, false, types[y].in);
            s.ctype = types[y].out;
            s.tf32 = types[y].tf32;
            s.batch = 4;
            if (shared & 1) s.stride_a = 0;
            if (shared & 2) s.stride_b = 0;
            assert_true(holds(&s, 900 + (uint64_t)(4 * y + shared)));
        }
    end();
}

/* Attention reads its heads out of rows of [q k v], 3 C wide, and writes them side by side into rows of C: leading
 * dimensions are wider than the matrices, and matrices interleave. */
static void attention_heads_interleave(void **state) {
    (void)state;
    begin();
    enum { T = 16, HEADS = 2, D = 8, C = HEADS * D };
    for (int y = 0; y < TYPES; y++) {
        bd_blas_matmul scores = {.m = T,
                                 .n = T,
                                 .k = D,
                                 .batch = HEADS,
                                 .trans_b = true,
                                 .lda = 3 * C,
                                 .ldb = 3 * C,
                                 .ldc = T,
                                 .stride_a = D,
                                 .stride_b = D,
                                 .stride_c = T * T,
                                 .type = types[y].in,
                                 .ctype = types[y].out,
                                 .tf32 = types[y].tf32,
                                 .align = 16,
                                 .alpha = 0.353553f};
        bd_blas_matmul mixed = {.m = T,
                                .n = D,
                                .k = T,
                                .batch = HEADS,
                                .lda = T,
                                .ldb = 3 * C,
                                .ldc = C,
                                .stride_a = T * T,
                                .stride_b = D,
                                .stride_c = D,
                                .type = types[y].in,
                                .ctype = types[y].out,
                                .tf32 = types[y].tf32,
                                .align = 16,
                                .alpha = 1.0f};
        assert_true(holds(&scores, 1000 + (uint64_t)y));
        assert_true(holds(&mixed, 1100 + (uint64_t)y));
        mixed.trans_a = true; /* the gradient of v */
        assert_true(holds(&mixed, 1200 + (uint64_t)y));
    }
    end();
}

/* A control of the comparison itself: an oracle with one factor of the wrong transpose, and one that is off by two
 * tolerances in one element, are told apart. */
static void wrong_products_are_noticed(void **state) {
    (void)state;
    begin();
    bd_blas_matmul s = dense(7, 7, 7, false, false, BD_TYPE_F32), other = s;
    other.trans_b = true;
    buffers x = make(&s, 77);
    double got[49];
    run(&other, &x);
    cuda_get(got, x.dc);
    print_message("two failed comparisons follow, as they should:\n");
    assert_false(right("a transpose too much", &x, got));
    run(&s, &x);
    cuda_get(got, x.dc);
    assert_true(right("as defined", &x, got));
    got[30] += 2 * x.tol[30];
    assert_false(right("one element off", &x, got));
    drop(&x);
    end();
}

/* 1 + 2^-12 fits float32 and not TF32's ten bits. A product with one term, exact in float32. */
static void full_precision_unless_tf32(void **state) {
    (void)state;
    begin();
    bd_blas_matmul s = dense(8, 8, 8, false, false, BD_TYPE_F32);
    for (int tf32 = 0; tf32 < 2; tf32++) {
        cuda_begin();
        double a[64] = {0}, b[64] = {0}, got[64];
        for (int i = 0; i < 8; i++) {
            a[9 * i] = 1 + 0x1p-12;
            b[9 * i] = 1;
        }
        s.tf32 = tf32;
        buffers x = {.da = cuda_in(BD_TYPE_F32, a, 64),
                     .db = cuda_in(BD_TYPE_F32, b, 64),
                     .dc = cuda_out(BD_TYPE_F32, 64)};
        run(&s, &x);
        cuda_get(got, x.dc);
        if (!tf32) assert_memory_equal(got, a, sizeof got);
        if (tf32 && api == &sim_blas_api)
            assert_true(got[0] == 1.0); /* a device is allowed TF32, not bound to it */
    }
    end();
}

static void same_bits_every_time(void **state) {
    (void)state;
    begin();
    for (int y = 0; y < TYPES; y++) {
        bd_blas_matmul s = dense(33, 17, 64, true, true, types[y].in);
        s.ctype = types[y].out;
        s.tf32 = types[y].tf32;
        s.batch = 2;
        double first[2 * 33 * 17], again[2 * 33 * 17];
        for (int i = 0; i < 4; i++) {
            if (i == 2) { /* a library opened anew, too */
                bd_blas_destroy(blas);
                ok(bd_blas_create(&blas, &(bd_blas_spec){.api = api, .platform = platform}));
            }
            cuda_begin();
            buffers x = make(&s, 5);
            run(&s, &x);
            cuda_get(i ? again : first, x.dc);
            if (i) assert_memory_equal(again, first, sizeof first);
            drop(&x);
        }
    }
    end();
}

/* Recorded once, run three times: C + 3 A B in integers, exact. */
static void a_graph_repeats_a_product(void **state) {
    (void)state;
    begin();
    double a[16], b[16], c[16], want[16], got[16];
    for (int i = 0; i < 16; i++) {
        a[i] = i - 7;
        b[i] = 3 - i;
        c[i] = i * i;
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            want[4 * i + j] = c[4 * i + j];
            for (int k = 0; k < 4; k++) want[4 * i + j] += 4 * a[4 * i + k] * b[4 * k + j];
        }
    bd_blas_matmul s = dense(4, 4, 4, false, false, BD_TYPE_F32);
    s.beta = 1.0f;
    buffers x = {.da = cuda_in(BD_TYPE_F32, a, 16),
                 .db = cuda_in(BD_TYPE_F32, b, 16),
                 .dc = cuda_io(BD_TYPE_F32, c, 16)};
    run(&s, &x); /* loads what the library loads on first use */
    const bd_blas_plan *plan;
    void *graph;
    size_t before = sim_blas_count_products();
    ok(bd_blas_plan_get(&plan, blas, &s));
    fine(platform->capture_begin(stream));
    ok(bd_blas_run(blas, plan, x.dc, x.da, x.db, stream));
    fine(platform->capture_end(&graph, stream));
    assert_int_equal(sim_blas_count_products(), before); /* recording computes nothing */
    for (int i = 0; i < 3; i++) fine(platform->graph_launch(graph, stream));
    fine(platform->stream_sync(stream));
    if (api == &sim_blas_api) assert_int_equal(sim_blas_count_products(), before + 3);
    cuda_get(got, x.dc);
    assert_memory_equal(got, want, sizeof got);
    fine(platform->graph_destroy(graph));
    end();
}

/* ---- plans */

static void equal_shapes_share_a_plan(void **state) {
    (void)state;
    begin();
    bd_blas_matmul s = dense(3, 7, 64, false, true, BD_TYPE_BF16);
    const bd_blas_plan *first, *plan;
    size_t before = sim_blas_count_plans();
    ok(bd_blas_plan_get(&first, blas, &s));
    s.stride_a += 99; /* one matrix has no stride */
    ok(bd_blas_plan_get(&plan, blas, &s));
    assert_ptr_equal(plan, first);
    if (api == &sim_blas_api) assert_int_equal(sim_blas_count_plans(), before + 1);

    /* Every field makes another plan, and with a hundred of them the first stays where it is. */
    bd_blas_matmul other[14];
    for (int i = 0; i < 14; i++) other[i] = s;
    other[0].m++, other[1].n--, other[2].k--, other[3].batch = 2, other[4].trans_b = false,
                                              other[4].ldb = 64;
    other[5].lda++, other[6].ldb++, other[7].ldc++, other[8].ctype = BD_TYPE_F32,
                                                    other[9].align = 8;
    other[10].alpha = 2.0f, other[11].beta = 1.0f, other[12].type = other[12].ctype = BD_TYPE_F16;
    other[13].trans_a = true;
    for (int i = 0; i < 14; i++) {
        ok(bd_blas_plan_get(&plan, blas, &other[i]));
        assert_ptr_not_equal(plan, first);
    }
    for (int i = 0; i < 100; i++) {
        s.alpha = 3.0f + (float)i;
        ok(bd_blas_plan_get(&plan, blas, &s));
    }
    s.alpha = 1.0f;
    ok(bd_blas_plan_get(&plan, blas, &s));
    assert_ptr_equal(plan, first);
    end();
}

static void a_small_workspace_will_do(void **state) {
    (void)state;
    begin();
    bd_blas_destroy(blas);
    ok(bd_blas_create(&blas, &(bd_blas_spec){.api = api, .platform = platform, .workspace = 256}));
    bd_blas_matmul s = dense(64, 64, 64, false, true, BD_TYPE_F16);
    assert_true(holds(&s, 4));
    assert_true(bd_blas_version(blas) >= 120000);
    end();
}

/* ---- refusals */

static void shapes_that_make_no_sense_are_refused(void **state) {
    (void)state;
    begin();
    const bd_blas_matmul good = dense(3, 7, 5, false, true, BD_TYPE_BF16);
    const bd_blas_plan *plan;
    ok(bd_blas_plan_get(&plan, blas, &good));
    bd_blas_matmul bad[17];
    for (int i = 0; i < 17; i++) bad[i] = good;
    bad[0].m = 0, bad[1].n = -1, bad[2].k = 0, bad[3].batch = 0;
    bad[4].lda = 4, bad[5].ldb = 4, bad[6].ldc = 6;
    bad[7].trans_a = true, bad[7].lda = 2;
    bad[8].batch = 2, bad[8].stride_c = 0;
    bad[9].stride_a = -1, bad[10].stride_b = -1;
    bad[11].type = BD_TYPE_F64, bad[12].ctype = BD_TYPE_F16, bad[13].tf32 = true;
    bad[14].align = 12, bad[15].align = 1, bad[16].align = 512;
    for (int i = 0; i < 17; i++) {
        assert_int_equal(bd_blas_plan_get(&plan, blas, &bad[i]), BD_E_SHAPE);
        assert_null(plan);
    }
    assert_int_equal(bd_blas_plan_get(&plan, blas, &bad[6]), BD_E_SHAPE);
    assert_string_equal(
        bd_error(),
        "matrix product C[3,7] = 1 A[3,5] B^T[5,7] + 0 C, bf16 to bf16, ld 5 5 6, 16-byte "
        "aligned: a leading dimension shorter than the row");
    end();
}

/* Pointers at any element, when the shape says so; refused when it promised more. */
static void pointers_keep_the_promised_alignment(void **state) {
    (void)state;
    begin();
    bd_blas_matmul s = dense(4, 4, 4, false, false, BD_TYPE_BF16);
    double a[17], b[17], got[17];
    for (int i = 0; i < 17; i++) {
        a[i] = i;
        b[i] = 17 - i;
    }
    char *da = cuda_in(s.type, a, 17), *db = cuda_in(s.type, b, 17), *dc = cuda_out(s.type, 17);
    const bd_blas_plan *plan;
    for (int side = 0; side < 3; side++) {
        ok(bd_blas_plan_get(&plan, blas, &s));
        assert_int_equal(bd_blas_run(blas, plan, dc + 2 * (side == 0), da + 2 * (side == 1),
                                     db + 2 * (side == 2), stream),
                         BD_E_SHAPE);
        assert_non_null(strstr(bd_error(), "not aligned"));
    }
    s.align = 2;
    ok(bd_blas_plan_get(&plan, blas, &s));
    ok(bd_blas_run(blas, plan, dc + 2, da + 2, db + 2, stream));
    fine(platform->stream_sync(stream));
    cuda_get(got, dc);
    assert_true(isnan(got[0]));
    for (int i = 0; i < 16; i++) {
        double want = 0;
        for (int k = 0; k < 4; k++) want += a[1 + i / 4 * 4 + k] * b[1 + 4 * k + i % 4];
        assert_true(got[1 + i] == cuda_round(want, s.type)); /* a sum exact in float32 */
    }
    end();
}

/* ---- the library says no */

/* The simulated library with a wider mask of reduction schemes than was asked for. */
static int widen(void *pref, int name, const void *value, size_t size) {
    uint32_t all = 7;
    return sim_blas_api.pref_set(
        pref, name, name == BD_CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK ? &all : value, size);
}

/* INPLACE added to what was asked for. */
static int widen_in_place(void *pref, int name, const void *value, size_t size) {
    uint32_t three = 3;
    return sim_blas_api.pref_set(
        pref, name, name == BD_CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK ? &three : value, size);
}

static bool holds_with(int (*pref_set)(void *, int, const void *, size_t), bd_type type,
                       bd_type ctype) {
    bd_blas_api other = sim_blas_api;
    other.pref_set = pref_set;
    bd_blas_destroy(blas);
    ok(bd_blas_create(&blas, &(bd_blas_spec){.api = &other, .platform = platform}));
    bd_blas_matmul s = dense(7, 7, 7, false, false, type);
    s.ctype = ctype;
    bool good = holds(&s, 8);
    bd_blas_destroy(blas);
    blas = NULL;
    return good;
}

/* The trap springs when it can: with a wider mask, results are wrong; with ours they are right (all tests above). */
static void partial_sums_in_16_bit_are_not_admitted(void **state) {
    (void)state;
    begin_simulated();
    print_message("three failed comparisons follow, as they should:\n");
    assert_false(holds_with(widen, BD_TYPE_F32, BD_TYPE_F32));
    assert_false(holds_with(widen, BD_TYPE_BF16, BD_TYPE_BF16));
    assert_false(holds_with(widen_in_place, BD_TYPE_F16, BD_TYPE_F16));
    assert_true(
        holds_with(widen_in_place, BD_TYPE_F16, BD_TYPE_F32)); /* in place, but in float32 */
    end();
}

/* What the heuristics may do besides. */
static enum { NONE_FOUND, ALL_FAILED, TOO_MUCH_WORKSPACE } mood;
static int moody(void *handle, void *desc, void *a, void *b, void *c, void *d, void *pref,
                 int wanted, bd_blas_heuristic *out, int *found) {
    int st = sim_blas_api.heuristic(handle, desc, a, b, c, d, pref, wanted, out, found);
    if (mood == NONE_FOUND) *found = 0;
    for (int i = 0; i < *found; i++) {
        if (mood == ALL_FAILED) out[i].state = BD_CUBLAS_STATUS_NOT_SUPPORTED;
        if (mood == TOO_MUCH_WORKSPACE) out[i].workspace = (size_t)1 << 40;
    }
    return st;
}

static void no_algorithm_is_an_error_with_the_shape(void **state) {
    (void)state;
    begin_simulated();
    bd_blas_api other = sim_blas_api;
    other.heuristic = moody;
    bd_blas_destroy(blas);
    ok(bd_blas_create(&blas, &(bd_blas_spec){.api = &other, .platform = platform}));
    bd_blas_matmul s = dense(3, 7, 5, false, true, BD_TYPE_BF16);
    const bd_blas_plan *plan;
    for (mood = NONE_FOUND; mood <= TOO_MUCH_WORKSPACE; mood++) {
        assert_int_equal(bd_blas_plan_get(&plan, blas, &s), BD_E_DEVICE);
        assert_null(plan);
        assert_non_null(strstr(bd_error(), "C[3,7] = 1 A[3,5] B^T[5,7]"));
    }
    end();
}

/* Every call of the library fails once, in turn: an error with its text each time, and nothing is left behind. */
static void every_failing_call_is_reported(void **state) {
    (void)state;
    begin_simulated();
    bd_blas_destroy(blas);
    blas = NULL;
    size_t alive = sim_blas_count_alive(), memory = emu_allocations();
    bd_blas_matmul s = dense(4, 4, 4, false, true, BD_TYPE_F32);
    int failures = 0;
    for (int kind = 0; kind < 2; kind++) {
        int status = kind ? BD_CUBLAS_STATUS_ALLOC_FAILED : BD_CUBLAS_STATUS_NOT_SUPPORTED;
        for (long n = 1;; n++) {
            cuda_begin();
            double x[16] = {1}, y[16] = {2};
            void *a = cuda_in(BD_TYPE_F32, x, 16), *b = cuda_in(BD_TYPE_F32, y, 16),
                 *c = cuda_out(BD_TYPE_F32, 16);
            const bd_blas_plan *plan;
            sim_blas_fail_after(n, status);
            bd_status st = bd_blas_create(&blas, &(bd_blas_spec){.api = api, .platform = platform});
            if (!st) st = bd_blas_plan_get(&plan, blas, &s);
            if (!st) st = bd_blas_run(blas, plan, c, a, b, stream);
            bool reached = sim_blas_fail_after(0, 0) == 0;
            bd_blas_destroy(blas);
            blas = NULL;
            cuda_begin();
            assert_int_equal(sim_blas_count_alive(), alive);
            assert_int_equal(emu_allocations(), memory);
            if (!reached) {
                ok(st);
                break;
            }
            assert_int_equal(st, kind ? BD_E_MEMORY : BD_E_DEVICE);
            assert_non_null(strstr(bd_error(), "cuBLASLt"));
            assert_non_null(strstr(bd_error(), "made to fail"));
            failures++;
        }
    }
    assert_int_equal(failures, 2 * 22); /* as many calls as one product takes */
    end();
}

static void no_memory_for_the_workspace(void **state) {
    (void)state;
    begin_simulated();
    bd_blas *other;
    size_t alive = sim_blas_count_alive();
    emu_set_memory((size_t)64 << 20);
    assert_int_equal(
        bd_blas_create(&other,
                       &(bd_blas_spec){.api = api, .platform = platform, .workspace = 1u << 30}),
        BD_E_MEMORY);
    emu_set_memory((size_t)16 << 30);
    assert_null(other);
    assert_non_null(strstr(bd_error(), "1073741824 bytes of device memory"));
    assert_int_equal(sim_blas_count_alive(), alive);
    emu_forget_error();
    end();
}

/* ---- the simulation itself: each wrong use of the library is refused, and the right one next to it is not */

typedef struct {
    void *handle, *desc, *a, *b, *c, *pref;
    bd_blas_algo algo;
    size_t workspace;
} raw;

static const float one = 1.0f, zero = 0.0f;

/* A 4 x 5 x 6 product, column-major, by the library's own calls; ld and batch of A are given. */
static int raw_make(raw *r, int64_t lda, int32_t a_batch, unsigned without) {
    memset(r, 0, sizeof *r);
    int32_t op = BD_CUBLAS_OP_N, batch = 1;
    int64_t stride = 0;
    uint64_t limit = 4096;
    uint32_t mask = 2, align = 16;
    int st = sim_blas_api.create(&r->handle);
    if (!st) st = sim_blas_api.desc_create(&r->desc, BD_CUBLAS_COMPUTE_32F, BD_CUDA_R_32F);
    for (int i = 3; i <= 4 && !st; i++)
        if (!(without & 1) || i == 3) st = sim_blas_api.desc_set(r->desc, i, &op, sizeof op);
    if (!st) st = sim_blas_api.layout_create(&r->a, BD_CUDA_R_32F, 4, 6, lda);
    if (!st) st = sim_blas_api.layout_create(&r->b, BD_CUDA_R_32F, 6, 5, 6);
    if (!st) st = sim_blas_api.layout_create(&r->c, BD_CUDA_R_32F, 4, 5, 4);
    void *layouts[] = {r->a, r->b, r->c};
    for (int i = 0; i < 3 && !st; i++) {
        st = sim_blas_api.layout_set(layouts[i], BD_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                     i ? &batch : &a_batch, 4);
        if (!st && !(without & 2))
            st = sim_blas_api.layout_set(layouts[i], BD_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                         &stride, 8);
    }
    if (!st) st = sim_blas_api.pref_create(&r->pref);
    if (!st && !(without & 4)) st = sim_blas_api.pref_set(r->pref, 1, &limit, sizeof limit);
    if (!st && !(without & 8)) st = sim_blas_api.pref_set(r->pref, 3, &mask, sizeof mask);
    for (int i = 5; i <= 8 && !st; i++)
        if (!(without & 16) || i != 8) st = sim_blas_api.pref_set(r->pref, i, &align, sizeof align);
    bd_blas_heuristic found[2];
    int n = 0;
    if (!st)
        st = sim_blas_api.heuristic(r->handle, r->desc, r->a, r->b, r->c, r->c, r->pref, 2, found,
                                    &n);
    if (st) return st;
    assert_int_equal(n, 2);
    assert_int_not_equal(found[0].state, BD_CUBLAS_STATUS_SUCCESS); /* the trap */
    r->algo = found[1].algo;
    r->workspace = found[1].workspace;
    return found[1].state;
}

static void raw_drop(raw *r) {
    if (r->desc) sim_blas_api.desc_destroy(r->desc);
    if (r->a) sim_blas_api.layout_destroy(r->a);
    if (r->b) sim_blas_api.layout_destroy(r->b);
    if (r->c) sim_blas_api.layout_destroy(r->c);
    if (r->pref) sim_blas_api.pref_destroy(r->pref);
    if (r->handle) sim_blas_api.destroy(r->handle);
}

static void the_simulation_refuses_incomplete_descriptions(void **state) {
    (void)state;
    begin_simulated();
    size_t alive = sim_blas_count_alive();
    raw r;
    assert_int_equal(raw_make(&r, 4, 1, 0), BD_CUBLAS_STATUS_SUCCESS);
    raw_drop(&r);
    for (unsigned without = 1; without <= 16; without *= 2) {
        assert_int_equal(raw_make(&r, 4, 1, without), BD_CUBLAS_STATUS_INVALID_VALUE);
        raw_drop(&r);
    }
    assert_int_equal(raw_make(&r, 3, 1, 0), BD_CUBLAS_STATUS_INVALID_VALUE); /* ld below the rows */
    raw_drop(&r);
    assert_int_equal(raw_make(&r, 4, 2, 0),
                     BD_CUBLAS_STATUS_INVALID_VALUE); /* batches that differ */
    raw_drop(&r);
    assert_int_equal(sim_blas_count_alive(), alive);
    end();
}

static void the_simulation_refuses_wrong_sizes_and_values(void **state) {
    (void)state;
    begin_simulated();
    const bd_blas_api *s = &sim_blas_api;
    raw r;
    assert_int_equal(raw_make(&r, 4, 1, 0), BD_CUBLAS_STATUS_SUCCESS);
    uint64_t v = 0;
    void *p;
    for (size_t size = 1; size <= 8; size++) {
        int refused = BD_CUBLAS_STATUS_INVALID_VALUE;
        v = 1;
        assert_int_equal(s->desc_set(r.desc, 3, &v, size), size == 4 ? 0 : refused);
        assert_int_equal(s->layout_set(r.a, 5, &v, size), size == 4 ? 0 : refused);
        assert_int_equal(s->layout_set(r.a, 6, &v, size), size == 8 ? 0 : refused);
        assert_int_equal(s->pref_set(r.pref, 1, &v, size), size == 8 ? 0 : refused);
        assert_int_equal(s->pref_set(r.pref, 3, &v, size), size == 4 ? 0 : refused);
        assert_int_equal(s->pref_set(r.pref, 5, &v, size), size == 4 ? 0 : refused);
    }
    v = 2;
    assert_int_not_equal(s->desc_set(r.desc, 3, &v, 4), 0); /* conjugate */
    v = 48;
    assert_int_not_equal(s->pref_set(r.pref, 5, &v, 4), 0); /* no power of two */
    assert_int_not_equal(s->pref_set(r.a, 5, &v, 4), 0);    /* no preference */
    assert_int_not_equal(s->desc_create(&p, 64, 0), 0);     /* 16-bit accumulation */
    assert_int_not_equal(s->layout_create(&p, 1, 2, 2, 2), 0);
    raw_drop(&r);
    end();
}

static void the_simulation_refuses_wrong_products(void **state) {
    (void)state;
    begin_simulated();
    raw r, other;
    double x[32] = {0};
    char *a = cuda_in(BD_TYPE_F32, x, 28), *b = cuda_in(BD_TYPE_F32, x, 32),
         *c = cuda_out(BD_TYPE_F32, 32);
    void *work;
    fine(platform->device_alloc(&work, 4096));
    assert_int_equal(raw_make(&r, 4, 1, 0), BD_CUBLAS_STATUS_SUCCESS);
    assert_int_equal(raw_make(&other, 5, 1, 0), BD_CUBLAS_STATUS_SUCCESS);
#define MATMUL(A, B, C, algorithm, workspace, bytes)                                              \
    sim_blas_api.matmul(r.handle, r.desc, &one, A, r.a, B, r.b, &zero, C, r.c, C, r.c, algorithm, \
                        workspace, bytes, stream)
    assert_int_equal(MATMUL(a, b, c, &r.algo, work, r.workspace), 0);
    assert_int_not_equal(MATMUL(a + 4, b, c, &r.algo, work, r.workspace), 0);
    assert_int_not_equal(MATMUL(a, b + 8, c, &r.algo, work, r.workspace), 0);
    assert_int_not_equal(MATMUL(a, b, c + 4, &r.algo, work, r.workspace), 0);
    assert_int_not_equal(MATMUL(a, b, c, &other.algo, work, r.workspace), 0);
    assert_int_not_equal(MATMUL(a, b, c, &r.algo, work, r.workspace - 1), 0);
    assert_int_not_equal(MATMUL(a, b, c, &r.algo, NULL, r.workspace), 0);
    assert_int_not_equal(MATMUL(x, b, c, &r.algo, work, r.workspace), 0); /* host memory */
    raw_drop(&r);
    raw_drop(&other);
    fine(platform->device_free(work));
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_every_kind),
        cmocka_unit_test(two_by_two_is_exact),
        cmocka_unit_test(shared_factors_have_stride_0),
        cmocka_unit_test(attention_heads_interleave),
        cmocka_unit_test(wrong_products_are_noticed),
        cmocka_unit_test(full_precision_unless_tf32),
        cmocka_unit_test(same_bits_every_time),
        cmocka_unit_test(a_graph_repeats_a_product),
        cmocka_unit_test(equal_shapes_share_a_plan),
        cmocka_unit_test(a_small_workspace_will_do),
        cmocka_unit_test(shapes_that_make_no_sense_are_refused),
        cmocka_unit_test(pointers_keep_the_promised_alignment),
        cmocka_unit_test(partial_sums_in_16_bit_are_not_admitted),
        cmocka_unit_test(no_algorithm_is_an_error_with_the_shape),
        cmocka_unit_test(every_failing_call_is_reported),
        cmocka_unit_test(no_memory_for_the_workspace),
        cmocka_unit_test(the_simulation_refuses_incomplete_descriptions),
        cmocka_unit_test(the_simulation_refuses_wrong_sizes_and_values),
        cmocka_unit_test(the_simulation_refuses_wrong_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
