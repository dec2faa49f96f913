/* Oracles: kernels that are wrong in one known way; closed forms; 16-bit conversions by arithmetic in double
 * (cuda_check.c), for every one of the 65536 codes and every tie between two. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cuda_check.h"
#include "emu/emu_api.h"
#include "emu/emu_cases.h"
#include "ref/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define ASAN true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN true
#endif
#endif
#ifndef ASAN
#define ASAN false
#endif

enum { N = 512 };

static const bd_cuda_platform *p;
static void *stream;
static float *x, *y; /* N numbers on the device */
static float host[N];

static int setup(void **state) {
    (void)state;
    p = bd_cuda_platform_get();
    if (strcmp(p->name, "emulator") != 0) return -1;
    void *px = NULL, *py = NULL;
    ref_fill_f32(host, N, 7);
    if (p->stream_create(&stream) || p->device_alloc(&px, sizeof host) ||
        p->device_alloc(&py, sizeof host))
        return -1;
    x = px;
    y = py;
    return p->copy(x, host, sizeof host, stream) || p->fill(y, 0xff, sizeof host, stream);
}

static int teardown(void **state) {
    (void)state;
    emu_set_order(EMU_FORWARD);
    emu_set_lazy(false);
    emu_fail_after(0);
    emu_forget_error();
    int st = p->device_free(x);
    st = p->device_free(y) || st;
    st = p->stream_destroy(stream) || st;
    if (emu_allocations()) print_message("%zu allocations are left\n", emu_allocations());
    return st || emu_allocations() ? -1 : 0;
}

static void read_y(void *to) { assert_int_equal(p->copy(to, y, sizeof host, stream), 0); }

/* Runs a case in one order on a y of NaN; y into got. */
static int run(emu_case_name which, int order, int n, void *got) {
    assert_int_equal(p->fill(y, 0xff, sizeof host, stream), 0);
    emu_set_order(order);
    int st = emu_case(which, y, x, n, stream);
    emu_set_order(EMU_FORWARD);
    read_y(got);
    return st;
}

static int different_orders(emu_case_name which, int n) {
    uint32_t first[N], got[N]; /* bits: NaN equals itself */
    int different = 0;
    assert_int_equal(run(which, EMU_FORWARD, n, first), 0);
    for (int order = 1; order < EMU_ORDERS; order++) {
        assert_int_equal(run(which, order, n, got), 0);
        different += memcmp(first, got, sizeof got) != 0;
    }
    return different;
}

/* ---- right kernels */

static void sums_by_shuffles_and_by_shared_memory(void **state) {
    (void)state;
    float got[N];
    for (int which = CASE_SUM; which <= CASE_TREE; which++) {
        assert_int_equal(different_orders((emu_case_name)which, N), 0);
        assert_int_equal(run((emu_case_name)which, EMU_FORWARD, N, got), 0);
        for (int b = 0; b < N / 128; b++) {
            double want = 0.0, size = 0.0;
            for (int i = 0; i < 128; i++) {
                want += (double)host[b * 128 + i];
                size += fabs((double)host[b * 128 + i]);
            }
            /* A tree of depth 7 rounds each summand 7 times. */
            assert_true(fabs((double)got[b] - want) <= 7 * 0x1p-24 * size && size > 64.0);
        }
    }
    assert_int_equal(p->stream_sync(stream), 0);
}

static void threads_that_do_not_wait_run_as_a_loop(void **state) {
    (void)state;
    float got[N];
    assert_int_equal(different_orders(CASE_SCALE, 500), 0);
    assert_int_equal(run(CASE_SCALE, EMU_REVERSE, 500, got), 0);
    for (int i = 0; i < 500; i++) assert_true(got[i] == 3.0f * host[i]);
    for (int i = 500; i < N; i++) assert_true(isnan(got[i]));
}

