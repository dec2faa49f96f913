/* One convolution as an operation graph, and which of the library's engines computes it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/dnn_internal.h"

/* Engines that give different bits from run to run although they carry no such note.
 *   source   pytorch/pytorch pull requests 188318, 189207: forward engine 5 on sm_86 */
static const struct {
    bd_dnn_dir dir;
    int engine, capability;
} errata[] = {{BD_DNN_FWD, 5, 86}};

/* --- the operation --- */

/* The three kinds of operations: the same attributes under different numbers. y: the output images or their
 * gradient, x and w alike. */
static const struct {
    int kind, conv, x, w, y, alpha, beta;
} operations[] = {
    [BD_DNN_FWD] = {BD_DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                    BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [BD_DNN_BWD_DATA] = {BD_DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [BD_DNN_BWD_WEIGHT] = {BD_DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                           BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static int element_type(bd_type t) {
    return t == BD_TYPE_BF16  ? BD_DNN_DATA_BFLOAT16
           : t == BD_TYPE_F16 ? BD_DNN_DATA_HALF
                              : BD_DNN_DATA_FLOAT;
}

/* dim in the library's order N, C, H, W (filters: O, I, KH, KW), stored with the channel innermost. */
static bd_status make_tensor(void **out, dnn_scope *s, int64_t id, bd_type type,
                             const int64_t dim[4]) {
    const bd_dnn_api *api = s->api;
    const int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[3] * dim[1], dim[1]},
                  align = DNN_ALIGN;
    const int elements = element_type(type);
    BD_TRY(dnn_new(s, out, BD_DNN_BACKEND_TENSOR_DESCRIPTOR));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_TENSOR_DATA_TYPE, BD_DNN_TYPE_DATA_TYPE, 1, &elements));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_TENSOR_DIMENSIONS, BD_DNN_TYPE_INT64, 4, dim));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_TENSOR_STRIDES, BD_DNN_TYPE_INT64, 4, stride));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_TENSOR_UNIQUE_ID, BD_DNN_TYPE_INT64, 1, &id));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_TENSOR_BYTE_ALIGNMENT, BD_DNN_TYPE_INT64, 1, &align));
    return dnn_finalize(api, *out, "tensor");
}

static bd_status make_conv(void **out, dnn_scope *s, const bd_conv_attr *a) {
    const bd_dnn_api *api = s->api;
    const int compute = BD_DNN_DATA_FLOAT, mode = BD_DNN_CROSS_CORRELATION;
    const int64_t dims = 2, before[2] = {a->pad_top, a->pad_left},
                  after[2] = {a->pad_bottom, a->pad_right}, stride[2] = {a->stride, a->stride},
                  dilation[2] = {1, 1};
    BD_TRY(dnn_new(s, out, BD_DNN_BACKEND_CONVOLUTION_DESCRIPTOR));
    BD_TRY(
        dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_COMP_TYPE, BD_DNN_TYPE_DATA_TYPE, 1, &compute));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_CONV_MODE, BD_DNN_TYPE_CONVOLUTION_MODE, 1,
                   &mode));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_SPATIAL_DIMS, BD_DNN_TYPE_INT64, 1, &dims));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_PRE_PADDINGS, BD_DNN_TYPE_INT64, 2, before));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_POST_PADDINGS, BD_DNN_TYPE_INT64, 2, after));
    BD_TRY(
        dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_FILTER_STRIDES, BD_DNN_TYPE_INT64, 2, stride));
    BD_TRY(dnn_set(api, *out, BD_DNN_ATTR_CONVOLUTION_DILATIONS, BD_DNN_TYPE_INT64, 2, dilation));
    return dnn_finalize(api, *out, "convolution");
}

static bd_status make_operation(void **out, dnn_scope *s, const bd_dnn_conv *c) {
    const bd_dnn_api *api = s->api;
    const int64_t xdim[4] = {c->n, c->i, c->h, c->w},
                  wdim[4] = {c->o, c->i, c->attr.kh, c->attr.kw},
                  ydim[4] = {c->n, c->o, c->oh, c->ow};
    const double alpha = 1, beta = c->accumulate ? 1 : 0;
    void *x, *w, *y, *conv;
    BD_TRY(make_tensor(&x, s, DNN_ID_X, c->type, xdim));
    BD_TRY(make_tensor(&w, s, DNN_ID_W, c->type, wdim));
    BD_TRY(make_tensor(&y, s, DNN_ID_Y, c->type, ydim));
    BD_TRY(make_conv(&conv, s, &c->attr));
    BD_TRY(dnn_new(s, out, operations[c->dir].kind));
    BD_TRY(dnn_set_descriptor(api, *out, operations[c->dir].conv, conv));
    BD_TRY(dnn_set_descriptor(api, *out, operations[c->dir].x, x));
    BD_TRY(dnn_set_descriptor(api, *out, operations[c->dir].w, w));
    BD_TRY(dnn_set_descriptor(api, *out, operations[c->dir].y, y));
    BD_TRY(dnn_set(api, *out, operations[c->dir].alpha, BD_DNN_TYPE_DOUBLE, 1, &alpha));
    BD_TRY(dnn_set(api, *out, operations[c->dir].beta, BD_DNN_TYPE_DOUBLE, 1, &beta));
    return dnn_finalize(api, *out, "operation");
}

