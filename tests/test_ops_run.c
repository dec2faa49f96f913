/* Oracles: bit equality between runs that must not differ (workers, repeats, tiles split over runs, padding), the
 * float64 reference (gradient norm, Adam), and a count of the memory that a run allocates. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "ref/check.h"
#include "ref/drive.h"
#include "ref/nets.h"

static const bd_backend *const cpu = &bd_backend_cpu;

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

/* --- allocations: this program's own malloc counts the calls --- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 0
#else
#define COUNTS_ALLOCATIONS 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
extern const char __executable_start, etext; /* from the linker: the code of this program */

enum { LARGE = 4096 };
#define NOINLINE __attribute__((noinline)) /* the caller's address tells whose call it is */
static atomic_bool counting;
static atomic_long own_calls, large_calls;

/* Calls from this program's own code, and large ones from wherever they come. */
static void count(const void *caller, size_t n) {
    if (!atomic_load(&counting)) return;
    if ((const char *)caller >= &__executable_start && (const char *)caller < &etext)
        atomic_fetch_add(&own_calls, 1);
    if (n >= LARGE) atomic_fetch_add(&large_calls, 1);
}

NOINLINE void *malloc(size_t n) {
    count(__builtin_return_address(0), n);
    return __libc_malloc(n);
}

NOINLINE void *calloc(size_t n, size_t size) {
    count(__builtin_return_address(0), n * size);
    return __libc_calloc(n, size);
}

NOINLINE void *realloc(void *p, size_t n) {
    count(__builtin_return_address(0), n);
    return __libc_realloc(p, n);
}

NOINLINE int posix_memalign(void **p, size_t align, size_t n) {
    count(__builtin_return_address(0), n);
    *p = __libc_memalign(align, n);
    return *p ? 0 : 12;
}

NOINLINE void *aligned_alloc(size_t align, size_t n) {
    count(__builtin_return_address(0), n);
    return __libc_memalign(align, n);
}
#endif

/* --- a network and its results --- */

enum { N = 4, H = 8, W = 8, C = 3, WIDTH = 8, TILES = 5 };

typedef struct {
    bd_graph *g;
    int loss;
} net;

static net make_net(void) {
    net x;
    ok(bd_graph_create(&x.g, "net"));
    x.loss = ref_unet_loss(x.g, N, H, W, C, WIDTH);
    bd_graph_keep(x.g, bd_graph_node(x.g, bd_graph_node_count(x.g) - 1)->in[0]); /* prediction */
    ok(bd_graph_backward(x.g, x.loss, NULL, 0, NULL));
    return x;
}

static size_t grad_count(const bd_graph *g) {
    size_t n = 0;
    for (int i = 0; i < bd_graph_tensor_count(g); i++)
        if (bd_graph_tensor(g, i)->kind == BD_TENSOR_PARAM)
            n += bd_tensor_count(bd_graph_tensor(g, i));
    return n;
}

/* One slot of every parameter, one after the other; caller frees. */
static float *get_all(const ref_drive *d, bd_slot slot) {
    float *all = malloc((grad_count(d->g) + 1) * sizeof *all), *next = all;
    if (!all) abort();
    for (int i = 0; i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        if (t->kind != BD_TENSOR_PARAM) continue;
        ok(cpu->slot_get(d->engine, slot, i, next));
        next += bd_tensor_count(t);
    }
    return all;
}

static void set_all(const ref_drive *d, bd_slot slot, const float *all) {
    for (int i = 0; i < d->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(d->g, i);
        if (t->kind != BD_TENSOR_PARAM) continue;
        ok(cpu->slot_set(d->engine, slot, i, all));
        all += bd_tensor_count(t);
    }
}

static void same_bits(const char *what, const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes) != 0) fail_msg("%s: bits differ", what);
}

static void same_outputs(const char *what, const ref_drive *a, const ref_drive *b, int tiles) {
    for (int i = 0; i < tiles * a->n_tensors; i++) {
        const bd_tensor *t = bd_graph_tensor(a->g, i % a->n_tensors);
        if (a->out[i])
            same_bits(what, a->out[i], b->out[i], bd_tensor_count(t) * bd_type_size(t->type));
    }
}

