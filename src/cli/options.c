#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { MAX_OPTS = 64, FIRST_LONG = 1000 };

static const bd_opt common[] = {
    {'q', "quiet", BD_OPT_FLAG, NULL, NULL, 0, 0, "errors only"},
    {'v', "verbose", BD_OPT_FLAG, NULL, NULL, 0, 0, "more messages"},
    {'h', "help", BD_OPT_FLAG, NULL, NULL, 0, 0, "this text"},
};

enum { N_COMMON = sizeof common / sizeof common[0] };

/* The default as text; "" when there is none to speak of. */
static void default_text(char out[64], const bd_opt *o) {
    char number[32];
    out[0] = '\0';
    if (!o->to) return;
    switch (o->kind) {
    case BD_OPT_INT: snprintf(out, 64, "%d", *(const int *)o->to); break;
    case BD_OPT_U64: snprintf(out, 64, "%" PRIu64, *(const uint64_t *)o->to); break;
    case BD_OPT_DOUBLE:
        snprintf(number, sizeof number, "%g", *(const double *)o->to);
        snprintf(out, 64, "%s", number);
        break;
    case BD_OPT_TEXT:
        if (*(const char *const *)o->to) snprintf(out, 64, "%s", *(const char *const *)o->to);
        break;
    case BD_OPT_FLAG:
    case BD_OPT_LIST: break;
    }
}

static void print_option(const bd_opt *o) {
    char letter[8] = "    ", left[64], value[64];
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
             o->arg ? o->arg : "");
    default_text(value, o);
    printf("  %-28s %s", left, o->help);
    if (value[0]) printf(" (default %s)", value);
    printf("\n");
}

static void print_help(const bd_cmd *cmd) {
    printf("usage: baddiff %s\n\n%s\n\noptions:\n", cmd->usage, cmd->about);
    for (size_t i = 0; i < cmd->n_opts; i++) print_option(&cmd->opts[i]);
    for (size_t i = 0; i < N_COMMON; i++) print_option(&common[i]);
}

int bd_cli_usage(const char *verb, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "baddiff %s: ", verb);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "; 'baddiff %s --help' explains\n", verb);
    va_end(args);
    return 2;
}

static int take_number(const bd_opt *o, const char *verb, const char *text) {
    char *end;
    errno = 0;
    if (o->kind == BD_OPT_U64) {
        uint64_t v = strtoull(text, &end, 10);
        if (errno || end == text || *end || text[0] == '-')
            return bd_cli_usage(verb, "--%s '%s': not a whole number from 0 to 2^64-1", o->name,
                                text);
        *(uint64_t *)o->to = v;
        return BD_CLI_GO_ON;
    }
    double v = o->kind == BD_OPT_INT ? (double)strtol(text, &end, 10) : strtod(text, &end);
    if (errno || end == text || *end || !(v >= o->lo && v <= o->hi))
        return bd_cli_usage(verb, "--%s '%s': not a %snumber from %g to %g", o->name, text,
                            o->kind == BD_OPT_INT ? "whole " : "", o->lo, o->hi);
    if (o->kind == BD_OPT_INT)
        *(int *)o->to = (int)v;
    else
        *(double *)o->to = v;
    return BD_CLI_GO_ON;
}

static int take_list(const bd_opt *o, const char *verb, const char *text) {
    bd_opt_list *list = o->to;
    if (list->n == BD_OPT_LIST_MAX)
        return bd_cli_usage(verb, "--%s is given more than %d times", o->name, BD_OPT_LIST_MAX);
    list->text[list->n++] = text;
    return BD_CLI_GO_ON;
}

static int take(const bd_opt *o, const char *verb, const char *text) {
    switch (o->kind) {
    case BD_OPT_FLAG: (*(int *)o->to)++; return BD_CLI_GO_ON;
    case BD_OPT_TEXT: *(const char **)o->to = text; return BD_CLI_GO_ON;
    case BD_OPT_LIST: return take_list(o, verb, text);
    default: return take_number(o, verb, text);
    }
}

/* getopt_long's two tables from ours: long options return FIRST_LONG + place, letters themselves. */
static void make_tables(struct option *table, char *letters, const bd_opt **all, size_t n) {
    *letters++ = ':';
    for (size_t i = 0; i < n; i++) {
        table[i] = (struct option){all[i]->name, all[i]->arg ? required_argument : no_argument,
                                   NULL, FIRST_LONG + (int)i};
        if (!all[i]->letter) continue;
        *letters++ = (char)all[i]->letter;
        if (all[i]->arg) *letters++ = ':';
    }
    *letters = '\0';
    table[n] = (struct option){0};
}

int bd_cli_parse(char ***args, int *n_args, const bd_cmd *cmd, int argc, char **argv) {
    const bd_opt *all[MAX_OPTS + N_COMMON];
    struct option table[MAX_OPTS + N_COMMON + 1];
    char letters[2 * (MAX_OPTS + N_COMMON) + 2];
    const char *verb = argv[0];
    size_t n = 0;
    int verbosity = 0;
    for (size_t i = 0; i < cmd->n_opts && n < MAX_OPTS; i++) all[n++] = &cmd->opts[i];
    for (size_t i = 0; i < N_COMMON; i++) all[n++] = &common[i];
    make_tables(table, letters, all, n);
    opterr = 0;
    optind = 1;
    for (;;) {
        int at = optind, got = getopt_long(argc, argv, letters, table, NULL);
        if (got == -1) break;
        if (got == ':') return bd_cli_usage(verb, "%s needs a value", argv[optind - 1]);
        if (got == '?')
            return bd_cli_usage(verb, "no option %s", argv[optind > at ? optind - 1 : at]);
        const bd_opt *o = got >= FIRST_LONG ? all[got - FIRST_LONG] : NULL;
        for (size_t i = 0; !o && i < n; i++)
            if (all[i]->letter == got) o = all[i];
        if (!o) return bd_cli_usage(verb, "no option -%c", got);
        if (o == &common[2]) return print_help(cmd), 0;
        if (o == &common[0] || o == &common[1]) {
            verbosity = o == &common[0] ? -1 : 1;
            continue;
        }
        int code = take(o, verb, optarg);
        if (code != BD_CLI_GO_ON) return code;
    }
    bd_cli_report_verbosity(verbosity);
    *args = argv + optind;
    *n_args = argc - optind;
    if (*n_args < cmd->min_args)
        return bd_cli_usage(verb, "needs %s; usage: baddiff %s",
                            cmd->min_args == 1 ? "an argument" : "more arguments", cmd->usage);
    if (cmd->max_args >= 0 && *n_args > cmd->max_args)
        return bd_cli_usage(verb, "'%s' is one argument too many", (*args)[cmd->max_args]);
    return BD_CLI_GO_ON;
}

bd_status bd_cli_threads(int *out, int option) {
    enum { MAX_THREADS = 1024 };
    const char *text = getenv("BADDIFF_THREADS");
    *out = option;
    if (option > 0) return BD_OK;
    if (text && *text) {
        char *end;
        long v = strtol(text, &end, 10);
        BD_REQUIRE(!*end && v >= 1 && v <= MAX_THREADS, BD_E_ARG,
                   "BADDIFF_THREADS='%s': not a whole number from 1 to %d", text, MAX_THREADS);
        *out = (int)v;
        return BD_OK;
    }
    cpu_set_t set;
    *out = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    if (*out > MAX_THREADS) *out = MAX_THREADS;
    return BD_OK;
}
