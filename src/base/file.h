/* All file work of the project: one table of calls, durable atomic writes, locks. */
#ifndef BD_BASE_FILE_H
#define BD_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

/* The one I/O table. Every system call that opens, reads or changes a file goes through it, so that a test can
 * make the k-th call fail. Fields have the semantics and errno of their POSIX namesakes; fallocate is Linux's
 * with FALLOC_FL_KEEP_SIZE (-1 and errno). Questions only (stat, readdir, statvfs, flock) are asked directly. */
typedef struct {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *buf, size_t n);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*fsync)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*fallocate)(int fd, off_t offset, off_t len);
    int (*ftruncate)(int fd, off_t len);
    int (*rmdir)(const char *path);
} bd_io_table;

extern const bd_io_table bd_io_posix;
/* bd_io_set -- replace the table (tests); NULL restores POSIX. Not while other threads do I/O. */
void bd_io_set(const bd_io_table *t);

/* bd_file_read -- the whole file. *data gets n bytes and one extra NUL byte; caller frees with free().
 *   errors   BD_E_MISSING no such file; BD_E_IO; BD_E_FORMAT larger than max_bytes (0 = no limit) */
BD_MUST_CHECK bd_status bd_file_read(void **data, size_t *n, const char *path, size_t max_bytes);

/* A file read from front to back, for loaders that check a header before they allocate.
 *   errors   BD_E_MISSING, BD_E_IO; bd_reader_read: BD_E_FORMAT when fewer than n bytes are left */
typedef struct bd_reader bd_reader;
BD_MUST_CHECK bd_status bd_reader_open(bd_reader **out, uint64_t *size, const char *path);
BD_MUST_CHECK bd_status bd_reader_read(bd_reader *r, void *data, size_t n);
void bd_reader_close(bd_reader *r); /* NULL allowed */

/* A file that appears under its final name whole and durable, or not at all:
 * temp file in the same folder -> write -> fsync -> rename -> fsync of the folder. The temp file is called
 * PATH.tmp.<process id>. After a failure every later call repeats it and commit removes the temp file.
 *   errors   BD_E_MISSING: no such folder; BD_E_IO with path and reason, for a full disk need and free bytes */
typedef struct bd_writer bd_writer;
BD_MUST_CHECK bd_status bd_writer_create(bd_writer **out, const char *path);
/* bd_writer_reserve -- claim room for `bytes` more bytes now, so that a full disk is found before the work. A file
 * system that cannot do so is no error. */
BD_MUST_CHECK bd_status bd_writer_reserve(bd_writer *w, uint64_t bytes);
BD_MUST_CHECK bd_status bd_writer_write(bd_writer *w, const void *data, size_t n);
BD_MUST_CHECK bd_status bd_writer_printf(bd_writer *w, const char *fmt, ...) BD_PRINTF(2, 3);
BD_MUST_CHECK bd_status bd_writer_commit(bd_writer *w); /* frees w, also on failure */
/* removes the temp file, frees w; NULL allowed */
void bd_writer_abort(bd_writer *w);

/* bd_file_write -- bd_writer in one call. */
BD_MUST_CHECK bd_status bd_file_write(const char *path, const void *data, size_t n);

/* bd_file_copy -- the bytes of one file under another name, whole and durable or not at all.
 *   errors   BD_E_MISSING: no such file, or no folder to write to; BD_E_IO; BD_E_MEMORY */
BD_MUST_CHECK bd_status bd_file_copy(const char *to, const char *from);

BD_MUST_CHECK bd_status bd_file_mkdirs(const char *path); /* like mkdir -p */
bool bd_file_exists(const char *path);
bool bd_file_is_dir(const char *path);
BD_MUST_CHECK bd_status bd_file_remove(const char *path); /* a missing file is fine */
/* a missing folder is fine; never follows links */
BD_MUST_CHECK bd_status bd_file_remove_tree(const char *path);

/* bd_file_sweep_temps -- remove the temp files (NAME.tmp.<digits>) that killed writers left in dir and below. Call it while
 * holding the folder's lock: a live writer's temp file looks the same. A missing folder is fine. */
BD_MUST_CHECK bd_status bd_file_sweep_temps(const char *dir);

/* bd_file_list -- names (not paths) in a folder with the given suffix ("" = all), sorted by bytes, without
 * names that begin with a dot. Caller frees with bd_file_list_free. */
BD_MUST_CHECK bd_status bd_file_list(char ***names, size_t *n, const char *dir, const char *suffix);
void bd_file_list_free(char **names, size_t n);

/* bd_path_join -- "a/b" into buf; BD_E_ARG when it does not fit. */
BD_MUST_CHECK bd_status bd_path_join(char *buf, size_t size, const char *a, const char *b);

/* bd_append -- a log that grows by whole lines (one bd_append_printf = whole lines) and can be cut back to a known
 * length on resume (keep_bytes; -1 = all of it). Text reaches the file within about a second of the next line, the disk at bd_append_sync.
 *   errors   BD_E_FORMAT: the file is shorter than keep_bytes; BD_E_IO */
typedef struct bd_append bd_append;
BD_MUST_CHECK bd_status bd_append_open(bd_append **out, const char *path, int64_t keep_bytes);
BD_MUST_CHECK bd_status bd_append_printf(bd_append *a, const char *fmt, ...) BD_PRINTF(2, 3);
/* flush + fsync; length in bytes */
BD_MUST_CHECK bd_status bd_append_sync(bd_append *a, int64_t *length);
BD_MUST_CHECK bd_status bd_append_close(bd_append *a); /* NULL allowed */

/* bd_lock -- exclusive lock on a folder (flock on DIR/.lock); released by the kernel when the process dies.
 *   wait = false: BD_E_BUSY at once when another process holds it. */
typedef struct bd_lock bd_lock;
BD_MUST_CHECK bd_status bd_lock_acquire(bd_lock **out, const char *dir, bool wait);
void bd_lock_release(bd_lock *l); /* NULL allowed */

#endif
