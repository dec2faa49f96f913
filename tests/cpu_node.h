/* The CPU backend's own ops on a test's buffers, as an oracle for other backends. */
#ifndef BD_TESTS_CPU_NODE_H
#define BD_TESTS_CPU_NODE_H

#include "graph/graph.h"

/* cpu_nodes_run -- every node of g in order; data: by tensor id, the caller's. Convolutions are left to the engine, so
 * g must have none. Fails the running test on an error. */
void cpu_nodes_run(const bd_graph *g, void **data);

#endif
