#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 1024 };

static _Thread_local char error_text[TEXT_SIZE];

/* Texts hold names from files: a control character in one would break the line, or drive the terminal. */
static void keep_one_line(void) {
    for (char *c = error_text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

/* Formats on the side first: the arguments may point into error_text itself. */
bd_status(bd_fail)(bd_status code, const char *fmt, ...) {
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) text[0] = '\0';
    memcpy(error_text, text, sizeof error_text);
    keep_one_line();
    return code;
}

const char *bd_error(void) { return error_text; }

bd_status(bd_error_prefix)(bd_status code, const char *fmt, ...) {
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) return code;
    size_t used = strlen(text);
    int room = (int)(sizeof text - used) - 3;
    if (room > 0) snprintf(text + used, sizeof text - used, ": %.*s", room, error_text);
    memcpy(error_text, text, sizeof error_text);
    keep_one_line();
    return code;
}

bd_status(bd_error_advise)(bd_status code, const char *fmt, ...) {
    size_t used = strlen(error_text);
    va_list args;
    va_start(args, fmt);
    if (used + 2 < sizeof error_text) {
        memcpy(error_text + used, "; ", 3);
        vsnprintf(error_text + used + 2, sizeof error_text - used - 2, fmt, args);
    }
    va_end(args);
    keep_one_line();
    return code;
}

int bd_exit_code(bd_status st) {
    switch (st) {
    case BD_OK: return 0;
    case BD_E_ARG:
    case BD_E_FORMAT:
    case BD_E_MISSING:
    case BD_E_SHAPE: return 2;
    case BD_E_BAND: return 3;
    case BD_E_INTERRUPT: return 75;
    default: return 1;
    }
}
