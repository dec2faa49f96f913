/* Library, descriptors, plans by shape, and running them. */
#include "cuda/dnn.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cuda/dnn_internal.h"

enum { VERSION_MIN = 90800 };
#define WORKSPACE_MAX ((size_t)256 << 20)

/* Part of every cache key: a new number when the rules of dnn_plan.c change, so that old choices are made anew. */
enum { RULES = 1 };

/* --- descriptors --- */

bd_status dnn_check(const bd_dnn_api *api, int status, const char *what) {
    if (status == BD_DNN_STATUS_SUCCESS) return BD_OK;
    char why[256] = "";
    api->last_error(why, sizeof why);
    why[sizeof why - 1] = 0;
    return bd_fail(BD_E_DEVICE, "cuDNN: %s: %s%s%s", what, api->error_string(status),
                   *why ? ": " : "", why);
}

static bd_status make_room(dnn_scope *s) {
    if (s->n < s->capacity) return BD_OK;
    int capacity = s->capacity ? 2 * s->capacity : 8;
    void **more = realloc(s->desc, (size_t)capacity * sizeof *more);
    BD_REQUIRE(more, BD_E_MEMORY, "cuDNN: out of memory for descriptors");
    s->desc = more;
    s->capacity = capacity;
    return BD_OK;
}

bd_status dnn_new(dnn_scope *s, void **out, int kind) {
    *out = NULL;
    BD_TRY(make_room(s));
    BD_TRY(dnn_check(s->api, s->api->descriptor_create(kind, out), "new descriptor"));
    s->desc[s->n++] = *out;
    return BD_OK;
}

bd_status dnn_move(dnn_scope *to, dnn_scope *from, void *desc) {
    BD_TRY(make_room(to));
    int i = 0;
    while (from->desc[i] != desc) i++;
    from->desc[i] = from->desc[--from->n];
    to->desc[to->n++] = desc;
    return BD_OK;
}

void dnn_scope_clear(dnn_scope *s) {
    while (s->n) s->api->descriptor_destroy(s->desc[--s->n]);
    free(s->desc);
    *s = (dnn_scope){.api = s->api};
}

bd_status dnn_set(const bd_dnn_api *api, void *desc, int name, int type, int64_t count,
                  const void *v) {
    int status = api->attribute_set(desc, name, type, count, v);
    if (status == BD_DNN_STATUS_SUCCESS) return BD_OK;
    char what[32];
    snprintf(what, sizeof what, "attribute %d", name);
    return dnn_check(api, status, what);
}

