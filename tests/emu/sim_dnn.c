/* Descriptors, attributes, heuristics and plans of the simulated library: a table of rules says what each descriptor
 * takes, and everything is refused that is not in it. Heuristics offer traps first: engines whose results wander or
 * are inaccurate, as their notes tell, one that asks for a terabyte and one that cannot be built. */
#include "sim_dnn.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_api.h"

const sim_dnn_state sim_dnn_defaults = {.version = 91900, .capability = 90};
sim_dnn_state sim_dnn = {.version = 91900, .capability = 90};

static size_t plans, restored, alive;
static long fail_in;
static int fail_status;
static char complaint[200];

size_t sim_dnn_count_plans(void) { return plans; }
size_t sim_dnn_count_restored(void) { return restored; }
size_t sim_dnn_count_alive(void) { return alive; }

long sim_dnn_fail_after(long n, int status) {
    long left = fail_in;
    fail_in = n;
    fail_status = status;
    return left;
}

/* ---- engines --------------------------------------------------------------------------------------------------- */

#define NOTE(name) (1u << BD_DNN_NUMERICAL_NOTE_##name)

typedef struct {
    int index;
    unsigned notes;
    bool compiled, fallback, refuses, sound, errata;
    int64_t workspace;
} engine;

/* In the order of the heuristics. Sizes of workspaces are odd, as real ones are. */
static const engine engines[] = {
    {.index = 20, .notes = NOTE(NONDETERMINISTIC) | NOTE(TENSOR_CORE)},
    {.index = 5, .notes = NOTE(TENSOR_CORE), .errata = true},
    {.index = 24, .notes = NOTE(REDUCED_PRECISION_REDUCTION) | NOTE(TENSOR_CORE)},
    {.index = 22, .notes = NOTE(DOWN_CONVERT_INPUTS) | NOTE(TENSOR_CORE)},
    {.index = 30, .notes = NOTE(TENSOR_CORE), .compiled = true, .sound = true, .workspace = 131},
    {.index = 31, .notes = NOTE(TENSOR_CORE), .workspace = INT64_C(1) << 40},
    {.index = 32, .notes = NOTE(TENSOR_CORE), .refuses = true},
    {.index = 62, .notes = NOTE(TENSOR_CORE), .sound = true, .workspace = 3001},
    {.index = 70, .sound = true, .workspace = 0},
    {.index = 33, .compiled = true, .sound = true},
    {.index = 25, .notes = NOTE(NONDETERMINISTIC), .fallback = true},
    {.index = 1, .fallback = true, .sound = true, .workspace = 17},
};
enum { ENGINES = sizeof engines / sizeof *engines };

static bool is_forward(const sim_conv *c) {
    return c->kind == BD_DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
}

static bool is_offered(const engine *e, const sim_conv *c, int mode) {
    if ((mode == BD_DNN_HEUR_MODE_FALLBACK) != e->fallback) return false;
    if (sim_dnn.fallback_only && !e->fallback) return false;
    if (sim_dnn.traps_only && e->sound) return false;
    if (sim_dnn.compiled_only && e->sound && !e->compiled) return false;
    return !e->errata || (sim_dnn.capability == 86 && is_forward(c));
}

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

enum {
    ALIVE = 0x644e4e31,
    DEAD = 0x44454144,
    HANDLE = 0x68616e64,
    ATTRS = 8,
    NAME_ANY_OPERATION = -1
};

typedef struct {
    int name;
    int64_t count;
    void *data;
} attribute;

typedef struct {
    int magic, kind;
    bool finalized;
    attribute attr[ATTRS];
    int n;
    sim_conv conv;        /* operation, graph, heuristics, configuration, plan */
    const engine *engine; /* configuration, engine, plan */
} descriptor;

typedef struct {
    int magic;
    void *stream;
} handle;

/* What can be set. of: for descriptors, their kind. */
typedef struct {
    int kind, name, type;
    int64_t min, max;
    int of;
    bool optional;
} rule;

