#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "run/nearest.h"

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verb;

static const verb verbs[] = {
#define BD_VERB(name, help) {#name, bd_cli_##name, help},
#include "cli/verbs.def"
#undef BD_VERB
};

enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

static const char *verb_name(size_t i, const void *ctx) {
    (void)ctx;
    return i < N_VERBS ? verbs[i].name : NULL;
}

static const verb *find(const char *name) {
    for (size_t i = 0; i < N_VERBS; i++)
        if (!strcmp(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

static int list_verbs(void) {
    printf("baddiff -- backdoored diffusion models: train, sample, measure, reproduce\n\n"
           "usage: baddiff <verb> [options]      baddiff <verb> --help\n\n");
    for (size_t i = 0; i < N_VERBS; i++) printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    printf("\nexit codes: 0 ok, 1 the run failed, 2 usage or input error, 3 a number outside its "
           "band,\n"
           "            75 interrupted and saved, can be resumed\n");
    return 0;
}

static int dispatch(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) return list_verbs();
    if (!strcmp(name, "--version")) name = "version";
    if (!strcmp(name, "help")) {
        if (argc < 3) return list_verbs();
        name = argv[2];
        const verb *v = find(name);
        char *help[] = {argv[2], "--help", NULL};
        if (v) return v->run(2, help);
    }
    const verb *v = find(name);
    if (v) return v->run(argc - 1, argv + 1);
    const char *near = bd_nearest(name, verb_name, NULL);
    fprintf(stderr, "baddiff: no verb '%s'%s%s%s; 'baddiff --help' lists them\n", name,
            near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
    return 2;
}

int main(int argc, char **argv) {
    bd_cli_report_start();
    bd_cli_catch_signals();
    int code = dispatch(argc, argv);
    bd_cli_report_end();
    if ((fflush(stdout) || ferror(stdout)) && code == 0) {
        fprintf(stderr, "baddiff: could not write to standard output\n");
        code = 1;
    }
    return code;
}
