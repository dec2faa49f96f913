/* Oracles: the search order of cuda/library.h on folders made here, with a small library compiled here; dlsym; NVIDIA's
 * own libraries where this machine has them. */
#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cuda/library.h"

#define DIR_ "build/tmp/test_cuda_library"

/* A library that no machine has, so that only folders made here matter. */
#define NEW "libbaddiff_sham.so.7"
#define OLD "libbaddiff_sham.so.6"

typedef struct {
    int (*first)(void), (*second)(int x);
} sham_api;

static const bd_cuda_function sham_functions[] = {{"sham_first", offsetof(sham_api, first)},
                                                  {"sham_second", offsetof(sham_api, second)}};
static const bd_cuda_library_spec sham = {.name = "Sham",
                                          .files = {NEW, OLD},
                                          .folders = {"cu99/lib", "sham/lib"},
                                          .packages = "libsham-7 or sham-cu99",
                                          .functions = sham_functions,
                                          .n_functions = 2};

static const char *const variables[] = {"BADDIFF_CUDA_LIBS", "CUDA_HOME", "CONDA_PREFIX",
                                        "VIRTUAL_ENV", "HOME"};
enum { VARIABLES = sizeof variables / sizeof *variables };
static char *before[VARIABLES];

static int fresh(void **state) {
    (void)state;
    for (int i = 0; i < VARIABLES; i++) {
        const char *v = getenv(variables[i]);
        before[i] = v ? strdup(v) : NULL;
        unsetenv(variables[i]);
    }
    if (bd_file_remove_tree(DIR_)) return -1;
    return bd_file_mkdirs(DIR_);
}

static int back(void **state) {
    (void)state;
    for (int i = 0; i < VARIABLES; i++) {
        if (before[i])
            setenv(variables[i], before[i], 1);
        else
            unsetenv(variables[i]);
        free(before[i]);
    }
    return 0;
}

/* The user's compiler, as the Makefile passes it on. */
static bool compile(const char *to, const char *code) {
    char command[2 * PATH_MAX];
    const char *cc = getenv("CC");
    if (bd_file_write(DIR_ "/sham.c", code, strlen(code))) return false;
    snprintf(command, sizeof command, "%s -shared -fPIC -w -o %s %s 2>/dev/null",
             cc && *cc ? cc : "cc", to, DIR_ "/sham.c");
    return system(command) == 0; /* NOLINT: the user's own compiler */
}

static const char *built(const char *code) {
    static char path[] = DIR_ "/built.so";
    if (compile(path, code)) return path;
    print_message("skipped: no compiler makes a shared library here (CC)\n");
    skip();
    return NULL;
}

static const char *whole_sham(void) {
    return built("int sham_first(void) { return 42; } int sham_second(int x) { return x + 1; }");
}

/* A copy, not a link: the loader knows files by their inode, and every place has to count as its own. */
static void put(const char *library, const char *folder, const char *name) {
    void *data;
    size_t n;
    char path[PATH_MAX];
    snprintf(path, sizeof path, DIR_ "/%s", folder);
    assert_int_equal(bd_file_mkdirs(path), BD_OK);
    assert_int_equal(bd_file_read(&data, &n, library, 0), BD_OK);
    snprintf(path, sizeof path, DIR_ "/%s/%s", folder, name);
    assert_int_equal(bd_file_write(path, data, n), BD_OK);
    free(data);
}

/* Opens the sham and tells whether it came from this folder and file, and works. */
static bool comes_from(const char *place) {
    sham_api api = {0};
    char path[PATH_MAX], want[PATH_MAX];
    if (bd_cuda_library_open(&api, path, sizeof path, &sham)) {
        print_message("%s\n", bd_error());
        return false;
    }
    snprintf(want, sizeof want, DIR_ "/%s", place);
    size_t n = strlen(path), w = strlen(want);
    bool same = n >= w && !strcmp(path + n - w, want);
    if (!same) print_message("found %s, expected .../%s\n", path, want);
    return same && api.first() == 42 && api.second(6) == 7;
}

