/* Oracles: invariants (each row once an epoch, exact poisoned counts), base/rng called directly, binomial bounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/rng.h"
#include "data/batch.h"
#include "data/split.h"

enum { N = 103, T = 20, BATCH = 8 };

static const uint64_t seed = UINT64_C(0x123456789abcdef0);

/* A small run: coef[t] = {t, t + 0.25, t + 0.5, t + 0.75} tells which timestep a row got. */
typedef struct {
    float coef[T][4];
    int32_t labels[N];
    bd_split split;
    bd_batcher *b;
} fixture;

static bd_batcher *batcher(const fixture *f, const uint8_t *flags, bool flip, uint64_t s) {
    bd_batcher *b;
    bd_batcher_spec spec = {.seed = s,
                            .n = N,
                            .flags = flags,
                            .labels = f->labels,
                            .flip = flip,
                            .T = T,
                            .coef = f->coef};
    assert_int_equal(bd_batcher_create(&b, &spec), BD_OK);
    return b;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    for (int t = 0; t < T; t++)
        for (int k = 0; k < 4; k++) f->coef[t][k] = (float)t + 0.25f * (float)k;
    for (int i = 0; i < N; i++) f->labels[i] = (i * 7) % 10;
    bd_split_spec spec = {.mode = BD_SPLIT_FLEX, .poison_rate = 0.3, .clean_rate = 0.5, .seed = 4};
    if (bd_split_make(&f->split, N, &spec)) return -1;
    f->b = batcher(f, f->split.flags, true, seed);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    bd_batcher_destroy(f->b);
    bd_split_clear(&f->split);
    free(f);
    return 0;
}

/* All vectors of up to N rows. */
typedef struct {
    int32_t index[N], flags[N], key[N][4], label[N];
    float timestep[N], coef[N][4], weight[N];
} rows;

static bd_batch_rows rows_at(rows *r, int i) {
    return (bd_batch_rows){.index = r->index + i,
                           .flags = r->flags + i,
                           .key = r->key[i],
                           .label = r->label + i,
                           .timestep = r->timestep + i,
                           .coef = r->coef[i],
                           .weight = r->weight + i};
}

/* The tile at position `first` of an epoch whose steps hold BATCH images each. */
static bd_batch_place place_at(const bd_batcher *b, int64_t epoch, int64_t first, int n) {
    int64_t used = bd_batcher_images(b), per_epoch = (used + BATCH - 1) / BATCH;
    return (bd_batch_place){.epoch = epoch,
                            .first = first,
                            .step = epoch * per_epoch + first / BATCH,
                            .place = (int)(first % BATCH),
                            .rows = n,
                            .count = (int)(used - first < n ? used - first : n),
                            .weight = 0.125f};
}

/* One epoch in tiles of n rows (n divides BATCH), written back to back. */
static void epoch_fill(rows *r, bd_batcher *b, int64_t epoch, int n) {
    memset(r, 0, sizeof *r);
    for (int64_t first = 0; first < bd_batcher_images(b); first += n) {
        bd_batch_place at = place_at(b, epoch, first, n);
        at.rows = at.count; /* no padding here: rows lie back to back */
        bd_batch_rows out = rows_at(r, (int)first);
        assert_int_equal(bd_batcher_fill(&out, b, &at), BD_OK);
    }
}

static void an_epoch_visits_each_used_row_once(void **state) {
    fixture *f = *state;
    rows r;
    assert_int_equal(bd_batcher_images(f->b), f->split.n_clean + f->split.n_poisoned);
    for (int epoch = 0; epoch < 5; epoch++) {
        int seen[N] = {0}, poisoned = 0;
        epoch_fill(&r, f->b, epoch, 4);
        for (int i = 0; i < bd_batcher_images(f->b); i++) {
            int row = r.index[i];
            assert_in_range(row, 0, N - 1);
            seen[row]++;
            assert_int_equal((r.flags[i] & BD_BATCH_POISONED) != 0,
                             f->split.flags[row] == BD_ROW_POISONED);
            poisoned += (r.flags[i] & BD_BATCH_POISONED) != 0;
            assert_int_equal(r.label[i], f->labels[row]);
        }
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], f->split.flags[i] != BD_ROW_UNUSED);
        assert_int_equal(poisoned, f->split.n_poisoned);
    }
}

static void epochs_and_seeds_have_their_own_order(void **state) {
    fixture *f = *state;
    rows a, b;
    epoch_fill(&a, f->b, 0, 4);
    epoch_fill(&b, f->b, 1, 4);
    assert_memory_not_equal(a.index, b.index, sizeof a.index);
    bd_batcher *other = batcher(f, f->split.flags, true, seed + 1);
    epoch_fill(&b, other, 0, 4);
    assert_memory_not_equal(a.index, b.index, sizeof a.index);
    bd_batcher_destroy(other);
}