static void same_gradients(const char *what, const ref_drive *a, const ref_drive *b) {
    float *x = get_all(a, BD_SLOT_GRAD), *y = get_all(b, BD_SLOT_GRAD);
    same_bits(what, x, y, grad_count(a->g) * sizeof *x);
    free(x);
    free(y);
}

static ref_drive *drive(const net *x, int workers, int max_tiles) {
    ref_drive *d;
    ok(ref_drive_create(&d, cpu, x->g, workers, max_tiles));
    return d;
}

/* Workers and repetition change nothing; tile counts above and below the number of workers. */
static void workers_do_not_change_bits(void **state) {
    (void)state;
    net x = make_net();
    for (int tiles = 1; tiles <= TILES; tiles++) {
        ref_drive *one = drive(&x, 1, TILES);
        ok(ref_drive_run(one, tiles, 1, false));
        for (int workers = 1; workers <= 3; workers++) {
            ref_drive *d = drive(&x, workers, TILES);
            for (int repeat = 0; repeat < 2; repeat++) {
                ok(ref_drive_run(d, tiles, 1, false));
                same_outputs("outputs", one, d, tiles);
                same_gradients("gradients", one, d);
            }
            ref_drive_destroy(d);
        }
        ref_drive_destroy(one);
    }
    bd_graph_destroy(x.g);
}

/* The sum over tiles against float64: a few roundings per tile, see tests/test_ops.c for 2^-24 sqrt(terms). */
static void gradients_are_summed_over_tiles(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *d = drive(&x, 2, TILES);
    for (int tiles = 1; tiles <= TILES; tiles += 2) {
        ok(ref_drive_run(d, tiles, 1, false));
        ref_run *r = ref_drive_truth(x.g, 0, tiles - 1, 1);
        for (int i = 0; i < d->n_tensors; i++) {
            const bd_tensor *t = bd_graph_tensor(x.g, i);
            if (t->kind != BD_TENSOR_GRAD) continue;
            size_t n = bd_tensor_count(t);
            float *f = malloc(n * sizeof *f);
            double *got = malloc(n * sizeof *got);
            if (!f || !got) abort();
            ok(cpu->slot_get(d->engine, BD_SLOT_GRAD, t->param, f));
            ref_to_double(got, t, f);
            double top = ref_max_abs(r->sum[i], n);
            assert_true(ref_near(bd_graph_tensor(x.g, t->param)->name, got, r->sum[i], n,
                                 0x1p-24 * 200 * fmax(top, 1e-3), top < 1e-12));
            free(f);
            free(got);
        }
        ref_run_destroy(r);
    }
    ref_drive_destroy(d);
    bd_graph_destroy(x.g);
}

/* Tiles 0..4 in one run, and 0..2 then 3..4 added to them: the same chain of additions. */
static void accumulate_continues_the_sum(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *whole = drive(&x, 2, TILES), *parts = drive(&x, 2, TILES);
    ok(ref_drive_run(whole, 5, 1, false));
    ok(ref_drive_run(parts, 4, 1, false)); /* to be forgotten by the next run */
    ok(ref_drive_run(parts, 3, 1, false));
    parts->first_tile = 3;
    ok(ref_drive_run(parts, 2, 1, true));
    same_gradients("3 + 2 tiles", whole, parts);
    parts->first_tile = 0;
    ok(ref_drive_run(parts, 1, 1, true));
    float *a = get_all(whole, BD_SLOT_GRAD), *b = get_all(parts, BD_SLOT_GRAD);
    assert_memory_not_equal(a, b,
                            grad_count(x.g) * sizeof *a); /* one more tile does add something */
    free(a);
    free(b);
    ref_drive_destroy(whole);
    ref_drive_destroy(parts);
    bd_graph_destroy(x.g);
}

/* A context of before that spoils the fourth image, whose weight is 0. */
typedef struct {
    const net *x;
    float add;
} padding;

