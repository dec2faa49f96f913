/* A full path to one library is enough: cuDNN's and cuBLASLt's RUNPATH names their own folder and the folders beside it
 * where pip puts the rest, so what they load later is found without a LD_LIBRARY_PATH. */
#include "cuda/library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILES = 3, MAX_FOLDERS = 3 };

typedef struct {
    const bd_cuda_library_spec *spec;
    void *handle;
    char refused[384]; /* the loader's word on the first file that is there and cannot be opened */
} search;

static const char *env(const char *name) {
    const char *v = getenv(name);
    return v ? v : "";
}

/* A name without '/' goes through the loader's own search. */
static bool try_file(search *s, const char *path) {
    bool by_path = strchr(path, '/') != NULL;
    if (by_path && access(path, F_OK)) return false;
    s->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->handle) return true;
    const char *why = dlerror();
    if (!why) why = "?";
    /* "libX.so.9: cannot open ...": just not there. Another name in front: something that it needs is not there. */
    bool absent = !by_path && !strncmp(why, path, strlen(path));
    if (!absent && !s->refused[0]) snprintf(s->refused, sizeof s->refused, "%s", why);
    return false;
}

static bool try_folder(search *s, const char *folder) {
    for (int i = 0; i < MAX_FILES && s->spec->files[i]; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", folder, s->spec->files[i]);
        if (n < (int)sizeof path && try_file(s, path)) return true;
    }
    return false;
}

/* root/sub; nothing when root is empty. */
static bool try_under(search *s, const char *root, const char *sub) {
    char folder[PATH_MAX];
    if (!*root) return false;
    int n = snprintf(folder, sizeof folder, "%s/%s", root, sub);
    return n < (int)sizeof folder && try_folder(s, folder);
}

static bool try_list(search *s, const char *folders) {
    while (*folders) {
        size_t n = strcspn(folders, ":");
        char folder[PATH_MAX];
        if (n && n < sizeof folder) {
            memcpy(folder, folders, n);
            folder[n] = '\0';
            if (try_folder(s, folder)) return true;
        }
        folders += n + (folders[n] == ':');
    }
    return false;
}

static int is_python(const struct dirent *e) { return !strncmp(e->d_name, "python3", 7); }

static bool try_packages(search *s, const char *lib, const char *python) {
    static const char *const kinds[] = {"site-packages", "dist-packages"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char nvidia[PATH_MAX];
        int n = snprintf(nvidia, sizeof nvidia, "%s/%s/%s/nvidia", lib, python, kinds[i]);
        for (int j = 0; n < (int)sizeof nvidia && j < MAX_FOLDERS && s->spec->folders[j]; j++)
            if (try_under(s, nvidia, s->spec->folders[j])) return true;
    }
    return false;
}

