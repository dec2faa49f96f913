/* From the object of a PyTorch file to named tensors. Private to src/io. */
#ifndef BD_IO_TORCH_IMPL_H
#define BD_IO_TORCH_IMPL_H

#include "io/pickle.h"
#include "io/tensors_impl.h"

/* Where the bytes of storages come from. */
typedef struct {
    uint64_t file_bytes;
    void *ctx;
    /* All bytes of a storage, borrowed until the next call. */
    bd_status (*fetch)(void *ctx, const unsigned char **data, const bd_pickle *p,
                       const bd_pickle_storage *s);
} bd_torch_source;

/* bd_torch_state -- fill the set: the tensors of the pickle's dict, or of the one dict inside it that has some;
 * what else the dict holds becomes metadata.
 *   errors   BD_E_FORMAT: there is no such dict, or not only one; a name twice; more than twice the file's
 *            bytes of tensors */
BD_MUST_CHECK bd_status bd_torch_state(bd_tensors *s, const bd_pickle *p,
                                       const bd_torch_source *source);

#endif
