#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch_impl.h"

enum { META_MAX = 1024, META_TEXT_MAX = 200 };

/* --- the dict --- */

typedef struct {
    uint32_t cell; /* of the key */
} cursor;

static bool next(uint32_t *key, uint32_t *value, cursor *at, const bd_pickle *p) {
    if (at->cell == BD_PK_NIL) return false;
    uint32_t v = p->cell[at->cell].next;
    *key = p->cell[at->cell].node;
    *value = p->cell[v].node;
    at->cell = p->cell[v].next;
    return true;
}

static cursor start(const bd_pickle *p, uint32_t dict) {
    return (cursor){p->node[dict].items.first};
}

static bool has_tensors(const bd_pickle *p, uint32_t dict) {
    uint32_t key, value;
    for (cursor c = start(p, dict); next(&key, &value, &c, p);)
        if (p->node[value].kind == BD_PK_TENSOR) return true;
    return false;
}

/* The dict with the tensors, and under which key it was found (BD_PK_NIL: it is the root). */
static bd_status find_dict(uint32_t *dict, uint32_t *under, const bd_pickle *p) {
    uint32_t key, value, found = 0;
    size_t looked = 0; /* entries; the same large dict may be there many times */
    const bd_pickle_node *root = &p->node[p->root];
    *under = BD_PK_NIL;
    *dict = p->root;
    BD_REQUIRE(root->kind == BD_PK_DICT, BD_E_FORMAT, "%s: holds %s, not a state dict", p->path,
               bd_pickle_kind_name(root->kind));
    if (has_tensors(p, p->root)) return BD_OK;
    /* each of its entries is looked into, and many may be the same large one */
    BD_REQUIRE(root->items.count / 2 <= META_MAX, BD_E_FORMAT,
               "%s: no tensors among the %u entries of its dict", p->path, root->items.count / 2);
    for (cursor c = start(p, p->root); next(&key, &value, &c, p);) {
        if (p->node[value].kind != BD_PK_DICT) continue;
        looked += p->node[value].items.count / 2;
        BD_REQUIRE(looked <= p->n, BD_E_FORMAT, "%s: the same dict again and again", p->path);
        if (!has_tensors(p, value)) continue;
        bool usual = bd_pickle_is(p, key, "state_dict");
        if (found && !usual) {
            found++;
            continue;
        }
        *dict = value;
        *under = key;
        found = usual ? 1 : found + 1;
        if (usual) break;
    }
    BD_REQUIRE(found > 0, BD_E_FORMAT, "%s: there are no tensors in its dict", p->path);
    BD_REQUIRE(found == 1, BD_E_FORMAT,
               "%s: %u dicts of tensors and none is called state_dict; save the one that is meant",
               p->path, found);
    BD_REQUIRE(p->node[*under].kind == BD_PK_TEXT, BD_E_FORMAT,
               "%s: the key of its state dict is %s", p->path,
               bd_pickle_kind_name(p->node[*under].kind));
    /* it stands before the names of all entries that are no tensors */
    BD_REQUIRE(p->node[*under].text.count < META_TEXT_MAX, BD_E_FORMAT,
               "%s: the key of its state dict has %u bytes", p->path, p->node[*under].text.count);
    return BD_OK;
}

/* --- counting --- */

/* One tensor on its way. */
typedef struct {
    bd_pickle_tensor t;
    uint32_t key;
    const unsigned char *storage; /* name of its storage */
    size_t n_storage;
    size_t place; /* in the set */
} item;

typedef struct {
    const bd_pickle *p;
    uint32_t dict, under;
    item *items;
    size_t n, n_meta;
    uint64_t text, bytes;
} state;

static uint64_t meta_bytes(const bd_pickle_node *v) {
    return v->kind == BD_PK_TEXT && v->text.count < META_TEXT_MAX ? v->text.count + 1 : 64;
}

