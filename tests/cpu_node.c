#include "cpu_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/status.h"
#include "cpu/internal.h"

void cpu_nodes_run(const bd_graph *g, void **data) {
    for (int i = 0; i < bd_graph_node_count(g); i++) {
        const bd_node *n = bd_graph_node(g, i);
        const cpu_op *op = &cpu_ops[n->op];
        assert_non_null(op->run);
        void *workspace = malloc(op->workspace ? op->workspace(g, n) : 1);
        assert_non_null(workspace);
        const cpu_call call = {g, n, bd_vec_best(), bd_conv_kernels_best(), data, workspace};
        bd_status st = op->run(&call);
        free(workspace);
        if (st) fail_msg("CPU: status %d: %s", st, bd_error());
    }
}
