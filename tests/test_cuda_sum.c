/* Oracles: sums in float64; the stated tree, replayed in float arithmetic; whole numbers that float32 adds exactly; the
 * same kernel with pointers that only its scalar path takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_check.h"
#include "cuda_compare.h"
#include "ref/check.h"

static const bd_type types[] = {BD_TYPE_F32, BD_TYPE_BF16, BD_TYPE_F16};
static const char *const type_names[] = {"f32", "bf16", "f16"};
enum { TYPES = 3 };
static size_t bytes_of(bd_type t) { return t == BD_TYPE_F32 ? 4 : 2; }

enum { MAX_X = 70000, MAX_Y = 4000 };
static double x[MAX_X + 1], y[MAX_Y + 1], old[MAX_Y + 1], want[MAX_Y + 1], bound[MAX_Y + 1];

typedef struct {
    int groups;
    size_t rows;
    int c;
} shape;
/* One segment (64 rows) or more, a segment of few rows; channels: one, odd, vectors of 8, more than a block takes.
 * The last: more than 256 * 64 rows. Blocks with barriers are slow in the emulator: the larger the shape, the fewer
 * variants. */
static const shape shapes[] = {{1, 1, 1},    {2, 3, 5},   {1, 64, 16},  {2, 63, 8},
                               {3, 65, 3},   {2, 1, 128}, {1, 150, 7},  {1, 129, 64},
                               {1, 70, 136}, {1, 2, 264}, {1, 17000, 1}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], SMALL = 4 };
/* Whether a shape is tried in variant v of `of`: the small ones in all, each other in one, another one for each. */
static bool tried(int i, int v, int of) { return i < SMALL || v == i * 7 % of; }
static size_t x_count(const shape *s) { return (size_t)s->groups * s->rows * (size_t)s->c; }
static size_t y_count(const shape *s) { return (size_t)s->groups * (size_t)s->c; }

/* y = sum_rows(x), over `old` when accumulate. odd: bits 0, 1 and 2 put y, x and the scratch one element off. */
static void execute(const shape *s, bd_type ytype, bd_type xtype, float k, bool accumulate,
                    int odd) {
    static double got[MAX_Y + 1], in[MAX_X + 1], before[MAX_Y + 1];
    size_t oy = odd & 1 ? 1 : 0, ox = odd & 2 ? 1 : 0, os = odd & 4 ? 1 : 0, nx = x_count(s),
           ny = y_count(s);
    assert_true(nx <= MAX_X && ny <= MAX_Y);
    cuda_begin();
    memcpy(in + ox, x, nx * sizeof *x);
    memcpy(before + oy, old, ny * sizeof *old);
    char *dx = cuda_in(xtype, in, nx + ox);
    char *dy = accumulate ? cuda_io(ytype, before, ny + oy) : cuda_out(ytype, ny + oy);
    float *scratch =
        cuda_out(BD_TYPE_F32, bd_k_sum_rows_scratch(s->groups, s->rows, s->c) / sizeof(float) + os);
    CUDA_RUN(sum_rows, .y = dy + oy * bytes_of(ytype), .x = dx + ox * bytes_of(xtype),
             .scratch = scratch + os, .ytype = ytype, .xtype = xtype, .groups = s->groups,
             .c = s->c, .rows = s->rows, .k = k, .accumulate = accumulate);
    cuda_get(got, dy);
    if (oy && !accumulate) assert_true(isnan(got[0])); /* untouched */
    memcpy(y, got + oy, ny * sizeof *y);
    memcpy(x, in + ox, nx * sizeof *x);
    memcpy(old, before + oy, ny * sizeof *old);
    cuda_end();
}

static void fill(uint64_t seed) {
    ref_fill(x, MAX_X, seed);
    ref_fill(old, MAX_Y, seed + 100);
}

/* A lane adds at most rows/lanes + 1 numbers, a tree at most 8 levels; twice: below 64 + 2 * 9 + 2 roundings for these
 * shapes, of partial sums no larger than the sum of magnitudes; then k and y. */
