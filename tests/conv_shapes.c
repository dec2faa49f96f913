#include "conv_shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool shape_of(bd_dnn_conv *out, const bd_graph *g, const bd_node *n) {
    if (!bd_op_is_conv(n->op) || bd_node_conv(n).w < 0) return false;
    *out = bd_dnn_conv_of(g, n);
    out->type = BD_TYPE_F32;
    return !bd_dnn_is_product(&out->attr);
}

static bool same(const bd_dnn_conv *a, const bd_dnn_conv *b) {
    return a->dir == b->dir && a->n == b->n && a->h == b->h && a->w == b->w && a->i == b->i &&
           a->oh == b->oh && a->ow == b->ow && a->o == b->o &&
           !memcmp(&a->attr, &b->attr, sizeof a->attr); /* ints only */
}

int conv_shapes_add(bd_dnn_conv *list, int n, int max, const bd_graph *g) {
    for (int k = 0; k < bd_graph_node_count(g); k++) {
        bd_dnn_conv c;
        if (!shape_of(&c, g, bd_graph_node(g, k))) continue;
        int i = 0;
        while (i < n && !same(&list[i], &c)) i++;
        if (i < n) continue;
        assert_true(n < max);
        list[n++] = c;
    }
    return n;
}

int conv_shapes_unet(bd_dnn_conv *list, int n, int max, const bd_unet_config *c, int images,
                     bool train) {
    bd_graph *g;
    int s = c->sample_size;
    assert_int_equal(bd_graph_create(&g, "shapes"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, images, s, s, c->in_channels);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, images, 1, 1, 1);
    int e = bd_unet_build(g, c, x, t);
    if (train) {
        int y = bd_graph_input(g, "y", BD_TYPE_F32, images, s, s, c->out_channels);
        int weight = bd_graph_input(g, "weight", BD_TYPE_F32, images, 1, 1, 1);
        int loss = bd_mse(g, e, y, weight);
        assert_int_equal(bd_graph_status(g), BD_OK);
        assert_int_equal(bd_graph_backward(g, loss, NULL, 0, NULL), BD_OK);
    }
    assert_int_equal(bd_graph_status(g), BD_OK);
    n = conv_shapes_add(list, n, max, g);
    bd_graph_destroy(g);
    return n;
}
