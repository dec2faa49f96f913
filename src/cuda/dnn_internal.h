/* What the files of the cuDNN layer share. */
#ifndef BD_CUDA_DNN_INTERNAL_H
#define BD_CUDA_DNN_INTERNAL_H

#include "cuda/dnn.h"
#include "cuda/dnn_api.h"

/* Unique ids of the three tensors of every operation. */
enum { DNN_ID_X = 1, DNN_ID_W = 2, DNN_ID_Y = 3, DNN_ALIGN = 16 };

/* Descriptors that live and die together. */
typedef struct {
    const bd_dnn_api *api;
    void **desc;
    int n, capacity;
} dnn_scope;

/* What is known of an engine that was chosen: part of a cache file. */
typedef struct {
    int engine;
    bool tensor_cores, compiled;
} dnn_choice;

struct bd_dnn_plan {
    bd_dnn_plan *next;
    char *key;       /* everything that the choice depends on, as text */
    dnn_scope scope; /* of the plan and of all that it was made from */
    void *desc;
    size_t workspace;
    dnn_choice choice;
    char text[80];
};

struct bd_dnn {
    const bd_dnn_api *api;
    int version, device;
    int capability; /* 90 = 9.0; 0 = unknown */
    char *cache;    /* NULL: no cache, or it cannot be written */
    char *device_name;
    size_t workspace_max;
    void *handle; /* NULL: plans can be built only */
    dnn_scope scope;
    void *properties; /* descriptor of the device */
    bd_dnn_plan *plans;
};

/* dnn_check -- BD_E_DEVICE with the library's own words when status is not success. */
BD_MUST_CHECK bd_status dnn_check(const bd_dnn_api *api, int status, const char *what);

/* dnn_new -- a descriptor that the scope frees. */
BD_MUST_CHECK bd_status dnn_new(dnn_scope *s, void **out, int kind);
/* dnn_move -- from one scope to another. */
BD_MUST_CHECK bd_status dnn_move(dnn_scope *to, dnn_scope *from, void *desc);
void dnn_scope_clear(dnn_scope *s);

/* dnn_set -- count elements of the type that an attribute has. */
BD_MUST_CHECK bd_status dnn_set(const bd_dnn_api *api, void *desc, int name, int type,
                                int64_t count, const void *v);
BD_MUST_CHECK bd_status dnn_set_descriptor(const bd_dnn_api *api, void *desc, int name,
                                           void *value);
BD_MUST_CHECK bd_status dnn_get_text(char **out, const bd_dnn_api *api, void *desc,
                                     int name); /* caller frees */
BD_MUST_CHECK bd_status dnn_finalize(const bd_dnn_api *api, void *desc, const char *what);

/* dnn_shape_text -- "forward bf16 x[128,32,32,3] w[128,3,3,3] y[128,32,32,128] stride 1 pad 1 1 1 1". */
enum { DNN_SHAPE_TEXT = 256 };
void dnn_shape_text(char out[DNN_SHAPE_TEXT], const bd_dnn_conv *c);

/* dnn_plan_choose -- by heuristics, into an empty plan: see bd_dnn_plan_get. */
BD_MUST_CHECK bd_status dnn_plan_choose(bd_dnn_plan *p, bd_dnn *d, const bd_dnn_conv *c);
BD_MUST_CHECK bd_status dnn_plan_workspace(size_t *out, const bd_dnn_api *api, void *plan);

/* dnn_cache_load -- the plan of p->key into an empty plan; BD_E_MISSING: there is none. A file that is damaged or that
 * the library refuses is told in the log and counts as missing. dnn_cache_save: failures go to the log and end the use
 * of the cache. */
BD_MUST_CHECK bd_status dnn_cache_load(bd_dnn_plan *p, bd_dnn *d);
void dnn_cache_save(bd_dnn *d, const bd_dnn_plan *p);

#endif
