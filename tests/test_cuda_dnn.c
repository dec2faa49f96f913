/* Oracles: the plain float64 loops of tests/ref on numbers rounded as the element type rounds; exact counts of plans.
 * The library is the simulated one of tests/emu, a strict judge of what it is told; the real one has
 * tests/test_cuda_plans.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "conv_shapes.h"
#include "cuda/dnn.h"
#include "cuda_check.h"
#include "emu/emu_api.h"
#include "emu/sim_dnn.h"
#include "fault.h"
#include "ref/check.h"
#include "ref/ref_ops.h"
#include "tiny.h"

#define CACHE "test_cuda_dnn.cache"
#define CAPABILITY_90 "{\"deviceVer\":900,\"deviceName\":\"made up\"}"

static bd_dnn *open_dnn(const char *cache, size_t workspace_max) {
    bd_dnn *d;
    bd_dnn_spec s = {.api = &sim_dnn_api,
                     .device = 0,
                     .cache = cache,
                     .device_name = "simulated device",
                     .workspace_max = workspace_max};
    if (bd_dnn_create(&d, &s)) fail_msg("%s", bd_error());
    return d;
}

static const bd_dnn_plan *plan_of(bd_dnn *d, const bd_dnn_conv *c) {
    const bd_dnn_plan *p;
    if (bd_dnn_plan_get(&p, d, c)) fail_msg("%s", bd_error());
    return p;
}

static size_t alive_before;

static int each_setup(void **state) {
    (void)state;
    sim_dnn = sim_dnn_defaults;
    alive_before = sim_dnn_count_alive();
    return bd_file_remove_tree(CACHE);
}
static int each_teardown(void **state) {
    bd_log_set_sink(NULL, NULL);
    fault_disarm();
    sim_dnn_fail_after(0, 0);
    (void)state;
    bool left = sim_dnn_count_alive() != alive_before; /* handles or descriptors */
    return bd_file_remove_tree(CACHE) || left;
}

/* --- convolutions --- */

static bd_dnn_conv conv(int n, int h, int w, int i, int o, bd_conv_attr a) {
    return (bd_dnn_conv){.type = BD_TYPE_F32,
                         .n = n,
                         .h = h,
                         .w = w,
                         .i = i,
                         .oh = (h + a.pad_top + a.pad_bottom - a.kh) / a.stride + 1,
                         .ow = (w + a.pad_left + a.pad_right - a.kw) / a.stride + 1,
                         .o = o,
                         .attr = a};
}

/* The float of the tensor cores: 11 bits with the first, ties away from zero. */
static double tf32(double x) {
    int e;
    double m = frexp(x, &e);
    return ldexp(round(ldexp(m, 11)), e - 11);
}

/* Filters [O,KH,KW,I] as the oracle has them, [O,I,KH,KW], or back. */
static void permute(double *out, const double *in, const bd_dnn_conv *c, bool back) {
    int taps = c->attr.kh * c->attr.kw;
    for (int o = 0; o < c->o; o++)
        for (int t = 0; t < taps; t++)
            for (int i = 0; i < c->i; i++) {
                size_t ours = ((size_t)o * (size_t)taps + (size_t)t) * (size_t)c->i + (size_t)i;
                size_t theirs = ((size_t)o * (size_t)c->i + (size_t)i) * (size_t)taps + (size_t)t;
                if (back)
                    out[ours] = in[theirs];
                else
                    out[theirs] = in[ours];
            }
}

/* The three tensors of a convolution: x, filters, y; one of them is the result. */
typedef struct {
    size_t count[3];
    int result;
    double *host[3], *want, *got;
    void *device[3];
} tensors;

