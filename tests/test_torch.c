/* Oracles: files of torch.save in every layout (tests/golden/make_torch.py), whose values are known; pickles written by
 * hand, one for each rule; damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/tensors.h"
#include "io/torch.h"
#include "mutate.h"

#define DIR_ "build/tmp/test_torch"
#define GOLDEN "tests/golden/torch/"

static int fresh(void **state) {
    (void)state;
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static bd_tensors *loaded(const char *path) {
    bd_tensors *s = NULL;
    if (bd_tensors_load(&s, path)) fail_msg("%s", bd_error());
    return s;
}

static const void *tensor(const bd_tensors *s, const char *name, bd_dtype type, const char *shape) {
    const bd_st_tensor *t = bd_tensors_find(s, name);
    char has[64] = "";
    if (!t) {
        fail_msg("%s is not there", name);
        return NULL;
    }
    assert_int_equal(t->dtype, type);
    for (int i = 0; i < t->rank; i++)
        snprintf(has + strlen(has), sizeof has - strlen(has), "%s%d", i ? "x" : "", (int)t->dim[i]);
    assert_string_equal(has, shape);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    return t->data;
}

/* --- what torch.save writes --- */

/* plain.weight is 0.5 * (0 .. 23) in 4 rows; the others are views of it, or counts. All are exact in every type. */
static void check_state(const bd_tensors *s) {
    static const uint16_t half[3] = {0, 0x3800, 0x3c00}, bfloat[3] = {0, 0x3f00, 0x3f80};
    assert_int_equal(bd_tensors_count(s), 12);
    const float *x = tensor(s, "plain.weight", BD_F32, "4x6");
    for (int i = 0; i < 24; i++) assert_true(x[i] == 0.5F * (float)i);
    x = tensor(s, "transposed", BD_F32, "6x4");
    for (int i = 0; i < 24; i++) assert_true(x[i] == 0.5F * (float)(i % 4 * 6 + i / 4));
    x = tensor(s, "slice", BD_F32, "2x3");
    for (int i = 0; i < 6; i++) assert_true(x[i] == 0.5F * (float)((1 + i / 3) * 6 + i % 3 * 2));
    const double *low = tensor(s, "low", BD_F64, "4"), *high = tensor(s, "high", BD_F64, "4");
    for (int i = 0; i < 4; i++) assert_true(low[i] == 0.5 * i && high[i] == 0.5 * (4 + i));
    assert_memory_equal(tensor(s, "half", BD_F16, "3"), half, sizeof half);
    for (size_t i = 0; i < 3; i++) {
        assert_true(bd_st_float(bd_tensors_find(s, "half"), i) == 0.5F * (float)i);
        assert_true(bd_st_float(bd_tensors_find(s, "bfloat"), i) == 0.5F * (float)i);
    }
    assert_false(bd_st_is_float(bd_tensors_find(s, "count")));
    assert_memory_equal(tensor(s, "bfloat", BD_BF16, "3"), bfloat, sizeof bfloat);
    assert_int_equal(*(const int64_t *)tensor(s, "count", BD_I64, ""), -7);
    const int32_t *i32 = tensor(s, "int", BD_I32, "3");
    const uint8_t *u8 = tensor(s, "bytes", BD_U8, "5");
    for (int i = 0; i < 3; i++) assert_int_equal(i32[i], i);
    for (int i = 0; i < 5; i++) assert_int_equal(u8[i], i);
    (void)tensor(s, "empty", BD_F32, "0x3");
    x = tensor(s, "parameter", BD_F32, "6");
    for (int i = 0; i < 6; i++) assert_true(x[i] == 0.5F * (float)i);
    assert_string_equal(bd_tensors_at(s, 0)->name, "plain.weight");
}

static void both_layouts_hold_the_same(void **state) {
    (void)state;
    static const char *const file[][2] = {{GOLDEN "zip.pth", "PyTorch, zip layout"},
                                          {GOLDEN "zip4.pth", "PyTorch, zip layout"},
                                          {GOLDEN "legacy.pth", "PyTorch, legacy layout"}};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        bd_tensors *s = loaded(file[i][0]);
        assert_string_equal(bd_tensors_format(s), file[i][1]);
        check_state(s);
        bd_tensors_destroy(s);
    }
}

static void check_linear(const char *path, const char *weight, const char *bias) {
    bd_tensors *s = loaded(path);
    const float *w = tensor(s, weight, BD_F32, "1x2"), *b = tensor(s, bias, BD_F32, "1");
    assert_int_equal(bd_tensors_count(s), 2);
    assert_true(w[0] == 1 && w[1] == 2 && b[0] == 3);
    bd_tensors_destroy(s);
}

