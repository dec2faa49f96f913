#include "fault.h"

#include <errno.h>

#include "base/file.h"

const char *const fault_names[FAULT_KINDS] = {"open",      "close",     "read",   "write",
                                              "fsync",     "rename",    "unlink", "mkdir",
                                              "fallocate", "ftruncate", "rmdir"};

static struct {
    fault_kind kind;
    int k, error, seen, failed;
    bool forever;
    int piece, turn;
} plan;

static bool due(fault_kind kind) {
    if (plan.k == 0 || kind != plan.kind) return false;
    plan.seen++;
    if (plan.seen != plan.k && !(plan.forever && plan.seen > plan.k)) return false;
    plan.failed++;
    errno = plan.error;
    return true;
}

/* Bytes that a dribbling call moves; 0: it is interrupted. */
static size_t piece_of(size_t n) {
    if (!plan.piece) return n;
    if (plan.turn++ % 2) {
        errno = EINTR;
        return 0;
    }
    return n < (size_t)plan.piece ? n : (size_t)plan.piece;
}

static int f_open(const char *path, int flags, mode_t mode) {
    return due(FAULT_OPEN) ? -1 : bd_io_posix.open(path, flags, mode);
}

static int f_close(int fd) {
    int result = bd_io_posix.close(fd);
    return due(FAULT_CLOSE) ? -1 : result;
}

static ssize_t f_read(int fd, void *buf, size_t n) {
    if (due(FAULT_READ)) return -1;
    size_t m = piece_of(n);
    return n && !m ? -1 : bd_io_posix.read(fd, buf, m);
}

static ssize_t f_write(int fd, const void *buf, size_t n) {
    if (due(FAULT_WRITE)) return -1;
    size_t m = piece_of(n);
    return n && !m ? -1 : bd_io_posix.write(fd, buf, m);
}

static int f_fsync(int fd) { return due(FAULT_FSYNC) ? -1 : bd_io_posix.fsync(fd); }
static int f_rename(const char *a, const char *b) {
    return due(FAULT_RENAME) ? -1 : bd_io_posix.rename(a, b);
}
static int f_unlink(const char *path) { return due(FAULT_UNLINK) ? -1 : bd_io_posix.unlink(path); }
static int f_mkdir(const char *path, mode_t mode) {
    return due(FAULT_MKDIR) ? -1 : bd_io_posix.mkdir(path, mode);
}
static int f_fallocate(int fd, off_t at, off_t len) {
    return due(FAULT_FALLOCATE) ? -1 : bd_io_posix.fallocate(fd, at, len);
}
static int f_ftruncate(int fd, off_t len) {
    return due(FAULT_FTRUNCATE) ? -1 : bd_io_posix.ftruncate(fd, len);
}
static int f_rmdir(const char *path) { return due(FAULT_RMDIR) ? -1 : bd_io_posix.rmdir(path); }

static const bd_io_table faulty = {.open = f_open,
                                   .close = f_close,
                                   .read = f_read,
                                   .write = f_write,
                                   .fsync = f_fsync,
                                   .rename = f_rename,
                                   .unlink = f_unlink,
                                   .mkdir = f_mkdir,
                                   .fallocate = f_fallocate,
                                   .ftruncate = f_ftruncate,
                                   .rmdir = f_rmdir};

void fault_arm(fault_kind kind, int k, bool forever, int error) {
    plan.kind = kind;
    plan.k = k;
    plan.forever = forever;
    plan.error = error;
    plan.seen = plan.failed = plan.piece = 0;
    bd_io_set(&faulty);
}

void fault_dribble(int n) {
    plan.k = plan.failed = plan.turn = 0;
    plan.piece = n;
    bd_io_set(&faulty);
}

int fault_disarm(void) {
    bd_io_set(NULL);
    plan.k = 0;
    return plan.failed;
}