static double *numbers(size_t n) {
    double *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static void tensors_make(tensors *t, const bd_dnn_conv *c) {
    const bd_conv_attr *a = &c->attr;
    *t = (tensors){.count = {(size_t)(c->n * c->h * c->w * c->i),
                             (size_t)(c->o * a->kh * a->kw * c->i),
                             (size_t)(c->n * c->oh * c->ow * c->o)},
                   .result = c->dir == BD_DNN_FWD        ? 2
                             : c->dir == BD_DNN_BWD_DATA ? 0
                                                         : 1};
    for (int k = 0; k < 3; k++) {
        t->host[k] = numbers(t->count[k]);
        ref_fill(t->host[k], t->count[k], UINT64_C(17) + (uint64_t)k);
        t->device[k] = k != t->result  ? cuda_in(c->type, t->host[k], t->count[k])
                       : c->accumulate ? cuda_io(c->type, t->host[k], t->count[k])
                                       : cuda_out(c->type, t->count[k]);
    }
    t->want = numbers(t->count[t->result]);
    t->got = numbers(t->count[t->result]);
}

static void tensors_free(tensors *t) {
    for (int k = 0; k < 3; k++) free(t->host[k]);
    free(t->want);
    free(t->got);
}

/* t->want by the loops of tests/ref. */
static void compute_oracle(tensors *t, const bd_dnn_conv *c) {
    const bd_conv_attr *a = &c->attr;
    bd_node node = {.op = BD_OP_conv2d, .attr.conv = *a};
    double *old = numbers(t->count[t->result]), *w = numbers(t->count[1]),
           *r = numbers(t->count[t->result]);
    memcpy(old, t->host[t->result], t->count[t->result] * sizeof *old);
    for (int k = 0; c->tf32 && k < 3; k++)
        for (size_t i = 0; i < t->count[k]; i++) t->host[k][i] = tf32(t->host[k][i]);
    permute(w, t->host[1], c, false);
    ref_tensor x = {{c->n, c->h, c->w, c->i}, t->host[0]},
               y = {{c->n, c->oh, c->ow, c->o}, t->host[2]}, f = {{c->o, c->i, a->kh, a->kw}, w},
               none = {{0}, NULL};
    ref_tensor *result = t->result == 2 ? &y : t->result == 0 ? &x : &f;
    result->data = r;
    if (c->dir == BD_DNN_FWD)
        ref_conv2d(&(ref_args){&node, {x, f, none, none}, {y}});
    else if (c->dir == BD_DNN_BWD_DATA)
        ref_conv2d_bwd_data(&(ref_args){&node, {y, f}, {x}});
    else
        ref_conv2d_bwd_weight(&(ref_args){&node, {x, y}, {f, none}});
    if (t->result == 1)
        permute(t->want, r, c, true);
    else
        memcpy(t->want, r, t->count[t->result] * sizeof *r);
    for (size_t i = 0; c->accumulate && i < t->count[t->result]; i++) t->want[i] += old[i];
    free(old);
    free(w);
    free(r);
}

/* Runs c once; t->got. */
static void run_once(tensors *t, bd_dnn *d, const bd_dnn_conv *c) {
    const bd_cuda_platform *platform = bd_cuda_platform_get();
    const bd_dnn_plan *p = plan_of(d, c);
    bd_dnn_bound *b;
    void *workspace = NULL, *stream;
    size_t bytes = bd_dnn_plan_workspace(p);
    assert_int_equal(platform->stream_create(&stream), 0);
    if (bytes) assert_int_equal(platform->device_alloc(&workspace, bytes), 0);
    if (bd_dnn_set_stream(d, stream)) fail_msg("%s", bd_error());
    if (bd_dnn_bind(&b, d, p, t->device[0], t->device[1], t->device[2], workspace))
        fail_msg("%s", bd_error());
    if (bd_dnn_run(d, b)) fail_msg("%s", bd_error());
    assert_int_equal(platform->stream_sync(stream), 0);
    cuda_get(t->got, t->device[t->result]);
    bd_dnn_unbind(d, b);
    assert_int_equal(platform->device_free(workspace), 0);
    assert_int_equal(platform->stream_destroy(stream), 0);
}

/* Is the result right? One rounding to the type; the sums of the library are float32 for at most 256 terms, whose
 * roundings wander by 16 units of 2^-24, and four times that is allowed. */
static bool is_right(bd_dnn *d, const bd_dnn_conv *c, const char *label) {
    tensors t;
    cuda_begin();
    tensors_make(&t, c);
    run_once(&t, d, c);
    compute_oracle(&t, c);
    size_t n = t.count[t.result];
    double unit = c->type == BD_TYPE_F32 ? 0 : cuda_unit(c->type);
    bool ok =
        ref_near(label, t.got, t.want, n, (unit + 64 * 0x1p-24) * ref_max_abs(t.want, n), false);
    tensors_free(&t);
    cuda_end();
    return ok;
}

static void check_types(bd_dnn *d, bd_dnn_conv c) {
    static const struct {
        bd_type type;
        bool tf32;
        const char *name;
    } types[] = {{BD_TYPE_F32, false, "f32"},
                 {BD_TYPE_F32, true, "tf32"},
                 {BD_TYPE_BF16, false, "bf16"},
                 {BD_TYPE_F16, false, "f16"}};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        for (int adds = 0; adds < 2; adds++) {
            char label[160];
            c.type = types[k].type;
            c.tf32 = types[k].tf32;
            c.accumulate = adds;
            snprintf(label, sizeof label, "dir %d %s%s x %dx%dx%dx%d y %dx%dx%d filter %dx%d/%d",
                     (int)c.dir, types[k].name, adds ? " added" : "", c.n, c.h, c.w, c.i, c.oh,
                     c.ow, c.o, c.attr.kh, c.attr.kw, c.attr.stride);
            assert_true(is_right(d, &c, label));
        }
}

/* Layers as networks have them, and odd ones: 1 and 3 channels, channels that are no multiple of anything, padding on
 * one side, pixels that no filter reaches, filters that are not square. */
static void shapes_of_all_kinds_are_right(void **state) {
    (void)state;
    const bd_conv_attr k3 = {3, 3, 1, 1, 1, 1, 1}, down = {3, 3, 2, 0, 0, 1, 1},
                       down_all = {3, 3, 2, 1, 1, 1, 1};
    const bd_dnn_conv list[] = {
        conv(2, 8, 8, 1, 8, k3),
        conv(2, 8, 8, 3, 8, k3),
        conv(2, 8, 8, 8, 1, k3),
        conv(3, 8, 8, 8, 3, k3),
        conv(2, 4, 4, 16, 16, k3),
        conv(1, 5, 7, 37, 41, k3),
        conv(2, 8, 8, 8, 8, down),
        conv(2, 9, 9, 5, 3, down),
        conv(2, 8, 8, 8, 8, down_all),
        conv(2, 10, 11, 3, 4, (bd_conv_attr){3, 3, 2, 0, 0, 0, 0}),
        conv(2, 6, 6, 8, 16, (bd_conv_attr){1, 1, 1, 0, 0, 0, 0}),
        conv(2, 6, 6, 8, 5, (bd_conv_attr){1, 1, 2, 0, 0, 0, 0}),
        conv(2, 7, 7, 4, 6, (bd_conv_attr){5, 5, 1, 2, 2, 2, 2}),
        conv(1, 9, 9, 6, 4, (bd_conv_attr){1, 7, 1, 0, 3, 0, 3}),
        conv(1, 9, 9, 6, 4, (bd_conv_attr){7, 1, 1, 3, 0, 3, 0}),
        conv(2, 4, 4, 40, 33, (bd_conv_attr){4, 4, 1, 0, 0, 0, 0}),
    };
    bd_dnn *d = open_dnn(NULL, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (int dir = 0; dir < 3; dir++) {
            bd_dnn_conv c = list[i];
            c.dir = (bd_dnn_dir)dir;
            /* Most pixels of a 1x1 filter with stride 2 get no gradient: the oracle is mostly zeros. */
            if (dir == BD_DNN_BWD_DATA && c.attr.kh < c.attr.stride) continue;
            check_types(d, c);
        }
    bd_dnn_destroy(d);
}

static void all_layers_of_a_small_unet_are_right(void **state) {
    (void)state;
    bd_dnn_conv list[64];
    bd_dnn *d = open_dnn(NULL, 0);
    int n = conv_shapes_unet(list, 0, 64, &tiny_unet, 2, true);
    assert_true(n >= 20);
    for (int i = 0; i < n; i++) check_types(d, list[i]);
    bd_dnn_destroy(d);
}

/* --- the tests can fail --- */

static const bd_dnn_conv layer = {.dir = BD_DNN_FWD,
                                  .type = BD_TYPE_F32,
                                  .n = 2,
                                  .h = 6,
                                  .w = 6,
                                  .i = 8,
                                  .oh = 6,
                                  .ow = 6,
                                  .o = 8,
                                  .attr = {3, 3, 1, 1, 1, 1, 1}};

/* Filters read in the wrong order, and engines whose notes say nothing: both give results that are refused. */
static void wrong_results_are_found(void **state) {
    (void)state;
    fprintf(stderr, "two wrong results on purpose:\n");
    bd_dnn *d = open_dnn(NULL, 0);
    sim_dnn.turn_filters = true;
    assert_false(is_right(d, &layer, "filters turned"));
    bd_dnn_destroy(d);
    sim_dnn = sim_dnn_defaults;
    sim_dnn.drop_notes = true;
    d = open_dnn(NULL, 0);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &layer)), "engine 20");
    assert_false(is_right(d, &layer, "a bad engine"));
    bd_dnn_destroy(d);
}

