#include "mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/rng.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif

void mutate_write(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void mutate_limit_memory(void) {
#ifndef SANITIZED
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return;
    if (fscanf(f, "%ld", &pages) != 1) pages = 0;
    fclose(f);
    rlim_t limit = (rlim_t)pages * 4096 + ((rlim_t)192 << 20);
    setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit});
#endif
}

/* Loads what is at c->path; true when it loaded. */
static bool attempt(const mutate_case *c, const char *what, size_t at) {
    bd_status st = c->load(c->path);
    if (st == BD_OK) return true;
    if (st != c->refusal || strncmp(bd_error(), c->path, strlen(c->path)) != 0)
        fail_msg("%s %zu: status %d, \"%s\"", what, at, st, bd_error());
    return false;
}

void mutate_truncate(const mutate_case *c, size_t loadable) {
    size_t loaded = 0;
    for (size_t n = 0; n < c->n; n++) {
        mutate_write(c->path, c->good, n);
        loaded += attempt(c, "prefix of length", n);
    }
    if (loaded > loadable)
        fail_msg("%zu of %zu prefixes loaded, at most %zu may", loaded, c->n, loadable);
}

size_t mutate_flip(const mutate_case *c) {
    unsigned char *bytes = malloc(c->n);
    size_t noticed = 0;
    assert_non_null(bytes);
    memcpy(bytes, c->good, c->n);
    for (size_t i = 0; i < 8 * c->n; i++) {
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        mutate_write(c->path, bytes, c->n);
        noticed += !attempt(c, "flipped bit", i);
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    free(bytes);
    return noticed;
}

/* One random edit of bytes[0..*n-1] (room bytes there). */
static void edit(unsigned char *bytes, size_t *n, size_t room, const uint32_t r[6]) {
    static const unsigned char telling[] = {0,   1,   0x7f, 0x80, 0xff, '"', '\\', '[',
                                            ']', '{', '}',  ',',  '\n', '=', '9'};
    size_t at = *n ? r[1] % *n : 0, len = 1 + r[2] % 16;
    if (len > *n - at) len = *n - at;
    switch (r[0] % 6) {
    case 0: /* another value */
        if (*n) bytes[at] = (unsigned char)r[3];
        break;
    case 1: /* a telling value, repeated */
        memset(bytes + at, telling[r[3] % sizeof telling], len);
        break;
    case 2: /* cut out */
        memmove(bytes + at, bytes + at + len, *n - at - len);
        *n -= len;
        break;
    case 3: /* doubled in place */
        if (*n + len > room) break;
        memmove(bytes + at + len, bytes + at, *n - at);
        *n += len;
        break;
    case 4: /* copied elsewhere */
        if (*n) memmove(bytes + r[3] % (*n - len + 1), bytes + at, len);
        break;
    default: /* a big or small number in place of one */
        if (len >= 4) memcpy(bytes + at, r[3] % 2 ? &r[4] : (const uint32_t[]){0xffffff7fu}, 4);
        break;
    }
}

void mutate_random(const mutate_case *c, int rounds) {
    size_t room = c->n + 256;
    unsigned char *bytes = malloc(room);
    assert_non_null(bytes);
    for (int i = 0; i < rounds; i++) {
        uint32_t words[64];
        bd_rng_bits(words, 64, (bd_rng_key){.seed = 2024, .index = (uint32_t)i}, 0);
        size_t n = c->n;
        memcpy(bytes, c->good, n);
        for (uint32_t e = 0; e < 1 + words[0] % 8; e++) edit(bytes, &n, room, words + 1 + 6 * e);
        mutate_write(c->path, bytes, n);
        (void)attempt(c, "random edit", (size_t)i);
    }
    free(bytes);
}
