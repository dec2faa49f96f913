/* What the .c files behind base/file.h share. */
#ifndef BD_BASE_FILE_INTERNAL_H
#define BD_BASE_FILE_INTERNAL_H

#include "base/file.h"

/* bd_io -- the table in force. */
const bd_io_table *bd_io(void);

/* bd_io_fail -- "cannot <verb> <path>: <reason>" from errno value err; ENOENT and ENOTDIR give BD_E_MISSING, the
 * rest BD_E_IO. need: bytes that were to be written (0: unknown), told with the free bytes when the disk is full. */
bd_status bd_io_fail(const char *verb, const char *path, int err, uint64_t need);
#ifdef __clang_analyzer__ /* as bd_fail in status.h */
#define bd_io_fail(verb, path, err, need) \
    ((void)(bd_io_fail)((verb), (path), (err), (need)), BD_E_IO)
#endif

/* bd_io_write_all -- all n bytes; path is for the message. */
BD_MUST_CHECK bd_status bd_io_write_all(int fd, const void *data, size_t n, const char *path);

/* bd_io_open -- open with O_CLOEXEC, repeated after EINTR; -1 and errno on failure. */
int bd_io_open(const char *path, int flags, mode_t mode);

/* bd_io_sync_parent -- fsync of the folder that holds path. */
BD_MUST_CHECK bd_status bd_io_sync_parent(const char *path);

#endif
