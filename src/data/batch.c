#include "data/batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/split.h"

struct bd_batcher {
    bd_batcher_spec spec;
    uint32_t used;        /* rows of one epoch                                            */
    uint32_t *rows;       /* [used] ascending, so that a poison rate moves no image       */
    pthread_mutex_t lock; /* guards the two below                                         */
    uint32_t *order;      /* [used] places in rows[], in the order of the epoch           */
    int64_t order_epoch;  /* whose order it is; -1 = nobody's                             */
};

/* What fill has to know of an image besides its place. */
typedef struct {
    uint32_t row;
    int flags;
} image;

static bd_status spec_check(const bd_batcher_spec *s) {
    BD_REQUIRE(s->n >= 1, BD_E_ARG, "batches: a data set of %d images", s->n);
    BD_REQUIRE(s->T >= 0 && (s->T == 0) == (s->coef == NULL), BD_E_ARG,
               "batches: %d timesteps %s a table of coefficients", s->T,
               s->coef ? "with" : "without");
    return BD_OK;
}

static bool is_used(const bd_batcher_spec *s, int row) {
    return !s->flags || s->flags[row] != BD_ROW_UNUSED;
}

bd_status bd_batcher_create(bd_batcher **out, const bd_batcher_spec *spec) {
    *out = NULL;
    BD_TRY(spec_check(spec));
    bd_batcher *b = calloc(1, sizeof *b);
    BD_REQUIRE(b, BD_E_MEMORY, "batches: no memory");
    b->spec = *spec;
    b->order_epoch = -1;
    int rc = pthread_mutex_init(&b->lock, NULL);
    if (rc) {
        free(b);
        return bd_fail(BD_E_MEMORY, "batches: no lock (%s)", strerror(rc));
    }
    b->rows = malloc((size_t)spec->n * sizeof *b->rows);
    b->order = malloc((size_t)spec->n * sizeof *b->order);
    bd_status st;
    if (!b->rows || !b->order)
        BD_FAIL_TO(fail, st, BD_E_MEMORY, "batches: no memory for %d rows", spec->n);
    for (int i = 0; i < spec->n; i++)
        if (is_used(spec, i)) b->rows[b->used++] = (uint32_t)i;
    if (b->used == 0)
        BD_FAIL_TO(fail, st, BD_E_ARG, "batches: the split uses none of %d images", spec->n);
    *out = b;
    return BD_OK;
fail:
    bd_batcher_destroy(b);
    return st;
}

void bd_batcher_destroy(bd_batcher *b) {
    if (!b) return;
    pthread_mutex_destroy(&b->lock);
    free(b->rows);
    free(b->order);
    free(b);
}

int64_t bd_batcher_images(const bd_batcher *b) { return b->used; }

/* Data set rows of positions first .. first+count-1 of an epoch. */
static void rows_get(uint32_t *rows, bd_batcher *b, int64_t epoch, int64_t first, int count) {
    pthread_mutex_lock(&b->lock);
    if (b->order_epoch != epoch) {
        bd_rng_permutation(b->order, b->used,
                           (bd_rng_key){b->spec.seed, BD_STREAM_SHUFFLE, (uint32_t)epoch, 0});
        b->order_epoch = epoch;
    }
    for (int i = 0; i < count; i++) rows[i] = b->rows[b->order[first + i]];
    pthread_mutex_unlock(&b->lock);
}

static int flags_of(const bd_batcher *b, uint32_t row, int64_t epoch, int64_t position) {
    const bd_batcher_spec *s = &b->spec;
    int flags = s->flags && s->flags[row] == BD_ROW_POISONED ? BD_BATCH_POISONED : 0;
    if (!s->flip) return flags;
    uint32_t word;
    bd_rng_bits(&word, 1, (bd_rng_key){s->seed, BD_STREAM_FLIP, (uint32_t)epoch, 0},
                (size_t)position);
    return flags | (word & 1 ? BD_BATCH_MIRROR : 0);
}

static void timestep_set(const bd_batch_rows *out, const bd_batcher_spec *s, int i, int place,
                         int64_t step) {
    static const float plain[4] = {1.0f, 0.0f, 0.0f, 0.0f};
    uint32_t t = 0;
    if (s->T)
        t = bd_rng_below((bd_rng_key){s->seed, BD_STREAM_TIMESTEP, (uint32_t)place, (uint32_t)step},
                         0, (uint32_t)s->T);
    if (out->timestep) out->timestep[i] = (float)t;
    if (out->coef) memcpy(out->coef + (size_t)4 * i, s->T ? s->coef[t] : plain, sizeof plain);
}

static void row_set(const bd_batch_rows *out, const bd_batcher *b, const bd_batch_place *at, int i,
                    image m) {
    int place = at->place + i;
    if (out->index) out->index[i] = (int32_t)m.row;
    if (out->flags) out->flags[i] = m.flags;
    if (out->label) out->label[i] = b->spec.labels[m.row];
    if (out->weight) out->weight[i] = i < at->count ? at->weight : 0.0f;
    if (out->key) {
        int32_t *key = out->key + (size_t)4 * i;
        key[0] = (int32_t)(uint32_t)b->spec.seed;
        key[1] = (int32_t)(uint32_t)(b->spec.seed >> 32);
        key[2] = place;
        key[3] = (int32_t)(uint32_t)at->step;
    }
    timestep_set(out, &b->spec, i, place, at->step);
}

static bd_status place_check(const bd_batch_rows *out, const bd_batcher *b,
                             const bd_batch_place *at) {
    BD_REQUIRE(!out->label || b->spec.labels, BD_E_ARG,
               "batches: labels asked for, but the data set has none");
    BD_REQUIRE(at->rows >= 1 && at->count >= 0 && at->count <= at->rows && at->place >= 0, BD_E_ARG,
               "batches: %d images in %d rows at place %d", at->count, at->rows, at->place);
    BD_REQUIRE(at->epoch >= 0 && at->epoch <= UINT32_MAX && at->step >= 0 && at->step <= UINT32_MAX,
               BD_E_ARG, "batches: epoch %lld, step %lld: both must be in 0..2^32-1",
               (long long)at->epoch, (long long)at->step);
    BD_REQUIRE(at->first >= 0 && at->first + at->count <= (int64_t)b->used, BD_E_ARG,
               "batches: images %lld..%lld of an epoch of %u", (long long)at->first,
               (long long)at->first + at->count - 1, b->used);
    return BD_OK;
}

enum { CHUNK = 64 };

bd_status bd_batcher_fill(const bd_batch_rows *out, bd_batcher *b, const bd_batch_place *at) {
    BD_TRY(place_check(out, b, at));
    image m = {b->rows[0], 0};
    uint32_t rows[CHUNK];
    for (int i = 0; i < at->count; i += CHUNK) {
        int n = at->count - i < CHUNK ? at->count - i : CHUNK;
        rows_get(rows, b, at->epoch, at->first + i, n);
        for (int k = 0; k < n; k++) {
            m = (image){rows[k], flags_of(b, rows[k], at->epoch, at->first + i + k)};
            row_set(out, b, at, i + k, m);
        }
    }
    for (int i = at->count; i < at->rows; i++)
        row_set(out, b, at, i, m); /* padding: the last image again */
    return BD_OK;
}
