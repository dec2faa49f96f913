/* safetensors files: named tensors with a JSON header. */
#ifndef BD_IO_SAFETENSORS_H
#define BD_IO_SAFETENSORS_H

#include "io/tensors.h"

/* bd_safetensors_load -- read and check a whole file: header length <= 100 MB, offsets contiguous from 0
 * without holes or overlap, last offset = end of file, sizes by checked multiplication, no name twice,
 * at most 65536 tensors, __metadata__ maps strings to strings. Names are UTF-8 without NUL.
 *   source   https://github.com/huggingface/safetensors README "Format"
 *   errors   BD_E_MISSING, BD_E_IO, BD_E_FORMAT with file, offset and reason
 *   memory   caller frees with bd_tensors_destroy
 *   tested   tests/test_safetensors.c */
BD_MUST_CHECK bd_status bd_safetensors_load(bd_tensors **out, const char *path);

/* bd_safetensors_save -- write atomically; tensors in the order given, data 8-byte aligned.
 * meta: n_meta pairs {key, value}; may be NULL when n_meta is 0.
 *   errors   BD_E_SHAPE: bytes do not fit the shape; BD_E_FORMAT: a name or key twice or not UTF-8; BD_E_IO */
BD_MUST_CHECK bd_status bd_safetensors_save(const char *path, const bd_st_tensor *tensors, size_t n,
                                            const char *const (*meta)[2], size_t n_meta);

#endif
