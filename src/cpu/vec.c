/* Choice of the vector kernels at run time. */
#include "cpu/vec.h"

#include "cpu/conv_kernels.h"

#if defined(__x86_64__)
extern const bd_vec bd_vec_avx2, bd_vec_avx512;
extern const bd_conv_kernels bd_conv_kernels_avx2, bd_conv_kernels_avx512;

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const bd_vec *bd_vec_best(void) {
    return has_avx512() ? &bd_vec_avx512 : has_avx2() ? &bd_vec_avx2 : NULL;
}

const bd_conv_kernels *bd_conv_kernels_best(void) {
    return has_avx512() ? &bd_conv_kernels_avx512 : has_avx2() ? &bd_conv_kernels_avx2 : NULL;
}
#else
extern const bd_vec bd_vec_base;
extern const bd_conv_kernels bd_conv_kernels_base;

const bd_vec *bd_vec_best(void) { return &bd_vec_base; }
const bd_conv_kernels *bd_conv_kernels_best(void) { return &bd_conv_kernels_base; }
#endif
