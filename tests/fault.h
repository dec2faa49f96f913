/* Faults for tests of file work: an I/O table whose k-th call of one kind fails. */
#ifndef BD_TESTS_FAULT_H
#define BD_TESTS_FAULT_H

#include <stdbool.h>

typedef enum {
    FAULT_OPEN,
    FAULT_CLOSE,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_FSYNC,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_MKDIR,
    FAULT_FALLOCATE,
    FAULT_FTRUNCATE,
    FAULT_RMDIR,
    FAULT_KINDS
} fault_kind;

extern const char *const fault_names[FAULT_KINDS];

/* fault_arm -- from now on call k (from 1) of that kind fails with errno error; forever: all later ones too. A
 * failing close closes all the same, as Linux does. */
void fault_arm(fault_kind kind, int k, bool forever, int error);

/* fault_dribble -- reads and writes move at most n bytes a call and every second call is interrupted (EINTR). */
void fault_dribble(int n);

/* fault_disarm -- back to POSIX; returns the number of calls that were made to fail. */
int fault_disarm(void);

#endif