static bd_status fill_padding(void *ctx, int tile, int iter, const bd_view *v) {
    const padding *p = ctx;
    const bd_graph *g = p->x->g;
    for (int i = 0; i < bd_graph_tensor_count(g); i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind != BD_TENSOR_INPUT) continue;
        float *data = bd_view_data(v, i);
        ref_value(g, i, tile, iter, data);
        size_t per = bd_tensor_count(t) / N;
        if (strcmp(t->name, "weight") != 0)
            for (size_t j = 0; j < per; j++) data[3 * per + j] += p->add;
        else
            assert_true(data[3] == 0);
    }
    return BD_OK;
}

static void padding_leaves_no_trace_in_gradients(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *a = drive(&x, 1, 2), *b = drive(&x, 1, 2);
    padding p = {&x, 0}, q = {&x, 0.5f};
    ok(cpu->run(a->engine, &(bd_run){2, 1, fill_padding, NULL, &p, 0}, false));
    ok(cpu->run(b->engine, &(bd_run){2, 1, fill_padding, NULL, &q, 0}, false));
    same_gradients("padding", a, b);
    ref_drive_destroy(a);
    ref_drive_destroy(b);
    bd_graph_destroy(x.g);
}

static bd_status fails_at_tile_2(void *ctx, int tile, int iter, const bd_view *v) {
    (void)ctx;
    (void)iter;
    (void)v;
    return tile == 2 ? bd_fail(BD_E_FORMAT, "tile two is bad") : BD_OK;
}

static void a_failing_callback_stops_the_run(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *d = drive(&x, 2, TILES), *fresh = drive(&x, 2, TILES);
    assert_int_equal(
        cpu->run(d->engine, &(bd_run){TILES, 1, fails_at_tile_2, NULL, NULL, 0}, false),
        BD_E_FORMAT);
    assert_non_null(strstr(bd_error(), "tile two is bad"));
    assert_int_equal(
        cpu->run(d->engine, &(bd_run){TILES, 1, NULL, fails_at_tile_2, NULL, 0}, false),
        BD_E_FORMAT);
    ok(ref_drive_run(d, TILES, 1, false)); /* and the engine is as good as new */
    ok(ref_drive_run(fresh, TILES, 1, false));
    same_gradients("after a failure", d, fresh);
    same_outputs("after a failure", d, fresh, TILES);
    ref_drive_destroy(d);
    ref_drive_destroy(fresh);
    bd_graph_destroy(x.g);
}

/* What is set is got, for every slot, whatever layout the engine packs it into; a run changes gradients only. */
static void slots_hold_what_they_are_given(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *d = drive(&x, 1, 1);
    size_t n = grad_count(x.g);
    float *given[4];
    for (int s = 0; s < 4; s++) {
        given[s] = malloc(n * sizeof **given);
        if (!given[s]) abort();
        ref_fill_f32(given[s], n, (uint64_t)s + 77);
        set_all(d, (bd_slot)s, given[s]);
    }
    for (int round = 0; round < 2; round++) {
        for (int s = 0; s < 4; s++) {
            float *got = get_all(d, (bd_slot)s);
            if (round == 0 || s != BD_SLOT_GRAD)
                same_bits("slot", got, given[s], n * sizeof *got);
            else
                assert_memory_not_equal(got, given[s], n * sizeof *got);
            free(got);
        }
        ok(ref_drive_run(d, 1, 1, false));
    }
    for (int s = 0; s < 4; s++) free(given[s]);
    ref_drive_destroy(d);
    bd_graph_destroy(x.g);
}

/* New weights must reach every packed copy of them. */
static void new_weights_take_effect(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *d = drive(&x, 1, 1), *fresh = drive(&x, 1, 1);
    float *weights = get_all(d, BD_SLOT_PARAM);
    size_t n = grad_count(x.g);
    float *other = malloc(n * sizeof *other);
    if (!other) abort();
    for (size_t i = 0; i < n; i++) other[i] = weights[i] * 0.5f;
    set_all(d, BD_SLOT_PARAM, other);
    ok(ref_drive_run(d, 1, 1, false));
    set_all(d, BD_SLOT_PARAM, weights);
    ok(ref_drive_run(d, 1, 1, false));
    ok(ref_drive_run(fresh, 1, 1, false));
    same_outputs("weights set twice", d, fresh, 1);
    same_gradients("weights set twice", d, fresh);
    free(weights);
    free(other);
    ref_drive_destroy(d);
    ref_drive_destroy(fresh);
    bd_graph_destroy(x.g);
}