static void every_thread_has_its_place_once(void **state) {
    (void)state;
    void *q = NULL;
    static int got[768];
    assert_int_equal(p->device_alloc(&q, sizeof got), 0);
    for (int order = 0; order < EMU_ORDERS; order++) {
        for (int which = CASE_PLACE; which <= CASE_PLACE_SYNC; which++) {
            assert_int_equal(p->fill(q, 0, sizeof got, stream), 0);
            emu_set_order(order);
            assert_int_equal(emu_case((emu_case_name)which, q, x, 0, stream), 0);
            assert_int_equal(p->copy(got, q, sizeof got, stream), 0);
            for (int i = 0; i < 768; i++) assert_int_equal(got[i], i / 64 * 1000 + i % 64);
        }
    }
    assert_int_equal(p->device_free(q), 0);
}

static void shuffles_read_the_lane_that_cuda_says(void **state) {
    (void)state;
    int got[N];
    for (int order = 0; order < EMU_ORDERS; order++) {
        assert_int_equal(run(CASE_SHUFFLE, order, 0, got), 0);
        for (int i = 0; i < 32; i++) {
            int first = i / 8 * 8; /* of the group of 8 */
            assert_int_equal(got[i], first + 3);
            assert_int_equal(got[32 + i], i ^ 5);
            assert_int_equal(got[64 + i], i + 3 < first + 8 ? i + 3 : i);
            assert_int_equal(got[96 + i], i - 3 >= first ? i - 3 : i);
            assert_int_equal(got[128 + i], 1);
            assert_int_equal(got[160 + i], i < 16 ? i ^ 1 : i ^ 2);
        }
    }
}

static void a_block_of_1024_threads_waits(void **state) {
    (void)state;
    void *q = NULL;
    static float got[1024];
    assert_int_equal(p->device_alloc(&q, sizeof got), 0);
    assert_int_equal(emu_case(CASE_WAIT, q, x, 1024, stream), 0);
    assert_int_equal(p->copy(got, q, sizeof got, stream), 0);
    for (int i = 0; i < 1024; i++) assert_true(got[i] == 1.0f);
    assert_int_equal(p->device_free(q), 0);
}

/* ---- wrong kernels */

static void shared_memory_is_nan_when_a_block_starts(void **state) {
    (void)state;
    float got[N];
    assert_int_equal(run(CASE_FRESH, EMU_FORWARD, 0, got), 0);
    for (int i = 0; i < 96; i++) assert_true(got[i] == 1.0f);
}

static void a_missing_barrier_shows(void **state) {
    (void)state;
    float got[N];
    assert_true(different_orders(CASE_NO_BARRIER, 0) > 0);
    assert_int_equal(run(CASE_NO_BARRIER, EMU_FORWARD, 0, got), 0);
    assert_true(isnan(got[0]) && got[127] == host[0]); /* read before it was written */
    assert_int_equal(run(CASE_NO_BARRIER, EMU_REVERSE, 0, got), 0);
    assert_true(got[0] == host[1] && isnan(got[127])); /* the other way round */
}

static void a_sum_in_the_order_of_threads_shows(void **state) {
    (void)state;
    const float zero = 0.0f;
    float sum[EMU_ORDERS];
    int different = 0;
    for (int order = 0; order < EMU_ORDERS; order++) {
        assert_int_equal(p->copy(y, &zero, sizeof zero, stream), 0);
        emu_set_order(order);
        assert_int_equal(emu_case(CASE_RACE, y, x, 0, stream), 0);
        assert_int_equal(p->copy(&sum[order], y, sizeof zero, stream), 0);
        different += sum[order] != sum[0];
    }
    assert_true(different > 0);
}

/* An error: its code from the launch and once more from stream_sync, its text with these words. */
static void expect(int code, int st, const char *word, const char *word2) {
    const char *text = p->error_text(st);
    if (st != code || !strstr(text, word) || !strstr(text, word2)) {
        fail_msg("code %d, \"%s\": not %d with \"%s\", \"%s\"", st, text, code, word, word2);
    }
}
static void expect_twice(int code, int st, const char *word, const char *word2) {
    expect(code, st, word, word2);
    expect(code, p->stream_sync(stream), word, word2);
    assert_int_equal(p->stream_sync(stream), 0);
}

