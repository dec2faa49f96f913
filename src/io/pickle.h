/* A reader of pickles that builds data and calls nothing. It knows what torch.save writes for a state dict
 * (protocols 2 to 4) and refuses everything else. Private to src/io. */
#ifndef BD_IO_PICKLE_H
#define BD_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/tensors.h"

typedef enum {
    BD_PK_NONE,
    BD_PK_BOOL,
    BD_PK_INT,
    BD_PK_BIG, /* an integer that 64 bits do not hold; text = its bytes, lowest first */
    BD_PK_FLOAT,
    BD_PK_TEXT,
    BD_PK_BYTES,
    BD_PK_TUPLE,
    BD_PK_LIST,
    BD_PK_DICT,
    BD_PK_GLOBAL,  /* number = bd_pickle_global */
    BD_PK_STORAGE, /* the items of its persistent id */
    BD_PK_TENSOR,  /* the arguments of its rebuild function */
} bd_pickle_kind;

typedef struct {
    bd_pickle_kind kind;
    uint32_t at; /* byte of the pickle that made it */
    union {
        int64_t number;
        double real;
        struct {
            uint32_t first, count; /* bytes of the pickle */
        } text;
        struct {
            uint32_t first, last, count; /* a chain of cells; a dict's are key, value, key ... */
        } items;
    };
} bd_pickle_node;

typedef struct {
    uint32_t node, next;
} bd_pickle_cell;

/* What src/io reads of it: nodes and cells by number, from 0. */
typedef struct {
    const char *path, *part; /* for messages: file, and "data.pkl: " or "" */
    uint64_t base;           /* offset of the pickle in that part */
    const unsigned char *bytes;
    size_t n, used; /* bytes there, and read */
    bd_pickle_node *node;
    bd_pickle_cell *cell;
    uint32_t *stack, *memo;
    size_t n_node, n_cell, n_stack, n_memo, n_memoized;
    size_t room_node, room_cell, room_stack;
    uint32_t root;
} bd_pickle;

#define BD_PK_NIL UINT32_MAX

enum { BD_PICKLE_MAX = 1 << 24 }; /* bytes; one of 65536 tensors has about 10 MB */

/* bd_pickle_parse -- the pickle that begins at bytes[0]; p->used tells where it ends. Memory is at most
 * about 100 bytes a byte that was read.
 *   errors   BD_E_FORMAT: an opcode or a global that no state dict needs, by name and offset; truncated;
 *            BD_E_MEMORY
 *   memory   borrows path, part and bytes; caller frees with bd_pickle_clear, also after a failure
 *   tested   tests/test_torch.c */
BD_MUST_CHECK bd_status bd_pickle_parse(bd_pickle *p, const char *path, const char *part,
                                        uint64_t base, const void *bytes, size_t n);
void bd_pickle_clear(bd_pickle *p);

/* bd_pickle_fail -- BD_E_FORMAT "<path>: <part>offset <at>: <reason>". */
bd_status bd_pickle_fail(const bd_pickle *p, size_t at, const char *fmt, ...) BD_PRINTF(3, 4);

/* As bd_fail in base/status.h. */
#ifdef __clang_analyzer__
#define bd_pickle_fail(p, at, ...) ((void)(bd_pickle_fail)((p), (at), __VA_ARGS__), BD_E_FORMAT)
#endif

const char *bd_pickle_kind_name(bd_pickle_kind k); /* "a dict" ... */

/* bd_pickle_item -- item i of a tuple, list, storage or tensor; BD_PK_NIL past the end. */
uint32_t bd_pickle_item(const bd_pickle *p, uint32_t node, uint32_t i);

/* bd_pickle_is -- node is a text and reads so. */
bool bd_pickle_is(const bd_pickle *p, uint32_t node, const char *text);

/* --- for pickle.c and pickle_call.c --- */

BD_MUST_CHECK bd_status bd_pickle_new(uint32_t *node, bd_pickle *p, bd_pickle_kind k, size_t at);
BD_MUST_CHECK bd_status bd_pickle_append(bd_pickle *p, uint32_t container, uint32_t item);

/* bd_pickle_global -- the number of a global; what is not in the list is refused by name. */
BD_MUST_CHECK bd_status bd_pickle_global(int64_t *number, const bd_pickle *p, size_t at,
                                         const char *module, size_t n_module, const char *name,
                                         size_t n_name);

/* bd_pickle_call -- what function(arguments) stands for: an empty dict, or a tensor. */
BD_MUST_CHECK bd_status bd_pickle_call(uint32_t *result, bd_pickle *p, size_t at, uint32_t function,
                                       uint32_t arguments);

/* bd_pickle_build -- state given to an object: attributes of a dict, hooks of a parameter; not kept. */
BD_MUST_CHECK bd_status bd_pickle_build(bd_pickle *p, size_t at, uint32_t object, uint32_t state);

/* bd_pickle_persistent -- the storage that a persistent id stands for. */
BD_MUST_CHECK bd_status bd_pickle_persistent(uint32_t *result, bd_pickle *p, size_t at,
                                             uint32_t id);

/* --- for torch.c and torch_state.c --- */

typedef struct {
    bd_dtype dtype;
    uint32_t key;             /* node of its name, a text */
    int64_t first, count, of; /* elements first .. first+count-1 of the `of` stored under key */
} bd_pickle_storage;

typedef struct {
    bd_pickle_storage storage;
    int64_t offset; /* from storage.first */
    int rank;
    int64_t dim[BD_MAX_RANK], stride[BD_MAX_RANK];
} bd_pickle_tensor;

/* bd_pickle_get_storage / tensor -- what such a node says, checked against itself: every element of a tensor
 * lies in its storage, and it has no more elements than that.
 *   errors   BD_E_FORMAT */
BD_MUST_CHECK bd_status bd_pickle_get_storage(bd_pickle_storage *out, const bd_pickle *p,
                                              uint32_t node);
BD_MUST_CHECK bd_status bd_pickle_get_tensor(bd_pickle_tensor *out, const bd_pickle *p,
                                             uint32_t node);

#endif
