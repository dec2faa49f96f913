/* CPU backend: oneDNN for convolutions, own vector kernels for the rest. */
#ifndef BD_CPU_CPU_H
#define BD_CPU_CPU_H

#include "graph/backend.h"

extern const bd_backend bd_backend_cpu;

/* Time and work of each op of one tile, for profiles. */
typedef struct {
    bd_op op;
    int node; /* of the lowered graph */
    double seconds, flops, bytes;
    const char *impl;
} bd_op_profile;
/* bd_cpu_profile -- run the graph `repeat` times on one worker and report the median of each node.
 * rows: room for bd_graph_node_count entries of the graph that the engine was made from, caller's; *n of them are
 * filled: what lowering left. */
BD_MUST_CHECK bd_status bd_cpu_profile(bd_engine *e, int repeat, bd_op_profile *rows, int *n);

#endif
