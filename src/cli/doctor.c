#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/machine.h"
#include "bd_version.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "cuda/probe.h"
#include "data/art.h"
#include "data/dataset.h"
#include "run/folder.h"
#include "run/preflight.h"

/* One line: ok, note (something optional is not there) or MISSING. */
static void line(const char *mark, const char *what, const char *text) {
    printf("%-8s %-12s %s\n", mark, what, text);
}

static int check_backend(void) {
    char text[2048];
    if (bd_backend_cpu.fingerprint(&bd_backend_cpu, text, sizeof text))
        return line("MISSING", "cpu", bd_error()), 1;
    line("ok", "cpu", text);
    return 0;
}

/* A device is optional; what stands in its way is said. */
static void check_cuda(void) {
    char text[512];
    int n = bd_cuda_devices();
    if (n == 0) line("note", "cuda", bd_error());
    for (int i = 0; i < n; i++) {
        char what[16];
        snprintf(what, sizeof what, "cuda:%d", i);
        bool ok = !bd_cuda_describe(text, sizeof text, i);
        line(ok ? "ok" : "note", what, ok ? text : bd_error());
    }
}

static int check_threads(void) {
    char text[32];
    int n;
    if (bd_cli_threads(&n, 0)) return line("MISSING", "threads", bd_error()), 1;
    snprintf(text, sizeof text, "%d", n);
    line("ok", "threads", text);
    return 0;
}

static int check_data(void) {
    char text[1200];
    bd_dataset d;
    bd_dataset_spec spec = {.name = "fashion-mnist", .split = "train", .limit = 1};
    if (bd_dataset_load(&d, &spec)) return line("MISSING", "data", bd_error()), 1;
    snprintf(text, sizeof text, "fashion-mnist in %s", d.dir);
    bd_dataset_clear(&d);
    line("ok", "data", text);
    return 0;
}

static void check_art(void) {
    bd_art art = {.dir = BD_ART_DIR};
    bd_image img;
    if (bd_art_image(&img, &art, BD_ART_HAT, 1)) {
        line("note", "art",
             "the paper's pictures are not in " BD_ART_DIR "; art = builtin needs none");
        return;
    }
    bd_image_clear(&img);
    line("ok", "art", BD_ART_DIR);
}

static int check_file(const char *what, const char *path, const char *hint) {
    char text[512];
    bool there = bd_file_exists(path);
    snprintf(text, sizeof text, "%s%s%s", path, there ? "" : ": not there; ", there ? "" : hint);
    line(there ? "ok" : "MISSING", what, text);
    return !there;
}

static void check_gnuplot(void) {
    char path[4096];
    const char *p = getenv("PATH");
    for (; p && *p; p += strcspn(p, ":") + (p[strcspn(p, ":")] == ':')) {
        snprintf(path, sizeof path, "%.*s/gnuplot", (int)strcspn(p, ":"), p);
        if (access(path, X_OK) == 0) {
            line("ok", "gnuplot", path);
            return;
        }
    }
    line("note", "gnuplot",
         "not found: results are written, figures are not drawn (make deps installs it)");
}

/* A folder that a run writes to: preflight asks the same. */
static int check_folder(const char *what, const char *folder) {
    bd_room room;
    char text[2200], files[64] = "";
    if (bd_room_get(&room, folder)) return line("MISSING", what, bd_error()), 1;
    if (!room.writable) {
        snprintf(text, sizeof text,
                 "%s: %s cannot be written to: run from a copy of the repository that is yours",
                 folder, room.where);
        return line("MISSING", what, text), 1;
    }
    if (room.inodes >= 0) snprintf(files, sizeof files, ", room for %.0f files", room.inodes);
    snprintf(text, sizeof text, "%.1f GB free for %s%s", room.bytes / 1e9, folder, files);
    line(room.bytes < 1e9 ? "note" : "ok", what, text);
    return 0;
}

static void check_memory(void) {
    char text[64];
    snprintf(text, sizeof text, "%.1f GB for this process", bd_machine_memory_limit() / 1e9);
    line("ok", "memory", text);
}

static int check_clock(void) {
    char utc[32];
    bool sane = bd_clock_sane(time(NULL));
    bd_clock_utc(utc);
    line(sane ? "ok" : "MISSING", "clock", sane ? utc : "a year before 2024: set it");
    return !sane;
}

/* Only the properties of cuda:0, as cuDNN writes them. */
static int print_properties(void) {
    char *text;
    bd_status st = bd_cuda_device_text(&text, 0);
    if (st) return bd_cli_fail(st);
    printf("%s\n", text);
    free(text);
    return 0;
}

int bd_cli_doctor(int argc, char **argv) {
    int properties = 0;
    const bd_opt opts[] = {{0, "properties", BD_OPT_FLAG, NULL, &properties, 0, 0,
                            "print the properties of cuda:0 as cuDNN writes them, nothing else"}};
    const bd_cmd cmd = {
        "doctor [options]",
        "Says whether this machine has what a run needs: processor and libraries, CUDA "
        "devices, data, classifier\n"
        "weights, recipes, gnuplot, memory, room, rights, clock. Exits with 2 when something is "
        "missing.",
        opts,
        sizeof opts / sizeof *opts,
        0,
        0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv), missing = 0;
    if (code != BD_CLI_GO_ON) return code;
    if (properties) return print_properties();
    line("ok", "program", BD_VERSION ", compiler " __VERSION__);
    missing += check_backend();
    check_cuda();
    missing += check_threads();
    missing += check_data();
    check_art();
    missing +=
        check_file("recipes", "experiments/fig2.ini", "run from the repository's root folder");
    missing += check_file("classifier", "experiments/classifier/fashion-mnist.safetensors",
                          "'baddiff run classifier' trains it again");
    check_gnuplot();
    check_memory();
    missing += check_folder("runs", BD_RUNS_DIR);
    missing += check_folder("results", "results");
    missing += check_clock();
    return missing ? 2 : 0;
}