bd_status dnn_set_descriptor(const bd_dnn_api *api, void *desc, int name, void *value) {
    return dnn_set(api, desc, name, BD_DNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

bd_status dnn_get_text(char **out, const bd_dnn_api *api, void *desc, int name) {
    int64_t n = 0, got = 0;
    BD_TRY(dnn_check(api, api->attribute_get(desc, name, BD_DNN_TYPE_CHAR, 0, &n, NULL),
                     "length of a text"));
    char *text = calloc(1, (size_t)n + 1);
    BD_REQUIRE(text, BD_E_MEMORY, "cuDNN: out of memory for a text of %lld bytes", (long long)n);
    bd_status st =
        dnn_check(api, api->attribute_get(desc, name, BD_DNN_TYPE_CHAR, n, &got, text), "text");
    if (st)
        free(text);
    else
        *out = text;
    return st;
}

bd_status dnn_finalize(const bd_dnn_api *api, void *desc, const char *what) {
    return dnn_check(api, api->finalize(desc), what);
}

/* --- library --- */

/* The compute capability that the library itself sees: "deviceVer" of the properties, 900 = 9.0. */
static void read_capability(bd_dnn *d) {
    char *text = NULL;
    if (dnn_get_text(&text, d->api, d->properties, BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION))
        return;
    const char *at = strstr(text, "\"deviceVer\":");
    if (at) d->capability = (int)strtol(at + strlen("\"deviceVer\":"), NULL, 10) / 10;
    free(text);
}

static bd_status make_properties(bd_dnn *d, const bd_dnn_spec *s) {
    BD_TRY(dnn_new(&d->scope, &d->properties, BD_DNN_BACKEND_DEVICEPROP_DESCRIPTOR));
    if (s->device >= 0) {
        const int32_t id = s->device;
        BD_TRY(dnn_set(d->api, d->properties, BD_DNN_ATTR_DEVICEPROP_DEVICE_ID, BD_DNN_TYPE_INT32,
                       1, &id));
    } else
        BD_TRY(dnn_set(d->api, d->properties, BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                       BD_DNN_TYPE_CHAR, (int64_t)strlen(s->properties), s->properties));
    BD_TRY(dnn_finalize(d->api, d->properties, "device properties"));
    read_capability(d);
    return BD_OK;
}

static bd_status open_cache(bd_dnn *d, const char *folder) {
    if (!folder) return BD_OK;
    if (bd_file_mkdirs(folder)) {
        bd_log(BD_LOG_WARN, "cuDNN: plans are not kept: %s", bd_error());
        return BD_OK;
    }
    d->cache = strdup(folder);
    BD_REQUIRE(d->cache, BD_E_MEMORY, "cuDNN: out of memory");
    return BD_OK;
}

static bd_status open_library(bd_dnn *d, const bd_dnn_spec *s) {
    d->version = (int)d->api->get_version();
    BD_REQUIRE(d->version >= VERSION_MIN, BD_E_DEVICE,
               "cuDNN %d.%d.%d is too old: 9.8 or newer is needed", d->version / 10000,
               d->version / 100 % 100, d->version % 100);
    d->device_name = strdup(s->device_name ? s->device_name : "unnamed device");
    BD_REQUIRE(d->device_name, BD_E_MEMORY, "cuDNN: out of memory");
    if (s->device >= 0) BD_TRY(dnn_check(d->api, d->api->create(&d->handle), "start"));
    BD_TRY(make_properties(d, s));
    return open_cache(d, s->cache);
}

bd_status bd_dnn_create(bd_dnn **out, const bd_dnn_spec *s) {
    *out = NULL;
    BD_REQUIRE(s->device >= 0 || s->properties, BD_E_ARG,
               "cuDNN: neither a device nor properties of one");
    BD_REQUIRE(!s->cache || s->device_name, BD_E_ARG,
               "cuDNN: a cache of plans needs the device's name");
    bd_dnn *d = calloc(1, sizeof *d);
    BD_REQUIRE(d, BD_E_MEMORY, "cuDNN: out of memory");
    d->api = d->scope.api = s->api;
    d->workspace_max = s->workspace_max ? s->workspace_max : WORKSPACE_MAX;
    bd_status st = open_library(d, s);
    if (st)
        bd_dnn_destroy(d);
    else
        *out = d;
    return st;
}

static void plan_destroy(bd_dnn_plan *p) {
    dnn_scope_clear(&p->scope);
    free(p->key);
    free(p);
}

void bd_dnn_destroy(bd_dnn *d) {
    if (!d) return;
    for (bd_dnn_plan *p = d->plans, *next; p; p = next) {
        next = p->next;
        plan_destroy(p);
    }
    dnn_scope_clear(&d->scope);
    if (d->handle) d->api->destroy(d->handle);
    free(d->cache);
    free(d->device_name);
    free(d);
}

bd_dnn_conv bd_dnn_conv_of(const bd_graph *g, const bd_node *n) {
    bd_conv_tensors t = bd_node_conv(n);
    const bd_tensor *x = bd_graph_tensor(g, t.x), *y = bd_graph_tensor(g, t.y);
    return (bd_dnn_conv){.dir = n->op == BD_OP_conv2d            ? BD_DNN_FWD
                                : n->op == BD_OP_conv2d_bwd_data ? BD_DNN_BWD_DATA
                                                                 : BD_DNN_BWD_WEIGHT,
                         .n = x->dim[0],
                         .h = x->dim[1],
                         .w = x->dim[2],
                         .i = x->dim[3],
                         .oh = y->dim[1],
                         .ow = y->dim[2],
                         .o = y->dim[3],
                         .attr = n->attr.conv};
}

bool bd_dnn_is_product(const bd_conv_attr *a) {
    return a->kh == 1 && a->kw == 1 && a->stride == 1 && !a->pad_top && !a->pad_left &&
           !a->pad_bottom && !a->pad_right;
}

int bd_dnn_version(const bd_dnn *d) { return d->version; }

bd_status bd_dnn_set_stream(bd_dnn *d, void *stream) {
    BD_REQUIRE(d->handle, BD_E_DEVICE, "cuDNN: without a device plans can only be built");
    return dnn_check(d->api, d->api->set_stream(d->handle, stream), "stream");
}

/* --- plans --- */

void dnn_shape_text(char out[DNN_SHAPE_TEXT], const bd_dnn_conv *c) {
    static const char *const dirs[] = {"forward", "data gradient", "weight gradient"};
    const char *type = c->type == BD_TYPE_BF16  ? "bf16"
                       : c->type == BD_TYPE_F16 ? "f16"
                       : c->tf32                ? "tf32"
                                                : "f32";
    const bd_conv_attr *a = &c->attr;
    snprintf(out, DNN_SHAPE_TEXT,
             "%s %s%s x[%d,%d,%d,%d] w[%d,%d,%d,%d] y[%d,%d,%d,%d] stride %d pad top %d left %d "
             "bottom %d right %d",
             dirs[c->dir], type, c->accumulate ? " added" : "", c->n, c->h, c->w, c->i, c->o, a->kh,
             a->kw, c->i, c->n, c->oh, c->ow, c->o, a->stride, a->pad_top, a->pad_left,
             a->pad_bottom, a->pad_right);
}

static bd_status check_shape(const bd_dnn_conv *c) {
    const bd_conv_attr *a = &c->attr;
    char shape[DNN_SHAPE_TEXT];
    dnn_shape_text(shape, c);
    bool type = c->type == BD_TYPE_F32 || c->type == BD_TYPE_BF16 || c->type == BD_TYPE_F16;
    BD_REQUIRE(type && (c->type == BD_TYPE_F32 || !c->tf32), BD_E_ARG, "cuDNN: element type %d%s",
               (int)c->type, c->tf32 ? " with tf32" : "");
    bool sizes = c->n > 0 && c->h > 0 && c->w > 0 && c->i > 0 && c->oh > 0 && c->ow > 0 &&
                 c->o > 0 && a->kh > 0 && a->kw > 0 && a->stride > 0 && a->pad_top >= 0 &&
                 a->pad_left >= 0 && a->pad_bottom >= 0 && a->pad_right >= 0;
    BD_REQUIRE(sizes, BD_E_SHAPE, "cuDNN: a size is not positive: %s", shape);
    BD_REQUIRE((c->h + a->pad_top + a->pad_bottom - a->kh) / a->stride + 1 == c->oh &&
                   (c->w + a->pad_left + a->pad_right - a->kw) / a->stride + 1 == c->ow &&
                   c->h + a->pad_top + a->pad_bottom >= a->kh &&
                   c->w + a->pad_left + a->pad_right >= a->kw,
               BD_E_SHAPE, "cuDNN: sizes do not fit: %s", shape);
    return BD_OK;
}

/* Everything that a choice depends on; one line. Caller frees. */
static bd_status make_key(char **out, const bd_dnn *d, const bd_dnn_conv *c) {
    char shape[DNN_SHAPE_TEXT];
    dnn_shape_text(shape, c);
    BD_REQUIRE(asprintf(out, "cuDNN %d; %s; rules %d; workspace %zu; %s", d->version,
                        d->device_name, RULES, d->workspace_max, shape) >= 0,
               BD_E_MEMORY, "cuDNN: out of memory");
    for (char *p = *out; *p; p++)
        if ((unsigned char)*p < ' ') *p = '?';
    return BD_OK;
}

static void describe(bd_dnn_plan *p, bool cached) {
    snprintf(p->text, sizeof p->text, "engine %d%s%s%s", p->choice.engine,
             p->choice.tensor_cores ? ", tensor cores" : "",
             p->choice.compiled ? ", compiled at run time" : "", cached ? ", from cache" : "");
}

static bd_status make_plan(bd_dnn_plan *p, bd_dnn *d, const bd_dnn_conv *c) {
    if (d->cache) {
        bd_status st = dnn_cache_load(p, d);
        if (!st) describe(p, true);
        if (st != BD_E_MISSING) return st;
    }
    BD_TRY(dnn_plan_choose(p, d, c));
    describe(p, false);
    if (d->cache) dnn_cache_save(d, p);
    return BD_OK;
}

bd_status bd_dnn_plan_get(const bd_dnn_plan **out, bd_dnn *d, const bd_dnn_conv *c) {
    *out = NULL;
    BD_TRY(check_shape(c));
    char *key;
    BD_TRY(make_key(&key, d, c));
    for (bd_dnn_plan *p = d->plans; p && !*out; p = p->next)
        if (!strcmp(p->key, key)) *out = p;
    bd_dnn_plan *p = *out ? NULL : calloc(1, sizeof *p);
    if (!p) {
        free(key);
        BD_REQUIRE(*out, BD_E_MEMORY, "cuDNN: out of memory for a plan");
        return BD_OK;
    }
    p->key = key;
    p->scope.api = d->api;
    bd_status st = make_plan(p, d, c);
    if (st) {
        plan_destroy(p);
        return st;
    }
    p->next = d->plans;
    *out = d->plans = p;
    return BD_OK;
}

size_t bd_dnn_plan_workspace(const bd_dnn_plan *p) { return p->workspace; }
const char *bd_dnn_plan_text(const bd_dnn_plan *p) { return p->text; }
bool bd_dnn_plan_compiled(const bd_dnn_plan *p) { return p->choice.compiled; }

/* --- running --- */

struct bd_dnn_bound {
    const bd_dnn_plan *plan;
    dnn_scope scope;
    void *pack;
};

static bd_status fill_pack(bd_dnn_bound *b, void *const data[3], void *workspace) {
    static const int64_t ids[3] = {DNN_ID_X, DNN_ID_W, DNN_ID_Y};
    const bd_dnn_api *api = b->scope.api;
    BD_TRY(dnn_new(&b->scope, &b->pack, BD_DNN_BACKEND_VARIANT_PACK_DESCRIPTOR));
    BD_TRY(dnn_set(api, b->pack, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, BD_DNN_TYPE_INT64, 3, ids));
    BD_TRY(dnn_set(api, b->pack, BD_DNN_ATTR_VARIANT_PACK_DATA_POINTERS, BD_DNN_TYPE_VOID_PTR, 3,
                   data));
    BD_TRY(dnn_set(api, b->pack, BD_DNN_ATTR_VARIANT_PACK_WORKSPACE, BD_DNN_TYPE_VOID_PTR, 1,
                   &workspace));
    return dnn_finalize(api, b->pack, "buffers of a convolution");
}

bd_status bd_dnn_bind(bd_dnn_bound **out, bd_dnn *d, const bd_dnn_plan *p, void *x, void *w,
                      void *y, void *workspace) {
    *out = NULL;
    void *const data[4] = {x, w, y, workspace};
    for (int i = 0; i < 4; i++) {
        bool needed = i < 3 || p->workspace;
        BD_REQUIRE((data[i] || !needed) && (uintptr_t)data[i] % DNN_ALIGN == 0, BD_E_ARG,
                   "cuDNN: buffer %d (x, w, y, workspace) is missing or not %d-byte aligned", i,
                   (int)DNN_ALIGN);
    }
    bd_dnn_bound *b = calloc(1, sizeof *b);
    BD_REQUIRE(b, BD_E_MEMORY, "cuDNN: out of memory");
    b->plan = p;
    b->scope.api = d->api;
    bd_status st = fill_pack(b, data, workspace);
    if (st)
        bd_dnn_unbind(d, b);
    else
        *out = b;
    return st;
}

void bd_dnn_unbind(bd_dnn *d, bd_dnn_bound *b) {
    (void)d;
    if (!b) return;
    dnn_scope_clear(&b->scope);
    free(b);
}

bd_status bd_dnn_run(bd_dnn *d, const bd_dnn_bound *b) {
    BD_REQUIRE(d->handle, BD_E_DEVICE, "cuDNN: without a device plans can only be built");
    int status = d->api->execute(d->handle, b->plan->desc, b->pack);
    if (status == BD_DNN_STATUS_SUCCESS) return BD_OK;
    return bd_error_prefix(dnn_check(d->api, status, "run"), "%s", b->plan->text);
}