#define TENSOR BD_DNN_BACKEND_TENSOR_DESCRIPTOR
#define CONV BD_DNN_BACKEND_CONVOLUTION_DESCRIPTOR
#define GRAPH BD_DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR
#define HEUR BD_DNN_BACKEND_ENGINEHEUR_DESCRIPTOR
#define CONFIG BD_DNN_BACKEND_ENGINECFG_DESCRIPTOR
#define ENGINE BD_DNN_BACKEND_ENGINE_DESCRIPTOR
#define PLAN BD_DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR
#define PACK BD_DNN_BACKEND_VARIANT_PACK_DESCRIPTOR
#define DEVICE BD_DNN_BACKEND_DEVICEPROP_DESCRIPTOR
#define FORWARD BD_DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
#define DATA BD_DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
#define FILTER BD_DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR
#define DESC BD_DNN_TYPE_BACKEND_DESCRIPTOR
#define I64 BD_DNN_TYPE_INT64

static const rule rules[] = {
    {TENSOR, BD_DNN_ATTR_TENSOR_DATA_TYPE, BD_DNN_TYPE_DATA_TYPE, 1, 1, 0, false},
    {TENSOR, BD_DNN_ATTR_TENSOR_DIMENSIONS, I64, 4, 4, 0, false},
    {TENSOR, BD_DNN_ATTR_TENSOR_STRIDES, I64, 4, 4, 0, false},
    {TENSOR, BD_DNN_ATTR_TENSOR_UNIQUE_ID, I64, 1, 1, 0, false},
    {TENSOR, BD_DNN_ATTR_TENSOR_BYTE_ALIGNMENT, I64, 1, 1, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_COMP_TYPE, BD_DNN_TYPE_DATA_TYPE, 1, 1, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_CONV_MODE, BD_DNN_TYPE_CONVOLUTION_MODE, 1, 1, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_SPATIAL_DIMS, I64, 1, 1, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_PRE_PADDINGS, I64, 2, 2, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_POST_PADDINGS, I64, 2, 2, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_FILTER_STRIDES, I64, 2, 2, 0, false},
    {CONV, BD_DNN_ATTR_CONVOLUTION_DILATIONS, I64, 2, 2, 0, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, DESC, 1, 1, CONV, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, DESC, 1, 1, TENSOR, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, DESC, 1, 1, TENSOR, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, DESC, 1, 1, TENSOR, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, BD_DNN_TYPE_DOUBLE, 1, 1, 0, false},
    {FORWARD, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, BD_DNN_TYPE_DOUBLE, 1, 1, 0, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, DESC, 1, 1, CONV, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, DESC, 1, 1, TENSOR, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, DESC, 1, 1, TENSOR, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, DESC, 1, 1, TENSOR, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, BD_DNN_TYPE_DOUBLE, 1, 1, 0, false},
    {DATA, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, BD_DNN_TYPE_DOUBLE, 1, 1, 0, false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, DESC, 1, 1, CONV, false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, DESC, 1, 1, TENSOR, false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, DESC, 1, 1, TENSOR, false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, DESC, 1, 1, TENSOR, false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, BD_DNN_TYPE_DOUBLE, 1, 1, 0,
     false},
    {FILTER, BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, BD_DNN_TYPE_DOUBLE, 1, 1, 0, false},
    {GRAPH, BD_DNN_ATTR_OPERATIONGRAPH_OPS, DESC, 1, 1, NAME_ANY_OPERATION, false},
    {HEUR, BD_DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, DESC, 1, 1, GRAPH, false},
    {HEUR, BD_DNN_ATTR_ENGINEHEUR_MODE, BD_DNN_TYPE_HEUR_MODE, 1, 1, 0, false},
    {HEUR, BD_DNN_ATTR_ENGINEHEUR_DEVICEPROP, DESC, 1, 1, DEVICE, false},
    {PLAN, BD_DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, DESC, 1, 1, CONFIG, true},
    {PLAN, BD_DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, BD_DNN_TYPE_CHAR, 1, 1 << 20, 0, true},
    {PLAN, BD_DNN_ATTR_EXECUTION_PLAN_DEVICEPROP, DESC, 1, 1, DEVICE, false},
    {PACK, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, I64, 1, 8, 0, false},
    {PACK, BD_DNN_ATTR_VARIANT_PACK_DATA_POINTERS, BD_DNN_TYPE_VOID_PTR, 1, 8, 0, false},
    {PACK, BD_DNN_ATTR_VARIANT_PACK_WORKSPACE, BD_DNN_TYPE_VOID_PTR, 1, 1, 0, false},
    {DEVICE, BD_DNN_ATTR_DEVICEPROP_DEVICE_ID, BD_DNN_TYPE_INT32, 1, 1, 0, true},
    {DEVICE, BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, BD_DNN_TYPE_CHAR, 1, 1 << 20, 0, true},
};
enum { RULES = sizeof rules / sizeof *rules };

