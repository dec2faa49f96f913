#include "hash_inception.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "hash_weights.h"
#include "io/safetensors.h"

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name), k = strlen(with);
    return n >= k && strcmp(name + n - k, with) == 0;
}

static void fill(float *x, size_t n, const char *name, size_t fan_in, double variance) {
    double middle = 0, scale = 0.02; /* of a bias */
    if (ends(name, ".bn.weight")) middle = 1, scale = 0.1;
    if (ends(name, ".bn.bias") || ends(name, ".running_mean")) scale = 0.05;
    if (ends(name, ".running_var")) middle = variance, scale = 0.3 * variance;
    if (ends(name, ".conv.weight") || ends(name, "fc.weight")) scale = 1.5 / sqrt((double)fan_in);
    hash_values_around(x, n, name, middle, scale);
}

void hash_inception_make(bd_st_tensor tensors[HASH_INCEPTION_TENSORS], double variance) {
    FILE *f = fopen("tests/golden/keys_inception_fid.tsv", "r");
    char line[256];
    int n = 0;
    assert_non_null(f);
    for (; fgets(line, sizeof line, f); n++) {
        assert_true(n < HASH_INCEPTION_TENSORS);
        bd_st_tensor *t = &tensors[n];
        char *shape = strchr(line, '\t');
        assert_non_null(shape);
        *shape++ = '\0';
        *t = (bd_st_tensor){.name = strdup(line), .dtype = BD_F32};
        size_t count = 1;
        for (char *end = shape; *shape && *shape != '\n'; shape = *end == 'x' ? end + 1 : end) {
            t->dim[t->rank] = strtol(shape, &end, 10);
            count *= (size_t)t->dim[t->rank++];
        }
        assert_true(count > 0 && t->dim[0] > 0 && t->name);
        t->bytes = count * sizeof(float);
        float *x = malloc(t->bytes);
        assert_non_null(x);
        fill(x, count, t->name, count / (size_t)(t->dim[0] > 0 ? t->dim[0] : 1), variance);
        t->data = x;
    }
    (void)fclose(f);
    assert_int_equal(n, HASH_INCEPTION_TENSORS);
}

void hash_inception_free(bd_st_tensor tensors[HASH_INCEPTION_TENSORS]) {
    for (int i = 0; i < HASH_INCEPTION_TENSORS; i++) {
        free((void *)(size_t)tensors[i].name);
        free((void *)(size_t)tensors[i].data);
    }
}

void hash_inception_save(const char *dir, const char *path, double variance) {
    bd_st_tensor tensors[HASH_INCEPTION_TENSORS] = {{0}};
    hash_inception_make(tensors, variance);
    bd_status st = bd_file_mkdirs(dir);
    if (!st) st = bd_safetensors_save(path, tensors, HASH_INCEPTION_TENSORS, NULL, 0);
    hash_inception_free(tensors);
    if (st) fail_msg("%s", bd_error());
}
