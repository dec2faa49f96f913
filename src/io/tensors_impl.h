/* How a reader fills a set of tensors. Private to src/io. */
#ifndef BD_IO_TENSORS_IMPL_H
#define BD_IO_TENSORS_IMPL_H

#include <stdbool.h>

#include "io/tensors.h"

enum { BD_TENSORS_MAX = 65536, BD_TENSORS_ALIGN = 64 };

typedef struct {
    const char *key, *value;
} bd_st_meta;

/* All zero = empty. Every pointer is the set's own and goes with it. */
struct bd_tensors {
    const char *format;
    char *text; /* names and metadata point into it */
    bd_st_tensor *tensors;
    const bd_st_tensor **by_name; /* sorted */
    size_t n;
    bd_st_meta *meta; /* sorted by key */
    size_t n_meta;
    void *data; /* bd_tensors_align'ed pieces, one a tensor */
};

size_t bd_tensors_align(size_t bytes);

/* bd_shape_bytes -- bytes of a shape; false on overflow or a negative dimension. */
bool bd_shape_bytes(uint64_t *bytes, const int64_t *dim, int rank, bd_dtype type);

/* bd_tensors_reserve -- room for n tensors (all zero, s->n = n) and `bytes` bytes of data. */
BD_MUST_CHECK bd_status bd_tensors_reserve(bd_tensors *s, size_t n, size_t bytes, const char *path);

/* bd_tensors_index -- sort names and metadata once they are filled in.
 *   errors   BD_E_FORMAT: a name or a metadata key is there twice */
BD_MUST_CHECK bd_status bd_tensors_index(bd_tensors *s, const char *path);

#endif
