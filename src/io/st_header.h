/* The JSON header of a safetensors file, parsed without a general JSON library so that memory stays bounded by
 * the size of the header. Private to src/io. */
#ifndef BD_IO_ST_HEADER_H
#define BD_IO_ST_HEADER_H

#include "io/tensors_impl.h"

typedef struct {
    const char *name;
    bd_dtype dtype;
    int rank;
    int64_t dim[BD_MAX_RANK];
    uint64_t begin, end; /* bytes from the start of the data section */
} bd_st_entry;

typedef struct {
    bd_st_entry *entries; /* header order */
    size_t n;
    bd_st_meta *meta;
    size_t n_meta;
} bd_st_header;

/* bd_st_header_parse -- text[0..n-1] is the header, text[n] a NUL; strings are unescaped in place and stay in text.
 * Checks syntax, UTF-8, keys and types; sizes and offsets are the caller's to check.
 *   errors   BD_E_FORMAT "<path>: offset <byte in the file>: <reason>"; BD_E_MEMORY
 *   memory   caller frees with bd_st_header_clear, also after a failure */
BD_MUST_CHECK bd_status bd_st_header_parse(bd_st_header *out, char *text, size_t n,
                                           const char *path);
void bd_st_header_clear(bd_st_header *h);

#endif