/* A result is the same each time; it is not with the first engine that the heuristics offer. */
static void results_repeat(void **state) {
    (void)state;
    for (int drop = 0; drop < 2; drop++) {
        tensors t;
        double first[2 * 6 * 6 * 8];
        sim_dnn.drop_notes = drop;
        bd_dnn *d = open_dnn(NULL, 0);
        cuda_begin();
        tensors_make(&t, &layer);
        bool same = true;
        for (int k = 0; k < 3; k++) {
            run_once(&t, d, &layer);
            if (k == 0) memcpy(first, t.got, sizeof first);
            for (size_t i = 0; i < t.count[2]; i++) same &= first[i] == t.got[i];
        }
        assert_int_equal(same, !drop);
        tensors_free(&t);
        cuda_end();
        bd_dnn_destroy(d);
    }
}

/* --- the choice --- */

static const char *choice(bd_dnn_conv c, bd_type type, bool tensor_cores) {
    static char text[80];
    c.type = type;
    c.tf32 = tensor_cores;
    bd_dnn *d = open_dnn(NULL, 0);
    snprintf(text, sizeof text, "%s", bd_dnn_plan_text(plan_of(d, &c)));
    bd_dnn_destroy(d);
    return text;
}

/* The order of tests/emu/sim_dnn.c: five engines with defects, one to compile, one too hungry, one that refuses, then
 * the sound ones. */
