/* Weights of a network: the table of views, initial values, files, transfer to an engine. */
#include "nn/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "io/safetensors.h"

enum { ALIGN_FLOATS = 16, NAME_MAX_BYTES = 256 };

/* Attention layers changed their names in diffusers 0.17; files of either kind are around. */
static const char *const renamed[][2] = {
    {"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"}, {"proj_attn", "to_out.0"}};

static bool ends_with(const char *s, const char *suffix) {
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

/* The name of a parameter's layer: everything before ".weight" or ".bias"; bytes, or -1. */
static int layer_length(const char *name) {
    if (ends_with(name, ".weight")) return (int)(strlen(name) - strlen(".weight"));
    if (ends_with(name, ".bias")) return (int)(strlen(name) - strlen(".bias"));
    return -1;
}

/* The present name of a parameter that may have its old one; false when it is too long. */
static bool present_name(char out[NAME_MAX_BYTES], const char *name) {
    int layer = layer_length(name);
    for (size_t i = 0; layer >= 0 && i < sizeof renamed / sizeof *renamed; i++) {
        int k = (int)strlen(renamed[i][0]);
        bool old = layer > k && name[layer - k - 1] == '.' &&
                   strncmp(name + layer - k, renamed[i][0], (size_t)k) == 0;
        if (!old) continue;
        int n =
            snprintf(out, NAME_MAX_BYTES, "%.*s%s%s", layer - k, name, renamed[i][1], name + layer);
        return n > 0 && n < NAME_MAX_BYTES;
    }
    int n = snprintf(out, NAME_MAX_BYTES, "%s", name);
    return n >= 0 && n < NAME_MAX_BYTES;
}

/* --- the table --- */

static bool is_linear(const bd_tensor *t) {
    int layer = layer_length(t->name);
    if (layer < 0 || t->dim[2] != 1 || t->dim[3] != 1) return false;
    const char *last = t->name;
    for (int i = 0; i < layer; i++)
        if (t->name[i] == '.') last = t->name + i + 1;
    const char *conv = strstr(last, "conv");
    return !(conv && conv < t->name + layer);
}

static bd_status param_shape(bd_param *p, const bd_tensor *t) {
    const int *d = t->dim;
    memcpy(p->dim, (int[4]){1, 1, 1, 1}, sizeof p->dim);
    if (ends_with(t->name, ".bias") || (d[0] == 1 && d[1] == 1 && d[2] == 1)) {
        BD_REQUIRE(d[0] == 1 && d[1] == 1 && d[2] == 1, BD_E_SHAPE,
                   "parameter %s has shape %dx%dx%dx%d; a bias is a vector", t->name, d[0], d[1],
                   d[2], d[3]);
        p->rank = 1;
        p->dim[0] = d[3];
        return BD_OK;
    }
    p->rank = is_linear(t) ? 2 : 4;
    for (int i = 0; i < p->rank; i++) p->dim[i] = d[i];
    return BD_OK;
}

/* Count the PARAM tensors and the bytes of their names. */
static int measure(const bd_graph *g, size_t *name_bytes) {
    int n = 0;
    *name_bytes = 0;
    for (int i = 0; i < bd_graph_tensor_count(g); i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind != BD_TENSOR_PARAM) continue;
        n++;
        *name_bytes += strlen(t->name) + 1;
    }
    return n;
}

