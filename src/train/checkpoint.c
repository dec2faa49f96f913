/* Checkpoints: one safetensors file with everything a run needs to go on. */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "io/csv.h"
#include "io/safetensors.h"

enum { ROLES = 3, NAME_BYTES = 256, PATH_BYTES = 4096, VALUE_BYTES = 80 };

static const char version[] = "1";
static const char file_prefix[] = "checkpoint-", file_suffix[] = ".safetensors";
static const char *const role_prefix[ROLES] = {"param.", "adam_m.", "adam_v."};

/* The metadata; the checksum covers every entry before its own. */
enum {
    META_VERSION,
    META_SETTINGS,
    META_STEP,
    META_MICRO_STEPS,
    META_IMAGES,
    META_POISONED,
    META_LOG_BYTES,
    META_LOSS,
    META_SECONDS,
    META_SCALE, /* this and the next two: only in a run with loss scaling */
    META_SCALE_GOOD,
    META_SCALE_SKIPPED,
    META_SHA256,
    META_COUNT
};

static const char *const meta_key[META_COUNT] = {
    [META_VERSION] = "version",
    [META_SETTINGS] = "settings",
    [META_STEP] = "step",
    [META_MICRO_STEPS] = "micro_steps",
    [META_IMAGES] = "images",
    [META_POISONED] = "poisoned",
    [META_LOG_BYTES] = "log_bytes",
    [META_LOSS] = "loss",
    [META_SECONDS] = "seconds",
    [META_SCALE] = "loss_scale",
    [META_SCALE_GOOD] = "good_steps",
    [META_SCALE_SKIPPED] = "skipped_steps",
    [META_SHA256] = "sha256",
};

/* A file's metadata and tensors, on the way out or in. */
typedef struct {
    const char *value[META_COUNT];
    bd_st_tensor *tensor;
    size_t n;
} content;

static bd_status checksum(char hex[65], const content *c) {
    bd_sha256 *h;
    BD_TRY(bd_sha256_create(&h));
    for (int k = 0; k < META_SHA256; k++)
        if (c->value[k]) bd_sha256_update(h, c->value[k], strlen(c->value[k]) + 1);
    for (size_t i = 0; i < c->n; i++) {
        const bd_st_tensor *t = &c->tensor[i];
        bd_sha256_update(h, t->name, strlen(t->name) + 1);
        bd_sha256_update(h, t->dim, (size_t)t->rank * sizeof t->dim[0]);
        bd_sha256_update(h, t->data, t->bytes);
    }
    bd_sha256_finish(h, hex);
    return BD_OK;
}

/* --- the files of a folder --- */

static bool is_checkpoint(const char *name) {
    size_t digits = strspn(name + strlen(file_prefix), "0123456789");
    return strcmp(name + strlen(file_prefix) + digits, file_suffix) == 0;
}

/* Names of the folder's checkpoints, oldest first: the step is written with leading zeros. */
static bd_status list(char ***names, size_t *n, const char *dir) {
    BD_TRY(bd_file_list(names, n, dir, file_suffix));
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        char *name = (*names)[i];
        bool ours = strncmp(name, file_prefix, strlen(file_prefix)) == 0 && is_checkpoint(name);
        if (!ours) continue;
        (*names)[i] = (*names)[kept];
        (*names)[kept++] = name;
    }
    for (size_t i = kept; i < *n; i++) free((*names)[i]);
    *n = kept;
    return BD_OK;
}

/* Remove all but `last` and the one before it; those after it are damaged, or it would not be. */
static bd_status remove_others(const char *dir, const char *last) {
    char **names;
    size_t n;
    BD_TRY(list(&names, &n, dir));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        bool before = i + 1 < n && strcmp(names[i + 1], last) == 0;
        if (before || strcmp(names[i], last) == 0) continue;
        char path[PATH_BYTES];
        st = bd_path_join(path, sizeof path, dir, names[i]);
        if (!st) st = bd_file_remove(path);
    }
    bd_file_list_free(names, n);
    return st;
}

bd_status bd_checkpoint_remove(const char *dir) { return remove_others(dir, ""); }

/* *n of DIR; name of the newest one. */
static bd_status newest(char name[NAME_BYTES], size_t *n, const char *dir) {
    char **names;
    BD_TRY(list(&names, n, dir));
    if (*n) snprintf(name, NAME_BYTES, "%s", names[*n - 1]);
    bd_file_list_free(names, *n);
    return BD_OK;
}

