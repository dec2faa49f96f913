#include "base/machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"

/* The text behind "key :" on its first line of /proc/cpuinfo; NULL: there is none. */
static const char *value_of(const char *text, const char *key) {
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *at = line + n;
        if (strncmp(line, key, n) != 0) continue;
        at += strspn(at, " \t");
        if (*at == ':') return at + 1 + strspn(at + 1, " \t");
    }
    return NULL;
}

static int number_of(const char *text, const char *key) {
    const char *at = value_of(text, key);
    return at ? (int)strtol(at, NULL, 10) : 0;
}

static void read_cpuinfo(bd_machine *m) {
    void *text;
    size_t n;
    if (bd_file_read(&text, &n, "/proc/cpuinfo", 0)) return;
    const char *name = value_of(text, "model name");
    if (name) snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(name, "\n"), name);
    m->family = number_of(text, "cpu family");
    m->model = number_of(text, "model");
    free(text);
}

/* A number of the description of one of cpu0's caches; 'K' is the unit of sizes. */
static bool cache_number(long *out, int index, const char *what) {
    char path[96];
    void *text;
    size_t n;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, what);
    if (bd_file_read(&text, &n, path, 0)) return false;
    *out = strtol(text, NULL, 10);
    free(text);
    return true;
}

/* What sysconf() says is the whole package's on some processors, though a processor sees a part of it. */
double bd_machine_last_cache(void) {
    long level, highest = 0, kib, bytes = 0;
    for (int i = 0; cache_number(&level, i, "level"); i++) {
        if (level <= highest || !cache_number(&kib, i, "size")) continue;
        highest = level;
        bytes = kib << 10;
    }
    if (highest == 0) bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return bytes > 0 ? (double)bytes : 0;
}

void bd_machine_get(bd_machine *out) {
    *out = (bd_machine){0};
    read_cpuinfo(out);
    cpu_set_t set;
    out->processors = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) out->memory = (double)pages * (double)page;
}

void bd_machine_label(char out[BD_MACHINE_NAME]) {
    bd_machine m;
    bd_machine_get(&m);
    if (m.cpu[0])
        snprintf(out, BD_MACHINE_NAME, "%s", m.cpu);
    else
        snprintf(out, BD_MACHINE_NAME, "processor family %d, model %d", m.family, m.model);
    for (char *p = out; *p; p++)
        if (*p == ';' || *p == '#') *p = ','; /* it is written into INI files */
}

/* The number in a file; 0: there is none, "max" for instance. */
static double number_in(const char *path) {
    void *text;
    size_t n;
    if (bd_file_read(&text, &n, path, 0)) return 0;
    double v = strtod(text, NULL);
    free(text);
    return v;
}

double bd_machine_memory_limit(void) {
    bd_machine m;
    struct rlimit r;
    bd_machine_get(&m);
    double limit = m.memory;
    /* of both versions; inside a container the process's own group is the root */
    const double group[] = {number_in("/sys/fs/cgroup/memory.max"),
                            number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")};
    for (size_t i = 0; i < sizeof group / sizeof *group; i++)
        if (group[i] > 0 && group[i] < limit) limit = group[i];
    if (!getrlimit(RLIMIT_AS, &r) && r.rlim_cur != RLIM_INFINITY && (double)r.rlim_cur < limit)
        limit = (double)r.rlim_cur;
    return limit;
}

double bd_machine_peak_memory(void) {
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (double)u.ru_maxrss * 1024;
}