static void divergent_barriers_are_reported(void **state) {
    (void)state;
    for (int order = 0; order < EMU_ORDERS; order++) {
        float got[N];
        expect_twice(EMU_E_KERNEL, run(CASE_EARLY_EXIT, order, 0, got),
                     "case_early_exit_kernel, block (1,0,0)",
                     "40 wait in __syncthreads, 0 in a shuffle or __syncwarp, 24 have left");
        expect_twice(EMU_E_KERNEL, run(CASE_TWO_BARRIERS, order, 0, got), "divergent barrier",
                     "thread 63 at line");
        expect_twice(EMU_E_KERNEL, run(CASE_HALF_SHUFFLE, order, 0, got),
                     "case_half_shuffle_kernel", "16 in a shuffle or __syncwarp, 16 have left");
        expect_twice(EMU_E_KERNEL, run(CASE_OTHER_MASK, order, 0, got),
                     "not in its own mask 0000ffff", "block (0,0,0), thread (");
    }
}

static void a_barrier_in_a_plain_launch_is_reported(void **state) {
    (void)state;
    float got[N];
    expect_twice(EMU_E_KERNEL, run(CASE_BARRIER_IN_PLAIN, EMU_FORWARD, 0, got),
                 "kernel case_barrier_kernel, block (0,0,0), thread (5,0,0)", "use BD_LAUNCH_SYNC");
    assert_true(got[5] == 1.0f && isnan(got[6])); /* it was left there */
    assert_int_equal(run(CASE_SCALE, EMU_FORWARD, N, got), 0);
}

static void launches_that_no_device_accepts(void **state) {
    (void)state;
    float got[N];
    expect_twice(EMU_E_LAUNCH, run(CASE_GRID, EMU_FORWARD, 0, got), "case_scale_kernel",
                 "grid (1,65536,1)");
    expect_twice(EMU_E_LAUNCH, run(CASE_WAIT, EMU_FORWARD, 33, got), "block (33,1,1)",
                 "multiple of 32");
    expect_twice(EMU_E_LAUNCH, run(CASE_WAIT, EMU_FORWARD, 1056, got), "block (1056,1,1)",
                 "at most 1024");
    expect_twice(EMU_E_LAUNCH, run(CASE_SHARED_MUCH, EMU_FORWARD, 0, got), "232449 bytes",
                 "case_tree_kernel");
    expect_twice(EMU_E_ADDRESS, emu_case(CASE_SCALE, y, host, N, stream), "case_scale_kernel",
                 "argument 1 is not device memory");
}

/* A program with AddressSanitizer stops at the very access: nothing to see here. */
static void accesses_out_of_bounds_are_caught(void **state) {
    (void)state;
    if (ASAN) skip();
    float got[N];
    assert_int_equal(run(CASE_READ_OUT, EMU_FORWARD, N - 16, got), 0);
    assert_true(got[15] == host[N - 1] && isnan(got[16])); /* the guard's NaN */
    expect_twice(EMU_E_ADDRESS, run(CASE_SHARED_OUT, EMU_FORWARD, 0, got),
                 "case_shared_out_kernel, block (0,0,0)",
                 "behind its 128 bytes of static shared memory");
    void *q = NULL;
    for (int before = 0; before < 2; before++) {
        const char *where =
            before ? "before an allocation of 400 bytes" : "behind an allocation of 400 bytes";
        assert_int_equal(p->device_alloc(&q, 400), 0);
        assert_int_equal(emu_case(CASE_WRITE_OUT, q, x, before ? -1 : 100, stream), 0);
        expect(EMU_E_ADDRESS, p->stream_sync(stream), where, "case_write_out_kernel");
        emu_forget_error();
        assert_int_equal(p->device_free(q), 0); /* reported once */
        assert_int_equal(p->device_alloc(&q, 400), 0);
        assert_int_equal(emu_case(CASE_WRITE_OUT, q, x, before ? -1 : 100, stream), 0);
        expect_twice(EMU_E_ADDRESS, p->device_free(q), where, "");
    }
}

/* ---- memory */

