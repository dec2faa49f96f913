/* Atomic durable files, growing logs and folder locks of base/file.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file_internal.h"

enum { BUFFER_BYTES = 64 * 1024 };

/* vsnprintf into malloc'd text; NULL when memory is out. */
BD_PRINTF(2, 0)
static char *format_text(size_t *n, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, fmt, args);
    char *text = need < 0 ? NULL : malloc((size_t)need + 1);
    if (text) vsnprintf(text, (size_t)need + 1, fmt, again);
    va_end(again);
    *n = text ? (size_t)need : 0;
    return text;
}

/* ---- a file in one piece ---- */

struct bd_writer {
    int fd;
    bd_status failed; /* the first failure; its text */
    char failed_text[512];
    size_t used;     /* bytes in buf */
    uint64_t offset; /* bytes handed to the system */
    char *path, *temp;
    char buf[BUFFER_BYTES];
};

/* Remembers the first failure: data after a hole is worthless, so the writer never recovers. */
static bd_status writer_note(bd_writer *w, bd_status st) {
    if (st && !w->failed) {
        w->failed = st;
        snprintf(w->failed_text, sizeof w->failed_text, "%s", bd_error());
    }
    return st;
}

static bd_status writer_state(const bd_writer *w) {
    return w->failed ? bd_fail(w->failed, "%s", w->failed_text) : BD_OK;
}

static void writer_free(bd_writer *w) {
    free(w->path);
    free(w->temp);
    free(w);
}

