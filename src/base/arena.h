/* Bump allocator for metadata that lives and dies together. */
#ifndef BD_BASE_ARENA_H
#define BD_BASE_ARENA_H

#include <stddef.h>

typedef struct bd_arena bd_arena;

bd_arena *bd_arena_create(void);    /* NULL when memory is out */
void bd_arena_destroy(bd_arena *a); /* NULL allowed */
/* zeroed, 16-byte aligned; NULL when memory is out */
void *bd_arena_alloc(bd_arena *a, size_t bytes);
char *bd_arena_strdup(bd_arena *a, const char *s);
char *bd_arena_printf(bd_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* bd_alloc_pages -- zeroed memory aligned to 64 bytes (2 MiB when large, with huge pages asked for);
 * NULL when memory is out. Free with bd_free_pages and the same size. */
void *bd_alloc_pages(size_t bytes);
void bd_free_pages(void *p, size_t bytes);

#endif