static void memory_is_counted_and_starts_as_nan(void **state) {
    (void)state;
    size_t free_bytes = 0, total = 0, before = 0;
    float got[250];
    void *a = NULL, *b = NULL;
    emu_set_memory(1 << 20);
    assert_int_equal(p->memory_info(&before, &total), 0);
    assert_int_equal(total, 1 << 20);
    assert_int_equal(before, (1 << 20) - 2 * sizeof host);
    assert_int_equal(p->device_alloc(&a, sizeof got), 0);
    assert_true((uintptr_t)a % 64 == 0);
    assert_int_equal(p->memory_info(&free_bytes, &total), 0);
    assert_int_equal(before - free_bytes, 1024); /* 1000 bytes in steps of 512 */
    expect(EMU_E_MEMORY, p->device_alloc(&b, free_bytes + 1), "are in use", "of 1048576");
    assert_null(b);
    assert_int_equal(p->device_alloc(&b, free_bytes), 0);
    assert_int_equal(p->copy(got, a, sizeof got, stream), 0);
    for (int i = 0; i < 250; i++) assert_true(isnan(got[i]));
    expect(EMU_E_VALUE, p->copy(got, (char *)a + 4, sizeof got, stream), "copy",
           "leave an allocation");
    expect(EMU_E_VALUE, p->fill(host, 0, sizeof host, stream), "fill", "");
    expect(EMU_E_VALUE, p->device_free((char *)a + 64), "no allocation", "");
    assert_true(emu_on_device(a, 1000) && !emu_on_device(a, 1001) && !emu_on_device(host, 1) &&
                emu_on_device(NULL, 0));
    assert_int_equal(p->device_free(a), 0);
    assert_int_equal(p->device_free(b), 0);
    emu_set_memory((size_t)16 << 30);
}

/* ---- capture */

typedef struct {
    float *to;
    float add;
} library_call;
static void library_run(void *arg) {
    const library_call *c = arg;
    *c->to += c->add; /* the emulator's device memory is the host's */
}

static void a_graph_runs_what_was_recorded(void **state) {
    (void)state;
    void *graph = NULL, *pinned = NULL;
    float got[N];
    assert_int_equal(p->host_alloc(&pinned, sizeof host), 0);
    memcpy(pinned, host, sizeof host);
    assert_int_equal(p->fill(y, 0xff, sizeof host, stream), 0);
    assert_int_equal(p->capture_begin(stream), 0);
    library_call call = {y, 1.0f};
    assert_int_equal(p->copy(x, pinned, sizeof host, stream), 0);
    assert_int_equal(emu_case(CASE_SCALE, y, x, N, stream), 0);
    assert_int_equal(emu_enqueue(stream, library_run, &call, sizeof call), 0);
    assert_int_equal(p->fill(y + 1, 0, sizeof(float), stream), 0);
    call.add = 1000.0f; /* too late: it was copied */
    assert_int_equal(p->capture_end(&graph, stream), 0);
    read_y(got);
    assert_true(isnan(got[0]) && isnan(got[1])); /* nothing ran yet */
    for (int round = 1; round <= 3; round++) {
        float *in = pinned;
        for (int i = 0; i < N; i++) in[i] = (float)(round * i + 1);
        assert_int_equal(p->graph_launch(graph, stream), 0);
        assert_int_equal(p->stream_sync(stream), 0);
        read_y(got);
        assert_true(got[0] == 4.0f && got[1] == 0.0f);
        for (int i = 2; i < N; i++) assert_true(got[i] == 3.0f * in[i]);
    }
    assert_int_equal(p->graph_destroy(graph), 0);
    assert_int_equal(p->host_free(pinned), 0);
    assert_int_equal(p->copy(x, host, sizeof host, stream), 0);
}

static void errors_of_a_graph_come_from_its_launch(void **state) {
    (void)state;
    void *graph = NULL;
    assert_int_equal(p->capture_begin(stream), 0);
    assert_int_equal(emu_case(CASE_EARLY_EXIT, y, x, 0, stream), 0);
    assert_int_equal(p->capture_end(&graph, stream), 0);
    expect_twice(EMU_E_KERNEL, p->graph_launch(graph, stream), "case_early_exit_kernel",
                 "divergent");
    assert_int_equal(p->graph_destroy(graph), 0);
}

