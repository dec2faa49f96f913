/* Fuzzing of readers. A target is one file fuzz_<reader>.c that defines fuzz_load; everything else is here:
 * libFuzzer's entry point, or with FUZZ_REPLAY a main() that loads the files of the corpus. */
#ifndef BD_TESTS_FUZZ_H
#define BD_TESTS_FUZZ_H

#include <stddef.h>

#include "base/status.h"

/* The refusals that the reader documents for bad input, for instance BD_E_FORMAT. Anything else stops. */
extern const bd_status fuzz_refusal;

/* Load path, touch all that was read (fuzz_touch), free it; the status of the load. */
bd_status fuzz_load(const char *path);

/* fuzz_touch -- read n bytes, so that a sanitizer sees each of them. */
void fuzz_touch(const void *data, size_t n);
void fuzz_touch_text(const char *text);

#endif