/* --- gradient norm and Adam --- */

/* Parameters of awkward sizes: one element, around a vector, around a block of 4096. */
static const int sizes[] = {1, 3, 15, 16, 17, 4095, 4096, 4097, 9001};
enum { SIZES = sizeof sizes / sizeof *sizes };

static net make_vectors(void) {
    net x;
    ok(bd_graph_create(&x.g, "vectors"));
    int h = -1, total = 0;
    for (int i = 0; i < SIZES; i++) {
        int p = bd_silu(x.g, ref_param(x.g, 1, 1, 1, sizes[i]));
        h = i ? bd_concat(x.g, h, p) : p;
        total += sizes[i];
    }
    int target = bd_graph_input(x.g, "target", BD_TYPE_F32, 1, 1, 1, total);
    x.loss = bd_mse(x.g, h, target, bd_graph_input(x.g, "weight", BD_TYPE_F32, 1, 1, 1, 1));
    bd_graph_keep(x.g, x.loss);
    ok(bd_graph_backward(x.g, x.loss, NULL, 0, NULL));
    return x;
}

/* Several thousand squares: the tree sums 4096 at a time, 2^-24 sqrt(4096) = 4e-6 at the very most in float, far
 * less in double. */
static void grad_norm_equals_the_reference(void **state) {
    (void)state;
    net x = make_vectors();
    ref_drive *d = drive(&x, 2, 1), *other = drive(&x, 3, 1);
    size_t n = grad_count(x.g);
    float *grad = malloc(n * sizeof *grad);
    double *wide = malloc(n * sizeof *wide), norm, again;
    if (!grad || !wide) abort();
    ref_fill_f32(grad, n, 5);
    for (size_t i = 0; i < n; i++) wide[i] = grad[i];
    set_all(d, BD_SLOT_GRAD, grad);
    set_all(other, BD_SLOT_GRAD, grad);
    ref_model m = {.n_params = 1, .count = &n, .grad = &wide};
    ref_grad_norm(&m);
    ok(cpu->grad_norm(d->engine, &norm));
    assert_true(ref_near("norm", &norm, &m.norm, 1, 4e-6 * m.norm, false));
    ok(cpu->grad_norm(other->engine, &again));
    same_bits("norm with other workers", &norm, &again, sizeof norm);

    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) { /* first, last, and somewhere in a later block */
        size_t at = i == 0 ? 0 : i == 1 ? n - 1 : n / 2;
        float keep = grad[at];
        grad[at] = bad[i];
        set_all(d, BD_SLOT_GRAD, grad);
        assert_int_equal(cpu->grad_norm(d->engine, &norm), BD_E_NUMERIC);
        grad[at] = keep;
    }
    memset(grad, 0, n * sizeof *grad);
    set_all(d, BD_SLOT_GRAD, grad);
    ok(cpu->grad_norm(d->engine, &norm));
    assert_true(norm == 0);
    /* Large gradients are finite too. */
    for (size_t i = 0; i < n; i++) grad[i] = 1e17f;
    set_all(d, BD_SLOT_GRAD, grad);
    ok(cpu->grad_norm(d->engine, &norm));
    double want = (double)1e17f * sqrt((double)n);
    assert_true(ref_near("large norm", &norm, &want, 1, 4e-6 * want, false));
    free(grad);
    free(wide);
    ref_drive_destroy(d);
    ref_drive_destroy(other);
    bd_graph_destroy(x.g);
}

static void compare_slot(const ref_drive *d, bd_slot slot, const char *what, const double *want,
                         double tol) {
    size_t n = grad_count(d->g);
    float *f = get_all(d, slot);
    double *got = malloc(n * sizeof *got);
    if (!got) abort();
    for (size_t i = 0; i < n; i++) got[i] = f[i];
    assert_true(ref_near(what, got, want, n, tol, false));
    free(f);
    free(got);
}