static void what_a_capture_does_not_allow(void **state) {
    (void)state;
    void *graph = NULL, *q = NULL, *event = NULL;
    assert_int_equal(p->event_create(&event), 0);
    for (int call = 0; call < 5; call++) {
        assert_int_equal(p->capture_begin(stream), 0);
        int st = call == 0   ? p->device_alloc(&q, 64)
                 : call == 1 ? p->device_free(y)
                 : call == 2 ? p->stream_sync(stream)
                 : call == 3 ? p->event_sync(event)
                             : p->copy(x, host, sizeof host, stream); /* not page-locked */
        expect(EMU_E_CAPTURE, st, "while a stream captures", "");
        st = p->capture_end(&graph, stream);
        expect(EMU_E_CAPTURE, st, "the capture met a call", "");
        assert_null(graph);
    }
    expect(EMU_E_VALUE, p->capture_end(&graph, stream), "does not capture", "");
    expect(EMU_E_CAPTURE, p->capture_begin(NULL), "default stream", "");
    assert_int_equal(p->event_destroy(event), 0);
}

/* Lazy: page-locked memory is read and written when somebody waits, not before. */
static void lazy_streams_run_when_somebody_waits(void **state) {
    (void)state;
    void *in = NULL, *out = NULL, *a = NULL, *b = NULL;
    float ms, got[N];
    assert_int_equal(p->host_alloc(&in, sizeof host), 0);
    assert_int_equal(p->host_alloc(&out, sizeof host), 0);
    assert_int_equal(p->event_create(&a), 0);
    assert_int_equal(p->event_create(&b), 0);
    float *to = out, *from = in;
    emu_set_lazy(true);
    for (int i = 0; i < N; i++) from[i] = 1.0f;
    assert_int_equal(p->copy(x, in, sizeof host, stream), 0);
    from[1] = 2.0f; /* too early: the copy has not run */
    assert_int_equal(p->event_record(a, stream), 0);
    assert_int_equal(emu_case(CASE_SCALE, y, x, N, stream), 0);
    assert_int_equal(p->copy(out, y, sizeof host, stream), 0);
    assert_int_equal(p->event_record(b, stream), 0);
    assert_int_equal(p->event_sync(a), 0);
    from[2] = 2.0f; /* in time */
    assert_true(isnan(to[0]));
    expect(EMU_E_NOT_READY, p->event_ms(&ms, a, b), "not reached", "");
    assert_int_equal(p->event_sync(b), 0);
    assert_true(to[0] == 3.0f && to[1] == 6.0f && to[2] == 3.0f);
    assert_int_equal(p->event_ms(&ms, a, b), 0);
    assert_int_equal(p->fill(y, 0, sizeof host, stream), 0);
    read_y(got); /* a copy to memory that is not page-locked waits by itself */
    assert_true(got[0] == 0.0f);
    assert_int_equal(emu_case(CASE_EARLY_EXIT, y, x, 0, stream), 0);
    expect(EMU_E_KERNEL, p->stream_sync(stream), "case_early_exit_kernel", "divergent");
    emu_set_lazy(false);
    assert_int_equal(p->event_destroy(a), 0);
    assert_int_equal(p->event_destroy(b), 0);
    assert_int_equal(p->host_free(in), 0);
    assert_int_equal(p->host_free(out), 0);
    assert_int_equal(p->copy(x, host, sizeof host, stream), 0);
}

static void events_tell_time(void **state) {
    (void)state;
    void *a = NULL, *b = NULL;
    float ms = -1.0f;
    assert_int_equal(p->event_create(&a), 0);
    assert_int_equal(p->event_create(&b), 0);
    assert_int_not_equal(p->event_ms(&ms, a, b), 0);
    assert_int_equal(p->event_record(a, stream), 0);
    for (int i = 0; i < 20; i++) assert_int_equal(emu_case(CASE_TREE, y, x, N, stream), 0);
    assert_int_equal(p->event_record(b, stream), 0);
    assert_int_equal(p->event_sync(b), 0);
    assert_int_equal(p->event_ms(&ms, a, b), 0);
    assert_true(ms > 0.0f && ms < 60e3f);
    assert_int_equal(p->event_destroy(a), 0);
    assert_int_equal(p->event_destroy(b), 0);
}

