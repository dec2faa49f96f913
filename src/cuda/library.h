/* Opening NVIDIA's libraries at run time: system folders, the CUDA toolkit, and Python's nvidia packages. */
#ifndef BD_CUDA_LIBRARY_H
#define BD_CUDA_LIBRARY_H

#include "base/status.h"
#include "cuda/blas_api.h"
#include "cuda/dnn_api.h"

/* bd_cuda_library_dnn, bd_cuda_library_blas -- the functions of libcudnn_graph.so.9 and libcublasLt.so.13 (or .12),
 * opened on the first call that finds them and kept for the life of the process. Looked for in this order:
 * $BADDIFF_CUDA_LIBS (folders separated by ':'), the loader's own search, $CUDA_HOME/lib64 and lib, /usr/local/cuda,
 * $CONDA_PREFIX/lib, then nvidia's folders in site-packages or dist-packages (cudnn/lib, cublas/lib, cu13/lib) of the
 * Python environments at hand ($VIRTUAL_ENV, $CONDA_PREFIX, $HOME/.local, /usr/local, /usr, /opt/conda).
 *   errors   BD_E_DEVICE: not found (what was looked for, and the Debian and pip package that holds it), or a function
 *            is missing (its name and the library's path)
 *   memory   borrowed for the life of the process
 *   tested   tests/test_cuda_library.c */
BD_MUST_CHECK bd_status bd_cuda_library_dnn(const bd_dnn_api **out);
BD_MUST_CHECK bd_status bd_cuda_library_blas(const bd_blas_api **out);

/* A library by the names of its files and functions. */
typedef struct {
    const char *symbol;
    size_t at; /* where its pointer goes in the table, in bytes */
} bd_cuda_function;

typedef struct {
    const char *name;       /* "cuBLASLt" */
    const char *files[3];   /* in order of preference; NULL where there are fewer */
    const char *folders[3]; /* of its files in Python's nvidia folder; NULL where there are fewer */
    const char *packages;   /* what to install */
    const bd_cuda_function *functions;
    size_t n_functions;
} bd_cuda_library_spec;

/* bd_cuda_library_open -- the search above for any library: its functions into the table, where it lies into path
 * (of path_size bytes). It stays open.
 *   errors   as above; then the table is as it was and the library closed
 *   tested   tests/test_cuda_library.c */
BD_MUST_CHECK bd_status bd_cuda_library_open(void *table, char *path, size_t path_size,
                                             const bd_cuda_library_spec *spec);

/* Where they were found, for listings; "" before. */
const char *bd_cuda_library_dnn_path(void);
const char *bd_cuda_library_blas_path(void);

#endif