/* Every python3* under root/lib, the newest first. */
static bool try_python(search *s, const char *root, const char *sub) {
    char lib[PATH_MAX];
    struct dirent **names = NULL;
    if (!*root || snprintf(lib, sizeof lib, "%s/%s", root, sub) >= (int)sizeof lib) return false;
    int n = scandir(lib, &names, is_python, versionsort);
    bool found = false;
    for (int i = n - 1; i >= 0; i--) {
        found = found || try_packages(s, lib, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return found;
}

static bool look(search *s) {
    if (try_list(s, env("BADDIFF_CUDA_LIBS"))) return true;
    for (int i = 0; i < MAX_FILES && s->spec->files[i]; i++)
        if (try_file(s, s->spec->files[i])) return true;
    return try_under(s, env("CUDA_HOME"), "lib64") || try_under(s, env("CUDA_HOME"), "lib") ||
           try_folder(s, "/usr/local/cuda/lib64") || try_folder(s, "/usr/local/cuda/lib") ||
           try_under(s, env("CONDA_PREFIX"), "lib") || try_python(s, env("VIRTUAL_ENV"), "lib") ||
           try_python(s, env("CONDA_PREFIX"), "lib") || try_python(s, env("HOME"), ".local/lib") ||
           try_python(s, "/usr/local", "lib") || try_python(s, "/usr", "lib") ||
           try_python(s, "/opt/conda", "lib");
}

static bd_status not_found(const search *s) {
    const bd_cuda_library_spec *spec = s->spec;
    if (s->refused[0])
        return bd_fail(BD_E_DEVICE,
                       "%s cannot be opened: %s; install %s, or name the folder of another in "
                       "BADDIFF_CUDA_LIBS",
                       spec->name, s->refused, spec->packages);
    return bd_fail(
        BD_E_DEVICE,
        "%s not found: no %s%s%s in BADDIFF_CUDA_LIBS (%.200s), the loader's folders, CUDA_HOME "
        "(%.200s), "
        "/usr/local/cuda, or Python's nvidia packages; install %s, or name its folder in "
        "BADDIFF_CUDA_LIBS",
        spec->name, spec->files[0], spec->files[1] ? " or " : "",
        spec->files[1] ? spec->files[1] : "",
        *env("BADDIFF_CUDA_LIBS") ? env("BADDIFF_CUDA_LIBS") : "not set",
        *env("CUDA_HOME") ? env("CUDA_HOME") : "not set", spec->packages);
}

static void tell_path(const search *s, char *path, size_t size) {
    struct link_map *map = NULL;
    bool known = !dlinfo(s->handle, RTLD_DI_LINKMAP, &map) && map && map->l_name && *map->l_name;
    snprintf(path, size, "%s", known ? map->l_name : s->spec->files[0]);
}

bd_status bd_cuda_library_open(void *table, char *path, size_t path_size,
                               const bd_cuda_library_spec *spec) {
    search s = {.spec = spec};
    if (!look(&s)) return not_found(&s);
    tell_path(&s, path, path_size);
    for (size_t i = 0; i < spec->n_functions; i++)
        if (!dlsym(s.handle, spec->functions[i].symbol)) {
            dlclose(s.handle);
            return bd_fail(
                BD_E_DEVICE,
                "%s: no function %s in %s; install %s, or name its folder in BADDIFF_CUDA_LIBS",
                spec->name, spec->functions[i].symbol, path, spec->packages);
        }
    for (size_t i = 0; i < spec->n_functions; i++) {
        void *p = dlsym(s.handle, spec->functions[i].symbol);
        memcpy((char *)table + spec->functions[i].at, &p, sizeof p);
    }
    return BD_OK;
}

#define BLAS_FUNCTION(result, field, symbol, args) {#symbol, offsetof(bd_blas_api, field)},
static const bd_cuda_function blas_functions[] = {BD_BLAS_FUNCTIONS(BLAS_FUNCTION)};
#define DNN_FUNCTION(result, field, symbol, args) {#symbol, offsetof(bd_dnn_api, field)},
static const bd_cuda_function dnn_functions[] = {BD_DNN_FUNCTIONS(DNN_FUNCTION)};

static const bd_cuda_library_spec blas_spec = {
    .name = "cuBLASLt",
    .files = {"libcublasLt.so.13", "libcublasLt.so.12"},
    .folders = {"cu13/lib", "cublas/lib"},
    .packages = "libcublas-13-0 (NVIDIA's Debian and Ubuntu repository) or nvidia-cublas (pip)",
    .functions = blas_functions,
    .n_functions = sizeof blas_functions / sizeof *blas_functions,
};

static const bd_cuda_library_spec dnn_spec = {
    .name = "cuDNN",
    .files = {"libcudnn_graph.so.9"},
    .folders = {"cudnn/lib", "cu13/lib"},
    .packages = "cudnn9-cuda-13 (NVIDIA's Debian and Ubuntu repository) or nvidia-cudnn-cu13 (pip)",
    .functions = dnn_functions,
    .n_functions = sizeof dnn_functions / sizeof *dnn_functions,
};

/* A search that fails is made again by the next call: the user may have been told what to set. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bd_blas_api blas;
static bd_dnn_api dnn;
static char blas_path[PATH_MAX], dnn_path[PATH_MAX];
static bool blas_open, dnn_open;

static bd_status open_once(bool *open, void *table, char *path, const bd_cuda_library_spec *spec) {
    bd_status st = BD_OK;
    pthread_mutex_lock(&lock);
    if (!*open) {
        st = bd_cuda_library_open(table, path, PATH_MAX, spec);
        *open = !st;
        if (st) path[0] = '\0';
    }
    pthread_mutex_unlock(&lock);
    return st;
}

bd_status bd_cuda_library_blas(const bd_blas_api **out) {
    *out = NULL;
    BD_TRY(open_once(&blas_open, &blas, blas_path, &blas_spec));
    *out = &blas;
    return BD_OK;
}

bd_status bd_cuda_library_dnn(const bd_dnn_api **out) {
    *out = NULL;
    BD_TRY(open_once(&dnn_open, &dnn, dnn_path, &dnn_spec));
    *out = &dnn;
    return BD_OK;
}

const char *bd_cuda_library_blas_path(void) { return blas_path; }
const char *bd_cuda_library_dnn_path(void) { return dnn_path; }
