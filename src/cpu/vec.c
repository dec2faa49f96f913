/* Choice of the vector kernels at run time. */
#include "cpu/vec.h"

#if defined(__x86_64__)
extern const bd_vec bd_vec_avx2, bd_vec_avx512;

const bd_vec *bd_vec_best(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return &bd_vec_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &bd_vec_avx2;
    return 0;
}
#else
extern const bd_vec bd_vec_base;
const bd_vec *bd_vec_best(void) { return &bd_vec_base; }
#endif
