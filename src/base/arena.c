#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 16, CHUNK_BYTES = 64 * 1024, SMALL_ALIGN = 64 };

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

typedef struct chunk {
    struct chunk *next;
    size_t used, size; /* bytes of data */
    _Alignas(ALIGN) unsigned char data[];
} chunk;

struct bd_arena {
    chunk *head; /* the chunk that is being filled */
};

bd_arena *bd_arena_create(void) { return calloc(1, sizeof(bd_arena)); }

void bd_arena_destroy(bd_arena *a) {
    if (!a) return;
    for (chunk *c = a->head; c;) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
    free(a);
}

static chunk *chunk_create(size_t size) {
    chunk *c = calloc(1, sizeof *c + size);
    if (c) c->size = size;
    return c;
}

void *bd_arena_alloc(bd_arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    chunk *c = a->head;
    if (c && c->size - c->used >= bytes) {
        void *p = c->data + c->used;
        c->used += bytes;
        return p;
    }
    if (bytes > CHUNK_BYTES / 4) { /* a chunk of its own, behind the one being filled */
        chunk *own = chunk_create(bytes);
        if (!own) return NULL;
        own->used = bytes;
        if (c) {
            own->next = c->next;
            c->next = own;
        } else {
            a->head = own;
        }
        return own->data;
    }
    chunk *fresh = chunk_create(CHUNK_BYTES);
    if (!fresh) return NULL;
    fresh->next = c;
    fresh->used = bytes;
    a->head = fresh;
    return fresh->data;
}

char *bd_arena_strdup(bd_arena *a, const char *s) {
    size_t n = strlen(s) + 1;
    char *copy = bd_arena_alloc(a, n);
    if (copy) memcpy(copy, s, n);
    return copy;
}

char *bd_arena_printf(bd_arena *a, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : bd_arena_alloc(a, (size_t)n + 1);
    if (text) vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

/* Large blocks come from mmap, cut to a 2 MiB boundary so that whole huge pages fit. */
static void *map_huge(size_t bytes) {
    size_t size = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    unsigned char *raw =
        mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    size_t head = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (head) munmap(raw, head);
    munmap(raw + head + size, HUGE_PAGE - head);
    madvise(raw + head, size, MADV_HUGEPAGE); /* a wish: refused is fine */
    return raw + head;
}

void *bd_alloc_pages(size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    if (bytes >= HUGE_PAGE) return map_huge(bytes);
    size_t size = (bytes + SMALL_ALIGN - 1) & ~(size_t)(SMALL_ALIGN - 1);
    void *p = aligned_alloc(SMALL_ALIGN, size ? size : SMALL_ALIGN);
    if (p) memset(p, 0, size);
    return p;
}

void bd_free_pages(void *p, size_t bytes) {
    if (!p) return;
    if (bytes >= HUGE_PAGE)
        munmap(p, (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    else
        free(p);
}
