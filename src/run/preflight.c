#include "run/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "run/device.h"
#include "run/inputs.h"

enum { LINE = 1024, INODES_SPARE = 16 };
static const double bytes_spare = 1 << 20; /* logs, the calibration, result files */
static const time_t year_2024 = 1704067200;

/* --- the list --- */

void bd_problems_clear(bd_problems *p) {
    for (int i = 0; i < p->n; i++) free(p->line[i]);
    free(p->line);
    *p = (bd_problems){0};
}

bd_status bd_problems_add(bd_problems *p, const char *fmt, ...) {
    char text[LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 8;
        char **line = realloc(p->line, (size_t)room * sizeof *line);
        BD_REQUIRE(line, BD_E_MEMORY, "out of memory for a list of problems");
        p->line = line;
        p->room = room;
    }
    p->line[p->n] = strdup(text);
    BD_REQUIRE(p->line[p->n], BD_E_MEMORY, "out of memory for a list of problems");
    p->n++;
    return BD_OK;
}

/* --- the machine --- */

/* Cuts a path at its last folder; "." above a single name, "/" above the top ones. */
static void go_up(char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') path[--n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        strcpy(path, ".");
    else
        slash[slash == path] = '\0';
}

bd_status bd_room_get(bd_room *out, const char *folder) {
    struct statvfs v;
    *out = (bd_room){.inodes = -1};
    BD_REQUIRE(strlen(folder) > 0 && strlen(folder) < sizeof out->where, BD_E_ARG,
               "%s: the path is too long", folder);
    strcpy(out->where, folder);
    while (!bd_file_exists(out->where) && strcmp(out->where, ".") != 0 &&
           strcmp(out->where, "/") != 0)
        go_up(out->where);
    BD_REQUIRE(!statvfs(out->where, &v), BD_E_IO, "%s: %s", out->where, strerror(errno));
    out->bytes = (double)v.f_bavail * (double)v.f_frsize;
    if (v.f_files > 0) out->inodes = (double)v.f_favail;
    out->writable =
        bd_file_is_dir(out->where) && !faccessat(AT_FDCWD, out->where, W_OK | X_OK, AT_EACCESS);
    return BD_OK;
}

bool bd_clock_sane(time_t now) { return now >= year_2024; }

/* --- the plan --- */

static bool to_do(const bd_preflight_spec *s, int stage) {
    return (!s->needed || s->needed[stage]) && !(s->price && s->price[stage].done);
}

static bd_status check_writable(bool *ok, bd_problems *p, const char *folder) {
    bd_room room;
    bd_status st = bd_room_get(&room, folder);
    *ok = !st && room.writable;
    if (*ok) return BD_OK;
    if (st) return bd_problems_add(p, "%s: cannot be looked at: %s", folder, bd_error());
    return bd_problems_add(p, "%s: %s%s%s; give another folder, or the right to write there",
                           folder, strcmp(room.where, folder) != 0 ? room.where : "it",
                           bd_file_is_dir(room.where) ? " cannot be written to"
                                                      : " is not a folder",
                           strcmp(room.where, folder) != 0 ? ", so it cannot be made" : "");
}

static void amount(char out[24], double bytes) {
    snprintf(out, 24, bytes < 1e9 ? "%.1f MB" : "%.1f GB", bytes / (bytes < 1e9 ? 1e6 : 1e9));
}

/* What stays of all stages to do, and the most that one needs while it runs. */
static bd_status check_room(bd_problems *p, const bd_preflight_spec *s) {
    double bytes = bytes_spare, scratch = 0, files = INODES_SPARE;
    bd_room room;
    if (bd_room_get(&room, s->runs)) return BD_OK; /* said by check_writable */
    for (int i = 0; i < s->dag->n_stages; i++) {
        if (!to_do(s, i)) continue;
        bytes += s->price[i].disk;
        files += s->price[i].files;
        if (s->price[i].scratch > scratch) scratch = s->price[i].scratch;
    }
    bytes += scratch;
    char have[24], need[24];
    amount(have, room.bytes);
    amount(need, bytes);
    if (room.bytes < bytes)
        BD_TRY(bd_problems_add(p,
                               "%s: %s free on its file system, and the stages to do need %s; make "
                               "room, or give another folder",
                               s->runs, have, need));
    if (room.inodes >= 0 && room.inodes < files)
        return bd_problems_add(
            p,
            "%s: its file system has room for %.0f more files, and the stages to do make "
            "%.0f; make room, or give another folder",
            s->runs, room.inodes, files);
    return BD_OK;
}

static bd_status check_memory(bd_problems *p, const bd_preflight_spec *s) {
    double limit = bd_machine_memory_limit();
    int most = -1;
    for (int i = 0; i < s->dag->n_stages; i++)
        if (to_do(s, i) && bd_device_is_cpu(s->dag->stage[i].device) &&
            (most < 0 || s->price[i].memory > s->price[most].memory))
            most = i;
    if (most < 0 || limit <= 0 || s->price[most].memory <= limit) return BD_OK;
    return bd_problems_add(
        p,
        "%s: needs %.1f GB of memory, and this process may have %.1f GB; fewer threads, a "
        "smaller tile or data.limit need less",
        s->dag->stage[most].name, s->price[most].memory / 1e9, limit / 1e9);
}

/* A stage before this one has the same device and precision, and was looked at. */
static bool seen_before(const bd_preflight_spec *s, int stage) {
    const bd_stage *a = &s->dag->stage[stage];
    for (int i = 0; i < stage; i++) {
        const bd_stage *b = &s->dag->stage[i];
        if (to_do(s, i) && !strcmp(a->device, b->device) && !strcmp(a->precision, b->precision))
            return true;
    }
    return false;
}

static bd_status check_devices(bd_problems *p, const bd_preflight_spec *s) {
    for (int i = 0; i < s->dag->n_stages; i++) {
        const bd_stage *stage = &s->dag->stage[i];
        bd_backend b;
        if (!stage->device[0] || !to_do(s, i) || seen_before(s, i)) continue;
        if (bd_device_open(&b, stage->device, stage->precision))
            BD_TRY(bd_problems_add(p, "run.device = %s, run.precision = %s: %s", stage->device,
                                   stage->precision, bd_error()));
    }
    return BD_OK;
}

static bd_status check_inputs(bd_problems *p, const bd_preflight_spec *s) {
    bd_inputs missing;
    bd_status st = bd_inputs_missing(&missing, s->dag, s->runs, s->needed);
    for (int i = 0; i < missing.n && !st; i++) st = bd_problems_add(p, "%s", missing.at[i].reason);
    bd_inputs_clear(&missing);
    return st;
}

static bool anything_to_do(const bd_preflight_spec *s) {
    for (int i = 0; i < s->dag->n_stages; i++)
        if (to_do(s, i)) return true;
    return false;
}

bd_status bd_preflight(bd_problems *out, const bd_preflight_spec *spec) {
    bool ok;
    if (!anything_to_do(spec)) return BD_OK;
    if (!bd_clock_sane(spec->now ? spec->now : time(NULL)))
        BD_TRY(bd_problems_add(
            out, "the clock says a year before 2024: set it, records would state wrong times"));
    BD_TRY(check_writable(&ok, out, spec->runs));
    if (ok && spec->price) BD_TRY(check_room(out, spec));
    if (spec->results) BD_TRY(check_writable(&ok, out, spec->results));
    if (spec->price) BD_TRY(check_memory(out, spec));
    BD_TRY(check_devices(out, spec));
    return check_inputs(out, spec);
}
