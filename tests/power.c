#include "power.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/sha256.h"

enum { OPS_MAX = 400, FILES_MAX = 16, FDS_MAX = 64, NAME_BYTES = 256, PENDING_MAX = 10 };

typedef enum {
    OP_LINK,
    OP_UNLINK,
    OP_RENAME,
    OP_WRITE,
    OP_TRUNCATE,
    OP_SYNC,
    OP_SYNC_DIR,
    OP_DONE
} op_kind;

/* One thing that happened. file: which content; name, to: in the folder. */
typedef struct {
    op_kind kind;
    int file;
    char name[NAME_BYTES], to[NAME_BYTES];
    void *data;
    size_t n;
} op;

static struct {
    char dir[512];
    op at[OPS_MAX];
    int n, files, first; /* ops before `first` were there at the start */
    struct {
        bool open, is_dir;
        int file;
    } fd[FDS_MAX];
    char name_of[FILES_MAX][NAME_BYTES]; /* "" = no name now */
} log_;

static op *note(op_kind kind, int file, const char *name) {
    assert_true(log_.n < OPS_MAX);
    op *o = &log_.at[log_.n++];
    *o = (op){.kind = kind, .file = file};
    snprintf(o->name, sizeof o->name, "%s", name ? name : "");
    return o;
}

/* The name within the folder, or NULL for paths that are elsewhere. */
static const char *inside(const char *path) {
    size_t n = strlen(log_.dir);
    if (strncmp(path, log_.dir, n) != 0 || path[n] != '/' || strchr(path + n + 1, '/')) return NULL;
    return path + n + 1;
}

static int file_named(const char *name) {
    for (int i = 0; i < log_.files; i++)
        if (!strcmp(log_.name_of[i], name)) return i;
    return -1;
}

static int new_file(const char *name) {
    assert_true(log_.files < FILES_MAX);
    snprintf(log_.name_of[log_.files], NAME_BYTES, "%s", name);
    note(OP_LINK, log_.files, name);
    return log_.files++;
}

/* --- the table --- */

static int p_open(const char *path, int flags, mode_t mode) {
    int fd = bd_io_posix.open(path, flags, mode);
    if (fd < 0) return fd;
    assert_true(fd < FDS_MAX);
    const char *name = inside(path);
    log_.fd[fd].is_dir = !strcmp(path, log_.dir);
    log_.fd[fd].open = log_.fd[fd].is_dir || (name && strcmp(name, ".lock") != 0);
    if (!log_.fd[fd].open || log_.fd[fd].is_dir) return fd;
    int file = file_named(name);
    if (file < 0 && (flags & O_CREAT)) file = new_file(name);
    if (file < 0) log_.fd[fd].open = false;
    log_.fd[fd].file = file;
    if (file >= 0 && (flags & O_TRUNC)) note(OP_TRUNCATE, file, NULL);
    return fd;
}

static int p_close(int fd) {
    if (fd >= 0 && fd < FDS_MAX) log_.fd[fd].open = false;
    return bd_io_posix.close(fd);
}

static ssize_t p_write(int fd, const void *buf, size_t n) {
    ssize_t got = bd_io_posix.write(fd, buf, n);
    if (got <= 0 || !log_.fd[fd].open) return got;
    op *o = note(OP_WRITE, log_.fd[fd].file, NULL);
    o->data = malloc((size_t)got);
    assert_non_null(o->data);
    memcpy(o->data, buf, (size_t)got);
    o->n = (size_t)got;
    return got;
}

static int p_fsync(int fd) {
    int rc = bd_io_posix.fsync(fd);
    if (!rc && log_.fd[fd].open)
        note(log_.fd[fd].is_dir ? OP_SYNC_DIR : OP_SYNC, log_.fd[fd].file, NULL);
    return rc;
}

static int p_rename(const char *from, const char *to) {
    int rc = bd_io_posix.rename(from, to);
    const char *a = inside(from), *b = inside(to);
    if (rc || !a || !b) return rc;
    int file = file_named(a), over = file_named(b);
    assert_true(file >= 0);
    op *o = note(OP_RENAME, file, a);
    snprintf(o->to, sizeof o->to, "%s", b);
    if (over >= 0) log_.name_of[over][0] = '\0';
    snprintf(log_.name_of[file], NAME_BYTES, "%s", b);
    return rc;
}