bd_status bd_checkpoint_take(const char *dir, const char *from) {
    char name[NAME_BYTES], there[PATH_BYTES], here[PATH_BYTES];
    size_t n;
    BD_TRY(newest(name, &n, dir));
    if (n) return BD_OK;
    BD_TRY(newest(name, &n, from));
    BD_REQUIRE(n, BD_E_MISSING, "no checkpoint in %s", from);
    BD_TRY(bd_path_join(there, sizeof there, from, name));
    BD_TRY(bd_path_join(here, sizeof here, dir, name));
    return bd_file_copy(here, there);
}

/* --- save --- */

static bd_status collect(content *c, char (**names)[NAME_BYTES],
                         const bd_params *const role[ROLES]) {
    size_t count = (size_t)role[0]->n;
    c->n = ROLES * count;
    c->tensor = calloc(c->n, sizeof *c->tensor);
    *names = calloc(c->n, sizeof **names);
    BD_REQUIRE(c->tensor && *names, BD_E_MEMORY, "checkpoint: out of memory");
    for (size_t i = 0; i < c->n; i++) {
        size_t r = i / count;
        bd_st_tensor *t = &c->tensor[i];
        *t = bd_params_tensor(role[r], (int)(i % count));
        int len = snprintf((*names)[i], NAME_BYTES, "%s%s", role_prefix[r], t->name);
        BD_REQUIRE(len < NAME_BYTES, BD_E_ARG, "checkpoint: parameter name %s is too long",
                   t->name);
        t->name = (*names)[i];
    }
    return BD_OK;
}

static bd_status write_file(const char *path, const content *c) {
    const char *meta[META_COUNT][2];
    size_t n = 0;
    for (int k = 0; k < META_COUNT; k++) {
        if (!c->value[k]) continue;
        meta[n][0] = meta_key[k];
        meta[n++][1] = c->value[k];
    }
    return bd_safetensors_save(path, c->tensor, c->n, meta, n);
}

bd_status bd_checkpoint_save(const char *dir, const char *settings, const bd_checkpoint_state *s,
                             const bd_params *params, const bd_params *m, const bd_params *v) {
    char path[PATH_BYTES], name[64], text[META_COUNT][VALUE_BYTES], hex[65];
    snprintf(name, sizeof name, "%s%012" PRId64 "%s", file_prefix, s->step, file_suffix);
    BD_TRY(bd_path_join(path, sizeof path, dir, name));
    snprintf(text[META_STEP], VALUE_BYTES, "%" PRId64, s->step);
    snprintf(text[META_MICRO_STEPS], VALUE_BYTES, "%" PRId64, s->micro_steps);
    snprintf(text[META_IMAGES], VALUE_BYTES, "%" PRId64, s->images);
    snprintf(text[META_POISONED], VALUE_BYTES, "%" PRId64, s->poisoned);
    snprintf(text[META_LOG_BYTES], VALUE_BYTES, "%" PRId64, s->log_bytes);
    bd_format_double(text[META_LOSS], s->loss);
    bd_format_double(text[META_SECONDS], s->seconds);
    content c = {
        .value = {[META_VERSION] = version, [META_SETTINGS] = settings, [META_SHA256] = hex}};
    bd_format_double(text[META_SCALE], s->scale.scale);
    snprintf(text[META_SCALE_GOOD], VALUE_BYTES, "%" PRId64, s->scale.good);
    snprintf(text[META_SCALE_SKIPPED], VALUE_BYTES, "%" PRId64, s->scale.skipped);
    int last = s->scale.scale > 0 ? META_SCALE_SKIPPED : META_SECONDS;
    for (int k = META_STEP; k <= last; k++) c.value[k] = text[k];

    char(*names)[NAME_BYTES] = NULL;
    bd_status st = BD_OK;
    BD_TRY_TO(done, st, collect(&c, &names, (const bd_params *const[ROLES]){params, m, v}));
    BD_TRY_TO(done, st, checksum(hex, &c));
    BD_TRY_TO(done, st, write_file(path, &c));
    st = remove_others(dir, name);
done:
    free(c.tensor);
    free(names);
    return st;
}

/* --- load --- */

static bd_status read_integer(int64_t *out, const content *c, int key) {
    char *end;
    *out = strtoll(c->value[key], &end, 10);
    BD_REQUIRE(end != c->value[key] && !*end && *out >= 0, BD_E_FORMAT, "%s is \"%s\"",
               meta_key[key], c->value[key]);
    return BD_OK;
}

static bd_status read_double(double *out, const content *c, int key) {
    char *end;
    *out = strtod(c->value[key], &end);
    BD_REQUIRE(end != c->value[key] && !*end, BD_E_FORMAT, "%s is \"%s\"", meta_key[key],
               c->value[key]);
    return BD_OK;
}

