/* UTF-8 that comes from files. */
#ifndef BD_BASE_UTF8_H
#define BD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* bd_utf8_length -- bytes of the well-formed sequence at s (n >= 1 bytes left), 0 when malformed.
 *   source   Unicode 15, table 3-7 */
size_t bd_utf8_length(const unsigned char *s, size_t n);

/* bd_utf8_is_text -- n bytes of well-formed UTF-8 without NUL. */
bool bd_utf8_is_text(const unsigned char *s, size_t n);

#endif
