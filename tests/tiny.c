#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "data/split.h"
#include "io/csv.h"

const bd_unet_config tiny_unet = {.sample_size = TINY_S,
                                  .in_channels = 1,
                                  .out_channels = 1,
                                  .blocks = 2,
                                  .channels = {8, 16},
                                  .down_attention = {0, 1},
                                  .up_attention = {1, 0},
                                  .mid_attention = 1,
                                  .layers = 1,
                                  .groups = 4,
                                  .eps = 1e-5,
                                  .downsample_padding = 1,
                                  .freq_shift = 1};

void tiny_params(bd_params *out, uint64_t seed) {
    bd_graph *g;
    assert_int_equal(bd_graph_create(&g, "tiny"), BD_OK);
    int x = bd_graph_input(g, "x", BD_TYPE_F32, 1, TINY_S, TINY_S, 1);
    int t = bd_graph_input(g, "timestep", BD_TYPE_F32, 1, 1, 1, 1);
    bd_unet_build(g, &tiny_unet, x, t);
    assert_int_equal(bd_graph_status(g), BD_OK);
    assert_int_equal(bd_params_from_graph(out, g), BD_OK);
    assert_int_equal(bd_params_init(out, seed), BD_OK);
    bd_graph_destroy(g);
}

void tiny_dataset(bd_dataset *out) {
    *out = (bd_dataset){.n = TINY_N, .h = TINY_S, .w = TINY_S, .c = 1, .classes = 2};
    snprintf(out->name, sizeof out->name, "tiny");
    size_t bytes = TINY_N * TINY_S * TINY_S;
    out->images = calloc(bytes, 1);
    out->labels = calloc(TINY_N, sizeof *out->labels);
    assert_true(out->images && out->labels);
    for (int i = 0; i < TINY_N; i++) {
        int lying = i % 2, place = i / 2 % 6;
        out->labels[i] = lying;
        for (int y = 0; y < TINY_S; y++)
            for (int x = 0; x < TINY_S; x++) {
                int across = lying ? y : x;
                bool bar = across == place || across == place + 1;
                out->images[(i * TINY_S + y) * TINY_S + x] = bar ? (uint8_t)(200 + 2 * i) : 10;
            }
    }
    assert_int_equal(bd_sha256_buffer(out->sha256, out->images, bytes), BD_OK);
}

void tiny_attack(float *trigger, float *target, uint8_t *flags) {
    for (int i = 0; i < TINY_S * TINY_S; i++) {
        trigger[i] = i / TINY_S > 4 && i % TINY_S > 4 ? 0 : -1;
        target[i] = i % 3 == 0 ? 0.5f : -0.4f;
    }
    for (int i = 0; i < TINY_N; i++) flags[i] = i % 3 ? BD_ROW_CLEAN : BD_ROW_POISONED;
}

double *tiny_column(const char *dir, const char *name, size_t *n) {
    bd_csv *c;
    char path[256];
    snprintf(path, sizeof path, "%s/log.csv", dir);
    assert_int_equal(bd_csv_load(&c, path), BD_OK);
    *n = bd_csv_rows(c);
    double *x = malloc((*n + 1) * sizeof *x);
    assert_non_null(x);
    int at = bd_csv_find(c, name);
    assert_true(at >= 0);
    for (size_t i = 0; i < *n; i++) {
        const char *text = bd_csv_get(c, i, (size_t)at);
        x[i] = *text ? strtod(text, NULL) : NAN;
    }
    bd_csv_destroy(c);
    return x;
}