static int refuse(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(int status, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(complaint, sizeof complaint, fmt, ap);
    va_end(ap);
    return status;
}

#define PARAM BD_DNN_STATUS_BAD_PARAM
#define JUDGE(condition, status, ...)                           \
    do {                                                        \
        if (!(condition)) return refuse((status), __VA_ARGS__); \
    } while (0)
#define TRY(call)                    \
    do {                             \
        int status_ = (call);        \
        if (status_) return status_; \
    } while (0)

/* Every call that returns a status begins here. */
static int begin(void) {
    if (fail_in > 0 && --fail_in == 0) return refuse(fail_status, "injected failure");
    return 0;
}

static bool is_kind(int kind, int wanted) {
    if (wanted == NAME_ANY_OPERATION) return kind == FORWARD || kind == DATA || kind == FILTER;
    return kind == wanted;
}

/* The elements of an attribute; NULL: not set. */
static const void *get(const descriptor *d, int name) {
    for (int i = 0; i < d->n; i++)
        if (d->attr[i].name == name) return d->attr[i].data;
    return NULL;
}
static int64_t count_of(const descriptor *d, int name) {
    for (int i = 0; i < d->n; i++)
        if (d->attr[i].name == name) return d->attr[i].count;
    return 0;
}
static int get_int(const descriptor *d, int name) { return *(const int *)get(d, name); }
static int64_t get_i64(const descriptor *d, int name) { return *(const int64_t *)get(d, name); }
static descriptor *get_desc(const descriptor *d, int name) {
    descriptor *const *p = get(d, name);
    return p ? *p : NULL;
}

static size_t size_of(int type) {
    switch (type) {
    case BD_DNN_TYPE_CHAR: return 1;
    case BD_DNN_TYPE_INT64:
    case BD_DNN_TYPE_DOUBLE:
    case BD_DNN_TYPE_VOID_PTR:
    case BD_DNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

static size_t sim_version(void) { return (size_t)sim_dnn.version; }

static const char *sim_error_string(int status) {
    return status == 0                                           ? "SIM_STATUS_SUCCESS"
           : status / 1000 == BD_DNN_STATUS_NOT_SUPPORTED / 1000 ? "SIM_STATUS_NOT_SUPPORTED"
           : status / 1000 == BD_DNN_STATUS_BAD_PARAM / 1000     ? "SIM_STATUS_BAD_PARAM"
                                                                 : "SIM_STATUS_OTHER";
}

/* As the real one does, it forgets what it told. */
static void sim_last_error(char *text, size_t size) {
    snprintf(text, size, "%s", complaint);
    complaint[0] = 0;
}

static int sim_create(void **out) {
    TRY(begin());
    JUDGE(!sim_dnn.no_device, 1001, "there is no device");
    handle *h = calloc(1, sizeof *h);
    if (!h) return 4003;
    h->magic = HANDLE;
    alive++;
    *out = h;
    return 0;
}

static int sim_destroy(void *p) {
    handle *h = p;
    if (!h || h->magic != HANDLE) abort();
    h->magic = DEAD;
    free(h);
    alive--;
    return 0;
}

static int sim_set_stream(void *p, void *stream) {
    handle *h = p;
    TRY(begin());
    JUDGE(h && h->magic == HANDLE, PARAM, "this is no handle");
    h->stream = stream;
    return 0;
}

static int sim_descriptor_create(int kind, void **out) {
    TRY(begin());
    bool known = kind == CONFIG || kind == ENGINE;
    for (int i = 0; i < RULES; i++) known |= rules[i].kind == kind;
    JUDGE(known && out, BD_DNN_STATUS_NOT_SUPPORTED, "descriptor %d is not simulated", kind);
    descriptor *d = calloc(1, sizeof *d);
    if (!d) return 4003;
    d->magic = ALIVE;
    d->kind = kind;
    alive++;
    *out = d;
    return 0;
}

static int sim_descriptor_destroy(void *p) {
    descriptor *d = p;
    if (!d || d->magic != ALIVE) abort(); /* twice, or not a descriptor */
    for (int i = 0; i < d->n; i++) free(d->attr[i].data);
    d->magic = DEAD;
    free(d);
    alive--;
    return 0;
}

static int judge_descriptors(const rule *r, int64_t count, const void *elements) {
    descriptor *const *e = elements;
    for (int64_t i = 0; i < count; i++) {
        JUDGE(e[i] && e[i]->magic == ALIVE && is_kind(e[i]->kind, r->of), PARAM,
              "attribute %d: element %" PRId64 " is not the right descriptor", r->name, i);
        JUDGE(e[i]->finalized, BD_DNN_STATUS_BAD_PARAM_NOT_FINALIZED,
              "attribute %d: element %" PRId64 " is not finalized", r->name, i);
    }
    return 0;
}

static int sim_attribute_set(void *p, int name, int type, int64_t count, const void *elements) {
    descriptor *d = p;
    const rule *r = NULL;
    TRY(begin());
    JUDGE(d && d->magic == ALIVE, PARAM, "this is no descriptor");
    JUDGE(!d->finalized, PARAM, "attribute %d is set after finalization", name);
    for (int i = 0; i < RULES; i++)
        if (rules[i].kind == d->kind && rules[i].name == name) r = &rules[i];
    JUDGE(r, PARAM, "descriptor %d has no attribute %d to set", d->kind, name);
    JUDGE(type == r->type, BD_DNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE,
          "attribute %d has type %d, not %d", name, r->type, type);
    JUDGE(count >= r->min && count <= r->max && elements, PARAM,
          "attribute %d takes no %" PRId64 " elements", name, count);
    JUDGE(!get(d, name), PARAM, "attribute %d is set twice", name);
    if (type == DESC) TRY(judge_descriptors(r, count, elements));
    size_t bytes = (size_t)count * size_of(type);
    char *copy = malloc(bytes + 1);
    if (!copy) return 4003;
    memcpy(copy, elements, bytes);
    copy[bytes] = 0; /* for texts */
    d->attr[d->n++] = (attribute){name, count, copy};
    return 0;
}

/* ---- finalizing ------------------------------------------------------------------------------------------------ */

static int finish_tensor(const descriptor *d) {
    const int64_t *dim = get(d, BD_DNN_ATTR_TENSOR_DIMENSIONS),
                  *stride = get(d, BD_DNN_ATTR_TENSOR_STRIDES);
    int type = get_int(d, BD_DNN_ATTR_TENSOR_DATA_TYPE);
    int64_t align = get_i64(d, BD_DNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    JUDGE(type == BD_DNN_DATA_FLOAT || type == BD_DNN_DATA_HALF || type == BD_DNN_DATA_BFLOAT16,
          BD_DNN_STATUS_NOT_SUPPORTED, "element type %d", type);
    JUDGE(get_i64(d, BD_DNN_ATTR_TENSOR_UNIQUE_ID) >= 1, PARAM, "a unique id below 1");
    JUDGE(align == 16, PARAM, "alignment %" PRId64, align);
    for (int i = 0; i < 4; i++)
        JUDGE(dim[i] > 0 && stride[i] > 0, PARAM, "a dimension or stride is not positive");
    /* Packed, channels innermost: what the engines are fast at. */
    JUDGE(stride[1] == 1 && stride[3] == dim[1] && stride[2] == dim[3] * stride[3] &&
              stride[0] == dim[2] * stride[2],
          BD_DNN_STATUS_NOT_SUPPORTED,
          "strides are not those of a packed tensor with channels innermost");
    return 0;
}

static int finish_conv(const descriptor *d) {
    const int64_t *before = get(d, BD_DNN_ATTR_CONVOLUTION_PRE_PADDINGS),
                  *after = get(d, BD_DNN_ATTR_CONVOLUTION_POST_PADDINGS),
                  *step = get(d, BD_DNN_ATTR_CONVOLUTION_FILTER_STRIDES),
                  *dilation = get(d, BD_DNN_ATTR_CONVOLUTION_DILATIONS);
    JUDGE(get_int(d, BD_DNN_ATTR_CONVOLUTION_COMP_TYPE) == BD_DNN_DATA_FLOAT, PARAM,
          "sums are not float32");
    JUDGE(get_int(d, BD_DNN_ATTR_CONVOLUTION_CONV_MODE) == BD_DNN_CROSS_CORRELATION, PARAM,
          "filters are turned");
    JUDGE(get_i64(d, BD_DNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2, PARAM, "not two dimensions");
    for (int i = 0; i < 2; i++)
        JUDGE(before[i] >= 0 && after[i] >= 0 && step[i] > 0 && dilation[i] == 1, PARAM,
              "a padding, stride or dilation");
    return 0;
}

/* Attributes of an operation, tensors in the order x, filters, y. */
static void operation_names(int kind, int names[6]) {
    static const int all[3][6] = {
        {BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        {BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
         BD_DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
    };
    memcpy(names, all[kind == FORWARD ? 0 : kind == DATA ? 1 : 2], sizeof all[0]);
}

static int judge_shapes(const sim_conv *c) {
    const int shape = BD_DNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
    const int64_t *x = c->dim[0], *w = c->dim[1], *y = c->dim[2];
    JUDGE(x[0] == y[0], shape, "%" PRId64 " images go in, %" PRId64 " come out", x[0], y[0]);
    JUDGE(x[1] == w[1], shape, "filters of %" PRId64 " channels for images of %" PRId64, w[1],
          x[1]);
    JUDGE(y[1] == w[0], shape, "%" PRId64 " filters for %" PRId64 " channels", w[0], y[1]);
    for (int i = 0; i < 2; i++) {
        int64_t room = x[2 + i] + c->before[i] + c->after[i] - w[2 + i];
        JUDGE(room >= 0 && room / c->step[i] + 1 == y[2 + i], shape,
              "axis %d: %" PRId64 " outputs do not fit", i, y[2 + i]);
    }
    JUDGE(c->id[0] != c->id[1] && c->id[1] != c->id[2] && c->id[0] != c->id[2], PARAM,
          "a unique id is used twice");
    JUDGE(c->alpha == 1 && (c->beta == 0 || c->beta == 1), PARAM, "alpha %g, beta %g", c->alpha,
          c->beta);
    return 0;
}

static int finish_operation(descriptor *d) {
    int names[6];
    sim_conv *c = &d->conv;
    operation_names(d->kind, names);
    c->kind = d->kind;
    for (int t = 0; t < 3; t++) {
        const descriptor *tensor = get_desc(d, names[t]);
        int type = get_int(tensor, BD_DNN_ATTR_TENSOR_DATA_TYPE);
        JUDGE(t == 0 || type == c->type, BD_DNN_STATUS_NOT_SUPPORTED, "element types differ");
        c->type = type;
        memcpy(c->dim[t], get(tensor, BD_DNN_ATTR_TENSOR_DIMENSIONS), sizeof c->dim[t]);
        memcpy(c->stride[t], get(tensor, BD_DNN_ATTR_TENSOR_STRIDES), sizeof c->stride[t]);
        c->id[t] = get_i64(tensor, BD_DNN_ATTR_TENSOR_UNIQUE_ID);
        c->align[t] = get_i64(tensor, BD_DNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    }
    const descriptor *conv = get_desc(d, names[3]);
    memcpy(c->before, get(conv, BD_DNN_ATTR_CONVOLUTION_PRE_PADDINGS), sizeof c->before);
    memcpy(c->after, get(conv, BD_DNN_ATTR_CONVOLUTION_POST_PADDINGS), sizeof c->after);
    memcpy(c->step, get(conv, BD_DNN_ATTR_CONVOLUTION_FILTER_STRIDES), sizeof c->step);
    c->alpha = *(const double *)get(d, names[4]);
    c->beta = *(const double *)get(d, names[5]);
    return judge_shapes(c);
}

/* The text of a plan: the engine and the numbers of sim_conv, which is made of 64-bit fields only. */
enum { WORDS = sizeof(sim_conv) / 8, TEXT_MAX = 64 + WORDS * 18 };
static int to_text(char out[TEXT_MAX], const descriptor *d) {
    uint64_t word[WORDS];
    memcpy(word, &d->conv, sizeof word);
    int n = snprintf(out, TEXT_MAX, "{\"sim\":%d,\"engine\":%d,\"conv\":\"", sim_dnn.version,
                     d->engine->index);
    for (int i = 0; i < WORDS; i++)
        n += snprintf(out + n, (size_t)(TEXT_MAX - n), "%" PRIx64 ",", word[i]);
    return n + snprintf(out + n, (size_t)(TEXT_MAX - n), "\"}");
}

static int from_text(descriptor *d, const char *text) {
    uint64_t word[WORDS];
    int version, index, used = 0;
    JUDGE(!sim_dnn.refuse_texts, BD_DNN_STATUS_NOT_SUPPORTED, "texts are refused");
    JUDGE(sscanf(text, "{\"sim\":%d,\"engine\":%d,\"conv\":\"%n", &version, &index, &used) == 2 &&
              used,
          PARAM, "the text is no plan");
    JUDGE(version == sim_dnn.version, 1003, "the text is of version %d", version);
    const char *p = text + used;
    for (int i = 0; i < WORDS; i++, p += used)
        JUDGE(sscanf(p, "%" SCNx64 ",%n", &word[i], &used) == 1, PARAM, "the text ends early");
    JUDGE(!strcmp(p, "\"}"), PARAM, "the text goes on");
    memcpy(&d->conv, word, sizeof word);
    for (int i = 0; i < ENGINES; i++)
        if (engines[i].index == index) d->engine = &engines[i];
    JUDGE(d->engine, PARAM, "there is no engine %d", index);
    return 0;
}

static int finish_plan(descriptor *d) {
    const descriptor *config = get_desc(d, BD_DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const char *text = get(d, BD_DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    JUDGE(!config != !text, PARAM, "a plan is made from a configuration or from a text");
    JUDGE(!sim_dnn.refuse_plans, BD_DNN_STATUS_NOT_SUPPORTED, "every plan is refused");
    if (text) {
        TRY(from_text(d, text));
        restored++;
        return 0;
    }
    JUDGE(!config->engine->refuses, BD_DNN_STATUS_NOT_SUPPORTED, "engine %d cannot do this",
          config->engine->index);
    d->conv = config->conv;
    d->engine = config->engine;
    plans++;
    return 0;
}

static int finish_pack(const descriptor *d) {
    int64_t n = count_of(d, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const int64_t *id = get(d, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    void *const *data = get(d, BD_DNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    JUDGE(n == count_of(d, BD_DNN_ATTR_VARIANT_PACK_DATA_POINTERS), PARAM,
          "ids and pointers differ in number");
    for (int64_t i = 0; i < n; i++) {
        JUDGE(data[i], PARAM, "pointer %" PRId64 " is missing", i);
        for (int64_t j = 0; j < i; j++)
            JUDGE(id[i] != id[j], PARAM, "id %" PRId64 " comes twice", id[i]);
    }
    return 0;
}

static int finish_device(const descriptor *d) {
    const int32_t *id = get(d, BD_DNN_ATTR_DEVICEPROP_DEVICE_ID);
    const char *text = get(d, BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
    JUDGE(!id != !text, PARAM, "properties are those of a device or of a text");
    JUDGE(!id || *id == 0, PARAM, "there is no device %d", (int)*id);
    JUDGE(!text || strstr(text, "\"deviceVer\":"), PARAM, "the text has no deviceVer");
    return 0;
}

static int finish(descriptor *d) {
    switch (d->kind) {
    case TENSOR: return finish_tensor(d);
    case CONV: return finish_conv(d);
    case FORWARD:
    case DATA:
    case FILTER: return finish_operation(d);
    case GRAPH: d->conv = get_desc(d, BD_DNN_ATTR_OPERATIONGRAPH_OPS)->conv; return 0;
    case HEUR: {
        int mode = get_int(d, BD_DNN_ATTR_ENGINEHEUR_MODE);
        JUDGE(mode == BD_DNN_HEUR_MODE_A || mode == BD_DNN_HEUR_MODE_FALLBACK,
              BD_DNN_STATUS_NOT_SUPPORTED, "mode %d of the heuristics", mode);
        d->conv = get_desc(d, BD_DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->conv;
        return 0;
    }
    case PLAN: return finish_plan(d);
    case PACK: return finish_pack(d);
    case DEVICE: return finish_device(d);
    default: return refuse(PARAM, "descriptor %d is not finalized by its user", d->kind);
    }
}

static int sim_finalize(void *p) {
    descriptor *d = p;
    TRY(begin());
    JUDGE(d && d->magic == ALIVE && !d->finalized, PARAM, "not a descriptor, or finalized already");
    for (int i = 0; i < RULES; i++)
        JUDGE(rules[i].kind != d->kind || rules[i].optional || get(d, rules[i].name), PARAM,
              "descriptor %d: attribute %d is missing", d->kind, rules[i].name);
    TRY(finish(d));
    d->finalized = true;
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Configurations of the heuristics go into descriptors that the caller made. */
static int get_results(const descriptor *d, int64_t capacity, int64_t *count, void *elements) {
    descriptor **out = elements;
    int mode = get_int(d, BD_DNN_ATTR_ENGINEHEUR_MODE);
    *count = 0;
    for (int i = 0; i < ENGINES; i++) {
        if (!is_offered(&engines[i], &d->conv, mode)) continue;
        int64_t at = (*count)++;
        if (at >= capacity) continue;
        JUDGE(out[at] && out[at]->magic == ALIVE && out[at]->kind == CONFIG && !out[at]->finalized,
              PARAM, "result %" PRId64 " has no configuration descriptor", at);
        out[at]->engine = &engines[i];
        out[at]->conv = d->conv;
        out[at]->finalized = true;
    }
    if (capacity && *count > capacity) *count = capacity;
    return 0;
}

static int get_engine(const descriptor *config, int64_t capacity, int64_t *count, void *elements) {
    descriptor **out = elements;
    JUDGE(capacity == 1 && out[0] && out[0]->magic == ALIVE && out[0]->kind == ENGINE &&
              !out[0]->finalized,
          PARAM, "an engine needs an engine descriptor");
    out[0]->engine = config->engine;
    out[0]->finalized = true;
    *count = 1;
    return 0;
}

static int get_notes(unsigned bits, int64_t capacity, int64_t *count, int *out) {
    *count = 0;
    for (int i = 0; i < 32; i++)
        if (bits >> i & 1 && (*count)++ < capacity) out[*count - 1] = i;
    return 0;
}

static int get_text(const char *text, int64_t capacity, int64_t *count, char *out) {
    *count = (int64_t)strlen(text);
    if (capacity) memcpy(out, text, (size_t)(capacity < *count ? capacity : *count));
    return 0;
}

static int get_device_text(const descriptor *d, int64_t capacity, int64_t *count, void *out) {
    const char *text = get(d, BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
    char own[64];
    snprintf(own, sizeof own, "{\"deviceName\":\"simulated\",\"deviceVer\":%d}",
             10 * sim_dnn.capability);
    return get_text(text ? text : own, capacity, count, out);
}

static int get_one(int64_t value, int64_t capacity, int64_t *count, int64_t *out) {
    JUDGE(capacity == 1 && out, PARAM, "one number is asked for in another way");
    *out = value;
    *count = 1;
    return 0;
}

static int sim_attribute_get(void *p, int name, int type, int64_t capacity, int64_t *count,
                             void *out) {
    descriptor *d = p;
    char text[TEXT_MAX];
    TRY(begin());
    JUDGE(d && d->magic == ALIVE && d->finalized, BD_DNN_STATUS_BAD_PARAM_NOT_FINALIZED,
          "attribute %d of a descriptor that is not finalized", name);
    JUDGE(count && capacity >= 0 && (out || !capacity), PARAM, "attribute %d has nowhere to go",
          name);
    if (d->kind == HEUR && name == BD_DNN_ATTR_ENGINEHEUR_RESULTS && type == DESC)
        return get_results(d, capacity, count, out);
    if (d->kind == CONFIG && name == BD_DNN_ATTR_ENGINECFG_ENGINE && type == DESC)
        return get_engine(d, capacity, count, out);
    if (d->kind == ENGINE && name == BD_DNN_ATTR_ENGINE_GLOBAL_INDEX && type == I64)
        return get_one(d->engine->index, capacity, count, out);
    if (d->kind == ENGINE && name == BD_DNN_ATTR_ENGINE_NUMERICAL_NOTE &&
        type == BD_DNN_TYPE_NUMERICAL_NOTE)
        return get_notes(sim_dnn.drop_notes ? 0 : d->engine->notes, capacity, count, out);
    if (d->kind == ENGINE && name == BD_DNN_ATTR_ENGINE_BEHAVIOR_NOTE &&
        type == BD_DNN_TYPE_BEHAVIOR_NOTE)
        return get_notes(d->engine->compiled ? 1u << BD_DNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION : 0,
                         capacity, count, out);
    if (d->kind == PLAN && name == BD_DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == I64)
        return get_one(d->engine->workspace, capacity, count, out);
    if (d->kind == PLAN && name == BD_DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION &&
        type == BD_DNN_TYPE_CHAR) {
        to_text(text, d);
        return get_text(text, capacity, count, out);
    }
    if (d->kind == DEVICE && name == BD_DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION &&
        type == BD_DNN_TYPE_CHAR)
        return get_device_text(d, capacity, count, out);
    return refuse(PARAM, "descriptor %d has no attribute %d of type %d to read", d->kind, name,
                  type);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static size_t bytes_of(const sim_conv *c, int t) {
    const int64_t *d = c->dim[t];
    return (size_t)(d[0] * d[1] * d[2] * d[3]) * (c->type == BD_DNN_DATA_FLOAT ? 4 : 2);
}

static bool overlaps(const void *a, size_t na, const void *b, size_t nb) {
    return na && nb && (const char *)a < (const char *)b + nb &&
           (const char *)b < (const char *)a + na;
}

static int judge_memory(const sim_run *r) {
    for (int t = 0; t < 3; t++) {
        size_t bytes = bytes_of(&r->conv, t);
        JUDGE((uintptr_t)r->data[t] % (uintptr_t)r->conv.align[t] == 0,
              BD_DNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "tensor %d is misaligned", t);
        JUDGE(emu_on_device(r->data[t], bytes), PARAM, "tensor %d is not in device memory", t);
        JUDGE(!overlaps(r->data[t], bytes, r->workspace, r->workspace_bytes), PARAM,
              "tensor %d lies in the workspace", t);
        for (int u = 0; u < t; u++)
            JUDGE(!overlaps(r->data[t], bytes, r->data[u], bytes_of(&r->conv, u)), PARAM,
                  "tensors %d and %d overlap", u, t);
    }
    JUDGE(!r->workspace_bytes || r->workspace, PARAM, "the workspace is missing");
    JUDGE(emu_on_device(r->workspace, r->workspace_bytes), PARAM,
          "the workspace is not in device memory");
    return 0;
}

static int sim_execute(void *hp, void *pp, void *vp) {
    const handle *h = hp;
    const descriptor *plan = pp, *pack = vp;
    TRY(begin());
    JUDGE(h && h->magic == HANDLE, PARAM, "this is no handle");
    JUDGE(plan && plan->magic == ALIVE && plan->kind == PLAN && plan->finalized, PARAM,
          "this is no plan");
    JUDGE(pack && pack->magic == ALIVE && pack->kind == PACK && pack->finalized, PARAM,
          "these are no buffers");
    const engine *e = plan->engine;
    const int64_t *id = get(pack, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    void *const *data = get(pack, BD_DNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    int64_t n = count_of(pack, BD_DNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    sim_run r = {.conv = plan->conv,
                 .workspace = *(void *const *)get(pack, BD_DNN_ATTR_VARIANT_PACK_WORKSPACE),
                 .workspace_bytes = (size_t)e->workspace,
                 .tf32 = e->notes & NOTE(TENSOR_CORE) && plan->conv.type == BD_DNN_DATA_FLOAT,
                 .wandering = e->notes & NOTE(NONDETERMINISTIC) || e->errata,
                 .inaccurate = !e->sound,
                 .turned = sim_dnn.turn_filters};
    JUDGE(n == 3, PARAM, "%" PRId64 " buffers for 3 tensors", n);
    for (int t = 0; t < 3; t++) {
        for (int64_t i = 0; i < n; i++)
            if (id[i] == r.conv.id[t]) r.data[t] = data[i];
        JUDGE(r.data[t], PARAM, "no buffer has the id of tensor %d", t);
    }
    TRY(judge_memory(&r));
    JUDGE(!emu_enqueue(h->stream, sim_dnn_compute, &r, sizeof r), 5000,
          "the stream does not take it");
    return 0;
}

const bd_dnn_api sim_dnn_api = {
    .get_version = sim_version,
    .error_string = sim_error_string,
    .last_error = sim_last_error,
    .create = sim_create,
    .destroy = sim_destroy,
    .set_stream = sim_set_stream,
    .descriptor_create = sim_descriptor_create,
    .descriptor_destroy = sim_descriptor_destroy,
    .attribute_set = sim_attribute_set,
    .attribute_get = sim_attribute_get,
    .finalize = sim_finalize,
    .execute = sim_execute,
};
