/* Damaged files for tests of loaders: every truncation, every bit flip, and a long deterministic sequence of random
 * edits. A loader must answer each with success or with the status `refusal` and a text that begins with the path. */
#ifndef BD_TESTS_MUTATE_H
#define BD_TESTS_MUTATE_H

#include <stddef.h>

#include "base/status.h"

/* Loads path, checks what it got (cmocka asserts), frees it. */
typedef bd_status (*mutate_load)(const char *path);

typedef struct {
    const char *path; /* where the damaged copy is written */
    const void *good; /* a whole file that loads */
    size_t n;
    bd_status refusal;
    mutate_load load;
} mutate_case;

/* Memory above the present use by more than this makes allocation fail (not under sanitizers, whose shadow memory
 * counts): a loader that trusts a forged size then returns BD_E_MEMORY, which is no allowed answer. */
void mutate_limit_memory(void);

/* mutate_write -- n bytes as the file path. */
void mutate_write(const char *path, const void *data, size_t n);

/* Prefixes 0..n-1; loadable: how many of them may load (a text file without its last newline is whole). */
void mutate_truncate(const mutate_case *c, size_t loadable);

/* Every bit of every byte, one at a time; returns how many changes were noticed. */
size_t mutate_flip(const mutate_case *c);

/* `rounds` files with 1..8 random edits each. */
void mutate_random(const mutate_case *c, int rounds);

#endif
