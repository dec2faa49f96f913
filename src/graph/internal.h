/* What the files of src/graph share: storage of a graph and raw node construction. */
#ifndef BD_GRAPH_INTERNAL_H
#define BD_GRAPH_INTERNAL_H

#include "base/arena.h"
#include "graph/graph.h"

struct bd_graph {
    const char *name;
    bd_arena *arena;
    bd_tensor *tensors;
    int n_tensors, cap_tensors;
    bd_node *nodes;
    int n_nodes, cap_nodes;
    int *grad_of; /* by PARAM tensor id: GRAD id, or -1; NULL before bd_graph_backward */
    int n_grad_of;
    bd_status status; /* first failure of the builder chain */
    char *error;
};

/* bd_graph_act -- new ACT tensor; -1 on failure (recorded in g). */
int bd_graph_act(bd_graph *g, const char *name, bd_type type, int n, int h, int w, int c);
int bd_graph_leaf(bd_graph *g, const char *name, bd_tensor_kind kind, bd_type type,
                  const int dim[4]);

/* bd_node_make -- a node with the given inputs and outputs, the rest -1, attributes zero. */
bd_node bd_node_make(bd_op op, const int *in, int n_in, const int *out, int n_out);
#define BD_LIST(...) \
    (const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* bd_graph_append -- append a copy of *n; -1 on failure, else its index. */
int bd_graph_append(bd_graph *g, const bd_node *n);

#endif
