/* Memory planner. */
#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"
#include "graph/plan.h"

enum { ALIGN = 64 }; /* a cache line, and the widest vector */

static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* Ops whose first output may be written over an input of the same size: element i of the output is written
 * after the last read of element i of that input. Bits of the mask: inputs that qualify. */
static unsigned in_place_inputs(bd_op op) {
    switch (op) {
    case BD_OP_add: return 3;
    case BD_OP_add_channel:
    case BD_OP_scale:
    case BD_OP_silu:
    case BD_OP_relu:
    case BD_OP_group_norm:
    case BD_OP_group_norm_bwd: return 1;
    case BD_OP_silu_bwd:
    case BD_OP_relu_bwd: return 3;
    default: return 0;
    }
}

static bd_status lifetimes(bd_plan *p, const bd_graph *g, const size_t *bytes) {
    for (int i = 0; i < g->n_tensors; i++)
        p->tensors[i] = (bd_extent){.first = -1, .last = -1, .alias = -1};
    for (int i = 0; i < g->n_nodes; i++) {
        const bd_node *n = &g->nodes[i];
        for (int j = 0; j < BD_NODE_IN_MAX; j++) {
            int id = n->in[j];
            if (id < 0 || g->tensors[id].kind != BD_TENSOR_ACT) continue;
            BD_REQUIRE(p->tensors[id].first >= 0, BD_E_ARG,
                       "graph %s: op %d (%s) reads %s before it is written", g->name, i,
                       bd_op_name(n->op), g->tensors[id].name);
            p->tensors[id].last = i;
        }
        for (int k = 0; k < BD_NODE_OUT_MAX; k++) {
            int id = n->out[k];
            if (id < 0 || g->tensors[id].kind != BD_TENSOR_ACT) continue;
            bd_extent *e = &p->tensors[id];
            if (e->first < 0) e->first = i;
            e->last = i;
            e->bytes = round_up(bytes[id]);
        }
    }
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensors[i].keep && p->tensors[i].first >= 0) p->tensors[i].last = g->n_nodes;
    return BD_OK;
}

static int root(const bd_plan *p, int id) {
    while (p->tensors[id].alias >= 0) id = p->tensors[id].alias;
    return id;
}

/* Let outputs take over the storage of an input that dies at this node. */
static void share(bd_plan *p, const bd_graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const bd_node *n = &g->nodes[i];
        unsigned mask = in_place_inputs(n->op);
        int out = n->out[0];
        if (out < 0 || g->tensors[out].kind != BD_TENSOR_ACT) continue;
        for (int j = 0; mask >> j; j++) {
            int id = n->in[j];
            if (!(mask >> j & 1) || id < 0 || g->tensors[id].kind != BD_TENSOR_ACT) continue;
            int r = root(p, id);
            if (p->tensors[r].last != i || p->tensors[r].bytes != p->tensors[out].bytes) continue;
            p->tensors[out].alias = r;
            p->tensors[r].last = p->tensors[out].last;
            break;
        }
    }
}

static int by_size(const void *a, const void *b) {
    const bd_extent *x = *(bd_extent *const *)a, *y = *(bd_extent *const *)b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y; /* addresses grow with the id: a total, repeatable order */
}

static int by_offset(const void *a, const void *b) {
    const bd_extent *x = *(bd_extent *const *)a, *y = *(bd_extent *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Lowest offset at which e fits beside those already placed that live at the same time. */
static size_t place(bd_extent **placed, int n, bd_extent **live, const bd_extent *e) {
    int m = 0;
    for (int i = 0; i < n; i++)
        if (placed[i]->first <= e->last && e->first <= placed[i]->last) live[m++] = placed[i];
    qsort(live, (size_t)m, sizeof *live, by_offset);
    size_t at = 0;
    for (int i = 0; i < m; i++) {
        if (live[i]->offset >= at + e->bytes) break;
        if (live[i]->offset + live[i]->bytes > at) at = live[i]->offset + live[i]->bytes;
    }
    return at;
}

static bd_status place_all(bd_plan *p, const bd_graph *g) {
    size_t cap = (size_t)g->n_tensors + (size_t)g->n_nodes;
    bd_extent **list = malloc((cap ? cap : 1) * sizeof *list),
              **live = malloc((cap ? cap : 1) * sizeof *live);
    bd_status st = BD_OK;
    if (!list || !live)
        BD_FAIL_TO(done, st, BD_E_MEMORY, "graph %s: out of memory while planning", g->name);
    int n = 0;
    for (int i = 0; i < g->n_tensors; i++)
        if (p->tensors[i].bytes && p->tensors[i].alias < 0) list[n++] = &p->tensors[i];
    for (int i = 0; i < g->n_nodes; i++)
        if (p->workspaces[i].bytes) list[n++] = &p->workspaces[i];
    qsort(list, (size_t)n, sizeof *list, by_size);
    for (int i = 0; i < n; i++) {
        list[i]->offset = place(list, i, live, list[i]);
        if (list[i]->offset + list[i]->bytes > p->arena_bytes)
            p->arena_bytes = list[i]->offset + list[i]->bytes;
    }
    for (int i = 0; i < g->n_tensors; i++)
        if (p->tensors[i].alias >= 0) p->tensors[i].offset = p->tensors[root(p, i)].offset;
done:
    free(list);
    free(live);
    return st;
}

bd_status bd_plan_create(bd_plan *out, const bd_graph *g, const size_t *tensor_bytes,
                         const size_t *workspace) {
    memset(out, 0, sizeof *out);
    /* One allocation: by_size orders extents of equal size by address. */
    out->tensors = calloc((size_t)g->n_tensors + (size_t)g->n_nodes + 1, sizeof *out->tensors);
    bd_status st = BD_OK;
    if (!out->tensors)
        BD_FAIL_TO(fail, st, BD_E_MEMORY, "graph %s: out of memory while planning", g->name);
    out->workspaces = out->tensors + g->n_tensors;
    BD_TRY_TO(fail, st, lifetimes(out, g, tensor_bytes));
    for (int i = 0; i < g->n_nodes; i++)
        out->workspaces[i] =
            (bd_extent){.bytes = round_up(workspace[i]), .first = i, .last = i, .alias = -1};
    share(out, g);
    BD_TRY_TO(fail, st, place_all(out, g));
    return BD_OK;
fail:
    bd_plan_clear(out);
    return st;
}

void bd_plan_clear(bd_plan *p) {
    free(p->tensors); /* and the workspaces behind them */
    memset(p, 0, sizeof *p);
}
