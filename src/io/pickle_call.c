/* What the few globals of a state dict stand for. Nothing is looked up or called outside this file. */
#include <inttypes.h>
#include <string.h>

#include "io/pickle.h"

typedef enum { DICT, TENSOR_V1, TENSOR_V2, REBUILT_PARAMETER, PARAMETER, STORAGE } meaning;

/* dtype counts for storages only */
static const struct {
    const char *module, *name;
    meaning means;
    bd_dtype dtype;
} globals[] = {
    {"collections", "OrderedDict", DICT, BD_U8},
    {"torch._utils", "_rebuild_tensor", TENSOR_V1, BD_U8}, /* before torch 0.4 */
    {"torch._utils", "_rebuild_tensor_v2", TENSOR_V2, BD_U8},
    {"torch._utils", "_rebuild_parameter", REBUILT_PARAMETER, BD_U8},
    {"torch.nn.parameter", "Parameter", PARAMETER, BD_U8}, /* before torch 0.4 */
    {"torch", "FloatStorage", STORAGE, BD_F32},
    {"torch", "DoubleStorage", STORAGE, BD_F64},
    {"torch", "HalfStorage", STORAGE, BD_F16},
    {"torch", "BFloat16Storage", STORAGE, BD_BF16},
    {"torch", "LongStorage", STORAGE, BD_I64},
    {"torch", "IntStorage", STORAGE, BD_I32},
    {"torch", "ByteStorage", STORAGE, BD_U8},
};

static bool same(const char *known, const char *text, size_t n) {
    return strlen(known) == n && memcmp(known, text, n) == 0;
}

/* A name for a message: what is not plain ASCII becomes '?'. */
static const char *printable(char out[80], const char *text, size_t n) {
    size_t k = n < 79 ? n : 79;
    for (size_t i = 0; i < k; i++) out[i] = text[i] > ' ' && text[i] < 0x7f ? text[i] : '?';
    out[k] = '\0';
    return out;
}

bd_status bd_pickle_global(int64_t *number, const bd_pickle *p, size_t at, const char *module,
                           size_t n_module, const char *name, size_t n_name) {
    char m[80], n[80];
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        *number = (int64_t)i;
        if (same(globals[i].module, module, n_module) && same(globals[i].name, name, n_name))
            return BD_OK;
    }
    if (same("torch", module, n_module) && n_name > 7 &&
        memcmp(name + n_name - 7, "Storage", 7) == 0)
        return bd_pickle_fail(p, at,
                              "torch.%s: tensors of float32, float64, float16, bfloat16, int64, "
                              "int32 and uint8 are read",
                              printable(n, name, n_name));
    return bd_pickle_fail(p, at,
                          "refused: it asks to load %s.%s, and only a state dict of tensors is "
                          "read; save it with torch.save(model.state_dict(), ...)",
                          printable(m, module, n_module), printable(n, name, n_name));
}

static bool is_kind(const bd_pickle *p, uint32_t node, bd_pickle_kind k) {
    return node != BD_PK_NIL && p->node[node].kind == k;
}

/* OrderedDict(): empty. Python 2 wrote OrderedDict([[key, value], ...]). */
static bd_status make_dict(uint32_t *result, bd_pickle *p, size_t at, uint32_t arguments) {
    uint32_t list = bd_pickle_item(p, arguments, 0);
    BD_TRY(bd_pickle_new(result, p, BD_PK_DICT, at));
    if (list == BD_PK_NIL) return BD_OK;
    if (!is_kind(p, list, BD_PK_LIST) || p->node[arguments].items.count != 1)
        return bd_pickle_fail(p, at, "an OrderedDict that is not made of a list");
    for (uint32_t c = p->node[list].items.first; c != BD_PK_NIL; c = p->cell[c].next) {
        uint32_t pair = p->cell[c].node;
        if ((!is_kind(p, pair, BD_PK_LIST) && !is_kind(p, pair, BD_PK_TUPLE)) ||
            p->node[pair].items.count != 2)
            return bd_pickle_fail(p, at, "an OrderedDict of something else than pairs");
        BD_TRY(bd_pickle_append(p, *result, bd_pickle_item(p, pair, 0)));
        BD_TRY(bd_pickle_append(p, *result, bd_pickle_item(p, pair, 1)));
    }
    return BD_OK;
}