static bd_status fill_table(bd_params *p, const bd_graph *g) {
    size_t first = 0;
    char *name = p->names;
    int k = 0;
    for (int i = 0; i < bd_graph_tensor_count(g); i++) {
        const bd_tensor *t = bd_graph_tensor(g, i);
        if (t->kind != BD_TENSOR_PARAM) continue;
        BD_REQUIRE(strlen(t->name) < NAME_MAX_BYTES, BD_E_ARG,
                   "parameter name %s is longer than %d bytes", t->name, NAME_MAX_BYTES - 1);
        bd_param *q = &p->at[k++];
        BD_TRY(param_shape(q, t));
        size_t n = strlen(t->name) + 1;
        memcpy(name, t->name, n);
        q->name = name;
        name += n;
        q->first = first;
        q->count = bd_tensor_count(t);
        p->count += q->count;
        first += (q->count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
    p->bytes = first * sizeof(float);
    return BD_OK;
}

bd_status bd_params_from_graph(bd_params *out, const bd_graph *g) {
    *out = (bd_params){0};
    BD_TRY(bd_graph_status(g));
    size_t name_bytes;
    int n = measure(g, &name_bytes);
    BD_REQUIRE(n > 0, BD_E_ARG, "the graph has no parameters");
    bd_params p = {.n = n, .at = calloc((size_t)n, sizeof *p.at), .names = malloc(name_bytes)};
    bd_status st = BD_OK;
    if (!p.at || !p.names) BD_FAIL_TO(fail, st, BD_E_MEMORY, "parameters: out of memory");
    BD_TRY_TO(fail, st, fill_table(&p, g));
    p.data = bd_alloc_pages(p.bytes);
    if (!p.data)
        BD_FAIL_TO(fail, st, BD_E_MEMORY, "%zu parameters: no memory for %zu bytes", p.count,
                   p.bytes);
    *out = p;
    return BD_OK;
fail:
    bd_params_clear(&p);
    return st;
}

void bd_params_clear(bd_params *p) {
    free(p->at);
    free(p->names);
    if (p->data) bd_free_pages(p->data, p->bytes);
    *p = (bd_params){0};
}

bd_status bd_params_like(bd_params *out, const bd_params *p) {
    *out = (bd_params){0};
    size_t name_bytes = 0;
    for (int i = 0; i < p->n; i++) name_bytes += strlen(p->at[i].name) + 1;
    bd_params q = {.n = p->n,
                   .at = calloc((size_t)p->n, sizeof *q.at),
                   .data = bd_alloc_pages(p->bytes),
                   .count = p->count,
                   .bytes = p->bytes,
                   .names = malloc(name_bytes)};
    if (!q.at || !q.data || !q.names) {
        bd_params_clear(&q);
        return bd_fail(BD_E_MEMORY, "%zu parameters: no memory for %zu bytes", p->count, p->bytes);
    }
    memcpy(q.at, p->at, (size_t)p->n * sizeof *q.at);
    char *name = q.names;
    for (int i = 0; i < p->n; i++) {
        size_t n = strlen(p->at[i].name) + 1;
        q.at[i].name = memcpy(name, p->at[i].name, n);
        name += n;
    }
    *out = q;
    return BD_OK;
}

bd_status bd_params_copy(bd_params *dst, const bd_params *src) {
    BD_REQUIRE(dst->n == src->n, BD_E_SHAPE, "copy of parameters: %d tensors into %d", src->n,
               dst->n);
    for (int i = 0; i < src->n; i++) {
        const bd_param *a = &dst->at[i], *b = &src->at[i];
        BD_REQUIRE(strcmp(a->name, b->name) == 0 && memcmp(a->dim, b->dim, sizeof a->dim) == 0,
                   BD_E_SHAPE, "copy of parameters: %s into %s, or their shapes differ", b->name,
                   a->name);
    }
    memcpy(dst->data, src->data, src->bytes);
    return BD_OK;
}

int bd_params_find(const bd_params *p, const char *name) {
    char present[NAME_MAX_BYTES];
    if (!present_name(present, name)) return -1;
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->at[i].name, present) == 0) return i;
    return -1;
}

/* --- initial values --- */

static bd_status init_one(bd_params *p, int i, uint64_t seed) {
    const bd_param *q = &p->at[i];
    float *x = p->data + q->first;
    int layer = layer_length(q->name), w = -1;
    if (layer >= 0) {
        char weight[NAME_MAX_BYTES + 8];
        snprintf(weight, sizeof weight, "%.*s.weight", layer, q->name);
        w = bd_params_find(p, weight);
    }
    BD_REQUIRE(w >= 0, BD_E_ARG,
               "parameter %s is neither weight nor bias of a layer; its initial value is unknown",
               q->name);
    const int *d = p->at[w].dim;
    if (p->at[w].rank == 1) { /* a norm */
        for (size_t k = 0; k < q->count; k++) x[k] = w == i ? 1.0F : 0.0F;
        return BD_OK;
    }
    double bound = 1 / sqrt((double)d[1] * d[2] * d[3]);
    bd_rng_uniform(x, q->count,
                   (bd_rng_key){.seed = seed, .stream = BD_STREAM_INIT, .index = (uint32_t)i});
    for (size_t k = 0; k < q->count; k++) x[k] = (float)((2.0 * x[k] - 1.0) * bound);
    return BD_OK;
}