static bd_status make_graph(void **out, dnn_scope *s, const bd_dnn_conv *c) {
    void *operation;
    BD_TRY(make_operation(&operation, s, c));
    BD_TRY(dnn_new(s, out, BD_DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR));
    BD_TRY(dnn_set_descriptor(s->api, *out, BD_DNN_ATTR_OPERATIONGRAPH_OPS, operation));
    return dnn_finalize(s->api, *out, "operation graph");
}

/* --- the choice --- */

enum { NOTES_MAX = 32, CONFIGS_MAX = 256 };

/* Why configurations were passed over. */
typedef struct {
    int offered, nondeterministic, errata, reduced, tensor_cores, workspace, refused;
} tally;

/* The configurations of one mode of the heuristics, best first. */
typedef struct {
    void *desc[CONFIGS_MAX];
    dnn_choice choice[CONFIGS_MAX];
    bool fits[CONFIGS_MAX];
    int n;
} offers;

static bd_status get_offers(offers *o, dnn_scope *s, bd_dnn *d, void *graph, int mode) {
    const bd_dnn_api *api = d->api;
    void *heur;
    int64_t n = 0, got = 0;
    BD_TRY(dnn_new(s, &heur, BD_DNN_BACKEND_ENGINEHEUR_DESCRIPTOR));
    BD_TRY(dnn_set_descriptor(api, heur, BD_DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    BD_TRY(dnn_set(api, heur, BD_DNN_ATTR_ENGINEHEUR_MODE, BD_DNN_TYPE_HEUR_MODE, 1, &mode));
    BD_TRY(dnn_set_descriptor(api, heur, BD_DNN_ATTR_ENGINEHEUR_DEVICEPROP, d->properties));
    BD_TRY(dnn_finalize(api, heur, "heuristics"));
    const int name = BD_DNN_ATTR_ENGINEHEUR_RESULTS, type = BD_DNN_TYPE_BACKEND_DESCRIPTOR;
    BD_TRY(dnn_check(api, api->attribute_get(heur, name, type, 0, &n, NULL), "number of engines"));
    if (n > CONFIGS_MAX) n = CONFIGS_MAX;
    for (int i = 0; i < n; i++)
        BD_TRY(dnn_new(s, &o->desc[i], BD_DNN_BACKEND_ENGINECFG_DESCRIPTOR));
    if (n)
        BD_TRY(dnn_check(api, api->attribute_get(heur, name, type, n, &got, o->desc), "engines"));
    o->n = (int)(got < n ? got : n);
    return BD_OK;
}

/* The engine's notes as bits; a note above 31 would be newer than this program. */
static bd_status get_notes(uint32_t *out, const bd_dnn_api *api, void *engine, int name, int type) {
    int note[NOTES_MAX];
    int64_t n = 0;
    *out = 0;
    BD_TRY(dnn_check(api, api->attribute_get(engine, name, type, NOTES_MAX, &n, note),
                     "notes of an engine"));
    for (int64_t i = 0; i < n && i < NOTES_MAX; i++)
        if (note[i] >= 0 && note[i] < 32) *out |= UINT32_C(1) << note[i];
    return BD_OK;
}

static bool has(uint32_t notes, int note) { return notes >> note & 1; }

static bool is_errata(const bd_dnn *d, bd_dnn_dir dir, int engine) {
    for (size_t i = 0; i < sizeof errata / sizeof *errata; i++)
        if (errata[i].dir == dir && errata[i].engine == engine &&
            (!d->capability || errata[i].capability == d->capability))
            return true;
    return false;
}

/* What engine is behind offer i, and do we want its numbers? */
static bd_status judge(offers *o, int i, tally *t, dnn_scope *s, const bd_dnn *d,
                       const bd_dnn_conv *c) {
    const bd_dnn_api *api = d->api;
    void *engine;
    int64_t n = 0, index = 0;
    uint32_t numbers, behaviour;
    BD_TRY(dnn_new(s, &engine, BD_DNN_BACKEND_ENGINE_DESCRIPTOR));
    int status = api->attribute_get(o->desc[i], BD_DNN_ATTR_ENGINECFG_ENGINE,
                                    BD_DNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine);
    BD_TRY(dnn_check(api, status, "engine of a configuration"));
    status = api->attribute_get(engine, BD_DNN_ATTR_ENGINE_GLOBAL_INDEX, BD_DNN_TYPE_INT64, 1, &n,
                                &index);
    BD_TRY(dnn_check(api, status, "number of an engine"));
    BD_TRY(get_notes(&numbers, api, engine, BD_DNN_ATTR_ENGINE_NUMERICAL_NOTE,
                     BD_DNN_TYPE_NUMERICAL_NOTE));
    BD_TRY(get_notes(&behaviour, api, engine, BD_DNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                     BD_DNN_TYPE_BEHAVIOR_NOTE));
    bool tensor_cores = has(numbers, BD_DNN_NUMERICAL_NOTE_TENSOR_CORE);
    o->choice[i] = (dnn_choice){(int)index, tensor_cores,
                                has(behaviour, BD_DNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)};
    bool reduced = has(numbers, BD_DNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) ||
                   has(numbers, BD_DNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
    int *why = has(numbers, BD_DNN_NUMERICAL_NOTE_NONDETERMINISTIC) ? &t->nondeterministic
               : is_errata(d, c->dir, (int)index)                   ? &t->errata
               : reduced                                            ? &t->reduced
               : c->type == BD_TYPE_F32 && !c->tf32 && tensor_cores ? &t->tensor_cores
                                                                    : NULL;
    if (why) ++*why;
    o->fits[i] = !why;
    t->offered++;
    return BD_OK;
}

bd_status dnn_plan_workspace(size_t *out, const bd_dnn_api *api, void *plan) {
    int64_t n = 0, bytes = 0;
    int status = api->attribute_get(plan, BD_DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                    BD_DNN_TYPE_INT64, 1, &n, &bytes);
    BD_TRY(dnn_check(api, status, "workspace of a plan"));
    *out = (size_t)bytes;
    return BD_OK;
}

/* Makes the plan of one offer. BD_E_DEVICE: the library refuses it. */
static bd_status build(void **out, dnn_scope *s, const bd_dnn *d, void *config) {
    BD_TRY(dnn_new(s, out, BD_DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR));
    BD_TRY(dnn_set_descriptor(d->api, *out, BD_DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    BD_TRY(dnn_set_descriptor(d->api, *out, BD_DNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d->properties));
    return dnn_finalize(d->api, *out, "plan");
}

/* The first offer that fits and builds; those of the run-time compiler, which cost seconds, after the others. p->desc
 * stays NULL when there is none. */
static bd_status take_first(bd_dnn_plan *p, offers *o, tally *t, dnn_scope *s, const bd_dnn *d) {
    for (int k = 0; k < 2 * o->n; k++) {
        int i = k % o->n;
        if (!o->fits[i] || o->choice[i].compiled != (k >= o->n)) continue;
        void *plan;
        size_t workspace = 0;
        bd_status st = build(&plan, s, d, o->desc[i]);
        if (!st) st = dnn_plan_workspace(&workspace, d->api, plan);
        if (st && st != BD_E_DEVICE) return st;
        t->refused += st != BD_OK;
        t->workspace += !st && workspace > d->workspace_max;
        if (st || workspace > d->workspace_max) continue;
        p->desc = plan;
        p->workspace = workspace;
        p->choice = o->choice[i];
        BD_TRY(dnn_move(&p->scope, s, o->desc[i]));
        return dnn_move(&p->scope, s, plan);
    }
    return BD_OK;
}

/* One mode of the heuristics. A mode that itself fails counts as one refusal. */
static bd_status try_mode(bd_dnn_plan *p, tally *t, bd_dnn *d, const bd_dnn_conv *c, void *graph,
                          int mode) {
    dnn_scope s = {.api = d->api};
    offers *o = calloc(1, sizeof *o);
    BD_REQUIRE(o, BD_E_MEMORY, "cuDNN: out of memory");
    bd_status st = get_offers(o, &s, d, graph, mode);
    for (int i = 0; i < o->n && !st; i++) st = judge(o, i, t, &s, d, c);
    if (!st && o->n)
        st = take_first(p, o, t, &s, d);
    else if (st == BD_E_DEVICE) {
        t->refused++;
        st = BD_OK;
    }
    dnn_scope_clear(&s);
    free(o);
    return st;
}

static bd_status none_left(const bd_dnn *d, const bd_dnn_conv *c, const tally *t) {
    char shape[DNN_SHAPE_TEXT], last[512];
    dnn_shape_text(shape, c);
    snprintf(last, sizeof last, "%s", t->refused ? bd_error() : "");
    return bd_fail(BD_E_DEVICE,
                   "cuDNN %d.%d.%d has no engine for %s on %s: %d offered, passed over: %d "
                   "nondeterministic, %d in the "
                   "errata, %d of low precision, %d on tensor cores, %d with more than %zu bytes "
                   "of workspace, %d "
                   "refused%s%s",
                   d->version / 10000, d->version / 100 % 100, d->version % 100, shape,
                   d->device_name, t->offered, t->nondeterministic, t->errata, t->reduced,
                   t->tensor_cores, t->workspace, d->workspace_max, t->refused, *last ? "; " : "",
                   last);
}

bd_status dnn_plan_choose(bd_dnn_plan *p, bd_dnn *d, const bd_dnn_conv *c) {
    void *graph;
    tally t = {0};
    BD_TRY(make_graph(&graph, &p->scope, c));
    BD_TRY(try_mode(p, &t, d, c, graph, BD_DNN_HEUR_MODE_A));
    if (!p->desc) BD_TRY(try_mode(p, &t, d, c, graph, BD_DNN_HEUR_MODE_FALLBACK));
    return p->desc ? BD_OK : none_left(d, c, &t);
}
