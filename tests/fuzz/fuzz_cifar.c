/* Files of CIFAR-10, plain or gzip, of two records. */
#include "fuzz.h"
#include "io/cifar.h"

const bd_status fuzz_refusal = BD_E_FORMAT;

bd_status fuzz_load(const char *path) {
    enum { N = 2 };
    bd_cifar c;
    BD_TRY(bd_cifar_load(&c, path, N));
    fuzz_touch(c.pixels, (size_t)c.n * BD_CIFAR_SIDE * BD_CIFAR_SIDE * 3);
    fuzz_touch(c.labels, (size_t)c.n);
    bd_cifar_clear(&c);
    return BD_OK;
}