bd_status bd_params_init(bd_params *p, uint64_t seed) {
    for (int i = 0; i < p->n; i++) BD_TRY(init_one(p, i, seed));
    return BD_OK;
}

/* --- files --- */

static void shape_text(char *out, size_t size, int rank, const int64_t *dim) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < rank && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%lld", i ? "x" : "", (long long)dim[i]);
        used += n > 0 ? (size_t)n : size;
    }
}

static bool same_shape(const bd_param *p, const bd_st_tensor *t) {
    if (t->rank != p->rank) return false;
    for (int i = 0; i < p->rank; i++)
        if (t->dim[i] != p->dim[i]) return false;
    return true;
}

static bd_status check_tensor(const bd_param *p, const bd_st_tensor *t, const char *what) {
    BD_REQUIRE(bd_st_is_float(t), BD_E_FORMAT,
               "%s: tensor %s is %s; weights are read from F32, F16 and BF16", what, t->name,
               bd_dtype_name(t->dtype));
    if (!same_shape(p, t)) {
        char has[128], wants[128];
        shape_text(has, sizeof has, t->rank, t->dim);
        int64_t dim[4] = {p->dim[0], p->dim[1], p->dim[2], p->dim[3]};
        shape_text(wants, sizeof wants, p->rank, dim);
        return bd_fail(BD_E_FORMAT, "%s: tensor %s has shape %s, the model of config.json wants %s",
                       what, t->name, has, wants);
    }
    for (size_t k = 0; k < p->count; k++)
        BD_REQUIRE(isfinite(bd_st_float(t, k)), BD_E_FORMAT,
                   "%s: tensor %s: value %zu is not finite", what, t->name, k);
    return BD_OK;
}

/* source[i] = the tensor of parameter i */
static bd_status match(const bd_st_tensor **source, const bd_params *p, const bd_tensors *s,
                       const char *prefix, const char *what) {
    size_t n_prefix = strlen(prefix);
    for (size_t k = 0; k < bd_tensors_count(s); k++) {
        const bd_st_tensor *t = bd_tensors_at(s, k);
        if (strncmp(t->name, prefix, n_prefix) != 0) continue;
        int i = bd_params_find(p, t->name + n_prefix);
        BD_REQUIRE(i >= 0, BD_E_FORMAT,
                   "%s: tensor %s is not one of the model's %d; is it the weights of another "
                   "configuration?",
                   what, t->name, p->n);
        BD_REQUIRE(!source[i], BD_E_FORMAT, "%s: tensors %s and %s are the same parameter", what,
                   source[i]->name, t->name);
        BD_TRY(check_tensor(&p->at[i], t, what));
        source[i] = t;
    }
    for (int i = 0; i < p->n; i++)
        BD_REQUIRE(source[i], BD_E_FORMAT, "%s: tensor %s%s is missing", what, prefix,
                   p->at[i].name);
    return BD_OK;
}

bd_status bd_params_read(bd_params *p, const bd_tensors *s, const char *prefix, const char *what) {
    const bd_st_tensor **source = calloc((size_t)p->n, sizeof *source);
    BD_REQUIRE(source, BD_E_MEMORY, "%s: out of memory", what);
    bd_status st = match(source, p, s, prefix, what);
    for (int i = 0; !st && i < p->n; i++)
        for (size_t k = 0; k < p->at[i].count; k++)
            p->data[p->at[i].first + k] = bd_st_float(source[i], k);
    free(source);
    return st;
}

bd_status bd_params_load(bd_params *p, const char *path) {
    bd_tensors *s;
    BD_TRY(bd_tensors_load(&s, path));
    bd_status st = bd_params_read(p, s, "", path);
    bd_tensors_destroy(s);
    return st;
}