static int p_unlink(const char *path) {
    int rc = bd_io_posix.unlink(path);
    const char *name = inside(path);
    int file = name ? file_named(name) : -1;
    if (rc || file < 0) return rc;
    note(OP_UNLINK, file, name);
    log_.name_of[file][0] = '\0';
    return rc;
}

static int p_ftruncate(int fd, off_t len) {
    int rc = bd_io_posix.ftruncate(fd, len);
    if (!rc && log_.fd[fd].open) note(OP_TRUNCATE, log_.fd[fd].file, NULL)->n = (size_t)len;
    return rc;
}

void power_record(const char *dir) {
    static bd_io_table table;
    power_stop();
    for (int i = 0; i < log_.n; i++) free(log_.at[i].data);
    memset(&log_, 0, sizeof log_);
    snprintf(log_.dir, sizeof log_.dir, "%s", dir);
    char **names, path[1024];
    size_t n;
    assert_int_equal(bd_file_list(&names, &n, dir, ""), BD_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        int file = new_file(names[i]);
        op *o = note(OP_WRITE, file, NULL);
        assert_int_equal(bd_file_read(&o->data, &o->n, path, 0), BD_OK);
        note(OP_SYNC, file, NULL);
    }
    bd_file_list_free(names, n);
    note(OP_SYNC_DIR, 0, NULL);
    log_.first = log_.n;
    table = bd_io_posix;
    table.open = p_open;
    table.close = p_close;
    table.write = p_write;
    table.fsync = p_fsync;
    table.rename = p_rename;
    table.unlink = p_unlink;
    table.ftruncate = p_ftruncate;
    bd_io_set(&table);
}

void power_done(void) { note(OP_DONE, 0, NULL); }
void power_stop(void) { bd_io_set(NULL); }

/* --- states --- */

typedef struct {
    const char *scratch;
    bool (*look)(void *ctx, const char *dir, bool returned);
    void *ctx;
    int states, bad;
    char (*seen)[65]; /* sums of the states so far, by whether the call had returned */
    int n_seen, room;
} walk;

static bool is_name_op(op_kind k) { return k == OP_LINK || k == OP_UNLINK || k == OP_RENAME; }

/* Which file each name leads to when, of the changes since the last sync of the folder, those in mask got there. */
static int names_at(int name_file[FILES_MAX], char name[FILES_MAX][NAME_BYTES], int until,
                    unsigned mask) {
    int n = 0, synced = -1, pending = 0;
    for (int i = 0; i < until; i++)
        if (log_.at[i].kind == OP_SYNC_DIR) synced = i;
    for (int i = 0; i < until; i++) {
        const op *o = &log_.at[i];
        if (!is_name_op(o->kind)) continue;
        if (i > synced && !(mask >> pending++ & 1)) continue;
        const char *gone = o->kind == OP_RENAME ? o->to : o->name;
        for (int k = 0; k < n; k++) { /* the name it takes over, or takes away */
            bool old =
                !strcmp(name[k], gone) || (o->kind == OP_RENAME && !strcmp(name[k], o->name));
            if (!old) continue;
            n--;
            memmove(name[k], name[k + 1], (size_t)(n - k) * NAME_BYTES);
            memmove(&name_file[k], &name_file[k + 1], (size_t)(n - k) * sizeof *name_file);
            k--;
        }
        if (o->kind == OP_UNLINK) continue;
        snprintf(name[n], NAME_BYTES, "%s", gone);
        name_file[n++] = o->file;
    }
    return n;
}

static int pending_names(int until) {
    int pending = 0;
    for (int i = 0; i < until; i++) {
        if (log_.at[i].kind == OP_SYNC_DIR) pending = 0;
        pending += is_name_op(log_.at[i].kind);
    }
    return pending;
}

