/* Preloaded into the program: the FAULT_ALLOC_AT-th allocation that the program's own code asks for fails. Allocations of
 * libraries are let through: what they do without memory is theirs. FAULT_ALLOC_COUNT: say at the end how many there were. */
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *aligned_alloc(size_t alignment, size_t n);
int posix_memalign(void **out, size_t alignment, size_t n);

static uintptr_t program_from, program_to;
static long at, seen;

static int note_program(struct dl_phdr_info *info, size_t size, void *ctx) {
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        program_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        program_to = program_from + info->dlpi_phdr[i].p_memsz;
    }
    return 1; /* the first one is the program */
}

static void report(void) { fprintf(stderr, "allocations: %ld\n", seen); }

__attribute__((constructor)) static void start(void) {
    const char *k = getenv("FAULT_ALLOC_AT");
    dl_iterate_phdr(note_program, NULL);
    at = k ? atol(k) : 0;
    seen = 0;
    if (getenv("FAULT_ALLOC_COUNT")) atexit(report);
}

static int fails(const void *caller) {
    uintptr_t from = (uintptr_t)caller;
    if (from < program_from || from >= program_to) return 0;
    if (__atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) != at) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}
void *aligned_alloc(size_t alignment, size_t n) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, n);
}
int posix_memalign(void **out, size_t alignment, size_t n) {
    if (fails(__builtin_return_address(0))) return ENOMEM;
    void *p = __libc_memalign(alignment, n);
    if (p) *out = p;
    return p ? 0 : ENOMEM;
}
