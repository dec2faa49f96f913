/* Strict INI files through libinih (design: refuse what libinih is lax about). */
#ifndef BD_IO_INI_H
#define BD_IO_INI_H

#include "base/status.h"

/* Called for each key in file order; a non-zero return stops and becomes the result.
 * line: the line of the key. key and value are trimmed; value may be "". */
typedef bd_status (*bd_ini_fn)(void *ctx, const char *path, int line, const char *section,
                               const char *key, const char *value);

/* bd_ini_load -- parse path. Refused with file:line: a key before any section, an indented line, a repeated
 * key in a section, a section opened twice, a line over 199 bytes, ';' or '#' after a value, NUL bytes,
 * a line that is neither comment, section nor key = value. Comments are lines that start with '#' or ';'.
 *   errors   BD_E_MISSING, BD_E_IO, BD_E_ARG (with path:line: reason), or fn's own status */
BD_MUST_CHECK bd_status bd_ini_load(const char *path, bd_ini_fn fn, void *ctx);

#endif