static void engines_are_chosen_by_their_notes(void **state) {
    (void)state;
    assert_string_equal(choice(layer, BD_TYPE_BF16, false), "engine 62, tensor cores");
    assert_string_equal(choice(layer, BD_TYPE_F16, false), "engine 62, tensor cores");
    assert_string_equal(choice(layer, BD_TYPE_F32, true), "engine 62, tensor cores");
    assert_string_equal(choice(layer, BD_TYPE_F32, false), "engine 70");
}

static void compiling_is_the_second_choice(void **state) {
    (void)state;
    sim_dnn.compiled_only = true;
    assert_string_equal(choice(layer, BD_TYPE_BF16, false),
                        "engine 30, tensor cores, compiled at run time");
    assert_string_equal(choice(layer, BD_TYPE_F32, false), "engine 33, compiled at run time");
    bd_dnn *d = open_dnn(NULL, 0);
    assert_true(bd_dnn_plan_compiled(plan_of(d, &layer)));
    bd_dnn_destroy(d);
}

static void the_fallback_is_the_last_choice(void **state) {
    (void)state;
    sim_dnn.fallback_only = true;
    assert_string_equal(choice(layer, BD_TYPE_BF16, false), "engine 1");
}

/* Engine 5 comes first there and wanders without a note. */
static void an_engine_known_to_wander_is_passed_over(void **state) {
    (void)state;
    sim_dnn.capability = 86;
    assert_string_equal(choice(layer, BD_TYPE_BF16, false), "engine 62, tensor cores");
    bd_dnn *d = open_dnn(NULL, 0);
    assert_true(is_right(d, &layer, "capability 8.6"));
    bd_dnn_destroy(d);
}

/* 62 wants 3001 bytes, 70 none; a limit beyond the greedy engine takes that. */
static void the_workspace_has_a_limit(void **state) {
    (void)state;
    bd_dnn_conv c = layer;
    c.type = BD_TYPE_BF16;
    bd_dnn *d = open_dnn(NULL, 3000);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &c)), "engine 70");
    assert_int_equal(bd_dnn_plan_workspace(plan_of(d, &c)), 0);
    bd_dnn_destroy(d);
    d = open_dnn(NULL, 3001);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &c)), "engine 62, tensor cores");
    assert_int_equal(bd_dnn_plan_workspace(plan_of(d, &c)), 3001);
    bd_dnn_destroy(d);
    d = open_dnn(NULL, (size_t)1 << 41);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &c)), "engine 31, tensor cores");
    bd_dnn_destroy(d);
}

