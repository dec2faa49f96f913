#include "metric/frechet.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK: eigenvalues w (ascending) and, with jobz "V", eigenvectors (columns of a) of a symmetric
 * matrix. The last two arguments are the lengths of the texts, which Fortran passes at the end. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info,
             size_t jobz_len, size_t uplo_len);

enum { BLOCK = 64, MAX_DIM = 16384 };

/* One thread: the sums of a threaded product depend on the number of threads. */
static void use_one_thread(void) { openblas_set_num_threads(1); }

static void prepare_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
}

const char *bd_frechet_library(void) { return openblas_get_config(); }

/* Moments of the rows merged so far, and a block of rows that waits to be merged. Matrices are
 * column-major as BLAS has them; only the upper triangle of scatter is kept. */
struct bd_moments {
    int d, waiting;
    int64_t merged;
    double *mean, *scatter, *block, *delta;
    double memory[];
};

bd_status bd_moments_create(bd_moments **out, int d) {
    *out = NULL;
    BD_REQUIRE(d >= 1 && d <= MAX_DIM, BD_E_SHAPE, "moments: %d features, allowed are 1 to %d", d,
               MAX_DIM);
    prepare_library();
    size_t n = (size_t)d;
    bd_moments *m = calloc(1, sizeof *m + (n * n + (BLOCK + 2) * n) * sizeof(double));
    BD_REQUIRE(m, BD_E_MEMORY, "moments: no memory for %d features", d);
    m->d = d;
    m->mean = m->memory;
    m->delta = m->mean + n;
    m->block = m->delta + n;
    m->scatter = m->block + BLOCK * n;
    *out = m;
    return BD_OK;
}

void bd_moments_destroy(bd_moments *m) { free(m); }

void bd_moments_reset(bd_moments *m) {
    size_t d = (size_t)m->d;
    m->waiting = 0;
    m->merged = 0;
    memset(m->mean, 0, d * sizeof *m->mean);
    memset(m->scatter, 0, d * d * sizeof *m->scatter);
}

int64_t bd_moments_count(const bd_moments *m) { return m->merged + m->waiting; }
int bd_moments_dim(const bd_moments *m) { return m->d; }

/* Add k rows (centred in place) to the mean and scatter of n earlier rows; delta [d] is scratch. */
static void merge(double *mean, double *scatter, int64_t n, double *rows, int k, double *delta,
                  int d) {
    for (int j = 0; j < d; j++) {
        double sum = 0;
        for (int i = 0; i < k; i++) sum += rows[(size_t)i * (size_t)d + (size_t)j];
        double block_mean = sum / k;
        for (int i = 0; i < k; i++) rows[(size_t)i * (size_t)d + (size_t)j] -= block_mean;
        delta[j] = block_mean - mean[j];
    }
    double all = (double)n + k;
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, d, k, 1, rows, d, 1, scatter, d);
    cblas_dsyr(CblasColMajor, CblasUpper, d, (double)n * k / all, delta, 1, scatter, d);
    for (int j = 0; j < d; j++) mean[j] += delta[j] * (k / all);
}

bd_status bd_moments_add(bd_moments *m, const float *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double *row = m->block + (size_t)m->waiting * (size_t)m->d;
        for (int j = 0; j < m->d; j++) {
            row[j] = (double)rows[i * (size_t)m->d + (size_t)j];
            BD_REQUIRE(isfinite(row[j]), BD_E_NUMERIC,
                       "moments: feature %d of row %" PRId64 " is not finite", j,
                       bd_moments_count(m));
        }
        if (++m->waiting == BLOCK) {
            merge(m->mean, m->scatter, m->merged, m->block, BLOCK, m->delta, m->d);
            m->merged += BLOCK;
            m->waiting = 0;
        }
    }
    return BD_OK;
}

bd_status bd_moments_get(const bd_moments *m, double *mean, double *cov) {
    size_t d = (size_t)m->d, rows = (size_t)m->waiting * d;
    int64_t n = bd_moments_count(m);
    BD_REQUIRE(n >= 2, BD_E_ARG, "moments: a covariance needs 2 rows, here are %" PRId64, n);
    memcpy(mean, m->mean, d * sizeof *mean);
    memcpy(cov, m->scatter, d * d * sizeof *cov);
    if (m->waiting) {
        double *copy = malloc((rows + d) * sizeof *copy);
        BD_REQUIRE(copy, BD_E_MEMORY, "moments: no memory for %d rows", m->waiting);
        memcpy(copy, m->block, rows * sizeof *copy);
        merge(mean, cov, m->merged, copy, m->waiting, copy + rows, m->d);
        free(copy);
    }
    for (size_t j = 0; j < d; j++) {
        for (size_t i = 0; i <= j; i++) {
            cov[j * d + i] /= (double)(n - 1);
            cov[i * d + j] = cov[j * d + i];
        }
    }
    return BD_OK;
}