static void results_are_near_sums_in_float64(void **state) {
    (void)state;
    static double size[MAX_Y];
    for (int i = 0; i < SHAPES; i++)
        for (int to = 0; to < TYPES; to++)
            for (int from = 0; from < TYPES; from++)
                for (int accumulate = 0; accumulate < 2; accumulate++) {
                    if (!tried(i, (to * TYPES + from) * 2 + accumulate, TYPES * TYPES * 2))
                        continue;
                    const shape *s = &shapes[i];
                    const float k = 0.37f;
                    fill((uint64_t)i);
                    execute(s, types[to], types[from], k, accumulate != 0, 0);
                    size_t c = (size_t)s->c, n = y_count(s);
                    memset(want, 0, sizeof want);
                    memset(size, 0, sizeof size);
                    for (size_t j = 0; j < x_count(s); j++) {
                        size_t o = j / c / s->rows * c + j % c;
                        want[o] += (double)k * x[j];
                        size[o] += fabs((double)k * x[j]);
                    }
                    for (size_t o = 0; o < n; o++) {
                        if (accumulate) want[o] += old[o];
                        size[o] += accumulate ? fabs(old[o]) : 0;
                        bound[o] = compare_bound(types[to], want[o], 84, size[o]);
                    }
                    char label[96];
                    (void)snprintf(label, sizeof label, "sum_rows %s to %s [%d,%zu,%d]%s",
                                   type_names[from], type_names[to], s->groups, s->rows, s->c,
                                   accumulate ? " accumulate" : "");
                    compare_within(label, y, want, bound, n, 0);
                }
}

/* ---- the tree, in float arithmetic */

static size_t lanes_for(size_t rows, size_t c) {
    size_t lanes = 256;
    while (lanes > 32 && (lanes * c > 4096 || lanes >= 2 * rows)) lanes /= 2;
    return lanes;
}

static float tree(const float *p, size_t rows, size_t step, size_t lanes) {
    float sum[256] = {0};
    for (size_t r = 0; r < rows; r++) sum[r % lanes] += p[r * step];
    for (size_t half = lanes / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}

/* The bits are those of the counts alone: of a replay that knows neither types nor vectors nor blocks. */
static void results_are_the_bits_of_the_stated_tree(void **state) {
    (void)state;
    static float fx[MAX_X], partial[512];
    for (int i = 0; i < SHAPES; i++)
        for (int from = 0; from < TYPES; from++)
            for (int odd = 0; odd < 8; odd++) {
                if (!tried(i, from * 8 + odd, TYPES * 8)) continue;
                const shape *s = &shapes[i];
                fill((uint64_t)i);
                execute(s, BD_TYPE_F32, types[from], 0.5f, false, odd);
                size_t c = (size_t)s->c, per = bd_k_segment_rows(s->rows),
                       most = s->rows < per ? s->rows : per;
                size_t lanes = lanes_for(most, c);
                for (size_t j = 0; j < x_count(s); j++) fx[j] = (float)x[j];
                for (size_t o = 0; o < y_count(s); o++) {
                    const float *group = fx + o / c * s->rows * c + o % c;
                    size_t segments = 0;
                    for (size_t r = 0; r < s->rows; r += per)
                        partial[segments++] =
                            tree(group + r * c, s->rows - r < per ? s->rows - r : per, c, lanes);
                    assert_true(segments == bd_k_segments(s->rows));
                    float sum = segments == 1 ? partial[0]
                                              : tree(partial, segments, 1, lanes_for(segments, c));
                    want[o] = (double)(sum * 0.5f);
                }
                compare_same("sum_rows", y, want, y_count(s));
            }
}

static void sixteen_bit_results_are_float32_results_rounded_once(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int t = 1; t < TYPES; t++)
            for (int from = 0; from < TYPES; from++) {
                if (!tried(i, (t - 1) * TYPES + from, (TYPES - 1) * TYPES)) continue;
                fill((uint64_t)i);
                execute(&shapes[i], BD_TYPE_F32, types[from], 0.37f, false, 0);
                for (size_t o = 0; o < y_count(&shapes[i]); o++)
                    want[o] = cuda_round(y[o], types[t]);
                execute(&shapes[i], types[t], types[from], 0.37f, false, 0);
                compare_same("sum_rows", y, want, y_count(&shapes[i]));
            }
}

/* Every row counts once: whole numbers, no rounding. */
static void whole_numbers_add_up_exactly(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        size_t c = (size_t)s->c;
        memset(want, 0, sizeof want);
        for (size_t j = 0; j < x_count(s); j++) {
            x[j] = (double)(j * 7 % 101) - 40;
            want[j / c / s->rows * c + j % c] += x[j];
        }
        execute(s, BD_TYPE_F32, BD_TYPE_F32, 1.0f, false, 0);
        compare_same("sum_rows", y, want, y_count(s));
    }
}

