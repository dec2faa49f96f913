/* The part of the backend interface that all devices share. */
#include "graph/backend.h"

#include <string.h>

void *bd_view_data(const bd_view *v, int tensor_id) {
    return v->fetch ? v->fetch(v, tensor_id) : v->data[tensor_id];
}

static const char *const precisions[] = {"f32", "tf32", "bf16", "fp16"};
enum { PRECISIONS = sizeof precisions / sizeof precisions[0] };

const char *bd_precision_name(bd_precision p) {
    return (unsigned)p < PRECISIONS ? precisions[p] : "unknown";
}

bd_status bd_precision_parse(bd_precision *out, const char *name) {
    for (int i = 0; i < PRECISIONS; i++)
        if (!strcmp(name, precisions[i])) {
            *out = (bd_precision)i;
            return BD_OK;
        }
    return bd_fail(BD_E_ARG, "precision %s: must be f32, tf32, bf16 or fp16", name);
}

bd_op_profile bd_op_profile_of(const bd_graph *g, int i, const size_t *bytes, double seconds) {
    const bd_node *n = bd_graph_node(g, i);
    size_t sum = 0;
    for (int j = 0; j < BD_NODE_IN_MAX; j++) sum += n->in[j] >= 0 ? bytes[n->in[j]] : 0;
    for (int j = 0; j < BD_NODE_OUT_MAX; j++) sum += n->out[j] >= 0 ? bytes[n->out[j]] : 0;
    return (bd_op_profile){.op = n->op,
                           .node = i,
                           .seconds = seconds,
                           .flops = bd_node_flops(g, n),
                           .bytes = (double)sum};
}

bd_status bd_backend_step(const bd_backend *b, bd_engine *e, const bd_run *r, bool accumulate,
                          const bd_adam *a, double *norm) {
    if (b->step) return b->step(e, r, accumulate, a, norm);
    BD_TRY(b->run(e, r, accumulate));
    BD_TRY(b->grad_norm(e, norm));
    return b->adam(e, a, *norm);
}

int bd_backend_tile(const bd_backend *b, int tile, int batch) {
    return b->whole_batch ? batch : tile;
}

bool bd_backend_tile_ok(const bd_backend *b, int tile) {
    bool cut = tile == 1 || tile == 2 || tile == 4 || tile == 8;
    return cut || (b->whole_batch && tile >= 1);
}
