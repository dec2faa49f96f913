/* Inception-v3 as tables: a stage is a block, a block a list of units that read its input, the unit before, or
 * the unit where a branch forks, and of which some are joined to its result. */
#include "nn/inception.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 96, JOIN_MAX = 6 };
static const double batch_norm_eps = 0.001;

/* What a unit reads. */
typedef enum { BLOCK, LAST, FORK } source;
/* What becomes of its result: JOINED in the order of the table, MARKED as the place where branches fork. */
typedef enum { PASSED, JOINED, MARKED } use;
typedef enum { CONV, MAX_HALF, MAX_SAME, AVERAGE_SAME } op;

/* A convolution of kh x kw pixels with batch norm and ReLU, or a 3x3 pool. */
typedef struct {
    op op;
    const char *name;
    source from;
    use use;
    int channels, kh, kw; /* channels = PARAM: the stage's own number */
    bool half;            /* stride 2 without padding; else stride 1, padded to the same size */
} unit;

enum { PARAM = -1 };

#define SAME(name, from, use, channels, kh, kw) \
    { CONV, name, from, use, channels, kh, kw, false }
#define HALF(name, from, use, channels) \
    { CONV, name, from, use, channels, 3, 3, true }
#define POOL(op, use) \
    { op, NULL, BLOCK, use, 0, 3, 3, false }

static const unit block_a[] = {
    SAME("branch1x1", BLOCK, JOINED, 64, 1, 1),
    SAME("branch5x5_1", BLOCK, PASSED, 48, 1, 1),
    SAME("branch5x5_2", LAST, JOINED, 64, 5, 5),
    SAME("branch3x3dbl_1", BLOCK, PASSED, 64, 1, 1),
    SAME("branch3x3dbl_2", LAST, PASSED, 96, 3, 3),
    SAME("branch3x3dbl_3", LAST, JOINED, 96, 3, 3),
    POOL(AVERAGE_SAME, PASSED),
    SAME("branch_pool", LAST, JOINED, PARAM, 1, 1),
};

static const unit block_b[] = {
    HALF("branch3x3", BLOCK, JOINED, 384),
    SAME("branch3x3dbl_1", BLOCK, PASSED, 64, 1, 1),
    SAME("branch3x3dbl_2", LAST, PASSED, 96, 3, 3),
    HALF("branch3x3dbl_3", LAST, JOINED, 96),
    POOL(MAX_HALF, JOINED),
};

static const unit block_c[] = {
    SAME("branch1x1", BLOCK, JOINED, 192, 1, 1),
    SAME("branch7x7_1", BLOCK, PASSED, PARAM, 1, 1),
    SAME("branch7x7_2", LAST, PASSED, PARAM, 1, 7),
    SAME("branch7x7_3", LAST, JOINED, 192, 7, 1),
    SAME("branch7x7dbl_1", BLOCK, PASSED, PARAM, 1, 1),
    SAME("branch7x7dbl_2", LAST, PASSED, PARAM, 7, 1),
    SAME("branch7x7dbl_3", LAST, PASSED, PARAM, 1, 7),
    SAME("branch7x7dbl_4", LAST, PASSED, PARAM, 7, 1),
    SAME("branch7x7dbl_5", LAST, JOINED, 192, 1, 7),
    POOL(AVERAGE_SAME, PASSED),
    SAME("branch_pool", LAST, JOINED, 192, 1, 1),
};

static const unit block_d[] = {
    SAME("branch3x3_1", BLOCK, PASSED, 192, 1, 1),
    HALF("branch3x3_2", LAST, JOINED, 320),
    SAME("branch7x7x3_1", BLOCK, PASSED, 192, 1, 1),
    SAME("branch7x7x3_2", LAST, PASSED, 192, 1, 7),
    SAME("branch7x7x3_3", LAST, PASSED, 192, 7, 1),
    HALF("branch7x7x3_4", LAST, JOINED, 192),
    POOL(MAX_HALF, JOINED),
};