static bd_status make_tensor(uint32_t *result, bd_pickle *p, size_t at, uint32_t arguments,
                             uint32_t least, uint32_t most) {
    uint32_t n = p->node[arguments].items.count;
    if (n < least || n > most)
        return bd_pickle_fail(p, at, "a tensor of %u arguments, %u to %u are known", n, least,
                              most);
    BD_TRY(bd_pickle_new(result, p, BD_PK_TENSOR, at));
    p->node[*result].items = p->node[arguments].items;
    bd_pickle_tensor t;
    return bd_pickle_get_tensor(&t, p, *result);
}

bd_status bd_pickle_call(uint32_t *result, bd_pickle *p, size_t at, uint32_t function,
                         uint32_t arguments) {
    if (!is_kind(p, function, BD_PK_GLOBAL) || !is_kind(p, arguments, BD_PK_TUPLE))
        return bd_pickle_fail(p, at, "a call of %s with %s",
                              bd_pickle_kind_name(p->node[function].kind),
                              bd_pickle_kind_name(p->node[arguments].kind));
    uint32_t first = bd_pickle_item(p, arguments, 0);
    switch (globals[p->node[function].number].means) {
    case DICT: return make_dict(result, p, at, arguments);
    case TENSOR_V1: return make_tensor(result, p, at, arguments, 4, 4);
    case TENSOR_V2: return make_tensor(result, p, at, arguments, 6, 7);
    case REBUILT_PARAMETER:
    case PARAMETER:
        if (!is_kind(p, first, BD_PK_TENSOR))
            return bd_pickle_fail(p, at, "a parameter that is no tensor");
        *result = first;
        return BD_OK;
    case STORAGE: break;
    }
    return bd_pickle_fail(p, at, "a storage made by a call");
}

bd_status bd_pickle_build(bd_pickle *p, size_t at, uint32_t object, uint32_t state) {
    if (is_kind(p, object, BD_PK_DICT) && is_kind(p, state, BD_PK_DICT)) return BD_OK;
    if (is_kind(p, object, BD_PK_TENSOR) && is_kind(p, state, BD_PK_TUPLE)) return BD_OK;
    return bd_pickle_fail(p, at, "a state given to %s", bd_pickle_kind_name(p->node[object].kind));
}

bd_status bd_pickle_persistent(uint32_t *result, bd_pickle *p, size_t at, uint32_t id) {
    if (!is_kind(p, id, BD_PK_TUPLE) || !bd_pickle_is(p, bd_pickle_item(p, id, 0), "storage"))
        return bd_pickle_fail(p, at, "a persistent id that is no storage");
    BD_TRY(bd_pickle_new(result, p, BD_PK_STORAGE, at));
    p->node[*result].items = p->node[id].items;
    bd_pickle_storage s;
    return bd_pickle_get_storage(&s, p, *result);
}

/* --- storages and tensors --- */

static bd_status get_count(int64_t *out, const bd_pickle *p, uint32_t node, size_t at,
                           const char *what) {
    if (!is_kind(p, node, BD_PK_INT) || p->node[node].number < 0)
        return bd_pickle_fail(p, at, "%s is no number of elements", what);
    *out = p->node[node].number;
    return BD_OK;
}