/* ---- the search */

/* From the last place of the order to the first: each new one wins over all before it. */
static void places_are_searched_in_order(void **state) {
    (void)state;
    const char *lib = whole_sham();
    setenv("HOME", DIR_ "/home", 1);
    put(lib, "home/.local/lib/python3.11/site-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("home/.local/lib/python3.11/site-packages/nvidia/sham/lib/" NEW));

    setenv("CONDA_PREFIX", DIR_ "/conda", 1);
    put(lib, "conda/lib/python3.12/site-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("conda/lib/python3.12/site-packages/nvidia/sham/lib/" NEW));

    setenv("VIRTUAL_ENV", DIR_ "/venv", 1);
    put(lib, "venv/lib/python3.9/site-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("venv/lib/python3.9/site-packages/nvidia/sham/lib/" NEW));

    put(lib, "conda/lib", NEW);
    assert_true(comes_from("conda/lib/" NEW));

    setenv("CUDA_HOME", DIR_ "/cuda", 1);
    put(lib, "cuda/lib", NEW);
    assert_true(comes_from("cuda/lib/" NEW));
    put(lib, "cuda/lib64", NEW);
    assert_true(comes_from("cuda/lib64/" NEW));

    setenv("BADDIFF_CUDA_LIBS", DIR_ "/nothing::" DIR_ "/own:" DIR_ "/cuda/lib", 1);
    put(lib, "own", NEW);
    assert_true(comes_from("own/" NEW));
}

/* Python 3.11 is newer than 3.9; folders in the order of the spec; Debian's dist-packages count too. */
static void python_environments(void **state) {
    (void)state;
    const char *lib = whole_sham();
    setenv("VIRTUAL_ENV", DIR_ "/venv", 1);
    put(lib, "venv/lib/python3/dist-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("venv/lib/python3/dist-packages/nvidia/sham/lib/" NEW));
    put(lib, "venv/lib/python3.9/site-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("venv/lib/python3.9/site-packages/nvidia/sham/lib/" NEW));
    put(lib, "venv/lib/python3.11/site-packages/nvidia/sham/lib", NEW);
    assert_true(comes_from("venv/lib/python3.11/site-packages/nvidia/sham/lib/" NEW));
    put(lib, "venv/lib/python3.11/site-packages/nvidia/cu99/lib", NEW);
    assert_true(comes_from("venv/lib/python3.11/site-packages/nvidia/cu99/lib/" NEW));
}

static void newer_files_first_in_a_folder(void **state) {
    (void)state;
    const char *lib = whole_sham();
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/one:" DIR_ "/two", 1);
    put(lib, "two", NEW);
    assert_true(comes_from("two/" NEW));
    put(lib, "one", OLD); /* an earlier folder wins over a newer version */
    assert_true(comes_from("one/" OLD));
    put(lib, "one", NEW);
    assert_true(comes_from("one/" NEW));
}

/* A link, as packages leave them: found under its own name. */
static void links_are_followed(void **state) {
    (void)state;
    char target[PATH_MAX];
    const char *lib = whole_sham();
    assert_non_null(realpath(lib, target));
    assert_int_equal(bd_file_mkdirs(DIR_ "/links"), BD_OK);
    assert_int_equal(symlink(target, DIR_ "/links/" NEW), 0);
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/links", 1);
    assert_true(comes_from("links/" NEW));
}

/* ---- what the user is told */

static const char *refusal(void) {
    sham_api api = {0};
    char path[PATH_MAX];
    assert_int_equal(bd_cuda_library_open(&api, path, sizeof path, &sham), BD_E_DEVICE);
    assert_true(!api.first && !api.second);
    return bd_error();
}

static void nothing_found(void **state) {
    (void)state;
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/empty", 1);
    const char *text = refusal();
    static const char *const parts[] = {"Sham not found", NEW " or " OLD,
                                        "BADDIFF_CUDA_LIBS (" DIR_ "/empty)", "CUDA_HOME (not set)",
                                        "install libsham-7 or sham-cu99"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i])) fail_msg("no \"%s\" in: %s", parts[i], text);
}

/* Long settings do not push the advice out of the text. */
static void long_settings_leave_room_for_the_advice(void **state) {
    (void)state;
    char many[4001];
    memset(many, 'x', sizeof many - 1);
    many[4000] = '\0';
    setenv("BADDIFF_CUDA_LIBS", many, 1);
    setenv("CUDA_HOME", many, 1);
    setenv("VIRTUAL_ENV", many, 1);
    assert_non_null(strstr(refusal(), "install libsham-7 or sham-cu99, or name its folder"));
    char *longest = malloc(2 * PATH_MAX);
    assert_non_null(longest);
    memset(longest, 'y', 2 * PATH_MAX - 1);
    longest[2 * PATH_MAX - 1] = '\0';
    for (int i = 0; i < VARIABLES; i++) setenv(variables[i], longest, 1); /* names of no folder */
    free(longest);
    assert_non_null(strstr(refusal(), "Sham not found"));
}

static void a_missing_function_is_named(void **state) {
    (void)state;
    const char *lib = built("int sham_first(void) { return 1; }");
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/lacking", 1);
    put(lib, "lacking", NEW);
    const char *text = refusal();
    assert_non_null(strstr(text, "no function sham_second in "));
    assert_non_null(strstr(text, DIR_ "/lacking/" NEW));
    assert_non_null(strstr(text, "libsham-7 or sham-cu99"));
}

/* A damaged file is passed over for a later one; alone, it is reported in the loader's words. */
static void a_damaged_file(void **state) {
    (void)state;
    const char *lib = whole_sham();
    assert_int_equal(bd_file_mkdirs(DIR_ "/damaged"), BD_OK);
    assert_int_equal(bd_file_write(DIR_ "/damaged/" NEW, "no library", 10), BD_OK);
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/damaged:" DIR_ "/good", 1);
    const char *text = refusal();
    assert_non_null(strstr(text, "Sham cannot be opened: " DIR_ "/damaged/" NEW));
    assert_non_null(strstr(text, "libsham-7 or sham-cu99"));
    put(lib, "good", NEW);
    assert_true(comes_from("good/" NEW));
}

/* ---- the real names */

static int status_of_child(void (*child)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a child process: a library that is found is kept for the life of the process. Exit 0 when all is well. */
static void use_stand_ins(void) {
    const bd_blas_api *b, *b2;
    const bd_dnn_api *d;
    if (bd_cuda_library_blas(&b) || bd_cuda_library_dnn(&d)) {
        fprintf(stderr, "%s\n", bd_error());
        _exit(1);
    }
    unsetenv("BADDIFF_CUDA_LIBS"); /* not looked for again */
    if (bd_cuda_library_blas(&b2) || b2 != b) _exit(2);
    if (!strstr(bd_cuda_library_blas_path(), DIR_ "/full/libcublasLt.so.12")) _exit(3);
    if (!strstr(bd_cuda_library_dnn_path(), DIR_ "/full/libcudnn_graph.so.9")) _exit(4);
    if (b->get_version() != 120900 || d->get_version() != 91900) _exit(5);
    void *library = dlopen(bd_cuda_library_blas_path(), RTLD_NOW | RTLD_NOLOAD);
    if (!library) _exit(6);
    void *field;
#define SAME(result, name, symbol, args)    \
    memcpy(&field, &b->name, sizeof field); \
    if (!field || field != dlsym(library, #symbol)) _exit(7);
    BD_BLAS_FUNCTIONS(SAME)
#undef SAME
    library = dlopen(bd_cuda_library_dnn_path(), RTLD_NOW | RTLD_NOLOAD);
    if (!library) _exit(8);
#define SAME(result, name, symbol, args)    \
    memcpy(&field, &d->name, sizeof field); \
    if (!field || field != dlsym(library, #symbol)) _exit(9);
    BD_DNN_FUNCTIONS(SAME)
#undef SAME
}

/* Stand-ins with every function: each pointer of the two tables is the function of its name. */
static void tables_hold_the_functions_by_name(void **state) {
    (void)state;
#define DEFINE(result, name, symbol, args) #result " " #symbol "(void) { return 0; }\n"
    put(built("#include <stddef.h>\n"
              "#define cublasLtGetVersion(x) cublasLtGetVersion(void) { return 120900; } int "
              "unused_version(x)\n" BD_BLAS_FUNCTIONS(DEFINE)),
        "full", "libcublasLt.so.12");
    put(built("#include <stddef.h>\n"
              "#define cudnnGetVersion(x) cudnnGetVersion(void) { return 91900; } int "
              "unused_version(x)\n" BD_DNN_FUNCTIONS(DEFINE)),
        "full", "libcudnn_graph.so.9");
#undef DEFINE
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/full", 1);
    assert_int_equal(status_of_child(use_stand_ins), 0);
}

static void use_lacking(void) {
    const bd_blas_api *b;
    const bd_dnn_api *d;
    if (bd_cuda_library_blas(&b) != BD_E_DEVICE || b) _exit(1);
    if (!strstr(bd_error(), "no function cublasLtGetVersion in ") ||
        !strstr(bd_error(), "libcublas-13-0") || !strstr(bd_error(), "nvidia-cublas"))
        _exit(2);
    if (*bd_cuda_library_blas_path()) _exit(3);
    if (bd_cuda_library_dnn(&d) != BD_E_DEVICE || d) _exit(4);
    if (!strstr(bd_error(), "no function cudnnGetVersion in ") ||
        !strstr(bd_error(), "cudnn9-cuda-13") || !strstr(bd_error(), "nvidia-cudnn-cu13"))
        _exit(5);
}

static void the_packages_are_named(void **state) {
    (void)state;
    const char *lib = built("int x;");
    put(lib, "lacking", "libcublasLt.so.13");
    put(lib, "lacking", "libcudnn_graph.so.9");
    setenv("BADDIFF_CUDA_LIBS", DIR_ "/lacking", 1);
    assert_int_equal(status_of_child(use_lacking), 0);
}

/* NVIDIA's own, where they are. Their versions are numbers of the right size, and they talk. */
static void the_libraries_of_this_machine(void **state) {
    (void)state;
    const bd_blas_api *b;
    const bd_dnn_api *d;
    back(NULL); /* the user's settings */
    bool blas = !bd_cuda_library_blas(&b);
    if (!blas) print_message("%s\n", bd_error());
    bool dnn = !bd_cuda_library_dnn(&d);
    if (!dnn) print_message("%s\n", bd_error());
    fresh(NULL);
    if (blas) {
        print_message("cuBLASLt %zu, %s\n", b->get_version(), bd_cuda_library_blas_path());
        assert_in_range(b->get_version(), 120000, 139999);
        assert_true(strlen(b->get_status_string(BD_CUBLAS_STATUS_NOT_SUPPORTED)) > 5);
    }
    if (dnn) {
        print_message("cuDNN %zu, %s\n", d->get_version(), bd_cuda_library_dnn_path());
        assert_in_range(d->get_version(), 90000, 99999);
    }
    if (blas && dnn) return;
    print_message("skipped: a library of NVIDIA's is not on this machine\n");
    skip();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, back)
    const struct CMUnitTest tests[] = {
        TEST(places_are_searched_in_order),
        TEST(python_environments),
        TEST(newer_files_first_in_a_folder),
        TEST(links_are_followed),
        TEST(nothing_found),
        TEST(long_settings_leave_room_for_the_advice),
        TEST(a_missing_function_is_named),
        TEST(a_damaged_file),
        TEST(tables_hold_the_functions_by_name),
        TEST(the_packages_are_named),
        TEST(the_libraries_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