/* --- plans and their cache --- */

static void a_shape_has_one_plan(void **state) {
    (void)state;
    bd_dnn *d = open_dnn(NULL, 0);
    bd_dnn_conv c = layer;
    size_t before = sim_dnn_count_plans();
    const bd_dnn_plan *p = plan_of(d, &c);
    assert_ptr_equal(plan_of(d, &c), p);
    assert_int_equal(sim_dnn_count_plans() - before, 1);
    c.accumulate = true;
    assert_ptr_not_equal(plan_of(d, &c), p);
    c = layer;
    c.tf32 = true;
    assert_ptr_not_equal(plan_of(d, &c), p);
    c = layer;
    c.dir = BD_DNN_BWD_DATA;
    assert_ptr_not_equal(plan_of(d, &c), p);
    c = layer;
    c.attr.pad_top = 2, c.attr.pad_bottom = 0;
    assert_ptr_not_equal(plan_of(d, &c), p);
    assert_ptr_equal(plan_of(d, &layer), p);
    bd_dnn_destroy(d);
}

static char logged[512];
static int log_lines;
static void keep_log(bd_log_level level, const char *text, void *user) {
    (void)level;
    (void)user;
    snprintf(logged, sizeof logged, "%s", text);
    log_lines++;
}
static void start_log(void) {
    logged[0] = 0;
    log_lines = 0;
    bd_log_set_sink(keep_log, NULL);
}

/* A plan of `layer` through the cache; was it built, or read? */
static void expect_plans(size_t built, size_t read, size_t workspace_max) {
    size_t b = sim_dnn_count_plans(), r = sim_dnn_count_restored();
    bd_dnn *d = open_dnn(CACHE, workspace_max);
    const bd_dnn_plan *p = plan_of(d, &layer);
    assert_int_equal(sim_dnn_count_plans() - b, built);
    assert_int_equal(sim_dnn_count_restored() - r, read);
    assert_string_equal(bd_dnn_plan_text(p),
                        read && !built ? "engine 70, from cache" : "engine 70");
    assert_int_equal(bd_dnn_plan_workspace(p), 0);
    assert_true(is_right(d, &layer, "through the cache"));
    bd_dnn_destroy(d);
}

static void plans_are_kept_in_files(void **state) {
    (void)state;
    start_log();
    expect_plans(1, 0, 0);
    expect_plans(0, 1, 0);
    /* Whatever the choice depends on makes another file. */
    expect_plans(1, 0, 1 << 20);
    sim_dnn.version = 91901;
    expect_plans(1, 0, 0);
    sim_dnn.version = 91900;
    expect_plans(0, 1, 0);
    char **names;
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, CACHE, ".plan"), BD_OK);
    bd_file_list_free(names, n);
    assert_int_equal(n, 3);
    assert_int_equal(log_lines, 0);
}

static void the_only_file(char path[300]) {
    char **names;
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, CACHE, ""), BD_OK);
    assert_int_equal(n, 1);
    assert_int_equal(bd_path_join(path, 300, CACHE, names[0]), BD_OK);
    bd_file_list_free(names, n);
}

/* Every byte changed in turn, and every length: never a plan from a damaged file, and a good file afterwards. */
static void damaged_files_are_made_anew(void **state) {
    (void)state;
    char path[300];
    void *good;
    size_t n;
    expect_plans(1, 0, 0);
    the_only_file(path);
    assert_int_equal(bd_file_read(&good, &n, path, 0), BD_OK);
    char *bad = malloc(n);
    assert_non_null(bad);
    for (size_t i = 0; i < 2 * n; i += 7) {
        memcpy(bad, good, n);
        bad[i % n] ^= 4;
        assert_int_equal(bd_file_write(path, bad, i < n ? n : i - n), BD_OK);
        start_log();
        size_t b = sim_dnn_count_plans();
        bd_dnn *d = open_dnn(CACHE, 0);
        (void)plan_of(d, &layer);
        bd_dnn_destroy(d);
        assert_int_equal(sim_dnn_count_plans() - b, 1);
        assert_int_equal(log_lines, 1);
        assert_non_null(strstr(logged, path));
    }
    free(bad);
    void *again;
    size_t m;
    assert_int_equal(bd_file_read(&again, &m, path, 0), BD_OK);
    assert_int_equal(m, n);
    assert_memory_equal(good, again, n);
    free(again);
    free(good);
}

