/* State dicts that PyTorch saved: .bin, .pt and .pth files. */
#ifndef BD_IO_TORCH_H
#define BD_IO_TORCH_H

#include <stdbool.h>

#include "io/tensors.h"

/* bd_torch_is -- do the first n bytes of a file look like one of torch.save's? */
bool bd_torch_is(const unsigned char *start, size_t n);

/* bd_torch_load -- the tensors of a state dict, from the zip layout (torch >= 1.6) or the older one of pickles and
 * raw storages. Their pickle is read as data: nothing in it is looked up or run, and whatever a state dict
 * does not need is refused. The dict may lie inside another (under "state_dict", or the only one with tensors); what
 * is no tensor becomes metadata. Tensors may share storages and have any strides.
 *   source   torch/serialization.py, torch/_utils.py; Python's Lib/pickletools.py
 *   units    while loading, memory holds the file and its tensors
 *   errors   BD_E_MISSING, BD_E_IO; BD_E_FORMAT with file, offset or tensor, and reason
 *   memory   caller frees with bd_tensors_destroy
 *   tested   tests/test_torch.c */
BD_MUST_CHECK bd_status bd_torch_load(bd_tensors **out, const char *path);

#endif