static bd_status count_dict(state *s, uint32_t dict, bool inner) {
    const bd_pickle *p = s->p;
    uint32_t key, value;
    uint64_t names = 0;
    for (cursor c = start(p, dict); next(&key, &value, &c, p);) {
        const bd_pickle_node *k = &p->node[key], *v = &p->node[value];
        if (k->kind != BD_PK_TEXT)
            return bd_pickle_fail(p, k->at, "a key of its dict is %s, not a text",
                                  bd_pickle_kind_name(k->kind));
        names += k->text.count;
        s->text += k->text.count + 1;
        if (inner && v->kind == BD_PK_TENSOR) {
            s->n++;
            continue;
        }
        s->n_meta++;
        s->text += meta_bytes(v) + (s->under != BD_PK_NIL ? p->node[s->under].text.count + 1 : 0);
    }
    /* texts may be shared, different ones are not */
    BD_REQUIRE(names <= p->n, BD_E_FORMAT, "%s: a name of its dict is there twice", p->path);
    BD_REQUIRE(s->n <= BD_TENSORS_MAX, BD_E_FORMAT, "%s: more than %d tensors", p->path,
               BD_TENSORS_MAX);
    BD_REQUIRE(s->n_meta <= META_MAX, BD_E_FORMAT,
               "%s: more than %d entries of its dict are no tensors", p->path, META_MAX);
    return BD_OK;
}

static bool same_storage(const item *x, const item *y) {
    return x->n_storage == y->n_storage && memcmp(x->storage, y->storage, x->n_storage) == 0;
}

static int by_storage(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->n_storage != y->n_storage) return x->n_storage < y->n_storage ? -1 : 1;
    int c = memcmp(x->storage, y->storage, x->n_storage);
    return c ? c : x->place < y->place ? -1 : 1;
}

static bd_status read_items(state *s, const bd_torch_source *source) {
    const bd_pickle *p = s->p;
    uint32_t key, value;
    size_t n = 0;
    s->items = calloc(s->n ? s->n : 1, sizeof *s->items);
    BD_REQUIRE(s->items, BD_E_MEMORY, "%s: out of memory for %zu tensors", p->path, s->n);
    for (cursor c = start(p, s->dict); next(&key, &value, &c, p);) {
        if (p->node[value].kind != BD_PK_TENSOR) continue;
        item *it = &s->items[n];
        uint64_t bytes;
        BD_TRY(bd_pickle_get_tensor(&it->t, p, value));
        it->key = key;
        it->storage = p->bytes + p->node[it->t.storage.key].text.first;
        it->n_storage = p->node[it->t.storage.key].text.count;
        it->place = n++;
        BD_REQUIRE(bd_shape_bytes(&bytes, it->t.dim, it->t.rank, it->t.storage.dtype) &&
                       bytes <= source->file_bytes,
                   BD_E_FORMAT, "%s: tensor \"%.*s\" is larger than the file", p->path,
                   (int)p->node[key].text.count, (const char *)p->bytes + p->node[key].text.first);
        s->bytes += bd_tensors_align((size_t)bytes);
        BD_REQUIRE(s->bytes <= 2 * source->file_bytes + s->n * BD_TENSORS_ALIGN, BD_E_FORMAT,
                   "%s: its tensors are views of each other, of more than twice the file's bytes",
                   p->path);
    }
    return BD_OK;
}

/* --- filling --- */

static const char *put(bd_tensors *out, size_t *at, const char *text, size_t n) {
    char *to = out->text + *at;
    memcpy(to, text, n);
    to[n] = '\0';
    *at += n + 1;
    return to;
}

static const char *put_node(bd_tensors *out, size_t *at, const bd_pickle *p, uint32_t node) {
    const bd_pickle_node *n = &p->node[node];
    return put(out, at, (const char *)p->bytes + n->text.first, n->text.count);
}

static const char *put_value(bd_tensors *out, size_t *at, const bd_pickle *p, uint32_t node) {
    const bd_pickle_node *v = &p->node[node];
    char text[64];
    if (v->kind == BD_PK_TEXT && v->text.count < META_TEXT_MAX) return put_node(out, at, p, node);
    if (v->kind == BD_PK_INT)
        snprintf(text, sizeof text, "%" PRId64, v->number);
    else if (v->kind == BD_PK_FLOAT)
        snprintf(text, sizeof text, "%.17g", v->real);
    else if (v->kind == BD_PK_BOOL)
        snprintf(text, sizeof text, "%s", v->number ? "true" : "false");
    else if (v->kind == BD_PK_NONE)
        snprintf(text, sizeof text, "none");
    else
        snprintf(text, sizeof text, "(%s, not read)", bd_pickle_kind_name(v->kind));
    return put(out, at, text, strlen(text));
}

/* In place of the dict that holds the tensors. */
static const char read_here[] = "(a dict, read)";