/* A file of another shape under this shape's name: what a collision of names would be. */
static void a_file_of_another_shape_is_not_used(void **state) {
    (void)state;
    char path[300], other[300];
    void *data;
    size_t n;
    expect_plans(1, 0, 0);
    the_only_file(path);
    assert_int_equal(bd_file_read(&data, &n, path, 0), BD_OK);
    assert_int_equal(bd_file_remove(path), BD_OK);
    bd_dnn_conv c = layer;
    c.n = 3; /* a key of the same length */
    bd_dnn *d = open_dnn(CACHE, 0);
    (void)plan_of(d, &c);
    bd_dnn_destroy(d);
    the_only_file(other);
    assert_string_not_equal(path, other);
    assert_int_equal(bd_file_write(other, data, n), BD_OK);
    free(data);
    start_log();
    d = open_dnn(CACHE, 0);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &c)), "engine 70");
    assert_non_null(strstr(logged, "another shape"));
    bd_dnn_destroy(d);
}

static void a_file_that_the_library_refuses_is_made_anew(void **state) {
    (void)state;
    expect_plans(1, 0, 0);
    sim_dnn.refuse_texts = true;
    start_log();
    expect_plans(1, 0, 0);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "texts are refused"));
    /* The choice begins afresh, down to its last resort. */
    sim_dnn.fallback_only = true;
    bd_dnn *d = open_dnn(CACHE, 0);
    assert_string_equal(bd_dnn_plan_text(plan_of(d, &layer)), "engine 1");
    bd_dnn_destroy(d);
}

/* A folder that cannot be made or written costs a line in the log and nothing else. */
static void a_cache_that_fails_is_done_without(void **state) {
    (void)state;
    static const fault_kind kinds[] = {FAULT_MKDIR, FAULT_OPEN, FAULT_WRITE, FAULT_RENAME};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(bd_file_remove_tree(CACHE), BD_OK);
        start_log();
        fault_arm(kinds[i], 1, true, 28 /* ENOSPC */);
        bd_dnn *d = open_dnn(CACHE, 0);
        bd_dnn_conv c = layer;
        (void)plan_of(d, &c);
        c.accumulate = true;
        (void)plan_of(d, &c);
        assert_true(fault_disarm() > 0);
        assert_int_equal(log_lines, 1);
        assert_non_null(strstr(logged, "not kept"));
        bd_dnn_destroy(d);
    }
}

/* --- running --- */

/* A stream records a convolution, and the graph does it again with what the buffers then hold. */
static void a_graph_repeats_a_convolution(void **state) {
    (void)state;
    const bd_cuda_platform *platform = cuda_begin();
    bd_dnn_conv c = layer;
    c.accumulate = true;
    tensors t;
    void *stream, *graph;
    tensors_make(&t, &c);
    bd_dnn *d = open_dnn(NULL, 0);
    bd_dnn_bound *b;
    assert_int_equal(platform->stream_create(&stream), 0);
    assert_int_equal(bd_dnn_set_stream(d, stream), BD_OK);
    assert_int_equal(
        bd_dnn_bind(&b, d, plan_of(d, &c), t.device[0], t.device[1], t.device[2], NULL), BD_OK);
    size_t before = sim_dnn_count_runs();
    assert_int_equal(platform->capture_begin(stream), 0);
    assert_int_equal(bd_dnn_run(d, b), BD_OK);
    assert_int_equal(platform->capture_end(&graph, stream), 0);
    assert_int_equal(sim_dnn_count_runs(), before);
    for (int k = 0; k < 3; k++) assert_int_equal(platform->graph_launch(graph, stream), 0);
    assert_int_equal(platform->stream_sync(stream), 0);
    assert_int_equal(sim_dnn_count_runs() - before, 3);
    cuda_get(t.got, t.device[2]);
    double *start = numbers(t.count[2]);
    memcpy(start, t.host[2], t.count[2] * sizeof *start);
    compute_oracle(&t, &c); /* start + sum */
    for (size_t i = 0; i < t.count[2]; i++) t.want[i] += 2 * (t.want[i] - start[i]);
    /* Three roundings to float32 more than one run has. */
    assert_true(ref_near("three runs", t.got, t.want, t.count[2],
                         128 * 0x1p-24 * ref_max_abs(t.want, t.count[2]), false));
    free(start);
    assert_int_equal(platform->graph_destroy(graph), 0);
    bd_dnn_unbind(d, b);
    bd_dnn_destroy(d);
    assert_int_equal(platform->stream_destroy(stream), 0);
    tensors_free(&t);
    cuda_end();
}