/* k of NaN, infinity in one row: where they belong and nowhere else. */
static void infinity_and_nan_stay_in_their_channel(void **state) {
    (void)state;
    const shape s = {2, 100, 5};
    fill(3);
    x[(0 * 100 + 70) * 5 + 2] = NAN;
    x[(1 * 100 + 99) * 5 + 4] = INFINITY;
    execute(&s, BD_TYPE_F32, BD_TYPE_F32, 1.0f, false, 0);
    for (int o = 0; o < 10; o++) {
        assert_int_equal(isnan(y[o]) != 0, o == 2);
        assert_int_equal(isinf(y[o]) != 0, o == 9);
    }
}

static void wrong_sums_are_refused(void **state) {
    (void)state;
    enum { INVALID = 1 }; /* cudaErrorInvalidValue */
    fill(1);
    cuda_begin();
    float *d = cuda_io(BD_TYPE_F32, x, 8);
    static const int none[3][3] = {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(CUDA_CALL(sum_rows, .y = d, .x = d, .scratch = d, .ytype = BD_TYPE_F32,
                                   .xtype = BD_TYPE_F32, .groups = none[i][0],
                                   .rows = (size_t)none[i][1], .c = none[i][2], .k = 1),
                         INVALID);
    assert_int_equal(CUDA_CALL(sum_rows, .y = d, .x = d, .scratch = d, .ytype = BD_TYPE_F32,
                               .xtype = BD_TYPE_F64, .groups = 1, .rows = 1, .c = 1, .k = 1),
                     INVALID);
    assert_int_equal(
        CUDA_CALL(spread, .dx = d, .dy = d, .type = BD_TYPE_U8, .n = 1, .hw = 1, .c = 1, .k = 1),
        INVALID);
    cuda_get(y, d);
    compare_same("untouched", y, x, 8);
    cuda_end();
}

/* ---- spread */

/* Exact: one product, rounded to float32 and then to the type. odd: bits 0 and 1 put dx and dy one element off. */
static void spread_repeats_each_row(void **state) {
    (void)state;
    static const int sizes[][3] = {{1, 1, 1},   {2, 5, 3}, {3, 1, 16}, {1, 64, 8},
                                   {2, 9, 128}, {5, 7, 4}, {2, 3, 132}};
    static double dy[MAX_Y + 1], dx[MAX_Y + 1];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int t = 0; t < TYPES; t++)
            for (int odd = 0; odd < 4; odd++) {
                int n = sizes[i][0], hw = sizes[i][1], c = sizes[i][2];
                size_t small = (size_t)n * (size_t)c, all = small * (size_t)hw,
                       row = (size_t)hw * (size_t)c;
                size_t ox = odd & 1 ? 1 : 0, oy = odd & 2 ? 1 : 0;
                const float k = (float)(1.0 / hw);
                assert_true(all <= MAX_Y);
                ref_fill(dy, small + oy, i);
                cuda_begin();
                char *from = cuda_in(types[t], dy, small + oy), *to = cuda_out(types[t], all + ox);
                CUDA_RUN(spread, .dx = to + ox * bytes_of(types[t]),
                         .dy = from + oy * bytes_of(types[t]), .type = types[t], .n = n, .hw = hw,
                         .c = c, .k = k);
                cuda_get(dx, to);
                cuda_end();
                for (size_t j = 0; j < all; j++) {
                    double d = dy[oy + j / row * (size_t)c + j % (size_t)c];
                    want[j] = cuda_round(cuda_round((double)k * d, BD_TYPE_F32), types[t]);
                }
                compare_same("spread", dx + ox, want, all);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_near_sums_in_float64),
        cmocka_unit_test(results_are_the_bits_of_the_stated_tree),
        cmocka_unit_test(sixteen_bit_results_are_float32_results_rounded_once),
        cmocka_unit_test(whole_numbers_add_up_exactly),
        cmocka_unit_test(infinity_and_nan_stay_in_their_channel),
        cmocka_unit_test(wrong_sums_are_refused),
        cmocka_unit_test(spread_repeats_each_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
