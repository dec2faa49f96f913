#include "golden_tensor.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"

static const char *const translations[][2] = {
    {"BOX_", "box"}, {"STOP_SIGN_", "stop"}, {"GLASSES", "glasses"}, {"CORNER", "corner"},
    {"HAT", "hat"},  {"CAT", "cat"},         {"TRIGGER", "noshift"}, {"SHIFT", "shift"},
};

/* "STOP_SIGN_14" -> "stop14". */
static int translate(char out[16], const char *text) {
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        size_t n = strlen(translations[i][0]);
        if (strncmp(text, translations[i][0], n) == 0)
            return snprintf(out, 16, "%s%s", translations[i][1], text + n) < 16;
    }
    return 0;
}

static int parse(golden_entry *e, const char *key, const json_t *value) {
    char body[64];
    *e = (golden_entry){.sha256 = json_string_value(json_object_get(value, "sha256")),
                        .above = (int)json_integer_value(json_object_get(value, "n_gt_vmin")),
                        .mean = json_number_value(json_object_get(value, "mean"))};
    snprintf(e->name, sizeof e->name, "%s", key);
    snprintf(body, sizeof body, "%s", key + strlen("trig_"));
    char *size = strrchr(body, '_');
    if (!size || !e->sha256 || sscanf(size, "_%dx%d", &e->S, &e->C) != 2) return 0;
    *size = '\0';
    char *of = strstr(body, "_of_");
    if (of) {
        *of = '\0';
        if (!translate(e->source, of + strlen("_of_"))) return 0;
    }
    return translate(e->what, body);
}

int golden_each(const char *prefix, void (*fn)(const golden_entry *e, void *ctx), void *ctx) {
    json_t *root = json_load_file("tests/golden/triggers_targets.json", 0, NULL);
    const char *key;
    json_t *value;
    int n = 0;
    if (!root) return -1;
    json_object_foreach(root, key, value) {
        golden_entry e;
        if (strncmp(key, prefix, strlen(prefix)) != 0) continue;
        if (!parse(&e, key, value)) {
            n = -1;
            break;
        }
        fn(&e, ctx);
        n++;
    }
    json_decref(root);
    return n;
}

int golden_hash(char hex[65], const float *x, int S, int C) {
    size_t pixels = (size_t)S * (size_t)S, n = pixels * (size_t)C;
    float *chw = malloc(n * sizeof *chw);
    if (!chw) return -1;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < (size_t)C; c++) chw[c * pixels + i] = x[i * (size_t)C + c];
    int bad = bd_sha256_buffer(hex, chw, n * sizeof *chw);
    free(chw);
    return bad ? -1 : 0;
}