static void bad_buffers_are_refused(void **state) {
    (void)state;
    cuda_begin();
    tensors t;
    bd_dnn_conv c = layer;
    c.type = BD_TYPE_BF16;
    tensors_make(&t, &c);
    bd_dnn *d = open_dnn(NULL, 0);
    bd_dnn_bound *b;
    const bd_dnn_plan *p = plan_of(d, &c);
    void *x = t.device[0], *w = t.device[1], *y = t.device[2];
    assert_int_equal(bd_dnn_bind(&b, d, p, (char *)x + 8, w, y, x), BD_E_ARG);
    assert_int_equal(bd_dnn_bind(&b, d, p, x, NULL, y, x), BD_E_ARG);
    assert_int_equal(bd_dnn_bind(&b, d, p, x, w, y, NULL), BD_E_ARG);
    assert_null(b);
    /* The workspace over the result: the library sees that when it runs. */
    assert_int_equal(bd_dnn_bind(&b, d, p, x, w, y, y), BD_OK);
    assert_int_equal(bd_dnn_run(d, b), BD_E_DEVICE);
    assert_non_null(strstr(bd_error(), "engine 62"));
    assert_non_null(strstr(bd_error(), "lies in the workspace"));
    bd_dnn_unbind(d, b);
    bd_dnn_unbind(d, NULL);
    bd_dnn_destroy(d);
    bd_dnn_destroy(NULL);
    tensors_free(&t);
    cuda_end();
}

/* --- refusals --- */

static void an_old_library_is_refused(void **state) {
    (void)state;
    bd_dnn *d;
    bd_dnn_spec s = {.api = &sim_dnn_api, .device = 0};
    sim_dnn.version = 90799;
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_DEVICE);
    assert_string_equal(bd_error(), "cuDNN 9.7.99 is too old: 9.8 or newer is needed");
    assert_null(d);
    sim_dnn.version = 90800;
    assert_int_equal(bd_dnn_create(&d, &s), BD_OK);
    assert_int_equal(bd_dnn_version(d), 90800);
    bd_dnn_destroy(d);
}

static void refusals_tell_what_the_library_says(void **state) {
    (void)state;
    bd_dnn *d;
    const bd_dnn_plan *p;
    bd_dnn_spec s = {.api = &sim_dnn_api, .device = 0, .device_name = "simulated device"};
    sim_dnn.no_device = true;
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_DEVICE);
    assert_string_equal(bd_error(), "cuDNN: start: SIM_STATUS_OTHER: there is no device");
    sim_dnn = sim_dnn_defaults;
    s.device = 1;
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_DEVICE);
    assert_non_null(strstr(bd_error(), "there is no device 1"));
    s.device = 0;
    assert_int_equal(bd_dnn_create(&d, &s), BD_OK);
    sim_dnn.refuse_plans = true;
    assert_int_equal(bd_dnn_plan_get(&p, d, &layer), BD_E_DEVICE);
    assert_string_equal(bd_error(),
                        "cuDNN 9.19.0 has no engine for forward f32 x[2,6,6,8] w[8,3,3,8] "
                        "y[2,6,6,8] stride 1 pad top 1 "
                        "left 1 bottom 1 right 1 on simulated device: 11 offered, passed over: 2 "
                        "nondeterministic, 0 in "
                        "the errata, 2 of low precision, 4 on tensor cores, 0 with more than "
                        "268435456 bytes of workspace, "
                        "3 refused; cuDNN: plan: SIM_STATUS_NOT_SUPPORTED: every plan is refused");
    assert_null(p);
    sim_dnn = sim_dnn_defaults;
    sim_dnn.traps_only = true;
    assert_int_equal(bd_dnn_plan_get(&p, d, &layer), BD_E_DEVICE);
    bd_dnn_destroy(d);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
    (void)state;
    bd_dnn *d = open_dnn(NULL, 0);
    const bd_dnn_plan *p;
    bd_dnn_conv c = layer;
    c.oh = 7;
    assert_int_equal(bd_dnn_plan_get(&p, d, &c), BD_E_SHAPE);
    c = layer;
    c.i = 0;
    assert_int_equal(bd_dnn_plan_get(&p, d, &c), BD_E_SHAPE);
    c = layer;
    c.attr.pad_left = -1, c.ow = 4;
    assert_int_equal(bd_dnn_plan_get(&p, d, &c), BD_E_SHAPE);
    c = layer;
    c.type = BD_TYPE_F64;
    assert_int_equal(bd_dnn_plan_get(&p, d, &c), BD_E_ARG);
    c = layer;
    c.type = BD_TYPE_BF16, c.tf32 = true;
    assert_int_equal(bd_dnn_plan_get(&p, d, &c), BD_E_ARG);
    bd_dnn_destroy(d);
}

