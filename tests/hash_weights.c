#include "hash_weights.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t fnv1a(const char *s) {
    uint32_t h = 2166136261U;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 16777619U;
    return h;
}

static double value(uint32_t h, size_t i) {
    uint32_t v = h + (uint32_t)i * 2654435761U;
    v ^= v >> 16;
    v *= 0x7feb352dU;
    v ^= v >> 15;
    v *= 0x846ca68bU;
    v ^= v >> 16;
    return 2.0 * ((v >> 8) / 16777216.0) - 1.0;
}

void hash_values(float *out, size_t n, const char *name, double scale) {
    hash_values_around(out, n, name, 0, scale);
}

void hash_values_around(float *out, size_t n, const char *name, double middle, double scale) {
    uint32_t h = fnv1a(name);
    for (size_t i = 0; i < n; i++) out[i] = (float)(middle + scale * value(h, i));
}

void old_name(char out[128], const char *name) {
    static const char *const pair[][2] = {{".to_q.", ".query."},
                                          {".to_k.", ".key."},
                                          {".to_v.", ".value."},
                                          {".to_out.0.", ".proj_attn."}};
    snprintf(out, 128, "%s", name);
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        const char *at = strstr(name, pair[i][0]);
        if (at)
            snprintf(out, 128, "%.*s%s%s", (int)(at - name), name, pair[i][1],
                     at + strlen(pair[i][0]));
    }
}

void hash_weights(bd_params *p) {
    for (int i = 0; i < p->n; i++) {
        const bd_param *q = &p->at[i];
        char name[128];
        old_name(name, q->name);
        int weight = strstr(name, ".weight") != NULL;
        int norm = strstr(name, "norm") != NULL;
        double fan_in = (double)q->count / q->dim[0];
        double scale = norm ? (weight ? 0.1 : 0.05) : weight ? 1.5 / sqrt(fan_in) : 0.02;
        float *x = p->data + q->first;
        uint32_t h = fnv1a(name);
        for (size_t k = 0; k < q->count; k++)
            x[k] = (float)((norm && weight ? 1.0 : 0.0) + scale * value(h, k));
    }
}

void nchw_to_nhwc(float *out, const float *in, int n, int c, int h, int w) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            for (int y = 0; y < h * w; y++)
                out[((size_t)i * h * w + y) * c + k] = in[((size_t)i * c + k) * h * w + y];
}

void nhwc_to_nchw(float *out, const float *in, int n, int c, int h, int w) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            for (int y = 0; y < h * w; y++)
                out[((size_t)i * c + k) * h * w + y] = in[((size_t)i * h * w + y) * c + k];
}
