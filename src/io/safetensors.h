/* safetensors files: named tensors with a JSON header. */
#ifndef BD_IO_SAFETENSORS_H
#define BD_IO_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum { BD_F32, BD_F64, BD_F16, BD_BF16, BD_I64, BD_I32, BD_U8 } bd_dtype;

size_t bd_dtype_size(bd_dtype t);      /* bytes of one element */
const char *bd_dtype_name(bd_dtype t); /* "F32", "I64" ... as the format spells them */

#define BD_MAX_RANK 8

typedef struct {
    const char *name;
    bd_dtype dtype;
    int rank;
    int64_t dim[BD_MAX_RANK];
    /* little-endian, row-major, 64-byte aligned copy; size = product of dim * element size */
    const void *data;
    size_t bytes;
} bd_st_tensor;

typedef struct bd_safetensors bd_safetensors;

/* bd_safetensors_load -- read and check a whole file: header length <= 100 MB, offsets contiguous from 0
 * without holes or overlap, last offset = end of file, sizes by checked multiplication, no name twice,
 * at most 65536 tensors, __metadata__ maps strings to strings. Names are UTF-8 without NUL.
 *   source   https://github.com/huggingface/safetensors README "Format"
 *   errors   BD_E_MISSING, BD_E_IO, BD_E_FORMAT with file, offset and reason
 *   memory   caller frees with bd_safetensors_destroy; tensors are borrowed from it */
BD_MUST_CHECK bd_status bd_safetensors_load(bd_safetensors **out, const char *path);
void bd_safetensors_destroy(bd_safetensors *s);

size_t bd_safetensors_count(const bd_safetensors *s);
/* order of the data in the file; NULL: no such i */
const bd_st_tensor *bd_safetensors_at(const bd_safetensors *s, size_t i);
/* NULL: not there */
const bd_st_tensor *bd_safetensors_find(const bd_safetensors *s, const char *name);
/* NULL: not there */
const char *bd_safetensors_meta(const bd_safetensors *s, const char *key);
size_t bd_safetensors_meta_count(const bd_safetensors *s);
void bd_safetensors_meta_at(const bd_safetensors *s, size_t i, const char **key,
                            const char **value);

/* bd_safetensors_save -- write atomically; tensors in the order given, data 8-byte aligned.
 * meta: n_meta pairs {key, value}; may be NULL when n_meta is 0.
 *   errors   BD_E_SHAPE: bytes do not fit the shape; BD_E_FORMAT: a name or key twice or not UTF-8; BD_E_IO */
BD_MUST_CHECK bd_status bd_safetensors_save(const char *path, const bd_st_tensor *tensors, size_t n,
                                            const char *const (*meta)[2], size_t n_meta);

#endif
