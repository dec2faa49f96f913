#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file_internal.h"

static int posix_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

static int keep_size_fallocate(int fd, off_t offset, off_t len) {
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len);
}

const bd_io_table bd_io_posix = {
    .open = posix_open,
    .close = close,
    .read = read,
    .write = write,
    .fsync = fsync,
    .rename = rename,
    .unlink = unlink,
    .mkdir = mkdir,
    .fallocate = keep_size_fallocate,
    .ftruncate = ftruncate,
    .rmdir = rmdir,
};

static const bd_io_table *table = &bd_io_posix;

void bd_io_set(const bd_io_table *t) { table = t ? t : &bd_io_posix; }
const bd_io_table *bd_io(void) { return table; }

/* The folder part of path: "a/b" -> "a", "b" -> ".", "/b" -> "/". */
static void parent_of(char out[PATH_MAX], const char *path) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (slash && n == 0) n = 1; /* the root */
    if (!slash || n >= PATH_MAX) {
        strcpy(out, ".");
        return;
    }
    memcpy(out, path, n);
    out[n] = '\0';
}

bd_status(bd_io_fail)(const char *verb, const char *path, int err, uint64_t need) {
    if (err == ENOENT || err == ENOTDIR)
        return bd_fail(BD_E_MISSING, "cannot %s %s: %s", verb, path, strerror(err));
    if (err == EFBIG)
        return bd_fail(BD_E_IO,
                       "cannot %s %s: %s: %" PRIu64
                       " bytes needed; raise the limit (ulimit -f) or take another file system, "
                       "and run the same command again",
                       verb, path, strerror(err), need);
    if (err != ENOSPC && err != EDQUOT)
        return bd_fail(BD_E_IO, "cannot %s %s: %s", verb, path, strerror(err));
    char dir[PATH_MAX];
    parent_of(dir, path);
    struct statvfs fs;
    uint64_t left = statvfs(dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
    return bd_fail(BD_E_IO,
                   "cannot %s %s: %s: %" PRIu64 " bytes needed, %" PRIu64
                   " bytes free in %s; free some space and run the same command again",
                   verb, path, strerror(err), need, left, dir);
}

int bd_io_open(const char *path, int flags, mode_t mode) {
    int fd;
    do fd = table->open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

bd_status bd_io_write_all(int fd, const void *data, size_t n, const char *path) {
    const char *p = data;
    while (n) {
        ssize_t done = table->write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return bd_io_fail("write", path, errno, n);
        /* POSIX leaves it open; never loop on it */
        if (done == 0) return bd_io_fail("write", path, EIO, n);
        p += done;
        n -= (size_t)done;
    }
    return BD_OK;
}

bd_status bd_io_sync_parent(const char *path) {
    char dir[PATH_MAX];
    parent_of(dir, path);
    int fd = bd_io_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return bd_io_fail("open folder", dir, errno, 0);
    bd_status st = BD_OK;
    /* EINVAL: this file system has no fsync of folders (some network file systems); renames are durable there
     * when they return. */
    if (table->fsync(fd) && errno != EINVAL) st = bd_io_fail("fsync folder", dir, errno, 0);
    if (table->close(fd) && !st) st = bd_io_fail("close folder", dir, errno, 0);
    return st;
}

/* ---- reading ---- */

struct bd_reader {
    int fd;
    uint64_t offset, size;
    char path[];
};

bd_status bd_reader_open(bd_reader **out, uint64_t *size, const char *path) {
    *out = NULL;
    int fd = bd_io_open(path, O_RDONLY, 0);
    if (fd < 0) return bd_io_fail("open", path, errno, 0);
    bd_status st = BD_OK;
    struct stat info;
    if (fstat(fd, &info))
        st = bd_io_fail("stat", path, errno, 0);
    else if (!S_ISREG(info.st_mode))
        st = bd_fail(BD_E_FORMAT, "%s is not a regular file", path);
    bd_reader *r = st ? NULL : malloc(sizeof *r + strlen(path) + 1);
    if (!st && !r) st = bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    if (!r) {
        (void)table->close(fd);
        return st;
    }
    r->fd = fd;
    r->offset = 0;
    r->size = (uint64_t)info.st_size;
    strcpy(r->path, path);
    *size = r->size;
    *out = r;
    return BD_OK;
}

bd_status bd_reader_read(bd_reader *r, void *data, size_t n) {
    char *p = data;
    while (n) {
        ssize_t got = table->read(r->fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bd_io_fail("read", r->path, errno, 0);
        if (got == 0)
            return bd_fail(BD_E_FORMAT,
                           "%s: truncated at byte %" PRIu64 ", %zu more bytes expected", r->path,
                           r->offset, n);
        p += got;
        n -= (size_t)got;
        r->offset += (uint64_t)got;
    }
    return BD_OK;
}

void bd_reader_close(bd_reader *r) {
    if (!r) return;
    (void)table->close(r->fd); /* nothing was written: a failure loses nothing */
    free(r);
}

/* Fills *data up to the end of the file; `expected` is the size the file system told. */
static bd_status read_all(char **data, size_t *n, int fd, const char *path, size_t expected,
                          size_t max_bytes) {
    size_t room = expected, used = 0;
    char *buf = malloc(room + 1);
    BD_REQUIRE(buf, BD_E_MEMORY, "%s: out of memory for %zu bytes", path, room);
    bd_status st;
    for (;;) {
        if (used == room) { /* one byte more than expected tells whether the file ends here */
            char extra;
            ssize_t got = table->read(fd, &extra, 1);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) BD_FAIL_TO(fail, st, BD_E_IO, "cannot read %s: %s", path, strerror(errno));
            if (got == 0) break;
            if (max_bytes && used + 1 > max_bytes)
                BD_FAIL_TO(fail, st, BD_E_FORMAT, "%s: larger than %zu bytes", path, max_bytes);
            room = room < 4096 ? 8192 : room * 2;
            char *grown = realloc(buf, room + 1);
            if (!grown)
                BD_FAIL_TO(fail, st, BD_E_MEMORY, "%s: out of memory for %zu bytes", path, room);
            buf = grown;
            buf[used++] = extra;
        }
        ssize_t got = table->read(fd, buf + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) BD_FAIL_TO(fail, st, BD_E_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0) break;
        used += (size_t)got;
        if (max_bytes && used > max_bytes)
            BD_FAIL_TO(fail, st, BD_E_FORMAT, "%s: larger than %zu bytes", path, max_bytes);
    }
    buf[used] = '\0';
    *data = buf;
    *n = used;
    return BD_OK;
fail:
    free(buf);
    return st;
}

bd_status bd_file_read(void **data, size_t *n, const char *path, size_t max_bytes) {
    *data = NULL;
    *n = 0;
    int fd = bd_io_open(path, O_RDONLY, 0);
    if (fd < 0) return bd_io_fail("open", path, errno, 0);
    bd_status st;
    struct stat info;
    if (fstat(fd, &info)) {
        st = bd_io_fail("stat", path, errno, 0);
    } else if (S_ISDIR(info.st_mode)) {
        st = bd_fail(BD_E_FORMAT, "%s is a folder, a file is needed", path);
    } else if (max_bytes && S_ISREG(info.st_mode) && (uint64_t)info.st_size > max_bytes) {
        st = bd_fail(BD_E_FORMAT, "%s: %lld bytes, larger than %zu bytes", path,
                     (long long)info.st_size, max_bytes);
    } else {
        char *text = NULL;
        st = read_all(&text, n, fd, path, S_ISREG(info.st_mode) ? (size_t)info.st_size : 0,
                      max_bytes);
        *data = text;
    }
    (void)table->close(fd);
    return st;
}

/* ---- folders and names ---- */

bool bd_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool bd_file_is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bd_status bd_path_join(char *buf, size_t size, const char *a, const char *b) {
    size_t n = strlen(a);
    const char *sep = n == 0 || a[n - 1] == '/' ? "" : "/";
    int need = snprintf(buf, size, "%s%s%s", a, sep, b);
    BD_REQUIRE(need >= 0 && (size_t)need < size, BD_E_ARG,
               "path too long (%d bytes, at most %zu): %.80s...%s", need, size ? size - 1 : 0, a,
               b);
    return BD_OK;
}

bd_status bd_file_mkdirs(const char *path) {
    char part[PATH_MAX];
    size_t n = strlen(path);
    BD_REQUIRE(n > 0 && n < sizeof part, BD_E_ARG,
               "cannot make folder: path of %zu bytes, allowed 1..%zu", n, sizeof part - 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (table->mkdir(part, 0777) == 0) continue;
        int err = errno;
        if (bd_file_is_dir(part)) continue;
        if (err == EEXIST)
            return bd_fail(BD_E_IO, "cannot make folder %s: a file of that name is there", part);
        return bd_io_fail("make folder", part, err, 0);
    }
    return BD_OK;
}

bd_status bd_file_remove(const char *path) {
    if (table->unlink(path) && errno != ENOENT) return bd_io_fail("remove", path, errno, 0);
    return BD_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

void bd_file_list_free(char **names, size_t n) {
    if (!names) return;
    for (size_t i = 0; i < n; i++) free(names[i]);
    free(names);
}

static bd_status name_push(char ***names, size_t *n, size_t *room, const char *name) {
    if (*n == *room) {
        size_t more = *room ? *room * 2 : 64;
        char **grown = realloc(*names, more * sizeof *grown);
        BD_REQUIRE(grown, BD_E_MEMORY, "list of files: out of memory");
        *names = grown;
        *room = more;
    }
    (*names)[*n] = strdup(name);
    BD_REQUIRE((*names)[*n], BD_E_MEMORY, "list of files: out of memory");
    (*n)++;
    return BD_OK;
}

/* All names in dir but "." and "..", sorted; with_hidden: those with a leading dot too. */
static bd_status list_dir(char ***names, size_t *n, const char *dir, const char *suffix,
                          bool with_hidden) {
    *names = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return bd_io_fail("open folder", dir, errno, 0);
    bd_status st = BD_OK;
    size_t room = 0;
    while (!st) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            if (errno) st = bd_io_fail("list folder", dir, errno, 0);
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if ((!with_hidden && e->d_name[0] == '.') || !has_suffix(e->d_name, suffix)) continue;
        st = name_push(names, n, &room, e->d_name);
    }
    closedir(d);
    if (st) {
        bd_file_list_free(*names, *n);
        *names = NULL;
        *n = 0;
        return st;
    }
    if (*n) qsort(*names, *n, sizeof **names, compare_names);
    return BD_OK;
}

bd_status bd_file_list(char ***names, size_t *n, const char *dir, const char *suffix) {
    return list_dir(names, n, dir, suffix, false);
}

bd_status bd_file_remove_tree(const char *path) {
    struct stat info;
    if (lstat(path, &info)) {
        if (errno == ENOENT) return BD_OK;
        return bd_io_fail("stat", path, errno, 0);
    }
    /* a link goes, what it points to stays */
    if (!S_ISDIR(info.st_mode)) return bd_file_remove(path);
    char **names;
    size_t n;
    BD_TRY(list_dir(&names, &n, path, "", true));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        char child[PATH_MAX];
        st = bd_path_join(child, sizeof child, path, names[i]);
        if (!st) st = bd_file_remove_tree(child);
    }
    bd_file_list_free(names, n);
    if (!st && table->rmdir(path) && errno != ENOENT)
        st = bd_io_fail("remove folder", path, errno, 0);
    return st;
}

/* NAME.tmp.<digits> */
static bool is_temp_name(const char *name) {
    const char *dot = strrchr(name, '.');
    if (!dot || dot - name < 4 || memcmp(dot - 4, ".tmp", 4) != 0) return false;
    size_t digits = strspn(dot + 1, "0123456789");
    return digits > 0 && dot[1 + digits] == '\0';
}

bd_status bd_file_sweep_temps(const char *dir) {
    struct stat info;
    if (lstat(dir, &info) || !S_ISDIR(info.st_mode)) return BD_OK;
    char **names;
    size_t n;
    BD_TRY(list_dir(&names, &n, dir, "", true));
    bd_status st = BD_OK;
    for (size_t i = 0; i < n && !st; i++) {
        char path[PATH_MAX];
        st = bd_path_join(path, sizeof path, dir, names[i]);
        if (!st) st = is_temp_name(names[i]) ? bd_file_remove(path) : bd_file_sweep_temps(path);
    }
    bd_file_list_free(names, n);
    return st;
}