bd_st_tensor bd_params_tensor(const bd_params *p, int i) {
    const bd_param *q = &p->at[i];
    bd_st_tensor t = {.name = q->name,
                      .dtype = BD_F32,
                      .rank = q->rank,
                      .data = p->data + q->first,
                      .bytes = q->count * sizeof(float)};
    for (int k = 0; k < q->rank; k++) t.dim[k] = q->dim[k];
    return t;
}

bd_status bd_params_save(const bd_params *p, const char *path, const char *const (*meta)[2],
                         size_t n_meta) {
    bd_st_tensor *t = malloc((size_t)p->n * sizeof *t);
    BD_REQUIRE(t, BD_E_MEMORY, "%s: out of memory", path);
    for (int i = 0; i < p->n; i++) t[i] = bd_params_tensor(p, i);
    bd_status st = bd_safetensors_save(path, t, (size_t)p->n, meta, n_meta);
    free(t);
    return st;
}

bd_status bd_params_sha256(char hex[65], const bd_params *p) {
    bd_sha256 *s;
    BD_TRY(bd_sha256_create(&s));
    for (int i = 0; i < p->n; i++) {
        const bd_param *q = &p->at[i];
        char head[NAME_MAX_BYTES + 64];
        int n = snprintf(head, sizeof head, "%s %d %d %d %d %d\n", q->name, q->rank, q->dim[0],
                         q->dim[1], q->dim[2], q->dim[3]);
        bd_sha256_update(s, head, (size_t)n);
        bd_sha256_update(s, p->data + q->first, q->count * sizeof(float));
    }
    bd_sha256_finish(s, hex);
    return BD_OK;
}

/* --- transfer --- */

typedef bd_status (*move_fn)(bd_params *p, int i, const bd_backend *b, bd_engine *e, bd_slot slot,
                             int tensor);

/* Call move for each parameter with its tensor of g, after all have been compared. */
static bd_status walk(bd_params *p, const bd_backend *b, bd_engine *e, const bd_graph *g,
                      bd_slot slot, move_fn move) {
    for (int pass = 0; pass < 2; pass++) {
        int k = 0;
        for (int i = 0; i < bd_graph_tensor_count(g); i++) {
            const bd_tensor *t = bd_graph_tensor(g, i);
            if (t->kind != BD_TENSOR_PARAM) continue;
            if (pass == 1) {
                BD_TRY(move(p, k++, b, e, slot, i));
                continue;
            }
            bd_param q = {0};
            BD_TRY(param_shape(&q, t));
            BD_REQUIRE(
                k < p->n && strcmp(p->at[k].name, t->name) == 0 &&
                    memcmp(p->at[k].dim, q.dim, sizeof q.dim) == 0,
                BD_E_SHAPE,
                "the network's parameter %d is %s %dx%dx%dx%d, the weights have %s: they are "
                "those of another network",
                k, t->name, t->dim[0], t->dim[1], t->dim[2], t->dim[3],
                k < p->n ? p->at[k].name : "no more");
            k++;
        }
        BD_REQUIRE(k == p->n, BD_E_SHAPE, "the network has %d parameters, the weights %d", k, p->n);
    }
    return BD_OK;
}

static bd_status move_up(bd_params *p, int i, const bd_backend *b, bd_engine *e, bd_slot slot,
                         int tensor) {
    return b->slot_set(e, slot, tensor, p->data + p->at[i].first);
}

static bd_status move_down(bd_params *p, int i, const bd_backend *b, bd_engine *e, bd_slot slot,
                           int tensor) {
    return b->slot_get(e, slot, tensor, p->data + p->at[i].first);
}

bd_status bd_params_upload(const bd_params *p, const bd_backend *b, bd_engine *e, const bd_graph *g,
                           bd_slot slot) {
    bd_params view = *p; /* move_up writes nothing through it */
    return walk(&view, b, e, g, slot, move_up);
}

bd_status bd_params_download(bd_params *p, const bd_backend *b, bd_engine *e, const bd_graph *g,
                             bd_slot slot) {
    return walk(p, b, e, g, slot, move_down);
}
