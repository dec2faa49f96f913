/* Memory planner: one offset for every activation and workspace in one arena, by lifetime. */
#ifndef BD_GRAPH_PLAN_H
#define BD_GRAPH_PLAN_H

#include "graph/graph.h"

/* A stretch of the arena, in use from the run of node `first` to that of node `last` (inclusive). */
typedef struct {
    size_t offset, bytes;
    int first, last;
    int alias; /* tensors: id whose storage is shared (written in place), or -1 */
} bd_extent;

typedef struct {
    size_t arena_bytes;
    bd_extent *tensors;    /* by tensor id; bytes = 0 for tensors that do not live in the arena */
    bd_extent *workspaces; /* by node; bytes = 0 for none */
} bd_plan;

/* bd_plan_create -- lifetimes, in-place reuse and greedy placement (largest first, lowest free offset).
 *   source   Pisarchyk & Lee 2020, arXiv:2001.03288, "greedy by size for offset calculation"
 *   shapes   tensor_bytes by tensor id: storage a backend needs for an ACT tensor; workspace by node
 *   errors   BD_E_MEMORY; BD_E_ARG: an activation is read before it is written
 *   memory   caller frees with bd_plan_clear
 *   tested   tests/test_graph.c (no two live extents overlap) */
BD_MUST_CHECK bd_status bd_plan_create(bd_plan *out, const bd_graph *g, const size_t *tensor_bytes,
                                       const size_t *workspace);
void bd_plan_clear(bd_plan *p);

#endif