/* Eigenvalues w [d] of the symmetric a [d,d]; a becomes the eigenvectors (columns) or is lost. */
static bd_status eigen(double *w, double *a, int d, const char *jobz) {
    double best_work = 0;
    int best_iwork = 0, query = -1, info = 0;
    dsyevd_(jobz, "U", &d, a, &d, w, &best_work, &query, &best_iwork, &query, &info, 1, 1);
    BD_REQUIRE(info == 0, BD_E_NUMERIC, "dsyevd: info %d when asked for its workspace", info);
    int lwork = (int)best_work, liwork = best_iwork;
    double *work = malloc((size_t)lwork * sizeof *work);
    int *iwork = malloc((size_t)liwork * sizeof *iwork);
    if (work && iwork) {
        dsyevd_(jobz, "U", &d, a, &d, w, work, &lwork, iwork, &liwork, &info, 1, 1);
    }
    bool memory = work && iwork;
    free(work);
    free(iwork);
    BD_REQUIRE(memory, BD_E_MEMORY, "dsyevd: no memory for %d features", d);
    BD_REQUIRE(info == 0, BD_E_NUMERIC, "dsyevd: info %d, no eigenvalues of a %dx%d matrix", info,
               d, d);
    return BD_OK;
}

/* factor [d,d] with factor factor^T = the reference covariance; product, other: scratch [d,d]. */
struct bd_frechet {
    int d;
    double trace;
    double *mean, *value, *factor, *product, *other;
    double memory[];
};

static bd_status check_finite(const double *mean, const double *cov, size_t d) {
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += fabs(mean[i]);
    for (size_t i = 0; i < d * d; i++) sum += fabs(cov[i]);
    BD_REQUIRE(isfinite(sum), BD_E_NUMERIC, "frechet: a mean or covariance is not finite");
    return BD_OK;
}

static double trace(const double *a, size_t d) {
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += a[i * d + i];
    return sum;
}

bd_status bd_frechet_create(bd_frechet **out, const double *mean, const double *cov, int d) {
    *out = NULL;
    BD_REQUIRE(d >= 1 && d <= MAX_DIM, BD_E_SHAPE, "frechet: %d features, allowed are 1 to %d", d,
               MAX_DIM);
    size_t n = (size_t)d;
    BD_TRY(check_finite(mean, cov, n));
    prepare_library();
    bd_frechet *f = malloc(sizeof *f + (3 * n * n + 2 * n) * sizeof(double));
    BD_REQUIRE(f, BD_E_MEMORY, "frechet: no memory for %d features", d);
    f->d = d;
    f->trace = trace(cov, n);
    f->mean = f->memory;
    f->value = f->mean + n;
    f->factor = f->value + n;
    f->product = f->factor + n * n;
    f->other = f->product + n * n;
    memcpy(f->mean, mean, n * sizeof *mean);
    memcpy(f->factor, cov, n * n * sizeof *cov);
    bd_status st = eigen(f->value, f->factor, d, "V");
    if (st) {
        free(f);
        return st;
    }
    for (size_t j = 0; j < n; j++) {
        double root = sqrt(fmax(0, f->value[j])); /* below 0 is rounding: a covariance has none */
        for (size_t i = 0; i < n; i++) f->factor[j * n + i] *= root;
    }
    *out = f;
    return BD_OK;
}

void bd_frechet_destroy(bd_frechet *f) { free(f); }

/* With A = F F^T, the eigenvalues of F^T B F are those of A^(1/2) B A^(1/2). */
bd_status bd_frechet_to(double *out, bd_frechet *f, const double *mean, const double *cov) {
    int d = f->d;
    size_t n = (size_t)d;
    BD_TRY(check_finite(mean, cov, n));
    cblas_dsymm(CblasColMajor, CblasLeft, CblasUpper, d, d, 1, cov, d, f->factor, d, 0, f->product,
                d);
    cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, d, d, d, 1, f->factor, d, f->product, d, 0,
                f->other, d);
    BD_TRY(eigen(f->value, f->other, d, "N"));
    double root_trace = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        root_trace += sqrt(fmax(0, f->value[i]));
        square += (f->mean[i] - mean[i]) * (f->mean[i] - mean[i]);
    }
    *out = square + f->trace + trace(cov, n) - 2 * root_trace;
    BD_REQUIRE(isfinite(*out), BD_E_NUMERIC, "frechet: the distance is not finite");
    return BD_OK;
}

bd_status bd_frechet_distance(double *out, const bd_moments *a, const bd_moments *b) {
    BD_REQUIRE(a->d == b->d, BD_E_SHAPE, "frechet: %d features against %d", a->d, b->d);
    size_t d = (size_t)a->d;
    double *mean = malloc(d * sizeof *mean), *cov = malloc(d * d * sizeof *cov);
    bd_frechet *f = NULL;
    bd_status st;
    if (!mean || !cov) BD_FAIL_TO(done, st, BD_E_MEMORY, "frechet: no memory for %zu features", d);
    BD_TRY_TO(done, st, bd_moments_get(a, mean, cov));
    BD_TRY_TO(done, st, bd_frechet_create(&f, mean, cov, a->d));
    BD_TRY_TO(done, st, bd_moments_get(b, mean, cov));
    BD_TRY_TO(done, st, bd_frechet_to(out, f, mean, cov));
done:
    bd_frechet_destroy(f);
    free(mean);
    free(cov);
    return st;
}

bd_status bd_frechet_rows(double *out, const float *a, size_t na, const float *b, size_t nb,
                          int d) {
    bd_moments *ma = NULL, *mb = NULL;
    bd_status st = bd_moments_create(&ma, d);
    if (!st) st = bd_moments_create(&mb, d);
    if (!st) st = bd_moments_add(ma, a, na);
    if (!st) st = bd_moments_add(mb, b, nb);
    if (!st) st = bd_frechet_distance(out, ma, mb);
    bd_moments_destroy(ma);
    bd_moments_destroy(mb);
    return st;
}