static void put_meta(bd_tensors *out, size_t *at, const state *s, uint32_t dict, bool inner) {
    const bd_pickle *p = s->p;
    uint32_t key, value;
    for (cursor c = start(p, dict); next(&key, &value, &c, p);) {
        if (inner && p->node[value].kind == BD_PK_TENSOR) continue;
        bd_st_meta *m = &out->meta[out->n_meta++];
        m->key = out->text + *at;
        if (inner && s->under != BD_PK_NIL) {
            put_node(out, at, p, s->under);
            out->text[*at - 1] = '.';
        }
        put_node(out, at, p, key);
        m->value = !inner && value == s->dict ? put(out, at, read_here, strlen(read_here))
                                              : put_value(out, at, p, value);
    }
}

/* Row-major copy of a tensor that may have any strides. */
static void gather(unsigned char *to, const bd_pickle_tensor *t, const unsigned char *storage) {
    size_t size = bd_dtype_size(t->storage.dtype);
    const unsigned char *from = storage + (size_t)(t->storage.first + t->offset) * size;
    int64_t index[BD_MAX_RANK] = {0}, expect = 1;
    size_t n = 1;
    bool packed = true;
    for (int i = t->rank - 1; i >= 0; i--) {
        packed &= t->dim[i] == 1 || t->stride[i] == expect;
        expect *= t->dim[i];
        n *= (size_t)t->dim[i];
    }
    if (n && packed) memcpy(to, from, n * size);
    for (size_t k = 0; !packed && k < n; k++, to += size) {
        int64_t at = 0;
        for (int i = 0; i < t->rank; i++) at += index[i] * t->stride[i];
        memcpy(to, from + (size_t)at * size, size);
        for (int i = t->rank - 1; i >= 0 && ++index[i] == t->dim[i]; i--) index[i] = 0;
    }
}

static bd_status fill(bd_tensors *out, state *s, const bd_torch_source *source) {
    const unsigned char *data = NULL;
    unsigned char *to = out->data;
    for (size_t i = 0; i < s->n; i++) {
        bd_st_tensor *t = &out->tensors[i];
        const bd_pickle_tensor *from = &s->items[i].t;
        uint64_t bytes = 0;
        (void)bd_shape_bytes(&bytes, from->dim, from->rank, from->storage.dtype); /* checked */
        t->dtype = from->storage.dtype;
        t->rank = from->rank;
        memcpy(t->dim, from->dim, sizeof t->dim);
        t->bytes = (size_t)bytes;
        t->data = to;
        to += bd_tensors_align(t->bytes);
    }
    if (s->n) qsort(s->items, s->n, sizeof *s->items, by_storage);
    for (size_t i = 0; i < s->n; i++) {
        const item *it = &s->items[i];
        bool again = i && same_storage(it - 1, it);
        const bd_pickle_storage *x = &it->t.storage;
        BD_REQUIRE(!again || (it[-1].t.storage.dtype == x->dtype && it[-1].t.storage.of == x->of),
                   BD_E_FORMAT, "%s: storage %.*s has two types or sizes", s->p->path,
                   (int)it->n_storage, (const char *)it->storage);
        if (!again) BD_TRY(source->fetch(source->ctx, &data, s->p, x));
        const bd_st_tensor *t = &out->tensors[it->place];
        gather((unsigned char *)out->data +
                   ((const unsigned char *)t->data - (const unsigned char *)out->data),
               &it->t, data);
    }
    return BD_OK;
}

static bd_status read_state(bd_tensors *out, state *s, const bd_torch_source *source) {
    const bd_pickle *p = s->p;
    size_t at = 0;
    BD_TRY(find_dict(&s->dict, &s->under, p));
    bool wrapped = s->under != BD_PK_NIL;
    BD_TRY(count_dict(s, s->dict, true));
    if (wrapped) BD_TRY(count_dict(s, p->root, false));
    BD_TRY(read_items(s, source));
    BD_TRY(bd_tensors_reserve(out, s->n, (size_t)s->bytes, p->path));
    out->text = malloc((size_t)s->text + 1);
    out->meta = calloc(s->n_meta ? s->n_meta : 1, sizeof *out->meta);
    BD_REQUIRE(out->text && out->meta, BD_E_MEMORY, "%s: out of memory for its names", p->path);
    for (size_t i = 0; i < s->n; i++) out->tensors[i].name = put_node(out, &at, p, s->items[i].key);
    put_meta(out, &at, s, s->dict, true);
    if (wrapped) put_meta(out, &at, s, p->root, false);
    BD_TRY(bd_tensors_index(out, p->path));
    return fill(out, s, source);
}

bd_status bd_torch_state(bd_tensors *out, const bd_pickle *p, const bd_torch_source *source) {
    state s = {.p = p};
    bd_status st = read_state(out, &s, source);
    free(s.items);
    return st;
}