/* Changes of a file's content up to `until`; *synced: how many of them are durable. */
static int content_ops(int which[OPS_MAX], int *synced, int file, int until) {
    int n = 0;
    *synced = 0;
    for (int i = 0; i < until; i++) {
        const op *o = &log_.at[i];
        if (o->file != file) continue;
        if (o->kind == OP_WRITE || o->kind == OP_TRUNCATE) which[n++] = i;
        if (o->kind == OP_SYNC) *synced = n;
    }
    return n;
}

/* The file after its first `whole` changes and, half = true, half of the next write. */
static void write_content(const char *path, const int *which, int n, int whole, bool half) {
    FILE *f = fopen(path, "w+b");
    assert_non_null(f);
    for (int i = 0; i < n && i < whole + half; i++) {
        const op *o = &log_.at[which[i]];
        if (o->kind == OP_TRUNCATE) {
            if (i < whole) {
                fflush(f);
                assert_int_equal(ftruncate(fileno(f), (off_t)o->n), 0);
                fseek(f, (long)o->n, SEEK_SET);
            }
            continue;
        }
        size_t bytes = i < whole ? o->n : o->n / 2;
        assert_int_equal(fwrite(o->data, 1, bytes, f), bytes);
    }
    assert_int_equal(fclose(f), 0);
}

/* The same state may come about in many ways. */
static bool seen_before(walk *w, bool returned) {
    bd_sha256 *h;
    char **names, path[1024], hex[65];
    size_t n;
    assert_int_equal(bd_sha256_create(&h), BD_OK);
    bd_sha256_update(h, returned ? "1" : "0", 1);
    assert_int_equal(bd_file_list(&names, &n, w->scratch, ""), BD_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", w->scratch, names[i]);
        assert_int_equal(bd_sha256_file(hex, path), BD_OK);
        bd_sha256_update(h, names[i], strlen(names[i]) + 1);
        bd_sha256_update(h, hex, 64);
    }
    bd_file_list_free(names, n);
    bd_sha256_finish(h, hex);
    for (int i = 0; i < w->n_seen; i++)
        if (!strcmp(w->seen[i], hex)) return true;
    if (w->n_seen == w->room) {
        w->room = w->room ? 2 * w->room : 256;
        w->seen = realloc(w->seen, (size_t)w->room * sizeof *w->seen);
        assert_non_null(w->seen);
    }
    strcpy(w->seen[w->n_seen++], hex);
    return false;
}

static void look_at(walk *w, bool returned) {
    if (seen_before(w, returned)) return;
    w->states++;
    if (!w->look(w->ctx, w->scratch, returned)) w->bad++;
}

/* Every content of the files from `from` on; each name's file has one of its possible contents. */
static void contents(walk *w, int name_file[], char name[][NAME_BYTES], int n, int from, int until,
                     bool returned) {
    if (from == n) {
        look_at(w, returned);
        return;
    }
    int which[OPS_MAX], synced;
    int changes = content_ops(which, &synced, name_file[from], until);
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", w->scratch, name[from]);
    for (int whole = synced; whole <= changes; whole++)
        for (int half = 0; half <= (whole < changes ? 1 : 0); half++) {
            write_content(path, which, changes, whole, half);
            contents(w, name_file, name, n, from + 1, until, returned);
        }
}

int power_enumerate(const char *scratch, bool (*look)(void *ctx, const char *dir, bool returned),
                    void *ctx, int *bad) {
    walk w = {.scratch = scratch, .look = look, .ctx = ctx};
    bool returned = false;
    for (int until = log_.first; until <= log_.n; until++) {
        if (until > log_.first && log_.at[until - 1].kind == OP_DONE) returned = true;
        int pending = pending_names(until);
        assert_true(pending <= PENDING_MAX);
        for (unsigned mask = 0; mask < 1u << pending; mask++) {
            int name_file[FILES_MAX];
            char name[FILES_MAX][NAME_BYTES];
            int n = names_at(name_file, name, until, mask);
            assert_int_equal(bd_file_remove_tree(scratch), BD_OK);
            assert_int_equal(bd_file_mkdirs(scratch), BD_OK);
            contents(&w, name_file, name, n, 0, until, returned);
        }
    }
    free(w.seen);
    *bad = w.bad;
    return w.states;
}