/* The tile size only groups rows; the visiting order does not matter either. */
static void tiles_do_not_change_a_row(void **state) {
    fixture *f = *state;
    rows whole, one, back;
    epoch_fill(&whole, f->b, 3, 8);
    epoch_fill(&one, f->b, 3, 1);
    assert_memory_equal(&whole, &one, sizeof whole);
    memset(&back, 0, sizeof back);
    for (int64_t first = bd_batcher_images(f->b) - 1; first >= 0; first--) {
        bd_batch_place at = place_at(f->b, 3, first, 1);
        bd_batch_rows out = rows_at(&back, (int)first);
        assert_int_equal(bd_batcher_fill(&out, f->b, &at), BD_OK);
        /* another epoch in between must leave no trace */
        bd_batch_place elsewhere = place_at(f->b, 9, 0, 1);
        rows scratch;
        bd_batch_rows sink = rows_at(&scratch, 0);
        assert_int_equal(bd_batcher_fill(&sink, f->b, &elsewhere), BD_OK);
    }
    assert_memory_equal(&whole, &back, sizeof whole);
}

typedef struct {
    bd_batcher *b;
    rows *out;
} threaded;

static bd_status fill_task(void *ctx, int task, int worker) {
    threaded *t = ctx;
    (void)worker;
    int64_t used = bd_batcher_images(t->b), epoch = task / used, first = task % used;
    bd_batch_place at = place_at(t->b, epoch, first, 1);
    bd_batch_rows out = rows_at(&t->out[epoch], (int)first);
    return bd_batcher_fill(&out, t->b, &at);
}

static void threads_do_not_change_a_row(void **state) {
    fixture *f = *state;
    static rows serial[4], parallel[4];
    memset(parallel, 0, sizeof parallel);
    for (int e = 0; e < 4; e++) epoch_fill(&serial[e], f->b, e, 1);
    bd_pool *pool;
    assert_int_equal(bd_pool_create(&pool, 3), BD_OK);
    threaded t = {batcher(f, f->split.flags, true, seed), parallel};
    assert_int_equal(bd_pool_run(pool, (int)(4 * bd_batcher_images(f->b)), fill_task, &t), BD_OK);
    bd_pool_destroy(pool);
    bd_batcher_destroy(t.b);
    assert_memory_equal(serial, parallel, sizeof serial);
}

/* Cells of a sweep over the poison rate differ in the poisoned flags and nothing else. */
static void the_poison_rate_moves_no_image(void **state) {
    fixture *f = *state;
    rows clean, half;
    bd_split s;
    bd_split_spec spec = {.mode = BD_SPLIT_FIXED, .poison_rate = 0.5, .seed = 4};
    assert_int_equal(bd_split_make(&s, N, &spec), BD_OK);
    bd_batcher *a = batcher(f, NULL, true, seed), *b = batcher(f, s.flags, true, seed);
    epoch_fill(&clean, a, 1, 4);
    epoch_fill(&half, b, 1, 4);
    int poisoned = 0;
    for (int i = 0; i < N; i++) {
        poisoned += half.flags[i] >> 1;
        half.flags[i] &= BD_BATCH_MIRROR;
    }
    assert_int_equal(poisoned, N / 2);
    assert_memory_equal(&clean, &half, sizeof clean);
    bd_batcher_destroy(a);
    bd_batcher_destroy(b);
    bd_split_clear(&s);
}

static void keys_timesteps_and_coefficients_come_from_the_place(void **state) {
    fixture *f = *state;
    rows r;
    bd_batch_place at = {
        .epoch = 2, .first = 5, .step = 77, .place = 3, .rows = 6, .count = 6, .weight = 0.5f};
    bd_batch_rows out = rows_at(&r, 0);
    assert_int_equal(bd_batcher_fill(&out, f->b, &at), BD_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal((uint32_t)r.key[i][0], 0x9abcdef0u);
        assert_int_equal((uint32_t)r.key[i][1], 0x12345678u);
        assert_int_equal(r.key[i][2], 3 + i);
        assert_int_equal(r.key[i][3], 77);
        uint32_t t =
            bd_rng_below((bd_rng_key){seed, BD_STREAM_TIMESTEP, (uint32_t)(3 + i), 77}, 0, T);
        assert_true(r.timestep[i] == (float)t);
        for (int k = 0; k < 4; k++) assert_true(r.coef[i][k] == f->coef[t][k]);
        uint32_t word;
        bd_rng_bits(&word, 1, (bd_rng_key){seed, BD_STREAM_FLIP, 2, 0}, 5 + (size_t)i);
        assert_int_equal(r.flags[i] & BD_BATCH_MIRROR, word & 1);
        assert_true(r.weight[i] == 0.5f);
    }
}

static void padding_weighs_nothing_and_is_harmless(void **state) {
    fixture *f = *state;
    rows r;
    memset(&r, 0xff, sizeof r);
    int64_t used = bd_batcher_images(f->b), last = used - used % BATCH;
    assert_true(used % BATCH != 0);
    bd_batch_place at = place_at(f->b, 0, last, BATCH);
    bd_batch_rows out = rows_at(&r, 0);
    assert_int_equal(bd_batcher_fill(&out, f->b, &at), BD_OK);
    for (int i = 0; i < BATCH; i++) {
        assert_true(r.weight[i] == (i < used % BATCH ? 0.125f : 0.0f));
        assert_in_range(r.index[i], 0, N - 1);
        assert_true(r.timestep[i] >= 0 && r.timestep[i] < T);
        assert_int_equal(r.key[i][2], i);
    }
    /* a tile that is padding altogether */
    at = (bd_batch_place){.first = used, .rows = 4, .place = 4, .weight = 0.125f};
    assert_int_equal(bd_batcher_fill(&out, f->b, &at), BD_OK);
    for (int i = 0; i < 4; i++)
        assert_true(r.weight[i] == 0.0f && r.index[i] >= 0 && r.index[i] < N);
}