static bd_status read_state(bd_checkpoint_state *s, const content *c) {
    BD_TRY(read_integer(&s->step, c, META_STEP));
    BD_TRY(read_integer(&s->micro_steps, c, META_MICRO_STEPS));
    BD_TRY(read_integer(&s->images, c, META_IMAGES));
    BD_TRY(read_integer(&s->poisoned, c, META_POISONED));
    BD_TRY(read_integer(&s->log_bytes, c, META_LOG_BYTES));
    BD_TRY(read_double(&s->loss, c, META_LOSS));
    BD_TRY(read_double(&s->seconds, c, META_SECONDS));
    if (!c->value[META_SCALE]) return BD_OK;
    BD_TRY(read_double(&s->scale.scale, c, META_SCALE));
    BD_TRY(read_integer(&s->scale.good, c, META_SCALE_GOOD));
    return read_integer(&s->scale.skipped, c, META_SCALE_SKIPPED);
}

/* Metadata and checksum of an open file. */
static bd_status verify(content *c, const bd_tensors *file) {
    for (int k = 0; k < META_COUNT; k++) {
        c->value[k] = bd_tensors_meta(file, meta_key[k]);
        bool optional = k >= META_SCALE && k <= META_SCALE_SKIPPED && !c->value[META_SCALE];
        BD_REQUIRE(c->value[k] || optional, BD_E_FORMAT, "no entry \"%s\": not a checkpoint",
                   meta_key[k]);
    }
    BD_REQUIRE(strcmp(c->value[META_VERSION], version) == 0, BD_E_FORMAT,
               "written in format %s, this program reads format %s", c->value[META_VERSION],
               version);
    c->n = bd_tensors_count(file);
    c->tensor = calloc(c->n ? c->n : 1, sizeof *c->tensor);
    BD_REQUIRE(c->tensor, BD_E_MEMORY, "out of memory");
    for (size_t i = 0; i < c->n; i++) c->tensor[i] = *bd_tensors_at(file, i);
    char hex[65];
    BD_TRY(checksum(hex, c));
    BD_REQUIRE(strcmp(hex, c->value[META_SHA256]) == 0, BD_E_FORMAT,
               "checksum %.12s, should be %.12s: the file is damaged", hex, c->value[META_SHA256]);
    return BD_OK;
}

/* One file. BD_E_FORMAT: it is damaged and another may be tried. */
static bd_status load_file(bd_checkpoint_state *state, bd_params *const role[ROLES],
                           const char *path, const char *settings) {
    bd_tensors *file;
    BD_TRY(bd_safetensors_load(&file, path));
    content c = {0};
    bd_status st = BD_OK;
    bd_checkpoint_state s = {0};
    st = verify(&c, file);
    if (!st) st = read_state(&s, &c);
    if (st) {
        st = bd_error_prefix(st, "%s", path);
        goto done;
    }
    if (strcmp(c.value[META_SETTINGS], settings) != 0)
        BD_FAIL_TO(
            done, st, BD_E_ARG,
            "%s was written under other settings or on another kind of machine; resume it under "
            "the same ones, or remove the checkpoints to start anew",
            path);
    for (int r = 0; r < ROLES; r++)
        BD_TRY_TO(done, st, bd_params_read(role[r], file, role_prefix[r], path));
    *state = s;
done:
    free(c.tensor);
    bd_tensors_destroy(file);
    return st;
}

bd_status bd_checkpoint_load(bd_checkpoint_state *state, bd_params *params, bd_params *m,
                             bd_params *v, const char *dir, const char *settings) {
    char **names;
    size_t n;
    BD_TRY(list(&names, &n, dir));
    bd_status st = BD_E_FORMAT;
    for (size_t i = n; i-- > 0 && st == BD_E_FORMAT;) {
        char path[PATH_BYTES];
        st = bd_path_join(path, sizeof path, dir, names[i]);
        if (!st) st = load_file(state, (bd_params *const[ROLES]){params, m, v}, path, settings);
        if (st == BD_E_FORMAT)
            bd_log(BD_LOG_WARN, "%s; trying the checkpoint before it", bd_error());
    }
    bd_file_list_free(names, n);
    if (n == 0) return bd_fail(BD_E_MISSING, "no checkpoint in %s", dir);
    if (st == BD_E_FORMAT)
        return bd_error_prefix(st,
                               "none of the %zu checkpoints in %s can be used; remove them to "
                               "start anew; the oldest",
                               n, dir);
    return st;
}