/* Three updates with and without clipping. Moments are kept in float: three roundings each, 2^-22 of their largest
 * element; a parameter moves by at most about 2 lr an update, known to 2^-20, and is rounded to float each time. */
static void adam_equals_the_reference(void **state) {
    (void)state;
    net x = make_vectors();
    size_t n = grad_count(x.g);
    double *w[4];
    float *f = malloc(n * sizeof *f);
    if (!f) abort();
    for (int s = 0; s < 4; s++)
        if (!(w[s] = malloc(n * sizeof **w))) abort();
    for (int clip = 0; clip < 3; clip++) {
        ref_drive *d = drive(&x, 1 + clip, 1);
        float *start = get_all(d, BD_SLOT_PARAM);
        for (size_t i = 0; i < n; i++) {
            w[BD_SLOT_PARAM][i] = start[i];
            w[BD_SLOT_ADAM_M][i] = w[BD_SLOT_ADAM_V][i] = f[i] = 0;
        }
        free(start);
        set_all(d, BD_SLOT_ADAM_M, f);
        set_all(d, BD_SLOT_ADAM_V, f);
        ref_model m = {1,
                       &n,
                       &w[0],
                       &w[1],
                       &w[2],
                       &w[3],
                       {1e-2, 0.9, 0.999, 1e-8, (double[]){0, 1, 1e6}[clip], 1, 0},
                       0};
        for (int k = 1; k <= 3; k++) {
            double norm;
            ref_fill_f32(f, n, (uint64_t)k * 31);
            for (size_t i = 0; i < n; i++) w[BD_SLOT_GRAD][i] = f[i];
            set_all(d, BD_SLOT_GRAD, f);
            m.adam.k = k;
            ok(cpu->grad_norm(d->engine, &norm));
            ref_grad_norm(&m);
            ok(cpu->adam(d->engine, &m.adam, norm));
            ref_adam(&m);
            compare_slot(d, BD_SLOT_ADAM_M, "m", w[2], 0x1p-22 * ref_max_abs(w[2], n));
            compare_slot(d, BD_SLOT_ADAM_V, "v", w[3], 0x1p-22 * ref_max_abs(w[3], n));
            compare_slot(d, BD_SLOT_PARAM, "param", w[0], k * (0x1p-20 * 2e-2 + 0x1p-24 * 2));
        }
        ref_drive_destroy(d);
    }
    for (int s = 0; s < 4; s++) free(w[s]);
    free(f);
    bd_graph_destroy(x.g);
}

/* Training goes on from what adam wrote: packed weights included. */
static void a_run_after_adam_uses_the_new_weights(void **state) {
    (void)state;
    net x = make_net();
    ref_drive *d = drive(&x, 2, 2), *fresh = drive(&x, 1, 2);
    const bd_adam a = {1e-2, 0.9, 0.999, 1e-8, 1, 1, 0};
    double norm;
    ok(ref_drive_run(d, 2, 1, false));
    ok(cpu->grad_norm(d->engine, &norm));
    ok(cpu->adam(d->engine, &a, norm));
    float *weights = get_all(d, BD_SLOT_PARAM), *old = get_all(fresh, BD_SLOT_PARAM);
    assert_memory_not_equal(weights, old, grad_count(x.g) * sizeof *old);
    set_all(fresh, BD_SLOT_PARAM, weights);
    ok(ref_drive_run(d, 2, 1, false));
    ok(ref_drive_run(fresh, 2, 1, false));
    same_outputs("after adam", d, fresh, 2);
    same_gradients("after adam", d, fresh);
    free(weights);
    free(old);
    ref_drive_destroy(d);
    ref_drive_destroy(fresh);
    bd_graph_destroy(x.g);
}

/* --- memory --- */