/* ---- failure injection, counts */

static int three_calls(void) {
    int st = emu_case(CASE_SCALE, y, x, N, stream);
    if (!st) st = p->copy(host, x, sizeof host, stream);
    if (!st) st = p->stream_sync(stream);
    return st;
}

static void each_call_can_be_made_to_fail(void **state) {
    (void)state;
    long before = emu_calls();
    assert_int_equal(three_calls(), 0);
    assert_int_equal(emu_calls() - before, 3);
    for (int n = 1; n <= 3; n++) {
        before = emu_calls();
        emu_fail_after(n);
        expect(EMU_E_INJECTED, three_calls(),
               n == 1   ? "launch"
               : n == 2 ? "copy"
                        : "stream_sync",
               "on purpose");
        assert_int_equal(emu_calls() - before, n);
        assert_int_equal(three_calls(), 0); /* once only */
    }
    emu_fail_after(1);
    emu_fail_after(0);
    assert_int_equal(three_calls(), 0);
}

static void launches_and_blocks_are_counted(void **state) {
    (void)state;
    unsigned long long launches = 0, blocks = 0, launches2 = 0, blocks2 = 0;
    assert_int_equal(emu_case(CASE_SUM, y, x, N, stream), 0);
    assert_true(emu_count("case_sum_kernel", &launches, &blocks));
    assert_int_equal(emu_case(CASE_SUM, y, x, N, stream), 0);
    assert_true(emu_count("case_sum_kernel", &launches2, &blocks2));
    assert_true(launches >= 1 && launches2 == launches + 1 && blocks2 == blocks + N / 128);
    assert_false(emu_count("no_such_kernel", &launches, &blocks));
    int seen = 0;
    for (int i = 0; i < emu_kernels(); i++) seen += !strcmp(emu_kernel_name(i), "case_sum_kernel");
    assert_int_equal(seen, 1);
}

/* ---- 16-bit floats */

static bd_type type_of(bool bf16) { return bf16 ? BD_TYPE_BF16 : BD_TYPE_F16; }

static bool is_nan16(unsigned u, bool bf16) { return (u & 0x7fff) > (bf16 ? 0x7f80u : 0x7c00u); }

static void every_16_bit_code_survives(void **state) {
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        for (unsigned u = 0; u < 0x10000; u++) {
            float v = emu_case_value(u, bf16);
            if (is_nan16(u, bf16)) {
                assert_true(isnan(v));
                assert_int_equal(emu_case_bits(v, bf16), 0x7fff);
            } else {
                assert_int_equal(emu_case_bits(v, bf16), u);
                assert_true(!isnan(v) && cuda_round((double)v, type_of(bf16)) == (double)v);
            }
        }
    }
    /* Known values of both formats. */
    assert_true(emu_case_value(0x3c00, false) == 1.0f && emu_case_value(0x3f80, true) == 1.0f);
    assert_true(emu_case_value(0x7bff, false) == 65504.0f &&
                emu_case_value(0x0001, false) == 0x1p-24f);
    assert_true(emu_case_value(0x0400, false) == 0x1p-14f &&
                emu_case_value(0xfc00, false) == -INFINITY);
    assert_true(emu_case_value(0x0001, true) == 0x1p-133f &&
                emu_case_value(0x4049, true) == 3.140625f);
}

