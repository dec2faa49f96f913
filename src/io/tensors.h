/* A set of named tensors in memory, whatever kind of file it came from. */
#ifndef BD_IO_TENSORS_H
#define BD_IO_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum { BD_F32, BD_F64, BD_F16, BD_BF16, BD_I64, BD_I32, BD_U8 } bd_dtype;

size_t bd_dtype_size(bd_dtype t);      /* bytes of one element */
const char *bd_dtype_name(bd_dtype t); /* "F32", "I64" ... as safetensors spells them */

#define BD_MAX_RANK 8

/* One stored tensor. */
typedef struct {
    const char *name; /* UTF-8 */
    bd_dtype dtype;
    int rank;
    int64_t dim[BD_MAX_RANK];
    /* little-endian, row-major, 64-byte aligned copy; size = product of dim * element size */
    const void *data;
    size_t bytes;
} bd_st_tensor;

/* bd_st_float -- element k of a tensor of F32, F16 or BF16, all of which a float holds exactly;
 * bd_st_is_float says whether it is one. */
bool bd_st_is_float(const bd_st_tensor *t);
float bd_st_float(const bd_st_tensor *t, size_t k);

typedef struct bd_tensors bd_tensors;

/* bd_tensors_load -- the tensors of a file, whose kind is told by its content, never by its name:
 * safetensors (bd_safetensors_load), or a state dict of PyTorch (bd_torch_load). A "module." in
 * front of all names, which DataParallel leaves there, is dropped.
 *   errors   BD_E_MISSING, BD_E_IO, BD_E_FORMAT with file, offset or tensor, and reason; something
 *            else that came in place of a download (a web page, a Git LFS pointer) is named
 *   memory   caller frees with bd_tensors_destroy; tensors and texts are borrowed from it
 *   tested   tests/test_tensors.c */
BD_MUST_CHECK bd_status bd_tensors_load(bd_tensors **out, const char *path);
void bd_tensors_destroy(bd_tensors *s); /* NULL allowed */

/* What the file is: "safetensors" ... */
const char *bd_tensors_format(const bd_tensors *s);

size_t bd_tensors_count(const bd_tensors *s);
/* order of the data in the file; NULL: no such i */
const bd_st_tensor *bd_tensors_at(const bd_tensors *s, size_t i);
/* NULL: not there */
const bd_st_tensor *bd_tensors_find(const bd_tensors *s, const char *name);
/* Texts that the file holds beside its tensors; NULL: not there */
const char *bd_tensors_meta(const bd_tensors *s, const char *key);
size_t bd_tensors_meta_count(const bd_tensors *s);
void bd_tensors_meta_at(const bd_tensors *s, size_t i, const char **key, const char **value);

#endif
