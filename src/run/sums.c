#include "run/sums.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"

enum { SUMS_BYTES_MAX = 64 << 20, DEPTH_MAX = 8 };

void bd_sums_clear(bd_sums *s) {
    free(s->at);
    memset(s, 0, sizeof *s);
}

static bd_status push(bd_sums *s, const bd_sum *line) {
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        bd_sum *p = realloc(s->at, room * sizeof *p);
        BD_REQUIRE(p, BD_E_MEMORY, "out of memory for %zu sums", room);
        s->at = p;
        s->room = room;
    }
    s->at[s->n++] = *line;
    return BD_OK;
}

/* FOLDER/PATH, or PATH alone where FOLDER is "". */
static bd_status place(char *out, size_t size, const char *folder, const char *path) {
    if (folder[0] && path[0]) return bd_path_join(out, size, folder, path);
    const char *one = folder[0] ? folder : path;
    BD_REQUIRE(strlen(one) < size, BD_E_ARG, "%s: the path is too long", one);
    strcpy(out, one);
    return BD_OK;
}

bd_status bd_sums_add(bd_sums *s, const char *folder, const char *path) {
    bd_sum line;
    char full[1400];
    BD_REQUIRE(strlen(path) < sizeof line.path && !strpbrk(path, "\n\r\\"), BD_E_ARG,
               "%s: no name for a list of sums", path);
    BD_TRY(place(full, sizeof full, folder, path));
    BD_TRY(bd_sha256_file(line.sha256, full));
    strcpy(line.path, path);
    return push(s, &line);
}

static bool counts(const char *name) {
    const char *temp = strstr(name, ".tmp.");
    if (temp && temp[5] && strspn(temp + 5, "0123456789") == strlen(temp + 5)) return false;
    return strcmp(name, BD_SUMS_FILE) != 0 && strcmp(name, "DONE") != 0;
}

static bd_status add_tree(bd_sums *s, const char *folder, const char *below, int depth) {
    char full[1400], **names;
    size_t n;
    BD_REQUIRE(depth < DEPTH_MAX, BD_E_ARG, "%s/%s: folders are nested too deeply", folder, below);
    BD_TRY(place(full, sizeof full, folder, below));
    BD_TRY(bd_file_list(&names, &n, full, ""));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        char path[1400];
        if (!counts(names[i])) continue;
        st = place(path, sizeof path, below, names[i]);
        if (!st) st = bd_path_join(full, sizeof full, folder, path);
        if (!st && bd_file_is_dir(full))
            st = add_tree(s, folder, path, depth + 1);
        else if (!st)
            st = bd_sums_add(s, folder, path);
    }
    bd_file_list_free(names, n);
    return st;
}

bd_status bd_sums_add_tree(bd_sums *s, const char *folder, const char *below) {
    return add_tree(s, folder, below, 0);
}

bd_status bd_sums_save(const bd_sums *s, const char *dir) {
    char path[1400];
    bd_writer *w;
    BD_TRY(bd_path_join(path, sizeof path, dir, BD_SUMS_FILE));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = BD_OK;
    for (size_t i = 0; i < s->n && !st; i++)
        st = bd_writer_printf(w, "%s  %s\n", s->at[i].sha256, s->at[i].path);
    if (!st) return bd_writer_commit(w);
    bd_writer_abort(w);
    return st;
}

/* "<64 hex digits>  <path>" */
static bool parse(bd_sum *out, const char *line, size_t len) {
    if (len < 67 || len - 66 >= sizeof out->path) return false;
    if (strspn(line, "0123456789abcdef") != 64 || line[64] != ' ' || line[65] != ' ') return false;
    memcpy(out->sha256, line, 64);
    out->sha256[64] = '\0';
    memcpy(out->path, line + 66, len - 66);
    out->path[len - 66] = '\0';
    return strlen(out->path) == len - 66;
}

bd_status bd_sums_load(bd_sums *s, const char *dir) {
    char path[1400];
    void *data;
    size_t n;
    memset(s, 0, sizeof *s);
    BD_TRY(bd_path_join(path, sizeof path, dir, BD_SUMS_FILE));
    BD_TRY(bd_file_read(&data, &n, path, SUMS_BYTES_MAX));
    bd_status st = BD_OK;
    const char *p = data, *end = p + n;
    for (int line = 1; p < end && !st; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        bd_sum sum;
        if (stop && parse(&sum, p, (size_t)(stop - p)))
            st = push(s, &sum);
        else
            st = bd_fail(BD_E_FORMAT, "%s:%d: not a sum, two blanks and a path", path, line);
        p = stop ? stop + 1 : end;
    }
    free(data);
    if (st) bd_sums_clear(s);
    return st;
}