#define BLOCK_E(pool)                                                             \
    {                                                                             \
        SAME("branch1x1", BLOCK, JOINED, 320, 1, 1),                              \
            SAME("branch3x3_1", BLOCK, MARKED, 384, 1, 1),                        \
            SAME("branch3x3_2a", FORK, JOINED, 384, 1, 3),                        \
            SAME("branch3x3_2b", FORK, JOINED, 384, 3, 1),                        \
            SAME("branch3x3dbl_1", BLOCK, PASSED, 448, 1, 1),                     \
            SAME("branch3x3dbl_2", LAST, MARKED, 384, 3, 3),                      \
            SAME("branch3x3dbl_3a", FORK, JOINED, 384, 1, 3),                     \
            SAME("branch3x3dbl_3b", FORK, JOINED, 384, 3, 1), POOL(pool, PASSED), \
            SAME("branch_pool", LAST, JOINED, 192, 1, 1),                         \
    }
static const unit block_e1[] = BLOCK_E(AVERAGE_SAME);
/* Thought to be a slip of the original; FID is defined with it. */
static const unit block_e2[] = BLOCK_E(MAX_SAME);

static const unit max_pool[] = {POOL(MAX_HALF, JOINED)};
/* Alone in its stage, whose name it has. */
static const unit half3x3[] = {HALF("", BLOCK, JOINED, PARAM)};
static const unit same3x3[] = {SAME("", BLOCK, JOINED, PARAM, 3, 3)};
static const unit same1x1[] = {SAME("", BLOCK, JOINED, PARAM, 1, 1)};

typedef struct {
    const char *name;
    const unit *unit;
    int units, param;
    bool narrow; /* stride 1 without padding */
} stage;

#define STAGE(name, block, ...) \
    { name, block, sizeof(block) / sizeof *(block), __VA_ARGS__ }
static const stage stages[BD_INCEPTION_STAGES] = {
    STAGE("Conv2d_1a_3x3", half3x3, 32, false), STAGE("Conv2d_2a_3x3", same3x3, 32, true),
    STAGE("Conv2d_2b_3x3", same3x3, 64, false), STAGE("max_pool", max_pool, 0, false),
    STAGE("Conv2d_3b_1x1", same1x1, 80, false), STAGE("Conv2d_4a_3x3", same3x3, 192, true),
    STAGE("max_pool", max_pool, 0, false),      STAGE("Mixed_5b", block_a, 32, false),
    STAGE("Mixed_5c", block_a, 64, false),      STAGE("Mixed_5d", block_a, 64, false),
    STAGE("Mixed_6a", block_b, 0, false),       STAGE("Mixed_6b", block_c, 128, false),
    STAGE("Mixed_6c", block_c, 160, false),     STAGE("Mixed_6d", block_c, 160, false),
    STAGE("Mixed_6e", block_c, 192, false),     STAGE("Mixed_7a", block_d, 0, false),
    STAGE("Mixed_7b", block_e1, 0, false),      STAGE("Mixed_7c", block_e2, 0, false),
};

const char *bd_inception_stage_name(int i) { return stages[i].name; }

/* --- the network --- */

static int conv(bd_graph *g, const stage *s, const unit *u, int x) {
    char layer[NAME_BYTES], weight[NAME_BYTES + 16], bias[NAME_BYTES + 16];
    snprintf(layer, sizeof layer, "%s%s%s", s->name, u->name[0] ? "." : "", u->name);
    snprintf(weight, sizeof weight, "%s.conv.weight", layer);
    snprintf(bias, sizeof bias, "%s.conv.bias", layer);
    int in = x < 0 ? 1 : bd_graph_tensor(g, x)->dim[3];
    int out = u->channels == PARAM ? s->param : u->channels;
    int w = bd_graph_param(g, weight, out, in, u->kh, u->kw);
    int b = bd_graph_param(g, bias, 1, 1, 1, out);
    bool padded = !u->half && !s->narrow;
    int ph = padded ? u->kh / 2 : 0, pw = padded ? u->kw / 2 : 0;
    const bd_conv_attr a = {u->kh, u->kw, u->half ? 2 : 1, ph, pw, ph, pw};
    return bd_relu(g, bd_conv2d(g, x, w, b, a));
}