/* Between neighbours a < b: the tie goes to the even code, the floats beside it to the nearer one. */
static void ties_go_to_the_even_code(void **state) {
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        unsigned infinity = bf16 ? 0x7f80 : 0x7c00;
        for (unsigned u = 0; u < infinity; u++) {
            double a = (double)emu_case_value(u, bf16);
            double b = u + 1 < infinity ? (double)emu_case_value(u + 1, bf16)
                       : bf16           ? 0x1p128
                                        : 65536.0;
            float tie = (float)(a + (b - a) / 2);
            unsigned even = u & 1 ? u + 1 : u;
            assert_int_equal(emu_case_bits(tie, bf16), even);
            assert_int_equal(emu_case_bits(-tie, bf16), even | 0x8000);
            assert_int_equal(emu_case_bits(nextafterf(tie, -INFINITY), bf16), u);
            assert_int_equal(emu_case_bits(nextafterf(tie, INFINITY), bf16), u + 1);
            double rounded = cuda_round((double)tie, type_of(bf16));
            assert_true(even == infinity ? isinf(rounded)
                                         : rounded == (double)emu_case_value(even, bf16));
        }
    }
}

/* Floats of all sizes: every 65521st code (a prime), against rounding in double. */
static void any_float_rounds_as_in_double(void **state) {
    (void)state;
    for (uint64_t u = 0; u < UINT64_C(1) << 32; u += 65521) {
        uint32_t bits = (uint32_t)u;
        float v;
        memcpy(&v, &bits, sizeof v);
        for (int bf16 = 0; bf16 < 2; bf16++) {
            unsigned got = emu_case_bits(v, bf16);
            double want = cuda_round((double)v, type_of(bf16));
            if (isnan(v))
                assert_int_equal(got, 0x7fff);
            else
                assert_true((double)emu_case_value(got, bf16) == want);
            assert_true(isnan(v) || !(got & 0x8000) == !signbit(v));
        }
    }
}

/* ---- what other kernel tests rely on */

static void buffers_of_every_type_come_back(void **state) {
    (void)state;
    static const bd_type types[] = {BD_TYPE_F32, BD_TYPE_F64,  BD_TYPE_I32,
                                    BD_TYPE_U8,  BD_TYPE_BF16, BD_TYPE_F16};
    cuda_begin();
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        double in[64], got[64];
        bool whole = types[t] == BD_TYPE_I32 || types[t] == BD_TYPE_U8;
        ref_fill(in, 64, t + 1);
        for (int i = 0; i < 64; i++) in[i] = whole ? (double)(i * 4) : in[i] * exp2(i - 32);
        void *b = cuda_in(types[t], in, 64);
        cuda_get(got, b);
        for (int i = 0; i < 64; i++) assert_true(got[i] == in[i]);
        b = cuda_out(types[t], 64);
        cuda_get(got, b);
        assert_true(whole ? got[0] == (types[t] == BD_TYPE_U8 ? 255.0 : -1.0) : isnan(got[0]));
    }
    cuda_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_by_shuffles_and_by_shared_memory),
        cmocka_unit_test(threads_that_do_not_wait_run_as_a_loop),
        cmocka_unit_test(every_thread_has_its_place_once),
        cmocka_unit_test(shuffles_read_the_lane_that_cuda_says),
        cmocka_unit_test(a_block_of_1024_threads_waits),
        cmocka_unit_test(shared_memory_is_nan_when_a_block_starts),
        cmocka_unit_test(a_missing_barrier_shows),
        cmocka_unit_test(a_sum_in_the_order_of_threads_shows),
        cmocka_unit_test(divergent_barriers_are_reported),
        cmocka_unit_test(a_barrier_in_a_plain_launch_is_reported),
        cmocka_unit_test(launches_that_no_device_accepts),
        cmocka_unit_test(accesses_out_of_bounds_are_caught),
        cmocka_unit_test(memory_is_counted_and_starts_as_nan),
        cmocka_unit_test(a_graph_runs_what_was_recorded),
        cmocka_unit_test(errors_of_a_graph_come_from_its_launch),
        cmocka_unit_test(what_a_capture_does_not_allow),
        cmocka_unit_test(lazy_streams_run_when_somebody_waits),
        cmocka_unit_test(events_tell_time),
        cmocka_unit_test(each_call_can_be_made_to_fail),
        cmocka_unit_test(launches_and_blocks_are_counted),
        cmocka_unit_test(every_16_bit_code_survives),
        cmocka_unit_test(ties_go_to_the_even_code),
        cmocka_unit_test(any_float_rounds_as_in_double),
        cmocka_unit_test(buffers_of_every_type_come_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
