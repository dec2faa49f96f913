#include "io/pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* On the stack, in place of a node. */
static const uint32_t mark = UINT32_MAX - 1;

const char *bd_pickle_kind_name(bd_pickle_kind k) {
    static const char *const name[] = {
        "None",    "a truth value", "an integer", "a huge integer", "a number",  "a text",  "bytes",
        "a tuple", "a list",        "a dict",     "a class",        "a storage", "a tensor"};
    return name[k];
}

bd_status(bd_pickle_fail)(const bd_pickle *p, size_t at, const char *fmt, ...) {
    char reason[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return bd_fail(BD_E_FORMAT, "%s: %soffset %" PRIu64 ": %s", p->path, p->part, p->base + at,
                   reason);
}

/* --- memory --- */

static bd_status grow(void **array, size_t *room, size_t used, size_t element, const bd_pickle *p) {
    if (used < *room) return BD_OK;
    size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(*array, more * element);
    BD_REQUIRE(grown, BD_E_MEMORY, "%s: out of memory for its pickle", p->path);
    *array = grown;
    *room = more;
    return BD_OK;
}

bd_status bd_pickle_new(uint32_t *node, bd_pickle *p, bd_pickle_kind k, size_t at) {
    void *array = p->node;
    bd_status st = grow(&array, &p->room_node, p->n_node, sizeof *p->node, p);
    p->node = array;
    BD_TRY(st);
    p->node[p->n_node] = (bd_pickle_node){.kind = k, .at = (uint32_t)at};
    if (k >= BD_PK_TUPLE)
        p->node[p->n_node].items.first = p->node[p->n_node].items.last = BD_PK_NIL;
    *node = (uint32_t)p->n_node++;
    return BD_OK;
}

bd_status bd_pickle_append(bd_pickle *p, uint32_t container, uint32_t item) {
    /* an item takes a byte of the pickle at least, but for those that a call copies from a list that is there */
    if (p->n_cell >= 4 * p->used + 64)
        return bd_pickle_fail(p, p->node[container].at,
                              "the same items again and again: more than the file can mean");
    void *array = p->cell;
    bd_status st = grow(&array, &p->room_cell, p->n_cell, sizeof *p->cell, p);
    p->cell = array;
    BD_TRY(st);
    uint32_t c = (uint32_t)p->n_cell++;
    p->cell[c] = (bd_pickle_cell){.node = item, .next = BD_PK_NIL};
    bd_pickle_node *n = &p->node[container];
    if (n->items.count++ == 0)
        n->items.first = c;
    else
        p->cell[n->items.last].next = c;
    n->items.last = c;
    return BD_OK;
}

static bd_status push(bd_pickle *p, uint32_t node) {
    void *array = p->stack;
    bd_status st = grow(&array, &p->room_stack, p->n_stack, sizeof *p->stack, p);
    p->stack = array;
    BD_TRY(st);
    p->stack[p->n_stack++] = node;
    return BD_OK;
}

static bd_status push_new(bd_pickle_node **out, bd_pickle *p, bd_pickle_kind k, size_t at) {
    uint32_t node;
    BD_TRY(bd_pickle_new(&node, p, k, at));
    *out = &p->node[node];
    return push(p, node);
}

static bd_status pop(uint32_t *node, bd_pickle *p, size_t at) {
    if (!p->n_stack || p->stack[p->n_stack - 1] == mark)
        return bd_pickle_fail(p, at, "an operation without its operand");
    *node = p->stack[--p->n_stack];
    return BD_OK;
}

/* The container on top of the stack, which stays there. */
static bd_status top(uint32_t *node, bd_pickle *p, size_t at) {
    BD_TRY(pop(node, p, at));
    p->n_stack++;
    return BD_OK;
}

/* Where the items above the last mark begin on the stack; the mark lies below. */
static bd_status above_mark(size_t *first, const bd_pickle *p, size_t at) {
    *first = 0;
    for (size_t i = p->n_stack; i-- > 0;) {
        if (p->stack[i] != mark) continue;
        *first = i + 1;
        return BD_OK;
    }
    return bd_pickle_fail(p, at, "an operation without its mark");
}

uint32_t bd_pickle_item(const bd_pickle *p, uint32_t node, uint32_t i) {
    uint32_t c = p->node[node].items.first;
    while (c != BD_PK_NIL && i--) c = p->cell[c].next;
    return c == BD_PK_NIL ? BD_PK_NIL : p->cell[c].node;
}

bool bd_pickle_is(const bd_pickle *p, uint32_t node, const char *text) {
    if (node == BD_PK_NIL || p->node[node].kind != BD_PK_TEXT) return false;
    size_t n = strlen(text);
    return p->node[node].text.count == n &&
           memcmp(p->bytes + p->node[node].text.first, text, n) == 0;
}

/* --- arguments of opcodes --- */

static bd_status take(const unsigned char **out, bd_pickle *p, uint64_t n) {
    if (n > p->n - p->used) {
        if (p->n == BD_PICKLE_MAX)
            return bd_pickle_fail(p, p->used, "a pickle of more than %d bytes", BD_PICKLE_MAX);
        return bd_pickle_fail(
            p, p->used, "truncated inside its pickle; copy the file again from where it came");
    }
    *out = p->bytes + p->used;
    p->used += (size_t)n;
    return BD_OK;
}

/* An unsigned number of n <= 8 bytes, lowest first. */
static bd_status take_number(uint64_t *out, bd_pickle *p, int n) {
    const unsigned char *b;
    BD_TRY(take(&b, p, (uint64_t)n));
    *out = 0;
    for (int i = n - 1; i >= 0; i--) *out = *out << 8 | b[i];
    return BD_OK;
}

/* Text up to a newline. */
static bd_status take_line(const char **out, size_t *n, bd_pickle *p) {
    const unsigned char *b = p->bytes + p->used, *end = memchr(b, '\n', p->n - p->used);
    if (!end)
        return bd_pickle_fail(
            p, p->used, "truncated inside its pickle; copy the file again from where it came");
    *out = (const char *)b;
    *n = (size_t)(end - b);
    p->used += *n + 1;
    return BD_OK;
}

/* --- opcodes; size is the number of bytes of their argument --- */

static bd_status op_proto(bd_pickle *p, size_t at, int size) {
    uint64_t version;
    BD_TRY(take_number(&version, p, size));
    if (version < 2 || version > 4)
        return bd_pickle_fail(p, at, "pickle protocol %d; 2 to 4 are read", (int)version);
    return BD_OK;
}

static bd_status op_frame(bd_pickle *p, size_t at, int size) {
    uint64_t n;
    BD_TRY(take_number(&n, p, size));
    if (n > p->n - p->used) return bd_pickle_fail(p, at, "a frame that passes the end");
    return BD_OK;
}

static bd_status op_mark(bd_pickle *p, size_t at, int size) {
    (void)at, (void)size;
    return push(p, mark);
}

static bd_status op_none(bd_pickle *p, size_t at, int size) {
    (void)size;
    bd_pickle_node *n;
    return push_new(&n, p, BD_PK_NONE, at);
}

static bd_status push_bool(bd_pickle *p, size_t at, bool value) {
    bd_pickle_node *n;
    BD_TRY(push_new(&n, p, BD_PK_BOOL, at));
    n->number = value;
    return BD_OK;
}

static bd_status op_true(bd_pickle *p, size_t at, int size) {
    (void)size;
    return push_bool(p, at, true);
}

static bd_status op_false(bd_pickle *p, size_t at, int size) {
    (void)size;
    return push_bool(p, at, false);
}

/* BININT1 and BININT2 are unsigned, BININT is signed. */
static bd_status op_int(bd_pickle *p, size_t at, int size) {
    uint64_t v;
    bd_pickle_node *n;
    BD_TRY(take_number(&v, p, size));
    BD_TRY(push_new(&n, p, BD_PK_INT, at));
    n->number = size == 4 ? (int64_t)(int32_t)(uint32_t)v : (int64_t)v;
    return BD_OK;
}

/* LONG1: a length, then a signed number of so many bytes. */
static bd_status op_long(bd_pickle *p, size_t at, int size) {
    uint64_t len, v = 0;
    const unsigned char *b;
    bd_pickle_node *n;
    BD_TRY(take_number(&len, p, size));
    BD_TRY(take(&b, p, len));
    bool big = len > 8;
    BD_TRY(push_new(&n, p, big ? BD_PK_BIG : BD_PK_INT, at));
    if (big) {
        n->text.first = (uint32_t)(b - p->bytes);
        n->text.count = (uint32_t)len;
        return BD_OK;
    }
    for (int i = (int)len - 1; i >= 0; i--) v = v << 8 | b[i];
    if (len > 0 && len < 8 && b[len - 1] & 0x80) v |= UINT64_MAX << 8 * len;
    n->number = (int64_t)v;
    return BD_OK;
}

static bd_status op_float(bd_pickle *p, size_t at, int size) {
    const unsigned char *b;
    bd_pickle_node *n;
    uint64_t v = 0;
    BD_TRY(take(&b, p, (uint64_t)size));
    for (int i = 0; i < size; i++)
        v = v << 8 | b[i]; /* the one number with its highest byte first */
    BD_TRY(push_new(&n, p, BD_PK_FLOAT, at));
    memcpy(&n->real, &v, sizeof v);
    return BD_OK;
}

static bd_status push_string(bd_pickle *p, size_t at, int size, bd_pickle_kind kind) {
    uint64_t len;
    const unsigned char *b;
    bd_pickle_node *n;
    BD_TRY(take_number(&len, p, size));
    BD_TRY(take(&b, p, len));
    bool text = bd_utf8_is_text(b, (size_t)len);
    if (kind == BD_PK_TEXT && !text) return bd_pickle_fail(p, at, "a text that is not UTF-8");
    /* Python 2 wrote its names as byte strings. */
    BD_TRY(push_new(&n, p, text ? BD_PK_TEXT : BD_PK_BYTES, at));
    n->text.first = (uint32_t)(b - p->bytes);
    n->text.count = (uint32_t)len;
    return BD_OK;
}

static bd_status op_text(bd_pickle *p, size_t at, int size) {
    return push_string(p, at, size, BD_PK_TEXT);
}

static bd_status op_bytes(bd_pickle *p, size_t at, int size) {
    return push_string(p, at, size, BD_PK_BYTES);
}

static bd_status op_empty_tuple(bd_pickle *p, size_t at, int size) {
    (void)size;
    bd_pickle_node *n;
    return push_new(&n, p, BD_PK_TUPLE, at);
}

static bd_status op_empty_list(bd_pickle *p, size_t at, int size) {
    (void)size;
    bd_pickle_node *n;
    return push_new(&n, p, BD_PK_LIST, at);
}

static bd_status op_empty_dict(bd_pickle *p, size_t at, int size) {
    (void)size;
    bd_pickle_node *n;
    return push_new(&n, p, BD_PK_DICT, at);
}

/* The items from stack[first] on become a tuple; what lies below them and above `below` goes. */
static bd_status make_tuple(bd_pickle *p, size_t at, size_t first, size_t below) {
    uint32_t tuple;
    BD_TRY(bd_pickle_new(&tuple, p, BD_PK_TUPLE, at));
    for (size_t i = first; i < p->n_stack; i++) BD_TRY(bd_pickle_append(p, tuple, p->stack[i]));
    p->n_stack = below;
    return push(p, tuple);
}

static bd_status op_tuple(bd_pickle *p, size_t at, int size) {
    (void)size;
    size_t first;
    BD_TRY(above_mark(&first, p, at));
    return make_tuple(p, at, first, first - 1);
}

/* TUPLE1, TUPLE2, TUPLE3: size is the number of items. */
static bd_status op_short_tuple(bd_pickle *p, size_t at, int size) {
    size_t k = (size_t)size;
    for (size_t i = 0; i < k; i++)
        if (p->n_stack < k || p->stack[p->n_stack - 1 - i] == mark)
            return bd_pickle_fail(p, at, "an operation without its operand");
    return make_tuple(p, at, p->n_stack - k, p->n_stack - k);
}

/* Items stack[first..] go into the container at stack[below - 1]. */
static bd_status extend(bd_pickle *p, size_t at, bd_pickle_kind kind, size_t first, size_t below) {
    if (below < 1 || p->stack[below - 1] == mark)
        return bd_pickle_fail(p, at, "an operation without its operand");
    uint32_t to = p->stack[below - 1];
    if (p->node[to].kind != kind)
        return bd_pickle_fail(p, at, "items are added to %s",
                              bd_pickle_kind_name(p->node[to].kind));
    if (kind == BD_PK_DICT && (p->n_stack - first) % 2)
        return bd_pickle_fail(p, at, "a key without its value");
    for (size_t i = first; i < p->n_stack; i++) BD_TRY(bd_pickle_append(p, to, p->stack[i]));
    p->n_stack = below;
    return BD_OK;
}

static bd_status op_append(bd_pickle *p, size_t at, int size) {
    uint32_t item;
    (void)size;
    BD_TRY(pop(&item, p, at));
    p->n_stack++;
    return extend(p, at, BD_PK_LIST, p->n_stack - 1, p->n_stack - 1);
}

static bd_status op_appends(bd_pickle *p, size_t at, int size) {
    size_t first;
    (void)size;
    BD_TRY(above_mark(&first, p, at));
    return extend(p, at, BD_PK_LIST, first, first - 1);
}

static bd_status op_setitem(bd_pickle *p, size_t at, int size) {
    uint32_t value, key;
    (void)size;
    BD_TRY(pop(&value, p, at));
    BD_TRY(pop(&key, p, at));
    p->n_stack += 2;
    return extend(p, at, BD_PK_DICT, p->n_stack - 2, p->n_stack - 2);
}

static bd_status op_setitems(bd_pickle *p, size_t at, int size) {
    size_t first;
    (void)size;
    BD_TRY(above_mark(&first, p, at));
    return extend(p, at, BD_PK_DICT, first, first - 1);
}

/* Python numbers what it remembers from 0, so a key below the bytes read is all there can be. */
static bd_status remember(bd_pickle *p, size_t at, uint64_t key) {
    uint32_t node;
    BD_TRY(top(&node, p, at));
    if (key >= p->used) return bd_pickle_fail(p, at, "remembered under %" PRIu64, key);
    if (key >= p->n_memo) {
        size_t more = p->n_memo ? p->n_memo * 2 : 64;
        while (more <= key) more *= 2;
        uint32_t *grown = realloc(p->memo, more * sizeof *grown);
        BD_REQUIRE(grown, BD_E_MEMORY, "%s: out of memory for its pickle", p->path);
        p->memo = grown;
        for (size_t i = p->n_memo; i < more; i++) grown[i] = BD_PK_NIL;
        p->n_memo = more;
    }
    p->memo[key] = node;
    return BD_OK;
}

static bd_status op_put(bd_pickle *p, size_t at, int size) {
    uint64_t key;
    BD_TRY(take_number(&key, p, size));
    return remember(p, at, key);
}

/* Protocol 4 leaves the number out: it is how many there are. */
static bd_status op_memoize(bd_pickle *p, size_t at, int size) {
    (void)size;
    return remember(p, at, p->n_memoized++);
}

static bd_status op_get(bd_pickle *p, size_t at, int size) {
    uint64_t key;
    BD_TRY(take_number(&key, p, size));
    if (key >= p->n_memo || p->memo[key] == BD_PK_NIL)
        return bd_pickle_fail(p, at, "nothing is remembered under %" PRIu64, key);
    return push(p, p->memo[key]);
}

static bd_status push_global(bd_pickle *p, size_t at, const char *module, size_t n_module,
                             const char *name, size_t n_name) {
    int64_t number;
    bd_pickle_node *n;
    BD_TRY(bd_pickle_global(&number, p, at, module, n_module, name, n_name));
    BD_TRY(push_new(&n, p, BD_PK_GLOBAL, at));
    n->number = number;
    return BD_OK;
}

static bd_status op_global(bd_pickle *p, size_t at, int size) {
    const char *module, *name;
    size_t n_module, n_name;
    (void)size;
    BD_TRY(take_line(&module, &n_module, p));
    BD_TRY(take_line(&name, &n_name, p));
    return push_global(p, at, module, n_module, name, n_name);
}

static bd_status op_stack_global(bd_pickle *p, size_t at, int size) {
    uint32_t name, module;
    (void)size;
    BD_TRY(pop(&name, p, at));
    BD_TRY(pop(&module, p, at));
    const bd_pickle_node *m = &p->node[module], *n = &p->node[name];
    if (m->kind != BD_PK_TEXT || n->kind != BD_PK_TEXT)
        return bd_pickle_fail(p, at, "the name of a class is no text");
    return push_global(p, at, (const char *)p->bytes + m->text.first, m->text.count,
                       (const char *)p->bytes + n->text.first, n->text.count);
}

static bd_status op_reduce(bd_pickle *p, size_t at, int size) {
    uint32_t arguments, function, result;
    (void)size;
    BD_TRY(pop(&arguments, p, at));
    BD_TRY(pop(&function, p, at));
    BD_TRY(bd_pickle_call(&result, p, at, function, arguments));
    return push(p, result);
}

static bd_status op_build(bd_pickle *p, size_t at, int size) {
    uint32_t state, object;
    (void)size;
    BD_TRY(pop(&state, p, at));
    BD_TRY(top(&object, p, at));
    return bd_pickle_build(p, at, object, state);
}

static bd_status op_persistent(bd_pickle *p, size_t at, int size) {
    uint32_t id, result;
    (void)size;
    BD_TRY(pop(&id, p, at));
    BD_TRY(bd_pickle_persistent(&result, p, at, id));
    return push(p, result);
}

/* source: Python's Lib/pickletools.py */
static const struct {
    bd_status (*run)(bd_pickle *p, size_t at, int size);
    int size;
} opcodes[256] = {
    [0x80] = {op_proto, 1},       ['('] = {op_mark, 0},          ['N'] = {op_none, 0},
    [0x88] = {op_true, 0},        [0x89] = {op_false, 0},        ['K'] = {op_int, 1},
    ['M'] = {op_int, 2},          ['J'] = {op_int, 4},           [0x8a] = {op_long, 1},
    ['G'] = {op_float, 8},        ['X'] = {op_text, 4},          [0x8c] = {op_text, 1},
    ['U'] = {op_bytes, 1},        ['T'] = {op_bytes, 4},         [')'] = {op_empty_tuple, 0},
    [']'] = {op_empty_list, 0},   ['}'] = {op_empty_dict, 0},    ['t'] = {op_tuple, 0},
    [0x85] = {op_short_tuple, 1}, [0x86] = {op_short_tuple, 2},  [0x87] = {op_short_tuple, 3},
    ['a'] = {op_append, 0},       ['e'] = {op_appends, 0},       ['s'] = {op_setitem, 0},
    ['u'] = {op_setitems, 0},     ['q'] = {op_put, 1},           ['r'] = {op_put, 4},
    [0x94] = {op_memoize, 0},     ['h'] = {op_get, 1},           ['j'] = {op_get, 4},
    ['c'] = {op_global, 0},       [0x93] = {op_stack_global, 0}, ['R'] = {op_reduce, 0},
    ['b'] = {op_build, 0},        ['Q'] = {op_persistent, 0},    [0x95] = {op_frame, 8}};

bd_status bd_pickle_parse(bd_pickle *p, const char *path, const char *part, uint64_t base,
                          const void *bytes, size_t n) {
    *p = (bd_pickle){.path = path, .part = part, .base = base, .bytes = bytes};
    p->n = n < BD_PICKLE_MAX ? n : BD_PICKLE_MAX;
    for (;;) {
        const unsigned char *op;
        size_t at = p->used;
        BD_TRY(take(&op, p, 1));
        if (at == 0 && *op != 0x80) return bd_pickle_fail(p, 0, "no pickle of protocol 2 to 4");
        if (*op == '.') break;
        if (!opcodes[*op].run)
            return bd_pickle_fail(p, at, "opcode 0x%02x, which no state dict needs", *op);
        BD_TRY(opcodes[*op].run(p, at, opcodes[*op].size));
    }
    BD_TRY(pop(&p->root, p, p->used));
    if (p->n_stack) return bd_pickle_fail(p, p->used, "more than one object in its pickle");
    return BD_OK;
}

void bd_pickle_clear(bd_pickle *p) {
    free(p->node);
    free(p->cell);
    free(p->stack);
    free(p->memo);
    *p = (bd_pickle){0};
}