/* ("storage", type, key, device, elements[, view]); a view is (key, first, elements) or None. */
bd_status bd_pickle_get_storage(bd_pickle_storage *out, const bd_pickle *p, uint32_t node) {
    size_t at = p->node[node].at;
    uint32_t n = p->node[node].items.count, type = bd_pickle_item(p, node, 1);
    uint32_t view = bd_pickle_item(p, node, 5);
    bool known = is_kind(p, type, BD_PK_GLOBAL) && globals[p->node[type].number].means == STORAGE;
    out->key = bd_pickle_item(p, node, 2);
    if (n < 5 || n > 6 || !known || !is_kind(p, out->key, BD_PK_TEXT))
        return bd_pickle_fail(p, at, "a storage without its type or name");
    out->dtype = globals[p->node[type].number].dtype;
    BD_TRY(get_count(&out->of, p, bd_pickle_item(p, node, 4), at, "the size of a storage"));
    if (out->of > INT64_MAX / 16) return bd_pickle_fail(p, at, "a storage larger than memory");
    out->first = 0;
    out->count = out->of;
    if (n == 5 || is_kind(p, view, BD_PK_NONE)) return BD_OK;
    if (!is_kind(p, view, BD_PK_TUPLE)) return bd_pickle_fail(p, at, "a view of a storage");
    BD_TRY(get_count(&out->first, p, bd_pickle_item(p, view, 1), at, "the start of a view"));
    BD_TRY(get_count(&out->count, p, bd_pickle_item(p, view, 2), at, "the size of a view"));
    if (out->first > out->of || out->count > out->of - out->first)
        return bd_pickle_fail(p, at, "a view that passes the end of its storage");
    return BD_OK;
}

static bd_status get_shape(int64_t *out, int *rank, const bd_pickle *p, uint32_t node, size_t at,
                           const char *what) {
    if (!is_kind(p, node, BD_PK_TUPLE)) return bd_pickle_fail(p, at, "%s is no tuple", what);
    if (p->node[node].items.count > BD_MAX_RANK)
        return bd_pickle_fail(p, at, "a tensor of %u dimensions, at most %d are read",
                              p->node[node].items.count, BD_MAX_RANK);
    *rank = 0;
    for (uint32_t c = p->node[node].items.first; c != BD_PK_NIL; c = p->cell[c].next) {
        BD_TRY(get_count(&out[*rank], p, p->cell[c].node, at, what));
        ++*rank;
        if (*rank == (int)p->node[node].items.count) break; /* the chain may be shared */
    }
    return BD_OK;
}

static bd_status check_extent(const bd_pickle_tensor *t, const bd_pickle *p, size_t at) {
    uint64_t n = 1, last = 0, step;
    bool over = false;
    for (int i = 0; i < t->rank; i++) over |= __builtin_mul_overflow(n, (uint64_t)t->dim[i], &n);
    if (!over && n == 0) return BD_OK;
    for (int i = 0; i < t->rank; i++) {
        over |= __builtin_mul_overflow((uint64_t)(t->dim[i] - 1), (uint64_t)t->stride[i], &step);
        over |= __builtin_add_overflow(last, step, &last);
    }
    over |= __builtin_add_overflow(last, (uint64_t)t->offset, &last);
    if (over || last >= (uint64_t)t->storage.count)
        return bd_pickle_fail(p, at,
                              "a tensor that passes the end of its storage of %" PRId64 " elements",
                              t->storage.count);
    if (n > (uint64_t)t->storage.count)
        return bd_pickle_fail(p, at,
                              "an expanded tensor: %" PRIu64 " elements out of the %" PRId64
                              " of its storage; save it with .contiguous()",
                              n, t->storage.count);
    return BD_OK;
}

bd_status bd_pickle_get_tensor(bd_pickle_tensor *out, const bd_pickle *p, uint32_t node) {
    size_t at = p->node[node].at;
    uint32_t storage = bd_pickle_item(p, node, 0);
    int strides;
    *out = (bd_pickle_tensor){.rank = 0};
    if (!is_kind(p, storage, BD_PK_STORAGE))
        return bd_pickle_fail(p, at, "a tensor without storage");
    BD_TRY(bd_pickle_get_storage(&out->storage, p, storage));
    BD_TRY(get_count(&out->offset, p, bd_pickle_item(p, node, 1), at, "the offset of a tensor"));
    BD_TRY(
        get_shape(out->dim, &out->rank, p, bd_pickle_item(p, node, 2), at, "the size of a tensor"));
    BD_TRY(get_shape(out->stride, &strides, p, bd_pickle_item(p, node, 3), at,
                     "the stride of a tensor"));
    if (strides != out->rank) return bd_pickle_fail(p, at, "a tensor whose size and stride differ");
    return check_extent(out, p, at);
}