static void state_dicts_of_modules_load(void **state) {
    (void)state;
    check_linear(GOLDEN "module.pth", "weight", "bias");
    check_linear(GOLDEN "module_legacy.pth", "weight", "bias");
    check_linear(GOLDEN "wrapped.pth", "weight", "bias"); /* in state_dict, under module. */
}

static void what_is_no_tensor_is_metadata(void **state) {
    (void)state;
    static const char *const want[][2] = {{"epoch", "5"},
                                          {"loss", "0.25"},
                                          {"best", "true"},
                                          {"none", "none"},
                                          {"note", "hello"},
                                          {"optimizer", "(a dict, not read)"},
                                          {"ema", "(a dict, not read)"},
                                          {"state_dict", "(a dict, read)"}};
    bd_tensors *s = loaded(GOLDEN "wrapped.pth");
    assert_int_equal(bd_tensors_meta_count(s), sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_string_equal(bd_tensors_meta(s, want[i][0]), want[i][1]);
    bd_tensors_destroy(s);
}

static void refused(const char *path, const char *reason) {
    bd_tensors *s;
    bd_status st = bd_tensors_load(&s, path);
    if (st != BD_E_FORMAT || !strstr(bd_error(), reason) ||
        strncmp(bd_error(), path, strlen(path)) != 0 || strchr(bd_error(), '\n'))
        fail_msg("%s: status %d, \"%s\"; expected \"%s\"", path, st, st ? bd_error() : "", reason);
    assert_null(s);
}

static void what_is_no_state_dict_is_refused_by_name(void **state) {
    (void)state;
    refused(GOLDEN "whole_model.pth", "offset 2: refused: it asks to load torch.nn.modules.linear");
    refused(GOLDEN "foreign.pth", "refused: it asks to load __main__.Foreign");
    refused(GOLDEN "bool.pth", "torch.BoolStorage");
    refused(GOLDEN "expanded.pth", "1000 elements out of the 1 of its storage");
    refused(GOLDEN "tensor.pth", "holds a tensor, not a state dict");
}

/* --- pickles by hand --- */

typedef struct {
    unsigned char bytes[8192];
    size_t n;
} text;

static void add(text *t, const void *bytes, size_t n) {
    assert_true(t->n + n <= sizeof t->bytes);
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)

/* A legacy file whose object is `object`, with one storage "7" of two floats, 1 and 2. */
static const char *legacy(const char *object, size_t n, const char *keys, size_t n_keys) {
    static const char *const path = DIR_ "/hand.pth";
    text t = {.n = 0};
    ADD(&t, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
    ADD(&t, "\x80\x02M\xe9\x03.");
    ADD(&t, "\x80\x02}X\x0d\0\0\0little_endian\x88s.");
    ADD(&t, "\x80\x02");
    add(&t, object, n);
    ADD(&t, ".\x80\x02");
    add(&t, keys, n_keys);
    ADD(&t, ".");
    if (n_keys > 1) ADD(&t, "\x02\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40");
    mutate_write(path, t.bytes, t.n);
    return path;
}

#define HAND(object)                   \
    legacy(object, sizeof(object) - 1, \
           "]U\x01"                    \
           "7a",                       \
           5)
#define EMPTY(object) legacy(object, sizeof(object) - 1, "]", 1)
#define STORAGE                                \
    "(U\x07storagectorch\nFloatStorage\nU\x01" \
    "7U\x03"                                   \
    "cpuK\x02tQ"
#define V1(rest) "ctorch._utils\n_rebuild_tensor\n(" STORAGE rest "tR"
#define V2(rest) "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE rest "\x89)tR"
#define ONE "K\x00K\x02\x85K\x01\x85" /* offset 0, size (2,), stride (1,) */

static void check_hand(const char *path) {
    bd_tensors *s = loaded(path);
    const float *x = tensor(s, "x", BD_F32, "2");
    assert_true(x[0] == 1 && x[1] == 2);
    bd_tensors_destroy(s);
}

static void files_of_old_versions_load(void **state) {
    (void)state;
    check_hand(HAND("}U\x01x" V2(ONE) "s"));
    check_hand(HAND("}U\x01x" V1(ONE) "s"));
    check_hand(HAND("}U\x01xctorch.nn.parameter\nParameter\n" V1(ONE) "\x85R(\x88\x89Ntbs"));
    check_hand(HAND("ccollections\nOrderedDict\n]]U\x01x"
                    "a" V1(ONE) "aa\x85R"));
    check_hand(HAND("}U\x01xctorch._utils\n_rebuild_parameter\n(" V2(ONE) "\x88)tRs"));
    /* a view of its storage */
    check_hand(
        HAND("}U\x01xctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\nU\x01"
             "7U\x03"
             "cpuK\x02(U\x01"
             "8K\x00K\x02ttQ" ONE "tRs"));
}

static void rules_of_tensors(void **state) {
    (void)state;
    refused(HAND("}U\x01x" V2("K\x01K\x02\x85K\x01\x85") "s"), "passes the end of its storage");
    refused(HAND("}U\x01x" V2("K\x00K\x02\x85K\x02\x85") "s"), "passes the end of its storage");
    refused(HAND("}U\x01x" V2("K\x00K\x02\x85)") "s"), "size and stride differ");
    refused(HAND("}U\x01x" V2("K\x00J\xff\xff\xff\xff\x85K\x01\x85") "s"), "no number of elements");
    refused(HAND("}U\x01x" V2("K\x00(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t)") "s"),
            "9 dimensions");
    /* 2^62 * 2^62 elements */
    refused(
        HAND("}U\x01x" V2("K\x00\x8a\x08\0\0\0\0\0\0\0\x40\x8a\x08\0\0\0\0\0\0\0\x40\x86K\x01K\x01"
                          "\x86") "s"),
        "passes the end of its storage");
    refused(HAND("}(U\x01x" V2(ONE) "U\x01x" V2(ONE) "u"), "\"x\" is there twice");
    refused(HAND("}K\x01" V2(ONE) "s"), "a key of its dict is an integer");
    refused(EMPTY("}U\x01x" V2(ONE) "s"), "a storage that is not in the file");
}

static void rules_of_pickles(void **state) {
    (void)state;
    refused(EMPTY("cos\nsystem\nU\x02id\x85R"), "refused: it asks to load os.system");
    refused(EMPTY("i"), "opcode 0x69, which no state dict needs");
    refused(EMPTY("U\x02os\x8c\x06system\x93"), "os.system");
    refused(EMPTY("}"), "there are no tensors in its dict");
    refused(EMPTY(""), "an operation without its operand");
    refused(EMPTY("}}"), "more than one object");
    refused(EMPTY("u"), "without its mark");
    refused(EMPTY("}(U\x01xu"), "a key without its value");
    refused(EMPTY("}(U\x01xe"), "items are added to a dict");
    refused(EMPTY("h\x05"), "nothing is remembered under 5");
    refused(EMPTY("Nr\xff\xff\xff\xff"), "remembered under 4294967295");
    refused(EMPTY("X\xff\xff\xff\xff"), "truncated inside its pickle");
    refused(EMPTY("X\x01\0\0\0\xff"), "not UTF-8");
    refused(EMPTY("K\x01Q"), "a persistent id that is no storage");
    refused(EMPTY("}q\x00U\x01xh\x00s"), "there are no tensors in its dict"); /* holds itself */
    refused(EMPTY("]q\x00h\x00"
                  "ah\x00"
                  "a"),
            "holds a list, not a state dict");
    refused(EMPTY("(}Nb"), "a state given to a dict");
}

static void two_dicts_of_tensors_are_no_choice(void **state) {
    (void)state;
    refused(HAND("}(U\x01"
                 "a}U\x01x" V2(ONE) "sU\x01"
                                    "b}U\x01x" V2(ONE) "su"),
            "2 dicts of tensors and none is called state_dict");
}

/* Each entry would be searched for tensors, and all of them may be one large dict. */
static void a_dict_of_very_many_entries_is_refused(void **state) {
    (void)state;
    text t = {.n = 0};
    ADD(&t, "}(");
    for (int i = 0; i < 1025; i++) ADD(&t, "K\x01}");
    ADD(&t, "u");
    refused(legacy((const char *)t.bytes, t.n, "]", 1), "no tensors among the 1025 entries");
}

/* What a few bytes may ask for again and again must not cost more than the file. */
static void repetition_is_bounded(void **state) {
    (void)state;
    text t = {.n = 0};
    ADD(&t, "]q\x00(");
    for (int i = 0; i < 500; i++) ADD(&t, "K\x01K\x01\x86");
    ADD(&t, "eccollections\nOrderedDict\nq\x01](");
    for (int i = 0; i < 30; i++) ADD(&t, "h\x01h\x00\x85R");
    ADD(&t, "e");
    refused(legacy((const char *)t.bytes, t.n, "]", 1), "again and again");
    t.n = 0;
    ADD(&t, "}U\xfa");
    for (int i = 0; i < 250; i++) ADD(&t, "k");
    ADD(&t, "}(U\x01x" V2(ONE) "U\x05"
                               "epochK\x03us");
    refused(legacy((const char *)t.bytes, t.n,
                   "]U\x01"
                   "7a",
                   5),
            "the key of its state dict has 250 bytes");
}

/* --- damage --- */

static bd_status load(const char *path) {
    bd_tensors *s;
    bd_status st = bd_tensors_load(&s, path);
    bd_tensors_destroy(s);
    return st;
}

/* One bit of every byte, another one each time; returns how many changes were noticed. */
static size_t flip_a_bit_a_byte(const mutate_case *c) {
    unsigned char *bytes = malloc(c->n);
    size_t noticed = 0;
    assert_non_null(bytes);
    memcpy(bytes, c->good, c->n);
    for (size_t i = 0; i < c->n; i++) {
        bytes[i] ^= (unsigned char)(1u << i % 8);
        mutate_write(c->path, bytes, c->n);
        bd_status st = load(c->path);
        if (st != BD_OK && st != BD_E_FORMAT) fail_msg("byte %zu: %s", i, bd_error());
        noticed += st != BD_OK;
        bytes[i] = ((const unsigned char *)c->good)[i];
    }
    free(bytes);
    return noticed;
}

static void damaged(const char *golden, size_t noticed) {
    void *good;
    size_t n;
    mutate_limit_memory();
    assert_int_equal(bd_file_read(&good, &n, golden, 0), BD_OK);
    const mutate_case c = {DIR_ "/damaged.pth", good, n, BD_E_FORMAT, load};
    mutate_truncate(&c, 0);
    size_t seen = flip_a_bit_a_byte(&c);
    if (seen < noticed) fail_msg("%s: %zu of %zu flips noticed", golden, seen, n);
    mutate_random(&c, 1000);
    free(good);
}

/* Only a checksum tells that a value has changed: the bias, 3.0, becomes another number. */
static void a_changed_value_in_a_zip_file_is_noticed(void **state) {
    (void)state;
    static const unsigned char three[4] = {0, 0, 0x40, 0x40};
    void *bytes;
    size_t n;
    assert_int_equal(bd_file_read(&bytes, &n, GOLDEN "module.pth", 0), BD_OK);
    unsigned char *at = memmem(bytes, n, three, sizeof three);
    assert_non_null(at);
    at[0] = 1;
    mutate_write(DIR_ "/changed.pth", bytes, n);
    refused(DIR_ "/changed.pth", "is damaged: its bytes do not give its checksum");
    free(bytes);
}

static void damaged_files(void **state) {
    (void)state;
    /* in a zip archive, every bit of data.pkl and of the storages is under a checksum */
    damaged(GOLDEN "module.pth", 400);
    /* the values, and texts that only name things, are not checked by anything */
    damaged(GOLDEN "module_legacy.pth", 250);
}

static void what_came_instead_of_a_download(void **state) {
    (void)state;
    mutate_write(DIR_ "/page.bin", "<!DOCTYPE html>", 15);
    refused(DIR_ "/page.bin", "a web page");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    mutate_write(DIR_ "/lfs.bin", pointer, sizeof pointer - 1);
    refused(DIR_ "/lfs.bin", "a Git LFS pointer");
    mutate_write(DIR_ "/empty.bin", "", 0);
    refused(DIR_ "/empty.bin", "truncated");
    bd_tensors *s;
    assert_int_equal(bd_tensors_load(&s, DIR_ "/none.bin"), BD_E_MISSING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_hold_the_same),
        cmocka_unit_test(state_dicts_of_modules_load),
        cmocka_unit_test(what_is_no_tensor_is_metadata),
        cmocka_unit_test(what_is_no_state_dict_is_refused_by_name),
        cmocka_unit_test(files_of_old_versions_load),
        cmocka_unit_test(rules_of_tensors),
        cmocka_unit_test(rules_of_pickles),
        cmocka_unit_test(repetition_is_bounded),
        cmocka_unit_test(two_dicts_of_tensors_are_no_choice),
        cmocka_unit_test(a_dict_of_very_many_entries_is_refused),
        cmocka_unit_test(what_came_instead_of_a_download),
        cmocka_unit_test(a_changed_value_in_a_zip_file_is_noticed),
        cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests(tests, fresh, NULL);
}
