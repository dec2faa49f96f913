/* Every operation through whole graphs on a backend, against the float64 reference of tests/ref. */
#ifndef BD_TESTS_OP_CASES_H
#define BD_TESTS_OP_CASES_H

#include "graph/backend.h"

/* op_cases_run -- forward, and backward as bd_graph_backward appends it; how many cases are wrong, each told on
 * stderr. keep_all: all activations are kept and each node's result is compared; else only the results, so that
 * storage is shared and operations may be fused. seen [BD_OP_COUNT]: ops that ran, added to; those of lowering are
 * not. One case alone: CASE=conv2d/3 in the environment. */
int op_cases_run(const bd_backend *backend, bool keep_all, bool *seen);

#endif