static int apply(bd_graph *g, const stage *s, const unit *u, int x) {
    switch (u->op) {
    case CONV: return conv(g, s, u, x);
    case MAX_HALF: return bd_max_pool(g, x, (bd_window_attr){3, 2, 0});
    case MAX_SAME: return bd_max_pool(g, x, (bd_window_attr){3, 1, 1});
    case AVERAGE_SAME: return bd_avg_pool(g, x, (bd_window_attr){3, 1, 1});
    }
    return -1;
}

/* Neighbours in pairs, so that each part is copied log2(n) times instead of n. */
static int join(bd_graph *g, int *part, int n) {
    for (; n > 1; n = (n + 1) / 2)
        for (int i = 0; i < (n + 1) / 2; i++)
            part[i] = 2 * i + 1 < n ? bd_concat(g, part[2 * i], part[2 * i + 1]) : part[2 * i];
    return part[0];
}

static int run_stage(bd_graph *g, const stage *s, int x) {
    int part[JOIN_MAX] = {-1}, n = 0, last = x, fork = x;
    for (int i = 0; i < s->units; i++) {
        const unit *u = &s->unit[i];
        last = apply(g, s, u, u->from == BLOCK ? x : u->from == LAST ? last : fork);
        if (u->use == JOINED) part[n++] = last;
        if (u->use == MARKED) fork = last;
    }
    return join(g, part, n);
}

bd_inception_out bd_inception_build(bd_graph *g, int x) {
    bd_inception_out out;
    for (int i = 0; i < BD_INCEPTION_STAGES; i++) out.stage[i] = x = run_stage(g, &stages[i], x);
    out.features = bd_mean_hw(g, x);
    return out;
}

bd_status bd_inception_params(bd_params *out) {
    *out = (bd_params){0};
    bd_graph *g;
    BD_TRY(bd_graph_create(&g, "inception"));
    bd_inception_build(
        g, bd_graph_input(g, "x", BD_TYPE_F32, 1, BD_INCEPTION_SIZE, BD_INCEPTION_SIZE, 3));
    bd_status st = bd_params_from_graph(out, g);
    bd_graph_destroy(g);
    return st;
}

/* --- weights --- */

/* Tensors of a unit in the file. */
enum { WEIGHT, GAMMA, BETA, MEAN, VAR, PARTS };
static const char *const part_names[PARTS] = {"conv.weight", "bn.weight", "bn.bias",
                                              "bn.running_mean", "bn.running_var"};

static bd_status check_part(const bd_st_tensor *t, const bd_param *w, int part, const char *path) {
    int rank = part == WEIGHT ? 4 : 1;
    bool fits = t->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = t->dim[i] == w->dim[i];
    BD_REQUIRE(fits && t->dtype == BD_F32, BD_E_FORMAT,
               "%s: tensor %s does not have the shape and type (F32) of FID's Inception-v3", path,
               t->name);
    const float *x = t->data;
    size_t n = t->bytes / sizeof *x;
    for (size_t i = 0; i < n; i++)
        BD_REQUIRE(isfinite(x[i]) && (part != VAR || (double)x[i] + batch_norm_eps > 0),
                   BD_E_FORMAT, "%s: tensor %s: value %zu is %g", path, t->name, i, (double)x[i]);
    return BD_OK;
}