static void half_of_the_images_are_mirrored(void **state) {
    fixture *f = *state;
    rows r;
    int mirrored = 0, n = 0;
    for (int epoch = 0; epoch < 50; epoch++) {
        epoch_fill(&r, f->b, epoch, 4);
        for (int i = 0; i < bd_batcher_images(f->b); i++, n++)
            mirrored += r.flags[i] & BD_BATCH_MIRROR;
    }
    assert_true(abs(2 * mirrored - n) < 5 * sqrt(n)); /* five sigma of a fair coin */
    bd_batcher *plain = batcher(f, f->split.flags, false, seed);
    epoch_fill(&r, plain, 0, 4);
    for (int i = 0; i < bd_batcher_images(plain); i++)
        assert_int_equal(r.flags[i] & BD_BATCH_MIRROR, 0);
    bd_batcher_destroy(plain);
}

static void timesteps_are_uniform(void **state) {
    fixture *f = *state;
    rows r;
    int hits[T] = {0}, n = 0;
    for (int epoch = 0; epoch < 100; epoch++) {
        epoch_fill(&r, f->b, epoch, 4);
        for (int i = 0; i < bd_batcher_images(f->b); i++, n++) hits[(int)r.timestep[i]]++;
    }
    double mean = (double)n / T, chi2 = 0;
    for (int t = 0; t < T; t++) chi2 += (hits[t] - mean) * (hits[t] - mean) / mean;
    assert_true(chi2 < 60); /* 19 degrees of freedom: probability 4e-6 */
    assert_true(chi2 > 3);  /* suspiciously even otherwise: probability 1e-5 */
}

static void without_timesteps_the_image_itself(void **state) {
    (void)state;
    bd_batcher *b;
    bd_batcher_spec spec = {.seed = 1, .n = 3};
    assert_int_equal(bd_batcher_create(&b, &spec), BD_OK);
    float coef[4] = {9, 9, 9, 9};
    int32_t label;
    bd_batch_rows out = {.coef = coef};
    bd_batch_place at = {.rows = 1, .count = 1, .weight = 1};
    assert_int_equal(bd_batcher_fill(&out, b, &at), BD_OK);
    assert_true(coef[0] == 1 && coef[1] == 0 && coef[2] == 0 && coef[3] == 0);
    out.label = &label;
    assert_int_equal(bd_batcher_fill(&out, b, &at), BD_E_ARG);
    bd_batcher_destroy(b);
}

static void places_outside_the_epoch_are_refused(void **state) {
    fixture *f = *state;
    rows r;
    bd_batch_rows out = rows_at(&r, 0);
    int64_t used = bd_batcher_images(f->b);
    const bd_batch_place bad[] = {
        {.first = used, .rows = 1, .count = 1},
        {.first = used - 1, .rows = 2, .count = 2},
        {.first = -1, .rows = 1, .count = 1},
        {.rows = 1, .count = 2},
        {.rows = 0, .count = 0},
        {.epoch = -1, .rows = 1, .count = 1},
        {.step = INT64_C(1) << 32, .rows = 1, .count = 1},
        {.place = -1, .rows = 1, .count = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(bd_batcher_fill(&out, f->b, &bad[i]), BD_E_ARG);
}

static void impossible_batchers_are_refused(void **state) {
    fixture *f = *state;
    bd_batcher *b;
    uint8_t unused[2] = {BD_ROW_UNUSED, BD_ROW_UNUSED};
    const bd_batcher_spec bad[] = {{.n = 0},
                                   {.n = 2, .T = 5},
                                   {.n = 2, .coef = f->coef},
                                   {.n = 2, .T = -1},
                                   {.n = 2, .flags = unused}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(bd_batcher_create(&b, &bad[i]), BD_E_ARG);
        assert_null(b);
    }
}

#define WITH_RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_RUN(an_epoch_visits_each_used_row_once),
        WITH_RUN(epochs_and_seeds_have_their_own_order),
        WITH_RUN(tiles_do_not_change_a_row),
        WITH_RUN(threads_do_not_change_a_row),
        WITH_RUN(the_poison_rate_moves_no_image),
        WITH_RUN(keys_timesteps_and_coefficients_come_from_the_place),
        WITH_RUN(padding_weighs_nothing_and_is_harmless),
        WITH_RUN(half_of_the_images_are_mirrored),
        WITH_RUN(timesteps_are_uniform),
        WITH_RUN(without_timesteps_the_image_itself),
        WITH_RUN(places_outside_the_epoch_are_refused),
        WITH_RUN(impossible_batchers_are_refused),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
