/* Chosen plans in files: so that a later run has the same engines, and those of the run-time compiler at once.
 * A file is called by a hash of its key and holds
 *     baddiff cuDNN plan 1 <SHA-256 of what follows>
 *     <key>
 *     engine <number> tensor_cores <0|1> compiled <0|1>
 *     <the library's JSON text of the plan> */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "cuda/dnn_internal.h"

#define MAGIC "baddiff cuDNN plan 1 "
enum { FILE_MAX = 64 << 20, NAME_DIGITS = 24, HEAD = sizeof MAGIC - 1 + 64 + 1 };

static bd_status cache_path(char *out, size_t size, const bd_dnn *d, const char *key) {
    char hex[65], name[NAME_DIGITS + sizeof ".plan"];
    BD_TRY(bd_sha256_buffer(hex, key, strlen(key)));
    snprintf(name, sizeof name, "%.*s.plan", (int)NAME_DIGITS, hex);
    return bd_path_join(out, size, d->cache, name);
}

/* *json: the rest of the text, which stays the caller's. */
static bd_status parse(dnn_choice *out, const char **json, char *text, size_t n, const char *key) {
    char hex[65];
    BD_REQUIRE(n > HEAD && !memcmp(text, MAGIC, sizeof MAGIC - 1) && text[HEAD - 1] == '\n',
               BD_E_FORMAT, "this is no plan");
    BD_TRY(bd_sha256_buffer(hex, text + HEAD, n - HEAD));
    BD_REQUIRE(!memcmp(text + sizeof MAGIC - 1, hex, 64), BD_E_FORMAT, "the checksum is wrong");
    const char *p = text + HEAD;
    size_t length = strlen(key);
    BD_REQUIRE(!strncmp(p, key, length) && p[length] == '\n', BD_E_FORMAT,
               "it belongs to another shape or device");
    int tensor_cores, compiled, used = 0;
    p += length + 1;
    BD_REQUIRE(sscanf(p, "engine %d tensor_cores %d compiled %d%n", &out->engine, &tensor_cores,
                      &compiled, &used) == 3 &&
                   p[used] == '\n',
               BD_E_FORMAT, "it does not name its engine");
    out->tensor_cores = tensor_cores;
    out->compiled = compiled;
    *json = p + used + 1;
    return BD_OK;
}

static bd_status restore(bd_dnn_plan *p, const bd_dnn *d, const char *json) {
    const bd_dnn_api *api = d->api;
    BD_TRY(dnn_new(&p->scope, &p->desc, BD_DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR));
    BD_TRY(dnn_set_descriptor(api, p->desc, BD_DNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d->properties));
    BD_TRY(dnn_set(api, p->desc, BD_DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, BD_DNN_TYPE_CHAR,
                   (int64_t)strlen(json), json));
    BD_TRY(dnn_finalize(api, p->desc, "plan from the cache"));
    BD_TRY(dnn_plan_workspace(&p->workspace, api, p->desc));
    BD_REQUIRE(p->workspace <= d->workspace_max, BD_E_FORMAT,
               "its workspace of %zu bytes is too large", p->workspace);
    return BD_OK;
}

bd_status dnn_cache_load(bd_dnn_plan *p, bd_dnn *d) {
    char path[4096];
    void *data = NULL;
    size_t n = 0;
    const char *json;
    BD_TRY(cache_path(path, sizeof path, d, p->key));
    if (!bd_file_exists(path)) return BD_E_MISSING;
    bd_status st = bd_file_read(&data, &n, path, FILE_MAX);
    if (!st) st = parse(&p->choice, &json, data, n, p->key);
    if (!st) st = restore(p, d, json);
    free(data);
    if (!st || st == BD_E_MEMORY) return st;
    bd_log(BD_LOG_WARN, "cuDNN: the plan in %s is made anew: %s", path, bd_error());
    dnn_scope_clear(&p->scope);
    p->desc = NULL;
    return BD_E_MISSING;
}

static bd_status save(const bd_dnn *d, const bd_dnn_plan *p) {
    char path[4096], hex[65], *json = NULL, *body = NULL;
    bd_writer *w = NULL;
    BD_TRY(cache_path(path, sizeof path, d, p->key));
    BD_TRY(dnn_get_text(&json, d->api, p->desc, BD_DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION));
    int n = asprintf(&body, "%s\nengine %d tensor_cores %d compiled %d\n%s", p->key,
                     p->choice.engine, p->choice.tensor_cores, p->choice.compiled, json);
    free(json);
    BD_REQUIRE(n >= 0, BD_E_MEMORY, "out of memory");
    bd_status st = bd_sha256_buffer(hex, body, (size_t)n);
    if (!st) st = bd_writer_create(&w, path);
    if (!st) {
        /* A writer keeps its first failure and commit tells it. */
        (void)!bd_writer_printf(w, MAGIC "%s\n", hex);
        (void)!bd_writer_write(w, body, (size_t)n);
        st = bd_writer_commit(w);
    }
    free(body);
    return st;
}

void dnn_cache_save(bd_dnn *d, const bd_dnn_plan *p) {
    if (!save(d, p)) return;
    bd_log(BD_LOG_WARN, "cuDNN: plans are not kept any more: %s", bd_error());
    free(d->cache);
    d->cache = NULL;
}
