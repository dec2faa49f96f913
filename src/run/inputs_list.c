#include "run/inputs_list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { NAME, PATH, BYTES, SHA256, URL, LICENCE, FROM, UNPACK, FIELDS, LIST_BYTES_MOST = 1 << 22 };

/* --- the list --- */

/* Cuts a line at its tabs; false: too few fields. */
static bool cut(const char *field[FIELDS], char *row) {
    int n = 0;
    for (int i = 0; i < FIELDS; i++) field[i] = "";
    while (n < FIELDS) {
        field[n++] = row;
        row = strchr(row, '\t');
        if (!row) break;
        *row++ = '\0';
    }
    return n >= UNPACK;
}

static bd_status take_lines(bd_fetch_list *l, const char *path) {
    int number = 0;
    for (char *row = l->text, *end; row && *row; row = end) {
        end = strchr(row, '\n');
        if (end) *end++ = '\0';
        number++;
        if (row[0] == '#' || !row[0]) continue;
        BD_REQUIRE(
            cut(l->at[l->n++], row), BD_E_FORMAT,
            "%s:%d: name, file, bytes, sha256, url, licence, from: seven fields between tabs", path,
            number);
    }
    return BD_OK;
}

bd_status bd_fetch_list_load(bd_fetch_list *out, const char *path) {
    void *text;
    size_t size, lines = 1;
    *out = (bd_fetch_list){0};
    bd_status st = bd_file_read(&text, &size, path, LIST_BYTES_MOST);
    if (st) return st == BD_E_MISSING ? BD_OK : st;
    out->text = text;
    for (size_t i = 0; i < size; i++) lines += out->text[i] == '\n';
    out->at = calloc(lines, sizeof *out->at);
    BD_REQUIRE(out->at, BD_E_MEMORY, "out of memory for %s", path);
    return take_lines(out, path);
}

void bd_fetch_list_clear(bd_fetch_list *l) {
    free(l->text);
    free(l->at);
    *l = (bd_fetch_list){0};
}

void bd_fetch_list_describe(bd_input *out, const bd_fetch_list *l, const char *name) {
    bool unknown = false;
    for (int i = 0; i < l->n; i++) {
        const char *const *f = l->at[i];
        if (strcmp(f[NAME], name) != 0) continue;
        snprintf(out->name, sizeof out->name, "%s", name);
        snprintf(out->licence, sizeof out->licence, "%s", f[LICENCE]);
        if (!strcmp(f[URL], "-")) out->by_hand = true;
        if (!strcmp(f[BYTES], "-")) unknown = true;
        out->bytes += strtod(f[BYTES], NULL); /* "-" is 0 */
    }
    if (unknown) out->bytes = 0;
    size_t n = strlen(out->reason), room = sizeof out->reason - n;
    if (strstr(out->reason, "make fetch") || !name[0]) return;
    if (out->name[0])
        snprintf(out->reason + n, room, ": `make fetch DATA=%s` %s", name,
                 out->by_hand ? "says what to put where" : "gets it");
    else
        snprintf(out->reason + n, room, "; `make fetch` lists what can be fetched");
}

/* --- what is there instead --- */

static bool holds(const char *head, const char *part) { return strstr(head, part) != NULL; }

const char *bd_input_impostor(const char *path) {
    enum { HEAD = 600 };
    char head[HEAD + 1];
    bd_reader *r;
    uint64_t size;
    if (bd_reader_open(&r, &size, path)) return NULL;
    size_t n = size < HEAD ? (size_t)size : HEAD, k = 0;
    if (bd_reader_read(r, head, n)) n = 0;
    bd_reader_close(r);
    for (size_t i = 0; i < n; i++)
        if (head[i]) head[k++] = (char)tolower((unsigned char)head[i]);
    head[k] = '\0';
    if (holds(head, "<!doctype html") || holds(head, "<html"))
        return "an HTML page (a log-in, a notice or an error), not the file";
    if (!strncmp(head, "version https://git-lfs", 23))
        return "a git-LFS pointer, not the file: get the content it stands for";
    return NULL;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

/* Another size than the list states; those of a .gz are of what it unpacks to. */
static bool wrong_size(char reason[BD_INPUT_TEXT], const char *path, const char *const *f) {
    struct stat s;
    if (!strcmp(f[BYTES], "-") || (ends_in(path, ".gz") && !ends_in(path, ".tar.gz"))) return false;
    double want = strtod(f[BYTES], NULL);
    if (stat(path, &s) || (double)s.st_size == want) return false;
    snprintf(reason, BD_INPUT_TEXT, "%s: %.0f bytes, and should be %.0f: move it away", path,
             (double)s.st_size, want);
    return true;
}

static bool wrong_file(char reason[BD_INPUT_TEXT], const char *path, const char *const *f) {
    const char *what = bd_input_impostor(path);
    if (!what) return wrong_size(reason, path, f);
    snprintf(reason, BD_INPUT_TEXT, "%s is %s: move it away", path, what);
    return true;
}

bool bd_fetch_list_wrong(char reason[BD_INPUT_TEXT], const bd_fetch_list *l, const char *name,
                         bool usable) {
    const char *root = getenv("BADDIFF_DATA");
    char path[1200];
    for (int i = 0; i < l->n; i++) {
        const char *const *f = l->at[i];
        if (strcmp(f[NAME], name) != 0 || strncmp(f[PATH], "data/", 5) != 0) continue;
        if (ends_in(f[PATH], "/") || (usable && f[UNPACK][0])) continue;
        snprintf(path, sizeof path, "%s/%s", root ? root : "", f[PATH] + 5);
        if (root && root[0] && bd_file_exists(path)) {
            if (wrong_file(reason, path, f)) return true;
        } else if (wrong_file(reason, f[PATH], f)) {
            return true;
        }
    }
    return false;
}