/* From the text of properties plans are built as for the device itself, and not run. */
static void properties_stand_for_a_device(void **state) {
    (void)state;
    bd_dnn *d;
    const bd_dnn_plan *p;
    bd_dnn_spec s = {.api = &sim_dnn_api, .device = -1, .device_name = "made up"};
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_ARG);
    s.properties = "{}";
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_DEVICE);
    s.properties = CAPABILITY_90;
    s.cache = CACHE;
    s.device_name = NULL;
    assert_int_equal(bd_dnn_create(&d, &s), BD_E_ARG);
    s.cache = NULL;
    assert_int_equal(bd_dnn_create(&d, &s), BD_OK);
    assert_int_equal(bd_dnn_plan_get(&p, d, &layer), BD_OK);
    assert_string_equal(bd_dnn_plan_text(p), "engine 70");
    _Alignas(16) char memory[16];
    bd_dnn_bound *b;
    assert_int_equal(bd_dnn_set_stream(d, NULL), BD_E_DEVICE);
    assert_int_equal(bd_dnn_bind(&b, d, p, memory, memory, memory, NULL), BD_OK);
    assert_int_equal(bd_dnn_run(d, b), BD_E_DEVICE);
    bd_dnn_unbind(d, b);
    bd_dnn_destroy(d);
}

/* Each call of the library fails once: a status comes back or another engine is found, and nothing is left behind
 * (each_teardown counts). */
static void every_failing_call_is_survived(void **state) {
    (void)state;
    int failed = 0, k = 1;
    for (; k < 2000; k++) {
        bd_dnn *d = NULL;
        const bd_dnn_plan *p;
        bd_dnn_spec s = {.api = &sim_dnn_api, .device = 0, .device_name = "simulated device"};
        sim_dnn_fail_after(k, 5000);
        bd_status st = bd_dnn_create(&d, &s);
        if (!st) st = bd_dnn_plan_get(&p, d, &layer);
        long left = sim_dnn_fail_after(0, 0);
        if (st) {
            assert_int_equal(st, BD_E_DEVICE);
            failed++;
        }
        bd_dnn_destroy(d);
        assert_int_equal(sim_dnn_count_alive(), alive_before);
        if (left) break; /* there were fewer than k calls */
    }
    assert_in_range(k, 100, 1000);
    assert_true(failed > 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(shapes_of_all_kinds_are_right),
        TEST(all_layers_of_a_small_unet_are_right),
        TEST(wrong_results_are_found),
        TEST(results_repeat),
        TEST(engines_are_chosen_by_their_notes),
        TEST(compiling_is_the_second_choice),
        TEST(the_fallback_is_the_last_choice),
        TEST(an_engine_known_to_wander_is_passed_over),
        TEST(the_workspace_has_a_limit),
        TEST(a_shape_has_one_plan),
        TEST(plans_are_kept_in_files),
        TEST(damaged_files_are_made_anew),
        TEST(a_file_of_another_shape_is_not_used),
        TEST(a_file_that_the_library_refuses_is_made_anew),
        TEST(a_cache_that_fails_is_done_without),
        TEST(a_graph_repeats_a_convolution),
        TEST(bad_buffers_are_refused),
        TEST(an_old_library_is_refused),
        TEST(refusals_tell_what_the_library_says),
        TEST(shapes_that_do_not_fit_are_refused),
        TEST(properties_stand_for_a_device),
        TEST(every_failing_call_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