static void nothing_is_allocated_in_a_step(void **state) {
    (void)state;
#if COUNTS_ALLOCATIONS
    net x = make_net();
    ref_drive *d = drive(&x, 2, TILES);
    padding p = {&x, 0}; /* callbacks that allocate nothing themselves */
    const bd_run r = {TILES, 2, fill_padding, NULL, &p, 0};
    const bd_adam a = {1e-3, 0.9, 0.999, 1e-8, 1, 1, 0};
    double norm;
    for (int step = 0; step < 3; step++) {
        if (step == 1) {
            atomic_store(&own_calls, 0);
            atomic_store(&large_calls, 0);
            atomic_store(&counting, true);
        }
        ok(cpu->run(d->engine, &r, false));
        ok(cpu->grad_norm(d->engine, &norm));
        ok(cpu->adam(d->engine, &a, norm));
    }
    atomic_store(&counting, false);
    if (own_calls || large_calls)
        fail_msg("two steps made %ld allocations, and %ld of %d bytes and more", own_calls,
                 large_calls, LARGE);
    /* The counter counts: one small call from here, and one large one. */
    atomic_store(&counting, true);
    void *volatile small = malloc(10), *volatile large = malloc(LARGE);
    atomic_store(&counting, false);
    free(small);
    free(large);
    assert_int_equal(own_calls, 2);
    assert_int_equal(large_calls, 1);
    ref_drive_destroy(d);
    bd_graph_destroy(x.g);
#else
    print_message("a sanitizer owns malloc\n");
    skip();
#endif
}

static void memory_is_accounted(void **state) {
    (void)state;
    net x = make_net();
    size_t bytes = grad_count(x.g) * sizeof(float);
    bd_memory m[2];
    for (int workers = 1; workers <= 2; workers++) {
        ref_drive *d = drive(&x, workers, 1);
        cpu->engine_memory(d->engine, &m[workers - 1]);
        ref_drive_destroy(d);
    }
    assert_true(m[0].params >= bytes);
    assert_true(m[0].optimizer >= 3 * bytes); /* gradient, m, v */
    assert_true(m[0].arena >= (size_t)N * H * W * WIDTH * sizeof(float));
    assert_true(m[0].total >= m[0].params + m[0].optimizer + m[0].arena);
    assert_true(m[0].params == m[1].params && m[0].arena == m[1].arena);
    assert_true(m[1].total - m[0].total >= m[0].arena);
    bd_graph_destroy(x.g);
}

static void a_broken_graph_makes_no_engine(void **state) {
    (void)state;
    bd_graph *g;
    bd_pool *pool;
    bd_engine *e = NULL;
    ok(bd_graph_create(&g, "broken"));
    bd_slice(g, bd_graph_input(g, "x", BD_TYPE_F32, 1, 1, 1, 3), 2, 2);
    ok(bd_pool_create(&pool, 1));
    assert_int_equal(cpu->engine_create(&e, cpu, g, pool), BD_E_SHAPE);
    assert_null(e);
    bd_pool_destroy(pool);
    bd_graph_destroy(g);
}

static void the_fingerprint_names_what_bits_depend_on(void **state) {
    (void)state;
    char a[512], b[512], tiny[4];
    ok(cpu->fingerprint(cpu, a, sizeof a));
    ok(cpu->fingerprint(cpu, b, sizeof b));
    assert_string_equal(a, b);
    assert_true(strlen(a) > 0 && !strchr(a, '\n'));
    assert_non_null(strstr(a, "f32"));
    if (cpu->fingerprint(cpu, tiny, sizeof tiny) == BD_OK)
        fail_msg("a fingerprint was cut to %s", tiny);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_do_not_change_bits),
        cmocka_unit_test(gradients_are_summed_over_tiles),
        cmocka_unit_test(accumulate_continues_the_sum),
        cmocka_unit_test(padding_leaves_no_trace_in_gradients),
        cmocka_unit_test(a_failing_callback_stops_the_run),
        cmocka_unit_test(slots_hold_what_they_are_given),
        cmocka_unit_test(new_weights_take_effect),
        cmocka_unit_test(grad_norm_equals_the_reference),
        cmocka_unit_test(adam_equals_the_reference),
        cmocka_unit_test(a_run_after_adam_uses_the_new_weights),
        cmocka_unit_test(nothing_is_allocated_in_a_step),
        cmocka_unit_test(memory_is_accounted),
        cmocka_unit_test(a_broken_graph_makes_no_engine),
        cmocka_unit_test(the_fingerprint_names_what_bits_depend_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
