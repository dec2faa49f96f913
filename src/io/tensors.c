#include "io/tensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/safetensors.h"
#include "io/tensors_impl.h"
#include "io/torch.h"

enum { SNIFF_BYTES = 64 };

size_t bd_dtype_size(bd_dtype t) {
    switch (t) {
    case BD_F64:
    case BD_I64: return 8;
    case BD_F32:
    case BD_I32: return 4;
    case BD_F16:
    case BD_BF16: return 2;
    case BD_U8: return 1;
    }
    return 0;
}

const char *bd_dtype_name(bd_dtype t) {
    switch (t) {
    case BD_F32: return "F32";
    case BD_F64: return "F64";
    case BD_F16: return "F16";
    case BD_BF16: return "BF16";
    case BD_I64: return "I64";
    case BD_I32: return "I32";
    case BD_U8: return "U8";
    }
    return "?";
}

size_t bd_tensors_align(size_t bytes) {
    return (bytes + BD_TENSORS_ALIGN - 1) & ~(size_t)(BD_TENSORS_ALIGN - 1);
}

bool bd_shape_bytes(uint64_t *bytes, const int64_t *dim, int rank, bd_dtype type) {
    uint64_t n = bd_dtype_size(type);
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || __builtin_mul_overflow(n, (uint64_t)dim[i], &n)) return false;
    *bytes = n;
    return true;
}

/* --- values --- */

bool bd_st_is_float(const bd_st_tensor *t) {
    return t->dtype == BD_F32 || t->dtype == BD_F16 || t->dtype == BD_BF16;
}

/* IEEE 754 binary16 as binary32: every value is there, and so is every NaN. */
static uint32_t widen_half(uint32_t h) {
    uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return sign | 0x7f800000 | fraction << 13;
    if (exponent) return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction) return sign;
    uint32_t shift = (uint32_t)__builtin_clz(fraction) - 21; /* to the implicit bit */
    return sign | (113 - shift) << 23 | (fraction << shift & 1023) << 13;
}

float bd_st_float(const bd_st_tensor *t, size_t k) {
    uint32_t bits;
    float value;
    if (t->dtype == BD_F32) return ((const float *)t->data)[k];
    uint32_t half = ((const uint16_t *)t->data)[k];
    bits = t->dtype == BD_BF16 ? half << 16 : widen_half(half);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* --- filling --- */

bd_status bd_tensors_reserve(bd_tensors *s, size_t n, size_t bytes, const char *path) {
    s->tensors = calloc(n ? n : 1, sizeof *s->tensors);
    s->by_name = calloc(n ? n : 1, sizeof *s->by_name);
    s->data = aligned_alloc(BD_TENSORS_ALIGN, bd_tensors_align(bytes ? bytes : 1));
    BD_REQUIRE(s->tensors && s->by_name && s->data, BD_E_MEMORY, "%s: out of memory for %zu bytes",
               path, bytes);
    s->n = n;
    return BD_OK;
}

static int by_name(const void *a, const void *b) {
    const bd_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_key(const void *a, const void *b) {
    const bd_st_meta *x = a, *y = b;
    return strcmp(x->key, y->key);
}

bd_status bd_tensors_index(bd_tensors *s, const char *path) {
    for (size_t i = 0; i < s->n; i++) s->by_name[i] = &s->tensors[i];
    if (s->n) qsort(s->by_name, s->n, sizeof *s->by_name, by_name);
    for (size_t i = 1; i < s->n; i++)
        BD_REQUIRE(strcmp(s->by_name[i - 1]->name, s->by_name[i]->name) != 0, BD_E_FORMAT,
                   "%s: tensor \"%.100s\" is there twice", path, s->by_name[i]->name);
    if (s->n_meta) qsort(s->meta, s->n_meta, sizeof *s->meta, by_key);
    for (size_t i = 1; i < s->n_meta; i++)
        BD_REQUIRE(strcmp(s->meta[i - 1].key, s->meta[i].key) != 0, BD_E_FORMAT,
                   "%s: metadata key \"%.100s\" is there twice", path, s->meta[i].key);
    return BD_OK;
}

/* --- loading --- */

/* Only the pointers move: names with the same beginning keep their order. */
static void drop_module(bd_tensors *s) {
    static const char module[] = "module.";
    const size_t n = sizeof module - 1;
    for (size_t i = 0; i < s->n; i++)
        if (strncmp(s->tensors[i].name, module, n) != 0) return;
    for (size_t i = 0; i < s->n; i++) s->tensors[i].name += n;
}

/* What comes instead of a file that was not really downloaded. */
static bd_status check_no_page(const unsigned char *start, size_t n, const char *path) {
    static const char lfs[] = "version https://git-lfs";
    BD_REQUIRE(n < sizeof lfs - 1 || memcmp(start, lfs, sizeof lfs - 1) != 0, BD_E_FORMAT,
               "%s: a Git LFS pointer, not the file itself; fetch it with git lfs pull", path);
    BD_REQUIRE(n < 2 || start[0] != '<', BD_E_FORMAT,
               "%s: a web page, not a weights file; download the file itself", path);
    return BD_OK;
}

static bd_status read_start(unsigned char start[SNIFF_BYTES], size_t *n, const char *path) {
    bd_reader *r;
    uint64_t size;
    BD_TRY(bd_reader_open(&r, &size, path));
    *n = size < SNIFF_BYTES ? (size_t)size : SNIFF_BYTES;
    bd_status st = bd_reader_read(r, start, *n);
    bd_reader_close(r);
    return st;
}

/* A header length below 4 GB, then the header. Asked first: the length may begin with the bytes of a pickle or '<'. */
static bool is_safetensors(const unsigned char *start, size_t n) {
    static const unsigned char high[4] = {0};
    return n >= 9 && memcmp(start + 4, high, sizeof high) == 0 && start[8] == '{';
}

bd_status bd_tensors_load(bd_tensors **out, const char *path) {
    unsigned char start[SNIFF_BYTES];
    size_t n = 0;
    *out = NULL;
    BD_TRY(read_start(start, &n, path));
    bool safe = is_safetensors(start, n);
    if (!safe) BD_TRY(check_no_page(start, n, path));
    BD_TRY(!safe && bd_torch_is(start, n) ? bd_torch_load(out, path)
                                          : bd_safetensors_load(out, path));
    drop_module(*out);
    return BD_OK;
}

void bd_tensors_destroy(bd_tensors *s) {
    if (!s) return;
    free(s->text);
    free(s->tensors);
    free(s->by_name);
    free(s->meta);
    free(s->data);
    free(s);
}

/* --- asking --- */

const char *bd_tensors_format(const bd_tensors *s) { return s->format; }

size_t bd_tensors_count(const bd_tensors *s) { return s->n; }

const bd_st_tensor *bd_tensors_at(const bd_tensors *s, size_t i) {
    return i < s->n ? &s->tensors[i] : NULL;
}

const bd_st_tensor *bd_tensors_find(const bd_tensors *s, const char *name) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(name, s->by_name[mid]->name);
        if (c == 0) return s->by_name[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const char *bd_tensors_meta(const bd_tensors *s, const char *key) {
    for (size_t i = 0; i < s->n_meta; i++)
        if (strcmp(s->meta[i].key, key) == 0) return s->meta[i].value;
    return NULL;
}

size_t bd_tensors_meta_count(const bd_tensors *s) { return s->n_meta; }

void bd_tensors_meta_at(const bd_tensors *s, size_t i, const char **key, const char **value) {
    *key = i < s->n_meta ? s->meta[i].key : NULL;
    *value = i < s->n_meta ? s->meta[i].value : NULL;
}
