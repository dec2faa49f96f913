#include "hash_lpips.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hash_weights.h"
#include "nn/params.h"

static void ok(bd_status st) {
    if (st) fail_msg("status %d: %s", st, bd_error());
}

void hash_lpips_alexnet(const char *path) {
    bd_params p;
    char names[10][32];
    bd_st_tensor t[10 + 1] = {{0}};
    ok(bd_lpips_params(&p));
    assert_int_equal(p.n, 10);
    for (int i = 0; i < p.n; i++) {
        t[i] = bd_params_tensor(&p, i);
        snprintf(names[i], sizeof names[i], "features.%s", p.at[i].name);
        t[i].name = names[i];
        bool bias = t[i].rank == 1;
        double fan_in = (double)p.at[i].count / p.at[i].dim[0];
        hash_values(p.data + p.at[i].first, p.at[i].count, names[i],
                    bias ? 0.02 : 1.5 / sqrt(fan_in));
    }
    t[10] = t[1]; /* the classifier's layers are in the file, and not wanted */
    t[10].name = "classifier.6.bias";
    ok(bd_safetensors_save(path, t, 11, NULL, 0));
    bd_params_clear(&p);
}

void hash_lpips_make_heads(bd_st_tensor t[BD_LPIPS_LAYERS], char names[BD_LPIPS_LAYERS][32],
                           float data[BD_LPIPS_LAYERS][BD_LPIPS_CHANNELS]) {
    for (int i = 0; i < BD_LPIPS_LAYERS; i++) {
        int c = bd_lpips_channels(i);
        snprintf(names[i], 32, "lin%d.model.1.weight", i);
        hash_values_around(data[i], (size_t)c, names[i], 0.5, 0.5);
        t[i] = (bd_st_tensor){.name = names[i],
                              .dtype = BD_F32,
                              .rank = 4,
                              .dim = {1, c, 1, 1},
                              .data = data[i],
                              .bytes = (size_t)c * sizeof(float)};
    }
}

void hash_lpips_heads(const char *path) {
    bd_st_tensor t[BD_LPIPS_LAYERS];
    char names[BD_LPIPS_LAYERS][32];
    float data[BD_LPIPS_LAYERS][BD_LPIPS_CHANNELS];
    hash_lpips_make_heads(t, names, data);
    ok(bd_safetensors_save(path, t, BD_LPIPS_LAYERS, NULL, 0));
}