/* The unit of weight w (bias: the parameter behind it) from its five tensors. */
static bd_status fold(bd_params *p, int w, const bd_tensors *s, const char *path) {
    const bd_param *q = &p->at[w];
    const float *part[PARTS];
    int layer = (int)(strlen(q->name) - strlen(part_names[WEIGHT]));
    for (int i = 0; i < PARTS; i++) {
        char name[2 * NAME_BYTES];
        snprintf(name, sizeof name, "%.*s%s", layer, q->name, part_names[i]);
        const bd_st_tensor *t = bd_tensors_find(s, name);
        BD_REQUIRE(t, BD_E_FORMAT,
                   "%s: tensor %s is missing: not the weights of FID's Inception-v3", path, name);
        BD_TRY(check_part(t, q, i, path));
        part[i] = t->data;
    }
    float *weight = p->data + q->first, *bias = p->data + p->at[w + 1].first;
    size_t per = q->count / (size_t)q->dim[0];
    for (int o = 0; o < q->dim[0]; o++) {
        double k = part[GAMMA][o] / sqrt((double)part[VAR][o] + batch_norm_eps);
        for (size_t i = (size_t)o * per; i < (size_t)(o + 1) * per; i++)
            weight[i] = (float)(part[WEIGHT][i] * k);
        bias[o] = (float)(part[BETA][o] - part[MEAN][o] * k);
    }
    return BD_OK;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static bool is_part(const char *dot) {
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(dot + 1, part_names[i])) return true;
    return false;
}

/* Other networks have tensors of the same names and more (AuxLogits of torchvision's): not silently. */
static bd_status no_strangers(const bd_params *p, const bd_tensors *s, const char *path) {
    for (size_t i = 0; i < bd_tensors_count(s); i++) {
        const char *name = bd_tensors_at(s, i)->name;
        char weight[NAME_BYTES * 2];
        const char *part = strstr(name, ".conv.");
        if (!part) part = strstr(name, ".bn.");
        if (!strncmp(name, "fc.", 3) || ends_with(name, ".num_batches_tracked")) continue;
        snprintf(weight, sizeof weight, "%.*s.conv.weight", part ? (int)(part - name) : 0, name);
        BD_REQUIRE(part && is_part(part) && bd_params_find(p, weight) >= 0, BD_E_FORMAT,
                   "%s: tensor %s is not one of FID's Inception-v3", path, name);
    }
    return BD_OK;
}

bd_status bd_inception_load(bd_params *p, const char *path) {
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, path));
    bd_status st = BD_OK;
    for (int i = 0; !st && i < p->n; i += 2) st = fold(p, i, s, path);
    if (!st) st = no_strangers(p, s, path);
    bd_tensors_destroy(s);
    return st;
}

/* --- input --- */

/* Between which two pixels an output pixel lies, and how near the second. */
typedef struct {
    int a, b;
    float to_b;
} between;

static void lay(between *out, int n) {
    float scale = (float)n / BD_INCEPTION_SIZE;
    for (int i = 0; i < BD_INCEPTION_SIZE; i++) {
        float at = scale * ((float)i + 0.5f) - 0.5f;
        if (at < 0) at = 0;
        int a = (int)at;
        if (a > n - 1) a = n - 1;
        out[i] = (between){a, a < n - 1 ? a + 1 : a, at - (float)a};
    }
}

bd_status bd_inception_input(float *out, const float *pixels, int h, int w, int c) {
    BD_REQUIRE(h >= 1 && w >= 1 && (c == 1 || c == 3), BD_E_SHAPE,
               "inception: an image of %dx%dx%d; 1 or 3 channels are needed", h, w, c);
    between row[BD_INCEPTION_SIZE], col[BD_INCEPTION_SIZE];
    lay(row, h);
    lay(col, w);
    for (int i = 0; i < BD_INCEPTION_SIZE; i++) {
        const float *above = pixels + (size_t)row[i].a * (size_t)w * (size_t)c;
        const float *below = pixels + (size_t)row[i].b * (size_t)w * (size_t)c;
        float v = row[i].to_b;
        for (int j = 0; j < BD_INCEPTION_SIZE; j++, out += 3) {
            int a = col[j].a * c, b = col[j].b * c;
            float u = col[j].to_b;
            for (int k = 0; k < 3; k++) {
                int ch = c == 3 ? k : 0;
                float top = (1 - u) * above[a + ch] + u * above[b + ch];
                float bottom = (1 - u) * below[a + ch] + u * below[b + ch];
                out[k] = 2 * ((1 - v) * top + v * bottom) - 1;
            }
        }
    }
    return BD_OK;
}
