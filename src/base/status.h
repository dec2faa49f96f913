/* Status codes and error text, shared by every layer. */
#ifndef BD_BASE_STATUS_H
#define BD_BASE_STATUS_H

/* 0 is success, everything else is negative. The class decides the exit code of the program
 * (bd_exit_code); the text says what happened, where, and what to do next. */
typedef int bd_status;

enum {
    BD_OK = 0,
    BD_E_ARG = -1,       /* wrong option, recipe key or value                         -> exit 2 */
    BD_E_FORMAT = -2,    /* an input file is not what it should be                    -> exit 2 */
    BD_E_MISSING = -3,   /* an input file or data set is not there                    -> exit 2 */
    BD_E_SHAPE = -4,     /* tensor shapes do not fit                                  -> exit 2 */
    BD_E_IO = -5,        /* read, write, disk full                                    -> exit 1 */
    BD_E_MEMORY = -6,    /* allocation failed                                         -> exit 1 */
    BD_E_DEVICE = -7,    /* a backend or library refused                              -> exit 1 */
    BD_E_NUMERIC = -8,   /* NaN or infinity                                           -> exit 1 */
    BD_E_BUSY = -9,      /* another process holds the lock                            -> exit 1 */
    BD_E_BAND = -10,     /* a number lies outside its declared band                   -> exit 3 */
    BD_E_INTERRUPT = -11 /* stopped by a signal, state saved, can be resumed          -> exit 75 */
};

#define BD_MUST_CHECK __attribute__((warn_unused_result))
#define BD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* bd_fail -- set this thread's error text and return the code given. The text is one line: control
 * characters, which come from names in files, become '?'.
 *   errors   returns code, always
 *   memory   copies the text into a thread-local buffer of fixed size */
bd_status bd_fail(bd_status code, const char *fmt, ...) BD_PRINTF(2, 3);

/* bd_error -- this thread's last error text; "" when there was none. Borrowed until the next
 * bd_fail on the same thread. */
const char *bd_error(void);

/* bd_error_prefix -- put "prefix: " in front of this thread's error text and return code. */
bd_status bd_error_prefix(bd_status code, const char *fmt, ...) BD_PRINTF(2, 3);

/* bd_error_advise -- put "; what to do" behind this thread's error text and return code. */
bd_status bd_error_advise(bd_status code, const char *fmt, ...) BD_PRINTF(2, 3);

/* A static analyser that sees one file at a time has to be told that they return their code. */
#ifdef __clang_analyzer__
#define bd_fail(code, ...) ((void)(bd_fail)((code), __VA_ARGS__), (code))
#define bd_error_prefix(code, ...) ((void)(bd_error_prefix)((code), __VA_ARGS__), (code))
#define bd_error_advise(code, ...) ((void)(bd_error_advise)((code), __VA_ARGS__), (code))
#endif

/* bd_exit_code -- the process exit code that a status stands for (table above). */
int bd_exit_code(bd_status st);

/* The code itself is returned, not what bd_fail returns: a static analyser sees that it is not 0. */
#define BD_REQUIRE(cond, code, ...)             \
    do {                                        \
        if (!(cond)) {                          \
            (void)bd_fail((code), __VA_ARGS__); \
            return (code);                      \
        }                                       \
    } while (0)

#define BD_TRY(expr)                       \
    do {                                   \
        bd_status bd_try_st_ = (expr);     \
        if (bd_try_st_) return bd_try_st_; \
    } while (0)

/* On failure: st = the status, then goto label (which frees and returns st). */
#define BD_TRY_TO(label, st, expr) \
    do {                           \
        (st) = (expr);             \
        if (st) goto label;        \
    } while (0)

#define BD_FAIL_TO(label, st, code, ...)    \
    do {                                    \
        (void)bd_fail((code), __VA_ARGS__); \
        (st) = (code);                      \
        goto label;                         \
    } while (0)

#endif
