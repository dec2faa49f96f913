/* The input goes into a file in memory, for the readers take paths. A refusal must be one line that names the file. */
#include "fuzz.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile unsigned char sink;

void fuzz_touch(const void *data, size_t n) {
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) sink ^= p[i];
}

void fuzz_touch_text(const char *text) {
    if (text) fuzz_touch(text, strlen(text));
}

static void stop(const char *why) {
    fprintf(stderr, "fuzz: %s\n", why);
    abort();
}

static void check(bd_status st, const char *path) {
    if (st == BD_OK) return;
    if (st == fuzz_refusal && strncmp(bd_error(), path, strlen(path)) == 0 &&
        !strchr(bd_error(), '\n'))
        return;
    fprintf(stderr, "fuzz: status %d: %s\n", st, bd_error());
    stop("a refusal of another kind");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        if (fd < 0) stop("no file in memory");
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n) stop("no room for the input");
    check(fuzz_load(path), path);
    return 0;
}

#ifdef FUZZ_REPLAY
/* Each argument is an input; prints how many there were. */
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        static uint8_t data[1 << 20];
        FILE *f = fopen(argv[i], "rb");
        if (!f) stop(argv[i]);
        size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        fprintf(stderr, "%s\n", argv[i]);
        /* a copy of its very size, so that reading past it is seen */
        uint8_t *copy = malloc(n ? n : 1);
        if (!copy) stop("out of memory");
        memcpy(copy, data, n);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