/* A temp file of the same name is one that a killed process with our id left (ids repeat in containers). */
static int open_temp(const char *temp) {
    int fd = bd_io_open(temp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
    if (bd_io()->unlink(temp) && errno != ENOENT) return -1;
    return bd_io_open(temp, O_WRONLY | O_CREAT | O_EXCL, 0666);
}

bd_status bd_writer_create(bd_writer **out, const char *path) {
    *out = NULL;
    bd_writer *w = malloc(sizeof *w);
    BD_REQUIRE(w, BD_E_MEMORY, "%s: out of memory", path);
    w->failed = BD_OK;
    w->used = 0;
    w->offset = 0;
    size_t n = strlen(path) + 32;
    w->path = strdup(path);
    w->temp = malloc(n);
    if (!w->path || !w->temp) {
        writer_free(w);
        return bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    }
    snprintf(w->temp, n, "%s.tmp.%ld", path, (long)getpid());
    w->fd = open_temp(w->temp);
    if (w->fd < 0) {
        bd_status st = bd_io_fail("create", w->temp, errno, 0);
        writer_free(w);
        return st;
    }
    *out = w;
    return BD_OK;
}

bd_status bd_writer_reserve(bd_writer *w, uint64_t bytes) {
    BD_TRY(writer_state(w));
    if (bytes == 0) return BD_OK;
    BD_REQUIRE(bytes <= INT64_MAX / 2, BD_E_ARG, "%s: %" PRIu64 " bytes are too many for a file",
               w->path, bytes);
    int result;
    do result = bd_io()->fallocate(w->fd, (off_t)(w->offset + w->used), (off_t)bytes);
    while (result && errno == EINTR);
    if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return BD_OK;
    return writer_note(w, bd_io_fail("reserve room for", w->path, errno, bytes));
}

static bd_status writer_put(bd_writer *w, const void *data, size_t n) {
    BD_TRY(writer_note(w, bd_io_write_all(w->fd, data, n, w->temp)));
    w->offset += n;
    return BD_OK;
}

static bd_status writer_flush(bd_writer *w) {
    size_t n = w->used;
    w->used = 0;
    return writer_put(w, w->buf, n);
}

bd_status bd_writer_write(bd_writer *w, const void *data, size_t n) {
    BD_TRY(writer_state(w));
    if (n > sizeof w->buf - w->used) BD_TRY(writer_flush(w));
    if (n > sizeof w->buf) return writer_put(w, data, n);
    if (n) memcpy(w->buf + w->used, data, n);
    w->used += n;
    return BD_OK;
}

bd_status bd_writer_printf(bd_writer *w, const char *fmt, ...) {
    size_t n;
    va_list args;
    va_start(args, fmt);
    char *text = format_text(&n, fmt, args);
    va_end(args);
    if (!text) return writer_note(w, bd_fail(BD_E_MEMORY, "%s: out of memory", w->path));
    bd_status st = bd_writer_write(w, text, n);
    free(text);
    return st;
}

void bd_writer_abort(bd_writer *w) {
    if (!w) return;
    if (w->fd >= 0) (void)bd_io()->close(w->fd);
    (void)bd_io()->unlink(w->temp); /* bd_file_sweep_temps takes what this could not */
    writer_free(w);
}

bd_status bd_writer_commit(bd_writer *w) {
    bd_status st = writer_state(w);
    if (!st) st = writer_flush(w);
    /* A failed fsync is final: the kernel may have dropped the dirty pages, so a second try would lie. */
    if (!st && bd_io()->fsync(w->fd)) st = bd_io_fail("fsync", w->temp, errno, w->offset);
    int closed = bd_io()->close(w->fd);
    w->fd = -1;
    if (!st && closed && errno != EINTR) st = bd_io_fail("close", w->temp, errno, w->offset);
    if (!st && bd_io()->rename(w->temp, w->path))
        st = bd_io_fail("rename the finished file to", w->path, errno, 0);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    st = bd_io_sync_parent(w->path);
    if (st) st = bd_error_prefix(st, "%s is written but may not survive a power failure", w->path);
    writer_free(w);
    return st;
}

bd_status bd_file_write(const char *path, const void *data, size_t n) {
    bd_writer *w;
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = bd_writer_reserve(w, n);
    if (!st) st = bd_writer_write(w, data, n);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}

enum { COPY_BYTES = 1 << 20 };

static bd_status copy_bytes(bd_writer *w, bd_reader *r, uint64_t size) {
    char *part = malloc(COPY_BYTES);
    BD_REQUIRE(part, BD_E_MEMORY, "out of memory for a copy");
    bd_status st = bd_writer_reserve(w, size);
    for (uint64_t left = size; left && !st;) {
        size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
        st = bd_reader_read(r, part, n);
        if (!st) st = bd_writer_write(w, part, n);
        left -= n;
    }
    free(part);
    return st;
}

bd_status bd_file_copy(const char *to, const char *from) {
    bd_reader *r;
    bd_writer *w;
    uint64_t size;
    BD_TRY(bd_reader_open(&r, &size, from));
    bd_status st = bd_writer_create(&w, to);
    if (!st) {
        st = copy_bytes(w, r, size);
        if (st)
            bd_writer_abort(w);
        else
            st = bd_writer_commit(w);
    }
    bd_reader_close(r);
    return st;
}

/* ---- a log that grows ---- */

struct bd_append {
    int fd;
    size_t used;
    int64_t length;    /* bytes in the file */
    double last_flush; /* seconds, monotonic */
    char *path;
    char buf[BUFFER_BYTES];
};

/* Seconds that a line may wait in the buffer while others follow: a reader of the log sees it grow. */
static const double flush_seconds = 1.0;

static bd_status append_cut(bd_append *a, int64_t keep_bytes) {
    struct stat info;
    if (fstat(a->fd, &info)) return bd_io_fail("stat", a->path, errno, 0);
    a->length = info.st_size;
    if (keep_bytes < 0 || keep_bytes == a->length) return BD_OK;
    BD_REQUIRE(keep_bytes < a->length, BD_E_FORMAT,
               "%s has %" PRId64 " bytes, the checkpoint knows of %" PRId64
               ": it was cut or replaced since",
               a->path, a->length, keep_bytes);
    int result;
    do result = bd_io()->ftruncate(a->fd, keep_bytes);
    while (result && errno == EINTR);
    if (result) return bd_io_fail("cut", a->path, errno, 0);
    a->length = keep_bytes;
    return BD_OK;
}

static void append_free(bd_append *a) {
    free(a->path);
    free(a);
}

bd_status bd_append_open(bd_append **out, const char *path, int64_t keep_bytes) {
    *out = NULL;
    bd_append *a = malloc(sizeof *a);
    BD_REQUIRE(a, BD_E_MEMORY, "%s: out of memory", path);
    a->used = 0;
    a->last_flush = bd_clock_seconds();
    a->path = strdup(path);
    bd_status st = a->path ? BD_OK : bd_fail(BD_E_MEMORY, "%s: out of memory", path);
    if (st) {
        append_free(a);
        return st;
    }
    a->fd = bd_io_open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (a->fd < 0) {
        st = bd_io_fail("open", path, errno, 0);
        append_free(a);
        return st;
    }
    st = append_cut(a, keep_bytes);
    if (!st) st = bd_io_sync_parent(path);
    if (st) {
        (void)bd_io()->close(a->fd);
        append_free(a);
        return st;
    }
    *out = a;
    return BD_OK;
}

static bd_status append_flush(bd_append *a) {
    size_t n = a->used;
    a->used = 0;
    a->last_flush = bd_clock_seconds();
    BD_TRY(bd_io_write_all(a->fd, a->buf, n, a->path));
    a->length += (int64_t)n;
    return BD_OK;
}

static bd_status append_put(bd_append *a, const char *text, size_t n) {
    if (n > sizeof a->buf - a->used) BD_TRY(append_flush(a));
    if (n > sizeof a->buf) {
        BD_TRY(bd_io_write_all(a->fd, text, n, a->path));
        a->length += (int64_t)n;
        return BD_OK;
    }
    memcpy(a->buf + a->used, text, n);
    a->used += n;
    return bd_clock_seconds() - a->last_flush >= flush_seconds ? append_flush(a) : BD_OK;
}

bd_status bd_append_printf(bd_append *a, const char *fmt, ...) {
    size_t n;
    va_list args;
    va_start(args, fmt);
    char *text = format_text(&n, fmt, args);
    va_end(args);
    BD_REQUIRE(text, BD_E_MEMORY, "%s: out of memory", a->path);
    bd_status st = append_put(a, text, n);
    free(text);
    return st;
}

bd_status bd_append_sync(bd_append *a, int64_t *length) {
    BD_TRY(append_flush(a));
    if (bd_io()->fsync(a->fd)) return bd_io_fail("fsync", a->path, errno, 0);
    if (length) *length = a->length;
    return BD_OK;
}

bd_status bd_append_close(bd_append *a) {
    if (!a) return BD_OK;
    bd_status st = append_flush(a);
    int closed = bd_io()->close(a->fd);
    if (!st && closed && errno != EINTR) st = bd_io_fail("close", a->path, errno, 0);
    append_free(a);
    return st;
}

/* ---- locks ---- */

struct bd_lock {
    int fd;
};

bd_status bd_lock_acquire(bd_lock **out, const char *dir, bool wait) {
    *out = NULL;
    size_t n = strlen(dir) + sizeof "/.lock";
    char *path = malloc(n);
    bd_lock *l = malloc(sizeof *l);
    bd_status st = BD_OK;
    if (!path || !l) BD_FAIL_TO(fail, st, BD_E_MEMORY, "%s: out of memory", dir);
    snprintf(path, n, "%s/.lock", dir);
    l->fd = bd_io_open(path, O_RDWR | O_CREAT, 0666);
    if (l->fd < 0) {
        st = bd_io_fail("open", path, errno, 0);
        goto fail;
    }
    if (flock(l->fd, LOCK_EX | (wait ? 0 : LOCK_NB))) {
        int err = errno;
        (void)bd_io()->close(l->fd);
        if (err == EWOULDBLOCK)
            st = bd_fail(BD_E_BUSY, "%s: another process is working there; wait for it or stop it",
                         dir);
        else if (err == EINTR)
            st = bd_fail(BD_E_INTERRUPT, "%s: interrupted while waiting for its lock", dir);
        else
            st = bd_io_fail("lock", path, err, 0);
        goto fail;
    }
    free(path);
    *out = l;
    return BD_OK;
fail:
    free(path);
    free(l);
    return st;
}

void bd_lock_release(bd_lock *l) {
    if (!l) return;
    (void)bd_io()->close(l->fd); /* closing drops the lock */
    free(l);
}
