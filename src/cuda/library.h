/* Opening NVIDIA's libraries at run time: system folders, the CUDA toolkit, and Python's nvidia packages. */
#ifndef BD_CUDA_LIBRARY_H
#define BD_CUDA_LIBRARY_H

#include "base/status.h"
#include "cuda/blas_api.h"
#include "cuda/dnn_api.h"

/* bd_cuda_library_dnn, bd_cuda_library_blas -- the functions of libcudnn_graph.so.9 and libcublasLt.so.13 (or .12),
 * opened on the first call and kept for the life of the process. Looked for in this order: $BADDIFF_CUDA_LIBS (folders
 * separated by ':'), the loader's own search, $CUDA_HOME/lib64 and lib, /usr/local/cuda, then nvidia's folders in
 * site-packages (cudnn/lib, cublas/lib, cu13/lib) of the Python environments at hand ($VIRTUAL_ENV, $CONDA_PREFIX,
 * /usr, /usr/local, /opt/conda, $HOME/.local).
 *   errors   BD_E_DEVICE: not found (what was looked for, and the Debian and pip package that holds it), or a function
 *            is missing (its name and the library's path)
 *   memory   borrowed for the life of the process
 *   tested   tests/test_cuda_library.c */
BD_MUST_CHECK bd_status bd_cuda_library_dnn(const bd_dnn_api **out);
BD_MUST_CHECK bd_status bd_cuda_library_blas(const bd_blas_api **out);

#endif
