/* The weights of a network: one allocation, a view for each parameter of the graph. */
#ifndef BD_NN_PARAMS_H
#define BD_NN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/backend.h"
#include "graph/graph.h"
#include "io/tensors.h"

/* One parameter. Shapes are those of files: convolution [O,I,KH,KW], linear layer [O,I], vector [C].
 * A weight [O,I,1,1] of the graph belongs to a linear layer unless its layer's name contains "conv". */
typedef struct {
    const char *name; /* diffusers' present names: to_q, to_out.0 ... */
    int rank;         /* 1, 2 or 4                                    */
    int dim[4];
    size_t first, count; /* floats data[first] .. data[first+count-1]   */
} bd_param;

typedef struct {
    int n; /* parameters, in the order of the graph's PARAM tensors */
    bd_param *at;
    float *data;  /* all values; each parameter starts on 64 bytes         */
    size_t count; /* values in all, without the gaps: "number of parameters" */
    size_t bytes; /* of data                                               */
    char *names;
} bd_params;

/* bd_params_from_graph -- the parameters of a graph, all zero.
 *   errors   BD_E_ARG: the graph has none; BD_E_SHAPE: a PARAM that is neither of the three kinds;
 *            BD_E_MEMORY
 *   memory   caller frees with bd_params_clear; keeps nothing of the graph
 *   tested   tests/test_params.c */
BD_MUST_CHECK bd_status bd_params_from_graph(bd_params *out, const bd_graph *g);
void bd_params_clear(bd_params *p); /* an all-zero struct is fine */

/* bd_params_like -- a table of the same names and shapes, all values zero.
 *   memory   caller frees with bd_params_clear; keeps nothing of p */
BD_MUST_CHECK bd_status bd_params_like(bd_params *out, const bd_params *p);

/* bd_params_copy -- values of src into dst.
 *   errors   BD_E_SHAPE: not the same names and shapes in the same order */
BD_MUST_CHECK bd_status bd_params_copy(bd_params *dst, const bd_params *src);

/* bd_params_find -- place of a parameter by its present or its old name (query, proj_attn ...), or -1. */
int bd_params_find(const bd_params *p, const char *name);

/* bd_params_init -- fresh weights: weights and biases of convolutions and linear layers
 * U(-1/sqrt(fan_in), 1/sqrt(fan_in)), fan_in = I*KH*KW of the layer's weight (also for its bias);
 * norms 1 and 0. Parameter k is drawn from (seed, INIT, k).
 *   source   PyTorch's reset_parameters of Conv2d, Linear and GroupNorm
 *   errors   BD_E_ARG: a parameter that belongs to no known kind of layer
 *   tested   tests/test_params.c */
BD_MUST_CHECK bd_status bd_params_init(bd_params *p, uint64_t seed);

/* bd_params_load -- values from a weights file (bd_tensors_load). The file must hold exactly these parameters
 * with exactly these shapes in F32, F16 or BF16; attention may be
 * named in the old (query, key, value, proj_attn) or the present way.
 *   errors   BD_E_FORMAT with the file and the tensor: missing, of another shape or type, not one
 *            of the model's, there twice, or with a value that is not finite; BD_E_MISSING; BD_E_IO
 *   memory   p is unchanged on failure
 *   tested   tests/test_params.c */
BD_MUST_CHECK bd_status bd_params_load(bd_params *p, const char *path);

/* bd_params_read -- bd_params_load from tensors in memory whose names start with prefix ("" = all of
 * them); tensors that do not start with it are left alone. what names the source in messages. */
BD_MUST_CHECK bd_status bd_params_read(bd_params *p, const bd_tensors *s, const char *prefix,
                                       const char *what);

/* bd_params_save -- write a safetensors file atomically; present names; meta as bd_safetensors_save. */
BD_MUST_CHECK bd_status bd_params_save(const bd_params *p, const char *path,
                                       const char *const (*meta)[2], size_t n_meta);

/* bd_params_tensor -- parameter i as a tensor of a file; borrows from p. */
bd_st_tensor bd_params_tensor(const bd_params *p, int i);

/* bd_params_sha256 -- of names, shapes and values. */
BD_MUST_CHECK bd_status bd_params_sha256(char hex[65], const bd_params *p);

/* bd_params_upload / bd_params_download -- all parameters to / from a slot of an engine compiled from g.
 * A parameter goes by its tensor id in g; g need not be the graph p was made from.
 *   errors   BD_E_SHAPE: g's parameters are not those of p (the first that differs is named);
 *            what slot_set or slot_get say */
BD_MUST_CHECK bd_status bd_params_upload(const bd_params *p, const bd_backend *b, bd_engine *e,
                                         const bd_graph *g, bd_slot slot);
BD_MUST_CHECK bd_status bd_params_download(bd_params *p, const bd_backend *b, bd_engine *e,
                                           const bd_graph *g, bd_slot slot);

#endif
